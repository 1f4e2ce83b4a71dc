"""The inputs that are kept of each target, beside its seeds: those that reached something new. A line each, in base64, by their lengths."""

import base64
import hashlib
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

TARGETS = ("decoder", "configuration", "reference", "state", "web", "webhook")
KEPT = Path(__file__).parent / "corpus"
MOST_KEPT = 40_000  # bytes of a target's inputs, the shortest first


def target_of(name: str) -> Any:
    """The module of a target: `prepared`, `seeds` and `WORDS`."""
    return import_module(f"tests.fuzz.{name}")


def kept(name: str) -> list[bytes]:
    """Its inputs."""
    path = KEPT / f"{name}.txt"
    return [base64.b64decode(line) for line in path.read_text(encoding="ascii").splitlines()] if path.exists() else []


def keep(name: str, inputs: Iterable[bytes]) -> int:
    """Write down the shortest, of these and those that were kept before; how many that are."""
    lines, size = list[str](), 0
    for each in sorted({*inputs, *kept(name)}, key=lambda each: (len(each), each)):
        size += len(each)
        if size <= MOST_KEPT:
            lines.append(base64.b64encode(each).decode())
    KEPT.mkdir(exist_ok=True)
    (KEPT / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="ascii")
    return len(lines)


def lay_out(directory: Path, inputs: Iterable[bytes]) -> None:
    """A file each, as libFuzzer wants them."""
    directory.mkdir(parents=True, exist_ok=True)
    for each in inputs:
        (directory / hashlib.sha1(each, usedforsecurity=False).hexdigest()).write_bytes(each)


def shared_memory() -> str | None:
    """Where files cost no disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None

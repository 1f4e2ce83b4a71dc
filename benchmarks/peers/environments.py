"""An environment of its own for each peer, made once from its pinned requirements and kept until they change."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
MAKING_SECONDS = 600


class NotMadeError(Exception):
    """The environment cannot be made; the text is pip's own last line."""


def home() -> Path:
    """Return where environments are kept: DRIFTD_PEERS, or `.peers` in the tree, which hides itself from git."""
    kept = Path(os.environ.get("DRIFTD_PEERS") or HERE.parents[1] / ".peers")
    kept.mkdir(parents=True, exist_ok=True)
    (kept / ".gitignore").write_text("*\n", encoding="ascii")
    return kept


def python_of(peer: str) -> Path:
    """Return the peer's interpreter, making its environment when it is not there. Raises NotMadeError."""
    requirements = HERE / f"requirements-{peer}.txt"
    directory = home() / peer
    python, stamp = directory / "bin" / "python", directory / "installed"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text(encoding="ascii") != wanted:
        began = time.perf_counter()
        make(directory, python, requirements)
        stamp.write_text(wanted, encoding="ascii")
        print(f"  made the environment of {peer} in {time.perf_counter() - began:.0f} s", flush=True)
    return python


def make(directory: Path, python: Path, requirements: Path) -> None:
    """Make the environment anew. Raises NotMadeError."""
    shutil.rmtree(directory, ignore_errors=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)]
    for command in ([sys.executable, "-m", "venv", str(directory)], install):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=MAKING_SECONDS)
        except subprocess.CalledProcessError as failed:
            raise NotMadeError(last_line(failed.stderr or failed.stdout)) from failed
        except subprocess.TimeoutExpired as late:
            raise NotMadeError(f"not installed within {MAKING_SECONDS} s") from late


def last_line(text: str) -> str:
    """Return the last line that says something, cut to a table's width."""
    said = [line.strip() for line in text.splitlines() if line.strip()]
    return said[-1][:200] if said else "no output"

"""A part that a registry's own client fetches once into .parts. Standard library only: `.ci/parts` runs it before there is a .venv."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.parts.missing import MissingPart

PARTS = Path(__file__).parents[2] / ".parts"


def fetch(part: str, client: str, command: Sequence[str | Path], *, seconds: float, cwd: Path | None = None) -> None:
    """Run the client; where it fails, the first line that it said is why the part is missing."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise not_fetched(part, f"{client} took more than {seconds} s") from None
    if done.returncode != 0:
        raise not_fetched(part, next(iter((done.stdout + done.stderr).splitlines()), f"{client} said nothing"))


def not_fetched(part: str, why: str) -> MissingPart:
    return MissingPart(f"{part}: not here, and not fetched: {why}", "make parts, once, with the network")

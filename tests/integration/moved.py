"""`python -m monitor` by a wall clock that a file moves: so many seconds are added to what the machine says. Time goes by as ever."""

import os
import sys
import time
from pathlib import Path

VARIABLE = "WALL_MOVED_BY"


def follow(path: Path) -> None:
    """Have every reading of the wall clock in this process follow the file."""
    real = time.time_ns

    def moved() -> int:
        return real() + round(float(path.read_text(encoding="ascii")) * 1e9)

    time.time_ns = moved
    time.time = lambda: moved() / 1e9


def move(path: Path, seconds: float) -> None:
    """Set the clock, forth or back: whole or not at all, for whom it is read by."""
    unfinished = path.with_suffix(".new")
    unfinished.write_text(str(seconds), encoding="ascii")
    unfinished.replace(path)


if __name__ == "__main__":
    follow(Path(os.environ[VARIABLE]))
    from monitor.cli import main

    sys.exit(main())

"""What opening a state costs, of which looking at SQLite's trees and at the checksums of rows: processor time, the best of three.

python benchmarks/opening.py 2 50 200      megabytes of records, of 4 kB each
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from monitor.series.records import Record
from monitor.store import files, sums
from monitor.store.sqlite import StateStore

ROW, AT_ONCE, NOW = 4000, 1000, 1_763_870_700_000_000_000


def fill(directory: Path, megabytes: int) -> None:
    """A state of so many records."""
    chance, store = random.Random(1), StateStore(directory)
    for first in range(0, megabytes * 1_000_000 // ROW, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, megabytes * 1_000_000 // ROW))
        store.save([Record("pane", f'["m","1",{each}]', chance.randbytes(ROW)) for each in numbers], {}, [], NOW)
    store.close()


def took(work: Callable[[], object]) -> float:
    """Milliseconds of the processor."""
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1000


def measured(directory: Path) -> tuple[float, ...]:
    """Opening as a whole, trees, checksums, and reading all records, which each start does as well."""
    began = time.process_time()
    store = StateStore(directory)
    opening = (time.process_time() - began) * 1000
    parts = (lambda: files.check_trees(store._db), lambda: list(sums.damaged(store._db)), store.records)  # noqa: SLF001
    costs = opening, *map(took, parts)
    store.close()
    return costs


def main() -> None:
    """Print a line for each size."""
    for megabytes in map(int, sys.argv[1:] or ["2", "50"]):
        with tempfile.TemporaryDirectory() as directory:
            fill(Path(directory), megabytes)
            opening, trees, rows, reading = (
                min(each) for each in zip(*(measured(Path(directory)) for _ in range(3)), strict=True)
            )
        print(
            f"{megabytes} MB: opened in {opening:.0f} ms, of it trees {trees:.0f}, checksums {rows:.0f}; reading all takes {reading:.0f} more"
        )


if __name__ == "__main__":
    main()

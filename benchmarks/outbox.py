"""What a delivery costs the store, by how many others wait: processor time, without the disk's syncs.

    .venv/bin/python -m benchmarks.outbox 100 1000 10000

`one alert`: all wait behind one another; `many alerts`: each is of its own; `behind one`: all but the delivered wait behind one that was put off.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from monitor.store.outbox import AddressedNotice, Notice
from monitor.store.sqlite import StateStore

NOW, LATER, DELIVERED = 1_795_435_200 * 10**9, 10**14, 100


def seconds(waiting: int, subjects: int, *, put_off: bool) -> float:
    """Of a turn and its end, the mean of a hundred."""
    with TemporaryDirectory() as home:
        store = StateStore(Path(home))
        store._db.execute("PRAGMA synchronous = OFF")  # noqa: SLF001 - what the disk does is no part of it
        notices = [Notice(f"n{n}", "model.alert.firing", f"s{n % subjects}", NOW, b"{}") for n in range(waiting)]
        store.save([], {}, [AddressedNotice(each, ("trainer",)) for each in notices], NOW)
        if put_off:
            row = store.next_due("trainer", NOW)
            assert row is not None
            store.postpone(row, NOW + LATER)
            due = [Notice(f"d{n}", "model.alert.firing", f"d{n}", NOW, b"{}") for n in range(DELIVERED)]
            store.save([], {}, [AddressedNotice(each, ("trainer",)) for each in due], NOW)
        began = time.process_time()
        for _ in range(DELIVERED):
            row = store.next_due("trainer", NOW)
            assert row is not None
            store.delivered(row)
        took = time.process_time() - began
        store.close()
    return took / DELIVERED


def main(sizes: Sequence[int]) -> None:
    """Print a table, in milliseconds."""
    print("| wait | one alert | many alerts | behind one |\n|---|---|---|---|")
    for size in sizes:
        worlds = (size, 1, False), (size, size, False), (size, 1, True)
        took = [1000 * seconds(waiting, subjects, put_off=put_off) for waiting, subjects, put_off in worlds]
        print(f"| {size:,} | " + " | ".join(f"{each:.2f} ms" for each in took) + " |", flush=True)


if __name__ == "__main__":
    main([int(each) for each in sys.argv[1:]] or [100, 1000, 10_000])

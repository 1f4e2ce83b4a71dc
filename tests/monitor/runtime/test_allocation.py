"""When freed memory is given back."""

import subprocess
import sys
from pathlib import Path

import pytest

from monitor.runtime.allocation import EVERY, FreedMemory

THREADS, EACH = 4, 40_000_000  # bytes
BUSY_ONCE = f"""
import os
from pathlib import Path
from threading import Barrier, Thread

from monitor.runtime.allocation import EVERY, FreedMemory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def work():
    held = [bytearray(b"x" * 100_000) for _ in range({EACH} // 100_000)]
    met.wait()
    met.wait()
    held.clear()
    met.wait()
    met.wait()  # it lives on, as those that read ahead do

freed, met, before = FreedMemory(), Barrier({THREADS} + 1), resident()
for _ in range({THREADS}):
    Thread(target=work, daemon=True).start()
met.wait()
most = resident()
met.wait()
met.wait()
freed.see(0)
freed.see(EVERY)
print(most - before, resident() - before)
met.wait()
"""


def test_it_is_given_back_once_an_interval() -> None:
    asked: list[int] = []

    def trim(padding: int) -> int:
        asked.append(padding)
        return 1

    freed = FreedMemory(trim)
    for turn in range(100):
        freed.see(turn * EVERY // 10)

    assert asked == [0] * 9


def test_a_clock_that_was_set_back_does_not_end_it() -> None:
    asked: list[int] = []
    freed = FreedMemory(lambda padding: asked.append(padding) or 1)

    for now in (100 * EVERY, EVERY, EVERY + 1, 2 * EVERY):
        freed.see(now)

    assert len(asked) == 2


def test_the_c_library_is_asked_where_it_can() -> None:
    freed = FreedMemory()

    freed.see(0)
    freed.see(2 * EVERY)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for resident memory")
def test_what_threads_had_is_given_back_while_they_live() -> None:
    """The end of a thread's heap is given back by its own thread, as it frees, or never."""
    done = subprocess.run(
        [sys.executable, "-c", BUSY_ONCE],
        cwd=Path(__file__).parents[3],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    most, left = map(int, done.stdout.split())

    assert most > THREADS * EACH / 2
    assert left < THREADS * EACH / 4

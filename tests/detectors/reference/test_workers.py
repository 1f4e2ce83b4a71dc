"""Columns side by side: any number of threads, one result, one error."""

import json
from functools import partial
from threading import Barrier, get_ident
from time import sleep

import numpy as np
import pytest

from detectors import Reference
from detectors.reference.workers import Workers

MINUTE = 60 * 10**9


def test_all_is_done_once_by_several() -> None:
    meet = Barrier(3, timeout=30)  # seconds: nobody gets on unless three work at once
    done: list[int] = []

    def work(at: int) -> None:
        if at < 3:
            meet.wait()
        done.append(at)

    with Workers(3) as workers:
        workers.all(partial(work, at) for at in range(50))
        workers.all([])
    assert sorted(done) == list(range(50))


def test_one_works_in_order_where_it_is_called() -> None:
    done: list[tuple[int, int]] = []
    with Workers() as workers:
        workers.all(partial(lambda at: done.append((at, get_ident())), at) for at in range(9))
    assert done == [(at, get_ident()) for at in range(9)]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_what_fails_first_in_order_is_raised(threads: int) -> None:
    def work(at: int) -> None:
        if at >= 4:
            raise ValueError(f"column {at}")

    for _ in range(50):
        with Workers(threads) as workers, pytest.raises(ValueError, match=r"^column 4$"):
            workers.all(partial(work, at) for at in range(12))


def test_who_is_interrupted_waits_for_what_is_under_way_alone() -> None:
    caller, done = get_ident(), list[int]()

    def work(at: int) -> None:
        if get_ident() == caller:
            raise KeyboardInterrupt
        sleep(0.002)  # seconds: long enough for the caller to have its turn
        done.append(at)

    with pytest.raises(KeyboardInterrupt), Workers(3) as workers:
        workers.all(partial(work, at) for at in range(5_000))
    assert len(done) < 4_000


def test_no_thread_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="threads is 0; there is at least one"):
        Workers(0)


def test_a_reference_is_the_same_with_any_number_of_threads() -> None:
    rng = np.random.default_rng()
    rows = 40_000
    numbers = {f"x{at}": rng.normal(size=rows) for at in range(5)} | {"few": rng.integers(0, 9, rows)}
    texts = {"plan": rng.choice(["free", "pro", "team"], rows), "none": np.full(rows, None)}
    table = {**texts, **numbers, "score": rng.random(rows), "time": np.arange(rows) * MINUTE}
    chunks = [{name: column[at : at + 7_000] for name, column in table.items()} for at in range(0, rows, 7_000)]
    found = {
        json.dumps(
            Reference.fit_chunks(
                lambda: chunks, prediction="score", timestamp="time", window_ns=60 * MINUTE, threads=threads
            ).to_dict()
        )
        for threads in (1, 2, 3, 16)
    }
    assert len(found) == 1


@pytest.mark.parametrize("threads", [1, 4])
def test_what_is_wrong_is_said_alike(threads: int) -> None:
    odd = {"a": [1.0], "when": np.array(["2026-11-01"], dtype="datetime64[s]"), "also": np.array([1], "datetime64[s]")}
    with pytest.raises(ValueError, match=r"^when: datetime64"):
        Reference.fit_chunks(lambda: [odd], threads=threads)

"""What is said of a window is the same whenever it is read, and reading it changes nothing that is saved."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from threading import Barrier

import numpy as np
import pytest

from detectors import Reference
from detectors.charts import BudgetSpec
from monitor.alerting.rules import AlertRule
from monitor.facts import Fact, SubgroupCharted, WindowClosed, WindowScored
from monitor.pipeline import Pipeline
from monitor.series.series import SeriesSpec
from monitor.stream.events import EventBatch
from tests.build import DAY, KEY, MIDNIGHT, MINUTE, feed, make_spec, restored, stored
from tests.charted import mixed, reference

LENGTH, MINUTES, ROWS = 10 * MINUTE, 90, 60
RULES = (
    AlertRule("psi", "psi", 0.25, 0.1),
    AlertRule("ks", "ks", 0.2, 0.1, hold=2),
    AlertRule("few", "missing", 0.3, 0.2),
)
OTHERS = (
    AlertRule("chi2", "chi2", 60.0, 20.0),
    AlertRule("new", "unseen", 0.05, 0.02),
    AlertRule("rows", "volume", 1.0, 0.5),
    AlertRule("level", "adwin", 0.5, 0.3, min_rows=20),
)


def sliding(learnt: Reference, *rules: AlertRule) -> SeriesSpec:
    return make_spec(
        reference=learnt, length=LENGTH, slide=MINUTE, rules=rules, min_rows=30, plan=BudgetSpec(pane_ns=MINUTE)
    )


def cold(*rules: AlertRule) -> SeriesSpec:
    data = Reference.fit(mixed(np.random.default_rng(8), 5_000))
    return make_spec(reference=data, length=LENGTH, slide=MINUTE, rules=rules, min_rows=30, learn_for=DAY)


def batches(of: Reference, seed: int, rows: int) -> list[EventBatch]:
    """An hour and a half, in the middle of which most columns change; batches close a few windows each, or many."""
    rng = np.random.default_rng(seed)
    count = MINUTES * ROWS
    table = mixed(rng, count)
    changed = slice(count // 2, count * 3 // 4)
    table["normal"][changed] += 2.0
    table["holes"][changed][::2] = np.nan
    table["plan"][changed][::3] = "z"
    table["few"][changed] = 3.0
    times = MIDNIGHT + np.sort(rng.integers(0, MINUTES * MINUTE, count))
    numeric, codes = of.encode(table)
    ids = rng.integers(1, 2**63, count).astype(np.uint64)
    ids[rng.random(count) < 0.05] = ids[0]
    return [
        EventBatch(KEY, "predictions", times[part], numeric[part], codes[part], ids=ids[part])
        for part in (slice(first, first + rows) for first in range(0, count, rows))
    ]


def said(fact: Fact) -> str:
    """All that a fact of a window says, to the last digit."""
    match fact:
        case WindowScored(_, at, scores, states, counts):
            return f"{at} {list(scores)!r} {dict(states)!r} {None if counts is None else counts.to_bytes().hex()}"
        case WindowClosed(_, start, end, rows, quality, ids):
            return f"{start} {end} {rows} {list(quality)!r} {ids!r}"
        case SubgroupCharted(point=point):
            return f"{point.end} { ({place: sizes.tolist() for place, sizes in point.sizes.items()}) }"
        case _:
            return type(fact).__name__


def run(spec: SeriesSpec, seed: int, rows: int, read: Callable[[list[Fact]], object]) -> tuple[list[Fact], object]:
    """All facts, each batch's read as `read` does, and what is saved at the end; it restarts in the middle."""
    pipeline, facts, held = Pipeline([spec], MINUTE), list[Fact](), dict[tuple[str, str], bytes]()
    arriving = batches(spec.reference, seed, rows)
    for number, batch in enumerate(arriving):
        told = feed(pipeline, batch)
        read(told)
        facts += told
        if number == len(arriving) // 2:
            held = stored(pipeline.changes(), held)
            pipeline = Pipeline([spec], MINUTE)
            facts += [*restored(held, pipeline), *pipeline.current()]
    return facts, (stored(pipeline.changes(), held), stored(pipeline.snapshot()))


@pytest.fixture(scope="module")
def learnt() -> Reference:
    return reference(np.random.default_rng(7))


@pytest.mark.parametrize("rows", [40, 300, 1_500])
@pytest.mark.parametrize("rules", [RULES, OTHERS, ()], ids=["first", "others", "none"])
def test_a_window_read_at_once_and_one_read_at_the_end_say_the_same(
    learnt: Reference, rules: tuple[AlertRule, ...], rows: int
) -> None:
    """Of most windows nobody reads most scores; who does gets those of that time, though the state is another one since."""
    at_once = list[str]()
    now, saved = run(sliding(learnt, *rules), rows, rows, lambda told: at_once.extend(map(said, told)))
    later, also_saved = run(sliding(learnt, *rules), rows, rows, lambda told: None)

    assert any(isinstance(fact, WindowScored) for fact in now)
    assert [said(fact) for fact in later] == [said(fact) for fact in now]
    assert saved == also_saved
    assert set(at_once) <= {said(fact) for fact in later}


def test_so_do_those_of_a_cold_reference() -> None:
    at_once = list[str]()
    now, saved = run(cold(*RULES), 3, 400, lambda told: at_once.extend(map(said, told)))
    later, also_saved = run(cold(*RULES), 3, 400, lambda told: None)

    assert [said(fact) for fact in later] == [said(fact) for fact in now]
    assert saved == also_saved
    assert set(at_once) <= {said(fact) for fact in later}


def read_by(readers: int, facts: list[Fact], go: Barrier) -> list[str]:
    """What each of so many threads reads of the same facts, all beginning at once."""

    def read(_: int) -> list[str]:
        go.wait(timeout=60)
        return [said(fact) for fact in facts]

    with ThreadPoolExecutor(readers) as threads:
        found = list(threads.map(read, range(readers)))
    assert all(each == found[0] for each in found)
    return found[0]


@pytest.mark.parametrize("rules", [RULES, OTHERS], ids=["first", "others"])
def test_threads_that_read_a_window_at_once_are_told_the_same(learnt: Reference, rules: tuple[AlertRule, ...]) -> None:
    """Whoever comes first works a late part out; two may do so together, while the interpreter changes hands as often as it can."""
    plain = run(sliding(learnt, *rules), 11, 1_500, lambda told: [*map(said, told)])[0]
    read = list[str]()
    with hasty():
        run(sliding(learnt, *rules), 11, 1_500, lambda told: read.extend(read_by(3, told, Barrier(3))))

    assert any(isinstance(fact, WindowScored) for fact in plain)
    assert set(read) <= {said(fact) for fact in plain}


def test_a_thread_that_reads_while_windows_close_is_told_the_same(learnt: Reference) -> None:
    """As the HTTP thread does: what was told of the last windows is read while those that follow are judged."""
    plain = [said(fact) for fact in run(sliding(learnt, *RULES), 12, 300, lambda told: [*map(said, told)])[0]]
    told: SimpleQueue[list[Fact] | None] = SimpleQueue()

    def read() -> list[str]:
        batches = iter(partial(told.get, timeout=300), None)
        return [said(fact) for facts in batches if facts is not None for fact in facts]

    with hasty(), ThreadPoolExecutor(2) as threads:
        reading = [threads.submit(read) for _ in range(2)]
        facts, _ = run(sliding(learnt, *RULES), 12, 300, lambda facts: [told.put(facts) for _ in reading])
        for _ in reading:
            told.put(None)
        # Two readers share what is told: together they have read every fact at least once.
        found = [each.result(timeout=300) for each in reading]

    assert any(found)
    assert set(found[0]) | set(found[1]) <= set(plain)
    assert [said(fact) for fact in facts] == plain


@contextmanager
def hasty() -> Iterator[None]:
    """The interpreter changes hands as often as it can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)

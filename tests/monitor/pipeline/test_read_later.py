"""What is said of a window is the same whenever it is read, and reading it changes nothing that is saved."""

from collections.abc import Callable

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

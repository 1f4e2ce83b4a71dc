"""Laws of the charts: no NaN whatever comes, no page of one pane, no trace of restarts, order and batching."""

from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import Reference
from detectors.charts import BudgetSpec, ChartPoint, Charts, Sums
from detectors.charts.design import COLUMNS, GAUSSIAN, most
from monitor.facts import AlertChanged, AlertSeen, Fact, RetrainDecided, SubgroupCharted
from monitor.pipeline import Pipeline
from monitor.stream.events import EventBatch, MicroBatch
from tests.build import KEY, P0, P1, make_pipeline, of, restored
from tests.charted import MINUTE, MONDAY, WINDOW, Charted, mixed, pane, reference

some = settings(max_examples=40, deadline=None)
few = settings(max_examples=15, deadline=None)
Table = dict[str, np.ndarray]


@cache
def learnt() -> Reference:
    """Every kind of column; the laws must hold for any, so it need not be another each time."""
    return reference(np.random.default_rng(14))


@cache
def thresholds() -> np.ndarray:
    return Charts(learnt(), BudgetSpec()).design.thresholds


ODD = (0.0, -0.0, 1.0, np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324)


@dataclass(frozen=True)
class Script:
    """Panes by their rows (0: nothing at all comes), what is done to them, and after how many the charts are stopped."""

    seed: int
    panes: tuple[tuple[int, str], ...]
    stop: int

    def tables(self) -> list[Table | None]:
        rng = np.random.default_rng(self.seed)
        return [changed(mixed(rng, rows), what, rng) if rows or what == "empty" else None for rows, what in self.panes]


def changed(table: Table, what: str, rng: np.random.Generator) -> Table:
    rows = len(table["normal"])
    match what:
        case "shift":
            table["normal"] += 0.5
        case "odd":
            table["normal"] = rng.choice(ODD, rows)
            table["empty"] = rng.choice(ODD, rows)
        case "gone":
            table = {}
        case "new":
            table["plan"] = np.full(rows, "EU-2")
        case "stuck":
            table["heavy"] = np.full(rows, 7.0)
        case _:
            pass
    return {"normal": np.full(rows, np.nan), **table}


scripts = st.builds(
    Script,
    seed=st.integers(0, 2**32 - 1),
    panes=st.lists(
        st.tuples(
            st.sampled_from([0, 1, 2, 8, 40, 100]),
            st.sampled_from(["", "", "", "shift", "odd", "gone", "new", "stuck", "empty"]),
        ),
        min_size=1,
        max_size=30,
    ).map(tuple),
    stop=st.integers(0, 30),
)


def fed(charted: Charted, table: Table | None) -> None:
    """One pane of two minutes, or nothing for so long."""
    if table is not None:
        tally = pane(learnt(), table).tally()
        charted.points += charted.charts.update(tally, charted.at, charted.at + charted.length)
    charted.at += charted.length


def fresh() -> Charted:
    return Charted(learnt(), length=2 * MINUTE, pane_ns=2 * MINUTE)


def run(script: Script, *, stop: bool) -> list[ChartPoint]:
    charted = fresh()
    for number, table in enumerate(script.tables()):
        if stop and number == script.stop:
            saved = charted.charts.to_bytes()
            charted.charts = fresh().charts
            charted.charts.restore(saved)
        fed(charted, table)
    return charted.points


@some
@given(scripts)
def test_no_nan_leaves_the_charts(script: Script) -> None:
    """But in increments, where it says that a chart stood still."""
    every = fresh().charts.design.active
    active, rates = every[:, :GAUSSIAN], ~every[:, GAUSSIAN:]  # those of rates never do
    for point in run(script, stop=False):
        for found in (point.values, point.ratios, point.z, point.effects, point.row_values, point.thresholds):
            assert np.isfinite(found).all()
        assert (point.values >= 0).all()
        assert np.array_equal(np.isnan(point.increments), np.hstack([~(active & point.judged[:, None]), rates]))
        assert not (point.certain & ~point.firing).any()
        assert (point.since[point.firing] <= point.start).all()
        assert (point.since[~point.firing] == np.iinfo(np.int64).min).all()


@some
@given(scripts)
def test_going_on_from_bytes_is_never_having_stopped(script: Script) -> None:
    for one, other in zip(run(script, stop=False), run(script, stop=True), strict=True):
        assert np.array_equal(one.increments, other.increments, equal_nan=True)
        for name in ("values", "firing", "since", "z", "effects", "judged", "row_values", "row_firing", "row_since"):
            assert np.array_equal(getattr(one, name), getattr(other, name))
        assert (one.warned, one.of_late, one.suspect, one.usual_rows) == (
            other.warned,
            other.of_late,
            other.suspect,
            other.usual_rows,
        )


@some
@given(scripts)
def test_a_first_pane_pages_only_where_it_is_certain(script: Script) -> None:
    for point in run(script, stop=False)[:1]:
        assert (point.firing == point.certain).all()


@some
@given(st.lists(st.floats(-1e300, 1e300) | st.just(np.nan) | st.just(np.inf), min_size=COLUMNS, max_size=COLUMNS))
def test_no_increment_reaches_a_threshold_alone(increments: list[float]) -> None:
    sums = Sums(thresholds(), 1)

    assert not sums.advance(np.array([increments])).any()
    assert np.isfinite(sums.values).all()
    assert (sums.values <= most(thresholds())).all()
    assert (most(thresholds())[:GAUSSIAN] < thresholds()[:GAUSSIAN] * 0.75).all()


@some
@given(st.integers(0, 2**32 - 1))
def test_sums_of_what_stands_still_stand_still(seed: int) -> None:
    rng, sums = np.random.default_rng(seed), Sums(thresholds(), 3)
    sums.advance(rng.normal(size=(3, COLUMNS)))
    before = sums.values.copy()
    sums.advance(np.full((3, COLUMNS), np.nan))

    assert np.array_equal(sums.values, before)


# --- the pipeline -----------------------------------------------------------------------------------------------------

DECIDED = (AlertChanged, AlertSeen, RetrainDecided)
PANES = 24


@dataclass(frozen=True)
class World:
    """Rows of some hours: where a shift begins and ends, how rows are shared between partitions and polls, where it stops."""

    seed: int
    begin: int
    length: int
    polls: int
    stop: int
    slide: int

    def batch(self) -> EventBatch:
        rng = np.random.default_rng(self.seed)
        table = mixed(rng, PANES * 60)
        times = np.repeat(MONDAY + np.arange(PANES) * WINDOW, 60) + rng.integers(0, WINDOW, PANES * 60)
        inside = (times >= MONDAY + self.begin * WINDOW) & (times < MONDAY + (self.begin + self.length) * WINDOW)
        table["normal"][inside] += 1.0
        return EventBatch(KEY, "predictions", times, *learnt().encode(table))

    def pipeline(self) -> Pipeline:
        plan = BudgetSpec(pane_ns=self.slide)
        return make_pipeline(reference=learnt(), length=WINDOW, slide=self.slide, lateness=WINDOW, plan=plan)


worlds = st.builds(
    World,
    seed=st.integers(0, 2**32 - 1),
    begin=st.integers(0, 14),
    length=st.integers(1, 8),
    polls=st.integers(1, 40),
    stop=st.integers(0, 40),
    slide=st.sampled_from([WINDOW, MINUTE]),
)


def in_order(world: World) -> list[MicroBatch]:
    """One partition, all of it at once; then its end, two windows on."""
    batch = world.batch()
    last = MONDAY + (PANES + 2) * WINDOW
    both = frozenset({P0, P1})
    return [MicroBatch((batch,), {}, both, assigned=both), MicroBatch((), {P0: last, P1: last}, both)]


def shuffled(world: World) -> list[MicroBatch]:
    """Two partitions in many polls, rows out of order within the lateness."""
    batch, rng = world.batch(), np.random.default_rng(world.seed + 1)
    arrival = batch.event_times + rng.integers(0, WINDOW, len(batch))
    side = rng.random(len(batch)) < 0.5
    bounds = np.linspace(MONDAY, MONDAY + (PANES + 1) * WINDOW, world.polls + 1)
    both, found = frozenset({P0, P1}), [MicroBatch((), {}, frozenset(), assigned=frozenset({P0, P1}))]
    for low, high in pairwise(bounds.tolist()):
        masks = {one: (arrival >= low) & (arrival < high) & on for one, on in ((P0, side), (P1, ~side))}
        batches = [batch.where(mask) for mask in masks.values() if mask.any()]
        seen = {one: int(batch.event_times[mask].max()) for one, mask in masks.items() if mask.any()}
        found.append(MicroBatch(tuple(batches), seen, frozenset(seen)))
    last = MONDAY + (PANES + 2) * WINDOW
    return [*found, MicroBatch((), {P0: last, P1: last}, both)]


def decided(facts: list[Fact]) -> list[Fact]:
    return [fact for fact in facts if isinstance(fact, DECIDED)]


def ticks(facts: list[Fact]) -> list[tuple[int, int, int, bytes]]:
    return [(one.start, one.end, one.rows, one.point.values.tobytes()) for one in of(facts, SubgroupCharted)]


def play(pipeline: Pipeline, arrivals: list[MicroBatch]) -> list[Fact]:
    return [fact for arrived in arrivals for fact in [*pipeline.ingest(arrived, 0), *pipeline.advance()]]


@few
@given(worlds)
def test_order_batching_and_partitions_leave_no_trace(world: World) -> None:
    one, other = play(world.pipeline(), in_order(world)), play(world.pipeline(), shuffled(world))

    assert len(ticks(one)) >= PANES - 1  # the first pane is cut off
    assert ticks(one) == ticks(other)
    assert decided(one) == decided(other)


@few
@given(worlds)
def test_a_restart_anywhere_leaves_no_trace(world: World) -> None:
    arrivals = shuffled(world)
    straight = play(world.pipeline(), arrivals)
    first, second = world.pipeline(), world.pipeline()
    stop = min(world.stop, len(arrivals))
    before = play(first, arrivals[:stop])
    restored(first, second)
    found = before + play(
        second,
        [replace(one, assigned=frozenset({P0, P1})) if at == 0 else one for at, one in enumerate(arrivals[stop:])],
    )

    assert ticks(found) == ticks(straight)
    assert decided(found) == decided(straight)

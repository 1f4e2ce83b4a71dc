"""Rows that come again, from events to pages."""

import numpy as np
import pytest

from detectors import Reference
from detectors.charts import BudgetSpec, IncidentKind
from detectors.charts.duplicates import FEATURE
from monitor.alerting.alerts import AlertState
from monitor.alerting.retraining import RetrainOutcome
from monitor.explain.explainer import Explainer
from monitor.facts import AlertChanged, Fact, RetrainDecided, WindowClosed
from monitor.pipeline import Pipeline
from monitor.stream.delta import Folder, PaneDelta
from monitor.stream.events import FEATURES, EventBatch
from monitor.stream.sketches import LayoutSketches
from tests.build import KEY, MIDNIGHT, MINUTE, feed, make_pipeline, of, restored
from tests.charted import ROWS, WINDOW, mixed, reference, seeded


@pytest.fixture(scope="module")
def learnt() -> Reference:
    return reference(seeded()).select(["normal", "other", "plan"])


def a_pipeline(learnt: Reference, slide: int = WINDOW) -> Pipeline:
    return make_pipeline(reference=learnt, length=WINDOW, slide=slide, plan=BudgetSpec(pane_ns=slide, per_month=0.05))


def events(learnt: Reference, rng: np.random.Generator, pane: int, copies: int = 1) -> EventBatch:
    """Five minutes of events, each `copies` times with its id."""
    start = MIDNIGHT + pane * WINDOW
    times = np.tile(start + np.arange(ROWS, dtype=np.int64) * (WINDOW // ROWS), copies)
    columns = [np.tile(column, (copies, 1)) for column in learnt.encode(mixed(rng, ROWS))]
    ids = np.tile(rng.integers(1, 2**64, ROWS, dtype=np.uint64), copies)
    return EventBatch(KEY, "predictions", times, *columns, ids=ids)


def play(
    pipeline: Pipeline, learnt: Reference, rng: np.random.Generator, panes: range, *, copies: int = 1
) -> list[Fact]:
    explainer, facts = Explainer({KEY: learnt}), list[Fact]()
    for pane in panes:
        batch = events(learnt, rng, pane, copies)
        facts += explainer.explain(feed(pipeline, batch, until=MIDNIGHT + (pane + 1) * WINDOW))
    return facts


def test_doubled_rows_are_one_page_of_data_quality_that_names_duplicates_first(learnt: Reference) -> None:
    rng, pipeline = seeded(), a_pipeline(learnt)
    play(pipeline, learnt, rng, range(20))
    facts = play(pipeline, learnt, rng, range(20, 30), copies=3)

    [page] = [fact for fact in of(facts, AlertChanged) if fact.after is AlertState.FIRING]
    assert page.kind is IncidentKind.DATA_QUALITY
    assert (page.evidence[0].feature, page.evidence[0].words) == (FEATURE, "0 % → 66.7 % of rows (by id)")
    assert page.severity.value == "critical"
    assert [each.outcome for each in of(facts, RetrainDecided)] == [RetrainOutcome.DATA_QUALITY]


@pytest.mark.parametrize("slide", [WINDOW, MINUTE])
def test_a_window_tells_its_ids(learnt: Reference, slide: int) -> None:
    rng, pipeline = seeded(), a_pipeline(learnt, slide)
    windows = of(play(pipeline, learnt, rng, range(4), copies=2), WindowClosed)

    assert windows
    for window in windows:
        assert window.ids is not None
        assert (window.ids.rows, window.ids.distinct, window.ids.share, window.ids.error) == (200, 100, 0.5, 0)


def test_events_without_ids_tell_of_none(learnt: Reference) -> None:
    pipeline, encoded = a_pipeline(learnt), learnt.encode(mixed(seeded(), ROWS))
    batch = EventBatch(KEY, "predictions", np.full(ROWS, MIDNIGHT), *encoded, ids=np.zeros(ROWS, dtype=np.uint64))
    [window] = of(feed(pipeline, batch, until=MIDNIGHT + WINDOW), WindowClosed)

    assert window.ids is None


def test_going_on_from_a_snapshot_is_never_having_stopped(learnt: Reference) -> None:
    straight, seed = a_pipeline(learnt, MINUTE), int(seeded().integers(2**32))
    rng = np.random.default_rng(seed)
    play(straight, learnt, rng, range(22), copies=2)
    half = events(learnt, rng, 22, 2)
    feed(straight, half, until=MIDNIGHT + 22 * WINDOW + 3 * MINUTE)
    fresh = a_pipeline(learnt, MINUTE)
    restored(straight, fresh)

    again = [play(each, learnt, np.random.default_rng(seed), range(23, 30), copies=4) for each in (straight, fresh)]
    assert of(again[0], WindowClosed) == of(again[1], WindowClosed)
    assert of(again[0], AlertChanged) == of(again[1], AlertChanged)


def test_a_delta_that_was_sent_brings_the_ids_along(learnt: Reference) -> None:
    sketches = LayoutSketches(learnt.layout)
    [delta] = Folder({(KEY, FEATURES): MINUTE}).fold(events(learnt, seeded(), 0, 2))
    sent = PaneDelta.from_bytes(delta.to_bytes(sketches), sketches)

    for start, part in delta.panes.items():
        pane, counted = sketches.empty(), sketches.empty()
        part.add_to(pane)
        sent.panes[start].add_to(counted)
        assert pane.to_bytes() == counted.to_bytes()
        assert counted.ids is not None

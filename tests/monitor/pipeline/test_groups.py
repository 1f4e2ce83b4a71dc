"""Rows that come together in sessions, from events to charts."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from detectors import BudgetMonitor, Reference
from detectors.charts import BudgetSpec
from detectors.columns import as_columns
from detectors.sketches.identity import hashes_of
from monitor.facts import AlertChanged, SubgroupCharted, WindowClosed
from monitor.pipeline import Pipeline
from monitor.stream.delta import Folder, PaneDelta
from monitor.stream.events import FEATURES, EventBatch
from monitor.stream.sketches import LayoutSketches
from tests.build import KEY, MIDNIGHT, MINUTE, feed, make_pipeline, of, restored
from tests.charted import MONDAY, WINDOW, seeded
from tests.grouped import ROWS, fitted, sessions

FIRST = (MIDNIGHT - MONDAY) // WINDOW


@cache
def learnt() -> Reference:
    return fitted(sessions(np.random.default_rng(11), 200, 60))


def a_pipeline(slide: int = WINDOW) -> Pipeline:
    return make_pipeline(reference=learnt(), length=WINDOW, slide=slide, plan=BudgetSpec(pane_ns=slide))


def events(rng: np.random.Generator, window: int, many: int) -> EventBatch:
    """The events of a window, over all of it."""
    table = sessions(rng, 1, many, FIRST + window)
    times = MIDNIGHT + window * WINDOW + np.arange(ROWS, dtype=np.int64) * (WINDOW // ROWS)
    columns = {name: table[name] for name in ("age", "plan", "noise")}
    groups = hashes_of(as_columns({"session": table["session"]})["session"], ROWS)
    return EventBatch(KEY, "predictions", times, *learnt().encode(columns), groups=groups)


def charted(pipeline: Pipeline, batches: list[EventBatch], window: int) -> list[list[float]]:
    """What the charts say of a window."""
    facts = []
    for batch in batches:
        facts += feed(pipeline, batch, until=MIDNIGHT + window * WINDOW)
    facts += feed(pipeline, until=MIDNIGHT + (window + 1) * WINDOW)
    return [fact.point.z.tolist() for fact in of(facts, SubgroupCharted)]


@pytest.mark.parametrize("slide", [WINDOW, MINUTE])
def test_any_order_in_any_batches_says_the_same(slide: int) -> None:
    rng, straight, shuffled = seeded(), a_pipeline(slide), a_pipeline(slide)
    said = 0
    for window in range(6):
        batch = events(rng, window, 20)
        parts = [batch.where(part) for part in np.array_split(rng.permutation(ROWS), 4)]
        one, other = charted(straight, [batch], window), charted(shuffled, parts, window)
        assert one == other
        said += len(one)
    assert said >= 5


def test_the_charts_go_by_the_sessions() -> None:
    rng, told, untold = seeded(), a_pipeline(), a_pipeline()
    for window in range(4):
        batch = events(rng, window, 20)
        plain = EventBatch(KEY, batch.topic, batch.event_times, batch.numeric, batch.codes)
        different = charted(told, [batch], window) != charted(untold, [plain], window)
    assert different


def group_rows(groups: Callable[[np.ndarray], np.ndarray | None]) -> list[float | None]:
    """What two windows of 60 sessions, as the reference has them, say of the groups of their rows."""
    pipeline, rng, facts = a_pipeline(), seeded(), []
    for window in range(2):
        batch = events(rng, window, 60)
        assert batch.groups is not None
        facts += feed(pipeline, replace(batch, groups=groups(batch.groups)), until=MIDNIGHT + window * WINDOW)
    facts += feed(pipeline, until=MIDNIGHT + 2 * WINDOW)
    return [fact.group_rows for fact in of(facts, WindowClosed)]


def test_it_is_said_how_many_rows_come_together_beside_the_usual_window() -> None:
    calibration = learnt().calibration
    assert calibration is not None

    assert group_rows(np.ones_like) == [pytest.approx(ROWS / calibration.together)] * 2
    assert all(usual is not None and 0.4 < usual < 2.5 for usual in group_rows(lambda groups: groups))
    assert group_rows(np.zeros_like) == group_rows(lambda _: None) == [None] * 2


def test_going_on_from_a_snapshot_is_never_having_stopped() -> None:
    straight, seed = a_pipeline(MINUTE), int(seeded().integers(2**32))
    rng = np.random.default_rng(seed)
    for window in range(5):
        feed(straight, events(rng, window, 20), until=MIDNIGHT + (window + 1) * WINDOW)
    feed(straight, events(rng, 5, 20), until=MIDNIGHT + 5 * WINDOW + 3 * MINUTE)
    fresh = a_pipeline(MINUTE)
    restored(straight, fresh)

    found = []
    for each in (straight, fresh):
        rng, facts = np.random.default_rng(seed), []
        for window in range(6, 16):
            facts += feed(each, events(rng, window, 5), until=MIDNIGHT + (window + 1) * WINDOW)
        points = [fact.point.z.tolist() for fact in of(facts, SubgroupCharted)]
        found.append((points, of(facts, WindowClosed), of(facts, AlertChanged)))
    assert found[0] == found[1]


def test_a_delta_that_was_sent_brings_the_groups_along() -> None:
    sketches = LayoutSketches(learnt().layout)
    [delta] = Folder({(KEY, FEATURES): MINUTE}).fold(events(seeded(), 0, 20))
    sent = PaneDelta.from_bytes(delta.to_bytes(sketches), sketches)

    for start, part in delta.panes.items():
        pane, counted = sketches.empty(), sketches.empty()
        part.add_to(pane)
        sent.panes[start].add_to(counted)
        assert pane.to_bytes() == counted.to_bytes()
        assert counted.groups is not None


def test_a_notebook_weighs_as_the_daemon_does() -> None:
    table = sessions(seeded(), 30, 10, FIRST)
    some, rest = ({name: column[at::2] for name, column in table.items()} for at in (0, 1))
    whole, halves = (BudgetMonitor(learnt(), timestamp="at", group="session", lateness="1d") for _ in range(2))
    whole.update(table)
    halves.update(some)
    halves.update(rest)
    whole.finish()
    halves.finish()

    assert whole._charts.to_bytes() == halves._charts.to_bytes()
    without = BudgetMonitor(learnt(), timestamp="at", group="session")
    without.update(table | {"session": np.full(table["at"].size, None)})
    without.finish()
    assert without._charts.to_bytes() != whole._charts.to_bytes()

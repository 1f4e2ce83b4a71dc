"""A cold reference through a real pipeline: it learns from live traffic, then charts decide; alerts, restarts and old state."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import Reference
from detectors.charts import BudgetSpec
from monitor.alerting.alerts import AlertState
from monitor.alerting.rules import BUDGET_RULE as DRIFT
from monitor.explain.explainer import Explainer
from monitor.facts import (
    AlertChanged,
    AlertSeen,
    CalibrationLearning,
    CalibrationLearnt,
    Fact,
    StateReset,
    SubgroupCharted,
)
from monitor.pipeline import Pipeline
from monitor.series.features import Learning
from monitor.stream.events import EventBatch, Nanos
from tests.build import DAY, HOUR, KEY, MIDNIGHT, MINUTE, feed, make_pipeline, make_spec, of, restored, stored
from tests.charted import seeded

NAMES = ("x0", "x1", "x2", "plan")
SHORT = 60 * HOUR  # to learn, where two weeks of them would only take time: 60 windows
ROWS = 120


@cache
def training(names: int = 3) -> Reference:
    """A training set without timestamps."""
    rng = np.random.default_rng(1)
    numbers = {f"x{at}": rng.normal(size=20_000) for at in range(names)}
    return Reference.fit(numbers | {"plan": rng.choice(list("abcd"), 20_000, p=[0.5, 0.3, 0.15, 0.05])})


class Traffic:
    """Windows of an hour, drawn from the law of the training set unless `shift` moves features; each hour from a seed of its own."""

    def __init__(self, seed: int = 0, reference: Reference | None = None, rows: int = ROWS, **changes: Any) -> None:
        self.reference = training() if reference is None else reference
        self.changes = {"length": HOUR, "learn_for": SHORT, "plan": BudgetSpec(per_month=0.2, pane_ns=HOUR)} | changes
        self.pipeline = self.fresh()
        self.explainer = Explainer({KEY: self.reference})
        self.seed, self.rows, self.hour, self.facts = seed, rows, 0, list[Fact]()

    def fresh(self) -> Pipeline:
        return make_pipeline(reference=self.reference, min_rows=50, **self.changes)

    def hours(self, count: int, **shift: float) -> list[Fact]:
        found: list[Fact] = []
        for _ in range(count):
            found += self._hour(shift)
        self.facts += found
        return found

    def _hour(self, shift: dict[str, float]) -> list[Fact]:
        batches = self.drawn(self.hour, shift)
        self.hour += 1
        end = MIDNIGHT + self.hour * self.changes["length"]
        return self.explainer.explain(feed(self.pipeline, *batches, until=end))

    def drawn(self, hour: int, shift: dict[str, float]) -> list[EventBatch]:
        length: Nanos = self.changes["length"]
        rng = np.random.default_rng([self.seed, hour])
        names = [name for name in self.reference.names if name != "plan"]
        table: dict[str, Any] = {name: rng.normal(size=self.rows) + shift.get(name, 0.0) for name in names}
        table["plan"] = rng.choice(list("abcd"), self.rows, p=[0.5, 0.3, 0.15, 0.05])
        times = MIDNIGHT + hour * length + np.arange(self.rows, dtype=np.int64) * (length // self.rows)
        return [EventBatch(KEY, "predictions", times, *self.reference.encode(table))]

    def accept(self, *features: str, until: Nanos | None = None) -> list[Fact]:
        """Somebody accepts these features as they are now."""
        found = self.learning.accept(features, until, MIDNIGHT + self.hour * self.changes["length"])
        self.facts += found
        return found

    def restart(self) -> list[Fact]:
        """Another process takes up what was saved."""
        saved = stored(self.pipeline.snapshot())
        self.pipeline, self.explainer = self.fresh(), Explainer({KEY: self.reference})
        told = restored(saved, self.pipeline)
        self.explainer.explain(self.pipeline.current())
        return told

    @property
    def learning(self) -> Learning:
        (found,) = [each for each in self.pipeline.series[KEY].features.operators if isinstance(each, Learning)]
        return found


def alerts(facts: Iterable[Fact]) -> list[AlertChanged]:
    return [fact for fact in of(facts, AlertChanged) if fact.rule == DRIFT]


def pages(facts: Iterable[Fact]) -> list[AlertChanged]:
    return [alert for alert in alerts(facts) if alert.opened]


def decided(facts: Iterable[Fact]) -> list[Fact]:
    """What people and programs are told."""
    kinds = (AlertChanged, AlertSeen, CalibrationLearning, CalibrationLearnt)
    return [fact for fact in facts if isinstance(fact, kinds)]


# --- the whole of it ----------------------------------------------------------------------------------------------------


def test_a_training_set_becomes_a_monitor_in_two_weeks() -> None:
    """Twenty numbers, 14 days of hours; the third week has no change, then half a sigma in one of them is found at once."""
    traffic = Traffic(int(seeded().integers(2**32)), training(20), rows=400, learn_for=14 * DAY)
    before = traffic.hours(14 * 24 + 1)
    (learnt,) = of(before, CalibrationLearnt)
    quiet, onset = traffic.hours(7 * 24), traffic.hour
    (page,) = pages(traffic.hours(6, x7=0.5))

    assert pages(before) == pages(quiet) == []
    assert len(of(quiet, SubgroupCharted)) == 7 * 24
    assert learnt.calibration == "learnt_pooled"
    assert (learnt.windows, learnt.differs, learnt.changes) == (14 * 24 - 2, (), ())
    assert page.window.end <= MIDNIGHT + (onset + 4) * HOUR
    assert [each.feature for each in page.evidence][:1] == ["x7"]
    assert page.evidence[0].words.startswith("mean +0.")
    assert (page.calibration, page.reference) == ("learnt_pooled", learnt.after)
    assert learnt.before == training(20).hash != learnt.after


def test_a_training_set_that_was_never_like_it_pages_once_and_is_named() -> None:
    """Live values lie 1.2 sigma off from the first day on: one page, which ends when that is learnt; charts see what moves from there."""
    traffic = Traffic()
    before = traffic.hours(61, x1=1.2)
    (learnt,) = of(before, CalibrationLearnt)
    (difference,) = learnt.differs
    quiet = traffic.hours(72, x1=1.2)
    (page,) = pages(traffic.hours(8, x1=2.2))

    assert len(pages(before)) == 1
    assert [alert.after for alert in alerts(before)][-1] is AlertState.INACTIVE
    assert of(before, CalibrationLearnt)[0].at == MIDNIGHT + 60 * HOUR
    assert difference.feature == "x1"
    assert difference.shift == pytest.approx(1.2, abs=0.1)
    assert difference.words.startswith("x1 PSI ")
    assert pages(quiet) == []
    assert [each.feature for each in page.evidence] == ["x1"]
    assert page.evidence[0].words == "mean +1 σ" or page.evidence[0].words.startswith(("mean +0.9", "mean +1"))


# --- what is learnt from --------------------------------------------------------------------------------------------------


def test_windows_under_an_alert_are_no_material() -> None:
    traffic = Traffic()
    traffic.hours(40)
    (page,) = pages(traffic.hours(10, x1=2.0))
    (apart,) = {fact.apart for fact in of(traffic.hours(1, x1=2.0), CalibrationLearning)}
    traffic.hours(44)
    waited = of(traffic.facts, CalibrationLearnt)
    facts = traffic.hours(2)
    (learnt,) = of(facts, CalibrationLearnt)

    assert page.calibration == "cold"
    assert apart
    assert waited == []
    assert learnt.windows == 60 - 2
    assert learnt.reference.counts.sum() == 60 * ROWS * len(NAMES)
    assert learnt.differs == ()


def test_one_odd_window_costs_a_day() -> None:
    traffic = Traffic()
    traffic.hours(20)
    traffic.hours(1, x1=2.5)
    apart = of(traffic.hours(20), CalibrationLearning)[-1]
    progress = of(traffic.hours(9), CalibrationLearning)[-1]

    assert pages(traffic.facts) == []
    assert apart.apart
    assert (progress.apart, progress.windows, progress.learnt) == (False, 20 + 5, 25 * HOUR)


def test_what_comes_every_day_is_usual() -> None:
    """Six hours a day lie a sigma and a half higher: a page a day until it is learnt with its hours; then it pages nobody."""
    traffic = Traffic(learn_for=9 * DAY)
    days = [[*traffic.hours(18), *traffic.hours(6, x1=1.5)] for _ in range(13)]
    (learnt,) = of(traffic.facts, CalibrationLearnt)
    quiet = [fact for day in days[10:] for fact in day]

    assert 1 <= len(pages(traffic.facts)) <= 10
    assert max(page.window.end for page in pages(traffic.facts)) <= learnt.at <= MIDNIGHT + 10 * DAY
    assert learnt.differs[0].shift == pytest.approx(1.5 / 4, abs=0.1)
    assert of(quiet, SubgroupCharted)
    assert pages(quiet) == []


def test_a_lasting_change_is_learnt_from_when_it_has_lasted() -> None:
    traffic = Traffic()
    traffic.hours(30)
    before = traffic.hours(62, x1=2.0)
    (learnt,) = of(before, CalibrationLearnt)

    assert len(pages(before)) == 1
    assert learnt.reference.counts.sum() == 60 * ROWS * len(NAMES)
    assert learnt.differs[0].shift == pytest.approx(2.0, abs=0.15)
    assert traffic.pipeline.series[KEY].features.operator("learning").standing() == {}


def test_an_alert_that_lasts_for_a_week_is_settled_and_learning_goes_on_from_there() -> None:
    """Two weeks to learn; from the first day on live values are off. One page, over after seven days; what moves from there pages anew."""
    traffic = Traffic(learn_for=14 * DAY)
    before = traffic.hours(7 * 24 + 2, x1=2.0)
    after = traffic.hours(24, x1=2.0)
    (page,) = pages(traffic.hours(4, x1=4.0))
    traffic.hours(3, x1=2.0)
    (learnt,) = of(traffic.hours(7 * 24, x1=2.0), CalibrationLearnt)

    assert [alert.after for alert in alerts(before)] == [AlertState.PENDING, AlertState.FIRING, AlertState.INACTIVE]
    assert alerts(before)[-1].window.end == MIDNIGHT + 7 * DAY
    assert alerts(after) == []
    assert [each.feature for each in page.evidence] == ["x1"]
    assert of(after, CalibrationLearning)[-1].windows == 8 * 24 + 1
    assert learnt.differs[0].shift == pytest.approx(2.0, abs=0.15)


def test_what_is_accepted_for_good_is_usual_and_learnt_from() -> None:
    traffic = Traffic()
    traffic.hours(30)
    traffic.hours(10, x1=2.0)
    (ended,) = alerts(traffic.accept("x1"))
    facts = traffic.hours(51, x1=2.0)
    (learnt,) = of(facts, CalibrationLearnt)

    assert ended.closed
    assert alerts(facts) == []
    assert learnt.differs[0].feature == "x1"
    assert learnt.differs[0].shift == pytest.approx(2.0, abs=0.15)
    assert learnt.windows == 60 - 2


def test_what_is_accepted_for_a_time_is_no_material_and_pages_again_after_it() -> None:
    traffic = Traffic()
    traffic.hours(30)
    traffic.hours(10, x1=2.0)
    (ended,) = alerts(traffic.accept("x1", until=MIDNIGHT + 110 * HOUR))
    quiet = traffic.hours(70, x1=2.0)
    (page,) = pages(traffic.hours(4, x1=2.0))
    progress = of(traffic.hours(30), CalibrationLearning)[-1]

    assert ended.closed
    assert alerts(quiet) == of(quiet, CalibrationLearnt) == []
    assert [each.feature for each in page.evidence] == ["x1"]
    assert (progress.apart, progress.windows) == (False, 30 + 4)


def test_of_several_features_those_that_were_not_accepted_stay_open() -> None:
    traffic = Traffic()
    traffic.hours(5, x1=2.0, x2=2.0)

    assert alerts(traffic.accept("x1")) == []
    assert traffic.learning.standing() == {"x2": AlertState.FIRING}
    assert pages(traffic.hours(5, x1=2.0, x2=2.0)) == []
    assert [alert.closed for alert in alerts(traffic.accept("x2"))] == [True]


def test_what_was_accepted_outlives_a_restart() -> None:
    for hour in (5, 6, 9):
        traffic = Traffic()
        traffic.hours(5, x1=2.0)
        traffic.accept("x1")
        traffic.hours(hour - 5, x1=2.0)
        assert traffic.restart() == []
        traffic.hours(10, x1=2.0)

        assert len(pages(traffic.facts)) == 1
        assert of(traffic.facts, CalibrationLearning)[-1].windows == hour + 9


def test_long_windows_go_on_until_there_are_fifty() -> None:
    """Of a day, with a week to learn: that cannot be."""
    traffic = Traffic(length=DAY, learn_for=7 * DAY, plan=BudgetSpec(per_month=0.2, pane_ns=DAY))
    facts = traffic.hours(52)
    progress = of(facts, CalibrationLearning)

    assert of(facts, CalibrationLearnt) == []
    assert progress[-1].words == "learning 51/52 windows"
    assert progress[-1].share == pytest.approx(51 / 52)
    assert len(of(traffic.hours(1), CalibrationLearnt)) == 1


def test_windows_of_a_few_rows_teach_nothing_and_say_so() -> None:
    traffic = Traffic(rows=3)
    facts = traffic.hours(70)

    assert of(facts, CalibrationLearnt) == []
    assert (
        of(facts, CalibrationLearning)[-1].why.startswith("180 rows with a time")
        or "rows in a window of 1h" in of(facts, CalibrationLearning)[-1].why
    )
    assert of(facts, CalibrationLearning)[-1].words == "learning, late"


@pytest.mark.parametrize(
    ("length", "slide"), [(5 * MINUTE, 5 * MINUTE), (20 * MINUTE, 10 * MINUTE), (6 * HOUR, 6 * HOUR)], ids=str
)
def test_windows_of_any_length_teach_and_panes_that_slide_make_whole_ones(length: Nanos, slide: Nanos) -> None:
    traffic = Traffic(length=length, slide=slide, learn_for=60 * length, plan=BudgetSpec(0.2, slide))
    (learnt,) = of(traffic.hours(62), CalibrationLearnt)

    assert learnt.reference.calibration is not None
    assert learnt.reference.calibration.window_ns == length
    assert traffic.learning.charts is not None
    assert traffic.learning.charts.charts.design.subgroup_ns == length
    assert len(of(traffic.hours(3), SubgroupCharted)) == 3


def test_a_backlog_teaches_what_watching_live_does() -> None:
    """The same hours, eleven at once."""
    straight, backlog = never_stopped(), Traffic()
    hours = [batch for hour in range(straight.hour) for batch in backlog.drawn(hour, told(hour))]
    facts: list[Fact] = []
    for first in range(0, len(hours), 11):
        batches = hours[first : first + 11]
        facts += backlog.explainer.explain(
            feed(backlog.pipeline, *batches, until=MIDNIGHT + (first + len(batches)) * HOUR)
        )

    assert decided(facts) == decided(straight.facts)


def test_a_short_silence_is_time_and_a_long_one_only_some_of_it() -> None:
    traffic = Traffic(learn_for=14 * DAY)
    traffic.hours(10)
    traffic.hour += 48
    after_two_days = of(traffic.hours(2), CalibrationLearning)[0]
    traffic.hour += 30 * 24
    after_a_month = of(traffic.hours(2), CalibrationLearning)[-1]

    assert (after_two_days.windows, after_two_days.learnt) == (10, 10 * HOUR)
    assert after_a_month.windows == 13
    assert after_a_month.learnt == (10 + 48 + 2 + 3 * 24 + 1) * HOUR


def test_a_reference_that_shall_not_learn_stays_cold() -> None:
    traffic = Traffic(learn_for=0)
    facts = traffic.hours(62)

    assert of(facts, CalibrationLearning) == of(facts, CalibrationLearnt) == []
    assert "effects" in [each.name for each in traffic.pipeline.series[KEY].features.operators]


def test_a_budget_that_charts_cannot_hold_leaves_effect_sizes() -> None:
    traffic = Traffic(plan=BudgetSpec(per_month=1e9, pane_ns=HOUR))
    facts = traffic.hours(70)

    assert of(facts, CalibrationLearnt) == []
    assert "cannot be held" in of(facts, CalibrationLearning)[-1].why


# --- state ----------------------------------------------------------------------------------------------------------------

STORY = ((25, {}), (8, {"x1": 2.0}), (66, {}), (9, {"x2": 1.5}), (4, {}))  # hours, and what is moved meanwhile


def told(hour: int) -> dict[str, float]:
    for hours, shift in STORY:
        if hour < hours:
            return shift
        hour -= hours
    return {}


@cache
def never_stopped() -> Traffic:
    traffic = Traffic()
    for hours, shift in STORY:
        traffic.hours(hours, **shift)
    return traffic


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, sum(hours for hours, _ in STORY)), max_size=4))
def test_a_restart_at_any_point_is_never_having_stopped(stops: list[int]) -> None:
    straight, again = never_stopped(), Traffic()
    for hour in range(straight.hour):
        if hour in stops:
            assert again.restart() == []
        again.hours(1, **told(hour))

    assert decided(again.facts) == decided(straight.facts)
    assert len(of(straight.facts, CalibrationLearnt)) == 1
    assert {page.calibration for page in pages(straight.facts)} == {"cold", "learnt_pooled"}


def test_what_a_store_holds_by_changes_alone_is_all_of_it() -> None:
    """Whenever a checkpoint comes, every third hour here."""
    traffic, held = Traffic(), dict[tuple[str, str], bytes]()
    mine = set(Learning.kinds)
    for hour in range(never_stopped().hour):
        traffic.hours(1, **told(hour))
        if hour % 3 == 0:
            held = stored(traffic.pipeline.changes(), held)
            whole = stored(traffic.pipeline.snapshot())
            assert {at: row for at, row in held.items() if at[0] in mine} == {
                at: row for at, row in whole.items() if at[0] in mine
            }


def test_a_checkpoint_writes_a_window_once() -> None:
    traffic = Traffic()
    traffic.hours(40)
    traffic.pipeline.changes()
    traffic.hours(1)
    written = [record.kind for record in traffic.pipeline.changes()]

    assert written.count("learning_window") == 1
    assert written.count("learning_total") == 1


def test_what_was_learnt_takes_the_place_of_what_it_was_learnt_from() -> None:
    traffic = Traffic()
    held = stored(traffic.pipeline.snapshot())
    for _ in range(62):
        traffic.hours(1)
        held = stored(traffic.pipeline.changes(), held)
    kinds = {kind for kind, _ in held}

    assert "learnt" in kinds
    assert not {"learning_window", "learning_total", "learning_open"} & kinds


def test_an_older_state_of_a_cold_reference_is_taken_up_with_its_alert() -> None:
    """It knows nothing of learning, which begins now; the alert goes on, and is no material."""
    old = Traffic(learn_for=0)
    old.hours(20)
    assert len(pages(old.hours(5, x1=2.0))) == 1
    new = Traffic()
    new.hour = old.hour
    assert restored(old.pipeline, new.pipeline) == []
    facts = new.hours(3, x1=2.0)

    assert pages(facts) == []
    assert [alert.closed for alert in alerts(new.hours(4))] == [False, True][-len(alerts(new.facts)) :]
    assert of(facts, CalibrationLearning)[-1].apart


def test_what_was_learnt_stands_when_it_is_told_where_things_stand() -> None:
    traffic = Traffic()
    (learnt,) = of(traffic.hours(62), CalibrationLearnt)
    fresh = traffic.fresh()
    restored(traffic.pipeline, fresh)

    assert of(fresh.current(), CalibrationLearnt) == [learnt]
    assert of(fresh.current(), CalibrationLearning) == []


def test_another_reference_learns_anew_and_an_alert_of_what_was_learnt_ends() -> None:
    traffic = Traffic()
    traffic.hours(62)
    assert len(pages(traffic.hours(10, x1=1.5))) == 1
    other = make_pipeline(
        reference=training(2), length=HOUR, learn_for=SHORT, plan=BudgetSpec(per_month=0.2, pane_ns=HOUR)
    )
    facts = restored(traffic.pipeline, other)

    assert [alert.closed for alert in of(facts, AlertChanged)] == [True]
    assert any("start anew" in fact.cause for fact in of(facts, StateReset))
    assert of(other.current(), CalibrationLearning)[0].windows == 0
    assert of(other.current(), AlertSeen) == []


def test_a_budget_that_changes_moves_thresholds_and_keeps_what_was_learnt() -> None:
    traffic = Traffic()
    traffic.hours(62)
    assert traffic.learning.charts is not None
    before = traffic.learning.charts.charts.design.thresholds
    traffic.changes["plan"] = BudgetSpec(per_month=2.0, pane_ns=HOUR)
    assert all(reset.cause.startswith("adwin") for reset in of(traffic.restart(), StateReset))
    assert traffic.learning.charts is not None

    assert (traffic.learning.charts.charts.design.thresholds < before).all()


def test_the_budget_of_a_reference_that_learns_has_the_rules_of_both() -> None:
    learning = make_spec(reference=training(), length=HOUR, plan=BudgetSpec(), learn_for=DAY).judging
    cold = make_spec(reference=training(), length=HOUR, plan=BudgetSpec()).judging

    assert [rule.name for rule in learning.all_rules] == [
        "drift",
        "drift",
        "calibration",
        "lateness",
        "reachability",
        "frozen",
        "no_data",
    ]
    assert [rule.name for rule in learning.first_rules] == ["drift", "lateness", "reachability", "frozen", "no_data"]
    assert cold.all_rules == cold.first_rules == learning.first_rules


class Freezing(Traffic):
    """The same, of which x0 may stand still."""

    frozen = False

    def drawn(self, hour: int, shift: dict[str, float]) -> list[EventBatch]:
        [batch] = super().drawn(hour, shift)
        if self.frozen:
            batch.numeric[:, 0] = 0.3
        return [batch]


def test_what_came_while_a_feature_was_frozen_is_not_taken_for_usual() -> None:
    traffic = Freezing(3, rows=400)
    traffic.hours(30)
    traffic.frozen = True
    traffic.hours(20)
    traffic.frozen = False
    traffic.hours(14)
    assert traffic.learning.charts is None  # sixty hours, of which twenty count for nothing

    traffic.hours(50)
    assert traffic.learning.charts is not None
    calibration = traffic.learning.charts.charts.reference.calibration
    assert calibration is not None
    assert calibration.features[0].slow[1] < 1
    assert [alert.evidence[0].feature for alert in pages(traffic.hours(24, x0=0.7))] == ["x0"]


@pytest.mark.parametrize("restarts", [False, True])
def test_nothing_is_told_of_a_freeze_that_is_over_whoever_has_learnt_and_restarts(restarts: bool) -> None:
    traffic = Freezing(3, rows=400)
    traffic.hours(70)
    assert traffic.learning.charts is not None
    traffic.frozen = True
    found = traffic.hours(6)
    traffic.frozen = False
    found += traffic.hours(1)
    if restarts:
        traffic.restart()
    found += traffic.hours(30)

    assert pages(found) == []

"""The budget's own rule through a real pipeline: one page an incident, what it says, what it asks for, and after a restart."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.charts import BudgetSpec, IncidentKind
from monitor.alerting.alerts import AlertState, Span
from monitor.alerting.budget import EVERY_FEATURE
from monitor.alerting.retraining import RetrainOutcome
from monitor.alerting.rules import BUDGET_RULE as NAME
from monitor.alerting.rules import SELF_CHECK_RULE as SELF_CHECK
from monitor.alerting.rules import Severity
from monitor.explain.explainer import Explainer
from monitor.facts import (
    AlertChanged,
    AlertEscalated,
    AlertSeen,
    CalibrationStands,
    Fact,
    LevelChanged,
    RateImproved,
    RetrainDecided,
    StateReset,
    SubgroupCharted,
    WindowClosed,
    WindowScored,
)
from monitor.pipeline import Pipeline
from monitor.stream.events import EventBatch, Nanos, UnseenCategory
from monitor.targets.payloads import FIRING as FIRED
from monitor.targets.payloads import identity
from tests.build import HOUR, KEY, MIDNIGHT, MINUTE, feed, make_pipeline, make_spec, of, restored, stored
from tests.charted import ROWS, WINDOW, fitted, mixed, reference, seeded

PENDING = AlertState.PENDING
Table = dict[str, np.ndarray]
Change = Callable[[Table], None]
AN_HOUR = HOUR // WINDOW  # panes
DAY = 24 * AN_HOUR


@pytest.fixture(scope="module")
def learnt() -> Reference:
    return reference(seeded()).select(["normal", "other", "holes", "plan"])


@pytest.fixture(scope="module")
def cold() -> Reference:
    return Reference.fit(mixed(seeded(), 20_000)).select(["normal", "other", "holes", "plan"])


class Traffic:
    """A pipeline of one series, with all it said; `seed` draws the same rows again."""

    def __init__(self, pipeline: Pipeline, seed: int | None = None) -> None:
        self.pipeline, self.rng, self.at, self.facts = pipeline, seeded(seed), MIDNIGHT, list[Fact]()
        self.explainer = Explainer({KEY: self.reference})

    @property
    def reference(self) -> Reference:
        return self.pipeline.series[KEY].spec.reference

    def panes(self, count: int, *changes: Change, rows: int = ROWS) -> list[Fact]:
        """So many panes of five minutes; what they brought."""
        found: list[Fact] = []
        for _ in range(count):
            table = mixed(self.rng, rows)
            for change in changes:
                change(table)
            found += self.send(table)
        self.facts += found
        return found

    def send(self, table: Table) -> list[Fact]:
        rows = len(table["normal"])
        times = self.at + np.arange(rows, dtype=np.int64) * (WINDOW // max(rows, 1))
        self.at += WINDOW
        codes = self.reference.encode(table)
        new = tuple(
            UnseenCategory(0, str(text), self.at)
            for text in np.unique(table["plan"].astype(str))
            if text not in "abcdef"
        )
        batches = [EventBatch(KEY, "predictions", times, *codes, new)] if rows else []
        return self.feed(*batches, until=self.at)

    def feed(self, *batches: EventBatch, until: Nanos) -> list[Fact]:
        self.explainer.see(batches)
        return self.explainer.explain(feed(self.pipeline, *batches, until=until))

    def pause(self, panes: int) -> None:
        self.at += panes * WINDOW


def charted(learnt: Reference, seed: int | None = None, *, plan: Any = None, **changes: Any) -> Traffic:
    """A page in twenty months, so that none comes by chance in the hours of a test."""
    wanted = {"pane_ns": changes.get("slide", WINDOW), "per_month": 0.05} | (plan or {})
    return Traffic(make_pipeline(reference=learnt, length=WINDOW, plan=BudgetSpec(**wanted), **changes), seed)


def shift(by: float = 0.6, name: str = "normal") -> Change:
    def change(table: Table) -> None:
        table[name] = table[name] + by

    return change


def missing(name: str, share: float = 0.5) -> Change:
    def change(table: Table) -> None:
        table[name][: round(share * table[name].size)] = np.nan

    return change


def europe(table: Table, every: int = 8) -> None:
    table["plan"] = table["plan"].astype(object)
    table["plan"][::every] = "EU-2"


many = partial(europe, every=3)  # enough of them to be heard in any draw


def alerts(facts: Iterable[Fact], rule: str = NAME) -> list[AlertChanged]:
    return [fact for fact in of(facts, AlertChanged) if fact.rule == rule]


def opened(facts: Iterable[Fact]) -> list[AlertChanged]:
    return [alert for alert in alerts(facts) if alert.opened]


def operators(pipeline: Pipeline) -> list[str]:
    return [operator.name for operator in pipeline.series[KEY].features.operators]


def about(found: Nanos, onset: Nanos) -> bool:
    """Whether an onset is two panes late at most; chance may have begun an hour before."""
    return -12 * WINDOW <= found - onset <= 2 * WINDOW


# --- one incident -----------------------------------------------------------------------------------------------------


def test_a_drift_of_a_day_is_one_page_and_one_resolve(learnt: Reference) -> None:
    traffic = charted(learnt)
    assert alerts(traffic.panes(30)) == []
    onset = traffic.at
    traffic.panes(DAY, shift())
    end = traffic.at
    traffic.panes(60)

    page, resolve = alerts(traffic.facts)
    assert (page.opened, resolve.closed) == (True, True)
    assert page.severity is Severity.CRITICAL
    assert page.calibration == resolve.calibration == "pooled"
    assert page.since == resolve.since
    assert page.episode == resolve.episode == 1
    assert [one.feature for one in page.evidence] == ["normal"]
    assert page.evidence[0].words.startswith("mean +0.")
    assert about(page.since - WINDOW, onset)  # it is the end of the first pane
    assert page.window.end - onset <= 6 * WINDOW
    assert end + 10 * WINDOW <= resolve.window.end <= end + 50 * WINDOW


def test_on_and_off_each_hour_is_at_most_a_page_a_day(learnt: Reference) -> None:
    traffic = charted(learnt)
    for _ in range(18):
        traffic.panes(AN_HOUR, shift(0.8))
        traffic.panes(AN_HOUR)

    assert 1 <= len(opened(traffic.facts)) <= 2  # in a day and a half


def test_two_features_that_take_turns_are_a_page_each(learnt: Reference) -> None:
    """An hour of one, two of rest, an hour of the other, for a day."""
    traffic = charted(learnt)
    traffic.panes(20)
    for _ in range(4):
        for name in ("normal", "other"):
            traffic.panes(12, shift(1.0, name))
            traffic.panes(24)

    assert 1 <= len(opened(traffic.facts)) <= 2


def test_another_feature_joins_the_incident(learnt: Reference) -> None:
    traffic = charted(learnt)
    traffic.panes(20)
    traffic.panes(15, shift())
    facts = traffic.panes(15, shift(), shift(name="other"))

    assert alerts(facts) == []
    assert len(opened(traffic.facts)) == 1
    seen = [fact for fact in of(facts, AlertSeen) if fact.rule == NAME][-1]
    assert seen.episode == 1
    assert {one.feature for one in seen.evidence} == {"normal", "other"}
    assert all(one.since is not None for one in seen.evidence)


def test_what_is_broken_is_an_incident_of_its_own(learnt: Reference) -> None:
    """It opens beside the drift and ends before it."""
    traffic = charted(learnt)
    traffic.panes(20)
    traffic.panes(15, shift())
    (page,) = opened(traffic.panes(10, shift(), europe))
    ended = [alert for alert in alerts(traffic.panes(40, shift())) if alert.closed]

    assert (page.kind, page.evidence[0].feature) == (IncidentKind.DATA_QUALITY, "plan")
    assert [alert.kind for alert in ended] == [IncidentKind.DATA_QUALITY]
    assert ended[0].incident == page.incident
    assert [one.feature for one in ended[0].about.members] == ["plan"]
    assert [alert.kind for alert in opened(traffic.facts)] == [IncidentKind.DRIFT, IncidentKind.DATA_QUALITY]
    assert len({alert.incident for alert in opened(traffic.facts)}) == 2


def test_new_categories_are_named(learnt: Reference) -> None:
    traffic = charted(learnt)
    traffic.panes(20)
    traffic.panes(5, europe)
    (page,) = opened(traffic.facts)

    assert page.evidence[0].feature == "plan"
    assert page.evidence[0].chart == "unseen"
    assert '"EU-2"' in page.evidence[0].words


@pytest.mark.parametrize("slide", [WINDOW, MINUTE])
def test_words_are_of_all_rows_of_the_step(learnt: Reference, slide: Nanos) -> None:
    """Half are missing, those of the first minutes: the last minute by itself knows nothing of it."""
    traffic = charted(learnt, slide=slide)
    traffic.panes(20)
    (page,) = opened(traffic.panes(1, missing("holes")))

    assert "→ 5" in page.evidence[0].words  # missing 4.8 % → 52 %


def test_words_of_a_step_cut_short_are_of_its_own_rows(learnt: Reference) -> None:
    """Three minutes without a value of a feature, an hour without a row, and all is well again."""
    traffic = charted(learnt, slide=MINUTE)
    traffic.panes(20)
    table = mixed(traffic.rng, ROWS)
    missing("holes", 1.0)(table)
    times = traffic.at + np.arange(ROWS, dtype=np.int64) * (3 * MINUTE // ROWS)
    batch = EventBatch(KEY, "predictions", times, *learnt.encode(table))
    assert opened(traffic.feed(batch, until=traffic.at + 3 * MINUTE)) == []
    traffic.pause(int(AN_HOUR))
    (page,) = opened(traffic.panes(1))

    assert page.evidence[0].words.endswith("→ 100 %")


def test_a_gap_does_not_resolve(learnt: Reference) -> None:
    traffic = charted(learnt)
    traffic.panes(20)
    traffic.panes(10, shift())
    traffic.pause(3 * DAY)
    traffic.panes(10, shift())

    assert [alert.opened for alert in alerts(traffic.facts)] == [True]


def test_nothing_is_said_where_nothing_changes(learnt: Reference) -> None:
    traffic = charted(learnt)
    facts = traffic.panes(DAY)

    assert of(facts, AlertChanged) == []
    assert len(of(facts, SubgroupCharted)) == DAY
    assert {state for fact in of(facts, WindowScored) for state in fact.states.values()} <= {0, 1}


def test_fewer_missing_values_are_good_to_know_and_no_alert(learnt: Reference) -> None:
    traffic = charted(learnt)
    facts = traffic.panes(150, lambda table: table.update(holes=np.nan_to_num(table["holes"])))
    (better,) = of(facts, RateImproved)

    assert (better.key, better.feature, better.what, better.now) == (KEY, "holes", "missing", 0.0)
    assert better.before == pytest.approx(0.05, abs=0.01)
    assert not [each for alert in of(facts, AlertChanged) for each in alert.evidence if each.chart == "missing"]


def test_a_warning_is_a_state_and_no_alert(learnt: Reference) -> None:
    """Half the threshold and no more: one strong pane."""
    traffic = charted(learnt)
    traffic.panes(20)
    facts = traffic.panes(1, missing("holes", 0.15), rows=400)

    assert of(facts, AlertChanged) == of(facts, AlertSeen) == []
    assert of(facts, WindowScored)[-1].states["holes"] == 1
    assert of(facts, WindowScored)[-1].states["other"] == 0
    score = next(
        score for score in of(facts, WindowScored)[-1].scores if (score.feature, score.detector) == ("holes", NAME)
    )
    assert score.value is not None
    assert 0.5 <= score.value < 1.0
    assert score.threshold == 1.0


def test_a_feature_that_fires_is_drifted(learnt: Reference) -> None:
    traffic = charted(learnt)
    facts = traffic.panes(10, shift(1.0))

    assert of(facts, WindowScored)[-1].states["normal"] == 2


def test_rows_too_few_to_judge_say_so(learnt: Reference) -> None:
    traffic = charted(learnt, min_rows=30)

    assert of(traffic.panes(1, rows=10), WindowScored)[-1].states["normal"] == -1


def test_sliding_windows_do_not_advance_charts_more_often(learnt: Reference) -> None:
    """Windows of five minutes each minute: a step each five."""
    traffic = charted(learnt, slide=MINUTE)
    facts = traffic.panes(12)
    charts = traffic.pipeline.series[KEY].features.operator("charts").charts

    assert charts.design.subgroup_ns == WINDOW
    assert [fact.end - fact.start for fact in of(facts, SubgroupCharted)] == [WINDOW] * 12
    assert len(of(facts, WindowClosed)) == 12 * 5 - 4


def test_without_a_budget_there_is_no_such_rule(learnt: Reference) -> None:
    traffic = Traffic(make_pipeline(reference=learnt, length=WINDOW))
    facts = traffic.panes(10, shift(2.0))

    assert of(facts, SubgroupCharted) == of(facts, AlertChanged) == []


# --- told again, and ended -------------------------------------------------------------------------------------------


def test_a_change_of_its_own_is_told_while_another_is_open(learnt: Reference) -> None:
    traffic = charted(learnt)
    traffic.panes(20)
    traffic.panes(20, shift(0.6))
    escalated = of(traffic.panes(15, shift(0.6), shift(0.9, "other")), AlertEscalated)

    assert [one.feature for one in escalated[0].new] == ["other"]
    assert escalated[0].alert.about.escalations[0].features == ("other",)
    assert len(opened(traffic.facts)) == 1


def test_a_level_that_lasts_ends_the_incident_as_settled(learnt: Reference) -> None:
    traffic = charted(learnt, plan={"settle_ns": 100 * WINDOW})
    traffic.panes(20)
    facts = traffic.panes(260, shift(0.8))
    page, end = alerts(facts)

    assert (page.opened, end.settled) == (True, True)
    assert end.incident == page.incident
    assert [(level.feature, level.step) for level in of(facts, LevelChanged)] == [("normal", "settled")]
    assert end.about.settled == ("normal",)
    assert alerts(traffic.panes(60)) == []  # back at the reference


def test_what_is_accepted_ends_at_once(learnt: Reference) -> None:
    traffic = charted(learnt)
    traffic.panes(20)
    traffic.panes(12, shift(0.8))
    facts = traffic.pipeline.series[KEY].features.operator("charts").accept(["normal"], None, traffic.at)

    assert [alert.settled for alert in alerts(facts)] == [True]
    assert [(level.feature, level.step) for level in of(facts, LevelChanged)] == [("normal", "accepted")]
    assert alerts(traffic.panes(30, shift(0.8))) == []
    restored(traffic.pipeline, fresh := charted(learnt).pipeline)
    assert [level.step for level in of(fresh.current(), LevelChanged)] == ["accepted"]


# --- retraining -------------------------------------------------------------------------------------------------------


def test_retraining_is_asked_for_from_the_onset_on(learnt: Reference) -> None:
    traffic = charted(learnt)
    traffic.panes(20)
    onset = traffic.at
    (decided,) = of(traffic.panes(10, shift()), RetrainDecided)

    assert decided.outcome is RetrainOutcome.REQUESTED
    assert about(decided.data_from, onset)
    assert decided.data_to == decided.alert.window.end


def test_nobody_trains_on_missing_values(learnt: Reference) -> None:
    traffic = charted(learnt, cooldown=7 * DAY * WINDOW)
    traffic.panes(20)
    (decided,) = of(traffic.panes(10, missing("holes")), RetrainDecided)
    assert decided.outcome is RetrainOutcome.DATA_QUALITY

    traffic.panes(60)
    (later,) = of(traffic.panes(10, shift()), RetrainDecided)
    assert later.outcome is RetrainOutcome.REQUESTED  # what was not asked for starts no cooldown


def test_nobody_trains_on_rows_that_did_not_come(learnt: Reference) -> None:
    traffic = charted(learnt)
    traffic.panes(20)
    facts = traffic.panes(6, rows=12)
    (page,) = opened(facts)

    assert page.evidence[0].chart == "rows-"
    assert page.evidence[0].words == "rows a window 100 → 12"
    assert [decided.outcome for decided in of(facts, RetrainDecided)] == [RetrainOutcome.DATA_QUALITY]


# --- restarts ---------------------------------------------------------------------------------------------------------


def incident(traffic: Traffic, until: int = 75, since: int = 0) -> list[Fact]:
    """Twenty quiet panes, twenty of a shift with new categories among them, and quiet again."""
    for pane in range(since, until):
        changes = ([shift()] if 20 <= pane < 40 else []) + ([many] if 25 <= pane < 30 else [])
        traffic.panes(1, *changes)
    return traffic.facts


@pytest.mark.parametrize("slide", [WINDOW, MINUTE])
@pytest.mark.parametrize("stopped", [5, 21, 28, 45])
def test_going_on_from_a_snapshot_is_never_having_stopped(learnt: Reference, stopped: int, slide: Nanos) -> None:
    straight = charted(learnt, slide=slide)
    seed = int(straight.rng.integers(2**32))
    straight.rng, again = np.random.default_rng(seed), charted(learnt, seed, slide=slide)
    incident(straight)
    incident(again, stopped)
    fresh = charted(learnt, slide=slide).pipeline
    assert of(restored(again.pipeline, fresh), StateReset) == []
    again.pipeline = fresh
    incident(again, since=stopped)

    kinds = (AlertChanged, AlertSeen, RetrainDecided)
    for kind in kinds:
        assert of(again.facts, kind) == of(straight.facts, kind)
    assert [page.kind for page in opened(straight.facts)] == [IncidentKind.DRIFT, IncidentKind.DATA_QUALITY]
    assert [identity(one, FIRED) for one in opened(again.facts)] == [
        identity(one, FIRED) for one in opened(straight.facts)
    ]
    assert (
        stored(again.pipeline.snapshot())["charts", '["churn","3"]']
        == stored(straight.pipeline.snapshot())["charts", '["churn","3"]']
    )


def test_words_after_a_restart_are_those_of_before_it(learnt: Reference) -> None:
    """An incident is saved with the counts that its words are made of."""
    traffic = charted(learnt)
    traffic.panes(20)
    before = of(traffic.panes(12, shift(), missing("holes")), AlertSeen)[-2:]
    fresh, explainer = charted(learnt).pipeline, Explainer({KEY: learnt})
    restored(traffic.pipeline, fresh)
    after = of(explainer.explain(fresh.current()), AlertSeen)
    said = {one.feature: one.words for alert in before for one in alert.evidence}

    assert {one.feature: one.words for alert in after for one in alert.evidence} == said
    assert all(said.values())

    traffic.pipeline = fresh
    traffic.panes(1, shift(), missing("holes"))
    assert fresh.series[KEY].features.operator("charts")._suspects["holes"].sum() > 12 * ROWS  # those before count on


def test_checkpoints_of_changes_hold_the_charts(learnt: Reference) -> None:
    traffic = charted(learnt)
    held: dict[tuple[str, str], bytes] = {}
    for _ in range(30):
        traffic.panes(1, shift(0.3))
        held = stored(traffic.pipeline.changes(), held)

    whole = stored(traffic.pipeline.snapshot())
    assert opened(traffic.facts)
    assert all(
        held[record] == whole[record] for record in whole if record[0] in {"charts", "incident", "series", "report"}
    )


def test_another_budget_goes_on_with_the_incident(learnt: Reference) -> None:
    traffic = charted(learnt)
    incident(traffic, 30)
    fresh = charted(learnt, plan={"per_month": 0.01}).pipeline
    causes = [fact.cause for fact in of(restored(traffic.pipeline, fresh), StateReset)]
    assert all(cause.startswith("adwin starts anew") for cause in causes)  # its delta follows the budget
    traffic.pipeline = fresh
    incident(traffic, since=30)

    kinds = [IncidentKind.DRIFT, IncidentKind.DATA_QUALITY]
    assert sorted((alert.kind, alert.opened) for alert in alerts(traffic.facts)) == sorted(
        (kind, opening) for kind in kinds for opening in (True, False)
    )


def test_an_incident_ends_where_the_budget_was_taken_away(learnt: Reference) -> None:
    traffic = charted(learnt)
    incident(traffic, 30)
    fresh = make_pipeline(reference=learnt, length=WINDOW)
    causes = [fact.cause for fact in of(restored(traffic.pipeline, fresh), StateReset)]

    assert f"rule {NAME} is gone: its alert is forgotten" in causes
    assert any(isinstance(fact, AlertChanged) and fact.closed for fact in fresh.current())


def test_a_new_reference_starts_anew_and_resolves(learnt: Reference) -> None:
    traffic = charted(learnt)
    incident(traffic, 30)
    other = reference(seeded()).select(learnt.names)
    fresh = charted(other).pipeline
    causes = [fact.cause for fact in of(restored(traffic.pipeline, fresh), StateReset)]
    traffic.pipeline = fresh
    facts = traffic.panes(1)

    assert causes == ["reference or window changed: panes, detectors and last scores start anew"]
    assert [alert.closed for alert in alerts(facts)] == [True, True]


def test_a_suspect_calibration_is_said_after_a_restart(learnt: Reference) -> None:
    pipeline, fresh = charted(learnt).pipeline, charted(learnt).pipeline
    assert of(fresh.current(), CalibrationStands) == [CalibrationStands(KEY, suspect=False)]
    charts = pipeline.series[KEY].features.operator("charts").charts
    charts.check.follow(1000, np.ones(5, dtype=np.int64))
    restored(pipeline, fresh)

    assert of(fresh.current(), CalibrationStands) == [CalibrationStands(KEY, suspect=True)]


def test_doubts_that_wait_outlive_a_restart(learnt: Reference) -> None:
    """They keep their onset, of which the notification's id is made."""
    pipeline, fresh = charted(learnt).pipeline, charted(learnt).pipeline
    doubts = pipeline.series[KEY].features.operator("charts").check.incident
    doubts.follow({EVERY_FEATURE: MIDNIGHT}, (), Span(MIDNIGHT - WINDOW, MIDNIGHT))
    doubts.follow({}, (), Span(MIDNIGHT, MIDNIGHT + WINDOW))
    doubts.follow({EVERY_FEATURE: MIDNIGHT + HOUR}, (), Span(MIDNIGHT + HOUR - WINDOW, MIDNIGHT + HOUR))
    restored(pipeline, fresh)

    assert doubts.state.episode.state is PENDING
    assert fresh.series[KEY].features.operator("charts").check.state.alerts == doubts.state.alerts


# --- a cold reference -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [shift(1.5), missing("holes"), lambda table: europe(table, every=2)])
def test_one_window_does_nothing_and_three_page(cold: Reference, change: Change) -> None:
    traffic = charted(cold)
    traffic.panes(10)
    assert opened(traffic.panes(1, change, rows=400)) == []
    assert opened(traffic.panes(20)) == []
    onset = traffic.at
    assert opened(traffic.panes(2, change, rows=400)) == []
    (page,) = opened(traffic.panes(1, change, rows=400))

    assert page.calibration == "cold"
    assert page.since == onset + WINDOW
    assert len(page.evidence) == 1
    assert page.evidence[0].words
    assert page.evidence[0].since == page.since


def test_a_cold_incident_resolves_after_three_quiet_windows(cold: Reference) -> None:
    traffic = charted(cold)
    traffic.panes(10)
    traffic.panes(20, shift(1.5), rows=400)
    facts = traffic.panes(3, rows=400)

    assert [alert.closed for alert in alerts(facts)][-1:] == [True]
    assert len(opened(traffic.facts)) == 1
    assert of(traffic.facts, SubgroupCharted) == []


def test_a_cold_reference_that_flaps_pages_once_a_day(cold: Reference) -> None:
    """Twenty minutes on, twenty off, for a day and a half."""
    traffic = charted(cold)
    traffic.panes(10)
    for _ in range(54):
        traffic.panes(4, shift(1.5), rows=400)
        traffic.panes(4, rows=400)

    assert 1 <= len(opened(traffic.facts)) <= 2


@pytest.mark.parametrize("rows", [1, 3, 10, 50])
def test_a_cold_reference_is_quiet_in_small_windows(rows: int) -> None:
    """A third of the values is missing, as always: chance brings all of a few."""
    rng = seeded()

    def table(rng: np.random.Generator, count: int) -> Table:
        found = mixed(rng, count)
        found["holes"] = np.where(rng.random(count) < 0.3, np.nan, rng.normal(size=count))
        return found

    traffic = charted(Reference.fit(table(rng, 20_000)))
    facts = [fact for _ in range(300) for fact in traffic.send(table(traffic.rng, rows))]

    assert opened(facts) == []


def test_a_cold_reference_is_quiet_on_small_changes(cold: Reference) -> None:
    traffic = charted(cold)

    assert opened(traffic.panes(40, shift(0.2))) == []


def test_nobody_trains_on_missing_values_of_a_cold_reference_either(cold: Reference) -> None:
    traffic = charted(cold)
    (decided,) = of(traffic.panes(5, missing("holes"), rows=400), RetrainDecided)

    assert decided.outcome is RetrainOutcome.DATA_QUALITY


@pytest.mark.parametrize("stopped", [2, 4, 7, 9])
def test_a_cold_incident_outlives_a_restart(cold: Reference, stopped: int) -> None:
    def play(traffic: Traffic, panes: Iterable[int]) -> list[Fact]:
        for pane in panes:
            traffic.panes(1, *([shift(1.5)] if 2 <= pane < 8 else []), rows=400)
        return traffic.facts

    straight = charted(cold)
    seed = int(straight.rng.integers(2**32))
    straight.rng, again = np.random.default_rng(seed), charted(cold, seed)
    play(straight, range(15))
    play(again, range(stopped))
    fresh = charted(cold).pipeline
    restored(again.pipeline, fresh)
    again.pipeline = fresh
    play(again, range(stopped, 15))

    assert alerts(again.facts) == alerts(straight.facts)
    assert of(again.facts, AlertSeen) == of(straight.facts, AlertSeen)
    assert len(opened(straight.facts)) == 1


# --- the self-check ---------------------------------------------------------------------------------------------------


def test_a_calibration_that_does_not_fit_the_traffic_is_an_alert_of_its_own() -> None:
    """Rows that were independent in the reference come in clusters: their means vary three times as much."""
    rng = seeded()
    names = [f"x{at}" for at in range(24)]
    learnt = fitted(rng, dict(zip(names, rng.normal(size=(24, 40_000)), strict=True)))
    pipeline = make_pipeline(reference=learnt, length=WINDOW, plan=BudgetSpec(per_month=30.0, pane_ns=WINDOW))
    explainer, facts = Explainer({KEY: learnt}), list[Fact]()
    for number in range(600):
        rows = 0.28 * rng.normal(size=24)[:, None] + 0.96 * rng.normal(size=(24, ROWS))
        times = MIDNIGHT + number * WINDOW + np.arange(ROWS, dtype=np.int64) * (WINDOW // ROWS)
        batch = EventBatch(KEY, "predictions", times, *learnt.encode(dict(zip(names, rows, strict=True))))
        facts += explainer.explain(feed(pipeline, batch, until=MIDNIGHT + (number + 1) * WINDOW))
        if alerts(facts, SELF_CHECK):
            break
    (alert,) = alerts(facts, SELF_CHECK)

    assert alert.opened
    assert alert.severity is Severity.WARNING
    assert "the reference does not fit this traffic" in alert.evidence[0].words
    assert all(decided.alert.rule == NAME for decided in of(facts, RetrainDecided))


def test_charts_are_built_for_calibrated_references_alone(learnt: Reference, cold: Reference) -> None:
    stream = ["lateness", "reachability", "no_data"]
    assert operators(charted(learnt).pipeline) == ["adwin", "frozen", "charts", *stream]
    assert operators(charted(cold).pipeline) == ["adwin", "frozen", "effects", *stream]
    assert operators(make_pipeline(reference=learnt, length=WINDOW)) == ["adwin", "frozen", *stream]
    assert make_spec(reference=cold, length=WINDOW).judging.calibration == "cold"

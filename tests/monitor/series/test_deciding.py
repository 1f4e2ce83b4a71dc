"""Alerts on performance: evidence over windows, one incident, through restarts and changed thresholds."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from detectors import BinaryCounts, BinaryTask
from detectors.charts import LevelStep
from detectors.charts.metric_bounds import MetricBound
from detectors.charts.metric_difference import MetricDifference, as_measured, difference_references
from detectors.charts.metric_reference import MetricReference
from detectors.charts.metric_variation import MetricVariation
from detectors.performance import Measured
from detectors.performance.bounded import LossSum
from detectors.performance.estimated_scores import ScoreEstimator
from detectors.performance.intervals import wilson
from monitor.alerting.alerts import AlertState, Span
from monitor.alerting.episodes import OPEN
from monitor.alerting.metrics import JudgedBy
from monitor.alerting.rules import Severity
from monitor.explain.explainer import Explainer
from monitor.facts import AlertChanged, AlertEscalated, AlertSeen, Fact, LevelChanged, PerformanceJudged, StateReset
from monitor.series.deciding import DecisionSpec, PerformanceDecision, SavedDecision
from monitor.series.estimating import EstimateSpec
from monitor.series.metric_judge import Judge, MetricJudge, SavedJudge, by_size
from monitor.series.records import Entry, Record, owned
from monitor.series.truth import BINARY, Truth
from monitor.settings.judges import _by_difference, notable
from monitor.stream.events import DAY
from monitor.targets.payloads import Sender, notices
from tests.build import KEY, MINUTE, REFERENCE, at, of, stored
from tests.charted import seeded
from tests.fakes import subscriber
from tests.labelled import Scored, Told, batch_of, make_performance

MONTH = 200.0  # windows


def threshold(metric: str = "accuracy", limit: float = 0.9, **more: Any) -> MetricJudge:
    at_least = metric not in {"log_loss", "brier"}
    return MetricJudge(metric, JudgedBy.THRESHOLD, MetricBound(limit, at_least), arl=5 * MONTH, **more)


def chart(metric: str = "accuracy", usual: float = 0.92) -> MetricJudge:
    bound = MetricBound(usual, at_least=True, unit=0.3)
    return MetricJudge(metric, JudgedBy.CHART, bound, arl=5 * MONTH, keep_firing_for=3, severity=None, usual=usual)


def bets(metric: str = "accuracy", usual: float = 0.92) -> MetricJudge:
    return replace(chart(metric, usual), source=JudgedBy.BETS, bound=MetricBound(usual - 0.01, at_least=True))


def make_decision(*judges: MetricJudge, truth: Truth | None = None) -> PerformanceDecision:
    return PerformanceDecision(KEY, DecisionSpec(judges or (threshold(),), "hash"), truth or Truth(BINARY), MINUTE)


def counted(right: int, wrong: int) -> Any:
    """So many rows that are right and wrong, half of each label."""
    counts = BinaryCounts.empty(BinaryTask())
    labels = np.arange(right + wrong) % 2
    scores = np.where(np.arange(right + wrong) < right, labels, 1 - labels) * 0.8 + 0.1
    counts.update(labels, scores)
    return counts


def judged(number: int, rows: int, *, length: int = 1, final: bool = True) -> PerformanceJudged:
    return PerformanceJudged(KEY, at(number), at(number + length), MINUTE, final, BINARY, 2 * rows, rows, 1.0, ())


def taken(decision: PerformanceDecision, windows: Sequence[tuple[int, int]], first: int = 0) -> list[Fact]:
    """The facts of windows of so many rows that are right and wrong."""
    return [
        fact
        for number, (right, wrong) in enumerate(windows, start=first)
        for fact in decision.take(judged(number, right + wrong), counted(right, wrong))
    ]


def changes(facts: Sequence[Fact]) -> list[AlertChanged]:
    return of(facts, AlertChanged)


GOOD, BAD, POOR = (920, 80), (800, 200), (887, 113)


def test_a_window_that_says_so_by_itself_opens_an_incident_at_once() -> None:
    [opened] = changes(taken(make_decision(), [GOOD, GOOD, BAD, BAD]))

    assert (opened.rule, opened.kind.value, opened.opened, opened.severity) == (
        "performance",
        "performance",
        True,
        Severity.CRITICAL,
    )
    assert opened.since == opened.window.end == at(3)
    [evidence] = opened.evidence
    assert evidence.feature == "__accuracy__"
    assert evidence.measured is not None
    assert evidence.measured.value == pytest.approx(0.8)
    assert evidence.measured.lower < 0.8 < evidence.measured.upper < 0.9 == evidence.measured.bound
    assert evidence.measured.coverage == 0.5
    assert evidence.effect == pytest.approx(-0.1)


def test_a_point_estimate_beyond_the_threshold_opens_nothing_but_many_of_them_do() -> None:
    """0.887 of 1 000 is within chance of 0.9; six such windows in a row are not."""
    decision = make_decision()
    assert changes(taken(decision, [POOR, POOR])) == []

    [opened] = changes(taken(decision, [POOR] * 10, first=2))
    [evidence] = opened.evidence
    assert evidence.measured is not None
    assert evidence.measured.windows > 3
    assert evidence.since == at(1)
    assert evidence.measured.upper < 0.9


def test_it_ends_after_windows_on_the_right_side_in_a_row_and_begins_by_new_evidence_alone() -> None:
    decision = make_decision()
    facts = taken(decision, [BAD, GOOD, BAD, GOOD, GOOD, POOR])

    opened, recovering, again, recovering_again, closed = changes(facts)
    assert opened.opened
    assert closed.closed
    assert closed.window.end == at(5)
    assert {each.incident for each in (opened, recovering, again, recovering_again, closed)} == {opened.incident}
    assert decision.current() == []


def test_hold_asks_for_so_many_windows_in_a_row() -> None:
    decision = make_decision(threshold(hold=3))

    facts = taken(decision, [BAD, BAD])
    assert [fact.state.name for fact in of(facts, AlertSeen)] == ["PENDING", "PENDING"]
    assert changes(taken(decision, [BAD], first=2))[0].opened


def test_a_metric_that_joins_and_one_that_becomes_twice_as_bad_escalate_the_incident() -> None:
    decision = make_decision(threshold(), threshold("brier", 0.3))

    facts = taken(decision, [BAD, BAD, (500, 500), (500, 500)])
    [opened] = [fact for fact in changes(facts) if fact.opened]
    [escalated] = of(facts, AlertEscalated)
    assert {each.feature for each in escalated.new} == {"__accuracy__", "__brier__"}
    assert escalated.alert.incident == opened.incident


def test_windows_of_few_labels_are_counted_together_and_overlapping_ones_once() -> None:
    decision = make_decision()
    assert taken(decision, [(10, 12)] * 2) == []
    [opened] = changes(taken(decision, [(10, 12)], first=2))
    assert (opened.window.start, opened.window.end, opened.window.rows) == (at(0), at(3), 66)

    sliding = make_decision()
    facts = [fact for n in range(6) for fact in sliding.take(judged(n, 1000, length=3), counted(*BAD))]
    assert [each.window.end for each in changes(facts)] == [at(3)]
    assert len(of(facts, AlertSeen)) == 2


def test_provisional_windows_decide_nothing() -> None:
    assert make_decision().take(judged(0, 1000, final=False), counted(*BAD)) == []


def saved(decision: PerformanceDecision) -> list[Entry]:
    return decision.changes()


@pytest.mark.parametrize("stop", range(1, 9))
def test_going_on_from_what_was_saved_is_never_having_stopped(stop: int) -> None:
    windows = [GOOD, POOR, (10, 5), POOR, BAD, (500, 500), GOOD, GOOD, BAD, GOOD]
    straight = make_decision(threshold(), threshold("recall", 0.85))
    facts = taken(straight, windows)
    before, after = (make_decision(threshold(), threshold("recall", 0.85)) for _ in range(2))
    first = taken(before, windows[:stop])
    assert after.restore(saved(before), alike=True) == []

    assert after.current() == before.current()
    assert first + taken(after, windows[stop:], first=stop) == facts


@pytest.mark.parametrize("more", [{"listed": True}, {"reference_mean": 0.4}], ids=str)
def test_what_counts_no_row_otherwise_leaves_an_incident_open(more: dict[str, Any]) -> None:
    """Where scores may stand, and the mean that another metric is held against."""
    before, after = make_decision(), make_decision(truth=Truth(BINARY, **more))
    assert changes(taken(before, [BAD]))

    assert after.restore(saved(before), alike=False) == []
    assert after.current() == before.current()


def test_a_judge_saved_with_keys_that_were_not_used_is_known() -> None:
    before, after = make_decision(), make_decision()
    assert changes(taken(before, [BAD]))
    (entry,) = saved(before)
    held = msgspec.msgpack.decode(zlib.decompress(entry.held), type=SavedDecision)
    for judge in held.judges.values():
        *judged_by, _ = msgspec.json.decode(judge.made_under)
        judge.made_under = msgspec.json.encode([*judged_by, Truth(BINARY)]).decode()

    older = replace(entry, payload=zlib.compress(msgspec.msgpack.encode(held)))
    assert after.restore([older], alike=True) == []
    assert after.current() == before.current()


def test_a_changed_threshold_drops_what_is_made_under_it_alone() -> None:
    before = make_decision(threshold(), threshold("recall", 0.9))
    assert changes(taken(before, [BAD]))
    entries = saved(before)

    changed = make_decision(threshold(limit=0.7), threshold("recall", 0.9))
    reset, seen = changed.restore(entries, alike=True)
    assert isinstance(reset, StateReset)
    assert isinstance(seen, AlertSeen)
    assert [each.feature for each in changed.current()[0].evidence] == ["__recall__"]

    gone = make_decision(threshold(limit=0.7), threshold("recall", 0.7))
    [ended] = changes(gone.restore(entries, alike=True))
    assert ended.closed
    assert gone.current() == []


def test_a_page_under_another_threshold_does_not_wait_for_the_day_of_the_one_before() -> None:
    before = make_decision()
    assert changes(taken(before, [BAD]))
    changed = make_decision(threshold(limit=0.85))
    assert changes(changed.restore(saved(before), alike=True))[0].closed

    assert changes(taken(changed, [BAD], first=1))[0].opened


def test_judges_who_see_other_windows_are_told_together() -> None:
    """A threshold that warns and a chart fire in one window: people hear of both, as bad as the worse of them, at once."""
    for judges in (
        [threshold(severity=Severity.WARNING), chart()],
        [threshold("recall", 0.95, severity=Severity.WARNING), chart()],
    ):
        [opened] = changes(taken(make_decision(*judges), [BAD]))
        assert (opened.opened, opened.severity) == (True, Severity.CRITICAL)
        assert {each.feature for each in opened.evidence} == {f"__{each.metric}__" for each in judges}
    assert {each for one in opened.evidence for each in one.measured.by} == {JudgedBy.THRESHOLD, JudgedBy.CHART}  # type: ignore[union-attr]


def test_a_window_that_ends_one_bench_and_begins_another_closes_nothing() -> None:
    """The chart counts two windows as one, the threshold each by itself."""
    spec = DecisionSpec((threshold(), chart()), "hash", span=2 * MINUTE)
    decision = PerformanceDecision(KEY, spec, Truth(BINARY), MINUTE)

    facts = changes(taken(decision, [BAD, GOOD, GOOD, GOOD]))
    assert len({fact.incident for fact in facts}) == 1


def test_labels_counted_otherwise_drop_all_of_it() -> None:
    before = make_decision()
    taken(before, [BAD])

    after = make_decision(truth=Truth(BINARY, threshold=0.6))
    [ended] = changes(after.restore(saved(before), alike=False))
    assert ended.closed


def test_a_fall_of_five_points_is_heard_within_four_windows_on_average() -> None:
    """At a threshold of 0.90, 1 000 labels a window; and hardly ever while the model keeps to it."""
    rng = seeded()
    waits, early = [], 0
    for _ in range(20):
        decision = make_decision()
        windows = [(1000 - wrong, wrong) for wrong in rng.binomial(1000, [0.10] * 5 + [0.15] * 20).tolist()]
        opened = [fact for fact in changes(taken(decision, windows)) if fact.opened]
        early += opened[0].window.end <= at(5)
        waits.append(opened[0].window.end // MINUTE - at(5) // MINUTE)
    assert early <= 6
    assert np.mean([wait for wait in waits if wait > 0]) <= 4


def told(facts: Sequence[Fact]) -> list[dict[str, Any]]:
    """What a webhook that wants all is told of these facts."""
    explained = Explainer({KEY: REFERENCE}).explain(facts)
    return [json.loads(each.notice.data) for each in notices(explained, [subscriber("people")], Sender("c0nf16", "1"))]


def test_a_webhook_is_told_metric_value_interval_bound_coverage_and_by_what() -> None:
    decision = make_decision()
    firing, resolved = told(taken(decision, [BAD, GOOD, GOOD]))

    assert (firing["kind"], firing["reason"], firing["alert"]["rule"]) == ("performance", "performance", "performance")
    assert firing["summary"].endswith(": accuracy 0.80 (0.77 to 0.82) against at least 0.90, 50 % of labels in")
    [evidence] = firing["evidence"]
    measured = evidence["performance"]
    assert measured | {"lower": 0, "upper": 0} == {
        "metric": "accuracy",
        "value": 0.8,
        "lower": 0,
        "upper": 0,
        "at_least": 0.9,
        "by": ["threshold"],
        "windows": 1,
        "coverage": 0.5,
    }
    assert measured["lower"] < 0.8 < measured["upper"]
    assert resolved["incident"] == firing["incident"]
    assert resolved["summary"].startswith("churn/3 no longer performs worse")


def test_chart_and_e_detector_are_both_named_where_both_fire() -> None:
    [opened] = [fact for fact in changes(taken(make_decision(chart(), bets()), [GOOD, BAD, BAD, BAD])) if fact.opened]
    seen = of(taken(make_decision(chart(), bets()), [GOOD, BAD, BAD, BAD]), AlertSeen)[-1]

    assert opened.severity is Severity.CRITICAL
    [evidence] = seen.evidence
    assert evidence.measured is not None
    assert evidence.measured.by == (JudgedBy.CHART, JudgedBy.BETS)
    assert evidence.measured.usual == 0.92


def test_what_is_a_little_worse_than_the_reference_is_a_warning() -> None:
    slightly = (907, 93)
    [opened] = changes(taken(make_decision(chart()), [slightly] * 20))[:1]
    assert opened.severity is Severity.WARNING


@pytest.mark.parametrize("unit", [1.0, 1e5])
@pytest.mark.parametrize(
    ("metric", "usual", "now", "severity"),
    [
        ("bias", 0.0, -0.03, Severity.WARNING),
        ("bias", 0.0, 0.03, Severity.WARNING),
        ("bias", 0.0, -0.3, Severity.CRITICAL),
        ("bias", 0.0, 0.3, Severity.CRITICAL),
        ("bias", 1.0, 0.5, Severity.WARNING),  # better
        ("mae", 1.0, 1.05, Severity.WARNING),
        ("mae", 1.0, 1.2, Severity.CRITICAL),
        ("cost_per_1000", 0.0, 0.01, Severity.WARNING),
        ("cost_per_1000", -1.0, -0.5, Severity.CRITICAL),
    ],
)
def test_how_bad_it_is_does_not_depend_on_the_unit_of_the_target(
    unit: float, metric: str, usual: float, now: float, severity: Severity
) -> None:
    known = MetricReference(usual * unit, unit, 0.1 * unit, MetricVariation())
    bound = MetricBound(usual * unit, at_least=now < usual, unit=unit)
    spec = MetricJudge(metric, JudgedBy.CHART, bound, 1000.0, usual=usual * unit, notable=notable(metric, known))
    judge = Judge(spec)
    judge.take(Measured(now * unit, 500, unit), None, Span(at(0), at(1)))

    assert by_size(judge) is severity


def test_how_bad_it_is_counts_from_the_level_that_it_is_held_to() -> None:
    judge = Judge(chart())
    judge.take(Measured(0.8, 1000, 0.01), None, Span(at(0), at(1)))
    assert by_size(judge) is Severity.CRITICAL
    judge.hold(judge.seen, None)
    judge.take(Measured(0.79, 1000, 0.01), None, Span(at(1), at(2)))
    assert by_size(judge) is Severity.WARNING


def measured_of(wrong: int, rows: int) -> tuple[Measured, LossSum]:
    """The accuracy of a window, and its loss."""
    value = 1 - wrong / rows
    return Measured(value, rows, None, wilson(value, rows, 0.95)), LossSum(wrong, rows)


@pytest.mark.parametrize(
    ("judge", "accuracy", "rows"),
    [
        (threshold(), 0.89, 1000),
        (threshold(), 0.87, 300),
        (chart(), 0.905, 1000),
        (bets(), 0.89, 1000),
    ],
)
def test_a_slight_fault_that_lasts_is_one_alert(judge: MetricJudge, accuracy: float, rows: int) -> None:
    """A month of hours: some lie on the right side by chance, which ends nothing."""
    rng, begun = seeded(), 0
    for _ in range(3):
        working = Judge(judge)
        for number, wrong in enumerate(rng.binomial(rows, 1 - accuracy, 720).tolist()):
            before = working.alert.state in OPEN
            working.take(*measured_of(wrong, rows), Span(at(number), at(number + 1)))
            begun += working.alert.state in OPEN and not before
    assert 3 <= begun <= 6


@pytest.mark.parametrize("judge", [threshold(), chart(), bets()])
@pytest.mark.parametrize("fallen", [0.85, 0.87])
def test_what_is_as_it_was_again_ends_within_a_few_windows(judge: MetricJudge, fallen: float) -> None:
    working = Judge(judge)
    for number, wrong in enumerate(seeded().binomial(1000, [1 - fallen] * 60 + [0.07] * 40).tolist()):
        working.take(*measured_of(wrong, 1000), Span(at(number), at(number + 1)))
        assert working.alert.state in OPEN or not 20 < number < 60
    assert working.alert.state not in OPEN


@pytest.mark.parametrize("judge", [threshold(), chart(), bets()])
@pytest.mark.parametrize("bad", [2, 4, 8, 16])
def test_an_alert_outlives_a_short_fault_by_a_few_windows_and_is_never_of_what_is_well_again(
    judge: MetricJudge, bad: int
) -> None:
    """A fall to 0.83 of 300 rows a window: what comes after it makes it neither smaller nor harder to prove over."""
    rng, waits = seeded(), []
    for _ in range(20):
        working, number, usual = Judge(judge), 0, judge.bound.value if judge.usual is None else judge.usual
        for number, wrong in enumerate(rng.binomial(300, [0.07] * 10 + [0.17] * bad + [0.07] * 60).tolist()):
            before = working.since
            working.take(*measured_of(wrong, 300), Span(at(number), at(number + 1)))
            if working.alert.state in OPEN:
                assert working.seen.value < usual
                assert working.since == before or working.alert.since == at(number + 1)
            elif number >= 10 + bad:
                break
        waits.append(number - (9 + bad))
    assert np.median(waits) <= 4
    assert np.quantile(waits, 0.9) <= 8


def test_a_fault_that_has_become_smaller_is_not_over() -> None:
    """From 0.80 to 0.88, where 0.92 is usual: more than half of the way back, and none the less worse."""
    working = Judge(chart())
    for number, wrong in enumerate(seeded().binomial(1000, [0.08] * 5 + [0.20] * 10 + [0.12] * 60).tolist()):
        working.take(*measured_of(wrong, 1000), Span(at(number), at(number + 1)))
        assert working.alert.state in OPEN or number < 10


def emptied(decision: PerformanceDecision, rows: int, windows: int, first: int) -> list[Fact]:
    """The facts of windows without any positive label."""
    facts: list[Fact] = []
    for number in range(first, first + windows):
        counts = BinaryCounts.empty(BinaryTask())
        counts.update(np.zeros(rows), np.full(rows, 0.1))
        told = replace(judged(number, rows), predictions=500)
        facts += decision.take(told, counts)
    return facts


@pytest.mark.parametrize(("metric", "rows"), [("accuracy", 0), ("recall", 0), ("recall", 500)])
@pytest.mark.parametrize("stop", [False, True])
def test_what_labels_say_nothing_of_any_more_ends_and_says_that_nobody_knows(
    metric: str, rows: int, *, stop: bool
) -> None:
    spec = DecisionSpec((threshold(metric), threshold("specificity", 0.1), chart(metric)), "hash", settle_ns=9 * MINUTE)
    decision = PerformanceDecision(KEY, spec, Truth(BINARY), MINUTE)
    [opened] = changes(taken(decision, [BAD]))
    assert emptied(decision, rows, 8, first=1) == [] or decision.current()[0].state is AlertState.FIRING
    if stop:
        entries = saved(decision)
        decision = PerformanceDecision(KEY, spec, Truth(BINARY), MINUTE)
        decision.restore(entries, alike=True)

    facts = emptied(decision, rows, 3, first=9)
    [ended] = changes(facts)
    assert (ended.incident, ended.closed, ended.window.end) == (opened.incident, True, at(10))
    [notice] = told(facts)
    assert notice["summary"].endswith(f": labels say nothing of {metric} any more")
    assert decision.current() == []
    assert changes(taken(decision, [BAD, BAD], first=2000))[0].opened


def test_labels_that_come_slowly_are_gathered_and_end_nothing() -> None:
    spec = DecisionSpec((threshold(),), "hash", settle_ns=5 * MINUTE)
    decision = PerformanceDecision(KEY, spec, Truth(BINARY), MINUTE)
    taken(decision, [BAD])

    assert changes(taken(decision, [(1, 1)] * 100, first=1)) == []


def test_labels_begin_to_be_counted_together_with_the_first_of_them() -> None:
    decision = make_decision()
    emptied(decision, 0, 50, first=0)

    [opened] = changes(taken(decision, [(100, 100)], first=50))
    assert (opened.window.start, opened.window.end) == (at(50), at(51))


def test_what_stays_worse_settles_and_pages_again_when_it_moves_from_there() -> None:
    decision = PerformanceDecision(
        KEY, DecisionSpec((chart(), bets()), "hash", settle_ns=5 * MINUTE), Truth(BINARY), MINUTE
    )
    facts = taken(decision, [BAD] * 12)
    opened, settled = changes(facts)
    assert settled.settled
    assert settled.window.end == opened.since + 5 * MINUTE
    assert [(fact.feature, fact.step) for fact in of(facts, LevelChanged)] == [("__accuracy__", LevelStep.SETTLED)]

    worse = changes(taken(decision, [(700, 300)] * 3, first=2000))
    assert worse[0].opened


def openings(facts: Sequence[Fact]) -> list[AlertChanged]:
    return [fact for fact in changes(facts) if fact.opened]


WORSE, FAR = (760, 240), (500, 500)


@pytest.mark.parametrize("judge", [chart(), bets()])
@pytest.mark.parametrize("worse", [WORSE, FAR])
@pytest.mark.parametrize("before", [1, 30])
def test_what_falls_again_after_it_was_accepted_is_told_anew_and_not_a_day_later(
    judge: MetricJudge, worse: tuple[int, int], before: int
) -> None:
    decision = make_decision(judge)
    assert openings(taken(decision, [GOOD, *[BAD] * 3]))
    [ended] = changes(decision.accept((), None, at(4)))
    assert ended.closed
    assert changes(taken(decision, [BAD] * before, first=4)) == []

    [again] = openings(taken(decision, [worse] * 20, first=4 + before))
    assert again.severity is Severity.CRITICAL
    assert again.evidence[0].effect == pytest.approx(worse[0] / 1000 - 0.8, abs=0.005)


def test_a_metric_that_settles_in_an_incident_that_stays_open_is_told_again_when_it_falls_from_there() -> None:
    """The fall is of less than what was told first, and of another metric's judge nothing changes."""
    decision = make_decision(chart(), threshold("brier", 0.1, severity=Severity.CRITICAL))
    assert len(openings(taken(decision, [BAD] * 3))) == 1
    decision.accept(("__accuracy__",), None, at(3))
    assert taken(decision, [BAD] * 30, first=3)
    assert decision.current()[0].state is AlertState.FIRING

    [escalated, *_] = of(taken(decision, [(740, 260)] * 4 + [(730, 270)] * 60, first=33), AlertEscalated)
    assert [each.feature for each in escalated.new] == ["__accuracy__"]
    assert decision.current()[0].about.settled == ()


@pytest.mark.parametrize("judge", [threshold(), chart(), bets()])
@pytest.mark.parametrize("windows", [2, 300])
def test_an_open_incident_escalates_when_its_metric_falls_much_further_however_long_it_was_open(
    judge: MetricJudge, windows: int
) -> None:
    decision = make_decision(judge)
    taken(decision, [(840, 160)] * windows)
    [escalated] = of(taken(decision, [(600, 400)] * 70, first=windows), AlertEscalated)
    assert escalated.alert.window.end <= at(max(windows + 2, 64))  # at most once an hour
    assert escalated.new[0].measured is not None
    assert escalated.new[0].measured.value == pytest.approx(0.6)


@pytest.mark.parametrize("judge", [chart(), bets()])
def test_a_fall_in_steps_escalates_though_none_is_twice_as_bad_as_was_told(judge: MetricJudge) -> None:
    decision = make_decision(judge)
    assert openings(taken(decision, [(780, 220)] * 40))
    facts = taken(decision, [(740, 260)] * 60 + [(700, 300)] * 60, first=40)
    [escalated] = of(facts, AlertEscalated)
    assert escalated.new[0].measured is not None
    assert escalated.new[0].measured.value == pytest.approx(0.70, abs=0.02)


def test_what_became_much_worse_settles_as_long_after_that() -> None:
    spec = DecisionSpec((chart(), bets()), "hash", settle_ns=100 * MINUTE)
    decision = PerformanceDecision(KEY, spec, Truth(BINARY), MINUTE)
    facts = taken(decision, [BAD] * 90 + [FAR] * 90)
    assert of(facts, LevelChanged) == []

    [settled] = of(taken(decision, [FAR] * 30, first=180), LevelChanged)
    assert settled.at >= at(190)
    assert {round(each.level.shift, 3) for each in decision.judges} == {-0.42}


@pytest.mark.parametrize("judge", [chart(), bets()])
def test_a_level_holds_for_all_who_compare_the_metric_with_the_reference(judge: MetricJudge) -> None:
    """The e-detector has not fired when the chart has: what is accepted is no alarm of it later."""
    other = bets() if judge.source is JudgedBy.CHART else chart()
    decision = make_decision(replace(judge, arl=20.0), replace(other, arl=1e12))
    taken(decision, [(860, 140)] * 2)
    decision.accept((), None, at(2))

    assert changes(taken(decision, [(860, 140)] * 300, first=2)) == []


def test_a_level_is_no_more_certain_than_the_windows_that_it_is_of() -> None:
    """One window said 0.83 where the metric is 0.82, with other rows than the reference's: no page for that in most months."""
    rng, paged = seeded(), 0
    for _ in range(20):
        decision = make_decision(chart())
        taken(decision, [(830, 170)])
        decision.accept((), None, at(1))
        windows = [(1000 - wrong, wrong) for wrong in rng.binomial(1000, 0.18, 200).tolist()]
        paged += bool(openings(taken(decision, windows, first=1)))
    assert paged <= 8


@pytest.mark.parametrize("judge", [chart(), bets()])
@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("stop", [False, True])
def test_a_metric_that_was_back_at_the_reference_is_told_anew_when_it_falls_to_the_level_again(
    judge: MetricJudge, *, settled: bool, stop: bool
) -> None:
    spec = DecisionSpec((judge,), "hash", settle_ns=5 * MINUTE)
    decision = PerformanceDecision(KEY, spec, Truth(BINARY), MINUTE)
    taken(decision, [BAD] * (8 if settled else 3))
    if not settled:
        decision.accept((), None, at(3))
    assert [each.level.shift for each in decision.judges] == [pytest.approx(-0.12)]
    facts = taken(decision, [BAD] * 20, first=10)
    if stop:
        entries = saved(decision)
        decision = PerformanceDecision(KEY, spec, Truth(BINARY), MINUTE)
        decision.restore(entries, alike=True)
    facts += taken(decision, [GOOD] * 10, first=30)
    assert changes(facts) == []
    assert [each.step for each in of(facts, LevelChanged)] == [LevelStep.RETURNED]

    assert openings(taken(decision, [BAD] * 6, first=40))


@pytest.mark.parametrize("judge", [chart(), bets()])
@pytest.mark.parametrize("stop", [False, True])
@pytest.mark.parametrize("steps", [(0.78, 0.74, 0.70, 0.68), (0.70, 0.68), (0.84, 0.80)])
def test_what_declined_and_was_accepted_is_taken_as_it_is_by_then(
    judge: MetricJudge, steps: Sequence[float], *, stop: bool
) -> None:
    """Not as it has been on average since it began: unchanged, it pages no more."""
    decision = make_decision(judge)
    windows = [(round(1000 * step), round(1000 * (1 - step))) for step in steps for _ in range(40)]
    taken(decision, windows)
    if stop:
        entries = saved(decision)
        decision = make_decision(judge)
        decision.restore(entries, alike=True)
    decision.accept((), None, at(len(windows)))

    assert decision.judges[0].where == pytest.approx(steps[-1], abs=0.005)
    assert openings(taken(decision, windows[-1:] * 200, first=len(windows))) == []


def test_a_level_of_few_labels_becomes_more_certain_as_windows_at_it_add_up() -> None:
    """Accepted by fifty labels at 0.70, it has been there for a long time: a fall to 0.62 is told; what stays pages as rarely as any level."""
    rng, paged = seeded(), 0
    for _ in range(20):
        decision = make_decision(chart())
        taken(decision, [(35, 15)])
        decision.accept((), None, at(1))
        windows = [(1000 - wrong, wrong) for wrong in rng.binomial(1000, 0.30, 60).tolist()]
        early = bool(openings(taken(decision, windows, first=1)))
        paged += early
        assert early or openings(taken(decision, [(620, 380)] * 6, first=61))
    assert paged <= 8


def test_what_falls_slowly_takes_no_level_along() -> None:
    decision = make_decision(chart())
    taken(decision, [BAD] * 2)
    decision.accept((), None, at(2))
    assert openings(taken(decision, [(800 - number, 200 + number) for number in range(60)], first=2))


@pytest.mark.parametrize("stop", [False, True])
def test_a_level_is_as_uncertain_as_windows_that_vary_by_themselves(*, stop: bool) -> None:
    """Not as their rows alone: what the reference's windows vary more counts there too."""
    plain = chart()
    wide = replace(plain, bound=replace(plain.bound, spread=3.0, usual_error=0.02))
    below = []
    for judge in (plain, wide):
        decision = make_decision(judge)
        taken(decision, [FAR] * 2)
        decision.accept((), None, at(2))
        if stop:
            entries = saved(decision)
            decision = make_decision(judge)
            decision.restore(entries, alike=True)
        [held] = decision.judges
        below.append(held.where - held.bound.value)
    assert below[1] > 2 * below[0]


def test_a_level_that_was_saved_before_levels_knew_how_certain_they_are_is_held_to() -> None:
    judge = Judge(chart())
    before = msgspec.to_builtins(judge.saved("so")) | {"shift": -0.1}
    for later in ("level", "growth"):
        del before[later]
    judge.restore(msgspec.convert(before, SavedJudge))

    assert judge.bound.value == pytest.approx(0.82)


def test_a_metric_that_is_better_than_its_level_and_not_back_is_held_to_what_it_is() -> None:
    decision = make_decision(chart())
    taken(decision, [(700, 300)] * 3)
    decision.accept((), None, at(3))
    facts = taken(decision, [(700, 300)] * 5 + [(840, 160)] * 60, first=3)
    assert facts == []
    [judge] = decision.judges
    assert judge.level.shift == pytest.approx(-0.08, abs=0.015)

    assert openings(taken(decision, [(760, 240)] * 6, first=70))


def test_what_was_slight_mutes_nothing_that_is_worse() -> None:
    """Neither while it is open, nor after it has ended within the day."""
    slight, plain = (905, 95), (880, 120)
    decision = make_decision(chart())
    [opened] = openings(taken(decision, [slight] * 100))
    assert opened.severity is Severity.WARNING
    [escalated] = of(taken(decision, [plain] * 10, first=100), AlertEscalated)
    assert (escalated.severity_before, escalated.alert.severity) == (Severity.WARNING, Severity.CRITICAL)
    assert escalated.alert.window.end <= at(105)

    ended = make_decision(chart())
    taken(ended, [slight] * 100)
    assert changes(taken(ended, [(925, 75)] * 20, first=100))[-1].closed
    [again] = openings(taken(ended, [plain] * 10, first=120))
    assert again.severity is Severity.CRITICAL


def test_a_note_does_not_hold_back_the_chart_of_its_metric() -> None:
    decision = make_decision(threshold(limit=0.9, severity=Severity.INFO), chart())
    slightly = (880, 120)
    assert openings(taken(decision, [slightly] * 10))[0].severity is Severity.CRITICAL
    noted = make_decision(threshold(limit=0.915, severity=Severity.INFO), chart())
    assert openings(taken(noted, [(903, 97)] * 30))[0].severity is Severity.WARNING


def test_a_metric_that_joins_a_slight_incident_pages_by_its_own_severity() -> None:
    decision = make_decision(threshold(limit=0.9, severity=Severity.WARNING), threshold("recall", 0.7))
    assert openings(taken(decision, [(870, 130)] * 5))[0].severity is Severity.WARNING
    [escalated] = of(taken(decision, [FAR] * 2, first=5), AlertEscalated)[:1]
    assert {each.feature for each in escalated.new} == {"__accuracy__", "__recall__"}
    assert escalated.alert.severity is Severity.CRITICAL


def test_what_was_accepted_until_now_and_still_is_so_is_told_within_the_day() -> None:
    decision = make_decision(chart())
    taken(decision, [BAD] * 3)
    decision.accept((), at(10), at(3))
    facts = taken(decision, [BAD] * 20, first=3)
    assert [each.step for each in of(facts, LevelChanged)] == [LevelStep.EXPIRED]
    assert [each.window.end for each in openings(facts)] == [at(10)]


def test_a_threshold_never_settles_and_is_not_accepted() -> None:
    spec = DecisionSpec((threshold(), chart()), "hash", settle_ns=5 * MINUTE)
    decision = PerformanceDecision(KEY, spec, Truth(BINARY), MINUTE)
    assert [fact.opened for fact in changes(taken(decision, [BAD] * 12))] == [True]

    assert changes(decision.accept((), None, at(12))) == []
    assert decision.current()[0].state is AlertState.FIRING


def test_what_is_accepted_for_a_time_is_held_to_the_reference_again_after_it() -> None:
    decision = make_decision(chart())
    taken(decision, [BAD, BAD])
    [ended] = changes(decision.accept(("__accuracy__",), at(2000), at(2)))
    assert ended.closed
    again = make_decision(chart())
    again.restore(saved(decision), alike=True)

    for each in (decision, again):
        facts = changes(taken(each, [BAD] * 8, first=1995))
        assert [fact.window.end for fact in facts if fact.opened] == [at(2000)]


def test_what_no_metric_is_of_is_not_accepted() -> None:
    decision = make_decision(chart())
    taken(decision, [BAD])
    assert decision.accept(("age",), None, at(1)) == []
    assert decision.current()


@pytest.mark.parametrize("slide", [MINUTE, 3 * MINUTE])
def test_a_view_that_is_killed_at_any_save_says_what_one_says_that_never_stopped(slide: int) -> None:
    """Rows, windows and the incident are one state: after each minute the view is made anew from what was saved."""
    rng = seeded()
    shape: dict[str, Any] = {"length": 3 * MINUTE, "slide": slide, "wait": 2 * MINUTE}
    spec = DecisionSpec((threshold(), chart(), bets()), "hash")
    straight, stopping = (make_performance(**shape, decision=spec) for _ in range(2))
    held: dict[tuple[str, str], bytes] = {}
    facts: list[list[Fact]] = [[], []]
    for number in range(30):
        right = rng.random(40) < (0.95 if number < 9 or number > 18 else 0.6)
        ids = [f"r-{number}-{n}" for n in range(40)]
        events = [Scored(name, at(number + n / 50), 0.9) for n, name in enumerate(ids)]
        labels = [Told(name, at(number + 1), n, float(right[n])) for n, name in enumerate(ids)]
        for each, said in zip((straight, stopping), facts, strict=True):
            said += [*each.take(batch_of([*events, *labels])), *each.advance(at(number))]
        held = stored(stopping.changes(), held)
        stopping = make_performance(**shape, decision=spec)
        assert stopping.restore([owned(Record(kind, key, payload))[1] for (kind, key), payload in held.items()]) == []
        assert stopping.current() == straight.current()

    assert facts[0] == facts[1]
    assert changes(facts[0])[0].opened


# --- what labels say less what was expected -----------------------------------------------------------------------


def drawn(rng: np.random.Generator, rows: int, forgotten: float = 0.0, common: float = 4.0) -> Any:
    """Scored rows with labels; this share of what scores mean is `forgotten`, the larger `common` the surer scores are."""
    scores = rng.beta(common, 1.0, rows)
    scores = np.where(rng.random(rows) < 0.5, 1 - scores, scores)
    chances = scores * (1 - forgotten) + forgotten / 2
    counts = BinaryCounts.empty(BinaryTask())
    counts.update(rng.random(rows) < chances, scores)
    return counts


def difference_of(
    rng: np.random.Generator, *, windows: int = 60, rows: int = 300, arl: float = 3000.0
) -> tuple[MetricJudge, EstimateSpec]:
    """The judge that a reference of so many windows gives, and what expects of rows what they are worth."""
    parts = [drawn(rng, rows) for _ in range(windows)]
    total = BinaryCounts.empty(BinaryTask())
    for part in parts:
        total.add(part)
    estimator = ScoreEstimator.of_counts(total)
    known = difference_references([(part.metrics(), estimator.estimate(part)) for part in parts], ["accuracy"])
    judge = replace(_by_difference("accuracy", known["accuracy"]), arl=arl)
    return judge, EstimateSpec(Truth(BINARY), estimator)


def comparing(judge: MetricJudge, expected: EstimateSpec, *others: MetricJudge) -> PerformanceDecision:
    spec = DecisionSpec((*others, judge), "hash", settle_ns=DAY, expected=expected)
    return PerformanceDecision(KEY, spec, Truth(BINARY), MINUTE)


def compared(decision: PerformanceDecision, windows: Sequence[Any], first: int = 0) -> list[Fact]:
    """The facts of windows of these counts."""
    return [
        fact
        for number, counts in enumerate(windows, start=first)
        for fact in decision.take(judged(number, int(counts.histogram.sum())), counts)
    ]


def test_labels_that_no_longer_follow_predictions_are_told_in_words_and_by_what() -> None:
    rng = seeded()
    decision = comparing(*difference_of(rng))
    facts = compared(decision, [drawn(rng, 1000) for _ in range(5)])
    facts += compared(decision, [drawn(rng, 1000, 0.5) for _ in range(8)], first=5)

    [opened] = openings(facts)
    assert at(5) < opened.window.end <= at(9)
    assert opened.severity is Severity.CRITICAL
    [evidence] = opened.evidence
    assert evidence.measured is not None
    assert evidence.measured.by == (JudgedBy.DIFFERENCE,)
    assert evidence.measured.expected is not None
    assert evidence.measured.value - evidence.measured.expected == pytest.approx(evidence.effect, abs=0.01)
    firing = told(facts)[0]
    assert firing["summary"].endswith(" was to be expected of these, concept drift")
    said = firing["evidence"][0]["performance"]
    assert said["by"] == ["difference"]
    assert said["value"] < said["at_least"] < said["expected"]


def test_a_difference_escalates_and_is_accepted_and_returns_and_resolves_as_others_do() -> None:
    rng = seeded()
    decision = comparing(*difference_of(rng, windows=90))
    compared(decision, [drawn(rng, 2000, 0.2) for _ in range(20)])
    [escalated, *_] = of(compared(decision, [drawn(rng, 2000, 0.6) for _ in range(60)], first=20), AlertEscalated)
    assert escalated.new[0].measured is not None
    assert escalated.new[0].measured.by == (JudgedBy.DIFFERENCE,)

    [accepted, *ended] = decision.accept((), None, at(90))
    assert isinstance(accepted, LevelChanged)
    assert [each.closed for each in changes(ended)] == [True]
    assert openings(compared(decision, [drawn(rng, 2000, 0.6) for _ in range(20)], first=90)) == []
    back = compared(decision, [drawn(rng, 2000) for _ in range(10)], first=110)
    assert [each.step for each in of(back, LevelChanged)] == [LevelStep.RETURNED]
    again = compared(decision, [drawn(rng, 2000, 0.6) for _ in range(6)], first=120)
    assert openings(again)
    assert changes(compared(decision, [drawn(rng, 2000) for _ in range(20)], first=126))[-1].closed


def test_a_fall_that_was_accepted_is_no_concept_drift_later() -> None:
    """The difference had said little of it yet when the chart paged."""
    rng, held = seeded(), 0
    for _ in range(5):
        judge, expected = difference_of(rng, rows=100)
        decision = comparing(judge, expected, chart(usual=0.8))
        number = 0
        while not openings(compared(decision, [drawn(rng, 1000, 0.17)], first=number)):
            number += 1
        relative = decision.judges[1]
        said = 0 < relative.score < 0.5
        decision.accept((), None, at(number + 1))
        held += said
        assert not said or relative.level.shift < 0
    assert held


def test_what_was_expected_is_what_the_estimate_said_of_these_windows() -> None:
    """Not what is added because their chances are less certain than the reference's."""
    rng = seeded()
    judge, expected = difference_of(rng, windows=90)
    decision = comparing(replace(judge, shared=0.0), expected)
    window = drawn(rng, 2000, 0.6)
    [opened] = openings(compared(decision, [window.copy()]))

    [evidence] = opened.evidence
    assert evidence.measured is not None
    estimated = expected.estimator.estimate(window).metrics["accuracy"].value
    assert evidence.measured.expected == pytest.approx(estimated)
    assert evidence.effect == pytest.approx(window.metrics()["accuracy"].value - estimated)


def test_what_became_much_worse_by_many_windows_has_metric_and_expectation_of_the_same() -> None:
    """Labels and predictions are others in each: the metric of one is not beside the difference of nine."""
    bound = MetricBound(-0.01, at_least=True)
    judge = Judge(MetricJudge("accuracy", JudgedBy.DIFFERENCE, bound, 3000.0, severity=None, usual=0.0, notable=0.5))
    for number in range(40):
        expected = 0.9 + 0.01 * (number % 5)
        apart = MetricDifference(Measured(expected - (0.07 if number < 20 else 0.16), 1000), expected, 0.014, 0.0)
        judge.take(as_measured(apart, 0.0), None, Span(at(number), at(number + 1)))
        if judge.grown:
            break
    seen = judge.seen
    assert seen.windows > 1
    assert seen.realised is not None
    assert seen.realised.windows == seen.windows
    assert seen.realised.value == pytest.approx(np.mean([0.9 + 0.01 * (n % 5) - 0.16 for n in range(20, number + 1)]))
    assert seen.expected == pytest.approx(seen.realised.value + 0.16)


@pytest.mark.parametrize("stop", [3, 7, 12])
def test_a_difference_goes_on_from_what_was_saved(stop: int) -> None:
    rng = seeded()
    judge, expected = difference_of(rng)
    windows = [drawn(rng, 500, 0.0 if number < 5 else 0.3) for number in range(20)]
    straight, before, after = (comparing(judge, expected, chart(usual=0.8)) for _ in range(3))
    facts = compared(straight, [each.copy() for each in windows])
    first = compared(before, [each.copy() for each in windows[:stop]])
    assert after.restore(saved(before), alike=True) == []

    assert first + compared(after, windows[stop:], first=stop) == facts

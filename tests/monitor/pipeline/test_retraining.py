"""Retraining through a real pipeline: what vetoes it, what is in flight, schedules, approval, and all of it after a restart."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from detectors import Reference
from detectors.charts import IncidentKind
from monitor.alerting.decisions import Approve, Asked, Reject, Trigger
from monitor.alerting.retraining import RetrainOutcome, RetrainPolicy
from monitor.alerting.rules import Severity
from monitor.alerting.schedule import Schedule
from monitor.facts import AlertChanged, DecisionMade, DecisionRefused, Fact, PerformanceJudged, RetrainDecided
from monitor.pipeline import Pipeline
from monitor.series.records import Record
from monitor.stream.events import SECOND, MicroBatch, Nanos, OffsetRange
from tests.build import (
    DAY,
    HOUR,
    KEY,
    MIDNIGHT,
    MINUTE,
    OTHER_KEY,
    P0,
    P1,
    at,
    feed,
    make_batch,
    make_pipeline,
    make_rule,
    make_spec,
    of,
    play,
    restored,
)
from tests.charted import reference, seeded
from tests.monitor.pipeline.test_drift import charted, missing, shift

CRITICAL = make_rule(severity=Severity.CRITICAL)
PLAIN = RetrainPolicy(cooldown=0, max_per_week=1000)
LAST = replace(PLAIN, cooldown=DAY)
REQUESTED, PENDING = RetrainOutcome.REQUESTED, RetrainOutcome.PENDING


@pytest.fixture(scope="module")
def learnt() -> Reference:
    return reference(seeded()).select(["normal", "other", "holes", "plan"])


def outcomes(facts: list[Fact]) -> list[RetrainOutcome]:
    return [decided.outcome for decided in of(facts, RetrainDecided)]


def ruled(**changes: Any) -> Pipeline:
    return make_pipeline(rules=[CRITICAL], retraining=replace(PLAIN, **changes))


def ask(pipeline: Pipeline, wish: Any, name: str = "d1", by: str = "ana", why: str = "looked at") -> list[Fact]:
    return pipeline.decide(Asked(name, wish, by, why), now=0)


# --- vetoes -----------------------------------------------------------------------------------------------------------


def test_while_data_are_bad_a_drift_asks_for_nothing_and_once_they_are_well_it_asks_once(learnt: Reference) -> None:
    traffic = charted(learnt)
    traffic.panes(20)
    traffic.panes(20, missing("holes"))
    facts = traffic.panes(20, missing("holes"), shift())
    (drift,) = [each for each in of(facts, AlertChanged) if each.opened and each.kind is IncidentKind.DRIFT]
    assert outcomes(facts) == [RetrainOutcome.DATA_QUALITY]

    later = traffic.panes(120, shift())
    (requested,) = of(later, RetrainDecided)
    (ended,) = [each for each in of(later, AlertChanged) if each.closed]
    assert ended.kind is IncidentKind.DATA_QUALITY
    assert requested.outcome is REQUESTED
    assert requested.wish is not None
    assert requested.wish.incident == drift.incident
    assert requested.wish.at == requested.data_to == ended.window.end
    assert requested.data_from <= drift.since


def test_what_a_veto_suppressed_is_not_asked_for_once_its_own_incident_has_ended(learnt: Reference) -> None:
    traffic = charted(learnt)
    traffic.panes(20)
    traffic.panes(20, missing("holes"))
    assert outcomes(traffic.panes(20, missing("holes"), shift())) == [RetrainOutcome.DATA_QUALITY]
    traffic.panes(150, missing("holes"))

    assert outcomes(traffic.panes(150)) == []


def test_a_policy_without_vetoes_asks_as_it_was_before(learnt: Reference) -> None:
    traffic = charted(learnt, retraining=replace(PLAIN, veto=frozenset()))
    traffic.panes(20)
    traffic.panes(20, missing("holes"))

    assert outcomes(traffic.panes(20, missing("holes"), shift())) == [REQUESTED]


def test_a_veto_goes_on_after_a_restart_and_so_does_the_wish(learnt: Reference) -> None:
    """Whatever is said after a restart at any pane is what would have been said without one."""
    straight, restarted = charted(learnt, 7), charted(learnt, 7)
    for traffic in (straight, restarted):
        traffic.panes(20)
        traffic.panes(20, missing("holes"))
        traffic.panes(20, missing("holes"), shift())
    for _ in range(120):
        fresh = charted(learnt).pipeline
        restored(restarted.pipeline, fresh)
        restarted.pipeline = fresh
        assert of(restarted.panes(1, shift()), RetrainDecided) == of(straight.panes(1, shift()), RetrainDecided)
    assert outcomes(restarted.facts) == [RetrainOutcome.DATA_QUALITY, RetrainOutcome.DATA_QUALITY, REQUESTED]


def test_events_that_are_read_late_veto_until_they_are_not() -> None:
    pipeline = ruled(max_lag=10 * MINUTE)
    feed(pipeline, make_batch([at(0), at(0.5)], [50.0, 50.0]), until=at(1), now=at(60))
    facts = feed(pipeline, make_batch([at(1), at(1.5)], [None, None]), until=at(2), now=at(60))
    assert outcomes(facts) == [RetrainOutcome.LAG]
    assert outcomes(feed(pipeline, until=at(2), now=at(60))) == []

    facts = feed(pipeline, make_batch([at(55), at(55.5)], [None, None]), until=at(56), now=at(60))
    assert outcomes(facts) == [REQUESTED]


def test_at_the_end_of_every_partition_nothing_is_read_late() -> None:
    pipeline = ruled(max_lag=10 * MINUTE)
    feed(pipeline, make_batch([at(0)], [50.0]), until=at(1), now=at(1))
    arrived = MicroBatch((make_batch([at(1), at(1.5)], [None, None]),), {P0: at(2)}, confirmed={P0: at(600)})
    facts = [*pipeline.ingest(arrived, at(600)), *pipeline.advance()]

    assert outcomes(facts) == [REQUESTED]


def test_too_few_labelled_rows_veto_until_there_are_enough() -> None:
    pipeline = ruled(min_labelled_rows=100)
    assert outcomes(play(pipeline, "CBB")) == [RetrainOutcome.FEW_LABELS]

    def judged(start: Nanos, rows: int) -> PerformanceJudged:
        return PerformanceJudged(KEY, start, start + MINUTE, HOUR, True, "binary", 200, rows, 1.0, ())

    assert outcomes(pipeline._followed([judged(at(-5), 90)])) == []
    assert outcomes(pipeline._followed([judged(at(1), 60), judged(at(1), 70)])) == []
    assert outcomes(pipeline._followed([judged(at(2), 40)])) == [REQUESTED]


# --- what asks --------------------------------------------------------------------------------------------------------


def test_an_alert_of_another_severity_or_feature_does_not_ask() -> None:
    warning = make_pipeline(
        rules=[make_rule(severity=Severity.WARNING)], retraining=replace(PLAIN, severity=Severity.WARNING)
    )

    assert outcomes(play(warning, "CB")) == [REQUESTED]
    assert outcomes(play(ruled(features=("a*",)), "CB")) == [REQUESTED]
    assert outcomes(play(ruled(features=("plan",)), "CB")) == []
    assert outcomes(play(ruled(on=frozenset({"performance"})), "CB")) == []


# --- in flight --------------------------------------------------------------------------------------------------------


def test_one_is_in_flight_until_a_new_version_comes() -> None:
    policy = replace(PLAIN, in_flight_timeout=DAY)
    pipeline = make_pipeline(*(make_spec(key=key, rules=[CRITICAL], retraining=policy) for key in (KEY, OTHER_KEY)))
    assert outcomes(play(pipeline, "CBCB")) == [REQUESTED, RetrainOutcome.IN_FLIGHT]
    play(pipeline, "C", 4, key=OTHER_KEY)

    assert outcomes(play(pipeline, "CBCB", 5, key=OTHER_KEY)) == [REQUESTED, RetrainOutcome.IN_FLIGHT]


def test_of_a_series_that_takes_any_version_a_new_one_is_told() -> None:
    pipeline = ruled(in_flight_timeout=DAY)
    for number, version in enumerate(["1", "1", "2"]):
        pipeline.ingest(MicroBatch(versions=(("churn", version, at(number)),)), 0)
        expected = [REQUESTED, RetrainOutcome.IN_FLIGHT, REQUESTED][number]
        assert outcomes(play(pipeline, "CBC", 3 * number)) == [expected]


def test_what_is_in_flight_is_forgotten_after_the_timeout() -> None:
    pipeline = ruled(in_flight_timeout=5 * MINUTE)

    assert outcomes(play(pipeline, "BCBCCCB")) == [REQUESTED, RetrainOutcome.IN_FLIGHT, REQUESTED]


# --- schedules --------------------------------------------------------------------------------------------------------

DAILY = replace(LAST, cooldown=0, every=Schedule("0 3 * * *", "Europe/Berlin"))


def hours(pipeline: Pipeline, numbers: range, jump: int) -> list[Fact]:
    """Some rows every hour, read `jump` hours at once."""
    facts: list[Fact] = []
    for first in range(numbers.start, numbers.stop, jump):
        times = [at(60 * number + 30) for number in range(first, min(first + jump, numbers.stop))]
        facts += feed(pipeline, make_batch(times), until=times[-1])
    return facts


def decided(facts: list[Fact]) -> list[tuple[str, RetrainOutcome, str]]:
    return [
        (datetime.fromtimestamp(each.at // SECOND, tz=UTC).isoformat()[:16], each.outcome, each.reason)
        for each in of(facts, RetrainDecided)
    ]


@pytest.mark.parametrize("jump", [1, 5, 24, 240])
def test_a_schedule_is_due_by_event_time_however_fast_events_are_read(jump: int) -> None:
    pipeline = make_pipeline(length=HOUR, retraining=DAILY)
    said = decided(hours(pipeline, range(240), jump))

    assert said[:2] == [("2025-11-23T02:00", REQUESTED, "schedule"), ("2025-11-24T02:00", REQUESTED, "schedule")]
    assert len(said) == 10


@pytest.mark.parametrize("jump", [1, 5, 240])
def test_what_a_schedule_missed_in_a_pause_of_months_is_not_asked_for_all_at_once(jump: int) -> None:
    pipeline = make_pipeline(length=HOUR, retraining=DAILY)
    hours(pipeline, range(30), jump)

    back = 90 * 24
    said = decided(hours(pipeline, range(back, back + 30), jump))
    assert [each[0] for each in said] == [
        "2025-11-25T02:00",
        "2025-11-26T02:00",  # not yet two days after the last window
        "2026-02-21T02:00",
        "2026-02-22T02:00",
    ]


def test_a_schedule_goes_on_after_a_restart() -> None:
    pipeline, said = make_pipeline(length=HOUR, retraining=DAILY), list[tuple[str, RetrainOutcome, str]]()
    for hour in range(240):
        fresh = make_pipeline(length=HOUR, retraining=DAILY)
        restored(pipeline, fresh)
        pipeline = fresh
        said += decided(hours(pipeline, range(hour, hour + 1), 1))

    assert said == decided(hours(make_pipeline(length=HOUR, retraining=DAILY), range(240), 240))


def test_a_schedule_asks_for_what_came_since_the_last_request() -> None:
    pipeline = make_pipeline(length=HOUR, retraining=DAILY)
    first, second = of(hours(pipeline, range(30), 1), RetrainDecided)

    assert (first.alert, second.alert) == (None, None)
    assert first.data_from == MIDNIGHT + HOUR  # of the first window that lies wholly after the first event
    assert second.data_from == first.data_to == MIDNIGHT + 2 * HOUR
    assert first.wish is not None
    assert second.wish is not None
    assert first.wish.id != second.wish.id


def test_a_model_that_was_trained_lately_is_not_asked_for() -> None:
    policy = replace(DAILY, unless_trained_within=2 * DAY)
    said = decided(hours(make_pipeline(length=HOUR, retraining=policy), range(96), 1))

    lately = RetrainOutcome.TRAINED
    assert [outcome for _, outcome, _ in said] == [REQUESTED, lately, REQUESTED, lately]


# --- approval ---------------------------------------------------------------------------------------------------------


def waiting(**changes: Any) -> tuple[Pipeline, str]:
    """A pipeline in which one request waits, and its id."""
    pipeline = ruled(**{"approval_within": DAY, **changes})
    (pending,) = of(play(pipeline, "CB"), RetrainDecided)
    assert (pending.outcome, pending.expires_at) == (PENDING, at(2) + DAY)
    assert pending.wish is not None
    return pipeline, pending.wish.id


def test_what_is_approved_is_requested_once_and_says_by_whom() -> None:
    pipeline, name = waiting()
    fresh = ruled(approval_within=DAY)
    restored(pipeline, fresh)  # what waits is in the state
    made, _, requested = ask(fresh, Approve(name))
    assert isinstance(made, DecisionMade)
    assert isinstance(requested, RetrainDecided)
    assert (requested.outcome, requested.by, requested.why) == (REQUESTED, "ana", "looked at")
    assert requested.wish is not None
    assert requested.wish.id == name
    assert requested.alert is not None

    (again,) = ask(fresh, Approve(name))  # the very same question, asked again
    assert isinstance(again, DecisionMade)
    assert again.repeated
    (twice,) = ask(fresh, Approve(name), "d2", "ben")
    assert isinstance(twice, DecisionRefused)
    assert twice.why == f"{name} does not wait for approval: requested by ana"


def test_what_is_rejected_is_not_requested() -> None:
    pipeline, name = waiting()

    assert outcomes(ask(pipeline, Reject(name))) == [RetrainOutcome.REJECTED]
    (late,) = ask(pipeline, Approve(name), "d2")
    assert isinstance(late, DecisionRefused)
    assert late.why == f"{name} does not wait for approval: suppressed_rejected by ana"


def test_what_nobody_approves_expires_and_an_approval_then_is_too_late() -> None:
    pipeline, name = waiting(approval_within=DAY)
    facts = feed(pipeline, make_batch([at(2), MIDNIGHT + 2 * DAY]), until=MIDNIGHT + 2 * DAY)

    assert outcomes(facts) == [RetrainOutcome.EXPIRED]
    (late,) = ask(pipeline, Approve(name))
    assert isinstance(late, DecisionRefused)
    assert late.why.endswith("does not wait for approval: suppressed_approval_expired")


def test_nothing_more_is_asked_for_while_a_request_waits() -> None:
    pipeline, _ = waiting()

    assert outcomes(play(pipeline, "CB", 2)) == [RetrainOutcome.WAITING]


def test_an_approval_of_nothing_is_refused() -> None:
    (refused,) = ask(ruled(approval_within=DAY), Approve("nothing"))

    assert isinstance(refused, DecisionRefused)
    assert refused.why == "there is no request nothing; see driftd retrain list"


def test_an_approval_while_something_stands_against_it_is_refused_and_it_waits_on(learnt: Reference) -> None:
    traffic = charted(learnt, retraining=replace(PLAIN, approval_within=10 * DAY))
    traffic.panes(20)
    (pending,) = of(traffic.panes(20, shift()), RetrainDecided)
    assert pending.outcome is PENDING
    assert pending.wish is not None
    traffic.panes(20, missing("holes"), shift())
    refused, fact = ask(traffic.pipeline, Approve(pending.wish.id))

    assert isinstance(refused, DecisionRefused)
    assert refused.why == "data are bad: an incident of kind data_quality is open: not requested; it waits on"
    assert outcomes([fact]) == [RetrainOutcome.DATA_QUALITY]
    traffic.panes(100, shift())
    assert outcomes(ask(traffic.pipeline, Approve(pending.wish.id), "d2")) == [REQUESTED]


# --- people -----------------------------------------------------------------------------------------------------------


def test_a_trigger_asks_at_once_and_needs_no_approval() -> None:
    pipeline = ruled(approval_within=DAY)
    play(pipeline, "CC")
    made, _, requested = ask(pipeline, Trigger("churn"))

    assert isinstance(made, DecisionMade)
    assert isinstance(requested, RetrainDecided)
    assert (requested.outcome, requested.reason, requested.by) == (REQUESTED, "manual", "ana")
    assert (requested.data_from, requested.data_to) == (at(0), at(2))


def test_a_trigger_is_held_back_by_the_policy_unless_forced() -> None:
    pipeline = make_pipeline(rules=[CRITICAL], retraining=LAST)
    play(pipeline, "CB")
    refused, suppressed = ask(pipeline, Trigger("churn"))
    assert isinstance(refused, DecisionRefused)
    assert refused.why.endswith("not requested; --force stands above it")
    assert outcomes([suppressed]) == [RetrainOutcome.COOLDOWN]

    assert outcomes(ask(pipeline, Trigger("churn", force=True), "d2")) == [REQUESTED]


def test_a_trigger_of_no_model_is_refused() -> None:
    pipeline = ruled()
    (early,) = ask(pipeline, Trigger("churn"))
    (unknown,) = ask(pipeline, Trigger("chrun"), "d2")

    assert isinstance(early, DecisionRefused)
    assert isinstance(unknown, DecisionRefused)
    assert early.why == "no event has been read yet: there is nothing to train on"
    assert unknown.why == "there is no model chrun; there is churn"


# --- the records to train on ------------------------------------------------------------------------------------------


def test_a_request_names_the_records_of_its_events() -> None:
    """All of them, rounded outwards to the hours and polls in which they were read, after a restart too."""
    pipeline = make_pipeline(rules=[CRITICAL], length=HOUR, retraining=PLAIN)
    for hour in range(6):
        ages = [None, None] if hour >= 4 else [50.0, 50.0]
        plain = make_batch([at(60 * hour), at(60 * hour + 30)], ages)
        spans = OffsetRange(P0, 100 * hour, 100 * hour + 99), OffsetRange(P1, 10 * hour, 10 * hour + 9)
        fresh = make_pipeline(rules=[CRITICAL], length=HOUR, retraining=PLAIN)
        restored(pipeline, fresh)
        pipeline = fresh
        facts = feed(pipeline, replace(plain, offsets=spans), until=at(60 * hour + 60))
    for each in of(facts, RetrainDecided):
        raise AssertionError(each)
    (requested,) = pipeline.retraining.decided
    assert requested.outcome is REQUESTED
    whole = pipeline._whole(requested)
    assert [(each.partition, each.first, each.end) for each in whole.offsets] == [(P0, 400, 500), (P1, 40, 50)]
    assert whole.whole


def test_the_index_of_records_is_bounded_and_says_how_far_back_it_goes() -> None:
    pipeline = ruled()
    for day in range(60):
        batch = make_batch([MIDNIGHT + day * DAY])
        pipeline.offsets.take(replace(batch, offsets=(OffsetRange(P0, day, day),)))
    rows = dict(pipeline.offsets.changes())

    assert sum(payload is not None for payload in rows.values()) == 36
    assert not pipeline.offsets.reaches(MIDNIGHT)
    assert pipeline.offsets.reaches(MIDNIGHT + 59 * DAY)
    assert list(pipeline.offsets.between(MIDNIGHT, MIDNIGHT + 60 * DAY)) == [(P0, 24, 60)]


def test_a_clock_that_is_years_behind_costs_no_more_than_the_index_holds() -> None:
    batch = make_batch([MIDNIGHT - 9000 * DAY, MIDNIGHT])
    pipeline = ruled()
    pipeline.offsets.take(replace(batch, offsets=(OffsetRange(P0, 0, 1),)))

    assert len(pipeline.offsets.partitions[P0].spans) == 35 * 24 + 1


# --- older states -----------------------------------------------------------------------------------------------------


def test_a_state_that_knows_times_alone_still_holds_back() -> None:
    pipeline = make_pipeline(rules=[CRITICAL], retraining=LAST)
    older = Record("retraining", "", msgspec.json.encode({"churn": {"requested": [at(0)]}}))
    pipeline.restore([older], 0)

    assert outcomes(play(pipeline, "CB")) == [RetrainOutcome.COOLDOWN]
    assert Record("retraining", "", None) in pipeline.changes()


def test_rehearsals_hear_what_the_pipeline_hears_and_change_nothing() -> None:
    from monitor.pipeline import retraining_of

    spec = make_spec(rules=[CRITICAL], retraining=LAST)
    other = retraining_of([spec], {"churn": PLAIN})
    plain, rehearsing = Pipeline([spec], 30 * SECOND), Pipeline([spec], 30 * SECOND, rehearsals=[other])

    assert play(rehearsing, "CBCBCB") == play(plain, "CBCBCB")
    assert [each.outcome for each in plain.retraining.decided] == [REQUESTED, *[RetrainOutcome.COOLDOWN] * 2]
    assert [each.outcome for each in other.decided] == [REQUESTED] * 3

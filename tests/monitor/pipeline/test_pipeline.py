"""Micro-batches in, facts out, and nothing forgotten in between."""

import pytest

from detectors.univariate import volume
from monitor.alerting.alerts import AlertState
from monitor.alerting.retraining import RetrainOutcome
from monitor.alerting.rules import Severity
from monitor.facts import (
    AlertChanged,
    AlertSeen,
    EventsCounted,
    Fact,
    FeaturesTracked,
    RetrainDecided,
    WatermarkAdvanced,
    WindowClosed,
    WindowScored,
)
from monitor.pipeline import KEPT_RESOLVED
from monitor.stream.events import SECOND, MicroBatch
from tests.build import (
    HOUR,
    KEY,
    MINUTE,
    OTHER_KEY,
    P0,
    P1,
    RULE,
    at,
    feed,
    make_batch,
    make_pipeline,
    make_rule,
    make_spec,
    of,
    play,
    scores_of,
    states_of,
)

INACTIVE, PENDING, FIRING, RECOVERING = AlertState
CRITICAL = make_rule(severity=Severity.CRITICAL)
PATIENT = make_rule(hold=2, keep_firing_for=2, severity=Severity.CRITICAL)
VOLUME = make_rule(name="volume", detector="volume", features=("*",), fire_above=1.0, clear_below=0.5)


def changes(facts: list[Fact]) -> list[tuple[AlertState, AlertState]]:
    return [(changed.before, changed.after) for changed in of(facts, AlertChanged)]


def outcomes(facts: list[Fact]) -> list[RetrainOutcome]:
    return [decided.outcome for decided in of(facts, RetrainDecided)]


# --- counting -------------------------------------------------------------------------------------------------------


def test_events_are_counted_by_outcome_and_late_ones_kept_out_of_windows() -> None:
    pipeline = make_pipeline()
    feed(pipeline, make_batch([at(0), at(5)]))
    facts = feed(pipeline, make_batch([at(4), at(5.5), at(6)]))

    assert of(facts, EventsCounted) == [
        EventsCounted("predictions", "ok", 2, KEY),
        EventsCounted("predictions", "late", 1, KEY),
    ]
    assert [window.rows for window in of(facts, WindowClosed)] == [2]


def test_an_outcome_that_did_not_occur_is_not_counted() -> None:
    assert of(feed(make_pipeline(), make_batch([at(0)])), EventsCounted) == [EventsCounted("predictions", "ok", 1, KEY)]


def test_the_same_event_twice_counts_twice() -> None:
    facts = feed(make_pipeline(), make_batch([at(0), at(0)]), until=at(1))

    assert of(facts, WindowClosed)[0].rows == 2


def test_a_batch_is_counted_before_its_own_times_make_anything_late() -> None:
    facts = feed(make_pipeline(), make_batch([at(9), at(0), at(3)]))

    assert of(facts, EventsCounted) == [EventsCounted("predictions", "ok", 3, KEY)]
    assert [window.start for window in of(facts, WindowClosed)] == [at(0), at(3)]


def test_a_window_says_what_share_of_each_feature_was_missing_and_unseen() -> None:
    pipeline = make_pipeline()
    feed(pipeline, make_batch([at(0)] * 4, [None, 50.0, 1000.0, -1.0], ["free", "new", None, None]))
    [window] = of(feed(pipeline, until=at(1)), WindowClosed)

    assert [(one.feature, one.missing_ratio, one.unseen_ratio) for one in window.quality] == [
        ("age", 0.25, 0.5),
        ("plan", 0.5, 0.25),
    ]


# --- time -----------------------------------------------------------------------------------------------------------


def test_a_window_closes_when_the_watermark_is_its_end_plus_lateness_and_not_a_nanosecond_before() -> None:
    pipeline = make_pipeline(lateness=30 * SECOND)
    feed(pipeline, make_batch([at(0)]))

    assert of(feed(pipeline, until=at(1.5) - 1), WindowClosed) == []
    assert len(of(feed(pipeline, until=at(1.5)), WindowClosed)) == 1


def test_the_first_window_judged_lies_wholly_after_the_first_event() -> None:
    facts = play(make_pipeline(length=5 * MINUTE), "CCCCCCCC", first=3)

    assert [window.start for window in of(facts, WindowClosed)] == [at(5)]


def test_other_models_events_move_the_watermark_too() -> None:
    pipeline = make_pipeline()
    feed(pipeline, make_batch([at(0)]))

    assert len(of(feed(pipeline, until=at(1)), WindowClosed)) == 1


def test_a_partition_that_was_assigned_and_not_read_holds_all_windows() -> None:
    pipeline = make_pipeline()
    pipeline.ingest(MicroBatch(assigned=frozenset({P0, P1})), now=0)

    assert of(feed(pipeline, make_batch([at(0)]), until=at(60)), WindowClosed) == []


def test_a_partition_that_falls_idle_lets_windows_close_without_another_event() -> None:
    pipeline = make_pipeline(idle_after=30 * SECOND)
    pipeline.ingest(MicroBatch(assigned=frozenset({P0, P1})), now=at(60))
    feed(pipeline, make_batch([at(0)]), until=at(60), now=at(60))
    pipeline.ingest(MicroBatch(confirmed={P1: at(60) + 30 * SECOND}), now=at(60))

    assert len(of(pipeline.advance(), WindowClosed)) == 1


def test_when_all_partitions_are_idle_the_windows_before_the_newest_event_close() -> None:
    """However little another partition had shown before it fell idle in the same turn."""
    pipeline = make_pipeline(idle_after=30 * SECOND)
    pipeline.ingest(MicroBatch(assigned=frozenset({P0, P1})), now=at(60))
    feed(pipeline, make_batch([at(number) for number in range(6)]), partition=P0, now=at(60))
    pipeline.ingest(MicroBatch(confirmed=dict.fromkeys((P0, P1), at(61))), now=at(61))

    assert len(of(pipeline.advance(), WindowClosed)) == 5


def test_gaps_freeze_timers() -> None:
    """An hour without events is neither a breach nor a clear window."""
    facts = play(make_pipeline(rules=[PATIENT]), "B" + "." * 60 + "B" + "." * 60 + "C")

    assert changes(facts) == [(INACTIVE, PENDING), (PENDING, FIRING), (FIRING, RECOVERING)]


def test_empty_windows_are_not_emitted() -> None:
    facts = play(make_pipeline(), "C..C")

    assert [window.start for window in of(facts, WindowClosed)] == [at(0), at(3)]


def test_series_with_lateness_of_their_own_close_in_their_own_time() -> None:
    pipeline = make_pipeline(make_spec(lateness=MINUTE), make_spec(key=OTHER_KEY))
    facts = feed(pipeline, make_batch([at(0)]), make_batch([at(0)], key=OTHER_KEY), until=at(1))

    assert [window.key for window in of(facts, WindowClosed)] == [OTHER_KEY]


@pytest.mark.parametrize("jump", [True, False])
def test_series_close_in_one_order_however_far_the_watermark_jumps(jump: bool) -> None:
    pipeline = make_pipeline(make_spec(), make_spec(key=OTHER_KEY, lateness=MINUTE))
    times = [at(number) for number in range(3)]
    feed(pipeline, make_batch(times), make_batch(times, key=OTHER_KEY), until=at(0))
    facts = [fact for until in ([5] if jump else range(6)) for fact in feed(pipeline, until=at(until))]

    assert [(window.key, window.start) for window in of(facts, WindowClosed)] == [
        (KEY, at(0)),
        (KEY, at(1)),
        (OTHER_KEY, at(0)),
        (KEY, at(2)),
        (OTHER_KEY, at(1)),
        (OTHER_KEY, at(2)),
    ]


# --- what is said of a window ---------------------------------------------------------------------------------------


def test_scores_are_those_of_the_closed_window_only() -> None:
    facts = play(make_pipeline(), "BC")
    missing = [score.value for score in scores_of(facts) if score.detector == "missing"]

    assert missing == [1.0, 0.0, 0.0, 0.0]  # age and plan, twice


def test_a_closed_window_is_said_before_its_scores_states_and_alerts() -> None:
    kinds = [type(fact) for fact in play(make_pipeline(rules=[CRITICAL]), "B")]
    order = list(dict.fromkeys(kinds))

    assert order == [
        EventsCounted,
        WatermarkAdvanced,
        WindowClosed,
        WindowScored,
        FeaturesTracked,
        AlertSeen,
        AlertChanged,
        RetrainDecided,
    ]


def test_each_feature_has_its_drift_state() -> None:
    facts = play(make_pipeline(rules=[RULE]), "B")

    assert states_of(facts) == {"age": 2, "plan": 0, volume.FEATURE: -1}


def test_volume_learns_the_series_own_mean_from_eight_windows() -> None:
    facts = play(make_pipeline(), "CCCCCCCCCC")
    found = [score.value for score in scores_of(facts) if score.detector == "volume"]

    assert found == [None] * 8 + [0.0] * 2


def test_volume_fires_on_half_and_on_double_the_usual_rows() -> None:
    for rows in (8, 1):
        pipeline = make_pipeline(rules=[VOLUME])
        play(pipeline, "CCCCCCCC")

        facts = feed(pipeline, make_batch([at(8)] * rows), until=at(9))

        assert [changed.after for changed in of(facts, AlertChanged)] == ([FIRING] if rows == 8 else [])


# --- alerts ---------------------------------------------------------------------------------------------------------


def test_an_inactive_alert_is_not_spoken_of() -> None:
    assert of(play(make_pipeline(rules=[RULE]), "CCC"), AlertSeen) == []


def test_an_alert_is_seen_after_every_window_while_it_is_not_inactive() -> None:
    facts = play(make_pipeline(rules=[RULE]), "CBDC")

    assert [seen.state for seen in of(facts, AlertSeen)] == [FIRING, FIRING, INACTIVE]


def test_an_alert_that_did_not_change_is_no_change() -> None:
    assert changes(play(make_pipeline(rules=[RULE]), "BBDB")) == [(INACTIVE, FIRING)]


def test_every_change_of_an_episode_says_the_same_since_and_number() -> None:
    facts = of(play(make_pipeline(rules=[PATIENT]), "CBBCBCC"), AlertChanged)

    assert [fact.after for fact in facts] == [PENDING, FIRING, RECOVERING, FIRING, RECOVERING, INACTIVE]
    assert {fact.since for fact in facts} == {at(2)}
    assert [fact.episode for fact in facts] == [0, 1, 1, 1, 1, 1]


def test_a_change_says_the_window_it_was_decided_on() -> None:
    [fired] = of(play(make_pipeline(rules=[RULE]), "CB"), AlertChanged)

    assert (fired.window.start, fired.window.end, fired.window.rows) == (at(1), at(2), 2)


def test_a_change_says_its_evidence_and_the_reference_it_was_held_against() -> None:
    pipeline = make_pipeline(rules=[RULE])
    [fired] = of(play(pipeline, "B"), AlertChanged)

    assert [(one.feature, one.score, one.threshold, one.rows) for one in fired.evidence] == [("age", 1.0, 0.7, 2)]
    assert fired.reference == pipeline.series[KEY].spec.reference.hash


def test_the_next_episode_has_another_since_and_number() -> None:
    first, _, second = of(play(make_pipeline(rules=[RULE]), "BCB"), AlertChanged)

    assert (first.since, first.episode) == (at(1), 1)
    assert (second.since, second.episode) == (at(3), 2)


def test_with_a_slide_for_counts_disjoint_windows() -> None:
    pipeline = make_pipeline(rules=[PATIENT], length=5 * MINUTE, slide=MINUTE)
    fired = [changed.window.end for changed in of(play(pipeline, "B" * 12), AlertChanged)]

    assert fired == [at(5), at(10)]


def test_the_last_hundred_resolved_alerts_are_kept() -> None:
    pipeline = make_pipeline(rules=[RULE])
    facts = play(pipeline, "BC" * (KEPT_RESOLVED + 10))
    resolved = [changed for changed in of(facts, AlertChanged) if changed.after is INACTIVE]

    assert KEPT_RESOLVED == 100
    assert list(pipeline.resolved) == resolved[-KEPT_RESOLVED:]


def test_a_pending_alert_that_clears_is_not_resolved() -> None:
    pipeline = make_pipeline(rules=[PATIENT])
    play(pipeline, "BC")

    assert not pipeline.resolved


# --- retraining -----------------------------------------------------------------------------------------------------


def test_a_critical_alert_asks_for_retraining_once_an_episode() -> None:
    assert outcomes(play(make_pipeline(rules=[PATIENT]), "BBBBCBCC")) == [RetrainOutcome.REQUESTED]


def test_the_next_episode_asks_again() -> None:
    assert outcomes(play(make_pipeline(rules=[CRITICAL]), "BCB")) == [RetrainOutcome.REQUESTED] * 2


@pytest.mark.parametrize("severity", [Severity.INFO, Severity.WARNING])
def test_only_critical_asks_for_retraining(severity: Severity) -> None:
    assert outcomes(play(make_pipeline(rules=[make_rule(severity=severity)]), "B")) == []


def test_a_pending_alert_does_not_ask_for_retraining() -> None:
    assert outcomes(play(make_pipeline(rules=[PATIENT]), "B")) == []


def test_a_wish_within_the_cooldown_is_suppressed_and_said() -> None:
    facts = play(make_pipeline(rules=[CRITICAL], cooldown=2 * MINUTE + 1), "BCB")

    assert outcomes(facts) == [RetrainOutcome.REQUESTED, RetrainOutcome.COOLDOWN]


def test_the_cooldown_is_event_time() -> None:
    facts = play(make_pipeline(rules=[CRITICAL], cooldown=2 * MINUTE), "BCB")

    assert outcomes(facts) == [RetrainOutcome.REQUESTED] * 2


def test_a_wish_beyond_the_weekly_maximum_is_suppressed_and_said() -> None:
    facts = play(make_pipeline(rules=[CRITICAL], max_per_week=2), "BCBCB")

    assert outcomes(facts) == [RetrainOutcome.REQUESTED, RetrainOutcome.REQUESTED, RetrainOutcome.WEEKLY_MAX]


def test_versions_of_a_model_share_cooldown_and_maximum() -> None:
    specs = [make_spec(key=key, rules=[CRITICAL], cooldown=HOUR) for key in (KEY, OTHER_KEY)]
    ages = [None, None]
    facts = feed(
        make_pipeline(*specs),
        make_batch([at(0), at(0.5)], ages),
        make_batch([at(0), at(0.5)], ages, key=OTHER_KEY),
        until=at(1),
    )

    assert outcomes(facts) == [RetrainOutcome.REQUESTED, RetrainOutcome.COOLDOWN]


def test_two_critical_rules_that_fire_together_ask_once() -> None:
    rules = [CRITICAL, make_rule(name="again", severity=Severity.CRITICAL)]
    facts = play(make_pipeline(rules=rules, cooldown=MINUTE), "B")

    assert outcomes(facts) == [RetrainOutcome.REQUESTED, RetrainOutcome.COOLDOWN]


def test_the_data_to_retrain_on_runs_from_the_onset_to_the_end_of_the_window() -> None:
    [decided] = of(play(make_pipeline(rules=[PATIENT]), "CBDB"), RetrainDecided)

    assert (decided.data_from, decided.data_to) == (at(1), at(4))

"""What a pipeline saves and takes up again, also when configuration or reference have changed."""

import json
import re
import struct
import zlib
from typing import Any

import msgspec
import pytest

from detectors.charts import BudgetSpec
from detectors.univariate import adwin
from monitor.alerting.alerts import AlertState
from monitor.alerting.retraining import RetrainOutcome
from monitor.alerting.rules import AlertRule, Severity
from monitor.facts import (
    AlertChanged,
    AlertSeen,
    EventsCounted,
    Fact,
    FeaturesTracked,
    PanesOpen,
    RequestsStand,
    RetrainDecided,
    RunsStand,
    StateReset,
    WatermarkAdvanced,
    WindowClosed,
    WindowScored,
)
from monitor.pipeline import Pipeline
from monitor.series.history import KEPT_WINDOWS
from monitor.series.judging import FeatureChoice
from monitor.stream.events import SECOND, MicroBatch
from tests.build import (
    DAY,
    HOUR,
    KEY,
    MIDNIGHT,
    MINUTE,
    OTHER_KEY,
    OTHER_REFERENCE,
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
    restored,
    scores_of,
    states_of,
    stored,
)

INACTIVE, PENDING, FIRING, RECOVERING = AlertState
CRITICAL = make_rule(severity=Severity.CRITICAL)
PATIENT = make_rule(hold=2, keep_firing_for=2, severity=Severity.CRITICAL)


def rule_states(pipeline: Pipeline) -> dict[str, AlertState]:
    states = pipeline.series[KEY].features.operator("rules").states
    return {name: state.episode.state for name, state in states.items()}


def outcomes(facts: list[Fact]) -> list[RetrainOutcome]:
    return [decided.outcome for decided in of(facts, RetrainDecided)]


def causes(facts: list[Fact]) -> list[str]:
    return [reset.cause for reset in of(facts, StateReset)]


# --- state ----------------------------------------------------------------------------------------------------------


def test_a_fresh_pipeline_has_nothing_to_say() -> None:
    assert make_pipeline(rules=[RULE]).current() == []


def test_nothing_changed_is_nothing_to_save() -> None:
    pipeline = make_pipeline(rules=[RULE])
    play(pipeline, "BC")
    pipeline.changes()

    assert pipeline.changes() == []


def test_what_changed_and_all_there_is_come_to_the_same() -> None:
    pipeline = make_pipeline(rules=[CRITICAL], slide=MINUTE // 2)
    play(pipeline, "BC.BD", first=1)

    step_by_step, at_once = (
        make_pipeline(rules=[CRITICAL], slide=MINUTE // 2),
        make_pipeline(rules=[CRITICAL], slide=MINUTE // 2),
    )
    restored(stored(pipeline.changes()), step_by_step)
    restored(pipeline, at_once)

    assert stored(step_by_step.snapshot()) == stored(at_once.snapshot()) == stored(pipeline.snapshot())


def test_adwin_is_saved_by_what_it_was_fed_and_whole_only_now_and_then() -> None:
    pipeline, held = make_pipeline(), dict[tuple[str, str], bytes]()
    wholes = 0
    for number in range(200):
        play(pipeline, "CD"[number % 2], first=number)
        changes = pipeline.changes()
        wholes += [record.kind for record in changes].count("adwin")
        held = stored(changes, held)
        assert [kind for kind, _ in held].count("fed") < adwin.PANES
    fresh = make_pipeline()
    restored(held, fresh)

    assert 3 <= wholes <= 6
    assert stored(fresh.snapshot()) == stored(pipeline.snapshot())


def test_adwin_is_saved_whole_after_more_panes_than_its_journal_keeps() -> None:
    pipeline, fresh = make_pipeline(), make_pipeline()
    play(pipeline, "CD" * 50)
    held = stored(pipeline.changes())
    restored(held, fresh)

    assert "fed" not in [kind for kind, _ in held]
    assert stored(fresh.snapshot()) == stored(pipeline.snapshot())


def test_a_change_of_one_series_writes_nothing_of_the_others() -> None:
    pipeline = make_pipeline(make_spec(), make_spec(key=OTHER_KEY))
    feed(pipeline, make_batch([at(0)]), make_batch([at(0)], key=OTHER_KEY))
    pipeline.changes()
    feed(pipeline, make_batch([at(0.5)], key=OTHER_KEY))

    assert {record.key for record in pipeline.changes() if record.kind != "watermark"} == {
        json.dumps([OTHER_KEY.model, OTHER_KEY.version, at(0)], separators=(",", ":"))
    }


def test_open_panes_are_said_again_only_where_something_was_counted_or_closed() -> None:
    pipeline = make_pipeline(make_spec(), make_spec(key=OTHER_KEY))
    feed(pipeline, make_batch([at(0)]))
    pipeline.changes()
    pipeline.open_panes()
    feed(pipeline, make_batch([at(0.5)]))
    pipeline.changes()

    assert pipeline.open_panes() == PanesOpen(((KEY, 1),))
    assert pipeline.open_panes() == PanesOpen(())


def test_an_idle_decision_is_saved_though_the_watermark_did_not_move() -> None:
    pipeline = make_pipeline(idle_after=30 * SECOND)
    feed(pipeline, make_batch([at(0)]))
    pipeline.changes()
    pipeline.ingest(MicroBatch(confirmed={P0: at(1)}), now=at(1))
    pipeline.advance()

    assert [record.kind for record in pipeline.changes()] == ["watermark"]


def test_time_that_passed_without_a_window_stays_sealed_after_a_restart() -> None:
    """Nothing was judged, so nothing else tells that what comes for it is late."""
    pipeline = make_pipeline()
    play(pipeline, "C")
    held = stored(pipeline.changes())
    feed(pipeline, until=at(5))
    fresh = make_pipeline()
    restored(stored(pipeline.changes(), held), fresh)

    assert of(feed(fresh, make_batch([at(3)])), EventsCounted) == [EventsCounted("predictions", "late", 1, KEY)]


def test_a_pane_that_no_window_needs_leaves_the_store() -> None:
    pipeline = make_pipeline(length=2 * MINUTE, slide=MINUTE)
    feed(pipeline, make_batch([at(0), at(1)]))
    held = stored(pipeline.changes())
    feed(pipeline, until=at(9))

    assert [kind for kind, _ in held].count("pane") == 2
    assert "pane" not in [kind for kind, _ in stored(pipeline.changes(), held)]


def test_a_restart_with_nothing_changed_resets_nothing() -> None:
    pipeline = make_pipeline(rules=[PATIENT])
    play(pipeline, "CBBC")

    assert restored(pipeline, make_pipeline(rules=[PATIENT])) == []


def test_a_restored_pipeline_says_where_things_stand() -> None:
    pipeline = make_pipeline(rules=[PATIENT])
    play(pipeline, "BBCCBB")
    fresh = make_pipeline(rules=[PATIENT])
    restored(pipeline, fresh)

    assert fresh.current() == pipeline.current()
    assert {type(fact) for fact in fresh.current()} == {
        WatermarkAdvanced,
        WindowClosed,
        WindowScored,
        FeaturesTracked,
        AlertSeen,
        AlertChanged,
        RequestsStand,
        RunsStand,
    }


def test_the_counts_of_the_last_window_are_there_after_a_restart_but_for_states_that_did_not_keep_them() -> None:
    pipeline = make_pipeline(rules=[PATIENT])
    play(pipeline, "BBC")
    fresh, older = make_pipeline(rules=[PATIENT]), make_pipeline(rules=[PATIENT])
    held = dict(stored(pipeline.snapshot()))
    restored(held, fresh)
    [place] = [place for place in held if place[0] == "report"]
    report = msgspec.msgpack.decode(held[place])
    del report["counts"]
    restored({**held, place: msgspec.msgpack.encode(report)}, older)
    kept, again, none = (of(each.current(), WindowScored)[0].counts for each in (pipeline, fresh, older))

    assert kept is not None
    assert again is not None
    assert again.to_bytes() == kept.to_bytes()
    assert none is None


def test_an_episode_goes_on_after_a_restart() -> None:
    pipeline, fresh = make_pipeline(rules=[PATIENT]), make_pipeline(rules=[PATIENT])
    play(pipeline, "BBC")
    restored(pipeline, fresh)
    [resolved] = of(play(fresh, "C", first=3), AlertChanged)

    assert (resolved.before, resolved.after, resolved.since, resolved.episode) == (RECOVERING, INACTIVE, at(1), 1)


def test_a_state_of_the_first_format_goes_on_but_for_adwin() -> None:
    """It had no last window and no journal, and its ADWIN bank cannot be read: said, not raised."""
    pipeline, fresh = make_pipeline(rules=[PATIENT]), make_pipeline(rules=[PATIENT])
    play(pipeline, "BBC")
    held = {
        place: payload for place, payload in stored(pipeline.snapshot()).items() if place[0] not in {"report", "fed"}
    }
    for (kind, key), payload in held.items():
        if kind == "series":
            held[kind, key] = json.dumps(
                {name: it for name, it in json.loads(payload).items() if name != "last"}
            ).encode()
        elif kind == "adwin":
            first = payload[:4] + b"\x01" + payload[5:-4]
            held[kind, key] = first + struct.pack("<I", zlib.crc32(first))

    facts = restored(held, fresh)

    assert causes(facts) == ["adwin starts anew: the ADWIN bank has format 1, this version reads 2"]
    [resolved] = of(play(fresh, "C", first=3), AlertChanged)
    assert (resolved.before, resolved.after, resolved.episode) == (RECOVERING, INACTIVE, 1)


def test_another_budget_lets_adwin_start_anew() -> None:
    """For its delta follows from the budget, and what it forgot under the old one cannot be had back."""
    pipeline, fresh = make_pipeline(), make_pipeline(plan=BudgetSpec(pane_ns=MINUTE))
    play(pipeline, "CCC")

    facts = restored(pipeline, fresh)

    [cause] = causes(facts)
    assert re.fullmatch(r"adwin starts anew: the ADWIN bank was fed under delta 0\.0005, now it is [0-9.e-]+", cause)
    assert all(score.insufficient for score in fresh.series[KEY].features.operator("adwin").bank.scores())


def test_the_cooldown_goes_on_after_a_restart() -> None:
    spec: dict[str, Any] = {"rules": [CRITICAL], "cooldown": HOUR}
    pipeline, fresh = make_pipeline(**spec), make_pipeline(**spec)
    play(pipeline, "BC")
    restored(pipeline, fresh)

    assert outcomes(play(fresh, "B", first=2)) == [RetrainOutcome.COOLDOWN]


def test_the_last_five_hundred_windows_are_kept() -> None:
    pipeline, fresh = make_pipeline(), make_pipeline()
    held: dict[tuple[str, str], bytes] = {}
    for hundred in range(6):
        play(pipeline, "C" * 100, first=100 * hundred)
        held = stored(pipeline.changes(), held)
    restored(held, fresh)
    ends = [window.end for window in fresh.series[KEY].features.scoring.history.windows]

    assert KEPT_WINDOWS == 500
    assert ends == [at(number + 1) for number in range(100, 600)]
    assert len([kind for kind, _ in held if kind == "window"]) == 500


# --- change of configuration or reference -----------------------------------------------------------------------------


def after_restart(script: str, before: dict[str, Any], now: dict[str, Any]) -> tuple[Pipeline, list[Fact]]:
    """A pipeline that takes up what another one, configured otherwise, has saved after this script."""
    pipeline, fresh = make_pipeline(**before), make_pipeline(**now)
    play(pipeline, script)
    return fresh, restored(pipeline, fresh)


def open_minute(pipeline: Pipeline) -> Pipeline:
    """Two windows are closed, the third has rows."""
    play(pipeline, "CB")
    feed(pipeline, make_batch([at(2), at(2.2), at(2.4)]))
    return pipeline


def test_an_open_window_goes_on_after_a_restart() -> None:
    fresh = make_pipeline()
    restored(open_minute(make_pipeline()), fresh)
    [window] = of(feed(fresh, make_batch([at(2.5)]), until=at(3)), WindowClosed)

    assert window.rows == 4


def test_another_reference_drops_panes_detectors_and_scores_and_says_so() -> None:
    fresh = make_pipeline(reference=OTHER_REFERENCE)
    facts = restored(open_minute(make_pipeline()), fresh)
    view = fresh.series[KEY].features

    assert causes(facts) == ["reference or window changed: panes, detectors and last scores start anew"]
    assert (view.windows.panes, view.windows.origin, view.scoring.last) == ({}, None, None)
    assert all(score.insufficient for score in view.operator("adwin").bank.scores())


def test_another_window_drops_panes_and_says_so() -> None:
    fresh = make_pipeline(length=2 * MINUTE)

    assert len(causes(restored(open_minute(make_pipeline()), fresh))) == 1
    assert fresh.series[KEY].features.windows.panes == {}


def test_another_lateness_drops_nothing() -> None:
    fresh = make_pipeline(lateness=MINUTE)

    assert restored(open_minute(make_pipeline()), fresh) == []
    assert len(fresh.series[KEY].features.windows.panes) == 1


def test_after_a_reset_the_first_window_judged_lies_wholly_after_the_first_event() -> None:
    fresh = make_pipeline(reference=OTHER_REFERENCE)
    restored(open_minute(make_pipeline()), fresh)
    batch = make_batch([at(2.5), at(3)], reference=OTHER_REFERENCE)

    assert [window.start for window in of(feed(fresh, batch, until=at(4)), WindowClosed)] == [at(3)]


def test_after_a_reset_what_was_late_is_still_late() -> None:
    """Otherwise a straggler would count as the first event, and an old window be judged again by its stragglers."""
    fresh = make_pipeline(reference=OTHER_REFERENCE)
    restored(open_minute(make_pipeline()), fresh)
    facts = feed(fresh, make_batch([at(0), at(1)], reference=OTHER_REFERENCE), until=at(9))

    assert of(facts, EventsCounted) == [EventsCounted("predictions", "late", 2, KEY)]
    assert of(facts, WindowClosed) == []


def test_another_reference_leaves_alerts_and_history() -> None:
    fresh, _ = after_restart("CB", {"rules": [RULE]}, {"rules": [RULE], "reference": OTHER_REFERENCE})

    assert rule_states(fresh) == {RULE.name: FIRING}
    assert len(fresh.series[KEY].features.scoring.history.windows) == 2


def test_another_reference_of_one_model_leaves_the_others() -> None:
    pipeline = make_pipeline(make_spec(), make_spec(key=OTHER_KEY))
    fresh = make_pipeline(make_spec(), make_spec(key=OTHER_KEY, reference=OTHER_REFERENCE))
    feed(pipeline, make_batch([at(0)]), make_batch([at(0)], key=OTHER_KEY))

    assert [reset.key for reset in of(restored(pipeline, fresh), StateReset)] == [OTHER_KEY]
    assert len(fresh.series[KEY].features.windows.panes) == 1


def test_the_usual_rows_are_learnt_anew_for_another_window() -> None:
    fresh, _ = after_restart("C" * 20, {}, {"length": 10 * MINUTE})

    assert len(fresh.series[KEY].features.scoring.history.windows) == 20
    assert fresh.series[KEY].features.scoring.history.usual_rows is None


def test_a_changed_rule_resets_only_its_own_alert_and_says_so() -> None:
    other = make_rule(name="other")
    changed = make_rule(fire_above=0.8)
    fresh, facts = after_restart("B", {"rules": [RULE, other]}, {"rules": [changed, other]})

    assert causes(facts) == ["rule age-missing changed: its alert starts anew"]
    assert rule_states(fresh) == {"age-missing": INACTIVE, "other": FIRING}


def test_a_changed_rule_leaves_panes_and_detectors() -> None:
    fresh = make_pipeline(rules=[make_rule(hold=2)])
    restored(open_minute(make_pipeline(rules=[RULE])), fresh)

    assert len(fresh.series[KEY].features.windows.panes) == 1
    assert not any(score.insufficient for score in fresh.series[KEY].features.operator("adwin").bank.scores())


def test_a_removed_rule_is_said() -> None:
    _, facts = after_restart("B", {"rules": [RULE]}, {})

    assert causes(facts) == ["rule age-missing is gone: its alert is forgotten"]


@pytest.mark.parametrize("now", [{}, {"rules": [make_rule(fire_above=0.8)]}])
def test_whoever_was_told_of_an_alert_is_told_that_its_rule_is_gone(now: dict[str, Any]) -> None:
    pipeline = make_pipeline(rules=[RULE])
    fired = of(play(pipeline, "B"), AlertChanged)[-1]
    fresh = make_pipeline(**now)
    (ended,) = of(restored(pipeline, fresh), AlertChanged)

    assert (ended.before, ended.after) == (FIRING, INACTIVE)
    assert (ended.key, ended.rule, ended.since, ended.severity) == (fired.key, fired.rule, fired.since, fired.severity)
    assert fresh.resolved[-1] == ended


def test_a_rule_that_did_not_fire_is_not_resolved_when_it_goes() -> None:
    _, facts = after_restart("C", {"rules": [RULE]}, {})

    assert of(facts, AlertChanged) == []


def test_a_new_rule_is_nothing_to_say() -> None:
    _, facts = after_restart("B", {}, {"rules": [RULE]})

    assert facts == []


@pytest.mark.parametrize("rules", [[], [make_rule(fire_above=0.8)]])
def test_a_feature_does_not_stay_in_drift_by_a_rule_that_is_gone_or_changed(rules: list[AlertRule]) -> None:
    fresh, _ = after_restart("B", {"rules": [RULE]}, {"rules": rules})

    assert states_of(fresh.current())["age"] == -1  # no value in the last window


def test_the_last_scores_carry_todays_thresholds() -> None:
    fresh, _ = after_restart("B", {"rules": [RULE]}, {"rules": [make_rule(fire_above=0.8)]})
    thresholds = {(score.feature, score.detector): score.threshold for score in scores_of(fresh.current())}

    assert thresholds["age", "missing"] == 0.8
    assert thresholds["plan", "missing"] is None


def test_detectors_that_are_no_longer_asked_for_are_not_shown() -> None:
    fresh, _ = after_restart("B", {}, {"choices": {"age": FeatureChoice(detectors=frozenset({"ks"}))}})

    assert {score.detector for score in scores_of(fresh.current()) if score.feature == "age"} == {"ks"}


def test_a_model_that_is_no_longer_configured_is_forgotten_and_said() -> None:
    pipeline = make_pipeline(make_spec(), make_spec(key=OTHER_KEY))
    feed(pipeline, make_batch([at(0)]), make_batch([at(0)], key=OTHER_KEY), until=at(5))
    fresh = make_pipeline()

    assert restored(pipeline, fresh) == [StateReset(OTHER_KEY, "no longer configured: its state is forgotten")]
    rows = {kind for kind, key in stored(fresh.snapshot()) if OTHER_KEY.version in key}
    assert rows == {"version"}, "the model has had it all the same"


def test_a_new_model_begins_where_the_watermark_stands() -> None:
    pipeline = make_pipeline()
    play(pipeline, "CCC")
    fresh = make_pipeline(make_spec(), make_spec(key=OTHER_KEY))
    restored(pipeline, fresh)

    assert of(feed(fresh, make_batch([at(2)], key=OTHER_KEY)), EventsCounted) == [
        EventsCounted("predictions", "late", 1, OTHER_KEY)
    ]


def test_a_topic_that_is_no_longer_read_does_not_hold_the_watermark() -> None:
    pipeline = make_pipeline()
    feed(pipeline, make_batch([at(0)]), partition=P0)
    feed(pipeline, make_batch([at(0.5)]), partition=P1)
    fresh = make_pipeline()
    restored(pipeline, fresh)

    assert len(of(feed(fresh, until=at(1), partition=P0), WindowClosed)) == 1


def test_an_idle_partition_with_a_backlog_is_read_before_windows_close() -> None:
    pipeline = make_pipeline(idle_after=30 * SECOND)
    pipeline.ingest(MicroBatch(assigned=frozenset({P0, P1}), confirmed={P1: at(0)}), now=at(0) - 30 * SECOND)
    feed(pipeline, make_batch([at(0)]), now=at(0))
    fresh = make_pipeline(idle_after=30 * SECOND)
    restored(pipeline, fresh)
    fresh.ingest(MicroBatch(assigned=frozenset({P0, P1})), now=0)
    feed(fresh, make_batch([at(60)]), partition=P0)
    facts = feed(fresh, make_batch([at(0.5)]), partition=P1)

    assert fresh.watermark.value == at(0.5)
    assert of(facts, EventsCounted) == [EventsCounted("predictions", "ok", 1, KEY)]


def test_midnight_is_aligned_to_every_window_used_here() -> None:
    assert MIDNIGHT % DAY == 0

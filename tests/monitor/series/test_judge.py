"""From a closed window to scores, states and alerts."""

import math
from typing import Any

import numpy as np
import pytest

from detectors import DETECTORS, DriftScore, Reference, Sketch
from detectors.univariate import volume
from monitor.alerting.alerts import AlertState
from monitor.alerting.rules import AlertRule, Thresholds
from monitor.series.judge import FeatureChoice, Judge, Judging, Verdict
from monitor.stream.events import Nanos
from monitor.stream.windows import ClosedWindow, SealedPane
from tests.build import MINUTE, REFERENCE, make_batch, make_rule, minute

SECONDS = [second * 1_000_000_000 for second in range(3600)]
RATED = Reference.fit_chunks(
    lambda: [{"age": np.arange(3600.0), "ts": np.array(SECONDS, dtype=np.int64)}],
    timestamp="ts",
    window_ns=5 * MINUTE,
)


def make_judge(*rules: AlertRule, reference: Reference = REFERENCE, **changes: Any) -> Judge:
    return Judge(Judging(reference, MINUTE, rules, **changes))


def sketch_of(ages: list[float | None], plan: str | None = "free") -> Sketch:
    sketch = Sketch.empty(REFERENCE.grid)
    batch = make_batch([0] * len(ages), ages, plan)
    sketch.update(batch.numeric, batch.codes)
    return sketch


def look(judge: Judge, ages: list[float | None], *, number: int = 0, plan: str | None = "free") -> Verdict:
    """Judge the window of one minute, after its only pane was sealed."""
    span, sketch = minute(number), sketch_of(ages, plan)
    judge.see_pane(SealedPane(span.start, span.end, sketch))
    return judge.judge(ClosedWindow(span.start, span.end, sketch), None)


def score(verdict: Verdict, feature: str, detector: str) -> DriftScore:
    [found] = [one for one in verdict.scores if (one.feature, one.detector) == (feature, detector)]
    return found


def watching(detector: str, **changes: Any) -> AlertRule:
    """A rule on every feature that fires on nearly anything."""
    changes = {"features": ("*",), "fire_above": 0.1, "clear_below": 0.05, **changes}
    return make_rule(name=f"{detector}-high", detector=detector, **changes)


def make_volume_rule() -> AlertRule:
    return watching("volume", fire_above=1.0, clear_below=0.5)


# --- scores ---------------------------------------------------------------------------------------------------------


def test_every_detector_is_heard() -> None:
    assert {one.detector for one in look(make_judge(), [50.0]).scores} == set(DETECTORS)


def test_ks_and_adwin_judge_numeric_features_only_and_chi2_categorical_ones() -> None:
    heard = {(one.detector, one.feature) for one in look(make_judge(), [50.0]).scores}

    assert {detector for detector, feature in heard if feature == "age"} == {"adwin", "ks", "missing", "psi", "unseen"}
    assert {detector for detector, feature in heard if feature == "plan"} == {"chi2", "missing", "psi", "unseen"}


@pytest.mark.parametrize("detector", ["ks", "psi", "adwin"])
def test_below_min_rows_usable_values_a_feature_has_insufficient_data(detector: str) -> None:
    few: list[float | None] = [50.0] * 9 + [None] * 100

    assert score(look(make_judge(min_rows=10), few), "age", detector).insufficient
    assert not score(look(make_judge(min_rows=9), few), "age", detector).insufficient


def test_min_rows_counts_for_each_feature_by_itself() -> None:
    verdict = look(make_judge(min_rows=10), [None] * 20)

    assert score(verdict, "age", "psi").insufficient
    assert not score(verdict, "plan", "psi").insufficient


@pytest.mark.parametrize("detector", ["missing", "unseen"])
def test_missing_and_unseen_are_judged_on_all_rows_however_few(detector: str) -> None:
    assert not score(look(make_judge(min_rows=1000), [None]), "age", detector).insufficient


def test_missing_is_usable_in_rules() -> None:
    verdict = look(make_judge(watching("missing")), [None])

    assert [step.after.state for step in verdict.steps] == [AlertState.FIRING]


def test_unseen_is_usable_in_rules() -> None:
    verdict = look(make_judge(watching("unseen")), [1000.0])

    assert [step.after.state for step in verdict.steps] == [AlertState.FIRING]


def test_adwin_says_nothing_of_a_feature_without_a_value_in_the_window() -> None:
    """What it remembers of earlier panes is no news: a run must not grow by it."""
    judge = make_judge(watching("adwin", hold=2))
    first = look(judge, [99.0] * 50, number=0)
    second = look(judge, [None] * 50, number=1)

    assert not score(first, "age", "adwin").insufficient
    assert score(second, "age", "adwin").insufficient
    assert second.steps[0].after.state is AlertState.PENDING


def test_adwin_remembers_panes_across_windows() -> None:
    judge = make_judge()
    look(judge, [99.0] * 50, number=0)

    assert score(look(judge, [99.0] * 30, number=1), "age", "adwin").rows == 80


def test_a_judge_does_not_feed_adwin_by_itself_since_windows_may_overlap() -> None:
    judge = make_judge()
    for number in range(3):
        verdict = judge.judge(ClosedWindow(minute(number).start, minute(number).end, sketch_of([50.0] * 9)), None)

    assert score(verdict, "age", "adwin").insufficient


# --- volume ---------------------------------------------------------------------------------------------------------


def test_volume_is_unknown_without_an_expected_rate() -> None:
    assert score(look(make_judge(), [50.0]), volume.FEATURE, "volume").insufficient


def test_volume_expects_the_references_own_rate_times_the_window() -> None:
    judge = make_judge(reference=RATED)

    assert RATED.rows_per_second == 1.0
    assert judge.expected_rows(None) == 60.0
    assert judge.expected_rows(5.0) == 60.0


def test_volume_expects_the_series_usual_rows_where_the_reference_has_no_rate() -> None:
    span = minute(0)
    verdict = make_judge().judge(ClosedWindow(span.start, span.end, sketch_of([50.0] * 5)), usual_rows=20.0)

    assert score(verdict, volume.FEATURE, "volume").value == pytest.approx(2.0)


def test_volume_is_usable_in_rules() -> None:
    span = minute(0)
    judge = make_judge(make_volume_rule())
    verdict = judge.judge(ClosedWindow(span.start, span.end, sketch_of([50.0] * 5)), usual_rows=20.0)

    assert [step.after.state for step in verdict.steps] == [AlertState.FIRING]
    assert verdict.states[volume.FEATURE] == 2


# --- thresholds and choices -----------------------------------------------------------------------------------------


def test_a_score_carries_the_lowest_fire_above_that_applies() -> None:
    judge = make_judge(
        make_rule(name="a", detector="psi", fire_above=0.5),
        make_rule(name="b", detector="psi", fire_above=0.3),
        make_rule(name="c", detector="ks", fire_above=0.2),
    )

    assert score(look(judge, [50.0]), "age", "psi").threshold == 0.3


def test_where_no_rule_applies_the_threshold_is_absent() -> None:
    judge = make_judge(make_rule(detector="psi", features=("age",)))

    assert score(look(judge, [50.0]), "plan", "psi").threshold is None
    assert score(look(judge, [50.0]), "age", "ks").threshold is None


def test_a_feature_may_have_thresholds_of_its_own() -> None:
    own = {"plan": FeatureChoice(thresholds={"missing": Thresholds(0.95, 0.9)})}
    judge = make_judge(watching("missing"), choices=own)
    verdict = look(judge, [50.0] * 9, plan=None)

    assert score(verdict, "plan", "missing").threshold == 0.95
    assert score(verdict, "age", "missing").threshold == 0.1
    assert [one.threshold for one in judge.rule_states["missing-high"].evidence()] == [0.95]


def test_thresholds_of_another_detector_change_nothing() -> None:
    own = {"age": FeatureChoice(thresholds={"psi": Thresholds(9.0)})}

    assert score(look(make_judge(watching("missing"), choices=own), [1.0]), "age", "missing").threshold == 0.1


def test_only_the_detectors_asked_for_are_heard() -> None:
    judge = make_judge(choices={"age": FeatureChoice(detectors=frozenset({"psi"}))})

    assert {one.detector for one in look(judge, [50.0]).scores if one.feature == "age"} == {"psi"}


def test_a_rule_does_not_watch_a_feature_whose_detector_is_not_asked_for() -> None:
    judge = make_judge(watching("missing"), choices={"age": FeatureChoice(detectors=frozenset({"psi"}))})

    assert list(judge.rule_states["missing-high"].rules) == ["plan"]


def test_rules_do_not_share_their_alerts() -> None:
    judge = make_judge(watching("missing"), watching("unseen"))
    verdict = look(judge, [None])

    assert [step.after.state for step in verdict.steps] == [AlertState.FIRING, AlertState.INACTIVE]


# --- states ---------------------------------------------------------------------------------------------------------


def states_after(rule: AlertRule, *windows: list[float | None], min_rows: int = 1) -> dict[str, int]:
    judge = make_judge(rule, min_rows=min_rows)
    for number, ages in enumerate(windows):
        verdict = look(judge, ages, number=number)
    return verdict.states


def test_a_feature_without_alerts_is_in_state_0() -> None:
    assert states_after(watching("missing"), [50.0])["age"] == 0


def test_a_firing_rule_makes_the_state_2() -> None:
    states = states_after(watching("missing"), [None])

    assert (states["age"], states["plan"]) == (2, 0)


def test_a_pending_rule_makes_the_state_1() -> None:
    assert states_after(watching("missing", hold=2), [None])["age"] == 1


def test_a_recovering_rule_makes_the_state_1() -> None:
    assert states_after(watching("missing", keep_firing_for=2), [None], [50.0])["age"] == 1


def test_a_feature_with_too_few_values_is_in_state_minus_1() -> None:
    assert states_after(watching("psi"), [50.0] * 9, min_rows=10) == {"age": -1, "plan": -1, volume.FEATURE: -1}


def test_an_alert_counts_more_than_insufficient_data() -> None:
    assert states_after(watching("missing"), [None] * 9, min_rows=10)["age"] == 2


def test_a_feature_of_which_only_missing_is_asked_has_a_state() -> None:
    choices = {"age": FeatureChoice(detectors=frozenset({"missing"}))}
    judge = make_judge(watching("missing"), choices=choices, min_rows=1000)

    assert look(judge, [50.0], number=0).states["age"] == 0
    assert look(judge, [None], number=1).states["age"] == 2


def test_the_worst_of_several_rules_makes_the_state() -> None:
    judge = make_judge(watching("missing", hold=2), watching("unseen"))

    assert look(judge, [None, 1000.0]).states["age"] == 2


def test_scores_are_numbers_or_absent_whatever_the_window() -> None:
    for ages in ([None], [math.inf], [1e308, -1e308], [50.0]):
        for one in look(make_judge(), list[float | None](ages), plan="new").scores:
            assert one.value is None or math.isfinite(one.value)


def test_windows_of_any_length_have_their_expected_rows() -> None:
    lengths: list[Nanos] = [MINUTE, 60 * MINUTE]

    assert [Judge(Judging(RATED, length)).expected_rows(None) for length in lengths] == [60.0, 3600.0]

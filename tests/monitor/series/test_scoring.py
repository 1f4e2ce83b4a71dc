"""From a closed window to scores, states and alerts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from detectors import DETECTORS, DriftScore, Reference, Sketch
from detectors.univariate import volume
from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import AlertRule, Thresholds
from monitor.facts import AlertSeen, WindowClosed, WindowScored
from monitor.series.history import SELF_LEARNT_VOLUME, History, VolumeScorer
from monitor.series.judging import FeatureChoice
from monitor.series.view import View
from monitor.stream.delta import Folder
from monitor.stream.events import FEATURES, EventBatch, Nanos
from tests.build import KEY, MINUTE, at, make_batch, make_pipeline, make_rule, of

SECONDS = [second * 1_000_000_000 for second in range(3600)]
RATED = Reference.fit_chunks(
    lambda: [{"age": np.arange(3600.0), "ts": np.array(SECONDS, dtype=np.int64)}],
    timestamp="ts",
    window_ns=5 * MINUTE,
)


def make_view(*rules: AlertRule, **changes: Any) -> View[Sketch]:
    return make_pipeline(rules=rules, **changes).series[KEY].features


@dataclass
class Verdict:
    """What a closed window was found to be."""

    scores: Sequence[DriftScore]
    states: Mapping[str, int]
    alerts: Mapping[str, AlertState]
    evidence: Mapping[str, tuple[Evidence, ...]]


def look(view: View[Sketch], ages: list[float | None], *, number: int = 0, plan: str | None = "free") -> Verdict:
    """Judge the window of one minute, whose only pane is sealed with it."""
    feed_view(view, make_batch([at(number)] * len(ages), ages, plan))
    facts = view.close(at(number + 1))
    [scored] = of(facts, WindowScored)
    seen = {each.rule: each for each in of(facts, AlertSeen)}
    states, evidence = ({rule: getattr(each, name) for rule, each in seen.items()} for name in ("state", "evidence"))
    return Verdict(scored.scores, scored.states, states, evidence)


def feed_view(view: View[Sketch], batch: EventBatch) -> None:
    for delta in Folder({(KEY, FEATURES): MINUTE}).fold(batch):
        view.merge(delta)


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
    assert {one.detector for one in look(make_view(), [50.0]).scores} == set(DETECTORS)


def test_ks_and_adwin_judge_numeric_features_only_and_chi2_categorical_ones() -> None:
    heard = {(one.detector, one.feature) for one in look(make_view(), [50.0]).scores}

    assert {detector for detector, feature in heard if feature == "age"} == {"adwin", "ks", "missing", "psi", "unseen"}
    assert {detector for detector, feature in heard if feature == "plan"} == {"chi2", "missing", "psi", "unseen"}


@pytest.mark.parametrize("detector", ["ks", "psi", "adwin"])
def test_below_min_rows_usable_values_a_feature_has_insufficient_data(detector: str) -> None:
    few: list[float | None] = [50.0] * 9 + [None] * 100

    assert score(look(make_view(min_rows=10), few), "age", detector).insufficient
    assert not score(look(make_view(min_rows=9), few), "age", detector).insufficient


def test_min_rows_counts_for_each_feature_by_itself() -> None:
    verdict = look(make_view(min_rows=10), [None] * 20)

    assert score(verdict, "age", "psi").insufficient
    assert not score(verdict, "plan", "psi").insufficient


@pytest.mark.parametrize("detector", ["missing", "unseen"])
def test_missing_and_unseen_are_judged_on_all_rows_however_few(detector: str) -> None:
    assert not score(look(make_view(min_rows=1000), [None]), "age", detector).insufficient


def test_missing_is_usable_in_rules() -> None:
    assert look(make_view(watching("missing")), [None]).alerts == {"missing-high": AlertState.FIRING}


def test_unseen_is_usable_in_rules() -> None:
    assert look(make_view(watching("unseen")), [1000.0]).alerts == {"unseen-high": AlertState.FIRING}


def test_adwin_says_nothing_of_a_feature_without_a_value_in_the_window() -> None:
    """What it remembers of earlier panes is no news: a run must not grow by it."""
    view = make_view(watching("adwin", hold=2))
    first = look(view, [99.0] * 50, number=0)
    second = look(view, [None] * 50, number=1)

    assert not score(first, "age", "adwin").insufficient
    assert score(second, "age", "adwin").insufficient
    assert second.alerts == {"adwin-high": AlertState.PENDING}


def test_adwin_remembers_panes_across_windows() -> None:
    view = make_view()
    look(view, [99.0] * 50, number=0)

    assert score(look(view, [99.0] * 30, number=1), "age", "adwin").rows == 80


def test_adwin_takes_each_pane_once_however_much_windows_overlap() -> None:
    view = make_view(length=3 * MINUTE, slide=MINUTE)
    for number in range(2):
        feed_view(view, make_batch([at(number)] * 9))
        assert of(view.close(at(number + 1)), WindowScored) == []
    rows = [score(look(view, [50.0] * 9, number=number), "age", "adwin").rows for number in range(2, 5)]

    assert rows == [27, 36, 45]


# --- volume ---------------------------------------------------------------------------------------------------------


def test_volume_is_unknown_without_an_expected_rate() -> None:
    assert score(look(make_view(), [50.0]), volume.FEATURE, "volume").insufficient


def history(*rows: int, length: Nanos = MINUTE) -> History:
    found = History(MINUTE)
    for number, count in enumerate(rows):
        found.add(WindowClosed(KEY, at(number), at(number) + length, count, ()))
    return found


def test_volume_expects_the_references_own_rate_times_the_window() -> None:
    assert RATED.rows_per_second == 1.0
    assert VolumeScorer(history(), 1.0, MINUTE).expected_rows == 60.0
    assert VolumeScorer(history(*[5] * 10), 1.0, 60 * MINUTE).expected_rows == 3600.0


def test_volume_expects_the_usual_rows_of_windows_as_long_where_the_reference_has_no_rate() -> None:
    enough = [20] * SELF_LEARNT_VOLUME

    assert VolumeScorer(history(*enough), None, MINUTE).expected_rows == 20.0
    assert VolumeScorer(history(*enough[1:]), None, MINUTE).expected_rows is None
    assert VolumeScorer(history(*enough, length=2 * MINUTE), None, MINUTE).expected_rows is None


def test_a_rate_is_learnt_from_the_windows_before() -> None:
    view = make_view(make_volume_rule())
    for number in range(SELF_LEARNT_VOLUME):
        look(view, [50.0] * 20, number=number)
    verdict = look(view, [50.0] * 5, number=SELF_LEARNT_VOLUME)

    assert score(verdict, volume.FEATURE, "volume").value == pytest.approx(2.0)
    assert verdict.alerts == {"volume-high": AlertState.FIRING}
    assert verdict.states[volume.FEATURE] == 2


# --- thresholds and choices -----------------------------------------------------------------------------------------


def test_a_score_carries_the_lowest_fire_above_that_applies() -> None:
    view = make_view(
        make_rule(name="a", detector="psi", fire_above=0.5),
        make_rule(name="b", detector="psi", fire_above=0.3),
        make_rule(name="c", detector="ks", fire_above=0.2),
    )

    assert score(look(view, [50.0]), "age", "psi").threshold == 0.3


def test_where_no_rule_applies_the_threshold_is_absent() -> None:
    view = make_view(make_rule(detector="psi", features=("age",)))

    assert score(look(view, [50.0]), "plan", "psi").threshold is None
    assert score(look(view, [50.0]), "age", "ks").threshold is None


def test_a_feature_may_have_thresholds_of_its_own() -> None:
    own = {"plan": FeatureChoice(thresholds={"missing": Thresholds(0.95, 0.9)})}
    view = make_view(watching("missing"), choices=own)
    verdict = look(view, [50.0] * 9, plan=None)

    assert score(verdict, "plan", "missing").threshold == 0.95
    assert score(verdict, "age", "missing").threshold == 0.1
    assert [one.threshold for one in verdict.evidence["missing-high"]] == [0.95]


def test_thresholds_of_another_detector_change_nothing() -> None:
    own = {"age": FeatureChoice(thresholds={"psi": Thresholds(9.0)})}

    assert score(look(make_view(watching("missing"), choices=own), [1.0]), "age", "missing").threshold == 0.1


def test_only_the_detectors_asked_for_are_heard() -> None:
    view = make_view(choices={"age": FeatureChoice(detectors=frozenset({"psi"}))})

    assert {one.detector for one in look(view, [50.0]).scores if one.feature == "age"} == {"psi"}


def test_a_rule_does_not_watch_a_feature_whose_detector_is_not_asked_for() -> None:
    view = make_view(watching("missing"), choices={"age": FeatureChoice(detectors=frozenset({"psi"}))})

    assert [one.feature for one in look(view, [None], plan=None).evidence["missing-high"]] == ["plan"]


def test_rules_do_not_share_their_alerts() -> None:
    view = make_view(watching("missing"), watching("unseen"))
    verdict = look(view, [None])

    assert verdict.alerts == {"missing-high": AlertState.FIRING}


# --- states ---------------------------------------------------------------------------------------------------------


def states_after(rule: AlertRule, *windows: list[float | None], min_rows: int = 1) -> dict[str, int]:
    view = make_view(rule, min_rows=min_rows)
    for number, ages in enumerate(windows):
        verdict = look(view, ages, number=number)
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
    view = make_view(watching("missing"), choices=choices, min_rows=1000)

    assert look(view, [50.0], number=0).states["age"] == 0
    assert look(view, [None], number=1).states["age"] == 2


def test_the_worst_of_several_rules_makes_the_state() -> None:
    view = make_view(watching("missing", hold=2), watching("unseen"))

    assert look(view, [None, 1000.0]).states["age"] == 2


def test_scores_are_numbers_or_absent_whatever_the_window() -> None:
    for ages in ([None], [math.inf], [1e308, -1e308], [50.0]):
        for one in look(make_view(), list[float | None](ages), plan="new").scores:
            assert one.value is None or math.isfinite(one.value)

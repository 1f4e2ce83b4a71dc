"""What a rule makes of one score."""

import pytest

from monitor.alerting.rules import Signal, Thresholds, lowest_threshold
from tests.build import a_score, make_rule

RULE = make_rule(fire_above=0.25, clear_below=0.1)


@pytest.mark.parametrize(
    ("value", "signal"),
    [
        (0.26, Signal.BREACH),
        (0.25, Signal.DEADBAND),
        (0.11, Signal.DEADBAND),
        (0.1, Signal.CLEAR),
        (0.0, Signal.CLEAR),
    ],
)
def test_a_score_breaches_above_fire_above_and_clears_at_clear_below(value: float, signal: Signal) -> None:
    assert RULE.classify(a_score(value)) is signal


def test_without_a_deadband_every_score_breaches_or_clears() -> None:
    rule = make_rule(fire_above=0.25, clear_below=0.25)

    assert rule.classify(a_score(0.25)) is Signal.CLEAR
    assert rule.classify(a_score(0.26)) is Signal.BREACH


def test_insufficient_data_is_no_data() -> None:
    assert RULE.classify(a_score(None)) is Signal.NO_DATA


def test_an_absent_score_is_no_data() -> None:
    assert RULE.classify(None) is Signal.NO_DATA


def test_a_score_of_fewer_rows_than_the_rule_asks_for_is_no_data() -> None:
    rule = make_rule(min_rows=10)

    assert rule.classify(a_score(1.0, rows=9)) is Signal.NO_DATA
    assert rule.classify(a_score(1.0, rows=10)) is Signal.BREACH


@pytest.mark.parametrize(
    ("patterns", "applies"),
    [(("*",), True), (("age",), True), (("a*", "b"), True), (("Age",), False), (("ag",), False)],
)
def test_a_rule_applies_to_names_and_globs(patterns: tuple[str, ...], applies: bool) -> None:
    assert make_rule(features=patterns).applies_to("age") is applies


def test_the_prediction_is_a_feature_like_any_other() -> None:
    assert make_rule(features=("__prediction__",)).applies_to("__prediction__")
    assert not make_rule(features=("__prediction__",)).applies_to("age")


def test_a_features_own_thresholds_stand_in_for_the_rules() -> None:
    own = RULE.adjusted(Thresholds(0.8, 0.5))

    assert (own.fire_above, own.clear_below) == (0.8, 0.5)


def test_a_feature_with_only_its_own_fire_above_keeps_the_proportion_of_the_deadband() -> None:
    own = make_rule(fire_above=0.4, clear_below=0.1).adjusted(Thresholds(0.8))

    assert (own.fire_above, own.clear_below) == (0.8, 0.2)


def test_a_feature_without_thresholds_of_its_own_has_the_rules() -> None:
    assert RULE.adjusted(None) == RULE


def test_a_rule_that_fires_above_zero_can_be_adjusted() -> None:
    own = make_rule(fire_above=0.0, clear_below=0.0).adjusted(Thresholds(0.5))

    assert own.clear_below == 0.5


def test_the_threshold_is_the_lowest_fire_above_that_applies() -> None:
    assert lowest_threshold([make_rule(fire_above=0.9), RULE, make_rule(fire_above=0.5)]) == 0.25


def test_where_no_rule_applies_the_threshold_is_absent() -> None:
    assert lowest_threshold([]) is None


def test_clear_below_must_not_exceed_fire_above() -> None:
    with pytest.raises(ValueError, match=r"age-missing: clear_below 0.3 must not exceed fire_above 0.25"):
        make_rule(fire_above=0.25, clear_below=0.3)


@pytest.mark.parametrize("count", ["hold", "keep_firing_for"])
def test_runs_are_at_least_one_window_long(count: str) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        make_rule(**{count: 0})

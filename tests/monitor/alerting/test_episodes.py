"""The alert that people see: one a rule, as bad as its worst feature."""

from dataclasses import replace

from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import Episode, Evidence, RuleState, evidence_of, worst
from monitor.alerting.rules import AlertRule
from tests.build import a_score, make_rule, minute

INACTIVE, PENDING, FIRING, RECOVERING = AlertState
TWICE = make_rule(features=("*",), hold=2, keep_firing_for=2)
VALUES = {"B": 0.9, "D": 0.5, "C": 0.1, "-": None}  # around 0.7 and 0.2


def follow(rule: AlertRule = TWICE, **scripts: str) -> tuple[RuleState, list[Episode]]:
    """The rule's state after a script of signals for each feature, a window a letter, and its episodes on the way."""
    state = RuleState(dict.fromkeys(scripts, rule))
    found = []
    for number, letters in enumerate(zip(*scripts.values(), strict=True)):
        scores = {name: a_score(VALUES[letter], name) for name, letter in zip(scripts, letters, strict=True)}
        found.append(state.step(scores, minute(number))[1])
    return state, found


def states(rule: AlertRule = TWICE, **scripts: str) -> list[AlertState]:
    return [episode.state for episode in follow(rule, **scripts)[1]]


def test_the_worst_state_is_firing_then_recovering_then_pending() -> None:
    assert worst([INACTIVE, PENDING, RECOVERING, FIRING]) is FIRING
    assert worst([INACTIVE, PENDING, RECOVERING]) is RECOVERING
    assert worst([INACTIVE, PENDING]) is PENDING
    assert worst([]) is INACTIVE


def test_the_alert_is_as_bad_as_its_worst_feature() -> None:
    assert states(a="BBBB", b="CCBB") == [PENDING, FIRING, FIRING, FIRING]
    assert states(a="BBCC", b="CBBB") == [PENDING, FIRING, FIRING, FIRING]


def test_features_have_runs_of_their_own() -> None:
    assert states(a="BCBC", b="CBCB") == [PENDING] * 4


def test_an_episode_lasts_until_its_last_feature_is_clear() -> None:
    _, episodes = follow(a="BBCCC", b="CBBCC")

    assert [episode.state for episode in episodes] == [PENDING, FIRING, FIRING, RECOVERING, INACTIVE]
    assert {episode.number for episode in episodes[1:]} == {1}


def test_firing_recovering_and_firing_again_is_the_same_episode() -> None:
    _, episodes = follow(a="BBCB")

    assert [episode.state for episode in episodes] == [PENDING, FIRING, RECOVERING, FIRING]
    assert episodes[3].number == episodes[1].number
    assert episodes[3].since == episodes[1].since


def test_firing_after_resolving_is_the_next_episode() -> None:
    _, episodes = follow(a="BBCCBB")

    assert [episode.number for episode in episodes] == [0, 1, 1, 1, 1, 2]


def test_a_pending_alert_that_clears_is_no_episode() -> None:
    _, episodes = follow(a="BCBB")

    assert [episode.number for episode in episodes] == [0, 0, 0, 1]


def test_since_is_the_end_of_the_first_breaching_window() -> None:
    _, episodes = follow(a="CBDB")

    assert [episode.since for episode in episodes] == [None, *[minute(1).end] * 3]


def test_since_is_that_of_the_feature_that_fires_first() -> None:
    _, episodes = follow(a="BDDB", b="CBBB")

    assert episodes[2].state is FIRING
    assert {episode.since for episode in episodes[2:]} == {minute(1).end}


def test_since_stays_while_features_come_and_go() -> None:
    _, episodes = follow(a="BBCCC", b="CBBBB")

    assert {episode.since for episode in episodes} == {minute(0).end}


def test_since_is_never_inside_the_last_episode_or_ids_would_repeat() -> None:
    """b breaches once while a fires, and stays pending past the end of a's episode."""
    _, episodes = follow(a="BBCCCC", b="CBDDDB")

    assert [episode.state for episode in episodes] == [PENDING, FIRING, RECOVERING, PENDING, PENDING, FIRING]
    assert [episode.number for episode in episodes] == [0, 1, 1, 1, 1, 2]
    assert {episode.since for episode in episodes[:3]} == {minute(0).end}
    assert {episode.since for episode in episodes[3:]} == {minute(3).end}  # the end of a's episode


def test_an_episode_ends_when_its_features_are_no_longer_watched() -> None:
    firing = Episode(FIRING, since=minute(0).end, number=1)

    assert firing.follow([], minute(5)) == Episode(INACTIVE, None, 1, resolved_at=minute(5).end)


def test_evidence_is_ordered_by_score_over_threshold() -> None:
    near, far = make_rule(fire_above=0.8), make_rule(fire_above=0.2)

    found = evidence_of([(near, a_score(0.9, "a")), (far, a_score(0.4, "b"))])

    assert [one.feature for one in found] == ["b", "a"]


def test_evidence_of_equal_excess_is_ordered_by_name() -> None:
    rule = make_rule()

    found = evidence_of((rule, a_score(0.9, name)) for name in "cab")

    assert [one.feature for one in found] == ["a", "b", "c"]


def test_a_threshold_of_zero_orders_by_the_score_alone() -> None:
    rule = make_rule(fire_above=0.0, clear_below=0.0)

    found = evidence_of((rule, a_score(value, name)) for name, value in (("a", 0.1), ("b", 0.2)))

    assert [one.feature for one in found] == ["b", "a"]


def test_evidence_says_feature_detector_score_threshold_and_rows() -> None:
    assert evidence_of([(make_rule(), a_score(0.9, rows=12))]) == (Evidence("age", "missing", 0.9, 0.7, None, 12),)


def test_evidence_says_how_much_its_score_may_be_understated() -> None:
    score = replace(a_score(0.9, rows=12), details={"resolution": 0.004})

    (found,) = evidence_of([(make_rule(), score)])

    assert found.resolution == 0.004


def test_words_are_no_part_of_what_is_equal() -> None:
    """They may come from examples, which are not saved."""
    (found,) = evidence_of([(make_rule(), a_score(0.9))])

    assert replace(found, words="mean +0.8 σ") == found


def test_the_evidence_of_a_firing_alert_is_its_firing_features() -> None:
    state, _ = follow(a="BBBB", b="CCCB", c="BBBC", d="CCCC")

    assert [one.feature for one in state.evidence()] == ["a"]  # b is pending, c recovering


def test_the_evidence_of_a_pending_alert_is_its_pending_features() -> None:
    state, _ = follow(a="B", b="C")

    assert [one.feature for one in state.evidence()] == ["a"]


def test_a_resolved_alert_has_no_evidence() -> None:
    state, _ = follow(a="BBCC")

    assert state.evidence() == ()


def test_evidence_holds_the_last_score_there_was() -> None:
    state, _ = follow(a="BBD-")

    assert [one.score for one in state.evidence()] == [0.5]


def test_evidence_names_the_features_own_threshold() -> None:
    state = RuleState({"a": make_rule(fire_above=0.3)})
    state.step({"a": a_score(0.9, "a")}, minute(0))

    assert [one.threshold for one in state.evidence()] == [0.3]


def test_a_rule_keeps_nothing_of_a_feature_that_is_inactive() -> None:
    state, _ = follow(a="BBCC", b="CCCC")

    assert (state.alerts, state.scores) == ({}, {})

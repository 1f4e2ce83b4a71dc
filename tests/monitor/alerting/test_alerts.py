"""The life of an alert on one feature."""

from collections.abc import Iterable

import msgspec
import pytest

from monitor.alerting.alerts import Alert, AlertState, Span
from monitor.alerting.episodes import Episode
from monitor.alerting.rules import AlertRule, Signal
from monitor.stream.events import Nanos
from tests.build import at, make_rule, minute

AT_ONCE = make_rule()
PATIENT = make_rule(hold=3, keep_firing_for=3)
SIGNALS = {"B": Signal.BREACH, "D": Signal.DEADBAND, "C": Signal.CLEAR, "-": Signal.NO_DATA}
STATES = {AlertState.INACTIVE: ".", AlertState.PENDING: "p", AlertState.FIRING: "F", AlertState.RECOVERING: "r"}


def after(script: str, rule: AlertRule = AT_ONCE, windows: Iterable[Span] | None = None) -> Alert:
    """The alert after a window a minute, each with one signal."""
    alert = Alert()
    for letter, window in zip(script, windows or map(minute, range(len(script))), strict=False):
        alert = alert.step(rule, SIGNALS[letter], window)
    return alert


def states(script: str, rule: AlertRule = AT_ONCE) -> str:
    """The state after each window: . inactive, p pending, F firing, r recovering."""
    return "".join(STATES[after(script[: end + 1], rule).state] for end in range(len(script)))


def overlapping(length: int, slide: int) -> Iterable[Span]:
    """Windows so many minutes long, a slide apart."""
    return (Span(at(number * slide), at(number * slide + length)) for number in range(1000))


def test_with_for_1_an_alert_fires_at_once() -> None:
    assert states("B") == "F"


def test_an_alert_fires_on_the_last_of_for_consecutive_breaching_windows() -> None:
    assert states("BBB", PATIENT) == "ppF"


def test_a_clear_window_ends_a_pending_alert() -> None:
    assert states("BBCBB", PATIENT) == "pp.pp"


@pytest.mark.parametrize("script", ["BDBDB", "BDDBB", "DBBDB"])
def test_a_deadband_window_neither_adds_to_a_breaching_run_nor_breaks_it(script: str) -> None:
    assert states(script, PATIENT)[-2:] == "pF"


@pytest.mark.parametrize("script", ["B-B-B", "B--BB", "-BB-B"])
def test_a_window_without_data_neither_adds_to_a_breaching_run_nor_breaks_it(script: str) -> None:
    assert states(script, PATIENT)[-2:] == "pF"


def test_an_alert_stays_firing_inside_the_deadband() -> None:
    assert states("BDDDD") == "FFFFF"


def test_an_alert_stays_firing_without_data() -> None:
    assert states("B----") == "FFFFF"


def test_an_alert_in_the_deadband_does_not_start() -> None:
    assert states("DDDD") == "...."


def test_an_alert_without_data_does_not_start() -> None:
    assert states("----") == "...."


def test_with_keep_firing_for_1_an_alert_resolves_on_the_first_clear_window() -> None:
    assert states("BC") == "F."


def test_an_alert_resolves_on_the_last_of_keep_firing_for_consecutive_clear_windows() -> None:
    assert states("BBBCCC", PATIENT) == "ppFrr."


def test_deadband_and_no_data_neither_add_to_a_clear_run_nor_break_it() -> None:
    assert states("BBBC-DC-DC", PATIENT) == "ppFrrrrrr."


def test_a_recovering_alert_fires_again_on_the_first_breach() -> None:
    assert states("BBBCCB", PATIENT) == "ppFrrF"


def test_a_clear_run_begins_anew_after_a_breach() -> None:
    assert states("BBBCCBCCC", PATIENT) == "ppFrrFrr."


def test_since_is_the_end_of_the_first_breaching_window() -> None:
    assert after("CBBB", PATIENT).since == minute(1).end


def test_since_stays_through_firing_recovering_and_firing_again() -> None:
    assert after("BBBDCB-", PATIENT).since == minute(0).end


def test_a_resolved_alert_remembers_nothing() -> None:
    assert after("BBBCCC", PATIENT) == Alert()


def test_a_pending_alert_that_cleared_remembers_nothing() -> None:
    assert after("BBC", PATIENT) == Alert()


@pytest.mark.parametrize(("length", "slide", "fires_on"), [(10, 1, 20), (10, 2, 10), (10, 5, 4), (10, 10, 2)])
def test_with_a_slide_for_counts_disjoint_windows(length: int, slide: int, fires_on: int) -> None:
    breaches = "B" * (fires_on + 1)

    assert after(breaches[:-1], PATIENT, overlapping(length, slide)).state is AlertState.PENDING
    assert after(breaches, PATIENT, overlapping(length, slide)).state is AlertState.FIRING


def test_with_a_slide_keep_firing_for_counts_disjoint_windows() -> None:
    script = "B" + "C" * 21

    rule = make_rule(keep_firing_for=3)

    assert after(script[:-1], rule, overlapping(10, 1)).state is AlertState.RECOVERING
    assert after(script, rule, overlapping(10, 1)).state is AlertState.INACTIVE


def test_with_a_slide_a_clear_window_in_between_breaks_the_run() -> None:
    alert = after("B" * 9 + "C" + "B" * 10, make_rule(hold=2), overlapping(10, 1))

    assert alert.state is AlertState.PENDING


def test_a_gap_freezes_the_run() -> None:
    windows = [minute(0), minute(5000), minute(90000)]

    assert after("BB", PATIENT, windows).state is AlertState.PENDING
    assert after("BBB", PATIENT, windows).state is AlertState.FIRING


def test_a_gap_does_not_resolve_an_alert() -> None:
    windows = [minute(0), minute(90000)]

    assert after("BC", make_rule(keep_firing_for=2), windows).state is AlertState.RECOVERING


def test_the_second_episode_has_a_later_since() -> None:
    first: Nanos | None = after("B").since
    second: Nanos | None = after("BCB").since

    assert first is not None
    assert second is not None
    assert second > first


@pytest.mark.parametrize("state", [each for each in AlertState if each is not AlertState.INACTIVE])
@pytest.mark.parametrize("kind", [Alert, Episode])
def test_none_is_anything_but_inactive_since_never(kind: type[Alert | Episode], state: AlertState) -> None:
    """As a saved row might say that no driftd has written: it is refused in a line, like any other."""
    with pytest.raises(msgspec.ValidationError, match="since never"):
        msgspec.json.decode(msgspec.json.encode({"state": state}), type=kind)

"""The alert machine against a naive model of it, over any sequence of signals and windows."""

from dataclasses import dataclass

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from monitor.alerting.alerts import Alert, AlertState, Span
from monitor.alerting.episodes import OPEN, Episode, RuleState
from monitor.alerting.rules import Signal
from monitor.series.alerts import SavedRule
from monitor.stream.events import Nanos
from tests.build import a_score, at, make_rule
from tests.walks import Walk, moves, walk

INACTIVE, PENDING, FIRING, RECOVERING = AlertState
VALUES = {Signal.BREACH: 0.9, Signal.DEADBAND: 0.5, Signal.CLEAR: 0.1, Signal.NO_DATA: None}


# --- the model: it keeps all windows, and looks at all of them again each time ----------------------------------------


@dataclass
class Model:
    """One feature under one rule; `run` are the windows that count towards the next state."""

    hold: int
    keep: int
    state: AlertState = INACTIVE
    since: Nanos | None = None
    run: tuple[Span, ...] = ()

    def see(self, signal: Signal, window: Span) -> None:
        breach, clear = signal is Signal.BREACH, signal is Signal.CLEAR
        if self.state in {INACTIVE, PENDING}:
            if clear:
                self.state, self.since, self.run = INACTIVE, None, ()
            if breach:
                self.since = self.since or window.end
                self.run += (window,)
                self.state = PENDING
            if self.run and disjoint(self.run) >= self.hold:
                self.state, self.run = FIRING, ()
        else:
            if breach:
                self.state, self.run = FIRING, ()
            if clear:
                self.state, self.run = RECOVERING, (*self.run, window)
            if self.run and disjoint(self.run) >= self.keep:
                self.state, self.since, self.run = INACTIVE, None, ()


def disjoint(windows: tuple[Span, ...]) -> int:
    """How many of these windows, taken greedily from the first on, do not overlap."""
    taken: list[Span] = []
    for window in windows:
        if all(window.start >= other.end for other in taken):
            taken.append(window)
    return len(taken)


# --- the laws ---------------------------------------------------------------------------------------------------------


signals = st.sampled_from(list(Signal))
runs = st.integers(1, 4)


@st.composite
def windows(draw: st.DrawFn) -> list[Span]:
    """Windows in the order of their end: all of one length, overlapping or not, with gaps."""
    slides = draw(st.integers(1, 4))
    steps = draw(st.lists(st.sampled_from([1, 1, 1, 2, 9]), max_size=40))
    begins = [sum(steps[: number + 1]) for number in range(len(steps))]
    return [Span(at(begin), at(begin + slides)) for begin in begins]


class Rules(Walk):
    """A rule over three features, and the models of these; now and then it goes on from what was saved."""

    @initialize(hold=runs, keep=runs, slides=st.integers(1, 4))
    def begin(self, hold: int, keep: int, slides: int) -> None:
        self.slides, self.minute, self.number, self.was_open = slides, 0, 0, False
        self.models = {name: Model(hold, keep) for name in "abc"}
        self.rule = make_rule(hold=hold, keep_firing_for=keep)
        self.state = RuleState(dict.fromkeys(self.models, self.rule))

    @rule(moves=moves)
    def see(self, moves: bytes) -> None:
        for move in moves:
            self.count()
            self.window([move & 3, move >> 2 & 3, move >> 4 & 3], (1, 1, 2, 9)[move >> 6])
        if moves[0] % 4 == 0:
            self.restart()

    def restart(self) -> None:
        saved = msgspec.json.decode(msgspec.json.encode(SavedRule.of(self.rule, self.state)), type=SavedRule)
        self.state = RuleState(dict.fromkeys(self.models, self.rule))
        saved.restore(self.state, self.state.rules)

    def window(self, drawn: list[int], later: int) -> None:
        self.minute += later
        window = Span(at(self.minute), at(self.minute + self.slides))
        seen = {name: [*VALUES][number] for name, number in zip(self.models, drawn, strict=True)}
        _, episode = self.state.step({name: a_score(VALUES[signal], name) for name, signal in seen.items()}, window)
        for name, model in self.models.items():
            model.see(seen[name], window)
            alert = self.state.alerts.get(name, Alert())
            assert (alert.state, alert.since) == (model.state, model.since)
        self.follow(episode, {model.state for model in self.models.values()})

    def follow(self, episode: Episode, states: set[AlertState]) -> None:
        self.number += not self.was_open and bool(states & OPEN)
        self.was_open = bool(states & OPEN)
        assert episode.state is max(states, key=[INACTIVE, PENDING, RECOVERING, FIRING].index)
        assert episode.number == self.number
        assert {one.feature for one in self.state.evidence()} == {
            name for name, model in self.models.items() if model.state is episode.state is not INACTIVE
        }


def test_alerts_and_the_episode_of_their_rule_do_what_naive_models_do() -> None:
    walk(Rules, 31_000)


@settings(deadline=None)
@given(windows(), st.data(), runs, runs)
def test_since_is_one_for_each_episode_and_no_two_episodes_share_it(
    spans: list[Span], data: st.DataObject, hold: int, keep: int
) -> None:
    """Notification ids are made of it."""
    state = RuleState(dict.fromkeys("abc", make_rule(hold=hold, keep_firing_for=keep)))
    said: dict[int, set[Nanos | None]] = {}
    for window in spans:
        scores = {name: a_score(VALUES[data.draw(signals)], name) for name in "abc"}
        _, episode = state.step(scores, window)
        if episode.state in OPEN:
            said.setdefault(episode.number, set()).add(episode.since)

    assert all(len(found) == 1 for found in said.values())
    assert len(set.union(set(), *said.values())) == len(said)


@settings(deadline=None)
@given(windows(), st.data(), runs, runs)
def test_no_data_and_deadband_change_nothing_wherever_they_stand(
    spans: list[Span], data: st.DataObject, hold: int, keep: int
) -> None:
    rule, alert, without = make_rule(hold=hold, keep_firing_for=keep), Alert(), Alert()
    for window in spans:
        signal = data.draw(signals)
        alert = alert.step(rule, signal, window)
        if signal in {Signal.BREACH, Signal.CLEAR}:
            without = without.step(rule, signal, window)

    assert alert == without


@settings(deadline=None)
@given(windows(), st.data(), runs, runs)
def test_an_episode_ends_only_through_keep_firing_for_disjoint_clear_windows(
    spans: list[Span], data: st.DataObject, hold: int, keep: int
) -> None:
    rule, alert, clear = make_rule(hold=hold, keep_firing_for=keep), Alert(), ()
    for window in spans:
        signal, before = data.draw(signals), alert.state
        alert = alert.step(rule, signal, window)
        clear = (*clear, window) if signal is Signal.CLEAR else () if signal is Signal.BREACH else clear

        if before in OPEN and alert.state not in OPEN:
            assert alert.state is INACTIVE
            assert disjoint(clear) >= keep


@given(st.lists(st.sampled_from(list(AlertState)), max_size=5))
def test_an_episode_is_inactive_exactly_when_all_its_features_are(states: list[AlertState]) -> None:
    alerts = [Alert(state, since=None if state is INACTIVE else at(1)) for state in states]

    followed = Episode().follow(alerts, Span(at(1), at(2)))

    assert (followed.state is INACTIVE) == all(state is INACTIVE for state in states)

"""The life of an alert on one feature: every transition on one screen."""

from dataclasses import dataclass, replace
from enum import IntEnum

from monitor.alerting.rules import AlertRule, Signal
from monitor.stream.events import Nanos


class AlertState(IntEnum):
    """The numbers are those of `driftd_alert_state`."""

    INACTIVE = 0
    PENDING = 1
    FIRING = 2
    RECOVERING = 3


@dataclass(frozen=True, slots=True)
class Span:
    """The window a signal comes from: [start, end)."""

    start: Nanos
    end: Nanos


@dataclass(frozen=True, slots=True)
class Alert:
    """One feature under one rule.

    `since` is the end of the first breaching window; `run` counts the disjoint windows of the run that leads out of
    the present state, and `counted` is the end of the last one counted.
    """

    state: AlertState = AlertState.INACTIVE
    since: Nanos | None = None
    run: int = 0
    counted: Nanos | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for what no alert is: a saved one may hold anything."""
        if self.since is None and self.state is not AlertState.INACTIVE:
            raise ValueError(f"an alert that is {self.state.value} since never")

    def step(self, rule: AlertRule, signal: Signal, at: Span) -> "Alert":  # noqa: PLR0911 - a return a transition
        """The alert after one more window. Deadband and no data change nothing, neither state nor run."""
        match self.state, signal:
            case _, Signal.DEADBAND | Signal.NO_DATA:
                return self
            case AlertState.INACTIVE, Signal.BREACH:
                return Alert(AlertState.PENDING, since=at.end).breached(rule, at)
            case AlertState.PENDING, Signal.BREACH:
                return self.breached(rule, at)
            case AlertState.PENDING, Signal.CLEAR:
                return Alert()
            case AlertState.FIRING, Signal.CLEAR:
                return replace(self, state=AlertState.RECOVERING, run=0, counted=None).cleared(rule, at)
            case AlertState.RECOVERING, Signal.CLEAR:
                return self.cleared(rule, at)
            case AlertState.RECOVERING, Signal.BREACH:
                return replace(self, state=AlertState.FIRING, run=0, counted=None)
            case _:  # inactive and clear, or firing and breaching: as it was
                return self

    def breached(self, rule: AlertRule, at: Span) -> "Alert":
        """One more breaching window on the way to firing."""
        longer = self._longer(at)
        return replace(longer, state=AlertState.FIRING, run=0, counted=None) if longer.run >= rule.hold else longer

    def cleared(self, rule: AlertRule, at: Span) -> "Alert":
        """One more clear window on the way to resolved."""
        longer = self._longer(at)
        return Alert() if longer.run >= rule.keep_firing_for else longer

    def _longer(self, at: Span) -> "Alert":
        """One window more in the run, if it is disjoint from the last one counted."""
        if self.counted is not None and at.start < self.counted:
            return self
        return replace(self, run=self.run + 1, counted=at.end)

"""What silences hold back: the notices of each alert, until they end or the alert does."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from monitor.facts import AlertChanged, AlertEscalated, AlertSeen, Fact, RetrainDecided
from monitor.series.traces import untraced
from monitor.stream.events import SeriesKey

IsSilenced = Callable[[SeriesKey, Sequence[str]], bool]


@dataclass(frozen=True, slots=True)
class HeldBack:
    """What people would have been told of one alert: its page, or why it is told again, or its end."""

    closed: AlertChanged | None = None
    opened: AlertChanged | None = None
    escalated: AlertEscalated | None = None
    retrain: RetrainDecided | None = None

    @property
    def facts(self) -> list[Fact]:
        """What is to be told, in this order."""
        return [fact for fact in (self.closed, self.opened, self.escalated, self.retrain) if fact is not None]

    @property
    def alert(self) -> AlertChanged:
        """The alert that it is of."""
        alert = self.opened or (self.escalated and self.escalated.alert) or self.closed
        assert alert is not None  # a request for retraining is held with the page that asked
        return alert

    @property
    def key(self) -> SeriesKey:
        """The series."""
        return self.alert.key

    @property
    def features(self) -> list[str]:
        """What it is about; nothing where all that is held is an end."""
        about = self.opened.evidence if self.opened else self.escalated.new if self.escalated else ()
        return [each.feature for each in about]

    def showing(self, alert: AlertSeen | AlertChanged) -> "HeldBack":
        """The same page, as bad as the alert is by now and with what it shows."""
        if self.opened is None or not alert.evidence:
            return self
        page = replace(self.opened, evidence=alert.evidence, severity=alert.severity, about=alert.about)
        return replace(self, opened=page)

    def again(self, fact: AlertEscalated) -> "HeldBack":
        """The same, told again once more: with all that people were to be told before."""
        if self.escalated is None:
            return replace(self, escalated=fact)
        names = {each.feature for each in fact.new}
        before = (each for each in self.escalated.new if each.feature not in names)
        return replace(self, escalated=replace(self.escalated, alert=fact.alert, new=(*fact.new, *before)))


class Withheld:
    """Lets through what may be told. What opens and ends in silence is never told; what is still open is, afterwards."""

    def __init__(self, is_silenced: IsSilenced) -> None:
        self.held: dict[str, HeldBack] = {}
        self.changed = False
        self._freed = ""  # the incident that was told with the last fact of how an alert stands
        self._is_silenced = is_silenced

    def told(self, facts: Iterable[Fact]) -> list[Fact]:
        """What is to be told after these facts: what is held back no longer, then what is not held back; none with its trace."""
        return [*self._released(), *(each for fact in facts for each in self._told(untraced(fact)))]

    def _released(self) -> list[Fact]:
        free = [name for name, held in self.held.items() if not self._is_silenced(held.key, held.features)]
        return [fact for name in free for fact in self._release(name)]

    def _release(self, incident: str) -> list[Fact]:
        self.changed = True
        return self.held.pop(incident).facts

    def _hold(self, incident: str, held: HeldBack) -> list[Fact]:
        """Hold this of an alert, or nothing any more. What it was made from is not held: it is written down already."""
        self.changed = True
        if held.facts:
            parts = (held.closed, held.opened, held.escalated, held.retrain)
            self.held[incident] = HeldBack(*map(untraced, parts))
        else:
            self.held.pop(incident, None)
        return []

    def _told(self, fact: Fact) -> list[Fact]:
        match fact:
            case AlertSeen():
                return [*self._seen(fact), fact]
            case AlertEscalated():
                return self._escalated(fact)
            case AlertChanged(opened=True):
                return self._opened(fact)
            case AlertChanged(closed=True):
                return self._closed(fact)
            case RetrainDecided(alert=AlertChanged() as alert):
                held = self.held.get(alert.incident, HeldBack())
                known = held.opened is None and held.escalated is None
                return [fact] if known else self._hold(alert.incident, replace(held, retrain=fact))
            case _:
                return [fact]

    def _seen(self, alert: AlertSeen) -> list[Fact]:
        """A held page shows what fires by now; a feature that is not silenced frees it."""
        self._freed = ""
        before = self.held.get(alert.incident)
        if before is None:
            return []
        held = before.showing(alert)
        if held != before:
            self._hold(alert.incident, held)
        if self._is_silenced(alert.key, held.features):
            return []
        self._freed = alert.incident if held.opened else ""
        return self._release(alert.incident)

    def _opened(self, alert: AlertChanged) -> list[Fact]:
        if not self._is_silenced(alert.key, [each.feature for each in alert.evidence]):
            return [alert]
        return self._hold(alert.incident, HeldBack(opened=alert))

    def _escalated(self, fact: AlertEscalated) -> list[Fact]:
        """Of a page that nobody was told of it is a part; else it waits, as long as all that is to be told is silenced."""
        alert, held = fact.alert, self.held.get(fact.alert.incident, HeldBack())
        if alert.incident == self._freed:
            return []
        if held.opened is not None:
            return self._hold(alert.incident, held.showing(alert))
        held = held.again(fact)
        self._hold(alert.incident, held)
        return [] if self._is_silenced(alert.key, held.features) else self._release(alert.incident)

    def _closed(self, alert: AlertChanged) -> list[Fact]:
        """What was never told needs no end; where people know of it, its end says all that was still to be said."""
        unknown = self.held.get(alert.incident, HeldBack()).opened is not None
        if unknown or alert.incident in self.held:
            self._hold(alert.incident, HeldBack())
        if unknown:
            return []
        return self._hold(alert.incident, HeldBack(closed=alert)) if self._is_silenced(alert.key, ()) else [alert]

    # --- state --------------------------------------------------------------------------------------------------

    def saved(self) -> list[HeldBack]:
        """What is held, to be saved."""
        return list(self.held.values())

    def restore(self, saved: Iterable[HeldBack]) -> None:
        """Take it up again."""
        for held in saved:
            self.held[held.alert.incident] = held

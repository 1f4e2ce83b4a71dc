"""What silences hold back: the notices of each alert, until they end or the alert does."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from detectors.charts import IncidentKind
from monitor.alerting.episodes import Evidence
from monitor.facts import AlertChanged, AlertSeen, Fact, RetrainDecided
from monitor.stream.events import SeriesKey

IsSilenced = Callable[[SeriesKey, Sequence[str]], bool]


def incident_of(alert: AlertSeen | AlertChanged) -> str:
    """What an alert is called: one that ends and one that begins after it may bear one name."""
    of_kind = "" if alert.kind is IncidentKind.DRIFT else f"/{alert.kind.value}"
    return f"{alert.key}/{alert.rule}{of_kind}"


@dataclass(frozen=True, slots=True)
class HeldBack:
    """What people would have been told of one alert: the end of what they know of, then what has opened since."""

    closed: AlertChanged | None = None
    opened: AlertChanged | None = None
    retrain: RetrainDecided | None = None

    @property
    def facts(self) -> list[Fact]:
        """What is to be told, in this order."""
        return [fact for fact in (self.closed, self.opened, self.retrain) if fact is not None]

    @property
    def alert(self) -> AlertChanged:
        """The alert that it is of."""
        alert = self.opened or self.closed
        assert alert is not None  # a request for retraining is held with the page that asked
        return alert

    @property
    def key(self) -> SeriesKey:
        """The series."""
        return self.alert.key

    @property
    def features(self) -> list[str]:
        """What it is about; nothing where all that is held is an end."""
        return [] if self.opened is None else [each.feature for each in self.opened.evidence]

    def showing(self, evidence: tuple[Evidence, ...]) -> "HeldBack":
        """The same page, with what the alert shows by now."""
        if self.opened is None or not evidence:
            return self
        return replace(self, opened=replace(self.opened, evidence=evidence))


class Withheld:
    """Lets through what may be told. What opens and ends in silence is never told; what is still open is, afterwards."""

    def __init__(self, is_silenced: IsSilenced) -> None:
        self.held: dict[str, HeldBack] = {}
        self.changed = False
        self._is_silenced = is_silenced

    def told(self, facts: Iterable[Fact]) -> list[Fact]:
        """What is to be told after these facts: what is held back no longer, then what is not held back."""
        return [*self._released(), *(each for fact in facts for each in self._told(fact))]

    def _released(self) -> list[Fact]:
        free = [name for name, held in self.held.items() if not self._is_silenced(held.key, held.features)]
        return [fact for name in free for fact in self._release(name)]

    def _release(self, incident: str) -> list[Fact]:
        self.changed = True
        return self.held.pop(incident).facts

    def _hold(self, incident: str, held: HeldBack) -> list[Fact]:
        """Hold this of an alert, or nothing any more."""
        self.changed = True
        if held.facts:
            self.held[incident] = held
        else:
            self.held.pop(incident, None)
        return []

    def _told(self, fact: Fact) -> list[Fact]:
        match fact:
            case AlertSeen() if incident_of(fact) in self.held:
                return [*self._seen(fact), fact]
            case AlertChanged(opened=True):
                return self._opened(fact)
            case AlertChanged(closed=True):
                return self._closed(fact)
            case RetrainDecided(alert=alert):
                held = self.held.get(incident_of(alert), HeldBack())
                return [fact] if held.opened is None else self._hold(incident_of(alert), replace(held, retrain=fact))
            case _:
                return [fact]

    def _seen(self, alert: AlertSeen) -> list[Fact]:
        """A held page shows what fires by now; a feature that is not silenced frees it."""
        incident = incident_of(alert)
        held, before = self.held[incident].showing(alert.evidence), self.held[incident]
        if held != before:
            self._hold(incident, held)
        return [] if self._is_silenced(alert.key, held.features) else self._release(incident)

    def _opened(self, alert: AlertChanged) -> list[Fact]:
        incident = incident_of(alert)
        if not self._is_silenced(alert.key, [each.feature for each in alert.evidence]):
            return [alert]
        return self._hold(incident, replace(self.held.get(incident, HeldBack()), opened=alert))

    def _closed(self, alert: AlertChanged) -> list[Fact]:
        incident = incident_of(alert)
        held = self.held.get(incident, HeldBack())
        if held.opened is not None:  # nobody was told that it began
            return self._hold(incident, HeldBack(closed=held.closed))
        return self._hold(incident, HeldBack(closed=alert)) if self._is_silenced(alert.key, ()) else [alert]

    # --- state --------------------------------------------------------------------------------------------------

    def saved(self) -> list[HeldBack]:
        """What is held, to be saved."""
        return list(self.held.values())

    def restore(self, saved: Iterable[HeldBack]) -> None:
        """Take it up again."""
        for held in saved:
            self.held[incident_of(held.alert)] = held

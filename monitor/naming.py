"""What this driftd is called among others: ids and notices say it, so that two that watch the same model are told apart."""

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from monitor.alerting.ids import incident_id
from monitor.facts import AlertChanged, AlertEscalated, AlertSeen, Fact

STATE = "instance"  # kind of the record


class Names(msgspec.Struct):
    """The instance's name, empty without one, and incidents that were open when it was another: they keep theirs to their end.

    `kept`: that other name, by the id that such an incident has without any.
    """

    instance: str = ""
    kept: dict[str, str] = msgspec.field(default_factory=dict)

    def begin(self, instance: str, open_now: Iterable[AlertSeen]) -> bool:
        """Go by this name from now on; whether that changes anything. `open_now` are the incidents as they were called last."""
        before = Names(self.instance, dict(self.kept))
        names = {_unnamed(alert): self.of(alert) for alert in open_now}
        self.instance, self.kept = instance, {name: held for name, held in names.items() if held != instance}
        return self != before

    def of(self, alert: AlertSeen | AlertChanged) -> str:
        """Under whose name an alert is told."""
        return self.kept.get(_unnamed(alert), self.instance) if self.kept else self.instance

    def tell(self, facts: Iterable[Fact]) -> list[Fact]:
        """The same facts, those of alerts under the name that they are told by."""
        return [self._told(fact) for fact in facts] if self.instance or self.kept else list(facts)

    def _told(self, fact: Fact) -> Fact:
        match fact:
            case AlertSeen() if fact.since is not None:
                return replace(fact, instance=self.of(fact))
            case AlertChanged():
                return replace(fact, instance=self.of(fact))
            case AlertEscalated(alert=alert):
                return replace(fact, alert=replace(alert, instance=self.of(alert)))
            case _:
                return fact


def _unnamed(alert: AlertSeen | AlertChanged) -> str:
    assert alert.since is not None
    return incident_id(alert.key, alert.rule, alert.kind, alert.since)

"""The tallies of all models: what happens in, rows of state out. A row holds a day of a model; what is listed is a row of its own."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from monitor.facts import (
    AlertChanged,
    AlertEscalated,
    DecisionMade,
    Fact,
    IncidentTold,
    ModelTallied,
    PerformanceJudged,
    RequestTold,
    RetrainDecided,
    SubgroupCharted,
    VersionTold,
    WindowClosed,
    WorthTold,
)
from monitor.reporting.tally import DECISION, KEPT, ModelTally, hour_of
from monitor.series.records import Record
from monitor.series.series import SeriesSpec
from monitor.stream.events import DAY, HOUR, Nanos

HOURS, LISTS = "tally", "tallied"  # kinds of rows


@dataclass(slots=True)
class SavedLists:
    """What is listed of a model, as saved."""

    incidents: list[IncidentTold] = field(default_factory=list)
    requests: list[RequestTold] = field(default_factory=list)
    worth: list[WorthTold] = field(default_factory=list)
    versions: list[VersionTold] = field(default_factory=list)


class Tallies:
    """Hears what happens to every series of these; `timezone` is that of their reports."""

    def __init__(self, specs: Iterable[SeriesSpec], timezone: str | None = None) -> None:
        self._specs = {spec.key: spec for spec in specs}
        self.models = {
            key.model: ModelTally(per_month=spec.judging.budget, timezone=timezone) for key, spec in self._specs.items()
        }
        self._days: dict[tuple[str, Nanos], None] = {}  # of which rows are to be saved
        self._lists: dict[str, None] = {}  # same
        self._told: dict[str, None] = {}  # models that changed since it was last said

    def note(self, facts: Sequence[Fact], told: Sequence[Fact]) -> None:
        """Take what happened. `told` is what people are told of it: silences hold back some, and let go what they held back before."""
        open_to_people = {each.incident for each in told if isinstance(each, AlertChanged) and each.opened}
        grown = {id(each) for each in told if isinstance(each, AlertEscalated)}
        for fact in facts:
            match fact:
                case WindowClosed() | AlertChanged() | RetrainDecided() | PerformanceJudged() | SubgroupCharted():
                    self._take(fact, silenced=isinstance(fact, AlertChanged) and fact.incident not in open_to_people)
                case AlertEscalated(alert=alert) if alert.key.model in self.models:
                    at = self.models[alert.key.model].escalate(fact, held=id(fact) not in grown)
                    self._changed(alert.key.model, at)
                case DecisionMade(decision=decision, repeated=False) if decision.model in self.models:
                    if decision.event_time is not None:
                        self.models[decision.model].at(decision.event_time)[f"{DECISION}{decision.asked.kind}"] += 1
                        self._changed(decision.model, decision.event_time)
                case _:
                    pass
        self._release(told)

    def _take(
        self,
        fact: WindowClosed | AlertChanged | RetrainDecided | PerformanceJudged | SubgroupCharted,
        *,
        silenced: bool,
    ) -> None:
        model = fact.key.model
        tally = self.models.get(model)
        if tally is None:
            return
        match fact:
            case WindowClosed(key=key):
                at = tally.close(fact, self._specs[key].windows, self._specs[key].judging.min_rows)
            case AlertChanged(opened=False, closed=False):
                return
            case AlertChanged():
                at = tally.alert(fact, silenced=silenced and fact.opened)
            case RetrainDecided():
                at = tally.retrain(fact)
            case PerformanceJudged(final=False):
                return
            case PerformanceJudged():
                at = tally.judge(fact)
            case SubgroupCharted():
                at = tally.chart(fact)
        self._changed(model, at)

    def _release(self, told: Sequence[Fact]) -> None:
        """What was silenced when it opened, and is told now."""
        for fact in told:
            tally = self.models.get(fact.key.model) if isinstance(fact, AlertChanged) and fact.opened else None
            if tally is not None and isinstance(fact, AlertChanged) and tally.release(fact.incident):
                self._lists[fact.key.model] = self._told[fact.key.model] = None

    def _changed(self, model: str, at: Nanos) -> None:
        tally = self.models[model]
        hour = hour_of(at)
        self._days[model, day_of(hour)] = None
        for gone in tally.forget(max(tally.hours, default=hour) - KEPT):
            self._days[model, day_of(gone)] = None
        self._lists[model] = self._told[model] = None

    def stands(self) -> list[Fact]:
        """What there is of each model that has changed since the last call."""
        changed, self._told = self._told, {}
        return [self.models[model].stand(model) for model in changed]

    def tallied(self, model: str) -> ModelTallied:
        """What there is of a model."""
        return self.models[model].stand(model)

    # --- state --------------------------------------------------------------------------------------------------

    def current(self) -> list[Fact]:
        """What there is of every model that has something."""
        return [tally.stand(model) for model, tally in self.models.items() if tally.hours]

    def snapshot(self) -> list[Record]:
        """All rows."""
        self._days |= {(model, day_of(hour)): None for model, tally in self.models.items() for hour in tally.hours}
        self._lists |= {model: None for model, tally in self.models.items() if tally.hours}
        return self.changes()

    def changes(self) -> list[Record]:
        """The rows that changed since the last call."""
        days, self._days = self._days, {}
        lists, self._lists = self._lists, {}
        return [*(self._day(*each) for each in days), *(self._listed(model) for model in lists)]

    def _day(self, model: str, day: Nanos) -> Record:
        hours = self.models[model].hours if model in self.models else {}
        held = {str(at // HOUR): hours[at] for at in range(day, day + DAY, HOUR) if at in hours}
        name = msgspec.json.encode([model, day // DAY]).decode()
        return Record(HOURS, name, msgspec.json.encode(held) if held else None)

    def _listed(self, model: str) -> Record:
        tally = self.models.get(model)
        name = msgspec.json.encode([model]).decode()
        if tally is None:
            return Record(LISTS, name, None)
        saved = SavedLists(
            list(tally.incidents.values()), tally.requests, list(tally.worth.values()), list(tally.versions.values())
        )
        return Record(LISTS, name, msgspec.json.encode(saved))

    def restore(self, record: Record) -> None:
        """Take up a row. Those of a model that is no longer configured go."""
        assert record.payload is not None
        model, *day = msgspec.json.decode(record.key, type=list[str | int])
        model = str(model)
        tally = self.models.get(model)
        if tally is None:
            self._forget(model, day)
        elif record.kind == HOURS:
            for hour, counts in msgspec.json.decode(record.payload, type=dict[int, dict[str, float]]).items():
                tally.hours[hour * HOUR] = defaultdict(float, counts)
        else:
            saved = msgspec.json.decode(record.payload, type=SavedLists)
            tally.incidents = {each.incident: each for each in saved.incidents}
            tally.requests = saved.requests
            tally.worth = {each.version: each for each in saved.worth}
            tally.versions = {each.version: each for each in saved.versions}

    def _forget(self, model: str, day: Sequence[str | int]) -> None:
        if day:
            self._days[model, int(day[0]) * DAY] = None
        else:
            self._lists[model] = None


def day_of(hour: Nanos) -> Nanos:
    """The day, UTC, that holds an hour."""
    return hour // DAY * DAY

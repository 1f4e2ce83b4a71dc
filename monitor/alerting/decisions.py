"""What people decide of alerts: accept, acknowledge, silence, end. Values, and which of them are in force."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from monitor.stream.events import Nanos, SeriesKey

KEPT_ENDED = 100
MOST_IN_FORCE = 1000  # all of them are one row of the state, written anew with each


class Scope(msgspec.Struct, frozen=True):
    """Which series and features are meant. No version: every one of the model; no features: all."""

    model: str
    version: str | None = None
    features: tuple[str, ...] = ()

    def holds(self, key: SeriesKey) -> bool:
        """Whether a series is meant."""
        return key.model == self.model and self.version in {None, key.version}

    def within(self, other: "Scope") -> bool:
        """Whether another means all of it."""
        series = self.model == other.model and other.version in {None, self.version}
        return series and (not other.features or (bool(self.features) and set(self.features) <= set(other.features)))


class Accept(msgspec.Struct, frozen=True, tag="accept", tag_field="kind"):
    """How the features are now is how they should be: for so long in event time, or for good."""

    scope: Scope
    lasts: Nanos | None


class Silence(msgspec.Struct, frozen=True, tag="silence", tag_field="kind"):
    """Nobody is told of the features for so long: people's time, so by the wall clock."""

    scope: Scope
    lasts: Nanos


class Ack(msgspec.Struct, frozen=True, tag="ack", tag_field="kind"):
    """Somebody has seen this incident and looks after it."""

    incident: str


class End(msgspec.Struct, frozen=True, tag="end", tag_field="kind"):
    """An earlier silence or acknowledgement, by its id, is taken back."""

    decision: str


class Approve(msgspec.Struct, frozen=True, tag="approve", tag_field="kind"):
    """Retraining that waits for approval, by the id of the request, may begin."""

    request: str


class Reject(msgspec.Struct, frozen=True, tag="reject", tag_field="kind"):
    """It may not."""

    request: str


class Trigger(msgspec.Struct, frozen=True, tag="trigger", tag_field="kind"):
    """A model is to be retrained now; `force`: whatever its policy holds against it."""

    model: str
    force: bool = False


class Announce(msgspec.Struct, frozen=True, tag="version", tag_field="kind"):
    """There is a new version of a model: trained when (wall time), and where its reference is; empty: as configured."""

    model: str
    version: str
    trained_at: Nanos | None = None
    reference: str = ""


OfRetraining = Approve | Reject | Trigger
Wish = Accept | Silence | Ack | End | OfRetraining | Announce
DECISION_KINDS = ("accept", "silence", "ack", "end", "approve", "reject", "trigger", "version")


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for. The id is the asker's: asking again under it is asking once."""

    id: str
    wish: Wish
    by: str
    reason: str = ""

    @property
    def kind(self) -> str:
        """What is asked for, in a word."""
        return str(self.wish.__struct_config__.tag)


@dataclass(frozen=True, slots=True)
class Decision:
    """What was asked for and taken: at this wall time and, where any event was read, this event time."""

    asked: Asked
    model: str
    made_at: Nanos
    event_time: Nanos | None

    @property
    def id(self) -> str:
        """Its id."""
        return self.asked.id

    @property
    def until(self) -> Nanos | None:
        """When it ends by itself: event time of an accept, wall time of a silence. None: it does not."""
        match self.asked.wish:
            case Accept(lasts=int(lasts)):
                assert self.event_time is not None
                return self.event_time + lasts
            case Silence(lasts=lasts):
                return self.made_at + lasts
            case _:
                return None


@dataclass(frozen=True, slots=True)
class PastDecision:
    """A decision no longer in force, since this wall time, and why."""

    decision: Decision
    ended_at: Nanos
    why: str


class Refusal(StrEnum):
    """Why a decision is not taken."""

    UNKNOWN = "unknown"  # what it is about is not there
    CONFLICT = "conflict"  # it is there, but not in a state for that


class RefusedError(Exception):
    """A decision is not taken; the text is one line."""

    def __init__(self, refusal: Refusal, why: str) -> None:
        super().__init__(why)
        self.refusal = refusal


@dataclass(slots=True)
class Decisions:
    """Those in force, by id in the order in which they were made, and the last that are over."""

    in_force: dict[str, Decision] = field(default_factory=dict)
    past: deque[PastDecision] = field(default_factory=lambda: deque(maxlen=KEPT_ENDED))

    def find(self, name: str) -> Decision | None:
        """The decision of this id, in force or over not long ago."""
        over = (past.decision for past in self.past if past.decision.id == name)
        return self.in_force.get(name) or next(over, None)

    @property
    def full(self) -> bool:
        """Whether no more are taken."""
        return len(self.in_force) >= MOST_IN_FORCE

    def take(self, decision: Decision) -> list[PastDecision]:
        """Put a decision into force. Those that it ends are returned."""
        match decision.asked.wish:
            case End(decision=name):
                self.past.append(PastDecision(decision, decision.made_at, "done"))
                return self.end([name], decision.made_at, f"ended by {decision.asked.by}")
            case Approve() | Reject() | Trigger() | Announce():  # nothing of it lasts
                self.past.append(PastDecision(decision, decision.made_at, "done"))
                return []
            case Accept(scope=scope):
                ended = self.end(self._accepted_within(scope), decision.made_at, "superseded")
                self.in_force[decision.id] = decision
                return ended
            case _:
                self.in_force[decision.id] = decision
                return []

    def _accepted_within(self, scope: Scope) -> list[str]:
        return [
            name
            for name, earlier in self.in_force.items()
            if isinstance(earlier.asked.wish, Accept) and earlier.asked.wish.scope.within(scope)
        ]

    def end(self, names: Iterable[str], now: Nanos, why: str) -> list[PastDecision]:
        """End these; what is no longer in force stays as it is."""
        ended = [PastDecision(self.in_force.pop(name), now, why) for name in list(names) if name in self.in_force]
        self.past.extend(ended)
        return ended

    def expire(self, now: Nanos, event_time: Nanos | None) -> list[PastDecision]:
        """End those whose time is over."""
        over = [name for name, decision in self.in_force.items() if _is_over(decision, now, event_time)]
        return self.end(over, now, "over") if over else []

    def acks(self, incident: str) -> list[str]:
        """The ids of acknowledgements of an incident."""
        return [name for name, each in self.in_force.items() if each.asked.wish == Ack(incident)]


def _is_over(decision: Decision, now: Nanos, event_time: Nanos | None) -> bool:
    until = decision.until
    if until is None:
        return False
    clock = event_time if isinstance(decision.asked.wish, Accept) else now
    return clock is not None and clock >= until


# --- what those in force mean for an alert ----------------------------------------------------------------------------


def silences(decisions: Iterable[Decision], key: SeriesKey) -> Iterator[Scope]:
    """The scopes of the silences of a series."""
    for decision in decisions:
        if isinstance(decision.asked.wish, Silence) and decision.asked.wish.scope.holds(key):
            yield decision.asked.wish.scope


def is_silenced(decisions: Iterable[Decision], key: SeriesKey, features: Collection[str]) -> bool:
    """Whether nobody is told of an alert of these features: its series is silenced, or each of them."""
    silenced: set[str] = set()
    for scope in silences(decisions, key):
        if not scope.features:
            return True
        silenced.update(scope.features)
    return bool(features) and silenced.issuperset(features)


def acknowledgement(decisions: Iterable[Decision], incident: str) -> Decision | None:
    """Who has acknowledged an incident first."""
    return next((each for each in decisions if each.asked.wish == Ack(incident)), None)

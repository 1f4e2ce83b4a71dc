"""Events counted, rejected and too late, and how far event time has come."""

from dataclasses import dataclass

from monitor.stream.events import Nanos, Partition, SeriesKey


@dataclass(frozen=True, slots=True)
class EventsCounted:
    """Events of a topic by outcome: ok, late, rejected, unmonitored; excluded, which break a contract; tombstone and skipped, which are none. `key` is None where no series is known."""

    topic: str
    outcome: str
    count: int
    key: SeriesKey | None = None


@dataclass(frozen=True, slots=True)
class EventsRejected:
    """Events that could not be used at all, by reason."""

    topic: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class DeadLettersKept:
    """Rejected events whose records are kept, by reason; `size`: the bytes of those records that are rejected for it most of all."""

    topic: str
    reason: str
    count: int
    size: int


@dataclass(frozen=True, slots=True)
class DeadLettersBlocked:
    """Rejected records cannot be kept now: so many wait, and nothing is read or saved until they are."""

    why: str
    records: int


@dataclass(frozen=True, slots=True)
class DeadLettersDropped:
    """The directory of dead letters was full, and its oldest segment was let go, as configured."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class DeadLettersSized:
    """So many bytes stand in the directory of dead letters."""

    size: int


@dataclass(frozen=True, slots=True)
class FieldsRejected:
    """Fields of events that still count, by reason."""

    topic: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class EventsAhead:
    """Events of a partition that are stamped past those around them, by `lead` at most: a clock runs fast. They are counted, in their own windows."""

    partition: Partition
    count: int
    lead: Nanos


@dataclass(frozen=True, slots=True)
class LateShare:
    """The share of late events of a topic over the last minutes; `many`: above 5 %, and not below half of that since.

    `share` None: too few events came to say so.
    """

    topic: str
    share: float | None
    many: bool
    changed: bool  # whether `many` did
    cause: str


@dataclass(frozen=True, slots=True)
class WatermarkAdvanced:
    """Event time has come so far."""

    at: Nanos


@dataclass(frozen=True, slots=True)
class PanesOpen:
    """How many panes each series holds."""

    panes: tuple[tuple[SeriesKey, int], ...]

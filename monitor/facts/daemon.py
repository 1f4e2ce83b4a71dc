"""The daemon itself: its life, its saved state, its deliveries."""

from dataclasses import dataclass

from monitor.stream.events import Nanos, SeriesKey


@dataclass(frozen=True, slots=True)
class StateReset:
    """Saved state of a series was dropped because what it was made under has changed."""

    key: SeriesKey
    cause: str


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """State, positions and outbox rows were saved together."""

    at: Nanos
    seconds: float
    size: int


@dataclass(frozen=True, slots=True)
class ClockSet:
    """The wall clock was set `by` so much, forth or back (negative), and is `behind` where it would be by so much."""

    by: Nanos
    behind: Nanos


@dataclass(frozen=True, slots=True)
class StateBegun:
    """There was no state: a new one was made."""

    path: str


@dataclass(frozen=True, slots=True)
class StateRecovered:
    """The state was gone or damaged, and is taken up from a backup, or without what was damaged. `kept`: where that is, as it was found."""

    cause: str  # gone or damaged
    found: str
    how: str
    kept: str | None


@dataclass(frozen=True, slots=True)
class BackupFailed:
    """No backup of the state could be made; those before it stand."""

    error: str


@dataclass(frozen=True, slots=True)
class WebAccessChanged:
    """The files of the web configuration have changed, and are in force; or not, for this error: then what was in force still is."""

    error: str | None


@dataclass(frozen=True, slots=True)
class AuditHead:
    """How far the audit log is written: whoever keeps number and hash elsewhere can prove that nothing before was changed."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class CheckpointFailed:
    """The state could not be saved; nothing was lost yet, reading has stopped."""

    error: str


@dataclass(frozen=True, slots=True)
class DeliveryTried:
    """One attempt to deliver a notice: delivered, present, refused, retried or dead."""

    target: str
    type: str  # of the target
    notice: str  # its id
    outcome: str
    status: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class DeliveryForgotten:
    """A notice that was given up so long ago, and with so many after it, that it is kept no more: nobody can have it tried again."""

    target: str
    notice: str  # its id
    type: str  # of the notice
    subject: str


@dataclass(frozen=True, slots=True)
class NoticesUnclaimed:
    """At a start: notices wait for a target that is not configured. `notices` are the ids of those that have waited longest."""

    target: str
    count: int
    oldest: Nanos  # wall time
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OutboxDecided:
    """A person has had a notice tried again, or dropped, for one target. `to`: another target that has it from now on."""

    action: str  # retry or drop
    target: str
    notice: str  # its id
    by: str
    why: str
    to: str | None = None


@dataclass(frozen=True, slots=True)
class DaemonStarted:
    """The daemon serves its routes and now looks for the broker. `broker_timed` are topics whose events have the broker's timestamp."""

    url: str
    brokers: str
    version: str
    config_hash: str
    compiled: bool
    broker_timed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DaemonStopped:
    """The daemon was told to stop; all it knew is saved."""

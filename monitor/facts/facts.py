"""What happened, as typed values: metrics, logs, notifications and the JSON routes are written from these alone."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from detectors import Tally
from detectors.charts import Step
from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import OPEN, Evidence
from monitor.alerting.retraining import RetrainOutcome
from monitor.alerting.rules import Severity
from monitor.alerting.table import ScoreTable
from monitor.stream.events import Nanos, Partition, SeriesKey


@dataclass(frozen=True, slots=True)
class EventsCounted:
    """Events of a topic by outcome: ok, late, rejected, unmonitored."""

    topic: str
    outcome: str
    count: int


@dataclass(frozen=True, slots=True)
class EventsRejected:
    """Events that could not be used at all, by reason."""

    topic: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class FieldsRejected:
    """Fields of events that still count, by reason."""

    topic: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class FeatureQuality:
    """Shares of a window's rows in which a feature was missing, or outside what the reference knows.

    `shift_sigma`: how far a number's mean is from the reference's, in reference sd; None without one.
    """

    feature: str
    missing_ratio: float
    unseen_ratio: float
    shift_sigma: float | None = None


class Qualities(Sequence[FeatureQuality]):
    """The quality of all features of a window. Reads like a tuple; the values are made when they are read, which is seldom."""

    __slots__ = ("_missing", "_names", "_rows", "_shifts", "_unseen")

    def __init__(self, window: Tally) -> None:
        self._names = window.grid.names
        self._rows = max(window.rows, 1)
        self._missing = window.missing
        self._unseen = window.unseen
        self._shifts = window.mean_shift()  # of the numbers, which come first

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, at: int) -> FeatureQuality: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[FeatureQuality]: ...
    def __getitem__(self, at: int | slice) -> FeatureQuality | Sequence[FeatureQuality]:
        return self._all()[at]

    def __iter__(self) -> Iterator[FeatureQuality]:
        return iter(self._all())

    def _all(self) -> tuple[FeatureQuality, ...]:
        shares = (self._missing / self._rows).tolist(), (self._unseen / self._rows).tolist()
        shifts = [shift if math.isfinite(shift) else None for shift in self._shifts.tolist()]
        shifts += [None] * (len(self._names) - len(shifts))
        return tuple(map(FeatureQuality, self._names, *shares, shifts))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Qualities | tuple) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return repr(self._all())


@dataclass(frozen=True, slots=True)
class WindowClosed:
    """A window was closed and judged."""

    key: SeriesKey
    start: Nanos
    end: Nanos
    rows: int
    quality: Sequence[FeatureQuality]

    def __post_init__(self) -> None:
        if isinstance(self.quality, list):  # as msgspec reads a sequence
            object.__setattr__(self, "quality", tuple(self.quality))


@dataclass(frozen=True, slots=True)
class WindowScored:
    """All scores of the window ending at `at`, and each feature's state: 0 ok, 1 warning, 2 drift, -1 too little data."""

    key: SeriesKey
    at: Nanos
    scores: ScoreTable
    states: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PaneCharted:
    """The budget's charts have taken one step, over the pane [start, end)."""

    key: SeriesKey
    start: Nanos
    end: Nanos
    rows: int
    step: Step


@dataclass(frozen=True, slots=True)
class CalibrationStands:
    """Whether a calibration was suspect when the state was saved."""

    key: SeriesKey
    suspect: bool


@dataclass(frozen=True, slots=True)
class RateImproved:
    """Fewer values of a feature are missing, or unseen, than in the reference: good to know, no alert."""

    key: SeriesKey
    at: Nanos
    feature: str
    what: str
    before: float
    now: float


@dataclass(frozen=True, slots=True)
class WindowSpan:
    """The window a decision was taken on."""

    start: Nanos
    end: Nanos
    rows: int


@dataclass(frozen=True, slots=True)
class AlertSeen:
    """An alert as it stands after a window, whether or not it changed."""

    key: SeriesKey
    rule: str
    severity: Severity
    state: AlertState
    since: Nanos | None
    episode: int
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class AlertChanged:
    """An alert went from one state to another on a window.

    `since` is the end of the episode's first breaching window, also when the episode has just ended. `calibration` is what
    the reference is judged by: week, day, pooled or cold; empty where the rule does not ask.
    """

    key: SeriesKey
    rule: str
    severity: Severity
    before: AlertState
    after: AlertState
    since: Nanos
    episode: int
    window: WindowSpan
    evidence: tuple[Evidence, ...]
    reference: str
    calibration: str = ""

    @property
    def opened(self) -> bool:
        """Whether an episode began."""
        return self.before not in OPEN and self.after in OPEN

    @property
    def closed(self) -> bool:
        """Whether an episode ended."""
        return self.before in OPEN and self.after not in OPEN


@dataclass(frozen=True, slots=True)
class RetrainDecided:
    """A critical alert that began to fire asked for retraining: granted, or suppressed for a reason."""

    alert: AlertChanged
    outcome: RetrainOutcome
    data_from: Nanos
    data_to: Nanos


@dataclass(frozen=True, slots=True)
class WatermarkAdvanced:
    """Event time has come so far."""

    at: Nanos


@dataclass(frozen=True, slots=True)
class StateReset:
    """Saved state of a series was dropped because what it was made under has changed."""

    key: SeriesKey
    cause: str


@dataclass(frozen=True, slots=True)
class PartitionsAssigned:
    """The source reads these partitions from these offsets on."""

    offsets: tuple[tuple[Partition, int], ...]


@dataclass(frozen=True, slots=True)
class PartitionsHeld:
    """These partitions, and no others, are not read for now: the watermark has to come nearer to them."""

    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class TopicsMissing:
    """Configured topics that the broker does not have now."""

    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OffsetsLost:
    """Events were gone before they were read: retention overtook us, or the topic was made anew."""

    partition: Partition
    wanted: int
    resumed: int


@dataclass(frozen=True, slots=True)
class RecordsSkipped:
    """Records that the client could not decompress were stepped over."""

    partition: Partition
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ForeignCommit:
    """Somebody else commits under our group: a second daemon."""

    partition: Partition
    ours: int
    found: int


@dataclass(frozen=True, slots=True)
class SourceTroubled:
    """The client reported an error that it deals with itself: a broker away, a timeout."""

    error: str
    detail: str


@dataclass(frozen=True, slots=True)
class SourceAnswered:
    """The cluster answered a look-up at this wall time."""

    at: Nanos


@dataclass(frozen=True, slots=True)
class LagMeasured:
    """Events between our position and the partition's end."""

    lags: tuple[tuple[Partition, int], ...]


@dataclass(frozen=True, slots=True)
class PanesOpen:
    """How many panes each series holds."""

    panes: tuple[tuple[SeriesKey, int], ...]


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """State, positions and outbox rows were saved together."""

    at: Nanos
    seconds: float
    size: int


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
class DaemonStarted:
    """The daemon serves its routes and now looks for the broker."""

    url: str
    brokers: str
    version: str
    config_hash: str
    compiled: bool


@dataclass(frozen=True, slots=True)
class DaemonStopped:
    """The daemon was told to stop; all it knew is saved."""


Fact = (
    EventsCounted
    | EventsRejected
    | FieldsRejected
    | WindowClosed
    | WindowScored
    | PaneCharted
    | CalibrationStands
    | RateImproved
    | AlertSeen
    | AlertChanged
    | RetrainDecided
    | WatermarkAdvanced
    | StateReset
    | PartitionsAssigned
    | PartitionsHeld
    | TopicsMissing
    | OffsetsLost
    | RecordsSkipped
    | ForeignCommit
    | SourceTroubled
    | SourceAnswered
    | LagMeasured
    | PanesOpen
    | CheckpointSaved
    | CheckpointFailed
    | DeliveryTried
    | DaemonStarted
    | DaemonStopped
)

"""What became of partitions, topics and the broker."""

from dataclasses import dataclass

from monitor.stream.events import Nanos, Partition


@dataclass(frozen=True, slots=True)
class PartitionsAssigned:
    """The source reads these partitions from these offsets on."""

    offsets: tuple[tuple[Partition, int], ...]


@dataclass(frozen=True, slots=True)
class PartitionsHeld:
    """These partitions, and no others, are not read for now: the watermark has to come nearer to them."""

    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class RecordsWaiting:
    """Records that were read and cannot be decoded yet, by topic, why, and since when, wall time; none of a topic: they wait no more."""

    records: tuple[tuple[str, int], ...]
    why: str
    since: Nanos
    at: Nanos  # wall time


@dataclass(frozen=True, slots=True)
class ReaderChosen:
    """Who reads the topics: the native reader, or the Python client, and why not the former; on how many threads."""

    native: bool
    reason: str | None
    threads: int = 1


@dataclass(frozen=True, slots=True)
class TopicsMissing:
    """Configured topics that the broker does not have now."""

    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OffsetsLost:
    """Our position is not in the partition any more, and reading goes on elsewhere.

    `cause`: `retention` took events before they were read, or nobody knows; the topic was made `anew`; its log was `truncated`,
    and ends before what we have read.
    """

    partition: Partition
    wanted: int
    resumed: int
    cause: str = "retention"


@dataclass(frozen=True, slots=True)
class StateLost:
    """Nothing is stored of a partition for which we committed a position: the state was lost, or another daemon has the group."""

    partition: Partition
    committed: int
    resumed: int


@dataclass(frozen=True, slots=True)
class OffsetsExpired:
    """Reading begins at the first event that a partition still has; retention took those before it. Nothing of ours is lost."""

    partition: Partition
    first: int


@dataclass(frozen=True, slots=True)
class RecordsSkipped:
    """Records were stepped over, because the client could not read them (`unreadable`) or dies of it (`kills`)."""

    partition: Partition
    first: int
    last: int
    cause: str = "unreadable"


@dataclass(frozen=True, slots=True)
class PositionSuspected:
    """So many starts in a row have died at this position: the partition is kept back while child processes look what lies there."""

    partition: Partition
    offset: int
    deaths: int


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
class PartitionsUnreachable:
    """The leaders of these partitions, and of no others, have not answered for a minute; with the wall time of the last answer.

    `changed`: not so when the source begins, and every leader has just answered.
    """

    partitions: tuple[tuple[Partition, Nanos], ...]
    changed: bool = True


@dataclass(frozen=True, slots=True)
class LagMeasured:
    """Events between our position and the partition's end, those of open transactions included; absent where no leader answers."""

    lags: tuple[tuple[Partition, int], ...]

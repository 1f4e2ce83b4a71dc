"""Where batches that kill begin and end, found out from what scouts saw. Nothing here sends one."""

from dataclasses import dataclass, field

from monitor.sources.kafka.scout import Stage
from monitor.sources.kafka.unreadable import UnreadableBatch

MOST_SCOUTS = 500  # for one partition: no search goes on for ever


@dataclass(frozen=True, slots=True)
class Order:
    """From where a scout is to read: one message alone, or on until it is told otherwise."""

    offset: int
    alone: bool


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a scout saw before it ended or `died`: up to which offset it came, and where the batch begins that the client could not read."""

    stage: Stage
    first: int = 0  # the first offset that it has not brought
    begins: int = -1
    died: bool = False

    @property
    def is_stopped(self) -> bool:
        """Whether a batch has stopped it."""
        return self.stage is Stage.UNREADABLE or (self.died and self.stage is Stage.READING)

    @property
    def is_through(self) -> bool:
        """Whether it has seen what it was sent for."""
        return self.stage is Stage.THROUGH and not self.died


@dataclass(slots=True)
class KillerSearch:
    """Looks from an offset on for batches that stop scouts.

    A scout reads on until it is stopped; from there one reads alone, since what stopped the first may lie a little further on. Where that one
    is stopped too, the end of the batch is searched for as that of any batch that cannot be read. A probe from within a batch costs less memory, for
    what lies before it is not kept: then the records from there on can be read, and only those before them are stepped over.

    >>> search = KillerSearch(10)
    >>> while (order := search.order) is not None:  # offsets 13 to 19 are one batch
    ...     stopped = 13 <= order.offset < 20 or (not order.alone and order.offset < 13)
    ...     search.saw(Sighting(Stage.READING, max(order.offset, 13), died=True) if stopped else Sighting(Stage.THROUGH, order.offset + 1))
    >>> search.ranges
    [(13, 20)]
    """

    at: int
    ranges: list[tuple[int, int]] = field(
        default_factory=list
    )  # the first offset to step over, and the first after these
    _alone: bool = False
    _batch: UnreadableBatch | None = None
    _over: bool = False
    _sent: int = 0

    @property
    def order(self) -> Order | None:
        """What to send a scout for next; None: all is known that can be."""
        if self._over or self._sent >= MOST_SCOUTS:
            return None
        return Order(self.at, self._alone) if self._batch is None else Order(self._batch.probe, alone=True)

    def saw(self, sighting: Sighting) -> None:
        """Take in what came of the order."""
        self._sent += 1
        if not sighting.is_stopped and not sighting.is_through:
            self._over = True  # nobody knows: what is not certain is not stepped over
        elif self._batch is not None:
            self._probe(self._batch, sighting)
        elif not self._alone:
            self._over = sighting.is_through
            self._alone, self.at = True, max(self.at, sighting.first)
        elif sighting.is_stopped:
            self._batch = UnreadableBatch(first=self.at)
        else:  # what has stopped the one before lies further on
            self._over = sighting.first <= self.at
            self._alone, self.at = False, max(self.at, sighting.first)

    def _probe(self, batch: UnreadableBatch, sighting: Sighting) -> None:
        if sighting.is_stopped:
            batch.failed(begins=sighting.begins)
        else:
            batch.passed()
        if batch.ended:
            assert batch.after is not None
            self.ranges.append((batch.first, batch.after))
            self.at, self._batch, self._alone = batch.after, None, False

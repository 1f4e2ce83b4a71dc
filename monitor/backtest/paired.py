"""Recorded events and recorded labels, or requests and responses, side by side in the order of their times."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from monitor.backtest.recorded import Piece, Recorded
from monitor.stream.events import MicroBatch, Nanos, Partition


class Paired:
    """Two records as one. Labels are read no further than events need, so that few wait; the end of the events is not told.

    Where these are no labels but halves of the same events, event time waits for both from the beginning.
    """

    def __init__(self, events: Recorded, labels: Recorded, *, halves: bool = False) -> None:
        self._events = events
        self._labels = labels
        self._halves = halves

    @property
    def notes(self) -> Sequence[str]:
        """What was noticed in either."""
        return [*self._events.notes, *self._labels.notes]

    def hold(self, partitions: frozenset[Partition]) -> None:
        """Neither runs ahead of the other."""

    def pieces(self) -> Iterator[Piece]:
        """Of the one that is behind, piece by piece. Raises RecordedError."""
        events, labels = SideRead(self._events.pieces()), SideRead(self._labels.pieces())
        if self._halves:
            sides = [side.next.arrived.assigned for side in (events, labels) if side.next is not None]
            yield Piece(MicroBatch(assigned=frozenset().union(*sides)), (), 0, 0.0)
        while events.next is not None or labels.next is not None:
            behind = events if labels.next is None or (events.next is not None and events.at < labels.at) else labels
            piece = behind.take()
            if behind is labels:
                piece = replace(piece, done=events.done)
                yield piece
                if labels.next is None:
                    yield Piece(MicroBatch(), (), 0, events.done, labels.partitions)
            else:
                yield piece


class SideRead:
    """A record that is being read: its next piece, and how far the last ones reached."""

    def __init__(self, pieces: Iterator[Piece]) -> None:
        self._pieces = pieces
        self.next = next(pieces, None)
        self.at: Nanos = -(2**63)
        self.done = 0.0
        self.partitions: frozenset[Partition] = frozenset()

    def take(self) -> Piece:
        """The next piece."""
        piece, self.next = self.next, next(self._pieces, None)
        assert piece is not None
        self.partitions |= piece.arrived.assigned
        self.at = max([self.at, *piece.arrived.seen.values()])
        self.done = piece.done
        return piece

"""Rejected records on their way to where they are kept: what cannot be kept now waits here, and nothing is read or saved meanwhile."""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from monitor.facts import DeadLettersBlocked, DeadLettersSized, Fact
from monitor.series.records import Record
from monitor.store.dead_letters import DeadLetterError
from monitor.stream.rejected import RejectedRecord


class DeadLetterSink(Protocol):
    """Where rejected records are kept. It may hold up the loop for seconds, never longer."""

    def begin(self, saved: bytes | None) -> None:
        """Go on from what the state says; None: it says nothing. Raises StateError."""
        ...

    def write(self, waiting: deque[RejectedRecord]) -> None:
        """Take records, which leave `waiting` one by one. Raises DeadLetterError where it takes no more now; the same ones may come back."""
        ...

    def secure(self) -> None:
        """Have all that was taken where no crash takes it away. Raises DeadLetterError, and StateError where only reading again helps."""
        ...

    @property
    def record(self) -> Record | None:
        """What the state is to hold of it, with what was secured."""
        ...

    def covered(self) -> None:
        """A checkpoint covers what was secured, and has saved the record."""
        ...

    def news(self) -> list[Fact]:
        """What was kept since the last call."""
        ...

    @property
    def size(self) -> int | None:
        """Bytes that it takes here; None: none."""
        ...

    def close(self) -> None:
        """Let go of it, in bounded time."""
        ...


class DeadLetters:
    """The rejected records of a daemon. `blocked`: why they cannot be kept now, in a line; None where they can."""

    def __init__(self, sink: DeadLetterSink) -> None:
        self.sink = sink
        self.blocked: str | None = None
        self._waiting = deque[RejectedRecord]()

    def keep(self, records: Sequence[RejectedRecord]) -> list[Fact]:
        """Have these kept; where that is not possible they wait."""
        self._waiting.extend(records)
        return self._try(secure=False)

    def secure(self) -> list[Fact]:
        """Have all of them where no crash takes them away, or say why not. Raises StateError."""
        return self._try(secure=True)

    def _try(self, *, secure: bool) -> list[Fact]:
        facts = list[Fact]()
        try:
            self.sink.write(self._waiting)
            if secure:
                self.sink.secure()
                self.blocked = None
        except DeadLetterError as error:
            self.blocked = f"dead letters cannot be kept: {error}"
            facts.append(DeadLettersBlocked(str(error), len(self._waiting)))
        news = self.sink.news()
        if news and (size := self.sink.size) is not None:
            news.append(DeadLettersSized(size))
        return [*news, *facts]

"""From other threads to the loop: what people ask for, answered once the checkpoint that holds it is written; how runs stand."""

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock

from monitor.alerting.decisions import Asked
from monitor.alerting.runs import RunsReport
from monitor.facts import DecisionMade, DecisionRefused, Fact

PATIENCE = 8.0  # seconds; the connection is given ten


class NotSavedError(Exception):
    """Nothing is known to be saved; one line says why. Asking again under the same id is safe."""


Answer = DecisionMade | DecisionRefused


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """One who waits."""

    asked: Asked
    answer: Future[Answer] = field(default_factory=Future)


class Inbox:
    """One queue. What is taken out of it is the loop's, which answers when it has saved."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._queue: SimpleQueue[Waiting] = SimpleQueue()
        self._reports: SimpleQueue[RunsReport] = SimpleQueue()
        self._unsaved: list[tuple[Waiting, Answer]] = []
        self._lock = Lock()  # nobody comes in while it is shut
        self._shut: str | None = "driftd is starting"

    def ask(self, asked: Asked) -> Answer:
        """Wait for what becomes of it. Raises NotSavedError."""
        waiting = Waiting(asked)
        with self._lock:
            if self._shut is not None:
                raise NotSavedError(self._shut)
            self._queue.put(waiting)
        try:
            return waiting.answer.result(self._patience)
        except TimeoutError:
            done = "nothing was done" if waiting.answer.cancel() else "it is not known whether it will be"
            raise NotSavedError(f"not saved within {self._patience:g} s: {done}") from None
        except CancelledError:
            raise NotSavedError("driftd is stopping: nothing was done") from None

    def report(self, report: RunsReport) -> None:
        """Hand in how the runs of a request stand. Nobody waits: what a crash loses is reported again."""
        self._reports.put(report)

    # --- the loop's side ----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Let people in: the loop turns."""
        with self._lock:
            self._shut = None

    def take(self, decide: Callable[[Asked], list[Fact]]) -> list[Fact]:
        """Decide all that is asked for and still waited for; the facts of it."""
        facts: list[Fact] = []
        while (waiting := self._next()) is not None:
            if waiting.answer.set_running_or_notify_cancel():
                decided = decide(waiting.asked)
                assert isinstance(decided[0], Answer)
                self._unsaved.append((waiting, decided[0]))
                facts += decided
        return facts

    def _next(self) -> Waiting | None:
        try:
            return self._queue.get_nowait()
        except Empty:
            return None

    def reports(self) -> Iterator[RunsReport]:
        """What was handed in of runs."""
        with suppress(Empty):
            while True:
                yield self._reports.get_nowait()

    @property
    def unsaved(self) -> bool:
        """Whether somebody waits for the next checkpoint."""
        return bool(self._unsaved)

    def saved(self) -> None:
        """A checkpoint is written: all that was decided is in it."""
        for waiting, answer in self._unsaved:
            waiting.answer.set_result(answer)
        self._unsaved.clear()

    def close(self) -> None:
        """Let nobody in any more; who still waits is told so."""
        with self._lock:
            self._shut = "driftd is stopping"
        while (waiting := self._next()) is not None:
            waiting.answer.cancel()
        for waiting, _ in self._unsaved:
            waiting.answer.set_exception(NotSavedError("driftd is stopping, and could not save it"))
        self._unsaved.clear()

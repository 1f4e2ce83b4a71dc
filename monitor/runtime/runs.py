"""Asks targets how the runs stand that requests for retraining started. A thread of its own, which is there once a request is in flight."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

from monitor.alerting.runs import FollowedRun, OpenRequest, RunsReport, RunState, StartedRun
from monitor.clock import Clock
from monitor.facts import RetrainRunUnseen
from monitor.runtime.board import Board
from monitor.runtime.inbox import Inbox
from monitor.runtime.telemetry import Telemetry
from monitor.store.notice import Notice
from monitor.store.sqlite import StateStore
from monitor.targets.base import Subscriber, can_follow
from monitor.targets.payloads import RETRAIN
from monitor.targets.transport import Transport, TransportError

SOONEST, LATEST = 5.0, 300.0  # seconds from one look to the next: each is twice as far as the last
LOOK_EVERY = 1.0  # seconds between looks at what is due
PENDING, DELIVERED = "pending", "delivered"  # of deliveries
UNSEEN = {RunState.ABSENT: "it has no run of this request", RunState.UNKNOWN: "it does not say how the run stands"}


@dataclass(slots=True)
class Pace:
    """When a request is looked at next, and how long after that; monotonic seconds."""

    due: float
    delay: float = SOONEST

    def later(self, now: float, longest: float) -> None:
        """It was looked at."""
        self.due, self.delay = now + self.delay, min(2 * self.delay, longest)


@dataclass(slots=True)
class RunWatch:
    """Follows the runs of requests in flight at the targets that can tell. It keeps nothing that a restart would miss."""

    subscribers: Sequence[Subscriber]
    store: StateStore
    telemetry: Telemetry
    inbox: Inbox
    clock: Clock
    soonest: float = SOONEST
    longest: float = LATEST
    _paces: dict[str, Pace] = field(default_factory=dict)  # by request
    _said: set[tuple[str, str, str]] = field(default_factory=set)
    _stopping: Event = field(default_factory=Event)
    _thread: Thread | None = None

    @classmethod
    def of(cls, subscribers: Sequence[Subscriber], *parts: Any) -> "RunWatch | None":
        """One for the targets that are told of requests and can say what became of them; None where there are none."""
        found = [each for each in subscribers if each.wants(RETRAIN) and can_follow(each.target)]
        return cls(found, *parts) if found else None

    # --- the thread ---------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """There may be a request in flight: from the first on there is a thread."""
        if self._thread is None and not self._stopping.is_set() and self._in_flight():
            self._thread = Thread(target=self._run, name="runs", daemon=True)
            self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether nothing has ended it."""
        return self._thread is None or self._thread.is_alive()

    def stop(self, within: float) -> None:
        """End, within so many seconds where no target is waited for."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(within)

    def _run(self) -> None:
        with Transport(self.clock) as io:
            while not self._stopping.wait(LOOK_EVERY):
                self.turn(io)

    def _in_flight(self) -> list[OpenRequest]:
        return self.telemetry.look(Board.requests_in_flight)

    # --- looking ------------------------------------------------------------------------------------------------

    def turn(self, io: Transport) -> None:
        """Look at what is due."""
        requests = {each.id: each for each in self._in_flight()}
        self._paces = {
            name: self._paces.get(name) or Pace(self.clock.elapsed() + self.soonest, self.soonest) for name in requests
        }
        self._said = {each for each in self._said if each[0] in requests}
        for name, pace in self._paces.items():
            if self.clock.elapsed() >= pace.due and not self._stopping.is_set():
                self._look(io, requests[name])
                pace.later(self.clock.elapsed(), self.longest)

    def _look(self, io: Transport, request: OpenRequest) -> None:
        try:
            deliveries = self.store.deliveries(request.id)
        except sqlite3.Error:  # looked at again: the loop's own saving says what ails the disk
            return
        known = {each.target: each for each in request.runs}
        runs = []
        for each in self.subscribers:
            status, before = deliveries.get(each.name), known.get(each.name)
            if before is not None and before.found.state.ended:
                runs.append(before)
            elif status == PENDING:
                runs.append(FollowedRun(each.name, each.type, StartedRun(RunState.IN_FLIGHT)))
            elif status == DELIVERED:
                runs.append(FollowedRun(each.name, each.type, self._ask(io, request, each)))
        if any(known.get(each.target) != each for each in runs):
            self.inbox.report(RunsReport(request.id, tuple(runs)))

    def _ask(self, io: Transport, request: OpenRequest, subscriber: Subscriber) -> StartedRun:
        """Ask one target, by our own id; what it does not say is told once."""
        notice, target = Notice(request.id, RETRAIN, str(request.key), request.at, b"{}"), subscriber.target
        why = None
        try:
            found: object = target.status(notice, io, self.clock)  # type: ignore[attr-defined] # those that can follow
        except TransportError as error:
            found, why = None, str(error)
        except Exception as error:  # noqa: BLE001 - a bug in a stranger's target; its text could hold a secret
            found, why = None, f"failed with {type(error).__name__}"
        run = found if isinstance(found, StartedRun) else StartedRun(RunState.UNKNOWN)
        if run.state in UNSEEN:
            self._say(RetrainRunUnseen(request.id, request.key.model, subscriber.name, why or UNSEEN[run.state]))
        return run

    def _say(self, unseen: RetrainRunUnseen) -> None:
        place = unseen.request, unseen.target, unseen.why
        if place not in self._said:
            self._said.add(place)
            self.telemetry.record([unseen])

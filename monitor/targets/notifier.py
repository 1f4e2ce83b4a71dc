"""Delivers the outbox, one thread a target: in order within an alert, again until it is taken."""

import math
import random
import re
import sqlite3
from collections.abc import Callable
from threading import Event, Thread

from monitor.audit.chain import AuditNote
from monitor.audit.entries import delivery_note
from monitor.clock import Clock
from monitor.facts import DeliveryForgotten, DeliveryTried
from monitor.failpoints import Step, reach
from monitor.store.outbox import Notice, OutboxRow
from monitor.store.sqlite import StateStore
from monitor.stream.events import DAY, SECOND, Nanos
from monitor.targets.base import AlreadyThere, Delivered, Delivery, Fault, Refused, Subscriber, TryLater
from monitor.targets.transport import Transport, TransportError

LONGEST_DELAY = 600.0  # seconds between attempts, also where a receiver of pages asks for more
RETRAINING = "model.retrain."
LONGEST_OF_REQUESTS = 3600.0  # where one of requests to retrain does
GIVE_UP_AFTER: Nanos = 3 * DAY
FEWEST_ATTEMPTS = 20  # whatever the age: about an hour and a half, for a daemon that was down itself
SIGNATURE, MASKED = re.compile(r"(signature(?:=|%3D|\\u003d))[^\s&\"'<>\\]+", re.IGNORECASE), r"\1********"
MOST_DETAIL = 500  # characters of an answer that the audit log keeps
LOOK_EVERY = 1.0  # seconds, when nothing wakes us


def delay_after(attempts: int, jitter: random.Random) -> float:
    """Seconds to wait after so many failed attempts: about 1, 2, 4 …, at most ten minutes, ±20 %."""
    return min(LONGEST_DELAY / 1.2, 2.0 ** min(attempts, 20)) * jitter.uniform(0.8, 1.2)


def without_signatures(text: str) -> str:
    """An answer without the signatures of approval links: a receiver may repeat what it was sent.

    >>> without_signatures("no: http://driftd/approval?action=approve&signature=ab12")
    'no: http://driftd/approval?action=approve&signature=********'
    """
    return SIGNATURE.sub(MASKED, text)


class Notifier(Thread):
    """Delivers to one target. The outbox row is the only thing shared with the loop."""

    def __init__(
        self,
        subscriber: Subscriber,
        store: StateStore,
        clock: Clock,
        tell: Callable[[DeliveryTried | DeliveryForgotten], None],
    ) -> None:
        super().__init__(name=f"notifier-{subscriber.name}", daemon=True)
        self._target = subscriber.target
        self._type = subscriber.type
        self._store = store
        self._clock = clock
        self._tell = tell
        self._jitter = random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._wake = Event()
        self._stopping = Event()
        self._hurried = Event()
        self._not_before = 0.0  # monotonic: the receiver as a whole is down or asks for patience
        self._again_every = subscriber.again_every  # seconds
        self._unnoted: tuple[OutboxRow, Delivery] | None = None  # how an attempt ended, which could not be written down
        self._said: dict[str, float] = {}  # of what stands, by id: when it was last said, monotonic

    @property
    def told(self) -> str:
        """The target's name."""
        return self._target.name

    def try_now(self) -> None:
        """Somebody has mended something: the receiver is left alone no longer, whatever it asked for."""
        self._hurried.set()
        self._wake.set()

    def wake(self) -> None:
        """There may be something new to deliver."""
        self._wake.set()

    def stop(self) -> None:
        """Deliver what can be delivered at once, then end; `join` waits for it."""
        self._stopping.set()
        self._wake.set()

    def run(self) -> None:
        """Deliver until stopped; a notice in flight when we die is sent again under the same id."""
        with Transport(self._clock) as io:
            while True:
                if self.turn(io):
                    continue
                if self._stopping.is_set():
                    return
                self._wake.wait(LOOK_EVERY)
                self._wake.clear()

    def turn(self, io: Transport) -> bool:
        """Try the one notice that is due first, and else say one again that stands; false if there is none."""
        if self._hurried.is_set():
            self._hurried.clear()
            self._not_before = 0.0
        if self._unnoted is not None and not self._note_late(*self._unnoted):
            return False
        row = self._next_due()
        if row is not None:
            self._deliver(io, row)
            return True
        notice = None if self._again_every is None else self._next_again(self._again_every)
        if notice is not None:
            self._say_again(io, notice)
        return notice is not None

    def _next_due(self) -> OutboxRow | None:
        if self._clock.elapsed() < self._not_before:
            return None
        try:
            return self._store.next_due(self._target.name, self._clock.now())
        except sqlite3.Error:  # looked at again: the loop's own saving says what ails the disk
            return None

    def _next_again(self, every: float) -> Notice | None:
        """What stands and was last said longest ago, where that is long enough; at a start all of it."""
        now = self._clock.elapsed()
        if now < self._not_before or self._stopping.is_set():
            return None
        try:
            standing = self._store.standing(self._target.name, self._clock.now())
            self._said = {each.id: self._said[each.id] for each in standing if each.id in self._said}
            due = [each for each in standing if now - self._said.get(each.id, -math.inf) >= every]
            first = min(due, key=lambda each: self._said.get(each.id, -math.inf), default=None)
            return None if first is None else self._store.standing_notice(self._target.name, first.place)
        except sqlite3.Error:
            return None

    def _say_again(self, io: Transport, notice: Notice) -> None:
        """Say what stands. That it was taken is no news; that it was not, or not by all, is."""
        delivery = self._attempt(io, notice)
        self._said[notice.id] = self._clock.elapsed()
        if isinstance(delivery, TryLater) and delivery.fault is Fault.RECEIVER:
            del self._said[notice.id]
            self._leave_alone(self._wait(notice, 0, delivery.delay))
        if delivery.detail:
            self._tell(self._tried(notice, "retried", delivery.status, delivery.detail))

    def _deliver(self, io: Transport, row: OutboxRow) -> None:
        reach(Step.CHOSEN)
        delivery = self._attempt(io, row.notice)
        reach(Step.SENT)
        if self._again_every is not None:
            self._said[row.notice.id] = self._clock.elapsed()
        outcome, detail = "retried", delivery.detail
        try:
            outcome = self._note(row, delivery)
            reach(Step.NOTED)
        except sqlite3.Error as error:  # a full disk: nothing is sent until that can be written down
            self._unnoted = row, delivery
            detail = str(error)
        self._tell(self._tried(row.notice, outcome, delivery.status, detail))

    def _note_late(self, row: OutboxRow, delivery: Delivery) -> bool:
        """Write down what could not be before; whether that is done."""
        try:
            outcome = self._note(row, delivery)
        except sqlite3.Error:
            return False
        self._unnoted = None
        if outcome != "retried":
            self._tell(self._tried(row.notice, outcome, delivery.status, delivery.detail))
        return True

    def _tried(self, notice: Notice, outcome: str, status: int | None, detail: str) -> DeliveryTried:
        return DeliveryTried(self._target.name, self._type, notice.id, outcome, status, without_signatures(detail))

    def _attempt(self, io: Transport, notice: Notice) -> Delivery:
        try:
            delivery: object = self._target.deliver(notice, io, self._clock)
        except TransportError as error:
            return TryLater(detail=str(error))
        except Exception as error:  # noqa: BLE001 - a bug in a stranger's target; its text could hold a secret
            return TryLater(detail=f"failed with {type(error).__name__}", fault=Fault.NOTICE)
        if isinstance(delivery, Delivery):
            return delivery
        return TryLater(detail=f"returned {type(delivery).__name__}, which is no delivery", fault=Fault.NOTICE)

    def _note(self, row: OutboxRow, delivery: Delivery) -> str:
        """Write down how an attempt ended; the outcome's name."""
        match delivery:
            case Delivered() | AlreadyThere():
                self._not_before = 0.0
                outcome = "delivered" if isinstance(delivery, Delivered) else "present"
                self._store.delivered(row, self._audited(row, delivery, outcome))
                return outcome
            case Refused():
                return self._give_up(row, delivery, "refused")
            case TryLater() if self._is_overdue(row):
                return self._give_up(row, delivery, "dead")
            case TryLater(delay=delay, fault=fault):
                self._postpone(row, self._wait(row.notice, row.attempts, delay), fault)
                return "retried"

    def _give_up(self, row: OutboxRow, delivery: Delivery, outcome: str) -> str:
        """Try it no more, unless somebody has decided else while it was tried; the outcome's name."""
        forgotten = self._store.dead(row, self._audited(row, delivery, outcome))
        for each in forgotten or ():
            self._tell(DeliveryForgotten(each.target, each.id, each.type, each.subject))
        return "retried" if forgotten is None else outcome

    def _wait(self, notice: Notice, attempts: int, asked: float | None) -> float:
        """Seconds to the next attempt: what the receiver asks for, but a page is not put off by a day."""
        if asked is None:
            return delay_after(attempts, self._jitter)
        return min(asked, LONGEST_OF_REQUESTS if notice.type.startswith(RETRAINING) else LONGEST_DELAY)

    def _audited(self, row: OutboxRow, delivery: Delivery, outcome: str) -> AuditNote:
        """What the audit log is to say of a delivery that has ended."""
        notice, now, detail = row.notice, self._clock.now(), without_signatures(delivery.detail)
        more = {"attempts": row.attempts + 1, "status": delivery.status, "detail": detail[:MOST_DETAIL]}
        return delivery_note(outcome, self._target.name, notice.id, notice.type, notice.subject, now, more)

    def _is_overdue(self, row: OutboxRow) -> bool:
        return self._clock.now() - row.created >= GIVE_UP_AFTER and row.attempts >= FEWEST_ATTEMPTS

    def _postpone(self, row: OutboxRow, seconds: float, fault: Fault) -> None:
        self._store.postpone(row, self._clock.now() + round(seconds * SECOND))
        if fault is Fault.RECEIVER:
            self._leave_alone(seconds)

    def _leave_alone(self, seconds: float) -> None:
        self._not_before = self._clock.elapsed() + seconds

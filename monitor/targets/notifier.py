"""Delivers the outbox, one thread a webhook: in order within an alert, again until it is taken."""

import random
import sqlite3
from collections.abc import Callable
from threading import Event, Thread
from typing import TYPE_CHECKING

from monitor.clock import Clock
from monitor.facts import DeliveryTried
from monitor.store.sqlite import OutboxRow, StateStore
from monitor.stream.events import SECOND, Nanos
from monitor.targets.webhook import Attempt, Webhook, new_client

if TYPE_CHECKING:
    import httpx

LONGEST_DELAY = 600.0  # seconds between attempts
GIVE_UP_AFTER: Nanos = 3 * 24 * 3600 * SECOND
FEWEST_ATTEMPTS = 20  # whatever the age: about an hour and a half, for a daemon that was down itself
LOOK_EVERY = 1.0  # seconds, when nothing wakes us


def delay_after(attempts: int, jitter: random.Random) -> float:
    """Seconds to wait after so many failed attempts: about 1, 2, 4 …, at most ten minutes, ±20 %."""
    return min(LONGEST_DELAY / 1.2, 2.0 ** min(attempts, 20)) * jitter.uniform(0.8, 1.2)


class Notifier(Thread):
    """Delivers to one webhook. The outbox row is the only thing shared with the loop."""

    def __init__(
        self, webhook: Webhook, store: StateStore, clock: Clock, tell: Callable[[DeliveryTried], None]
    ) -> None:
        super().__init__(name=f"notifier-{webhook.name}", daemon=True)
        self._webhook = webhook
        self._store = store
        self._clock = clock
        self._tell = tell
        self._jitter = random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._wake = Event()
        self._stopping = Event()
        self._not_before = 0.0  # monotonic: the receiver as a whole is down or asks for patience

    def wake(self) -> None:
        """There may be something new to deliver."""
        self._wake.set()

    def stop(self) -> None:
        """Deliver what can be delivered at once, then end; `join` waits for it."""
        self._stopping.set()
        self._wake.set()

    def run(self) -> None:
        """Deliver until stopped; a notification in flight when we die is sent again under the same id."""
        with new_client() as client:
            while True:
                if self.turn(client):
                    continue
                if self._stopping.is_set():
                    return
                self._wake.wait(LOOK_EVERY)
                self._wake.clear()

    def turn(self, client: "httpx.Client") -> bool:
        """Try the one notification that is due first; false if none is."""
        row = self._next_due()
        if row is not None:
            self._deliver(client, row)
        return row is not None

    def _next_due(self) -> OutboxRow | None:
        if self._clock.elapsed() < self._not_before:
            return None
        try:
            return self._store.next_due(self._webhook.name, self._clock.now())
        except sqlite3.Error:  # looked at again: the loop's own saving says what ails the disk
            return None

    def _deliver(self, client: "httpx.Client", row: OutboxRow) -> None:
        attempt = self._webhook.send(client, row.notification, self._clock)
        try:
            self._follow(row, attempt)
        except sqlite3.Error as error:  # a full disk: what was taken is sent again, under the same id
            self._not_before = self._clock.elapsed() + LOOK_EVERY
            self._tell(DeliveryTried(self._webhook.name, row.notification.id, "retried", attempt.status, str(error)))

    def _follow(self, row: OutboxRow, attempt: Attempt) -> None:
        now = self._clock.now()
        if attempt.delivered:
            self._not_before = 0.0
            self._store.delivered(row)
            outcome = "delivered"
        elif attempt.gone or (now - row.created >= GIVE_UP_AFTER and row.attempts >= FEWEST_ATTEMPTS):
            self._store.dead(row)
            outcome = "dead"
        else:
            seconds = attempt.retry_after
            if seconds is None:
                seconds = delay_after(row.attempts, self._jitter)
            due = now + round(seconds * SECOND)
            self._store.postpone(row, due)
            if not attempt.ours:
                self._not_before = self._clock.elapsed() + seconds
            outcome = "retried"
        self._tell(DeliveryTried(self._webhook.name, row.notification.id, outcome, attempt.status, attempt.detail))

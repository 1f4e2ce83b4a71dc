"""Dead letters as records of a topic: the key and value as they came, headers that say where from and why. Acknowledged before a checkpoint covers them.

The producer is idempotent and waits for all replicas in sync. What is not acknowledged is sent again: a record may stand there twice, and its
headers say so.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Thread
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from monitor.facts import Fact
from monitor.sources.kafka.client import SILENT
from monitor.sources.kafka.troubles import said
from monitor.store.dead_letters import DeadLetterError, kept
from monitor.stream.events import MILLISECOND
from monitor.stream.rejected import RejectedRecord

PREFIX = "driftd-"  # of headers
PRODUCING: dict[str, Any] = {
    "enable.idempotence": True,  # and with it acks=all, and an order
    "message.timeout.ms": 10_000,  # then it is told as not sent, and sent again
    "message.max.bytes": 1_000_000_000,  # what is too large is for the broker to say
    "queue.buffering.max.kbytes": 16_384,
    "queue.buffering.max.messages": 20_000,
    "linger.ms": 20,
    "log_level": 0,
}
PATIENCE = 2.0  # seconds of the loop for answers, each time
MOST = 8_000_000  # bytes under way, beyond which they are waited for before more is read


class DeadLetterTopic:
    """The producer of one daemon."""

    def __init__(
        self, topic: str, properties: Mapping[str, Any], elapsed: Callable[[], float], patience: float = PATIENCE
    ) -> None:
        """`properties` are those by which the broker is reached. Raises what the client raises for properties that it refuses."""
        self._topic, self._elapsed, self._patience = topic, elapsed, patience
        self._properties = {**properties, **PRODUCING}
        self._away: dict[int, RejectedRecord] = {}  # sent, and not acknowledged
        self._back = deque[RejectedRecord]()  # refused: they are sent again
        self._bytes = self._sent = 0  # bytes under way; how many were ever sent
        self._acknowledged = list[RejectedRecord]()
        self._trouble = ""
        self._fatal = False
        self._producer = self._connect()

    def _connect(self) -> Producer:
        return Producer({**self._properties, "error_cb": self._note}, logger=SILENT)

    def _note(self, error: KafkaError) -> None:
        self._trouble = said(error.str())
        self._fatal |= error.fatal() or error.code() == KafkaError._FATAL  # noqa: SLF001 - librdkafka's own code

    # --- sending ----------------------------------------------------------------------------------------------------

    def begin(self, saved: bytes | None) -> None:
        """Nothing of it is saved."""

    def write(self, waiting: deque[RejectedRecord]) -> None:
        """Send records, which leave `waiting` as they are taken; they are waited for where too many are under way. Raises DeadLetterError."""
        deadline = self._elapsed() + self._patience
        self._renew(waiting)
        while waiting:
            if self._bytes > MOST:
                self._wait(lambda: self._bytes <= MOST, deadline)
            self._send(waiting[0], deadline)
            waiting.popleft()
        self._producer.poll(0)

    def news(self) -> list[Fact]:
        """What was acknowledged since the last call."""
        acknowledged, self._acknowledged = self._acknowledged, []
        return kept(acknowledged)

    def _send(self, record: RejectedRecord, deadline: float) -> None:
        """Hand a record to the client. Raises DeadLetterError where it has no room until the deadline, or refuses it."""
        number = self._sent
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    record.value,
                    record.key,
                    headers=headers_of(record),
                    on_delivery=partial(self._answered, number),
                )
            except BufferError:
                self._wait(self._has_room(len(self._producer)), deadline)
            except KafkaException as error:
                raise self._error(error.args[0].str()) from None
            else:
                self._sent += 1
                self._away[number] = record
                self._bytes += record.nbytes
                return

    def _has_room(self, before: int) -> Callable[[], bool]:
        return lambda: len(self._producer) < before

    def _wait(self, until: Callable[[], bool], deadline: float) -> None:
        """Hear answers. Raises DeadLetterError at the deadline."""
        while not until():
            if (left := deadline - self._elapsed()) <= 0:
                raise self._error(f"{len(self._away)} records are not acknowledged yet")
            self._producer.poll(min(left, 0.1))

    def _answered(self, number: int, error: KafkaError | None, _message: object) -> None:
        record = self._away.pop(number, None)
        if record is None:  # of a producer that was given up
            return
        self._bytes -= record.nbytes
        if error is None:
            self._acknowledged.append(record)
        else:
            self._trouble = said(error.str())
            self._fatal |= error.fatal()
            self._back.append(record)

    def _renew(self, waiting: deque[RejectedRecord]) -> None:
        """Let what was refused wait again, and all that is under way in a producer that cannot go on."""
        if self._fatal:
            self._back.extend(self._away.values())
            self._away.clear()
            self._bytes, self._fatal = 0, False
            self._leave()
            self._producer = self._connect()
        while self._back:
            waiting.appendleft(self._back.pop())

    def _error(self, what: str) -> DeadLetterError:
        why = f": {self._trouble}" if self._trouble and self._trouble not in what else ""
        return DeadLetterError(f"topic {self._topic}: {what}{why}")

    # --- with a checkpoint ------------------------------------------------------------------------------------------

    def secure(self) -> None:
        """Have all that was sent acknowledged. Raises DeadLetterError; what was refused waits for the next `write`."""
        self._wait(lambda: not self._away or bool(self._back) or self._fatal, self._elapsed() + self._patience)
        if self._back or self._fatal:
            raise self._error(f"{len(self._back) + len(self._away)} records are refused")
        self._trouble = ""

    @property
    def record(self) -> None:
        """Nothing of it is saved."""

    def covered(self) -> None:
        """A checkpoint covers all that was secured."""

    @property
    def size(self) -> None:
        """The broker's to say."""

    def close(self) -> None:
        """Let go of the broker, without waiting: what is not acknowledged is read again."""
        self._leave()

    def _leave(self) -> None:
        producer = self._producer

        def end() -> None:
            producer.purge()
            producer.flush(0)

        Thread(target=end, name="dead-letters-close", daemon=True).start()


def headers_of(record: RejectedRecord) -> list[tuple[str, str | bytes | None]]:
    """The headers that it came with, and ours: where it was read, and why it was rejected."""
    ours = {
        "topic": record.partition.topic,
        "partition": record.partition.index,
        "offset": record.offset,
        "last-offset": record.last,
        "reason": record.reason,
        "events": record.events,
        "rows": rows_text(record),
        "timestamp": None if record.time is None else record.time // MILLISECOND,
    }
    told = [(PREFIX + name, str(value).encode()) for name, value in ours.items() if value is not None]
    return [*record.headers, *told]


def rows_text(record: RejectedRecord) -> str | None:
    """The rows of a record that were rejected, as `3=timestamp_missing 5=model_missing`; None where it is rejected as a whole."""
    rows: Sequence[str] = [f"{row}={why}" for row, why in record.whys if row is not None]
    return " ".join(rows) or None

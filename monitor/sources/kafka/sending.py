"""What replicas write to internal topics: idempotent, acknowledged by all replicas in sync, in the order written."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from monitor.sources.base import SourceError
from monitor.sources.kafka.client import ALL_DOWN, FATAL, SILENT
from monitor.sources.kafka.troubles import said

SENDING: dict[str, Any] = {
    "enable.idempotence": True,  # and with it acks=all, and an order
    "message.timeout.ms": 120_000,  # what a broker may be away for before we give up and begin at what was committed
    "message.max.bytes": 1_000_000_000,  # what is too large is for the broker to say
    "compression.type": "zstd",
    "queue.buffering.max.kbytes": 131_072,
    "queue.buffering.max.messages": 100_000,
    "linger.ms": 20,
    "log_level": 0,
}
MOST = 64_000_000  # bytes under way beyond which nothing more is read
WAIT = 0.05  # seconds of one look at what was acknowledged


class AcknowledgedProducer:
    """A producer that knows how far all it has sent is acknowledged. Raises what the client raises for properties that it refuses."""

    def __init__(self, properties: Mapping[str, Any], elapsed: Callable[[], float]) -> None:
        """`properties` are those by which the broker is reached; `elapsed`: monotonic seconds."""
        self._elapsed = elapsed
        self._under_way: dict[int, int] = {}  # by number, in the order sent: bytes
        self._bytes = 0
        self.sent = 0  # records, ever
        self._failed: str | None = None
        self.trouble = ""
        self._producer = Producer({**properties, **SENDING, "error_cb": self._note}, logger=SILENT)

    def _note(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == FATAL:
            self._failed = error.str()
        elif error.code() != ALL_DOWN:
            self.trouble = said(error.str())

    @property
    def full(self) -> bool:
        """Whether so much is under way that nothing more should be read."""
        return self._bytes > MOST

    @property
    def acknowledged(self) -> int:
        """How many records, the first ones, are acknowledged without a hole."""
        return next(iter(self._under_way), self.sent)

    def send(
        self,
        topic: str,
        partition: int,
        key: bytes,
        value: bytes | None,
        told: Callable[[int], None] = lambda _offset: None,
    ) -> None:
        """Send a record; `told` hears the offset at which it stands. Raises SourceError where earlier ones could not be delivered."""
        number = self.sent
        while True:
            try:
                self._producer.produce(
                    topic, value, key, partition=partition, on_delivery=partial(self._answered, number, told)
                )
                break
            except BufferError:
                self.hear(WAIT)
            except KafkaException as error:
                raise SourceError(f"kafka: topic {topic}: {error.args[0].str()}") from None
        self.sent += 1
        self._under_way[number] = len(value or b"")
        self._bytes += len(value or b"")

    def _answered(self, number: int, told: Callable[[int], None], error: KafkaError | None, message: Any) -> None:
        self._bytes -= self._under_way.pop(number, 0)
        if error is None:
            told(message.offset())
        else:
            self._failed = f"{message.topic()}/{message.partition()}: {error.str()}"

    def hear(self, timeout: float = 0.0) -> None:
        """Hear what was acknowledged. Raises SourceError where something could not be delivered: it is sent again after a new start."""
        self._producer.poll(timeout)
        if self._failed is not None:
            raise SourceError(f"kafka: what replicas tell each other cannot be written: {self._failed}")

    def wait(self, number: int, patience: float) -> bool:
        """Wait until so many are acknowledged, the first ones; whether they are. Raises SourceError."""
        deadline = self._elapsed() + patience
        while self.acknowledged < number:
            if self._elapsed() >= deadline:
                return False
            self.hear(WAIT)
        return True

    def close(self) -> None:
        """Let go of the broker: what is not acknowledged is sent again by whoever goes on."""
        self._producer.purge()
        self._producer.flush(0)

"""Who reads: the native reader where it can, else the Python client; the same answers from both."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaException, Message

from monitor.sources.kafka.client import SILENT, AskingClient, Asks, KafkaChoice, properties_of
from monitor.sources.kafka.native import NativeConsumer, unavailable
from monitor.sources.kafka.portion import ENOUGH, STEP
from monitor.sources.kafka.records import Batch, MessageBatch


class ReadingClient(AskingClient, Protocol):
    """A client that reads partitions which are assigned by hand."""

    def batch(self, most: int, timeout: float) -> Batch:
        """Wait for so many messages, at most so long."""
        ...

    @property
    def incremental_assign(self) -> Asks:
        """Read these, too."""
        ...

    @property
    def incremental_unassign(self) -> Asks:
        """Read these no more."""
        ...


class PythonConsumer(Consumer):
    """The Python client's consumer."""

    def batch(self, most: int, timeout: float) -> MessageBatch:
        """Wait for so many messages, at most so long, no longer than a step where it brings enough."""
        found: list[Message] = []
        while True:
            wait = min(STEP, timeout)
            try:
                found += self.consume(most - len(found), wait)
            except KafkaException:  # what came before is not lost; the error comes again
                if not found:
                    raise
                break
            timeout -= wait
            if timeout <= 0 or len(found) >= min(most, ENOUGH):
                break
        return MessageBatch(found)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who reads, and why it is not the native reader; None where it is."""

    client: ReadingClient
    not_native: str | None


def reading_client(choice: KafkaChoice, **callbacks: Callable[..., Any]) -> Chosen:
    """A client that joins no group. Raises what the client raises for properties that it refuses."""
    properties = properties_of(choice)
    reason = unavailable(properties)
    if reason is None:
        return Chosen(NativeConsumer(properties, **callbacks), None)
    return Chosen(PythonConsumer({**properties, **callbacks}, logger=SILENT), reason)

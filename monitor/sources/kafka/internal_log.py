"""Partitions of an internal topic, read by hand from where the caller says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from monitor.sources.base import SourceError
from monitor.sources.kafka.client import ALL_DOWN, END, FATAL, SAFE_PROPERTIES, SILENT
from monitor.sources.kafka.troubles import said


@dataclass(frozen=True, slots=True)
class InternalRecord:
    """A record of an internal topic."""

    index: int  # of its partition
    offset: int
    key: bytes
    value: bytes | None


class InternalLog:
    """A reader of one internal topic, in no group. Raises what the client raises for properties that it refuses."""

    def __init__(self, properties: Mapping[str, Any], topic: str, name: str) -> None:
        """`name`: the group whose rights it has; it does not join, and nothing is committed."""
        self._topic = topic
        self._fatal: str | None = None
        self.trouble = ""
        self.ended: frozenset[int] = frozenset()  # partitions that were read to their end, as of the last poll
        reading = {**SAFE_PROPERTIES, **properties, "group.id": name, "auto.offset.reset": "earliest"}
        self._consumer = Consumer({**reading, "error_cb": self._note}, logger=SILENT)

    def _note(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == FATAL:
            self._fatal = error.str()
        elif error.code() != ALL_DOWN:
            self.trouble = said(error.str())

    def take_on(self, index: int, offset: int | None = None) -> None:
        """Read a partition from here on; None: from its beginning. What is gone by then is passed over."""
        self._consumer.incremental_assign(
            [TopicPartition(self._topic, index, OFFSET_BEGINNING if offset is None else offset)]
        )

    def let_go(self, index: int) -> None:
        """Read a partition no more."""
        self._consumer.incremental_unassign([TopicPartition(self._topic, index)])

    def poll(self, most: int, timeout: float) -> list[InternalRecord]:
        """Wait for so many records, at most so long. Raises SourceError when it cannot go on."""
        records, ended = list[InternalRecord](), set[int]()
        for message in self._consumer.consume(most, timeout):
            error, index, offset = message.error(), message.partition(), message.offset()
            if error is not None and error.code() != END:
                self._note(error)
            elif index is None or offset is None:  # of no partition
                continue
            elif error is None:
                ended.discard(index)
                records.append(InternalRecord(index, offset, message.key() or b"", message.value()))
            else:
                ended.add(index)
        self.ended = frozenset(ended)
        if self._fatal is not None:
            raise SourceError(f"kafka: the client cannot go on: {self._fatal}")
        return records

    def close(self) -> None:
        """Let go of connections."""
        self._consumer.close()


def read_until(
    properties: Mapping[str, Any],
    name: str,
    topic: str,
    index: int,
    first: int | None,
    last: int,
    elapsed: Callable[[], float],
    patience: float,
) -> list[InternalRecord] | str:
    """All records of a partition from one offset, None: from the beginning, to another; why they do not come in so many seconds. Raises SourceError."""
    log = InternalLog(properties, topic, name)
    found, deadline = list[InternalRecord](), elapsed() + patience
    try:
        log.take_on(index, first)
        while not found or found[-1].offset < last:
            if elapsed() >= deadline:
                why = f": {log.trouble}" if log.trouble else ""
                return f"{topic}/{index}: what stands before {last} does not come{why}"
            found += log.poll(1000, 0.1)
    finally:
        log.close()
    return found

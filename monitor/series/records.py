"""Rows of saved state: what a part of a view hands out, and how it is called in the store."""

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import msgspec

from monitor.stream.events import FEATURES, SeriesKey

# What taking up a row raises that no driftd wrote as it is. Its checksum is right: who wrote it was another one, or had a fault.
FOREIGN = (msgspec.MsgspecError, ValueError, LookupError, TypeError, ArithmeticError, zlib.error, struct.error)


@dataclass(frozen=True, slots=True)
class Record:
    """One row of saved state. `payload` None: the row is gone."""

    kind: str
    key: str
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One row as its owner knows it. `number` tells those of a kind apart: a time, or a count; None where there is one."""

    kind: str
    payload: bytes | None
    number: int | None = None

    @property
    def held(self) -> bytes:
        """The payload of a row that is there."""
        assert self.payload is not None
        return self.payload


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose rows: a view of a series. The rows of features bear no view's name."""

    key: SeriesKey
    view: str = FEATURES

    def record(self, entry: Entry) -> Record:
        """The row in the store. Its key is a JSON array, so that any model name is safe."""
        kind = entry.kind if self.view == FEATURES else f"{self.view}/{entry.kind}"
        segment = [self.key.segment] if self.key.segment else []
        number = [] if entry.number is None else [entry.number]
        name = msgspec.json.encode([self.key.model, self.key.version, *segment, *number]).decode()
        return Record(kind, name, entry.payload)


def owned(record: Record) -> tuple[Owner, Entry]:
    """Whose row it is, and the row as its owner knows it."""
    view, _, kind = record.kind.rpartition("/")
    model, version, *more = msgspec.json.decode(record.key, type=list[Any])
    segment = more.pop(0) if more and isinstance(more[0], str) else ""
    number = more[0] if more else None
    return Owner(SeriesKey(model, version, segment), view or FEATURES), Entry(kind, record.payload, number)

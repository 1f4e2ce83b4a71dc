"""Logs of predictions, a JSON object a message, to the canonical row: what the formats of clouds and serving stacks share."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np

from monitor.sources.base import TopicRecords
from monitor.sources.formats.base import RESPONSE, WHOLE
from monitor.sources.formats.fields import Path, TopicFields
from monitor.sources.formats.json.documents import Document, DocumentRows, read_document
from monitor.sources.formats.values import EPOCH, Rejected

NO_ROWS: Final = "no_rows"
MISMATCH: Final = "rows_mismatch"
MAX_ROWS = 10_000  # of one message
LOOKED_AT = 20  # records that tell a format


@dataclass(frozen=True, slots=True)
class LoggedRow:
    """One row as a canonical object, and which half of a prediction it is. A response has features, which are none."""

    document: dict[str, Any]
    half: int = WHOLE

    def __post_init__(self) -> None:
        if self.half == RESPONSE:
            self.document.setdefault("features", {})


class LogDecoder(ABC):
    """Messages of one object each; what the object holds is up to the format. An object may also come from a table."""

    def __init__(self, topic: TopicFields) -> None:
        self.fields = topic.fields

    @abstractmethod
    def rows_of(self, message: dict[str, Any]) -> Sequence[LoggedRow]:
        """The rows of a message; none where it only tells how others are to be read. Raises Rejected."""

    def decode(self, values: Sequence[bytes | None]) -> DocumentRows:
        """Read messages."""
        return self._decode(values, lambda raw: self.rows_of(read_document(raw)))

    def decode_objects(self, objects: Sequence[dict[str, Any]]) -> DocumentRows:
        """Read messages that are objects already, as the rows of a table are: its times and decimals are put as JSON has them."""
        return self._decode(objects, lambda held: self.rows_of(plain(held)))

    def inspect(self, raw: bytes) -> Iterator[Mapping[Path, object]]:
        """The rows of one message. Raises Rejected."""
        for row in self.rows_of(read_document(raw)):
            yield Document(row.document)

    @staticmethod
    def _decode(values: Sequence[Any], read: Any) -> DocumentRows:
        rows: list[LoggedRow] = []
        messages: list[int] = []
        rejected: Counter[str] = Counter()
        for message, value in enumerate(values):
            try:
                held = read(value)
            except Rejected as reason:
                rejected[str(reason)] += 1
            else:
                rows += held
                messages += [message] * len(held)
        places = np.array(messages, dtype=np.intp)
        halves = np.array([row.half for row in rows], dtype=np.int8)
        return DocumentRows(
            {}, places, rejected, None, halves if halves.any() else None, documents=[row.document for row in rows]
        )


# --- what stands in a row ---------------------------------------------------------------------------------------------


def row_ids(named: Any, rows: int) -> list[str | int | None]:
    """The id of each row of a message: that of the message where it has one row, else with the place of the row.

    >>> row_ids("r-1", 1), row_ids("r-1", 2), row_ids(None, 2)
    (['r-1'], ['r-1#0', 'r-1#1'], [None, None])
    """
    if isinstance(named, bool) or not isinstance(named, str | int):
        return [None] * rows
    return [named] if rows == 1 else [f"{named}#{row}" for row in range(rows)]


def epoch_text(value: Any, unit: timedelta) -> Any:
    """A number of units since 1970 as RFC 3339 text, whatever the topic's own unit is; anything else as it is.

    >>> epoch_text(1793491200000, timedelta(milliseconds=1)), epoch_text("2026-11-01", timedelta(seconds=1))
    ('2026-11-01T00:00:00+00:00', '2026-11-01')
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        return (EPOCH + value * unit).isoformat()
    except (OverflowError, ValueError):  # beyond the year 9999, or no number
        return str(value)[:40]


def time_text(value: Any) -> Any:
    """A time as a text of a table or of JSON, `UTC` behind it or not; an object as text.

    >>> time_text("2026-11-01 12:00:00.25 UTC"), time_text(datetime(2026, 11, 1))
    ('2026-11-01 12:00:00.25Z', '2026-11-01T00:00:00+00:00')
    """
    if isinstance(value, str):
        return f"{value[:-4]}Z" if value.endswith(" UTC") else value
    if isinstance(value, datetime):
        return (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).isoformat()
    return value


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """The row of a table as JSON would have it."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    """A value of a table's cell as JSON would have it."""
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, list):
        return list(map(_plain, value))
    return plain(value) if isinstance(value, dict) else value


# --- what tells a format ----------------------------------------------------------------------------------------------


def objects_in(records: TopicRecords) -> list[dict[str, Any]]:
    """The objects of the first records; none where one of them is no object."""
    held = [value for value in records.values[:LOOKED_AT] if value]
    try:
        return [read_document(value) for value in held]
    except Rejected:
        return []


def has(value: Any, *names: str) -> bool:
    """Whether a value is an object with all of these keys."""
    return isinstance(value, dict) and all(name in value for name in names)

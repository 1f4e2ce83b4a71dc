"""Debezium: changes of a database's table, a row a change. With the envelope or without, with schemas or without."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from monitor.sections import Section
from monitor.sources.base import TopicRecords
from monitor.sources.formats.base import SKIPPED, Rows
from monitor.sources.formats.debezium.connect import (
    Convert,
    decimal,
    field_schema,
    inside,
    number_in_text,
    row_of,
)
from monitor.sources.formats.fields import Path, TopicFields
from monitor.sources.formats.json.documents import Document, DocumentRows, read_document
from monitor.sources.formats.values import Rejected

ROWS, NOTHING = {"c", "u", "r"}, {"d", "t", "m"}  # creates, updates, reads; deletes, truncates, messages of the log
STREAMED = {False, "false", None}  # what `snapshot` says of a change that is none of a snapshot
SOURCE, OPERATION, DELETED = "__source", "__op", "__deleted"
MICROSECOND = 1_000_000


class DebeziumOptions(Section):
    """How values are read that no schema explains, and where a row has its time.

    `timestamp`: `column`, the mapped one; `source`, when the change was committed, which a row of a snapshot does not say; absent:
    the mapped column where the table has it, else `source`. `scales` are those of decimals in base64, `text_numbers` columns of
    decimals as texts, `json` those of JSON in a text.
    """

    timestamp: Literal["source", "column"] | None = None
    scales: dict[str, Annotated[int, Field(ge=-1000, le=1000)]] = Field(default={})
    text_numbers: list[str] = Field(default=[])
    json_columns: list[str] = Field(default=[], alias="json")

    @property
    def told(self) -> dict[str, Convert]:
        """What makes values, by column."""
        made: dict[str, Convert] = {name: partial(_scaled, scale) for name, scale in self.scales.items()}
        made |= dict.fromkeys(self.text_numbers, number_in_text)
        return made | dict.fromkeys(self.json_columns, inside)


def _scaled(scale: int, value: Any) -> Any:
    return decimal(value, scale)


class DebeziumDecoder:
    """Changes of a table as rows: its columns by their names, and all but those that are mapped as features."""

    def __init__(self, topic: TopicFields) -> None:
        options: DebeziumOptions = topic.options or DebeziumOptions()
        fields = topic.fields
        self._told = options.told
        self._timestamp = options.timestamp
        self._time = fields.timestamp[0] if len(fields.timestamp) == 1 else None
        self._features = fields.features[0] if len(fields.features) == 1 else None
        mapped = (*fields.envelope.values(), fields.id, fields.prediction, fields.label, fields.weight, fields.group)
        served = fields.latency, fields.error, fields.scores, fields.sampling
        self._mapped = frozenset(path[0] for path in (*mapped, *served) if len(path) == 1)

    def decode(self, values: Sequence[bytes | None]) -> Rows:
        """A row a change; deletes, truncates and tombstones are none."""
        documents: list[dict[str, Any]] = []
        messages: list[int] = []
        rejected: Counter[str] = Counter()
        for message, raw in enumerate(values):
            try:
                documents.append(self._row(raw))
                messages.append(message)
            except Rejected as reason:
                rejected[str(reason)] += 1
        return DocumentRows({}, np.array(messages, dtype=np.intp), rejected, documents=documents)

    def inspect(self, raw: bytes) -> Iterator[Mapping[Path, object]]:
        """The row by path."""
        yield Document(self._row(raw))

    def _row(self, raw: bytes | None) -> dict[str, Any]:
        payload, schema = unpacked(read_document(raw))
        if payload is None:
            raise Rejected(SKIPPED)  # a tombstone that has a schema
        if not isinstance(payload, dict):
            raise Rejected("change_without_row")
        row, stamp = self._of_envelope(payload, schema) if is_envelope(payload) else self._bare(payload, schema)
        name = self._time
        if name is not None and (self._timestamp == "source" or (self._timestamp is None and name not in row)):
            row[name] = stamp
        if self._features is not None and self._features not in row:
            row[self._features] = {
                key: value for key, value in row.items() if key not in self._mapped and key[:2] != "__"
            }
        return row

    def _of_envelope(self, payload: dict[str, Any], schema: Any) -> tuple[dict[str, Any], str | None]:
        """The row that a change leaves, and when it was committed."""
        operation, source = payload.get("op"), payload.get("source")
        if operation in NOTHING:
            raise Rejected(SKIPPED)
        if operation not in ROWS:
            raise Rejected("op_unknown")
        after = payload.get("after")
        if not isinstance(after, dict):
            raise Rejected("change_without_row")
        row = row_of(after, field_schema(schema, "after"), self._told)
        held = source if isinstance(source, dict) else {}
        row |= {SOURCE: held, OPERATION: operation}
        streamed = operation != "r" and _is_streamed(held.get("snapshot"))
        return row, committed(held.get("ts_us"), held.get("ts_ms")) if streamed else None

    def _bare(self, payload: dict[str, Any], schema: Any) -> tuple[dict[str, Any], str | None]:
        """The row as ExtractNewRecordState leaves it, and when it was committed, where it was told to add that."""
        operation = payload.get(OPERATION)
        if str(payload.get(DELETED)).lower() == "true" or operation in [*NOTHING]:
            raise Rejected(SKIPPED)
        row = row_of(payload, schema, self._told)
        streamed = operation != "r" and _is_streamed(payload.get("__source_snapshot"))
        return row, committed(payload.get("__source_ts_us"), payload.get("__source_ts_ms")) if streamed else None


Options = DebeziumOptions
decoder = DebeziumDecoder


def unpacked(document: dict[str, Any]) -> tuple[Any, Any]:
    """The payload of a message and its schema, which Connect's converter writes into each one, or does not."""
    if document.keys() == {"schema", "payload"} and isinstance(document["schema"], dict | None):
        return document["payload"], document["schema"]
    return document, None


def is_envelope(payload: dict[str, Any]) -> bool:
    """Whether this is a change, and not the row alone."""
    told = isinstance(payload.get("source"), dict) or {"before", "after"} <= payload.keys()
    return isinstance(payload.get("op"), str) and told


def committed(us: Any, ms: Any) -> str | None:
    """When a change was committed, RFC 3339."""
    for value, each in ((us, 1), (ms, 1_000)):
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value * each < 1 << 62:
            seconds, rest = divmod(value * each, MICROSECOND)
            try:
                return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).isoformat()
            except (ValueError, OverflowError, OSError):
                return None
    return None


def _is_streamed(snapshot: Any) -> bool:
    return isinstance(snapshot, str | bool | None) and snapshot in STREAMED


untimed = (
    "rows of a snapshot, and rows that ExtractNewRecordState has taken out of their envelope, say no time: let it add that "
    "(add.fields: op,source.ts_ms,source.snapshot), or have a column of the table that holds one"
)
"""Why messages may say no time, and what to do."""


def recognises(records: TopicRecords) -> bool:
    """Whether each message is a change of Debezium's, or a row with what Debezium or Connect's converter puts beside it."""
    held = [raw for raw in records.values if raw]
    return bool(held) and all(map(_is_change, held))


def _is_change(raw: bytes) -> bool:
    try:
        payload, schema = unpacked(read_document(raw))
    except Rejected:
        return False
    if schema is not None and schema.get("type") == "struct":
        return isinstance(payload, dict | None)
    if not isinstance(payload, dict):
        return False
    source = payload.get("source")
    if isinstance(source, dict):
        return is_envelope(payload) and {"connector", "db"} <= source.keys()
    return DELETED in payload or (OPERATION in payload and "__source_ts_ms" in payload)

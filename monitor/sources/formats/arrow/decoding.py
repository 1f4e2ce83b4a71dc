"""Messages of Arrow batches to rows (HOT): batches of one schema are one table, and a column is made when it is asked for.

What a message may take is told by its framing before Arrow allocates anything; what Arrow then reads is validated before it is used.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from detectors.columns import Coded, Column
from monitor.sources.formats.arrow.columns import as_objects, joined, nothing
from monitor.sources.formats.arrow.framing import EXPANDS, MALFORMED, TRAILING, IpcStream, spans
from monitor.sources.formats.arrow.scanning import arrow_scanner
from monitor.sources.formats.arrow.schema import Batches, SchemaPlan, plan_of, validate, viewed
from monitor.sources.formats.base import TOMBSTONE, Reader, Rows
from monitor.sources.formats.fields import Path, TopicFields
from monitor.sources.formats.values import Rejected

MAX_BYTES: Final = 64 << 20  # of one message
ALLOWANCE: Final = 1 << 18  # bytes that any message may take, however small it is
REMEMBERED: Final = 64  # schemas
INSPECTED: Final = 64  # rows that are made at once for words
UNREADABLE: Final = (pa.ArrowException, OSError, ValueError, LookupError, TypeError, OverflowError, MemoryError)


@dataclass(slots=True)
class BatchesRead:
    """Batches of one schema, with the number of each among all batches and the message of each."""

    plan: SchemaPlan
    batches: list[Any] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    messages: list[int] = field(default_factory=list)

    @property
    def sizes(self) -> list[int]:
        """Rows of each batch."""
        return [batch.num_rows for batch in self.batches]


class TableColumns(Mapping[Path, Column]):
    """The columns of tables one after the other, each made when it is asked for and kept. One that a table lacks is missing there.

    Iterating gives what an event is said to hold: an index of pandas is found by who names it, and by nobody else.
    """

    def __init__(self, held: Sequence[Batches], features: Path) -> None:
        self._held = held
        self._features = features
        self._made: dict[Path, Column | None] = {}

    def __getitem__(self, path: Path) -> Column:
        if path not in self._made:
            try:
                self._made[path] = self._make(path)
            except UNREADABLE:  # what Arrow can hold and not convert, as a date after year 9999 within a list
                self._made[path] = nothing(sum(held.rows for held in self._held))
        made = self._made[path]
        if made is None:
            raise KeyError(path)
        return made

    def __iter__(self) -> Iterator[Path]:
        return iter(dict.fromkeys(path for held in self._held for path in held.plan.paths(held, self._features)))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _make(self, path: Path) -> Column | None:
        found = [held.plan.find(held, path) for held in self._held]
        if all(column is None for column in found):
            return None
        return joined(
            [_absent(held, path) if column is None else column for column, held in zip(found, self._held, strict=True)]
        )


def _absent(held: Batches, path: Path) -> Column:
    """What a table without a column of a path has there: nothing, or a struct that is there in all rows."""
    return Coded(({}, None), np.zeros(held.rows, dtype=np.int64)) if path in held.plan.structs else nothing(held.rows)


class ArrowDecoder:
    """IPC streams and files, compressed or not; `expansion` times its size is what a message may take."""

    def __init__(self, topic: TopicFields, expansion: int) -> None:
        self._features = topic.fields.features
        self._expansion = expansion
        self._plans: dict[bytes, SchemaPlan] = {}
        self._last = b""  # the schema of the last plain stream
        self._options = pa.ipc.IpcReadOptions(use_threads=False)
        self._scanner = arrow_scanner(topic, self.decode, (MAX_BYTES, ALLOWANCE, expansion))
        self.readers: Sequence[Reader] = [] if self._scanner is None else [self._scanner]

    def decode(self, values: Sequence[bytes | None]) -> Rows:
        """All rows of all batches. A message is read as a whole or not at all, but for what stands behind its last stream."""
        rejected: Counter[str] = Counter()
        parts: dict[bytes, BatchesRead] = {}
        number = 0
        for message, raw in enumerate(values):
            try:
                batches, trailing = self._read(raw)
            except Rejected as reason:
                rejected[str(reason)] += 1
                continue
            if trailing:
                rejected[TRAILING] += 1
            elif not batches:
                rejected["no_rows"] += 1
            for schema, batch in batches:
                part = parts.get(schema)
                if part is None:
                    part = parts[schema] = BatchesRead(self._plans_of(schema, batch.schema))
                part.batches.append(batch)
                part.numbers.append(number)
                part.messages.append(message)
                number += 1
        return self._rows(list(parts.values()), rejected)

    def _rows(self, parts: Sequence[BatchesRead], rejected: Mapping[str, int]) -> Rows:
        columns = TableColumns([Batches(part.plan, part.batches) for part in parts], self._features)
        messages, numbers = (
            np.concatenate([np.repeat(getattr(part, what), part.sizes) for part in parts])
            if parts
            else np.empty(0, dtype=np.intp)
            for what in ("messages", "numbers")
        )
        if len(parts) < 2 or not (np.diff(numbers) < 0).any():  # noqa: PLR2004 - several schemas take turns
            return Rows(columns, messages, rejected)
        order = np.argsort(numbers, kind="stable")
        return Rows(columns, messages[order], rejected, which=order)

    def inspect(self, raw: bytes) -> Iterator[Mapping[Path, object]]:
        """Each row by path, times as texts."""
        batches, trailing = self._read(raw)
        if not batches:
            raise Rejected(TRAILING if trailing else "no_rows")
        for schema, batch in batches:
            plan = self._plans_of(schema, batch.schema)
            for first in (0, *range(1, batch.num_rows, INSPECTED)):  # often only the first row is wanted
                part = Batches(plan, [batch.slice(first, INSPECTED if first else 1)])
                columns = TableColumns([part], self._features)
                held = {path: as_objects(column) for path, column in columns.items()}
                for row in range(part.rows):
                    yield {path: column[row] for path, column in held.items()}

    # --- one message ------------------------------------------------------------------------------------------------

    def _read(self, raw: bytes | None) -> tuple[list[tuple[bytes, Any]], bool]:
        """The batches of a message, each with the bytes of its schema, and whether anything stands behind them. Raises Rejected."""
        if raw is None:
            raise Rejected(TOMBSTONE)
        if not raw:
            raise Rejected("empty")
        if len(raw) > MAX_BYTES:
            raise Rejected("too_large")
        streams, trailing = spans(raw, self._last)
        if sum(span.takes for span in streams) > self._most(raw):
            raise Rejected(EXPANDS)
        try:
            return [read for span in streams for read in self._batches(raw, span)], trailing
        except UNREADABLE:
            raise Rejected(MALFORMED) from None

    def _most(self, raw: bytes) -> int:
        return ALLOWANCE + self._expansion * len(raw)

    def _batches(self, raw: bytes, span: IpcStream) -> Iterator[tuple[bytes, Any]]:
        """The batches of a stream that have rows, each with the bytes of its schema."""
        if span.file:
            yield from self._of_file(raw, span)
            return
        key = raw[span.begin : span.schema]
        plan = self._plans.get(key)
        buffer = pa.py_buffer(raw)
        if plan is None or not span.plain:
            with pa.ipc.open_stream(buffer.slice(span.begin, span.end - span.begin), options=self._options) as reader:
                plan = self._plans_of(key, reader.schema)
                batches = [] if plan.refused is not None else list(reader)
        else:
            schema = plan.schema
            batches = [pa.ipc.read_record_batch(buffer.slice(at, end - at), schema) for at, end in span.batches]
        if plan.refused is not None:
            raise Rejected(plan.refused)
        if span.plain:
            self._last = key
        yield from self._valid(raw, key, plan, batches)
        if self._scanner is not None and span.plain and span.batches:
            self._scanner.learn(plan, key, raw, span.batches[0][0])

    def _of_file(self, raw: bytes, span: IpcStream) -> Iterator[tuple[bytes, Any]]:
        """The same of a file."""
        with pa.ipc.open_file(pa.py_buffer(raw).slice(0, span.end), options=self._options) as reader:
            key = reader.schema.serialize().to_pybytes()
            plan = self._plans_of(key, reader.schema)
            if plan.refused is not None:
                raise Rejected(plan.refused)
            yield from self._valid(raw, key, plan, map(reader.get_batch, range(reader.num_record_batches)))

    def _valid(self, raw: bytes, key: bytes, plan: SchemaPlan, batches: Iterable[Any]) -> Iterator[tuple[bytes, Any]]:
        """Batches that may be used."""
        for batch in batches:
            validate(batch, plan)
            if plan.has_views and viewed(batch) > self._most(raw):
                raise Rejected(EXPANDS)
            if batch.num_rows:
                yield key, batch

    def _plans_of(self, raw: bytes, schema: Any) -> SchemaPlan:
        """The plan of a schema, of which the last few are kept."""
        plan = self._plans.get(raw)
        if plan is None:
            if len(self._plans) >= REMEMBERED:
                self._plans.clear()
            plan = self._plans[raw] = plan_of(schema)
        return plan

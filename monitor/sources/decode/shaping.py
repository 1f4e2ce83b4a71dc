"""Rows as a topic's mapping wants them: lists taken apart and numbered, and what stands beside the value of a message among them.

A mapping that needs none of this never comes here. What it adds are columns at paths of their own (grafts): whoever maps rows
asks for a path and need not know where it came from.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.columns import Column
from monitor.sources.base import Headers, RecordParts, TopicRecords
from monitor.sources.decode.mapping import decode_records, inspect_record
from monitor.sources.formats.base import Decoder, RecordDecoder, Rows, only_rows
from monitor.sources.formats.fields import BROKER, HEADER, KEY, PARTITION, FieldMap, Path, PlaceBeside, is_index
from monitor.sources.formats.json.documents import UNREADABLE, refusal
from monitor.sources.formats.times import NOT_A_TIME
from monitor.sources.formats.values import Rejected

MOST_ROWS = 10_000  # of one message
ROWS_MISSING, ROWS_INVALID, TOO_MANY = "rows_missing", "rows_invalid", "too_many_rows"
PARTS = {HEADER: RecordParts.HEADERS, KEY: RecordParts.KEYS, BROKER: RecordParts.STAMPS, PARTITION: RecordParts.NOTHING}
ALONE = -1  # in place of a row's number
LONGEST_NUMBER = 19  # digits of a time in a header
NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,15})?", re.ASCII)

Values = NDArray[np.object_]


def shaped(decoder: Decoder, fields: FieldMap) -> Decoder:
    """A decoder whose rows are as the mapping wants them: itself where nothing is to be done."""
    return ShapedDecoder(decoder, fields) if fields.shapes else decoder


def walk(value: Any, path: Path) -> Any:
    """What lies at a path of keys and, in lists, of places from 0; None where there is nothing."""
    for name in path:
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and is_index(name):
            value = value[int(name)] if int(name) < len(value) else None
        else:
            return None
    return value


# --- rows with more columns than their messages have --------------------------------------------------------------------


def _graft_of(grafts: Mapping[Path, Any], path: Path) -> Path | None:
    """The lowest graft that a path leads to or through."""
    return next((path[:depth] for depth in range(len(path), 0, -1) if path[:depth] in grafts), None)


@dataclass(frozen=True, slots=True)
class GraftedRows(Rows):
    """Other rows, with columns of their own: each stands for all that lies at its path and below."""

    base: Rows = field(default_factory=lambda: Rows({}, np.empty(0, dtype=np.intp)))
    grafts: Mapping[Path, Column] = field(default_factory=dict)

    def column(self, path: Path) -> Column | None:
        """The column of a path."""
        graft = _graft_of(self.grafts, path)
        if graft is None:
            return self.base.column(path)
        column = self.grafts[graft]
        below = path[len(graft) :]
        return column if not below else _objects([walk(value, below) for value in column.tolist()])

    def names(self, path: Path) -> set[str]:
        """The keys below a path that any row has."""
        graft = _graft_of(self.grafts, path)
        if graft is None:
            return self.base.names(path)
        held = (walk(value, path[len(graft) :]) for value in self.grafts[graft].tolist())
        return set[str]().union(*(each for each in held if isinstance(each, dict)))

    def take(self, which: NDArray[np.intp]) -> "GraftedRows":
        """Some rows."""
        halves = None if self.halves is None else self.halves[which]
        grafts = {path: only_rows(column, which) for path, column in self.grafts.items()}
        return GraftedRows({}, self.messages[which], halves=halves, base=self.base.take(which), grafts=grafts)

    def values(self, row: int, paths: Iterable[Path]) -> list[object]:
        """What a row holds at some paths."""
        return self.take(np.array([row]))._first(paths)  # noqa: SLF001 - its own

    def _first(self, paths: Iterable[Path]) -> list[object]:
        columns = map(self.column, paths)
        return [None if column is None else column.tolist()[0] for column in columns]


class GraftedRow(Mapping[Path, object]):
    """A row as it came, with values of its own: each stands for all that lies at its path and below."""

    def __init__(self, base: Mapping[Path, object], grafts: Mapping[Path, object]) -> None:
        self._base, self._grafts = base, grafts

    def __getitem__(self, path: Path) -> object:
        graft = _graft_of(self._grafts, path)
        return self._base.get(path) if graft is None else walk(self._grafts[graft], path[len(graft) :])

    def get(self, path: Path, default: object = None) -> object:
        """The same: what is absent is None."""
        del default
        return self[path]

    def __iter__(self) -> Iterator[Path]:
        """The paths that lead to what is no object."""
        yield from (path for path in self._base if _graft_of(self._grafts, path) is None)
        for path, value in self._grafts.items():
            yield from _leaves(value, path)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _leaves(value: object, path: Path) -> Iterator[Path]:
    if isinstance(value, dict) and value:
        for name, below in value.items():
            yield from _leaves(below, (*path, name))
    elif value is not None:
        yield path


def _objects(values: Sequence[Any]) -> Values:
    return np.fromiter(values, dtype=object, count=len(values))


NO_RECORD = TopicRecords("", (), (None,), keys=(None,), headers=((),))


# --- the decoder --------------------------------------------------------------------------------------------------------


class ShapedDecoder:
    """Reads by another decoder, and shapes its rows. What a file's records do not have beside their values is missing."""

    def __init__(self, decoder: Decoder, fields: FieldMap) -> None:
        self._decoder = decoder
        self._fields = fields

    @property
    def wants(self) -> RecordParts:
        """What the decoder and the mapping need."""
        wanted = self._decoder.wants if isinstance(self._decoder, RecordDecoder) else RecordParts.NOTHING
        for place in self._fields.beside:
            wanted |= PARTS[place.kind]
        return wanted

    def decode(self, values: Sequence[bytes | None]) -> Rows:
        """Read messages."""
        return self.decode_records(TopicRecords("", (), values))

    def inspect(self, raw: bytes) -> Iterable[Mapping[Path, object]]:
        """Read the rows of one message. Raises Rejected."""
        return self.inspect_record(TopicRecords("", (), (raw,)))

    def decode_records(self, records: TopicRecords) -> Rows:
        """Read records."""
        return self.shape(decode_records(self._decoder, records), records)

    def shape(self, rows: Rows, records: TopicRecords | None) -> Rows:
        """Rows as the mapping wants them; what stands beside the values of records is missing in rows of no record."""
        if self._fields.explode:
            rows = self._exploded(rows)
        grafts: dict[Path, Column] = {path: self._at(rows, path) for path in self._fields.indexed}
        if self._fields.columns:
            path = self._fields.features
            held = grafts.get(path, rows.column(path))
            grafts[path] = _objects([self._named(value) for value in _listed(held, len(rows))])
        if records is not None:
            grafts |= {place.path: beside(place, records)[rows.messages] for place in self._fields.beside}
        numbers = self._numbers(rows)
        if numbers is not None:
            own = self._fields.id
            ids = _listed(grafts.get(own, rows.column(own)), len(rows))
            grafts[own] = _objects([_numbered(id_, at) for id_, at in zip(ids, numbers.tolist(), strict=True)])
        return GraftedRows({}, rows.messages, rows.rejected, None, rows.halves, rows, grafts) if grafts else rows

    def inspect_record(self, record: TopicRecords) -> Iterable[Mapping[Path, object]]:
        """Read the rows of one record. Raises Rejected."""
        reasons: Counter[str] = Counter()
        found = [
            grafted for row in inspect_record(self._decoder, record) for grafted in self._rows_of(row, record, reasons)
        ]
        if not found and reasons:
            raise Rejected(next(iter(reasons)))
        if named_beside(self._fields) and (self._fields.explode or len(found) > 1):
            own = self._fields.id
            return [GraftedRow(row, {own: _numbered(row.get(own), at)}) for at, row in enumerate(found)]
        return found

    def shape_row(self, row: Mapping[Path, object]) -> Iterator[Mapping[Path, object]]:
        """What becomes of one row of a table."""
        return self._rows_of(row, NO_RECORD, Counter())

    def _numbers(self, rows: Rows) -> NDArray[np.intp] | None:
        """What tells rows apart that have an id in common, ALONE where a row shares it with none; None where no id is shared."""
        if named_beside(self._fields):
            counts = np.bincount(rows.messages)
            if not self._fields.explode and counts.size and counts.max() == 1:  # as a rule
                return None
            at = np.arange(len(rows)) - (np.cumsum(counts) - counts)[rows.messages]
            return at if self._fields.explode else np.where(counts[rows.messages] > 1, at, ALONE)
        shared = self._fields.id and not _below(self._fields.id, self._fields.explode)
        return rows.numbers if shared and isinstance(rows, ExplodedRows) else None

    # --- lists ----------------------------------------------------------------------------------------------------------

    def _exploded(self, rows: Rows) -> Rows:
        """A row an element of the list at the path; messages without one are counted by reason."""
        path, rejected = self._fields.explode, Counter(rows.rejected)
        lists = [_elements(value, rejected) for value in self._at(rows, path).tolist()]
        sizes = np.fromiter(map(len, lists), dtype=np.intp, count=len(lists))
        which = np.repeat(np.arange(len(lists)), sizes)
        numbers = np.arange(len(which)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        elements = _objects([element for held in lists for element in held])
        taken = rows.take(which)
        grafts = {path: elements}
        return ExplodedRows({}, taken.messages, rejected, None, taken.halves, taken, grafts, numbers)

    def _rows_of(
        self, row: Mapping[Path, object], record: TopicRecords, reasons: Counter[str]
    ) -> Iterator[Mapping[Path, object]]:
        """What becomes of one row as it came."""
        path = self._fields.explode
        if not path:
            yield self._grafted(row, record, None)
            return
        for at, element in enumerate(_elements(_value_at(row, path), reasons)):
            yield self._grafted(GraftedRow(row, {path: element}), record, at)

    def _grafted(self, row: Mapping[Path, object], record: TopicRecords, number: int | None) -> Mapping[Path, object]:
        grafts = {path: _value_at(row, path) for path in self._fields.indexed}
        if self._fields.columns:
            path = self._fields.features
            grafts[path] = self._named(grafts.get(path, row.get(path)))
        grafts |= {place.path: _plain(beside(place, record)) for place in self._fields.beside}
        own, beside_them = self._fields.id, named_beside(self._fields)
        if own and number is not None and not beside_them and not _below(own, self._fields.explode):
            grafts[own] = _numbered(grafts.get(own, row.get(own)), number)
        return GraftedRow(row, grafts)

    def _at(self, rows: Rows, path: Path) -> Values:
        """The values at a path, some of whose parts are places in lists."""
        first = next((at for at, name in enumerate(path) if at and is_index(name)), len(path))
        above, direct = rows.column(path[:first]), rows.column(path)
        values = [walk(value, path[first:]) for value in _listed(above, len(rows))]
        if direct is not None:  # a key that looks like a place
            values = [there if value is None else value for value, there in zip(values, direct.tolist(), strict=True)]
        return _objects(values)

    def _named(self, value: Any) -> Any:
        """A list of features as an object; what has another length is left as it is, and is no features."""
        names = self._fields.columns
        return dict(zip(names, value, strict=True)) if isinstance(value, list) and len(value) == len(names) else value


@dataclass(frozen=True, slots=True)
class ExplodedRows(GraftedRows):
    """Rows of which each is the element of a list: `numbers` int64[n] are its place there."""

    numbers: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp))


def _elements(value: Any, rejected: Counter[str]) -> list[Any]:
    """The elements of a list; why there are none is counted."""
    if isinstance(value, list) and 0 < len(value) <= MOST_ROWS:
        return value
    if isinstance(value, list) and value:
        rejected[TOO_MANY] += 1
    else:
        rejected[ROWS_MISSING if value is None or value == [] else ROWS_INVALID] += 1
    return []


def _value_at(row: Mapping[Path, object], path: Path) -> Any:
    """The value at a path of one row, some of whose parts are places in lists."""
    first = next((at for at, name in enumerate(path) if at and is_index(name)), len(path))
    found = walk(row.get(path[:first]), path[first:])
    return row.get(path) if found is None else found


def _listed(column: Column | None, count: int) -> Sequence[Any]:
    return [None] * count if column is None else column.tolist()


def _below(path: Path, other: Path) -> bool:
    return path[: len(other)] == other


def _numbered(own: Any, at: int) -> Any:
    """The id of a row that shares its message's with others."""
    if at == ALONE:
        return own
    return None if own is None or isinstance(own, dict | list) else f"{own}#{at}"


def named_beside(fields: FieldMap) -> bool:
    """Whether ids stand beside the values of messages: then all rows of a message have one in common."""
    return bool(fields.id) and any(place.path == fields.id for place in fields.beside)


# --- beside values ------------------------------------------------------------------------------------------------------


def beside(place: PlaceBeside, records: TopicRecords) -> NDArray[Any]:
    """What stands beside the value of each record; None, or no time, where there is nothing."""
    if place.kind == BROKER:
        stamps = np.array(records.stamps or [0] * len(records.values), dtype=np.int64)
        return np.where(stamps > 0, stamps, NOT_A_TIME).astype("datetime64[ns]")
    held: Sequence[Any]
    if place.kind == HEADER:
        held = [_header(headers, place) for headers in records.headers]
    elif place.kind == KEY:
        held = [_key(key, place.below) for key in records.keys]
        held = list(map(_number, held)) if place.numeric else held
    else:
        held = list(map(str, records.partitions))
    return _objects(held or [None] * len(records.values))


def _plain(column: NDArray[Any]) -> object:
    """The only value of a column, as words have it."""
    value = column[0]
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else f"{value.astype('datetime64[us]')}Z"
    return value


def _number(said: Any) -> Any:
    """A number that is written as text; all else is left as it is."""
    return float(said) if isinstance(said, str) and NUMBER.fullmatch(said) else said


def _header(headers: Headers, place: PlaceBeside) -> str | float | None:
    """The last header of a name, as text; of a time that is all digits the number."""
    held = next((value for name, value in reversed(headers) if name == place.name), None)
    text = _text(held)
    if place.numeric:
        return _number(text)  # type: ignore[no-any-return]  # text or none comes in
    digits = text is not None and place.timely and text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER
    return int(text) if text is not None and digits else text


def _key(key: bytes | None, path: Path) -> Any:
    """A key as text, or what lies at a path of one that is JSON."""
    if not path or key is None:
        return _text(key)
    if refusal(key) is not None:
        return None
    try:
        return walk(msgspec.json.decode(key), path)
    except UNREADABLE:
        return None


def _text(held: bytes | None) -> str | None:
    try:
        return None if held is None else held.decode()
    except UnicodeDecodeError:
        return None

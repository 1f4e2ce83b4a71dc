"""What was read of messages, compiled or not, to rows: arrays by path, made when somebody asks for them."""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Coded, Column
from detectors.sketches.ids import Hashes
from monitor.sources.formats.base import Rows
from monitor.sources.formats.fields import Path
from monitor.sources.formats.json.documents import dig
from monitor.sources.formats.protobuf.descriptors import FieldKind, FieldType
from monitor.sources.formats.protobuf.messages import nanos_of
from monitor.sources.formats.protobuf.plan import Plan
from monitor.sources.formats.times import NOT_A_TIME
from monitor.sources.formats.values import LATEST_NANOS
from monitor.stream.events import SECOND

EXACT = 1 << 53  # below it a double tells whole numbers apart
MOST_NAMED = 4096  # enum numbers that are looked up by themselves
ROOM = 1 << 22  # cells of maps that are laid out as a matrix, beside four times as many as there are
Documents = Callable[[], Sequence[Mapping[str, Any]]]


class LazyColumns(Mapping[Path, Column]):
    """Columns by path; each is made when it is first asked for."""

    def __init__(self, makers: Mapping[Path, Callable[[], Column]]) -> None:
        self._makers = makers
        self._made: dict[Path, Column] = {}

    def __getitem__(self, path: Path) -> Column:
        found = self._made.get(path)
        if found is None:
            found = self._made[path] = self._makers[path]()
        return found

    def __iter__(self) -> Iterator[Path]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


@dataclass(frozen=True, slots=True)
class MessageRows(Rows):
    """Rows of messages. What has no column of its own is read from the messages again, as JSON would have it: `documents`.

    `jsonlike` are the paths of such values, `hashed` those of which hashes were read.
    """

    jsonlike: frozenset[Path] = frozenset()
    documents: Documents = tuple
    hashed: Mapping[Path, Callable[[], tuple[Hashes, Hashes]]] = field(default_factory=dict)

    def hashes(self, path: Path) -> Hashes:
        """The hashes of the ids at a path, as they were read where that was asked for."""
        return self.wide_hashes(path)[0] if path in self.hashed else Rows.hashes(self, path)

    def wide_hashes(self, path: Path) -> tuple[Hashes, Hashes]:
        """The same, and 64 more bits of each."""
        make = self.hashed.get(path)
        if make is None:
            return Rows.wide_hashes(self, path)
        first, second = make()
        return (first, second) if self.which is None else (first[self.which], second[self.which])

    def column(self, path: Path) -> Column | None:
        """The column of a path; None where no row has it."""
        if path in self.columns or not self._is_within(path):
            return Rows.column(self, path)
        values = [dig(document, path) for document in self.documents()]
        found = np.fromiter(values, dtype=object, count=len(values))
        return found if self.which is None else found[self.which]

    def names(self, path: Path) -> set[str]:
        """The keys below a path that any row has."""
        found = Rows.names(self, path) | {each[len(path)] for each in self.jsonlike if _is_below(each, path)}
        if not self._is_within(path):
            return found
        held = (dig(document, path) for document in self.documents())
        return found.union(*(each for each in held if isinstance(each, dict)))

    def take(self, which: NDArray[np.intp]) -> "MessageRows":
        """Some rows; a column is copied when it is asked for."""
        halves = None if self.halves is None else self.halves[which]
        held = which if self.which is None else self.which[which]
        return MessageRows(
            self.columns,
            self.messages[which],
            which=held,
            halves=halves,
            jsonlike=self.jsonlike,
            documents=self.documents,
            hashed=self.hashed,
        )

    def values(self, row: int, paths: Iterable[Path]) -> list[object]:
        """What a row holds at some paths."""
        one = self.take(np.array([row]))
        columns = (one.column(path) for path in paths)
        return [None if column is None else column.tolist()[0] for column in columns]

    def _is_within(self, path: Path) -> bool:
        return any(path[:depth] in self.jsonlike for depth in range(1, len(path) + 1))


def _is_below(path: Path, above: Path) -> bool:
    return len(path) > len(above) and path[: len(above)] == above


# --- numbers, texts, enums --------------------------------------------------------------------------------------------

There = NDArray[np.bool_] | None
"""Which rows have a value; None: all of them."""


def numbers(field: FieldType, values: NDArray[Any], there: There) -> Column:
    """A column of a field from int64[n] or uint64[n], whole numbers as exact as they came."""
    if field.enum is not None:
        return _named(field.enum.names, values, there)
    if field.type is FieldKind.BOOL:
        return _truth(values, there)
    if values.dtype == np.uint64 and (not values.size or values.max() < 1 << 63):
        values = values.astype(np.int64)
    if there is None:
        return values
    held = values[there]
    if not held.size or (abs(int(held.max())) <= EXACT and abs(int(held.min())) <= EXACT):
        return np.where(there, values, np.nan)
    found = values.astype(object)
    found[~there] = None
    return np.asarray(found)


def _truth(values: NDArray[Any], there: There) -> Column:
    if there is None:
        return values.astype(bool)
    return Coded((False, True, None), np.where(there, values, 2))


def _named(names: Mapping[int, str], values: NDArray[Any], there: There) -> Column:
    """The names of numbers; a number without a name is its text."""
    if values.size and values.min() >= 0 and values.max() < MOST_NAMED:
        occurring, rows = list(range(int(values.max()) + 1)), values
    else:
        found, rows = np.unique(values, return_inverse=True)
        occurring = found.tolist()
    texts: list[object] = [names.get(number, str(number)) for number in occurring]
    if there is not None:
        texts.append(None)
        rows = np.where(there, rows, len(occurring))
    return Coded(tuple(texts), rows)


def coded(texts: Sequence[str] | Sequence[bytes], codes: NDArray[np.int32]) -> Coded:
    """A column of texts, a code below 0 where there is none; bytes are told in base 64."""
    held = [base64.b64encode(each).decode() if isinstance(each, bytes) else each for each in texts]
    return Coded((*held, None), np.where(codes < 0, len(held), codes))


def stamps(seconds: NDArray[np.int64], nanos: NDArray[np.int64], there: There) -> Column:
    """Timestamps; beyond int64 each is the farthest there is."""
    most = LATEST_NANOS // SECOND - 3  # more nanoseconds than int32 holds are no three seconds
    safe = (seconds > -most) & (seconds < most)
    found = np.where(safe, seconds, 0) * SECOND + nanos
    for row in np.flatnonzero(~safe).tolist():
        found[row] = nanos_of({1: int(seconds[row]), 2: int(nanos[row])})
    if there is not None:
        found = np.where(there, found, NOT_A_TIME)
    return np.asarray(found).view("datetime64[ns]")


def spans(seconds: NDArray[np.int64], nanos: NDArray[np.int64], there: There) -> Column:
    """Durations in seconds."""
    found = seconds.astype(np.float64) + nanos / 1e9
    return found if there is None else np.where(there, found, np.nan)


def presence(there: NDArray[np.bool_]) -> Coded:
    """Whether a message is there: an object, or nothing."""
    return Coded(({}, None), (~there).astype(np.int32))


# --- maps -------------------------------------------------------------------------------------------------------------


class MapColumns:
    """Entries of a map, as they came: rows, numbers of keys and values; to a column a key. The last of a key in a row counts."""

    def __init__(
        self, field: FieldType, rows: NDArray[np.int32], keys: NDArray[np.int32], values: Any, size: tuple[int, int]
    ) -> None:
        self._field = field
        self._rows, self._keys, self._values = rows, keys, values
        self._size = size  # rows, keys
        self._matrix: tuple[NDArray[Any], NDArray[np.bool_]] | None = None
        self._codes = values[1] if isinstance(values, tuple) else values

    @property
    def occurring(self) -> list[int]:
        """The keys that a row has: others were those of messages that were refused."""
        return np.flatnonzero(np.bincount(self._keys)).tolist()

    def column(self, key: int) -> Column:
        """The values of a key."""
        values, there = self._of(key)
        if isinstance(self._values, tuple):
            return coded(self._values[0], np.where(there, values, -1))
        if values.dtype == np.float64:
            return np.where(there, values, np.nan)
        return numbers(self._field, values, None if there.all() else there)

    def _of(self, key: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        count, width = self._size
        if self._matrix is None and self._is_regular:
            self._matrix = self._codes.reshape(count, width).T, np.ones((width, count), dtype=bool)
        if self._matrix is None and count * width <= max(ROOM, 4 * len(self._rows)):
            self._matrix = _laid_out((width, count), (self._keys, self._rows), self._codes)
        if self._matrix is not None:
            return self._matrix[0][key], self._matrix[1][key]
        own = self._keys == key
        return _laid_out((count,), (self._rows[own],), self._codes[own])

    @property
    def _is_regular(self) -> bool:
        """Whether each row has all keys, in one order."""
        count, width = self._size
        if len(self._rows) != count * width or not count * width:
            return False
        keys, rows = self._keys.reshape(count, width), self._rows.reshape(count, width)
        return bool((keys == np.arange(width)).all() and (rows == np.arange(count)[:, None]).all())


def _laid_out(
    shape: tuple[int, ...], cells: tuple[NDArray[Any], ...], values: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    found, there = np.zeros(shape, dtype=values.dtype), np.zeros(shape, dtype=bool)
    found[cells], there[cells] = values, True
    return found, there


# --- all of a plan ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadSlots:
    """What a reader made of messages: of each slot, map and node, and how many rows.

    `slots`: numbers and which are there, or texts and codes. `maps`: keys, and their columns. `nodes`: which rows have the message.
    """

    slots: Sequence[tuple[Any, Any]]
    maps: Sequence[tuple[Sequence[str], MapColumns]]
    nodes: Sequence[NDArray[np.bool_] | None]


def columns_of(plan: Plan, read: ReadSlots) -> LazyColumns:
    """The columns of all paths."""
    makers: dict[Path, Callable[[], Column]] = {}
    pairs = [(path, stamps, at) for path, at in plan.times.items()]
    pairs += [(path, spans, at) for path, at in plan.durations.items()]
    apart = {place for _, _, at in pairs for place in at}
    for path, make, (first, second) in pairs:
        there = read.nodes[plan.slots[first].node]
        missing = None if there is None or there.all() else there
        makers[path] = partial(make, read.slots[first][0], read.slots[second][0], missing)
    for place, slot in enumerate(plan.slots):
        if place not in apart and not slot.hashed:
            makers[slot.path] = partial(_column, slot.field, *read.slots[place])
    for each, (keys, held) in zip(plan.maps, read.maps, strict=True):
        makers |= {(*each.path, keys[number]): partial(held.column, number) for number in held.occurring}
    absent = {at: there for at, there in enumerate(read.nodes) if there is not None and not there.all()}
    for at, there in absent.items():
        makers.setdefault(plan.nodes[at].path or (), partial(presence, there))
    for each in plan.maps:
        if each.node in absent:
            makers.setdefault(each.path, partial(presence, absent[each.node]))
    return LazyColumns(makers)


def _column(field: FieldType, values: Any, more: Any) -> Column:
    if field.type in (FieldKind.STRING, FieldKind.BYTES):
        return coded(values, more)
    return values if values.dtype == np.float64 else numbers(field, values, more)

"""Rows of a batch that lie as columns, as lists of values or as objects, to events by the compiled part (HOT): the same as `batches.py` makes.

It takes what is wholly plain JSON; all else is left, and so is what is to be refused: there the reason is found.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from monitor.sources.base import Messages
from monitor.sources.formats.json.documents import UNREADABLE
from monitor.sources.lines import USED

try:
    from monitor.sources import _lines
except ImportError:  # installed without a compiler
    _lines = None  # type: ignore[assignment]

Members = dict[str, bytes]
Thread = tuple[Messages, int, int, bool]
"""Values, the step from row to row, the place of the first row's, whether only what stands in their brackets is wanted."""

NAMES: Final = "columns"
VALUES: Final = "data"  # of a table that pandas has split
MOST_NAMES: Final = 10_000
OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
TEXTS = msgspec.json.Decoder(list[str])
ANY = msgspec.json.Decoder(msgspec.Raw)
_written = msgspec.json.Encoder().encode


def name_of(name: str) -> bytes:
    """A name as JSON; half a UTF-16 pair, which is no text, stays an escape."""
    try:
        return _written(name)
    except UnicodeEncodeError:
        return json.dumps(name).encode()


@dataclass(frozen=True, slots=True)
class ListedRows:
    """The values of rows: where those of each name lie; without names rows are objects, `whole` where each has one of features in it."""

    count: int
    named: Mapping[str, Thread]
    objects: Messages | None = None
    whole: bool = False


@dataclass(slots=True)
class EventTexts:
    """What an event is woven of: texts, and the values between each and the next."""

    texts: list[bytes] = field(default_factory=lambda: [b"{"])
    threads: list[Thread] = field(default_factory=list)
    opened: bool = True  # what comes next is the first in an object

    def add(self, text: bytes) -> None:
        """What is the same in all events."""
        self.texts[-1] += text

    def member(self, name: str | None, thread: Thread) -> None:
        """A value of each event, under a name if it needs one."""
        self.add((b"" if self.opened else b",") + (b"" if name is None else name_of(name) + b":"))
        self.threads.append(thread)
        self.texts.append(b"")
        self.opened = False

    def same(self, members: Mapping[str, bytes]) -> None:
        """Members that all events have."""
        for name, value in members.items():
            self.add((b"" if self.opened else b",") + name_of(name) + b":" + value)
            self.opened = False

    def open(self, name: str) -> None:
        """An object of each event."""
        self.add((b"" if self.opened else b",") + name_of(name) + b":{")
        self.opened = True


class RowWeaver:
    """Rows of one topic to events."""

    def __init__(self, features: Sequence[str], mapped: Collection[str], shape: str, names: Sequence[str]) -> None:
        """`mapped` are the keys that are mapped as something else than features; `names` those of values in lists."""
        self._features = tuple(features)
        self._mapped = frozenset(mapped)
        self._marks = [name_of(name) for name in self._mapped]
        self._shape, self._names = shape, tuple(names)

    def listed(self, rows: bytes) -> ListedRows | None:
        """Where the values of rows, part of plain JSON, lie; None where that is left."""
        if rows[:1] == b"[":
            return None if self._shape in ("columns", "split") else self._of_list(rows)
        table = _members(rows)
        if table is None:
            return None
        if self._shape in ("any", "split") and NAMES in table and VALUES in table:
            return self._of_split(table)
        return self._of_columns(table) if self._shape in ("any", "columns") else None

    def weave(self, rows: ListedRows, same: Members, own: Mapping[str, Thread], most: int) -> Messages | None:
        """Events of at most so many bytes, with what is the `same` in all and what each has for its `own`; None: that is left."""
        event = EventTexts()
        event.same(same)
        for name, thread in own.items():
            event.member(name, thread)
        around = () if rows.whole or set(self._features[:1]) & rows.named.keys() else self._features
        inside = dict(rows.named)
        for name in [name for name in inside if around and name in self._mapped]:
            event.member(name, inside.pop(name))
        for name in around:
            event.open(name)
        for name, thread in inside.items():
            event.member(name, thread)
        if rows.objects is not None:
            event.member(None, (rows.objects, 1, 0, True))
        event.add(b"}" * (len(around) + 1))
        return _lines.weave(event.texts, event.threads, rows.count, most)

    # --- rows by their shape ----------------------------------------------------------------------------------------

    def _of_list(self, rows: bytes) -> ListedRows | None:
        if rows[1:].lstrip()[:1] == b"[":
            return _of_matrix(rows, self._names)
        key = name_of(self._features[0]) if self._features else b""
        whole = bool(key) and key in rows
        if self._features and not whole and any(mark in rows for mark in self._marks):
            return None  # such objects may have what is no feature
        objects, _ = _lines.cut([rows], key.decode() if whole else "", len(rows), 0, _nothing)
        count = _lines.count(objects)
        return ListedRows(count, {}, objects, whole) if count else None

    def _of_split(self, table: Members) -> ListedRows | None:
        try:
            names = TEXTS.decode(table[NAMES])
        except UNREADABLE:
            return None
        return _of_matrix(table[VALUES], names) if len(set(names)) == len(names) else None

    def _of_columns(self, table: Members) -> ListedRows | None:
        held = {name: values_of(value) for name, value in table.items()}
        sizes = {None if values is None else _lines.count(values) for values in held.values()}
        count = sizes.pop() if len(sizes) == 1 and len(held) <= MOST_NAMES else None
        if not count:
            return None
        return ListedRows(count, {name: (values, 1, 0, False) for name, values in held.items() if values is not None})


def _nothing(place: int) -> list[bytes | None]:
    del place
    return []


def _of_matrix(rows: bytes, names: Sequence[str]) -> ListedRows | None:
    """Lists of as many values as there are names."""
    width = len(names)
    values = _lines.elements(rows, width) if 0 < width <= MOST_NAMES and len(set(names)) == width else None
    count = 0 if values is None else _lines.count(values) // width
    if values is None or not count:
        return None
    return ListedRows(count, {name: (values, width, at, False) for at, name in enumerate(names)})


def values_of(raw: bytes) -> Messages | None:
    """The values of a list, where they lie; None of what is none."""
    return _lines.elements(raw, 0) if raw[:1] == b"[" else None


def count_of(values: Messages) -> int:
    """How many there are."""
    return _lines.count(values)


def listed_values(values: Iterable[bytes]) -> Messages | None:
    """Values, each JSON, as those of a list."""
    return _lines.elements(b"[" + b",".join(values) + b"]", 0)


def plain_members(raw: bytes) -> Members | None:
    """What an object holds, as it is written; None of what is none, or none that is plain JSON."""
    try:
        return {name: bytes(value) for name, value in OBJECT.decode(raw).items()}
    except UNREADABLE:
        return None


def _members(plain: bytes) -> Members | None:
    """The same of what is known to be plain JSON."""
    found = _lines.members(plain)
    return plain_members(plain) if found is None else found


def is_plain(raw: bytes) -> bool:
    """Whether this is plain JSON."""
    try:
        ANY.decode(raw)
    except UNREADABLE:
        return False
    return True


def row_weaver(features: Sequence[str], mapped: Collection[str], shape: str, names: Sequence[str]) -> RowWeaver | None:
    """A weaver, where the compiled part is there."""
    return RowWeaver(features, mapped, shape, names) if USED else None

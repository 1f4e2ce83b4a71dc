"""Batches of JSON cut into events: bytes are put together anew, values are not looked at."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from monitor.sources.base import Messages
from monitor.sources.formats.fields import FieldMap
from monitor.sources.formats.json.documents import (
    FRAMED,
    LONGEST_INTEGER,
    MAX_BYTES,
    UNREADABLE,
    framed,
    refusal,
)
from monitor.sources.formats.json.weaving import (
    MOST_NAMES,
    NAMES,
    OBJECT,
    VALUES,
    Members,
    count_of,
    is_plain,
    listed_values,
    name_of,
    plain_members,
    row_weaver,
    values_of,
)
from monitor.sources.formats.values import Rejected
from monitor.sources.lines import BOM, USED

KEYS: Final = (
    "dataframe_split",
    "dataframe_records",
    "instances",
    "inputs",
    "records",
    "rows",
)  # of rows, as serving stacks call them
EXPANSION: Final = 64  # times a message's size that its events may take together
ALLOWANCE: Final = 1 << 16  # bytes
NO_ROWS, UNEVEN, UNNAMED, UNKNOWN_SHAPE = "no_rows", "uneven_rows", "unnamed_columns", "no_batch"
MALFORMED: Final = "malformed_json"
SPACE: Final = b" \n\r\t"
STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
BRACKETS = re.compile(rb"[\[\]{}]")

_LIST = msgspec.json.Decoder(list[msgspec.Raw])


class BatchCutter:
    """Messages of one topic to events. A row that has no object of features of its own is one."""

    def __init__(self, fields: FieldMap, rows: str | None, shape: str, names: Sequence[str]) -> None:
        own = fields.prediction, fields.id, fields.group, fields.label, fields.weight, fields.latency, fields.error
        paths = [path for path in (*own, *fields.envelope.values(), fields.scores, fields.sampling) if path]
        self._features = fields.features
        self._mapped = {
            path[0] for path in paths if path[: len(fields.features)] != fields.features or not fields.features
        }
        self._marks = [name_of(name) for name in self._mapped]
        self._id = fields.id[0] if len(fields.id) == 1 else None
        self._rows, self._shape, self._names = rows, shape, tuple(names)
        self._weaver = row_weaver(self._features, self._mapped, shape, names)
        self.key = None if shape in ("columns", "split") else "".join(map(_quoted, fields.features[:1]))
        """The key with its quotes under which objects of an array have an object if they are events as they are; None: such are not read."""

    def __call__(self, raw: bytes) -> list[bytes]:
        """The events of a message. Raises Rejected."""
        _refuse_unread(raw)
        most = ALLOWANCE + EXPANSION * len(raw)
        array = raw.removeprefix(BOM).strip(SPACE)
        if array[:1] == b"[":
            return self._of_array(array, most)
        held = members(raw)
        if held is None:
            raise Rejected("not_object" if _is_json(raw) else MALFORMED)
        found = self._found(held)
        if found is None:
            if self._rows is None and self._shape == "any":
                return [raw]  # a single event
            raise Rejected(UNKNOWN_SHAPE)
        key, rows = found
        outside = {name: value for name, value in held.items() if name not in key}
        return _bounded(self._under(outside, rows), most)

    def woven(self, raw: bytes) -> Messages | None:
        """The same events by the compiled part; None: of what is left to be cut here. Raises Rejected."""
        if self._weaver is None:
            return None
        _refuse_unread(raw)
        if raw.lstrip(SPACE)[:1] == b"[":
            return self._woven({}, raw.strip(SPACE), len(raw)) if is_plain(raw) else None
        held = plain_members(raw)
        found = None if held is None else self._found(held)
        if held is None or found is None:
            return None
        key, rows = found
        return self._woven({name: value for name, value in held.items() if name not in key}, rows, len(raw))

    def _woven(self, outside: Members, rows: bytes, size: int) -> Messages | None:
        listed = None if self._weaver is None else self._weaver.listed(rows)
        if self._weaver is None or listed is None:
            return None
        lists = {name: values_of(value) for name, value in outside.items() if name in self._mapped and _is_list(value)}
        own = {
            name: (values, 1, 0, False)
            for name, values in lists.items()
            if values is not None and count_of(values) == listed.count
        }
        same = {name: value for name, value in outside.items() if name not in own and name != self._id}
        if self._id is not None and self._id in outside and self._id not in own:
            ids = listed_values(_numbered(outside[self._id], at) for at in range(listed.count))
            if ids is None:
                return None
            own[self._id] = ids, 1, 0, False
        return self._weaver.weave(listed, same, own, ALLOWANCE + EXPANSION * size)

    def _of_array(self, raw: bytes, most: int) -> list[bytes]:
        """The elements of an array. Where it is no JSON, but for its brackets, each object is one all the same."""
        if not raw.endswith(b"]"):  # cut off
            raise Rejected(MALFORMED)
        try:
            return _bounded(self._under({}, raw), most)
        except Rejected as rejected:
            objects = None if self.key is None or str(rejected) != MALFORMED else cut_objects(raw, self.key.encode())
            if objects is None:
                raise
            return objects

    def _found(self, held: Members) -> tuple[Sequence[str], bytes] | None:
        """The keys of an object that hold its rows, and these."""
        if self._rows is not None:
            return ((self._rows,), held[self._rows]) if self._rows in held else None
        if NAMES in held and VALUES in held and _is_list(held[NAMES]) and _is_list(held[VALUES]):
            return (NAMES, VALUES), _object({NAMES: held[NAMES], VALUES: held[VALUES]})
        features = self._features[:1]
        for key in (*KEYS, *features):
            if key in held and (key in KEYS or _is_batch(held[key])) and held[key][:1] in b"[{":
                return (key,), held[key]
        columns = [name for name, value in held.items() if _is_list(value)]
        if columns and are_columns(held, columns, self._mapped):
            return columns, _object({name: held[name] for name in columns})
        return None

    # --- rows of any shape ------------------------------------------------------------------------------------------

    def _under(self, outside: Members, rows: bytes) -> Iterator[bytes]:
        """The events of rows, with what stands outside of them."""
        count, parts = self._parts(rows)
        if not count:
            raise Rejected(NO_ROWS)
        spread = {
            name: values
            for name, value in outside.items()
            if name in self._mapped and _is_list(value) and len(values := _elements(value)) == count
        }
        same = {name: value for name, value in outside.items() if name not in spread and name != self._id}
        before = _inside(same)
        for at, row in enumerate(parts):
            own = {name: values[at] for name, values in spread.items()}
            if self._id is not None and self._id in outside and self._id not in own:
                own[self._id] = _numbered(outside[self._id], at)
            yield self._event(before, own, row)

    def _parts(self, rows: bytes) -> tuple[int, Iterator[bytes]]:
        """How many rows there are, and each."""
        if _is_list(rows):
            if self._shape in ("columns", "split"):
                raise Rejected(UNKNOWN_SHAPE)
            held = _elements(rows)
            listed = next((row for row in held if _is_list(row)), None)
            return len(held), iter(held) if listed is None else self._named(self._names, held)
        table = members(rows)
        if table is None:
            raise Rejected(UNKNOWN_SHAPE)
        if self._shape in ("any", "split") and NAMES in table and VALUES in table:
            names = _names(table[NAMES])
            held = _elements(table[VALUES])
            return len(held), self._named(names, held)
        if self._shape in ("split", "records"):
            raise Rejected(UNKNOWN_SHAPE)
        columns = {name: _elements(value) for name, value in table.items() if _is_list(value)}
        sizes = set(map(len, columns.values()))
        if len(columns) < len(table) or len(sizes) > 1:
            raise Rejected(UNEVEN)
        return (sizes.pop() if sizes else 0), self._named(tuple(columns), zip(*columns.values(), strict=True))

    def _named(self, names: Sequence[str], rows: Any) -> Iterator[bytes]:
        """Rows of values with names."""
        if not names or len(names) > MOST_NAMES:
            raise Rejected(UNNAMED)
        keys = [name_of(name) + b":" for name in names]
        for row in rows:
            values = _elements(row) if isinstance(row, bytes) else row
            if len(values) != len(keys):
                raise Rejected(UNEVEN)
            yield b"{" + b",".join([key + value for key, value in zip(keys, values, strict=True)]) + b"}"

    def _event(self, before: bytes, own: Members, row: bytes) -> bytes:
        """One event: what is of every row first, for of a key that stands there twice the last one counts."""
        if row[:1] != b"{":
            return row  # no object: whoever reads it says so
        if not before and not own and self._features and self._has_features(row):
            return row
        outside = b",".join(filter(None, (before, _inside(own))))
        inside = row[1:-1].strip()
        if not self._features or self._has_features(row):
            return b"{" + b",".join(filter(None, (outside, inside))) + b"}"
        if any(mark in row for mark in self._marks):
            held = members(row) or {}
            outside = b",".join(filter(None, (outside, _inside({k: v for k, v in held.items() if k in self._mapped}))))
            row = _object({name: value for name, value in held.items() if name not in self._mapped})
        for name in reversed(self._features):
            row = b"{" + name_of(name) + b":" + row + b"}"
        return b"{" + b",".join(filter(None, (outside, row[1:-1]))) + b"}"

    def _has_features(self, row: bytes) -> bool:
        name = self._features[0]
        return name_of(name) in row and name in (members(row) or ())


def _refuse_unread(raw: bytes) -> None:
    """Refuse what is not worth cutting. How deep an event goes is seen when it is read. Raises Rejected."""
    if framed(raw) is not None:
        raise Rejected(FRAMED)
    if len(raw) > MAX_BYTES:
        raise Rejected("too_large")
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise Rejected("invalid_utf8") from None


def are_columns(held: Members, columns: Sequence[str], mapped: Collection[str]) -> bool:
    """Whether an object is columns by itself: lists, and nothing beside them but what is mapped. Raises Rejected where they are of several lengths."""
    if any(name not in mapped for name in held if name not in columns):
        return False
    if len({_size(held[name]) for name in columns}) > 1:
        raise Rejected(UNEVEN)
    return True


def _bounded(events: Iterator[bytes], most: int) -> list[bytes]:
    """All events. Raises Rejected as soon as they are more than so many bytes."""
    found, size = [], 0
    for event in events:
        size += len(event)
        if size > most:
            raise Rejected("expands_too_much")
        found.append(event)
    return found


def holds_rows(raw: bytes) -> bool:
    """Whether a message is an array of objects, or an object with rows under one of the usual keys."""
    if refusal(raw) is not None:
        return False
    try:
        if _is_list(raw.lstrip()):
            rows = _elements(raw)
            return bool(rows) and all(row[:1] == b"{" for row in rows)
        held = members(raw) or {}
        return any(_is_batch(held[key]) for key in KEYS if key in held) or (
            NAMES in held and VALUES in held and _is_list(held[NAMES]) and _is_list(held[VALUES])
        )
    except Rejected:
        return False


# --- JSON, its brackets alone ------------------------------------------------------------------------------------------


def cut_objects(raw: bytes, key: bytes) -> list[bytes] | None:
    """The objects of an array, cut at its brackets, whatever stands inside: each has an object under a key, with its quotes, if any is said.

    None where it is no such array. The compiled part (`ArrayCutter`) finds the same.

    >>> cut_objects(b'[{"f":{"a":1}}, {"f":{nonsense}}]', b'"f"')
    [b'{"f":{"a":1}}', b'{"f":{nonsense}}']
    """
    found: list[bytes] = []
    depth = begin = after = 0
    keyed = False
    for bracket in BRACKETS.finditer(STRINGS.sub(_veiled, raw)):
        at = bracket.start()
        opens = raw[at : at + 1] in (b"{", b"[")
        depth += 1 if opens else -1
        if opens and depth == 2:  # noqa: PLR2004 - an element
            if raw[at : at + 1] != b"{" or raw[after:at].strip(SPACE) != (b"," if found else b"["):
                return None
            begin, keyed = at, not key
        elif opens:
            keyed = keyed or (depth == 3 and raw[at : at + 1] == b"{" and _stands_before(key, raw[begin:at]))  # noqa: PLR2004 - in an element
        elif depth == 1:
            if not keyed:
                return None
            after = at + 1
            found.append(raw[begin:after])
        elif depth == 0:
            return found if found and raw[after:].strip(SPACE) == b"]" else None
    return None


def _veiled(text: re.Match[bytes]) -> bytes:
    return b"." * len(text[0])


def _stands_before(key: bytes, written: bytes) -> bool:
    """Whether a key stands last in what is written of an object, as one of its own."""
    before = written.rstrip(SPACE)
    if not before.endswith(b":"):
        return False
    before = before[:-1].rstrip(SPACE)
    return before.endswith(key) and before[-len(key) - 1 : -len(key)] in {b"{", b",", b" ", b"\n", b"\r", b"\t"}


# --- JSON, a level at once --------------------------------------------------------------------------------------------


def members(raw: bytes) -> Members | None:
    """What an object holds, as it is written; None of what is no object. NaN and Infinity are let through."""
    try:
        return {name: bytes(value) for name, value in OBJECT.decode(raw).items()}
    except UNREADABLE:
        held = _leniently(raw)
        return {name: _written(value) for name, value in held.items()} if isinstance(held, dict) else None


def _elements(raw: bytes) -> list[bytes]:
    """What a list holds, as it is written. Raises Rejected."""
    try:
        return list(map(bytes, _LIST.decode(raw)))
    except UNREADABLE:
        held = _leniently(raw)
        if not isinstance(held, list):
            raise Rejected(MALFORMED if held is None else UNEVEN) from None
        return list(map(_written, held))


def _size(raw: bytes) -> int:
    """How many values a list holds. Raises Rejected."""
    values = values_of(raw) if USED else None
    return len(_elements(raw)) if values is None else count_of(values)


def _leniently(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode("utf-8-sig"), parse_int=_integer)
    except (ValueError, RecursionError):
        return None


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)


def _written(value: Any) -> bytes:
    return json.dumps(value).encode()


def _is_json(raw: bytes) -> bool:
    return _leniently(raw) is not None or raw.strip() == b"null"


def _is_list(raw: bytes) -> bool:
    return raw[:1] == b"["


def _is_batch(raw: bytes) -> bool:
    """Whether a value holds rows: a list of objects or of lists, an object of lists alone, or names and values."""
    try:
        if _is_list(raw):
            rows = _elements(raw)
            return bool(rows) and all(row[:1] in b"[{" for row in rows)
        held_by_name = members(raw) or {}
    except Rejected:
        return False
    return bool(held_by_name) and all(map(_is_list, held_by_name.values()))


def _names(raw: bytes) -> tuple[str, ...]:
    try:
        return tuple(msgspec.json.decode(raw, type=list[str]))
    except UNREADABLE:
        raise Rejected(UNNAMED) from None


def _quoted(name: str) -> str:
    return name_of(name).decode()


def _inside(held: Mapping[str, bytes]) -> bytes:
    return b",".join([name_of(name) + b":" + value for name, value in held.items()])


def _object(held: Mapping[str, bytes]) -> bytes:
    return b"{" + _inside(held) + b"}"


def _numbered(raw: bytes, at: int) -> bytes:
    """The id of a row: that of its message, and its number among its rows."""
    if raw[:1] == b'"':
        return raw[:-1] + b"#%d" % at + b'"'
    return b'"' + raw + b"#%d" % at + b'"' if raw[:1] not in b"[{n" else raw

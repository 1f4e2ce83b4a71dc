"""Messages by their descriptors, in plain Python: fields as they came, and as JSON would have them. `_wire.hpp` reads the same to columns."""

import base64
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from monitor.sources.formats.protobuf.descriptors import (
    GOOGLE,
    WIRES,
    WRAPPERS,
    Convert,
    FieldKind,
    FieldType,
    MessageType,
    Step,
)
from monitor.sources.formats.protobuf.wire import MAX_DEPTH, TOO_DEEP, Cursor, Wire, signed, zigzag
from monitor.sources.formats.values import LATEST_NANOS, Rejected
from monitor.stream.events import SECOND, Nanos

OTHER, INVALID_TEXT = "other_message_type", "invalid_utf8"
TOO_MANY_KEYS = "too_many_keys"
MAX_KEYS = 10_000  # of a map in a message
Held = dict[int, Any]
"""A message as it came: the fields that were set, by number."""

NUMBERS: Mapping[FieldKind, Callable[[int], Any]] = {
    FieldKind.INT64: lambda value: signed(value, 64),
    FieldKind.UINT64: lambda value: value,
    FieldKind.INT32: lambda value: signed(value, 32),
    FieldKind.BOOL: lambda value: value != 0,
    FieldKind.UINT32: lambda value: value & 0xFFFFFFFF,
    FieldKind.ENUM: lambda value: signed(value, 32),
    FieldKind.SINT32: lambda value: zigzag(value & 0xFFFFFFFF),
    FieldKind.SINT64: zigzag,
}
FIXED = {
    FieldKind.DOUBLE: "<d",
    FieldKind.FLOAT: "<f",
    FieldKind.FIXED64: "<Q",
    FieldKind.FIXED32: "<I",
    FieldKind.SFIXED64: "<q",
    FieldKind.SFIXED32: "<i",
}


class MessageReader:
    """Reads messages. Where it is `strict`, a field that is written as another type says that this is another message.

    Who knows by a registry's framing what message it is reads as the official runtime does: such a field is unknown to it.
    """

    def __init__(self, message: MessageType, *, strict: bool) -> None:
        self._message = message
        self._strict = strict

    def read(self, raw: bytes, at: int = 0) -> Held:
        """The fields of a message that begins at a place. Raises Rejected."""
        cursor, held = Cursor(raw, at), Held()
        if self._strict and not cursor:
            raise Rejected("empty")
        known = self._merge(self._message, cursor, held, 1)
        if self._strict and not known:
            raise Rejected(OTHER)
        return held

    def _merge(self, message: MessageType, cursor: Cursor, held: Held, depth: int) -> bool:
        """Read fields into what was held of the message before; whether any was known."""
        if depth > MAX_DEPTH:
            raise Rejected(TOO_DEEP)
        known = False
        while cursor:
            number, wire = cursor.tag()
            field = message.fields.get(number)
            if field is not None and self._fits(field, wire):
                known = True
                self._field(message, field, wire, cursor, held, depth)
            else:
                cursor.skip(number, wire, depth)
        return known

    def _fits(self, field: FieldType, wire: int) -> bool:
        """Whether a field is written as its type is. Raises Rejected where it is not, and this is another message then."""
        if wire == WIRES[field.type] or (field.repeated and wire == Wire.BYTES and packs(field.type)):
            return True
        if self._strict:
            raise Rejected(OTHER)
        return False

    def _field(self, message: MessageType, field: FieldType, wire: int, cursor: Cursor, held: Held, depth: int) -> None:
        if field.type is FieldKind.GROUP:
            cursor.skip(field.number, wire, depth)
            return
        if field.oneof is not None:
            for other in message.fields.values():
                if other.oneof == field.oneof and other is not field:
                    held.pop(other.number, None)
        if field.map_entry is not None:
            self._entry(field, field.map_entry, cursor.part(), held, depth)
        elif field.repeated:
            self._append(field, wire, cursor, held.setdefault(field.number, []), depth)
        elif field.message is not None:
            self._merge(field.message, cursor.part(), held.setdefault(field.number, {}), depth + 1)
        else:
            held[field.number] = scalar(field.type, cursor)

    def _append(self, field: FieldType, wire: int, cursor: Cursor, values: list[Any], depth: int) -> None:
        if field.message is not None:
            values.append({})
            self._merge(field.message, cursor.part(), values[-1], depth + 1)
        elif wire == Wire.BYTES and packs(field.type):
            packed = cursor.part()
            while packed:
                values.append(scalar(field.type, packed))
        else:
            values.append(scalar(field.type, cursor))

    def _entry(self, field: FieldType, entry: MessageType, cursor: Cursor, held: Held, depth: int) -> None:
        """The last entry of a key counts, and is not merged with those before."""
        read = Held()
        self._merge(entry, cursor, read, depth + 1)
        key = read.get(1, zero(entry.fields[1]))
        value = entry.fields[2]
        entries = held.setdefault(field.number, {})
        entries[key] = read.get(2, {} if value.message is not None else zero(value))


def zero(field: FieldType) -> Any:
    """What the key or the value of a map's entry is that has none."""
    if field.enum is not None:
        return field.enum.first
    return {
        FieldKind.STRING: "",
        FieldKind.BYTES: b"",
        FieldKind.BOOL: False,
        FieldKind.DOUBLE: 0.0,
        FieldKind.FLOAT: 0.0,
    }.get(field.type, 0)


def packs(type_: FieldKind) -> bool:
    """Whether a repeated field of a type may be written as one value."""
    return WIRES[type_] in (Wire.VARINT, Wire.FIXED32, Wire.FIXED64)


def scalar(type_: FieldKind, cursor: Cursor) -> Any:
    """One value that is no message. Raises Rejected."""
    if type_ in NUMBERS:
        return NUMBERS[type_](cursor.varint())
    if type_ in FIXED:
        form = FIXED[type_]
        return struct.unpack(form, cursor.take(struct.calcsize(form)))[0]
    data = cursor.take(cursor.varint())
    if type_ is FieldKind.BYTES:
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Rejected(INVALID_TEXT) from None


# --- as JSON would have them ------------------------------------------------------------------------------------------


def document(message: MessageType, held: Held) -> dict[str, Any]:
    """A message as plain objects, by names of fields; what is missing is not there."""
    found = {}
    for number, name, default, convert in message.steps or _steps(message):
        value = held.get(number, default)
        if value is None or (convert is not None and (value := convert(value)) is None):
            continue
        found[name] = value
    return found


def _steps(message: MessageType) -> Sequence[Step]:
    """How each field becomes what JSON has, worked out once: its number, its name, what it is worth unset, what is done with it."""
    message.steps = [_step(field) for field in message.fields.values() if field.type is not FieldKind.GROUP]
    return message.steps


def _step(field: FieldType) -> Step:
    if field.map_entry is not None:
        of_entry = converter(field.map_entry.fields[2])
        return field.number, field.name, {}, partial(_map, of_entry)
    convert = converter(field)
    if field.repeated:
        return field.number, field.name, (), list if convert is None else partial(_list, convert)
    return field.number, field.name, field.default, convert


def _map(convert: Convert | None, entries: Mapping[Any, Any]) -> dict[str, Any]:
    return {key_text(key): each if convert is None else convert(each) for key, each in entries.items()}


def _list(convert: Convert, values: Sequence[Any]) -> list[Any]:
    return [convert(each) for each in values]


def key_text(key: object) -> str:
    """A map's key as JSON would write it."""
    return key if isinstance(key, str) else str(key).lower()


def converter(field: FieldType) -> Convert | None:
    """What makes one value of a field what JSON has; None where it is that already. NaN is missing, times are text."""
    if field.message is not None:
        return _of_message(field.message)
    if field.enum is not None:
        names = field.enum.names
        return lambda value: names.get(value, str(value))
    if field.type is FieldKind.BYTES:
        return _base64
    return _unless_nan if field.type in (FieldKind.DOUBLE, FieldKind.FLOAT) else None


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _unless_nan(value: float) -> float | None:
    return value if value == value else None  # noqa: PLR0124 - NaN


def _of_message(message: MessageType) -> Convert:
    if message.name in WRAPPERS:
        field = message.fields[1]
        convert = converter(field)
        return lambda held: (convert or _same)(held.get(1, field.default))
    return partial(SPECIAL.get(message.name, document), message)


def _same(value: Any) -> Any:
    return value


def nanos_of(held: Held) -> Nanos:
    """A Timestamp; beyond int64 it is the farthest there is."""
    nanos = held.get(1, 0) * SECOND + held.get(2, 0)
    return int(max(-LATEST_NANOS, min(LATEST_NANOS, nanos)))


def seconds_of(held: Held) -> float:
    """A Duration."""
    return float(held.get(1, 0)) + float(held.get(2, 0)) / 1e9


def _value_of(field: FieldType, value: Any) -> Any:
    convert = converter(field)
    return value if convert is None else convert(value)


def _stamp(message: MessageType, held: Held) -> str:
    del message
    seconds, nanos = divmod(nanos_of(held), SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z"


def _duration(message: MessageType, held: Held) -> float:
    del message
    return seconds_of(held)


def _struct(message: MessageType, held: Held) -> dict[str, Any]:
    value = message.fields[1].map_entry
    assert value is not None
    return {key: _value_of(value.fields[2], each) for key, each in held.get(1, {}).items()}


def _json_value(message: MessageType, held: Held) -> Any:
    number = next(iter(held), 1)
    return None if number == 1 else _value_of(message.fields[number], held[number])


def _listed(message: MessageType, held: Held) -> list[Any]:
    return [_value_of(message.fields[1], each) for each in held.get(1, ())]


SPECIAL: Mapping[str, Callable[[MessageType, Held], Any]] = {
    f"{GOOGLE}Timestamp": _stamp,
    f"{GOOGLE}Duration": _duration,
    f"{GOOGLE}Struct": _struct,
    f"{GOOGLE}Value": _json_value,
    f"{GOOGLE}ListValue": _listed,
}

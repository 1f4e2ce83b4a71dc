"""What messages look like, from a FileDescriptorSet: their fields by number, resolved across files.

The sets are read by our own wire reader (google/protobuf/descriptor.proto says what stands where): no Protobuf package is needed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from monitor.sources.formats.protobuf.wire import Cursor, Wire, signed
from monitor.sources.formats.values import Rejected


class FieldKind(IntEnum):
    """Types of fields, numbered as descriptors do."""

    DOUBLE = 1
    FLOAT = 2
    INT64 = 3
    UINT64 = 4
    INT32 = 5
    FIXED64 = 6
    FIXED32 = 7
    BOOL = 8
    STRING = 9
    GROUP = 10
    MESSAGE = 11
    BYTES = 12
    UINT32 = 13
    ENUM = 14
    SFIXED32 = 15
    SFIXED64 = 16
    SINT32 = 17
    SINT64 = 18


_WIRES = {
    **dict.fromkeys((FieldKind.DOUBLE, FieldKind.FIXED64, FieldKind.SFIXED64), Wire.FIXED64),
    **dict.fromkeys((FieldKind.FLOAT, FieldKind.FIXED32, FieldKind.SFIXED32), Wire.FIXED32),
    **dict.fromkeys((FieldKind.STRING, FieldKind.BYTES, FieldKind.MESSAGE), Wire.BYTES),
    FieldKind.GROUP: Wire.GROUP,
}
WIRES = {type_: _WIRES.get(type_, Wire.VARINT) for type_ in FieldKind}
REPEATED = 3  # a label
EXPLICIT, IMPLICIT, NONE, DELIMITED = 1, 2, 3, 2  # features: of presence, of UTF-8 that is not looked at, of messages
PRESENCE, UTF8, ENCODING = 1, 4, 5  # of them that matter here
FEATURES_OF_OPTIONS = {"file": 50, "message": 12, "field": 21}
MAX_NESTING = 100  # of declarations in each other


class DescriptorError(ValueError):
    """A set of descriptors cannot be used: one line that says why."""


Convert = Callable[[Any], Any]
Step = tuple[int, str, Any, Convert | None]
"""A field on its way to what JSON has: its number, its name, what it is worth unset, and what is done with its value."""


@dataclass(slots=True, eq=False)
class EnumType:
    """The names of numbers; of several the first declared. `first` is the number of the first, which is the default."""

    name: str
    names: dict[int, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    first: int = 0


@dataclass(slots=True, eq=False)
class FieldType:
    """A field. `present`: it is known whether it was set. `default` is what it is worth unset; None: nothing, it is missing."""

    name: str
    number: int
    type: FieldKind
    repeated: bool = False
    present: bool = False
    default: Any = None
    oneof: int | None = None
    message: "MessageType | None" = None
    enum: EnumType | None = None

    @property
    def map_entry(self) -> "MessageType | None":
        """The message of its entries, where it is a map."""
        return self.message if self.message is not None and self.message.is_entry and self.repeated else None


@dataclass(slots=True, eq=False)
class MessageType:
    """A message, by full name; its fields by number."""

    name: str
    fields: dict[int, FieldType] = field(default_factory=dict)
    is_entry: bool = False
    nested: list["MessageType"] = field(default_factory=list)
    steps: Sequence[Step] = ()  # made by messages.py when they are first wanted


class Schema:
    """The messages of some files."""

    def __init__(self, files: Iterable[bytes]) -> None:
        """Of serialized FileDescriptorProto, in any order. Raises DescriptorError."""
        self._types: dict[str, MessageType | EnumType] = {}
        self._files: list[list[MessageType]] = []
        try:
            waiting = [found for data in files for found in self._declare(data)]
            for scope, raw, message, features in waiting:
                self._fill(scope, raw, message, features)
        except (Rejected, UnicodeDecodeError, ValueError) as error:
            if isinstance(error, DescriptorError):
                raise
            raise DescriptorError(f"is no set of Protobuf descriptors: {error}") from None

    @classmethod
    def of_set(cls, data: bytes) -> "Schema":
        """Of a serialized FileDescriptorSet, as `protoc --descriptor_set_out` and `buf build` write it. Raises DescriptorError."""
        try:
            held = Raw.of(data)
            files = held.parts(1)
        except Rejected as error:
            raise DescriptorError(f"is no set of Protobuf descriptors: {error}") from None
        if not files:
            raise DescriptorError("holds no Protobuf descriptors")
        return cls(files)

    def message(self, name: str) -> MessageType:
        """A message by its full name. Raises DescriptorError that names those there are."""
        found = self._types.get(name)
        if isinstance(found, MessageType) and not found.is_entry:
            return found
        raise DescriptorError(f"has no message {name}; it has {', '.join(self.names) or 'none'}")

    @property
    def names(self) -> list[str]:
        """The messages of its files, but those of Google's own."""
        held = (name for name, each in self._types.items() if isinstance(each, MessageType) and not each.is_entry)
        return sorted(name for name in held if not name.startswith("google.protobuf."))

    def indexed(self, indexes: Sequence[int]) -> MessageType | None:
        """The message of the first file at the places that a registry's framing tells, the outermost first; None where none is."""
        among, found = self._files[0], None
        for index in indexes:
            if not 0 <= index < len(among):
                return None
            found = among[index]
            among = found.nested
        return found

    def places(self, message: MessageType) -> tuple[int, ...]:
        """Where a message stands in its file, as a registry's framing tells it."""
        for messages in self._files:
            if (found := _place(messages, message)) is not None:
                return found
        raise DescriptorError(f"has no message {message.name}")

    # --- what files declare, and then what fields say of it

    def _declare(self, data: bytes) -> Iterator[tuple[str, "Raw", MessageType, "Features"]]:
        raw = Raw.of(data)
        package = raw.text(2)
        features = Features.of_file(raw)
        for each in raw.raws(5):
            self._enum(package, each)
        top: list[MessageType] = []
        self._files.append(top)
        for each in raw.raws(4):
            yield from self._message(package, each, features, top, 0)

    def _message(
        self, scope: str, raw: "Raw", features: "Features", among: list[MessageType], depth: int
    ) -> Iterator[tuple[str, "Raw", MessageType, "Features"]]:
        if depth > MAX_NESTING:
            raise DescriptorError("declares messages too deep in each other")
        options = raw.raw(7)
        message = MessageType(_within(scope, raw.text(1)), is_entry=bool(options.number(7)))
        self._types[message.name] = message
        among.append(message)
        own = features.with_options(options, "message")
        for each in raw.raws(4):
            self._enum(message.name, each)
        for each in raw.raws(3):
            yield from self._message(message.name, each, own, message.nested, depth + 1)
        yield message.name, raw, message, own

    def _enum(self, scope: str, raw: "Raw") -> None:
        found = EnumType(_within(scope, raw.text(1)))
        for place, value in enumerate(raw.raws(2)):
            number, name = signed(value.number(2), 32), value.text(1)
            found.names.setdefault(number, name)
            found.numbers[name] = number
            if not place:
                found.first = number
        self._types[found.name] = found

    def _fill(self, scope: str, raw: "Raw", message: MessageType, features: "Features") -> None:
        for each in raw.raws(2):
            own = features.with_options(each.raw(8), "field")
            made = self._field(scope, each, own)
            message.fields[made.number] = made
        if message.is_entry and not _is_pair(message):
            raise DescriptorError(f"has a map {message.name} without a key and a value")

    def _field(self, scope: str, raw: "Raw", features: "Features") -> FieldType:
        held = self._find(scope, raw.text(6)) if raw.text(6) else None
        type_ = (
            FieldKind(raw.number(5))
            if raw.number(5)
            else FieldKind.ENUM
            if isinstance(held, EnumType)
            else FieldKind.MESSAGE
        )
        if type_ is FieldKind.MESSAGE and features.delimited:
            type_ = FieldKind.GROUP
        repeated = raw.number(4) == REPEATED
        alone = bool(raw.number(17))  # `optional` of proto3 is said by a oneof of one
        oneof = raw.number(9) if raw.has(9) and not alone else None
        message = type_ in (FieldKind.MESSAGE, FieldKind.GROUP)
        present = not repeated and (message or features.explicit or alone or oneof is not None)
        made = FieldType(raw.text(1), raw.number(3), type_, repeated, present, oneof=oneof)
        made.message = held if isinstance(held, MessageType) else None
        made.enum = held if isinstance(held, EnumType) else None
        if message != (made.message is not None) or (type_ is FieldKind.ENUM) != (made.enum is not None):
            raise DescriptorError(f"has a field {scope}.{made.name} of no type that it knows")
        made.default = None if repeated or message else _default(made, raw.text(7) if raw.has(7) else None)
        return made

    def _find(self, scope: str, name: str) -> MessageType | EnumType:
        """A type by its name: full after a dot, else the innermost of that name around. Raises DescriptorError."""
        if name.startswith("."):
            found = self._types.get(name[1:]) or _well_known(name[1:], self._types)
            if found is not None:
                return found
            raise DescriptorError(f"lacks {name[1:]}, which {scope} uses: make it with its imports (--include_imports)")
        around = scope.split(".") if scope else []
        for depth in range(len(around), -1, -1):
            full = ".".join((*around[:depth], name))
            found = self._types.get(full) or _well_known(full, self._types)
            if found is not None:
                return found
        raise DescriptorError(f"lacks {name}, which {scope} uses: make it with its imports (--include_imports)")


def _is_pair(entry: MessageType) -> bool:
    """Whether a map's entry is what its readers rely on: a plain key, and one value."""
    key, value = entry.fields.get(1), entry.fields.get(2)
    if key is None or value is None or key.repeated or value.repeated:
        return False
    return key.message is None and key.enum is None


def _within(scope: str, name: str) -> str:
    return f"{scope}.{name}" if scope else name


def _place(messages: Sequence[MessageType], wanted: MessageType) -> tuple[int, ...] | None:
    for index, each in enumerate(messages):
        if each is wanted:
            return (index,)
        if (below := _place(each.nested, wanted)) is not None:
            return (index, *below)
    return None


# --- defaults ---------------------------------------------------------------------------------------------------------


def _default(made: FieldType, said: str | None) -> Any:
    """What a field is worth unset: what its declaration says, nothing where its presence is told, else zero."""
    if said is not None:
        return _said(made, said)
    if made.present:
        return None
    if made.enum is not None:
        return made.enum.first
    return {
        FieldKind.STRING: "",
        FieldKind.BYTES: b"",
        FieldKind.BOOL: False,
        FieldKind.DOUBLE: 0.0,
        FieldKind.FLOAT: 0.0,
    }.get(made.type, 0)


def _said(made: FieldType, said: str) -> Any:
    match made.type:
        case FieldKind.STRING:
            return said
        case FieldKind.BYTES:  # as C writes them: all of it ASCII
            return said.encode().decode("unicode_escape").encode("latin-1")
        case FieldKind.BOOL:
            return said == "true"
        case FieldKind.DOUBLE | FieldKind.FLOAT:
            return float(said)
        case FieldKind.ENUM:
            assert made.enum is not None
            return made.enum.numbers.get(said, made.enum.first)
        case _:
            return int(said)


# --- features of editions ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Features:
    """What a file's syntax or edition says of its fields, where they do not say it themselves."""

    presence: int
    encoding: int = 1
    proto3: bool = False

    @classmethod
    def of_file(cls, raw: "Raw") -> "Features":
        """Those of a FileDescriptorProto."""
        syntax = raw.text(12)
        features = cls(IMPLICIT if syntax == "proto3" else EXPLICIT, proto3=syntax == "proto3")
        return features.with_options(raw.raw(8), "file")

    def with_options(self, options: "Raw", of: str) -> "Features":
        """With what the options of something within say."""
        told = options.raw(FEATURES_OF_OPTIONS[of])
        return Features(
            told.number(PRESENCE) or self.presence, told.number(ENCODING) or self.encoding, proto3=self.proto3
        )

    @property
    def explicit(self) -> bool:
        """Whether presence is told."""
        return self.presence != IMPLICIT

    @property
    def delimited(self) -> bool:
        """Whether messages are written as groups."""
        return self.encoding == DELIMITED


# --- raw descriptors --------------------------------------------------------------------------------------------------


class Raw(dict[int, list[int | bytes]]):
    """A message of descriptor.proto: what each field number holds, in turn."""

    @classmethod
    def of(cls, data: bytes) -> "Raw":
        """Read it. Raises Rejected."""
        found, cursor = cls(), Cursor(data)
        while cursor:
            number, wire = cursor.tag()
            if wire == Wire.VARINT:
                found.setdefault(number, []).append(cursor.varint())
            elif wire == Wire.BYTES:
                found.setdefault(number, []).append(cursor.take(cursor.varint()))
            else:
                cursor.skip(number, wire, 0)
        return found

    def has(self, number: int) -> bool:
        """Whether a field is there."""
        return number in self

    def parts(self, number: int) -> list[bytes]:
        """The bytes of a repeated field."""
        return [each for each in self.get(number, ()) if isinstance(each, bytes)]

    def raws(self, number: int) -> list["Raw"]:
        """The messages of a repeated field."""
        return [Raw.of(each) for each in self.parts(number)]

    def raw(self, number: int) -> "Raw":
        """A message; several are one."""
        return Raw.of(b"".join(self.parts(number)))

    def text(self, number: int) -> str:
        """A text; empty where there is none."""
        return (self.parts(number) or [b""])[-1].decode()

    def number(self, number: int) -> int:
        """A number; 0 where there is none."""
        held = [each for each in self.get(number, ()) if isinstance(each, int)]
        return held[-1] if held else 0


# --- well-known types, which every Protobuf library brings ------------------------------------------------------------

GOOGLE = "google.protobuf."
STAMP = (("seconds", FieldKind.INT64), ("nanos", FieldKind.INT32))
WRAPPERS: Mapping[str, FieldKind] = {
    f"{GOOGLE}{name}Value": type_
    for name, type_ in (
        ("Double", FieldKind.DOUBLE),
        ("Float", FieldKind.FLOAT),
        ("Int64", FieldKind.INT64),
        ("UInt64", FieldKind.UINT64),
        ("Int32", FieldKind.INT32),
        ("UInt32", FieldKind.UINT32),
        ("Bool", FieldKind.BOOL),
        ("String", FieldKind.STRING),
        ("Bytes", FieldKind.BYTES),
    )
}
PLAIN: Mapping[str, Sequence[tuple[str, FieldKind]]] = {
    f"{GOOGLE}Timestamp": STAMP,
    f"{GOOGLE}Duration": STAMP,
    f"{GOOGLE}Any": (("type_url", FieldKind.STRING), ("value", FieldKind.BYTES)),
    f"{GOOGLE}Empty": (),
    **{name: (("value", type_),) for name, type_ in WRAPPERS.items()},
}
JSON_LIKE = frozenset(f"{GOOGLE}{name}" for name in ("Struct", "Value", "ListValue"))


def _well_known(name: str, types: dict[str, MessageType | EnumType]) -> MessageType | EnumType | None:
    """A type of Google's own, which a set of descriptors may leave out."""
    if name in PLAIN:
        made = [_plain(place, *each) for place, each in enumerate(PLAIN[name], 1)]
        types[name] = MessageType(name, {each.number: each for each in made})
    elif name in JSON_LIKE:
        _declare_json(types)
    elif name == f"{GOOGLE}FieldMask":
        types[name] = MessageType(name, {1: FieldType("paths", 1, FieldKind.STRING, repeated=True)})
    return types.get(name)


def _plain(number: int, name: str, type_: FieldKind) -> FieldType:
    made = FieldType(name, number, type_)
    made.default = _default(made, None)
    return made


def _declare_json(types: dict[str, MessageType | EnumType]) -> None:
    null = EnumType(f"{GOOGLE}NullValue", {0: "NULL_VALUE"}, {"NULL_VALUE": 0})
    struct, value, listed = (MessageType(f"{GOOGLE}{name}") for name in ("Struct", "Value", "ListValue"))
    entry = MessageType(f"{GOOGLE}Struct.FieldsEntry", is_entry=True)
    entry.fields = {
        1: _plain(1, "key", FieldKind.STRING),
        2: FieldType("value", 2, FieldKind.MESSAGE, present=True, message=value),
    }
    struct.fields = {1: FieldType("fields", 1, FieldKind.MESSAGE, repeated=True, message=entry)}
    struct.nested = [entry]
    listed.fields = {1: FieldType("values", 1, FieldKind.MESSAGE, repeated=True, message=value)}
    members = (
        FieldType("null_value", 1, FieldKind.ENUM, enum=null),
        FieldType("number_value", 2, FieldKind.DOUBLE),
        FieldType("string_value", 3, FieldKind.STRING),
        FieldType("bool_value", 4, FieldKind.BOOL),
        FieldType("struct_value", 5, FieldKind.MESSAGE, message=struct),
        FieldType("list_value", 6, FieldKind.MESSAGE, message=listed),
    )
    for each in members:
        each.oneof, each.present = 0, True
        value.fields[each.number] = each
    types.update({each.name: each for each in (null, struct, value, listed, entry)})

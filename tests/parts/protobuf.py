"""Messages of the official runtime: types declared in code, as protoc would have, and what a message of them holds by that runtime."""

import base64
import json
import math
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    json_format,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

File = descriptor_pb2.FileDescriptorProto
Field = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    name: getattr(Field, f"TYPE_{name.upper()}")
    for name in [
        "double",
        "float",
        "int64",
        "uint64",
        "int32",
        "fixed64",
        "fixed32",
        "bool",
        "string",
        "bytes",
        "uint32",
        "sfixed32",
        "sfixed64",
        "sint32",
        "sint64",
    ]
}
WELL_KNOWN = (timestamp_pb2, duration_pb2, struct_pb2, wrappers_pb2)
GOOGLE = "google.protobuf."
WRAPPED = tuple(
    f"{GOOGLE}{name}Value"
    for name in ["Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes"]
)


def declare(message: Any, fields: Mapping[str, str], first: int = 1) -> None:
    """Add fields by name, numbered as they come: `double`, `optional double`, `repeated .pkg.M`, `enum .pkg.E`, `oneof=choice int64`,
    `map string double`; `double = 2.5` has a default, `double @ 300` another number."""
    number = first
    named = [word.removeprefix("oneof=") for said in fields.values() for word in said.split() if "oneof=" in word]
    for oneof in dict.fromkeys(named):  # those of `optional` have to stand behind them
        message.oneof_decl.add(name=oneof)
    for name, said in fields.items():
        _declare(message, name, number, said)
        number = message.field[-1].number + 1


def _declare(message: Any, name: str, number: int, said: str) -> None:
    said, _, default = said.partition(" = ")
    said, _, other = said.partition(" @ ")
    *more, type_ = said.split()
    field = message.field.add(name=name, number=int(other or number), label=Field.LABEL_OPTIONAL)
    if more and more[0] == "map":
        _map(message, field, more[1], type_)
        return
    _typed(field, type_, enum="enum" in more)
    if default:
        field.default_value = default
    if "repeated" in more:
        field.label = Field.LABEL_REPEATED
    if "required" in more:
        field.label = Field.LABEL_REQUIRED
    if "optional" in more:
        field.proto3_optional = True
        field.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{name}")
    for each in more:
        if each.startswith("oneof="):
            names = [oneof.name for oneof in message.oneof_decl]
            field.oneof_index = names.index(each.removeprefix("oneof="))
        if each in ("packed", "unpacked"):
            field.options.packed = each == "packed"


def _typed(field: Any, type_: str, *, enum: bool = False) -> None:
    if type_.startswith("."):
        field.type, field.type_name = (Field.TYPE_ENUM if enum else Field.TYPE_MESSAGE), type_
    else:
        field.type = SCALARS[type_]


def _map(message: Any, field: Any, key: str, value: str) -> None:
    entry = message.nested_type.add(name="".join(part.capitalize() for part in field.name.split("_")) + "Entry")
    entry.options.map_entry = True
    _typed(entry.field.add(name="key", number=1, label=Field.LABEL_OPTIONAL), key)
    enum = value.startswith("enum")
    _typed(entry.field.add(name="value", number=2, label=Field.LABEL_OPTIONAL), value.removeprefix("enum"), enum=enum)
    field.label, field.type = Field.LABEL_REPEATED, Field.TYPE_MESSAGE
    field.type_name = f"{entry.name}"


def file_of(name: str, package: str, *, syntax: str = "proto3", imports: Sequence[Any] = WELL_KNOWN) -> Any:
    """A file that imports others."""
    dependencies = [
        each.DESCRIPTOR.name if hasattr(each, "DESCRIPTOR") and not isinstance(each, File) else each.name
        for each in imports
    ]
    return File(name=name, package=package, syntax=syntax, dependency=dependencies)


def classes_of(*files: Any) -> Callable[[str], Any]:
    """The official classes by full name."""
    pool = descriptor_pool.DescriptorPool()
    for each in WELL_KNOWN:
        pool.AddSerializedFile(each.DESCRIPTOR.serialized_pb)
    for each in files:
        pool.Add(each)

    def find(name: str) -> Any:
        return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))

    return find


def set_of(*files: Any, imports: bool = False) -> bytes:
    """The files as `protoc --descriptor_set_out` writes them, and with `--include_imports`."""
    held = descriptor_pb2.FileDescriptorSet()
    for each in WELL_KNOWN if imports else ():
        each.DESCRIPTOR.CopyToProto(held.file.add())
    held.file.extend(files)
    return held.SerializeToString()


# --- what a message holds, by the official runtime --------------------------------------------------------------------


def expected(message: Message) -> dict[str, Any]:
    """A message as JSON would have it by our rules, asked of the official runtime field by field; what is missing is not there."""
    held = {field.name: _held(message, field) for field in message.DESCRIPTOR.fields}
    return {name: value for name, value in held.items() if value is not None}


def _held(message: Message, field: FieldDescriptor) -> Any:
    value = getattr(message, field.name) if field.type != field.TYPE_GROUP else None
    if field.type == field.TYPE_GROUP:
        return None
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        entry = field.message_type.fields_by_name["value"]
        return {_key(key): _plain(entry, value[key]) for key in value}
    if field.is_repeated:
        return [_plain(field, each) for each in value]
    if field.has_presence and not message.HasField(field.name) and not field.has_default_value:
        return None
    return _plain(field, value)


def _key(key: object) -> str:
    return str(key).lower() if not isinstance(key, str) else key


def _plain(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return _message(field.message_type, value)
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        return str(value) if named is None else named.name
    if field.type == field.TYPE_BYTES:
        return base64.b64encode(value).decode()
    return None if isinstance(value, float) and math.isnan(value) else value


def _message(descriptor: Descriptor, value: Any) -> Any:
    name = descriptor.full_name
    if name == f"{GOOGLE}Timestamp":
        datetime.fromtimestamp(value.seconds, UTC)  # which no calendar may have
        farthest = (1 << 63) - 1
        nanos = max(-farthest, min(farthest, value.seconds * 10**9 + value.nanos))
        at = datetime.fromtimestamp(nanos // 10**9, UTC)
        return f"{at:%Y-%m-%dT%H:%M:%S}.{nanos % 10**9:09d}Z"
    if name == f"{GOOGLE}Duration":
        return value.seconds + value.nanos / 1e9
    if name in WRAPPED:
        return _plain(descriptor.fields_by_name["value"], value.value)
    if name in (f"{GOOGLE}Struct", f"{GOOGLE}Value", f"{GOOGLE}ListValue"):
        return json_format.MessageToDict(value)
    return expected(value)


# --- messages drawn ---------------------------------------------------------------------------------------------------

NUMBERS = (0, 1, -1, 7, 127, 128, 300, 1 << 31, -(1 << 31), (1 << 53) + 1, (1 << 63) - 1, -(1 << 63), (1 << 64) - 1)
TEXTS = ("", "a", "Zürich", "duck 🦆", "x" * 40, "pro", "free")
DOUBLES = (0.0, -0.0, 1.5, -2.25, 1e300, math.inf, -math.inf, math.nan, 0.1)


def fill(message: Message, draw: random.Random, depth: int = 0) -> Any:
    """Set some fields of a message."""
    for field in message.DESCRIPTOR.fields:
        if field.type != field.TYPE_GROUP and draw.random() < (0.6 if depth < 2 else 0.25):
            _fill(message, field, draw, depth)
    return message


def _fill(message: Message, field: FieldDescriptor, draw: random.Random, depth: int) -> None:
    count = draw.randrange(4)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        _fill_map(getattr(message, field.name), field.message_type, draw, depth, count)
    elif field.message_type is not None and field.is_repeated:
        for _ in range(count if depth < 3 else 0):
            _fill_message(getattr(message, field.name).add(), draw, depth + 1)
    elif field.message_type is not None:
        if depth < 3:
            getattr(message, field.name).SetInParent()
            _fill_message(getattr(message, field.name), draw, depth + 1)
    elif field.is_repeated:
        getattr(message, field.name).extend(_scalar(field, draw) for _ in range(count))
    else:
        setattr(message, field.name, _scalar(field, draw))


def _fill_map(held: Any, entry: Descriptor, draw: random.Random, depth: int, count: int) -> None:
    key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
    for _ in range(count if depth < 3 else 0):
        if value.message_type is None:
            held[_scalar(key, draw)] = _scalar(value, draw)
        else:
            _fill_message(held[_scalar(key, draw)], draw, depth + 1)


def _fill_message(message: Any, draw: random.Random, depth: int) -> None:
    name = message.DESCRIPTOR.full_name
    if name == f"{GOOGLE}Timestamp":
        message.seconds, message.nanos = draw.randrange(-9_000_000_000, 9_000_000_000), draw.randrange(1_000_000_000)
    elif name == f"{GOOGLE}Duration":
        message.seconds, message.nanos = draw.randrange(-1000, 1000), draw.randrange(1_000_000_000)
    elif name == f"{GOOGLE}Value":
        json_format.ParseDict(_json(draw, depth), message)
    elif name == f"{GOOGLE}ListValue":
        json_format.ParseDict([_json(draw, depth) for _ in range(draw.randrange(3))], message)
    elif name == f"{GOOGLE}Struct":
        json_format.ParseDict({draw.choice(TEXTS): _json(draw, depth) for _ in range(draw.randrange(3))}, message)
    else:
        fill(message, draw, depth)


def _json(draw: random.Random, depth: int) -> Any:
    plain = None, True, False, 1.5, -3.0, "text"
    if depth > 3 or draw.random() < 0.6:
        return draw.choice(plain)
    return [_json(draw, depth + 1)] if draw.random() < 0.5 else {"a": _json(draw, depth + 1), "b": None}


def _scalar(field: FieldDescriptor, draw: random.Random) -> Any:
    if field.enum_type is not None:
        return draw.choice((*field.enum_type.values_by_number, *(() if field.enum_type.is_closed else (77, -5))))
    if field.type == field.TYPE_STRING:
        return draw.choice(TEXTS)
    if field.type == field.TYPE_BYTES:
        return draw.randbytes(draw.randrange(5))
    if field.type in (field.TYPE_DOUBLE, field.TYPE_FLOAT):
        return draw.choice(DOUBLES) if field.type == field.TYPE_DOUBLE else draw.choice((0.0, 1.5, math.nan, 0.1))
    if field.type == field.TYPE_BOOL:
        return draw.random() < 0.5
    bits = 64 if "64" in _name(field) else 32
    number = draw.choice(NUMBERS) & ((1 << bits) - 1)
    signed = not _name(field).startswith(("uint", "fixed"))
    return number - (1 << bits) if signed and number >> (bits - 1) else number


def _name(field: FieldDescriptor) -> str:
    return next(name for name, type_ in SCALARS.items() if type_ == field.type)


# --- a registry -------------------------------------------------------------------------------------------------------


@contextmanager
def registry_of(answers: Mapping[str, Any]) -> Iterator[str]:
    """A registry on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            held = answers.get(self.path)
            status, told = (200, held) if held is not None else (404, {"error_code": 40403, "message": "unknown"})
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""Avro schemas as graphs of types, and the fingerprint that names one (Avro 1.12)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
LOGICAL = {  # by what they may stand on
    "bytes": {"decimal"},
    "fixed": {"decimal", "duration", "uuid"},
    "int": {"date", "time-millis"},
    "long": {
        "time-micros",
        "timestamp-millis",
        "timestamp-micros",
        "timestamp-nanos",
        "local-timestamp-millis",
        "local-timestamp-micros",
        "local-timestamp-nanos",
    },
}
SIZED = {"duration": 12, "uuid": 16}
MAX_TYPES = 20_000
MAX_NESTING = 64
MAX_SCALE = 1_000
EMPTY_FINGERPRINT = 0xC15D213AA4D7A795


class SchemaError(ValueError):
    """A text that is no Avro schema: one line that says why."""


@dataclass(eq=False, slots=True)
class AvroType:
    """One type of a schema. `children` are those of fields, branches, items or values; `names` those of fields or symbols.

    A `constant` is not read: a reader's schema says its `value`, and what of `defaults` there are.
    """

    kind: str
    logical: str = ""
    size: int = 0  # of a fixed one
    scale: int = 0
    name: str = ""
    aliases: tuple[str, ...] = ()
    names: list[str] = field(default_factory=list)
    children: list["AvroType"] = field(default_factory=list)
    defaults: dict[str, Any] = field(default_factory=dict)  # of fields, as JSON has them
    field_aliases: dict[str, list[str]] = field(default_factory=dict)
    value: Any = None


def names_below(told: AvroType, path: Sequence[str]) -> set[str] | None:
    """The names that an object at a path may have; None: any."""
    if told.kind == "union":
        return _together(names_below(branch, path) for branch in told.children)
    if told.kind == "map":
        return names_below(told.children[0], path[1:]) if path else None
    held = told.value if told.kind == "constant" and isinstance(told.value, dict) else {}
    if not path:
        return set(told.names if told.kind == "record" else held)
    if told.kind == "record":
        each = zip(told.names, told.children, strict=True)
        return _together(names_below(child, path[1:]) for name, child in each if name == path[0])
    return names_below(AvroType("constant", value=held.get(path[0])), path[1:])


def _together(each: Iterable[set[str] | None]) -> set[str] | None:
    found = set[str]()
    for names in each:
        if names is None:
            return None
        found |= names
    return found


def parse(text: str, references: Mapping[str, str] | None = None) -> AvroType:
    """A schema as its type; `references` are texts of schemas whose names it uses, what others need first. Raises SchemaError."""
    named: dict[str, AvroType] = {}
    for other in (references or {}).values():
        _SchemaParser(named).read(_document(other), "", 0)
    return _SchemaParser(named).read(_document(text), "", 0)


def _document(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if text.strip() in PRIMITIVES:  # as some registries keep them
            return text.strip()
        raise SchemaError("is no JSON") from None


class _SchemaParser:
    def __init__(self, named: dict[str, AvroType]) -> None:
        self._named = named
        self._made = 0

    def read(self, told: Any, namespace: str, depth: int) -> AvroType:
        self._made += 1
        if depth > MAX_NESTING or self._made > MAX_TYPES:
            raise SchemaError("is nested too deep, or too large")
        if isinstance(told, str):
            return self._by_name(told, namespace)
        if isinstance(told, list):
            return AvroType("union", children=[self.read(each, namespace, depth + 1) for each in told])
        if not isinstance(told, dict):
            raise SchemaError(f"{str(told)[:40]} is no type")
        kind = told.get("type")
        return (
            self._of_kind(kind, told, namespace, depth)
            if isinstance(kind, str)
            else self.read(kind, namespace, depth + 1)
        )

    def _of_kind(self, kind: str, told: Mapping[str, Any], namespace: str, depth: int) -> AvroType:
        if kind in {"record", "error", "enum", "fixed"}:
            return self._of_name(kind, told, namespace, depth)
        if kind in {"array", "map"}:
            item = told.get("items" if kind == "array" else "values")
            return AvroType(kind, children=[self.read(item, namespace, depth + 1)])
        if kind in PRIMITIVES:
            return _logical(AvroType(kind), told)
        return self._by_name(kind, namespace)

    def _by_name(self, name: str, namespace: str) -> AvroType:
        if name in PRIMITIVES:
            return AvroType(name)
        found = self._named.get(_full(name, namespace)) or self._named.get(name)
        if found is None:
            raise SchemaError(f"{name[:100]} is no type, nor is a schema referred to that has it")
        return found

    def _of_name(self, kind: str, told: Mapping[str, Any], namespace: str, depth: int) -> AvroType:
        name = told.get("name")
        if not isinstance(name, str) or not name:
            raise SchemaError(f"a {kind} has no name")
        own = told.get("namespace")
        full = _full(name, own if isinstance(own, str) else namespace)
        space = full.rpartition(".")[0]
        aliases = tuple(_full(alias, space) for alias in _texts(told.get("aliases")))
        made = AvroType("record" if kind == "error" else kind, name=full, aliases=aliases)
        self._named[full] = made
        if kind == "enum":
            if not isinstance(told.get("symbols"), list):
                raise SchemaError(f"{full}: an enum needs symbols")
            made.names = _texts(told["symbols"])
        elif kind == "fixed":
            size: Any = told.get("size")
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                raise SchemaError(f"{full}: a fixed type needs a size")
            made.size = size
            _logical(made, told)
        else:
            self._fields(made, told.get("fields"), space, depth)
        return made

    def _fields(self, made: AvroType, listed: Any, namespace: str, depth: int) -> None:
        if not isinstance(listed, list):
            raise SchemaError(f"{made.name}: a record needs fields")
        known: set[str] = set()
        for each in listed:
            if not isinstance(each, dict) or not isinstance(each.get("name"), str):
                raise SchemaError(f"{made.name}: a field has no name")
            name = each["name"]
            if name in known:
                raise SchemaError(f"{made.name}: has two fields {name}")
            known.add(name)
            made.names.append(name)
            told = each.get("type")
            made.children.append(self.read(told, namespace, depth + 1))
            if "default" in each:
                made.defaults[name] = each["default"]
            if aliases := _texts(each.get("aliases")):
                made.field_aliases[name] = aliases


def _full(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _texts(listed: Any) -> list[str]:
    return [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []


def _logical(made: AvroType, told: Mapping[str, Any]) -> AvroType:
    """Take a logical type that the standard knows on this one; any other is passed over, as the standard has it."""
    name: Any = told.get("logicalType")
    if (
        not isinstance(name, str)
        or name not in LOGICAL.get(made.kind, ())
        or (made.kind == "fixed" and SIZED.get(name, made.size) != made.size)
    ):
        return made
    if name == "decimal":
        scale: Any = told.get("scale", 0)
        if not isinstance(scale, int) or isinstance(scale, bool) or not 0 <= scale <= MAX_SCALE:
            return made
        made.scale = scale
    made.logical = name
    return made


# --- fingerprints -----------------------------------------------------------------------------------------------------


def fingerprint(text: str) -> bytes:
    """The CRC-64-AVRO of a schema's parsing canonical form, eight bytes as single-object encoding has them. Raises SchemaError."""
    found = EMPTY_FINGERPRINT
    for byte in canonical_form(text).encode():
        found = (found >> 8) ^ _TABLE[(found ^ byte) & 0xFF]
    return found.to_bytes(8, "little")


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (EMPTY_FINGERPRINT & -(value & 1))
        table.append(value)
    return table


_TABLE = _table()


def canonical_form(text: str) -> str:
    """The parsing canonical form of a schema: what decides how data are read, and nothing else. Raises SchemaError."""
    parse(text)
    return _canonical(_document(text), "")


def _canonical(told: Any, namespace: str) -> str:
    if isinstance(told, list):
        return "[" + ",".join(_canonical(each, namespace) for each in told) + "]"
    if isinstance(told, str):
        return json.dumps(told if told in PRIMITIVES else _full(told, namespace))
    kind = told["type"]
    if kind in ("array", "map"):
        below = "items" if kind == "array" else "values"
        return f'{{"type":"{kind}","{below}":{_canonical(told[below], namespace)}}}'
    if kind in ("record", "error", "enum", "fixed"):
        return _canonical_named(kind, told, namespace)
    return _canonical(kind, namespace)


def _canonical_named(kind: str, told: Mapping[str, Any], namespace: str) -> str:
    own = told.get("namespace")
    full = _full(told["name"], own if isinstance(own, str) else namespace)
    head = f'{{"name":{json.dumps(full)},"type":"{kind}"'
    if kind == "enum":
        return f'{head},"symbols":{json.dumps(told["symbols"], separators=(",", ":"))}}}'
    if kind == "fixed":
        return f'{head},"size":{told["size"]}}}'
    space = full.rpartition(".")[0]
    fields = ",".join(
        f'{{"name":{json.dumps(each["name"])},"type":{_canonical(each["type"], space)}}}' for each in told["fields"]
    )
    return f'{head},"fields":[{fields}]}}'

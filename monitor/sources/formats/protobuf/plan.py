"""A message's type to what its columns are: which fields stand at which paths, in which slots.

Fields of messages that stand there once have paths of their own. A map of plain values has a path a key. All else (what is repeated,
messages in themselves, `Struct`) is a value as JSON has it, read only if somebody asks: `values`.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from monitor.sources.formats.fields import Path
from monitor.sources.formats.protobuf.descriptors import (
    GOOGLE,
    JSON_LIKE,
    WIRES,
    WRAPPERS,
    FieldKind,
    FieldType,
    MessageType,
)
from monitor.sources.formats.protobuf.messages import zero

MAX_SLOTS = 10_000  # paths of their own; what lies deeper is read as values
NOWHERE = -1


class Family(IntEnum):
    """How a column is held: float64, int64, uint64, texts, bytes."""

    FLOATS = 0
    SIGNED = 1
    UNSIGNED = 2
    TEXTS = 3
    BYTES = 4


_FAMILIES = {
    **dict.fromkeys((FieldKind.DOUBLE, FieldKind.FLOAT), Family.FLOATS),
    **dict.fromkeys((FieldKind.UINT64, FieldKind.FIXED64, FieldKind.UINT32, FieldKind.FIXED32), Family.UNSIGNED),
    FieldKind.STRING: Family.TEXTS,
    FieldKind.BYTES: Family.BYTES,
}


def family_of(type_: FieldKind) -> Family:
    """How values of a type are held."""
    return _FAMILIES.get(type_, Family.SIGNED)


@dataclass(slots=True)
class Slot:
    """A field with a column, and the node that holds it. `default` None: it is missing where it is not set."""

    path: Path
    field: FieldType
    node: int
    default: Any = None
    hashed: bool = False  # only which rows have the same is asked


@dataclass(slots=True)
class MapSlot:
    """A map of plain values, and the node that holds it."""

    path: Path
    key: FieldType
    value: FieldType
    node: int


@dataclass(slots=True)
class PlanNode:
    """A message at a path; one that stands nowhere is only looked at, for what is wrong with it."""

    message: MessageType
    path: Path | None
    parent: int = NOWHERE
    number: int = 0  # of the field that holds it
    fields: list[tuple[int, int, int, bool, int, int, int, int]] = field(default_factory=list)
    """Of each: number, type, how it is written, whether it is repeated, which slot, node and map it goes to, its oneof."""


Target = tuple[int, int, int]  # slot, node, map
UNHASHED = frozenset({FieldKind.DOUBLE, FieldKind.FLOAT, FieldKind.BOOL, FieldKind.BYTES})
PAIRS = f"{GOOGLE}Timestamp", f"{GOOGLE}Duration"  # whose fields are one value
NO_TARGET = NOWHERE, NOWHERE, NOWHERE


class Plan:
    """What becomes of the fields of a message. Breadth first: what lies less deep has paths of its own first."""

    def __init__(self, message: MessageType, hashed: Collection[Path] = ()) -> None:
        """`hashed` are paths of which only is asked which rows have the same."""
        self.message = message
        self._hashed = hashed
        self.nodes = [PlanNode(message, ())]
        self.slots: list[Slot] = []
        self.maps: list[MapSlot] = []
        self.values: set[Path] = set()
        self._looked_at: dict[str, int] = {}
        at = 0
        while at < len(self.nodes):
            self._expand(at)
            at += 1

    def _expand(self, at: int) -> None:
        """Say where the fields of a node go; new nodes come last, and their turn later."""
        node = self.nodes[at]
        for each in node.message.fields.values():
            target = NO_TARGET
            if each.type is not FieldKind.GROUP:
                target = self._looked(each) if node.path is None else self._placed(at, (*node.path, each.name), each)
            oneof = NOWHERE if each.oneof is None else each.oneof
            node.fields.append((each.number, int(each.type), int(WIRES[each.type]), each.repeated, *target, oneof))

    def _placed(self, at: int, path: Path, each: FieldType) -> Target:
        """Where a field of a message at a path goes."""
        entry = each.map_entry
        if entry is not None and entry.fields[2].message is None and entry.fields[2].type is not FieldKind.GROUP:
            self.maps.append(MapSlot(path, entry.fields[1], entry.fields[2], at))
            return NOWHERE, NOWHERE, len(self.maps) - 1
        if each.repeated or not self._has_paths(at, each):
            self.values.add(path)
            return self._looked(each)
        if each.message is not None:
            self.nodes.append(PlanNode(each.message, path, at, each.number))
            return NOWHERE, len(self.nodes) - 1, NOWHERE
        name = self.nodes[at].message.name
        own = path[:-1] if name in WRAPPERS and at else path
        hashed = own in self._hashed and each.enum is None and each.type not in UNHASHED and name not in PAIRS
        if hashed:
            self.values.add(own)
        self.slots.append(Slot(own, each, at, each.default, hashed))
        return len(self.slots) - 1, NOWHERE, NOWHERE

    def _has_paths(self, at: int, each: FieldType) -> bool:
        if each.message is None:
            return True
        if each.message.name in JSON_LIKE or len(self.slots) + len(self.nodes) >= MAX_SLOTS:
            return False
        around = at
        while around != NOWHERE and self.nodes[around].message is not each.message:
            around = self.nodes[around].parent
        return around == NOWHERE  # one that holds itself has no end of paths

    def _looked(self, each: FieldType) -> Target:
        """The node of a message that is only looked at."""
        if each.message is None:
            return NO_TARGET
        name = each.message.name
        if name not in self._looked_at:
            self._looked_at[name] = len(self.nodes)
            self.nodes.append(PlanNode(each.message, None))
        return NOWHERE, self._looked_at[name], NOWHERE

    @property
    def times(self) -> dict[Path, tuple[int, int]]:
        """The slots of seconds and nanoseconds of each Timestamp, by its path."""
        return self._pairs(PAIRS[0])

    @property
    def durations(self) -> dict[Path, tuple[int, int]]:
        """Same, of each Duration."""
        return self._pairs(PAIRS[1])

    def _pairs(self, name: str) -> dict[Path, tuple[int, int]]:
        found: dict[Path, list[int]] = {}
        for at, slot in enumerate(self.slots):
            node = self.nodes[slot.node]
            if node.message.name == name and node.path:
                found.setdefault(node.path, []).append(at)
        return {path: (first, second) for path, (first, second) in found.items()}

    def described(self) -> tuple[list[Any], list[Any], list[Any]]:
        """For the compiled part.

        Nodes are (parent, stands at a path, is a map's entry, family and default of its value, fields), slots (node, family, default, hashed), maps (node, key's type, value's type, its family,
        its default).
        """
        nodes = [
            (node.parent, node.path is not None, node.message.is_entry, *_entry_default(node.message), node.fields)
            for node in self.nodes
        ]
        slots = [(slot.node, family_of(slot.field.type), _written(slot.default), slot.hashed) for slot in self.slots]
        maps = [
            (each.node, each.key.type, each.value.type, family_of(each.value.type), _written(zero(each.value)))
            for each in self.maps
        ]
        return nodes, slots, maps


def _entry_default(message: MessageType) -> tuple[int, Any]:
    value = message.fields.get(2) if message.is_entry else None
    if value is None or value.message is not None:
        return Family.FLOATS, None
    return family_of(value.type), _written(zero(value))


def _written(default: Any) -> Any:
    """A default as the compiled part takes it: texts as bytes, truth as a number."""
    if isinstance(default, str):
        return default.encode()
    return int(default) if isinstance(default, bool) else default

"""A message's shape as msgspec structs, generated from paths: a struct an object, a typed slot a leaf."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import msgspec

from monitor.sources.formats.fields import FieldMap, Path, SeriesFields

NUMERIC: Any = float | bool | None
CATEGORY: Any = str | bool | int | float | None
ENVELOPE: dict[str, Any] = {
    "timestamp": int | float | str,
    "model": str,
    "version": str | int | float | None,
}
FEW = 4  # up to so many columns of one object are fetched one by one; above it, all its slots at once


@dataclass(slots=True)
class Leaf:
    """A typed slot. Without a default the slot is required."""

    type: Any
    default: Any = msgspec.NODEFAULT


MAY_LACK = {"model": Leaf(str | None, None), "version": Leaf(ENVELOPE["version"], None)}


@dataclass(slots=True)
class Node:
    """An object of the message. Required objects make a message without them fail the typed reading."""

    required: bool
    children: dict[str, "Node | Leaf"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StructPlan:
    """A generated struct and how to get columns out of it."""

    struct: type[msgspec.Struct]
    envelope: Callable[[Any], tuple[Any, Any, Any]]
    wanted: tuple[tuple[Path, tuple[int, ...], tuple[int, ...]], ...]  # object, places in it, columns they fill
    width: int  # features, and after them the id and the group where there is one

    def envelopes(self, messages: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
        """Timestamps, models and versions of some messages."""
        stamps, models, versions = zip(*map(self.envelope, messages), strict=True)
        return stamps, models, versions

    def columns(self, messages: Sequence[Any]) -> list[Sequence[Any]]:
        """The column of each feature, in the order of the plan."""
        columns: list[Sequence[Any]] = [()] * self.width
        for path, places, targets in self.wanted:
            objects = list(map(attrgetter(".".join(path)), messages)) if path else messages
            if len(places) <= FEW:
                for place, target in zip(places, targets, strict=True):
                    columns[target] = list(map(attrgetter(f"f{place}"), objects))
                continue
            slots = list(zip(*map(msgspec.structs.astuple, objects), strict=True))
            for place, target in zip(places, targets, strict=True):
                columns[target] = slots[place]
        return columns


def plan_series(series: SeriesFields, *, modelless: bool = False) -> StructPlan | None:
    """The struct of a series' messages; None where no struct can say it. `modelless`: they need not name their model."""
    numeric, categorical = ([path for _, path in columns] for columns in (series.numeric, series.categorical))
    return plan_struct(
        series.fields.envelope,
        numeric,
        categorical,
        series.fields.features,
        [path for path in (series.id, series.group) if path],
        modelless=modelless,
    )


def plan_envelope(fields: FieldMap, *, modelless: bool = False) -> StructPlan | None:
    """The struct of what every message of a topic has; None where no struct can say it."""
    return plan_struct(fields.envelope, [], [], fields.features, modelless=modelless)


def plan_struct(
    envelope: Mapping[str, Path],
    numeric: Sequence[Path],
    categorical: Sequence[Path],
    features: Path,
    identities: Sequence[Path] = (),
    *,
    modelless: bool = False,
) -> StructPlan | None:
    """The struct of messages that keep these things at these paths.

    None where no struct can say it (two things at one path, a key that msgspec will not take): such topics are read
    leniently, at its speed.
    """
    root = Node(required=True)
    leaves = [(path, Leaf(NUMERIC, math.nan)) for path in numeric]
    leaves += [(path, Leaf(CATEGORY, None)) for path in (*categorical, *identities)]
    try:
        if numeric or categorical:
            _require(root, features)
        for name, path in envelope.items():
            _put(
                root,
                path,
                MAY_LACK[name] if name in MAY_LACK and (modelless or name == "version") else Leaf(ENVELOPE[name]),
            )
        for path, leaf in leaves:
            _put(root, path, leaf)
        struct = _struct(root, "Message")
    except (ValueError, TypeError):
        return None
    return StructPlan(struct, _getter(root, envelope), _wanted(root, [path for path, _ in leaves]), len(leaves))


def _getter(root: Node, envelope: Mapping[str, Path]) -> Callable[[Any], tuple[Any, Any, Any]]:
    """What gives event time, model and version of a struct: None for what is not looked up."""
    places = {name: _attributes(root, path) for name, path in envelope.items()}
    if len(places) == len(ENVELOPE):
        return attrgetter(*(places[name] for name in ENVELOPE))
    each = [attrgetter(places[name]) if name in places else _nothing for name in ENVELOPE]
    return lambda message: (each[0](message), each[1](message), each[2](message))


def _nothing(_: Any) -> None:
    return None


def _require(root: Node, path: Path) -> None:
    node = root
    for name in path:
        child = node.children.setdefault(name, Node(required=True))
        if not isinstance(child, Node):
            raise TypeError(name)
        child.required = True
        node = child


def _put(root: Node, path: Path, leaf: Leaf) -> None:
    if not path:
        raise ValueError("the message itself is no value")
    node = root
    required = leaf.default is msgspec.NODEFAULT
    for name in path[:-1]:
        child = node.children.setdefault(name, Node(required=required))
        if not isinstance(child, Node):
            raise TypeError(name)
        child.required = child.required or required
        node = child
    if path[-1] in node.children:
        raise ValueError(f"two things at {'.'.join(path)}")
    node.children[path[-1]] = leaf


def _struct(node: Node, name: str) -> type[msgspec.Struct]:
    fields: list[Any] = []
    for place, child in enumerate(node.children.values()):
        if isinstance(child, Leaf):
            kind, default = child.type, child.default
        else:
            kind = _struct(child, f"{name}_{place}")
            default = msgspec.NODEFAULT if child.required else msgspec.field(default_factory=kind)
        fields.append((f"f{place}", kind) if default is msgspec.NODEFAULT else (f"f{place}", kind, default))
    rename = {f"f{place}": key for place, key in enumerate(node.children)}
    return msgspec.defstruct(name, fields, rename=rename, gc=False, kw_only=True)


def _attributes(root: Node, path: Path) -> str:
    """The chain of attributes that a path of keys became."""
    node, names = root, []
    for key in path:
        names.append(f"f{list(node.children).index(key)}")
        child = node.children[key]
        if isinstance(child, Node):
            node = child
    return ".".join(names)


def _wanted(root: Node, paths: Sequence[Path]) -> tuple[tuple[Path, tuple[int, ...], tuple[int, ...]], ...]:
    by_object: dict[Path, tuple[list[int], list[int]]] = {}
    for column, path in enumerate(paths):
        attributes = _attributes(root, path).split(".")
        places, columns = by_object.setdefault(tuple(attributes[:-1]), ([], []))
        places.append(int(attributes[-1][1:]))
        columns.append(column)
    return tuple((owner, tuple(places), tuple(columns)) for owner, (places, columns) in by_object.items())

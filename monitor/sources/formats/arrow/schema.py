"""Where a schema keeps what is asked for by path: columns, columns inside structs, keys of maps; and what of it is not read."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detectors.columns import Coded, Column
from monitor.sources.formats.arrow.columns import Convert, converter, is_period, is_view, no_times, to_column, views_of
from monitor.sources.formats.arrow.framing import MALFORMED
from monitor.sources.formats.fields import Path

DEEPEST: Final = 32
MOST: Final = 10_000  # columns
MOST_SCALE: Final = 400  # digits behind or before a decimal's point: beyond lies no double
MADE_INDEX = re.compile(r"__index_level_[0-9]+__")
UNSUPPORTED, TOO_DEEP, TOO_MANY = "unsupported_type", "too_deep", "too_many_columns"


class Batches:
    """Batches of one schema as columns, one after the other. What is to be read is copied to one place once, structs with all they hold."""

    def __init__(self, plan: "SchemaPlan", batches: Sequence[Any]) -> None:
        self.plan = plan
        self._batches = batches
        self.rows = sum(batch.num_rows for batch in batches)
        self._columns: dict[int, Any] = {}

    def column(self, number: int) -> Any:
        """A column as a chunked array: of one chunk, but where codes are those of a dictionary."""
        held = self._columns.get(number)
        if held is None:
            held = self._columns[number] = self._made([batch.column(number) for batch in self._batches], number)
        return held

    def _made(self, chunks: list[Any], number: int) -> Any:
        if len(chunks) > 1 and number not in self.plan.apart:
            with suppress(pa.ArrowException):  # texts of more than two gigabytes have no place together
                return pa.chunked_array([pa.concat_arrays(chunks)])
        return pa.chunked_array(chunks)


@dataclass(frozen=True, slots=True)
class PlacedColumn:
    """A column that is no struct: which of the batches, and which child of each struct on the way; `convert` makes a column of it."""

    column: int
    children: tuple[int, ...]
    kind: Any
    convert: Convert

    def of(self, held: Batches) -> Any:
        """It, as a chunked array in which what lies in a missing struct is missing."""
        column = held.column(self.column)
        for child in self.children:
            column = _child(column, child)
        return column


@dataclass(slots=True)
class SchemaPlan:
    """The columns of a schema by path. `refused` says why nothing of it is read."""

    schema: Any = None
    leaves: dict[Path, PlacedColumn] = field(default_factory=dict)
    structs: dict[Path, PlacedColumn] = field(default_factory=dict)
    dotted: dict[str, Path] = field(default_factory=dict)
    hidden: frozenset[Path] = frozenset()  # indexes of pandas
    refused: str | None = None
    has_views: bool = False
    apart: set[int] = field(default_factory=set)  # columns that hold dictionaries or runs

    def find(self, held: Batches, path: Path) -> Column | None:
        """The column of a path, one that says whether a struct is there, or None."""
        leaf = self.leaf(path)
        if leaf is not None:
            return leaf.convert(leaf.of(held))
        if path in self.structs:
            return _presence(self.structs[path].of(held))
        return self._of_map(held, path)

    def leaf(self, path: Path) -> PlacedColumn | None:
        """What a path leads to that is no struct: a column inside of structs, or one of a dotted name."""
        found = self.leaves.get(path)
        return self.leaves.get(self.dotted.get(".".join(path), ())) if found is None else found

    def _of_map(self, held: Batches, path: Path) -> Column | None:
        """The values of one key of a map."""
        holder = self.leaves.get(path[:-1]) if path else None
        if holder is None or not _is_dict(holder.kind):
            return None
        return to_column(pc.map_lookup(holder.of(held), pa.scalar(path[-1], holder.kind.key_type), "last"))

    def paths(self, held: Batches, features: Path) -> Iterator[Path]:
        """The paths of what rows hold. A column called by the dotted path of a feature stands there."""
        before = f"{'.'.join(features)}." if features else None
        for path, leaf in self.leaves.items():
            if path in self.hidden:
                continue
            if _is_dict(leaf.kind):
                yield from ((*path, key) for key in _keys(leaf.of(held)))
            elif before is not None and len(path) == 1 and path[0].startswith(before):
                yield (*features, path[0].removeprefix(before))
            else:
                yield path


def plan_of(schema: Any) -> SchemaPlan:
    """Look through a schema once."""
    plan = SchemaPlan(schema)
    names = schema.names
    if len(set(names)) < len(names):
        plan.refused = MALFORMED
        return plan
    for number, column in enumerate(schema):
        convert = no_times if is_period(column) else converter(column.type)
        _add(plan, (column.name,), PlacedColumn(number, (), column.type, convert), 1)
        if _is_apart(column.type, 1):
            plan.apart.add(number)
        if plan.refused is not None:
            return plan
    plan.dotted = {".".join(path): path for path in plan.leaves}
    plan.hidden = frozenset((name,) for name in index_of(schema))
    return plan


def index_of(schema: Any) -> list[str]:
    """The columns that pandas made of its index."""
    try:
        said = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
    except (ValueError, AttributeError, RecursionError):
        said = []
    named = [name for name in said if isinstance(name, str)] if isinstance(said, list) else []
    return [name for name in schema.names if name in named or MADE_INDEX.fullmatch(name)]


def _add(plan: SchemaPlan, path: Path, leaf: PlacedColumn, depth: int) -> None:
    kind = leaf.kind
    plan.refused = plan.refused or _refusal(plan, kind, depth)
    if plan.refused is not None:
        return
    if not pa.types.is_struct(kind) or not kind.num_fields:
        plan.leaves[path] = leaf
        if len(plan.leaves) > MOST:
            plan.refused = TOO_MANY
        return
    plan.structs[path] = leaf
    for child, inner in enumerate(kind):
        below = (*path, inner.name)
        if below in plan.leaves or below in plan.structs:
            plan.refused = MALFORMED
            return
        _add(
            plan,
            below,
            PlacedColumn(leaf.column, (*leaf.children, child), inner.type, converter(inner.type)),
            depth + 1,
        )


def _refusal(plan: SchemaPlan, kind: Any, depth: int) -> str | None:
    """Why a type is not read, itself or one that it holds."""
    if depth > DEEPEST:
        return TOO_DEEP
    if pa.types.is_union(kind) or pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        return UNSUPPORTED
    if pa.types.is_decimal(kind) and abs(kind.scale) > MOST_SCALE:
        return UNSUPPORTED
    plan.has_views = plan.has_views or is_view(kind)
    return next(filter(None, (_refusal(plan, inner, depth + 1) for inner in _inside(kind))), None)


def _inside(kind: Any) -> list[Any]:
    """The types that a type holds."""
    if isinstance(kind, pa.BaseExtensionType):
        return [kind.storage_type]
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return [kind.value_type]
    if pa.types.is_map(kind):
        return [kind.key_type, kind.item_type]
    return [kind.field(at).type for at in range(kind.num_fields)] if pa.types.is_nested(kind) else []


def _is_apart(kind: Any, depth: int) -> bool:
    """Whether a type holds dictionaries or runs, which are not put together."""
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return True
    return depth <= DEEPEST and any(_is_apart(inner, depth + 1) for inner in _inside(kind))


def validate(batch: Any, plan: SchemaPlan) -> None:
    """Refuse what would lead outside of a batch, in dictionaries and runs too, which Arrow's own validation of a batch leaves out. Raises ArrowInvalid."""
    batch.validate(full=True)
    for number in plan.apart:
        _validate_inside(batch.column(number))


def _validate_inside(held: Any) -> None:
    for inner in _arrays_inside(held):
        inner.validate(full=True)
        _validate_inside(inner)


def viewed(batch: Any) -> int:
    """Bytes of all texts that are views, which may all look at the same ones."""
    return sum(_viewed(column) for column in batch.columns)


def _viewed(held: Any) -> int:
    kind = held.type
    if is_view(kind):
        views = views_of(held.buffers()[1], held.offset, len(held))
        there = np.asarray(held.is_valid().to_numpy(zero_copy_only=False))
        return int(views[there, 0].astype(np.int64).sum())
    return sum(map(_viewed, _arrays_inside(held)))


def _arrays_inside(held: Any) -> list[Any]:
    """The arrays that an array holds."""
    kind = held.type
    if isinstance(kind, pa.BaseExtensionType):
        return [held.storage]
    if pa.types.is_dictionary(kind):
        return [held.dictionary]
    if pa.types.is_run_end_encoded(kind):
        return [held.run_ends, held.values]
    if pa.types.is_struct(kind):
        return [held.field(at) for at in range(kind.num_fields)]
    if pa.types.is_map(kind):
        return [held.keys, held.items]
    return [held.values] if pa.types.is_nested(kind) else []


def _child(held: Any, child: int) -> Any:
    """A child of a column of structs. Where none is missing nothing is copied."""
    if held.null_count or not held.num_chunks:
        return pc.struct_field(held, [child])
    return pa.chunked_array([chunk.field(child) for chunk in held.chunks])


def _presence(held: Any) -> Coded | None:
    """Whether a struct is there in each row; None where it is in all."""
    if not held.null_count:
        return None
    return Coded(({}, None), np.asarray(pc.is_null(held).to_numpy()).astype(np.int64))


def _is_dict(kind: Any) -> bool:
    return bool(
        pa.types.is_map(kind) and (pa.types.is_string(kind.key_type) or pa.types.is_large_string(kind.key_type))
    )


def _keys(held: Any) -> list[str]:
    """The keys that any row's map has."""
    found = dict.fromkeys(key for chunk in held.chunks for key in pc.unique(chunk.keys).to_pylist())
    return list(found)[:MOST]

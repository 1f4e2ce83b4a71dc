"""Messages of one type to the columns of a plan: by the compiled part, or by plain Python with the same answer."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.sources.base import lent
from monitor.sources.formats.base import TOMBSTONE, Rows
from monitor.sources.formats.fields import Path
from monitor.sources.formats.protobuf.columns import MapColumns, MessageRows, ReadSlots, columns_of
from monitor.sources.formats.protobuf.descriptors import MessageType
from monitor.sources.formats.protobuf.messages import (
    INVALID_TEXT,
    MAX_KEYS,
    OTHER,
    TOO_MANY_KEYS,
    Held,
    MessageReader,
    document,
    key_text,
)
from monitor.sources.formats.protobuf.plan import Family, MapSlot, Plan, Slot, family_of
from monitor.sources.formats.protobuf.wire import MALFORMED, TOO_DEEP
from monitor.sources.formats.values import Rejected

try:
    from monitor.sources.formats.protobuf import _protobuf
except ImportError:  # installed without a compiler
    _protobuf = None  # type: ignore[assignment]

COMPILED = _protobuf is not None and os.environ.get("DRIFTD_PURE") != "1"
MAX_BYTES = 1 << 20  # of one message, with its frame
OUTCOMES = ("", TOMBSTONE, "empty", "too_large", MALFORMED, TOO_DEEP, OTHER, INVALID_TEXT, TOO_MANY_KEYS)
DTYPES = {Family.FLOATS: np.float64, Family.SIGNED: np.int64, Family.UNSIGNED: np.uint64}

Values = Sequence[bytes | None]
Places = NDArray[np.int64]


@dataclass(eq=False)
class PlannedReader:
    """Reads messages of one type. `strict`: nobody says what messages they are but they themselves (`MessageReader`)."""

    message: MessageType
    strict: bool
    hashed: frozenset[Path] = frozenset()

    @cached_property
    def plan(self) -> Plan:
        """Where the fields go."""
        return Plan(self.message, self.hashed)

    @cached_property
    def _compiled(self) -> Any:
        return _protobuf.plan(*self.plan.described())

    @cached_property
    def _reader(self) -> MessageReader:
        return MessageReader(self.message, strict=self.strict)

    def read(self, values: Values, places: Places, offsets: Places) -> Rows:
        """Read the values at some places, each from its own byte on."""
        outcomes, messages, read = (self._compiled_read if COMPILED else self._plain_read)(values, places, offsets)
        counts = np.bincount(outcomes, minlength=len(OUTCOMES)).tolist()
        rejected = {reason: count for reason, count in zip(OUTCOMES, counts, strict=True) if reason and count}
        again = _Documents(self, values, messages, offsets[outcomes == 0])
        each = zip(self.plan.slots, read.slots, strict=True)
        hashes = {slot.path: partial(tuple, found) for slot, found in each if slot.hashed and COMPILED}
        return MessageRows(
            columns_of(self.plan, read),
            messages,
            rejected,
            jsonlike=frozenset(self.plan.values),
            documents=again,
            hashed=hashes,
        )

    def held(self, raw: bytes, offset: int = 0) -> Held:
        """One message as it came. Raises Rejected."""
        held = self._compiled_held(raw, offset) if COMPILED else self._plain_held(raw, offset)
        if any(_keys(self.plan, each, held) > MAX_KEYS for each in self.plan.maps):
            raise Rejected(TOO_MANY_KEYS)
        return held

    def document(self, raw: bytes, offset: int = 0) -> dict[str, Any]:
        """One message as JSON would have it. Raises Rejected."""
        return document(self.message, self.held(raw, offset))

    # --- by the compiled part -----------------------------------------------------------------------------------------

    def _compiled_read(
        self, values: Values, places: Places, offsets: Places
    ) -> tuple[NDArray[np.int8], Places, ReadSlots]:
        told, kept, room, slots, maps, nodes = _protobuf.read(
            self._compiled, lent(values), places, offsets, self.strict
        )
        messages = np.frombuffer(kept, dtype=np.int64)
        own = zip(self.plan.maps, maps, strict=True)
        read = ReadSlots(
            list(_slots(self.plan, room, len(places), len(messages), slots)),
            [(found[0], _map(slot, found, len(messages))) for slot, found in own],
            [None if held is None else np.frombuffer(held, dtype=bool) for held in nodes],
        )
        return np.frombuffer(told, dtype=np.int8), messages, read

    def _compiled_held(self, raw: bytes, offset: int) -> Held:
        found: Held | int = _protobuf.held(self._compiled, raw, offset, self.strict)
        if isinstance(found, int):
            raise Rejected(OUTCOMES[found])
        return found

    # --- in plain Python ----------------------------------------------------------------------------------------------

    def _plain_held(self, raw: bytes, offset: int) -> Held:
        if len(raw) > MAX_BYTES:
            raise Rejected("too_large")
        return self._reader.read(raw, offset)

    def _plain_read(
        self, values: Values, places: Places, offsets: Places
    ) -> tuple[NDArray[np.int8], Places, ReadSlots]:
        outcomes = np.zeros(len(places), dtype=np.int8)
        messages, held = list[int](), list[Held]()
        for at, (place, offset) in enumerate(zip(places.tolist(), offsets.tolist(), strict=True)):
            raw = values[place]
            try:
                if raw is None:
                    raise Rejected(TOMBSTONE)
                held.append(self.held(raw, offset))
                messages.append(place)
            except Rejected as reason:
                outcomes[at] = OUTCOMES.index(str(reason))
        return outcomes, np.array(messages, dtype=np.int64), _plain_slots(self.plan, held)


class _Documents:
    """Messages that were read, read again as JSON would have them."""

    def __init__(self, reader: PlannedReader, values: Values, messages: Places, offsets: Places) -> None:
        self._reader = reader
        self._values = values
        self._places = messages, offsets
        self._made: list[dict[str, Any]] | None = None

    def __call__(self) -> list[dict[str, Any]]:
        if self._made is None:
            each = zip(*(places.tolist() for places in self._places), strict=True)
            self._made = [self._reader.document(self._values[place] or b"", offset) for place, offset in each]
        return self._made


def _slots(plan: Plan, room: bytes, messages: int, rows: int, found: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Of each slot its column, and which rows have it; texts and codes; two columns of hashes."""
    stride = 8 * (-(-messages // 8) | 1)
    columns = iter(np.frombuffer(room, dtype=np.uint64).reshape(-1, stride)[:, :rows])
    for slot, more in zip(plan.slots, found, strict=True):
        family = family_of(slot.field.type)
        if slot.hashed:
            yield next(columns), next(columns)
        elif family in (Family.TEXTS, Family.BYTES):
            yield more[0], np.frombuffer(more[1], dtype=np.int32)
        else:
            yield next(columns).view(DTYPES[family]), None if more is None else np.frombuffer(more, dtype=bool)


def _map(slot: MapSlot, found: Sequence[Any], rows: int) -> MapColumns:
    names, of_rows, keys, bits, texts = found
    family = family_of(slot.value.type)
    values: Any = np.frombuffer(bits, dtype=DTYPES.get(family, np.int64))
    if family in (Family.TEXTS, Family.BYTES):
        values = texts, values
    cells = np.frombuffer(of_rows, dtype=np.int32), np.frombuffer(keys, dtype=np.int32)
    return MapColumns(slot.value, *cells, values, (rows, len(names)))


# --- plain messages to the same ---------------------------------------------------------------------------------------


def _keys(plan: Plan, slot: MapSlot, held: Held) -> int:
    return len((_of_node(plan, slot.node, held) or {}).get(_number(plan, slot), ()))


def _number(plan: Plan, slot: MapSlot) -> int:
    fields = plan.nodes[slot.node].message.fields.values()
    return next(each.number for each in fields if each.name == slot.path[-1])


def _of_node(plan: Plan, at: int, held: Held) -> Held | None:
    """What a message holds of the message at a node."""
    node = plan.nodes[at]
    if node.parent < 0:
        return held
    above = _of_node(plan, node.parent, held)
    found: Held | None = None if above is None else above.get(node.number)
    return found


def _plain_slots(plan: Plan, held: Sequence[Held]) -> ReadSlots:
    nodes: list[list[Held | None] | None] = []
    for node in plan.nodes:
        if node.path is None:
            nodes.append(None)
        else:
            above = nodes[node.parent] if node.path else list(held)
            below = (None if each is None else each.get(node.number) for each in above or ())
            nodes.append(list(below) if node.path else list(held))
    slots = [_plain_slot(slot, nodes[slot.node] or ()) for slot in plan.slots]
    maps = [_plain_map(plan, slot, nodes[slot.node] or ()) for slot in plan.maps]
    there = [
        np.array([each is not None for each in found], dtype=bool) if found is not None and at else None
        for at, found in enumerate(nodes)
    ]
    return ReadSlots(slots, maps, there)


def _plain_slot(slot: Slot, held: Sequence[Held | None]) -> tuple[Any, Any]:
    values = [None if each is None else each.get(slot.field.number, slot.default) for each in held]
    family = family_of(slot.field.type)
    if family is Family.FLOATS:
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64), None
    if family in (Family.TEXTS, Family.BYTES):
        return _texts(values)
    there = np.array([value is not None for value in values], dtype=bool)
    numbers = np.array([value or 0 for value in values], dtype=DTYPES[family])
    return numbers, None if there.all() else there


def _texts(values: Sequence[Any]) -> tuple[list[Any], NDArray[np.int32]]:
    known: dict[Any, int] = {}
    codes = [-1 if value is None else known.setdefault(value, len(known)) for value in values]
    return list(known), np.array(codes, dtype=np.int32)


def _plain_map(plan: Plan, slot: MapSlot, held: Sequence[Held | None]) -> tuple[Sequence[str], MapColumns]:
    number = _number(plan, slot)
    entries = [{} if each is None else each.get(number, {}) for each in held]
    cells = [(row, key_text(key), value) for row, each in enumerate(entries) for key, value in each.items()]
    keys: dict[str, int] = {}
    of_keys = np.array([keys.setdefault(key, len(keys)) for _, key, _ in cells], dtype=np.int32)
    rows = np.array([row for row, _, _ in cells], dtype=np.int32)
    family = family_of(slot.value.type)
    values: Any = [value for _, _, value in cells]
    texts = family in (Family.TEXTS, Family.BYTES)
    values = _texts(values) if texts else np.array(values, dtype=DTYPES[family])
    return list(keys), MapColumns(slot.value, rows, of_keys, values, (len(held), len(keys)))

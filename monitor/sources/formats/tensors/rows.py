"""Inference messages to rows: a row an instance, under the canonical paths."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Coded, Column
from monitor.sources.formats.base import RESPONSE, Rows, only_rows
from monitor.sources.formats.fields import Path
from monitor.sources.formats.tensors.arrays import TensorSide
from monitor.sources.formats.tensors.bodies import Inference, Protocol
from monitor.sources.formats.tensors.compacting import Packed, TensorLayout
from monitor.sources.formats.times import NOT_A_TIME
from monitor.sources.formats.values import Rejected

TIME, MODEL, VERSION, ID = ("ts",), ("model",), ("version",), ("id",)
FEATURES, OUTPUTS, PREDICTION = ("features",), ("outputs",), ("prediction",)
SHORT = 64  # characters of an id; where one is longer, ids are objects


NOTHING: Mapping[Path, str] = MappingProxyType({})


class Call(NamedTuple):
    """A body and what stands beside it. `half`: a request or an answer; None where only the body tells. `time`: NOT_A_TIME where there is none."""

    body: bytes
    half: int | None = None
    protocol: Protocol = Protocol.ANY
    id: str | None = None
    time: int = NOT_A_TIME
    model: str | None = None
    version: str | None = None
    more: Mapping[Path, str] = NOTHING


class AlikeCalls(NamedTuple):
    """Calls of one kind, a record each: their bodies, own ids and times, and what all else of them is as in."""

    bodies: list[bytes]
    owns: list[str | None]
    times: NDArray[np.int64]
    model: Call

    def call(self, at: int) -> Call:
        """One of them."""
        return self.model._replace(body=self.bodies[at], id=self.owns[at], time=int(self.times[at]))


class Message(NamedTuple):
    """One message that was read, and what stood beside it: its id, event time (NOT_A_TIME: none), model, version, more by path."""

    place: int
    held: Inference | Packed
    id: str | None
    time: int
    model: str | None
    version: str | None
    more: Mapping[Path, str]

    @property
    def rows(self) -> int:
        """How many rows it is."""
        if isinstance(self.held, Packed):
            return self.held.layout.rows
        side = self.held.request or self.held.response
        assert side is not None
        return side.rows

    @property
    def half(self) -> int:
        """What of a prediction they are."""
        return self.held.layout.half if isinstance(self.held, Packed) else self.held.half


class Block(NamedTuple):
    """Columns of some of the rows: of one message, or of all that are laid out alike."""

    at: "slice | NDArray[np.intp]"
    columns: Mapping[Path, Callable[[], Column]]


@dataclass(frozen=True, slots=True)
class TensorRows(Rows):
    """A column is put together when it is asked for: those of all messages together would be too many."""

    blocks: Sequence[Block] = ()
    size: int = 0  # rows of the blocks
    made: dict[Path, Column | None] = field(default_factory=dict)

    def column(self, path: Path) -> Column | None:
        """The column of a path; None where no row has it."""
        found = self._whole(path)
        return found if found is None or self.which is None else only_rows(found, self.which)

    def names(self, path: Path) -> set[str]:
        """The keys below a path that any row has."""
        depth, held = len(path), (other for block in self.blocks for other in block.columns)
        return {other[depth] for other in (*self.columns, *held) if len(other) > depth and other[:depth] == path}

    def take(self, which: NDArray[np.intp]) -> "TensorRows":
        """Some rows."""
        halves = None if self.halves is None else self.halves[which]
        held = which if self.which is None else self.which[which]
        return TensorRows(
            self.columns,
            self.messages[which],
            which=held,
            halves=halves,
            blocks=self.blocks,
            size=self.size,
            made=self.made,
        )

    def values(self, row: int, paths: Iterable[Path]) -> list[object]:
        """What a row holds at some paths."""
        at = np.array([row if self.which is None else self.which[row]])
        columns = (self._whole(path) for path in paths)
        return [None if column is None else plain(only_rows(column, at)) for column in columns]

    def row(self, at: int) -> dict[Path, object]:
        """All that a row holds, as it came."""
        paths = dict.fromkeys((*self.columns, *(path for block in self.blocks for path in block.columns)))
        return dict(zip(paths, self.values(at, paths), strict=True))

    @property
    def own(self) -> Mapping[Path, Column]:
        """What the first message itself holds, and nothing beside it."""
        return {path: column() for path, column in self.blocks[0].columns.items()} if self.blocks else {}

    def _whole(self, path: Path) -> Column | None:
        if path in self.columns:
            return self.columns[path]
        if path not in self.made:
            self.made[path] = self._put_together(path)
        return self.made[path]

    def _put_together(self, path: Path) -> Column | None:
        parts = [(block.at, block.columns[path]()) for block in self.blocks if path in block.columns]
        if not parts:
            return None
        if len(parts) == 1 and len(parts[0][1]) == self.size:  # a block of all rows is in their order
            return parts[0][1]
        if all(not isinstance(part, Coded) and part.dtype.kind == "f" for _, part in parts):
            whole: NDArray[Any] = np.full(self.size, np.nan)
        else:
            whole = np.full(self.size, None, dtype=object)
        for at, part in parts:
            whole[at] = _objects(part) if whole.dtype == object else part
        return whole


def plain(column: Column) -> object:
    """The only value of a column for words: NaN is missing, a time is a text."""
    if not isinstance(column, Coded) and column.dtype.kind == "M":
        return None if np.isnat(column[0]) else f"{column[0]}Z"
    value = column.tolist()[0]
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 - NaN


def _objects(column: Column) -> NDArray[Any]:
    if isinstance(column, Coded) or column.dtype == object:
        return np.asarray(column)
    objects = column.astype(object)
    objects[np.isnan(column)] = None
    return objects


# --- out of messages --------------------------------------------------------------------------------------------------


def rows_of(messages: Sequence[Message], rejected: Counter[str], prediction: str | None) -> TensorRows:
    """The rows of messages, in their order. `prediction`: the output that is one, where there are several."""
    kept, laid_out = [], dict[int, Paths]()
    for message in messages:
        try:
            held = message.held
            if isinstance(held, Packed):
                paths = laid_out.get(id(held.layout))
                if paths is None:
                    paths = laid_out[id(held.layout)] = _paths(held, prediction)
            else:
                paths = _paths(held, prediction)
            kept.append((message, paths))
        except Rejected as reason:
            rejected[str(reason)] += 1
    if not kept:  # as of what is left and is rejected
        return TensorRows({}, np.empty(0, dtype=np.intp), dict(rejected), halves=np.empty(0, dtype=np.int8))
    each = [message for message, _ in kept]
    counts = np.array([message.rows for message in each], dtype=np.intp)
    starts = np.cumsum(counts) - counts
    size = int(counts.sum())
    return TensorRows(
        _beside(each, counts, starts, size),
        np.repeat(np.array([message.place for message in each], dtype=np.intp), counts),
        dict(rejected),
        halves=np.repeat(np.array([message.half for message in each], dtype=np.int8), counts),
        blocks=_blocks(kept, counts, starts),
        size=size,
    )


Paths = Mapping[Path, str] | Mapping[Path, Column]
"""Of the columns of a message: their names in its layout, or themselves."""


def _paths(held: Inference | Packed, prediction: str | None) -> Paths:
    if isinstance(held, Packed):
        layout = held.layout
        place = _outputs if layout.half == RESPONSE else _features
        return place(dict(zip(layout.columns, layout.columns, strict=True)), prediction)
    request, response = held.request, held.response
    if request is not None and response is not None and request.rows != response.rows:
        raise Rejected("tensor_rows_differ")
    found: dict[Path, Column] = {}
    for side, place in ((request, _features), (response, _outputs)):
        if isinstance(side, TensorSide):
            found |= place(side.columns, prediction)
    return found


def _features(columns: Mapping[str, Any], prediction: str | None) -> dict[Path, Any]:
    del prediction
    return {(*FEATURES, name): column for name, column in columns.items()}


def _outputs(columns: Mapping[str, Any], prediction: str | None) -> dict[Path, Any]:
    if prediction is None and len(columns) == 1:
        return {PREDICTION: next(iter(columns.values()))}
    return {PREDICTION if name == prediction else (*OUTPUTS, name): column for name, column in columns.items()}


def _blocks(kept: Sequence[tuple[Message, Paths]], counts: NDArray[np.intp], starts: NDArray[np.intp]) -> list[Block]:
    alike: dict[int, list[int]] = {}
    blocks = []
    for number, (message, paths) in enumerate(kept):
        if isinstance(message.held, Packed):
            alike.setdefault(id(message.held.layout), []).append(number)
            continue
        at = slice(int(starts[number]), int(starts[number] + counts[number]))
        blocks.append(Block(at, {path: _itself(column) for path, column in paths.items()}))
    for numbers in alike.values():
        packed = [message.held for message in (kept[at][0] for at in numbers) if isinstance(message.held, Packed)]
        blocks.append(_laid_out(packed, kept[numbers[0]][1], starts[numbers]))
    return blocks


def _laid_out(packed: Sequence[Packed], paths: Mapping[Path, Any], starts: NDArray[np.intp]) -> Block:
    layout = packed[0].layout
    numbers = _numbers(packed)
    at = (starts[:, None] + np.arange(layout.rows)).reshape(-1)
    return Block(at, {path: _of_layout(layout, name, numbers) for path, name in paths.items()})


def _numbers(packed: Sequence[Packed]) -> NDArray[np.float64]:
    """The numbers of bodies of a layout, float64[bodies, numbers]: where they lie, if that is behind one another."""
    size, first = packed[0].layout.size, packed[0]
    if all(each.at == first.at + size * number and each.numbers is first.numbers for number, each in enumerate(packed)):
        return first.numbers[first.at : first.at + size * len(packed)].reshape(len(packed), size)
    return np.stack([each.numbers[each.at : each.at + size] for each in packed])


def _itself(column: Any) -> Callable[[], Column]:
    return lambda: column


def _of_layout(layout: TensorLayout, name: str, numbers: NDArray[np.float64]) -> Callable[[], Column]:
    return lambda: layout.column(name, numbers)


# --- what stands beside -----------------------------------------------------------------------------------------------


def _beside(
    messages: Sequence[Message], counts: NDArray[np.intp], starts: NDArray[np.intp], size: int
) -> dict[Path, Column]:
    """The columns of what is the same in all rows of a message, and ids."""
    times = np.array([message.time for message in messages], dtype=np.int64)
    found: dict[Path, Column] = {TIME: np.repeat(times, counts).view("datetime64[ns]")}
    found[ID] = _ids([message.id for message in messages], counts, starts, size)
    found[MODEL] = _repeated([message.model for message in messages], counts)
    found[VERSION] = _repeated([message.version for message in messages], counts)
    for path in dict.fromkeys(path for message in messages for path in message.more):
        found[path] = _repeated([message.more.get(path) for message in messages], counts)
    return found


def _repeated(values: Sequence[str | None], counts: NDArray[np.intp]) -> Coded:
    places = {value: place for place, value in enumerate(dict.fromkeys(values))}
    codes = np.array([places[value] for value in values], dtype=np.int32)
    return Coded(tuple(places), np.repeat(codes, counts))


def _ids(ids: Sequence[str | None], counts: NDArray[np.intp], starts: NDArray[np.intp], size: int) -> NDArray[Any]:
    """The id of each row: that of its message, and its number in it: `r-1#0`."""
    longest = max((len(each) for each in ids if each), default=0)
    if not longest or longest > SHORT or any(each is None or "\0" in each for each in ids):
        return _long_ids(ids, counts, size)
    most = int(counts.max())
    numbers = np.array([f"#{at}" for at in range(most)])
    tails = numbers.view(np.uint32).reshape(most, -1)
    width = tails.shape[1]
    letters = np.zeros((size, longest + width), dtype=np.uint32)
    if all(len(own or "") == longest for own in ids) and int(counts.min()) == most:
        shaped = letters.reshape(len(ids), most, longest + width)
        shaped[:, :, :longest] = np.array(ids).view(np.uint32).reshape(len(ids), 1, longest)
        shaped[:, :, longest:] = tails
        return letters.view(f"U{longest + width}").reshape(size)
    for own, start, count in zip(ids, starts.tolist(), counts.tolist(), strict=True):
        assert own is not None
        end = len(own)
        letters[start : start + count, :end] = np.frombuffer(own.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        letters[start : start + count, end : end + width] = tails[:count]
    return letters.view(f"U{longest + width}").reshape(size)


def _long_ids(ids: Sequence[str | None], counts: NDArray[np.intp], size: int) -> NDArray[Any]:
    found = np.full(size, None, dtype=object)
    at = 0
    for own, count in zip(ids, counts.tolist(), strict=True):
        if own:
            found[at : at + count] = [f"{own}#{number}" for number in range(count)]
        at += count
    return found

"""JSON bodies of tensors by the compiled part (HOT): what is left of a body without its numbers is as a rule one of a few, and read once."""

import os
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.columns import Column
from monitor.sources.formats.base import REQUEST
from monitor.sources.formats.json.documents import MAX_BYTES, UNREADABLE
from monitor.sources.formats.tensors import v2
from monitor.sources.formats.tensors.arrays import TYPES
from monitor.sources.formats.tensors.bodies import BodyReading, Inference, of_document, text_at
from monitor.sources.formats.values import Rejected

try:
    from monitor.sources.formats.tensors import _compact
except ImportError:  # installed without a compiler
    _compact = None  # type: ignore[assignment]

COMPILED = _compact is not None and os.environ.get("DRIFTD_PURE") != "1"
MOST_KEPT, LONGEST_KEPT = 64, 1 << 15  # layouts of a topic, and the bytes of one
SPARE = 64  # numbers that may be written at once


@dataclass(frozen=True, slots=True, eq=False)
class TensorLayout:
    """Where the columns of a body of numbers lie among them: its first, and the step from row to row."""

    rows: int
    half: int
    columns: dict[str, tuple[int, int]]
    size: int
    id: str | None  # one that is a number: a text is no part of it
    model: str | None
    version: str | None

    def column(self, name: str, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """A column of bodies of this layout, float64[bodies, numbers]."""
        first, step = self.columns[name]
        return numbers[:, first : first + self.rows * step : step].reshape(-1)


class Packed(NamedTuple):
    """A body of a layout: where its numbers begin among those of all bodies, and its id."""

    layout: TensorLayout
    numbers: NDArray[np.float64]
    at: int
    id: str | None


class Compacted:
    """Bodies of one topic, as layouts where they are tensors of numbers alone."""

    def __init__(self) -> None:
        self._compiled = COMPILED
        self._layouts: dict[tuple[bytes, int | None], TensorLayout] = {}
        self._numbers = np.empty(0)
        self._held = 0

    def begin(self, size: int) -> None:
        """Make room for the numbers of bodies of so many bytes: each takes two at least. Memory is taken as it is filled."""
        self._numbers = np.empty(size // 2 + SPARE if self._compiled else 0)
        self._held = 0

    def end(self) -> None:
        """Keep no numbers: who has rows of them does."""
        self._numbers, self._held = np.empty(0), 0

    def read(self, raw: bytes, how: BodyReading) -> Packed | Inference | None:
        """A body; None where it is not wholly understood."""
        if not self._numbers.size or len(raw) > MAX_BYTES:  # outside of `begin` and `end` nothing is taken apart
            return None
        found = _compact.compact(raw, self._numbers, self._held)
        if found is None or not found[1]:
            return None
        rest, count, own = found
        try:
            layout = self._layouts.get((rest, how.half))
            if layout is None:
                held = msgspec.json.decode(rest)
                layout = self._laid_out(held, how)
                if layout is None:
                    return self._body(held, self._numbers[self._held : self._held + count].copy(), own, how)
                self._keep(rest, how, layout)
        except (*UNREADABLE, Rejected, IndexError):  # whoever reads it anew says what is wrong with it
            return None
        at, self._held = self._held, self._held + count
        return Packed(layout, self._numbers, at, own or layout.id)

    def _keep(self, rest: bytes, how: BodyReading, layout: TensorLayout) -> None:
        if len(rest) > LONGEST_KEPT:
            return
        if len(self._layouts) >= MOST_KEPT:
            self._layouts.clear()
        self._layouts[rest, how.half] = layout

    def _laid_out(self, held: Any, how: BodyReading) -> TensorLayout | None:
        """The layout of a body that has tensors of numbers of one side alone."""
        if not isinstance(held, dict):
            return None
        asked = not v2.is_tensors(held.get("outputs"))
        if "instances" in held or "predictions" in held or ("inputs" in held and not asked):
            return None
        tensors: Any = held.get("inputs", held.get("outputs"))
        if not v2.is_tensors(tensors) or not all(_is_plain(each) for each in tensors):
            return None
        sizes = _sizes(tensors)
        whole = of_document(held, how, apart=v2.NumbersApart(np.arange(sizes[-1], dtype=np.float64), sizes))
        side = whole.request if whole.half == REQUEST else whole.response
        if side is None:
            return None
        columns = {name: _lies(column, side.rows) for name, column in side.columns.items()}
        names = (text_at(held, name) for name in ("id", "model_name", "model_version"))
        return TensorLayout(side.rows, whole.half, columns, sizes[-1], *names)

    def _body(self, held: Any, numbers: NDArray[np.float64], own: str | None, how: BodyReading) -> Inference | None:
        """A body that has other tensors, too: texts are in what is left of it."""
        if own is not None:
            held["id"] = own
        tensors = [each for name in held if name in {"inputs", "outputs"} for each in _tensors(held[name])]
        apart = v2.NumbersApart(numbers, _sizes(tensors))
        return of_document(held, how, apart=apart)


def _tensors(held: Any) -> list[Any]:
    return held if v2.is_tensors(held) else []


def _is_plain(tensor: Any) -> bool:
    return v2.is_place(tensor.get("data")) and tensor.get("datatype") in TYPES


def _sizes(tensors: list[Any]) -> list[int]:
    """Where the arrays that were taken out begin and end, by what is left in their places. Raises Rejected where another one was, too."""
    lengths = dict(tensor["data"] for tensor in tensors if v2.is_place(tensor.get("data")))
    if sorted(lengths) != list(range(len(lengths))):
        raise Rejected("not_inference")
    return [0, *np.cumsum([lengths[at] for at in range(len(lengths))]).tolist()]


def _lies(column: Column, rows: int) -> tuple[int, int]:
    """Where a column of places lies."""
    places = np.asarray(column).astype(np.int64)
    return int(places[0]), int(places[1] - places[0]) if rows > 1 else 1

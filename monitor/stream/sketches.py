"""What a view needs of its sketches: additive counts, made from a specification."""

from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from detectors import Layout, PackedSketch, Sketch
from detectors.sketches.schema import SchemaRuns
from detectors.sketches.violations import Violations


class Counted(Protocol):
    """Counts, perhaps put away: all that is asked of them is their number of rows, what these break, and their bytes."""

    @property
    def rows(self) -> int:
        """Rows counted."""

    @property
    def violations(self) -> Violations | None:
        """Rows by the rule of a contract that they break."""

    def to_bytes(self) -> bytes:
        """Write the counts; `SketchSpec.from_bytes` reads them."""


class AdditiveSketch(Counted, Protocol):
    """Counts of a pane or window. Addition is exact, so neither order nor grouping matters."""

    def update(
        self, numeric: NDArray[np.float64], codes: NDArray[np.int32], places: NDArray[np.intp] | None = None
    ) -> None:
        """Count the columns of a batch: of its rows those at some places, None: all."""

    def identify(self, hashes: NDArray[np.uint64]) -> None:
        """Take the ids of the same rows, as hashes; 0 is none."""

    def assign(self, hashes: NDArray[np.uint64]) -> None:
        """Take what the same rows belong to, as hashes; 0 is nothing."""

    def serve(self, served: NDArray[np.int16]) -> None:
        """Take how the requests of the same rows were served."""

    def violate(self, found: Violations) -> None:
        """Take the rules of a contract that rows break, those rows included that are not counted."""

    def note_schema(self, found: SchemaRuns) -> None:
        """Take what rows tell of the columns they have; in each partition they came after those before."""

    def add(self, other: Any, /) -> None:
        """Add the counts of another, loose or put away."""

    def subtract(self, part: Any, /) -> None:
        """Take counts out again that were added before."""

    def copy(self) -> Self:
        """Return a sketch that no longer changes with this one."""

    def packed(self) -> Counted:
        """Return the same counts, to be kept."""


S = TypeVar("S", bound=AdditiveSketch)
S_co = TypeVar("S_co", bound=AdditiveSketch, covariant=True)


class SketchSpec(Protocol[S_co]):
    """What sketches of one view are made by; all of them can be added."""

    def empty(self) -> S_co:
        """Return a sketch of no rows."""

    def unpacked(self, kept: Any, /) -> S_co:
        """Return a sketch of counts that were put away."""

    def from_bytes(self, data: bytes) -> S_co:
        """Read what `to_bytes` wrote. Raises ValueError for damaged bytes and those of another specification."""


def slid(total: S, gone: Any | None, come: Any | None) -> S:
    """The sum of a window's panes, given that of the window one slide before, the pane that it leaves and the one that it takes up."""
    if isinstance(total, Sketch):
        return total.slid(gone, come)  # type: ignore[return-value]  # it is what S is here
    moved = total.copy()
    if gone is not None:
        moved.subtract(gone)
    if come is not None:
        moved.add(come)
    return moved


@dataclass(frozen=True, slots=True)
class LayoutSketches:
    """Sketches on a layout: those of features."""

    layout: Layout

    def empty(self) -> Sketch:
        """Return a sketch of no rows."""
        return Sketch.empty(self.layout, watched=True)

    def unpacked(self, kept: PackedSketch) -> Sketch:
        """Return a sketch of counts that were put away."""
        return Sketch.unpacked(kept)

    def from_bytes(self, data: bytes) -> Sketch:
        """Read what `to_bytes` wrote. Raises ValueError for damaged bytes, LayoutMismatchError for another layout's."""
        return Sketch.from_bytes(self.layout, data)

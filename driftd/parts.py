"""Fit and fold where data lies in parts: what an engine calls for each part, and what puts the results together.

`driftd.spark` is made of these; Dask, Ray, Beam or a pool of processes call them by themselves (docs/spark.md has an example).
A reference: `Reference.fit_parts`, which makes its passes by `count_tables` on each part, and `put_together`. Panes of an archive:
`PaneFold` on each part, and `merge_panes`.

>>> import driftd
>>> parts = [{"age": [20, 30], "ts": [0, 60_000_000_000]}, {"age": [40], "ts": [1]}]
>>> reference = driftd.Reference.fit_parts(
...     lambda counting: put_together(counting, [count_tables(counting, [part]) for part in parts]), timestamp="ts"
... )
>>> fold = PaneFold.of(reference, pane="1m", timestamp="ts")
>>> panes = merge_panes(reference, [pane for part in parts for pane in fold([part])])
>>> [(start, driftd.Sketch.from_bytes(reference.layout, held).rows) for start, held in panes]
[(0, 2), (60000000000, 1)]
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from detectors.columns import as_columns
from detectors.durations import LengthOfTime, nanoseconds
from detectors.encoding import encode_table
from detectors.features import CategoricalFeature, NumericFeature
from detectors.layout import Layout
from detectors.panes import by_pane
from detectors.reference.grouping import groups_of
from detectors.reference.passes import Apply, CountingPass, count_tables, put_together
from detectors.reference.reference import Reference
from detectors.sketches import Sketch
from detectors.sketches.identity import hashes_of
from detectors.sketches.ids import Hashes
from detectors.tables import TableLike, columns_of, times_of

__all__ = ["Apply", "CountingPass", "Pane", "PaneFold", "count_tables", "merge_panes", "put_together"]

Pane = tuple[int, bytes]  # its start in nanoseconds, and its sketch
MOST_PANES = 4096  # held at once in a part; what more there are is handed over, and merged later


@dataclass(frozen=True, slots=True, eq=False)
class PaneFold:
    """Rows to panes of event time, as a daemon that has the same reference counts them. It can be pickled.

    `pane_ns` is a pane's length, `timestamp` the column of event times, `prediction` that of the model's output; `id` says which row is which,
    `group` what rows belong to, where the daemon is told these too (`fields.id`, `fields.group`).
    """

    numeric: tuple[NumericFeature, ...]
    categorical: tuple[CategoricalFeature, ...]
    pane_ns: int
    timestamp: str
    prediction: str | None = None
    id: str | None = None
    group: str | None = None

    @classmethod
    def of(cls, reference: Reference, *, pane: LengthOfTime, timestamp: str, **columns: Any) -> Self:
        """Return the fold of a reference's rows. Raises ValueError for a pane that is no length of time."""
        layout = reference.layout
        return cls(layout.numeric, layout.categorical, nanoseconds(pane), timestamp, **columns)

    def __call__(self, tables: Iterable[TableLike]) -> Iterator[Pane]:
        """Yield the panes of some tables, one perhaps more than once. Raises ValueError for tables without a feature, or without times."""
        layout = Layout(self.numeric, self.categorical)
        panes: dict[int, Sketch] = {}
        for table in tables:
            times = times_of(table, self.timestamp)
            numbers, codes = encode_table(layout, table, self.prediction)
            beside = self._hashes(table, times.size)
            for start, pane in by_pane(layout, times, numbers, codes, self.pane_ns, *beside, watched=True):
                if start in panes:
                    panes[start].add(pane)
                else:
                    panes[start] = pane
            if len(panes) > MOST_PANES:
                yield from _written(panes)
                panes = {}
        yield from _written(panes)

    def _hashes(self, table: TableLike, rows: int) -> tuple[Hashes | None, Hashes | None]:
        """Of the groups and of the ids."""
        held = as_columns(columns_of(table, [each for each in (self.group, self.id) if each is not None]))
        return (
            None if self.group is None else groups_of(held.get(self.group), rows),
            None if self.id is None else hashes_of(held.get(self.id), rows),
        )


def _written(panes: Mapping[int, Sketch]) -> Iterator[Pane]:
    for start, sketch in panes.items():
        sketch.settle()
        yield start, sketch.to_bytes()


def merge_panes(reference: Reference, panes: Iterable[Pane]) -> list[Pane]:
    """Return each pane once, rising, whatever the order of its parts: those of `PaneFold`, and those that a daemon counted.

    Raises LayoutMismatchError for a sketch of another reference, ValueError for damaged bytes.
    """
    return list(_written(dict(sorted(_added(reference.layout, panes).items()))))


def merge_sketches(layout: Layout, sketches: Iterable[bytes]) -> bytes:
    """Return the sum of sketches of one pane. Raises as `merge_panes` does."""
    [(_, whole)] = _written(_added(layout, ((0, each) for each in sketches)))
    return whole


def _added(layout: Layout, panes: Iterable[Pane]) -> dict[int, Sketch]:
    whole: dict[int, Sketch] = {}
    for start, held in panes:
        part = Sketch.from_bytes(layout, held)
        if start in whole:
            whole[start].add(part)
        else:
            whole[start] = part
    return whole

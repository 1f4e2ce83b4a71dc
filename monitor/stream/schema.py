"""What the rows of a poll tell of the columns they have: which lack one or have it of another type, where in their partitions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.sketches.schema import MANY, MOST_NEW, NewField, PartitionSchema, SchemaRun, SchemaRuns

NOTHING: NDArray[np.bool_] = np.empty((0, 0), dtype=np.bool_)
NO_FIELDS: NDArray[np.intp] = np.empty((2, 0), dtype=np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class RowSchema:
    """All rows of a series that a poll brought, those of a partition in their order.

    `partition` int16[n] says which of `partitions` (`topic/0`) a row is of, `offsets` and `times` int64[n]. Of `columns` that any row
    lacks or has otherwise, `changed` bool[k, n] are the rows that do and `wrong` those where it is of another type, None: in none. `looked` bool[n] are
    rows that were looked through, None where none was, and `new` int64[2, e] which of them hold which field of `names`, rows rising. `rising` are the
    values of columns that are to rise in each partition, NaN where there is none; `fell` bool[n] the rows where one does not, None where
    nobody has looked.
    """

    partitions: tuple[str, ...]
    partition: NDArray[np.int16]
    offsets: NDArray[np.int64]
    times: NDArray[np.int64]
    columns: tuple[str, ...] = ()
    changed: NDArray[np.bool_] = field(default_factory=lambda: NOTHING)
    wrong: NDArray[np.bool_] | None = None
    looked: NDArray[np.bool_] | None = None
    names: tuple[str, ...] = ()
    new: NDArray[np.intp] = field(default_factory=lambda: NO_FIELDS)
    rising: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    fell: Mapping[str, NDArray[np.bool_]] | None = None

    def where(self, which: NDArray[np.intp] | NDArray[np.bool_] | slice) -> "RowSchema":
        """Some of the rows."""
        return RowSchema(
            self.partitions,
            self.partition[which],
            self.offsets[which],
            self.times[which],
            self.columns,
            self.changed[:, which] if self.columns else NOTHING,
            None if self.wrong is None else self.wrong[:, which],
            None if self.looked is None else self.looked[which],
            self.names,
            self._holding(which) if self.names else NO_FIELDS,
            {name: values[which] for name, values in self.rising.items()},
            None if self.fell is None else {name: fell[which] for name, fell in self.fell.items()},
        )

    def _holding(self, which: NDArray[np.intp] | NDArray[np.bool_] | slice) -> NDArray[np.intp]:
        """Which of some of the rows hold which new field."""
        kept = np.arange(len(self.times))[which]
        places = np.full(len(self.times), -1, dtype=np.intp)
        places[kept] = np.arange(kept.size)
        held = np.stack([places[self.new[0]], self.new[1]])[:, places[self.new[0]] >= 0]
        return held[:, np.argsort(held[0], kind="stable")]

    def by(self, length: int) -> Iterator[tuple[int, "RowSchema"]]:
        """The rows by `length` of event time, nanoseconds, numbered, those of each in their order."""
        if not self.times.size:
            return
        number = int(self.times.min()) // length
        if int(self.times.max()) < (number + 1) * length:  # as a rule
            yield number, self
            return
        spans = self.times // length
        order = np.argsort(spans, kind="stable")
        ordered, spans = self.where(order), spans[order]
        for first, end in pairwise([0, *(np.flatnonzero(np.diff(spans)) + 1).tolist(), len(spans)]):
            yield int(spans[first]), ordered.where(slice(first, end))

    def counted(self) -> SchemaRuns:
        """How the rows of each partition end, and what is new in them."""
        if len(self.partitions) == 1:
            return SchemaRuns.of({self.partitions[0]: self._of(np.arange(len(self.times)))})
        present = np.flatnonzero(np.bincount(self.partition)).tolist()
        return SchemaRuns.of(
            {self.partitions[each]: self._of(np.flatnonzero(self.partition == each)) for each in present}
        )

    def _of(self, rows: NDArray[np.intp]) -> PartitionSchema:
        """The rows of one partition."""
        ending = np.flatnonzero(self.changed[:, rows[-1]]).tolist() if self.columns else ()
        runs = {self.columns[at]: self._run(at, rows) for at in ending}
        looked = 0 if self.looked is None else int(np.count_nonzero(self.looked[rows]))
        new, holding = self._new(rows) if self.names and looked else ({}, None)
        return PartitionSchema(len(rows), runs, looked, new, holding)

    def _run(self, column: int, rows: NDArray[np.intp]) -> SchemaRun:
        agreed = np.flatnonzero(~self.changed[column, rows])
        since = int(agreed[-1]) + 1 if agreed.size else 0
        run = rows[since:]
        odd = run[:0] if self.wrong is None else run[self.wrong[column, run]]
        first = (int(self.offsets[odd[0]]), int(self.times[odd[0]])) if odd.size else (None, None)
        return SchemaRun(
            len(run), len(odd), int(self.offsets[run[0]]), int(self.times[run[0]]), not agreed.size, *first
        )

    def _new(self, rows: NDArray[np.intp]) -> tuple[Mapping[str, NewField], NewField | None]:
        """The new fields of rows of one partition, and the rows that hold any."""
        held, fields = self.new[:, np.isin(self.new[0], rows)]
        if not held.size:
            return {}, None
        some, present = self._field(np.unique(held)), np.unique(fields).tolist()
        if len(present) > MOST_NEW:
            return {MANY: some}, some
        found = {self.names[each]: self._field(held[fields == each]) for each in present}
        return dict(sorted(found.items())), some

    def _field(self, rows: NDArray[np.intp]) -> NewField:
        """A field that these rows hold."""
        return NewField(rows.size, int(self.offsets[rows[0]]), int(self.times[rows[0]]))

"""Batches to panes: what a batch adds to each pane of a view, before anybody decides what is late.

One process merges what it folds. A replica folds, sends the counted form, and the owner of the series merges it: the sum is
the same. A folder drops nothing, for only the owner knows what is sealed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.sketches.violations import Violations
from monitor.stream.events import EventBatch, Nanos, OffsetRange, SeriesKey
from monitor.stream.sketches import AdditiveSketch, Counted, SketchSpec
from monitor.stream.violations import RowViolations

NEAR = 1 << 15  # panes, whose numbers 16 bits hold: they are sorted by radix, ten times as fast


@dataclass(
    slots=True, eq=False
)  # not frozen, nor is a delta: they are made once a batch, and it takes a third of the time
class PaneRows:
    """The rows of one pane, not counted yet: in one process they are counted into the pane itself.

    They are the rows at `places` int64[m] of columns that belong to several panes, None: all of these. All that follows is theirs alone.
    """

    earliest: Nanos
    numeric: NDArray[np.float64]
    codes: NDArray[np.int32]
    places: NDArray[np.intp] | None = None
    ids: NDArray[np.uint64] | None = None
    groups: NDArray[np.uint64] | None = None
    served: NDArray[np.int16] | None = None
    violations: RowViolations | None = None

    @property
    def rows(self) -> int:
        """How many events."""
        return len(self.numeric if self.places is None else self.places)

    @property
    def excluded(self) -> int:
        """How many of them are counted as violations alone."""
        return 0 if self.violations is None else self.violations.exclusions

    def add_to(self, sketch: AdditiveSketch) -> None:
        """Count them into the pane's sketch."""
        places, ids, groups = self.places, self.ids, self.groups
        if self.violations is not None:
            if (found := self.violations.counted()) is not None:
                sketch.violate(found)
            if self.violations.excluded is not None:
                kept = np.flatnonzero(~self.violations.excluded)
                places = kept if places is None else places[kept]
                ids, groups, _ = _some((ids, groups, None), kept)
        sketch.update(self.numeric, self.codes, places)
        if ids is not None:
            sketch.identify(ids)
        if groups is not None:
            sketch.assign(groups)
        if self.served is not None:
            sketch.serve(self.served)  # of all rows: how requests were served is no drift


@dataclass(frozen=True, slots=True, eq=False)
class PaneCounts:
    """The same, counted: what a replica sends."""

    earliest: Nanos
    sketch: Counted

    @property
    def rows(self) -> int:
        """How many events."""
        return self.sketch.rows + self.excluded

    @property
    def violations(self) -> Violations | None:
        """Rows by the rule of a contract that they break."""
        return self.sketch.violations

    @property
    def excluded(self) -> int:
        """How many of them are counted as violations alone."""
        return 0 if self.violations is None else self.violations.excluded

    def add_to(self, sketch: AdditiveSketch) -> None:
        """Add the counts to the pane's sketch."""
        sketch.add(self.sketch)


PanePart = PaneRows | PaneCounts


class RowsHeld(NamedTuple):
    """How many events of a pane are accounted for, `excluded` among them."""

    rows: int
    excluded: int


NO_ROWS = RowsHeld(0, 0)


@dataclass(slots=True, eq=False)
class PaneDelta:
    """What one batch adds to the panes of a view, by their starts; `offsets` are the records that it covers, `rows` its events."""

    key: SeriesKey
    view: str
    topic: str
    offsets: tuple[OffsetRange, ...]
    panes: Mapping[Nanos, PanePart]
    rows: int

    def to_bytes(self, spec: SketchSpec[Any]) -> bytes:
        """Write it with every pane counted."""
        panes = []
        for start, part in self.panes.items():
            sketch = spec.empty()
            part.add_to(sketch)
            panes.append((start, part.earliest, sketch.to_bytes()))
        return msgspec.msgpack.encode(_Sent(self.key, self.view, self.topic, self.offsets, panes))

    @classmethod
    def from_bytes(cls, data: bytes, spec: SketchSpec[Any]) -> "PaneDelta":
        """Read what `to_bytes` wrote. Raises ValueError for damaged bytes and those of another specification."""
        sent = msgspec.msgpack.decode(data, type=_Sent)
        panes = {start: PaneCounts(earliest, spec.from_bytes(counts)) for start, earliest, counts in sent.panes}
        rows = sum(part.rows for part in panes.values())
        return cls(sent.key, sent.view, sent.topic, sent.offsets, panes, rows)


@dataclass(slots=True)
class _Sent:
    key: SeriesKey
    view: str
    topic: str
    offsets: tuple[OffsetRange, ...]
    panes: list[tuple[Nanos, Nanos, bytes]]


class Folder:
    """Folds batches into the panes of their views, given the slide of each."""

    def __init__(self, slides: Mapping[tuple[SeriesKey, str], Nanos]) -> None:
        self._slides = slides

    def fold(self, batch: EventBatch) -> list[PaneDelta]:
        """What a batch adds to its view; of no events, nothing."""
        if not len(batch):
            return []
        panes = _panes(batch, self._slides[batch.key, batch.view])
        return [PaneDelta(batch.key, batch.view, batch.topic, batch.offsets, panes, len(batch))]


def _panes(batch: EventBatch, slide: Nanos) -> Mapping[Nanos, PaneRows]:
    first, last = int(batch.event_times.min()), int(batch.event_times.max())
    start = first - first % slide
    if last < start + slide:
        rest = batch.ids, batch.groups, batch.served, batch.violations
        return {start: PaneRows(first, batch.numeric, batch.codes, None, *rest)}
    return _shared_out(batch, slide)


Rest = tuple[NDArray[np.uint64] | None, NDArray[np.uint64] | None, NDArray[np.int16] | None]  # what not every batch has


def _some(rest: Rest, which: NDArray[np.intp] | slice) -> Rest:
    ids, groups, served = rest
    return (
        None if ids is None else ids[which],
        None if groups is None else groups[which],
        None if served is None else served[which],
    )


def _shared_out(batch: EventBatch, slide: Nanos) -> Mapping[Nanos, PaneRows]:
    """Share out a batch that belongs to several panes: its columns stay as they are, and each pane has the places of its rows."""
    panes = batch.event_times // slide
    places = None if (panes[1:] >= panes[:-1]).all() else _sorted_places(panes)
    times, rest, violations = batch.event_times, (batch.ids, batch.groups, batch.served), batch.violations
    if places is not None:
        times, panes, rest = times[places], panes[places], _some(rest, places)
        violations = None if violations is None else violations.where(places)
    bounds = [0, *(np.flatnonzero(panes[1:] != panes[:-1]) + 1).tolist(), len(panes)]
    earliest = np.minimum.reduceat(times, bounds[:-1]).tolist()
    found: dict[Nanos, PaneRows] = {}
    for least, (first, end) in zip(earliest, pairwise(bounds), strict=True):
        ours = slice(first, end)
        ids, groups, served = _some(rest, ours)
        found[int(panes[first]) * slide] = PaneRows(
            least,
            batch.numeric if places is not None else batch.numeric[ours],
            batch.codes if places is not None else batch.codes[ours],
            None if places is None else places[ours],
            ids,
            groups,
            served,
            None if violations is None else violations.where(ours),
        )
    return found


def _sorted_places(panes: NDArray[np.int64]) -> NDArray[np.intp]:
    """The places of rows by pane, those of one in their order."""
    near = panes - panes.min()
    return np.argsort(near.astype(np.int16) if near.max() < NEAR else near, kind="stable")

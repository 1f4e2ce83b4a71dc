"""Where the rows of a poll stand in their partitions, and what they tell of their schema (HOT): arrays where nothing has changed.

Known columns are judged in every row. A field that nobody agreed on has no column, so one message in `LOOKED` is looked through for
such: those whose offset it divides, which no batching and no restart changes.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from detectors.features import Bools
from monitor.explain.samples import legible
from monitor.sources.base import TopicRecords
from monitor.sources.decode.contract import RowContract
from monitor.sources.formats.base import Decoder, SeriesRows
from monitor.sources.formats.values import Rejected
from monitor.stream.events import SchemaBatch, SeriesKey
from monitor.stream.schema import NOTHING, RowSchema
from monitor.stream.violations import RowViolations

LOOKED = 64  # messages, of which one is looked through
LONGEST_NAME = 60  # of a new field


@dataclass(frozen=True, slots=True, eq=False)
class RecordPlaces:
    """The partition and offset of each record of a poll: int16[n], which of `partitions`, and int64[n]."""

    partitions: tuple[str, ...]
    partition: NDArray[np.int16]
    offsets: NDArray[np.int64]


class OffsetCounter:
    """Offsets of records: their own, else what their partitions span, else as many as came before."""

    def __init__(self) -> None:
        self._next: dict[int, int] = defaultdict(int)

    def places(self, records: TopicRecords) -> RecordPlaces:
        """The places of all records of a poll."""
        indexes = np.array(records.partitions, dtype=np.int64)
        present = np.unique(indexes)
        partition = np.searchsorted(present, indexes).astype(np.int16)
        names = tuple(f"{records.topic}/{index}" for index in present.tolist())
        if len(records.numbers):
            return RecordPlaces(names, partition, np.array(records.numbers, dtype=np.int64))
        firsts = {each.partition.index: each.first for each in records.offsets}
        offsets = np.empty(indexes.size, dtype=np.int64)
        for at, index in enumerate(present.tolist()):
            rows = np.flatnonzero(partition == at)
            first = firsts.get(index, self._next[index])
            offsets[rows] = first + np.arange(rows.size)
            self._next[index] = first + rows.size
        return RecordPlaces(names, partition, offsets)


@dataclass(frozen=True, slots=True, eq=False)
class CheckedRows:
    """Rows of a series that were held against its contract, the place of each one's message among the records, and what was found."""

    part: SeriesRows
    places: NDArray[np.intp]
    found: RowViolations | None


def schemas(
    checked: Sequence[CheckedRows], contracts: Mapping[SeriesKey, RowContract], records: RecordPlaces, look: "NewFields"
) -> Iterator[SchemaBatch]:
    """What the rows of a poll tell, series by series: whoever read them, they stand in the order of their records."""
    grouped: dict[SeriesKey, list[CheckedRows]] = defaultdict(list)
    for each in checked:
        grouped[each.part.series.key].append(each)
    for key, parts in grouped.items():
        yield SchemaBatch(key, _schema(parts, contracts[key], records, look))


def _schema(parts: Sequence[CheckedRows], contract: RowContract, records: RecordPlaces, look: "NewFields") -> RowSchema:
    places, times = parts[0].places, parts[0].part.times
    changes = [contract.changes(each.part, each.found) for each in parts]
    order = None
    if len(parts) > 1:
        places, times = (np.concatenate(each) for each in zip(*((p.places, p.part.times) for p in parts), strict=True))
        order = np.argsort(places, kind="stable")
        places, times = places[order], times[order]
    sizes = [len(each.places) for each in parts]
    columns = tuple(dict.fromkeys(name for each in changes for name in each.changed))
    masks = ([each.changed for each in changes], [each.wrong for each in changes])
    changed, wrong = (_stacked(columns, each, sizes, order) for each in masks)
    offsets = records.offsets[places]
    looked = offsets % LOOKED == 0
    names, new = look.found(places, looked, contract)
    return RowSchema(
        records.partitions, records.partition[places], offsets, times, columns, changed, wrong, looked, names, new
    )


def _stacked(
    columns: Sequence[str], masks: Sequence[Mapping[str, Bools]], sizes: Sequence[int], order: NDArray[np.intp] | None
) -> NDArray[np.bool_]:
    """The rows of each column, bool[k, n]."""
    if not columns:
        return NOTHING
    nothing = [np.zeros(size, dtype=np.bool_) for size in sizes]
    rows = [
        np.concatenate([each.get(name, none) for each, none in zip(masks, nothing, strict=True)]) for name in columns
    ]
    found = np.stack(rows)
    return found if order is None else found[:, order]


class NewFields:
    """Looks messages of a poll through for fields that nobody agreed on; each message once."""

    def __init__(self, decoder: Decoder, values: Sequence[bytes | None]) -> None:
        self._decoder = decoder
        self._values = values

    def found(
        self, places: NDArray[np.intp], looked: NDArray[np.bool_], contract: RowContract
    ) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
        """New fields of the rows that are looked through, and the rows that hold each, bool[m, n]."""
        rows = np.flatnonzero(looked)
        found: dict[str, list[int]] = defaultdict(list)
        for row, place in zip(rows.tolist(), places[rows].tolist(), strict=True):
            for name in self._new(self._values[place], contract):
                found[name].append(row)
        if not found:
            return (), NOTHING
        holds = np.zeros((len(found), places.size), dtype=np.bool_)
        for at, held in enumerate(found.values()):
            holds[at, held] = True
        return tuple(found), holds

    def _new(self, raw: bytes | None, contract: RowContract) -> list[str]:
        """The new fields of a message, of the first of its rows."""
        with suppress(Rejected):  # counted where it was decoded
            for row in islice(self._decoder.inspect(raw), 1) if raw else ():
                return [legible(name, LONGEST_NAME) for name in contract.new_in(row)]
        return []

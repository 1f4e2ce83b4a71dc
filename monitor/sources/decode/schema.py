"""Where the rows of a poll stand in their partitions, and what they tell of their schema (HOT): arrays where nothing has changed.

Known columns are judged in every row. A field that nobody agreed on has no column, so one message in `LOOKED` is looked through for
such: a hash of its offset says which, so that no batching and no restart changes them, nor do models that take turns hide from it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.sketches.identity import mixed
from detectors.sketches.schema import MANY, MOST_NEW
from monitor.explain.samples import SEARCHED, legible
from monitor.sources.base import TopicRecords
from monitor.sources.decode.contract import Changes, RowContract
from monitor.sources.formats.base import SeriesRows
from monitor.stream.events import SchemaBatch, SeriesKey
from monitor.stream.schema import NO_FIELDS, NOTHING, RowSchema
from monitor.stream.violations import RowViolations

LOOKED = 256  # messages, of which one is looked through; a power of two
LONGEST_NAME = 60  # of a new field
REMEMBERED = 1024  # names and what they are called
ADDRESS = re.compile(r"(?<!\S)\S*@\S*")
TOKEN = re.compile(r"(?<![^\W_])(?=[^\W_]{8})[^\W\d_]*\d+[^\W\d_]+\d[^\W_]*")  # letters among digits, as in a UUID
NUMBER = re.compile(r"\d+")
New = Mapping[int, Mapping[SeriesKey, Sequence[str]]]
"""Fields that nobody agreed on, by the place of the message that was looked through and the series of its rows."""


@dataclass(frozen=True, eq=False)
class RecordPlaces:
    """The partition and offset of each record of a poll: int16[n], which of `partitions`, and int64[n]."""

    partitions: tuple[str, ...]
    partition: NDArray[np.int16]
    offsets: NDArray[np.int64]

    @cached_property
    def looked(self) -> NDArray[np.bool_]:
        """Which of them are looked through, bool[n]."""
        return is_looked(self.offsets)


def is_looked(offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the messages at these offsets are looked through."""
    return np.asarray(mixed(offsets.astype(np.uint64)) & np.uint64(LOOKED - 1) == 0)


def masked(name: str) -> str:
    """The name of a new field, fit to be shown: an id or a number in it is `#`, so that keys that are ids are one field.

    >>> [masked(name) for name in ("zip", "user-7@mail.ch", "lag_12", "cart.3f2a9b70-77e1")]
    ['zip', '#', 'lag_#', 'cart.#-#e#']
    """
    return _remembered(name) if len(name) <= LONGEST_NAME else _masked(name)


def _masked(name: str) -> str:
    shown = legible(name, SEARCHED)
    for each in (ADDRESS, TOKEN, NUMBER):
        shown = each.sub("#", shown)
    return legible(shown, LONGEST_NAME)


_remembered = lru_cache(maxsize=REMEMBERED)(_masked)


class NewNames:
    """The new fields of one message; beyond so many they are keys of a map, and no more are looked at."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, names: Iterable[str]) -> None:
        """Note the fields of a row."""
        for name in names:
            if len(self._names) > MOST_NEW:
                return
            self._names[masked(name)] = None

    @property
    def found(self) -> Sequence[str]:
        """What is told of them."""
        return (MANY,) if len(self._names) > MOST_NEW else tuple(self._names)


class OffsetCounter:
    """Offsets of records: their own, else what their partitions span, else as many as came before."""

    def __init__(self) -> None:
        self._next: dict[int, int] = defaultdict(int)

    def places(self, records: TopicRecords) -> RecordPlaces:
        """The places of all records of a poll."""
        count, one = len(records.partitions), records.partitions[0]
        if list(records.partitions).count(one) == count:
            present, partition = np.array([one]), np.zeros(count, dtype=np.int16)
        else:
            indexes = np.array(records.partitions, dtype=np.int64)
            present = np.unique(indexes)
            partition = np.searchsorted(present, indexes).astype(np.int16)
        names = tuple(f"{records.topic}/{index}" for index in present.tolist())
        if len(records.numbers):
            return RecordPlaces(names, partition, np.array(records.numbers, dtype=np.int64))
        firsts = {each.partition.index: each.first for each in records.offsets}
        offsets = np.empty(count, dtype=np.int64)
        for at, index in enumerate(present.tolist()):
            rows = np.flatnonzero(partition == at) if present.size > 1 else slice(None)
            first = firsts.get(index, self._next[index])
            offsets[rows] = np.arange(first, first + offsets[rows].size)
            self._next[index] = first + offsets[rows].size
        return RecordPlaces(names, partition, offsets)


@dataclass(frozen=True, slots=True, eq=False)
class CheckedRows:
    """Rows of a series that were held against its contract, the place of each one's message among the records, and what was found."""

    part: SeriesRows
    places: NDArray[np.intp]
    found: RowViolations | None


def schemas(
    checked: Sequence[CheckedRows],
    contracts: Mapping[SeriesKey, RowContract],
    records: RecordPlaces,
    new: New,
) -> Iterator[SchemaBatch]:
    """What the rows of a poll tell, series by series: whoever read them, they stand in the order of their records."""
    grouped: dict[SeriesKey, list[CheckedRows]] = defaultdict(list)
    for each in checked:
        grouped[each.part.series.key].append(each)
    for key, parts in grouped.items():
        yield SchemaBatch(key, _schema(parts, contracts[key], records, new))


def _schema(parts: Sequence[CheckedRows], contract: RowContract, records: RecordPlaces, new: New) -> RowSchema:
    places, times = parts[0].places, parts[0].part.times
    changes = [contract.changes(each.part, each.found) for each in parts]
    order = None
    if len(parts) > 1:
        places, times = (np.concatenate(each) for each in zip(*((p.places, p.part.times) for p in parts), strict=True))
        order = np.argsort(places, kind="stable")
        places, times = places[order], times[order]
    told = changes[0] if order is None else _in_order(changes, [len(each.places) for each in parts], order)
    rising = _joined([contract.rising(each.part) for each in parts], order)
    offsets = records.offsets[places]
    looked = records.looked[places] & _first_of_each(places)
    held = _new_in(np.flatnonzero(looked), places, parts[0].part.series.key, new)
    return RowSchema(
        records.partitions,
        records.partition[places],
        offsets,
        times,
        told.columns,
        NOTHING if told.changed is None else told.changed,
        told.wrong,
        looked,
        *held,
        rising,
    )


def _joined(parts: Sequence[dict[str, NDArray[Any]]], order: NDArray[np.intp] | None) -> dict[str, NDArray[Any]]:
    """The values of several parts, their rows in order."""
    if order is None:
        return parts[0]
    return {name: np.concatenate([each[name] for each in parts])[order] for name in parts[0]}


def _in_order(changes: Sequence[Changes], sizes: Sequence[int], order: NDArray[np.intp]) -> Changes:
    """What several parts tell, their rows in order."""
    columns = tuple(dict.fromkeys(name for each in changes for name in each.columns))
    if not columns:
        return Changes()
    changed, wrong, first = *np.zeros((2, len(columns), sum(sizes)), dtype=np.bool_), 0
    for each, size in zip(changes, sizes, strict=True):
        places = [columns.index(name) for name in each.columns]
        for rows, held in ((changed, each.changed), (wrong, each.wrong)):
            if held is not None:
                rows[places, first : first + size] = held
        first += size
    return Changes(columns, changed[:, order], wrong[:, order])


def _first_of_each(places: NDArray[np.intp]) -> NDArray[np.bool_]:
    """The first row of each message: what a message holds is told once, with it."""
    first = np.ones(places.size, dtype=np.bool_)
    np.not_equal(places[1:], places[:-1], out=first[1:])
    return first


def _new_in(
    rows: NDArray[np.intp], places: NDArray[np.intp], key: SeriesKey, new: New
) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """New fields of the rows that were looked through, and which row holds which, int64[2, e]."""
    names: dict[str, int] = {}
    held = [
        (row, names.setdefault(name, len(names)))
        for row in (rows.tolist() if new else ())
        for name in new.get(int(places[row]), {}).get(key, ())
    ]
    return tuple(names), np.array(held, dtype=np.intp).T if held else NO_FIELDS

"""How often each double occurs, in bounded memory: the same counts whatever the order of the values and however they are parted.

A double's bits, read as an integer and mirrored below zero, rise as the double does: its *key*. Keys that agree but for their last `level`
bits are a cell. Where more than 131 072 cells would be held, the level rises to the smallest at which there are fewer: no part of the values needs a
higher level than all of them, so the level, and with it every count, is a function of the values alone, not of their order
or of what was merged when. Up to as many different values every value has a cell of its own, and quantiles are exact.
"""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np

from detectors.features import LARGEST, Bools, Floats, Ints

CELLS = 131_072  # held of a column; as many values as the sample of a fit in order holds
BATCH = 1 << 20  # values sorted at once
HEAD = struct.Struct("<BQ")  # level, cells
BELOW = np.int64(2**63 - 1)  # the bits that are mirrored below zero


def keys_of(values: Floats) -> Ints:
    """Return int64[n] that rise as the doubles do; both zeros have one key."""
    bits = np.ascontiguousarray(values + 0.0).view(np.int64)
    return np.where(bits < 0, bits ^ BELOW, bits)


def values_of(keys: Ints) -> Floats:
    """Return the doubles of keys, float64[n]."""
    return np.where(keys < 0, keys ^ BELOW, keys).view(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class ValueRuns:
    """Runs of values, rising, none within another: least and largest key of each, and how many values, int64[m] each."""

    least: Ints
    most: Ints
    counts: Ints

    @property
    def single(self) -> Bools:
        """Whether a run is one value, bool[m]."""
        return np.asarray(self.least == self.most)

    @property
    def total(self) -> int:
        """How many values."""
        return int(self.counts.sum())

    def wide(self, parts: int) -> Bools:
        """Which runs are of several values, and hold one in `parts` of all or more, bool[m]."""
        return np.asarray(~self.single & (self.counts * parts >= self.total))

    def told_apart(self, which: Bools, inside: "ValueRuns") -> "ValueRuns":
        """Return the same with others in the place of some: those that are inside of these."""
        least, most, counts = (
            np.concatenate([ours[~which], theirs])
            for ours, theirs in (
                (self.least, inside.least),
                (self.most, inside.most),
                (self.counts, inside.counts),
            )
        )
        order = np.argsort(least)
        return ValueRuns(least[order], most[order], counts[order])


class ValueCells:
    """Counts of the values of one column. What is not finite, or has no room for an edge beside it, is passed over.

    >>> cells = ValueCells()
    >>> cells.add(np.array([2.0, -1.0, 2.0, np.nan]))
    >>> values_of(cells.runs.most).tolist(), cells.runs.counts.tolist()
    ([-1.0, 2.0], [1, 2])
    """

    __slots__ = ("_held", "_size", "_waiting", "level")

    def __init__(self, level: int = 0, held: ValueRuns | None = None) -> None:
        nothing = np.empty(0, dtype=np.int64)
        self.level = level
        self._held = ValueRuns(nothing, nothing, nothing) if held is None else held
        self._waiting: list[Ints] = []
        self._size = 0

    def add(self, values: Floats) -> None:
        """Take float64[n]."""
        self.add_keys(keys_of(values[np.abs(values) < LARGEST]))

    def add_keys(self, keys: Ints) -> None:
        """Take keys of values, int64[n]."""
        for first in range(0, keys.size, BATCH):
            part = keys[first : first + BATCH]
            self._waiting.append(part)
            self._size += part.size
            if self._size >= BATCH:
                self._settle()

    @property
    def runs(self) -> ValueRuns:
        """All of it, a run a cell."""
        if self._size:
            self._settle()
        return self._held

    def _settle(self) -> None:
        keys = np.sort(np.concatenate(self._waiting))
        self._waiting, self._size = [], 0
        firsts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
        counts = np.diff(firsts, append=keys.size)
        self._take(ValueRuns(keys[firsts], keys[firsts], counts))

    def _take(self, more: ValueRuns) -> None:
        both = [self._held, more]
        order = np.argsort(np.concatenate([each.least for each in both]), kind="stable")
        least, most, counts = (
            np.concatenate(each)[order]
            for each in zip(*((run.least, run.most, run.counts) for run in both), strict=True)
        )
        self.level = _level(least, self.level)
        self._held = _at_level(ValueRuns(least, most, counts), self.level)

    def merge(self, other: "ValueCells") -> None:
        """Take the counts of others: it is as if their values had been added."""
        runs, more = self.runs, other.runs
        self.level = max(self.level, other.level)
        self._held = runs
        self._take(more)

    def to_bytes(self) -> bytes:
        """Write them; `from_bytes` reads them."""
        runs = self.runs
        parts = [np.diff(runs.least, prepend=0), runs.counts, *([runs.most - runs.least] if self.level else [])]
        body = b"".join(part.astype("<i8").tobytes() for part in parts)
        return HEAD.pack(self.level, runs.least.size) + zlib.compress(body, 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        level, cells = HEAD.unpack_from(data)
        held = (
            np.frombuffer(zlib.decompress(data[HEAD.size :]), "<i8").astype(np.int64).reshape(3 if level else 2, cells)
        )
        least = np.cumsum(held[0])
        return cls(level, ValueRuns(least, least + held[2] if level else least, held[1]))


def merged(parts: Iterable[bytes]) -> ValueCells:
    """Return the cells of all parts together."""
    whole = ValueCells()
    for part in parts:
        whole.merge(ValueCells.from_bytes(part))
    return whole


def _level(rising: Ints, level: int) -> int:
    """Return the lowest level from this one on at which rising keys have no more cells than are held."""
    apart = (rising[1:] ^ rising[:-1]).view(np.uint64)
    apart &= ~(apart >> np.uint64(1))  # so that the cast to a double does not round up to another power of two
    split = np.bincount(np.frexp(apart.astype(np.float64))[1], minlength=65)  # by the first level at which two are one
    cells = 1 + split.sum() - np.cumsum(split)  # by level
    return level + int(np.flatnonzero(cells[level:] <= CELLS)[0])


def _at_level(runs: ValueRuns, level: int) -> ValueRuns:
    """Return rising runs with those of one cell together."""
    cells = runs.least >> level
    firsts = np.flatnonzero(np.append(True, cells[1:] != cells[:-1])[: cells.size])
    if firsts.size == cells.size:
        return runs
    return ValueRuns(
        runs.least[firsts],
        np.maximum.reduceat(runs.most, firsts),
        np.add.reduceat(runs.counts, firsts),
    )

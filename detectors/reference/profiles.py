"""First pass over a reference: what a column holds, in bounded memory, whatever the chunks."""

import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np

from detectors.columns import Coded, Column, as_written_floats, distinct
from detectors.features import LARGEST, MAX_CATEGORIES, Bools, CategoricalFeature, Floats, Ints, NumericFeature
from detectors.precision import Less, are_told_apart, is_written, last_before, last_of
from detectors.sketches.blocks import fill, kept, moments, with_unknown
from detectors.spellings import folded

BLOCK = 16_384  # values digested at once; equal blocks make a fit independent of how the data was chunked
SAMPLE = 131_072  # values kept a numeric column: a quantile is then right to about 0.1 % of the mass
BINS = 384  # of equal reference mass; a KS distance of 5000 rows is then right to 0.001: docs/adr/0002
DISCRETE = 50  # up to so many distinct values a numeric column is discrete: each has a bin of its own
HELD = 100_000  # categories held while counting; beyond that the rarest are forgotten


class BlockBuffer:
    """Turns columns of any length into blocks of one length, in order, of the values that can be binned.

    A block is only lent: its memory is used again for the next.
    """

    def __init__(self, digest: Callable[[Floats], None]) -> None:
        self._digest = digest
        self._held = np.empty(BLOCK)
        self._size = 0

    def add(self, values: Floats) -> None:
        """Take float64[n]; digest every block that is full. What is not finite is passed over."""
        taken = 0
        while taken < values.size:
            taken, self._size = fill(values, taken, self._held, self._size)
            if self._size == BLOCK:
                self._digest(self._held)
                self._size = 0

    def flush(self) -> None:
        """Digest what is left."""
        if self._size:
            self._digest(self._held[: self._size])
        self._size = 0


class NumericProfile:
    """Sample, extremes, moments and (while few) the distinct values of one numeric column."""

    def __init__(self, name: str) -> None:
        self.seen = 0
        self.mean = 0.0
        self.std = 0.0
        self.min = np.inf
        self.max = -np.inf
        self.distinct: Floats | None = np.empty(0)
        self.halves = True  # every column so far was of half precision
        self._sample = np.empty(SAMPLE)
        self._room, self._places = np.empty(BLOCK), np.empty(BLOCK, dtype=np.int64)  # for each block anew
        self._random = np.random.default_rng(zlib.crc32(name.encode(errors="surrogatepass")))
        self._blocks = BlockBuffer(self._digest)

    def add(self, column: Floats) -> None:
        """Take float64[n]; what is not finite is passed over."""
        self._blocks.add(column)

    def take(self, column: Column) -> None:
        """Take a column of any kind."""
        self.halves &= not isinstance(column, Coded) and column.dtype == np.float16
        self.add(as_written_floats(column))

    def finish(self) -> None:
        """Take the last, partial block."""
        self._blocks.flush()
        if self.min == self.max:
            self.mean, self.std = self.min, 0.0
        elif self.seen:
            self.mean, self.std = min(max(self.mean, self.min), self.max), min(self.std, LARGEST)

    def _digest(self, block: Floats) -> None:
        self._keep(block)
        mean, std, least, most = moments(block, self._room)
        rows = self.seen + block.size
        old, new = self.seen / rows, block.size / rows
        gap = mean - self.mean  # a Python float: overflows to infinity without a warning
        between = abs(gap) if np.isfinite(gap) else LARGEST
        self.mean = self.mean + gap * new if np.isfinite(gap) else self.mean * old + mean * new
        self.std = float(np.hypot(np.hypot(old**0.5 * self.std, new**0.5 * std), (old * new) ** 0.5 * between))
        self.min, self.max = min(self.min, least), max(self.max, most)
        if self.distinct is not None:
            self.distinct = with_unknown(self.distinct, block, BINS)
        self.seen = rows

    def _keep(self, block: Floats) -> None:
        """Reservoir sampling (Vitter 1985, algorithm R) of a whole block at once."""
        room = max(0, min(SAMPLE - self.seen, block.size))
        self._sample[self.seen : self.seen + room] = block[:room]
        rest = block[room:]
        if rest.size:
            draws = self._random.random(out=self._room[: rest.size])
            taken = kept(draws, self.seen + room + 1, SAMPLE, self._places)
            self._sample[self._random.integers(0, SAMPLE, taken.size)] = rest[taken]

    @property
    def discrete(self) -> bool:
        """Whether the column has at most 50 distinct values."""
        return is_discrete(self.distinct)

    def edges(self) -> Floats:
        """Return the bin edges: reference quantiles, and a bin of its own for every value that is common.

        Up to 384 distinct values are all edges, so that D is exact as long as no other value turns up.
        """
        if not self.seen:
            return np.empty(0)
        values, counts = _runs(self._kept)
        less = precision(values, self.distinct, halves=self.halves)
        if self.distinct is not None and self.discrete:
            return discrete_edges(self.distinct, less)
        return quantile_edges(values, counts, self.distinct, less, (self.min, self.max))

    @cached_property
    def _kept(self) -> Floats:
        """The sample of all that was seen, rising."""
        return np.sort(self._sample[: self.seen])

    def sampled(self, feature: NumericFeature) -> Ints:
        """Return how many values of the sample are under, in each bin and over, int64[B + 2]."""
        rungs = feature.edges if feature.edges.size else np.array([-LARGEST])
        firsts = np.concatenate([[0], np.searchsorted(self._kept, rungs, side="right")])
        return np.diff(firsts, append=self._kept.size).astype(np.int64)


def is_discrete(distinct: Floats | None) -> bool:
    """Whether a column of these distinct values, None: of too many, is discrete."""
    return distinct is not None and distinct.size <= DISCRETE


def precision(values: Floats, distinct: Floats | None, *, halves: bool) -> Less | None:
    """Return the precision in which values are compared, None for that of doubles.

    That of the column, and singles' where all `values`, rising, are written in their few digits, or where they tell a few
    values apart: producers send 0.1 as they hold it.
    """
    if halves and is_written(values, np.float16):
        return np.float16
    apart = distinct is not None and is_discrete(distinct) and are_told_apart(distinct)
    return np.float32 if apart or is_written(values) else None


def discrete_edges(distinct: Floats, less: Less | None) -> Floats:
    """Return the edges of a number with few distinct values: each has a bin of its own."""
    return np.union1d(_before(distinct, less), _last(distinct, less))


def quantile_edges(
    values: Floats,
    counts: Ints,
    distinct: Floats | None,
    less: Less | None,
    ends: tuple[float, float],
    single: Bools | None = None,
) -> Floats:
    """Return edges at the quantiles of rising `values`, each there `counts` times, and around what is common; `ends` are the least and the largest of all.

    `distinct` values are all edges, where there are few. `single` bool[n]: which are one value indeed, and not the largest of a few neighbours.
    """
    size = int(counts.sum())
    ranks = np.ceil(np.arange(1, BINS) * (size / BINS)).astype(np.int64) - 1
    cuts = values[np.searchsorted(np.cumsum(counts), ranks, side="right")] if distinct is None else distinct
    common = counts * BINS >= size
    atoms = values[common if single is None else common & single]
    tops = np.concatenate([cuts, atoms, ends[1:]])
    return np.union1d(_last(tops, less), _before(np.concatenate([atoms, ends[:1]]), less))


def _runs(rising: Floats) -> tuple[Floats, Ints]:
    """Return the distinct values of rising ones, and how often each is there."""
    firsts = np.flatnonzero(np.concatenate([[True], rising[1:] != rising[:-1]]))
    return rising[firsts], np.diff(firsts, append=rising.size)


def _last(values: Floats, less: Less | None) -> Floats:
    """The last doubles that are these values."""
    return values if less is None else last_of(values, less)


def _before(values: Floats, less: Less | None) -> Floats:
    """The last doubles below these values."""
    return np.nextafter(values, -np.inf) if less is None else last_before(values, less)


class CategoryProfile:
    """The commonest texts of one categorical column."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, column: Column) -> None:
        """Take a column; when more than 100 000 categories are held, forget the rarer half."""
        texts, rows = distinct(column)
        counts = np.bincount(rows, minlength=len(texts)).tolist()
        for text, count in zip(texts, counts, strict=True):
            if text is not None and count:
                self._counts[text] += count
        if len(self._counts) > HELD:
            self._counts = Counter(dict(self._counts.most_common(HELD // 2)))

    def take(self, counts: Mapping[str, int]) -> None:
        """Take how often texts occur, counted elsewhere."""
        self._counts.update(counts)

    def categories(self) -> tuple[str, ...]:
        """Return at most 1000 categories by falling count, equal counts by text; one value is one, however it is spelled."""
        one = folded(self._counts)
        counts: Counter[str] = Counter()
        for text, count in self._counts.items():
            counts[one.get(text, text)] += count
        self._counts = counts
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return tuple(text for text, _ in ordered[:MAX_CATEGORIES])

    def sampled(self, feature: CategoricalFeature) -> Ints:
        """Return how many rows had each category, and how many any other, int64[K + 1]."""
        counts = [self._counts[text] for text in feature.categories]
        return np.array([*counts, sum(self._counts.values()) - sum(counts)], dtype=np.int64)

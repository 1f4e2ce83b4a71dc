"""All numbers of a contract at once: what lies within bounds is not looked at further, what does not is told apart cell by cell."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.contract import ColumnRules, ColumnType
from detectors.contract.judging import RowRules
from detectors.features import LARGEST, Floats, Ints
from detectors.sketches.violations import Rule
from monitor.series.contract import SHARE
from monitor.sources.formats.base import SeriesRows
from monitor.sources.formats.values import unusable

MISSING, WRONG, LOW, HIGH = range(4)
CHUNK = 1024  # rows at a time: what twenty columns of them take stays in the cache of a core
NOBODY = np.empty(0, dtype=np.intp)
ALMOST = float(np.nextafter(LARGEST, 0))  # the largest number that is not missing


def is_plain(rules: ColumnRules) -> bool:
    """Whether numbers alone decide."""
    return rules.is_number and rules.values is None


@dataclass(frozen=True, slots=True, eq=False)
class BrokenNumbers:
    """Rules that some row breaks, the rows that do, bool[k, n], and how many do of each, int64[k]."""

    rules: tuple[Rule, ...]
    rows: NDArray[np.bool_]
    counts: Ints


NOTHING = BrokenNumbers((), np.empty((0, 0), dtype=np.bool_), np.empty(0, dtype=np.int64))


class NumberBlock:
    """The columns of numbers of a series, with what a contract asks of each; those that it does not ask of are passed over."""

    def __init__(self, columns: Mapping[int, tuple[str, RowRules]], width: int) -> None:
        self._width = width
        least, most = np.full((width, 1), -LARGEST), np.full((width, 1), ALMOST)
        self._places = np.full((4, width), -1)  # of the rule that a cell breaks, by kind and column
        self.rules: list[Rule] = []
        for at, (name, rules) in columns.items():
            least[at] = -LARGEST if rules.least is None else max(rules.least, -LARGEST)
            most[at] = ALMOST if rules.most is None else min(rules.most, ALMOST)
            for kind, rule in asked(rules.rules).items():
                self._places[kind, at] = len(self.rules)
                self.rules.append((name, rule))
        self._least, self._most = least, most
        self._whole = np.array(
            [at for at, (_, rules) in columns.items() if rules.rules.type is ColumnType.INTEGER], dtype=np.intp
        )
        self._is_whole = np.zeros(width, dtype=np.bool_)
        self._is_whole[self._whole] = True

    def broken(self, part: SeriesRows) -> BrokenNumbers:
        """The rules that any row breaks, and which rows do."""
        if not self.rules:
            return NOTHING
        block = part.numeric.T[: self._width]
        columns, rows = self._suspects(block) if part.suspects is None else part.suspects
        if not columns.size:
            return NOTHING
        values = block[columns, rows]
        plain = np.isnan(values) & ~unusable(values)  # the most of them, as a rule: values that are not there
        if plain.all():
            return self._spread(self._places[MISSING].take(columns), rows, block.shape[1])
        lacking, others = np.flatnonzero(plain), np.flatnonzero(~plain)
        rules, those = self._told_apart(values[others], columns[others], rows[others])
        rules = np.concatenate([self._places[MISSING].take(columns[lacking]), rules])
        return self._spread(rules, np.concatenate([rows[lacking], those]), block.shape[1])

    def _told_apart(
        self, values: Floats, columns: NDArray[np.intp], rows: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The rules that some cells break, -1 where nobody asks, and their rows."""
        cells = self._kinds(values, columns)
        rules = self._places.take(columns, axis=1)
        return rules[cells], np.broadcast_to(rows, cells.shape)[cells]

    def bounds(self, flags: Collection[int]) -> list[tuple[float, float, bool, bool]]:
        """What each number is to lie within, for those who read it; of the columns `flags` truth values are told as well."""
        least, most = self._least[:, 0].tolist(), self._most[:, 0].tolist()
        told = [at in flags for at in range(self._width)]
        return list(zip(least, most, self._is_whole.tolist(), told, strict=True)) if self.rules or flags else []

    def _suspects(self, block: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Columns and rows of the cells that are not within bounds."""
        found = [odd for first in range(0, block.shape[1], CHUNK) for odd in self._odd(block, first)]
        if not found:
            return NOBODY, NOBODY
        columns, rows = (np.concatenate(each) for each in zip(*found, strict=True))
        return columns, rows

    def _odd(self, block: Floats, first: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Columns and rows of the cells of a chunk that are not within bounds."""
        chunk = block[:, first : first + CHUNK]
        kept = chunk > self._least
        kept &= chunk <= self._most
        if self._whole.size:
            numbers = chunk[self._whole]
            kept[self._whole] &= np.rint(numbers) == numbers
        if not kept.all():
            columns, rows = np.divmod(np.flatnonzero(~kept), kept.shape[1])  # half of what `nonzero` takes
            yield columns, rows + first

    def _kinds(self, values: Floats, columns: NDArray[np.intp]) -> NDArray[np.bool_]:
        """What is wrong with each of some cells, bool[4, m]."""
        wrong, finite = unusable(values), np.abs(values) < LARGEST
        if self._whole.size:
            wrong |= finite & self._is_whole[columns] & (np.rint(values) != values)
        known = finite & ~wrong
        low, high = known & (values <= self._least[columns, 0]), known & (values > self._most[columns, 0])
        return np.array([~finite & ~wrong, wrong, low, high])

    def _spread(self, rules: NDArray[np.intp], rows: NDArray[np.intp], size: int) -> BrokenNumbers:
        counts = np.bincount(rules + 1, minlength=len(self.rules) + 1)  # the first: nobody asks
        present = np.flatnonzero(counts[1:])
        found = np.zeros((present.size + 1, size), dtype=np.bool_)
        places = np.zeros(counts.size, dtype=np.intp)  # of the row of each rule, in cells
        places[present + 1] = np.arange(1, present.size + 1) * size
        found.ravel()[places.take(rules + 1) + rows] = True  # half of what two indexes take
        return BrokenNumbers(tuple(map(self.rules.__getitem__, present.tolist())), found[1:], counts[present + 1])


def asked(rules: ColumnRules) -> dict[int, str]:
    """What is asked of a number, by what may be wrong with it."""
    found = {WRONG: "type"}
    if rules.required or rules.max_missing is not None:
        found[MISSING] = "required" if rules.required else SHARE
    if rules.min is not None:
        found[LOW] = "min"
    if rules.max is not None:
        found[HIGH] = "max"
    return found

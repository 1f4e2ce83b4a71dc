"""All numbers of a contract at once: what lies within bounds is not looked at further, what does not is told apart cell by cell."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.contract import ColumnRules, ColumnType
from detectors.contract.judging import Ordered, RowRules
from detectors.contract.values import EXACT
from detectors.features import LARGEST, Floats, Ints
from detectors.sketches.violations import Rule
from monitor.series.contract import SHARE
from monitor.sources.formats.base import Cells, SeriesRows, Suspects
from monitor.sources.formats.fields import Bounds
from monitor.sources.formats.values import unusable

MISSING, WRONG, LOW, HIGH, UNKNOWN = range(5)
CHUNK = 1024  # rows at a time: what twenty columns of them take stays in the cache of a core
NOBODY = np.empty(0, dtype=np.intp)
ALMOST = float(np.nextafter(LARGEST, 0))  # the largest number that is not missing
FLAGS = ("1", "true"), ("0", "false")


@dataclass(frozen=True, slots=True, eq=False)
class BrokenNumbers:
    """Rules that some row breaks, the rows that do, bool[k, n], and how many do of each, int64[k].

    `left` are columns that numbers do not tell enough of, which are to be judged in another way.
    """

    rules: tuple[Rule, ...]
    rows: NDArray[np.bool_]
    counts: Ints
    left: tuple[int, ...] = ()


NOTHING = BrokenNumbers((), np.empty((0, 0), dtype=np.bool_), np.empty(0, dtype=np.int64))


class NumberBlock:
    """The columns of numbers of a series, with what a contract asks of each; those that it does not ask of are passed over."""

    def __init__(self, columns: Mapping[int, tuple[str, RowRules]], width: int) -> None:
        self._width = width
        least, most = np.full((width, 1), -LARGEST), np.full((width, 1), ALMOST)
        self._places = np.full((5, width), -1)  # of the rule that a cell breaks, by kind and column
        self.rules: list[Rule] = []
        for at, (name, rules) in columns.items():
            least[at] = -LARGEST if rules.least is None else max(rules.least, -LARGEST)
            most[at] = ALMOST if rules.most is None else min(rules.most, ALMOST)
            for kind, rule in asked(rules.rules).items():
                self._places[kind, at] = len(self.rules)
                self.rules.append((name, rule))
        self._least, self._most = least, most
        self._is_whole = self._marked(
            at for at, (_, rules) in columns.items() if rules.rules.type is ColumnType.INTEGER
        )
        self._whole = np.flatnonzero(self._is_whole)
        self._values = {at: rules.numbers for at, (_, rules) in columns.items() if rules.numbers is not None}
        self._has_values = self._marked(self._values)
        self.flags = [at for at in self._values if tells_truth(columns[at][1])]
        """Columns of which a truth value may be worth something else than its number."""
        self._has_flags = self._marked(self.flags)

    def _marked(self, columns: Iterable[int]) -> NDArray[np.bool_]:
        found = np.zeros(self._width, dtype=np.bool_)
        found[list(columns)] = True
        return found

    def broken(self, part: SeriesRows) -> BrokenNumbers:
        """The rules that any row breaks, and which rows do."""
        if not self.rules:
            return NOTHING
        block = part.numeric.T[: self._width]
        suspects = self._suspects(block) if part.suspects is None else part.suspects
        lacking, others = suspects.lacking, suspects.others
        if not lacking[0].size and not others[0].size:
            return NOTHING
        rules, rows = self._places[MISSING].take(lacking[0]), lacking[1]
        left: tuple[int, ...] = ()
        if others[0].size:
            left, told, those = self._told_apart(block, *others)
            rules, rows = np.concatenate([rules, told]), np.concatenate([rows, those])
        if left:
            kept = ~np.isin(rules, self._places[:, left])
            rules, rows = rules[kept], rows[kept]
        return self._spread(rules, rows, block.shape[1], left)

    def _told_apart(
        self, block: Floats, columns: NDArray[np.intp], rows: NDArray[np.intp]
    ) -> tuple[tuple[int, ...], NDArray[np.intp], NDArray[np.intp]]:
        """The columns that numbers do not tell enough of; the rules that some cells break, -1 where nobody asks, and their rows."""
        own = columns < self._width
        columns, rows = columns[own], rows[own]
        values = block[columns, rows]
        cells = self._kinds(values, columns)
        rules = self._places.take(columns, axis=1)
        return self._left(values, columns), rules[cells], np.broadcast_to(rows, cells.shape)[cells]

    def _left(self, values: Floats, columns: NDArray[np.intp]) -> tuple[int, ...]:
        """The columns with a truth value that may be worth something else, or a whole number that a float does not tell from the next."""
        if not self._values:
            return ()
        unsure = self._has_values[columns] & (np.abs(values) >= EXACT) & (np.abs(values) < LARGEST)
        unsure |= self._has_flags[columns] & ((values == 0) | (values == 1))
        return tuple(np.unique(columns[unsure]).tolist())

    def ordered(self, part: SeriesRows, at: int) -> Ordered:
        """The values of a column, and which rows have one."""
        values = part.numeric[:, at]
        known = np.abs(values) < LARGEST
        if self._is_whole[at]:
            known &= np.rint(values) == values
        return Ordered(values, known)

    def bounds(self, flags: Collection[int]) -> list[Bounds]:
        """What each number is to lie within, for those who read it; of the columns `flags` truth values are told as well."""
        if not self.rules and not flags:
            return []
        least, most, whole = self._least[:, 0].tolist(), self._most[:, 0].tolist(), self._is_whole.tolist()
        told = [at in flags or at in self.flags for at in range(self._width)]
        values = [self._values[at].tolist() if at in self._values else None for at in range(self._width)]
        return list(map(Bounds, least, most, whole, told, values))

    def _suspects(self, block: Floats) -> Suspects:
        """The cells that are not within bounds, and those that may be truth values."""
        found = [odd for first in range(0, block.shape[1], CHUNK) for odd in self._odd(block, first)]
        found += [(np.full(rows.size, at), rows) for at in self.flags if (rows := _flags_in(block[at])).size]
        if not found:
            return Suspects((NOBODY, NOBODY), (NOBODY, NOBODY))
        columns, rows = (np.concatenate(each) for each in zip(*found, strict=True))
        values = block[columns, rows]
        plain = np.isnan(values) & ~unusable(values)
        return Suspects((columns[plain], rows[plain]), (columns[~plain], rows[~plain]))

    def _odd(self, block: Floats, first: int) -> Iterator[Cells]:
        """Columns and rows of the cells of a chunk that are not within bounds."""
        chunk = block[:, first : first + CHUNK]
        kept = chunk > self._least
        kept &= chunk <= self._most
        if self._whole.size:
            numbers = chunk[self._whole]
            kept[self._whole] &= np.rint(numbers) == numbers
        for at, values in self._values.items():
            kept[at] &= _among(chunk[at], values)
        if not kept.all():
            columns, rows = np.divmod(np.flatnonzero(~kept), kept.shape[1])  # half of what `nonzero` takes
            yield columns, rows + first

    def _kinds(self, values: Floats, columns: NDArray[np.intp]) -> NDArray[np.bool_]:
        """What is wrong with each of some cells, bool[5, m]."""
        wrong, finite = unusable(values), np.abs(values) < LARGEST
        if self._whole.size:
            wrong |= finite & self._is_whole[columns] & (np.rint(values) != values)
        known = finite & ~wrong
        low, high = known & (values <= self._least[columns, 0]), known & (values > self._most[columns, 0])
        unknown = known & self._has_values[columns]
        for at, held in self._values.items():
            unknown &= ~((columns == at) & _among(values, held))
        return np.array([~finite & ~wrong, wrong, low, high, unknown])

    def _spread(
        self, rules: NDArray[np.intp], rows: NDArray[np.intp], size: int, left: tuple[int, ...]
    ) -> BrokenNumbers:
        counts = np.bincount(rules + 1, minlength=len(self.rules) + 1)  # the first: nobody asks
        present = np.flatnonzero(counts[1:])
        found = np.zeros((present.size + 1, size), dtype=np.bool_)
        places = np.zeros(counts.size, dtype=np.intp)  # of the row of each rule, in cells
        places[present + 1] = np.arange(1, present.size + 1) * size
        found.ravel()[places.take(rules + 1) + rows] = True  # half of what two indexes take
        return BrokenNumbers(tuple(map(self.rules.__getitem__, present.tolist())), found[1:], counts[present + 1], left)


def tells_truth(rules: RowRules) -> bool:
    """Whether a truth value may be worth something else than 1 or 0."""
    return any(
        rules.is_unknown(one) != rules.is_unknown(other) or rules.is_odd(one) != rules.is_odd(other)
        for one, other in FLAGS
    )


def _among(values: Floats, held: Floats) -> NDArray[np.bool_]:
    """Whether numbers are some of others, which rise, bool[n]."""
    if not held.size:
        return np.zeros(values.size, dtype=np.bool_)
    places = np.minimum(np.searchsorted(held, values), held.size - 1)
    return np.asarray(held[places] == values)


def _flags_in(values: Floats) -> NDArray[np.intp]:
    """The rows that may hold a truth value."""
    return np.flatnonzero((values == 0) | (values == 1))


def asked(rules: ColumnRules) -> dict[int, str]:
    """What is asked of a number, by what may be wrong with it."""
    found = {WRONG: "type"}
    if rules.required or rules.max_missing is not None:
        found[MISSING] = "required" if rules.required else SHARE
    if rules.min is not None:
        found[LOW] = "min"
    if rules.max is not None:
        found[HIGH] = "max"
    if rules.values is not None:
        found[UNKNOWN] = "values"
    return found

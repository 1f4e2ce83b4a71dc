"""What becomes of each row of a column by its rules alone, whatever came before: the same of a file and of a stream."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Column
from detectors.contract.contract import ColumnRules, ColumnType
from detectors.contract.values import Words, is_number_text, is_truth, nothing_in, numbers_in, times_in, words_in
from detectors.features import Bools, Floats, canonical
from detectors.precision import is_written, last_before, last_of
from detectors.spellings import CategoryCodes, plain


@dataclass(frozen=True, slots=True, eq=False)
class Ordered:
    """Values that come one after the other, and which rows have one, bool[n]."""

    values: NDArray[np.int64] | NDArray[np.float64]
    known: Bools


@dataclass(frozen=True, slots=True, eq=False)
class JudgedRows:
    """Rows without a value, those whose value is of another type, and those that break a rule, bool[n] each.

    `ordered` are the values where the type has an order, `words` the texts where they were looked at.
    """

    missing: Bools
    wrong: Bools
    broken: dict[str, Bools] = field(default_factory=dict)
    ordered: Ordered | None = None
    words: Words | None = None


class RowRules:
    """The rules of one column that ask of a row alone.

    >>> judged = RowRules(ColumnRules(ColumnType.INTEGER, min=18)).judge(np.array([20.0, 17.0, np.nan]))
    >>> judged.broken["min"].tolist(), judged.missing.tolist()
    ([False, True, False], [False, False, True])
    """

    def __init__(self, rules: ColumnRules) -> None:
        self.rules = rules
        self._codes = None if rules.values is None else CategoryCodes(rules.values)
        self._pattern = None if rules.matches is None else re.compile(rules.matches)
        self.least = None if rules.min is None else _before(rules.min)
        """What numbers are to be above, and `most` what not."""
        self.most = None if rules.max is None else _last(rules.max)
        self.numbers = None if self._codes is None or not rules.is_number else _numbers_of(self._codes)
        """The numbers that `values` names, float64[k], rising; None where it is not asked of numbers."""
        names_numbers = any(map(is_number_text, rules.values or ()))
        self.texts_alone = rules.type is ColumnType.TEXT and not names_numbers
        """Whether a column of nothing but numbers is of a new type."""

    def judge(self, column: Column) -> JudgedRows:
        """Judge rows; a column of objects should be told by its values, each once (`each_once`)."""
        if self.rules.is_number:
            return self._as_numbers(column)
        if self.rules.type is ColumnType.TIME:
            times = times_in(column, self.rules.unit or "ms")
            return JudgedRows(times.missing, times.wrong, {}, Ordered(times.values, ~times.missing & ~times.wrong))
        return self._as_words(column)

    def _as_numbers(self, column: Column) -> JudgedRows:
        numbers = numbers_in(column)
        wrong, values = numbers.wrong, numbers.values
        if self.rules.type is ColumnType.INTEGER:
            with np.errstate(invalid="ignore"):
                wrong = wrong | ((np.rint(values) != values) & ~numbers.missing)
        known, broken = ~numbers.missing & ~wrong, dict[str, Bools]()
        if self.least is not None:
            broken["min"] = known & ~(values > self.least)
        if self.most is not None:
            broken["max"] = known & (values > self.most)
        if self._codes is not None:
            broken["values"] = known & words_in(column).which(self.is_unknown)
        return JudgedRows(numbers.missing, wrong, broken, Ordered(values, known))

    def _as_words(self, column: Column) -> JudgedRows:
        if not self.asks_words:
            return JudgedRows(nothing_in(column), np.zeros(column.size, dtype=np.bool_))
        words, broken = words_in(column), dict[str, Bools]()
        missing, wrong = words.missing, words.wrong
        if self.rules.type is ColumnType.BOOLEAN:
            wrong = wrong | words.which(lambda text: not is_truth(text))
        typeless = self.rules.type is None  # then whatever has no text is none of the values, and matches nothing
        known, textless = ~missing & ~wrong, words.wrong & typeless
        if self._codes is not None:
            broken["values"] = known & words.which(self.is_unknown) | textless
        if self._pattern is not None:
            broken["matches"] = known & words.which(self.is_odd) | textless
        return JudgedRows(missing, wrong & (not typeless), broken, None, words)

    @property
    def texts(self) -> Collection[str] | None:
        """All texts of the values that are allowed; None where any is."""
        return self._codes

    @property
    def asks_words(self) -> bool:
        """Whether texts decide."""
        return self.rules.type is not None or self._codes is not None or self._pattern is not None

    def is_unknown(self, text: str) -> bool:
        """Whether a text is none of the values."""
        return self._codes is not None and text not in self._codes

    def knows_only(self, texts: Collection[str | None]) -> bool:
        """Whether no text but these can be one of the values."""
        return self._codes is not None and all(text in texts for text in self._codes)

    def is_odd(self, text: str) -> bool:
        """Whether a text does not match."""
        return self._pattern is not None and self._pattern.fullmatch(plain(text)) is None


def _numbers_of(codes: CategoryCodes) -> Floats:
    """The numbers whose texts these are, each once, float64[k], rising."""
    numbers = {float(text) for text in codes if is_number_text(text)}
    return np.array(sorted(number for number in numbers if canonical(number) in codes), dtype=np.float64)


def _last(bound: float) -> float:
    """The largest double that is this value: a decimal that a single can hold may come as that single."""
    value = np.array([bound])
    return float(last_of(value)[0]) if is_written(value) else bound


def _before(bound: float) -> float:
    """The largest double below it."""
    value = np.array([bound])
    return float(last_before(value)[0]) if is_written(value) else float(np.nextafter(bound, -np.inf))

"""One column against its rules, whole chunks at a time, through all sources."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Column
from detectors.contract.contract import ColumnRules, ColumnType
from detectors.contract.repeats import Seen, keys_of
from detectors.contract.report import BrokenRows, ContractViolation, Place, SchemaChange, ValueSample
from detectors.contract.values import (
    Words,
    each_once,
    is_number_text,
    is_truth,
    kind_of,
    nothing_in,
    numbers_in,
    shown,
    times_in,
    words_in,
)
from detectors.features import Bools
from detectors.precision import is_written, last_before, last_of
from detectors.spellings import CategoryCodes, plain


@dataclass(frozen=True, slots=True, eq=False)
class Ordered:
    """Values that come one after the other, and which rows have one, bool[n]."""

    values: NDArray[np.int64] | NDArray[np.float64]
    known: Bools


@dataclass(slots=True)
class SourceState:
    """What a column was like in one source so far."""

    there: bool = False
    rows: int = 0
    present: int = 0
    only_numbers: bool = True
    numbers_first: ValueSample | None = None
    missing: BrokenRows = field(default_factory=BrokenRows)
    wrong: BrokenRows = field(default_factory=BrokenRows)
    wrong_kind: str = ""


@dataclass(slots=True)
class ColumnCheck:
    """One column against its rules, through all sources."""

    name: str
    rules: ColumnRules
    rows: int = 0  # of sources that have the column
    broken: dict[str, BrokenRows] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    retyped: dict[str, tuple[ValueSample, list[str]]] = field(default_factory=dict)  # what is held instead, and where
    missing: BrokenRows = field(default_factory=BrokenRows)
    state: SourceState = field(default_factory=SourceState)
    seen: Seen = field(default_factory=Seen)
    last: float | int | None = None
    unjudged: int = 0

    def __post_init__(self) -> None:
        self._codes = None if self.rules.values is None else CategoryCodes(self.rules.values)
        self._pattern = None if self.rules.matches is None else re.compile(self.rules.matches)
        names_numbers = any(map(is_number_text, self.rules.values or ()))
        self._texts_alone = self.rules.type is ColumnType.TEXT and not names_numbers

    _codes: CategoryCodes | None = field(init=False)
    _pattern: re.Pattern[str] | None = field(init=False)
    _texts_alone: bool = field(init=False)

    def absent(self, place: Place) -> None:
        """Take rows of a chunk that has no such column."""
        self.state.rows += place.rows.size
        self.state.missing.add(np.ones(place.rows.size, dtype=np.bool_), place, lambda _: "nothing")

    def add(self, given: Column, place: Place) -> Ordered | None:
        """Take a chunk. Returns its values in order, where the type has one."""
        column, state = each_once(given), self.state
        value = _shower(column)
        state.there = True
        state.rows += place.rows.size
        missing, wrong, ordered = self._typed(column, place, value)
        state.missing.add(missing, place, lambda _: "nothing")
        if not state.wrong_kind and wrong.any():
            state.wrong_kind = self._kind_of_wrong(column, int(np.argmax(wrong)))
        state.wrong.add(wrong, place, value)
        state.present += int(np.count_nonzero(~missing))
        if self.rules.unique:
            self._unique(column, place, value)
        if self.rules.monotone and ordered is not None:
            self._monotone(ordered, place, value)
        return ordered

    # --- the rules --------------------------------------------------------------------------------------------------

    def _typed(self, column: Column, place: Place, value: Callable[[int], str]) -> tuple[Bools, Bools, Ordered | None]:
        """What is missing, what is of another type, and the values in order; the rules of the type are judged."""
        if self.rules.is_number:
            return self._as_numbers(column, place, value)
        if self.rules.type is ColumnType.TIME:
            times = times_in(column, self.rules.unit or "ms")
            return times.missing, times.wrong, Ordered(times.values, ~times.missing & ~times.wrong)
        return (*self._as_words(column, place, value), None)

    def _as_numbers(
        self, column: Column, place: Place, value: Callable[[int], str]
    ) -> tuple[Bools, Bools, Ordered | None]:
        numbers = numbers_in(column)
        wrong, values = numbers.wrong, numbers.values
        if self.rules.type is ColumnType.INTEGER:
            with np.errstate(invalid="ignore"):
                wrong = wrong | ((np.rint(values) != values) & ~numbers.missing)
        known = ~numbers.missing & ~wrong
        if self.rules.min is not None:
            self._break("min", known & ~(values > _before(self.rules.min)), place, value)
        if self.rules.max is not None:
            self._break("max", known & (values > _last(self.rules.max)), place, value)
        if self._codes is not None:
            self._break("values", known & words_in(column).which(self._is_unknown), place, value)
        return numbers.missing, wrong, Ordered(values, known)

    def _as_words(self, column: Column, place: Place, value: Callable[[int], str]) -> tuple[Bools, Bools]:
        if self.rules.type is None and self._codes is None and self._pattern is None:
            return nothing_in(column), np.zeros(column.size, dtype=np.bool_)
        words = words_in(column)
        missing, wrong = words.missing, words.wrong
        if self.rules.type is ColumnType.BOOLEAN:
            wrong = wrong | words.which(lambda text: not is_truth(text))
        if self._texts_alone and self.state.only_numbers:
            self._hear_numbers(words, place, value)
        typeless = self.rules.type is None  # then whatever has no text is none of the values, and matches nothing
        known, textless = ~missing & ~wrong, words.wrong & typeless
        if self._codes is not None:
            self._break("values", known & words.which(self._is_unknown) | textless, place, value)
        if self._pattern is not None:
            self._break("matches", known & words.which(self._is_odd) | textless, place, value)
        return missing, wrong & (not typeless)

    def _hear_numbers(self, words: Words, place: Place, value: Callable[[int], str]) -> None:
        """Notice whether a column of texts holds nothing but numbers."""
        if found := words.occurring:
            self.state.only_numbers = all(map(is_number_text, found))
            if self.state.numbers_first is None:
                row = int(np.argmin(words.missing))
                self.state.numbers_first = ValueSample(place.source, int(place.rows[row]), value(row))

    def _is_unknown(self, text: str) -> bool:
        return self._codes is not None and text not in self._codes

    def _is_odd(self, text: str) -> bool:
        return self._pattern is not None and self._pattern.fullmatch(plain(text)) is None

    def _unique(self, column: Column, place: Place, value: Callable[[int], str]) -> None:
        keys, known = keys_of(column)
        again = np.zeros(keys.size, dtype=np.bool_)
        again[known] = self.seen.repeated(keys[known])
        self.unjudged += int(np.count_nonzero(~known & _too_large(column)))
        self._break("unique", again, place, value)

    def _monotone(self, ordered: Ordered, place: Place, value: Callable[[int], str]) -> None:
        rows = np.flatnonzero(ordered.known)
        if not rows.size:
            return
        values = ordered.values[rows]
        fell = np.zeros(ordered.known.size, dtype=np.bool_)
        fell[rows[1:]] = values[1:] < values[:-1]
        fell[rows[0]] = self.last is not None and bool(values[0] < self.last)
        self.last = values[-1].item()
        self._break("monotone", fell, place, value)

    def _break(self, rule: str, broken: Bools, place: Place, value: Callable[[int], str]) -> None:
        if broken.any():
            self.broken.setdefault(rule, BrokenRows()).add(broken, place, value)

    def _kind_of_wrong(self, column: Column, row: int) -> str:
        kind = kind_of(column, row)
        if kind == "numbers" and self.rules.type is ColumnType.INTEGER:
            return "numbers that are not whole"
        return kind

    # --- the end of a source, and of all -----------------------------------------------------------------------------

    def end(self, source: str) -> None:
        """Settle what only a whole source tells: whether the column is there, and of which type."""
        state, self.state = self.state, SourceState()
        if not state.there:
            self.gone.append(source)
            return
        self.rows += state.rows
        self.missing.merge(state.missing)
        if state.present and state.wrong.count == state.present:
            self._retype(state.wrong_kind, state.wrong.samples[0])
        elif self._texts_alone and state.present and state.only_numbers and state.numbers_first is not None:
            self._retype("numbers", state.numbers_first)
        elif state.wrong.count:
            self.broken.setdefault("type", BrokenRows()).merge(state.wrong)

    def _retype(self, kind: str, sample: ValueSample) -> None:
        _, found = self.retyped.setdefault(kind, (sample, []))
        found.append(sample.source)

    def schema(self) -> Iterator[SchemaChange]:
        """The column gone, or of a new type."""
        if self.gone and self.rules.must_be_there:
            yield SchemaChange(self.name, "gone", tuple(self.gone), "is gone", breaks=True)
        for kind, (first, sources) in self.retyped.items():
            held = f"{kind}, such as {first.value} in row {first.row:,}"
            words = f"is of a new type: {held}; the contract says {self.rules.type}"
            yield SchemaChange(self.name, "type", tuple(sources), words, breaks=True)

    def violations(self) -> Iterator[ContractViolation]:
        """The rules that rows break, in the order of the contract's keys."""
        rules, missing = self.rules, self.missing
        found = dict(self.broken)
        if missing.count and rules.required:
            found["required"] = missing
        elif rules.max_missing is not None and missing.count > rules.max_missing * self.rows:
            found["max_missing"] = missing
        for rule in ("type", "required", "max_missing", "min", "max", "values", "matches", "unique", "monotone"):
            if rule in found:
                held = found[rule]
                yield ContractViolation(self.name, rule, held.count, self.rows, tuple(held.samples))


def _shower(column: Column) -> Callable[[int], str]:
    return lambda row: shown(column, row)


def _too_large(column: Column) -> Bools:
    return np.asarray(np.isfinite(numbers_in(column).values))


def _last(bound: float) -> float:
    """The largest double that is this value: a decimal that a single can hold may come as that single."""
    value = np.array([bound])
    return float(last_of(value)[0]) if is_written(value) else bound


def _before(bound: float) -> float:
    """The largest double below it."""
    value = np.array([bound])
    return float(last_before(value)[0]) if is_written(value) else float(np.nextafter(bound, -np.inf))

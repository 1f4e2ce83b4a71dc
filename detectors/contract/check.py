"""Rows against a contract: whole columns a chunk at a time; what is broken is counted, and the first of it kept in words."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Column
from detectors.contract.contract import SIGNS, ColumnRules, ColumnType, Contract, Ordering
from detectors.contract.repeats import Seen, keys_of
from detectors.contract.values import (
    each_once,
    is_number_text,
    is_truth,
    kind_of,
    numbers_in,
    shown,
    times_in,
    words_in,
)
from detectors.features import Bools, Ints
from detectors.precision import is_written, last_before, last_of
from detectors.spellings import CategoryCodes

SHOWN = 3  # samples of a broken rule


@dataclass(frozen=True, slots=True)
class ValueSample:
    """A value that breaks a rule: its row, counted from 1 in its source, and the value in words."""

    source: str
    row: int
    value: str


@dataclass(frozen=True, slots=True)
class ContractViolation:
    """A rule of a column that rows break: how many of the rows it was asked of, and the first of them."""

    column: str
    rule: str
    count: int
    rows: int
    samples: tuple[ValueSample, ...]

    @property
    def share(self) -> float:
        """Of the rows."""
        return self.count / max(self.rows, 1)


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A column that is new, gone or of a new type, in some sources; `breaks` says whether the contract forbids it."""

    column: str
    change: str
    sources: tuple[str, ...]
    words: str
    breaks: bool


@dataclass(frozen=True, slots=True)
class ContractReport:
    """What came of all rows."""

    rows: int
    schema: tuple[SchemaChange, ...]
    violations: tuple[ContractViolation, ...]
    remarks: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether nothing breaks the contract."""
        return not self.violations and not any(change.breaks for change in self.schema)


@dataclass(slots=True)
class BrokenRows:
    """How many rows broke a rule, and the first of them."""

    count: int = 0
    samples: list[ValueSample] = field(default_factory=list)

    def add(self, broken: Bools, place: "Place", value: Callable[[int], str]) -> None:
        """Take the rows of a chunk that broke it."""
        count = int(np.count_nonzero(broken))
        if count:
            self.count += count
            first = np.flatnonzero(broken)[: SHOWN - len(self.samples)].tolist() if len(self.samples) < SHOWN else []
            self.samples += [ValueSample(place.source, int(place.rows[row]), value(row)) for row in first]

    def merge(self, later: "BrokenRows") -> None:
        """Take what came after it."""
        self.count += later.count
        self.samples = [*self.samples, *later.samples][:SHOWN]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rows of a chunk come from: a file, and their numbers in it, int64[n]."""

    source: str
    rows: Ints


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
    retyped: dict[str, list[str]] = field(default_factory=dict)  # sources, by what they hold instead
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
            self._break("values", known & words_in(column).where(self._unknown(column)), place, value)
        return numbers.missing, wrong, Ordered(values, known)

    def _as_words(self, column: Column, place: Place, value: Callable[[int], str]) -> tuple[Bools, Bools]:
        if self.rules.type is None and self._codes is None and self._pattern is None and _is_plain(column):
            nothing = np.zeros(column.size, dtype=np.bool_)  # no rule needs a text of each number
            return numbers_in(column).missing, nothing
        words = words_in(column)
        texts, missing, wrong = words.texts, words.missing, words.wrong
        if self.rules.type is ColumnType.BOOLEAN:
            wrong = wrong | words.where(np.array([not is_truth(text) for text in texts], dtype=np.bool_))
        if self._texts_alone and self.state.only_numbers and (found := words.occurring):
            self.state.only_numbers = all(map(is_number_text, found))
            if self.state.numbers_first is None:
                row = int(np.argmin(missing))
                self.state.numbers_first = ValueSample(place.source, int(place.rows[row]), value(row))
        typeless = self.rules.type is None  # then whatever has no text is none of the values, and matches nothing
        known, textless = ~missing & ~wrong, words.wrong & typeless
        if self._codes is not None:
            self._break("values", known & words.where(self._unknown(column)) | textless, place, value)
        if self._pattern is not None:
            odd = [text is not None and self._pattern.fullmatch(text) is None for text in texts]
            self._break("matches", known & words.where(np.array(odd, dtype=np.bool_)) | textless, place, value)
        return missing, wrong & (not typeless)

    def _unknown(self, column: Column) -> Bools:
        """Which texts of a column are none of the allowed values."""
        assert self._codes is not None
        codes = self._codes
        return np.array([text is not None and text not in codes for text in words_in(column).texts], dtype=np.bool_)

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
            self.retyped.setdefault(f"{state.wrong_kind}, such as {_first(state.wrong.samples[0])}", []).append(source)
        elif self._texts_alone and state.present and state.only_numbers and state.numbers_first is not None:
            self.retyped.setdefault(f"numbers, such as {_first(state.numbers_first)}", []).append(source)
        elif state.wrong.count:
            self.broken.setdefault("type", BrokenRows()).merge(state.wrong)

    def schema(self) -> Iterator[SchemaChange]:
        """The column gone, or of a new type."""
        if self.gone and self.rules.must_be_there:
            yield SchemaChange(self.name, "gone", tuple(self.gone), "is gone", breaks=True)
        for held, sources in self.retyped.items():
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


@dataclass(slots=True)
class ComparisonCheck:
    """Two columns against each other."""

    comparison: Ordering
    rows: int = 0
    broken: BrokenRows = field(default_factory=BrokenRows)

    def add(self, held: Mapping[str, Ordered], columns: Mapping[str, Column], place: Place) -> None:
        """Take a chunk; rows that lack one of the two are not judged."""
        left, sign, right = self.comparison.left, self.comparison.sign, self.comparison.right
        if left not in held or right not in held:
            return
        known = held[left].known & held[right].known
        self.rows += int(np.count_nonzero(known))
        broken = known & ~SIGNS[sign](held[left].values, held[right].values)
        self.broken.add(broken, place, lambda row: f"{shown(columns[left], row)} beside {shown(columns[right], row)}")

    def violations(self) -> Iterator[ContractViolation]:
        """One, where rows break it."""
        if self.broken.count:
            yield ContractViolation(
                self.comparison.left, str(self.comparison), self.broken.count, self.rows, tuple(self.broken.samples)
            )


class Check:
    """Takes rows a chunk at a time, source by source in their order, and says at the end what came of them.

    >>> from detectors.contract import contract_from
    >>> contract = contract_from({"format": "driftd.contract/1", "columns": {"age": {"type": "integer", "min": 18}}})
    >>> check = Check(contract)
    >>> check.add("people.csv", {"age": np.array([20.0, 17.0])}, np.array([1, 2]))
    >>> [(each.rule, each.count, each.samples[0].value) for each in check.report().violations]
    [('min', 1, '17')]
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._columns = {name: ColumnCheck(name, rules) for name, rules in contract.columns.items()}
        self._comparisons = [ComparisonCheck(each) for each in contract.comparisons]
        self._new: dict[str, dict[str, None]] = {}  # sources, by column
        self._source: str | None = None
        self.rows = 0

    def meet(self, source: str, names: Iterable[str]) -> None:
        """Take the names of a source's columns, of which some may be no column of the contract."""
        self._begin(source)
        for name in names:
            if name not in self._columns:
                self._new.setdefault(name, {})[source] = None

    def add(self, source: str, columns: Mapping[str, Column], rows: Ints) -> None:
        """Take some rows, and their numbers in the source, int64[n]. A column that lacks is missing in them."""
        self.meet(source, columns)
        place = Place(source, rows)
        self.rows += rows.size
        ordered: dict[str, Ordered] = {}
        for name, column in self._columns.items():
            if name not in columns:
                column.absent(place)
            elif (held := column.add(columns[name], place)) is not None:
                ordered[name] = held
        for comparison in self._comparisons:
            comparison.add(ordered, columns, place)

    def report(self) -> ContractReport:
        """Say what came of all rows. Nothing can be added after it."""
        self._end()
        columns = self._columns.values()
        new = [
            SchemaChange(name, "new", tuple(sources), "is new", self._contract.new_columns_refused)
            for name, sources in self._new.items()
        ]
        values = [each for column in columns for each in column.violations()]
        compared = [each for comparison in self._comparisons for each in comparison.violations()]
        return ContractReport(
            self.rows,
            (*(each for column in columns for each in column.schema()), *new),
            (*values, *compared),
            tuple(
                f"{column.name}: {column.unjudged:,} whole numbers above 2^53 came as floats, which do not tell them apart: "
                "unique is not judged of them"
                for column in columns
                if column.unjudged
            ),
        )

    def _begin(self, source: str) -> None:
        if source != self._source:
            self._end()
            self._source = source

    def _end(self) -> None:
        if self._source is not None:
            for column in self._columns.values():
                column.end(self._source)
        self._source = None


def _shower(column: Column) -> Callable[[int], str]:
    return lambda row: shown(column, row)


def _is_plain(column: Column) -> bool:
    return isinstance(column, np.ndarray) and column.dtype.kind in "biuf"


def _too_large(column: Column) -> Bools:
    return np.asarray(np.isfinite(numbers_in(column).values))


def _first(sample: ValueSample) -> str:
    return f"{sample.value} in row {sample.row:,}"


def _last(bound: float) -> float:
    """The largest double that is this value: a decimal that a single can hold may come as that single."""
    value = np.array([bound])
    return float(last_of(value)[0]) if is_written(value) else bound


def _before(bound: float) -> float:
    """The largest double below it."""
    value = np.array([bound])
    return float(last_before(value)[0]) if is_written(value) else float(np.nextafter(bound, -np.inf))

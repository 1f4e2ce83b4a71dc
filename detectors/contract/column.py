"""One column against its rules, whole chunks at a time, through all sources."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from detectors.columns import Column
from detectors.contract.contract import ColumnRules, ColumnType
from detectors.contract.judging import Ordered, RowRules
from detectors.contract.repeats import Keys, Seen, keys_of
from detectors.contract.report import BrokenRows, ContractViolation, Place, SchemaChange, ValueSample
from detectors.contract.values import (
    Words,
    each_once,
    is_number_text,
    kind_of,
    numbers_in,
    shown,
)
from detectors.features import Bools
from detectors.sketches.identity import NO_ID, hashes_of

ID = "__id__"  # of an event: compared as text, as the stream and labels compare ids


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
        self._row_rules = RowRules(self.rules)

    _row_rules: RowRules = field(init=False)

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
        judged = self._row_rules.judge(column)
        for rule, broken in judged.broken.items():
            self._break(rule, broken, place, value)
        if judged.words is not None and self._row_rules.texts_alone and state.only_numbers:
            self._hear_numbers(judged.words, place, value)
        missing, wrong = judged.missing, judged.wrong
        state.missing.add(missing, place, lambda _: "nothing")
        if not state.wrong_kind and wrong.any():
            state.wrong_kind = self._kind_of_wrong(column, int(np.argmax(wrong)))
        state.wrong.add(wrong, place, value)
        state.present += int(np.count_nonzero(~missing))
        if self.rules.unique:
            self._unique(column, place, value)
        if self.rules.monotone and judged.ordered is not None:
            self._monotone(judged.ordered, place, value)
        return judged.ordered

    # --- the rules --------------------------------------------------------------------------------------------------

    def _hear_numbers(self, words: Words, place: Place, value: Callable[[int], str]) -> None:
        """Notice whether a column of texts holds nothing but numbers."""
        if found := words.occurring:
            self.state.only_numbers = all(map(is_number_text, found))
            if self.state.numbers_first is None:
                row = int(np.argmin(words.missing))
                self.state.numbers_first = ValueSample(place.source, int(place.rows[row]), value(row))

    def _unique(self, column: Column, place: Place, value: Callable[[int], str]) -> None:
        keys, known = self._keys(column)
        again = np.zeros(keys.size, dtype=np.bool_)
        again[known] = self.seen.repeated(keys[known])
        self.unjudged += int(np.count_nonzero(~known & _too_large(column)))
        self._break("unique", again, place, value)

    def _keys(self, column: Column) -> tuple[Keys, Bools]:
        if self.name != ID:
            return keys_of(column)
        keys = hashes_of(column, column.size)
        return keys, keys != NO_ID

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
        elif self._row_rules.texts_alone and state.present and state.only_numbers and state.numbers_first is not None:
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

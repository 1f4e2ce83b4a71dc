"""Decoded rows against a data contract (HOT): by their columns where these tell, by the values as they came where not.

A column of the decoder tells a number, and that something is there which is none; of a category its code. What it does not
tell – which spelling of a category a row had, a text that the reference does not know, a whole number above 2⁵³ – is read
again, those rows alone. Either way the rules are those of `driftd contract check` (`RowRules`), and so are the answers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Column
from detectors.contract import ColumnRules, ColumnType, Ordering
from detectors.contract.contract import SIGNS
from detectors.contract.judging import JudgedRows, Ordered, RowRules
from detectors.contract.values import EXACT, each_once
from detectors.features import Bools, Floats
from detectors.sketches.violations import Rule
from monitor.series.contract import ID, SHARE, TIME, ContractSpec
from monitor.sources.decode.contract_numbers import NumberBlock, tells_truth
from monitor.sources.decode.contract_raw import Found, IdColumn, RawColumn, Unsure, may_tell, told
from monitor.sources.formats.base import RESPONSE, SeriesRows, only_rows
from monitor.sources.formats.categories import CategoryTable
from monitor.sources.formats.fields import OF_ID, PREDICTION, Path, SeriesFields
from monitor.sources.formats.values import unusable
from monitor.stream.violations import RowViolations

OF_SCHEMA = "type", "required", SHARE  # rules that say how a schema is
SILENT = "required", SHARE  # there is nothing to show


@dataclass(frozen=True, slots=True)
class Changes:
    """Which rows lack a column or have it otherwise than agreed, and in which it is of another type, bool[k, n]; None: in none."""

    columns: tuple[str, ...] = ()
    changed: NDArray[np.bool_] | None = None
    wrong: NDArray[np.bool_] | None = None


Look = Callable[[SeriesRows, bool], Found | None]
"""Judges a column of rows, None where all keep it; told whether objects stand where a category is expected."""


# --- what the columns tell ----------------------------------------------------------------------------------------------


class NumberColumn:
    """A column that is decoded to numbers."""

    def __init__(self, at: int, rules: RowRules) -> None:
        self.at = at
        self._rules = rules
        self._typeless = rules.rules.type is None and not rules.asks_words
        self._words = not rules.rules.is_number and rules.rules.type is not ColumnType.TIME and rules.asks_words
        timed = rules.rules.type is ColumnType.TIME
        self._rereads = self._words or timed  # a text may be what is asked for
        self._exact = self._rereads or rules.rules.values is not None  # a float must tell each value from the next
        self.flags = timed or tells_truth(rules)

    def __call__(self, part: SeriesRows, objects: bool) -> Found | None:  # noqa: FBT001 - of a Look
        """Judge it."""
        del objects
        values = part.numeric[:, self.at]
        judged, there = self._rules.judge(values), unusable(values)
        if not self._rereads:
            wrong = judged.wrong | there if self._rules.rules.is_number else judged.wrong
            judged = JudgedRows(judged.missing & ~there, wrong, judged.broken, judged.ordered)
            there = np.zeros(0, dtype=np.bool_)
        return Found(judged, self._unsure(part, values, there))

    def _unsure(self, part: SeriesRows, values: Floats, there: Bools) -> Unsure:
        unsure = there if there.size else np.zeros(values.size, dtype=np.bool_)
        if self._exact:
            unsure = unsure | (np.abs(values) >= EXACT)
        if self._typeless:
            unsure = unsure | np.isinf(values)  # of a whole number beyond all floats, which is there
        if self.flags:
            unsure = unsure | self._truths(part, values)
        return unsure if unsure.any() else None

    def _truths(self, part: SeriesRows, values: Floats) -> Bools:
        """The rows that may hold a truth value: those that whoever read them says, else all of 0 and 1."""
        may = (values == 0) | (values == 1)
        if part.suspects is None:
            return np.asarray(may)
        columns, rows = part.suspects.others
        told = np.zeros(values.size, dtype=np.bool_)
        told[rows[columns == self.at]] = True
        return np.asarray(may & told)


class CodeColumn:
    """A column that is decoded to codes: each code's verdict is found once, unless spellings of it differ."""

    MISSING, WRONG, UNKNOWN, ODD, UNSURE = 1, 2, 4, 8, 16

    def __init__(self, at: int, rules: RowRules, table: CategoryTable) -> None:
        self._at = at
        self._rules = rules
        self._missing = table.missing
        spellings: dict[int, set[int]] = {code: set() for code in range(table.unseen)}
        for text, code in table.items():
            if text is not None and code < table.unseen:
                spellings[code].add(self._verdict(text))
        verdicts = [next(iter(found)) if len(found) == 1 else self.UNSURE for found in spellings.values()]
        self._verdicts = np.array([*verdicts, self._of_unseen(table), self.MISSING], dtype=np.uint8)
        self._known_kept = not any(verdicts)
        self.is_unsure = bool((self._verdicts == self.UNSURE).any())
        self._with_objects = self._verdicts.copy()
        self._with_objects[self._missing] = self.UNSURE

    def _verdict(self, text: str) -> int:
        if not self._rules.asks_words:
            return 0
        judged = self._rules.judge(np.array([text, None], dtype=object)[:1])
        broken = judged.broken
        return (
            self.MISSING * bool(judged.missing[0])
            + self.WRONG * bool(judged.wrong[0])
            + self.UNKNOWN * bool("values" in broken and broken["values"][0])
            + self.ODD * bool("matches" in broken and broken["matches"][0])
        )

    def _of_unseen(self, table: CategoryTable) -> int:
        """Of a text that the reference does not know."""
        rules = self._rules.rules
        if rules.type is ColumnType.BOOLEAN or rules.matches is not None:
            return self.UNSURE
        if rules.values is None:
            return 0
        return self.UNKNOWN if self._rules.knows_only(table.keys()) else self.UNSURE

    def __call__(self, part: SeriesRows, objects: bool) -> Found | None:  # noqa: FBT001 - of a Look
        """Judge it."""
        codes = part.codes[:, self._at]
        if self._known_kept and codes.max() < self._missing - 1:
            return None
        flags = (self._with_objects if objects else self._verdicts)[codes]
        if not flags.any():
            return None
        if (suspect := told(part, self._at)) is not None:
            flags = np.where(suspect | (flags != self.UNSURE), flags, 0)
        missing, wrong, unknown, odd, unsure = (
            (flags & bit).astype(np.bool_) for bit in (self.MISSING, self.WRONG, self.UNKNOWN, self.ODD, self.UNSURE)
        )
        judged = JudgedRows(missing, wrong, {"values": unknown, "matches": odd})
        return Found(judged, unsure if unsure.any() else None)


class EventTimeColumn:
    """The event time, which every row has."""

    def __init__(self, rules: RowRules) -> None:
        self._rules = rules

    def __call__(self, part: SeriesRows, objects: bool) -> Found | None:  # noqa: FBT001 - of a Look
        """Judge it."""
        del objects
        return Found(self._rules.judge(part.times.view("datetime64[ns]")))


# --- a contract ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CheckedColumn:
    """One column of a contract that rows are held against: where messages have it, and what its columns tell."""

    name: str
    path: Path
    rules: RowRules
    look: Look


class RowContract:
    """The contract of one series, at work on decoded rows."""

    def __init__(self, series: SeriesFields, spec: ContractSpec) -> None:
        self.spec = spec
        self.seen = seen_by(series)
        self._series = series
        self._comparisons = [
            each for each in spec.contract.comparisons if each.left in self.seen and each.right in self.seen
        ]
        compared = {name for each in self._comparisons for name in (each.left, each.right)}
        numeric = [name for name, _ in series.numeric[: series.own[0]]]
        rules = {name: RowRules(each) for name, each in spec.contract.columns.items() if name in self.seen}
        plain = {name: numeric.index(name) for name in rules if name in numeric and rules[name].rules.is_number}
        self._numbers = NumberBlock({at: (name, rules[name]) for name, at in plain.items()}, series.own[0])
        self._in_order = {name: at for name, at in plain.items() if name in compared}
        self._left = {at: self._column(name, rules[name]) for name, at in plain.items()}  # where numbers do not tell
        self._columns = [
            self._column(name, each)
            for name, each in rules.items()
            if name not in plain and (asks(each.rules) or name in compared)
        ]
        self._optional = {  # what they lack says nothing by itself: only beside it can all values be of a new type
            name: at
            for name, rules in spec.contract.columns.items()
            if name in self.seen and rules.type is not None and not rules.must_be_there
            if (at := _column_at(series, name)) is not None
        }
        self._rising = {
            name: None if name == TIME else numeric.index(name)
            for name in spec.rising(self.seen)
            if name == TIME or name in numeric
        }
        self._known = frozenset(spec.contract.columns) | series.fields.among_features
        series.placed = True
        looks = [column.look for column in self._columns]
        series.bounds = self._numbers.bounds(
            [each.at for each in looks if isinstance(each, NumberColumn) and each.flags]
        )

    def _column(self, name: str, rules: RowRules) -> CheckedColumn:
        compared = any(name in {each.left, each.right} for each in self._comparisons)
        return CheckedColumn(name, self.seen[name], rules, look_of(self._series, name, rules, compared=compared))

    @property
    def rules(self) -> list[Rule]:
        """All that may be broken."""
        return list(self.spec.rules(self.seen))

    @property
    def columns(self) -> list[CheckedColumn]:
        """Those of which not only bounds of numbers are asked."""
        return self._columns

    def path(self, name: str) -> Path:
        """Where messages have a column."""
        return self.seen[name]

    def check(self, part: SeriesRows, *, objects: bool = True) -> RowViolations | None:
        """The rules that rows break; None where all keep them. `objects` may stand where a category is expected."""
        numbers = self._numbers.broken(part)
        broken = self._of_columns(part, numbers.left, objects=objects)
        if not broken and not numbers.rules:
            return None
        if not broken:
            return RowViolations(
                numbers.rules, numbers.rows, self._excluded(numbers.rules, numbers.rows), numbers.counts
            )
        rules = *numbers.rules, *broken
        rows = np.stack([*numbers.rows, *broken.values()])
        counts = np.array([*numbers.counts, *map(np.count_nonzero, broken.values())], dtype=np.int64)
        return RowViolations(rules, rows, self._excluded(rules, rows), counts)

    def _of_columns(self, part: SeriesRows, left: tuple[int, ...], *, objects: bool) -> dict[Rule, Bools]:
        """What of the columns is broken that are not judged all at once, and of comparisons."""
        columns = [*self._columns, *map(self._left.__getitem__, left)]
        found = {column: known for column in columns if (known := column.look(part, objects)) is not None}
        judged = dict(self._judged(part, found))
        broken = dict(chain(*(_broken(column, each) for column, each in judged.items())))
        if self._comparisons:
            ordered = {column.name: each.ordered for column, each in judged.items()}
            ordered |= {name: self._numbers.ordered(part, at) for name, at in self._in_order.items()}
            broken |= {(each.left, str(each)): rows for each, rows in self._compare(ordered)}
        return {rule: rows for rule, rows in broken.items() if rows.any()}

    def changes(self, part: SeriesRows, found: RowViolations | None) -> Changes:
        """The rows that lack a column, or have it of another type than agreed."""
        asked: list[tuple[int, Rule]] = []
        if found is not None:
            columns = self.spec.contract.columns
            asked = [
                (at, (name, rule))
                for at, (name, rule) in enumerate(found.rules)
                if rule in OF_SCHEMA and name in columns
            ]
        lacking = {name: lacks for name in self._optional if (lacks := self._lacks(part, name)).any()}
        if found is not None and not lacking and all(rule != "type" for _, (_, rule) in asked):
            places = [at for at, _ in asked]
            every = len(places) == len(found.rules)
            return Changes(tuple(name for _, (name, _) in asked), found.rows if every else found.rows[places])
        return _together(len(part.times), [(rule, found.rows[at]) for at, rule in asked] if found else [], lacking)

    def _lacks(self, part: SeriesRows, name: str) -> Bools:
        """The rows without a column that need not be there."""
        numbers, at = self._optional[name]
        if numbers:
            return np.isnan(part.numeric[:, at])
        return np.asarray(part.codes[:, at] == self._series.tables[at].missing)

    def rising(self, part: SeriesRows) -> dict[str, NDArray[Any]]:
        """The values of columns that are to rise."""
        return {name: part.times if at is None else part.numeric[:, at] for name, at in self._rising.items()}

    def new_in(self, row: Mapping[Path, object]) -> list[str]:
        """The features of a row that the contract does not know."""
        return self._series.named(row, self._known)

    def _excluded(self, rules: tuple[Rule, ...], rows: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
        """The rows that are counted as violations alone: a value that may be missing now and then excludes none."""
        if not self.spec.exclude:
            return None
        excluded = rows[[rule != SHARE for _, rule in rules]].any(axis=0)
        return np.asarray(excluded) if excluded.any() else None

    @cached_property
    def shown(self) -> Mapping[Rule, Sequence[str]]:
        """The rules of which broken values are shown, and the columns that each asks of. Of what lacks there is none, and ids are not shown."""
        compared = {(each.left, str(each)): (each.left, each.right) for each in self._comparisons}
        columns = {rule: compared.get(rule, (rule[0],)) for rule in self.rules if rule[1] not in SILENT}
        return {rule: names for rule, names in columns.items() if {ID, TIME}.isdisjoint(names)}

    def _judged(
        self, part: SeriesRows, found: Mapping[CheckedColumn, Found]
    ) -> Iterator[tuple[CheckedColumn, JudgedRows]]:
        """What is found of each column, the rows read again of which columns do not tell."""
        unsure = [known.unsure for known in found.values() if known.unsure is not None]
        if not unsure:
            yield from ((column, known.judged) for column, known in found.items())
            return
        rows = np.flatnonzero(np.logical_or.reduce(unsure))
        again = raw_columns(part, rows, [column.path for column, known in found.items() if known.unsure is not None])
        for column, known in found.items():
            if known.unsure is None:
                yield column, known.judged
                continue
            those = np.flatnonzero(known.unsure)
            values = only_rows(again[column.path], np.searchsorted(rows, those))
            judged = column.rules.judge(each_once(values))
            yield column, patched(known.judged, those, judged)

    def _compare(self, ordered: Mapping[str, Ordered | None]) -> Iterator[tuple[Ordering, Bools]]:
        for each in self._comparisons:
            left, right = ordered.get(each.left), ordered.get(each.right)
            if left is not None and right is not None:
                yield each, left.known & right.known & ~SIGNS[each.sign](left.values, right.values)


def _together(rows: int, broken: Sequence[tuple[Rule, Bools]], lacking: Mapping[str, Bools]) -> Changes:
    """The rows of each column, by what of them is broken and where it lacks."""
    columns = tuple(dict.fromkeys([*(name for (name, _), _ in broken), *lacking]))
    if not columns:
        return Changes()
    changed, wrong = np.zeros((2, len(columns), rows), dtype=np.bool_)
    for (name, rule), those in broken:
        changed[columns.index(name)] |= those
        if rule == "type":
            wrong[columns.index(name)] = those
    for name, those in lacking.items():
        changed[columns.index(name)] |= those
    return Changes(columns, changed, wrong)


def _column_at(series: SeriesFields, name: str) -> tuple[bool, int] | None:
    """Whether a column of the reference is among the numbers, and where it stands."""
    numbers, codes = series.own
    for held, is_number in ((series.numeric[:numbers], True), (series.categorical[:codes], False)):
        for at, (known, _) in enumerate(held):
            if known == name:
                return is_number, at
    return None


def slow_columns(series: SeriesFields, spec: ContractSpec, *, compiled: bool) -> list[str]:
    """The columns of which every event is read again, at several times the cost; whether the compiled reader is there to tell."""
    return [column.name for column in RowContract(series, spec).columns if reads_all(column.look, compiled=compiled)]


def reads_all(look: Look, *, compiled: bool) -> bool:
    """Whether it is told nothing by what was decoded."""
    return isinstance(look, RawColumn | IdColumn) and look.needs_values and not (compiled and look.tells)


def asks(rules: ColumnRules) -> bool:
    """Whether a row alone can break any of these rules."""
    given = rules.type, rules.min, rules.max, rules.values, rules.matches, rules.max_missing
    return rules.required or any(each is not None for each in given)


def seen_by(series: SeriesFields) -> dict[str, Path]:
    """The columns that the mapping of a series sees, and where messages have them."""
    numbers, codes = series.own
    seen = dict([*series.numeric[:numbers], *series.categorical[:codes]])
    if not series.fields.predicts:
        seen.pop(PREDICTION, None)
    if series.half == RESPONSE:
        return seen  # id and time are those of the request
    if series.id:
        seen[ID] = series.id
    return seen | {TIME: series.fields.timestamp}


def look_of(series: SeriesFields, name: str, rules: RowRules, *, compared: bool) -> Look:
    """How a column of the contract is judged. Of those that are compared all values are needed."""
    if name == TIME:
        return EventTimeColumn(rules)
    if name == ID:
        return IdColumn(rules, tells=not compared and may_tell(series, OF_ID, rules))
    numeric = [name for name, _ in series.numeric]
    if name in numeric:
        return NumberColumn(numeric.index(name), rules)
    at = [name for name, _ in series.categorical].index(name)
    table = series.tables[at]
    if rules.rules.type is not None and rules.rules.type.is_ordered:
        return RawColumn(at, table, tells=not compared and may_tell(series, at, rules))
    column = CodeColumn(at, rules, table)
    if column.is_unsure:
        may_tell(series, at, rules)
    return column


def raw_columns(part: SeriesRows, rows: NDArray[np.intp], paths: list[Path]) -> dict[Path, Column]:
    """The values of some rows at some paths as they came."""
    nothing = np.full(rows.size, None, dtype=object)
    if part.reread is not None:
        again = part.reread(rows, paths)
        if len(again) == rows.size:
            return {path: _or(again.column(path), nothing) for path in paths}
    values = [part.look(row, paths) for row in rows.tolist()]
    return {
        path: np.fromiter((each[at] for each in values), dtype=object, count=rows.size) for at, path in enumerate(paths)
    }


def _or(column: Column | None, otherwise: Column) -> Column:
    return otherwise if column is None else column


def patched(judged: JudgedRows, rows: NDArray[np.intp], known: JudgedRows) -> JudgedRows:
    """Rows with some of them judged anew."""
    broken = {
        rule: _put(judged.broken.get(rule), judged.missing.size, rows, known.broken.get(rule))
        for rule in judged.broken.keys() | known.broken.keys()
    }
    ordered = known.ordered
    if ordered is not None:
        before = judged.ordered
        nothing: Any = np.zeros(judged.missing.size, dtype=ordered.values.dtype)
        values = nothing if before is None else before.values.copy()
        values[rows] = ordered.values
        known_rows = _put(None if before is None else before.known, judged.missing.size, rows, ordered.known)
        ordered = Ordered(values, known_rows)
    missing, wrong = (
        _put(before, judged.missing.size, rows, now)
        for before, now in ((judged.missing, known.missing), (judged.wrong, known.wrong))
    )
    return JudgedRows(missing, wrong, broken, ordered)


def _put(before: Bools | None, size: int, rows: NDArray[np.intp], now: Bools | None) -> Bools:
    found = np.zeros(size, dtype=np.bool_) if before is None else before.copy()
    found[rows] = False if now is None else now
    return found


def _broken(column: CheckedColumn, judged: JudgedRows) -> Iterator[tuple[Rule, Bools]]:
    """What of a column is broken, as `driftd contract check` calls it."""
    rules = column.rules.rules
    if rules.type is not None:
        yield (column.name, "type"), judged.wrong
    if rules.required:
        yield (column.name, "required"), judged.missing
    elif rules.max_missing is not None:
        yield (column.name, SHARE), judged.missing
    yield from (((column.name, rule), rows) for rule, rows in judged.broken.items())

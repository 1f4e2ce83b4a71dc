"""What a contract asks of ids, and of categories what their codes do not tell: by the reader who was told what surely keeps it."""

from dataclasses import dataclass

import numpy as np

from detectors.contract import ColumnType
from detectors.contract.judging import JudgedRows, RowRules
from detectors.contract.patterns import table_of
from detectors.features import LARGEST, Bools
from monitor.sources.decode.contract_numbers import ALMOST
from monitor.sources.formats.base import SeriesRows
from monitor.sources.formats.categories import CategoryTable
from monitor.sources.formats.fields import OF_ID, Bounds, Keeping, SeriesFields
from monitor.sources.formats.values import is_writable

Unsure = Bools | None
"""The rows that are to be read again; None: no row."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What the columns tell of some rows, and which rows they do not tell of, bool[n]."""

    judged: JudgedRows
    unsure: Unsure = None


def keeping_of(rules: RowRules) -> Keeping | None:
    """What surely keeps the rules of a column; None where whoever reads messages cannot tell."""
    kind, matches = rules.rules.type, rules.rules.matches
    table = None if matches is None else table_of(matches)
    if matches is not None and table is None:
        return None
    worded = kind in {None, ColumnType.TEXT}  # then a number is its digits
    least, most = (-LARGEST if rules.least is None else max(rules.least, -LARGEST)), rules.most
    return Keeping(
        texts=worded,
        numbers=kind is not ColumnType.BOOLEAN,
        truth=worded or kind is ColumnType.BOOLEAN,
        nothing=not rules.rules.required and rules.rules.max_missing is None,
        times=kind is ColumnType.TIME,
        bounds=Bounds(
            least, ALMOST if most is None else min(most, ALMOST), kind is ColumnType.INTEGER, flags=False, values=None
        ),
        known=None if rules.texts is None else list(filter(is_writable, rules.texts)),
        kinds=b"" if table is None else table.kinds.tobytes(),
        after=b"" if table is None else table.after.tobytes(),
        ends=b"" if table is None else table.ends.tobytes(),
    )


def told(part: SeriesRows, slot: int) -> Bools | None:
    """The rows that may not keep what is asked of a column of categories, or of the id, bool[n]; None where nobody has told."""
    if part.suspects is None or slot not in part.series.keeping:
        return None
    columns, rows = part.suspects.others
    found = np.zeros(len(part.times), dtype=np.bool_)
    place = len(part.series.numeric) + (len(part.series.tables) if slot == OF_ID else slot)
    found[rows[columns == place]] = True
    return found


def may_tell(series: SeriesFields, slot: int, rules: RowRules) -> bool:
    """Have whoever reads messages tell what may not keep the rules of a column; whether it can."""
    keeping = keeping_of(rules)
    if keeping is not None:
        series.keeping[slot] = keeping
    return keeping is not None


class IdColumn:
    """The id of a row: what may not keep the rules is told by its reader, else by its hash, which says that there is one."""

    def __init__(self, rules: RowRules, *, tells: bool) -> None:
        hashed = rules.rules.type in {None, ColumnType.TEXT}  # whatever has a hash is a text
        self.needs_values = rules.rules.values is not None or rules.rules.matches is not None or not hashed
        self.tells = tells

    def __call__(self, part: SeriesRows, objects: bool) -> Found | None:  # noqa: FBT001 - of a Look
        """Judge it."""
        del objects
        unsure = told(part, OF_ID)
        if unsure is None:
            unsure = (
                np.ones(len(part.times), dtype=np.bool_) if self.needs_values or part.ids is None else part.ids == 0
            )
        return Found(nothing_judged(unsure.size), unsure) if unsure.any() else None


class RawColumn:
    """A column of categories of which the values as they came tell, and no codes but that of nothing."""

    def __init__(self, at: int, table: CategoryTable, *, tells: bool) -> None:
        self._at = at
        self._missing = table.missing
        self.needs_values = True
        self.tells = tells

    def __call__(self, part: SeriesRows, objects: bool) -> Found | None:  # noqa: FBT001 - of a Look
        """Judge what is missing."""
        unsure = told(part, self._at)
        if unsure is None:
            unsure = np.ones(len(part.times), dtype=np.bool_)
        elif not unsure.any():
            return None
        nothing = np.zeros(unsure.size, dtype=np.bool_)
        missing = nothing if objects else part.codes[:, self._at] == self._missing
        return Found(JudgedRows(missing, nothing), unsure & ~missing)


def nothing_judged(rows: int) -> JudgedRows:
    """So many rows of which nothing is known."""
    nothing = np.zeros(rows, dtype=np.bool_)
    return JudgedRows(nothing, nothing)

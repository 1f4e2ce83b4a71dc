"""Whole columns, however they hold their values, as what rules look at: numbers, texts, times; and what is none of these."""

import datetime as dt
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.columns import NUMBERS, Coded, Column, as_written_floats, distinct
from detectors.contract.contract import UNITS
from detectors.features import LARGEST, Bools, Floats, Ints, canonical
from detectors.spellings import is_flag

TIMES = "Mm"  # numpy's kinds: moments and spans
SCALARS = (str, bool, int, float, np.generic, Decimal)
NOT_A_TIME = int(np.iinfo(np.int64).min)  # how numpy stores NaT
LATEST = 2**63 - 1
NONE = type(None)
EXACT = 2.0**53  # below it a float tells whole numbers apart: 2^53 + 1 becomes 2^53
MOST_SHOWN = 40  # characters of a value
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
DAY_SECONDS = 86_400
LEAP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}.[0-9]{2}:[0-9]{2}:)60(|[.,Z+-].*)"
)  # in one place: a long text costs no more


def each_once(column: Column) -> Column:
    """A column of objects told by its values, each once, or as the numbers that it holds; other columns as they are.

    1, 1.0, "1" and True stay apart, and no whole number loses a digit.
    """
    if isinstance(column, Coded) or column.dtype.kind not in "OU":
        return column
    values = column.tolist()
    types = set(map(type, values))
    if types <= {float, int, NONE} and (numbers := _exact_floats(values)) is not None:
        return numbers
    alike = types <= {str, NONE} or (len(types) == 1 and types <= {int, bool})
    keys = values if alike else [_apart(value) for value in values]
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    rows = np.fromiter(map(places.__getitem__, keys), dtype=np.int64, count=len(keys))
    return Coded(tuple(values[first] for first in np.unique(rows, return_index=True)[1].tolist()), rows)


def _apart(value: object) -> object:
    """A key of a value among values of several types; one list stands for all lists."""
    return (type(value), value) if isinstance(value, SCALARS) else type(value)


def _exact_floats(values: list[Any]) -> Floats | None:
    """Numbers as float64[n], NaN for None; None where one of them is too large to be told from the next."""
    try:
        numbers = np.array(values, dtype=np.float64)
    except OverflowError:
        return None
    with np.errstate(invalid="ignore"):
        return None if (np.abs(numbers) >= EXACT).any() else numbers


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """float64[n] with what is missing and what is no number, bool[n]; the value counts where it is neither."""

    values: Floats
    missing: Bools
    wrong: Bools


def numbers_in(column: Column) -> Numbers:
    """A column as numbers: truth is 1 and 0, what is not finite is missing, a text is none."""
    if isinstance(column, Coded):
        read = [_number(value) for value in column.values]
        values = np.array([math.nan if number is None else number for number in read], dtype=np.float64)[column.rows]
        wrong = np.array([number is None for number in read], dtype=np.bool_)[column.rows]
    elif column.dtype.kind in f"b{NUMBERS}":
        values, wrong = as_written_floats(column), np.zeros(column.size, dtype=np.bool_)
    else:
        values = np.full(column.size, math.nan)
        wrong = ~np.isnat(column) if column.dtype.kind in TIMES else np.ones(column.size, dtype=np.bool_)
    return Numbers(values, ~(np.abs(values) < LARGEST) & ~wrong, wrong)


def _number(value: Any) -> float | None:
    """A value as a number, NaN where it is missing, None where it is none."""
    if value is None:
        return math.nan
    if isinstance(value, str) or not isinstance(value, SCALARS):
        return None
    try:
        return float(canonical(value) or "nan") if isinstance(value, np.float32 | np.float16) else float(value)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):  # a numpy scalar that is a time or bytes
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """The texts of a column, each maybe twice, with int64[n] saying which one a row has; `wrong` is what has no text, bool[n]."""

    texts: list[str | None]
    rows: Ints
    wrong: Bools

    @property
    def missing(self) -> Bools:
        """Which rows have none, bool[n]."""
        return self._rows(text is None for text in self.texts) & ~self.wrong

    def which(self, holds: Callable[[str], bool]) -> Bools:
        """The rows for whose text something holds, bool[n]; it is asked once a text."""
        return self._rows(text is not None and holds(text) for text in self.texts)

    def _rows(self, found: Iterable[bool]) -> Bools:
        return np.asarray(np.fromiter(found, dtype=np.bool_, count=len(self.texts))[self.rows])

    @property
    def occurring(self) -> list[str]:
        """The texts that some row has."""
        counts = np.bincount(self.rows, minlength=len(self.texts)).tolist()
        return [text for text, count in zip(self.texts, counts, strict=True) if count and text is not None]


def words_in(column: Column) -> Words:
    """A column as the texts under which its values are counted as categories."""
    texts, rows = distinct(column)
    if isinstance(column, Coded):
        wrong = np.array([_is_no_word(value) for value in column.values], dtype=np.bool_)[column.rows]
    else:
        wrong = ~np.isnat(column) if column.dtype.kind in TIMES else np.zeros(column.size, dtype=np.bool_)
    return Words(texts, rows, wrong)


def _is_no_word(value: Any) -> bool:
    if value is None or isinstance(value, str | int):
        return False
    return not (isinstance(value, float | np.floating) and not math.isfinite(value)) and canonical(value) is None


def nothing_in(column: Column) -> Bools:
    """Which rows have nothing, whatever the others have, bool[n]."""
    if isinstance(column, Coded):
        return np.asarray(np.array([_is_nothing(value) for value in column.values], dtype=np.bool_)[column.rows])
    match column.dtype.kind:
        case "f":
            return ~np.isfinite(column)
        case "M" | "m":
            return np.isnat(column)
    return np.zeros(column.size, dtype=np.bool_)


def is_truth(text: str) -> bool:
    """Whether a text is a truth value, however it is spelled."""
    return is_flag([text])


def is_number_text(text: str) -> bool:
    """Whether a text is that of a number."""
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """int64[n] nanoseconds since the epoch, with what is missing and what is no time, bool[n]."""

    values: Ints
    missing: Bools
    wrong: Bools


def times_in(column: Column, unit: str) -> Times:
    """A column as times: of any type, of RFC 3339 texts (UTC where no zone is said), of numbers since the epoch in a unit."""
    if isinstance(column, Coded):
        read = [_time(value, UNITS[unit]) for value in column.values]
        values = np.array([NOT_A_TIME if time is None else time for time in read], dtype=np.int64)[column.rows]
        empty = np.array([_is_nothing(value) for value in column.values], dtype=np.bool_)[column.rows]
        return Times(values, empty, (values == NOT_A_TIME) & ~empty)
    missing = nothing_in(column)
    if column.dtype.kind not in f"M{NUMBERS}":
        return Times(np.full(column.size, NOT_A_TIME), missing, ~missing)
    values = _nanos(column) if column.dtype.kind == "M" else _epochs(column, UNITS[unit], missing)
    return Times(values, missing, np.zeros(column.size, dtype=np.bool_))


def _epochs(column: NDArray[Any], unit: int, missing: Bools) -> Ints:
    """Numbers in a unit as nanoseconds, int64[n]; those too far away stay at the ends, as `_time` has it of each."""
    bound = LATEST // unit
    with np.errstate(invalid="ignore"):
        far = (column >= bound) & ~missing
        far |= (column <= -bound) & ~missing if column.dtype.kind in "if" else False
    near = _near_epochs(column, unit, missing | far)
    if far.any():
        values, which = np.unique(column[far], return_inverse=True)
        near[far] = np.array([_time(value, unit) for value in values.tolist()], dtype=np.int64)[which]
    return near


def _near_epochs(column: NDArray[Any], unit: int, left: Bools) -> Ints:
    """The same of numbers that are not far away; those `left` are any."""
    if column.dtype.kind == "f":
        near = np.where(left, 0.0, column)
        whole = np.floor(near)
        return np.asarray(whole.astype(np.int64) * unit + np.rint((near - whole) * unit).astype(np.int64))
    return np.asarray(np.where(left, 0, column).astype(np.int64) * unit)


def _nanos(column: NDArray[Any]) -> Ints:
    """Times of any unit as nanoseconds, int64[n]; those beyond 1677 and 2262 stay at the ends."""
    seconds = column.astype("datetime64[s]").view(np.int64)
    far = (np.abs(seconds) >= LATEST // UNITS["s"]) & ~np.isnat(column)
    nanos = np.where(far, np.datetime64("NaT"), column).astype("datetime64[ns]").view(np.int64)
    return np.where(far, np.where(seconds < 0, -LATEST, LATEST), nanos)


def _is_nothing(value: object) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _time(value: Any, unit: int) -> int | None:
    """One value as nanoseconds; None where it is no time."""
    if isinstance(value, str):
        return _time_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or _is_nothing(value):
        return None
    whole = math.floor(value)
    return max(-LATEST, min(LATEST, whole * unit + round((value - whole) * unit)))


def _time_text(text: str) -> int | None:
    """RFC 3339 as events have it: UTC where no zone is said, and a leap second is the next second."""
    plain = text.strip().upper()
    leap = LEAP.fullmatch(plain)
    try:
        time = dt.datetime.fromisoformat(plain if leap is None else f"{leap[1]}59{leap[2]}")
    except ValueError:
        return None
    aware = time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time
    nanos = (aware - EPOCH) // MICROSECOND * 1_000
    if leap is not None and nanos // UNITS["s"] % DAY_SECONDS != DAY_SECONDS - 1:
        return None
    return max(-LATEST, min(LATEST, nanos if leap is None else nanos + UNITS["s"]))


def shown(column: Column, row: int) -> str:
    """The value of a row, shortened, for words."""
    if isinstance(column, Coded):
        value: Any = column.values[int(column.rows[row])]
    elif column.dtype.kind == "M":
        value = column[row]
        return "nothing" if np.isnat(value) else str(np.datetime_as_string(value, unit="auto"))
    else:
        only = column[row : row + 1]
        value = (as_written_floats(only) if column.dtype.kind == "f" else only).tolist()[0]
    if _is_nothing(value) and not (isinstance(value, float) and math.isinf(value)):
        return "nothing"
    text = repr(value) if isinstance(value, str) or canonical(value) is None else str(canonical(value))
    text = " ".join(text.split())
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"


def kind_words(value: object) -> str:
    """What a value is, for words."""
    match value:
        case dict() | list() | tuple() | np.ndarray():
            return "nested"
        case str():
            return "text"
        case bool() | np.bool_():
            return "truth values"
        case int() | float() | Decimal() | np.number():
            return "numbers"
        case bytes():
            return "bytes"
        case _:
            return "times"


def kind_of(column: Column, row: int) -> str:
    """What the value of a row is, for words."""
    if not isinstance(column, Coded) and column.dtype.kind in TIMES:
        return "times"
    return kind_words(column.values[int(column.rows[row])] if isinstance(column, Coded) else column[row].item())

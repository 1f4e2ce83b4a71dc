"""Tables as people hold them, to columns: pandas, polars and pyarrow as they are, and dictionaries of arrays."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from detectors.columns import Coded, as_columns
from detectors.features import Ints, canonical

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

Library = Literal["pandas", "polars", "pyarrow"]
TableLike = Any  # a table of pandas, polars or pyarrow, or a Mapping[str, ArrayLike]
NUMBERS = int | float | np.number  # of which those that are not finite have no text
STRANGE = (dt.date, dt.time, dt.timedelta, bytes, list, tuple, dict, np.ndarray)  # what no feature is made of


def columns_of(data: TableLike, names: Iterable[str] | None = None) -> dict[str, ArrayLike | Coded]:
    """Return a table's columns by name, those among `names` where they are given and there.

    An index of pandas is no column; one that `names` asks for by its name is.

    Args:
        data: A table of pandas, polars or pyarrow, or a dictionary of arrays, lists or series.
        names: The columns wanted; all where absent.

    Returns:
        Arrays that `Reference.encode` takes, every missing value among them as NaN, NaT or None.

    Raises:
        TypeError: The data is no table, or a lazy one.

    >>> columns_of({"age": [20, 30], "plan": ["free", "pro"]}, ["age"])
    {'age': [20, 30]}
    """
    wanted = None if names is None else set(names)
    if isinstance(data, Mapping):
        return {name: _series(values) for name, values in data.items() if wanted is None or name in wanted}
    frame = _with_index(_frame(data), wanted)
    return {name: _column(frame[name]) for name in frame.columns if wanted is None or name in wanted}


def library_of(data: TableLike) -> Library | None:
    """Return the library that a table is of: pandas, polars or pyarrow; None for a dictionary and what is no table."""
    if isinstance(data, Mapping):
        return None
    from narwhals.stable.v2 import from_native
    from narwhals.stable.v2.dependencies import is_into_dataframe

    if not is_into_dataframe(data):
        return None
    found: Library = from_native(data, eager_only=True).implementation.value
    return found


def column_of(data: TableLike, name: str, option: str) -> dict[str, ArrayLike | Coded]:
    """Return the one column that an option names, by its name. Raises ValueError where there is none."""
    found = columns_of(data, [name])
    if name not in found:
        raise ValueError(f"there is no column {name}; there are {', '.join(_names(data))}; {option}= names it")
    return found


def times_of(data: TableLike, timestamp: str) -> Ints:
    """Return the event times of a table, int64[n] nanoseconds; the smallest integer, which numpy keeps for NaT, where there is none.

    Raises:
        ValueError: There is no such column, or it holds neither datetimes, RFC 3339 texts nor whole nanoseconds.

    >>> times_of({"ts": np.array(["2025-11-23T00:00", "NaT"], dtype="datetime64[m]")}, "ts").tolist()
    [1763856000000000000, -9223372036854775808]
    """
    times = np.asarray(as_columns(column_of(data, timestamp, "timestamp"))[timestamp])
    if times.dtype.kind in "OU":
        times = np.array([_moment(timestamp, value) for value in times.tolist()], dtype="datetime64[ns]")
    if times.dtype.kind == "M":
        times = times.astype("datetime64[ns]").astype(np.int64)
    if times.dtype.kind not in "iu":
        raise ValueError(
            f"{timestamp}: times must be datetimes, RFC 3339 texts or whole nanoseconds, not {times.dtype}"
        )
    return times.astype(np.int64, copy=False)


def _moment(name: str, value: Any) -> dt.datetime | None:
    """One of Python's own objects as a time without a zone, which is UTC."""
    if _missing(value):
        return None
    try:
        found = dt.datetime.fromisoformat(value.strip().upper()) if isinstance(value, str) and "-" in value else value
    except ValueError:
        found = None
    if isinstance(found, dt.datetime):
        return found if found.tzinfo is None else found.astimezone(dt.UTC).replace(tzinfo=None)
    raise ValueError(f"{name}: times must be datetimes, RFC 3339 texts or whole nanoseconds, not {value!r:.40}")


def _missing(value: object) -> bool:
    """Whether an object stands for no value, in any library."""
    return value is None or str(value) in {"NaT", "nan", "<NA>"}


def refuse_strange(columns: Mapping[str, ArrayLike | Coded]) -> None:
    """Raise ValueError naming a column of objects that no feature is made of: dates, lists, bytes and the like.

    Columns that numpy knows as times are refused where they are profiled.

    >>> refuse_strange({"born": np.array([None, dt.date(2000, 1, 1)], dtype=object)})
    Traceback (most recent call last):
    ValueError: born: date is neither number, text nor boolean; leave it out or convert it
    """
    for name, column in columns.items():
        if isinstance(column, list | tuple) or (isinstance(column, np.ndarray) and column.dtype.kind == "O"):
            first = next((value for value in column if isinstance(value, int) or not _missing(value)), None)
            if isinstance(first, STRANGE) or not (canonical(first) or isinstance(first, NUMBERS | str | None)):
                kind = type(first).__name__
                raise ValueError(f"{name}: {kind} is neither number, text nor boolean; leave it out or convert it")


def _names(data: TableLike) -> list[str]:
    return list(data) if isinstance(data, Mapping) else list(_frame(data).columns)


def _frame(data: TableLike) -> "nw.DataFrame[Any]":
    from narwhals.stable.v2 import from_native  # 0.1 s to import; who hands over arrays should not wait for it

    try:
        frame: nw.DataFrame[Any] = from_native(data, eager_only=True)
    except TypeError:
        kind = f"{type(data).__module__.partition('.')[0]}.{type(data).__name__}"
        lazy = "; collect() it first" if hasattr(data, "collect") else ""
        raise TypeError(
            f"{kind} is no table; a table of pandas, polars or pyarrow is one, a dictionary of arrays too{lazy}"
        ) from None
    if all(isinstance(name, str) for name in frame.columns):
        return frame
    named = data.set_axis(
        [str(name) for name in frame.columns], axis=1
    )  # pandas alone has such: its column 0 is called "0"
    renamed: nw.DataFrame[Any] = from_native(named, eager_only=True)
    return renamed


def _with_index(frame: "nw.DataFrame[Any]", wanted: set[str] | None) -> "nw.DataFrame[Any]":
    """Make columns of a pandas index that is asked for by name."""
    from narwhals.stable.v2 import from_native, maybe_get_index

    index = maybe_get_index(frame)
    lacking = set() if wanted is None else wanted - set(frame.columns)
    if index is None or not lacking & set(index.names):
        return frame
    return from_native(frame.to_native().reset_index(list(lacking & set(index.names))), eager_only=True)


def _series(values: Any) -> ArrayLike | Coded:
    """One entry of a dictionary: arrays and lists as they are, a series as a column of a table."""
    if isinstance(values, np.ndarray | list | tuple | Coded):
        return values
    from narwhals.stable.v2 import from_native
    from narwhals.stable.v2.dependencies import is_into_series

    return _column(from_native(values, series_only=True)) if is_into_series(values) else values


def _column(series: "nw.Series[Any]") -> ArrayLike | Coded:
    import narwhals.stable.v2 as nw

    if isinstance(series.dtype, nw.Categorical | nw.Enum | nw.Decimal):
        # pyarrow's dictionaries lose their nulls on the way to numpy (26.0); decimals round in one way only as Python's own.
        values = np.empty(len(series), dtype=object)
        values[:] = series.to_list()
        return values
    return series.to_numpy()

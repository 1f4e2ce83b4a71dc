"""Tables of three libraries and dictionaries of arrays say the same: one reference, bit for bit."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detectors import Kind, Reference
from detectors.tables import columns_of, library_of, times_of
from monitor.commands.reference import FitChoice, fit
from tests.charted import DAY, MONDAY, fitted, mixed

ROWS = 400
RNG = np.random.default_rng(5)
LACKING = RNG.random(ROWS) < 0.1
NUMBERS = RNG.integers(-5, 2**60, ROWS).tolist()
TEXTS = RNG.choice(["free", "pro", "équipe", ""], ROWS).tolist()
LIBRARIES = ("pandas", "polars", "pyarrow")
EPOCH = dt.datetime(2025, 11, 23, tzinfo=dt.UTC)

every_library = pytest.mark.parametrize("library", LIBRARIES)


def holed(values: list[Any]) -> list[Any]:
    """Every tenth value is missing."""
    return [None if lacks else value for value, lacks in zip(values, LACKING.tolist(), strict=True)]


Column = Callable[[list[Any]], Any]
DECIMALS = [Decimal(number) / 10000 for number in RNG.integers(-(10**9), 10**9, ROWS).tolist()]
KINDS: dict[str, tuple[list[Any], dict[str, Column]]] = {
    "ints": (
        NUMBERS,
        {
            "pandas": lambda values: pd.Series(values, dtype="int64"),
            "polars": lambda values: pl.Series(values, dtype=pl.Int64),
            "pyarrow": lambda values: pa.array(values, pa.int64()),
        },
    ),
    "nullable ints": (
        holed(NUMBERS),
        {
            "pandas": lambda values: pd.Series(values, dtype="Int64"),
            "polars": lambda values: pl.Series(values, dtype=pl.Int64),
            "pyarrow": lambda values: pa.array(values, pa.int64()),
        },
    ),
    "ints of arrow in pandas": (
        holed([number % 100 for number in NUMBERS]),
        {
            "pandas": lambda values: pd.Series(values, dtype="uint8[pyarrow]"),
            "polars": lambda values: pl.Series(values, dtype=pl.UInt8),
            "pyarrow": lambda values: pa.array(values, pa.uint8()),
        },
    ),
    "floats": (
        holed(RNG.normal(size=ROWS).tolist()),
        {
            "pandas": lambda values: pd.Series(values, dtype="float64"),
            "polars": lambda values: pl.Series(values, dtype=pl.Float64),
            "pyarrow": lambda values: pa.array(values, pa.float64()),
        },
    ),
    "nullable floats": (
        holed([float(str(value)) for value in RNG.normal(size=ROWS).astype(np.float32)]),  # as they are written
        {
            "pandas": lambda values: pd.Series(values, dtype="Float32"),
            "polars": lambda values: pl.Series(values, dtype=pl.Float32),
            "pyarrow": lambda values: pa.array(values, pa.float32()),
        },
    ),
    "booleans": (
        [number % 3 == 0 for number in NUMBERS],
        {"pandas": pd.Series, "polars": pl.Series, "pyarrow": pa.array},
    ),
    "nullable booleans": (
        holed([number % 3 == 0 for number in NUMBERS]),
        {
            "pandas": lambda values: pd.Series(values, dtype="boolean"),
            "polars": lambda values: pl.Series(values, dtype=pl.Boolean),
            "pyarrow": pa.array,
        },
    ),
    "texts": (
        holed(TEXTS),
        {
            "pandas": lambda values: pd.Series(values, dtype="str"),
            "polars": lambda values: pl.Series(values, dtype=pl.String),
            "pyarrow": lambda values: pa.array(values, pa.large_string()),
        },
    ),
    "texts as objects": (
        holed(TEXTS),
        {
            "pandas": lambda values: pd.Series(values, dtype="object"),
            "polars": lambda values: pl.Series(values, dtype=pl.Object),
            "pyarrow": lambda values: pa.array(values, pa.string_view()),
        },
    ),
    "categoricals": (
        holed(TEXTS),
        {
            "pandas": lambda values: pd.Series(values, dtype="category"),
            "polars": lambda values: pl.Series(values, dtype=pl.Categorical),
            "pyarrow": lambda values: pa.array(values).dictionary_encode(),
        },
    ),
    "enums": (
        holed(TEXTS),
        {
            "pandas": lambda values: pd.Series(
                pd.Categorical(values, ["pro", "équipe", "", "free", "team"], ordered=True)
            ),
            "polars": lambda values: pl.Series(values, dtype=pl.Enum(["pro", "équipe", "", "free", "team"])),
            "pyarrow": lambda values: pa.array(values).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string())),
        },
    ),
    "decimals": (
        holed(DECIMALS),
        {
            "pandas": lambda values: pd.Series(values, dtype="object"),
            "polars": lambda values: pl.Series(values, dtype=pl.Decimal(20, 4)),
            "pyarrow": lambda values: pa.array(values, pa.decimal128(20, 4)),
        },
    ),
    "nothing at all": (
        [None] * ROWS,
        {"pandas": pd.Series, "polars": pl.Series, "pyarrow": pa.array},
    ),
}
TABLES = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}


def table(library: str, columns: dict[str, list[Any]], kinds: dict[str, Column] | None = None) -> Any:
    """The same columns as a table of a library, each made by `kinds` where it is named there."""
    return TABLES[library]({name: (kinds or {}).get(name, list)(values) for name, values in columns.items()})


@every_library
@pytest.mark.parametrize("kind", KINDS)
def test_a_column_of_any_kind_gives_the_same_reference(kind: str, library: str) -> None:
    values, makes = KINDS[kind]
    found = Reference.fit(table(library, {"x": values, "n": list(range(ROWS))}, {"x": makes[library]}))
    plain = Reference.fit({"x": np.array(values, dtype=object), "n": np.arange(ROWS)})

    assert found.hash == plain.hash
    assert found.features["x"].missing == sum(value is None for value in values)


@every_library
@pytest.mark.parametrize("kind", KINDS)
def test_a_window_of_any_kind_gives_the_same_scores(kind: str, library: str) -> None:
    values, makes = KINDS[kind]
    reference = Reference.fit({"x": np.array(values, dtype=object)})
    live = values[: ROWS // 2]

    assert reference.compare(TABLES[library]({"x": makes[library](live)})) == reference.compare(
        {"x": np.array(live, dtype=object)}
    )


@every_library
def test_a_series_may_stand_in_a_dictionary(library: str) -> None:
    values, makes = KINDS["categoricals"]

    assert Reference.fit({"x": makes[library](values)}).hash == Reference.fit({"x": np.array(values, object)}).hash


@every_library
def test_integer_categories_are_numbers(library: str) -> None:
    values = holed([number % 7 for number in NUMBERS])
    makes: dict[str, Column] = {
        "pandas": lambda numbers: pd.Series(numbers, dtype="Int64").astype("category"),
        "polars": pl.Series,
        "pyarrow": lambda numbers: pa.array(numbers).dictionary_encode(),
    }
    found = Reference.fit(table(library, {"x": values}, {"x": makes[library]}))

    assert found.features["x"].kind is Kind.NUMERIC
    assert found.hash == Reference.fit({"x": np.array(values, dtype=object)}).hash


# --- times --------------------------------------------------------------------------------------------------------------


def moments(zone: dt.tzinfo | None) -> list[dt.datetime | None]:
    found = [(EPOCH + dt.timedelta(seconds=number)).astimezone(zone) for number in range(ROWS)]
    return holed([moment.replace(tzinfo=None) if zone is None else moment for moment in found])


@every_library
@pytest.mark.parametrize("zone", [None, dt.UTC, "Europe/Berlin"], ids=str)
def test_times_are_nanoseconds_in_utc(library: str, zone: Any) -> None:
    from zoneinfo import ZoneInfo

    known = zone if not isinstance(zone, str) else ZoneInfo(zone)
    values = (
        moments(known)
        if known is not None
        else [None if value is None else value.replace(tzinfo=None) for value in moments(dt.UTC)]
    )
    name = "UTC" if zone is dt.UTC else zone
    makes: dict[str, Column] = {
        "pandas": lambda times: pd.Series(pd.to_datetime(pd.Series(times, dtype="object"), utc=known is not None)).pipe(
            lambda found: found if name is None else found.dt.tz_convert(name)
        ),
        "polars": lambda times: pl.Series(times, dtype=pl.Datetime("us", name)),
        "pyarrow": lambda times: pa.array(times, pa.timestamp("us", name)),
    }
    found = times_of(TABLES[library]({"ts": makes[library](values)}), "ts")

    seconds = int(EPOCH.timestamp()) * 10**9 + np.arange(ROWS) * 10**9
    assert found.tolist() == np.where(LACKING, np.iinfo(np.int64).min, seconds).tolist()
    assert times_of({"ts": values}, "ts").tolist() == found.tolist()


def test_whole_numbers_are_nanoseconds() -> None:
    assert times_of({"ts": [5, 7]}, "ts").tolist() == [5, 7]


@every_library
def test_texts_are_read_as_the_command_reads_them(library: str) -> None:
    texts = ["2025-11-23T01:00:00+01:00", "2025-11-23 00:00:01.5", "2025-11-23t00:00:02z", None]
    first = int(EPOCH.timestamp()) * 10**9

    found = times_of(TABLES[library]({"ts": texts}), "ts").tolist()
    assert found == [first, first + 1_500_000_000, first + 2_000_000_000, np.iinfo(np.int64).min]


@every_library
@pytest.mark.parametrize(
    "times", [["yesterday"], ["20251123"], ["2025-11-23T00:00:00Z", "2025-13-01"], [1.5, 2.5]], ids=str
)
def test_what_is_no_time_is_refused_by_name(library: str, times: list[Any]) -> None:
    with pytest.raises(ValueError, match="ts: times must be datetimes, RFC 3339 texts or whole nanoseconds"):
        times_of(TABLES[library]({"ts": times}), "ts")


@every_library
def test_a_column_of_times_that_is_no_timestamp_is_refused_by_name(library: str) -> None:
    with pytest.raises(ValueError, match=r"born: datetime64\[.s\] is a time, not a feature"):
        Reference.fit(table(library, {"born": [EPOCH.replace(tzinfo=None)] * 3}))


@every_library
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (dt.date(2000, 1, 1), "date"),
        (dt.timedelta(seconds=1), "timedelta"),
        (b"a", "bytes"),
        ([1, 2], ""),
        (dt.time(1), "time"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_no_feature_is_made_of_is_refused_by_name(library: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=rf"^odd: .*{said}"):
        Reference.fit(table(library, {"age": [1, 2], "odd": [None, value]}))


@every_library
def test_what_is_no_feature_does_not_matter_to_a_comparison(library: str) -> None:
    reference = Reference.fit({"age": np.arange(100.0)})
    live = table(library, {"age": [1.0, 2.0], "born": [EPOCH.replace(tzinfo=None)] * 2, "odd": [[1], [2]]})

    assert reference.compare(live) == reference.compare({"age": [1.0, 2.0]})


# --- tables -------------------------------------------------------------------------------------------------------------


def test_an_index_of_pandas_is_no_column_unless_it_is_named() -> None:
    index = pd.date_range("2025-11-23", periods=2000, freq="7s", name="ts")
    frame = pd.DataFrame({"age": np.arange(2000.0)}, index=index)
    plain = {"age": np.arange(2000.0), "ts": index.to_numpy()}

    assert list(columns_of(frame)) == ["age"]
    assert Reference.fit(frame, timestamp="ts").hash == Reference.fit(plain, timestamp="ts").hash
    assert Reference.fit(frame).names == ("age",)


def test_a_timestamp_that_is_not_there_is_told_with_what_is() -> None:
    with pytest.raises(ValueError, match="there is no column ts; there are age, plan; timestamp= names it"):
        Reference.fit(pd.DataFrame({"age": [1], "plan": ["a"]}), timestamp="ts")


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(TypeError, match=r"builtins\.int is no table"):
        Reference.fit(3)
    with pytest.raises(TypeError, match=r"polars\.LazyFrame is no table.*collect\(\) it first"):
        Reference.fit(pl.LazyFrame({"age": [1]}))


def test_a_name_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="'age' 2 times"):
        Reference.fit(pd.DataFrame([[1, 2]], columns=["age", "age"]))


def test_a_library_is_told() -> None:
    tables = [pd.DataFrame({"a": [1]}), pl.DataFrame({"a": [1]}), pa.table({"a": [1]}), {"a": [1]}, None]

    assert [library_of(found) for found in tables] == ["pandas", "polars", "pyarrow", None, None]


def test_timestamps_are_given_in_one_way() -> None:
    with pytest.raises(ValueError, match="give one of them"):
        Reference.fit({"age": [1.0], "ts": [1]}, timestamp="ts", timestamps=[1])


# --- the same as the command ----------------------------------------------------------------------------------------------


def made(rows: int) -> dict[str, Any]:
    rng = np.random.default_rng(17)
    times = MONDAY + 20000 * DAY + np.sort(rng.integers(0, 3 * DAY, rows))
    return mixed(rng, rows) | {
        "flag": rng.random(rows) < 0.3,
        "code": pa.array(rng.integers(0, 5, rows), mask=rng.random(rows) < 0.1),
        "price": pa.array(rng.integers(-(10**9), 10**9, rows).tolist())
        .cast(pa.decimal128(19, 0))
        .cast(pa.decimal128(25, 4)),
        "ts": times.astype("datetime64[ns]"),
    }


@pytest.fixture(scope="module")
def by_command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, and the reference that the command makes of it."""
    home = tmp_path_factory.mktemp("fitted")
    pq.write_table(pa.table(made(150_000)), home / "train.parquet")
    choice = FitChoice([home / "train.parquet"], home / "reference.json", timestamp="ts", prediction="few")
    assert fit(choice) == 0
    return home


@every_library
def test_a_reference_is_that_of_the_command(library: str, by_command: Path) -> None:
    command = Reference.load(by_command / "reference.json")
    read = {"pandas": pd.read_parquet, "polars": pl.read_parquet, "pyarrow": pq.read_table}[library]
    found = Reference.fit(read(by_command / "train.parquet"), timestamp="ts", prediction="few")

    assert command.calibration is not None
    assert found.hash == command.hash


def test_times_beside_the_data_are_the_same_as_in_it() -> None:
    rng = np.random.default_rng(3)
    values = mixed(rng, 30_000)
    beside = fitted(np.random.default_rng(4), values)
    inside = np.sort(np.random.default_rng(4).integers(0, 300 * 10**9, 30_000).reshape(-1, 100), axis=1).ravel()
    times = MONDAY + np.arange(30_000) // 100 * 300 * 10**9 + inside

    assert Reference.fit({**values, "ts": times}, timestamp="ts").hash == beside.hash


def test_times_with_a_zone_are_times() -> None:
    """Of pandas they come as objects."""
    times = pd.date_range("2026-01-01", periods=100, freq="min", tz="Europe/Berlin")
    x = np.arange(100.0)

    aware = Reference.fit({"x": x}, timestamps=times, window_ns=600 * 10**9)
    naive = Reference.fit({"x": x}, timestamps=times.tz_convert(None).to_numpy(), window_ns=600 * 10**9)

    assert aware.hash == naive.hash


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(pd.date_range("2026-01-01", periods=3, tz="UTC")),
        [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)] * 3,
        pd.Series(pd.period_range("2026-01-01", periods=3, freq="D")),
        pd.Series([[1], [2], [3]]),
    ],
)
def test_objects_that_are_no_feature_are_refused(column: Any) -> None:
    with pytest.raises(ValueError, match=r"^c: "):
        Reference.fit({"x": [1.0, 2.0, 3.0], "c": column})


def test_columns_called_by_numbers_are_called_by_their_texts() -> None:
    frame = pd.DataFrame({0: [1.0, 2.0, 3.0], "a": ["x", "y", "x"]})

    assert Reference.fit(frame).names == ("0", "a")

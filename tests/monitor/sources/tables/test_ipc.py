"""Arrow's own files and streams as tables: the same columns as those of Parquet; what no feature is left out."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from detectors import Kind
from monitor.sources.tables.base import TableError
from monitor.sources.tables.files import chunks, look

HUGE = 2**60 + 1
TABLE = pa.table(
    {
        "x": pa.array([0.5, None, 2.5]),
        "n": pa.array([HUGE, None, 3]),
        "s": pa.array(["a", None, "b"], pa.string_view()),
        "d": pa.array(["u", "v", None]).dictionary_encode(),
        "e": pa.array([Decimal("0.35"), None, Decimal("1.20")], pa.decimal128(5, 2)),
        "b": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([0, 7, 1], pa.int8())),
        "in": pa.array([{"a": 1.0}, None, {"a": None}]),
        "t": pa.array([dt.datetime(2026, 1, 1, tzinfo=dt.UTC)] * 3),
    }
)


def read(path: Path, *wanted: str) -> dict[str, list[Any]]:
    shape = look([path])
    names = wanted or tuple(name for name in shape.columns if name not in shape.left_out)
    found: dict[str, list[Any]] = {}
    for chunk in chunks([path], shape, names, None):
        for name, column in chunk.items():
            values = [None if value != value else value for value in column.tolist()]  # noqa: PLR0124 - NaN
            found.setdefault(name, []).extend(values)
    return found


def write(path: Path, table: Any, how: str) -> Path:
    match how:
        case "parquet":
            pq.write_table(table, path.with_suffix(".parquet"))
            return path.with_suffix(".parquet")
        case "feather":
            feather.write_feather(table, path.with_suffix(".feather"), compression="zstd")
            return path.with_suffix(".feather")
        case "stream":
            with pa.ipc.new_stream(path.with_suffix(".ipc"), table.schema) as writer:
                writer.write_table(table, max_chunksize=2)
            return path.with_suffix(".ipc")
        case _:
            with pa.ipc.new_file(path.with_suffix(".arrow"), table.schema) as writer:
                writer.write_table(table, max_chunksize=2)
            return path.with_suffix(".arrow")


@pytest.mark.parametrize("how", ["feather", "stream", "file"])
def test_files_and_streams_hold_what_parquet_holds(tmp_path: Path, how: str) -> None:
    table = TABLE.drop_columns(["d"]) if how == "file" else TABLE  # files refuse dictionaries that change

    assert read(write(tmp_path / "t", table, how)) == read(write(tmp_path / "p", table, "parquet"))


def test_columns_inside_structs_have_dotted_names(tmp_path: Path) -> None:
    assert read(write(tmp_path / "t", TABLE, "stream"), "in.a") == {"in.a": [1.0, None, None]}


def test_runs_are_written_out(tmp_path: Path) -> None:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", "b"]))

    assert read(write(tmp_path / "t", pa.table({"r": runs}), "file")) == {"r": ["a", "a", "b"]}


def test_what_polars_writes_is_read(tmp_path: Path) -> None:
    schema = {"s": pl.String, "c": pl.Categorical, "x": pl.Float32}
    frame = pl.DataFrame({"s": ["a", None], "c": ["u", None], "x": [0.5, None]}, schema=schema)
    frame.write_ipc(tmp_path / "a.arrow")
    frame.write_ipc_stream(tmp_path / "a.ipc")

    for name in ("a.arrow", "a.ipc"):
        assert read(tmp_path / name) == {"s": ["a", None], "c": ["u", None], "x": [0.5, None]}


@pytest.mark.parametrize("how", ["file", "parquet"])
def test_an_index_and_periods_of_pandas_are_left_out(tmp_path: Path, how: str) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0], "p": pd.period_range("2026-01", periods=2, freq="M")}, index=[7, 2])

    shape = look([write(tmp_path / "t", pa.Table.from_pandas(frame), how)])

    assert shape.left_out == {"__index_level_0__": "the index of pandas", "p": "a time"}


@pytest.mark.parametrize("how", ["file", "parquet"])
def test_whole_numbers_beside_nothing_keep_all_digits_as_categories(tmp_path: Path, how: str) -> None:
    path = write(tmp_path / "t", pa.table({"c": pa.array([HUGE, None])}), how)
    shape = look([path])

    (chunk,) = chunks([path], shape, ["c"], None, {"c": Kind.CATEGORICAL})

    assert chunk["c"].tolist() == [HUGE, None]


def test_integers_of_128_bits_are_named_with_what_to_do(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": [1]}, schema={"x": pl.Int128})
    frame.write_parquet(tmp_path / "t.parquet")
    frame.write_ipc(tmp_path / "t.arrow")

    for name in ("t.parquet", "t.arrow"):
        with pytest.raises(TableError, match=r"128 bits .* cast it to Int64 or to text"):
            look([tmp_path / name])


def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path) -> None:
    good = write(tmp_path / "t", pa.table({"x": np.arange(100.0)}), "file").read_bytes()
    for content in (good[:-9], good[: len(good) // 2], b"ARROW1\0\0", b"FEA1\0\0\0\0", b"{}", b""):
        (tmp_path / "bad.arrow").write_bytes(content)
        with pytest.raises(TableError, match=r"bad\.arrow: (cannot be read|is Feather of version 1)") as refused:
            read(tmp_path / "bad.arrow")
        assert "\n" not in str(refused.value)

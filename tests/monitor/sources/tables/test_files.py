"""Tables on disk: three formats, one result; whatever is wrong with a file is one line that names it."""

import bz2
import datetime as dt
import gzip
import json
import lzma
import subprocess
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detectors import Reference
from detectors.columns import Coded
from monitor.cli import main
from monitor.sources.tables import arrow, shape
from monitor.sources.tables import lines as json_lines
from monitor.sources.tables.base import TableError
from monitor.sources.tables.files import chunks, look
from monitor.sources.tables.shape import Shape
from monitor.sources.tables.times import TimeColumn

NOON = 1_763_899_200  # 2025-11-23T12:00:00Z
MS = 1_000_000

Write = Callable[[str, Any], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: Any) -> Path:
        path = tmp_path / name
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def read(*paths: Path, time: TimeColumn | None = None) -> dict[str, list[Any]]:
    """All columns that can be features, whole."""
    shape = look(paths)
    wanted = [name for name in shape.columns if name not in shape.left_out and (time is None or name != time.name)]
    found: dict[str, list[Any]] = {}
    for chunk in chunks(paths, shape, wanted, time):
        for name, column in chunk.items():
            found.setdefault(name, []).extend(column.tolist())
    return found


def refusal(*paths: Path, time: TimeColumn | None = None) -> str:
    with pytest.raises(TableError) as refused:
        read(*paths, time=time)
    assert "\n" not in str(refused.value)
    return str(refused.value).replace(str(paths[0].parent) + "/", "")


# --- formats ----------------------------------------------------------------------------------------------------------


def test_csv_columns_of_numbers_are_numbers_and_all_else_is_text(write: Write) -> None:
    found = read(write("a.csv", "n,t,mixed\n1,x,1\n,,\n2.5,y,two\n"))

    assert found["n"][0::2] == [1.0, 2.5]
    assert np.isnan(found["n"][1])
    assert found["t"] == ["x", None, "y"]
    assert found["mixed"] == ["1", None, "two"]


def test_a_late_text_makes_a_csv_column_text_from_its_first_row_on(write: Write) -> None:
    rows = "\n".join(map(str, range(300_000)))

    assert read(write("a.csv", f"n\n{rows}\nx\n"))["n"][:2] == ["0", "1"]


def test_booleans_of_a_csv_are_spelt_as_json_spells_them(write: Write) -> None:
    assert read(write("a.csv", "b,n\nTrue,1\nFALSE,2\n,3\n"))["b"] == ["true", "false", None]


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfa,b\n1,2\n", b"a,b\r\n1,2\r\n", b"a, b\n1, 2\n", b"a,b\n1,2"])
def test_byte_order_mark_line_ends_and_spaces_change_nothing(write: Write, content: bytes) -> None:
    assert read(write("a.csv", content)) == {"a": [1.0], "b": [2.0]}


def test_a_quoted_line_break_is_part_of_its_value(write: Write) -> None:
    assert read(write("a.csv", 'a,b\n1,"x\ny"\n'))["b"] == ["x\ny"]


def test_names_that_merely_count_columns_are_a_header(write: Write) -> None:
    assert read(write("a.csv", "0,1\n5,6\n")) == {"0": [5.0], "1": [6.0]}


def test_json_lines_lack_a_key_where_it_is_missing(write: Write) -> None:
    found = read(write("a.jsonl", '{"a": 1, "b": "x"}\n\n{"b": true}\n{"a": null, "c": 2}\n'))

    assert found["a"][0] == 1.0
    assert np.isnan(found["a"][1:]).all()
    assert found["b"] == ["x", True, None]


def test_an_integer_too_large_for_a_float_is_infinite(write: Write) -> None:
    assert read(write("a.jsonl", '{"a": %s}\n' % ("9" * 400)))["a"] == [np.inf]


def test_chunks_of_json_lines_are_bounded(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "CHUNK", 2)
    path = write("a.jsonl", "".join(json.dumps({"a": n}) + "\n" for n in range(5)))
    sizes = [len(chunk["a"]) for chunk in chunks([path], look([path]), ["a"], None)]

    assert sizes == [2, 2, 1]


def test_parquet_columns_of_odd_types_become_numbers_and_text(write: Write) -> None:
    found = read(
        write(
            "a.parquet",
            pa.table(
                {
                    "decimal": pa.array([Decimal("1.50"), None]),
                    "integer": pa.array([1, None]),
                    "coded": pa.array(["x", "y"]).dictionary_encode(),
                    "large": pa.array(["x", None], pa.large_string()),
                    "flag": pa.array([True, None]),
                    "half": np.ones(2, dtype=np.float16),
                    "huge": pa.array([2**64 - 1] * 2, pa.uint64()),
                    "nothing": pa.nulls(2),
                }
            ),
        )
    )

    assert (found["decimal"][0], found["integer"][0], found["half"], found["huge"]) == (
        1.5,
        1.0,
        [1, 1],
        [2**64 - 1] * 2,
    )
    assert np.isnan([found["decimal"][1], found["integer"][1]]).all()
    assert (found["coded"], found["large"], found["flag"]) == (["x", "y"], ["x", None], [True, None])
    assert found["nothing"] == [None, None]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None, "b", "a"]),
        pa.array(["a", None, "b", "a"], type=pa.large_string()),
        pa.array(["a", None, "b", "a"]).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([1, None, 2, 1], type=pa.int8()), pa.array(["never", "a", "b"])),
    ],
)
def test_texts_of_parquet_are_read_as_codes_however_they_are_stored(write: Write, column: Any) -> None:
    path = write("a.parquet", pa.table({"text": column}))
    (chunk,) = chunks([path], look([path]), ["text"], None)

    assert isinstance(chunk["text"], Coded)
    assert chunk["text"].tolist() == ["a", None, "b", "a"]


def test_a_dictionary_larger_than_a_chunk_is_not_made_into_objects_whole(write: Write) -> None:
    many = [f"t{at}" for at in range(arrow.MOST_CODES + 1)]
    column = arrow.to_numpy(pa.DictionaryArray.from_arrays(pa.array([70, 5, 70]), pa.array(many)))

    assert isinstance(column, Coded)
    assert column.values == ("t70", "t5", None)


def test_booleans_that_lack_in_parquet_are_missing(write: Write) -> None:
    assert read(write("a.parquet", pa.table({"b": pa.array([True, None, False])}))) == {"b": [True, None, False]}


def test_a_file_that_turns_bad_is_refused_from_the_reading_thread(write: Write) -> None:
    """Chunks are read ahead in a thread; what goes wrong there comes out where they are used."""
    path = write("a.jsonl", "".join(json.dumps({"n": at}) + "\n" for at in range(10)))
    found = chunks([path], look([path]), ["n"], None)
    path.write_text("{}\n[", encoding="utf-8")

    with pytest.raises(TableError, match="line 2 is no JSON"):
        list(found)


@pytest.mark.serial
def test_chunks_that_nobody_reads_on_end_their_thread(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "CHUNK", 2)
    path = write("a.jsonl", "".join(json.dumps({"n": at}) + "\n" for at in range(10)))
    found = chunks([path], look([path]), ["n"], None)
    next(found)
    found.close()  # type: ignore[attr-defined]  # it is a generator

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reader")]


def test_columns_that_cannot_be_features_are_left_out_with_the_reason(write: Write) -> None:
    day = dt.date(2025, 1, 1)
    table = pa.table(
        {
            "x": [1.0],
            "day": [day],
            "at": [dt.datetime(2025, 1, 1)],  # noqa: DTZ001 - a column without a zone
            "coded": pa.array([day]).dictionary_encode(),
            "took": [dt.timedelta(1)],
            "list": [[1]],
            "empty_list": pa.array([None], pa.list_(pa.int64())),
            "struct": [{"a": 1}],
            "bytes": [b"x"],
        }
    )

    assert look([write("a.parquet", table)]).left_out == {
        "day": "a time",
        "at": "a time",
        "coded": "a time",
        "took": "a time",
        "list": "nested",
        "empty_list": "nested",
        "struct": "nested",
        "bytes": "of type binary",
    }


def test_nested_json_values_are_left_out(write: Write) -> None:
    assert look([write("a.jsonl", '{"a": 1, "b": {"c": 2}, "d": [1]}\n')]).left_out == {"b": "nested", "d": "nested"}


def test_files_of_several_formats_are_one_table(write: Write) -> None:
    paths = [
        write("a.csv", "n,t\n1,x\n"),
        write("b.jsonl", '{"n": 2, "t": "y"}\n'),
        write("c.parquet", pa.table({"n": [3.0], "t": ["z"]})),
    ]

    assert read(*paths) == {"n": [1.0, 2.0, 3.0], "t": ["x", "y", "z"]}
    assert look(paths).lacking == []


def test_a_column_that_one_file_lacks_is_missing_in_its_rows_and_said(write: Write) -> None:
    paths = [write("a.csv", "n,t\n1,x\n"), write("b.csv", "n,u\n2,y\n")]

    assert read(*paths)["t"] == ["x", None]
    assert [line.replace(str(paths[0].parent) + "/", "") for line in look(paths).lacking] == [
        "b.csv has no column t: missing in its rows",
        "a.csv has no column u: missing in its rows",
    ]


def test_a_csv_column_that_holds_numbers_in_one_file_only_is_text(write: Write) -> None:
    assert read(write("a.csv", "n\n1\n"), write("b.csv", "n\nx\n"))["n"] == ["1", "x"]


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "a.csv: cannot be read: Empty CSV file"),
        ("a.csv", b"a,b\n", "a.csv: holds no rows"),
        ("a.csv", b"a,b\n1,2\n3\n", "a.csv: cannot be read: CSV parse error: Expected 2 columns, got 1: 3"),
        ("a.csv", b"a;b\n1;2\n", "a.csv: is separated by ';', not ','; --delimiter ';' reads it"),
        ("a.csv", b"a\tb\n1\t2\n", "a.csv: is separated by '\\t', not ','; --delimiter '\\t' reads it"),
        ("a.csv", b"1,2\n3,4\n", "a.csv: the first line must name the columns; it is 1,2"),
        ("a.csv", b"a,a\n1,2\n", "a.csv: has two columns called a"),
        ("a.csv", b"a,b\n1,caf\xe9\n", "a.csv: cannot be read: is not UTF-8, save it as that: "),
        ("a.csv", b"caf\xe9,b\n1,2\n", "a.csv: cannot be read: is not UTF-8, save it as that: "),
        ("a.jsonl", b"", "a.jsonl: holds no rows"),
        ("a.jsonl", b'{"a": 1}\n{"a":\n', "a.jsonl: line 2 is no JSON: Input data was truncated"),
        ("a.jsonl", b"[1, 2]\n", "a.jsonl: line 1 is no JSON object"),
        ("a.jsonl", b'{"a": "caf\xe9"}\n', "a.jsonl: cannot be read: is not UTF-8, save it as that: "),
        ("a.jsonl", b"[" * 100_000, "a.jsonl: line 1 is no JSON: "),
        ("a.parquet", b"", "a.parquet: cannot be read: Parquet file size is 0 bytes"),
        ("a.parquet", b"no parquet at all", "a.parquet: cannot be read: Parquet magic bytes not found"),
        ("a.xlsx", b"PK", "a.xlsx: .xlsx is no format known here; .csv, .jsonl, .parquet, .arrow and .avro are"),
        ("data", b"a\n1\n", "data: no ending is no format known here; .csv, .jsonl, .parquet, .arrow and .avro are"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_line(write: Write, name: str, content: bytes, said: str) -> None:
    assert refusal(write(name, content)).startswith(said)


TABLE = b"a,b\n1,2\n"
PACKED = {
    "gz": gzip.compress(TABLE),
    "bz2": bz2.compress(TABLE),
    "xz": lzma.compress(TABLE),
    "zst": b"\x28\xb5\x2f\xfd$",
}


@pytest.mark.parametrize("ending", [*PACKED, "lz4", "zip"])
def test_a_compressed_file_is_named_with_the_way_to_unpack_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    """By its ending or, where that hides it, by its first bytes; in every command that reads files."""
    (tmp_path / "driftd.yaml").write_text("topics: [{name: t}]\nmodels: [{name: m, reference: r.json}]")
    Reference.fit({"x": [1, 2]}).save(tmp_path / "r.json")
    names = [f"my t.csv.{ending}", f"t.jsonl.{ending}", *(["t.csv", "t.jsonl"] if ending in PACKED else [])]
    for path in (tmp_path / name for name in names):
        path.write_bytes(PACKED.get(ending, TABLE))
        config = ["--config", str(tmp_path / "driftd.yaml")]
        for command in (
            ["init", str(path), "--output", str(tmp_path / "new.yaml")],
            ["reference", "fit", "--input", str(path), "--output", str(tmp_path / "o.json")],
            ["reference", "fit", "--input", str(path), *config],
            ["backtest", "--input", str(path), *config],
            ["explain", str(path), *config],
        ):
            assert main(command) == 2
            (line,) = capsys.readouterr().err.splitlines()
            assert f"{path}: is compressed; unpack it first: " in line
            if ending == "gz" and path.suffix == ".gz":
                subprocess.run(["sh", "-c", line.partition("unpack it first: ")[2]], check=True)
                assert path.with_suffix("").read_bytes() == TABLE


def test_a_truncated_or_damaged_parquet_file_is_refused_in_one_line(write: Write) -> None:
    table = pa.table({"x": np.random.default_rng(0).normal(size=1000)})
    whole = write("whole.parquet", table).read_bytes()
    damaged = bytearray(whole)
    damaged[4:400] = bytes(396)

    assert "a.parquet: cannot be read: " in refusal(write("a.parquet", whole[: len(whole) // 2]))
    assert "b.parquet: cannot be read: " in refusal(write("b.parquet", bytes(damaged)))


def test_parquet_without_rows_or_with_a_name_twice_is_refused(write: Write) -> None:
    twice = pa.table([pa.array([1.0]), pa.array([2.0])], names=["a", "a"])

    assert refusal(write("a.parquet", pa.table({"x": pa.array([], pa.float64())}))) == "a.parquet: holds no rows"
    assert refusal(write("b.parquet", twice)) == "b.parquet: has two columns called a"


def test_what_is_no_regular_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    import os

    (tmp_path / "d.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")

    assert refusal(tmp_path / "d.csv") == "d.csv: is a directory; name the files in it"
    assert refusal(tmp_path / "pipe.csv") == "pipe.csv: is no regular file, which can be read again"
    assert refusal(tmp_path / "nope.csv") == "nope.csv: does not exist"


def test_too_many_columns_are_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shape, "MOST_COLUMNS", 2)

    assert refusal(write("a.csv", "a,b,c\n1,2,3\n")) == "a.csv: more than 2 columns: is this a table?"


# --- event times ------------------------------------------------------------------------------------------------------


def times(column: Any, unit: int = MS) -> list[int]:
    found = TimeColumn("ts", unit).nanos(Path("a.csv"), {"ts": np.asarray(column)})
    return found.astype(np.int64).tolist()


def texts(*values: Any) -> Any:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


@pytest.mark.parametrize(
    "column",
    [
        [NOON * 1000],
        np.array([NOON * 1000], dtype=np.uint64),
        [NOON * 1000.0],
        texts("2025-11-23T12:00:00Z"),
        texts("2025-11-23 12:00:00"),
        texts("2025-11-23T14:00:00+02:00"),
        texts(str(NOON * 1000)),
        texts(f"{NOON * 1000}.0"),
        np.array(["2025-11-23T12:00:00"], dtype="datetime64[s]"),
    ],
)
def test_times_of_every_type_are_nanoseconds(column: Any) -> None:
    assert times(column) == [NOON * 10**9]


def test_a_row_without_a_time_has_none_and_is_counted() -> None:
    column = TimeColumn("ts", MS)
    found = column.nanos(Path("a.csv"), {"ts": texts(None, NOON * 1000)})

    assert np.isnat(found).tolist() == [True, False]
    assert np.isnat(column.nanos(Path("a.csv"), {"ts": np.array(["NaT"], dtype="datetime64[ms]")})).all()
    assert column.absent == 2


@pytest.mark.parametrize(
    ("column", "unit", "said"),
    [
        ([NOON], MS, f"a.csv: ts: {NOON} is before 2000; is --timestamp-unit right?"),
        ([NOON * 1000], 10**9, f"a.csv: ts: {NOON * 1000} is after 2262; is --timestamp-unit right?"),
        (texts("yesterday"), MS, "a.csv: ts: 'yesterday' is no time"),
        ([True], MS, "a.csv: ts: True is no time"),
        (np.array(["9999-12-31"], dtype="datetime64[D]"), MS, "a.csv: ts: 9999-12-31T00:00:00 is after 2262"),
    ],
)
def test_a_value_that_is_no_time_is_refused(column: Any, unit: int, said: str) -> None:
    with pytest.raises(TableError) as refused:
        times(column, unit)

    assert str(refused.value).startswith(said)


def test_a_file_without_the_time_column_is_refused(write: Write) -> None:
    paths = [write("a.csv", f"ts,x\n{NOON},1\n"), write("b.csv", "x\n2\n")]
    shape = Shape(columns=["ts", "x"])

    with pytest.raises(TableError, match=r"b\.csv: has no column ts"):
        list(chunks(paths, shape, ["x"], TimeColumn("ts", 10**9)))

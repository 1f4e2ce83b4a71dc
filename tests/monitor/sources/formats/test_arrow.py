"""Arrow in messages, written by pyarrow, Polars and pandas: each type value by value; what claims too much is refused before it is read."""

import datetime as dt
import struct
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from detectors.columns import Coded
from monitor.settings import ConfigError, load_settings
from monitor.sources.base import TopicRecords
from monitor.sources.formats.arrow import Options
from monitor.sources.formats.base import Decoder, Rows
from monitor.sources.formats.fields import FieldMap, TopicFields
from monitor.sources.formats.registry import decoder_of, recognised
from monitor.sources.formats.values import Rejected

TEXT = "a text of more than twelve bytes"


def make_decoder(**options: Any) -> Decoder:
    return decoder_of("arrow", TopicFields([], FieldMap(), options=Options(**options)))


def stream(*tables: Any, file: bool = False, schema: Any = None, **written: Any) -> bytes:
    """Batches of one schema as one stream or file."""
    sink = pa.BufferOutputStream()
    make = pa.ipc.new_file if file else pa.ipc.new_stream
    with make(sink, schema or tables[0].schema, options=pa.ipc.IpcWriteOptions(**written)) as writer:
        for table in tables:
            writer.write(table)
    made: bytes = sink.getvalue().to_pybytes()
    return made


def column(held: Any, decoder: Decoder | None = None) -> list[Any]:
    """What becomes of one column in one message."""
    rows = (decoder or make_decoder()).decode([stream(pa.table({"c": held}))])
    assert not rows.rejected
    return values(rows, "c")


def values(rows: Rows, *path: str) -> list[Any]:
    """A column's values, with None for whatever is missing."""
    found: Any = rows.column(path)
    assert found is not None
    if not isinstance(found, Coded) and found.dtype.kind == "M":
        return [None if text == "NaT" else text for text in np.datetime_as_string(found).tolist()]
    return [None if value != value else value for value in found.tolist()]  # noqa: PLR0124 - NaN


def extension(kind: Any, storage: Any) -> Any:
    return pa.ExtensionArray.from_storage(kind, storage)


HUGE = 2**60 + 1
U = uuid.UUID("12345678-1234-5678-1234-567812345678")
COLUMNS: Mapping[str, tuple[Any, list[Any]]] = {
    "float64": (pa.array([1.5, None, float("nan")]), [1.5, None, None]),
    "float32": (pa.array([0.1, None], pa.float32()), [float(np.float32(0.1)), None]),
    "float16": (pa.array([np.float16(0.1), None], pa.float16()), [0.0999755859375, None]),
    "int8": (pa.array([-1, None], pa.int8()), [-1, None]),
    "int64 with all digits": (pa.array([HUGE, None]), [HUGE, None]),
    "int64 with all digits, none missing": (pa.array([HUGE, 1]), [HUGE, 1]),
    "uint64": (pa.array([2**64 - 1, None], pa.uint64()), [2**64 - 1, None]),
    "bool": (pa.array([True, None, False]), [True, None, False]),
    "bool8": (extension(pa.bool8(), pa.array([0, 5, None], pa.int8())), [False, True, None]),
    "string": (pa.array(["a", None, "", TEXT]), ["a", None, "", TEXT]),
    "string, all the same": (pa.array(["größer"] * 3), ["größer"] * 3),
    "string, all empty": (pa.array(["", ""]), ["", ""]),
    "large_string": (pa.array(["a", None], pa.large_string()), ["a", None]),
    "string_view": (pa.array(["a", None, "", TEXT], pa.string_view()), ["a", None, "", TEXT]),
    "dictionary": (pa.array(["a", None, "b"]).dictionary_encode(), ["a", None, "b"]),
    "dictionary of views": (
        pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["a", None], pa.string_view())),
        ["a", None, None],
    ),
    "dictionary of numbers": (pa.array([7, None, 9]).dictionary_encode(), [7, None, 9]),
    "dictionary longer than the column": (
        pa.DictionaryArray.from_arrays(pa.array([199, None, 0]), pa.array([f"v{at}" for at in range(200)])),
        ["v199", None, "v0"],
    ),
    "decimal128": (pa.array([Decimal("0.35"), None], pa.decimal128(10, 2)), [0.35, None]),
    "decimal256": (pa.array([Decimal("0.35"), None], pa.decimal256(60, 2)), [0.35, None]),
    "decimal of negative scale": (pa.array([Decimal(12000), None], pa.decimal128(5, -3)), [12000, None]),
    "decimal with all digits": (pa.array([Decimal(HUGE), None], pa.decimal128(30, 0)), [HUGE, None]),
    "date32": (pa.array([dt.date(2026, 1, 2), None]), ["2026-01-02", None]),
    "timestamp[s]": (pa.array([0, None], pa.timestamp("s")), ["1970-01-01T00:00:00", None]),
    "timestamp[ns, zone]": (
        pa.array([1, None], pa.timestamp("ns", "Europe/Berlin")),
        ["1970-01-01T00:00:00.000000001", None],
    ),
    "time of day": (pa.array([dt.time(1), None]), [None, None]),
    "duration": (pa.array([dt.timedelta(1), None]), [None, None]),
    "runs": (pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", None])), ["a", "a", None]),
    "runs of numbers": (
        pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int16()), pa.array([0.5, None])),
        [0.5, 0.5, None],
    ),
    "uuid": (extension(pa.uuid(), pa.array([U.bytes, None], pa.binary(16))), [str(U), None]),
    "null": (pa.nulls(2), [None, None]),
    "list": (pa.array([[1, None], None, []]), [[1, None], None, []]),
    "list of structs": (pa.array([[{"a": 1}], None]), [[{"a": 1}], None]),
    "fixed size list": (pa.array([[1.0, 2.0], None], pa.list_(pa.float64(), 2)), [[1.0, 2.0], None]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_each_type_is_read_value_by_value(name: str) -> None:
    held, expected = COLUMNS[name]

    assert column(held) == expected


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_several_batches_and_messages_stand_one_after_the_other(name: str) -> None:
    held, expected = COLUMNS[name]
    table = pa.table({"c": held})
    whole, halves = stream(table), stream(table.slice(0, 1), table.slice(1))

    rows = make_decoder().decode([whole, halves, None, whole])

    assert values(rows, "c") == [*expected] * 3
    assert rows.messages.tolist() == [message for message in (0, 1, 3) for _ in expected]
    assert rows.rejected == {"tombstone": 1}


@pytest.mark.skipif(not hasattr(pa, "decimal32"), reason="Arrow before 19")
@pytest.mark.parametrize("kind", ["decimal32", "decimal64"])
def test_short_decimals(kind: str) -> None:
    assert column(pa.array([Decimal("12.34"), None], getattr(pa, kind)(7, 2))) == [12.34, None]


@pytest.mark.parametrize("file", [False, True])
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_streams_and_files_compressed_or_not(*, file: bool, compression: str | None) -> None:
    table = pa.table({"x": np.arange(1000.0), "plan": ["free", "pro"] * 500})

    rows = make_decoder().decode([stream(table, file=file, compression=compression)])

    assert values(rows, "x") == list(range(1000))
    assert values(rows, "plan") == ["free", "pro"] * 500


def test_structs_are_paths_and_a_missing_one_is_missing_features() -> None:
    table = pa.table({"features": [{"a": 1.0, "b": {"c": "x"}}, None, {"a": None, "b": None}]})

    rows = make_decoder().decode([stream(table)])

    assert values(rows, "features", "a") == [1.0, None, None]
    assert values(rows, "features", "b", "c") == ["x", None, None]
    assert values(rows, "features") == [{}, None, {}]
    assert rows.names(("features",)) == {"a", "b"}


def test_a_map_has_its_keys_and_a_dotted_column_is_a_feature() -> None:
    held = pa.array([[("a", 1.0)], None, [("b", 2.0), ("a", 3.0)]], pa.map_(pa.string(), pa.float64()))

    rows = make_decoder().decode([stream(pa.table({"features": held})), stream(pa.table({"features.a": [4.0]}))])

    assert values(rows, "features", "a") == [1.0, None, 3.0, 4.0]
    assert rows.names(("features",)) == {"a", "b"}


def test_dictionaries_that_are_replaced_or_grow_keep_each_batchs_own_values() -> None:
    first, second = (pa.table({"c": pa.array(texts).dictionary_encode()}) for texts in (["a", "b"], ["b", "c"]))
    grown = pa.table({"c": pa.DictionaryArray.from_arrays(pa.array([2], pa.int32()), pa.array(["a", "b", "c"]))})

    rows = make_decoder().decode(
        [stream(first, second), stream(first, grown, emit_dictionary_deltas=True), stream(second)]
    )

    assert values(rows, "c") == ["a", "b", "b", "c", "a", "b", "c", "b", "c"]


def test_messages_of_two_schemas_that_take_turns_stay_in_order() -> None:
    one, other = (
        stream(pa.table({"x": [1.0], "s": ["a"]})),
        stream(pa.table({"x": ["2"], "t": [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)]})),
    )

    rows = make_decoder().decode([one, other, one])

    assert values(rows, "x") == [1.0, "2", 1.0]
    assert values(rows, "s") == ["a", None, "a"]
    assert values(rows, "t") == [None, "2026-01-01T00:00:00.000000Z", None]
    assert rows.messages.tolist() == [0, 1, 2]


def test_the_index_of_pandas_is_no_field_but_for_who_names_it() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0]}, index=pd.Index(["r1", "r2", "r3"], name="row_key")).iloc[[2, 0]]
    table = pa.Table.from_pandas(frame)
    made = pa.Table.from_pandas(pd.DataFrame({"x": [1.0, 2.0, 3.0]}).iloc[[2, 0]])

    rows = make_decoder().decode([stream(table), stream(made)])

    assert set(rows.columns) == {("x",)}
    assert values(rows, "row_key") == ["r3", "r1", None, None]
    assert [set(row) for row in make_decoder().inspect(stream(made))] == [{("x",)}] * 2


def test_what_polars_writes() -> None:
    frame = pl.DataFrame(
        {"s": ["a", None, TEXT], "c": ["u", None, "v"], "x": [1.5, None, 2.5], "n": [{"k": 1}, {"k": None}, {"k": 3}]},
        schema_overrides={"c": pl.Categorical, "x": pl.Float32},
    )

    rows = make_decoder().decode([frame.write_ipc_stream(None).getvalue(), frame.write_ipc(None).getvalue()])

    assert not rows.rejected
    read: dict[tuple[str, ...], list[Any]] = {
        ("s",): ["a", None, TEXT],
        ("c",): ["u", None, "v"],
        ("x",): [1.5, None, 2.5],
        ("n", "k"): [1, None, 3],
    }
    for path, expected in read.items():
        assert values(rows, *path) == expected * 2


def test_periods_of_pandas_are_no_numbers() -> None:
    frame = pd.DataFrame({"p": pd.period_range("2026-01", periods=2, freq="M")})

    assert values(make_decoder().decode([stream(pa.Table.from_pandas(frame))]), "p") == [None, None]


def test_every_stream_of_a_message_is_read_and_what_is_none_is_counted() -> None:
    one, other = stream(pa.table({"x": [1.0]})), stream(pa.table({"x": [2.0]}), compression="lz4")
    file = stream(pa.table({"x": [3.0]}), file=True)

    rows = make_decoder().decode([one + other, one + b"{}", one + other[:-40], file + b"\n"])

    assert values(rows, "x") == [1.0, 2.0, 1.0, 1.0, 3.0]
    assert rows.messages.tolist() == [0, 0, 1, 2, 3]
    assert rows.rejected == {"trailing_bytes": 3}


def test_a_stream_that_ends_between_batches_is_whole_and_one_that_ends_within_is_not() -> None:
    table = pa.table({"x": np.arange(10.0)})
    two, one = stream(table, table), stream(table)
    between = len(one) - 8  # what marks the end

    rows = make_decoder().decode([two[:between], two[: between + 100], two[: between - 1], one[:-8]])

    assert rows.messages.tolist() == [0] * 10 + [3] * 10
    assert rows.rejected == {"truncated": 2}


def test_every_cut_of_a_message_gives_a_reason_or_whole_batches() -> None:
    table = pa.table({"x": np.arange(5.0), "s": list("abcde")})
    whole = stream(table, table)

    for file in (False, True):
        whole = stream(table, table, file=file)
        for size in range(1, len(whole)):
            rows = make_decoder().decode([whole[:size]])
            assert len(rows) in ((0, 5, 10) if not file else (0, 10))
            assert len(rows) or sum(rows.rejected.values()) == 1


def test_a_compressed_buffer_that_claims_too_much_is_refused_unread() -> None:
    good = stream(pa.table({"x": np.arange(1000.0)}), compression="zstd")
    claim = struct.pack("<q", 8000)
    assert good.count(claim) == 1
    spoilt = [good.replace(claim, struct.pack("<q", size)) for size in (2**40, 2**62, -5, 8001)]

    rows = make_decoder().decode([*spoilt, good])

    assert rows.rejected == {"expands_too_much": 2, "malformed_arrow": 2}
    assert len(rows) == 1000


def test_how_much_a_message_may_take_scales_with_it_and_is_an_option() -> None:
    zeros = stream(pa.table({f"c{at}": np.zeros(50_000) for at in range(3)}), compression="zstd")
    assert make_decoder().decode([zeros]).rejected == {"expands_too_much": 1}
    assert len(make_decoder(expansion=5_000).decode([zeros])) == 50_000


@pytest.mark.parametrize(
    "held",
    [
        pa.nulls(50_000_000),
        pa.RunEndEncodedArray.from_arrays(pa.array([2**31 - 1], pa.int32()), pa.array(["a"])),
    ],
    ids=["nothing", "runs"],
)
def test_rows_that_take_no_bytes_are_bounded_too(held: Any) -> None:
    assert make_decoder().decode([stream(pa.table({"c": held}))]).rejected == {"expands_too_much": 1}


def test_views_that_all_look_at_one_text_are_bounded() -> None:
    text = b"x" * 100_000
    views = struct.pack("<i4sii", len(text), text[:4], 0, 0) * 1000
    held = pa.Array.from_buffers(pa.string_view(), 1000, [None, pa.py_buffer(views), pa.py_buffer(text)])

    assert make_decoder().decode([stream(pa.table({"c": held}))]).rejected == {"expands_too_much": 1}


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_a_buffer_may_be_longer_than_its_rows_need(kind: Any) -> None:
    texts = [TEXT * 4, None]
    good = stream(pa.table({"c": pa.array(texts, kind)}))
    used = next(buffer.size for buffer in pa.array(texts, kind).buffers()[1:])
    before = struct.pack("<qq", 8, used)
    assert good.count(before) == 1

    rows = make_decoder().decode([good.replace(before, struct.pack("<qq", 8, used + 3))])

    assert rows.rejected == {}
    assert values(rows, "c") == texts


def test_texts_whose_ends_lead_outside_are_refused() -> None:
    good = stream(pa.table({"c": ["aa", "bb", "cc"]}))
    ends = struct.pack("<4i", 0, 2, 4, 6)
    assert good.count(ends) == 1

    for spoilt in ((0, 2, 4, 1 << 30), (0, 1 << 30, 4, 6), (0, -2, 4, 6), (-8, 2, 4, 6)):
        rows = make_decoder().decode([good.replace(ends, struct.pack("<4i", *spoilt)), good])
        assert rows.rejected == {"malformed_arrow": 1}
        assert values(rows, "c") == ["aa", "bb", "cc"]


def test_codes_that_no_dictionary_has_are_refused() -> None:
    held = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array(["a", "b"]))
    good = stream(pa.table({"c": held}))
    codes = struct.pack("<2i", 0, 1)
    assert good.endswith(codes + good[-8:]) or codes in good
    spoilt = good[: good.rindex(codes)] + struct.pack("<2i", 0, 77) + good[good.rindex(codes) + 8 :]

    assert make_decoder().decode([spoilt]).rejected == {"malformed_arrow": 1}


def nested(depth: int) -> Any:
    kind = pa.float64()
    for _ in range(depth):
        kind = pa.struct({"a": kind})
    return kind


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (pa.schema([("c", pa.dense_union([pa.field("a", pa.int8())]))]), "unsupported_type"),
        (pa.schema([("c", pa.list_(pa.sparse_union([pa.field("a", pa.int8())])))]), "unsupported_type"),
        (pa.schema([("c", pa.list_view(pa.int8()))]), "unsupported_type"),
        (pa.schema([("c", pa.decimal128(5, -2_000_000_000))]), "unsupported_type"),
        (pa.schema([("c", nested(33))]), "too_deep"),
        (pa.schema([("c", pa.int8()), ("c", pa.int8())]), "malformed_arrow"),
        (pa.schema([(f"c{at}", pa.int8()) for at in range(10_001)]), "too_many_columns"),
        (pa.schema([("c", pa.int8())]), "no_rows"),
    ],
)
def test_a_schema_that_is_not_read_says_why(schema: Any, reason: str) -> None:
    assert make_decoder().decode([stream(schema=schema)]).rejected == {reason: 1}
    with pytest.raises(Rejected, match=reason):
        list(make_decoder().inspect(stream(schema=schema)))


def test_rows_for_words_are_those_that_are_decoded() -> None:
    table = pa.table(
        {"ts": pa.array([1_767_225_600], pa.timestamp("s")), "n": [HUGE], "l": [[1, {"a": None}["a"]]], "x": [None]}
    )

    (row,) = make_decoder().inspect(stream(table))

    assert row == {("ts",): "2026-01-01T00:00:00Z", ("n",): HUGE, ("l",): [1, None], ("x",): None}


def test_arrow_is_recognised_and_nothing_else() -> None:
    good = [stream(pa.table({"x": [1.0]})), stream(pa.table({"x": [1.0]}), file=True)]

    assert "arrow" in recognised(TopicRecords("t", [0, 0], good))
    for other in (b"{}", b"\xff\xff\xff\xff", b"\0\0\0\0\7x", b"", good[0][8:]):
        assert "arrow" not in recognised(TopicRecords("t", [0, 0], [good[0], other] if other else [b""]))


def test_a_wrong_option_is_one_line(tmp_path: Any) -> None:
    path = tmp_path / "driftd.yaml"
    path.write_text(
        "topics: [{name: t, format: arrow, options: {expansion: 0}}]\nmodels: [{name: m, reference: r.json}]\n"
    )
    with pytest.raises(ConfigError, match=r"options\.expansion"):
        load_settings(path)


def test_a_writer_whose_features_are_all_there_loses_none_to_one_who_lacks_some() -> None:
    """Two schemas in a batch: only where a struct is missing is it said in which rows."""
    inner = pa.struct([("a", pa.float64())])
    plain = pa.schema([("features", inner)])
    wider = pa.schema([("features", inner), ("extra", pa.int64())])

    def stream(schema: pa.Schema, *rows: object) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema) as writer:
            writer.write_batch(pa.RecordBatch.from_pylist([{"features": row} for row in rows], schema))
        return bytes(sink.getvalue().to_pybytes())

    lacking, whole = stream(plain, {"a": 1.0}, None), stream(wider, {"a": 2.0}, {"a": 3.0})
    found = decoder_of("arrow", TopicFields([], FieldMap())).decode([lacking, whole]).column(("features",))

    assert found is not None
    assert list(found.tolist()) == [{}, None, {}, {}]

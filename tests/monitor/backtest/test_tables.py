"""Recorded tables: a column a path, read as the same messages would be."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from detectors import Reference
from detectors.sketches.violations import PART
from monitor.backtest.recorded import Lines, Piece, RecordedError
from monitor.backtest.tables import Tables, places_in
from monitor.facts import EventsCounted, EventsRejected, FieldsRejected
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.sources.formats.times import NOT_A_TIME, times_of
from monitor.sources.formats.values import LATEST_NANOS
from monitor.sources.tables.times import plain_times
from monitor.stream.events import SECOND, Partition, SeriesKey
from tests.build import KEY
from tests.fakes import NOON

MS = 1_000_000
REFERENCE = Reference.fit(
    {
        "age": np.arange(100.0),
        "plan": ["free", "pro"] * 50,
        "member": [True, False] * 50,
        "score": np.arange(100.0) / 100,
    },
    prediction="score",
)
FIELDS = FieldMap()
Rows = list[dict[str, Any]]


def decoder(*keys: SeriesKey, fields: FieldMap = FIELDS) -> TopicDecoder:
    series = [SeriesFields(key, REFERENCE.layout, fields) for key in keys or (KEY,)]
    return TopicDecoder("predictions", series, fields, LATEST_NANOS)


def tables(paths: list[Path], *keys: SeriesKey, fields: FieldMap = FIELDS) -> Tables:
    return Tables(paths, decoder(*keys, fields=fields))


def message(at: int, **changes: Any) -> dict[str, Any]:
    event: dict[str, Any] = {"ts": (NOON // MS) + at, "model": "churn", "version": "3"}
    features = {"age": float(at), "plan": "pro" if at % 2 else "free", "member": at % 3 == 0}
    return event | {"features": features, "prediction": at / 100} | changes


def flat(event: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in event.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def lines(home: Path, events: Rows) -> Path:
    (home / "events.jsonl").write_text("\n".join(map(json.dumps, events)), encoding="utf-8")
    return home / "events.jsonl"


def parquet(home: Path, rows: Rows, name: str = "events.parquet") -> Path:
    pq.write_table(pa.Table.from_pylist(rows), home / name)
    return home / name


def csv(home: Path, rows: Rows) -> Path:
    pc.write_csv(pa.Table.from_pylist(rows), home / "events.csv")
    return home / "events.csv"


def everything(pieces: Any) -> tuple[dict[SeriesKey, list[Any]], Counter[tuple[str, ...]]]:
    """The rows of each series, and all counts."""
    rows: dict[SeriesKey, list[Any]] = {}
    counts: Counter[tuple[str, ...]] = Counter()
    for piece in pieces:
        assert isinstance(piece, Piece)
        for batch in piece.arrived.batches:
            weights = None if batch.violations is None else batch.violations.weights
            told = [PART] * len(batch) if weights is None else weights.tolist()
            found = zip(batch.event_times.tolist(), batch.numeric.tolist(), batch.codes.tolist(), told, strict=True)
            rows.setdefault(batch.key, []).extend(repr(row) for row in found)
        for fact in piece.facts:
            match fact:
                case EventsRejected(_, reason, count) | FieldsRejected(_, reason, count):
                    counts[type(fact).__name__, reason] += count
                case EventsCounted(_, outcome, count):
                    counts["events", outcome] += count
    return rows, counts


ODD = [
    message(1, features={"age": None, "plan": None, "member": None}, prediction=None),
    message(2, features={"age": 1e308, "plan": "enterprise", "member": True}),
    message(3, ts=None),
    message(4, ts=1),
    message(5, model="other"),
    message(6, model=None),
    message(7, version="4"),
]


@pytest.mark.parametrize("form", ["nested", "flat", "plain", "csv"])
def test_a_table_is_read_as_the_messages_would_be(tmp_path: Path, form: str) -> None:
    events = [*(message(at) for at in range(100)), *ODD]
    expected = everything(Lines([lines(tmp_path, events)], decoder()).pieces())
    match form:
        case "nested":
            path = parquet(tmp_path, events)
        case "flat":
            path = parquet(tmp_path, [flat(event) for event in events])
        case "plain":
            path = parquet(tmp_path, [event | event["features"] | {"features": None} for event in events])
        case _:
            path = csv(tmp_path, [flat(event) for event in events])

    assert everything(tables([path]).pieces()) == expected


@pytest.mark.parametrize("form", ["nested", "flat", "csv"])
@pytest.mark.parametrize(
    ("said", "mapping"), [(1, "share"), (100, {"path": "share", "unit": "fraction"}), (1, {"const": 12.5})]
)
def test_a_row_of_a_table_stands_for_as_many_as_that_of_the_message(
    tmp_path: Path, form: str, said: float, mapping: Any
) -> None:
    shares = [100.0, 12.5, None, 0.0, 100.5, -1.0, 50.0]
    shown = [None if share is None else share / said for share in shares * 10]
    events = [message(at, share=share) for at, share in enumerate(shown)]
    fields = FieldMap.parse({"sampling": mapping}, MS)
    expected = everything(Lines([lines(tmp_path, events)], decoder(fields=fields)).pieces())
    write = {"nested": parquet, "flat": parquet, "csv": csv}[form]
    path = write(tmp_path, events if form == "nested" else [flat(event) for event in events])

    found = everything(tables([path], fields=fields).pieces())

    assert found == expected
    if "share" in str(mapping):
        assert found[1]["EventsRejected", "sampling_invalid"] == 30
        assert {repr(row).split(", ")[-1] for row in found[0][KEY]} == {"1000000)'", "8000000)'", "2000000)'"}


def test_each_series_gets_its_own_rows(tmp_path: Path) -> None:
    other, rest = SeriesKey("churn", "4"), SeriesKey("fraud", "*")
    versions = [("churn", "3"), ("churn", "4"), ("churn", "5"), ("fraud", None), ("fraud", "x")]
    events = [message(at, model=model, version=version) for at, (model, version) in enumerate(versions * 20)]
    expected = everything(Lines([lines(tmp_path, events)], decoder(KEY, other, rest)).pieces())
    path = parquet(tmp_path, [flat(event) for event in events])

    found, counts = everything(tables([path], KEY, other, rest).pieces())

    assert (found, counts) == expected
    assert {key: len(rows) for key, rows in found.items()} == {KEY: 20, other: 20, rest: 40}
    assert counts["events", "unmonitored"] == 20


def test_a_file_that_names_no_model_is_of_the_only_one(tmp_path: Path) -> None:
    path = parquet(tmp_path, [{"ts": message(at)["ts"], "age": float(at)} for at in range(10)])
    record = tables([path])

    found, _ = everything(record.pieces())

    assert len(found[KEY]) == 10
    assert any("has no column features.plan: missing in its rows of churn/3" in note for note in record.notes)


def test_a_file_that_names_no_model_is_refused_where_there_are_several(tmp_path: Path) -> None:
    path = parquet(tmp_path, [{"ts": 1, "age": 1.0}])

    with pytest.raises(RecordedError, match="has no column model, and 2 models are configured; it has ts, age"):
        list(tables([path], KEY, SeriesKey("fraud", "*")).pieces())


def test_a_file_without_event_times_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path, [{"age": 1.0, "when": 1}])

    with pytest.raises(RecordedError, match=r"has no column ts with event times; it has age, when"):
        list(tables([path]).pieces())


def test_texts_are_no_numbers_and_truth_is(tmp_path: Path) -> None:
    """In Parquet, where they could have been numbers; a CSV has texts alone."""
    time = message(0)["ts"]
    texts = parquet(tmp_path, [{"ts": time, "age": "41"}], "texts.parquet")
    truths = parquet(tmp_path, [{"ts": time, "age": True}], "truths.parquet")

    assert everything(tables([texts]).pieces())[1]["FieldsRejected", "number_as_text"] == 1
    assert everything(tables([truths]).pieces())[0][KEY][0].startswith(f"({time * MS}, [1.0, ")
    (tmp_path / "a.csv").write_text(f"ts,age\n{time},41\n{time},n/a?\n", encoding="utf-8")
    rows, counts = everything(tables([tmp_path / "a.csv"]).pieces())
    assert rows[KEY][0].startswith(f"({time * MS}, [41.0, ")
    assert counts["FieldsRejected", "number_as_text"] == 1


def test_new_categories_are_named(tmp_path: Path) -> None:
    path = parquet(tmp_path, [flat(message(at, features={"age": 1.0, "plan": f"new-{at % 3}"})) for at in range(30)])
    (piece,) = tables([path]).pieces()
    (batch,) = piece.arrived.batches

    assert {one.text for one in batch.unseen_categories} == {"new-0", "new-1", "new-2"}
    assert {(one.column, one.event_time) for one in batch.unseen_categories} == {
        (0, time) for time in batch.event_times.tolist()
    }


def test_a_chunk_moves_event_time_on_whoever_it_is_of(tmp_path: Path) -> None:
    path = parquet(tmp_path, [flat(message(0)), flat(message(500, model="other"))])
    (piece,) = tables([path]).pieces()

    assert piece.arrived.seen == {Partition("predictions", 0): NOON + 500 * MS}
    assert piece.arrived.assigned == {Partition("predictions", 0)}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["ts", "features.age", "age"], {("ts",): "ts", ("features", "age"): "features.age"}),
        (["timestamp", "age"], {("ts",): "timestamp", ("features", "age"): "age"}),
        (
            ["ts", "model", "features.model"],
            {("ts",): "ts", ("model",): "model", ("features", "model"): "features.model"},
        ),
        (["ts", "__prediction__"], {("ts",): "ts", ("prediction",): "__prediction__"}),
    ],
)
def test_columns_are_found_by_path_or_plain_name(names: list[str], found: dict[tuple[str, ...], str]) -> None:
    wanted = [("features", "age"), ("features", "model"), ("prediction",)]

    assert places_in(names, FIELDS, wanted) == found


def test_a_plain_name_that_two_paths_end_in_is_nobodys() -> None:
    fields = FieldMap(timestamp=("meta", "age"))

    assert places_in(["ts", "age"], fields, [("features", "age")]) == {("meta", "age"): "ts"}


BEGIN = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "column",
    [
        np.array([NOON // MS, NOON // MS + 1]),
        np.array([NOON // MS, NOON // MS + 1], dtype=np.float64),
        np.array([NOON, NOON + MS]).view("datetime64[ns]"),
        np.array([NOON // MS, NOON // MS + 1]).view("datetime64[ms]"),
        np.array(["2026-11-23T12:00:00Z", "2026-11-23T13:00:00.001+01:00"], dtype=object),
        np.array([str(NOON // MS), str(NOON // MS + 1)], dtype=object),
    ],
)
def test_times_may_be_written_in_many_ways(column: Any) -> None:
    rejected: Counter[str] = Counter()

    assert times_of(plain_times(column), MS, LATEST_NANOS, rejected).tolist() == [NOON, NOON + MS]
    assert not rejected


def test_what_is_no_time_is_counted_by_reason() -> None:
    rejected: Counter[str] = Counter()
    column = np.array([None, float("nan"), "soon", 1, NOON // SECOND, True], dtype=object)

    assert times_of(plain_times(column), SECOND, LATEST_NANOS, rejected).tolist() == [
        *[NOT_A_TIME] * 4,
        NOON,
        NOT_A_TIME,
    ]
    assert rejected == {"timestamp_missing": 2, "timestamp_invalid": 2, "timestamp_before_2000": 1}


def test_dates_outside_of_what_can_be_are_rejected() -> None:
    rejected: Counter[str] = Counter()
    column = np.array(["NaT", "1999-12-31", "2026-11-23", "9999-01-01"], dtype="datetime64[s]")

    found = times_of(plain_times(column), MS, LATEST_NANOS, rejected).tolist()

    assert found == [NOT_A_TIME, NOT_A_TIME, NOON - 12 * 3600 * SECOND, NOT_A_TIME]
    assert rejected == {"timestamp_missing": 1, "timestamp_before_2000": 1, "timestamp_in_future": 1}


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 is what it begins with")

    with pytest.raises(RecordedError, match=r"a\.parquet: cannot be read: ") as refused:
        list(tables([tmp_path / "a.parquet"]).pieces())
    assert "\n" not in str(refused.value)


def test_days_between_rows_are_no_trouble(tmp_path: Path) -> None:
    """Pandas and others write times as timestamps, with a zone or without."""
    for zone in (None, "UTC", "Europe/Berlin"):
        column = pa.array([BEGIN, BEGIN + timedelta(days=3)], type=pa.timestamp("us", tz=zone or "UTC"))
        column = column if zone else column.cast(pa.timestamp("us"))
        pq.write_table(pa.table({"ts": column, "age": [1.0, 2.0]}), tmp_path / "a.parquet")
        (piece,) = tables([tmp_path / "a.parquet"]).pieces()
        assert piece.arrived.batches[0].event_times.tolist() == [NOON, NOON + 3 * 24 * 3600 * SECOND], zone

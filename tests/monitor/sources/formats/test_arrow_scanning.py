"""Arrow batches by the compiled part and by Arrow itself: the same columns, bit by bit, and the same counts, whatever a message holds."""

import random
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from detectors import Reference
from monitor.facts import EventsRejected
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import Decoded, TopicDecoder
from monitor.sources.formats.arrow import scanning
from monitor.sources.formats.arrow.decoding import ArrowDecoder
from monitor.sources.formats.base import DecodeCounts
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.stream.events import SECOND, SeriesKey
from tests.fakes import NOON

pytestmark = pytest.mark.usefixtures("compiled_parts")

FUZZ = Path(__file__).parents[3] / "native" / "fuzz_arrow.cpp"
SANITIZED = (
    "-std=c++17",
    "-O1",
    "-g1",
    "-Wall",
    "-Wextra",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)
KEYS = SeriesKey("churn", "3"), SeriesKey("fraud", "1")
PLANS = "free", "pro", "größer", ""
REFERENCE = Reference.fit(
    {
        "age": np.arange(100.0),
        "count": np.arange(100),
        "plan": [*PLANS[:2]] * 50,
        "active": [True, False] * 50,
        "level": ["1", "2"] * 50,
        "score": np.linspace(0, 1, 100),
    },
    prediction="score",
)
FIELDS = FieldMap(group=("user",))
HOUR_MS = NOON // 1_000_000
NUMBERS = pa.float64(), pa.float32(), pa.int8(), pa.uint16(), pa.int32(), pa.uint64(), pa.bool_(), pa.string()
TIMES = (
    pa.int64(),
    pa.uint64(),
    pa.timestamp("ms"),
    pa.timestamp("us", "Europe/Berlin"),
    pa.timestamp("ns"),
    pa.string(),
    pa.large_string(),
)
TEXTS = pa.string(), pa.large_string()
WHOLE = pa.int64(), pa.int8(), pa.uint64()


def make_decoder(keys: Sequence[SeriesKey] = KEYS, fields: FieldMap = FIELDS) -> TopicDecoder:
    series = [SeriesFields(key, REFERENCE.layout, fields) for key in keys]
    return TopicDecoder("t", series, fields, 600 * SECOND, "arrow")


def without_compiled(
    monkeypatch: pytest.MonkeyPatch, keys: Sequence[SeriesKey] = KEYS, fields: FieldMap = FIELDS
) -> TopicDecoder:
    with monkeypatch.context() as patch:
        patch.setattr(scanning, "COMPILED", False)
        return make_decoder(keys, fields)


def stream(*batches: Any, **written: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema, options=pa.ipc.IpcWriteOptions(**written)) as writer:
        for batch in batches:
            writer.write(batch)
    made: bytes = sink.getvalue().to_pybytes()
    return made


def drawn(rng: np.random.Generator, kinds: Mapping[str, Any], rows: int, *, several: bool, gone: float = 0.1) -> Any:
    """A batch: columns of these types, some values missing where they may be."""

    def lacking(values: Sequence[Any], kind: Any) -> Any:
        return pa.array([None if rng.random() < gone else value for value in values], kind)

    def numbers(kind: Any) -> Any:
        if pa.types.is_floating(kind):
            odd = [float("nan"), float("inf"), -float("inf"), -0.0]
            return lacking(
                [
                    odd[rng.integers(4)] if rng.random() < 0.05 else rng.normal() * 10.0 ** int(rng.integers(-30, 30))
                    for _ in range(rows)
                ],
                kind,
            )
        if pa.types.is_boolean(kind):
            return lacking((rng.random(rows) < 0.5).tolist(), kind)
        if not pa.types.is_integer(kind):
            return lacking(rng.choice(PLANS, rows).tolist(), kind)
        least = 0 if pa.types.is_unsigned_integer(kind) else -(2 ** (kind.bit_width - 1))
        return lacking([least + int(rng.integers(2 ** min(kind.bit_width, 62))) for _ in range(rows)], kind)

    def times(kind: Any) -> Any:
        millis = HOUR_MS - rng.integers(10_000, size=rows)
        if pa.types.is_timestamp(kind):
            return pa.array(millis, pa.timestamp("ms")).cast(kind)
        return (
            pa.array(millis, kind)
            if pa.types.is_integer(kind)
            else pa.array(np.datetime_as_string(millis.astype("datetime64[ms]")).tolist(), kind)
        )

    models = rng.choice(["churn", "fraud", "other"] if several else ["churn"], rows).tolist()
    versions = [3 if model == "churn" else 1 for model in models]
    features = {name: numbers(kinds[name]) for name in ("age", "count", "plan", "active", "level")}
    columns = {
        "ts": times(kinds["ts"]),
        "model": pa.array(models, kinds["model"]),
        "version": pa.array(
            versions if pa.types.is_integer(kinds["version"]) else list(map(str, versions)), kinds["version"]
        ),
        "id": numbers(kinds["id"]),
        "user": numbers(kinds["user"]),
        "features": pa.StructArray.from_arrays(list(features.values()), list(features)),
        "prediction": numbers(kinds["prediction"]),
        "beside": pa.array([b"\xff\x00"] * rows, pa.binary()),
    }
    return pa.RecordBatch.from_pydict(columns)


def types(rng: np.random.Generator) -> dict[str, Any]:
    def one(kinds: Sequence[Any]) -> Any:
        return kinds[int(rng.integers(len(kinds)))]

    numbers = {name: one(NUMBERS) for name in ("age", "count", "prediction")}
    return numbers | {
        "ts": one(TIMES),
        "model": one(TEXTS),
        "version": one((*TEXTS, *WHOLE)),
        "plan": one((*TEXTS, pa.bool_(), *WHOLE)),
        "active": pa.bool_(),
        "level": one((*TEXTS, *WHOLE)),
        "id": one((*TEXTS, *WHOLE)),
        "user": one((*TEXTS, *WHOLE)),
    }


def told(decoded: Decoded) -> Any:
    """All that a poll came to, to be compared bit by bit; whoever read a row."""
    rows = Counter(
        (batch.key, *(None if part is None else np.ascontiguousarray(part[row]).tobytes() for part in parts))
        for batch in decoded.batches
        for parts in [(batch.event_times, batch.numeric, batch.codes, batch.ids, batch.groups)]
        for row in range(len(batch))
    )
    return rows, decoded.seen, set(decoded.facts)


def read(decoder: TopicDecoder, values: Sequence[bytes | None]) -> Decoded:
    """What a poll comes to, read ahead where that can be."""
    held = list(values)
    ahead = decoder.prepare(held, NOON - SECOND)
    return decoder.decode(TopicRecords("t", [at % 3 for at in range(len(held))], held, prepared=ahead), NOON)


def taken(decoder: TopicDecoder, values: Sequence[bytes | None]) -> int:
    """How many messages the compiled part takes."""
    assert isinstance(decoder.bare, ArrowDecoder)
    (scanner,) = decoder.bare.readers
    records = TopicRecords("t", [0] * len(values), list(values))
    return len(values) - len(scanner.read(records, NOON, DecodeCounts()).left)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(random.getrandbits(64))


@pytest.mark.parametrize("several", [False, True])
def test_both_ways_give_the_same(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, *, several: bool) -> None:
    for _ in range(6):
        kinds = types(rng)
        keys = KEYS if several else KEYS[:1]
        values = [
            stream(*(drawn(rng, kinds, int(rng.integers(1, 70)), several=several) for _ in range(rng.integers(1, 3))))
            for _ in range(4)
        ]
        ours, arrows = make_decoder(keys), without_compiled(monkeypatch, keys)
        for poll in ([values[0]], values, [*values[:2], None, b"", values[3][:-300], values[2]]):
            assert told(read(ours, poll)) == told(read(arrows, poll)), kinds
        assert taken(ours, values) == len(values), kinds


def test_a_damaged_message_is_what_arrow_says(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any byte may be any other: offsets, counts, sizes, bits, texts."""
    kinds = types(rng) | {"ts": pa.int64(), "plan": pa.string()}
    good = stream(drawn(rng, kinds, 40, several=True))
    ours, arrows = make_decoder(), without_compiled(monkeypatch)
    read(ours, [good])
    damaged = []
    for _ in range(200):
        raw = bytearray(good)
        for _ in range(rng.integers(1, 3)):
            raw[rng.integers(len(raw))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))])
        damaged.append(bytes(raw[: rng.integers(len(raw))] if rng.random() < 0.1 else raw))
    for value in damaged:
        assert told(read(ours, [value])) == told(read(arrows, [value]))
    assert told(read(ours, damaged)) == told(read(arrows, damaged))


INT, TEXT, TIME = pa.int64(), pa.string(), pa.timestamp("us")


@pytest.mark.parametrize(
    ("column", "kind", "odd", "reason"),
    [
        ("ts", INT, None, "timestamp_missing"),
        ("ts", INT, 7, "timestamp_before_2000"),
        ("ts", pa.uint64(), 2**64 - 1, "timestamp_in_future"),
        ("ts", TIME, None, "timestamp_missing"),
        ("ts", TIME, -(2**63), "timestamp_missing"),
        ("ts", TIME, 2**63 - 1, "timestamp_in_future"),
        ("ts", TEXT, None, "timestamp_missing"),
        ("ts", TEXT, "", "timestamp_invalid"),
        ("ts", TEXT, "yesterday", "timestamp_invalid"),
        ("ts", TEXT, "1999-12-31T23:59:59Z", "timestamp_before_2000"),
        ("ts", TEXT, "2199-12-31T23:59:59Z", "timestamp_in_future"),
        ("model", TEXT, None, "model_missing"),
        ("features", None, None, "features_missing"),
    ],
)
def test_rows_that_are_none_are_counted_where_they_lie(
    monkeypatch: pytest.MonkeyPatch, column: str, kind: Any, odd: Any, reason: str
) -> None:
    rng = np.random.default_rng(5)
    kinds = types(rng) | {"ts": kind if column == "ts" else INT, "model": TEXT}
    good = drawn(rng, kinds, 20, several=True)
    place = good.schema.get_field_index(column)
    held = good.column(place).cast(INT) if kind == TIME else good.column(place)
    values = [*held.to_pylist(), odd]
    values[3], values[-1] = values[-1], values[3]
    filled = pa.array(values, held.type).cast(good.schema.field(place).type)
    longer = pa.concat_batches([good, good.slice(3, 1)])
    bad = [stream(longer.set_column(place, column, filled))] * 2
    ours, arrows = make_decoder(), without_compiled(monkeypatch)
    read(ours, [stream(good)])
    read(arrows, [stream(good)])

    found = read(ours, [*bad, stream(good)])

    assert told(found) == told(read(arrows, [*bad, stream(good)]))
    assert EventsRejected("t", reason, 2) in found.facts
    assert taken(ours, bad) == len(bad)


def test_rows_are_read_again_as_they_came() -> None:
    """For words, and for rules of a contract that columns do not tell."""
    rng = np.random.default_rng(6)
    kinds = types(rng) | {"plan": pa.string()}
    batches = [drawn(rng, kinds, 30, several=True, gone=0.0) for _ in range(3)]
    decoder = make_decoder()
    values = list(map(stream, batches))
    read(decoder, values[:1])
    (scanner,) = decoder.bare.readers  # type: ignore[attr-defined]
    for part in scanner.read(TopicRecords("t", [0] * 3, values), NOON, DecodeCounts()).rows:
        said = [
            row["features"]["plan"]
            for batch in batches
            for row in batch.to_pylist()
            if row["model"] == part.series.key.model
        ]
        path = ("features", "plan")
        assert [part.look(row, [path])[0] for row in range(len(said))] == said
        again = part.reread(np.arange(1, len(said)), [path])
        assert list(again.column(path).tolist()) == said[1:]


@pytest.mark.timeout(600)
def test_damaged_batches_do_no_harm_under_the_sanitizers(tmp_path: Path) -> None:
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    program = tmp_path / "fuzz"
    subprocess.run(["c++", *SANITIZED, str(FUZZ), "-o", str(program)], check=True, timeout=240)

    done = subprocess.run([program, str(seed), "300"], capture_output=True, text=True, timeout=240, check=False)

    assert done.returncode == 0, done.stdout + done.stderr

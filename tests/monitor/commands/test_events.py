"""`driftd reference fit --config`: the reference is what the daemon's own decoder makes of the same events."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
import yaml

from detectors import Reference, Sketch
from monitor.app import build_decoder
from monitor.backtest.recorded import Lines
from monitor.cli import main
from monitor.configuration import load
from monitor.settings import load_settings
from monitor.sources.decode import learner
from monitor.sources.formats.values import LATEST_NANOS
from tests.charted import seeded

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker

Output = pytest.CaptureFixture[str]
NOON_MS = 1_763_899_200_000
FEATURES = ("age", "plan", "member", "zip")


def events(count: int = 3000, **changes: Any) -> list[dict[str, Any]]:
    rng = seeded()
    return [
        {
            "id": f"e{at}",
            "ts": NOON_MS + at * 1000,
            "model": "churn",
            "version": "3",
            "features": {
                "age": round(float(rng.normal(40, 9)), 2) if at % 50 else None,
                "plan": str(rng.choice(["free", "pro", "enterprise"])),
                "member": bool(rng.random() < 0.3),
                "zip": int(rng.integers(1000, 1010)),
                "user_id": f"u{at}",
                "label": at % 2,
                "seen_at": "2025-01-01T00:00:00Z",
            },
            "output": {"score": float(rng.random())},
        }
        | changes
        for at in range(count)
    ]


def write(home: Path, **changes: Any) -> Path:
    settings: dict[str, Any] = {
        "topics": [{"name": "predictions", "fields": {"prediction": "output.score"}}],
        "models": [{"name": "churn", "version": "3", "reference": "r.json"}],
        "state": "state",
    }
    (home / "driftd.yaml").write_text(yaml.safe_dump(settings | changes), encoding="utf-8")
    return home / "driftd.yaml"


def lines(home: Path, rows: list[dict[str, Any]], name: str = "events.jsonl") -> Path:
    (home / name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return home / name


def flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def fitted(config: Path, *options: str | Path) -> Reference:
    assert main(["reference", "fit", "--config", str(config), *map(str, options)]) == 0
    return Reference.load(config.parent / "r.json")


def refused(output: Output, *options: str | Path) -> str:
    assert main(["reference", "fit", *map(str, options)]) == 2
    return output.readouterr().err


def test_features_of_nested_events_are_found_and_the_rest_is_left_out(tmp_path: Path, capsys: Output) -> None:
    reference = fitted(write(tmp_path), "--input", lines(tmp_path, events()))

    assert sorted(reference.names) == sorted([*FEATURES, "__prediction__"])
    assert [feature.name for feature in reference.layout.categorical] == ["plan", "member"]
    assert reference.period == (NOON_MS * 10**6, (NOON_MS + 2_999_000) * 10**6)
    said = capsys.readouterr().err
    for name, reason in (("user_id", "an identifier"), ("label", "named as a target"), ("seen_at", "a time")):
        assert f"left out {name}: {reason}" in said


def sessions(count: int = 6000) -> list[dict[str, Any]]:
    """Events in sessions of ten, which share the age."""
    rows = events(count)
    for at, row in enumerate(rows):
        row["client"] = {"session": f"s{at // 10}"}
        row["features"]["age"] = rows[at - at % 10]["features"]["age"] or 40.0
    return rows


@pytest.mark.parametrize("held", ["lines", "table"])
def test_rows_of_a_session_are_learnt_as_such(tmp_path: Path, capsys: Output, held: str) -> None:
    topics = [{"name": "predictions", "fields": {"prediction": "output.score", "group": "client.session"}}]
    config, rows = write(tmp_path, topics=topics), sessions()
    recorded = lines(tmp_path, rows)
    if held == "table":
        recorded = tmp_path / "events.parquet"
        pq.write_table(pa.Table.from_pylist([flat(row) for row in rows]), recorded)
    reference = fitted(config, "--input", recorded, "--window", "1m")

    assert "session" not in "".join(reference.names)
    assert reference.calibration is not None
    assert reference.calibration.together == pytest.approx(10, abs=2)
    age = reference.calibration.features[reference.names.index("age")]
    noise = reference.calibration.features[reference.names.index("zip")]
    assert age.alike[0] > 0.4
    assert noise.alike[0] < 0.2
    assert ", of which a row's group has 1" in capsys.readouterr().out


@pytest.mark.parametrize(("said", "window"), [(0, "1m"), (599, "1m"), (600, "1m"), (599, "30m")])
def test_events_of_which_few_say_their_group_are_on_their_own(
    tmp_path: Path, capsys: Output, said: int, window: str
) -> None:
    """Also where whole windows say theirs, and where the reference is too short for a calibration."""
    topics = [{"name": "predictions", "fields": {"prediction": "output.score", "group": "client.session"}}]
    rows = sessions()
    for row in rows[: 3000 - said] + rows[3000:]:
        del row["client"]
    alone = tmp_path / "alone"
    alone.mkdir()
    without = fitted(write(alone), "--input", lines(alone, rows), "--window", window)
    capsys.readouterr()
    reference = fitted(write(tmp_path, topics=topics), "--input", lines(tmp_path, rows), "--window", window)

    line = f"{said} of 6,000 events say what they belong to in client.session: too few, rows are taken for independent"
    assert (line in capsys.readouterr().err) == (reference.hash == without.hash) == (said < 600)


def test_a_group_among_the_features_is_none_of_them(tmp_path: Path, capsys: Output) -> None:
    topics = [{"name": "predictions", "fields": {"prediction": "output.score", "group": "features.zip"}}]
    reference = fitted(write(tmp_path, topics=topics), "--input", lines(tmp_path, events()))

    assert "zip" not in reference.names
    assert "left out zip: what rows are grouped by; name it in --columns to keep it" in capsys.readouterr().err


def test_the_reference_is_the_one_of_the_same_columns(tmp_path: Path) -> None:
    rows = events()
    reference = fitted(write(tmp_path), "--input", lines(tmp_path, rows))

    columns: dict[str, Any] = {
        name: np.array([row["features"][name] for row in rows], dtype=object) for name in FEATURES
    }
    columns["__prediction__"] = np.array([row["output"]["score"] for row in rows])
    plain = Reference.fit(columns)
    for name in plain.names:
        assert reference.features[name].counts.tolist() == plain.features[name].counts.tolist(), name


@pytest.mark.parametrize("form", ["struct", "flat", "csv", "kafka"])
def test_every_kind_of_file_gives_one_reference(tmp_path: Path, form: str, request: pytest.FixtureRequest) -> None:
    rows = events()
    config = write(tmp_path)
    expected = fitted(config, "--input", lines(tmp_path, rows)).hash
    match form:
        case "struct":
            pq.write_table(pa.Table.from_pylist(rows), tmp_path / "e.parquet")
        case "flat":
            pq.write_table(pa.Table.from_pylist([flat(row) for row in rows]), tmp_path / "e.parquet")
        case "csv":
            pc.write_csv(pa.Table.from_pylist([flat(row) for row in rows]), tmp_path / "e.csv")
        case _:
            broker = request.getfixturevalue("broker")
            filled(broker, "predictions", rows)
            config = write(tmp_path, kafka={"bootstrap_servers": broker.bootstrap})
            found = {fitted(config, "--kafka", "--threads", str(threads)).hash for threads in (1, 2, 5)}
            assert found == {expected}
            return

    assert fitted(config, "--input", tmp_path / ("e.csv" if form == "csv" else "e.parquet")).hash == expected


@pytest.mark.parametrize("precision", [np.float16, np.float32, np.float64])
def test_a_table_is_one_reference_with_a_configuration_and_without(tmp_path: Path, precision: type) -> None:
    """A number of any precision is the decimal that it is written as, also where many values fill the bins."""
    rng, names = seeded(), ("normal", "tenths", "score")
    numbers = {name: rng.normal(size=3000).round(9 if name == "normal" else 1).astype(precision) for name in names}
    times = pa.array([NOON_MS + at * 1000 for at in range(3000)])
    pq.write_table(pa.table({"ts": times, **numbers}), tmp_path / "t.parquet")
    fields = {"features": "", "prediction": "score", "model": {"const": "churn"}}
    config = write(tmp_path, topics=[{"name": "predictions", "fields": fields}])
    plain = tmp_path / "plain.json"

    options = ["--timestamp", "ts", "--window", "5m", "--prediction", "score", "--output", str(plain)]
    assert main(["reference", "fit", "--input", str(tmp_path / "t.parquet"), *options]) == 0
    assert fitted(config, "--input", tmp_path / "t.parquet").hash == Reference.load(plain).hash


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_files_in_any_order_are_one_reference_with_a_configuration_and_without(
    tmp_path: Path, order: tuple[str, str]
) -> None:
    rng = seeded()
    for name, start in (("a", 0), ("b", 2000)):
        times = pa.array([NOON_MS + (start + at) * 1000 for at in range(2000)])
        pq.write_table(pa.table({"ts": times, "x": rng.normal(size=2000)}), tmp_path / f"{name}.parquet")
    config = write(tmp_path, topics=[{"name": "predictions", "fields": {"features": "", "model": {"const": "churn"}}}])
    files = [str(tmp_path / f"{name}.parquet") for name in order]
    plain = tmp_path / "plain.json"

    options = ["--timestamp", "ts", "--window", "5m", "--output", str(plain)]
    assert main(["reference", "fit", "--input", *files, *options]) == 0
    assert fitted(config, "--input", *files).hash == Reference.load(plain).hash


@pytest.fixture
def broker() -> Iterator["MockBroker"]:
    from tests.parts.mock import MockBroker

    cluster = MockBroker()
    yield cluster
    cluster.stop()


def filled(broker: "MockBroker", topic: str, rows: list[dict[str, Any]]) -> None:
    from confluent_kafka import Producer

    broker.create_topic(topic)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    for row in rows:
        producer.produce(topic, json.dumps(row).encode(), partition=0)
    assert producer.flush(30) == 0


def test_the_daemon_counts_the_same_events_to_the_same_counts(tmp_path: Path) -> None:
    """By construction: what is learnt from events is what the decoder makes of them, odd values and all."""
    rows = events()
    for at, (name, value) in enumerate(
        [("age", "41"), ("age", True), ("plan", 7), ("plan", 2.0), ("member", "true"), ("zip", 1e308), ("plan", None)]
    ):
        rows[500 + at]["features"][name] = value
    path, config = lines(tmp_path, rows), write(tmp_path)

    reference = fitted(config, "--input", path)

    configuration = load(load_settings(config), tmp_path)
    decoder = build_decoder(configuration, configuration.settings.topics[0])
    decoder.max_future = LATEST_NANOS
    sketch = Sketch.empty(reference.layout)
    for piece in Lines([path], decoder).pieces():
        for batch in piece.arrived.batches:
            sketch.update(batch.numeric, batch.codes)
    assert sketch.counts.tolist() == reference.counts.tolist()


def test_what_first_comes_late_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Categories that come after the messages that are looked through are read again; none becomes another."""
    monkeypatch.setattr(learner, "LOOKED_THROUGH", 10)
    monkeypatch.setattr("monitor.sources.lines.BLOCK", 20_000)
    rows = events()
    for at in range(1000, 3000):
        rows[at]["features"]["plan"] = f"plan-{at % 200}"
        rows[at]["features"]["late"] = float(at)

    given = write(tmp_path), "--input", lines(tmp_path, rows), "--threads"
    reference = fitted(*given, "1")

    assert fitted(*given, "4").to_dict() == reference.to_dict()
    plan = reference.features["plan"]
    counts = dict(zip(plan.categories, plan.counts.tolist(), strict=False))
    assert {counts[f"plan-{at}"] for at in range(200)} == {10}
    assert reference.features["late"].count >= 2000 - learner.THEN_EVERY


def test_a_category_for_every_row_keeps_its_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.sources.decode.finding.MOST_TEXTS", 50)
    rows = events(600)
    for at, row in enumerate(rows):
        row["features"]["plan"] = f"plan-{at % 300}"

    reference = fitted(write(tmp_path), "--input", lines(tmp_path, rows))

    assert sorted(reference.features["plan"].categories) == sorted(f"plan-{at}" for at in range(300))


HALVES = ("m\ud800", "\udc00", "whole")


def test_half_a_character_is_a_category_of_its_own_on_the_way_to_a_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON's escapes can say it, though no file can hold it: also as a text that is known by no code yet."""
    monkeypatch.setattr(learner, "LOOKED_THROUGH", 0)
    monkeypatch.setattr(learner, "THEN_EVERY", 10_000)
    rows = [{"ts": NOON_MS + at, "features": {"plan": HALVES[at % 3] if at else "first"}} for at in range(90)]

    reference = fitted(write(tmp_path), "--input", lines(tmp_path, rows))
    assert set(reference.layout.categorical[0].categories) == {*HALVES, "first"}


def test_half_a_character_among_the_columns_of_json_lines(tmp_path: Path) -> None:
    """In a plain fit too: beside numbers it is a text like any other."""
    rows = [{"plan": HALVES[at % 3], "mixed": HALVES[at % 3] if at % 9 == 0 else at} for at in range(90)]
    lines(tmp_path, rows)

    assert (
        main(["reference", "fit", "--input", str(tmp_path / "events.jsonl"), "--output", str(tmp_path / "r.json")]) == 0
    )
    plan, mixed = Reference.load(tmp_path / "r.json").layout.categorical
    assert set(plan.categories) == {*HALVES}
    assert {"m\ud800", "1"} <= set(mixed.categories)
    options = ["--kind", "mixed=numeric", "--output", str(tmp_path / "r.json")]
    assert main(["reference", "fit", "--input", str(tmp_path / "events.jsonl"), *options]) == 0
    assert Reference.load(tmp_path / "r.json").features["mixed"].count == 80


def test_half_a_character_is_json_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(tmp_path)
    rows = [{"ts": NOON_MS + at, "features": {"plan": HALVES[at % 3]}, "output": {"score": at}} for at in range(9)]
    fitted(config, "--input", lines(tmp_path, rows))
    capsys.readouterr()

    assert main(["reference", "show", "--json", str(tmp_path / "r.json")]) == 0
    assert "m\\ud800" in capsys.readouterr().out


def test_what_a_terminal_cannot_show_is_shown_by_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write(tmp_path)
    rows = [{"ts": NOON_MS + at, "features": {"plan": HALVES[at % 3]}, "output": {"score": at}} for at in range(9)]
    fitted(config, "--input", lines(tmp_path, rows))
    shown = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(shown, encoding="ascii", write_through=True))

    assert main(["reference", "show", str(tmp_path / "r.json")]) == 0
    assert rb"m\ud800 33.3%" in shown.getvalue()
    monkeypatch.undo()


@pytest.mark.parametrize("mapped", ["absent", "constant"])
def test_events_that_name_no_model_are_of_the_only_one(tmp_path: Path, mapped: str) -> None:
    rows = [{name: value for name, value in row.items() if name not in {"model", "version"}} for row in events(500)]
    fields = {"prediction": "output.score"} | ({} if mapped == "absent" else {"model": {"const": "churn"}})

    reference = fitted(write(tmp_path, topics=[{"name": "t", "fields": fields}]), "--input", lines(tmp_path, rows))

    assert reference.rows == 500


def test_only_the_events_of_the_model_and_of_the_time_are_taken(tmp_path: Path, capsys: Output) -> None:
    models = [{"name": name, "version": "3", "reference": f"{name}.json"} for name in ("churn", "fraud")]
    config = write(tmp_path, models=models)
    rows = [row for pair in zip(events(200), events(200, model="fraud"), strict=True) for row in pair]
    path = lines(tmp_path, rows)

    assert "name one by --model" in refused(capsys, "--config", config, "--input", path)
    fit = ["reference", "fit", "--config", str(config), "--input", str(path), "--model", "fraud"]
    assert main([*fit, "--from", "2025-11-23T12:00:50Z", "--until", "2025-11-23T12:01:50Z"]) == 0

    assert Reference.load(tmp_path / "fraud.json").rows == 60


def test_plain_input_of_nested_events_is_refused_with_the_way(tmp_path: Path, capsys: Output) -> None:
    said = refused(capsys, "--input", lines(tmp_path, events(10)), "--output", tmp_path / "r.json")

    assert "driftd reference fit --config driftd.yaml --input" in said
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--kafka"], "--kafka needs --config"),
        (["--model", "churn"], "--model needs --config"),
        ([], "reference fit needs --input FILE…, or --config"),
        (["--config", "driftd.yaml"], "needs --input FILE… or --kafka, and not both"),
        (["--config", "driftd.yaml", "--kafka", "--timestamp", "ts"], "--timestamp: the configuration says it"),
        (["--config", "driftd.yaml", "--kafka", "--model", "chrun"], "--model chrun: name one by --model"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)

    assert said in refused(capsys, *options)


@pytest.mark.parametrize("form", ["lines", "csv"])
@pytest.mark.parametrize(
    ("option", "text", "refused_as"),
    [
        ("--columns", "incom", "incom"),
        ("--columns", "age,incom", "incom"),
        ("--columns", "age,zip", None),
        ("--columns", "user_id,score", None),
        ("--exclude", "pla", "pla"),
        ("--exclude", "tmp_*", "tmp_*"),
        ("--exclude", "pl*,user_id,empty,ts", None),
        ("--kind", "zp=categorical", "zp"),
        ("--kind", "z?p?=categorical", "z?p?"),
        ("--kind", "z?p=categorical", None),
    ],
)
def test_a_name_that_nothing_is_called_is_a_mistake(
    tmp_path: Path, capsys: Output, form: str, option: str, text: str, refused_as: str | None
) -> None:
    rows = events(50)
    for row in rows:
        row["features"]["empty"] = None
    path = lines(tmp_path, rows)
    if form == "csv":
        path = tmp_path / "events.csv"
        pc.write_csv(pa.Table.from_pylist([flat(row) for row in rows]), path)
    told = main(["reference", "fit", "--config", str(write(tmp_path)), "--input", str(path), option, text])

    assert told == (0 if refused_as is None else 2)
    if refused_as is not None:
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert f"driftd: {option}: no feature of the events is called {refused_as}; there are age, plan, member" in said
        assert "user_id" in said, "what is left out can be named too"


def test_no_event_of_the_model_is_said_with_the_reasons(tmp_path: Path, capsys: Output) -> None:
    said = refused(capsys, "--config", write(tmp_path), "--input", lines(tmp_path, events(10, ts=None)))

    assert "no event is of the model; predictions: 10 events were rejected: timestamp_missing 10" in said


def test_a_topic_that_is_not_there_ends_it_with_the_cause(tmp_path: Path, capsys: Output, broker: "MockBroker") -> None:
    config = write(tmp_path, kafka={"bootstrap_servers": broker.bootstrap})

    assert "there is no topic predictions" in refused(capsys, "--config", config, "--kafka")


def timed(count: int = 4000) -> list[dict[str, Any]]:
    """Events that say what they took and what came of it."""
    rng = seeded()
    return [
        row
        | {"meta": {"ms": round(float(100 * np.exp(rng.normal(0, 0.4))), 3), "status": 503 if at % 40 == 0 else 200}}
        for at, row in enumerate(events(count))
    ]


def test_how_requests_were_served_is_learnt_from_events_as_from_a_table(tmp_path: Path, capsys: Output) -> None:
    rows = timed()
    fields = {"prediction": "output.score", "latency": {"path": "meta.ms", "unit": "ms"}, "error": "meta.status"}
    config = write(tmp_path, topics=[{"name": "predictions", "fields": fields}])
    of_events = fitted(config, "--input", lines(tmp_path, rows), "--window", "1m")
    said = capsys.readouterr().out
    assert "service: p50 " in said
    assert "errors 2.5 %; calibrated by" in said

    flat_rows = [{"at": row["ts"], "age": row["features"]["age"], **row["meta"]} for row in rows]
    table, output = lines(tmp_path, flat_rows, "table.jsonl"), tmp_path / "t.json"
    given = ["reference", "fit", "--input", str(table), "--output", str(output), "--timestamp", "at", "--window", "1m"]
    assert main([*given, "--latency", "ms", "--latency-unit", "ms", "--error", "status"]) == 0
    of_table = Reference.load(output)

    assert of_table.names == ("age",)
    assert of_events.service is not None
    assert of_table.service is not None
    assert of_events.service.content() == of_table.service.content()
    capsys.readouterr()
    assert main(["reference", "show", str(output), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["service"]
    assert (shown["timed"], shown["told"], shown["error_rate"]) == (4000, 4000, 0.025)


@pytest.mark.parametrize("unit", ["percent", "fraction"])
def test_how_much_of_all_a_log_holds_is_told_by_events_as_by_a_table(tmp_path: Path, unit: str) -> None:
    share = 10.0 if unit == "percent" else 0.1
    rows = [row | {"share": share if at % 2 else None} for at, row in enumerate(events(4000))]
    fields = {"prediction": "output.score", "sampling": {"path": "share", "unit": unit}}
    config = write(tmp_path, topics=[{"name": "predictions", "fields": fields}])
    of_events = fitted(config, "--input", lines(tmp_path, rows), "--window", "1m")
    flat_rows = [{"at": row["ts"], "age": row["features"]["age"], "share": row["share"]} for row in rows]
    table, output = lines(tmp_path, flat_rows, "table.jsonl"), tmp_path / "t.json"
    given = ["reference", "fit", "--input", str(table), "--output", str(output), "--timestamp", "at", "--window", "1m"]
    assert main([*given, "--sampling", "share", "--sampling-unit", unit]) == 0
    of_table = Reference.load(output)

    assert of_table.names == ("age",)
    assert of_table.rows_per_second == of_events.rows_per_second == pytest.approx(5.5, rel=0.01)
    assert (of_table.calibration is None) is (of_events.calibration is None)


def test_texts_of_a_column_of_errors_can_be_fine_and_it_is_said_where_most_requests_failed(
    tmp_path: Path, capsys: Output
) -> None:
    rows = [{"age": at % 50 + 0.5, "outcome": "error" if at % 20 == 0 else "ok"} for at in range(1000)]
    table, output = lines(tmp_path, rows, "table.jsonl"), tmp_path / "t.json"
    given = ["reference", "fit", "--input", str(table), "--output", str(output), "--error", "outcome"]
    assert main(given) == 0
    assert "100% of requests failed" in "".join(capsys.readouterr())

    assert main([*given, "--fine", "ok"]) == 0
    assert "of requests failed" not in "".join(capsys.readouterr())
    service = Reference.load(output).service
    assert service is not None
    assert service.served.error_rate == 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--latency", "ms"],
            "--latency ms: is a column of a table; with --config it is topics[].fields that names the path",
        ),
        (["--error", "status"], "--error status: is a column of a table"),
        (["--fine", "ok"], "--fine: the configuration says it"),
        (["--sampling", "share"], "--sampling: the configuration says it"),
    ],
)
def test_columns_of_requests_are_none_of_events(
    tmp_path: Path, capsys: Output, options: list[str], message: str
) -> None:
    config = write(tmp_path)
    said = refused(
        capsys, "--config", config, "--input", lines(tmp_path, events(10)), "--output", tmp_path / "r.json", *options
    )
    assert message in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--latency-unit", "ms"], "--latency-unit needs --latency"),
        (["--fine", "ok"], "--fine needs --error"),
        (["--latency", "took"], "--latency: "),
        (["--latency", "ms", "--error", "ms"], "--error: ms is the --latency"),
        (["--latency", "at", "--timestamp", "at"], "--latency: at is the --timestamp"),
        (["--sampling-unit", "fraction"], "--sampling-unit needs --sampling"),
        (["--sampling", "ms"], "--sampling needs --timestamp"),
        (["--sampling", "at", "--timestamp", "at"], "--sampling: at is the --timestamp"),
        (["--sampling", "share", "--timestamp", "at"], "--sampling: "),
        (["--sampling", "text", "--timestamp", "at"], "--sampling: text holds texts and cannot be a share of rows"),
        (["--sampling", "age", "--timestamp", "at"], "age: 0 is no share of rows in percent"),
        (["--sampling", "ms", "--timestamp", "at", "--columns", "ms"], "--columns: ms is the --sampling"),
    ],
)
def test_mistakes_about_columns_of_requests_are_one_line(
    tmp_path: Path, capsys: Output, options: list[str], message: str
) -> None:
    rows = [{"at": NOON_MS + at, "age": 1.0 * at, "ms": 5.0, "text": "x"} for at in range(10)]
    table = lines(tmp_path, rows, "t.jsonl")
    said = refused(capsys, "--input", table, "--output", tmp_path / "r.json", *options)
    assert message in said

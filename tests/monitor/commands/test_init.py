"""`driftd init`: what is found in unknown events, what is not sure, and a configuration that `check` passes."""

import hashlib
import io
import json
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
import yaml

from detectors import Reference
from monitor.cli import main
from monitor.clock import SystemClock
from monitor.commands.init import window_for
from monitor.sources.decode.guessing import NothingLikeEvents, guess
from tests.charted import seeded
from tests.parts.ports import free_ports

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker

Output = pytest.CaptureFixture[str]
NOON_S = 1_763_899_200
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def events(count: int = 500, unit: str = "ms") -> list[dict[str, Any]]:
    rng = seeded()
    return [
        {
            "request_id": f"r{at}",
            "meta": {"at": {"event_time": (NOON_S + at) * UNITS[unit]}, "model_name": "credit", "model_version": "2.1"},
            "inputs": {"age": float(rng.normal()), "plan": str(rng.choice(["a", "b"])), "amount": float(rng.random())},
            "result": {"score": float(rng.random())},
        }
        for at in range(count)
    ]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def broker() -> Iterator["MockBroker"]:
    from tests.parts.mock import MockBroker

    cluster = MockBroker()
    yield cluster
    cluster.stop()


def lines(home: Path, rows: list[Any], name: str = "events.jsonl") -> str:
    (home / name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return name


def flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def fields(home: Path) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((home / "driftd.yaml").read_text(encoding="utf-8"))
    found: dict[str, Any] = settings["topics"][0]["fields"]
    return found


FOUND = {
    "timestamp": "meta.at.event_time",
    "id": "request_id",
    "model": "meta.model_name",
    "version": "meta.model_version",
    "features": "inputs",
    "prediction": "result.score",
}


@pytest.mark.parametrize("form", ["jsonl", "struct", "csv"])
def test_the_parts_of_unknown_events_are_found_in_any_file(home: Path, form: str) -> None:
    rows = events()
    match form:
        case "jsonl":
            name = lines(home, rows)
        case "struct":
            name = "events.parquet"
            pq.write_table(pa.Table.from_pylist(rows), home / name)
        case _:
            name = "events.csv"
            pc.write_csv(pa.Table.from_pylist([flat(row) for row in rows]), home / name)

    assert main(["init", name]) == 0
    assert fields(home) == FOUND
    assert sorted(Reference.load(home / "credit.json").names) == ["__prediction__", "age", "amount", "plan"]
    assert main(["check", "--offline"]) == 0


@pytest.mark.parametrize(("rows", "known"), [(10, True), (1, False)])
def test_what_rows_may_come_together_in_is_a_comment(home: Path, rows: int, known: bool) -> None:
    """Of sessions with several rows each; nobody needs to be told of sessions of one."""
    found = [each | {"client": {"sessionId": f"s{at // rows}"}} for at, each in enumerate(events())]
    assert main(["init", lines(home, found)]) == 0

    written = (home / "driftd.yaml").read_text(encoding="utf-8")
    assert ('      # group: "client.sessionId"  # if rows of one share their values' in written) == known
    assert fields(home) == FOUND
    (home / "driftd.yaml").write_text(written.replace("# group:", "group:"), encoding="utf-8")
    assert main(["check", "--offline"]) == 0
    assert fields(home) == FOUND | ({"group": "client.sessionId"} if known else {})


def test_a_reference_too_short_for_windows_of_enough_rows_has_shorter_ones(home: Path, capsys: Output) -> None:
    """48 rows an hour make windows of 12h; ten days of them calibrate nothing, of 2h they do."""
    rng = seeded()
    rows = [{"ts": NOON_S + at * 75, "x": float(rng.normal())} for at in range(12_000)]

    assert main(["init", lines(home, rows)]) == 0
    said = capsys.readouterr().out
    assert "events: windows of 2h in place of 12h, so that the reference is calibrated" in said
    (model,) = yaml.safe_load((home / "driftd.yaml").read_text())["models"]
    assert (model["window"], model["min_rows"]) == ("2h", 48)
    assert Reference.load(home / "events.json").calibration is not None
    assert main(["check", "--offline"]) == 0


def test_several_files_are_one_sample_and_one_reference(home: Path, capsys: Output) -> None:
    """Also what the second one alone holds, however long the first is."""
    rows = events(1500)
    other = [row | {"meta": row["meta"] | {"model_name": "other"}} for row in rows[:50]]
    names = [lines(home, rows, "first.jsonl"), lines(home, other, "second.jsonl")]

    assert main(["init", *names, "--output", "all.yaml"]) == 0
    assert "all.yaml: from 550 events" in capsys.readouterr().out
    assert Reference.load(home / "credit.json").rows == len(rows)
    assert Reference.load(home / "other.json").rows == len(other)


def test_a_topic_gives_a_configuration_that_passes_check(home: Path, capsys: Output, broker: "MockBroker") -> None:
    from confluent_kafka import Producer

    broker.create_topic("scored", 2)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    for at, row in enumerate(events()):
        producer.produce("scored", json.dumps(row).encode(), partition=at % 2)
    assert producer.flush(30) == 0

    assert main(["init", "--kafka", broker.bootstrap, "--topic", "scored"]) == 0
    assert fields(home) == FOUND
    with (home / "driftd.yaml").open("a") as config:
        config.write(f"http: {{port: {free_ports(1)[0]}}}\n")
    capsys.readouterr()
    assert main(["check"]) == 0
    assert "100 rows: 100 ok (credit version * 100), 0 rejected, 0 unmonitored" in capsys.readouterr().out


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_of_the_time_is_found(unit: str) -> None:
    found = guess(events(50, unit), SystemClock().now())

    assert (found.timestamp, found.unit) == ("meta.at.event_time", unit)
    assert found.times[0] == NOON_S * 10**9


def test_what_is_not_sure_is_said(home: Path, capsys: Output) -> None:
    rows = [row | {"created_at": "2025-11-23T12:00:00Z", "score": 1, "extra": {"a": 1}} for row in events(50)]

    assert main(["init", lines(home, rows)]) == 0
    said = capsys.readouterr().out
    assert "may also be " in said.partition("timestamp: ")[2].partition("\n")[0]
    assert "may also be result.score" in said.partition("prediction: ")[2].partition("\n")[0]
    assert "extra (1)" in said.partition("features: ")[2].partition("\n")[0]
    assert "# unsure: may also be" in (home / "driftd.yaml").read_text()


def test_flat_events_without_a_model_are_of_the_one_that_is_made_up(home: Path) -> None:
    """`model` of a car is a feature: it has as many values as rows, and no constant is read from it."""
    rows = [{"ts": NOON_S + at, "model": f"car {at}", "age": at, "score": at / 50} for at in range(50)]

    assert main(["init", lines(home, rows, "cars.jsonl")]) == 0
    assert fields(home)["model"] == {"const": "cars"}
    assert fields(home)["features"] == ""
    assert Reference.load(home / "cars.json").rows == 50


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "events.jsonl: is empty"),
        (b"nope\n", "messages are no JSON objects: malformed_json"),
        (b"\0\0\0\0\x07{}\n", "no value of the messages could be an event time"),  # of json-schema
        (b'{"a": 1}\n', "no value of the messages could be an event time"),
        (b'{"ts": 1763899200}\n', "no value of the messages could be a feature"),
        (b'{"ts": 1' + b"0" * 400 + b', "x": 1}\n', "no value of the messages could be an event time"),
        (b'{"ts\\ud800": 1763899200, "x": 1}\n', "no value of the messages could be an event time"),
        (b'{"Scored At": "01.03.2026 00:04", "x": 1}\n', "Scored At is called one and holds '01.03.2026 00:04'"),
        (b'{"a.ts": 1763899200, "x": 1}\n', "a.ts is one, but no path leads to a key with a dot in it"),
    ],
)
def test_what_are_no_events_is_said_in_a_line(home: Path, capsys: Output, content: bytes, said: str) -> None:
    (home / "events.jsonl").write_bytes(content)

    assert main(["init", "events.jsonl"]) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in home.iterdir()] == ["events.jsonl"]


def test_a_name_in_a_message_cannot_write_the_configuration(home: Path) -> None:
    rows = [{"ts": NOON_S + at, "features": {"a\nstate: /etc": at, 'b": {': at}} for at in range(20)]

    assert main(["init", lines(home, rows)]) == 0
    assert yaml.safe_load((home / "driftd.yaml").read_text())["state"] == "driftd-state"


@pytest.mark.parametrize(("an_hour", "window"), [(500_000, "1m"), (1_600, "15m"), (70, "6h"), (42, "12h"), (5, "1d")])
def test_the_window_is_the_shortest_that_holds_enough_rows(an_hour: int, window: str) -> None:
    """A thousand rows a day are half a day's windows: of a month there are sixty, enough to calibrate; of whole days there are not."""
    apart = 3_600 * 10**9 // an_hour

    assert window_for([at * apart for at in range(1_000)]) == window


def test_a_configuration_that_is_there_is_kept(home: Path, capsys: Output) -> None:
    (home / "driftd.yaml").write_text("mine")

    assert main(["init", lines(home, events(10))]) == 2
    assert "driftd.yaml: is there already" in capsys.readouterr().err
    assert (home / "driftd.yaml").read_text() == "mine"


def test_a_broker_that_is_not_there_is_said_in_a_line(
    home: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.sources.kafka.newest.PATIENCE", 0.5)

    assert main(["init", "--kafka", "127.0.0.1:1", "--topic", "t"]) == 2
    assert "--kafka 127.0.0.1:1: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "found"),
    [
        (lambda at: f"O-{at}", "Order No"),
        (lambda at: f"O-{at // 2}", None),  # some come twice
        (lambda at: hashlib.sha256(bytes([at])).hexdigest()[:8], "Order No"),
        (lambda at: f"{1000 + at}-A", "Order No"),
        (lambda at: f"O-{at}" if at % 8 == 0 else None, None),  # one voucher in eight events
        (lambda at: f"O-{at}" if at != 7 else None, None),
        (lambda at: f"{at},5", None),  # numbers
        (lambda at: f"{1000 + 7 * at:,}.50", None),
        (lambda at: f"-{at}.000,5", None),
        (lambda at: f"€{at}.99", None),
        (lambda at: f"EUR{at}.99", None),
        (lambda at: f"{at / 7:.4f}%", None),
        (lambda at: f"{at}kg", None),
        (lambda at: f"{at}.5M$", None),
        (lambda at: f"{at // 60:02}:{at % 60:02}", None),
        (lambda at: f"{at // 60 + 1}:{at % 60:02}pm", None),
        (lambda at: f"{at}h30m", None),
        (lambda at: f"{at % 28 + 1:02}.{at // 28 + 1:02}.1950", None),
        (lambda at: f"{at % 28 + 1:02}-May-{1900 + at}", None),
        (lambda at: f"01.11.2026T10:{at // 60:02}:{at % 60:02}", None),
        (lambda at: f"10.0.0.{at}", None),
        (lambda at: f"note {at}", None),  # what people write
        (lambda at: at, None),  # a counter may be an input
    ],
    ids=[
        *("words", "twice", "hexadecimal", "letter behind", "sparse", "one missing"),
        *("numbers", "thousands", "minus", "euro", "code of a currency", "per cent", "unit", "two units"),
        *("clock", "half of the day", "duration", "date", "month", "no zone", "address"),
        *("sentences", "counter"),
    ],
)
def test_words_that_come_once_each_are_an_id_whatever_they_are_called(
    word: Callable[[int], str | int | None], found: str | None
) -> None:
    rows = [{"ts": NOON_S + at, "Order No": word(at), "x": at % 7} for at in range(200)]

    guessed = guess(rows, SystemClock().now())

    assert guessed.identifier == found
    assert ("Order No" in guessed.names) == (found is None)
    assert ("id" in guessed.unsure) == (found is not None)


@pytest.mark.parametrize("name", ["prediction", "output", "churn_pred", "version", "label", "user", "model_version"])
def test_what_is_called_something_else_is_no_id(name: str) -> None:
    rows = [{"ts": NOON_S + at, name: f"w-{at}", "x": at % 7} for at in range(200)]

    assert guess(rows, SystemClock().now()).identifier is None


def test_few_words_are_no_ids() -> None:
    rows = [{"ts": NOON_S + at, "city": f"city-{at}", "x": at % 7} for at in range(50)]

    assert guess(rows, SystemClock().now()).identifier is None


def test_no_values_at_all_are_no_events() -> None:
    with pytest.raises(NothingLikeEvents, match="no value of the messages could be an event time"):
        guess([], SystemClock().now())


def test_the_window_holds_enough_rows_and_little_more(home: Path) -> None:
    """Two rows a minute over eleven days: windows of four hours are enough to learn from, of six they would be too few."""
    rows = [{"ts": NOON_S + at * 30, "x": at % 7, "y": (at * 7) % 50} for at in range(32_000)]

    assert main(["init", lines(home, rows)]) == 0
    assert yaml.safe_load((home / "driftd.yaml").read_text())["models"][0]["window"] == "4h"
    assert Reference.load(home / "events.json").calibration is not None


# --- names ------------------------------------------------------------------------------------------------------------


def guessed(*rows: dict[str, Any]) -> Any:
    """What is found in some events, each of another second and with another number in the place of `...`."""

    def filled(value: Any, at: int) -> Any:
        if isinstance(value, dict):
            return {name: filled(each, at) for name, each in value.items()}
        return at / 7 if value is ... else value

    return guess([{"ts": NOON_S + at} | filled(rows[at % len(rows)], at) for at in range(60)], SystemClock().now())


def test_the_events_of_the_walk_are_mapped_as_its_configuration_maps_them(home: Path, capsys: Output) -> None:
    """Everything stands in objects of its own; y_pred is no input, though it stands among them."""
    example = Path(__file__).parents[3] / "examples" / "car_loan"
    produce = runpy.run_path(str(example / "produce.py"))
    rows = pq.read_table(example / "analysis.parquet").slice(0, 600).to_pylist()
    (home / "walk.jsonl").write_bytes(b"\n".join(map(produce["event"], rows)))

    assert main(["init", "walk.jsonl"]) == 0
    mapped = yaml.safe_load((example / "driftd.yaml").read_text(encoding="utf-8"))["topics"][0]["fields"]
    assert fields(home) == mapped
    assert "left out y_pred: named as a prediction; name it in --columns to keep it" in capsys.readouterr().err
    assert set(Reference.load(home / "car-loan.json").names) == {*produce["APPLICANT"], "__prediction__"} - {"y_pred"}


@pytest.mark.parametrize(
    ("held", "key", "path"),
    [
        ({"result": {"yPred": ...}}, "prediction", "result.yPred"),
        ({"out": {"scores": {"probability": ...}}}, "prediction", "out.scores.probability"),
        ({"prediction": {"value": ...}}, "prediction", "prediction.value"),
        ({"features": {"x": ..., "score": ...}, "result": {"score": ...}}, "prediction", "result.score"),
        ({"features": {"x": ..., "score": ...}}, "prediction", "features.score"),
        ({"y_true": 1}, "prediction", None),
        ({"request": {"id": ...}}, "identifier", "request.id"),
        ({"meta": {"requestId": ...}}, "identifier", "meta.requestId"),
        ({"_id": ...}, "identifier", "_id"),
        ({"id": "customer 7"}, "identifier", None),
        ({"meta": {"Model-Name": "churn"}}, "model", "meta.Model-Name"),
        ({"model": {"id": "churn", "version": "1"}}, "model", "model.id"),
        ({"version": "of the schema", "model": {"name": "churn", "version": "1"}}, "version", "model.version"),
        ({"features": {"model": "golf", "x": ...}}, "model", None),
        ({"payload": {"inputs": {"x": ...}, "a": ..., "b": ...}}, "features", "payload.inputs"),
    ],
)
def test_names_are_found_in_any_spelling_and_object(held: dict[str, Any], key: str, path: str | None) -> None:
    assert getattr(guessed({"x": ..., "z": ...} | held), key) == path


@pytest.mark.parametrize(
    ("held", "path"),
    [
        ({"fraudScore": ...}, "fraudScore"),
        ({"churn_prob": ...}, "churn_prob"),
        ({"CHURN_PROBABILITY": ...}, "CHURN_PROBABILITY"),
        ({"default_pred": 1}, "default_pred"),
        ({"predictedPrice": ...}, "predictedPrice"),
        ({"fraudScore": ..., "score": ...}, "score"),
        ({"out": {"risk_score": ..., "risk_proba": ...}}, "out.risk_proba"),
        ({"fraud_score": "high"}, None),
        ({"fraud_score": True}, None),
        ({"scores": ..., "probe": ...}, None),
        ({"credit_score": ..., "fraud_score": ...}, None),
        ({"features": {"x": ..., "credit_score": ...}}, None),
        ({"features": {"x": ..., "credit_score": ..., "age_score": ...}, "fraudScore": ...}, "fraudScore"),
        ({"data": {"a": ..., "b": ..., "c": ..., "a_score": ..., "b_score": ...}}, None),
        (
            {"data": {"a": ..., "b": ..., "c": ..., "a_score": ..., "b_score": ...}, "out": {"x_prob": ...}},
            "out.x_prob",
        ),
    ],
)
def test_a_prediction_may_be_called_so_only_in_part(held: dict[str, Any], path: str | None) -> None:
    """Told as unsure; and no input of an object of features is taken for one."""
    found = guessed({"x": ..., "z": ...} | held)

    assert found.prediction == path
    if path != "score":
        assert ("only by a part of its name" if path else "nothing is called like a prediction") in found.unsure[
            "prediction"
        ]
    inputs = held.get("features", held.get("data", {}))
    assert set(inputs) <= set(found.names)


def test_what_is_a_time_in_more_than_one_way_is_the_one_called_so() -> None:
    found = guessed({"@timestamp": "2025-11-23T12:00:00Z", "x": ..., "ts": 5, "features": {"time": NOON_S, "a": ...}})

    assert (found.timestamp, found.features) == ("@timestamp", "features")


def test_the_prediction_among_the_features_is_no_feature_too_and_nothing_unknown(home: Path, capsys: Output) -> None:
    rows = [{"ts": NOON_S + at, "features": {"x": at % 7, "score": at / 50}} for at in range(300)]

    for name in (lines(home, rows), "events.csv"):
        pc.write_csv(pa.Table.from_pylist([flat(row) for row in rows]), home / "events.csv")
        assert main(["init", name, "--output", f"{name}.yaml"]) == 0
        assert set(Reference.load(home / "events.json").names) == {"x", "__prediction__"}
        (home / "events.json").unlink()
    capsys.readouterr()
    assert main(["init", "events.jsonl"]) == 0
    assert main(["explain", "events.jsonl"]) == 0
    assert "unknown" not in capsys.readouterr().out


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_what_is_left_out_is_not_listed_among_the_features(home: Path, capsys: Output, form: str) -> None:
    """Neither the index that pandas writes, nor a second time."""
    frame = pd.DataFrame(
        {"ts": [NOON_S + at for at in range(60)], "x": range(60), "opened_at": "2024-01-01T00:00:00Z", "score": 0.5}
    )
    if form == "csv":
        frame.to_csv("events.csv")
    else:
        frame.set_index(pd.Index([7, *range(59)])).to_parquet("events.parquet")

    assert main(["init", f"events.{form}"]) == 0
    told = capsys.readouterr()
    assert told.out.partition("features: ")[2].partition("\n")[0] == "the message itself: x"
    written = Path("driftd.yaml").read_text(encoding="utf-8")
    assert "Unnamed" not in written
    assert "__index_level_0__" not in written
    assert "# x, …" in written
    assert f"left out {'Unnamed: 0' if form == 'csv' else '__index_level_0__'}: " in told.err


# --- values that are hard to take ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", [10**400, 1e305, float("nan"), [1, 2], {}, {"deep": [{}]}, "\ud800", True])
def test_no_value_ends_it(home: Path, odd: object) -> None:
    rows = [{"ts": NOON_S + at, "x": at % 7, "odd": odd if at % 2 else None} for at in range(60)]

    assert main(["init", lines(home, rows)]) == 0
    assert main(["check", "--offline"]) == 0


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_column_beside_one_that_its_dots_would_make_an_object(home: Path, form: str) -> None:
    """With a column `a`, `a.b` is a name; without one it is b in a. A list is no feature."""
    columns: dict[str, Any] = {"ts": range(NOON_S, NOON_S + 60), "a": range(60), "a.b": range(60), "c.d": range(60)}
    if form == "csv":
        pc.write_csv(pa.table(columns), home / "t.csv")
    else:
        pq.write_table(pa.table({**columns, "list": [[1, 2]] * 60}), home / "t.parquet")

    assert main(["init", f"t.{form}"]) == 0
    assert set(Reference.load(home / "t.json").names) == {"a", "a.b"}
    assert main(["check", "--offline"]) == 0


def test_half_a_character_in_a_name_is_no_feature_and_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"ts": NOON_S + at, "x": at % 7, "\ud800": at, "model": "m\ud800"} for at in range(60)]
    said = io.BytesIO()
    monkeypatch.setattr("sys.stderr", io.TextIOWrapper(said, "utf-8", "backslashreplace", write_through=True))

    assert main(["init", lines(home, rows), "--output", "first.yaml"]) == 0
    assert set(Reference.load(home / "events.json").names) == {"x", "model"}
    options = ["--timestamp", "ts", "--timestamp-unit", "s", "--output", "plain.json", "--columns", "x,model"]
    assert main(["reference", "fit", "--input", "events.jsonl", *options]) == 0
    assert rb"left out \ud800: its name holds half a character" in said.getvalue()
    monkeypatch.undo()


def test_one_line_without_an_end_is_an_event(home: Path) -> None:
    assert main(["init", lines(home, [{"ts": NOON_S, "x": 1}])]) == 0


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_reference_that_is_there_is_kept(home: Path, capsys: Output) -> None:
    (home / "credit.json").write_text("mine")

    assert main(["init", lines(home, events(10))]) == 2
    assert "credit.json: is there already" in capsys.readouterr().err
    assert (home / "credit.json").read_text() == "mine"
    assert not (home / "driftd.yaml").exists()


def test_every_model_has_a_file_of_its_own(home: Path) -> None:
    """Also where nothing but a sign, or a capital, tells them apart, and beside the file that is read."""
    models = ["a-b", "a/b", "A b", "..", "é" * 125, "events", "💳"]
    rows = [row | {"meta": row["meta"] | {"model_name": models[at % 7]}} for at, row in enumerate(events(420))]

    assert main(["init", lines(home, rows, "events.json")]) == 0
    settings = yaml.safe_load((home / "driftd.yaml").read_text(encoding="utf-8"))["models"]
    assert [each["name"] for each in settings] == models
    files = [each["reference"] for each in settings]
    assert files[:4] == ["a-b.json", "a-b-2.json", "A-b-3.json", "model.json"]
    assert files[5] == "events-2.json"
    assert {Reference.load(home / file).rows for file in files} == {60}
    assert main(["check", "--offline"]) == 0


def test_what_fails_on_the_way_leaves_nothing(home: Path, capsys: Output) -> None:
    """The second of two models has nothing but ids: its reference cannot be."""
    rows = [
        {"ts": NOON_S + at, "model": "ab"[at % 2], "x": at, "features": {"x" if at % 2 else "id": at}}
        for at in range(60)
    ]

    assert main(["init", lines(home, rows)]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("driftd: ")
    assert [path.name for path in home.iterdir()] == ["events.jsonl"]


def test_a_name_that_no_model_can_have_is_said(home: Path, capsys: Output) -> None:
    rows = [{"ts": NOON_S + at, "model": ["churn", "", "a\nb"][at % 3], "x": at} for at in range(60)]

    assert main(["init", lines(home, rows)]) == 0
    assert "unsure: events of '', 'a\\nb' are not monitored" in capsys.readouterr().out
    assert [each["name"] for each in yaml.safe_load((home / "driftd.yaml").read_text())["models"]] == ["churn"]


# --- a broker that asks for more ----------------------------------------------------------------------------------------


def test_properties_of_the_client_are_used_and_written(home: Path, capsys: Output, broker: "MockBroker") -> None:
    """Files beside the configuration stay beside it; what they hold is in no output."""
    from confluent_kafka import Producer

    broker.create_topic("scored", 1)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    for row in events(50):
        producer.produce("scored", json.dumps(row).encode())
    assert producer.flush(30) == 0
    (home / "kafka.secret").write_text("hunter2\n")
    given = ["security.protocol=PLAINTEXT", "sasl.username=driftd", "sasl.password_file=kafka.secret"]

    asked = ["init", "--kafka", broker.bootstrap, "--topic", "scored"]
    assert main([*asked, *(word for each in given for word in ("--property", each))]) == 0
    written = yaml.safe_load((home / "driftd.yaml").read_text())["kafka"]
    assert written == {
        "bootstrap_servers": broker.bootstrap,
        "properties": dict(each.split("=") for each in given),
    }
    assert "hunter2" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--property", "security.protocol=NOPE"], "--kafka: Invalid value for configuration property"),
        (["--property", "sasl.password=hunter2"], "write it to a file and say --property sasl.password_file=FILE"),
        (["--property", "ssl.key.pem=hunter2"], "--property ssl.key.pem: is a secret"),
        (["--property", "sasl.oauthbearer.assertion.private.key.passphrase=hunter2"], "passphrase: is a secret"),
        (["--property", "sasl.password_file=gone"], "kafka.properties.sasl.password_file: "),
        (["--property", "hunter2"], "must be NAME=VALUE"),
        (["--property", "group.id=mine"], "group.id is set by driftd itself"),
        (["--ca-file", "gone.pem"], "kafka.ca_file: "),
        (["--ca-file", "gone.pem", "--property", "ssl.ca.location=x"], "takes only one of ca_file and"),
    ],
)
def test_a_wrong_property_is_a_line_and_tells_no_secret(
    home: Path, capsys: Output, options: list[str], said: str
) -> None:
    assert main(["init", "--kafka", "127.0.0.1:1", "--topic", "t", *options]) == 2
    output = capsys.readouterr().err
    assert said in output
    assert output.count("\n") == 1
    assert "hunter2" not in output
    assert not any(home.iterdir())


def test_a_property_needs_a_broker(home: Path, capsys: Output) -> None:
    assert main(["init", lines(home, events(10)), "--property", "client.id=x"]) == 2
    assert "--property: is of a broker, which --kafka names" in capsys.readouterr().err


def run(command: list[str], capsys: Output) -> str:
    """What a command says on both streams; it ends well."""
    code, printed = main(command), capsys.readouterr()
    assert code == 0, printed.err
    return printed.out + printed.err


def labels_of(rows: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    return [
        {"request_id": row["request_id"], "known_at": (NOON_S + 600 + at) * 1000, "outcome": at % 3 == 0} | more
        for at, row in enumerate(rows)
    ]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("named", [{}, {"model_name": "credit"}])
def test_a_file_of_labels_beside_events_is_a_topic_of_labels(
    home: Path, capsys: Output, order: int, named: dict[str, Any]
) -> None:
    files = [lines(home, events()), lines(home, labels_of(events(), **named), "events.labels.jsonl")]
    said = run(["init", *files[::order]], capsys)
    settings = yaml.safe_load((home / "driftd.yaml").read_text())

    assert "500 events" in said
    assert "rejected" not in said
    of_events, of_labels = settings["topics"]
    assert of_events["fields"]["id"] == "request_id"
    assert (of_labels["name"], of_labels["kind"]) == ("events-labels", "labels")
    model = "model_name" if named else {"const": "credit"}
    assert of_labels["fields"] == {"timestamp": "known_at", "id": "request_id", "label": "outcome", "model": model}
    assert settings["models"][0]["labels"] == {"wait": "7d", "topic": "events-labels"}
    assert "ok" in run(["check", "--offline"], capsys)
    backtest = ["backtest", "--input", files[0], "--labels", files[1]]
    assert "labels could not" not in run(backtest, capsys)


def test_a_file_of_labels_alone_says_what_lacks(home: Path, capsys: Output) -> None:
    assert main(["init", lines(home, labels_of(events()))]) == 2
    assert "these are labels (request_id, outcome) and no events" in capsys.readouterr().err
    assert not (home / "driftd.yaml").exists()


def test_a_label_inside_and_how_requests_were_served_are_fields_and_no_features(home: Path, capsys: Output) -> None:
    rows = [
        row["inputs"]
        | {
            "id": row["request_id"],
            "ts": (NOON_S + at) * 1000,
            "score": row["result"]["score"],
            "label": ["no", "yes"][at % 4 == 0],
        }
        | {"latency_ms": 3.5 + at % 7, "error": "timeout" if at % 50 == 0 else "ok", "sampling_rate": 0.5}
        for at, row in enumerate(events())
    ]
    run(["init", lines(home, rows)], capsys)
    settings = yaml.safe_load((home / "driftd.yaml").read_text())
    [topic], [model] = settings["topics"], settings["models"]
    reference = Reference.load(home / model["reference"])

    assert topic["fields"]["label"] == "label"
    assert topic["fields"]["latency"] == {"path": "latency_ms", "unit": "ms"}
    assert topic["fields"]["error"] == {"path": "error", "fine": ["ok"]}
    assert topic["fields"]["sampling"] == {"path": "sampling_rate", "unit": "fraction"}
    assert model["labels"] == {"wait": "7d", "positive": "yes"}
    assert set(reference.names) == {"age", "plan", "amount", "__prediction__"}
    assert reference.service is not None
    assert "ok" in run(["check", "--offline"], capsys)


@pytest.mark.parametrize(
    ("name", "unit"), [("latencyMs", "ms"), ("took_seconds", "s"), ("response_time_us", "us"), ("elapsed", None)]
)
def test_the_unit_of_a_latency_is_said_by_its_name(name: str, unit: str | None) -> None:
    found = guess([row | {name: 3.0} for row in events(60)], SystemClock().now())
    assert (found.beside.latency, found.beside.unit) == ((name,), unit)
    assert ("latency" in found.unsure) is (unit is None)


@pytest.mark.parametrize(
    "held", [{"inputs": {"latency_ms": 1.0, "age": 2.0}}, {"call_duration": 4.0}, {"took_ms": -1.0}]
)
def test_what_may_be_an_input_is_no_latency(held: dict[str, Any]) -> None:
    assert guess([row | held for row in events(60)], SystemClock().now()).beside.latency is None

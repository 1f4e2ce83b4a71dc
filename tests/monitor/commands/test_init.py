"""`driftd init`: what is found in unknown events, what is not sure, and a configuration that `check` passes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
        (b"\0\0\0\0\x07{}\n", "framed by a schema registry (schema 7, JSON Schema by its look)"),
        (b'{"a": 1}\n', "no value of the messages could be an event time"),
        (b'{"ts": 1763899200}\n', "no value of the messages could be a feature"),
    ],
)
def test_what_are_no_events_is_said_in_a_line(home: Path, capsys: Output, content: bytes, said: str) -> None:
    (home / "events.jsonl").write_bytes(content)

    assert main(["init", "events.jsonl"]) == 2
    assert said in capsys.readouterr().err
    assert not (home / "driftd.yaml").exists()


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


def test_no_values_at_all_are_no_events() -> None:
    with pytest.raises(NothingLikeEvents, match="no value of the messages could be an event time"):
        guess([], SystemClock().now())


def test_the_window_holds_enough_rows_and_little_more(home: Path) -> None:
    """Two rows a minute over eleven days: windows of four hours are enough to learn from, of six they would be too few."""
    rows = [{"ts": NOON_S + at * 30, "x": at % 7, "y": (at * 7) % 50} for at in range(32_000)]

    assert main(["init", lines(home, rows)]) == 0
    assert yaml.safe_load((home / "driftd.yaml").read_text())["models"][0]["window"] == "4h"
    assert Reference.load(home / "events.json").calibration is not None

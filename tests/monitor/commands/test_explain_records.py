"""`driftd explain` of records with all their parts, of whole files, of a topic, and every step from bytes to rows."""

import base64
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from detectors import Reference
from monitor.cli import main
from tests.parts.mock import MockBroker
from tests.parts.ports import free_ports
from tests.parts.reader import produce_records

Output = pytest.CaptureFixture[str]

EVENT: dict[str, Any] = {"id": "r-1", "ts": 1_763_870_700_000, "model": "churn", "features": {"age": 41.5}}
OK = "ok: churn version *, event time 2025-11-23T04:05:00Z"


def configured(tmp_path: Path, servers: str = "127.0.0.1:1", **fields: Any) -> Path:
    Reference.fit({"age": [1.0, 99.0]}).save(tmp_path / "r.json")
    settings = {
        "kafka": {"bootstrap_servers": servers, "startup_timeout": "20s"},
        "topics": [{"name": "p", "fields": fields}],
        "models": [{"name": "churn", "reference": "r.json"}],
    }
    (tmp_path / "driftd.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path / "driftd.yaml"


def explained(config: Path, output: Output, *options: str, code: int = 0) -> list[str]:
    assert main(["explain", "--config", str(config), *options]) == code
    said = output.readouterr()
    assert said.err == ""
    return said.out.splitlines()


def refused(config: Path, output: Output, *options: str) -> str:
    assert main(["explain", "--config", str(config), *options]) == 2
    said = output.readouterr()
    assert said.out == ""
    return said.err.removesuffix("\n")


def test_records_have_their_parts(tmp_path: Path, capsys: Output) -> None:
    config = configured(tmp_path, id={"header": "request"}, timestamp={"broker": True}, model={"key": "m"})
    event = json.dumps({"features": {"age": 41.5}})
    lines = [
        {"value": event, "key": {"m": "churn"}, "headers": [["request", "r-9"]], "timestamp": 1_763_870_700_000},
        {
            "value_base64": base64.b64encode(event.encode()).decode(),
            "key_base64": base64.b64encode(b'{"m": "churn"}').decode(),
            "headers": {"request": {"base64": "ci05"}},
            "timestamp": "2025-11-23T04:05:00Z",
        },
        {"value": None},
    ]
    (tmp_path / "records").write_text("\n".join(map(json.dumps, lines)))

    said = explained(config, capsys, "--records", "--steps", str(tmp_path / "records"))

    whole = [
        f"value: 27 bytes, {event}",
        'key: {"m": "churn"}',
        "header request: r-9",
        "timestamp of the record: 2025-11-23T04:05:00Z",
        "format: json",
        "read row 1: features.age = 41.5",
        "mapped id = 'r-9' (at <header request>)",
        "mapped timestamp = '2025-11-23T04:05:00.000000Z' (at <broker>)",
        "mapped model = 'churn' (at <key m>)",
        "mapped version = None (at version)",
        "mapped prediction = None (at prediction)",
        OK,
        "   age = 41.5",
    ]
    assert said[:13] == [f"1: {line}" for line in whole]
    assert said[13:26] == [f"2: {line}" for line in whole]
    assert said[26:] == ["3: value: tombstone", "3: key: none", "3: format: json", "3: rejected: tombstone", said[-1]]


def test_a_whole_file_is_one_message(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "event").write_text(json.dumps(EVENT, indent=2))

    assert explained(configured(tmp_path), capsys, "--message", str(tmp_path / "event"))[:2] == [
        f"1: {OK}",
        "1:    age = 41.5",
    ]


def test_rows_of_a_list_are_told_one_by_one(tmp_path: Path, capsys: Output) -> None:
    config = configured(tmp_path, explode="rows", features="rows", columns=["age"])
    (tmp_path / "event").write_text(json.dumps(EVENT | {"rows": [[1], [2]]}))

    said = explained(config, capsys, "--steps", str(tmp_path / "event"))

    assert "1.2: mapped id = 'r-1#1' (at id)" in said
    assert [line for line in said if "age = " in line and "read" not in line] == ["1.1:    age = 1", "1.2:    age = 2"]


def test_bytes_that_are_no_text_are_told_in_digits(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "event").write_bytes(b"\0\0\0\0\7" + bytes(range(200, 250)))

    said = explained(configured(tmp_path), capsys, "--message", "--steps", str(tmp_path / "event"), code=1)

    assert said[0] == "1: value: 55 bytes, 0x0000000007c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9da…"
    assert said[1] == "1: framed by a schema registry: schema 7, then 50 bytes"


def test_why_a_schema_cannot_be_had_is_said(tmp_path: Path, capsys: Output, mock_broker: MockBroker) -> None:
    """Whoever does not wait says what is away: a topic in Avro is not taken for one in JSON."""
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    config = configured(tmp_path, mock_broker.bootstrap)
    settings = yaml.safe_load(config.read_text())
    settings["topics"][0] |= {"format": "avro", "options": {"registry": {"url": url, "timeout": "1s"}}}
    config.write_text(yaml.safe_dump(settings))
    mock_broker.create_topic("p")
    produce_records(mock_broker, "p", [{"value": b"\0\0\0\0\7abc"}] * 3)
    away = rf"schema registry {url}: it cannot be reached: [ -~]+ \(schema 7\)"

    said = explained(config, capsys, "--kafka", code=1)
    assert re.search(f"rejected: schema_unavailable: {away}$", said[0])
    assert main(["check", "--config", str(config)]) == 2
    assert re.search(rf"topics\.p: none of 3 messages can be read now: {away}$", capsys.readouterr().err, re.MULTILINE)


def test_steps_stand_in_the_objects_for_programs(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "event").write_text(json.dumps(EVENT))

    found = json.loads(explained(configured(tmp_path), capsys, "--json", "--steps", str(tmp_path / "event"))[0])

    assert found["outcome"] == "ok"
    assert "format: json" in found["steps"]
    assert "mapped id = 'r-1' (at id)" in found["mapped"]


def test_records_of_a_topic_are_read_with_their_parts(tmp_path: Path, capsys: Output, mock_broker: MockBroker) -> None:
    mock_broker.create_topic("p")
    lately = time.time_ns() // 1_000_000 - 60_000
    event = json.dumps({"id": "x", "model": "churn", "features": {"age": 1}}).encode()
    produce_records(
        mock_broker,
        "p",
        [{"value": event, "headers": [("h", str(at).encode())], "timestamp": lately + at} for at in range(5)],
    )
    config = configured(tmp_path, mock_broker.bootstrap, timestamp={"broker": True}, id={"header": "h"})

    said = explained(config, capsys, "--kafka", "--steps", "--limit", "2")

    assert [line for line in said if "mapped id" in line] == [
        "0@3: mapped id = '3' (at <header h>)",
        "0@4: mapped id = '4' (at <header h>)",
    ]
    assert said[-1].startswith("2 rows: 2 ok")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[1]", 'is no record such as {"value": "…", "key": "…", "headers": [["name", "…"]]}'),
        ('{"valu": 1}', "valu is no key of a record; valid here: value, key, headers, timestamp, partition, value_base64, key_base64"),
        ('{"value_base64": "?"}', "value_base64: is no base64"),
        ('{"headers": [["a"]]}', "headers: must be a list of [name, value], a value being text, null or {base64: …}"),
        ('{"timestamp": "later"}', "timestamp: later is no time such as 2026-11-01T12:00:00Z or milliseconds"),
        ('{"partition": -1}', "partition: must be a whole number (is -1)"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_record_is_said_in_one_line(tmp_path: Path, capsys: Output, line: str, said: str) -> None:
    (tmp_path / "records").write_text(line)

    found = refused(configured(tmp_path), capsys, "--records", str(tmp_path / "records"))

    assert found == f"driftd: {tmp_path / 'records'}: line 1: {said}"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--kafka", "file"], "--kafka: records are read from the topic, and file says otherwise"),
        (["--kafka", "--message"], "--kafka: records are read from the topic, and --message says otherwise"),
        (["--from", "2026-01-01", "file"], "--from 2026-01-01: is of the records of a topic, which --kafka reads"),
        (["--message", "--records"], "--message: the file is one message, and --records says that it holds a record a line"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path, capsys: Output, options: list[str], said: str
) -> None:
    assert refused(configured(tmp_path), capsys, *options) == f"driftd: {said}"


def test_a_request_is_said_to_be_one_and_without_an_id_it_is_rejected_as_the_daemon_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Reference.fit({"age": [1.0, 20.0, 41.5]}).save(tmp_path / "r.json")
    held = {
        "topics": [{"name": "seldon.prod.model.churn.inputs", "format": "seldon"}],
        "models": [{"name": "churn", "reference": "r.json"}],
    }
    (tmp_path / "driftd.yaml").write_text(yaml.safe_dump(held))
    value = json.dumps({"inputs": [{"name": "age", "shape": [1], "datatype": "FP64", "data": [41.5]}]})
    records = [
        {"value": value, "timestamp": 1_763_870_700_000, "headers": headers}
        for headers in ([["x-request-id", "r"]], [])
    ]
    (tmp_path / "records.jsonl").write_text("\n".join(map(json.dumps, records)))

    assert (
        main(["explain", "--config", str(tmp_path / "driftd.yaml"), "--records", str(tmp_path / "records.jsonl")]) == 0
    )

    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith("event time 2025-11-23T04:05:00Z, a request that is joined by its id")
    assert "2: rejected: id_missing" in told
    assert told[-1].startswith("2 rows: 1 ok (churn version * 1), 1 rejected (id_missing 1)")

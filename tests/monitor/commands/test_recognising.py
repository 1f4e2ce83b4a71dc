"""`driftd init` and messages of a format that is not plain JSON: it is found by its look and written down, with what it needs."""

import importlib
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

import monitor.sources.formats
from detectors import Reference
from monitor.cli import main
from tests.charted import seeded
from tests.parts.mock import MockBroker
from tests.parts.reader import produce_records

Output = pytest.CaptureFixture[str]
SLIPS = '''
"""Slips: `!` and the cells of a row of two features, `;` between rows; the key is the id. A format of these tests."""

import numpy as np

from monitor.sections import Section
from monitor.sources.base import RecordParts, TopicRecords
from monitor.sources.formats.base import Rows
from monitor.sources.formats.values import Rejected


class Options(Section):
    {options}


def recognises(records):
    return all(value.startswith(b"!") for value in records.values)


class SlipDecoder:
    wants = RecordParts.KEYS

    def __init__(self, topic):
        self.options = topic.options

    def decode(self, values):
        return self.decode_records(TopicRecords("", (), values))

    def inspect(self, raw):
        return self.inspect_record(TopicRecords("", (), (raw,)))

    def decode_records(self, records):
        held = [(at, row) for at, value in enumerate(records.values) for row in self._rows(records.only([at]), value)]
        paths = {{path for _, row in held for path in row}}
        columns = {{
            path: np.fromiter((row.get(path) for _, row in held), dtype=object, count=len(held)) for path in paths
        }}
        return Rows(columns, np.array([at for at, _ in held], dtype=np.intp))

    def inspect_record(self, record):
        return self._rows(record, record.values[0])

    def _rows(self, record, value):
        if value is None or not value.startswith(b"!"):
            raise Rejected("no_slip")
        key = record.keys[0].decode() if record.keys and record.keys[0] else None
        return [
            {{("id",): key, ("features", "age"): float(age), ("features", "plan"): plan{more}}}
            for age, plan in (row.split(",")[:2] for row in value[1:].decode().split(";"))
        ]


decoder = SlipDecoder
'''


@pytest.fixture
def slips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """slips(options="…", more="…"): a module among the formats."""
    monkeypatch.chdir(tmp_path)

    def install(options: str = "pass", more: str = "") -> None:
        (tmp_path / "formats").mkdir()
        (tmp_path / "formats" / "paper_slips.py").write_text(SLIPS.format(options=options, more=more))
        monkeypatch.setattr(
            monitor.sources.formats, "__path__", [*monitor.sources.formats.__path__, str(tmp_path / "formats")]
        )
        monkeypatch.delitem(sys.modules, "monitor.sources.formats.paper_slips", raising=False)
        importlib.invalidate_caches()

    yield install
    sys.modules.pop("monitor.sources.formats.paper_slips", None)


def topic_of(home: Path) -> dict[str, Any]:
    """The topic as it was written."""
    found: dict[str, Any] = yaml.safe_load((home / "driftd.yaml").read_text(encoding="utf-8"))["topics"][0]
    return found


def slip_file(home: Path, name: str = "slips.jsonl") -> str:
    rng = seeded()
    rows = [f"!{rng.normal():.3f},{rng.choice(['a', 'b'])};{rng.normal():.3f},a" for _ in range(300)]
    (home / name).write_text("\n".join(rows))
    return name


TIMED = ', ("ts",): 1_763_870_700_000 + int(float(age) * 1e5), ("model",): "credit"'


def test_a_format_that_needs_no_mapping_is_written_without_one(tmp_path: Path, capsys: Output, slips: Any) -> None:
    slips(more=TIMED)

    assert main(["init", slip_file(tmp_path)]) == 0

    assert topic_of(tmp_path) == {"name": "slips", "format": "paper-slips"}
    assert "  format: paper-slips" in capsys.readouterr().out.splitlines()
    reference = Reference.load(tmp_path / "credit.json")
    assert (reference.rows, set(reference.names)) == (600, {"age", "plan"})
    assert main(["check", "--offline"]) == 0


def served_rows(home: Path, others: int) -> str:
    """Lines of Feast's log, and among them some of no format."""
    rng = seeded()
    lines = [
        json.dumps(
            {
                "d__age": rng.normal(),
                "d__age__timestamp": "2026-11-01T12:00:00Z",
                "d__age__status": 1,
                "__log_timestamp": f"2026-11-01T{12 + at // 60}:{at % 60:02}:00Z",
                "__log_date": "2026-11-01",
                "__request_id": f"r-{at}",
            }
        ).encode()
        for at in range(300)
    ]
    for at in range(others):
        lines.insert(7 + at * 2, b"\xff{nope" if at % 2 else b"test")
    (home / "served.jsonl").write_bytes(b"\n".join(lines))
    return "served.jsonl"


def test_a_few_messages_of_no_format_do_not_hide_that_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["init", served_rows(tmp_path, others=6)]) == 0

    assert topic_of(tmp_path)["format"] == "feast"
    assert Reference.load(tmp_path / "served.json").rows == 300


def test_where_messages_of_no_format_are_many_they_are_taken_for_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["init", served_rows(tmp_path, others=146)]) == 0

    assert "format" not in topic_of(tmp_path)


def test_requests_and_responses_get_a_configuration_and_the_way_to_a_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.chdir(tmp_path)
    held: dict[str, Any] = {"model_inputs": {"age": 41.5, "plan": "pro"}, "model_outputs": {"score": 0.83}}
    (tmp_path / "calls.jsonl").write_text(
        "\n".join(
            json.dumps(
                {
                    "specversion": "1.0",
                    "id": f"e-{at}",
                    "type": f"azureml.inference.{kind}",
                    "time": f"2026-11-01T12:{at % 60:02}:00Z",
                    "data": [row],
                    "correlationid": f"c-{at}",
                    "modelversion": "default",
                }
            )
            for at in range(200)
            for kind, row in held.items()
        )
    )

    assert main(["init", "calls.jsonl"]) == 0

    said = capsys.readouterr()
    assert topic_of(tmp_path)["format"] == "azureml-mdc"
    assert "`driftd reference fit --input TABLE --output calls.json`" in said.out
    assert not (tmp_path / "calls.json").exists()
    assert main(["reference", "fit", "--config", "driftd.yaml", "--input", "calls.jsonl"]) == 2
    assert "no event is of the model; calls: left out 400 requests and responses" in capsys.readouterr().err


def test_a_format_with_paths_of_its_own_is_mapped(tmp_path: Path, slips: Any) -> None:
    slips(more=', ("meta", "event_time"): 1_763_870_700_000 + int(float(age) * 1e5), ("meta", "model_name"): "credit"')

    assert main(["init", slip_file(tmp_path)]) == 0

    topic = topic_of(tmp_path)
    assert topic["format"] == "paper-slips"
    assert topic["fields"]["timestamp"] == "meta.event_time"
    assert topic["fields"]["model"] == "meta.model_name"
    assert topic["fields"]["features"] == "features"


def test_where_no_message_says_when_the_broker_does_and_it_is_said(
    tmp_path: Path, mock_broker: MockBroker, capsys: Output, slips: Any
) -> None:
    """Keys are read, too: they are the ids."""
    slips()
    mock_broker.create_topic("paper")
    rng, lately = seeded(), time.time_ns() // 1_000_000 - 600_000
    produce_records(
        mock_broker,
        "paper",
        [
            {"value": f"!{rng.normal():.3f},a;1,b".encode(), "key": f"r-{at}".encode(), "timestamp": lately + at * 900}
            for at in range(400)
        ],
    )

    assert main(["init", "--kafka", mock_broker.bootstrap, "--topic", "paper"]) == 0

    assert topic_of(tmp_path) == {
        "name": "paper",
        "format": "paper-slips",
        "fields": {"timestamp": {"broker": True}, "model": {"const": "paper"}},
    }
    assert Reference.load(tmp_path / "paper.json").rows == 800
    capsys.readouterr()
    assert main(["check"]) == 0
    said = capsys.readouterr().out
    assert (
        "warning: topics.paper.fields.timestamp: the time of an event is the broker's timestamp of its record" in said
    )
    assert main(["explain", "--kafka", "--steps", "--limit", "1"]) == 0
    said = capsys.readouterr().out
    assert "key: r-399" in said
    assert "format: paper-slips" in said
    assert "mapped id = 'r-399' (at id)" in said


def test_a_format_that_needs_options_is_said_in_one_line(tmp_path: Path, capsys: Output, slips: Any) -> None:
    slips(options="registry: str")

    assert main(["init", slip_file(tmp_path)]) == 2

    assert capsys.readouterr().err == (
        "driftd: slips.jsonl: messages look like paper-slips, which needs options: registry: Field required\n"
    )
    assert not (tmp_path / "driftd.yaml").exists()


CONNECT = {"type": "struct", "fields": [{"type": "string", "field": "id"}, {"type": "double", "field": "amount"}]}
ANSWER = {"specversion": "1.0", "id": "r-1", "source": "/", "type": "org.kubeflow.serving.inference.response"}
NO_EVENTS = {
    "rows out of Debezium's envelope": (
        {"id": "r-1", "amount": 1.5, "__deleted": "false"},
        "messages look like debezium, and none of them says when it was: .*add.fields: op,source.ts_ms",
    ),
    "the same with a schema": (
        {"schema": CONNECT, "payload": {"id": "r-1", "amount": 1.5}},
        "messages look like debezium, and none of them says when it was: .*have a column of the table",
    ),
    "answers": ({"id": "r-1", "ts": "2026-01-01T00:00:00Z", "prediction": 0.5}, "messages are answers alone, "),
    "answers of a server": (
        ANSWER | {"time": "2026-01-01T00:00:00Z", "data": {"predictions": [0.5]}},
        "messages look like kserve, and are answers alone, .*: name a topic or file that holds the requests too",
    ),
    "answers in an envelope": (
        ANSWER | {"type": "scored", "time": "2026-01-01T00:00:00Z", "data": {"prediction": 0.5}},
        "messages look like cloudevents, and are answers alone, ",
    ),
    "scores": ({"id": "r-1", "ts": "2026-01-01T00:00:00Z", "score": 0.5}, "messages are answers alone, "),
    "answers without a time": (
        {"predictions": [0.5, 0.25]},
        "messages look like mlflow, and none of them says when it was: .*: init --kafka BROKERS --topic NAME",
    ),
}


@pytest.mark.parametrize("name", NO_EVENTS)
def test_why_messages_are_no_events_is_said_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.chdir(tmp_path)
    message, words = NO_EVENTS[name]
    Path("log.jsonl").write_text(f"{json.dumps(message)}\n" * 100)

    assert main(["init", "log.jsonl"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert re.search(f"^driftd: log.jsonl: {words}", line)


def test_plain_events_are_no_format_of_their_own(tmp_path: Path, slips: Any) -> None:
    slips()
    rng = seeded()
    rows = [
        {"ts": 1_763_870_700_000 + at, "model": "credit", "features": {"age": rng.normal()}, "prediction": rng.random()}
        for at in range(300)
    ]
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, rows)))

    assert main(["init", "events.jsonl"]) == 0

    assert "format" not in topic_of(tmp_path)

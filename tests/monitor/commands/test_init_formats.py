"""`driftd init` on what real libraries wrote, on a broker: the configuration that it writes runs as it is, and takes what it was shown."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from detectors import Reference
from monitor.cli import main
from tests.inferences import recorded, unpacked
from tests.parts.mock import MockBroker
from tests.parts.reader import produce_records

Output = pytest.CaptureFixture[str]
Record = dict[str, Any]
REPEATED = 10
TENSORS, CHANGES = recorded("kserve"), recorded("debezium")["records"]


def lines(texts: Sequence[str]) -> list[Record]:
    return [{"value": text.encode()} for text in texts]


def asked_and_told() -> list[Record]:
    """What MLflow was asked and what it answered, as who logs both writes it."""
    wrote = recorded("mlflow")
    held = json.loads(wrote["requests"]["records"]) | json.loads(wrote["answers"]["series"])
    return [{"value": json.dumps(held).encode()}]


def event(half: str, body: bytes) -> Record:
    """As KServe's logger sends a body, whoever wrote it."""
    about = {"specversion": "1.0", "id": "r-1", "type": f"org.kubeflow.serving.inference.{half}", "source": "/"}
    about |= {"time": "2026-01-01T00:00:00Z", "inferenceservicename": "churn"}
    return {"value": body, "headers": {f"ce_{name}": value for name, value in about.items()}}


def served(name: str, answer: str) -> list[Record]:
    return [event("request", unpacked(TENSORS["bodies"][name])), event("response", unpacked(TENSORS["bodies"][answer]))]


def logged_by_seldon(name: str, half: str) -> list[Record]:
    about = {"type": f"io.seldon.serving.inference.{half}", "requestid": "r-1", "modelid": "m", "protocol": "v2"}
    return [{"value": unpacked(TENSORS["bodies"][name]), "headers": about | {"inferenceservicename": "churn"}}]


def of_mlserver(half: str) -> list[Record]:
    told = recorded("mlserver")["kafka"][half]
    return [{"value": told["value"].encode(), "headers": told["headers"], "key": told["key"]}]


def changed(name: str) -> list[Record]:
    return [
        {"key": None if key is None else key.encode(), "value": None if value is None else value.encode()}
        for key, value in CHANGES[name]
    ]


@dataclass(frozen=True)
class Shown:
    """Records of a format, and what `check` says of them: rows that it takes, why it takes no others. `table`: of whole predictions, where these are halves."""

    form: str
    records: Sequence[Record]
    rows: int
    others: Sequence[str] = ()
    table: str = ""


WRITTEN = {
    "azureml": Shown("azureml-mdc", lines(recorded("azureml")["lines"]), 40, table="age,plan\n1.5,pro\n2,free\n"),
    "bentoml": Shown("bentoml", lines(recorded("bentoml")["values"]), 20),
    "kserve": Shown("kserve", served("binary", "binary_answer"), 40, table="x,plan\n1.5,pro\n"),
    "mlserver": Shown("mlserver", of_mlserver("request"), 20, table="x\n1\n2\n"),
    "mlflow": Shown("mlflow", asked_and_told(), 20),
    "seldon": Shown("seldon", logged_by_seldon("plain", "request"), 20, table="wide[0],wide[1]\n1.5,2\n"),
    "debezium": Shown("debezium", changed("bare"), 18, ("skipped", "timestamp_missing")),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_configuration_runs_as_it_was_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mock_broker: MockBroker, capsys: Output
) -> None:
    """Where messages are halves, but for a reference of whole predictions, which no record of them holds."""
    monkeypatch.chdir(tmp_path)
    shown, lately = WRITTEN[name], time.time_ns() // 1_000_000 - 600_000
    mock_broker.create_topic("log")
    produce_records(
        mock_broker,
        "log",
        [each | {"timestamp": lately + 1000 * at} for at in range(REPEATED) for each in shown.records],
    )

    assert main(["init", "--kafka", mock_broker.bootstrap, "--topic", "log"]) == 0
    config = yaml.safe_load(Path("driftd.yaml").read_text(encoding="utf-8"))
    if shown.table:
        Path("table.csv").write_text(shown.table)
        assert main(["reference", "fit", "--input", "table.csv", "--output", config["models"][0]["reference"]]) == 0
    capsys.readouterr()
    assert main(["check", "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)["topics"]

    assert config["topics"][0]["format"] == shown.form
    assert said["sample"]["ok"] == shown.rows
    assert set(said["sample"]["reasons"]) == set(shown.others)
    assert "version" not in config["topics"][0].get(
        "fields", {}
    )  # none names one in each row; a connector's is no model's


def test_a_table_whose_rows_are_a_log_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    """A plain table beside it, of columns that are features, stays what it is."""
    monkeypatch.chdir(tmp_path)
    calls = [
        {
            "logging_time": datetime(2026, 11, 1, 12, at // 60, at % 60, tzinfo=UTC),
            "request_id": str(at),
            "deployed_model_id": "7",
            "request_payload": [json.dumps({"age": at % 9, "plan": "pro" if at % 2 else "free"})],
            "response_payload": [json.dumps(at / 300)],
        }
        for at in range(300)
    ]
    pq.write_table(pa.Table.from_pylist(calls), "calls.parquet")
    plain = {"ts": [each["logging_time"] for each in calls], "age": [float(at % 9) for at in range(300)]}
    pq.write_table(pa.table(plain), "plain.parquet")

    for name, form in (("calls", "vertex-logging"), ("plain", None)):
        assert main(["init", f"{name}.parquet", "--output", f"{name}.yaml"]) == 0
        config = yaml.safe_load(Path(f"{name}.yaml").read_text(encoding="utf-8"))
        assert config["topics"][0].get("format") == form
        files = ["--config", f"{name}.yaml", "--input", f"{name}.parquet", "--json", "told.json"]
        assert main(["check", "--offline", "--config", f"{name}.yaml"]) == 0
        assert main(["backtest", *files]) == 0
        assert json.loads(Path("told.json").read_text(encoding="utf-8"))["events"]["ok"] == 300
    assert set(Reference.load(tmp_path / "calls.json").names) == {"age", "plan", "__prediction__"}

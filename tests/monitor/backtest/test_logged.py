"""Logs of predictions in files, through `driftd backtest` and `explain`: a line a message, or Parquet whose rows are messages."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from detectors import Reference
from monitor.cli import main
from tests.charted import seeded
from tests.logged import FORMATS

Output = pytest.CaptureFixture[str]
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
HOURS, AN_HOUR = 12, 40
Made = tuple[datetime, float, str, float]
Messages = list[dict[str, Any]]


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def sagemaker(number: int, row: Made) -> Messages:
    moment, age, plan, score = row
    asked = {"observedContentType": "text/csv", "mode": "INPUT", "data": f"{age},{plan}\n", "encoding": "CSV"}
    told = {"observedContentType": "text/csv", "mode": "OUTPUT", "data": f"{score}\n", "encoding": "CSV"}
    about = {"eventId": f"e-{number}", "inferenceTime": stamp(moment)}
    return [
        {"captureData": {"endpointInput": asked, "endpointOutput": told}, "eventMetadata": about, "eventVersion": "0"}
    ]


def azure(number: int, row: Made) -> Messages:
    moment, age, plan, _ = row
    about = {"specversion": "1.0", "id": f"e-{number}", "type": "azureml.inference.model_inputs", "time": stamp(moment)}
    return [about | {"correlationid": f"c-{number}", "data": [{"age": age, "plan": plan}]}]


def databricks(number: int, row: Made) -> Messages:
    moment, age, plan, score = row
    texts = {
        "request": json.dumps({"dataframe_split": {"columns": ["age", "plan"], "data": [[age, plan]]}}),
        "response": json.dumps({"predictions": [score]}),
    }
    about = {"databricks_request_id": f"d-{number}", "timestamp_ms": int(moment.timestamp() * 1000), "status_code": 200}
    return [about | texts]


def vertex(number: int, row: Made) -> Messages:
    moment, age, plan, score = row
    about = {"endpoint": "1", "deployed_model_id": "2", "request_id": str(number), "logging_time": stamp(moment)}
    return [about | {"request_payload": [json.dumps([age, plan])], "response_payload": [json.dumps(score)]}]


def mlflow(number: int, row: Made) -> Messages:
    moment, age, plan, score = row
    return [{"ts": stamp(moment), "id": number, "instances": [[age, plan]], "predictions": [{"0": score}]}]


def bentoml(number: int, row: Made) -> Messages:
    moment, age, plan, score = row
    columns = {"age": "feature", "plan": "feature", "score": "prediction"}
    schema = [{"name": name, "role": role, "type": "categorical"} for name, role in columns.items()]
    schema[0]["type"] = schema[2]["type"] = "numerical"
    line = {"age": str(age), "plan": plan, "score": str(score), "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%S.%f")}
    before = [{"meta_data": {"bento_name": "b"}, "columns": schema}] if number == 0 else []
    return [*before, line | {"request_id": f"r-{number}", "trace_id": "0"}]


def feast(number: int, row: Made) -> Messages:
    moment, age, plan, _ = row
    beside = {"user__age__timestamp": stamp(moment), "user__age__status": 1, "user_id": number}
    return [
        {
            "user__age": age,
            "user__plan": plan,
            **beside,
            "__log_timestamp": stamp(moment),
            "__request_id": f"r-{number}",
        }
    ]


MAKERS: dict[str, Callable[[int, Made], Messages]] = {
    "azureml-mdc": azure,
    "bentoml": bentoml,
    "databricks-inference": databricks,
    "feast": feast,
    "mlflow": mlflow,
    "sagemaker-capture": sagemaker,
    "vertex-logging": vertex,
}
NAMED = {"columns": ["age", "plan"]}
OPTIONS: dict[str, dict[str, Any]] = {
    "azureml-mdc": {"outputs": None},
    "mlflow": NAMED,
    "sagemaker-capture": NAMED,
    "vertex-logging": NAMED,
}


def rows() -> list[Made]:
    """Half a day, of which the age is another one in the second half."""
    rng = seeded()
    moments = [BEGIN + timedelta(seconds=90 * number) for number in range(HOURS * AN_HOUR)]
    ages = rng.normal(40, 5, len(moments)) + np.where(np.arange(len(moments)) < len(moments) / 2, 0, 30)
    plans, scores = rng.choice(["pro", "free"], len(moments)), rng.random(len(moments))
    return [
        (moment, round(float(age), 3), str(plan), round(float(score), 3))
        for moment, age, plan, score in zip(moments, ages, plans, scores, strict=True)
    ]


def configured(home: Path, form: str) -> Path:
    rng = np.random.default_rng(5)
    prefix = "user__" if form == "feast" else ""
    columns: dict[str, Any] = {f"{prefix}age": rng.normal(40, 5, 3000), f"{prefix}plan": ["pro", "free"] * 1500}
    scored = form not in {"feast", "azureml-mdc"}
    columns |= {"score": rng.random(3000)} if scored else {}
    Reference.fit(columns, prediction="score" if scored else None).save(home / "r.json")
    topic = {"name": "t", "format": form, "fields": {"model": {"const": "churn"}}, "options": OPTIONS.get(form, {})}
    topic |= {} if scored else {"kind": "features"}
    model = {"name": "churn", "reference": "r.json", "window": "1h", "lateness": "1m", "min_rows": 20}
    rules = [{"name": "moved", "detector": "ks", "fire_above": 0.5, "clear_below": 0.3}]
    settings = {"topics": [topic], "models": [model], "alerting": {"rules": rules}, "state": str(home / "state")}
    (home / "driftd.yaml").write_text(yaml.safe_dump(settings))
    return home / "driftd.yaml"


def backtested(home: Path, form: str, events: Path, capsys: Output) -> dict[str, Any]:
    told = home / "told.json"
    code = main(["backtest", "--config", str(configured(home, form)), "--input", str(events), "--json", str(told)])
    assert code == 0, capsys.readouterr()
    found: dict[str, Any] = json.loads(told.read_text())
    return found


def messages_of(form: str) -> Messages:
    return [message for number, row in enumerate(rows()) for message in MAKERS[form](number, row)]


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_of_lines_is_judged(form: str, tmp_path: Path, capsys: Output) -> None:
    """What is broken among them is counted, and costs nothing else."""
    lines = [json.dumps(message) for message in messages_of(form)]
    (tmp_path / "log.jsonl").write_text("\n".join([*lines[:7], '{"broken', *lines[7:]]) + "\n")
    found = backtested(tmp_path, form, tmp_path / "log.jsonl", capsys)

    counted = {name: count for name, count in found["events"].items() if count}
    assert counted == {"ok": HOURS * AN_HOUR, "rejected": 1}
    alerts = [alert for alert in found["alerts"] if alert["rule"] == "moved"]
    assert [evidence["feature"].removeprefix("user__") for alert in alerts for evidence in alert["evidence"]] == ["age"]


def as_parquet(rows: Messages, path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def as_arrow(rows: Messages, path: Path) -> None:
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table, max_chunksize=100)


def as_avro(rows: Messages, path: Path) -> None:
    """As BigQuery writes its tables: times in microseconds, what may be null as a union."""
    kinds = {float: "double", int: "long", str: "string", list: {"type": "array", "items": "string"}}
    kinds[datetime] = {"type": "long", "logicalType": "timestamp-micros"}
    fields = [{"name": name, "type": ["null", kinds[type(value)]]} for name, value in rows[0].items()]
    with path.open("wb") as file:
        fastavro.writer(file, {"type": "record", "name": "Root", "fields": fields}, rows, codec="deflate")


def told_of(home: Path, form: str, events: Path, capsys: Output) -> tuple[dict[str, Any], bytes, int, Any]:
    """What a backtest, a reference and the contract of another one say of events."""
    judged = backtested(home, form, events, capsys)
    judged.pop("notes", None)
    config, output = str(home / "driftd.yaml"), home / "new.json"
    assert main(["reference", "fit", "--config", config, "--input", str(events), "--output", str(output)]) == 0
    assert (
        main(["contract", "infer", str(home / "r.json"), "--overwrite", "--output", str(home / "contract.yaml")]) == 0
    )
    capsys.readouterr()
    broken = main(["contract", "check", str(home / "contract.yaml"), str(events), "--config", config, "--json"])
    return judged, output.read_bytes(), broken, json.loads(capsys.readouterr().out.replace(str(events), "FILE"))


@pytest.mark.parametrize("form", ["databricks-inference", "feast", "vertex-logging"])
def test_a_table_of_the_same_rows_says_the_same(form: str, tmp_path: Path, capsys: Output) -> None:
    """As tables have them: times are times. Windows, alerts, a reference of them and the breaches of its contract are those of lines."""
    messages = messages_of(form)
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(message) + "\n" for message in messages))
    lines = told_of(tmp_path, form, tmp_path / "log.jsonl", capsys)
    timed = {"logging_time", "__log_timestamp"}
    rows = [
        {name: datetime.fromisoformat(value) if name in timed else value for name, value in each.items()}
        for each in messages
    ]

    for ending, write in {"parquet": as_parquet, "arrow": as_arrow, "avro": as_avro}.items():
        write(rows, tmp_path / f"log.{ending}")
        assert told_of(tmp_path, form, tmp_path / f"log.{ending}", capsys) == lines


def test_the_places_of_a_table_of_logs_are_those_of_its_rows(tmp_path: Path, capsys: Output) -> None:
    """A call may hold several rows, or none that can be read: a contract names the call, and counts all rows."""
    config = configured(tmp_path, "vertex-logging")
    settings = yaml.safe_load(config.read_text())
    settings["models"][0] |= {"contract": "contract.yaml", "window": "1m", "min_rows": 5}
    calls = [vertex(at, (BEGIN + timedelta(seconds=7 * at), 40.0, "odd", 0.5))[0] for at in range(60)]
    for at, each in enumerate(calls):
        each["request_payload"] = None if at < 45 else ['[999.5, "pro"]', '[40.0, "odd"]']
        each["response_payload"] = ["0.5", "0.7"]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(each) + "\n" for each in calls))
    as_parquet(calls, tmp_path / "log.parquet")
    assert main(["contract", "infer", str(tmp_path / "r.json"), "--output", str(tmp_path / "contract.yaml")]) == 0
    config.write_text(yaml.safe_dump(settings))
    found = {}
    for name in ("log.jsonl", "log.parquet"):
        files, told = ["--config", str(config)], tmp_path / "told.json"
        assert main(["backtest", *files, "--input", str(tmp_path / name), "--json", str(told)]) == 0
        capsys.readouterr()
        assert main(["contract", "check", str(tmp_path / "contract.yaml"), str(tmp_path / name), *files]) == 1
        found[name] = told.read_text(), capsys.readouterr().out.replace(name, "FILE")

    assert found["log.parquet"] == found["log.jsonl"]
    assert json.loads(found["log.parquet"][0])["events"]["rejected"] == 45
    assert "999.5 in row 46" in found["log.parquet"][1]


def test_labels_of_a_table_of_logs_are_those_of_lines(tmp_path: Path, capsys: Output) -> None:
    """Ground truth of several rows in a line, and lines that hold none."""
    config = configured(tmp_path, "sagemaker-capture")
    settings = yaml.safe_load(config.read_text())
    settings["topics"].append({**settings["topics"][0], "name": "truth", "kind": "labels", "options": {}})
    settings["models"][0]["labels"] = {"topic": "truth", "wait": "3h", "judge_at": ["2h"]}
    settings["models"][0]["performance"] = {"task": "binary", "metrics": ["accuracy"]}
    config.write_text(yaml.safe_dump(settings))
    calls = [message for number, row in enumerate(rows()[:200]) for message in sagemaker(number, row)]
    truths = [
        {
            "groundTruthData": {"data": "1\n0" if number > 150 else "1\n", "encoding": "CSV" if number % 50 else "odd"},
            "eventMetadata": {"eventId": f"e-{number}", "inferenceTime": stamp(BEGIN + timedelta(hours=2))},
        }
        for number in range(200)
    ][::-1]
    (tmp_path / "calls.jsonl").write_text("".join(json.dumps(each) + "\n" for each in calls))
    (tmp_path / "truth.jsonl").write_text("".join(json.dumps(each) + "\n" for each in truths[:100]))
    as_parquet(truths[:100], tmp_path / "truth.parquet")
    found = []
    for ending in ("jsonl", "parquet"):
        files = ["--input", str(tmp_path / "calls.jsonl"), "--labels", str(tmp_path / f"truth.{ending}")]
        assert main(["backtest", "--config", str(config), *files, "--json", str(tmp_path / "told.json")]) == 0
        found.append(json.loads((tmp_path / "told.json").read_text())["models"])

    assert found[1] == found[0]
    assert found[0][0]["labels"]["received"] > 100


def test_a_csv_is_refused_in_a_line(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "log.csv").write_text("a\n1\n")
    code = main(["backtest", "--config", str(configured(tmp_path, "feast")), "--input", str(tmp_path / "log.csv")])

    assert code == 2
    assert (
        "log.csv: topic t is of a format that is read from .jsonl, .parquet, .arrow or .avro" in capsys.readouterr().err
    )


def test_a_table_that_is_none_is_refused_in_a_line(tmp_path: Path, capsys: Output) -> None:
    for name, head, why in (
        ("log.parquet", b"PAR1 not", "cannot be read"),
        ("log.arrow", b"ARROW1 not", "cannot be read"),
        ("log.avro", b"Obj\1not", "is no Avro container, or is damaged"),
    ):
        (tmp_path / name).write_bytes(head)
        code = main(["backtest", "--config", str(configured(tmp_path, "feast")), "--input", str(tmp_path / name)])

        said = capsys.readouterr().err
        assert code == 2
        assert f"{name}: {why}" in said
        assert "Traceback" not in said


@pytest.mark.parametrize("form", FORMATS)
def test_explain_says_what_becomes_of_a_message(form: str, tmp_path: Path, capsys: Output) -> None:
    message = messages_of(form)[-1]
    roles = {"roles": {"age": "feature", "plan": "feature", "score": "prediction"}}
    config = configured(tmp_path, form)
    settings = yaml.safe_load(config.read_text())
    settings["topics"][0]["options"] = roles if form == "bentoml" else OPTIONS.get(form, {})
    config.write_text(yaml.safe_dump(settings))
    (tmp_path / "one").write_text(json.dumps(message) + "\n")
    capsys.readouterr()

    assert main(["explain", "--config", str(config), str(tmp_path / "one"), "--json"]) == 0
    said, *_ = [json.loads(line) for line in capsys.readouterr().out.splitlines()]  # then a sum of all
    assert said["outcome"] == "ok", said


@pytest.mark.parametrize(
    ("form", "options", "said"),
    [
        ("sagemaker-capture", {"columns": ["a", "a"]}, "a stands there twice"),
        ("sagemaker-capture", {"colums": ["a"]}, "colums"),
        ("bentoml", {"timezone": "Mars"}, "Mars is no time zone"),
        ("bentoml", {"roles": {"age": "input"}}, "'feature', 'prediction' or 'target'"),
    ],
)
def test_a_wrong_option_is_one_line(form: str, options: Any, said: str, tmp_path: Path, capsys: Output) -> None:
    config = configured(tmp_path, form)
    settings = yaml.safe_load(config.read_text())
    settings["topics"][0]["options"] = options
    config.write_text(yaml.safe_dump(settings))

    assert main(["check", "--config", str(config), "--offline"]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "topics[0].options" in told or "topics.t.options" in told
    assert told.count("\n") == 1


def test_captured_calls_are_judged_by_their_ground_truth(tmp_path: Path, capsys: Output) -> None:
    """Which came an hour later: right where the score says so, in every call."""
    config = configured(tmp_path, "sagemaker-capture")
    settings = yaml.safe_load(config.read_text())
    settings["topics"].append({**settings["topics"][0], "name": "truth", "kind": "labels", "options": {}})
    settings["models"][0]["labels"] = {"topic": "truth", "wait": "3h", "judge_at": ["2h"]}
    settings["models"][0]["performance"] = {"task": "binary", "metrics": ["accuracy"]}
    config.write_text(yaml.safe_dump(settings))
    made = rows()
    truths = [
        {
            "groundTruthData": {"data": str(int(score >= 0.5)), "encoding": "CSV"},
            "eventMetadata": {"eventId": f"e-{number}", "inferenceTime": stamp(moment + timedelta(hours=1))},
        }
        for number, (moment, _, _, score) in enumerate(made)
    ]
    calls = [message for number, row in enumerate(made) for message in sagemaker(number, row)]
    for name, messages in (("calls", calls), ("truth", truths)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(message) + "\n" for message in messages))

    files = ["--input", str(tmp_path / "calls.jsonl"), "--labels", str(tmp_path / "truth.jsonl")]
    assert main(["backtest", "--config", str(config), *files, "--json", str(tmp_path / "told.json")]) == 0
    found = json.loads((tmp_path / "told.json").read_text())["models"][0]
    judged = [window for age in found["performance"] for window in age["judged"]]

    assert found["labels"]["received"] == len(made)
    assert len(judged) >= HOURS - 4
    assert {(window["predictions"], window["labelled"]) for window in judged} == {(AN_HOUR, AN_HOUR)}
    assert {metric["value"] for window in judged for metric in window["metrics"]} == {1.0}

"""What requests took, whether they failed, and a prediction that stands still: from a file of events to incidents and answers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from detectors import Reference
from monitor.app import build_board, build_decoders
from monitor.cli import main
from monitor.configuration import load
from monitor.pipeline import Pipeline
from monitor.runtime.requests import families
from monitor.runtime.routes import one_model
from monitor.runtime.telemetry import Telemetry
from monitor.settings import load_settings
from monitor.stream.events import MicroBatch, Partition
from tests.charted import seeded
from tests.fakes import NOON
from tests.monitor.sources.decode.test_serving import read

HOUR, ROWS = 3_600_000, 60
BEGIN = NOON // 10**6
Output = pytest.CaptureFixture[str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    rng, hours = seeded(), 24 * 14
    times = (np.arange(hours * ROWS) * (HOUR // ROWS) + BEGIN - 30 * 24 * HOUR) * 1_000_000
    table = {"age": rng.normal(40, 10, hours * ROWS), "score": rng.random(hours * ROWS)}
    Reference.fit(table, prediction="score", timestamps=times, window_ns=HOUR * 1_000_000).save(tmp_path / "r.json")
    configure(tmp_path, latency={"path": "meta.ms", "unit": "ms"}, error="meta.status")
    return tmp_path


def configure(home: Path, **fields: Any) -> None:
    settings = {
        "topics": [{"name": "predictions", "fields": fields}],
        "models": [{"name": "churn", "reference": "r.json", "window": "1h", "lateness": "0s", "min_rows": 20}],
        "alerting": {"false_alarms_per_month": 0.05},
    }
    (home / "driftd.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def events(hours: int, frozen: range) -> list[dict[str, Any]]:
    """An event a minute: each tenth failed, and took a second; in some hours every prediction is the same."""
    rng = seeded()
    return [
        {
            "id": f"r-{at}",
            "ts": BEGIN + at * HOUR // ROWS,
            "model": "churn",
            "features": {"age": rng.normal(40, 10)},
            "prediction": 0.5 if at // ROWS in frozen else rng.random(),
            "meta": {"ms": 1000 if at % 10 == 0 else 100, "status": 503 if at % 10 == 0 else 200},
        }
        for at in range(hours * ROWS)
    ]


def test_a_frozen_prediction_in_a_record_is_told_as_frozen_once(home: Path, capsys: Output) -> None:
    record = home / "events.jsonl"
    record.write_text("\n".join(map(json.dumps, events(30, range(10, 20)))), encoding="utf-8")

    given = [
        "backtest",
        "--config",
        str(home / "driftd.yaml"),
        "--input",
        str(record),
        "--json",
        str(home / "out.json"),
    ]
    assert main(given) == 0
    found = json.loads((home / "out.json").read_text(encoding="utf-8"))
    told = [(each["kind"], [entry["feature"] for entry in each["features"]]) for each in found["incidents"]]
    assert told == [("service", ["__prediction__"])]
    assert found["incidents"][0]["features"][0]["words"].startswith("is 0.5 in each of 600 rows")
    assert found["retrains"] == []
    capsys.readouterr()


def test_requests_that_slow_down_in_a_record_are_told_against_a_reference_of_events(home: Path, capsys: Output) -> None:
    """All is said by events: what is usual, that it lasts no longer, and who is told."""
    config, usual, record = (home / name for name in ("driftd.yaml", "usual.jsonl", "events.jsonl"))
    rng, quick = seeded(), events(24 * 5, range(0))
    for event in quick:
        event["meta"]["ms"] = 100 * float(np.exp(rng.normal(0, 0.4)))
    slowed = [event | {"meta": event["meta"] | {"ms": 3 * event["meta"]["ms"]}} for event in quick]
    usual.write_text("\n".join(map(json.dumps, quick)), encoding="utf-8")
    record.write_text(
        "\n".join(map(json.dumps, [*quick[: 30 * ROWS], *slowed[30 * ROWS : 60 * ROWS]])), encoding="utf-8"
    )
    assert (
        main(["reference", "fit", "--config", str(config), "--input", str(usual), "--output", str(home / "r.json")])
        == 0
    )

    given = ["backtest", "--config", str(config), "--input", str(record), "--json", str(home / "out.json")]
    assert main(given) == 0
    found = json.loads((home / "out.json").read_text(encoding="utf-8"))
    told = [(each["kind"], [entry["feature"] for entry in each["features"]]) for each in found["incidents"]]
    assert told == [("service", ["__latency__"])]
    assert found["incidents"][0]["features"][0]["words"].startswith("p95 took ")
    assert found["retrains"] == []
    capsys.readouterr()
    assert main(["check", "--offline", "--config", str(config)]) == 0
    assert "service: p50 " in capsys.readouterr().out


def test_a_training_set_alone_learns_from_a_record_what_requests_take_and_tells_what_is_slow(
    home: Path, capsys: Output
) -> None:
    """Neither times nor latencies: all is learnt from the first days of the record."""
    config, record, report = (home / name for name in ("driftd.yaml", "events.jsonl", "report.html"))
    rng = seeded()
    Reference.fit({"age": rng.normal(40, 10, 5_000), "score": rng.random(5_000)}, prediction="score").save(
        home / "r.json"
    )
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    settings["models"][0]["learn_for"] = "60h"
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    every = events(90, range(0))
    for at, event in enumerate(every):
        event["meta"]["ms"] = (100 if at < 75 * ROWS else 400) * float(np.exp(rng.normal(0, 0.4)))
    record.write_text("\n".join(map(json.dumps, every)), encoding="utf-8")

    assert main(["check", "--offline", "--config", str(config)]) == 0
    assert (
        "requests: how requests are served (latency and error) is learnt from 60h of live traffic"
        in capsys.readouterr().out
    )
    given = ["backtest", "--config", str(config), "--input", str(record), "--json", str(home / "out.json")]
    assert main([*given, "--report", str(report)]) == 0
    found = json.loads((home / "out.json").read_text(encoding="utf-8"))
    told = [(each["kind"], [entry["feature"] for entry in each["features"]]) for each in found["incidents"]]
    assert told == [("service", ["__latency__"])]
    [model] = found["models"]
    assert (model["service"]["learning"], model["service"]["learnt"]["of"]) == (None, ["__latency__", "__error__"])
    p95 = model["service"]["slowest"]["latency_seconds"]["p95"]
    assert 2.5 < p95["now"] / p95["usual"] < 8
    said = capsys.readouterr().out
    assert "requests: what is usual was learnt from live traffic until 2026-" in said
    assert "Requests: slowest until 2026-" in report.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("fields", "reads"),
    [
        pytest.param({}, ("__latency__",), id="of any model"),
        pytest.param({"model": {"const": "churn"}}, ("__latency__",), id="of this one"),
        pytest.param({"model": {"const": "fraud"}}, (), id="of another"),
        pytest.param({"version": {"const": "1"}}, ("__latency__",), id="of this version"),
        pytest.param({"version": {"const": "2"}}, (), id="of another version"),
    ],
)
def test_a_model_gives_up_budget_for_requests_only_where_a_topic_may_hold_some_of_it(
    home: Path, fields: dict[str, Any], reads: tuple[str, ...]
) -> None:
    config = home / "driftd.yaml"
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    settings["topics"] = [{"name": "served", "fields": {"latency": "ms"} | fields}, {"name": "others"}]
    [churn] = settings["models"]
    settings["models"] = [churn | {"version": "1"}, churn | {"name": "fraud"}]
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")

    judging = load(load_settings(config), home).specs[0].judging
    assert judging.served == judging.service_names == reads
    assert judging.plan is not None
    assert judging.plan.per_month == pytest.approx(0.05 * (0.9 if reads else 1.0))


def test_metrics_and_the_model_say_how_requests_were_served(home: Path) -> None:
    configuration = load(load_settings(home / "driftd.yaml"), home)
    pipeline = Pipeline(configuration.specs, 10**9)
    telemetry = Telemetry(build_board(configuration), lambda: NOON)
    name = "driftd_requests_total"
    [begun] = dict(families(telemetry.look(lambda board: board.requests), {}))[name]
    assert begun.count(b"} 0.0\n") == 2

    values: list[bytes | None] = [json.dumps(event).encode() for event in events(3, range(0))]
    decoder = build_decoders(configuration)["predictions"]
    decoder.max_future = 3 * HOUR * 10**6
    decoded = read(decoder, values)
    place = Partition("predictions", 0)
    arrived = MicroBatch(tuple(decoded.batches), {place: NOON + 3 * HOUR * 10**6}, assigned=frozenset({place}))
    telemetry.record([*decoded.facts, *pipeline.ingest(arrived, NOON), *pipeline.advance()])

    text = dict(families(telemetry.look(lambda board: board.requests), {}))
    assert b'outcome="error"} 18.0' in text[name][0]
    assert b'le="0.125"} 162.0' in text["driftd_request_latency_seconds"][0]
    assert float(text["driftd_request_latency_seconds"][2].split()[-1]) == pytest.approx(34.2)
    (model,) = telemetry.look(lambda board: one_model(board, "churn"))
    took = model["requests"]["latency_seconds"]
    assert took["requests"] == 60
    assert took["p50"] == pytest.approx(0.1, rel=0.09)
    assert took["p99"] == pytest.approx(1.0, rel=0.09)
    assert model["requests"]["errors"] == {"requests": 60, "failed": 6, "ratio": 0.1}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"latency": ""}, "must be a dotted path such as meta.time"),
        ({"latency": {"path": "ms", "unit": "min"}}, "'s', 'ms', 'us' or 'ns'"),
        ({"latency": {"unit": "ms"}}, "topics[0].fields.latency.path is missing"),
        ({"latency": "prediction"}, "latency prediction is also prediction, the path of prediction"),
        ({"error": "id.x"}, "error id.x lies below id, the path of id"),
        ({"latency": "meta", "error": "meta.error"}, "latency meta holds meta.error, the path of error"),
        ({"error": "features"}, "error features is also features, the path of features"),
    ],
    ids=repr,
)
def test_a_mistake_in_the_paths_is_told_in_a_line(home: Path, capsys: Output, fields: dict[str, Any], why: str) -> None:
    configure(home, **fields)

    assert main(["check", "--offline", "--config", str(home / "driftd.yaml")]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert "Traceback" not in said


def test_features_and_labels_have_no_requests(home: Path, capsys: Output) -> None:
    text = (home / "driftd.yaml").read_text(encoding="utf-8").replace("name: predictions", "name: p\n  kind: features")
    (home / "driftd.yaml").write_text(text, encoding="utf-8")

    assert main(["check", "--offline", "--config", str(home / "driftd.yaml")]) == 2
    assert "fields.latency is of a request for a prediction" in capsys.readouterr().err

"""Requests and responses in `driftd backtest`: what whole predictions of the same record lead to."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from detectors import Reference
from monitor.cli import main
from tests.charted import seeded

Output = pytest.CaptureFixture[str]
BEGIN = 1_793_491_200_000  # 2026-11-01
COUNT, STEP = 2_000, 9_000
MODEL = {"name": "churn", "reference": "r.json", "window": "1h", "lateness": "1m", "min_rows": 1}
HALVED = [{"name": "asked", "half": "request"}, {"name": "answered", "half": "response"}]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    score = np.linspace(0, 1, 200)
    Reference.fit({"age": np.arange(200.0), "score": score}, prediction="score").save(tmp_path / "r.json")
    return tmp_path


def configure(home: Path, topics: list[dict[str, Any]], **model: Any) -> Path:
    path = home / "driftd.yaml"
    path.write_text(yaml.safe_dump({"topics": topics, "models": [MODEL | model], "state": str(home / "state")}))
    return path


def written(home: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    rows = sorted(rows, key=lambda row: row["ts"])
    (home / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return home / name


def backtest(config: Path, *options: str | Path) -> dict[str, Any]:
    found = config.parent / "found.json"
    assert main(["backtest", "--config", str(config), *map(str, options), "--json", str(found)]) == 0
    result: dict[str, Any] = json.loads(found.read_text())
    return result


def test_requests_and_responses_lead_to_what_whole_predictions_lead_to(home: Path, capsys: Output) -> None:
    rng = np.random.default_rng(seeded())
    common = [{"id": f"r-{n}", "model": "churn"} for n in range(COUNT)]
    times = [BEGIN + n * STEP for n in range(COUNT)]
    features = [{"features": {"age": float(age)}} for age in rng.uniform(0, 200, COUNT)]
    scores = [{"prediction": float(score)} for score in rng.random(COUNT)]
    whole = [{"ts": at, **c, **f, **s} for at, c, f, s in zip(times, common, features, scores, strict=True)]
    asked = [{"ts": at, **c, **f} for at, c, f in zip(times, common, features, strict=True)]
    took = rng.integers(0, 60_000, COUNT).tolist()
    answered = [{"ts": at + t, **c, **s} for at, t, c, s in zip(times, took, common, scores, strict=True)]
    lonely = {"ts": times[-1], "id": "lonely", "model": "churn", "features": {"age": 1.0}}

    plain = backtest(configure(home, [{"name": "predictions"}]), "--input", written(home, "whole.jsonl", whole))
    config = configure(home, HALVED)
    inputs = written(home, "asked.jsonl", [*asked, lonely]), written(home, "answered.jsonl", answered)
    joined = backtest(config, "--input", inputs[0], "--responses", inputs[1])

    assert joined["events"] == plain["events"]
    assert joined["windows"] == plain["windows"]
    assert joined["alerts"] == plain["alerts"]
    assert joined["models"] == plain["models"]
    assert f"asked: 1 of {COUNT + 1:,} requests met no response within halves.wait" in capsys.readouterr().err


@pytest.mark.parametrize("cut", [False, True])
def test_requests_that_nobody_answers_may_count(home: Path, capsys: Output, cut: bool) -> None:
    """Those of a range alone, where one is given, and those after the last answer, too."""
    rng = np.random.default_rng(seeded())
    asked = [
        {"ts": BEGIN + n * STEP, "id": f"r-{n}", "model": "churn", "features": {"age": float(age)}}
        for n, age in enumerate(rng.uniform(0, 200, COUNT))
    ]
    answers = (rng.random(COUNT) < 0.5) & (np.arange(COUNT) < COUNT - 500)  # none in the last hour
    answered = [
        {"ts": each["ts"] + 100, "id": each["id"], "model": "churn", "prediction": 0.5}
        for each, there in zip(asked, answers, strict=True)
        if there
    ]
    config = configure(home, HALVED, halves={"unmatched": "count"})
    inputs = written(home, "asked.jsonl", asked), written(home, "answered.jsonl", answered)
    within = ["--from", "2026-11-01T02:00:00Z", "--until", "2026-11-01T03:00:00Z"] if cut else []
    found = backtest(config, "--input", inputs[0], "--responses", inputs[1], *within)

    assert found["events"]["ok"] == (3_600_000 // STEP if cut else COUNT)
    assert "they are counted without a prediction" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--input", "a.jsonl"], "--responses FILE… names what they were answered"),
        (["--input", "a.jsonl", "--topic", "answered"], "answered is no topic of requests"),
        (["--kafka", "--responses", "a.jsonl"], "with --kafka both topics are read"),
        (["--kafka", "--topic", "asked"], "which are joined with another topic's"),
    ],
)
def test_one_half_alone_is_refused(home: Path, capsys: Output, options: list[str], words: str) -> None:
    written(home, "a.jsonl", [{"ts": BEGIN}])
    config = configure(home, HALVED)
    options = [str(home / each) if each.endswith(".jsonl") else each for each in options]

    assert main(["backtest", "--config", str(config), *options]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("topics", "model", "words"),
    [
        ([{"name": "asked", "half": "request"}], {}, "asked has half: request, but no topic has half: response"),
        ([*HALVED, {"name": "l", "kind": "labels", "half": "request"}], {}, "half: request is half of a prediction"),
        ([{**HALVED[0], "fields": {"id": "features.age"}}, HALVED[1]], {}, "topics.asked.half: a request meets"),
        (HALVED, {"halves": {"wait": "2m"}}, "halves.wait 2m is longer than lateness 1m"),
        (HALVED, {"halves": {"memory": "1KB"}}, "memory: must be at least 1MB"),
        ([{**HALVED[0], "half": "both"}, HALVED[1]], {}, "half: must be"),
    ],
)
def test_what_cannot_be_joined_is_refused_by_name(
    home: Path, capsys: Output, topics: list[dict[str, Any]], model: dict[str, Any], words: str
) -> None:
    config = configure(home, topics, **model)
    written(home, "a.jsonl", [{"ts": BEGIN}])

    assert (
        main(
            [
                "backtest",
                "--config",
                str(config),
                "--input",
                str(home / "a.jsonl"),
                "--responses",
                str(home / "a.jsonl"),
            ]
        )
        == 2
    )
    assert words in capsys.readouterr().err


def test_a_reference_is_not_fitted_by_halves(home: Path, capsys: Output) -> None:
    config, rows = configure(home, HALVED), written(home, "a.jsonl", [{"ts": BEGIN}])
    options = ["--config", str(config), "--model", "churn", "--output", str(home / "o.json")]

    assert main(["reference", "fit", "--input", str(rows), *options]) == 2
    assert "topics.asked.half: its rows are requests" in capsys.readouterr().err

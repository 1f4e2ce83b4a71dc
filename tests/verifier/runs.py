"""Runs of the daemon, as they lie in directories, and what is found of them."""

import json
import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from detectors import Reference
from detectors.durations import nanoseconds
from tests.verifier import evidence, replay
from tests.verifier.evidence import Series
from tests.verifier.invariants import ModelView, Verifier
from tests.verifier.replay import Transition
from tests.verifier.truth import Truth

INVARIANTS = ("I1", "I2", "I3", "I4", "I5", "I6")
MOST_SHOWN = 20
KNOWN: dict[
    tuple[Path, str], tuple[Truth, list[Transition]]
] = {}  # what was sent, and what is to be said of it: runs may share both


def verified(run: Path) -> dict[str, Any]:
    """What is found of one run."""
    settings = yaml.safe_load((run / "driftd.yaml").read_text(encoding="utf-8"))
    truth, expected = known(run, settings)
    verifier = Verifier(truth, models(run, settings), expected)
    states = [
        (path.name, state) for path in sorted(run.glob("killed/*")) if (state := evidence.left(path, truth.topic))
    ]
    begin = states[-1][1].positions if states else {}
    last = evidence.left(run / "state", truth.topic)
    if last is None:
        raise ValueError(f"{run / 'state'} holds no state")
    states.append(("state", last))
    for name, state in states:
        verifier.state(name, state)
    verifier.said(last, evidence.heard(run / "webhooks.jsonl"))
    verifier.counted(evidence.Told((run / "metrics.txt").read_text(encoding="utf-8"), truth.topic), begin)
    verifier.kept(evidence.letters(run / "state" / "letters"))
    verifier.read(states)
    verdict = verifier.verdict
    verdict.figures["events"] = len(truth.records)
    return {"run": run.name, "seed": truth.seed, "figures": dict(verdict.figures), "violations": verdict.violations}


def known(run: Path, settings: dict[str, Any]) -> tuple[Truth, list[Transition]]:
    """What was sent in a run, and what is to be said of it."""
    key = (run / "truth.jsonl").resolve(), json.dumps([settings["models"], settings["alerting"]])
    if key not in KNOWN:
        truth = Truth.read(key[0])
        KNOWN[key] = truth, replay.replayed(truth, run / "driftd.yaml")
    return KNOWN[key]


def models(run: Path, settings: dict[str, Any]) -> dict[Series, ModelView]:
    """How each series is counted."""
    found = {}
    for model in settings["models"]:
        layout = Reference.load(run / model["reference"]).layout
        found[model["name"], model["version"]] = ModelView(layout, nanoseconds(model["window"]))
    return found


def document(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """All of it."""
    violations = [{"run": run["run"], **each} for run in runs for each in run["violations"]]
    figures: dict[str, int] = {}
    for run in runs:
        for name, count in run["figures"].items():
            figures[name] = figures.get(name, 0) + count
    return {
        "holds": not violations,
        "invariants": {name: not any(each["invariant"] == name for each in violations) for name in INVARIANTS},
        "runs": len(runs),
        "seeds": sorted({run["seed"] for run in runs}),
        "figures": figures,
        "violations": violations[:MOST_SHOWN],
        "more_violations": max(0, len(violations) - MOST_SHOWN),
        "versions": {
            "driftd": version("driftd"),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "confluent-kafka": version("confluent-kafka"),
            "numpy": version("numpy"),
        },
    }

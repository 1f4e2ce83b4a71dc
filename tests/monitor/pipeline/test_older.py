"""A state that an earlier version wrote, when a series kept its rules and incidents in its own row.

`rules_in_series.json.gz` holds two references, calibrated and cold, what was saved while both drift, the words said of that
and the alerts that the same version said when it went on: traffic as before the drift, forty-five windows.
"""

import base64
import gzip
import json
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.charts import BudgetSpec
from monitor.alerting.rules import AlertRule
from monitor.explain.explainer import Explainer
from monitor.facts import AlertChanged, AlertSeen, Fact, RetrainDecided, StateReset
from monitor.pipeline import Pipeline
from monitor.series.records import Record
from monitor.stream.events import SECOND, EventBatch
from tests.build import KEY, MIDNIGHT, MINUTE, OTHER_KEY, feed, make_pipeline, make_spec, of, restored

WINDOW = 5 * MINUTE
RULE = AlertRule("psi-high", "psi", 0.25, 0.1, hold=2, keep_firing_for=3)
LAW = np.array([NormalDist().inv_cdf((at + 0.5) / 40) for at in range(40)])
Old = dict[str, Any]


@pytest.fixture(scope="module")
def old() -> Old:
    path = Path(__file__).with_name("rules_in_series.json.gz")
    return json.loads(gzip.decompress(path.read_bytes()))


def references(old: Old) -> dict[Any, Reference]:
    return dict(zip((KEY, OTHER_KEY), map(Reference.from_dict, old["references"]), strict=True))


def pipeline_of(old: Old, **changes: Any) -> Pipeline:
    settings: dict[str, Any] = {"rules": (RULE,), "plan": BudgetSpec(per_month=0.05, pane_ns=WINDOW)} | changes
    return make_pipeline(
        *(make_spec(key=key, reference=found, length=WINDOW, **settings) for key, found in references(old).items()),
        idle_after=0,
    )


def records(old: Old) -> list[Record]:
    return [Record(kind, key, base64.b64decode(payload)) for kind, key, payload in old["records"]]


def rows(number: int) -> dict[str, np.ndarray]:
    return {
        "x": np.roll(LAW, 7 * number) + 0.02 * (number % 5 - 2),
        "plan": np.array(["abc"[at % 3] for at in range(40)]),
    }


def go_on(pipeline: Pipeline, old: Old) -> list[Fact]:
    facts: list[Fact] = []
    for number in range(30, 75):
        begin = MIDNIGHT + number * WINDOW
        times = begin + np.arange(40, dtype=np.int64) * SECOND
        batches = [
            EventBatch(key, "predictions", times, *found.encode(rows(number))) for key, found in references(old).items()
        ]
        facts += feed(pipeline, *batches, until=begin + WINDOW)
    return facts


def said(facts: list[Fact]) -> list[list[Any]]:
    found: list[list[Any]] = []
    for fact in facts:
        match fact:
            case AlertChanged(key, rule, _, before, after, since, episode, _, evidence):
                names = [one.feature for one in evidence]
                found.append([str(key), rule, before.name, after.name, since, episode, names])
            case RetrainDecided(alert, outcome, data_from):
                found.append([str(alert.key), alert.rule, outcome.value, data_from])
    return found


def test_its_alerts_go_on_as_they_would_have_then(old: Old) -> None:
    pipeline = pipeline_of(old)
    causes = [fact.cause for fact in of(pipeline.restore(records(old), now=0), StateReset)]

    assert all(cause.startswith("adwin starts anew") for cause in causes)  # only river's own version may part us
    assert said(go_on(pipeline, old)) == old["said_next"]


def test_its_words_are_said_again(old: Old) -> None:
    pipeline = pipeline_of(old)
    pipeline.restore(records(old), now=0)
    seen = of(Explainer(references(old)).explain(pipeline.current()), AlertSeen)

    assert {f"{one.key}/{one.rule}": [each.words for each in one.evidence] for one in seen} == old["words"]


def test_the_end_of_its_removed_rules_is_said(old: Old) -> None:
    pipeline = pipeline_of(old, rules=(), plan=None)
    facts = pipeline.restore(records(old), now=0)

    assert {(str(one.key), one.rule) for one in of(facts, AlertChanged) if one.closed} == {
        (series, rule) for series in ("churn/3", "churn/4") for rule in ("psi-high", "drift")
    }


def test_what_is_saved_next_is_todays(old: Old) -> None:
    pipeline, fresh = pipeline_of(old), pipeline_of(old)
    pipeline.restore(records(old), now=0)

    assert {record.kind for record in pipeline.snapshot()} >= {"series", "rules", "incident"}
    assert all(b'"rules"' not in (record.payload or b"") for record in pipeline.snapshot() if record.kind == "series")
    assert restored(pipeline, fresh) == []
    assert fresh.current() == pipeline.current()

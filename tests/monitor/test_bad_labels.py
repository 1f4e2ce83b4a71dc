"""Labels and predictions that are wrong, through the whole daemon: counted by reason, and a metric that cannot be computed is absent and says why."""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from monitor.explain.performance import spelled
from monitor.stream.events import MINUTE, Nanos
from tests.fakes import NOON
from tests.monitor.test_labels import (
    LABELS,
    MARK,
    MODEL,
    PREDICTIONS,
    START,
    TOPICS,
    LabelledDaemon,
    labelled,
    predicted,
    time,
)

CLASSES = ["cat", "dog", "owl", "yak"]
TWO = {"labels": MODEL["labels"]}
ONE = {"labels": {"wait": "10m", "positive": "1"}}  # any other label is negative
NUMBERS = {"labels": {"wait": "10m"}, "performance": {"task": "regression"}}
SEVERAL = {"labels": {"wait": "10m"}, "performance": {"classes": CLASSES}}
SCORED = [{"name": "predictions", "fields": {"scores": "p"}}, TOPICS[1]]
LATER = START + 2 * MINUTE


@dataclass(frozen=True)
class Case:
    """What comes in one window, and what is told of it; `absent`: metrics with their reasons, None: every one of them."""

    predictions: Sequence[bytes]
    labels: Sequence[bytes | None] = ()
    model: dict[str, Any] = field(default_factory=lambda: TWO)
    topics: Sequence[dict[str, Any]] = field(default_factory=lambda: TOPICS)
    labelled: int = 0
    values: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] | None = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    fields: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)


def scores(*values: object) -> list[bytes]:
    return [predicted(n, value, START + n) for n, value in enumerate(values)]


def truths(*values: object, at: Nanos = LATER) -> list[bytes]:
    return [labelled(n, value, at) for n, value in enumerate(values)]


def chances(*given: object) -> list[bytes]:
    """Predictions of the cat, with these scores of classes."""
    return [predicted(n, "cat", START + n, p=each) for n, each in enumerate(given)]


CASES = {
    "ids that nobody predicted": Case(
        scores(0.9, 0.2), [labelled(f"x-{n}", "yes", LATER) for n in range(3)], absent=None, outcomes={"unmatched": 3}
    ),
    "classes that there are not": Case(
        scores(0.9, 0.2, 0.8), truths("maybe", "YES!", 7), absent=None, rejected={"label_unknown": 3}
    ),
    "one meaning as text, number and truth": Case(
        scores(*[0.9] * 6, 0.1, 0.1),
        truths(1, "1", 1.0, "1.0", True, "true", 0, False),
        model=ONE,
        labelled=8,
        values={"accuracy": 1.0, "recall": 1.0, "specificity": 1.0},
        outcomes={"joined": 8},
    ),
    "NaN, infinite, an object, a list": Case(
        scores(*[0.9] * 4),
        truths(math.nan, math.inf, {"a": 1}, ["yes"]),
        absent=None,
        rejected={"label_invalid": 4},
    ),
    "from the future": Case(
        scores(0.9), [labelled(0, "yes", NOON + 60 * MINUTE)], absent=None, rejected={"timestamp_in_future": 1}
    ),
    "ten of one id": Case(
        scores(0.9, 0.2),
        [labelled(0, "no" if n < 9 else "yes", LATER + n) for n in range(10)],
        labelled=1,
        values={"accuracy": 1.0},
        absent={"specificity": "no negative label"},
        outcomes={"joined": 1, "corrected": 9},
    ),
    "of a model that there is not": Case(
        scores(0.9), [labelled(0, "yes", LATER, model="other")], absent=None, outcomes={}
    ),
    "all of one class": Case(
        scores(0.9, 0.2, 0.8),
        truths(*["yes"] * 3),
        labelled=3,
        values={"recall": 2 / 3, "accuracy": 2 / 3},
        absent={"specificity": "no negative label", "auroc": "no negative label"},
        outcomes={"joined": 3},
    ),
    "from before its prediction could be": Case(
        scores(0.9), truths("yes", at=START - 90 * MINUTE), absent=None, outcomes={"unmatched": 1}
    ),
    "after its time": Case(
        scores(0.9, 0.2),
        [*truths("yes"), labelled(1, "no", START + 12 * MINUTE)],
        labelled=1,
        values={"accuracy": 1.0},
        outcomes={"joined": 1},
    ),
    "scores that are none": Case(
        scores(0.9, 1.7, -0.2, math.nan, "high", 0.2),
        truths("yes", "yes", "no", "no", "no", "no"),
        labelled=6,
        values={"accuracy": 1.0, "brier": (0.01 + 0.04) / 2},
        left_out={"score_outside": 2, "score_missing": 2},
        fields={"non_finite": 1, "number_as_text": 1},
        outcomes={"joined": 6},
    ),
    "probabilities that do not sum to one": Case(
        chances(
            {"cat": 9.0, "dog": 8.0, "owl": 7.0, "yak": 0.0},
            {"cat": 0.0, "dog": -1.0, "owl": -5.0, "yak": -9.0},
            {"cat": 0.2, "dog": 0.2, "owl": 0.2, "yak": 0.1},
            {"cow": 1.0},
        ),
        truths("owl", "yak", "cat", "cat"),
        model=SEVERAL,
        topics=SCORED,
        labelled=4,
        values={"accuracy": 0.5, "top_3_accuracy": 2 / 3},
        left_out={"scores_missing": 1},
        fields={"scores_invalid": 1, "missing": 10},  # the cow; ten events around have none
        outcomes={"joined": 4},
    ),
    "a positive class that never comes": Case(
        scores(0.2, 0.1, 0.9),
        truths("fraud", "ok", "ok"),
        model={"labels": {"wait": "10m", "positive": "Betrug"}},
        labelled=3,
        values={"accuracy": 2 / 3, "specificity": 2 / 3},
        absent=dict.fromkeys(
            ["precision", "recall", "f1", "auroc", "average_precision"],
            "no label so far is the positive one, 'Betrug'",
        ),
        outcomes={"joined": 3},
    ),
    "numbers beyond all": Case(
        scores(2.0, 2.0, 1e308, 2.0, 2.0),
        truths(1.0, 1e308, 1.0, "-1e308", "1e999"),
        model=NUMBERS,
        labelled=4,
        values={"mae": 1.0, "bias": 1.0, "rmse": 1.0},
        absent={"r2": "all labels are equal"},
        left_out={"label_beyond": 2, "prediction_beyond": 1},
        rejected={"label_invalid": 1},
        outcomes={"joined": 4},
    ),
    "labels of zero": Case(
        scores(2.0, 1.0),
        truths(0, "0.0"),
        model=NUMBERS,
        labelled=2,
        values={"mae": 1.5},
        absent={"mape": "every label is 0", "r2": "all labels are equal"},
        outcomes={"joined": 2},
    ),
}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[Case], LabelledDaemon]]:
    started: list[LabelledDaemon] = []

    def begin(case: Case) -> LabelledDaemon:
        age = [float(n) for n in range(100)]
        said = CLASSES * 25 if case.model is SEVERAL else np.linspace(0, 1, 100)
        Reference.fit({"age": age, "said": said}, prediction="said").save(tmp_path / "r.json")
        here = LabelledDaemon(
            tmp_path, {PREDICTIONS: [], LABELS: []}, models=[MODEL | case.model], topics=list(case.topics)
        )
        started.append(here)
        return here

    yield begin
    for each in started:
        each.kill()


def counted(here: LabelledDaemon, name: str) -> dict[str, float]:
    """A counter by reason, where there is any."""
    return {labels.split('reason="')[1][:-2]: n for labels, n in here.metric(name).items() if n}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_wrong_is_counted_and_no_metric_is_made_up(run: Callable[[Case], LabelledDaemon], case: Case) -> None:
    here = run(case)
    mark = MARK if case.model is not SEVERAL else [predicted(-1, "cat", START - 30 * 10**9)]
    here.source.append(PREDICTIONS, [*mark, *case.predictions])
    here.labels(list(case.labels))
    here.turn()
    here.source.append(PREDICTIONS, time(START + 15 * MINUTE))
    here.turn()
    here.turn()
    [told] = here.performance
    metrics = told["metrics"]

    assert (told["predictions"], told["labelled"]) == (len(case.predictions), case.labelled)
    assert {name: metrics[name]["value"] for name in case.values} == pytest.approx(case.values)
    absent = dict.fromkeys(metrics, "no labelled row") if case.absent is None else case.absent
    assert {name: (metrics[name]["value"], metrics[name]["because"]) for name in absent} == {
        name: (None, reason) for name, reason in absent.items()
    }
    assert told["left_out"] == case.left_out
    assert counted(here, "driftd_events_rejected_total") == case.rejected
    last = {"wrong_type": 0, **counted(here, "driftd_fields_rejected_total")}
    assert {reason: last.get(reason, 0) for reason in case.fields} == case.fields
    _every_metric_is_a_number_or_says_why(here, metrics)

    here.clock.advance(8 * 3600)  # then nothing waits any more
    here.source.append(PREDICTIONS, time(START + 300 * MINUTE))
    here.turn()
    here.turn()
    outcomes = here.outcomes("driftd_labels_total")
    assert {name: outcomes.get(name, 0) for name in case.outcomes} == case.outcomes


def _every_metric_is_a_number_or_says_why(here: LabelledDaemon, metrics: dict[str, Any]) -> None:
    """In the API, on the page and for Prometheus: never NaN, and never 0 for nothing."""
    for each in metrics.values():
        assert bool(each["because"]) is (each["value"] is None)
    exported = here.metric("driftd_performance")
    assert all(map(math.isfinite, exported.values()))
    points = {re.search('metric="([^"]+)"', labels)[1] for labels in exported if 'bound="point"' in labels}  # type: ignore[index]
    assert points == {name for name, each in metrics.items() if each["value"] is not None}
    _, _, body = here.daemon.surface.answer("/model?name=churn&version=*", "")
    page = unescape(body.decode())
    for name, each in metrics.items():
        assert each["value"] is not None or re.search(
            rf"Not to be told: [^.]*{re.escape(spelled(name))}[^();.]*\({re.escape(each['because'])}\)", page
        )
    left_out = here.performance[-1]["left_out"]
    assert all(f"{reason} {rows}" in page for reason, rows in left_out.items())
    assert "NaN" not in page
    json.dumps(metrics, allow_nan=False)  # raises ValueError for what is no number

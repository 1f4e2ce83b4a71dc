"""What a model is worth before labels come, from the reference's labels to /metrics; and beside what labels say later."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors import CostMatrix, LabelColumn, Reference
from monitor.stream.events import MINUTE
from tests.charted import seeded
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

PLAIN: dict[str, Any] = {name: value for name, value in MODEL.items() if name != "labels"}
OF = 'model="churn",version="*"'
SCORES = np.arange(5, 85, 5) / 100


@pytest.fixture
def reference(tmp_path: Path) -> Reference:
    """Scores of 4 000 rows that mean what they say, on two thirds of the scale."""
    random = seeded()
    scores = random.uniform(0, 0.72, 4000).round(3)
    left = random.random(4000) < scores
    highest = (
        scores > 0.71
    )  # of either label, whatever chance says: else all that lies beyond may surely be one of them
    left[highest] = np.arange(np.count_nonzero(highest)) % 2 == 0
    table = {"age": np.arange(4000) % 100, "score": scores, "left": np.where(left, "yes", "no")}
    found = Reference.fit(table, prediction="score", label=LabelColumn("left", positive="yes"))
    found.save(tmp_path / "r.json")
    return found


@pytest.fixture
def started() -> Iterator[list[LabelledDaemon]]:
    running: list[LabelledDaemon] = []
    yield running
    for each in running:
        each.kill()


def begin(home: Path, started: list[LabelledDaemon], **model: Any) -> LabelledDaemon:
    topics = [topic for topic in TOPICS if "labels" in model or "kind" not in topic]
    log = {PREDICTIONS: [], **({LABELS: []} if "labels" in model else {})}
    started.append(LabelledDaemon(home, log, topics=topics, models=[PLAIN | model]))
    return started[-1]


def closed(here: LabelledDaemon, values: Any) -> Any:
    """What is estimated of a minute of predictions."""
    values = values.tolist() if isinstance(values, np.ndarray) else values
    here.source.append(PREDICTIONS, [*MARK, *(predicted(n, value, START + n) for n, value in enumerate(values))])
    here.source.append(PREDICTIONS, time(START + 2 * MINUTE))
    here.turn(seconds=1.0)  # not so long that the window of the last events closes too
    here.turn(seconds=1.0)
    return estimated(here)


def estimated(here: LabelledDaemon) -> Any:
    return here.get("/api/v1/models/churn")[0]["estimated"]


def test_a_window_is_estimated_when_it_closes_without_any_label(
    tmp_path: Path, reference: Reference, started: list[LabelledDaemon]
) -> None:
    here = begin(tmp_path, started)
    assert estimated(here) == {"because": "no window is closed yet"}
    scores = np.tile(SCORES, 5)
    told = closed(here, scores)
    expected = reference.performance.estimator().estimate(scores)

    assert told["assumption"] == "labels follow predictions as in the reference: no concept drift"
    assert (told["task"], told["predictions"]) == ("binary", 80)
    assert told["outside_ratio"] == expected.outside == pytest.approx(5 * 2 / 80)
    for name in ("accuracy", "f1", "auroc", "recall"):
        metric = expected.metrics[name]
        assert told["metrics"][name]["value"] == metric.value
        assert told["metrics"][name]["interval"] == list(metric.interval)
    assert told["metrics"]["log_loss"]["because"] == "not estimated without labels"
    of = f'{{{OF},metric="accuracy",estimate="estimated",bound='
    lower, upper = expected.metrics["accuracy"].interval
    samples = here.metric("driftd_performance")
    assert [samples[f'{of}"{bound}"}}'] for bound in ("point", "lower", "upper")] == pytest.approx(
        [expected.metrics["accuracy"].value, lower, upper]
    )
    assert not any("log_loss" in labels for labels in samples)
    assert here.metric("driftd_estimate_outside_ratio") == {f"{{{OF}}}": pytest.approx(expected.outside)}


def test_after_a_restart_the_same_is_told(tmp_path: Path, reference: Reference, started: list[LabelledDaemon]) -> None:
    here = begin(tmp_path, started)
    told = closed(here, np.tile(SCORES, 5))
    here.daemon.loop.save()
    started.pop().kill()

    again = begin(tmp_path, started)
    assert estimated(again) == told
    started.pop().kill()
    other = begin(tmp_path, started, performance={"threshold": 0.3})
    assert estimated(other) == {"because": "no window is closed yet"}
    assert other.reset == []


def test_a_reference_without_labels_is_the_reason_why_nothing_is_estimated(
    tmp_path: Path, started: list[LabelledDaemon]
) -> None:
    Reference.fit({"age": np.arange(100), "score": np.linspace(0, 1, 100)}, prediction="score").save(
        tmp_path / "r.json"
    )
    here = begin(tmp_path, started)

    assert "reference fit --label" in closed(here, SCORES)["because"]
    assert here.metric("driftd_performance") == {}


@pytest.mark.parametrize(
    ("model", "scores", "because"),
    [
        ({}, SCORES, "16 predictions, fewer than 30"),
        ({}, [None] * 50, "0 predictions, fewer than 30"),
        (
            {"performance": {"metrics": ["accuracy", "auroc"]}},
            np.full(60, 0.9),
            "the reference has no labelled rows like these",
        ),
        ({"performance": {"threshold": 0.1234}}, np.tile(SCORES, 5), "whole hundredths and 0.5, not 0.1234"),
        ({"performance": {"task": "regression"}}, np.tile(SCORES, 5), "labels of the reference are of task binary"),
    ],
)
def test_an_estimate_that_cannot_be_made_is_absent_with_a_reason(
    tmp_path: Path,
    reference: Reference,
    started: list[LabelledDaemon],
    model: dict[str, Any],
    scores: Any,
    because: str,
) -> None:
    here = begin(tmp_path, started, **model)
    metrics = closed(here, scores)["metrics"]

    assert {each["value"] for each in metrics.values()} == {None}
    assert all(because in each["because"] for each in metrics.values())
    assert here.metric("driftd_performance") == {}


def test_only_the_metrics_asked_for_are_estimated_at_the_threshold_asked_for(
    tmp_path: Path, reference: Reference, started: list[LabelledDaemon]
) -> None:
    here = begin(tmp_path, started, performance={"threshold": 0.3, "metrics": ["recall"]})
    scores = np.tile(SCORES, 5)
    metrics = closed(here, scores)["metrics"]

    expected = reference.performance.estimator(0.3).estimate(scores).metrics
    assert list(metrics) == ["recall"]
    assert metrics["recall"]["value"] == expected["recall"].value


def test_costs_are_estimated_too(tmp_path: Path, reference: Reference, started: list[LabelledDaemon]) -> None:
    costs = {"false_positive": 1.0, "false_negative": 5.0}
    here = begin(tmp_path, started, performance={"costs": costs})
    scores = np.tile(SCORES, 5)
    metrics = closed(here, scores)["metrics"]

    expected = reference.performance.estimator().estimate(scores, costs=CostMatrix(**costs)).metrics
    assert metrics["cost_per_1000"]["value"] == pytest.approx(expected["cost_per_1000"].value)
    assert metrics["accuracy"]["value"] == expected["accuracy"].value


def test_classes_and_numbers_are_estimated_too(tmp_path: Path, started: list[LabelledDaemon]) -> None:
    said, labels = ["a"] * 100 + ["b"] * 100, ["a"] * 90 + ["b"] * 10 + ["a"] * 40 + ["b"] * 60
    table = {"age": np.arange(200), "score": said, "left": labels}
    Reference.fit(table, prediction="score", label="left").save(tmp_path / "r.json")
    told = closed(begin(tmp_path, started), ["a"] * 30 + ["b"] * 10 + ["c"] * 10)
    assert told["metrics"]["accuracy"]["value"] == pytest.approx(0.825, abs=0.01)
    assert told["outside_ratio"] == pytest.approx(0.2)
    started.pop().kill()

    prices = np.arange(1, 401) / 2
    table = {"age": np.arange(400), "score": prices, "left": prices * 1.1}
    Reference.fit(table, prediction="score", label="left").save(tmp_path / "r.json")
    told = closed(begin(tmp_path, started), np.full(40, 100.0))
    assert told["metrics"]["mae"]["value"] == pytest.approx(10, abs=1)
    assert told["metrics"]["r2"]["because"] == "not estimated without labels"


@pytest.mark.parametrize("turned", [False, True])
def test_where_labels_mean_something_else_realised_and_estimated_part(
    tmp_path: Path, reference: Reference, started: list[LabelledDaemon], turned: bool
) -> None:
    """Of 190 predictions each score has the share of positives that it says; or the other way round."""
    here = begin(tmp_path, started, labels=MODEL["labels"] | {"wait": "10m"})  # type: ignore[operator]
    scores = np.repeat(SCORES[SCORES < 0.7], 20)
    positive = np.concatenate([np.arange(20) < round(20 * score) for score in SCORES[SCORES < 0.7]]) ^ turned
    closed(here, scores)
    here.labels([labelled(n, "yes" if each else "no", START + MINUTE) for n, each in enumerate(positive)])
    here.turn()
    here.source.append(PREDICTIONS, time(START + 11 * MINUTE))
    here.turn()
    here.turn()
    told = here.get("/api/v1/models/churn")[0]["performance"][-1]
    difference = told["difference"]["accuracy"]

    realised, expected = told["metrics"]["accuracy"], told["estimated"]["accuracy"]
    assert expected["estimate"] == "estimated"
    assert difference["value"] == pytest.approx(realised["value"] - expected["value"])
    assert difference["interval"] == pytest.approx([realised["value"] - end for end in expected["interval"][::-1]])
    assert difference["beyond_chance"] is turned
    assert expected["value"] == pytest.approx(
        reference.performance.estimator().estimate(scores).metrics["accuracy"].value, abs=0.02
    )
    point = f'{{{OF},metric="accuracy",bound="point"}}'
    assert here.metric("driftd_performance_difference")[point] == pytest.approx(difference["value"])


def test_where_the_reference_has_no_such_scores_nothing_hints_at_concept_drift(
    tmp_path: Path, reference: Reference, started: list[LabelledDaemon]
) -> None:
    """Of scores that it never had nobody knows what its labels would say."""
    here = begin(tmp_path, started, labels=MODEL["labels"] | {"wait": "10m"})  # type: ignore[operator]
    closed(here, np.full(100, 0.9))
    here.labels([labelled(n, "yes", START + MINUTE) for n in range(100)])
    here.turn()
    here.source.append(PREDICTIONS, time(START + 11 * MINUTE))
    here.turn()
    here.turn()
    told = here.get("/api/v1/models/churn")[0]["performance"][-1]

    assert told["metrics"]["accuracy"]["value"] == 1
    assert "no labelled rows like these" in told["estimated"]["accuracy"]["because"]
    assert told["difference"] == {}
    assert here.metric("driftd_performance_difference") == {}


def test_labels_that_are_weighed_have_no_estimate_beside_them(
    tmp_path: Path, reference: Reference, started: list[LabelledDaemon]
) -> None:
    topics = [{"name": "predictions", "fields": {"label": "label", "weight": "weight"}}]
    started.append(LabelledDaemon(tmp_path, {PREDICTIONS: []}, topics=topics, models=[MODEL]))
    events = [predicted(n, 0.6, START + n, label="yes", weight=2.0) for n in range(40)]
    started[0].source.append(PREDICTIONS, [*MARK, *events, *time(START + 15 * MINUTE)])
    started[0].turn()
    started[0].turn()
    [told] = started[0].get("/api/v1/models/churn")[0]["performance"]

    assert told["labelled"] == 40
    assert told["estimated"] == told["difference"] == {}

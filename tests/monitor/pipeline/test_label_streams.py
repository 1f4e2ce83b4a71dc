"""Streams of predictions and labels through the pipeline: every metric is that of the rows that anybody would join by hand.

Labels are late, early, repeated, corrected, withdrawn or missing, in any order within the lateness, from two partitions. What the pipeline tells is held
against the definitions of metrics, and where scikit-learn is installed against that too. `python -m tests.monitor.pipeline.test_label_streams 1000` is the
long form.
"""

import importlib
import importlib.util
import math
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from monitor.facts import MetricTold, PerformanceJudged
from monitor.pipeline import Pipeline
from monitor.series.judged import OF_POSITIVES
from monitor.series.performance import PerformanceSpec
from monitor.series.truth import BINARY, METRICS, MULTICLASS, REGRESSION, TOP, TOPS, Truth
from monitor.stream.events import MicroBatch, Nanos, Partition
from tests import definitions
from tests.build import MINUTE, SECOND, at, make_spec, of
from tests.charted import seeded
from tests.labelled import Scored, Told, batch_of, joined_plainly, performance_spec

STREAMS = 60
EVENTS, LABELS = Partition("events", 0), Partition("labels", 0)
WAIT, AGES = 10 * MINUTE, (3 * MINUTE, 10 * MINUTE)
LATENESS = 30 * SECOND
SPAN = 300  # seconds of predictions
TRUTHS = (
    Truth(BINARY, threshold=0.5),
    Truth(BINARY, threshold=0.3),
    Truth(MULTICLASS, classes=("cat", "dog", "owl")),
    Truth(MULTICLASS, classes=tuple("abcdefg"), scored=True),
    Truth(REGRESSION, ranges=(1.0, 2.0), quantile=0.9),
    Truth(REGRESSION, reference_mean=1.2),
)
Event = Scored | Told
Reference = Callable[[Any, Any], float]


@dataclass(frozen=True, slots=True)
class Stream:
    """What is sent, each with when it arrives."""

    truth: Truth
    spec: PerformanceSpec
    arriving: list[tuple[Nanos, Event]]

    @property
    def events(self) -> list[Event]:
        return [event for _, event in self.arriving]


def some_stream(chance: random.Random) -> Stream:
    """Up to sixty predictions of five minutes."""
    truth = chance.choice(TRUTHS)
    slide = chance.choice([MINUTE, 2 * MINUTE])
    spec = replace(
        performance_spec(length=2 * MINUTE, slide=slide, wait=WAIT, ages=AGES, truth=truth),
        topics=frozenset({"labels"}),
    )
    sent: list[Event] = [Scored("mark", at(-5), predicted(truth, chance))]
    for number in range(chance.choice([1, 3, 20, 60])):
        name, time = f"r-{number}", at(chance.uniform(0, SPAN) / 60)
        sent.append(Scored(name, time, predicted(truth, chance)))
        if chance.random() < 0.1:  # the id comes again
            sent.append(Scored(name, time + chance.randrange(MINUTE), predicted(truth, chance)))
        sent += [told(name, time, truth, chance) for _ in range(chance.choice([0, 1, 1, 1, 2, 3]))]
    arriving = [(event.time + chance.randrange(LATENESS), event) for event in numbered(sent)]
    return Stream(truth, spec, sorted(arriving, key=lambda each: each[0]))


def numbered(sent: list[Event]) -> list[Event]:
    """No two labels lie at one offset."""
    return [replace(event, offset=place) if isinstance(event, Told) else event for place, event in enumerate(sent)]


def predicted(truth: Truth, chance: random.Random) -> float:
    if truth.task == BINARY:
        return chance.choice([round(chance.random(), 2), chance.random(), truth.threshold])
    if truth.task == REGRESSION:
        return chance.gauss(1.5, 1)
    said = chance.randrange(len(truth.classes))
    return with_scores(truth, said, chance) if truth.scored else float(said)


SCORES: dict[float, tuple[int, list[float]]] = {}  # what was said, by what waits in its place


def with_scores(truth: Truth, said: int, chance: random.Random) -> float:
    """A class and scores, many of which are equal; it need not be the one with the highest."""
    scores = [round(chance.random(), 1) for _ in truth.classes]
    held = float(truth.with_scores(np.array([float(said)]), np.array([scores]))[0])
    SCORES[held] = said, scores
    return held


def told(name: str, time: Nanos, truth: Truth, chance: random.Random) -> Told:
    """Mostly within a few minutes; some early, some when nobody waits any more, some taken back."""
    delay = chance.choice([chance.expovariate(1 / 120), -chance.uniform(0, 300), chance.uniform(0, 1200)])
    label: float | None = {BINARY: chance.randrange(2), MULTICLASS: chance.randrange(len(truth.classes) or 1)}.get(
        truth.task, chance.choice([0.0, 1.0, 2.5])
    )
    return Told(name, time + int(delay * SECOND), 0, None if chance.random() < 0.1 else float(label or 0))


def read(stream: Stream, chance: random.Random) -> list[PerformanceJudged]:
    """What the pipeline tells of a stream, polled at random."""
    spec = replace(make_spec(lateness=LATENESS), performance=stream.spec)
    pipeline = Pipeline([spec], idle_after=30 * SECOND, label_topics=frozenset({"labels"}))
    pipeline.ingest(MicroBatch(assigned=frozenset({EVENTS, LABELS})), at(0))
    facts, left = [], list(stream.arriving)
    shown = {EVENTS: at(-5), LABELS: at(-5)}
    while left:
        many = chance.randrange(1, 9)
        part, left = [event for _, event in left[:many]], left[many:]
        for event in part:
            place = LABELS if isinstance(event, Told) else EVENTS
            shown[place] = max(shown[place], event.time)
        facts += polled(pipeline, part, shown)
    for place in shown:
        shown[place] = at(SPAN / 60 + 60)
    return of([*facts, *polled(pipeline, [], shown)], PerformanceJudged)


def polled(pipeline: Pipeline, events: list[Event], shown: Mapping[Partition, Nanos]) -> list[Any]:
    chance_order = sorted(events, key=lambda event: event.id)  # within a poll any order will do
    joins = (batch_of(chance_order),) if events else ()
    return [*pipeline.ingest(MicroBatch(seen=dict(shown), joins=joins), at(0)), *pipeline.advance()]


# --- what metrics are -------------------------------------------------------------------------------------------------


def by_definition(truth: Truth) -> dict[str, Reference]:
    """Each metric of labels and predictions."""
    if truth.task == BINARY:
        scores = ("log_loss", "brier", "calibration_error", "auroc", "average_precision")
        found = {name: _of_scores(getattr(definitions, name)) for name in scores}
        return found | {
            name: _of_said(getattr(definitions, name), truth.threshold)
            for name in METRICS[BINARY]
            if name not in scores
        }
    if truth.task == MULTICLASS:
        return {
            "accuracy": lambda y, p: definitions.accuracy(y, p, np.ones(len(y))),
            "macro_f1": lambda y, p: float(np.mean([*definitions.f1_by_class(y, p, np.ones(len(y))).values()])),
            "weighted_f1": lambda y, p: sum(
                np.mean(y == k) * f1 for k, f1 in definitions.f1_by_class(y, p, np.ones(len(y))).items()
            ),
            **{TOP(k): _among_the_highest(k) for k in TOPS},
        }
    return {
        "bias": lambda y, p: float(np.mean(p - y)),
        "mae": lambda y, p: float(np.mean(np.abs(p - y))),
        "rmse": lambda y, p: math.sqrt(np.mean((p - y) ** 2)),
        "mape": lambda y, p: float(np.mean(np.abs(p - y)[y != 0] / np.abs(y[y != 0]))) if (y != 0).any() else math.nan,
        "smape": lambda y, p: float(np.mean(2 * np.abs(p - y) / (np.abs(y) + np.abs(p)))),
        "quantile_loss": lambda y, p: float(
            np.mean(np.where(y > p, truth.quantile * (y - p), (1 - truth.quantile) * (p - y)))
        ),
        "r2": lambda y, p: definitions.r2(y, p, np.ones(len(y))),
        "r2_reference": lambda y, p: float(1 - np.sum((p - y) ** 2) / np.sum((y - truth.reference_mean) ** 2)),
    }


def _among_the_highest(k: int) -> Reference:
    """Of equal scores that of the later class is the higher."""

    def reference(labels: Any, tables: Any) -> float:
        best = [sorted(range(len(row)), key=lambda at: (row[at], at))[-k:] for row in tables.tolist()]
        return float(np.mean([label in few for label, few in zip(labels.tolist(), best, strict=True)]))

    return reference


def _of_scores(metric: Callable[..., float]) -> Reference:
    return lambda y, p: metric(y, p, np.ones(len(y)))


def _of_said(metric: Callable[..., float], threshold: float) -> Reference:
    return lambda y, p: metric(y, (p >= threshold).astype(int), np.ones(len(y)))


def _said_to(metric: Callable[..., float], threshold: float) -> Reference:
    return lambda y, p: metric(y, (p >= threshold).astype(int))


def by_scikit_learn(truth: Truth) -> dict[str, Reference]:
    """Those that it has, where it is installed."""
    if importlib.util.find_spec("sklearn") is None:
        return {}
    theirs = importlib.import_module("sklearn.metrics")
    if truth.task == BINARY:
        names = {
            "accuracy": "accuracy_score",
            "balanced_accuracy": "balanced_accuracy_score",
            "precision": "precision_score",
            "recall": "recall_score",
            "f1": "f1_score",
            "mcc": "matthews_corrcoef",
        }
        found: dict[str, Reference] = {
            name: _said_to(getattr(theirs, name_there), truth.threshold) for name, name_there in names.items()
        }
        return found | {
            "log_loss": lambda y, p: theirs.log_loss(y, p, labels=[0, 1]),
            "brier": lambda y, p: theirs.brier_score_loss(y, p, pos_label=1),
            "auroc": theirs.roc_auc_score,
            "average_precision": theirs.average_precision_score,
        }
    if truth.task == MULTICLASS:
        return {
            "accuracy": theirs.accuracy_score,
            "macro_f1": lambda y, p: theirs.f1_score(y, p, average="macro"),
            "weighted_f1": lambda y, p: theirs.f1_score(y, p, average="weighted"),
            **{TOP(k): partial(theirs.top_k_accuracy_score, k=k, labels=range(len(truth.classes))) for k in TOPS},
        }
    return {
        "mae": theirs.mean_absolute_error,
        "rmse": theirs.root_mean_squared_error,
        "quantile_loss": lambda y, p: theirs.mean_pinball_loss(y, p, alpha=truth.quantile),
        "r2": theirs.r2_score,
    }


def differing(streams: int, chance: random.Random) -> Iterator[str]:
    """Say of each stream what is told otherwise."""
    for _ in range(streams):
        seed = chance.random()
        stream = some_stream(random.Random(seed))
        found = read(stream, random.Random(seed))
        if not found:
            yield f"{seed}: no window was judged"
        for fact in found:
            yield from (f"{seed}: {fact.start} at {fact.age}: {words}" for words in wrong(fact, stream))


def wrong(fact: PerformanceJudged, stream: Stream) -> Iterator[str]:
    """What of a window is not as it should be."""
    starts = range(fact.start, fact.end, stream.spec.join.slide)
    pairs = [pair for start in starts for pair in joined_plainly(stream.events, stream.spec, start, fact.age).values()]
    known = [(label, score) for score, label in pairs if label is not None]
    if (fact.predictions, fact.labelled) != (len(pairs), len(known)):
        yield f"{fact.labelled} of {fact.predictions} for {len(known)} of {len(pairs)}"
        return
    dtype = np.float64 if stream.truth.task == REGRESSION else np.int64
    labels, scores = np.array([y for y, _ in known], dtype=dtype), np.array([p for _, p in known])
    tables = scores
    if stream.truth.scored:
        tables, scores = np.array([SCORES[each][1] for each in scores]), np.array([SCORES[each][0] for each in scores])
    if stream.truth.task == MULTICLASS:
        scores = scores.astype(np.int64)
    if fact.no_positive and labels.any():
        yield "is said to have no positive label"
    for metric in fact.metrics:
        if (
            fact.no_positive and metric.name in OF_POSITIVES
        ):  # 0 by definition, and most likely a label spelled otherwise
            yield from () if metric.value is None else (f"{metric.name} is {metric.value} without a positive label",)
            continue
        said = tables if metric.name in map(TOP, TOPS) else scores
        yield from compared(metric, by_definition(stream.truth)[metric.name], labels, said, absent_too=True)
        for name, reference in by_scikit_learn(stream.truth).items():
            if name == metric.name:
                yield from compared(metric, reference, labels, said, absent_too=False)


def compared(metric: MetricTold, reference: Reference, labels: Any, scores: Any, *, absent_too: bool) -> Iterator[str]:
    """A value is the reference's, or between bounds that hold it; where there is none the reference has none."""
    wanted = value_of(reference, labels, scores) if metric.value is not None or absent_too else None
    if metric.value is None:
        if wanted is not None:
            yield f"{metric.name} is absent ({metric.because}) for {wanted}"
        return
    low, high = metric.bounds or (metric.value, metric.value)
    slack = 1e-9 * (1 + abs(metric.value))
    if wanted is None or not low - slack <= wanted <= high + slack:
        yield f"{metric.name} is {low} to {high} for {wanted}"
    if metric.lower is not None and metric.upper is not None and not metric.lower <= metric.value <= metric.upper:
        yield f"{metric.name} {metric.value} lies outside its interval"


def value_of(reference: Reference, labels: Any, scores: Any) -> float | None:
    """A number; None where the metric has none."""
    if not len(labels):
        return None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            value = float(reference(labels, scores))
        except ZeroDivisionError:
            return None
    return value if math.isfinite(value) else None


def test_every_metric_of_any_stream_is_that_of_the_rows_joined_by_hand() -> None:
    assert list(differing(STREAMS, random.Random(int(seeded().integers(2**32))))) == []


if __name__ == "__main__":
    count = int(sys.argv[1])
    failures = list(differing(count, random.Random(*map(int, sys.argv[2:]))))
    beside = "scikit-learn and " if importlib.util.find_spec("sklearn") else ""
    sys.stdout.write(
        "\n".join([*failures[:5], f"{count:,} streams beside {beside}the definitions: {len(failures)} differences\n"])
    )
    sys.exit(bool(failures))

"""Builders: a small reference, batches, rules, a pipeline that differs from the plain one only where a test says so."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from detectors import DriftScore, Reference, ScoreColumns
from monitor.alerting.alerts import Span
from monitor.alerting.retraining import RetrainPolicy
from monitor.alerting.rules import AlertRule
from monitor.alerting.table import AskedScores, DetectorScores, ScoreTable
from monitor.facts import Fact, WindowScored
from monitor.pipeline import Pipeline
from monitor.series.judging import Judging
from monitor.series.records import Record
from monitor.series.series import SeriesSpec
from monitor.stream.delta import Folder
from monitor.stream.events import FEATURES, SECOND, EventBatch, MicroBatch, Nanos, Partition, SeriesKey
from monitor.stream.windows import Windows, WindowSpec

T = TypeVar("T")

MINUTE: Nanos = 60 * SECOND
HOUR: Nanos = 60 * MINUTE
DAY: Nanos = 24 * HOUR
MIDNIGHT: Nanos = 1_763_856_000 * SECOND  # 2025-11-23T00:00:00Z
P0, P1, P2 = (Partition("predictions", index) for index in range(3))
KEY = SeriesKey("churn", "3")
OTHER_KEY = SeriesKey("churn", "4")

REFERENCE = Reference.fit({"age": np.arange(100.0), "plan": ["free", "free", "free", "pro"] * 25})
OTHER_REFERENCE = Reference.fit({"age": np.arange(50.0, 150.0), "plan": ["free", "pro"] * 50})

# Shares of missing values can be set to the row, so most rules here watch them.
RULE = AlertRule("age-missing", "missing", fire_above=0.7, clear_below=0.2, features=("age",))
LETTERS = {"B": [None, None], "D": [None, 50.0], "C": [50.0, 50.0]}  # one minute's ages: breach, deadband, clear


def at(minutes: float) -> Nanos:
    """So many minutes after midnight."""
    return MIDNIGHT + round(minutes * MINUTE)


def minute(number: int) -> Span:
    """The window of one minute that begins so many minutes after midnight."""
    return Span(at(number), at(number + 1))


def a_score(value: float | None, feature: str = "age", detector: str = "missing", rows: int = 100) -> DriftScore:
    """What a detector might have said."""
    return DriftScore(feature, detector, value, rows)


def score_table(*scores: DriftScore) -> ScoreTable:
    """The same scores as a window keeps them."""
    return ScoreTable(tuple(DetectorScores(as_columns(score), as_asked(score)) for score in scores))


def as_columns(score: DriftScore) -> ScoreColumns:
    """One score as columns."""
    return ScoreColumns(
        score.detector,
        (score.feature,),
        known=np.array([score.value is not None]),
        rows=np.array([score.rows]),
        values=np.array([score.value or 0.0]),
        pvalues=None if score.pvalue is None else np.array([score.pvalue]),
        details={name: np.array([value], dtype=np.float64) for name, value in score.details.items()},
    )


def as_asked(score: DriftScore) -> AskedScores:
    """Its threshold, and no rule."""
    return AskedScores({score.feature: 0}, None, np.array([0]), (score.threshold,), {})


def make_rule(**changes: Any) -> AlertRule:
    """`RULE` with changes."""
    return replace(RULE, **changes)


def make_spec(
    *,
    key: SeriesKey = KEY,
    reference: Reference = REFERENCE,
    length: Nanos = MINUTE,
    slide: Nanos | None = None,
    lateness: Nanos = 0,
    cooldown: Nanos = 0,
    max_per_week: int = 1000,
    retraining: RetrainPolicy | None = None,
    **judging: Any,
) -> SeriesSpec:
    """A series of one-minute tumbling windows without lateness; `judging`: rules, min_rows, choices."""
    return SeriesSpec(
        key,
        WindowSpec(length, slide or length, lateness),
        Judging(reference, length, **judging),
        retraining or RetrainPolicy(cooldown, max_per_week),
    )


def make_pipeline(*specs: SeriesSpec, idle_after: Nanos = 30 * SECOND, **changes: Any) -> Pipeline:
    """A pipeline of these series, or of one that `changes` describe as for `make_spec`."""
    return Pipeline(specs or [make_spec(**changes)], idle_after)


def make_batch(
    times: Sequence[Nanos],
    age: Sequence[float | None] | float | None = 50.0,
    plan: Sequence[str | None] | str | None = "free",
    *,
    key: SeriesKey = KEY,
    reference: Reference = REFERENCE,
) -> EventBatch:
    """Events at these times; a single value stands for all of them."""
    ages = list(age) if isinstance(age, list | tuple | np.ndarray) else [age] * len(times)
    plans = list(plan) if isinstance(plan, list | tuple) else [plan] * len(times)
    columns = {"age": np.array(ages, dtype=object), "plan": np.array(plans, dtype=object)}
    return EventBatch(key, "predictions", np.array(times, dtype=np.int64), *reference.encode(columns))


def add(windows: Windows[Any], batch: EventBatch) -> int:
    """Fold a batch and add it to windows; the number of late events is returned."""
    folder = Folder({(batch.key, FEATURES): windows.spec.slide})
    return sum(windows.add(delta.panes) for delta in folder.fold(batch))


def feed(
    pipeline: Pipeline, *batches: EventBatch, partition: Partition = P0, until: Nanos | None = None, now: Nanos = 0
) -> list[Fact]:
    """One micro-batch from one partition; its event time comes as far as the batches, or where `until` says."""
    times = [int(batch.event_times.max()) for batch in batches] if until is None else [until]
    clock = pipeline.watermark.partitions.get(partition)
    new = frozenset() if clock is not None and clock.assigned else frozenset({partition})
    seen = {partition: max(times)} if times else {}
    arrived = MicroBatch(batches, seen, read=frozenset(seen), assigned=new)
    return [*pipeline.ingest(arrived, now), *pipeline.advance()]


def play(pipeline: Pipeline, script: str, first: int = 0, **batch: Any) -> list[Fact]:
    """One window a minute: B breaches `RULE`, D is inside its deadband, C is clear, a dot is a minute without events."""
    facts: list[Fact] = []
    for number, letter in enumerate(script, start=first):
        rows = [] if letter == "." else [make_batch([at(number), at(number + 0.5)], LETTERS[letter], **batch)]
        facts += feed(pipeline, *rows, until=at(number + 1))
    return facts


def of(facts: Iterable[object], kind: type[T]) -> list[T]:
    """The facts of one kind."""
    return [fact for fact in facts if isinstance(fact, kind)]


def scores_of(facts: Iterable[object]) -> list[DriftScore]:
    """The scores of all windows, in the order in which they were said."""
    return [score for fact in of(facts, WindowScored) for score in fact.scores]


def states_of(facts: Iterable[object]) -> dict[str, int]:
    """Each feature's state as it was last said."""
    return {feature: state for fact in of(facts, WindowScored) for feature, state in fact.states.items()}


def stored(
    records: Iterable[Record], before: dict[tuple[str, str], bytes] | None = None
) -> dict[tuple[str, str], bytes]:
    """What a store holds after these records were written over what it held `before`."""
    held = dict(before or {})
    for record in records:
        if record.payload is None:
            held.pop((record.kind, record.key), None)
        else:
            held[record.kind, record.key] = record.payload
    return held


def restored(saved: Pipeline | dict[tuple[str, str], bytes], fresh: Pipeline, now: Nanos = 0) -> list[Fact]:
    """Let a fresh pipeline take up what another, or a store, has saved; what it says of that is returned."""
    held = stored(saved.snapshot()) if isinstance(saved, Pipeline) else saved
    return fresh.restore([Record(kind, key, payload) for (kind, key), payload in held.items()], now)

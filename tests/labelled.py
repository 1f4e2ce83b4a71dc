"""Builders for what is joined: predictions and labels by their ids, and a plain join that keeps everything, to be held against ours."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from detectors.sketches.identity import wide_hashes_of
from monitor.series.deciding import DecisionSpec
from monitor.series.performance import Performance, PerformanceSpec
from monitor.series.truth import BINARY, Truth
from monitor.stream.events import JoinBatch, Nanos
from monitor.stream.join import LABEL, PREDICTION, JoinSpec, Rows, rows_of
from tests.build import DAY, KEY, MINUTE

AMPLE = 64 << 20


@dataclass(frozen=True, order=True)
class Scored:
    """A prediction."""

    id: str
    time: Nanos
    score: float


@dataclass(frozen=True, order=True)
class Told:
    """A label; None withdraws it."""

    id: str
    time: Nanos
    offset: int
    label: float | None


def performance_spec(
    *,
    length: Nanos = MINUTE,
    slide: Nanos | None = None,
    wait: Nanos = DAY,
    ages: Sequence[Nanos] = (),
    memory: int = AMPLE,
    truth: Truth | None = None,
    decision: DecisionSpec | None = None,
) -> PerformanceSpec:
    """Windows of a minute, judged after a day."""
    return PerformanceSpec(
        JoinSpec(length, slide or length, wait, memory),
        tuple(ages) or (wait,),
        truth or Truth(BINARY),
        decision=decision,
    )


def make_performance(**changes: object) -> Performance:
    """A view of performance of the plain series."""
    return Performance(KEY, performance_spec(**changes))  # type: ignore[arg-type]


def predictions(rows: Iterable[Scored]) -> Rows:
    """Predictions as rows."""
    rows = list(rows)
    high, low = wide_hashes_of(np.array([each.id for each in rows], dtype=object), len(rows))
    times, scores = [each.time for each in rows], [each.score for each in rows]
    return rows_of(PREDICTION, high=high, low=low, time=times, value=scores)


def labels(rows: Iterable[Told]) -> Rows:
    """Labels as rows."""
    rows = list(rows)
    high, low = wide_hashes_of(np.array([each.id for each in rows], dtype=object), len(rows))
    values = [np.nan if each.label is None else each.label for each in rows]
    times, offsets = [each.time for each in rows], [each.offset for each in rows]
    return rows_of(LABEL, high=high, low=low, time=times, offset=offsets, value=values, weight=np.ones(len(rows)))


def batch_of(events: Iterable[Scored | Told]) -> JoinBatch:
    """A batch of both."""
    events = list(events)
    scored = predictions(each for each in events if isinstance(each, Scored))
    return JoinBatch(KEY, scored, labels(each for each in events if isinstance(each, Told)))


def joined_plainly(
    events: Iterable[Scored | Told], spec: PerformanceSpec, start: Nanos, age: Nanos
) -> dict[str, tuple[float, float | None]]:
    """Score and label by id of the predictions of the pane that begins here, as anybody would join them."""
    events, join = list(events), spec.join
    found: dict[str, tuple[float, float | None]] = {}
    for scored in sorted(each for each in events if isinstance(each, Scored)):
        if start <= scored.time < start + join.slide and scored.id not in found:
            told = [
                each
                for each in events
                if isinstance(each, Told)
                and each.id == scored.id
                and start - join.early <= each.time <= start + join.slide + age
            ]
            last = max(told, key=lambda each: (each.time, each.offset), default=None)
            found[scored.id] = scored.score, None if last is None else last.label
    return found

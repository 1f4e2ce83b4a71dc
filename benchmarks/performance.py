"""Counting labelled predictions: nanoseconds of processor time a row beside the same sums in plain numpy; metrics, estimates of a window."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.measure import Figures, options, ratio, said, spread, write
from detectors import (
    BinaryCounts,
    BinaryTask,
    MulticlassCounts,
    MulticlassTask,
    Reference,
    RegressionCounts,
    RegressionTask,
    ScoreEstimator,
)

ROUNDS, QUICK_ROUNDS = 25, 2
SIZES = {10_000: 1, 200: 20}  # rows of a batch, and calls in one measurement
Work = Callable[[], object]


def main() -> None:
    """Measure everything in turn, round by round."""
    given = options(__doc__).parse_args()
    rounds = QUICK_ROUNDS if given.quick else ROUNDS
    figures: Figures = {}
    for rows, times in SIZES.items():
        for kind, (bare, work) in contenders(rows).items():
            spent = [(seconds(bare, times) / rows * 1e9, seconds(work, times) / rows * 1e9) for _ in range(rounds)]
            plain, counted = ([pair[at] for pair in spent] for at in range(2))
            figures[f"{kind} {rows}"] = {"ns a row": spread(counted), "of numpy alone": ratio(counted, plain)}
    for name, work in windows().items():
        figures[name] = {"µs a window": spread([seconds(work, 1) * 1e6 for _ in range(rounds)])}
    report(figures)
    write(given.json, figures)


def contenders(rows: int) -> dict[str, tuple[Work, Work]]:
    """By task: sums that are rounded as they come, and `update`."""
    random = np.random.default_rng(1)
    scores = random.random(rows)
    labels = (random.random(rows) < scores).astype(np.float64)
    codes = random.integers(0, 5, rows)
    said_codes = random.integers(0, 5, rows)
    binary, numbers = BinaryCounts.empty(BinaryTask()), RegressionCounts.empty(RegressionTask())
    classes = MulticlassCounts.empty(MulticlassTask(tuple("abcde")))
    edges = binary.task.edges

    def plain_binary() -> None:
        np.bincount(np.searchsorted(edges, scores) + labels.astype(np.int64) * edges.size)
        for loss in ((scores - labels) ** 2, np.log(np.where(labels == 1, scores, 1 - scores))):
            loss.sum(), (loss**2).sum()

    def plain_regression() -> None:
        errors = scores - labels
        for loss in (errors, np.abs(errors), errors**2, labels, labels**2):
            loss.sum(), (loss**2).sum()

    return {
        "binary": (plain_binary, lambda: binary.update(labels, scores)),
        "multiclass": (lambda: np.bincount(codes * 5 + said_codes), lambda: classes.update(codes, said_codes)),
        "regression": (plain_regression, lambda: numbers.update(labels, scores)),
    }


def windows() -> dict[str, Work]:
    """What is done once a window."""
    random = np.random.default_rng(2)
    scores = random.random(10_000)
    labels = random.random(10_000) < scores
    counts = BinaryCounts.empty(BinaryTask())
    counts.update(labels, scores)
    pane = counts.packed()
    estimator = ScoreEstimator.fit(Reference.fit({"score": scores}, prediction="score"), labels, scores)
    return {
        "all metrics": counts.metrics,
        "merging a pane": lambda: counts.copy().add(pane),
        "writing": counts.to_bytes,
        "estimating": lambda: estimator.estimate(scores),
    }


def seconds(work: Work, times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


def report(figures: Figures) -> None:
    print("\nperformance: counting labelled predictions, median (lowest to highest)")
    for name, found in figures.items():
        if "ns a row" in found:
            print(
                f"  {name:18} rows  {said(found['ns a row'], 1)} ns a row; {said(found['of numpy alone'], 2)} of plain sums"
            )
        else:
            print(f"  {name:18} {said(found['µs a window'], 1)} µs a window")


if __name__ == "__main__":
    main()

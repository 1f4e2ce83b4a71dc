"""How long an incident of performance outlives its fault, and how far `since` is from its begin: `python benchmarks/performance_ends.py [SEEDS]`.

Scores of a logistic model, windows of 100 labelled rows; for some windows labels fall at random, all of them or a share. A reference of 864 windows, and all
judges that a model has by default, at one false alarm a month.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import yaml

from detectors import BinaryCounts, BinaryTask, LabelColumn, Reference
from monitor.configuration import load
from monitor.facts import AlertChanged, PerformanceJudged
from monitor.series.deciding import PerformanceDecision
from monitor.series.performance import PerformanceSpec
from monitor.settings import load_settings
from monitor.stream.events import DAY, MINUTE, SeriesKey

ROWS, WINDOWS, HEALTHY, MOST = 100, 864, 30, 60
KEY, BEGUN = SeriesKey("m", "*"), 20_000 * DAY
FAULTS = ((1.0, 2), (1.0, 4), (1.0, 16), (0.35, 8), (0.35, 24))


def drawn(rng: np.random.Generator, rows: int, at_random: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and labels of which so many say nothing of them."""
    scores = 1 / (1 + np.exp(-2 * rng.normal(size=rows)))
    labels = rng.random(rows) < scores
    return scores.round(4), np.where(rng.random(rows) < at_random, rng.random(rows) < 0.5, labels)


def spec_in(home: Path) -> PerformanceSpec:
    """Who judges a model of such a reference."""
    scores, labels = drawn(np.random.default_rng(0), WINDOWS * ROWS)
    at = BEGUN - 3 * DAY + np.arange(scores.size) * (MINUTE // ROWS)
    table = {"age": np.arange(scores.size) % 100.0, "score": scores, "label": np.where(labels, "yes", "no")}
    label = LabelColumn("label", positive="yes")
    table["at"] = at.astype("datetime64[ns]")
    Reference.fit(table, prediction="score", label=label, timestamp="at", window="1m").save(home / "r.json")
    model = {"name": "m", "reference": "r.json", "window": "1m", "labels": {"wait": "20m", "positive": "yes"}}
    topics = [{"name": "p"}, {"name": "l", "kind": "labels"}]
    settings = {"topics": topics, "models": [model], "alerting": {"false_alarms_per_month": 1}}
    (home / "driftd.yaml").write_text(yaml.safe_dump(settings))
    spec = load(load_settings(home / "driftd.yaml"), home, {}).specs[0].performance
    assert spec is not None
    return spec


def window(rng: np.random.Generator, number: int, at_random: float) -> tuple[PerformanceJudged, BinaryCounts]:
    """One window and its counts."""
    scores, labels = drawn(rng, ROWS, at_random)
    counts = BinaryCounts.empty(BinaryTask())
    counts.update(labels, scores)
    start = BEGUN + number * MINUTE
    told = PerformanceJudged(
        KEY,
        start,
        start + MINUTE,
        MINUTE,
        final=True,
        task="binary",
        predictions=ROWS,
        labelled=ROWS,
        sampling=1.0,
        metrics=(),
    )
    return told, counts


def outlived(spec: PerformanceSpec, seed: int, at_random: float, bad: int) -> tuple[int, int] | None:
    """Windows from the last bad one to the end, and from the first bad one to `since`; None where nothing was heard."""
    assert spec.decision is not None
    decision, rng = PerformanceDecision(KEY, spec.decision, spec.truth, MINUTE), np.random.default_rng(1000 + seed)
    since: int | None = None
    for number in range(HEALTHY + bad + MOST):
        is_bad = HEALTHY <= number < HEALTHY + bad
        for fact in decision.take(*window(rng, number, at_random if is_bad else 0.0)):
            if isinstance(fact, AlertChanged) and fact.opened and number >= HEALTHY and since is None:
                since = (fact.since - BEGUN) // MINUTE - 1 - HEALTHY
            if isinstance(fact, AlertChanged) and fact.closed and since is not None:
                return number - (HEALTHY + bad - 1), since
    return None if since is None else (MOST, since)


def main() -> None:
    """Print the table."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(
        "| labels at random | bad windows | heard | median | nine in ten | longest | since, median | since, furthest |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as home:
        spec = spec_in(Path(home))
        for share, bad in FAULTS:
            found = [each for seed in range(seeds) if (each := outlived(spec, seed, share, bad)) is not None]
            waits, apart = np.array(found).T
            ends = f"{np.median(waits):g} | {np.quantile(waits, 0.9):.0f} | {waits.max()}"
            onset = f"{np.median(apart):g} | {np.abs(apart).max()}"
            print(f"| {share:.0%} | {bad} | {len(found)} of {seeds} | {ends} | {onset} |", flush=True)


if __name__ == "__main__":
    main()

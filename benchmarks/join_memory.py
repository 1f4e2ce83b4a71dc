"""What the join keeps in memory, and what its estimates are worth where it keeps a sample.

Ten million predictions, a label each, all of which wait: resident memory beside a process that has read them and kept none, with its
rows saved as they come, and judged in the end. Then seeds: windows of which one id in so many is kept, each with its accuracy and interval
beside the chance that labels were drawn with.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.measure import Figures, child, options, rss, write

OPEN, SEEDS, QUICK = 10_000_000, 200, (300_000, 5)
BATCH = 20_000
MEMORY = 64_000_000
WAIT_HOURS, WINDOWS, ROWS, FEW = 168, 10, 4_000, 200_000  # hours; of a seed: windows, predictions of each, bytes
RIGHT, LABELLED = 0.9, 0.7
HOUR = 3600 * 10**9


def performance(memory: int, wait: int) -> Any:
    """The view of one series of scores."""
    from monitor.configuration import rows_within
    from monitor.series.performance import Performance, PerformanceSpec
    from monitor.series.truth import BINARY, Truth
    from monitor.stream.events import SeriesKey
    from monitor.stream.join import JoinSpec

    spec = PerformanceSpec(JoinSpec(HOUR, HOUR, wait, rows_within(memory)), (wait,), Truth(BINARY))
    return Performance(SeriesKey("bench", "1"), spec)


def batch(times: Any, rng: Any, share: float) -> Any:
    """Predictions at these times with scores on the right side of the threshold that often, and labels of some of them."""
    from monitor.stream.events import JoinBatch, SeriesKey
    from monitor.stream.join import LABEL, PREDICTION, rows_of

    size = len(times)
    ids = {half: rng.integers(1, 2**64, size, dtype=np.uint64) for half in ("high", "low")}
    truth = rng.random(size) < 0.5
    scores = np.where((rng.random(size) < RIGHT) == truth, 0.75, 0.25)
    known = rng.random(size) < share
    labels = {name: half[known] for name, half in ids.items()}
    told = rows_of(LABEL, **labels, time=times[known], value=truth[known].astype(np.float64), weight=1.0)
    return JoinBatch(SeriesKey("bench", "1"), rows_of(PREDICTION, **ids, time=times, value=scores), told)


def high_water() -> int:
    """The most resident bytes so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def resident(count: int) -> None:
    """Read so many predictions and labels; print what that took."""
    import json

    rng, view = np.random.default_rng(0), performance(MEMORY, WAIT_HOURS * HOUR)
    step = (WAIT_HOURS - 2) * HOUR // count
    for warm in range(3):
        batch(np.arange(BATCH) * step + warm, rng, 1.0)
    tiny = performance(MEMORY, HOUR)
    tiny.take(batch(np.arange(BATCH) * step, rng, 1.0))
    tiny.advance(10 * HOUR)
    before, saved = rss(), 0
    for at in range(0, count, BATCH):
        view.take(batch(np.arange(at, min(at + BATCH, count)) * step, rng, 1.0))
        if at % (50 * BATCH) == 0:
            saved += sum(len(record.payload or b"") for record in view.changes())
    reading, kept = high_water() - before, view.join.bytes
    judged = sum(type(fact).__name__ == "PerformanceJudged" for fact in view.advance(2 * WAIT_HOURS * HOUR))
    judging = high_water() - before
    print(json.dumps({"reading": reading, "judging": judging, "rows": kept, "saved": saved, "judged": judged}))


def sampled(seeds: int) -> Figures:
    """The mean error of accuracy in its standard errors, and how many intervals hold the chance that labels were drawn with."""
    errors, held, kept = [], 0, []
    for seed in range(seeds):
        rng, view = np.random.default_rng(seed), performance(FEW, (WINDOWS + 2) * HOUR)
        times = np.sort(rng.integers(0, WINDOWS * HOUR, WINDOWS * ROWS))
        facts = []
        for at in range(0, len(times), 1000):
            facts += view.take(batch(times[at : at + 1000], rng, LABELLED))
        facts += view.advance(3 * WINDOWS * HOUR + 3 * HOUR)
        for fact in facts:
            if type(fact).__name__ == "PerformanceJudged":
                metric = fact.metric("accuracy")
                errors.append((metric.value - RIGHT) / np.sqrt(RIGHT * (1 - RIGHT) / fact.labelled))
                held += metric.lower <= RIGHT <= metric.upper
                kept.append(fact.sampling)
    many = len(errors)
    return {
        "windows": many,
        "sampling": float(np.mean(kept)),
        "bias": float(np.mean(errors)),
        "bias_error": float(np.std(errors) / np.sqrt(many)),
        "held": held / many,
    }


def main() -> None:
    """Measure both."""
    parser = options(__doc__)
    parser.add_argument("--resident", type=int, help="of a child process")
    chosen = parser.parse_args()
    if chosen.resident:
        resident(chosen.resident)
        return
    count, seeds = QUICK if chosen.quick else (OPEN, SEEDS)
    taken = child("join_memory", "--resident", str(count), seconds=3600)
    print(
        f"{count:,} predictions and as many labels wait, join_memory {MEMORY / 1e6:.0f} MB: rows take {taken['rows'] / 1e6:.1f} MB,"
    )
    print(
        f"resident memory {taken['reading'] / 1e6:+.1f} MB at most, {taken['judging'] / 1e6:+.1f} MB with {taken['judged']} windows judged"
    )
    found = sampled(seeds)
    print(f"{seeds} seeds, {found['windows']} windows, {found['sampling']:.1%} of the ids kept: accuracy is off by")
    print(
        f"{found['bias']:+.3f} ± {found['bias_error']:.3f} standard errors on average; {found['held']:.1%} of the 95 % intervals hold"
    )
    write(chosen.json, {"resident": taken, "sampled": found})


if __name__ == "__main__":
    main()

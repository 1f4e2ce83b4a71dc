"""A checkpoint's price: real pipeline, real SQLite on disk, windows closing meanwhile; how long each takes and writes.

Ten models of 200 features under the budget's charts, traffic between checkpoints as every five seconds would bring it, a window of one minute
closing in all of them at every twelfth: what `Checkpointer.save` does, the source's commit apart.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import Figures
from benchmarks.windows import MINUTE, PARTITION, Bench, fitted
from monitor.runtime.loop import calm_collector
from monitor.runtime.telemetry import configure_logging
from monitor.store.sqlite import StateStore

MODELS, FEATURES = 10, 200
EVERY = MINUTE // 12  # the default interval, in event time: live traffic
ROWS = 250  # of a model between two checkpoints


def measured(seconds: float) -> Figures:
    """Checkpoints for so long, or two hundred."""
    bench = Bench(fitted(FEATURES, MINUTE), MODELS, MINUTE)
    took, wrote = [], []
    with tempfile.TemporaryDirectory(dir=".") as directory:  # /tmp may be memory
        store = StateStore(Path(directory))
        until = time.perf_counter() + seconds
        while len(took) < 200 and time.perf_counter() < until:
            bench.run(bench.batches(ROWS, EVERY // ROWS))
            began = time.perf_counter()
            records = bench.pipeline.changes()
            store.save(records, {PARTITION: len(took)}, [], bench.at)
            bench.pipeline.open_panes()
            took.append((time.perf_counter() - began) * 1e3)
            wrote.append(sum(len(record.payload or b"") for record in records))
        size, saved = store.size(), sum(len(record.payload or b"") for record in store.records())
        store.close()
    took, wrote = took[2:], wrote[2:]  # the first is cold: the references are hashed
    return {
        "checkpoints": len(took),
        "ms": {
            "p50": statistics.median(took),
            "p99": statistics.quantiles(took, n=100)[98],
            "max": max(took),
        },
        "bytes": {"p50": statistics.median(wrote), "max": max(wrote)},
        "state bytes": saved,
        "disk bytes": size,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    configure_logging("error", "json")
    calm_collector()
    found = measured(options.seconds)
    took, wrote = found["ms"], found["bytes"]
    print(f"\ncheckpoint: {MODELS} models × {FEATURES} features, {found['checkpoints']} of them")
    print(f"  {took['p50']:.1f} ms median, {took['p99']:.1f} p99, {took['max']:.1f} at most")
    print(f"  {wrote['p50'] / 1e6:.2f} MB median, {wrote['max'] / 1e6:.2f} at most")
    print(f"  {found['state bytes'] / 1e6:.1f} MB of records, {found['disk bytes'] / 1e6:.1f} MB on disk")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

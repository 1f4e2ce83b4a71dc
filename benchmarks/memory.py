"""Resident memory beside the formula in docs/operations.md: pipelines of many models, each built in a fresh process.

Every model has a reference of its own, 384 bins a feature. Its panes are filled, windows are closed and judged, a
checkpoint is written to records and dropped; what is left is measured, the imports alone apart.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import Figures, child

SIZES = {
    "1 × 20": (1, 20, 1),
    "10 × 20": (10, 20, 1),
    "100 × 20": (100, 20, 1),
    "100 × 100, 12 panes": (100, 100, 12),
    "1000 × 20": (1_000, 20, 1),
}
ROWS = 2_000  # a pane
CELLS = 389  # 384 bins, under, over and three kinds of missing
PACKED = 1  # bytes a cell of a pane that was put away: here no cell counts more than 255


def formula(models: int, features: int, panes: int) -> float:
    """Bytes beyond the imports, the history being short; the one open pane stands in 64 bits."""
    from monitor.commands import memory

    cells = features * CELLS
    sliding = panes > 1
    kept = memory.pane_bytes(cells, 1, sliding=sliding) + (panes * PACKED * cells if sliding else 0)
    return models * (memory.series_bytes(features, panes + 2) + memory.reference_bytes(cells) + kept)


def resident() -> int:
    """Bytes of this process in memory."""
    with Path("/proc/self/statm").open() as statm:
        return int(statm.read().split()[1]) * 4096


def build(models: int, features: int, panes: int) -> Figures:
    """Build it here; bytes before and after."""
    import gc

    import numpy as np
    from scipy import special

    import monitor.app
    from benchmarks.windows import BEGIN, MINUTE, PARTITION, RULES
    from detectors import Grid, NumericFeature, Reference
    from monitor.alerting.judge import Judging
    from monitor.alerting.retraining import RetrainPolicy
    from monitor.pipeline import Pipeline
    from monitor.runtime.board import Board, SeriesBoard
    from monitor.runtime.telemetry import Telemetry, configure_logging
    from monitor.series import SeriesSpec
    from monitor.stream.events import EventBatch, MicroBatch, SeriesKey
    from monitor.stream.windows import WindowSpec

    del monitor.app, special
    configure_logging("error", "json")
    rng = np.random.default_rng(0)
    sample = Reference.fit({"x": rng.normal(size=50_000)}).grid.numeric[0]

    def reference() -> Reference:
        """One as if read from a file: its arrays are its own."""
        arrays = [(sample.edges.copy(), sample.counts.copy(), sample.bin_means.copy()) for _ in range(features)]
        numeric = tuple(
            NumericFeature(f"feature_{at:03d}", *found, discrete=False, mean=sample.mean, std=sample.std)
            for at, found in enumerate(arrays)
        )
        return Reference(Grid(numeric, ()), 50_000)

    values = rng.normal(size=(ROWS, features))
    codes = np.zeros((ROWS, 0), dtype=np.int32)
    gc.collect()
    before = resident()
    length = panes * MINUTE
    specs = [
        SeriesSpec(
            SeriesKey(f"model-{at}", "1"),
            WindowSpec(length, MINUTE, 0),
            Judging(reference(), length, RULES),
            RetrainPolicy(0, 1),
        )
        for at in range(models)
    ]
    pipeline = Pipeline(specs, MINUTE)
    telemetry = Telemetry(Board({spec.key: SeriesBoard("", 0) for spec in specs}), lambda: BEGIN)
    pipeline.ingest(MicroBatch(assigned=frozenset({PARTITION})), 0)
    for number in range(panes + 2):
        times = BEGIN + number * MINUTE + np.arange(ROWS) * (MINUTE // ROWS)
        for spec in specs:
            pipeline.ingest(MicroBatch((EventBatch(spec.key, "bench", times, values, codes),)), 0)
        pipeline.ingest(MicroBatch(seen={PARTITION: int(times[-1])}), 0)
        telemetry.record(pipeline.advance(0))
        pipeline.changes()
    gc.collect()
    return {"imports": before, "all": resident(), "panes": sum(count for _, count in pipeline.open_panes().panes)}


def measured() -> Figures:
    """Each size in a process of its own."""
    found: Figures = {}
    for name, size in SIZES.items():
        one = child("memory", "--one", *map(str, size), seconds=60)
        grown, expected = one["all"] - one["imports"], formula(*size)
        found[name] = {**one, "grown": grown, "formula": expected, "ratio": grown / expected}
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--one", nargs=3, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(build(*options.one)))
        return
    found = measured()
    print("\nmemory: models × features, MB resident")
    for name, one in found.items():
        print(
            f"  {name:<20} {one['all'] / 1e6:6.0f}, of it imports {one['imports'] / 1e6:.0f}; "
            f"the rest is {one['ratio']:.2f} of the formula"
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

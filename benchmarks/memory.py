"""Resident memory beside the formula in docs/operate.md: pipelines of many models, each built in a fresh process.

Every model has a calibrated reference of its own, 384 bins a feature, and charts; `weekly` is one whose features all
follow the hour of the week. Panes are filled, windows are closed and judged, a checkpoint is written to records and
dropped; what was freed is given back, as the daemon does every ten seconds; what is left is measured, the imports alone apart.
"""

import argparse
import gc
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.measure import Figures, child, rss
from benchmarks.traffic import calibrated, refuse_uncharted
from benchmarks.windows import BEGIN, MINUTE, PARTITION, RULES, board
from detectors import Reference
from detectors.charts import BudgetSpec
from monitor.alerting.retraining import RetrainPolicy
from monitor.commands import memory
from monitor.pipeline import Pipeline
from monitor.runtime.allocation import EVERY, FreedMemory
from monitor.runtime.telemetry import Telemetry, configure_logging
from monitor.series.judging import Judging
from monitor.series.series import SeriesSpec
from monitor.stream.events import EventBatch, MicroBatch, SeriesKey
from monitor.stream.windows import WindowSpec

SIZES = {
    "1 × 20": (1, 20, 1, 0),
    "10 × 20": (10, 20, 1, 0),
    "100 × 20": (100, 20, 1, 0),
    "100 × 100, 12 panes": (100, 100, 12, 0),
    "100 × 100, 12 panes, weekly profile": (100, 100, 12, 168),
    "1000 × 20": (1_000, 20, 1, 0),
}
ROWS = 2_000  # a pane
PACKED = 1  # bytes a cell of a pane that was put away: here no cell counts more than 255
HOURLY = 300  # rows of a profile's hour


def formula(specs: Sequence[SeriesSpec], panes: int) -> int:
    """Bytes beyond the imports, the history being short; the one open pane stands in 32 bits, which is twice what its rows need."""
    found = memory.references(specs) + memory.charts(specs)
    for spec in specs:
        cells, sliding = spec.reference.layout.size, panes > 1
        kept = memory.pane_bytes(cells, 1, sliding=sliding) + (panes * PACKED * cells if sliding else 0)
        found += memory.series_bytes(len(spec.reference.names), panes + 2) + kept
    return found


def content(features: int, panes: int, season: int) -> dict[str, Any]:
    """A reference file of so many features that are alike, with a profile of so many hours where it is not 0."""
    one = calibrated({"x": np.random.default_rng(0).normal(size=50_000)}, panes * MINUTE).to_dict()
    names = [f"feature_{at:03d}" for at in range(features)]
    feature, learnt = one["features"][0], one["calibration"]["features"]["x"]
    if season:
        learnt |= {"season": season, "profile": [[HOURLY / len(learnt["cuts"])] * len(learnt["cuts"])] * season}
    one["features"] = [feature | {"name": name} for name in names]
    one["calibration"]["features"] = dict.fromkeys(names, learnt)
    return one


def specs_of(models: int, panes: int, file: dict[str, Any]) -> list[SeriesSpec]:
    """Series that share nothing: each has read the file itself."""
    windows, plan = WindowSpec(panes * MINUTE, MINUTE, 0), BudgetSpec(pane_ns=MINUTE)
    return [
        SeriesSpec(
            SeriesKey(f"model-{at}", "1"),
            windows,
            Judging(Reference.from_dict(file), windows.length, RULES, plan=plan),
            RetrainPolicy(0, 1),
        )
        for at in range(models)
    ]


def fill(pipeline: Pipeline, specs: Sequence[SeriesSpec], panes: int, features: int) -> Telemetry:
    """Close windows of each series; what is shown of them."""
    telemetry = Telemetry(board(specs), lambda: BEGIN)
    values = np.random.default_rng(0).normal(size=(ROWS, features))
    codes = np.zeros((ROWS, 0), dtype=np.int32)
    pipeline.ingest(MicroBatch(assigned=frozenset({PARTITION})), 0)
    for number in range(panes + 2):
        times = BEGIN + number * MINUTE + np.arange(ROWS) * (MINUTE // ROWS)
        for spec in specs:
            pipeline.ingest(MicroBatch((EventBatch(spec.key, "bench", times, values, codes),)), 0)
        pipeline.ingest(MicroBatch(seen={PARTITION: int(times[-1])}), 0)
        telemetry.record(pipeline.advance())
        pipeline.changes()
    return telemetry


def import_the_rest() -> None:
    """What the daemon has loaded besides."""
    from scipy import special

    import monitor.app

    del monitor.app, special


def build(models: int, features: int, panes: int, season: int) -> Figures:
    """Build it here; bytes before and after."""
    import_the_rest()
    configure_logging("error", "json")
    file = content(features, panes, season)
    freed = FreedMemory()
    freed.see(0)
    gc.collect()
    before = rss()
    specs = specs_of(models, panes, file)
    pipeline = Pipeline(specs, MINUTE)
    refuse_uncharted(pipeline)
    shown = fill(pipeline, specs, panes, features)
    gc.collect()
    freed.see(EVERY)
    found = {"imports": before, "all": rss(), "formula": formula(specs, panes)}
    del shown
    return found | {"panes": sum(count for _, count in pipeline.open_panes().panes)}


def measured() -> Figures:
    """Each size in a process of its own, two at a time: what one takes is not the other's."""
    with ThreadPoolExecutor(2) as pool:
        built = list(pool.map(lambda size: child("memory", "--one", *map(str, size)), SIZES.values()))
    grown = [one["all"] - one["imports"] for one in built]
    return {
        name: {**one, "grown": size, "ratio": size / one["formula"]}
        for name, one, size in zip(SIZES, built, grown, strict=True)
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--one", nargs=4, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(build(*options.one)))
        return
    found = measured()
    print("\nmemory: models × features, MB resident")
    for name, one in found.items():
        print(
            f"  {name:<36} {one['all'] / 1e6:6.0f}, of it imports {one['imports'] / 1e6:.0f}; "
            f"the rest is {one['ratio']:.2f} of the formula"
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Resident memory of a judge for each of its models: 100 features, windows of 60 panes, and prefixes of open cells from 1, 12 or 96 partitions.

Each size in a process of its own: the same judge with few models and with many, and the difference between them. A judge keeps the newest prefix of each
cell that is open as it came (`monitor.replicas.ledger`), so what a model takes grows with the partitions that it lies in.
"""

import argparse
import gc
import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.cluster import specs_of
from benchmarks.measure import Figures, child, options, rss, write
from benchmarks.memory import import_the_rest
from benchmarks.traffic import BEGIN_MS, MILLI, calibrated
from monitor.pipeline import Pipeline
from monitor.replicas.cells import SourceLog, places_of, plan_of
from monitor.replicas.folding import CellFolder, SentRecord, SourceRead
from monitor.replicas.owner import ReplicaOwner
from monitor.runtime.allocation import EVERY, FreedMemory
from monitor.runtime.telemetry import configure_logging
from monitor.series.series import SeriesSpec
from monitor.stream.events import SECOND, EventBatch
from monitor.stream.windows import WindowSpec

MINUTE = 60 * SECOND
BEGIN = BEGIN_MS * MILLI // MINUTE * MINUTE
FEATURES, PANES = 100, 60
MODELS = (4, 24)
PARTITIONS = (1, 12, 96)
ROWS = 2_000  # of a model in a pane, from one partition
FULL = 2  # panes at the end of which every partition sends its part; before, the first one alone


def build(models: int, partitions: int) -> Figures:
    """A judge that has judged windows of an hour; bytes before and after."""
    import_the_rest()
    configure_logging("error", "json")
    chance = np.random.default_rng(1)
    reference = calibrated({f"x{at:03d}": chance.normal(size=50_000) for at in range(FEATURES)}, PANES * MINUTE)
    specs = specs_of(reference, models, WindowSpec(PANES * MINUTE, MINUTE, 0))
    places, plan = places_of(specs), plan_of(specs, length=models * ROWS)
    freed = FreedMemory()
    freed.see(0)
    gc.collect()
    before = rss()
    owner = ReplicaOwner(Pipeline(specs, MINUTE), plan, places)
    # The first cell of all logs but one has an event a pane, of no model, so that the last two panes are a cell each, and the last is open.
    begins = {SourceLog("bench", "topic-1", at): plan.length - PANES if at else 0 for at in range(partitions)}
    folders = [CellFolder(log, begin, plan, places) for log, begin in begins.items()]
    owner.assign(begins, 0)
    for pane in range(PANES + FULL):
        size = max(send(owner, folder, specs, pane) for folder in folders)
    assert all(len(state.cells[state.begin].held) == models for state in owner.logs.values())
    del folders
    owner.changes()
    gc.collect()
    freed.see(EVERY)
    return {
        "grown": rss() - before,
        "prefix": size,
        "panes": sum(count for _, count in owner.pipeline.open_panes().panes),
    }


def send(owner: ReplicaOwner, folder: CellFolder, specs: Sequence[SeriesSpec], pane: int) -> int:
    """One pane of one log, to the judge: all its rows of all models, or one event of no model. The bytes of its largest record."""
    first, last = folder.log.index == 0, pane == PANES + FULL - 1
    whole = first or pane >= PANES
    rows = ROWS - last if whole else 1
    times = BEGIN + pane * MINUTE + MINUTE // ROWS * np.arange(ROWS - rows, ROWS)
    numeric = np.random.default_rng(pane).normal(size=(rows, FEATURES))
    sent = list[SentRecord]()
    codes = np.zeros((rows, 0), dtype=np.int32)
    batches = [(EventBatch(spec.key, "bench", times, numeric, codes),) for spec in specs] if whole else [()]
    for batch in batches:
        at = folder.position
        sent += folder.read(SourceRead(at, at + rows, batch, int(times[-1])), 0)
    sent += folder.flush(0)
    for record in sent:
        assert not owner.hear(record.value).told
    return max(len(record.value) for record in sent)


def main() -> None:
    """All sizes; or one, here."""
    parser = options(__doc__)
    parser.add_argument("--one", nargs=2, type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(build(*given.one)))
        return
    figures = {}
    for partitions in PARTITIONS[:1] if given.quick else PARTITIONS:
        few, many = (child("judge_memory", "--one", str(models), str(partitions), seconds=300) for models in MODELS)
        a_model = (many["grown"] - few["grown"]) / (MODELS[1] - MODELS[0])
        figures[str(partitions)] = {"a model": a_model, "prefix": many["prefix"], "few": few, "many": many}
        print(
            f"{partitions} partitions, in all of which each model lies: {a_model / 1e6:.2f} MB a model of {FEATURES} features and {PANES} panes; a prefix as it came has {many['prefix']:,} bytes",
            flush=True,
        )
    write(given.json, figures)


if __name__ == "__main__":
    main()

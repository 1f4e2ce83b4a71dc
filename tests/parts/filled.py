"""A daemon fed with a few windows a model, without Kafka: what it takes and shows, and what `driftd check` expects."""

import gc
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from monitor.app import Daemon
from monitor.commands import memory
from monitor.commands.run import with_absolute_state
from monitor.commands.time_series import time_series
from monitor.configuration import load
from monitor.runtime.telemetry import configure_logging
from monitor.settings import load_settings
from monitor.stream.events import EventBatch, MicroBatch, Partition
from tests.fakes import NOON, ListSource

ROWS = 500  # a pane
PARTITION = Partition("predictions", 0)


def fill(daemon: Daemon) -> int:
    """Four panes a model; the windows judged are counted."""
    pipeline, windows = daemon.pipeline, 0
    pipeline.ingest(MicroBatch(assigned=frozenset({PARTITION})), 0)
    rng = np.random.default_rng(0)
    for number in range(4):
        for series in pipeline.series.values():
            spec, grid = series.spec, series.spec.reference.layout
            start = NOON - NOON % spec.windows.length + number * spec.windows.length
            times = start + np.arange(ROWS) * (spec.windows.length // ROWS)
            codes = np.zeros((ROWS, len(grid.categorical)), dtype=np.int32)
            batch = EventBatch(spec.key, "predictions", times, rng.normal(size=(ROWS, len(grid.numeric))), codes)
            pipeline.ingest(MicroBatch((batch,)), 0)
        pipeline.ingest(MicroBatch(seen={PARTITION: int(times[-1])}), 0)
        facts = pipeline.advance()
        windows += sum(type(fact).__name__ == "WindowClosed" for fact in facts)
        daemon.telemetry.record(facts)
        pipeline.changes()
    return windows


def main() -> None:
    """Print resident bytes beside the estimate."""
    configure_logging("error", "json")
    config = Path(sys.argv[1])
    configuration = load(with_absolute_state(load_settings(config), config.parent), config.parent)
    daemon = Daemon.start(configuration, source=ListSource({}))
    windows = fill(daemon)
    _, _, shown = daemon.surface.answer("/metrics", "")
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096
    expected = time_series(configuration)
    found = {"windows": windows, "resident": resident, "estimate": memory.steady(configuration.specs, expected)}
    series = sum(not line.startswith(b"#") for line in shown.splitlines())
    print(json.dumps({**found, "series": series, "expected_series": expected}))
    daemon.server.close()
    daemon.store.close()


if __name__ == "__main__":
    main()

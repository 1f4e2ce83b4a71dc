"""Decoding alone: events a second to columns, beside msgspec's bare typed decoding of the same bytes."""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.end_to_end import TOPIC, config, events

COUNT = 100_000
BATCH = 10_000
ROUNDS = 5


def main() -> None:
    """Measure typed, lenient and bare decoding in turn."""
    from monitor.app import build_decoders, load
    from monitor.runtime.loop import calm_collector
    from monitor.settings import load_settings
    from monitor.sources.base import TopicRecords

    calm_collector()
    values = events(COUNT)
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        loaded = load(load_settings(config(home, "127.0.0.1:1")), home)
    typed = build_decoders(loaded)[TOPIC]
    lenient = build_decoders(loaded)[TOPIC]
    (series,) = typed.series.values()
    assert series.plan is not None
    bare = msgspec.json.Decoder(series.plan.struct).decode
    for decoder in lenient.series.values():
        decoder.plan = None
    batches = [TopicRecords(TOPIC, [0] * BATCH, values[at : at + BATCH]) for at in range(0, COUNT, BATCH)]
    contenders = {
        "bare struct": lambda: [bare(value) for value in values],
        "to columns": lambda: [typed.decode(batch, time.time_ns()) for batch in batches],
        "every event lenient": lambda: [lenient.decode(batch, time.time_ns()) for batch in batches],
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, work in contenders.items():
            began = time.perf_counter()
            work()
            rates[name].append(COUNT / (time.perf_counter() - began))
    print(f"\ndecode: {len(values[0])} bytes, 20 numeric features, {ROUNDS} rounds, events a second, median")
    for name, found in rates.items():
        against = statistics.median(rate / bare for rate, bare in zip(found, rates["bare struct"], strict=True))
        print(f"  {name:<20} {statistics.median(found):>9,.0f}   {against:.2f} of bare")


if __name__ == "__main__":
    main()

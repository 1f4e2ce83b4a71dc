"""What a call of `driftd.emit` costs the code that serves: processor time of its thread, beside `json.dumps` of the same event.

    flock /tmp/measure.lock .venv/bin/python -m benchmarks.emit

Rows of 20 features, as a dict of Python's numbers, a dict of NumPy's, a dict with NaN, and an array with names. The queue is never
full; the producer is a function that does nothing, or confluent-kafka's with librdkafka's mock cluster.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from confluent_kafka import Producer

from benchmarks.measure import ratio, said, spread
from driftd.emit import Emitter
from tests.parts.mock import MockBroker

FEATURES = 20
NAMES = [f"feature_{number}" for number in range(FEATURES)]
PLAIN: dict[str, Any] = {name: number / 7 if number % 5 else f"text{number}" for number, name in enumerate(NAMES)}
ROWS: dict[str, Any] = {
    "dict of Python's numbers and texts": PLAIN,
    "same, one NaN": PLAIN | {"feature_1": float("nan")},
    "dict of numpy.float32": {name: np.float32(number / 7) for number, name in enumerate(NAMES)},
    "numpy array with names": np.arange(FEATURES) / 7,
}


def seconds_each(call: Callable[[], object], calls: int) -> float:
    """Processor time of this thread, a call."""
    begun = time.thread_time()
    for _ in range(calls):
        call()
    return (time.thread_time() - begun) / calls


def measured(produce: Any, row: Any, calls: int) -> tuple[float, float]:
    """A call, and `json.dumps` of such an event."""
    event = {
        "id": "0123456789abcdef-12345",
        "ts": 1763870700000,
        "model": "churn",
        "version": "3",
        "features": PLAIN,
        "prediction": 0.83,
    }
    emitter = Emitter(produce, "predictions", "churn", version="3", buffer=2 * calls, names=NAMES)
    ours = seconds_each(lambda: emitter.emit(row, 0.83), calls)
    theirs = seconds_each(lambda: json.dumps(event), calls)
    assert emitter.flush(60), "the producer does not take the events"
    assert (emitter.sent, emitter.dropped, emitter.failed) == (calls, 0, 0)
    emitter.close()
    return ours, theirs


def main() -> None:
    """Print a line a kind of row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    broker = MockBroker()
    broker.create_topic("predictions")
    kafka = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 20})
    cases = [(name, row, lambda *_: None) for name, row in ROWS.items()]
    cases.append(("dict of Python's, to confluent-kafka", PLAIN, kafka))
    for name, row, produce in cases:
        rounds = [measured(produce, row, chosen.calls) for _ in range(chosen.rounds)]
        ours, theirs = ([each[place] for each in rounds] for place in (0, 1))
        print(
            f"{name}: {said(spread([each * 1e6 for each in ours]), 1)} µs a call, {said(ratio(ours, theirs), 2)} × json.dumps ({statistics.median(theirs) * 1e6:.1f} µs)"
        )
    broker.stop()


if __name__ == "__main__":
    main()

"""From the event that closes a window to the request for retraining at its receiver: `driftd run`, a mock cluster, a webhook.

Every other window drifts, so each closing of one opens an incident that asks. Measured is wall time from the broker's
acknowledgement of the closing event to the arrival of the request at the receiver: reading, judging, saving and sending. The next
event comes after a pause that is drawn, so that nothing keeps step with the daemon's polls.
"""

import base64
import json
import math
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Condition
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.measure import Figures, machine, options, write

TOPIC = "requests"
BEGIN = 1_763_870_400  # event time of the first event, seconds
WINDOW, LATENESS, ROWS = 10, 1, 100  # seconds, seconds, events of a window
SHIFT = 3.0  # standard deviations, in every other window
LONGEST = 30.0  # seconds that one request is waited for
PAUSE = 0.3  # seconds at most between two windows
SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


class Arrivals:
    """When which request came in, monotonic seconds by model and end of window."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], float] = {}
        self._changed = Condition()

    def keep(self, notice: Any) -> None:
        """One has come."""
        now = time.monotonic()
        with self._changed:
            self._seen.setdefault((notice.data["model"], notice.data["window"]["end"]), now)
            self._changed.notify_all()

    def of(self, models: Sequence[str], end: str) -> list[float]:
        """Of a window of each model; waits for them."""
        wanted = [(model, end) for model in models]
        with self._changed:
            if not self._changed.wait_for(lambda: all(each in self._seen for each in wanted), LONGEST):
                raise SystemExit(f"no request within {LONGEST:g} s of the window that ended {end}")
            return [self._seen[each] for each in wanted]


def config(bootstrap: str, url: str, models: Sequence[str], interval: str) -> dict[str, Any]:
    """A rule that fires and clears by single windows; nothing holds a request back."""
    shared = {"version": "1", "reference": "m.json", "window": f"{WINDOW}s", "lateness": f"{LATENESS}s", "min_rows": 50}
    rule = {"name": "psi-high", "detector": "psi", "fire_above": 0.5, "clear_below": 0.49, "severity": "critical"}
    return {
        "kafka": {"bootstrap_servers": bootstrap, "start_from": "earliest"},
        "topics": [{"name": TOPIC}],
        "models": [{"name": name, **shared} for name in models],
        "alerting": {"false_alarms_per_month": None, "rules": [rule]},
        "retraining": {"cooldown": "0s", "max_per_week": 1_000_000, "veto": []},
        "webhooks": [{"name": "trainer", "url": url, "secret_file": "secret"}],
        "checkpoint_interval": interval,
        "log": {"level": "error"},
    }


class Windows:
    """Produces a window of each model, event by event in order."""

    def __init__(self, bootstrap: str, models: Sequence[str]) -> None:
        from confluent_kafka import Producer

        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "log_level": 0})
        self._models = models
        self._draw = random.Random(1)

    def fill(self, number: int) -> None:
        """All events of a window but none that closes it, nor the one before."""
        shift = SHIFT if number % 2 else 0.0
        for at in range(ROWS):
            offset = LATENESS + (WINDOW - LATENESS) * (at + 1) / (ROWS + 1)
            for model in self._models:
                self._send(model, BEGIN + number * WINDOW + offset, self._draw.gauss(shift, 1.0))
        self._producer.flush(30)

    def close(self, number: int) -> float:
        """One event of the next window, so late that this one is over; when the broker had it, monotonic seconds."""
        acknowledged: list[float] = []
        shift = 0.0 if number % 2 else SHIFT
        moment = BEGIN + (number + 1) * WINDOW + LATENESS
        self._send(
            self._models[0], moment, self._draw.gauss(shift, 1.0), lambda *_: acknowledged.append(time.monotonic())
        )
        self._producer.flush(30)
        return acknowledged[0]

    def _send(self, model: str, seconds: float, value: float, told: Any = None) -> None:
        event = {"ts": round(seconds * 1000), "model": model, "version": "1", "features": {"x": value}}
        self._producer.produce(TOPIC, json.dumps(event), partition=0, on_delivery=told)


def measure(home: Path, requests: int, models: int, interval: str) -> Figures:
    """So many requests, of so many models at once."""
    import numpy as np

    from detectors import Reference
    from monitor.commands.demo.receiver import Receiver
    from monitor.stream.events import SECOND
    from monitor.targets.payloads import rfc3339
    from tests.integration.daemon import Driftd
    from tests.parts.mock import MockBroker

    names = [f"m{number}" for number in range(models)]
    arrivals = Arrivals()

    class Timed(Receiver):
        def keep(self, delivery: Any) -> None:
            arrivals.keep(delivery)

    Reference.fit({"x": np.random.default_rng(1).normal(size=20_000)}).save(home / "m.json")
    (home / "secret").write_text(SECRET, encoding="utf-8")
    broker = MockBroker()
    broker.create_topic(TOPIC, 1)
    pause, waited = random.Random(2), list[float]()
    with Timed(SECRET) as receiver:
        daemon = Driftd(home, config(broker.bootstrap, receiver.url, names, interval))
        daemon.start()
        windows = Windows(broker.bootstrap, names)
        for number in range(2 * math.ceil(requests / models) + 4):  # the first window is not whole
            windows.fill(number)
            time.sleep(pause.uniform(0.0, PAUSE))
            closed = windows.close(number)
            if number % 2:
                end = rfc3339((BEGIN + (number + 1) * WINDOW) * SECOND)
                waited += [arrived - closed for arrived in arrivals.of(names, end)]
        daemon.stop()
        receiver.shutdown()
    broker.stop()
    return said_of(waited[models:])  # the first one imports the client


def said_of(waited: Sequence[float]) -> Figures:
    """Quantiles in seconds."""
    ordered = sorted(waited)
    at = {
        name: ordered[min(len(ordered) - 1, math.ceil(q * len(ordered)) - 1)]
        for name, q in (("p50", 0.5), ("p99", 0.99))
    }
    return {"requests": len(ordered), **at, "most": ordered[-1]}


def main() -> None:
    """Measure, print, and write where asked."""
    parser = options(__doc__)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--interval", default="5s", help="checkpoint_interval")
    asked = parser.parse_args()
    requests = 20 if asked.quick else asked.requests
    figures: Figures = {"machine": machine()}
    print("seconds from the acknowledged event that closes a window to the request at its receiver")
    for models in (1, 20):
        with tempfile.TemporaryDirectory() as home:
            found = figures[f"{models} at once"] = measure(Path(home), requests, models, asked.interval)
        print(
            f"  {found['requests']} requests, {models} at once: p50 {found['p50']:.3f}, p99 {found['p99']:.3f}, most {found['most']:.3f}",
            flush=True,
        )
    write(asked.json, figures)


if __name__ == "__main__":
    main()

"""A scrape beside a busy loop: how long it takes, how long the loop stands still, beside prometheus_client's own text.

One process serves a board over a socket while a thread turns as the loop does: it records facts, keeps the interpreter
busy for some milliseconds, then lets go of it for a moment, as a poll of the broker does. The client is a process of
its own. Before each scrape either every window has closed anew (nothing is ready) or none has (all text is there).
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from benchmarks.traffic import calibrated, refuse_uncharted
from benchmarks.windows import HOUR, PARTITION
from detectors.charts import BudgetSpec
from monitor.alerting.retraining import RetrainPolicy
from monitor.alerting.rules import AlertRule
from monitor.clock import SystemClock
from monitor.facts import EventsCounted, FeatureQuality, WindowClosed, WindowScored
from monitor.pipeline import Pipeline
from monitor.runtime.board import Board, SeriesBoard
from monitor.runtime.http import Server, Surface
from monitor.runtime.inbox import Inbox
from monitor.runtime.loop import calm_collector
from monitor.runtime.metrics import DaemonStatus, Exposition
from monitor.runtime.outbox import OutboxDesk
from monitor.runtime.process import process_metrics, share_interpreter
from monitor.runtime.telemetry import Telemetry, configure_logging
from monitor.runtime.writing import Deciding
from monitor.series.judging import Judging
from monitor.series.series import SeriesSpec
from monitor.stream.events import SECOND, EventBatch, MicroBatch, Nanos, SeriesKey
from monitor.stream.windows import WindowSpec

CLOCK = SystemClock()
WINDOW: Nanos = 300 * SECOND
BENCH = SeriesKey("bench", "1")
RULE = AlertRule("psi", "psi", 0.25, 0.1)
SIZES = {"10 000": (10, 52), "100 000": (100, 52), "1 000 models × 20": (1000, 20)}
ROUTES = {
    "kept": "/metrics",
    "healthz": "/healthz",
    "models": "/api/v1/models",
    "windows": "/api/v1/windows",
    "alerts": "/api/v1/alerts",
}
COMPARED = 10_000  # features: prometheus_client takes seconds for more
BUSY = 0.005  # seconds of a turn
CLIENT = """
import http.client, json, sys, time
for line in sys.stdin:
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
    connection.request("GET", line.strip())
    try:
        size = len(connection.getresponse().read())
    except (OSError, http.client.HTTPException):
        size = -1  # hung up on
    connection.close()
    print(json.dumps([time.perf_counter() - began, size]), flush=True)
"""


class Loop(Thread):
    """What the loop does to the telemetry, and how long it was kept from it."""

    def __init__(self, telemetry: Telemetry) -> None:
        super().__init__(daemon=True)
        self._telemetry = telemetry
        self.stopping = Event()
        self.longest = 0.0
        self.spent = 0.0

    def run(self) -> None:
        """Turn until stopped."""
        while not self.stopping.is_set():
            self._turn()
            time.sleep(0)  # a poll lets go of the interpreter
            self.spent = time.thread_time()

    def _turn(self) -> None:
        ends = before = time.perf_counter()
        ends += BUSY
        while before < ends:
            self._telemetry.turned()
            self._telemetry.record([EventsCounted("t", "ok", 1000)])
            now = time.perf_counter()
            self.longest = max(self.longest, now - before)
            before = now


def judged(features: list[str]) -> tuple[Judging, WindowScored]:
    """What every detector and the charts say of a window of numeric features, under the budget and a rule on psi."""
    rng = np.random.default_rng(0)
    reference = calibrated({name: rng.normal(size=5_000) for name in features}, WINDOW)
    judging = Judging(reference, WINDOW, (RULE,), plan=BudgetSpec(pane_ns=WINDOW))
    pipeline = Pipeline([SeriesSpec(BENCH, WindowSpec(WINDOW, WINDOW, 0), judging, RetrainPolicy(0, 1))], HOUR)
    refuse_uncharted(pipeline)
    columns = reference.encode({name: rng.normal(0.1, 1, 10_000) for name in features})
    batch = EventBatch(BENCH, "t", np.zeros(10_000, dtype=np.int64), *columns)
    pipeline.ingest(MicroBatch((batch,), {PARTITION: WINDOW}, assigned=frozenset({PARTITION})), 0)
    (scored,) = [fact for fact in pipeline.advance() if isinstance(fact, WindowScored)]
    return judging, scored


class Scene:
    """A board of some size behind a real server, a loop beside it, a client elsewhere."""

    def __init__(self, models: int, features: int) -> None:
        self.keys = [SeriesKey(f"model-{at:04d}", "1") for at in range(models)]
        self.features = [f"some_feature_{at:03d}" for at in range(features)]
        judging, scored = judged(self.features)
        rules = {rule.name: rule.severity.value for rule in judging.all_rules}
        about = "abcdef012345", 50_000, rules, WINDOW, judging.calibration
        board = Board({key: SeriesBoard(*about) for key in self.keys})
        board.expect(["t"], [], [(key, rule) for key in self.keys for rule in rules])
        self.telemetry = Telemetry(board, CLOCK.now)
        self.surface = surface(self.telemetry)
        self.server = Server("127.0.0.1", 0)
        self.server.serve(self.surface)
        self._client = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(self.server.address[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._scores, self._states = scored.scores, scored.states
        self._windows = 0

    def close_windows(self) -> None:
        """A window of every series closes."""
        self._windows += 1
        end = self._windows * WINDOW
        quality = tuple(FeatureQuality(name, 0.0123456789, 0.0, 0.0123456789) for name in self.features)
        for key in self.keys:
            closed = WindowClosed(key, end - WINDOW, end, 10_000, quality)
            self.telemetry.record([closed, WindowScored(key, end, self._scores, self._states)])

    def get(self, path: str = "/metrics") -> tuple[float, int]:
        """Ask over the socket: seconds and bytes."""
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        self._client.stdin.write(path + "\n")
        self._client.stdin.flush()
        seconds, size = json.loads(self._client.stdout.readline())
        return seconds, size

    def close(self) -> None:
        """End client and server."""
        self._client.kill()
        self._client.communicate()
        self.server.close()


def surface(telemetry: Telemetry) -> Surface:
    """As the daemon builds it."""
    status = DaemonStatus("1", CLOCK.now, lambda: None, lambda: False, dict, (), CLOCK.now())
    exposition = Exposition(telemetry.look, status, process_metrics())
    outbox = OutboxDesk(list, list, lambda _: None, dict, lambda _: None, lambda _: None, frozenset())  # all delivered
    return Surface(telemetry, exposition, lambda: None, Deciding(None, Inbox(), telemetry.look), outbox)


def measure(scene: Scene, rounds: int, before: Callable[[], None], path: str = "/metrics") -> dict[str, float]:
    """Ask `rounds` times beside a busy loop. Milliseconds, but for bytes."""
    found: dict[str, list[float]] = {name: [] for name in ("wall", "held", "stall", "quiet_stall")}
    loop = Loop(scene.telemetry)
    loop.start()
    size = 0
    for _ in range(rounds):
        before()
        time.sleep(0.02)
        loop.longest = 0.0
        time.sleep(found["wall"][-1] if found["wall"] else 0.05)  # as long as a scrape, without one
        found["quiet_stall"].append(loop.longest)
        loop.longest, process, own = 0.0, time.process_time(), loop.spent
        seconds, size = scene.get(path)
        found["held"].append(time.process_time() - process - (loop.spent - own))
        found["stall"].append(loop.longest)
        found["wall"].append(seconds)
    loop.stopping.set()
    loop.join()
    return summary(found) | {"bytes": size}


def summary(found: dict[str, list[float]]) -> dict[str, float]:
    """Medians and worst of seconds, as milliseconds."""
    ms = {name: sorted(value * 1e3 for value in values) for name, values in found.items()}
    return {
        "p50": statistics.median(ms["wall"]),
        "p99": ms["wall"][math.ceil(0.99 * len(ms["wall"])) - 1],
        "cpu": statistics.median(ms["held"]),
        "stall": statistics.median(ms["stall"]),
        "worst_stall": ms["stall"][-1],
        "quiet_stall": statistics.median(ms["quiet_stall"]),
    }


class Replay(Collector):
    """The same families for prometheus_client's own renderer."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def describe(self) -> list[Metric]:
        """Nothing at registration."""
        return []

    def collect(self) -> list[Metric]:
        """All of them."""
        return self._families


def beside(scene: Scene, rounds: int) -> dict[str, float]:
    """Our text and prometheus_client's for the same samples, in turn, alone in the process: CPU milliseconds."""
    text = scene.surface.answer("/metrics", "")[2].decode()
    registry = CollectorRegistry()
    registry.register(Replay(list(text_string_to_metric_families(text))))
    spent: dict[str, list[float]] = {"fresh": [], "kept": [], "theirs": []}
    for _ in range(rounds):
        scene.close_windows()
        for name, work in (
            ("fresh", lambda: scene.surface.answer("/metrics", "")),
            ("kept", lambda: scene.surface.answer("/metrics", "")),
            ("theirs", lambda: generate_latest(registry)),
        ):
            began = time.thread_time()
            work()
            spent[name].append((time.thread_time() - began) * 1e3)
    series = sum(not line.startswith("#") for line in text.splitlines())
    return {"series": series} | {name: statistics.median(values) for name, values in spent.items()}


def peak() -> float:
    """Most resident memory since the last call of `forget_peak`, MiB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def forget_peak() -> float:
    """Begin a new peak; what is resident now, MiB."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return peak()


def run(models: int, features: int, rounds: int) -> dict[str, Any]:
    """One size."""
    scene = Scene(models, features)
    scene.close_windows()
    resident = forget_peak()
    few = max(2, rounds // 4)
    scene.get()
    memory = peak() - resident
    found: dict[str, Any] = {"closed": measure(scene, rounds, scene.close_windows)}
    for name, path in ROUTES.items():
        found[name] = measure(scene, rounds if path == "/metrics" else few, lambda: None, path)
    found["peak_mib"] = memory
    if models * features <= COMPARED:
        found["text"] = beside(scene, few)
    scene.close()
    return found


def show(models: int, features: int, found: dict[str, Any]) -> None:
    """One size for people."""
    print(f"\nscrape: {models:,} models × {features} features; the first one took {found['peak_mib']:.0f} MiB")
    for name in ("closed", *ROUTES):
        one = found[name]
        print(
            f"  {name:8} p50 {one['p50']:6.1f} ms, p99 {one['p99']:6.1f}; CPU beside the loop {one['cpu']:6.1f} ms; "
            f"longest stall {one['stall']:5.1f} ms, {one['quiet_stall']:.1f} without; {one['bytes']:,} bytes"
        )
    if text := found.get("text"):
        print(
            f"  {text['series']:,} series, text alone: {text['fresh']:.1f} ms when all windows have closed, "
            f"{text['kept']:.1f} ms when none has; prometheus_client {text['theirs']:.1f} ms, "
            f"{text['theirs'] / text['fresh']:.1f} × and {text['theirs'] / text['kept']:.0f} ×"
        )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    configure_logging("info", "json")
    calm_collector()  # as the daemon does
    share_interpreter()
    figures = {}
    for name, (models, features) in SIZES.items():
        rounds = args.rounds if models * features < 1000 else max(2, args.rounds // 6)
        figures[name] = run(models, features, rounds)
        show(models, features, figures[name])
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

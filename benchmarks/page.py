"""The status page beside a busy loop, 100 models × 100 features: how long it takes, how long the loop stands still, beside /metrics.

As `scrape.py`: a real socket, a client in a process of its own, a thread that turns as the loop does. Before each request
every window has closed anew, so that nothing is ready.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.scrape import WINDOW, Scene, measure
from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import Evidence
from monitor.alerting.incidents import Standing
from monitor.alerting.rules import Severity
from monitor.facts import AlertSeen, FeaturesTracked, TrackPoint
from monitor.runtime.loop import calm_collector
from monitor.runtime.process import share_interpreter
from monitor.runtime.telemetry import configure_logging
from monitor.series.tracks import HOURS, KEPT_POINTS, WINDOWS
from monitor.stream.events import HOUR, Nanos

MODELS, FEATURES, INCIDENTS = 100, 100, 20


class PagedScene(Scene):
    """A board with full tracks and some open incidents."""

    def __init__(self, models: int, features: int) -> None:
        super().__init__(models, features)
        self._rng = np.random.default_rng(0)
        for key in self.keys:
            hours = tuple(self._point(number * HOUR, HOUR) for number in range(KEPT_POINTS[HOURS]))
            windows = tuple(self._point(-number * WINDOW, WINDOW) for number in range(KEPT_POINTS[WINDOWS], 0, -1))
            self.telemetry.record([FeaturesTracked(key, tuple(self.features), windows, hours)])
        evidence = tuple(
            Evidence(
                name, "drift", 2.0, 1.0, None, 10_000, "location+", WINDOW, 0.8, words="mean 41.2 → 47.9, up 0.8 σ"
            )
            for name in self.features[:10]
        )
        self.incidents = [
            AlertSeen(
                key,
                "drift",
                Severity.CRITICAL,
                AlertState.FIRING,
                WINDOW,
                1,
                evidence,
                about=Standing(WINDOW, (), (), evidence),
            )
            for key in self.keys[:INCIDENTS]
        ]
        self.telemetry.record(self.incidents)

    def _point(self, start: Nanos, length: Nanos) -> TrackPoint:
        near = self._rng.beta(1.2, 5, len(self.features)).astype("<f2")
        return TrackPoint(start, start + length, near.tobytes())

    def close_windows(self) -> None:
        """A window of every series closes."""
        super().close_windows()
        end = self._windows * WINDOW
        for key in self.keys:
            self.telemetry.record(
                [FeaturesTracked(key, tuple(self.features), (self._point(end - WINDOW, WINDOW),), ())]
            )

    @property
    def pages(self) -> dict[str, str]:
        """What is asked for, by its name."""
        model, version = self.keys[0].model, self.keys[0].version
        feature = {"model": model, "version": version, "name": self.features[0]}
        return {
            "first page": "/",
            "model": f"/model?{urlencode({'name': model, 'version': version})}",
            "feature": f"/feature?{urlencode(feature)}",
            "incident": f"/incident?id={self.incidents[0].incident}",
            "status": "/api/v1/status",
            "/metrics": "/metrics",
        }


def run(models: int, features: int, rounds: int) -> dict[str, Any]:
    """Every page, each request after windows have closed; the first page also when none has."""
    scene = PagedScene(models, features)
    scene.close_windows()
    scene.get("/")
    found = {name: measure(scene, rounds, scene.close_windows, path) for name, path in scene.pages.items()}
    found["first page, kept"] = measure(scene, rounds, lambda: None, "/")
    scene.close()
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    configure_logging("error", "json")
    calm_collector()  # as the daemon does
    share_interpreter()
    figures = run(MODELS, FEATURES, args.rounds)
    print(f"page: {MODELS} models × {FEATURES} features, {INCIDENTS} incidents open")
    for name, one in figures.items():
        print(
            f"  {name:16} p50 {one['p50']:6.1f} ms, p99 {one['p99']:6.1f}; CPU beside the loop {one['cpu']:6.1f} ms; "
            f"longest stall {one['stall']:5.1f} ms, {one['quiet_stall']:.1f} without; {one['bytes']:,} bytes"
        )
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

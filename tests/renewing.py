"""A whole daemon over lists whose model gets new versions: references in files, events by version, a clock set by hand."""

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import yaml

from detectors import Reference
from monitor.app import Daemon
from monitor.configuration import load
from monitor.settings import load_settings
from monitor.stream.events import SECOND, Partition
from tests.fakes import NOON, ListSource, ManualClock

TOKEN = "correct-horse-battery"
P0 = Partition("predictions", 0)
WINDOW = 10  # seconds
ROWS = 50  # a window
WINDOWS = 80  # of a reference
MODEL: dict[str, Any] = {
    "name": "churn",
    "version": "3",
    "reference": "churn-3.json",
    "window": "10s",
    "lateness": "0s",
    "min_rows": 10,
}


def table(count: int, seed: int, shift: float = 0.0, score: float = 0.3) -> dict[str, np.ndarray]:
    """Rows of an input, and of a score about so much."""
    rng = np.random.default_rng(seed)
    return {"age": rng.normal(shift, 1.0, count), "score": np.clip(rng.normal(score, 0.05, count), 0, 1)}


def fitted(seed: int, score: float = 0.3, **changes: Any) -> Reference:
    """A calibrated reference of eighty windows."""
    rows = table(ROWS * WINDOWS, seed, **changes, score=score)
    times = NOON - 10**6 * SECOND + np.arange(ROWS * WINDOWS) * (WINDOW * SECOND // ROWS)
    return Reference.fit(rows, prediction="score", timestamps=times, window_ns=WINDOW * SECOND)


def with_prediction_of(inputs: Reference, score: float, seed: int) -> Reference:
    """The same inputs, and predictions of another model."""
    other = fitted(seed, score).to_dict()
    document = inputs.to_dict()
    for part in ("features",):
        document[part] = [
            next(each for each in other[part] if each["name"] == entry["name"])
            if entry["name"] == "__prediction__"
            else entry
            for entry in document[part]
        ]
    learnt, others = document["calibration"]["features"], other["calibration"]["features"]
    learnt["__prediction__"] = others["__prediction__"]
    document.pop("hash", None)
    return Reference.from_dict(document)


def events(version: str, first: float, windows: int, seed: int, **changes: Any) -> list[bytes]:
    """So many windows' events of a version, from so many seconds after noon on."""
    rows = table(ROWS * windows, seed, **changes)
    return [
        json.dumps(
            {
                "ts": (NOON + round((first + at * WINDOW / ROWS) * SECOND)) // 10**6,
                "model": "churn",
                "version": version,
                "features": {"age": float(age)},
                "prediction": float(score),
            }
        ).encode()
        for at, (age, score) in enumerate(zip(rows["age"], rows["score"], strict=True))
    ]


class RenewedScene:
    """A daemon over a directory, which may be started again. `pace`: seconds of its clock from one look to the next."""

    pace = 0.2

    def __init__(self, home: Path, new_versions: Mapping[str, Any], **more: Any) -> None:
        self.home = home
        self.clock = ManualClock(NOON + 3600 * SECOND)
        self.log: list[bytes] = []
        if not (home / "churn-3.json").exists():
            fitted(1).save(home / "churn-3.json")
        model = {**MODEL, **more.pop("model", {}), "new_versions": dict(new_versions)}
        settings = {
            "topics": [{"name": "predictions"}],
            "models": [model],
            "state": str(home / "state"),
            "http": {"port": 0, "token_env": "TOKEN"},
            "checkpoint_interval": "1s",
            **more,
        }
        (home / "driftd.yaml").write_text(yaml.safe_dump(settings))
        self.start()

    def start(self) -> None:
        configuration = load(load_settings(self.home / "driftd.yaml"), self.home, {"TOKEN": TOKEN})
        self.source = ListSource({P0: self.log})
        self.daemon = Daemon.start(configuration, clock=self.clock, source=self.source)
        self.thread = Thread(target=self.daemon.run)
        self.thread.start()
        self.eventually(lambda: self.daemon.ready() is None)

    def stop(self) -> None:
        self.daemon.stopping.set()
        self.thread.join(20)
        assert not self.thread.is_alive()

    def eventually(self, what: Any, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert self.thread.is_alive(), "the daemon has ended"
            assert time.monotonic() < deadline
            self.clock.advance(self.pace)
            time.sleep(0.02)

    def feed(self, lines: list[bytes]) -> None:
        """More events come, and are read."""
        self.log += lines
        self.source.append(P0, lines)
        self.eventually(lambda: self.source.positions().get(P0, 0) >= len(self.log))
        self.eventually(self.is_judged)

    def is_judged(self) -> bool:
        """Whether event time has come as far as the last event lets it."""
        last = json.loads(self.log[-1])["ts"] * 10**6
        mark = self.daemon.telemetry.look(lambda board: board.watermark)
        return mark is not None and mark >= last - WINDOW * SECOND

    def ask(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> tuple[int, Any]:
        port = int(self.daemon.server.address[1])
        raw = None if body is None else json.dumps(body).encode()
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=15)) as connection:
            connection.request(method, path, raw, {"authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def announce(self, version: str, **more: Any) -> tuple[int, Any]:
        return self.ask("POST", "/api/v1/versions", {"model": "churn", "version": version, **more})

    def judged(self, version: str) -> str | None:
        """How a version is judged."""
        found = [each for each in self.ask("GET", "/api/v1/versions")[1] if each["version"] == version]
        return found[0]["judged"] if found else None

    def series(self, version: str) -> dict[str, Any] | None:
        """A series, as the page has it."""
        found = [each for each in self.ask("GET", "/api/v1/models")[1] if each["version"] == version]
        return found[0] if found else None

    def alerts(self, version: str) -> set[tuple[str, str, str]]:
        """The open alerts of a version: rule, kind, feature."""
        return {
            (each["rule"], each["kind"], entry["feature"])
            for each in self.ask("GET", "/api/v1/alerts")[1]
            if each["version"] == version and each["state"] == "firing"
            for entry in each["evidence"]
        }


@contextmanager
def renewing(home: Path, new_versions: Mapping[str, Any], **more: Any) -> Iterator[RenewedScene]:
    found = RenewedScene(home, new_versions, **more)
    try:
        yield found
    finally:
        found.stop()

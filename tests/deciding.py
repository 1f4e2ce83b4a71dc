"""A whole daemon over lists with one alert open, and those who ask it to decide."""

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from types import MappingProxyType
from typing import Any

import yaml

from detectors import Reference
from monitor.app import Daemon
from monitor.configuration import load
from monitor.settings import load_settings
from monitor.stream.events import SECOND, Partition
from tests.fakes import NOON, ListSource, ManualClock

TOKEN = "correct-horse-battery"
P0 = Partition("predictions", 0)
MODEL = {"name": "churn", "version": "3", "reference": "r.json", "window": "1m", "lateness": "0s", "min_rows": 1}
RULE = {"name": "high", "detector": "psi", "fire_above": 1.0, "clear_below": 0.5, "severity": "critical"}
SILENCE = {"decision": "silence", "model": "churn", "for": "2h", "by": "ana", "reason": "release"}
ALERT = "churn/3/high"
TRAINER = {
    "name": "trainer",
    "type": "argo_workflows",
    "url": "http://127.0.0.1:9",
    "namespace": "n",
    "template": "t",
}  # is away


def events(count: int, first: int = 0, age: float = 500.0) -> list[bytes]:
    """One a second, from noon on."""
    return [
        json.dumps(
            {"ts": (NOON + at * SECOND) // 10**6, "model": "churn", "version": "3", "features": {"age": age}}
        ).encode()
        for at in range(first, first + count)
    ]


class Scene:
    """A daemon over a directory, and those who ask it."""

    def __init__(
        self, home: Path, token: str | None = TOKEN, more: Mapping[str, Any] = MappingProxyType({}), **http: Any
    ) -> None:
        self.home = home
        self.clock = ManualClock(NOON + 3600 * SECOND)
        self.source = ListSource({P0: events(130)})
        keys = {"token_env": "TOKEN"} if token else {}
        Reference.fit({"age": [float(n) for n in range(100)], "plan": ["pro", "free"] * 50}).save(home / "r.json")
        settings = {
            "topics": [{"name": "predictions"}],
            "models": [MODEL],
            "alerting": {"rules": [RULE], "false_alarms_per_month": None},
            "state": str(home / "state"),
            "http": {"port": 0, **keys, **http},
            **more,
        }
        (home / "driftd.yaml").write_text(yaml.safe_dump(settings))
        configuration = load(load_settings(home / "driftd.yaml"), home, {"TOKEN": f" {token}\n"})
        self.daemon = Daemon.start(configuration, clock=self.clock, source=self.source)
        self.thread = Thread(target=self.daemon.run)
        self.thread.start()
        self.eventually(lambda: self.daemon.ready() is None and bool(self.get("/api/v1/alerts")))

    def eventually(self, what: Any) -> None:
        deadline = time.monotonic() + 10
        while not what():
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def close(self) -> None:
        self.daemon.stopping.set()
        self.thread.join(10)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        port = int(self.daemon.server.address[1])
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=15)) as connection:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read()), answer.headers

    def get(self, path: str) -> Any:
        return self.ask("GET", path)[1]

    def post(self, body: Any, token: str = TOKEN) -> tuple[int, Any]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", "/api/v1/decisions", raw, {"authorization": f"Bearer {token}"})[:2]

    def decide(self, **changes: Any) -> tuple[int, Any]:
        return self.post({**SILENCE, **changes})

    def counted(self, kind: str) -> int:
        counters = self.daemon.telemetry.look(lambda board: board.counters["driftd_decisions_total"].copy())
        return counters["churn", kind]


@contextmanager
def running(home: Path, token: str | None = TOKEN, **http: Any) -> Iterator[Scene]:
    found = Scene(home, token, **http)
    try:
        yield found
    finally:
        found.close()

"""`driftd run` as a child process, and what it can be asked."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import yaml

from tests.parts import threads
from tests.parts.child import Child
from tests.parts.ports import free_ports

ROOT = Path(__file__).parents[2]
DAEMONS: list["Driftd"] = []  # of the test that runs: what a failed one has left is ended


class Driftd:
    """One daemon over one directory: start it, kill it, start it again."""

    def __init__(self, home: Path, config: dict[str, Any], *, log: str = "info") -> None:
        self.home = home
        (self.port,) = free_ports(1)
        self.config = home / "driftd.yaml"
        settings = {
            "state": "state",
            "log": {"level": log},
            **config,
            "http": {**config.get("http", {}), "port": self.port},
        }
        self.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        self.log = home / "driftd.log"
        self.wrapper: list[str] = []  # what starts it, as with a limit
        self.module = "monitor"
        self._child: Child | None = None
        DAEMONS.append(self)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    def start(self, *, ready: bool = True, environment: Mapping[str, str] | None = None) -> None:
        driftd = [sys.executable, "-m", self.module, "run", "--config", self.config, *threads.option()]
        command = [*self.wrapper, *driftd]
        self._child = Child("driftd", command, log=self.log, environment=environment)
        if ready:
            self._child.wait_until(lambda: self.status("/readyz") == 200, seconds=60)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self._child is not None
        self._child.stop(seconds=30)
        return self._child.returncode

    def kill(self) -> None:
        assert self._child is not None
        self._child.kill()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        assert self._child is not None
        self._child.pause()

    def resume(self) -> None:
        assert self._child is not None
        self._child.resume()

    def wait(self, seconds: float = 60) -> int:
        """The exit code of a daemon that ends by itself."""
        assert self._child is not None
        deadline = time.monotonic() + seconds
        while self._child.running:
            assert time.monotonic() < deadline, self._child.tail()
            time.sleep(0.05)
        return self._child.returncode

    def status(self, path: str) -> int | None:
        """The status of a route; None while nobody answers."""
        try:
            with urlopen(self.url + path, timeout=5) as answer:
                return answer.status
        except HTTPError as error:
            return error.code
        except (URLError, OSError):
            return None

    def get(self, path: str) -> Any:
        with urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def text(self, path: str) -> str:
        with urlopen(self.url + path, timeout=10) as answer:
            return answer.read().decode()

    def wait_for(self, what: Callable[[], bool], *, seconds: float = 60) -> None:
        """Wait until something holds, while the daemon runs."""
        assert self._child is not None

        def holds() -> bool:
            try:
                return what()
            except (URLError, OSError):
                return False

        self._child.wait_until(holds, seconds=seconds)

    def wait_told(self) -> None:
        """Wait until what was decided before this call is saved, and all of it is delivered.

        A window is shown before the checkpoint that holds its notices: only two more of those are sure to be later.
        """
        count = "driftd_checkpoint_duration_seconds_count"
        enough = self.metric(count) + 2
        self.wait_for(lambda: self.metric(count) >= enough)
        self.wait_for(lambda: self.metric("driftd_outbox_pending") == 0)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of a metric that carry these labels."""
        from prometheus_client.parser import text_string_to_metric_families

        return sum(
            sample.value
            for family in text_string_to_metric_families(self.text("/metrics"))
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = self.log.read_text(encoding="utf-8").splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if line["event"] == event]

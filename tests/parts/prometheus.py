"""Real Prometheus and Alertmanager servers on loopback, with promtool and amtool."""

import contextlib
import http.client
import json
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.parts.child import Child
from tests.parts.missing import MissingPart
from tests.parts.ports import free_ports

START_SECONDS = 30
TOOL_SECONDS = 60


class Prometheus:
    """A server that scrapes one target each second, first after five. `scrape` adds to its scrape config: authorization, scheme, …"""

    def __init__(
        self,
        directory: Path,
        target: str,
        *,
        rule_files: Sequence[Path] = (),
        alertmanager: str | None = None,
        scrape: Mapping[str, Any] | None = None,
    ) -> None:
        program = _program("prometheus")
        config = directory / "prometheus.yml"
        config.write_text(json.dumps(_prometheus_config(target, rule_files, alertmanager, scrape or {}), indent=2))
        self.address = _free_address()
        flags: dict[str, str | Path] = {
            "config.file": config,
            "storage.tsdb.path": directory / "data",
            "web.listen-address": self.address,
            "log.level": "warn",
        }
        self._server = _started("Prometheus", program, flags, self.address, log=directory / "prometheus.log")

    def query(self, promql: str) -> list[dict[str, Any]]:
        """The instant vector: one {metric, value: [time, text]} a series."""
        result: list[dict[str, Any]] = self._data("/api/v1/query", query=promql)["result"]
        return result

    def wait_for(self, promql: str, *, seconds: float = 60) -> list[dict[str, Any]]:
        """The first answer that is not empty."""
        deadline = time.monotonic() + seconds
        while not (series := self.query(promql)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no series for {promql!r} within {seconds} s; targets: {self.targets()}")
            time.sleep(0.1)
        return series

    def targets(self) -> list[dict[str, Any]]:
        """Active targets, with health and lastError."""
        active: list[dict[str, Any]] = self._data("/api/v1/targets")["activeTargets"]
        return active

    def rules(self) -> list[dict[str, Any]]:
        """Rules of all groups, with state and alerts."""
        return [rule for group in self._data("/api/v1/rules")["groups"] for rule in group["rules"]]

    def stop(self) -> None:
        self._server.stop()

    def _data(self, path: str, **query: str) -> Any:
        answer = _get_json(self.address, path, **query)
        assert answer["status"] == "success", answer
        return answer["data"]


class Alertmanager:
    """A server with the given config file, in no cluster unless it is given an address to gossip at, and peers."""

    def __init__(self, directory: Path, config: Path, *, gossip: str = "", peers: Sequence[str] = ()) -> None:
        program = _program("prometheus-alertmanager", "alertmanager")
        self.address = _free_address()
        flags: dict[str, str | Path] = {
            "config.file": config,
            "storage.path": directory / "data",
            "web.listen-address": self.address,
            "cluster.listen-address": gossip,
            "log.level": "warn",
        }
        if gossip:
            flags |= {"cluster.peer-timeout": "2s", "cluster.gossip-interval": "100ms", "cluster.settle-timeout": "5s"}
        self._start = lambda: _started(
            "Alertmanager",
            program,
            flags,
            self.address,
            log=directory / "alertmanager.log",
            more=[f"--cluster.peer={peer}" for peer in peers],
        )
        self._server = self._start()

    def alerts(self) -> list[dict[str, Any]]:
        """Alerts it holds, with labels, annotations and status."""
        alerts: list[dict[str, Any]] = _get_json(self.address, "/api/v2/alerts")
        return alerts

    def peers(self) -> int:
        """How many members its cluster has, itself among them."""
        return len(_get_json(self.address, "/api/v2/status")["cluster"].get("peers", []))

    def stop(self) -> None:
        self._server.stop()

    def kill(self) -> None:
        self._server.kill()

    def restart(self) -> None:
        """Start again, at the same address, over the same directory."""
        self._server = self._start()


def promtool(*arguments: str | Path, input: str | None = None) -> subprocess.CompletedProcess[str]:  # noqa: A002  as in subprocess.run
    """Runs to its end; the exit status is the caller's to judge."""
    return _run(_program("promtool"), arguments, text=input)


def amtool(*arguments: str | Path, input: str | None = None) -> subprocess.CompletedProcess[str]:  # noqa: A002  as in subprocess.run
    """Runs to its end; the exit status is the caller's to judge."""
    return _run(_program("amtool"), arguments, text=input)


def _run(program: str, arguments: Sequence[str | Path], *, text: str | None) -> subprocess.CompletedProcess[str]:
    command = [program, *arguments]
    return subprocess.run(command, input=text or "", capture_output=True, text=True, timeout=TOOL_SECONDS, check=False)


def _program(*names: str) -> str:
    for name in names:
        if shutil.which(name):
            return name
    package = "prometheus-alertmanager" if names[0] in {"prometheus-alertmanager", "amtool"} else "prometheus"
    raise MissingPart(f"{names[0]} is not here", f"apt-get install {package}")


def _prometheus_config(
    target: str, rule_files: Sequence[Path], alertmanager: str | None, scrape: Mapping[str, Any]
) -> dict[str, Any]:
    """As JSON, which YAML contains."""
    receivers = [{"static_configs": [{"targets": [alertmanager]}]}] if alertmanager else []
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in rule_files],
        "alerting": {"alertmanagers": receivers},
        "scrape_configs": [{"job_name": "driftd", "static_configs": [{"targets": [target]}], **scrape}],
    }


def _free_address() -> str:
    return f"127.0.0.1:{free_ports(1)[0]}"


def _started(
    name: str,
    program: str,
    flags: Mapping[str, str | Path],
    address: str,
    *,
    log: Path,
    more: Sequence[str] = (),
) -> Child:
    server = Child(name, [program, *(f"--{flag}={value}" for flag, value in flags.items()), *more], log=log)
    try:
        server.wait_until(lambda: _is_ready(address), seconds=START_SECONDS)
    except BaseException:
        server.kill()
        raise
    return server


def _is_ready(address: str) -> bool:
    try:
        return _get(address, "/-/ready")[0] == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


def _get_json(address: str, path: str, **query: str) -> Any:
    return json.loads(_get(address, f"{path}?{urlencode(query)}")[1])


def _get(address: str, path: str) -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection(address, timeout=5)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()

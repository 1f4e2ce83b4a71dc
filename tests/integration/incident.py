"""A day with one incident, through the real program: every target at once, receivers that lose answers and are away, kill -9 at any time."""

import base64
import json
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from monitor.clock import SystemClock
from tests.apis.airflow import Airflow
from tests.apis.argo import Argo
from tests.apis.dagster import Dagster
from tests.apis.github import Github
from tests.apis.kubeflow import Kubeflow
from tests.apis.mlflow import Mlflow
from tests.apis.pagers import Alertmanager, ById, Lineage, Opsgenie, PagerDuty, PagingService
from tests.apis.prefect import Prefect
from tests.apis.sagemaker import SageMaker
from tests.apis.service import CANARY
from tests.apis.vertex import Vertex
from tests.integration.daemon import Driftd
from tests.parts.smtp import MailServer

TOPIC, PARTITIONS = "predictions", 3
BEGIN = 1_763_856_000  # event time of the first event, seconds: a midnight
MINUTE, HOUR = 60, 3600
WINDOW, ROWS = 10 * MINUTE, 240  # of a window
QUIET, INCIDENT, AFTER = 3, 24, 14  # hours before, with and after
HOURS = QUIET + INCIDENT + AFTER
GROWS = QUIET + 10  # the hour in which a second feature joins
FLAPPING = "BDBBDCDBBB"  # windows that breach, lie between, are clear
SHIFTS = {"B": 1.2, "D": 0.5, "C": 0.0}  # of `income`, in standard deviations
JOINED = 1.5  # of `age`: heard at once, and within what was ever seen of it
REFERENCE_WINDOWS = 300
SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
TRAINERS: dict[str, Callable[[], Any]] = {
    "airflow": Airflow,
    "argo_workflows": Argo,
    "dagster": Dagster,
    "github": Github,
    "kubeflow": Kubeflow,
    "mlflow": Mlflow,
    "prefect": Prefect,
    "sagemaker": SageMaker,
    "vertex": Vertex,
}


def fitted(seed: int) -> Reference:
    """Two numbers, calibrated on windows as long as those that are judged."""
    rng, count = np.random.default_rng(seed), REFERENCE_WINDOWS * ROWS
    times = (BEGIN - REFERENCE_WINDOWS * WINDOW) * 10**9 + np.arange(count) * (WINDOW * 10**9 // ROWS)
    columns = {"income": rng.normal(size=count), "age": rng.normal(size=count)}
    return Reference.fit(columns, timestamps=times, window_ns=WINDOW * 10**9)


# --- events -----------------------------------------------------------------------------------------------------------


def shifts(second: int) -> tuple[float, float]:
    """How far the two features are from the reference, at a second of the day."""
    hour = second / HOUR
    if not QUIET <= hour < QUIET + INCIDENT:
        return 0.0, 0.0
    letter = FLAPPING[second // WINDOW % len(FLAPPING)]
    return SHIFTS[letter], JOINED if hour >= GROWS else 0.0


class Traffic:
    """Events of a model, out of order within the lateness."""

    def __init__(self, bootstrap: str, chance: random.Random) -> None:
        from confluent_kafka import Producer

        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "log_level": 0})
        self._chance = chance

    def window(self, number: int) -> None:
        """The events of one window."""
        for at in range(ROWS):
            second = number * WINDOW + at * WINDOW // ROWS
            first, other = shifts(second)
            late_by = self._chance.randrange(1000)
            event = {
                "ts": (BEGIN + second) * 1000 + 1000 - late_by,
                "model": "churn",
                "version": "3",
                "features": {"income": self._chance.gauss(first, 1.0), "age": self._chance.gauss(other, 1.0)},
            }
            self._producer.produce(TOPIC, json.dumps(event), partition=self._chance.randrange(PARTITIONS))
        assert self._producer.flush(30) == 0


# --- receivers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Receivers:
    """All who are told, on loopback."""

    trainers: Mapping[str, Any]
    pagers: Mapping[str, PagingService]
    mail: MailServer

    @property
    def names(self) -> list[str]:
        return [*self.trainers, *self.pagers, "email"]

    def away(self, name: str, *, away: bool) -> None:
        """A receiver goes, or is back."""
        if name == "email":
            self.mail.orders.codes = {"MAIL": [421] * 999} if away else {}
        else:
            (self.trainers.get(name) or self.pagers[name]).away = away

    def close(self) -> None:
        for each in (*self.trainers.values(), *self.pagers.values(), self.mail):
            each.close()


def receivers(alertmanagers: int) -> Receivers:
    """Each loses its first answer to each thing it is told."""
    trainers = {name: make() for name, make in TRAINERS.items()}
    for each in trainers.values():
        each.lose = 1
    mail = MailServer()
    mail.orders.hang_up_after_data = 1
    pagers: dict[str, PagingService] = {
        "pagerduty": PagerDuty(),
        "opsgenie": Opsgenie(),
        "slack": PagingService(200),
        "teams": PagingService(202),
        "webhook": ById("webhook-id"),
        "argo_events": ById("ce-id"),
        "openlineage": Lineage(),
    }
    pagers |= {f"alertmanager-{number}": Alertmanager(SystemClock()) for number in range(alertmanagers)}
    return Receivers(trainers, pagers, mail)


def targets(found: Receivers) -> list[dict[str, Any]]:
    """A target for each receiver, as an operator writes it; the pair of Alertmanagers is one."""
    root = {name: each.url.removesuffix("/hook") for name, each in found.pagers.items()}
    peers = [url for name, url in root.items() if name.startswith("alertmanager")]
    mail = {"host": "127.0.0.1", "port": found.mail.port, "security": "none"}
    return [
        *({"name": name, **each.entry()} for name, each in found.trainers.items()),
        {"name": "pagerduty", "type": "pagerduty", "url": root["pagerduty"], "routing_key_env": "PAGERDUTY"},
        {"name": "opsgenie", "type": "opsgenie", "url": root["opsgenie"], "api_key_env": "TOKEN"},
        {"name": "slack", "type": "slack", "url_env": "SLACK"},
        {"name": "teams", "type": "teams", "url_env": "TEAMS"},
        {"name": "webhook", "type": "webhook", "url": found.pagers["webhook"].url, "secret_env": "WEBHOOK"},
        {"name": "argo_events", "type": "argo_events", "url": found.pagers["argo_events"].url, "token_env": "TOKEN"},
        {
            "name": "openlineage",
            "type": "openlineage",
            "url": root["openlineage"],
            "dataset_namespace": "kafka://broker:9092",
        },
        {"name": "alertmanager", "type": "alertmanager", "urls": peers, "interval": "20s"},
        {"name": "email", "type": "email", **mail, "from": "driftd@drift.test", "to": ["oncall@ops.test"]},
    ]


def let_in(found: Receivers, home: Path, private_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the targets' settings name by environment, and a service account's file."""
    (home / "account.json").write_text(found.trainers["vertex"].account(private_key), encoding="utf-8")
    named = {
        "TOKEN": CANARY,
        "PASSWORD": CANARY,
        "PAGERDUTY": "0" * 32,
        "SLACK": found.pagers["slack"].url,
        "TEAMS": found.pagers["teams"].url,
        "WEBHOOK": SECRET,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": CANARY,
        "AWS_CONFIG_FILE": "/nowhere",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    }
    for name, value in named.items():
        monkeypatch.setenv(name, value)


def config(bootstrap: str, told: list[dict[str, Any]]) -> dict[str, Any]:
    """The budget with its charts, and a rule beside it; no cooldown and no weekly maximum, which could hide a second request."""
    model = {"name": "churn", "version": "3", "reference": "churn.json", "window": "10m", "lateness": "30s"}
    rule = {"name": "psi-high", "detector": "psi", "fire_above": 0.25, "clear_below": 0.15, "for": 2}
    return {
        "kafka": {"bootstrap_servers": bootstrap, "start_from": "earliest"},
        "topics": [{"name": TOPIC}],
        "models": [model | {"min_rows": 100}],
        "alerting": {
            "false_alarms_per_month": 0.001,
            "rules": [rule | {"keep_firing_for": 6, "severity": "info"}],
        },
        "retraining": {"cooldown": "0s", "max_per_week": 1000, "severity": "warning", "on": "drift"},
        "targets": told,
        "checkpoint_interval": "100ms",
        "idle_after": "60s",
    }


# --- a day ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """When what happens, in windows of the day: kills, and from when to when who is away."""

    kills: frozenset[int]
    away: Mapping[str, range]


def play(daemon: Driftd, traffic: Traffic, found: Receivers, plan: Plan, chance: random.Random, pace: float) -> None:
    """A day, a window each `pace` seconds at least. A kill may come while it starts, reads, saves or delivers."""
    daemon.start()
    for number in range(HOURS * HOUR // WINDOW):
        for name, gone in plan.away.items():
            if number in (gone.start, gone.stop):
                found.away(name, away=number in gone)
        traffic.window(number)
        time.sleep(chance.uniform(0.5, 1.5) * pace)
        if number in plan.kills:
            assert daemon.running, daemon.log.read_text(encoding="utf-8")[-2000:]
            daemon.kill()
            daemon.start(ready=chance.random() < 0.7)  # some die while they start
    daemon.wait_for(lambda: daemon.status("/readyz") == 200)


def drawn(chance: random.Random, names: list[str], kills: int) -> Plan:
    """Kills, and for each receiver an hour away: as the incident opens, grows or ends, and at any other time."""
    turns = [QUIET * HOUR // WINDOW, GROWS * HOUR // WINDOW, (QUIET + INCIDENT) * HOUR // WINDOW]
    last = HOURS * HOUR // WINDOW - 1

    def near_a_turn() -> int:
        return chance.choice([*turns, chance.randrange(last)])

    times = {min(turn + chance.randrange(8), last) for turn in turns}
    while len(times) < kills:
        times.add(min(near_a_turn() + chance.randrange(8), last))
    begins = {name: near_a_turn() for name in names}
    return Plan(frozenset(times), {name: range(at, min(at + HOUR // WINDOW, last)) for name, at in begins.items()})

"""A real Prometheus scrapes a running driftd: every query of every dashboard and rule has something to show."""

import base64
import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import yaml

from detectors import Reference
from detectors.reference.service import ServedColumns
from grafana.queries import metrics, queries
from monitor.runtime.metrics import METRICS
from monitor.stream.events import SECOND
from tests.integration.daemon import ROOT, Driftd
from tests.parts.prometheus import promtool

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker
    from tests.parts.prometheus import Prometheus

TOPIC = "predictions"
RULES = ROOT / "deploy" / "prometheus" / "rules" / "driftd.yml"
WHERE_WRONG = {  # absent where every leader answers, every message can be read, no detector fails, and nothing is kept that is rejected
    "driftd_dead_letters_blocked",
    "driftd_detector_failures_total",
    "driftd_partition_unreachable_since_timestamp_seconds",
    "driftd_records_waiting",
    "driftd_replica_counts_missing",  # of a replica
    "driftd_replica_quarantined_total",
}
PAGES = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))


class Traffic(Thread):
    """Two models, live event times; the first has drifted; some events are bad."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__(daemon=True)
        self._servers = bootstrap
        self.stopping = Event()

    def run(self) -> None:
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self._servers, "linger.ms": 5, "log_level": 0})
        rng = np.random.default_rng(1)
        while not self.stopping.wait(0.05):
            for model, shift in (("churn", 1.5), ("fraud", 0.0)):
                for value in rng.normal(shift, 1, 20):
                    more = {"label": int(rng.integers(0, 2)), "id": str(rng.integers(2**60))}
                    more |= {"took": float(rng.gamma(4, 10)), "failed": bool(rng.random() < 0.1)}
                    producer.produce(TOPIC, event(model, float(value), str(rng.choice(["a", "b"])), **more))
            for version in ("1", "2"):
                for value in rng.normal(0, 1, 20):
                    more = {"label": int(rng.random() < 0.5), "id": str(rng.integers(2**60)), "version": version}
                    more |= {"prediction": float(rng.beta(5, 5))}  # what stands still is judged by nobody
                    producer.produce(TOPIC, event("offer", float(value), str(rng.choice(["a", "b"])), **more))
            producer.produce(TOPIC, b"{not json")
            producer.produce(TOPIC, event("churn", "1.5", "a"))
            producer.produce(TOPIC, event("nobody's", 1.0, "a"))
            producer.poll(0)
        producer.flush(5)


def event(model: str, value: Any, plan: str, **more: Any) -> bytes:
    features = {"x": value, "plan": plan}
    stamp = time.time_ns() // 1_000_000
    about = {"id": str(stamp), "ts": stamp, "model": model, "version": "1"} | more
    return msgspec.json.encode({"prediction": 0.5} | about | {"features": features})


def settings(home: Path, bootstrap: str) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    columns = {"x": rng.normal(size=5000), "plan": rng.choice(["a", "b"], 5000), "p": rng.normal(0.5, 0.1, 5000)}
    Reference.fit(columns, prediction="p").save(home / "cold.json")
    times = np.arange(5000) // 50 * SECOND
    requests = {"took": rng.gamma(4, 10, 5000), "failed": rng.random(5000) < 0.1}
    served = ServedColumns("took", 1e-3, "failed")
    known = Reference.fit(columns | requests, prediction="p", timestamps=times, window_ns=SECOND, served=served)
    known.save(home / "m.json")
    (home / "secret").write_text("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(), encoding="utf-8")
    rule = {"name": "psi-high", "detector": "psi", "features": ["x"], "fire_above": 0.25, "clear_below": 0.1}
    return {
        "kafka": {"bootstrap_servers": bootstrap, "start_from": "earliest"},
        "topics": [{"name": TOPIC, "fields": {"label": "label", "latency": "took", "error": "failed"}}],
        "defaults": {"window": "1s", "lateness": "200ms", "min_rows": 50, "reference": "m.json", "version": "1"},
        "models": [
            {"name": "churn", "labels": {"wait": "2s"}},
            {"name": "fraud", "reference": "cold.json"},
            {"name": "offer", "labels": {"wait": "2s"}, "champion": True},
            {"name": "offer", "labels": {"wait": "2s"}, "version": "2"},
        ],
        "reports": {"folder": "reports"},
        "alerting": {"rules": [{**rule, "severity": "critical"}]},
        "webhooks": [{"name": "trainer", "url": "http://127.0.0.1:9/", "types": ["*"], "secret_file": "secret"}],
        "checkpoint_interval": "500ms",
        "idle_after": "1s",
    }


@pytest.mark.slow
def test_every_dashboard_and_rule_query_returns_data_and_the_metrics_are_clean(
    mock_broker: "MockBroker", tmp_path: Path, prometheus: "Callable[..., Prometheus]"
) -> None:
    mock_broker.create_topic(TOPIC, 1)
    daemon = Driftd(tmp_path, settings(tmp_path, mock_broker.bootstrap))
    daemon.start()
    traffic = Traffic(mock_broker.bootstrap)
    traffic.start()
    server = prometheus(f"127.0.0.1:{daemon.port}", rule_files=[RULES])
    daemon.wait_for(lambda: daemon.metric("driftd_alert_state", model="churn", rule="psi-high") == 2)
    server.wait_for("count_over_time(driftd_alert_state[1m]) > 8", seconds=60)
    server.wait_for("driftd_incident_open > 0", seconds=60)
    server.wait_for("driftd_performance", seconds=60)
    server.wait_for('driftd_version_difference{model="offer", version="2", bound="lower"}', seconds=60)
    server.wait_for("driftd_request_latency_usual_seconds", seconds=60)
    server.wait_for('ALERTS{alertname="DriftdDriftFiring", alertstate="firing", severity="critical"}', seconds=60)

    text = daemon.text("/metrics")
    shown = [(page.name, query) for page in PAGES for query in pairs(page)]
    empty = [(page, query) for page, query in shown if not server.query(query)]
    unknown = [name for name in rule_metrics() - WHERE_WRONG if not server.query(f"last_over_time({name}[5m])")]
    rules = server.rules()
    traffic.stopping.set()
    traffic.join()
    assert daemon.stop() == 0

    assert len(shown) > 50
    assert empty == []
    assert unknown == []
    assert all(f"# HELP {name} " in text for name in WHERE_WRONG)
    assert {rule["health"] for rule in rules} == {"ok"}
    checked = promtool("check", "metrics", input=text)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def pairs(page: Path) -> list[str]:
    return queries(json.loads(page.read_text(encoding="utf-8")), rate_interval="10s", time_range="1m", interval="1s")


def rule_metrics() -> set[str]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    found = {name for group in groups for rule in group["rules"] for name in metrics(rule["expr"])}
    assert {name for name in found if name.startswith("driftd_")} <= set(METRICS)
    return found


def test_promtool_takes_every_metric_by_its_name() -> None:
    """Those too that a quiet daemon does not show."""
    plain = {name: spec for name, spec in METRICS.items() if spec.kind in {"gauge", "counter"}}
    text = "".join(f"# HELP {name} {spec.help}\n# TYPE {name} {spec.kind}\n{name} 1\n" for name, spec in plain.items())
    checked = promtool("check", "metrics", input=text)

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")

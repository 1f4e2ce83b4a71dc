"""A detector from outside the tree: a package with an entry point, and nothing else, is scored, exported, and pages."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from confluent_kafka import Producer

from detectors import Reference
from tests.fakes import Receiver
from tests.integration.daemon import Driftd

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker

TOPIC = "predictions"
BEGIN = 1_763_870_700  # event time of the first event, seconds
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '''"""A detector of one's own."""

from dataclasses import dataclass

import numpy as np

from driftd import DetailMetric, ScoreColumns, WindowDetector


@dataclass(frozen=True)
class MedianShare(WindowDetector):
    """How far the share of rows above the reference's median is from a half, of every number."""

    name = "median_share"
    help = "|share above the median - 1/2|"
    metrics = {"above": DetailMetric("share_above_median", "Share of rows above the reference's median (median_share)")}

    def prepare(self, baseline):
        numeric = baseline.numeric
        names = tuple(feature.name for feature in numeric)
        halves = [int(np.searchsorted(np.cumsum(one.counts[: one.bins + 2]), one.count / 2)) + 1 for one in numeric]
        starts = baseline.layout.offsets[: len(numeric)].tolist()

        def score(window, min_rows=1):
            usable = window.usable[: len(names)]
            above = [
                window.counts[start + half : start + one.bins + 2].sum() for start, half, one in zip(starts, halves, numeric)
            ]
            shares = np.array(above) / np.maximum(usable, 1)
            return ScoreColumns(
                self.name, names, known=usable >= min_rows, rows=usable, values=np.abs(shares - 0.5), details={"above": shares}
            )

        return score
'''


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the package is installed, as pip would: a module and its metadata."""
    folder = tmp_path / "site"
    info = folder / "median_share-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "median_share.py").write_text(BODY, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: median-share\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[driftd.detectors]\nmedian_share = median_share:MedianShare\n", encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def daemon(tmp_path: Path, site: Path, receiver: Receiver, mock_broker: "MockBroker") -> Iterator[Driftd]:
    rng = np.random.default_rng(3)
    Reference.fit({"x": rng.normal(size=5000), "plan": rng.choice(["a", "b"], 5000)}).save(tmp_path / "m.json")
    (tmp_path / "secret").write_text(SECRET, encoding="utf-8")
    rule = {"name": "median", "detector": "median_share", "fire_above": 0.3, "severity": "critical"}
    found = Driftd(
        tmp_path,
        {
            "kafka": {"bootstrap_servers": mock_broker.bootstrap, "start_from": "earliest"},
            "topics": [{"name": TOPIC}],
            "models": [{"name": "m", "reference": "m.json", "window": "10s", "lateness": "0s"}],
            "alerting": {"false_alarms_per_month": None, "rules": [rule]},
            "webhooks": [
                {"name": "pager", "url": receiver.url, "types": ["model.alert.firing"], "secret_file": "secret"}
            ],
            "checkpoint_interval": "100ms",
        },
    )
    yield found
    if found.running:
        found.kill()


def test_a_detector_of_another_package_has_its_metric_and_its_page(
    daemon: Driftd, receiver: Receiver, mock_broker: "MockBroker"
) -> None:
    mock_broker.create_topic(TOPIC)
    daemon.start()
    rng = np.random.default_rng(5)
    producer = Producer({"bootstrap.servers": mock_broker.bootstrap, "log_level": 0})
    for number in range(700):
        features = {"x": rng.normal(3.0), "plan": "ab"[number % 2]}
        event = {"ts": BEGIN * 1000 + number * 50, "model": "m", "version": "1", "features": features}
        producer.produce(TOPIC, json.dumps(event), partition=0)
    assert producer.flush(10) == 0
    daemon.wait_for(lambda: bool(receiver.requests))

    page = json.loads(receiver.requests[0].body)
    assert (page["type"], page["data"]["alert"]["rule"]) == ("model.alert.firing", "median")
    assert [(item["feature"], item["detector"]) for item in page["data"]["evidence"]] == [("x", "median_share")]
    assert daemon.metric("driftd_drift_score", detector="median_share", feature="x") > 0.4
    assert daemon.metric("driftd_drift_threshold", detector="median_share", feature="x") == 0.3
    assert daemon.metric("driftd_drift_share_above_median", feature="x") > 0.9
    assert "# HELP driftd_drift_share_above_median Share of rows above the reference's median" in daemon.text(
        "/metrics"
    )

"""The README's walk, on a real Kafka: the drifted columns fire within two windows, the others never."""

import base64
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
import yaml

from monitor.commands.demo.receiver import Receiver
from tests.integration.daemon import ROOT, Driftd

if TYPE_CHECKING:
    from tests.parts.kafka import ApacheKafka

EXAMPLE = ROOT / "examples" / "car_loan"
DRIFTED = {"car_value", "loan_length", "salary_range", "repaid_loan_on_prev_car", "__prediction__"}
UNDRIFTED = {"debt_to_income_ratio", "driver_tenure", "size_of_downpayment", "y_pred"}
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes ok!").decode()
WEEK = timedelta(days=7)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(SECRET) as server:
        yield server
        server.shutdown()


def fit(home: Path) -> None:
    columns = "car_value,salary_range,debt_to_income_ratio,loan_length,repaid_loan_on_prev_car"
    command = [sys.executable, "-m", "monitor", "reference", "fit", "--input", EXAMPLE / "reference.parquet"]
    command += [
        "--output",
        home / "car_loan.reference.json",
        "--prediction",
        "y_pred_proba",
        "--timestamp",
        "timestamp",
    ]
    command += ["--columns", f"{columns},size_of_downpayment,driver_tenure,y_pred"]
    subprocess.run(command, check=True, capture_output=True)


def drift_time() -> datetime:
    stamps = pq.read_table(EXAMPLE / "analysis.parquet", columns=["timestamp"])["timestamp"]
    return datetime.fromisoformat(stamps[25_000].as_py()).replace(tzinfo=UTC)


@pytest.mark.slow
def test_drifted_columns_fire_within_two_windows_and_retraining_is_asked_for_once(
    apache_kafka: "ApacheKafka", tmp_path: Path, receiver: Receiver
) -> None:
    fit(tmp_path)
    (tmp_path / "webhook.secret").write_text(SECRET + "\n", encoding="utf-8")
    config = yaml.safe_load((EXAMPLE / "driftd.yaml").read_text(encoding="utf-8"))
    config["kafka"]["bootstrap_servers"] = apache_kafka.bootstrap
    config["webhooks"][0] |= {"url": receiver.url, "types": ["*"]}
    del config["log"]
    apache_kafka.create_topic("car-loan", 3)
    subprocess.run(
        [sys.executable, EXAMPLE / "produce.py", apache_kafka.bootstrap], check=True, capture_output=True, cwd=ROOT
    )
    daemon = Driftd(tmp_path, config)
    daemon.start()

    daemon.wait_for(lambda: daemon.metric("driftd_events_total", outcome="ok") == 50_000)
    daemon.wait_for(lambda: daemon.get("/api/v1/windows?limit=1")[0]["end"] >= "2019-08-22")
    daemon.wait_for(lambda: daemon.metric("driftd_outbox_pending") == 0)
    (alert,) = daemon.get("/api/v1/alerts")
    windows = daemon.get("/api/v1/windows?model=car-loan&limit=500")
    states = {one["feature"]: one["state"] for one in daemon.get("/api/v1/models")[0]["features"]}
    transitions = daemon.logged("alert.firing")
    assert daemon.stop() == 0

    drift_began = drift_time()
    assert alert["state"] == "firing"
    assert drift_began < datetime.fromisoformat(alert["since"]) <= drift_began + 2 * WEEK
    assert {one["feature"] for one in alert["evidence"]} == DRIFTED
    assert {name for name, state in states.items() if state == 2} == DRIFTED
    assert {name for name, state in states.items() if state == 0} >= UNDRIFTED
    assert len(transitions) == 1
    assert len(windows) >= 41
    assert all(1100 <= window["rows"] <= 1200 for window in windows)
    retrains = [one for one in receiver.deliveries() if one.type == "model.retrain.requested"]
    assert len(retrains) == 1
    assert all(one.verified for one in receiver.deliveries())
    assert {one["feature"] for one in retrains[0].data["evidence"]} == DRIFTED  # all of them by the window that fired
    assert datetime.fromisoformat(retrains[0].data["window"]["end"]) <= drift_began + 2 * WEEK

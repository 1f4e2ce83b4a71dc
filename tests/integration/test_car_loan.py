"""The walk of docs/set-up.md, on a real Kafka: the drifted columns fire within two windows, the others never."""

import base64
import subprocess
import sys
from bisect import bisect_left
from collections import Counter
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
WINDOW = timedelta(hours=12)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        "--window",
        "12h",
    ]
    command += ["--columns", f"{columns},size_of_downpayment,driver_tenure,y_pred"]
    subprocess.run(command, check=True, capture_output=True)


def stamps() -> list[datetime]:
    found = pq.read_table(EXAMPLE / "analysis.parquet", columns=["timestamp"])["timestamp"].to_pylist()
    return [datetime.fromisoformat(stamp).replace(tzinfo=UTC) for stamp in found]


def window_end(time: datetime) -> datetime:
    """The end of the window a time falls into."""
    return EPOCH + ((time - EPOCH) // WINDOW + 1) * WINDOW


def produce(bootstrap: str, rows: str) -> None:
    command = [sys.executable, EXAMPLE / "produce.py", bootstrap, "--rows", rows]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)


@pytest.mark.slow
def test_drifted_columns_fire_within_two_windows_and_retraining_is_asked_for_once(
    apache_kafka: "ApacheKafka", tmp_path: Path, receiver: Receiver
) -> None:
    fit(tmp_path)
    (tmp_path / "webhook.secret").write_text(SECRET + "\n", encoding="utf-8")
    (tmp_path / "token").write_text("the-token-of-the-walk\n", encoding="utf-8")
    config = yaml.safe_load((EXAMPLE / "driftd.yaml").read_text(encoding="utf-8"))
    config["kafka"]["bootstrap_servers"] = apache_kafka.bootstrap
    config["webhooks"][0] |= {"url": receiver.url, "types": ["*"]}
    del config["log"]
    times = stamps()
    second_end = window_end(times[25_000]) + WINDOW
    enough = bisect_left(times, second_end + timedelta(hours=1)) + 3  # one more row on each partition
    apache_kafka.create_topic("car-loan", 3)
    daemon = Driftd(tmp_path, config)
    daemon.start()

    produce(apache_kafka.bootstrap, f"0:{enough}")
    daemon.wait_for(lambda: newest_window(daemon) == second_end)
    after_two = {one["kind"]: one for one in daemon.get("/api/v1/alerts")}
    before_drift = daemon.get("/api/v1/windows?model=car-loan&limit=500")
    produce(apache_kafka.bootstrap, f"{enough}:50000")
    daemon.wait_for(lambda: newest_window(daemon) == window_end(times[-1]) - WINDOW)
    daemon.wait_for(lambda: daemon.metric("driftd_events_total", outcome="ok") >= 50_000)
    daemon.wait_told()
    ended = {one["kind"]: one for one in daemon.get("/api/v1/incidents")}
    windows = daemon.get("/api/v1/windows?model=car-loan&limit=500")
    states = {one["feature"]: one["state"] for one in daemon.get("/api/v1/models")[0]["features"]}
    assert daemon.metric("driftd_events_total", outcome="ok") == 50_000
    assert daemon.stop() == 0

    assert after_two.keys() == {"drift", "prediction"}
    assert {one["rule"] for one in after_two.values()} == {"drift"}
    assert after_two["drift"]["evidence"][0]["feature"] == "car_value"
    assert after_two["drift"]["evidence"][0]["words"].startswith("mean +0.7 σ")
    assert {one["feature"] for alert in after_two.values() for one in alert["evidence"]} <= DRIFTED
    told = [one for one in receiver.deliveries() if one.data.get("kind") in after_two]
    pages = [one.data for one in told if one.type == "model.alert.firing"]
    assert sorted(page["kind"] for page in pages) == ["drift", "prediction"]
    assert all(times[25_000] < datetime.fromisoformat(page["window"]["end"]) <= second_end for page in pages)
    assert len(before_drift) > 300  # none of those before the drift fired, for there was one page of each kind
    for kind, incident in ended.items():  # the new level has lasted: it is a second baseline
        since = datetime.fromisoformat(incident["since"])  # estimated: when the sums last left zero
        assert times[25_000] - 5 * WINDOW < since <= second_end
        assert incident["state"] == "settled"
        assert [one.type for one in told if one.data["kind"] == kind][-1] == "model.alert.settled"
    assert {one["feature"] for incident in ended.values() for one in incident["features"]} == DRIFTED
    assert {name for name, state in states.items() if state == 0} >= UNDRIFTED
    assert [window["rows"] for window in windows] == rows_by_window(times, len(windows))
    assert len([one for one in daemon.logged("alert.firing") if one["rule"] == "drift"]) == 2
    assert [one.type for one in receiver.deliveries()].count("model.retrain.requested") == 1
    assert all(one.verified for one in receiver.deliveries())
    assert all({item["feature"] for item in one.data["evidence"]} <= DRIFTED for one in told)


def newest_window(daemon: Driftd) -> datetime | None:
    found = daemon.get("/api/v1/windows?limit=1")
    return datetime.fromisoformat(found[0]["end"]) if found else None


def rows_by_window(times: list[datetime], windows: int) -> list[int]:
    """The truth, newest first; the last window of the data is still open."""
    counted = Counter(window_end(time) for time in times)
    return [counted[window_end(times[-1]) - WINDOW * back] for back in range(1, windows + 1)]

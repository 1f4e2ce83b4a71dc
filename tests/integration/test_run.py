"""`driftd run` as a process: how it starts, stops, waits, refuses, and goes on where it was."""

import base64
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, Signals
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest

from detectors import Reference
from monitor.commands.demo.receiver import Receiver
from monitor.commands.memory import BASE_BYTES, READING_BYTES
from monitor.commands.run import with_absolute_state
from monitor.commands.time_series import time_series
from monitor.configuration import load
from monitor.settings import load_settings
from monitor.store.sqlite import StateStore
from tests.integration.daemon import Driftd

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker

TOPIC = "predictions"
BEGIN = 1_763_870_700  # event time of the first event, seconds
CANARY = "canary7f3a9"
SECRET = "whsec_" + base64.b64encode(b"canary7f3a9-of-thirty-two-bytes!").decode()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    Reference.fit({"x": rng.normal(size=5000), "plan": rng.choice(["a", "b"], 5000)}).save(tmp_path / "m.json")
    return tmp_path


@pytest.fixture
def daemons() -> Iterator[list[Driftd]]:
    """What a test has started, ended with it."""
    started: list[Driftd] = []
    yield started
    for daemon in started:
        if daemon.running:
            daemon.kill()


def make(home: Path, daemons: list[Driftd], bootstrap: str, **changes: Any) -> Driftd:
    rule = {"name": "psi-high", "detector": "psi", "fire_above": 0.25, "severity": "critical"}
    config = {
        "kafka": {"bootstrap_servers": bootstrap, "start_from": "earliest"},
        "topics": [{"name": TOPIC}],
        "models": [{"name": "m", "reference": "m.json", "window": "10s", "lateness": "0s", "min_rows": 50}],
        "alerting": {"false_alarms_per_month": None, "rules": [rule]},
        "checkpoint_interval": "100ms",
    }
    daemon = Driftd(home, {**config, **changes}, log="info")
    daemons.append(daemon)
    return daemon


def produce(bootstrap: str, first: int, last: int, shift: float = 0.0, **extra: Any) -> None:
    """Twenty events a second of event time, from one second to another."""
    from confluent_kafka import Producer

    rng = np.random.default_rng(first)
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "log_level": 0})
    for number in range(first * 20, last * 20):
        features = {"x": rng.normal(shift), "plan": "ab"[number % 2], **extra}
        event = {"ts": BEGIN * 1000 + number * 50, "model": "m", "version": "1", "features": features}
        producer.produce(TOPIC, json.dumps(event), partition=0)
    assert producer.flush(10) == 0


def signalled(daemon: Driftd, signal: Signals) -> tuple[int, float]:
    """The exit code after a signal, and the seconds it took."""
    began = time.monotonic()
    os.kill(daemon.pid, signal)
    return daemon.wait(30), time.monotonic() - began


def last_line(daemon: Driftd) -> str:
    lines = daemon.log.read_text(encoding="utf-8").splitlines()
    assert "Traceback" not in "\n".join(lines)
    return next(line for line in reversed(lines) if line.startswith("driftd: ")).removeprefix("driftd: ")


def closed_windows(daemon: Driftd) -> int:
    return len(daemon.get("/api/v1/windows"))


# --- stopping ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def without_nohup() -> Iterator[None]:
    """What is started meanwhile hears SIGHUP, though the tests may be run under nohup."""
    before = signal.signal(SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(SIGHUP, before)


@pytest.mark.usefixtures("without_nohup")
@pytest.mark.parametrize("signal", [SIGTERM, SIGINT, SIGHUP])
def test_a_signal_drains_saves_and_ends_within_seconds(
    home: Path, daemons: list[Driftd], mock_broker: "MockBroker", signal: Signals
) -> None:
    mock_broker.create_topic(TOPIC)
    daemon = make(home, daemons, mock_broker.bootstrap, checkpoint_interval="1h")
    daemon.start()
    produce(mock_broker.bootstrap, 0, 45)
    daemon.wait_for(lambda: daemon.metric("driftd_events_total", outcome="ok") == 900)
    code, seconds = signalled(daemon, signal)

    assert code == 0
    assert seconds < 10
    daemon.start()
    daemon.wait_for(lambda: daemon.metric("driftd_consumer_lag") == 0)
    assert daemon.metric("driftd_events_total", outcome="ok") == 0  # nothing is read a second time
    assert daemon.stop() == 0


def test_a_decision_outlives_a_kill(home: Path, daemons: list[Driftd], mock_broker: "MockBroker") -> None:
    """The command has ended with 0: from then on nothing can undo it."""
    mock_broker.create_topic(TOPIC)
    (home / "token").write_text("correct-horse-battery\n")
    daemon = make(home, daemons, mock_broker.bootstrap, checkpoint_interval="1h", http={"token_file": "token"})
    daemon.start()
    words = ["silence", "m", "--for", "2h", "--by", "ana", "--reason", "release", "--config", str(daemon.config)]
    subprocess.run([sys.executable, "-m", "monitor", *words], check=True, timeout=60, capture_output=True)
    daemon.kill()
    daemon.start()

    (decision,) = daemon.get("/api/v1/decisions")
    assert (decision["decision"], decision["model"], decision["by"]) == ("silence", "m", "ana")
    assert daemon.metric("driftd_silenced", model="m") == 1
    assert [line["id"] for line in daemon.logged("decision.made")] in ([decision["id"]], [])  # made once


def test_a_signal_ends_it_while_the_broker_is_away(
    home: Path, daemons: list[Driftd], mock_broker: "MockBroker"
) -> None:
    mock_broker.create_topic(TOPIC)
    daemon = make(home, daemons, mock_broker.bootstrap)
    daemon.start()
    mock_broker.set_down()
    time.sleep(1)
    code, seconds = signalled(daemon, SIGTERM)

    assert code == 0
    assert seconds < 15


def test_a_signal_ends_it_while_it_waits_for_the_broker_to_start(home: Path, daemons: list[Driftd]) -> None:
    daemon = make(home, daemons, "127.0.0.1:1")
    daemon.start(ready=False)
    daemon.wait_for(lambda: daemon.status("/readyz") == 503)
    assert daemon.status("/healthz") == 200
    code, seconds = signalled(daemon, SIGTERM)

    assert code == 0
    assert seconds < 10


# --- refusing ---------------------------------------------------------------------------------------------------------


def ended(daemon: Driftd) -> tuple[int, str]:
    daemon.start(ready=False)
    return daemon.wait(30), last_line(daemon)


def listens(pid: int) -> bool:
    """Whether the process has a handler for SIGTERM: before that the interpreter itself is not there."""
    [caught] = re.findall(r"^SigCgt:\t(\w+)$", Path(f"/proc/{pid}/status").read_text(encoding="ascii"), re.MULTILINE)
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
@pytest.mark.parametrize("seconds", [0.0, 0.2, 0.5, 1.0])
def test_a_signal_while_it_loads_is_a_clean_stop(home: Path, daemons: list[Driftd], seconds: float) -> None:
    daemon = make(home, daemons, "127.0.0.1:1")
    daemon.start(ready=False)
    daemon.wait_for(lambda: listens(daemon.pid))
    time.sleep(seconds)

    assert daemon.stop() == 0


def test_where_reading_begins_is_saved_before_anything_is_read(
    home: Path, daemons: list[Driftd], mock_broker: "MockBroker"
) -> None:
    """Killed before its first interval: what came meanwhile is read by the next daemon, though it starts from latest."""
    mock_broker.create_topic(TOPIC, 1)
    kafka = {"bootstrap_servers": mock_broker.bootstrap, "start_from": "latest"}
    daemon = make(home, daemons, mock_broker.bootstrap, kafka=kafka, checkpoint_interval="1h")
    daemon.start()
    daemon.kill()
    produce(mock_broker.bootstrap, 0, 5)
    daemon.start()

    daemon.wait_for(lambda: daemon.metric("driftd_events_total", outcome="ok") == 100)


def test_a_damaged_record_in_a_state_without_a_backup_is_exit_3(
    home: Path, daemons: list[Driftd], mock_broker: "MockBroker"
) -> None:
    mock_broker.create_topic(TOPIC, 1)
    produce(mock_broker.bootstrap, 0, 15)
    daemon = make(home, daemons, mock_broker.bootstrap)
    daemon.start()
    daemon.wait_for(lambda: len(daemon.get("/api/v1/windows")) == 1)
    assert daemon.stop() == 0
    with closing(sqlite3.connect(home / "state" / "driftd.sqlite3")) as state, state:
        state.execute("UPDATE record SET payload = x'7b7d' WHERE kind = 'series'")
    for backup in (home / "state").glob("*.backup-*"):
        backup.unlink()
    before = daemon.log.stat().st_size
    daemon.start(ready=False)

    assert daemon.wait() == 3
    (said,) = [line for line in daemon.log.read_text(encoding="utf-8")[before:].splitlines() if line[0] != "{"]
    assert said.startswith("driftd: state: ")
    assert "move it away" in said


def test_a_silent_broker_at_start_is_exit_3(home: Path, daemons: list[Driftd]) -> None:
    code, said = ended(make(home, daemons, "", kafka={"bootstrap_servers": "127.0.0.1:1", "startup_timeout": "1s"}))

    assert code == 3
    assert said.startswith("kafka: no ")
    assert "127.0.0.1:1 " in said
    assert "Connection refused" in said


def test_a_port_that_is_taken_is_exit_3(home: Path, daemons: list[Driftd]) -> None:
    daemon = make(home, daemons, "127.0.0.1:1")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", daemon.port))
        listener.listen()

        assert ended(daemon) == (3, f"http: 127.0.0.1:{daemon.port} cannot be bound: Address already in use")


def test_a_state_in_use_by_another_is_exit_3(home: Path, daemons: list[Driftd], mock_broker: "MockBroker") -> None:
    mock_broker.create_topic(TOPIC)
    first = make(home, daemons, mock_broker.bootstrap)
    first.start()
    (home / "second").mkdir()
    second = make(home / "second", daemons, mock_broker.bootstrap, state=str(home / "state"))
    (home / "second" / "m.json").write_bytes((home / "m.json").read_bytes())

    assert ended(second) == (3, f"state: {home / 'state'} is in use by another driftd")
    assert first.stop() == 0


def test_a_state_that_cannot_be_used_is_exit_3(home: Path, daemons: list[Driftd]) -> None:
    code, said = ended(make(home, daemons, "127.0.0.1:1", state="m.json"))
    (home / "broken").mkdir()
    (home / "broken" / "driftd.sqlite3").write_bytes(b"this is no database, whatever its name says" * 100)
    broken_code, broken = ended(make(home, daemons, "127.0.0.1:1", state="broken"))

    assert (code, said) == (3, f"state: {home / 'm.json'} cannot be used: File exists")
    assert broken_code == 3
    assert broken.startswith(f"state: {home / 'broken' / 'driftd.sqlite3'} ")


def test_a_recovered_state_is_said_also_where_no_broker_answers(home: Path, daemons: list[Driftd]) -> None:
    """The next start finds it whole, and would not."""
    store = StateStore(home / "state")
    store.back_up()
    store.close()
    (home / "state" / "driftd.sqlite3").write_bytes(b"")
    daemon = make(home, daemons, "127.0.0.1:1", kafka={"bootstrap_servers": "127.0.0.1:1", "startup_timeout": "1s"})

    code, _ = ended(daemon)

    assert code == 3
    assert [each["cause"] for each in daemon.logged("state.recovered")] == ["damaged"]


def test_lost_offsets_are_exit_3_and_can_be_skipped(
    home: Path, daemons: list[Driftd], mock_broker: "MockBroker"
) -> None:
    mock_broker.create_topic(TOPIC)
    daemon = make(home, daemons, mock_broker.bootstrap)
    daemon.start()
    produce(mock_broker.bootstrap, 0, 10)
    daemon.wait_for(lambda: daemon.metric("driftd_events_total", outcome="ok") == 200)
    assert daemon.stop() == 0
    produce(mock_broker.bootstrap, 10, 20)
    mock_broker.delete_records(TOPIC, 0, 300)

    code, said = ended(daemon)
    assert code == 3
    assert said.startswith(
        f"kafka: {TOPIC}/0: our position 200 is not there, the partition now holds 300 to 400 (retention"
    )
    skipping = {"bootstrap_servers": mock_broker.bootstrap, "lost_offsets": "skip"}
    again = make(home, daemons, mock_broker.bootstrap, kafka=skipping)
    again.start()
    again.wait_for(lambda: again.metric("driftd_events_total", outcome="ok") == 100)
    assert again.metric("driftd_offsets_lost_total") == 100
    assert again.stop() == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"idle_afer": "5s"}, "idle_afer is no key; did you mean idle_after?"),
        ({"models": [{"name": "m", "reference": "no.json"}]}, "no.json does not exist"),
        (
            {"webhooks": [{"name": "w", "url": "http://127.0.0.1:1", "secret_env": "DRIFT_NOT_SET"}]},
            "webhooks.w.secret_env: DRIFT_NOT_SET is not set",
        ),
        ({"kafka": {"properties": {"security.protocol": CANARY}}}, "kafka.properties: Invalid value for configuration"),
    ],
)
def test_a_wrong_configuration_is_exit_2(home: Path, daemons: list[Driftd], changes: dict[str, Any], said: str) -> None:
    code, line = ended(make(home, daemons, "127.0.0.1:1", **changes))

    assert code == 2
    assert said in line
    assert CANARY not in line


# --- going on ---------------------------------------------------------------------------------------------------------


def test_windows_scores_and_a_firing_alert_are_there_right_after_a_restart(
    home: Path, daemons: list[Driftd], mock_broker: "MockBroker"
) -> None:
    mock_broker.create_topic(TOPIC)
    daemon = make(home, daemons, mock_broker.bootstrap)
    daemon.start()
    produce(mock_broker.bootstrap, 0, 45, shift=3.0)
    daemon.wait_for(lambda: closed_windows(daemon) >= 3)
    before = daemon.get("/api/v1/models"), daemon.get("/api/v1/alerts"), daemon.get("/api/v1/windows")
    assert daemon.stop() == 0
    mock_broker.set_down()  # nothing new can come: what is shown is what was saved
    daemon.start(ready=False)
    daemon.wait_for(lambda: daemon.status("/readyz") == 503 and daemon.get("/api/v1/windows") != [])
    after = daemon.get("/api/v1/models"), daemon.get("/api/v1/alerts"), daemon.get("/api/v1/windows")

    assert after == before
    assert [alert["state"] for alert in after[1]] == ["firing"]
    assert daemon.metric("driftd_alert_state", rule="psi-high") == 2
    assert daemon.metric("driftd_drift_state", feature="x") == 2
    assert daemon.metric("driftd_alert_transitions_total", to="firing") == 0  # said once, before the restart
    assert "starting" in not_ready(daemon)


def not_ready(daemon: Driftd) -> str:
    with pytest.raises(HTTPError) as refused:
        urlopen(daemon.url + "/readyz", timeout=5)
    with refused.value as answer:
        return str(answer.read().decode())


def changed_model(**changes: Any) -> list[dict[str, Any]]:
    return [{"name": "m", "reference": "m.json", "window": "10s", "lateness": "0s", "min_rows": 50, **changes}]


def test_another_reference_or_window_over_a_saved_state_is_said_and_starts(
    home: Path, daemons: list[Driftd], mock_broker: "MockBroker"
) -> None:
    mock_broker.create_topic(TOPIC)
    daemon = make(home, daemons, mock_broker.bootstrap)
    daemon.start()
    produce(mock_broker.bootstrap, 0, 45)
    daemon.wait_for(lambda: closed_windows(daemon) >= 3)
    assert daemon.stop() == 0
    Reference.fit({"x": np.arange(1000.0)}).save(home / "other.json")

    for changes in ({"reference": "other.json"}, {"reference": "other.json", "window": "20s"}):
        changed = make(home, daemons, mock_broker.bootstrap, models=changed_model(**changes))
        resets = len(changed.logged("state.reset"))
        changed.start()
        assert len(changed.logged("state.reset")) > resets
        assert changed.metric("driftd_events_total", outcome="ok") == 0  # positions stay
        assert changed.stop() == 0


def test_another_rule_over_a_saved_state_starts_and_is_judged(
    home: Path, daemons: list[Driftd], mock_broker: "MockBroker"
) -> None:
    mock_broker.create_topic(TOPIC)
    daemon = make(home, daemons, mock_broker.bootstrap)
    daemon.start()
    produce(mock_broker.bootstrap, 0, 35, shift=3.0)
    daemon.wait_for(lambda: len(daemon.get("/api/v1/alerts")) == 1)
    assert daemon.stop() == 0
    rule = {"name": "ks-high", "detector": "ks", "fire_above": 0.2}
    changed = make(home, daemons, mock_broker.bootstrap, alerting={"false_alarms_per_month": None, "rules": [rule]})
    changed.start()
    produce(mock_broker.bootstrap, 35, 60, shift=3.0)

    changed.wait_for(lambda: len(changed.get("/api/v1/alerts")) == 2)
    now, gone = changed.get("/api/v1/alerts")
    assert (now["rule"], now["state"]) == ("ks-high", "firing")
    assert (gone["rule"], gone["state"]) == ("psi-high", "resolved")
    assert changed.stop() == 0


def test_a_topic_that_is_missing_is_waited_for(home: Path, daemons: list[Driftd], mock_broker: "MockBroker") -> None:
    daemon = make(home, daemons, mock_broker.bootstrap)
    daemon.start()
    daemon.wait_for(lambda: daemon.metric("driftd_topics_missing") == 1)
    produce(mock_broker.bootstrap, 0, 5)

    daemon.wait_for(lambda: daemon.metric("driftd_events_total", outcome="ok") == 100)
    assert daemon.metric("driftd_topics_missing") == 0
    assert daemon.stop() == 0


# --- secrets, disk, estimates -----------------------------------------------------------------------------------------


def test_a_secret_is_in_no_log_metric_or_route(home: Path, daemons: list[Driftd], mock_broker: "MockBroker") -> None:
    mock_broker.create_topic(TOPIC)
    (home / "secret").write_text(SECRET)
    with Receiver(SECRET) as receiver:
        webhook = {"name": "w", "url": f"{receiver.url}?token={CANARY}", "secret_file": "secret", "types": ["*"]}
        kafka = {
            "bootstrap_servers": mock_broker.bootstrap,
            "start_from": "earliest",
            "properties": {"ssl.key.password": CANARY},
        }
        daemon = make(home, daemons, "", webhooks=[webhook], kafka=kafka, log={"level": "debug"})
        daemon.start()
        produce(mock_broker.bootstrap, 0, 45, shift=3.0)
        daemon.wait_for(lambda: len(receiver.deliveries()) >= 2)
        routes = ["/metrics", "/readyz", "/api/v1/models", "/api/v1/alerts", "/api/v1/windows"]
        shown = [daemon.text(route) for route in routes]
        receiver.shutdown()
        assert daemon.stop() == 0

    assert all(delivery.verified for delivery in receiver.deliveries())
    for text in (*shown, daemon.log.read_text(encoding="utf-8"), str([one.data for one in receiver.deliveries()])):
        assert CANARY not in text
        assert SECRET.removeprefix("whsec_") not in text


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("a small file system cannot be mounted here: needs root")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True, capture_output=True, timeout=10)


def test_a_full_disk_is_not_ready_and_loses_nothing(
    home: Path, daemons: list[Driftd], mock_broker: "MockBroker", small_disk: Path
) -> None:
    mock_broker.create_topic(TOPIC)
    daemon = make(home, daemons, mock_broker.bootstrap, state=str(small_disk / "state"))
    daemon.start()
    with suppress(OSError), (small_disk / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))
    produce(mock_broker.bootstrap, 0, 45)
    daemon.wait_for(lambda: daemon.status("/readyz") == 503)
    assert "state could not be saved: " in not_ready(daemon)
    assert daemon.metric("driftd_checkpoint_failures_total") > 0
    (small_disk / "ballast").unlink()

    daemon.wait_for(lambda: daemon.status("/readyz") == 200)
    daemon.wait_for(lambda: daemon.metric("driftd_events_total", outcome="ok") == 900)
    daemon.wait_for(lambda: closed_windows(daemon) >= 3)
    assert {window["rows"] for window in daemon.get("/api/v1/windows")} == {200}
    assert daemon.stop() == 0


def test_the_estimates_of_check_come_true(home: Path, daemons: list[Driftd], mock_broker: "MockBroker") -> None:
    mock_broker.create_topic(TOPIC)
    daemon = make(home, daemons, mock_broker.bootstrap)
    daemon.start()
    produce(mock_broker.bootstrap, 0, 45)
    daemon.wait_for(lambda: closed_windows(daemon) >= 3)
    samples = [line for line in daemon.text("/metrics").splitlines() if not line.startswith("#")]
    resident = daemon.metric("process_resident_memory_bytes")
    assert daemon.stop() == 0

    expected = time_series(load(with_absolute_state(load_settings(daemon.config), home), home))
    assert expected == pytest.approx(len(samples), rel=0.2)
    assert BASE_BYTES / 1.5 < resident < (BASE_BYTES + READING_BYTES) * 1.5

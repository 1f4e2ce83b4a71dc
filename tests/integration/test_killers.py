"""A batch that unpacks far beyond the memory that there is kills the daemon: it is found, stepped over and told, and nothing else is lost.

Nor do batches kill it for ever that are too large together, as one fetch brings them, and each of which fits.
"""

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Producer

from detectors import Reference
from monitor.sources.kafka.suspects import DEATHS
from tests.integration.daemon import Driftd
from tests.parts.mock import MockBroker

pytestmark = [
    pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs Linux and prlimit (apt-get install util-linux)"),
    pytest.mark.timeout(300),
]

TOPIC = "predictions"
BEGIN = 1_763_870_700  # event time of the first event, seconds
WINDOW = 10
HEADROOM = 160 << 20  # bytes that the daemon may write to beyond what it does when it is idle
ZEROS = 400_000_000  # in one message, which lz4 makes 1.6 MB of
TOGETHER = [32_000_000] * 7  # in a message each, which gzip makes 32 kB of: a fetch brings all of them


def produce(broker: MockBroker, partition: int, seconds: Iterable[int]) -> Counter[int]:
    """Ten events for each of these seconds of event time; how many there are in each window."""
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 5, "log_level": 0})
    truth: Counter[int] = Counter()
    for second in seconds:
        for tenth in range(10):
            event = {"ts": (BEGIN + second) * 1000 + 100 * tenth, "model": "m", "features": {"x": 0.1 * tenth}}
            producer.produce(TOPIC, json.dumps(event), partition=partition)
            truth[(BEGIN + second) // WINDOW * WINDOW] += 1
    assert producer.flush(30) == 0
    return truth


def produce_zeros(broker: MockBroker, partition: int, codec: str, sizes: Sequence[int]) -> None:
    """So many zeros in a message each, each in a batch of its own."""
    settings = {
        "message.max.bytes": 1_000_000_000,
        "batch.size": 2_147_483_647,
        "batch.num.messages": 1,
        "compression.type": codec,
        "log_level": 0,
    }
    producer = Producer({"bootstrap.servers": broker.bootstrap, **settings})
    for size in sizes:
        producer.produce(TOPIC, bytes(size), partition=partition)
        assert producer.flush(60) == 0


def data_of(pid: int) -> int:
    """Bytes that a process has taken to write to."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    [found] = [int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmData:")]
    return found


def limited(daemon: Driftd) -> None:
    """Have it run, from its next start on, with little more memory than it has when it is idle."""
    daemon.start()
    time.sleep(1)
    most = data_of(daemon.pid) + HEADROOM
    assert daemon.stop() == 0
    daemon.wrapper = ["prlimit", f"--data={most}", "--core=0", "--"]


def rows_of(daemon: Driftd) -> dict[int, int]:
    windows: list[dict[str, Any]] = daemon.get("/api/v1/windows?limit=500")
    return {int(datetime.fromisoformat(window["start"]).timestamp()): window["rows"] for window in windows}


def has_read_all(daemon: Driftd) -> bool:
    """Whether it is behind what kills, and all that lies behind that is read."""
    if not daemon.logged("source.records_skipped") or daemon.status("/readyz") != 200:
        return False
    with suppress(OSError):  # it may die while it is asked
        return daemon.metric("driftd_consumer_lag") == 0 and len(rows_of(daemon)) >= 5
    return False


@pytest.mark.parametrize("reader_kind", ["ahead", "python"], indirect=True)
def test_a_batch_that_kills_is_stepped_over_and_nothing_else(
    mock_broker: MockBroker, tmp_path: Path, reader_kind: str
) -> None:
    Reference.fit({"x": np.random.default_rng(1).normal(size=5_000)}).save(tmp_path / "m.json")
    mock_broker.create_topic(TOPIC, 2)
    kafka = {"bootstrap_servers": mock_broker.bootstrap, "start_from": "earliest"}
    models = [{"name": "m", "reference": "m.json", "window": f"{WINDOW}s", "lateness": "1s"}]
    config = {"kafka": kafka, "topics": [{"name": TOPIC}], "models": models, "checkpoint_interval": "200ms"}
    daemon = Driftd(tmp_path, config)
    limited(daemon)
    truth = produce(mock_broker, 0, range(30)) + produce(mock_broker, 1, range(60))
    produce_zeros(mock_broker, 0, "lz4", [ZEROS])
    produce_zeros(mock_broker, 1, "gzip", TOGETHER)
    truth += produce(mock_broker, 0, range(30, 60))

    deaths = 0
    daemon.start(ready=False)
    while not has_read_all(daemon):
        if not daemon.running:  # as a supervisor does, whether it dies before the step or after it
            deaths += 1
            assert deaths <= 2 * DEATHS, daemon.log.read_text(encoding="utf-8")[-2000:]
            daemon.start(ready=False)
        time.sleep(0.1)

    assert deaths >= DEATHS
    [skipped] = daemon.logged("source.records_skipped")
    assert (skipped["partition"], skipped["first"], skipped["last"]) == (f"{TOPIC}/0", 300, 300)
    assert daemon.metric("driftd_events_rejected_total", reason="unreadable_batch") == 1
    daemon.wait_for(
        lambda: daemon.metric("driftd_consumer_lag") == 0
    )  # those that fit are read, and too large as messages
    assert rows_of(daemon) == {start: truth[start] for start in range(BEGIN, BEGIN + 5 * WINDOW, WINDOW)}
    daemon.kill()
    daemon.start()
    daemon.wait_for(lambda: daemon.metric("driftd_consumer_lag") == 0)
    assert daemon.stop() == 0
    assert len(daemon.logged("source.records_skipped")) == 1  # it is behind us for good

"""One process and three replicas over real Kafka read the same events: every window, every alert, every notice is the same, whoever is killed.

`make replicas` plays more events, with more kills.
"""

import json
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from detectors import Reference
from monitor.cli import main
from monitor.commands.demo.receiver import Receiver
from tests.integration.daemon import Driftd
from tests.integration.test_run import SECRET

if TYPE_CHECKING:
    from tests.parts.kafka import ApacheKafka

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

KILLS = int(os.environ.get("REPLICA_KILLS", "1"))
PARTITIONS, JUDGES, REPLICAS = 6, 4, 3
MODELS = [f"model-{number}" for number in range(6)]
BEGIN = 1_763_870_700  # event time of the first event, seconds
WINDOW = 10  # seconds
WINDOWS = 12  # of each part of the events
RATE = 10  # events of each model a second of event time
SHIFTED = range(8, 16)  # the windows of a part, counted over all parts, in which every other model is shifted
PATIENCE = 90.0  # seconds


@pytest.fixture
def open_() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


def config(bootstrap: str, topic: str, group: str, url: str, **changes: Any) -> dict[str, Any]:
    rule = {"name": "psi-high", "detector": "psi", "fire_above": 0.5, "clear_below": 0.4, "features": ["x"]}
    model = {"version": "1", "reference": "r.json", "window": f"{WINDOW}s", "lateness": "20s", "min_rows": 20}
    return {
        "kafka": {"bootstrap_servers": bootstrap, "start_from": "earliest", "group_id": group},
        "topics": [{"name": topic}],
        "models": [{**model, "name": name} for name in MODELS],
        "alerting": {"false_alarms_per_month": None, "rules": [rule]},
        "webhooks": [{"name": "w", "url": url, "secret_file": "secret", "types": ["*"]}],
        "checkpoint_interval": "500ms",
        **changes,
    }


def daemon(place: Path, told: dict[str, Any]) -> Driftd:
    """A daemon in a directory of its own."""
    place.mkdir()
    rng = np.random.default_rng(3)
    Reference.fit({"x": rng.normal(size=5000)}).save(place / "r.json")
    (place / "secret").write_text(SECRET)
    return Driftd(place, told, log="debug")


def produce(bootstrap: str, topic: str, windows: range) -> None:
    """The events of some windows, in all partitions, each nearly in order; the last one of each partition is of no model."""
    from confluent_kafka import Producer

    chance = random.Random(windows.start)
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "log_level": 0})
    for second in range(windows.start * WINDOW, windows.stop * WINDOW):
        for number, model in enumerate(MODELS):
            shift = 1.5 if second // WINDOW in SHIFTED and number % 2 else 0.0
            for _ in range(RATE):
                ts = (BEGIN + second) * 1000 + chance.randrange(1000)
                event = {"ts": ts, "model": model, "version": "1", "features": {"x": chance.gauss(shift, 1.0)}}
                producer.produce(topic, json.dumps(event), partition=chance.randrange(PARTITIONS))
    for partition in range(PARTITIONS):
        event = {"ts": (BEGIN + windows.stop * WINDOW) * 1000, "model": "nobody", "version": "1", "features": {"x": 0}}
        producer.produce(topic, json.dumps(event), partition=partition)
    assert producer.flush(30) == 0


Window = tuple[str, int]


def windows_of(daemons: Sequence[Driftd]) -> dict[Window, set[int]]:
    """The rows of every window that any of them has closed, by model and beginning, as their logs say; one that says two things has two."""
    found: dict[Window, set[int]] = defaultdict(set)
    for each in daemons:
        for line in each.logged("window.closed"):
            found[line["model"], line["start"] // 10**9 - BEGIN].add(line["rows"])
    return dict(found)


def closed(daemons: Sequence[Driftd], before: int) -> bool:
    """Whether the windows before this one are closed, of every model. The first one is not whole, and is none."""
    there = windows_of(daemons)
    return all((model, number * WINDOW) in there for model in MODELS for number in range(1, before))


def wait_until(what: Callable[[], bool], daemons: Sequence[Driftd]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        for each in daemons:
            assert each.running, each.log.read_text()[-4000:]
        assert time.monotonic() < deadline, "\n\n".join(each.log.read_text()[-3000:] for each in daemons)
        time.sleep(0.1)


def told(receiver: Receiver) -> dict[str, str]:
    """The types of what was told, by id."""
    assert all(each.verified for each in receiver.deliveries())
    return {each.id: each.type for each in receiver.deliveries()}


def judging(replica: Driftd) -> float:
    return replica.metric("driftd_replica_partitions", role="judge")


def test_three_replicas_say_what_one_process_says_though_some_are_killed(
    apache_kafka: "ApacheKafka", topic: str, tmp_path: Path, open_: ExitStack, capsys: pytest.CaptureFixture[str]
) -> None:
    apache_kafka.create_topic(topic, PARTITIONS)
    alone_told, many_told = (open_.enter_context(Receiver(SECRET)) for _ in "ab")
    alone = daemon(tmp_path / "alone", config(apache_kafka.bootstrap, topic, f"{topic}-alone", alone_told.url))
    section = {"judge_partitions": JUDGES, "cell": 300, "flush_interval": "200ms", "session_timeout": "6s"}
    many = config(apache_kafka.bootstrap, topic, f"{topic}-many", many_told.url, replicas=section)
    replicas = [daemon(tmp_path / f"replica-{number}", many) for number in range(REPLICAS)]

    assert main(["topics", "check", "--config", str(replicas[0].config)]) == 1
    assert "does not exist" in capsys.readouterr().out
    assert main(["topics", "create", "--config", str(replicas[0].config)]) == 0
    for each in (alone, *replicas):
        each.start(ready=False)
    wait_until(lambda: all(each.status("/readyz") == 200 for each in (alone, *replicas)), [alone, *replicas])
    wait_until(lambda: sum(map(judging, replicas)) > 0, replicas)
    done = 0
    for kill in range(KILLS):
        produce(apache_kafka.bootstrap, topic, range(done, done + WINDOWS))
        done += WINDOWS
        running = [each for each in replicas if each.running]
        wait_until(lambda: closed(replicas, done - 6), running)  # noqa: B023 - asked here alone
        max(running, key=judging).kill()
        if kill + 1 < KILLS:
            next(each for each in replicas if not each.running).start(ready=False)
    produce(apache_kafka.bootstrap, topic, range(done, done + WINDOWS))
    done += WINDOWS
    running = [each for each in replicas if each.running]
    wait_until(lambda: closed([alone], done - 2), [alone])
    wait_until(lambda: closed(replicas, done - 2), running)
    wait_until(lambda: told(many_told).keys() >= told(alone_told).keys(), [alone, *running])
    alone.wait_told()
    assert [each.stop() for each in (alone, *running)] == [0] * (1 + len(running))

    twice = {window for each in replicas for window in windows_of([each])}
    assert (
        sum(len(windows_of([each])) for each in replicas) - len(twice) < len(twice) / 4
    )  # who takes over begins where the last snapshot is
    once, together = windows_of([alone]), windows_of(replicas)
    assert together == once
    assert all(len(rows) == 1 for rows in once.values())
    assert told(many_told) == told(alone_told)
    assert len(told(alone_told)) >= len(MODELS)  # of half of them an incident that opens and one that ends
    assert not any(each.logged("replica.quarantined") for each in replicas)

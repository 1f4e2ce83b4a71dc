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
import yaml

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


def produce(bootstrap: str, topic: str, windows: range, partitions: int = PARTITIONS) -> None:
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
                producer.produce(topic, json.dumps(event), partition=chance.randrange(partitions))
    for partition in range(partitions):
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


def told(receiver: Receiver) -> dict[str, tuple[str, Any]]:
    """What was told, by id, scores and words included; but for the hash of the configuration, which is each one's own."""
    assert all(each.verified for each in receiver.deliveries())
    return {each.id: (each.type, {**each.data, "config_hash": None}) for each in receiver.deliveries()}


def judging(replica: Driftd) -> float:
    """How many judge partitions it has; none for as long as it does not answer."""
    try:
        return replica.metric("driftd_replica_partitions", role="judge")
    except OSError:
        return 0.0


class Group:
    """One process alone, and replicas that share a group, over the same topic."""

    def __init__(self, broker: "ApacheKafka", topic: str, home: Path, open_: ExitStack) -> None:
        broker.create_topic(topic, PARTITIONS)
        self._broker, self._topic = broker, topic
        self.name = topic
        self.alone_told, self.many_told = (open_.enter_context(Receiver(SECRET)) for _ in "ab")
        self.alone = daemon(home / "alone", config(broker.bootstrap, topic, f"{topic}-alone", self.alone_told.url))
        section = {"judge_partitions": JUDGES, "cell": 300, "flush_interval": "200ms", "session_timeout": "6s"}
        many = config(broker.bootstrap, topic, f"{topic}-many", self.many_told.url, replicas=section)
        self.replicas = [daemon(home / f"replica-{number}", many) for number in range(REPLICAS)]
        self.done = 0  # windows of which the events were written
        self.partitions = PARTITIONS

    @property
    def running(self) -> list[Driftd]:
        return [each for each in self.replicas if each.running]

    def start(self) -> None:
        assert main(["topics", "create", "--config", str(self.replicas[0].config)]) == 0
        everyone = [self.alone, *self.replicas]
        for each in everyone:
            each.start(ready=False)
        wait_until(lambda: all(each.status("/readyz") == 200 for each in everyone), everyone)
        wait_until(lambda: all(judging(each) > 0 for each in self.replicas), self.replicas)

    def produce(self) -> None:
        """The events of some windows more."""
        produce(self._broker.bootstrap, self._topic, range(self.done, self.done + WINDOWS), self.partitions)
        self.done += WINDOWS

    def catch_up(self, *, without: Sequence[Driftd] = (), but: int = 2) -> None:
        """Wait until all windows are closed; `but` the last ones, which wait for what may be late."""
        asked = [each for each in self.running if each not in without]
        wait_until(lambda: closed([self.alone], self.done - but), [self.alone])
        wait_until(lambda: closed(self.replicas, self.done - but), asked)

    def finish(self) -> None:
        """Stop all, and compare."""
        running = self.running
        wait_until(lambda: told(self.many_told).keys() >= told(self.alone_told).keys(), [self.alone, *running])
        self.alone.wait_told()
        assert [each.stop() for each in (self.alone, *running)] == [0] * (1 + len(running))
        once, together = windows_of([self.alone]), windows_of(self.replicas)
        assert together == once
        assert all(len(rows) == 1 for rows in once.values())
        assert told(self.many_told) == told(self.alone_told)
        assert len(told(self.alone_told)) >= len(MODELS)  # of half of them an incident that opens and one that ends
        assert not any(each.logged("replica.quarantined") for each in self.replicas)

    @property
    def closed_again(self) -> int:
        """Windows that another replica had closed already."""
        there = [windows_of([each]) for each in self.replicas]
        return sum(map(len, there)) - len(windows_of(self.replicas))

    @property
    def told_again(self) -> int:
        """Deliveries of what was delivered before."""
        return len(self.many_told.deliveries()) - len(told(self.many_told))


@pytest.fixture
def group(apache_kafka: "ApacheKafka", topic: str, tmp_path: Path, open_: ExitStack) -> Group:
    return Group(apache_kafka, topic[-24:], tmp_path, open_)


def test_three_replicas_say_what_one_process_says_though_some_are_killed(group: Group) -> None:
    group.start()
    for kill in range(KILLS):
        group.produce()
        group.catch_up(but=6)
        max(group.running, key=judging).kill()
        if kill + 1 < KILLS:
            next(each for each in group.replicas if not each.running).start(ready=False)
    group.produce()
    group.catch_up()
    group.finish()

    assert group.closed_again < KILLS * len(MODELS) * WINDOWS / 4  # who takes over begins where the last snapshot is


def test_who_leaves_hands_on_all_that_it_knows(group: Group) -> None:
    """Nothing is judged again, and nobody is told twice."""
    group.start()
    group.produce()
    group.catch_up()
    assert max(group.running, key=judging).stop() == 0
    group.produce()
    group.catch_up()
    group.finish()

    assert (group.closed_again, group.told_again) == (0, 0)


def test_who_was_taken_for_dead_and_wakes_changes_nothing_and_takes_part_again(group: Group) -> None:
    group.start()
    group.produce()
    group.catch_up(but=6)
    asleep = max(group.running, key=judging)
    asleep.pause()
    group.produce()
    group.catch_up(without=[asleep])
    known, others = windows_of([asleep]), windows_of([each for each in group.replicas if each is not asleep])
    asleep.resume()
    wait_until(lambda: judging(asleep) > 0 and asleep.status("/readyz") == 200, group.running)
    group.produce()
    group.catch_up()
    group.finish()

    assert (
        not (windows_of([asleep]).keys() - known.keys()) & others.keys()
    )  # not even its log says again what others have said


def test_partitions_that_are_added_are_counted_from_their_beginning(group: Group, apache_kafka: "ApacheKafka") -> None:
    """Whoever folds them sends counts before judges look for new partitions. What is late by then depends on when each has looked."""
    group.start()
    group.produce()
    group.catch_up(but=6)
    group.partitions = PARTITIONS + 3
    apache_kafka.add_partitions(group.name, group.partitions)
    group.produce()

    def folded() -> float:
        return sum(each.metric("driftd_replica_partitions", role="fold") for each in group.replicas)

    wait_until(lambda: folded() == group.partitions, group.replicas)
    group.produce()
    group.catch_up()

    for each in group.replicas:
        assert not each.logged("replica.counts_missing")
        assert not each.logged("replica.quarantined")


def test_a_state_that_is_gone_and_another_configuration_are_a_line_each(
    group: Group, apache_kafka: "ApacheKafka"
) -> None:
    group.start()
    group.produce()
    group.catch_up()
    ours, other, third = group.replicas
    beside = config(apache_kafka.bootstrap, group.name, f"{group.name}-many", group.alone_told.url)
    single = daemon(ours.home.parent / "beside", beside)
    single.start()
    wait_until(lambda: any("has members" in each["detail"] for each in single.logged("source.troubled")), [single])
    single.kill()

    told = yaml.safe_load(other.config.read_text())
    told["models"][0]["window"] = "20s"
    other.stop()
    other.config.write_text(yaml.safe_dump(told))
    other.start(ready=False)
    assert other.wait() == 3
    assert (
        f"replicas of another configuration share group {group.name}-many: " in other.log.read_text().splitlines()[-1]
    )

    assert [ours.stop(), third.stop()] == [0, 0]
    state = f"{group.name}-many.driftd-state"
    apache_kafka.delete_topic(state)
    apache_kafka.create_topic(state, JUDGES, cleanup_policy="compact")
    ours.start(ready=False)
    assert ours.wait() == 3
    assert f"kafka: {state}/" in ours.log.read_text().splitlines()[-1]
    assert "holds no whole snapshot where one stood at" in ours.log.read_text().splitlines()[-1]


def test_topics_are_made_once_and_what_is_wrong_with_them_is_said(
    group: Group, apache_kafka: "ApacheKafka", capsys: pytest.CaptureFixture[str]
) -> None:
    told_config = ["--config", str(group.replicas[0].config)]
    counts, state = (f"{group.name}-many.driftd-{what}" for what in ("counts", "state"))

    assert main(["topics", "check", *told_config]) == 1
    assert capsys.readouterr().out.count("does not exist: make it with `driftd topics create`\n") == 2
    apache_kafka.create_topic(counts, 2, cleanup_policy="compact")
    assert main(["topics", "create", *told_config]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"topic {state}: made",
        f"topic {counts}: has 2 partitions where replicas.judge_partitions is {JUDGES}",
        f"topic {counts}: cleanup.policy is compact and must be delete",
    ]
    group.replicas[0].start(ready=False)
    assert group.replicas[0].wait() == 3
    apache_kafka.delete_topic(counts)
    assert main(["topics", "create", *told_config]) == 0
    assert main(["topics", "create", *told_config]) == 0
    assert main(["topics", "check", *told_config]) == 0

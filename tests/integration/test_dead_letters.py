"""Dead letters in a topic of a broker that refuses and comes back, and a daemon that keeps them: nothing is dropped, and nothing more is read meanwhile."""

import json
import random
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from confluent_kafka import Consumer, KafkaError

from detectors import Reference
from monitor.commands.dead_letters import LetterChoice, replay, show_all, show_one
from monitor.commands.exits import Exit
from monitor.facts import DeadLettersKept
from monitor.sources.kafka.dead_letters import DeadLetterTopic
from monitor.store.dead_letters import DeadLetterError, letters_in
from monitor.store.sqlite import StateStore
from monitor.stream.events import MILLISECOND, Partition
from monitor.stream.rejected import RejectedRecord
from tests.fakes import NOON
from tests.integration.daemon import Driftd
from tests.parts.mock import Api
from tests.parts.reader import produce, produce_records

if TYPE_CHECKING:
    from tests.parts.kafka import ApacheKafka
    from tests.parts.mock import MockBroker

TOPIC, LETTERS = "predictions", "letters"
KILLS, KILLS_SEED = 8, 20261130
ROWS = RejectedRecord(
    Partition(TOPIC, 2), 41, [(2, "timestamp_missing"), (5, "model_missing")], NOON, b"[1]", b"k", [("trace", b"\xff")]
)
UNREAD = RejectedRecord(Partition(TOPIC, 0), 7, [(None, "unreadable_batch")], last=9, each=3)


def read_all(bootstrap: str, topic: str, count: int) -> list[Any]:
    """So many records of a topic with one partition."""
    return read_until(bootstrap, topic, lambda found: len(found) >= count)


def read_until(bootstrap: str, topic: str, met: Callable[[list[Any]], bool]) -> list[Any]:
    """The records of a topic, until so."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "reads", "auto.offset.reset": "earliest", "log_level": 0}
    consumer, found = Consumer(settings), list[Any]()
    consumer.subscribe([topic])
    deadline = time.monotonic() + 60
    while not met(found):
        assert time.monotonic() < deadline, f"{len(found)} records"
        found += [each for each in consumer.consume(100, 0.5) if each.error() is None]
    consumer.close()
    return found


def insist(attempt: Callable[[], object]) -> None:
    """As the loop does: again, until it is possible."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(DeadLetterError):
            attempt()
            return
    raise AssertionError("it was never possible")


def test_a_record_stands_in_the_topic_as_it_came_once_the_broker_takes_it(mock_broker: "MockBroker") -> None:
    mock_broker.create_topic(LETTERS)
    topic = DeadLetterTopic(LETTERS, {"bootstrap.servers": mock_broker.bootstrap}, time.monotonic, patience=20)
    mock_broker.push_errors(Api.PRODUCE, *[KafkaError.TOPIC_AUTHORIZATION_FAILED])
    waiting = deque([ROWS])

    topic.write(waiting)
    with pytest.raises(DeadLetterError, match=f"topic {LETTERS}: 1 records are refused: .*uthorization"):
        topic.secure()
    assert topic.news() == []
    waiting.append(UNREAD)

    def again() -> None:
        topic.write(waiting)
        topic.secure()

    insist(again)

    kept = topic.news()
    assert {(fact.reason, fact.count) for fact in kept if isinstance(fact, DeadLettersKept)} == {
        ("timestamp_missing", 1),
        ("model_missing", 1),
        ("unreadable_batch", 3),
    }
    first, second = read_all(mock_broker.bootstrap, LETTERS, 2)
    told = {name: value.decode() for name, value in first.headers()[1:]}
    assert (first.key(), first.value(), first.headers()[0]) == (b"k", b"[1]", ("trace", b"\xff"))
    assert told == {
        "driftd-topic": TOPIC,
        "driftd-partition": "2",
        "driftd-offset": "41",
        "driftd-reason": "timestamp_missing",
        "driftd-events": "2",
        "driftd-rows": "2=timestamp_missing 5=model_missing",
        "driftd-timestamp": str(NOON // MILLISECOND),
    }
    assert second.value() is None
    assert dict(second.headers())["driftd-last-offset"] == b"9"
    topic.close()


def test_a_broker_that_is_away_holds_what_waits_for_a_bounded_time(mock_broker: "MockBroker") -> None:
    mock_broker.create_topic(LETTERS)
    mock_broker.set_down()
    topic = DeadLetterTopic(LETTERS, {"bootstrap.servers": mock_broker.bootstrap}, time.monotonic, patience=0.2)
    large = [RejectedRecord(Partition(TOPIC, 0), at, [(None, "empty")], value=bytes(500_000)) for at in range(40)]
    waiting = deque(large)

    with pytest.raises(DeadLetterError, match="not acknowledged yet"):
        topic.write(waiting)
    assert 0 < len(waiting) < 40  # the others are under way: so many and no more
    mock_broker.set_up()

    def again() -> None:
        topic.write(waiting)
        topic.secure()

    insist(again)

    assert sum(fact.count for fact in topic.news() if isinstance(fact, DeadLettersKept)) == 40
    topic.close()


def settings(bootstrap: str, home: Path, letters: dict[str, str]) -> dict[str, Any]:
    """One model, whose events are never many."""
    Reference.fit({"x": np.arange(100.0)}).save(home / "m.json")
    return {
        "kafka": {"bootstrap_servers": bootstrap, "start_from": "earliest"},
        "topics": [{"name": TOPIC}],
        "models": [{"name": "m", "version": "1", "reference": "m.json"}],
        "checkpoint_interval": "100ms",
        "dead_letters": letters,
    }


def test_what_a_directory_holds_is_listed_explained_and_sent_again(
    mock_broker: "MockBroker", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mock_broker.create_topic(TOPIC)
    daemon = Driftd(tmp_path, settings(mock_broker.bootstrap, tmp_path, {"directory": "letters"}))
    bad = json.dumps({"model": "m", "version": "1", "features": {"x": 1}}).encode()
    records = [{"value": b"{\xff"}, {"value": bad, "key": b"k", "headers": [("h", b"v")]}, {"value": bad}]
    daemon.start()
    produce_records(mock_broker, TOPIC, records)
    daemon.wait_for(lambda: daemon.metric("driftd_dead_letters_total") == 3)
    assert daemon.stop() == 0
    choice = LetterChoice(daemon.config)

    assert show_all(choice, as_json=False) is Exit.OK
    assert capsys.readouterr().out.splitlines() == [
        f"{TOPIC}  invalid_utf8  1 events in 1 records, the last {TOPIC}/0/0",
        f"{TOPIC}  timestamp_missing  2 events in 2 records, the last {TOPIC}/0/2",
    ]
    assert show_one(choice, f"{TOPIC}/0/1") is Exit.OK
    said = capsys.readouterr().out
    assert "   key: k\n" in said
    assert "today: rejected: timestamp_missing: ts is not there; the message has model, version, features\n" in said
    assert show_one(choice, f"{TOPIC}/0/9") is Exit.NO
    some = LetterChoice(daemon.config, reason="timestamp_missing")
    assert replay(some, send=False) is Exit.OK
    assert replay(some, send=True) is Exit.OK
    assert capsys.readouterr().out.splitlines()[1:] == [
        "2 records would be sent again; --send does it",
        "2 records were sent again",
    ]

    daemon.start()
    daemon.wait_for(lambda: daemon.metric("driftd_dead_letters_total") == 2)
    assert daemon.stop() == 0
    found = list(letters_in(tmp_path / "letters"))
    assert [(each.offset, each.reason) for each in found][3:] == [(3, "timestamp_missing"), (4, "timestamp_missing")]
    assert (found[3].key, found[3].value, list(found[3].headers)) == (b"k", bad, [("h", b"v")])
    assert (found[3].time, found[4].time) == (found[1].time, found[2].time)  # a label may have no other


def test_a_daemon_keeps_them_in_a_topic_and_saves_no_position_before(mock_broker: "MockBroker", tmp_path: Path) -> None:
    """The first one is refused: then nothing more is read until it is taken."""
    mock_broker.create_topic(TOPIC)
    mock_broker.create_topic(LETTERS)
    daemon = Driftd(tmp_path, settings(mock_broker.bootstrap, tmp_path, {"topic": LETTERS}))
    produce_records(mock_broker, TOPIC, [{"value": b"{", "key": b"k", "headers": [("h", b"v")]}, {"value": b"7"}])
    mock_broker.push_errors(Api.PRODUCE, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    daemon.start(ready=False)
    daemon.wait_for(lambda: daemon.metric("driftd_dead_letters_total") == 2)
    assert daemon.stop() == 0

    found = {dict(each.headers())["driftd-offset"]: each for each in read_all(mock_broker.bootstrap, LETTERS, 2)}
    assert [(found[place].value(), found[place].key()) for place in (b"0", b"1")] == [(b"{", b"k"), (b"7", None)]
    assert ("h", b"v") in found[b"0"].headers()
    assert ("driftd-reason", b"not_object") in found[b"1"].headers()
    assert "dead_letters.blocked" in daemon.log.read_text()
    store = StateStore(tmp_path / "state")
    assert store.positions() == {Partition(TOPIC, 0): 2}
    store.close()


def test_each_rejected_record_is_in_the_topic_however_often_the_daemon_is_killed(
    apache_kafka: "ApacheKafka", topic: str, tmp_path: Path
) -> None:
    """At least once, as it came, with where it was from; and nothing that was counted is there."""
    letters, chance = f"{topic}-letters", random.Random(KILLS_SEED)
    for name in (topic, letters):
        apache_kafka.create_topic(name)
    choice = settings(apache_kafka.bootstrap, tmp_path, {"topic": letters}) | {"topics": [{"name": topic}]}
    daemon, sent = Driftd(tmp_path, choice), list[bytes]()
    for _ in range(KILLS):
        more = [message(len(sent) + at) for at in range(400)]
        produce(apache_kafka, topic, more)
        sent += more
        daemon.start(ready=False)
        if chance.random() < 0.5:
            daemon.wait_for(lambda: daemon.metric("driftd_dead_letters_total") > 0)  # of this life
        time.sleep(chance.uniform(0, 1.5))
        daemon.kill()
    daemon.start()
    bad = {str(at).encode(): value for at, value in enumerate(sent) if at % 3 == 0}

    def all_are_there(found: list[Any]) -> bool:
        return {dict(each.headers())["driftd-offset"] for each in found} >= bad.keys()

    found = read_until(apache_kafka.bootstrap, letters, all_are_there)
    assert daemon.stop() == 0

    for each in found:
        told = dict(each.headers())
        assert (each.value(), told["driftd-topic"]) == (bad[told["driftd-offset"]], topic.encode())
        assert told["driftd-reason"] == b"malformed_json"
    store = StateStore(tmp_path / "state")
    assert store.positions() == {Partition(topic, 0): len(sent)}
    store.close()


def message(number: int) -> bytes:
    """Each third cannot be read, and no two are alike."""
    if number % 3 == 0:
        return b"{%d" % number
    told = {"ts": time.time_ns() // MILLISECOND, "model": "m", "version": "1", "features": {"x": number % 100}}
    return json.dumps(told).encode()

#!/usr/bin/env bash
# confluent-kafka 2.16.1 (librdkafka 2.16.0): three members that join a group one after the other, subscribed to two topics of four
# partitions each, by cooperative-sticky. Totals come out even (3, 3 and 2), topics do not: one member gets partitions of the first topic
# alone, another one of the second alone. With roundrobin each member gets some of both. Had all three joined at once, sticky would
# have dealt out both topics evenly, too: what comes later takes only what makes totals even.
# What follows: where two topics stand for two kinds of work, a group for each divides both; one group may give all of one to one member.
# Ends with 0 where this is so, with 1 where it has changed.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet --disable-pip-version-check confluent-kafka==2.16.1
"$home/venv/bin/python" - <<'PYTHON'
import sys
import time

from confluent_kafka import Consumer, Producer, libversion, version

TOPICS = ["events", "counts"]
cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})  # librdkafka's own cluster, in this process
broker = next(iter(cluster.list_topics(timeout=10).brokers.values()))
for topic in TOPICS:
    cluster.produce(topic, b"")
assert cluster.flush(10) == 0
sizes = {topic: len(cluster.list_topics(topic, timeout=10).topics[topic].partitions) for topic in TOPICS}


def divided(strategy, pause):
    """How many partitions of each topic each of three members has, who join with pauses between."""
    members = []

    def poll(seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for member in members:
                member.poll(0.05)

    for _ in range(3):
        members.append(Consumer({
            "bootstrap.servers": f"{broker.host}:{broker.port}", "group.id": f"{strategy}-{pause}", "log_level": 0,
            "partition.assignment.strategy": strategy, "session.timeout.ms": 6000, "heartbeat.interval.ms": 500,
        }))
        members[-1].subscribe(TOPICS)
        poll(pause)
    poll(12)
    found = [[sum(each.topic == topic for each in member.assignment()) for topic in TOPICS] for member in members]
    for member in members:
        member.close()
    return sorted(found)


one_by_one, at_once = divided("cooperative-sticky", 12), divided("cooperative-sticky", 0)
dealt = divided("roundrobin", 12)
print(f"confluent-kafka {version()}, librdkafka {libversion()[0]}; partitions: {sizes}")
print(f"[events, counts] of each member: cooperative-sticky one by one {one_by_one}, at once {at_once}; roundrobin one by one {dealt}")
lopsided = any(events and not counts for events, counts in one_by_one) and any(counts and not events for events, counts in one_by_one)
sys.exit(not (lopsided and all(0 not in each for each in dealt)))
PYTHON

#!/usr/bin/env bash
# Apache Kafka 4.4.0 with its own Java client, and confluent-kafka 2.16.1: a topic is deleted and made anew while consumers have paused
# it. Topics have ids, and fetch requests name them, so one expects to hear of it on resuming. Both clients ask for the metadata, take the
# new id, and fetch from the old position in the new topic, without an error, though they are told to raise one where a position is
# unknown (auto.offset.reset=error, none). The new topic begins with the leader epoch of the old one (0), so this does not tell them apart either.
# Seen: 20 records read of the old topic, 30 written into the new one: both read its records 20 to 29 and say nothing of 0 to 19.
# A fetch that comes while the new topic is still shorter than the position is "out of range": who hears of it is a matter of luck.
# What follows: keep the topic id beside a position (the admin client tells it), and compare.
# Needs Java 17 and Maven. Ends with 0 where this is so, with 1 where it has changed.
set -euo pipefail
home=$(mktemp -d)
broker=
trap '[ -z "$broker" ] || kill "$broker" 2>/dev/null || true; rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet --disable-pip-version-check confluent-kafka==2.16.1
cat >"$home/pom.xml" <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>4.4.0</version></dependency>
  </dependencies>
</project>
XML
mvn -q -B -f "$home/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies "-DoutputDirectory=$home/jars"
read -r port controller < <(python3 -c '
import socket
taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(each.getsockname()[1] for each in taken))')
cat >"$home/server.properties" <<CONF
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:$controller
offsets.topic.replication.factor=1
auto.create.topics.enable=false
log.dirs=$home/data
CONF
java -cp "$home/jars/*" kafka.tools.StorageTool format --cluster-id AAAAAAAAAAAAAAAAAAAAAA --standalone \
    --config "$home/server.properties" >"$home/format.log" 2>&1
java -Xmx384m -cp "$home/jars/*" kafka.Kafka "$home/server.properties" >"$home/broker.log" 2>&1 &
broker=$!
cat >"$home/Reader.java" <<'JAVA'
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

public class Reader {
    public static void main(String[] place) {
        Map<String, Object> settings = Map.of("bootstrap.servers", place[0], "auto.offset.reset", "none",
            "enable.auto.commit", "false", "metadata.max.age.ms", "1000");
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            var first = new TopicPartition("events", 0);
            consumer.assign(List.of(first));
            consumer.seek(first, 0);
            while (true) {
                if (new java.io.File(place[1]).exists()) consumer.pause(List.of(first));
                else consumer.resume(List.of(first));
                for (var record : consumer.poll(Duration.ofMillis(200))) System.out.println(record.offset() + " " + record.value());
            }
        }
    }
}
JAVA
"$home/venv/bin/python" - "$home" "127.0.0.1:$port" <<'PYTHON'
import subprocess
import sys
import time
from pathlib import Path

import confluent_kafka
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

home, servers = Path(sys.argv[1]), sys.argv[2]
admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
OLD, NEW, PATIENCE = 20, 30, 120


def until(done, what):
    deadline = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > deadline:
            sys.exit(f"not within {PATIENCE} s: {what}")
        time.sleep(0.2)


def make():
    def made():
        error = admin.create_topics([NewTopic("events", 1, 1)])["events"].exception()
        return error is None or "exists" in str(error)

    until(made, "the topic is made")


def there():
    found = admin.list_topics(timeout=10).topics.get("events")
    return found is not None and found.error is None and len(found.partitions) == 1


def send(word, count):
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, "log_level": 0})
    for at in range(count):
        producer.produce("events", f"{word}{at}")
    producer.flush(PATIENCE)


make()
until(there, "the topic is there")
send("old", OLD)
output = home / "java.txt"
command = ["java", "-cp", f"{home}/jars/*", f"{home}/Reader.java", servers, str(home / "paused")]
java = subprocess.Popen(command, stdout=output.open("w"), stderr=subprocess.DEVNULL)
reader = Consumer(
    {
        "bootstrap.servers": servers,
        "group.id": "finding",
        "auto.offset.reset": "error",
        "enable.auto.commit": False,
        "topic.metadata.refresh.interval.ms": 1000,
        "log_level": 0,
    }
)
place = [TopicPartition("events", 0, 0)]
reader.assign(place)
seen = {"librdkafka": [], "Java": []}


def look():
    message = reader.poll(0.2)
    if message is not None:
        seen["librdkafka"].append(message.error().str() if message.error() else message.value().decode())
    seen["Java"] = [line.split()[1] for line in output.read_text().splitlines() if line[:1].isdigit()]


def both_at(last):
    look()
    return all(found and found[-1] == last for found in seen.values())


try:
    until(lambda: both_at(f"old{OLD - 1}"), "both have read the old topic")
    before = {name: len(found) for name, found in seen.items()}
    (home / "paused").touch()
    reader.pause(place)
    time.sleep(2)  # Java sees it between two polls
    admin.delete_topics(["events"])["events"].result()
    until(lambda: not there(), "the old topic is gone")
    make()
    until(there, "the new topic is there")
    send("new", NEW)
    (home / "paused").unlink()
    reader.resume(place)
    until(lambda: both_at(f"new{NEW - 1}"), "both have read the new topic to its end")
    found = {name: all_read[before[name] :] for name, all_read in seen.items()}
    for name, after in found.items():
        print(f"{name}: {before[name]} old records, then {len(after)} of {NEW} new ones, from {after[0]} to {after[-1]}")
    expected = [f"new{at}" for at in range(OLD, NEW)]
    same = before == {"librdkafka": OLD, "Java": OLD} and all(after == expected for after in found.values())
finally:
    java.kill()
    java.wait()
    reader.close()
print(f"confluent-kafka {confluent_kafka.version()}, librdkafka {confluent_kafka.libversion()[0]}, Apache Kafka 4.4.0")
sys.exit(0 if same else 1)
PYTHON

"""Events a second of the daemon beside a bare consume loop, interleaved in one run: `make bench`.

Each contender reads the same events (JSON, 20 numeric features, about 600 bytes) from the same broker in a process of
its own, start-up apart. `bare` polls and drops, `decode` adds the typed decoding to columns, `run` is the whole
daemon: windows of 10 000 rows, KS, PSI and ADWIN on each feature, checkpoints, /metrics. What counts is the ratio.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

FEATURES = [f"feature_{at:02d}" for at in range(20)]
PARTITIONS = 32  # the mock keeps 5 MiB a partition
BLOCK = 1_000
WINDOW_ROWS = 10_000
BEGIN_MS = 1_763_870_700_000
TOPIC = "bench"


def events(count: int, seed: int = 0) -> list[bytes]:
    """JSON events; a millisecond of event time each."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, len(FEATURES))).round(6).tolist()
    encode = msgspec.json.Encoder().encode
    return [
        encode(
            {
                "id": f"request-{at:09d}",
                "ts": BEGIN_MS + at,
                "model": "bench",
                "version": "1",
                "features": dict(zip(FEATURES, row, strict=True)),
                "prediction": 0.5,
                "service": "scoring-service-eu-west-1a",
            }
        )
        for at, row in enumerate(rows)
    ]


def produce(servers: str, values: list[bytes]) -> None:
    """Fill the topic, a block of events a partition in turn: the mock serves one batch a request."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": servers, "linger.ms": 20, "compression.type": "lz4"})
    for at, value in enumerate(values):
        producer.produce(TOPIC, value, partition=at // BLOCK % PARTITIONS)
        if at % 10_000 == 0:
            producer.flush(60)
    if producer.flush(60):
        raise SystemExit("the broker did not take all events")


def config(home: Path, servers: str) -> Path:
    """The daemon's configuration."""
    from detectors import Reference

    rng = np.random.default_rng(1)
    Reference.fit({name: rng.normal(size=50_000) for name in FEATURES}).save(home / "bench.json")
    rule = {"name": "psi", "detector": "psi", "fire_above": 0.25, "clear_below": 0.1}
    path = home / "driftd.yaml"
    path.write_text(
        json.dumps(
            {
                "kafka": {"bootstrap_servers": servers, "start_from": "earliest"},
                "topics": [{"name": TOPIC}],
                "models": [
                    {
                        "name": "bench",
                        "version": "1",
                        "reference": "bench.json",
                        "window": f"{WINDOW_ROWS}ms",
                        "lateness": "1s",
                    }
                ],
                "alerting": {"rules": [rule]},
                "state": str(home / "state"),
                "http": {"port": 0},
                "log": {"level": "error"},
            }
        ),
        encoding="utf-8",
    )
    return path


def measure_bare(servers: str, count: int) -> float:
    """Seconds to read all events with `Consumer.consume`, from the first batch on."""
    consumer = reader(servers)
    first = len(consumer.consume(10_000, 10))
    began, read = time.perf_counter(), 0
    while first + read < count:
        read += len(consumer.consume(10_000, 1))
    return read / (time.perf_counter() - began)


def measure_decode(servers: str, count: int, home: Path) -> float:
    """The same, each batch decoded to columns."""
    from monitor.app import build_decoders, load
    from monitor.runtime.loop import calm_collector
    from monitor.settings import load_settings
    from monitor.sources.base import TopicRecords

    calm_collector()
    decoder = build_decoders(load(load_settings(config(home, servers)), home))[TOPIC]
    consumer = reader(servers)
    first = len(consumer.consume(10_000, 10))
    began, read = time.perf_counter(), 0
    while first + read < count:
        messages = consumer.consume(10_000, 1)
        partitions = [message.partition() for message in messages]
        decoder.decode(TopicRecords(TOPIC, partitions, [message.value() for message in messages]), time.time_ns())
        read += len(messages)
    return read / (time.perf_counter() - began)


def reader(servers: str) -> Any:
    """A consumer of all partitions, with the daemon's own settings."""
    from confluent_kafka import Consumer, TopicPartition

    from monitor.sources.client import SAFE_PROPERTIES

    properties = {**SAFE_PROPERTIES, "enable.partition.eof": False, "bootstrap.servers": servers, "group.id": "bench"}
    consumer = Consumer(properties)
    consumer.assign([TopicPartition(TOPIC, at, 0) for at in range(PARTITIONS)])
    return consumer


def measure_run(servers: str, count: int, home: Path) -> float:
    """The daemon's own loop in this process, from the first batch on; the HTTP server and checkpoints run too."""
    from monitor.app import Daemon, load
    from monitor.runtime.loop import calm_collector
    from monitor.runtime.telemetry import configure_logging
    from monitor.settings import load_settings

    configure_logging("error", "json")
    calm_collector()
    daemon = Daemon(load(load_settings(config(home, servers)), home))
    daemon.server.start()
    daemon.source.open({})

    def counted() -> int:
        return int(daemon.telemetry.look(lambda board: sum(board.counters["driftd_events_total"].values())))

    while not (first := counted()):
        daemon.loop.turn(0.1)
    began = time.perf_counter()
    while counted() < count:
        daemon.loop.turn(0.1)
        if daemon.checkpointer.due:
            daemon.loop.save()
    rate = (count - first) / (time.perf_counter() - began)
    daemon.close()
    return rate


def one(contender: str, servers: str, count: int) -> None:
    """Measure one contender in this process and print its rate."""
    with tempfile.TemporaryDirectory() as directory:
        match contender:
            case "bare":
                rate = measure_bare(servers, count)
            case "decode":
                rate = measure_decode(servers, count, Path(directory))
            case _:
                rate = measure_run(servers, count, Path(directory))
    print(json.dumps(rate))


def compare(name: str, servers: str, count: int, rounds: int) -> None:
    """Interleave the contenders and print medians and ratios."""
    rates: dict[str, list[float]] = {contender: [] for contender in ("bare", "decode", "run")}
    for _ in range(rounds):
        for contender, found in rates.items():
            command = [sys.executable, __file__, "--one", contender, "--servers", servers, "--events", str(count)]
            found.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    print(f"\n{name}: {count:,} events, {rounds} rounds, events a second, median (lowest to highest)")
    for contender, found in rates.items():
        against = [rate / bare for rate, bare in zip(found, rates["bare"], strict=True)]
        print(
            f"  {contender:<7} {statistics.median(found):>9,.0f} ({min(found):,.0f} to {max(found):,.0f})   "
            f"{statistics.median(against):.2f} of bare"
        )
    ratio = statistics.median(run / decode for run, decode in zip(rates["run"], rates["decode"], strict=True))
    print(f"  run is {ratio:.2f} of decode")


def main() -> None:
    """Measure on the mock, and on a real Kafka where there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", choices=["bare", "decode", "run"], help=argparse.SUPPRESS)
    parser.add_argument("--servers", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.one, options.servers, options.events)
        return
    from tests.parts.kafka import ApacheKafka
    from tests.parts.missing import MissingPart
    from tests.parts.mock import MockBroker

    values = events(options.events)
    print(f"{sum(map(len, values)) / len(values):.0f} bytes an event")
    mock = MockBroker()
    mock.create_topic(TOPIC, PARTITIONS)
    produce(mock.bootstrap, values)
    compare("mock cluster", mock.bootstrap, options.events, options.rounds)
    mock.stop()
    try:
        with tempfile.TemporaryDirectory() as directory:
            kafka = ApacheKafka(Path(directory))
            kafka.create_topic(TOPIC, PARTITIONS)
            produce(kafka.bootstrap, values)
            compare("Apache Kafka", kafka.bootstrap, options.events, options.rounds)
            kafka.close()
    except MissingPart as missing:
        print(f"\nApache Kafka left out: {missing}")


if __name__ == "__main__":
    main()

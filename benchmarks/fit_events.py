"""Events a second of `driftd reference fit --config --kafka`, beside the daemon's own reading and decoding of the same topics.

`decoded` takes a range of the topics and hands each poll to the daemon's decoder, and keeps nothing. `fitted` is the whole
command: it finds the features, decodes, profiles twice, learns the calibration and writes the file. Each in turn, in one
process; the broker is librdkafka's mock cluster in another, or any that KAFKA names.
"""

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import Figures, options, ratio, said, spread, write

COUNT, ROUNDS = 1_000_000, 3
A_TOPIC = 200_000  # events: what the mock broker keeps of four partitions
PLANS = ("free", "pro", "team", "enterprise")


def messages(count: int) -> Iterator[bytes]:
    """Events of one model: twelve numbers, two categories, a prediction; two a second."""
    draw = random.Random(7)
    for at in range(count):
        event = {
            "id": f"r-{at}",
            "ts": 1_763_870_700_000 + at * 500,
            "model": "churn",
            "version": "3",
            "features": {f"x{n}": round(draw.gauss(0, 1), 4) for n in range(12)}
            | {"plan": draw.choice(PLANS), "country": f"c{draw.randrange(40)}"},
            "prediction": draw.random(),
        }
        yield json.dumps(event).encode()


def topics(count: int) -> list[str]:
    """The topics that so many events fill."""
    return [f"fit-events-{number}" for number in range(-(-count // A_TOPIC))]


def filled(count: int) -> tuple[object, str]:
    """A broker that holds the events, in four partitions of each topic, and where it is. The mock one keeps 5 MiB a partition."""
    from confluent_kafka import Producer

    from monitor.sources.kafka.embedded import EmbeddedBroker

    named = os.environ.get("KAFKA")
    broker = None if named else EmbeddedBroker()
    servers = named or broker.bootstrap_servers  # type: ignore[union-attr]
    producer = Producer(
        {"bootstrap.servers": servers, "compression.type": "zstd", "linger.ms": 50, "batch.size": 1 << 20}
    )
    named_topics = topics(count)
    for at, message in enumerate(messages(count)):
        producer.produce(named_topics[at % len(named_topics)], message, partition=at // len(named_topics) % 4)
        if at % 10_000 == 0:
            producer.flush()
    producer.flush()
    return broker, servers


def configured(home: Path, servers: str, names: list[str]) -> Path:
    """A configuration of the topics."""
    path = home / "driftd.yaml"
    path.write_text(
        f"kafka: {{bootstrap_servers: '{servers}'}}\ntopics: [{', '.join(f'{{name: {name}}}' for name in names)}]\n"
        "models: [{name: churn, version: '3', reference: r.json}]\n",
        encoding="utf-8",
    )
    return path


def fitted(config: Path) -> int:
    """The command; how many events it took."""
    from monitor.cli import main

    assert main(["reference", "fit", "--config", str(config), "--kafka"]) == 0
    return int(json.loads((config.parent / "r.json").read_text(encoding="utf-8"))["rows"])


def decoded(config: Path) -> int:
    """The daemon's reading and decoding; how many events it took."""
    from monitor.app import build_decoder
    from monitor.backtest.replay import Range
    from monitor.commands.records import range_of_topics
    from monitor.configuration import load
    from monitor.settings import load_settings
    from monitor.sources.formats.values import LATEST_NANOS

    configuration = load(load_settings(config), config.parent)
    decoders = {topic.name: build_decoder(configuration, topic) for topic in configuration.settings.topics}
    for decoder in decoders.values():
        decoder.max_future = LATEST_NANOS
    record = range_of_topics(configuration.settings, decoders, Range())
    return sum(len(batch) for piece in record.pieces() for batch in piece.arrived.batches)


def rate(work: Callable[[Path], int], config: Path) -> float:
    """Events a second."""
    began = time.perf_counter()
    return work(config) / (time.perf_counter() - began)


def main() -> None:
    """Each in turn, so that what else goes on concerns both."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    count = 20_000 if chosen.quick else COUNT
    with tempfile.TemporaryDirectory() as home:
        broker, servers = filled(count)
        config = configured(Path(home), servers, topics(count))
        fitted(config)
        works = {"decoded": decoded, "fitted": fitted}
        found = [{name: rate(work, config) for name, work in works.items()} for _ in range(chosen.rounds)]
        del broker
    rates = {name: [one[name] for one in found] for name in works}
    figures: Figures = {
        "rates": {name: spread(those) for name, those in rates.items()},
        "ratios": {"fitted": ratio(rates["fitted"], rates["decoded"])},
    }
    print(f"\nfit from events: {count:,} events, {chosen.rounds} rounds, events/s, median (lowest to highest)")
    for name, those in figures["rates"].items():
        print(f"  {name:<10} {said(those)}")
    print(f"  fitted ÷ decoded × {figures['ratios']['fitted']['median']:.2f}")
    write(chosen.json, figures)


if __name__ == "__main__":
    main()

"""One contender in one process: reads a filled topic once and says how fast, as a line of JSON.

`bare` polls and drops. `plain` adds msgspec's typed decoding by a struct made by hand and a float64 matrix of it: no
routing, no check, no window; it knows nothing of driftd. `decode` adds driftd's decoder to `bare`; `native` is that decoder
fed by the native reader, which makes no Python object a message. `run` is the daemon:
windows of 10 000 rows, every detector on each feature, the budget's charts, checkpoints, /metrics. Start-up and first batch are not counted.
"""

import argparse
import gc
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Message, TopicPartition

from benchmarks.brokers import reader
from benchmarks.measure import Figures, less, rss, threads
from benchmarks.traffic import FEATURES, KINDS, TOPIC, config, refuse_uncharted

BATCH = 10_000
PATIENCE = 30.0  # seconds without a record
VALUE: Any = Message.value
PARTITION: Any = Message.partition
Work = Callable[[Sequence[Any]], object]


def read_all(servers: str, topic: str, count: int, work: Work) -> Figures:
    """Consume all events and do some work on each batch; timed from the end of the first one on."""
    consumer = reader(servers, topic)
    first = consumer.consume(min(BATCH, count // 2), PATIENCE)
    work(first)
    began, used, read, wanted = time.perf_counter(), time.process_time(), 0, count - len(first)
    while read < wanted:
        messages = consumer.consume(min(BATCH, wanted - read), PATIENCE)
        if not messages:
            raise SystemExit(f"{topic}: only {len(first) + read} of {count} events are there")
        work(messages)
        read += len(messages)
    seconds = time.perf_counter() - began
    return {"rate": read / seconds, "cpu": (time.process_time() - used) / seconds, "read": len(first) + read}


def read_native(servers: str, topic: str, count: int, decoder: Any) -> Figures:
    """The same by the native reader, its records decoded where they lie."""
    from benchmarks.brokers import PARTITIONS, reading_properties
    from monitor.sources.kafka.native import NativeConsumer

    consumer = NativeConsumer(reading_properties(servers))
    consumer.incremental_assign([TopicPartition(topic, at, 0) for at in range(PARTITIONS)])

    def work(most: int) -> int:
        taken = consumer.batch(most, PATIENCE).taken([topic])
        for each in taken:
            decoder.decode(each.records(()), time.time_ns())
        return sum(map(len, taken))

    first = work(min(BATCH, count // 2))
    began, used, read, wanted = time.perf_counter(), time.process_time(), 0, count - first
    while read < wanted:
        more = work(min(BATCH, wanted - read))
        if not more:
            raise SystemExit(f"{topic}: only {first + read} of {count} events are there")
        read += more
    seconds = time.perf_counter() - began
    return {"rate": read / seconds, "cpu": (time.process_time() - used) / seconds, "read": first + read}


def plain_decoder() -> Callable[[Iterable[bytes]], object]:
    """Typed decoding to a matrix as one would write it for these twenty features."""
    import numpy as np

    features = msgspec.defstruct("Features", [(name, float) for name in FEATURES], gc=False)
    decode = msgspec.json.Decoder(msgspec.defstruct("Event", [("ts", int), ("features", features)], gc=False)).decode
    astuple, ts, features_of = msgspec.structs.astuple, attrgetter("ts"), attrgetter("features")

    def work(values: Iterable[bytes]) -> object:
        found = list(map(decode, values))
        rows = chain.from_iterable(map(astuple, map(features_of, found)))  # fromiter: the quickest of four ways tried
        matrix = np.fromiter(rows, np.float64, len(found) * len(FEATURES)).reshape(-1, len(FEATURES))
        return np.fromiter(map(ts, found), np.int64, len(found)), matrix

    return work


def own_decoder(home: Path, kind: str) -> Any:
    """The daemon's decoder for one kind of traffic."""
    from monitor.app import build_decoders
    from monitor.runtime.loop import calm_collector

    calm_collector()
    return build_decoders(loaded_from(config(home, "127.0.0.1:1", kind)))[TOPIC]


def own_work(decoder: Any) -> Work:
    """Messages to driftd's columns."""
    from monitor.sources.base import TopicRecords

    def work(messages: Sequence[Any]) -> object:
        records = TopicRecords(TOPIC, list(map(PARTITION, messages)), list(map(VALUE, messages)))
        return decoder.decode(records, time.time_ns())

    return work


class Timed:
    """A source that knows when the first batch was done with, and stops the daemon after so many records."""

    def __init__(self, source: Any, count: int) -> None:
        self.source = source
        self.count = count
        self.first = self.read = 0
        self.began = self.ended = 0.0
        self.used = self.spent = 0.0
        self.looped = 0.0  # of this, by the loop's own thread
        self.threads: dict[str, float] = {}
        self.faults = self.switches = 0  # pages, and changes of the thread that runs
        self.stop: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def poll(self, timeout: float) -> Any:
        """The source's own poll; the work on a batch is over when the next is asked for."""
        if self.first and not self.began:
            self.used, self.threads, self.began = time.process_time(), threads(), time.perf_counter()
            self.looped = -time.thread_time()
            self._system(-1)
        if self.read >= self.count and not self.ended:
            self.ended, self.spent = time.perf_counter(), time.process_time() - self.used
            self.threads = less(threads(), self.threads)
            self.looped += time.thread_time()
            self._system(1)
            self.stop()
        poll = self.source.poll(timeout)
        if not self.ended:
            self.read += sum(len(records.values) for records in poll.records)
            self.first = self.first or self.read
        return poll

    def _system(self, sign: int) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        self.faults += sign * used.ru_minflt
        self.switches += sign * (used.ru_nvcsw + used.ru_nivcsw)

    def figures(self) -> Figures:
        """What was found."""
        seconds = self.ended - self.began
        counted = self.read - self.first
        used = {
            "cpu": self.spent / seconds,
            "cost": self.spent / max(1, counted),
            "loop": self.looped / max(1, counted),
            "threads": self.threads,
            "faults": self.faults / max(1, counted),
            "switches": self.switches,
            "rss": rss(),
        }
        return {"rate": counted / seconds, "read": self.read, "seconds": seconds, **used}


def loaded_from(path: Path) -> Any:
    """Settings and references, as `driftd run` reads them."""
    from monitor.configuration import load
    from monitor.settings import load_settings

    return load(load_settings(path), path.parent)


def run_daemon(
    configuration: Any,
    count: int,
    source: Any = None,
    ready: Callable[[], object] = lambda: None,
    threads: int | None = None,
) -> Figures:
    """The whole daemon, until it has read so many events."""
    from monitor.app import Daemon, build_source
    from monitor.clock import SystemClock
    from monitor.commands.arguments import usable_cores
    from monitor.commands.run import warm_up
    from monitor.runtime.loop import calm_collector
    from monitor.runtime.telemetry import configure_logging

    configure_logging("error", "json")
    clock = SystemClock()
    timed: Any = Timed(source or build_source(configuration.settings, clock, threads or usable_cores()), count)
    daemon = Daemon.start(configuration, clock=clock, source=timed)
    refuse_uncharted(daemon.pipeline)
    timed.stop = daemon.stop
    warm_up(configuration).join()  # as `driftd run` does while Kafka answers
    calm_collector()
    ready()
    daemon.run()
    return timed.figures()


def await_word() -> None:
    """Say that everything is loaded and wait for a line: contenders that run at once begin at once."""
    print("ready", flush=True)
    sys.stdin.readline()


def measure(options: argparse.Namespace, home: Path) -> Figures:
    """One contender, once."""
    servers, topic, count = options.servers, options.topic, options.events
    match options.contender:
        case "bare":
            gc.disable()
            return read_all(servers, topic, count, len)
        case "plain":
            gc.disable()
            decode = plain_decoder()
            return read_all(servers, topic, count, lambda messages: decode(map(VALUE, messages)))
        case "decode":
            return read_all(servers, topic, count, own_work(own_decoder(home, options.kind)))
        case "native":
            return read_native(servers, topic, count, own_decoder(home, options.kind))
        case _:
            configuration = loaded_from(config(home, servers, options.kind, topic=topic))
            ready = await_word if options.wait else lambda: None
            return run_daemon(configuration, count, ready=ready, threads=getattr(options, "threads", None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender", choices=["bare", "plain", "decode", "native", "run"])
    parser.add_argument("--servers", required=True)
    parser.add_argument("--topic", default=TOPIC)
    parser.add_argument("--kind", choices=list(KINDS), default="numeric")
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--repeat", type=int, default=1, help="for a profile, which needs some seconds")
    parser.add_argument("--threads", type=int, help="of the daemon (as many as there are cores)")
    parser.add_argument("--wait", action="store_true", help="wait for a line on standard input before beginning")
    options = parser.parse_args()
    for _ in range(options.repeat):
        with tempfile.TemporaryDirectory() as directory:
            print(json.dumps(measure(options, Path(directory))), flush=True)


if __name__ == "__main__":
    main()

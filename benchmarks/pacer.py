"""A producer in a process of its own that keeps a pace: events stamped as they are sent, or by a clock of their own."""

import argparse
import json
import time
from collections.abc import Iterator
from itertools import cycle, islice

from benchmarks.brokers import drain, producer
from benchmarks.measure import cpu_seconds
from benchmarks.traffic import BEGIN_MS, events

TICK = 0.01  # seconds
AT_ONCE = 1_000  # events with one stamp: more, where the producer falls behind, would be old before they are sent
DIFFERENT = 20_000  # events, sent again and again with another time


def pieces(count: int = DIFFERENT) -> list[tuple[bytes, bytes]]:
    """Events without their time."""
    found = []
    for at, value in enumerate(events(count)):
        before, _, after = value.partition(str(BEGIN_MS + at).encode())
        found.append((before, after))
    return found


def stamped(count: int, from_ms: int, step_ms: float) -> Iterator[bytes]:
    """Events with a clock of their own."""
    for at, (before, after) in zip(range(count), cycle(pieces()), strict=False):
        yield before + str(from_ms + int(at * step_ms)).encode() + after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="events a second")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--from-ms", type=int, help="event time of the first event; the present where it is not given")
    parser.add_argument("--step-ms", type=float, help="event time from one event to the next")
    options = parser.parse_args()
    stock = cycle(pieces())
    client = producer(options.servers, **{"linger.ms": 5})
    began, used, sent, tick = time.perf_counter(), cpu_seconds(), 0, 0
    while (passed := time.perf_counter() - began) < options.seconds:
        due = min(int(passed * options.rate) - sent, AT_ONCE)
        if due > 0:
            now = time.time_ns() // 1_000_000
            stamps = [now] * due
            if options.from_ms is not None:
                stamps = [options.from_ms + int(at * options.step_ms) for at in range(sent, sent + due)]
            block = [
                {"value": before + str(stamp).encode() + after}
                for stamp, (before, after) in zip(stamps, islice(stock, due), strict=True)
            ]
            client.produce_batch(options.topic, block, partition=tick % options.partitions)
            sent += due
            tick += 1
        client.poll(0 if due == AT_ONCE else TICK)
    seconds = time.perf_counter() - began
    cpu = (cpu_seconds() - used) / seconds
    drain(client)
    print(json.dumps({"rate": sent / seconds, "sent": sent, "cpu": cpu}))


if __name__ == "__main__":
    main()

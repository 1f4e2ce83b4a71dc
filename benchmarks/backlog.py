"""Resident memory of the daemon while it reads a short backlog and a long one, on Apache Kafka.

The events are small (4 features), so that millions of them are produced within the time; `--events` asks for more.
"""

import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import brokers
from benchmarks.daemon import Daemon, running
from benchmarks.measure import Figures, options, rss, write
from benchmarks.traffic import BEGIN_MS, FEATURES, event

PARTITIONS = 8
EVENTS = 10_000_000
SHORT = 10  # the long backlog is so many times the short one
PRODUCING_SECONDS = 45.0
READING_SECONDS = 12.0
LOOK_EVERY = 0.1
DIFFERENT = 10_000
MIB = 2**20


def values(first: int) -> Iterator[bytes]:
    """Small events without end."""
    pieces = []
    usual = [round(NormalDist().inv_cdf((at + 0.5) / 1_000), 3) for at in range(1_000)]
    for at in range(DIFFERENT):
        features = dict.fromkeys(FEATURES[:4], usual[at * 7919 % len(usual)])
        before, _, after = (
            event(0, features)
            .replace(b',"service":"scoring-service-eu-west-1a"', b"")
            .partition(str(BEGIN_MS).encode())
        )
        pieces.append((before, after))
    for at, (before, after) in zip(itertools.count(first), itertools.cycle(pieces), strict=False):
        yield before + str(BEGIN_MS + at).encode() + after


def until(found: Iterator[bytes], count: int, seconds: float) -> Iterator[bytes]:
    """So many of them, or fewer when the time is over."""
    deadline = time.monotonic() + seconds
    for at, value in enumerate(itertools.islice(found, count)):
        if at % brokers.BLOCK == 0 and time.monotonic() > deadline:
            return
        yield value


def read(node: Any, home: Path, backlog: int, seconds: float) -> Figures:
    """RSS over time of a daemon that begins at the first event."""
    home.mkdir()
    with running(home, node.bootstrap, "backlog", features=FEATURES[:4]) as daemon:
        began = time.monotonic()
        samples: list[tuple[float, float]] = []
        while not samples or (samples[-1][0] < seconds and not done(daemon, backlog)):
            time.sleep(LOOK_EVERY)
            samples.append((round(time.monotonic() - began, 2), round(rss(daemon.pid) / MIB, 1)))
        counted = daemon.total("driftd_events_total")
    return {"backlog": backlog, "read": counted, "peak_mib": max(size for _, size in samples), "samples": samples}


def done(daemon: Daemon, backlog: int) -> bool:
    """Whether all of it was read."""
    return daemon.total("driftd_events_total") >= backlog


def main() -> None:
    """Produce a tenth, read it; produce the rest, read again."""
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    chosen = parser.parse_args()
    count = 100_000 if chosen.quick else chosen.events
    figures: Figures = {}
    with brokers.apache() as node, tempfile.TemporaryDirectory() as directory:
        if node is not None:
            node.create_topic("backlog", PARTITIONS)
            short = count // SHORT
            brokers.produce(node.bootstrap, "backlog", itertools.islice(values(0), short), PARTITIONS)
            few = read(node, Path(directory, "short"), short, READING_SECONDS)
            rest = until(values(short), count - short, PRODUCING_SECONDS)
            counter = itertools.count()
            counted = (value for value, _ in zip(rest, counter, strict=False))
            rate = brokers.produce(node.bootstrap, "backlog", counted, PARTITIONS)
            many = read(node, Path(directory, "long"), short + next(counter) - 1, READING_SECONDS)
            grown = many["peak_mib"] / few["peak_mib"]
            figures = {"bytes": len(next(values(0))), "produced": rate, "short": few, "long": many, "ratio": grown}
            print(f"backlog: events of {figures['bytes']} bytes, produced at {rate:,.0f}/s")
            for one in (few, many):
                print(f"  {one['backlog']:>12,} unread: {one['read']:,.0f} read, RSS at most {one['peak_mib']:.0f} MiB")
            print(f"  × {grown:.2f}")
    write(chosen.json, figures)


if __name__ == "__main__":
    main()

"""Resident memory of the daemon while it reads a short backlog and a long one, on Apache Kafka.

The events are small (4 features), so that millions of them are produced within the time; `--events` asks for more. With
`--idle` the last partitions hold nothing of it. While the backlog is read, each of them is sent a message now and then
that is no event: how long until all were read says whether a full partition keeps the others waiting.
"""

import argparse
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
from benchmarks.measure import Figures, cpu_seconds, options, rss, said, spread, write
from benchmarks.traffic import BEGIN_MS, FEATURES, event

TOPIC = "backlog"
PARTITIONS = 8
EVENTS = 10_000_000
QUICK_EVENTS = 100_000
OK, REJECTED = 'outcome="ok"', 'outcome="rejected"'
SHORT = 10  # the long backlog is so many times the short one
A_MILLISECOND = (
    100  # events: the backlog spans less than `max_future`, so that no partition waits for another one's time
)
PRODUCING_SECONDS = 45.0
READING_SECONDS = 12.0
LOOK_EVERY = 0.1
MARK_EVERY = 1.0  # second
MARK = b"{}"
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
        yield before + str(BEGIN_MS + at // A_MILLISECOND).encode() + after


def until(found: Iterator[bytes], count: int, seconds: float) -> Iterator[bytes]:
    """So many of them, or fewer when the time is over."""
    deadline = time.monotonic() + seconds
    for at, value in enumerate(itertools.islice(found, count)):
        if at % brokers.BLOCK == 0 and time.monotonic() > deadline:
            return
        yield value


class Marks:
    """Messages that are no events, one to each idle partition, and how long it took until all were counted."""

    def __init__(self, servers: str, daemon: Daemon, partitions: range) -> None:
        self._client, self._daemon, self._partitions = brokers.producer(servers, **{"linger.ms": 0}), daemon, partitions
        self._sent, self._at = 0, 0.0
        self.seconds: list[float] = []

    def look(self, now: float) -> None:
        """See whether the last ones came; send the next ones when it is time."""
        waiting = self._sent > len(self._partitions) * len(self.seconds)
        if waiting and self._daemon.total("driftd_events_total", REJECTED) >= self._sent:
            self.seconds.append(round(now - self._at, 2))
            waiting = False
        if self._partitions and not waiting and now >= self._at + MARK_EVERY:
            for partition in self._partitions:
                self._client.produce(TOPIC, MARK, partition=partition)
            brokers.drain(self._client)
            self._sent, self._at = self._sent + len(self._partitions), now


def read(node: Any, home: Path, backlog: int, seconds: float, idle: range = range(0)) -> Figures:
    """RSS over time of a daemon that begins at the first event."""
    home.mkdir()
    with running(home, node.bootstrap, TOPIC, features=FEATURES[:4]) as daemon:
        began, before = time.monotonic(), cpu_seconds(daemon.pid)
        samples: list[tuple[float, float]] = []
        marks = Marks(node.bootstrap, daemon, idle)
        while not samples or (samples[-1][0] < seconds and not done(daemon, backlog)):
            time.sleep(LOOK_EVERY)
            now = time.monotonic() - began
            samples.append((round(now, 2), round(rss(daemon.pid) / MIB, 1)))
            marks.look(now)
        counted, used = daemon.total("driftd_events_total", OK), cpu_seconds(daemon.pid) - before
    sizes = [size for _, size in samples]
    third = max(1, len(sizes) // 3)
    return {
        "backlog": backlog,
        "read": counted,
        "processor": used,
        "peak_mib": max(sizes),
        "first_third_mib": max(sizes[:third]),
        "last_third_mib": max(sizes[-third:]),
        "marks_seconds": marks.seconds,
        "samples": samples,
    }


def done(daemon: Daemon, backlog: int) -> bool:
    """Whether all of it was read."""
    return daemon.total("driftd_events_total", OK) >= backlog


def measure(node: Any, home: Path, chosen: argparse.Namespace) -> Figures:
    """Produce a tenth, read it; produce the rest, read again."""
    full, count = chosen.partitions - chosen.idle, chosen.events
    idle, short = range(full, chosen.partitions), count // SHORT
    node.create_topic(TOPIC, chosen.partitions)
    brokers.produce(node.bootstrap, TOPIC, itertools.islice(values(0), short), full)
    few = read(node, home / "short", short, chosen.seconds)
    rest = until(values(short), count - short, max(PRODUCING_SECONDS, chosen.seconds))
    counter = itertools.count()
    counted = (value for value, _ in zip(rest, counter, strict=False))
    rate = brokers.produce(node.bootstrap, TOPIC, counted, full)
    many = read(node, home / "long", short + next(counter), chosen.seconds, idle)
    grown = many["peak_mib"] / few["peak_mib"]
    return {"bytes": len(next(values(0))), "produced": rate, "short": few, "long": many, "ratio": grown}


def show(figures: Figures) -> None:
    """For people."""
    print(f"backlog: events of {figures['bytes']} bytes, produced at {figures['produced']:,.0f}/s")
    for one in (figures["short"], figures["long"]):
        print(
            f"  {one['backlog']:>12,} unread: {one['read']:,.0f} read in {one['samples'][-1][0]:.0f} s, "
            f"RSS at most {one['peak_mib']:.0f} MiB, {one['first_third_mib']:.0f} in the first third of the time, "
            f"{one['last_third_mib']:.0f} in the last"
        )
    print(f"  × {figures['ratio']:.2f}")
    if took := figures["long"]["marks_seconds"]:
        print(f"  idle partitions: {len(took)} times a message to each; all were read after {said(spread(took), 2)} s")


def main() -> None:
    """Measure, print, and write where asked."""
    parser = options(__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--partitions", type=int, default=PARTITIONS)
    parser.add_argument("--idle", type=int, default=0, help="of the partitions, so many hold nothing")
    parser.add_argument("--seconds", type=float, default=READING_SECONDS, help="at most for each reading")
    chosen = parser.parse_args()
    if not 0 <= chosen.idle < chosen.partitions:
        parser.error(f"--idle {chosen.idle} is not from 0 to {chosen.partitions - 1}")
    if chosen.quick:
        chosen.events = min(chosen.events, QUICK_EVENTS)
    figures: Figures = {}
    with brokers.apache() as node, tempfile.TemporaryDirectory() as directory:
        if node is not None:
            figures = measure(node, Path(directory), chosen)
            show(figures)
    write(chosen.json, figures)


if __name__ == "__main__":
    main()

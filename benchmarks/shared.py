"""Processor time an event of replicas that share a topic, one and two of them, beside one process: on Apache Kafka, each by one thread.

What a start costs by itself is measured over an empty topic in the same round, and taken off.
"""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import brokers
from benchmarks.measure import Figures, cpu_seconds, options, ratio, said, spread, write
from benchmarks.traffic import columns, events
from detectors import Reference
from monitor.cli import main as driftd
from tests.integration.daemon import Driftd
from tests.parts import threads

EVENTS, ROUNDS, PARTITIONS = 1_000_000, 3, 12
KINDS = {"one process": 0, "one replica": 1, "two replicas": 2}
SETTLING = 3.0  # seconds after all is counted, or after a start over an empty topic
SECONDS = 180.0


def used(home: Path, servers: str, topic: str, group: str, replicas: int, count: int) -> float:
    """Processor seconds of all processes from their start until so many events are counted."""
    home.mkdir()
    daemons = [daemon(home / str(number), servers, topic, group, replicas) for number in range(max(1, replicas))]
    if replicas:
        driftd(["topics", "create", "--config", str(daemons[0].config)])
    try:
        for each in daemons:
            each.start(ready=False)
        for each in daemons:
            each.wait_for(partial(ready, each), seconds=SECONDS)
        began = time.monotonic()
        while counted(daemons) < count and time.monotonic() - began < SECONDS:
            time.sleep(0.25)
        time.sleep(SETTLING)
        if counted(daemons) < count:
            raise SystemExit(f"{counted(daemons):,.0f} of {count:,} events were counted")
        return sum(cpu_seconds(each.pid) for each in daemons)
    finally:
        for each in daemons:
            each.stop()


def ready(each: Driftd) -> bool:
    """Whether it says so."""
    return each.status("/readyz") == 200


def counted(daemons: Sequence[Driftd]) -> float:
    """Events that some of them have counted, late ones too."""
    return sum(each.metric("driftd_events_total", outcome=what) for each in daemons for what in ("ok", "late"))


def daemon(home: Path, servers: str, topic: str, group: str, replicas: int) -> Driftd:
    """A daemon in a directory of its own."""
    home.mkdir()
    Reference.fit(columns()).save(home / "bench.json")
    model = {"name": "bench", "version": "1", "reference": "bench.json", "window": "1m", "lateness": "30s"}
    config: dict[str, Any] = {
        "kafka": {"bootstrap_servers": servers, "start_from": "earliest", "group_id": group},
        "topics": [{"name": topic}],
        "models": [model],
    }
    return Driftd(home, config | ({"replicas": {"judge_partitions": 2}} if replicas else {}), log="error")


def measure(servers: str, count: int, rounds: int, home: Path) -> Figures:
    """All kinds in turn: microseconds an event."""
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(rounds):
        for kind, replicas in KINDS.items():
            name = f"{kind.replace(' ', '-')}-{number}"
            idle = used(home / f"{name}-idle", servers, "empty", f"{name}-idle", replicas, 0)
            busy = used(home / name, servers, "full", name, replicas, count)
            found[kind].append((busy - idle) / count * 1e6)
    return {
        "microseconds": {kind: spread(those) for kind, those in found.items()},
        "one replica ÷ one process": ratio(found["one replica"], found["one process"]),
        "two replicas ÷ one": ratio(found["two replicas"], found["one replica"]),
    }


def main() -> None:
    """On a real Kafka, where there is one."""
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    os.environ[threads.VARIABLE] = "1"  # of the daemons: replicas have no more
    count, rounds = (100_000, 1) if chosen.quick else (chosen.events, chosen.rounds)
    with ExitStack() as held:
        node = held.enter_context(brokers.apache())
        if node is None:
            return
        home = Path(held.enter_context(tempfile.TemporaryDirectory()))
        node.create_topic("empty", PARTITIONS)
        brokers.filled(node, "full", events(count), PARTITIONS)
        figures = measure(node.bootstrap, count, rounds, home)
    for kind, each in figures["microseconds"].items():
        print(f"{kind:<14} {said(each, 2)} µs an event")
    for name in ("one replica ÷ one process", "two replicas ÷ one"):
        print(f"{name}: {said(figures[name], 2)}")
    write(chosen.json, figures | {"events": count})


if __name__ == "__main__":
    main()

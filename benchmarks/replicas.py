"""Two daemons at once on two topics beside one alone, and which threads the processor time went to."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import brokers
from benchmarks.measure import ROOT, Figures, command, cpu_seconds, environment, options, ratio, said, spread, write
from benchmarks.traffic import events

EVENTS, ROUNDS = 300_000, 3
TOPICS = ("first", "second")
SECONDS = 120


def at_once(servers: str, topics: tuple[str, ...], count: int, broker: int) -> Figures:
    """Daemons that begin together: their rates added, cores used by each of their threads and by the broker."""
    started = [start(servers, topic, count) for topic in topics]
    for one in started:
        assert one.stdout is not None
        one.stdout.readline()
    used = cpu_seconds(broker)
    for one in started:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    found = [json.loads(one.communicate(timeout=SECONDS)[0].splitlines()[-1]) for one in started]
    seconds = max(one["seconds"] for one in found)
    threads: dict[str, float] = {}
    for one in found:
        for name, spent in one["threads"].items():
            threads[name] = threads.get(name, 0.0) + spent / one["seconds"]
    return {
        "rate": sum(one["rate"] for one in found),
        "cores": sum(one["cpu"] for one in found),
        "broker": (cpu_seconds(broker) - used) / seconds,
        "threads": threads,
    }


def start(servers: str, topic: str, count: int) -> "subprocess.Popen[str]":
    """One daemon that waits for the word."""
    where = ("--servers", servers, "--topic", topic, "--events", str(count), "--wait")
    return subprocess.Popen(
        command("contenders", "run", *where),
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def compare(servers: str, count: int, rounds: int, broker: int) -> Figures:
    """One and two in turn."""
    found: dict[str, list[Figures]] = {"one": [], "two": []}
    for _ in range(rounds):
        found["one"].append(at_once(servers, TOPICS[:1], count, broker))
        found["two"].append(at_once(servers, TOPICS, count, broker))
    return {
        "rates": {name: spread([one["rate"] for one in those]) for name, those in found.items()},
        "ratio": ratio([one["rate"] for one in found["two"]], [one["rate"] for one in found["one"]]),
        "cores": {name: middle(those) for name, those in found.items()},
    }


def middle(those: list[Figures]) -> dict[str, float]:
    """Cores used, of the round whose rate is the median."""
    one = sorted(those, key=lambda each: each["rate"])[len(those) // 2]
    busy = sorted(one["threads"].items(), key=lambda item: -item[1])
    return {"the broker": one["broker"], "daemons": one["cores"]} | {f"  {name}": used for name, used in busy}


def show(name: str, found: Figures) -> None:
    """For people."""
    print(f"\n{name}: events/s, median (lowest to highest)")
    for count, rate in found["rates"].items():
        print(f"  {count:<6} {said(rate)}")
        print("    cores: " + ", ".join(f"{who.strip()} {used:.2f}" for who, used in found["cores"][count].items()))
    print(f"  two ÷ one {said(found['ratio'], 2)}")


def filled(broker: Any, count: int) -> str:
    """The same events in both topics."""
    values = events(count)
    for topic in TOPICS:
        brokers.filled(broker, topic, values)
    return str(broker.bootstrap)


def main() -> None:
    """On the mock, whose broker is a thread of this process, and on a real Kafka where there is one."""
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    count, rounds = (20_000, 1) if chosen.quick else (chosen.events, chosen.rounds)
    figures: Figures = {"events": count, "machine_cores": len(os.sched_getaffinity(0))}
    with brokers.mock() as broker:
        figures["mock"] = compare(filled(broker, count), count, rounds, os.getpid())
        show("mock cluster", figures["mock"])
    with brokers.apache() as node:
        if node is not None:
            figures["kafka"] = compare(filled(node, count), count, rounds, node.pid)
            show("Apache Kafka", figures["kafka"])
    write(chosen.json, figures)


if __name__ == "__main__":
    main()

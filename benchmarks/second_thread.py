"""What a second thread costs: the same events read with one thread and with two, in turn, by processor time and page faults.

Each reading is a process of its own. Processor time depends on what else the machine does; page faults hardly.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import brokers
from benchmarks.measure import Figures, child, options, said, spread, write
from benchmarks.traffic import TOPIC, events

EVENTS, ROUNDS = 200_000, 4
QUICK = 20_000, 1
WHAT = {  # what is said of a reading, in which unit, by how much it is multiplied
    "loop": ("the loop's own thread, µs an event", 1e6, 2),
    "cost": ("the whole process, µs an event", 1e6, 2),
    "faults": ("page faults per 1 000 events", 1e3, 0),
    "switches": ("context switches in all", 1, 0),
    "rss": ("resident MiB at the end", 2**-20, 0),
}


def compare(servers: str, topic: str, count: int, rounds: int, threads: list[int]) -> dict[int, Figures]:
    """Read all events with each number of threads in turn, so many times."""
    found: dict[int, list[Figures]] = {number: [] for number in threads}
    for _ in range(rounds):
        for number, those in found.items():
            where = ("--servers", servers, "--topic", topic, "--events", str(count), "--threads", str(number))
            those.append(child("contenders", "run", *where))
    return {number: {what: spread([each[what] for each in those]) for what in WHAT} for number, those in found.items()}


def show(found: dict[int, Figures]) -> None:
    """For people."""
    for number, figures in found.items():
        print(f"--threads {number}, median (lowest to highest)")
        for what, (name, factor, digits) in WHAT.items():
            scaled = {key: value * factor for key, value in figures[what].items()}
            print(f"  {name:<36} {said(scaled, digits)}")


def main() -> None:
    """On the mock cluster."""
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    chosen = parser.parse_args()
    count, rounds = QUICK if chosen.quick else (chosen.events, chosen.rounds)
    with brokers.mock() as broker:
        servers = brokers.filled(broker, TOPIC, events(count))
        found = compare(servers, TOPIC, count, rounds, chosen.threads)
    show(found)
    write(chosen.json, {str(number): figures for number, figures in found.items()})


if __name__ == "__main__":
    main()

"""This checkout beside another one, interleaved: what a change costs, in processor time.

Both run the same small programs in processes of their own, each with its own code and its own benchmarks, on the events of one
mock cluster. Said are rates: 1.02 is 2 % faster (or smaller) than the other, 0.98 2 % slower. Processor time is counted, for other
programs on the machine lengthen it little; rounds alternate which checkout goes first.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import brokers, start
from benchmarks.measure import ROOT, Figures, environment, options, ratio, said, spread, write
from benchmarks.traffic import events

KIND, COUNT, QUICK_COUNT = "numeric", 200_000, 20_000
SECONDS = 300  # for one program


@dataclass(frozen=True, slots=True)
class Program:
    """What runs in a checkout, as `python -c`, with the cluster's address and the number of events; its last line is its cost."""

    unit: str
    text: str


PROGRAMS = {
    "end to end": Program(
        "µs an event",
        """
        import argparse, pathlib, sys, tempfile
        from benchmarks.contenders import measure
        servers, count = sys.argv[1:]
        asked = argparse.Namespace(contender="run", servers=servers, topic="numeric", kind="numeric", events=int(count), wait=False)
        with tempfile.TemporaryDirectory() as home:
            print(measure(asked, pathlib.Path(home))["cost"] * 1e6)
        """,
    ),
    "window close": Program(
        "ms a window of 500 features",
        """
        from statistics import median
        from benchmarks import windows
        from monitor.runtime.telemetry import configure_logging
        configure_logging("error", "json")
        bench = windows.Bench(windows.fitted(500, windows.MINUTE), 1, windows.MINUTE)
        windows.calm_collector()
        print(median([bench.window() for _ in range(30)][3:]))
        """,
    ),
    "sliding windows": Program(
        "µs an event, decoded, of an hour sliding by a minute, 10 000 rows in each",
        """
        from benchmarks import windows
        from monitor.runtime.telemetry import configure_logging
        configure_logging("error", "json")
        windows.calm_collector()
        print(windows.sliding_read(10_000, 7)["other"]["median"])
        """,
    ),
    "many models": Program(
        "ms to close a window of 1000 models of 20 features each",
        """
        from statistics import median
        from benchmarks import windows
        from monitor.runtime.telemetry import configure_logging
        configure_logging("error", "json")
        bench = windows.Bench(windows.fitted(20, windows.MINUTE), 1_000, windows.MINUTE)
        windows.calm_collector()
        print(median([bench.window() for _ in range(5)][2:]))
        """,
    ),
    "checkpoint": Program(
        "ms a checkpoint of 2 000 features",
        """
        import pathlib, tempfile, time
        from benchmarks import checkpoint, windows
        from benchmarks.checkpoint import EVERY, FEATURES, MODELS, ROWS, StateStore
        bench = windows.Bench(windows.fitted(FEATURES, windows.MINUTE), MODELS, windows.MINUTE)
        store, spent = StateStore(pathlib.Path(tempfile.mkdtemp())), []
        windows.calm_collector()
        for number in range(42):
            bench.run(bench.batches(ROWS, EVERY // ROWS))
            began = time.process_time()
            store.save(bench.pipeline.changes(), {windows.PARTITION: number}, [], bench.at)
            spent.append((time.process_time() - began) * 1e3)
        print(sum(spent[2:]) / 40)
        """,
    ),
    "start": Program(
        "s to the first event",
        """
        import pathlib, sys, tempfile
        from benchmarks import start
        with tempfile.TemporaryDirectory() as home:
            start.reference(pathlib.Path(home))
            print(start.measure_daemon(pathlib.Path(home), sys.argv[1])["first event, processor"])
        """,
    ),
    "memory": Program(
        "MiB resident when idle",
        """
        import pathlib, sys, tempfile
        from benchmarks import start
        with tempfile.TemporaryDirectory() as home:
            start.reference(pathlib.Path(home))
            print(start.measure_daemon(pathlib.Path(home), sys.argv[1])["RSS when idle, MiB"])
        """,
    ),
    "imports": Program(
        "modules imported by `run`",
        """
        import sys
        import monitor.commands.run
        print(len(sys.modules))
        """,
    ),
}


def cost(checkout: Path, program: Program, servers: str, count: int) -> float:
    """One program in one checkout, once."""
    lines = program.text.strip("\n").splitlines()
    text = "\n".join(line.removeprefix(" " * 8) for line in lines)
    done = subprocess.run(
        [sys.executable, "-c", text, servers, str(count)],
        env=environment() | {"PYTHONPATH": str(checkout)},
        timeout=SECONDS,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=checkout,
    )
    return float(done.stdout.splitlines()[-1])


def compare(other: Path, names: Sequence[str], servers: str, count: int, rounds: int) -> Figures:
    """Both checkouts in turn, so many times; the costs of both, and the rates of this one over those of the other."""
    figures: Figures = {}
    for name in names:
        costs: dict[Path, list[float]] = {ROOT: [], other: []}
        for number in range(rounds):
            for checkout in (ROOT, other) if number % 2 else (other, ROOT):
                costs[checkout].append(cost(checkout, PROGRAMS[name], servers, count))
        figures[name] = {
            "this": spread(costs[ROOT]),
            "other": spread(costs[other]),
            "ratio": ratio(costs[other], costs[ROOT]),
        }
        show(name, figures[name])
    return figures


def show(name: str, found: Figures) -> None:
    """For people."""
    medians, least = (f"{found['other'][which]:.2f} → {found['this'][which]:.2f}" for which in ("median", "low"))
    print(f"  {name:<14} {said(found['ratio'], 3)} ×, {medians} {PROGRAMS[name].unit}, at least {least}", flush=True)


def main() -> None:
    """Measure, print, and write where asked."""
    parser = options(__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="a checkout of this repository, with its compiled parts built")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(PROGRAMS), help=f"of {', '.join(PROGRAMS)}")
    chosen = parser.parse_args()
    names = chosen.only.split(",")
    if unknown := sorted(set(names) - set(PROGRAMS)):
        parser.error(f"no program {unknown[0]}; there are {', '.join(PROGRAMS)}")
    count, rounds = (QUICK_COUNT, 1) if chosen.quick else (COUNT, chosen.rounds)
    with brokers.mock() as broker:
        brokers.filled(broker, KIND, events(count, kind=KIND))
        broker.create_topic(start.TOPIC)
        start.produce(broker.bootstrap)
        print(f"rates of this checkout over those of {chosen.other}, median of {rounds} rounds (lowest to highest)")
        write(chosen.json, compare(chosen.other.resolve(), names, broker.bootstrap, count, rounds))


if __name__ == "__main__":
    main()

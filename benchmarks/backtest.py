"""Events a second of `driftd backtest` beside those of the live daemon, the same events, interleaved in one run.

The daemon reads them from the mock cluster (contenders.py says how it is timed); the backtest reads them as JSON lines,
as Parquet and as CSV. What counts are the ratios within a round.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import brokers
from benchmarks.contenders import loaded_from
from benchmarks.measure import Figures, child, options, ratio, said, spread, write
from benchmarks.traffic import TOPIC, config, events, refuse_uncharted

EVENTS, ROUNDS = 400_000, 5
QUICK = (20_000, 1)
FORMATS = ("jsonl", "parquet", "csv")


def record(home: Path, count: int) -> None:
    """The same events in each format."""
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    lines = events(count)
    (home / "events.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    rows = [json.loads(line) for line in lines]
    flat: dict[str, Any] = {name: [row[name] for row in rows] for name in ("ts", "model", "version", "prediction")}
    flat |= {f"features.{name}": [row["features"][name] for row in rows] for name in rows[0]["features"]}
    pq.write_table(pa.table(flat), home / "events.parquet")
    pc.write_csv(pa.table(flat), home / "events.csv")


def replay(home: Path, ending: str) -> Figures:
    """One backtest in this process, timed without start-up and without its last lines."""
    from monitor.app import build_decoder
    from monitor.backtest.findings import Findings
    from monitor.backtest.replay import Replay, Turn
    from monitor.backtest.sweep import BUDGETS
    from monitor.commands.arguments import usable_cores
    from monitor.commands.backtest import undated
    from monitor.commands.records import files_of
    from monitor.commands.run import warm_up
    from monitor.pipeline import Pipeline
    from monitor.runtime.loop import calm_collector
    from monitor.sources.tables.csv import PLAIN

    configuration = loaded_from(config(home, "127.0.0.1:1"))
    settings, path = configuration.settings, home / f"events.{ending}"
    decoder = undated(build_decoder(configuration, settings.topics[0]))
    recorded = files_of([path], decoder, PLAIN, threads=usable_cores())
    pipeline = Pipeline(configuration.specs, settings.idle_after, settings.max_future)
    refuse_uncharted(pipeline)
    found = Findings(configuration.specs, [], settings.alerting.false_alarms_per_month, BUDGETS)
    marks: list[tuple[float, float, int]] = []

    def take(turn: Turn) -> None:
        found.take(turn)
        marks.append((time.perf_counter(), time.process_time(), turn.events))

    warm_up(configuration).join()
    calm_collector()
    Replay(pipeline, recorded).run(take)
    read = sum(count for _, _, count in marks)
    warm = next(mark for mark in marks if mark[2])  # the first piece warms up, as the daemon's first batch does
    counted = read - warm[2]
    seconds, used = marks[-1][0] - warm[0], marks[-1][1] - warm[1]
    return {"rate": counted / seconds, "cpu": used / seconds, "read": read, "windows": found.windows}


def compare(home: Path, servers: str, count: int, rounds: int) -> Figures:
    """The daemon and each format in turn, so many times, each in a process of its own."""
    where = ("--servers", servers, "--topic", TOPIC, "--events", str(count))
    rates: dict[str, list[float]] = {name: [] for name in ("run", *FORMATS)}
    for _ in range(rounds):
        rates["run"].append(child("contenders", "run", *where)["rate"])
        for ending in FORMATS:
            rates[ending].append(child("backtest", "--home", str(home), "--format", ending)["rate"])
    return {
        "events": count,
        "rates": {name: spread(those) for name, those in rates.items()},
        "ratios": {f"{ending} ÷ run": ratio(rates[ending], rates["run"]) for ending in FORMATS},
    }


def show(found: Figures) -> None:
    """For people."""
    print(f"{found['events']:,} events, {found['rates']['run']['rounds']} rounds, median (lowest to highest)")
    for name, rate in found["rates"].items():
        print(f"  {name:<16} {said(rate)} events/s")
    for name, against in found["ratios"].items():
        print(f"  {name:<16} {said(against, 2)}")


def main() -> None:
    """Measure all, or with --format one format once."""
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--home", type=Path, help="where recorded events are")
    parser.add_argument("--format", choices=FORMATS)
    chosen = parser.parse_args()
    if chosen.format is not None:
        print(json.dumps(replay(chosen.home, chosen.format)))
        return
    count, rounds = QUICK if chosen.quick else (chosen.events, chosen.rounds)
    with tempfile.TemporaryDirectory() as directory, brokers.mock() as broker:
        home = Path(directory)
        record(home, count)
        brokers.filled(broker, TOPIC, events(count))
        figures = compare(home, broker.bootstrap, count, rounds)
    show(figures)
    write(chosen.json, figures)


if __name__ == "__main__":
    main()

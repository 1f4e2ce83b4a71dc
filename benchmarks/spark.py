"""Processor time of a reference by Spark, beside one process: in order, in any order, and `driftd.spark` on two and eight partitions.

The table has eight columns: five numbers of distinct doubles, one with a common value among many, an integer, a category. Every measurement is a process
of its own; its time is that between the first read and the finished reference, of itself and of all that descends from it (the JVM,
Python's workers); Spark has fitted a small table before, so that it has started. Without the packages of `make spark` only one process is measured.

    SPARK=.parts/spark python -m benchmarks.spark [ROWS]
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, TICKS, machine, ratio, said, spread

ROWS = 1_000_000
ROUNDS = 3
MODES = ("in order", "any order", "spark 2", "spark 8")
HOW: dict[str, Any] = {"prediction": "score"}


def make(path: Path, rows: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    draw = np.random.default_rng(1)
    columns: dict[str, Any] = {f"x{number}": draw.normal(number, 1, rows) for number in range(4)}
    columns["price"] = np.where(draw.random(rows) < 0.1, 49.9, draw.lognormal(3, 1, rows))
    columns["age"] = draw.integers(18, 90, rows)
    columns["plan"] = pa.array(draw.choice(["free", "pro", "team"], rows))
    columns["score"] = draw.beta(2, 5, rows)
    pq.write_table(pa.table(columns), path, row_group_size=50_000)


def used() -> float:
    """Seconds of this process and of all that descends from it, those included that have ended and were waited for."""
    parents, seconds = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        pid = int(stat.parent.name)
        parents[pid], seconds[pid] = int(fields[1]), sum(map(int, fields[11:15])) / TICKS
    ours, fresh = {os.getpid()}, {os.getpid()}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - ours
        ours |= fresh
    return sum(seconds.get(pid, 0.0) for pid in ours)


def one_process(path: str, *, any_order: bool) -> tuple[float, str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from detectors import Reference
    from detectors.tables import columns_of

    def chunks() -> Any:
        batches = pq.ParquetFile(path).iter_batches(131_072)
        return (columns_of(pa.Table.from_batches([batch])) for batch in batches)

    before = used()
    fitted = Reference.fit_chunks(chunks, any_order=any_order, **HOW)
    return used() - before, fitted.hash


def by_spark(path: str, partitions: int) -> tuple[float, str]:
    from pyspark.sql import SparkSession

    from driftd import spark as engine

    builder: Any = SparkSession.builder
    for name, value in {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2",
    }.items():
        builder = builder.config(name, value)
    session = builder.master("local[2]").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    engine.fit(session.range(100))
    data = session.read.parquet(path).repartition(partitions)
    before = used()
    fitted = engine.fit(data, **HOW)
    took = used() - before
    session.stop()
    return took, fitted.hash


def measured(mode: str, path: str) -> dict[str, Any]:
    folder = os.environ.get("SPARK", "")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{folder}", "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.spark", "--one", mode, path],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=560,
        cwd=ROOT,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(rows: int) -> None:
    modes = MODES if Path(os.environ.get("SPARK", "/nowhere"), "pyspark").is_dir() else MODES[:2]
    found: dict[str, list[dict[str, Any]]] = {mode: [] for mode in modes}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "rows.parquet")
        make(Path(path), rows)
        for _ in range(ROUNDS):
            for mode in modes:
                found[mode].append(measured(mode, path))
    print(f"{rows:,} rows, {machine()}")
    hashes = {each["hash"] for mode in modes[1:] for each in found[mode]}
    for mode in modes:
        seconds = [each["cpu"] for each in found[mode]]
        against = ratio(seconds, [each["cpu"] for each in found["any order"]])
        print(f"{mode:10} {said(spread(seconds), 1)} s, {said(against, 2)} times one process in any order")
    print(f"hashes of all in any order: {', '.join(sorted(hashes))}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        mode, path = sys.argv[2:]
        run: Callable[[], tuple[float, str]] = {
            "in order": lambda: one_process(path, any_order=False),
            "any order": lambda: one_process(path, any_order=True),
            "spark 2": lambda: by_spark(path, 2),
            "spark 8": lambda: by_spark(path, 8),
        }[mode]
        cpu, name = run()
        print(json.dumps({"cpu": cpu, "hash": name}))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)

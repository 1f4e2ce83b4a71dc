"""Values a second of `driftd reference fit`, beside a bare read of the same file with a sort of the same values.

A value is one row of one column. The tables have 12 columns: five of distinct doubles, one of rounded ones, one with a
common zero, two of integers, a dictionary of 50 categories, a plain text of 8 and a boolean. `bare` reads the Parquet file
once, as fast as pyarrow does, and sorts each numeric column with numpy, block by block: less than any one pass could do.
Every measurement is a process of its own, start-up and imports apart; `cpu` counts all its threads. Peak memory is the whole
process's. CSV, whose text is parsed three times (once to tell numbers from texts), is told on its own. `timed` has event
times besides, two weeks of them in rising order, and learns the calibration from 4032 windows of five minutes.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.measure import Figures, child, machine, options, ratio, said, spread, write

PART = 250_000  # rows made at once
BLOCK = 16_384
COLUMNS = 12
ROWS = {"plain.parquet": 3_750_000, "timed.parquet": 3_750_000, "nulls.parquet": 1_000_000, "table.csv": 250_000}
TWO_WEEKS = 14 * 86_400 * 1_000  # ms


# --- the tables ---------------------------------------------------------------------------------------------------------


def part(seed: int, rows: int, *, nulls: bool) -> Any:
    """Some rows of the table, a tenth of each column missing where asked for."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    numbers = {f"double_{at}": rng.normal(size=rows) for at in range(4)} | {
        "skewed": rng.exponential(size=rows),
        "rounded": rng.normal(size=rows).round(2),
        "often_zero": np.where(rng.random(rows) < 0.3, 0.0, rng.lognormal(size=rows)),
        "few": rng.integers(0, 40, rows),
        "many": rng.integers(0, 10**9, rows),
        "yes": rng.random(rows) < 0.5,
    }

    def lacking() -> Any:
        return rng.random(rows) < 0.1 if nulls else None

    found = {name: pa.array(column, mask=lacking()) for name, column in numbers.items()}
    for name, count in (("category", 50), ("text", 8)):
        codes = pa.array((rng.random(rows) ** 2 * count).astype(np.int32), mask=lacking())
        found[name] = pa.DictionaryArray.from_arrays(codes, pa.array([f"{name}-{at}" for at in range(count)]))
    found["text"] = found["text"].dictionary_decode()
    return pa.table(found)


def timed(table: Any, first: int, rows: int) -> Any:
    """The same with event times: its rows are those from `first` on, of so many in two weeks."""
    import numpy as np

    return table.append_column("ts", [(first + np.arange(table.num_rows)) * TWO_WEEKS // rows + 1_763_337_600_000])


def make(path: Path, rows: int) -> None:
    """Write a table, part by part."""
    import pyarrow.parquet as pq
    from pyarrow import csv

    def one(seed: int) -> Any:
        first = seed * PART
        found = part(seed, min(PART, rows - first), nulls="nulls" in path.name)
        return timed(found, first, rows) if "timed" in path.name else found

    writer = csv.CSVWriter if path.suffix == ".csv" else pq.ParquetWriter
    with writer(path, one(0).schema) as file:
        for seed in range(-(-rows // PART)):
            file.write_table(one(seed))


# --- in a process of its own ----------------------------------------------------------------------------------------------


def measure_fit(path: Path) -> Callable[[], None]:
    """The command itself."""
    from monitor.commands.arguments import usable_cores
    from monitor.commands.reference import FitChoice, fit

    timestamp = "ts" if "timed" in path.name else None
    choice = FitChoice([path], path.with_suffix(".json"), timestamp=timestamp, threads=usable_cores())
    return lambda: print(fit(choice))


def measure_bare(path: Path) -> Callable[[], None]:
    """One read, and each numeric value sorted among its neighbours."""
    import numpy as np
    import pyarrow.parquet as pq

    def read() -> None:
        with pq.ParquetFile(path, read_dictionary=["category", "text"], pre_buffer=False, buffer_size=2**20) as file:
            for batch in file.iter_batches(batch_size=65_536):
                for column in batch.columns:
                    values = column.to_numpy(zero_copy_only=False) if not hasattr(column, "dictionary") else np.empty(0)
                    if values.dtype.kind in "if":
                        for at in range(0, values.size, BLOCK):
                            np.sort(values[at : at + BLOCK])

    return read


def measured(contender: str, path: Path) -> Figures:
    """Seconds, processor seconds and peak memory of one contender in this process."""
    work = measure_fit(path) if contender == "fit" else measure_bare(path)
    began, used = time.perf_counter(), time.process_time()
    work()
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return {"seconds": seconds, "cpu": cpu, "peak_mib": int(status.split("VmHWM:")[1].split()[0]) / 1024}


# --- all of it --------------------------------------------------------------------------------------------------------------


def compare(home: Path, rounds: int, share: float) -> Figures:
    """Every table by every contender that can read it, interleaved."""
    rows = {name: round(count * share) for name, count in ROWS.items()}
    for name, count in rows.items():
        make(home / name, count)
    found: dict[tuple[str, str], list[Figures]] = {}
    for _ in range(rounds):
        for name in rows:
            for contender in ("fit", "bare") if name in {"plain.parquet", "nulls.parquet"} else ("fit",):
                answer = child("fit", "--one", contender, "--file", str(home / name))
                found.setdefault((name, contender), []).append(answer)
    return {name: summary(found, name, count * COLUMNS) for name, count in rows.items()}


def summary(found: dict[tuple[str, str], list[Figures]], name: str, values: int) -> Figures:
    """One table's figures."""
    fit, bare = found[name, "fit"], found.get((name, "bare"))
    told = {
        "values": values,
        "values_per_second": spread([values / one["seconds"] for one in fit]),
        "values_per_cpu_second": spread([values / one["cpu"] for one in fit]),
        "peak_mib": spread([one["peak_mib"] for one in fit]),
    }
    if bare is not None:
        told["rate_to_bare"] = ratio([one["seconds"] for one in bare], [one["seconds"] for one in fit])
        told["cpu_to_bare"] = ratio([one["cpu"] for one in bare], [one["cpu"] for one in fit])
    return told


def show(tables: Figures) -> None:
    """For people."""
    for name, told in tables.items():
        print(f"{name}: {told['values']:,} values")
        print(f"  values a second             {said(told['values_per_second'])}")
        print(f"  values a processor second   {said(told['values_per_cpu_second'])}")
        print(f"  peak memory, MiB            {said(told['peak_mib'])}")
        if "rate_to_bare" in told:
            print(
                f"  rate to bare read and sort  {said(told['rate_to_bare'], 2)}, by processor {said(told['cpu_to_bare'], 2)}"
            )


def main() -> None:
    """Measure, print, and write where asked."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", choices=["fit", "bare"])
    parser.add_argument("--file", type=Path)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measured(asked.one, asked.file)))
        return
    with tempfile.TemporaryDirectory() as directory:
        tables = compare(Path(directory), 1 if asked.quick else asked.rounds, 0.02 if asked.quick else 1.0)
    show(tables)
    write(asked.json, {"machine": machine(), "tables": tables})


if __name__ == "__main__":
    main()

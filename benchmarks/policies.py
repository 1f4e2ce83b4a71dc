"""Three policies of retraining compared on a recorded year by `driftd backtest`, twice: wall and processor time, and whether both said the same, byte for byte.

A model with one feature, 200 events an hour, for 365 days; its mean shifts for a week twice. Fixed cadence, on drift and both are ranked by cost.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.measure import Figures, environment, machine, options, write

BEGIN = 1_735_689_600  # 2025-01-01T00:00:00Z, seconds
HOUR, DAY = 3600, 86_400
ROWS, DAYS, QUICK_DAYS = 200, 365, 60  # rows of an hour
REFERENCE_DAYS = 28
DRIFTS = ((0.25, 7, 0.6), (0.7, 7, -0.8))  # beginning as a share of the record, days, standard deviations
SECONDS = 1800  # for one backtest


def record(home: Path, days: int) -> int:
    """The events as Parquet, in order; how many."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, count = np.random.default_rng(1), days * 24 * ROWS
    seconds = np.arange(count) * (HOUR / ROWS)
    values = rng.normal(size=count)
    for share, length, shift in DRIFTS:
        begin = int(share * days) * DAY
        values[(seconds >= begin) & (seconds < begin + length * DAY)] += shift
    table = {
        "ts": BEGIN * 1000 + np.round(seconds * 1000).astype(np.int64),
        "model": pa.array(["m"]).take(pa.array(np.zeros(count, dtype=np.int8))),
        "version": pa.array(["1"]).take(pa.array(np.zeros(count, dtype=np.int8))),
        "features.x": values,
    }
    pq.write_table(pa.table(table), home / "year.parquet")
    return count


def configured(home: Path) -> Path:
    """A reference of four weeks before the year, and a policy with costs."""
    from detectors import Reference

    count = REFERENCE_DAYS * 24 * ROWS
    times = (BEGIN - REFERENCE_DAYS * DAY) * 10**9 + np.arange(count) * (HOUR * 10**9 // ROWS)
    values = np.random.default_rng(0).normal(size=count)
    Reference.fit({"x": values}, timestamps=times, window_ns=HOUR * 10**9).save(home / "m.json")
    policy = {"on": ["drift"], "every": "0 0 * * 1", "severity": "warning"}
    costs = {"retraining": 40, "drift_per_day": 25, "takes": "6h"}
    model = {"name": "m", "version": "1", "reference": "m.json", "window": "1h", "lateness": "1m"}
    settings = {
        "kafka": {"bootstrap_servers": "127.0.0.1:1"},
        "topics": [{"name": "predictions"}],
        "models": [model | {"retraining": policy | {"costs": costs}}],
    }
    path = home / "driftd.yaml"
    path.write_text(json.dumps(settings), encoding="utf-8")
    return path


def compare(home: Path, config: Path, number: int) -> tuple[Figures, str]:
    """One backtest in a process of its own: what it took, and its last lines."""
    found = home / f"found-{number}.json"
    inputs = ("--input", str(home / "year.parquet"), "--json", str(found))
    command = [sys.executable, "-m", "monitor", "backtest", "--config", str(config), *inputs]
    before, began = os.times(), time.monotonic()
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), check=True, stdout=subprocess.PIPE, text=True, timeout=SECONDS
    )
    wall, after = time.monotonic() - began, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall": wall, "cpu": used, "sha256": hashlib.sha256(found.read_bytes()).hexdigest()}, done.stdout


def main() -> None:
    """Measure, print, and write where asked. Fails where two runs differ."""
    asked = options(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        count = record(home, QUICK_DAYS if asked.quick else DAYS)
        config = configured(home)
        (first, text), (second, _) = (compare(home, config, number) for number in range(2))
        policies = json.loads((home / "found-0.json").read_bytes())["policies"]
    print(text)
    same = first["sha256"] == second["sha256"]
    for each in (first, second):
        print(
            f"{count:,} events, {len(policies)} policies: {each['wall']:.1f} s, {each['cpu']:.1f} s of processor time"
        )
    print(f"both said the same, byte for byte: {same}")
    write(asked.json, {"machine": machine(), "events": count, "runs": [first, second], "policies": policies})
    if not same:
        raise SystemExit("two runs of one record differ")


if __name__ == "__main__":
    main()

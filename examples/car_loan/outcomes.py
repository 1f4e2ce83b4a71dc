"""Write what came of the loans as labels: python outcomes.py > outcomes.jsonl.

A label is known after a lognormal time, 20 days in the median, two of three between 12 and 33; one in ten is never known.
"""

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

HERE = Path(__file__).parent
MEDIAN, SPREAD = 20.0, 0.5  # days, and the standard deviation of their logarithm
KNOWN = 0.9


def main() -> None:
    """Print a label a line, in the order in which they become known."""
    scored = pq.read_table(HERE / "analysis.parquet", columns=["id", "timestamp"]).to_pylist()
    repaid = dict(zip(*pq.read_table(HERE / "analysis_outcomes.parquet").to_pydict().values(), strict=True))
    rng = np.random.default_rng(2018)
    days = rng.lognormal(np.log(MEDIAN), SPREAD, len(scored))
    known = [
        (datetime.fromisoformat(row["timestamp"]) + timedelta(days=delay), row["id"])
        for row, delay, comes in zip(scored, days, rng.random(len(scored)) < KNOWN, strict=True)
        if comes
    ]
    for time, number in sorted(known):
        print(json.dumps({"loan": number, "known_at": f"{time.isoformat()}Z", "repaid": repaid[number]}))


if __name__ == "__main__":
    main()

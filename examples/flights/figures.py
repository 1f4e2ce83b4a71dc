"""Print the figures of docs/flights.md, after its backtest: python figures.py."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from driftd import Reference

HERE = Path(__file__).parent
SUMMER_ENDS = datetime(2013, 8, 1, tzinfo=UTC).replace(tzinfo=None)
NEXT_DAYS = ("2013-07-11", "2013-09-13")  # windows end at midnight, UTC


def main() -> None:
    """The worst days by the labels of each age; the summer, as expected without labels and as it came true."""
    print(law())
    [model] = json.loads((HERE / "flights.json").read_bytes())["models"]
    for end in NEXT_DAYS:
        for age in model["performance"]:
            [day] = [each for each in age["judged"] if each["end"].startswith(end)]
            error, bias = (each["value"] for each in day["metrics"])
            random = "not at random" if day["selection_bias"] else "at random"
            said = f"MAE {error:.1f}, bias {bias:.1f}, {day['coverage']:.0%} of labels in, {random}"
            print(f"{day['start'][:10]} by the labels of {age['age']}: {said}")
    live = pq.read_table(HERE / "live.parquet", filters=[("asked", "<", SUMMER_ENDS)])
    landings = pq.read_table(HERE / "landings.parquet").to_pydict()
    late = dict(zip(landings["flight"], landings["late"], strict=True))
    predicted = live["predicted"].to_numpy()
    came = np.array([late.get(flight, np.nan) for flight in live["id"].to_pylist()])
    reference = Reference.load(HERE / "flights.reference.json").performance
    low, high = reference.estimator().estimate(predicted).metrics["mae"].interval
    print(f"June and July: MAE {low:.1f} to {high:.1f} expected, {np.nanmean(abs(predicted - came)):.1f} came true")


def law() -> str:
    """How long after the question labels come, and how many never do."""
    live, landings = (pq.read_table(HERE / f"{name}.parquet").to_pydict() for name in ("live", "landings"))
    asked = dict(zip(live["id"], live["asked"], strict=True))
    pairs = zip(landings["flight"], landings["arrived"], strict=True)
    hours = [(arrived.replace(tzinfo=None) - asked[flight]).total_seconds() / 3600 for flight, arrived in pairs]
    median, late = np.quantile(hours, [0.5, 0.99])
    return f"labels come after {median:.1f} h in the median, one in 100 after {late:.1f} h, {len(asked) - len(hours):,} never"


if __name__ == "__main__":
    main()

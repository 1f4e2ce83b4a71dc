"""A model of how late a flight from JFK will arrive, in minutes, asked an hour before its scheduled departure: python model.py.

It learns from January and February by least squares. Three files come of it: reference.parquet, what it said from March to May and
what came true; live.parquet, what it said from June on; landings.parquet, how late each of these flights was, known when it arrived.
Of a flight that is cancelled or diverted nothing is ever known.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

HERE = Path(__file__).parent
HOUR = np.timedelta64(1, "h")
LEARNT, REFERENCE = np.datetime64("2013-03-01"), np.datetime64("2013-06-01")
FEW = 3  # departures within two hours that say how the airport stands
STORM = 180  # minutes: a later flight counts as this late when the model is learnt
FEATURES = ("carrier", "dest", "distance", "hour", "queue", "wind_speed", "visib", "precip")


def main() -> None:
    """Learn, say of each flight how late it will be, write the three files."""
    flights = pq.read_table(HERE / "flights.parquet")
    scheduled, departed, late = (flights[name].to_numpy() for name in ("scheduled", "departed", "late"))
    asked = scheduled - HOUR
    new_york = pc.hour(pc.local_timestamp(flights["scheduled"].cast(pa.timestamp("ms", "America/New_York"))))
    said = flights.select(["carrier", "dest", "distance", "wind_speed", "visib", "precip"])
    said = said.append_column("hour", new_york).append_column("queue", pa.array(queue(asked, scheduled, departed)))
    known = inputs(said)
    learnt = (asked < LEARNT) & ~np.isnan(late)
    weights = np.linalg.lstsq(known[learnt], np.minimum(late[learnt], STORM))[0]
    said = (
        said.select(FEATURES)
        .add_column(0, "id", pc.cast(pa.array(np.arange(late.size)), pa.string()))
        .add_column(1, "asked", pa.array(asked))
        .append_column("predicted", pa.array(np.round(known @ weights, 1)))
    )
    then, now = (asked >= LEARNT) & (asked < REFERENCE), asked >= REFERENCE
    pq.write_table(said.append_column("late", flights["late"]).filter(then), HERE / "reference.parquet")
    pq.write_table(said.filter(now), HERE / "live.parquet")
    landed = now & ~np.isnan(late)
    labels = pa.table({"flight": said["id"], "arrived": flights["arrived"], "late": flights["late"]})
    pq.write_table(labels.filter(landed).sort_by("arrived"), HERE / "landings.parquet")


def queue(asked: np.ndarray, scheduled: np.ndarray, departed: np.ndarray) -> np.ndarray:
    """How late the flights left that left within two hours before each question, in minutes on average."""
    left = ~np.isnat(departed)
    order = np.argsort(departed[left], kind="stable")
    minutes = ((departed - scheduled)[left] / np.timedelta64(1, "m"))[order]
    first, last = (np.searchsorted(departed[left][order], asked - ago, "right") for ago in (2 * HOUR, 0 * HOUR))
    sums = np.concatenate([[0.0], np.cumsum(minutes)])
    return np.round(np.where(last - first >= FEW, (sums[last] - sums[first]) / np.maximum(last - first, 1), 0.0), 1)


def inputs(said: pa.Table) -> np.ndarray:
    """What the model multiplies, float64[rows, inputs]: an hour or a carrier has an input of its own."""
    rows = {name: said[name].to_numpy() for name in FEATURES}
    clear = {"wind_speed": 10, "visib": 10, "precip": 0}  # where the weather is not known
    wind, sight, rain = (np.where(np.isnan(rows[name]), usual, rows[name]) for name, usual in clear.items())
    return np.column_stack(
        [
            np.ones(said.num_rows),
            np.clip(rows["queue"], -10, 120),
            np.clip(rows["queue"] - 15, 0, 120),
            np.clip(rain, 0, 0.3),
            np.maximum(3 - sight, 0),
            np.maximum(wind - 15, 0),
            rows["distance"] / 1000,
            *(rows["hour"] == hour for hour in range(6, 23)),
            *(rows["carrier"] == carrier for carrier in ("AA", "B6", "DL", "MQ", "UA", "US", "VX")),
        ]
    )


if __name__ == "__main__":
    main()

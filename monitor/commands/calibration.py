"""A reference's calibration in words: what was learnt, or why nothing was and what mends it, and what to think twice about."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from detectors import Reference
from detectors.calibration.calibration import FEWEST_ROWS, FEWEST_WINDOWS, Calibration
from detectors.calibration.feature import FeatureCalibration
from detectors.charts.charts import ENOUGH
from monitor.commands.selfreport import told
from monitor.sections import parse_duration, show_duration
from monitor.stream.events import DAY, HOUR, Nanos

PROFILES = {"week": "weekly profile", "day": "daily profile", "none": "one profile for all hours"}
COLUMNS = ("varies", "slow", "season")
SEASONS = {24: "day", 168: "week"}
WINDOWS = ("10s", "30s", "1m", "2m", "5m", "10m", "15m", "30m", "1h", "2h", "6h", "12h", "1d")
UNITS = (("weeks", 7 * DAY), ("days", DAY), ("hours", HOUR))
CUT_OFF = 4  # windows more than needed: the first and last are cut off, and some may lack rows
ROOMY = 2 * FEWEST_ROWS  # rows of a mean window, so that the median one has enough
TRIED = re.compile(r"windows? of (\w+)")  # in why it is cold
BATCHES = " batches, "  # in why it is cold: no window helps, more of them do
SHOWN = 5


def learnt(reference: Reference, window_ns: int | None = None) -> str:
    """One line about the calibration; `window_ns` is the one asked for, so that a better one can be named."""
    calibration = reference.calibration
    if calibration is None:
        return f"calibration: cold, effect sizes only: {_why_cold(reference, window_ns)}"
    return (
        f"calibration: {PROFILES[calibration.profile]} from {calibration.windows:,} windows of {show_duration(calibration.window_ns)} "
        f"over {_span(calibration.span_ns)}, about {calibration.rows:,.0f} rows each{_in_groups(calibration)}{_by_the_calendar(calibration)}"
    )


def _in_groups(calibration: Calibration) -> str:
    return f", of which a row's group has {calibration.together:.3g}" if calibration.together else ""


def _by_the_calendar(calibration: Calibration) -> str:
    """Whose hours a profile has, and how many days were left out; nothing of ordinary days."""
    return _hours(calibration) + (f", {days} holidays known" if (days := len(calibration.holidays)) else "")


def _hours(calibration: Calibration) -> str:
    """Whose clocks the hours follow. Those of UTC need a hint: all that follows people's hours moves when their clocks change."""
    if calibration.timezone is not None:
        return f", by the clocks of {calibration.timezone}"
    return ", by hours of UTC (--timezone: people's)" if calibration.profile != "none" else ""


def _why_cold(reference: Reference, window_ns: int | None) -> str:
    if reference.period is None:
        return "no --timestamp"
    better = None if window_ns is None else better_window(reference, window_ns)
    return (reference.cold or "no --window") + ("" if better is None else f" (try --window {better})")


def better_window(reference: Reference, window_ns: int) -> str | None:
    """A window by which a cold reference would be a calibrated one; None where there is none."""
    if reference.period is None or BATCHES in reference.cold:
        return None
    able = _able_window(reference, window_ns)
    return None if able == _tried(reference) else able


def remedy(reference: Reference, window_ns: int) -> str:
    """What makes a cold reference of a model of such windows a calibrated one, by its rows and their time."""
    if reference.period is None:
        enough = reference.rows >= FEWEST_WINDOWS * FEWEST_ROWS
        return f"{_fit(show_duration(window_ns))} mends that" if enough else _more(window_ns)
    if BATCHES in reference.cold:
        return f"{reference.cold.partition('; ')[2]}; `driftd reference fit` on as many mends that"
    able = _able_window(reference, window_ns)
    if able is None:
        return _more(_roomy_window(reference, window_ns))
    if able == _tried(reference):
        return "its rows lie unevenly in time: `driftd reference fit` on more of them, from a longer time, mends that"
    return f"{_fit(able)} mends that"


def _fit(window: str) -> str:
    return f"`driftd reference fit --timestamp COL --window {window} …`"


def _more(window_ns: int) -> str:
    window, span = show_duration(window_ns), show_duration((FEWEST_WINDOWS + CUT_OFF) * window_ns)
    return f"{_fit(window)} on at least {span} of data, {ROOMY} rows or more in each {window}, mends that"


def _able_window(reference: Reference, window_ns: int) -> str | None:
    """The window nearest to the one wanted that there are enough of, with enough rows; None where none has."""
    first, last = reference.period or (0, 0)
    most, least = (last - first) / (FEWEST_WINDOWS + CUT_OFF), _least_window(reference)
    able = [nanos for nanos in (window_ns, *map(parse_duration, WINDOWS)) if least <= nanos <= most]
    return show_duration(min(able, key=lambda nanos: abs(nanos - window_ns))) if able else None


def _roomy_window(reference: Reference, window_ns: int) -> int:
    """The shortest window that has enough rows, but not shorter than the one wanted; that one where none has."""
    least = max(window_ns, _least_window(reference))
    return next((nanos for nanos in (window_ns, *map(parse_duration, WINDOWS)) if nanos >= least), window_ns)


def _least_window(reference: Reference) -> float:
    """Nanoseconds in which enough rows come."""
    first, last = reference.period or (0, 0)
    return ROOMY * (last - first) / reference.rows


def _tried(reference: Reference) -> str | None:
    """The window that the reference was cut into in vain."""
    window = TRIED.search(reference.cold)
    return None if window is None else window[1]


def _span(nanos: Nanos) -> str:
    """In the largest unit of which there are about two."""
    unit, length = next(((unit, length) for unit, length in UNITS if nanos >= 1.95 * length), UNITS[-1])
    return f"{nanos / length:.1f}".removesuffix(".0") + f" {unit}"


def misgivings(reference: Reference) -> Iterator[str]:
    """What makes the calibration a worse one, a line each."""
    yield from told(reference)
    calibration = reference.calibration
    if calibration is None:
        return
    if _only_dates(calibration):
        yield "all rows stand at one time of the day: timestamps without a time? fit with --window 1d"
    if few := list(_carried(reference, calibration)):
        more = f" and {len(few) - SHOWN} more" if len(few) > SHOWN else ""
        yield (
            f"a usual window of {show_duration(calibration.window_ns)} holds fewer than {ENOUGH:g} independent values of "
            f"{', '.join(few[:SHOWN])}{more}: they will be judged over several windows"
        )


def _only_dates(calibration: Calibration) -> bool:
    """Whether windows shorter than a day lie whole days apart, one a day."""
    days, rest = divmod(calibration.span_ns - calibration.window_ns, DAY)
    return calibration.window_ns < DAY and not rest and 2 < calibration.windows <= days + 1  # noqa: PLR2004 - two may do so by chance


def _carried(reference: Reference, calibration: Calibration) -> Iterator[str]:
    """The features of which a usual window holds too few independent values to be judged."""
    for (name, feature), variation in zip(reference.features.items(), calibration.features, strict=True):
        usual = calibration.rows * feature.count / reference.rows
        if feature.count and usual < ENOUGH * max(*np.square(variation.sd), variation.shape[0]):
            yield name


@dataclass(frozen=True, slots=True)
class Variation:
    """How much a feature's score varies from window to window, as a multiple of that of independent rows.

    `slow` is what it may move slowly, in sigma; `season` the hours after which it repeats itself, 0: none.
    """

    varies: float
    slow: float
    season: int

    @property
    def cells(self) -> tuple[str, ...]:
        """What COLUMNS say of it."""
        return f"×{self.varies:.1f}", f"{self.slow:.2f} σ" if self.slow else "–", SEASONS.get(self.season, "–")


def variations(reference: Reference) -> list[Variation | None]:
    """How each feature varies; None where the reference is cold."""
    calibration = reference.calibration
    if calibration is None:
        return [None] * len(reference.names)
    numbers = len(reference.layout.numeric)
    return [_variation(feature, numeric=number < numbers) for number, feature in enumerate(calibration.features)]


def _variation(feature: FeatureCalibration, *, numeric: bool) -> Variation:
    varies, slow = (feature.sd[0], feature.slow[0]) if numeric else (feature.shape[0] ** 0.5, feature.shape_slow**0.5)
    return Variation(float(varies), float(slow), feature.season)

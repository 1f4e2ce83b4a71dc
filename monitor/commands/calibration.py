"""A reference's calibration in words: what was learnt, or why nothing was, and what to think twice about."""

from collections.abc import Iterator

import numpy as np

from detectors import Reference
from detectors.decision.calibration import FEWEST_ROWS, FEWEST_WINDOWS, Calibration
from detectors.decision.charts import ENOUGH
from detectors.decision.feature import FeatureCalibration
from monitor.settings.schema import parse_duration, show_duration

PROFILES = {"week": "weekly profile", "day": "daily profile", "none": "one profile for all hours"}
COLUMNS = ("varies", "slow", "season")
SEASONS = {0: "–", 24: "day", 168: "week"}
WINDOWS = ("10s", "30s", "1m", "2m", "5m", "10m", "15m", "30m", "1h", "2h", "6h", "12h", "1d")
UNITS = (("weeks", 7 * 24), ("days", 24), ("hours", 1))
SHOWN = 5
DAY_NS = 86_400 * 10**9


def learnt(reference: Reference, window_ns: int | None = None) -> str:
    """One line about the calibration; `window_ns` is the one asked for, so that a better one can be named."""
    found = reference.calibration
    if found is None:
        return f"calibration: cold, effect sizes only: {_why_cold(reference, window_ns)}"
    return (
        f"calibration: {PROFILES[found.profile]} from {found.windows:,} windows of {show_duration(found.window_ns)} "
        f"over {_span(found.span_ns)}, about {found.rows:,.0f} rows each"
    )


def _why_cold(reference: Reference, window_ns: int | None) -> str:
    if reference.period is None:
        return "no --timestamp"
    hint = None if window_ns is None else _better_window(reference, window_ns)
    return (reference.cold or "no --window") + (f" (try --window {hint})" if hint else "")


def _better_window(reference: Reference, window_ns: int) -> str | None:
    """The window nearest to the one asked for that there are enough of, with enough rows; None where no other has."""
    first, last = reference.period or (0, 0)
    lengths = {parse_duration(text): text for text in WINDOWS}
    most, least = (last - first) / (FEWEST_WINDOWS + 4), 2 * FEWEST_ROWS * (last - first) / reference.rows
    able = [nanos for nanos in lengths if least <= nanos <= most]
    if not able or min(able) <= window_ns <= max(able):
        return None
    return lengths[min(able, key=lambda nanos: abs(nanos - window_ns))]


def _span(nanos: int) -> str:
    """In the largest unit of which there are about two."""
    hours = nanos / 3.6e12
    unit, length = next((one for one in UNITS if hours >= 1.95 * one[1]), UNITS[-1])
    return f"{hours / length:.1f}".removesuffix(".0") + f" {unit}"


def misgivings(reference: Reference) -> Iterator[str]:
    """What makes the calibration a worse one, a line each."""
    found = reference.calibration
    if found is None:
        return
    yield from (one.words for one in found.drifting[:SHOWN])
    if len(found.drifting) > SHOWN:
        yield f"{len(found.drifting) - SHOWN} more features change inside the reference"
    if _only_dates(found):
        yield "all rows stand at one time of the day: timestamps without a time? fit with --window 1d"
    if few := list(_carried(reference, found)):
        more = f" and {len(few) - SHOWN} more" if len(few) > SHOWN else ""
        yield (
            f"a usual window of {show_duration(found.window_ns)} holds fewer than {ENOUGH:g} independent values of "
            f"{', '.join(few[:SHOWN])}{more}: they will be judged over several windows"
        )


def _only_dates(found: Calibration) -> bool:
    """Whether windows shorter than a day lie whole days apart, one a day."""
    days, rest = divmod(found.span_ns - found.window_ns, DAY_NS)
    return found.window_ns < DAY_NS and not rest and 2 < found.windows <= days + 1  # noqa: PLR2004 - two may do so by chance


def _carried(reference: Reference, found: Calibration) -> Iterator[str]:
    """The features of which a usual window holds too few independent values to be judged."""
    for (name, feature), own in zip(reference.features.items(), found.features, strict=True):
        usual = found.rows * feature.count / reference.rows
        if feature.count and usual < ENOUGH * max(*np.square(own.sd), own.shape[0]):
            yield name


def columns(reference: Reference) -> list[tuple[str, ...]]:
    """What COLUMNS say of each feature; nothing at all where the reference is cold.

    How many times as much its score varies from window to window as that of independent rows would; what it may move
    slowly, in sigma; and the season that it follows.
    """
    found = reference.calibration
    if found is None:
        return [()] * len(reference.names)
    numbers = len(reference.grid.numeric)
    return [_cells(one, numeric=at < numbers) for at, one in enumerate(found.features)]


def _cells(one: FeatureCalibration, *, numeric: bool) -> tuple[str, ...]:
    varies, slow = (one.sd[0], one.slow[0]) if numeric else (one.shape[0] ** 0.5, one.shape_slow**0.5)
    return f"×{varies:.1f}", f"{slow:.2f} σ" if slow else "–", SEASONS[one.season]

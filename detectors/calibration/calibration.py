"""What a reference's own windows teach: how far scores go when nothing is wrong, and the hours they follow."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from detectors.calibration import seasons
from detectors.calibration.cells import MOST, MergedCells
from detectors.calibration.components import normal_quantile
from detectors.calibration.feature import DAYS_FOR_DAY, UNSURE, FeatureCalibration, Own, calibrate_feature, later_shift
from detectors.calibration.variation import quick_sd, slow_sd
from detectors.calibration.windows import WindowCounts
from detectors.features import Floats, Ints
from detectors.sketches import Grid

LONGEST_NS, MOST_ROWS = 2**62, 1e15
FEWEST_WINDOWS = 50
MOST_OF_IT = 0.9  # of the rows: windows with fewer are compared with all
FEWEST_ROWS = 5  # of a usual window
VOLUME_FLOOR = 0.05  # of the logarithm of rows: no traffic is steadier than that
VOLUME_MISFIT = float(np.log(2))  # as far from the hour's level as the charts of rows let pass, see plan.py


class TooFewWindows(ValueError):  # noqa: N818 - it is what there is
    """The reference's own windows do not say enough: the reason, in one line."""


@dataclass(frozen=True, slots=True)
class Drifting:
    """A feature that changes inside the reference: from `since` (ns) on by `shift`.

    `what`: its mean, in sigma; the mix of its categories or its missing values, in share.
    """

    feature: str
    since: int
    shift: float
    what: str = "mean"

    @property
    def words(self) -> str:
        """The change in words."""
        at = np.datetime64(self.since, "ns").astype("datetime64[m]")
        size = f"mean {self.shift:+.2f} σ" if self.what == "mean" else f"{self.what} {self.shift * 100:+.1f} points"
        return f"{self.feature} changes inside the reference: {size} from {at}Z on"


@dataclass(frozen=True, slots=True)
class Volume:
    """Rows a window: `season` 0, 24 or 168 and the logarithms of its usual rows float64[season or 1]; `sd` around them.

    `misfit`: how far windows of each hour lie from these in most turns of the season, as a nightly batch does; () where none.
    """

    sd: float
    season: int
    level: tuple[float, ...]
    misfit: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.season not in {0, seasons.DAY, seasons.WEEK} or len(self.level) != (self.season or 1):
            raise ValueError(f"calibration: volume: {len(self.level)} levels for a season of {self.season} hours")
        if not (np.isfinite([self.sd, *self.level]).all() and self.sd > 0):
            raise ValueError("calibration: volume: sd must be above zero, and all numbers finite")
        if self.misfit and not (
            len(self.misfit) == self.season and np.isfinite(self.misfit).all() and min(self.misfit) >= 0
        ):
            raise ValueError(f"calibration: volume: misfit should be {self.season} finite numbers, none below zero")

    def expected(self, start: int, end: int) -> float:
        """Return the logarithm of the rows that a window in [start, end) usually has."""
        if not self.season:
            return self.level[0]
        at, level = seasons.between(seasons.middles(start, end), self.season), np.array(self.level)
        return float(np.log(np.exp(level[at.low] * (1 - at.share) + level[at.high] * at.share).mean()))

    def missed(self, start: int, end: int) -> float:
        """Return how far from that a window in [start, end) lies every time, the most of its hours."""
        if not self.misfit:
            return 0.0
        hours = seasons.hours(seasons.middles(start, end), self.season).astype(np.int64) % self.season
        return float(max(self.misfit[at] for at in hours.tolist()))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, exact."""
        found = {"sd": self.sd, "season": self.season, "level": list(self.level)}
        return found | ({"misfit": list(self.misfit)} if self.misfit else {})

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read the JSON form."""
        level, misfit = (tuple(map(float, found)) for found in (content["level"], content.get("misfit", ())))
        return cls(float(content["sd"]), int(content["season"]), level, misfit)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Learnt from `windows` windows of `window_ns` nanoseconds with a median of `rows` rows, over `span_ns`.

    `hours` holds the profiles of all features that have one; those of `features` are views of it.
    """

    window_ns: int
    windows: int
    rows: float
    span_ns: int
    cells: MergedCells
    features: tuple[FeatureCalibration, ...]  # in the grid's order
    volume: Volume
    drifting: tuple[Drifting, ...] = ()
    hours: tuple[seasons.Profiles, ...] = field(init=False)

    def __post_init__(self) -> None:
        found = (_stacked(self.features, season, self.cells.width) for season in (seasons.DAY, seasons.WEEK))
        object.__setattr__(self, "hours", tuple(one for one in found if one.which.size))
        features = list(self.features)
        for one in self.hours:
            for at, feature in zip(one.which.tolist(), _viewed(one, self.cells, features), strict=True):
                features[at] = feature
        object.__setattr__(self, "features", tuple(features))

    @property
    def profile(self) -> str:
        """The longest season found: week, day or none."""
        return {0: "none", seasons.DAY: "day", seasons.WEEK: "week"}[max(one.season for one in self.features)]

    @property
    def kind(self) -> str:
        """The name shown: week, day or pooled."""
        return self.profile if self.profile != "none" else "pooled"

    def select(self, names: Iterable[str], grid: Grid) -> "Calibration":
        """Return the calibration of some features, which `grid` holds in its order."""
        wanted = set(names)
        kept = [at for at, name in enumerate(self.cells.grid.names) if name in wanted]
        return Calibration(
            self.window_ns,
            self.windows,
            self.rows,
            self.span_ns,
            MergedCells(grid, tuple(self.cells.cuts[at] for at in kept)),
            tuple(self.features[at] for at in kept),
            self.volume,
            tuple(one for one in self.drifting if one.feature in wanted),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, exact."""
        return {
            "window_ns": self.window_ns,
            "windows": self.windows,
            "rows": self.rows,
            "span_ns": self.span_ns,
            "volume": self.volume.to_dict(),
            "drifting": [[one.feature, one.since, one.shift, one.what] for one in self.drifting],
            "features": {
                name: _feature_to_dict(one, cuts)
                for name, one, cuts in zip(self.cells.grid.names, self.features, self.cells.cuts, strict=True)
            },
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], grid: Grid) -> Self:
        """Read the JSON form of a calibration on this grid. Raises ValueError with one line."""
        try:
            found = {name: content["features"][name] for name in grid.names}
            cells = MergedCells(grid, tuple(np.array(one["cuts"], dtype=np.int64) for one in found.values()))
            features = tuple(_feature_from(one) for one in found.values())
            _check_features(cells, features)  # before they are laid side by side
            calibration = cls(
                int(content["window_ns"]),
                int(content["windows"]),
                float(content["rows"]),
                int(content["span_ns"]),
                cells,
                features,
                Volume.from_dict(content["volume"]),
                tuple(
                    Drifting(str(name), int(since), float(shift), str(what))
                    for name, since, shift, what in content["drifting"]
                ),
            )
            calibration._check_whole()
        except (KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
            raise ValueError(f"calibration is damaged: {type(error).__name__} {error}") from None
        return calibration

    def check(self) -> None:
        """Raise ValueError where parts do not fit together."""
        self._check_whole()
        _check_features(self.cells, self.features)

    def _check_whole(self) -> None:
        if self.window_ns < 1 or not self.rows > 0:
            raise ValueError("calibration: window_ns and rows must be above zero")
        if max(self.window_ns, self.span_ns) > LONGEST_NS or self.rows > MOST_ROWS or self.windows < 1:
            raise ValueError("calibration: window_ns, span_ns, windows or rows is beyond all reason")
        if any(one.feature not in self.cells.grid.names or not abs(one.since) < LONGEST_NS for one in self.drifting):
            raise ValueError("calibration: drifting names an unknown feature or no time")


def _stacked(features: Sequence[FeatureCalibration], season: int, width: int) -> seasons.Profiles:
    """The profiles of those that follow this season, copied."""
    which = [at for at, one in enumerate(features) if one.season == season]
    counts = [one.profile for at in which if (one := features[at]).profile is not None]
    return seasons.Profiles.of(season, which, counts, [features[at].misfit for at in which], width)


def _viewed(
    hours: seasons.Profiles, cells: MergedCells, features: Sequence[FeatureCalibration]
) -> Iterator[FeatureCalibration]:
    """These features with their part of the profiles in place of arrays of their own."""
    misfits = dict(zip(hours.missed.tolist(), hours.misfits, strict=True))
    for row, (at, counts) in enumerate(zip(hours.which.tolist(), hours.counts, strict=True)):
        yield replace(features[at], profile=counts[:, : cells.cuts[at].size], misfit=misfits.get(row))


def _check_features(cells: MergedCells, features: Sequence[FeatureCalibration]) -> None:
    usable = cells.grid.lost - cells.grid.offsets[:-1]
    for name, cuts, most, one in zip(cells.grid.names, cells.cuts, usable.tolist(), features, strict=True):
        _check_feature(name, cuts, most, one)


def _check_feature(name: str, cuts: Ints, most: int, one: FeatureCalibration) -> None:
    rising = 0 < cuts.size <= MOST and cuts[0] == 0 and (np.diff(cuts) > 0).all() and cuts[-1] < most
    if not rising:
        raise ValueError(f"calibration: {name}: cuts must be at most {MOST}, rise from 0 and stay below {most}")
    shape = None if one.profile is None else one.profile.shape
    if one.season not in {0, seasons.DAY, seasons.WEEK} or (one.season and shape != (one.season, cuts.size)):
        raise ValueError(f"calibration: {name}: the profile should have {one.season} hours of {cuts.size} cells")
    if one.misfit is not None and not (one.misfit.shape == (one.season, 3) and np.isfinite(one.misfit).all()):
        raise ValueError(f"calibration: {name}: misfit should have {one.season} hours of 3 finite numbers")
    numbers = [*one.sd, *one.skew, *one.slow, *one.shape, one.shape_sd, one.shape_slow, *one.missing]
    if not np.isfinite(numbers).all() or min(*one.sd, *one.shape, one.shape_sd, one.missing[0]) <= 0:
        raise ValueError(f"calibration: {name}: deviations must be finite and above zero")
    if not np.isfinite(one.grows).all() or min(one.grows) < 0:
        raise ValueError(f"calibration: {name}: grows must be finite and not below zero")
    if min(*one.slow, one.shape_slow, one.missing[1]) < 0:
        raise ValueError(f"calibration: {name}: allowances must not be below zero")
    if one.profile is not None and not (np.isfinite(one.profile).all() and (one.profile > 0).any(axis=1).all()):
        raise ValueError(f"calibration: {name}: the profile must hold finite counts in every hour")


def _feature_to_dict(one: FeatureCalibration, cuts: Ints) -> dict[str, Any]:
    return {
        "cuts": cuts.tolist(),
        "sd": list(one.sd),
        "skew": list(one.skew),
        **({"grows": list(one.grows)} if any(one.grows) else {}),
        "slow": list(one.slow),
        "shape": list(one.shape),
        "shape_sd": one.shape_sd,
        "shape_slow": one.shape_slow,
        "missing": list(one.missing),
        "season": one.season,
        "profile": None if one.profile is None else one.profile.tolist(),
        "misfit": None if one.misfit is None else one.misfit.tolist(),
    }


def _feature_from(content: Mapping[str, Any]) -> FeatureCalibration:
    def pair(key: str) -> tuple[float, float]:
        one, two = content[key]
        return float(one), float(two)

    profile, misfit = _counts(content["profile"]), _counts(content["misfit"])
    return FeatureCalibration(
        sd=pair("sd"),
        skew=pair("skew"),
        grows=pair("grows") if "grows" in content else (0.0, 0.0),
        slow=pair("slow"),
        shape=pair("shape"),
        shape_sd=float(content["shape_sd"]),
        shape_slow=float(content["shape_slow"]),
        missing=pair("missing"),
        season=int(content["season"]),
        profile=profile,
        misfit=misfit,
    )


def _counts(found: Any) -> seasons.Counts | None:
    """Lists of numbers, to 24 bits: what an older file says exactly is rounded once."""
    with np.errstate(over="ignore"):  # what is infinite is refused by name
        return None if found is None else np.array(found, dtype=np.float32)


def calibrate(counts: WindowCounts, cells: MergedCells) -> Calibration:
    """Learn from the reference's own windows, the first and the last left out: they are likely cut off.

    Raises TooFewWindows where they do not say enough.
    """
    whole = slice(1, -1)
    starts, rows, held = counts.starts[whole], counts.rows[whole].astype(np.float64), counts.cells[whole]
    _refuse_too_few(starts, rows, counts)
    middles = starts + counts.window_ns // 2
    features = []
    for at, size in enumerate(cells.sizes.tolist()):
        mine = held[:, at, :size].astype(np.float64)
        own = Own(mine, rows - mine.sum(axis=1), rows, middles, at < len(cells.grid.numeric), len(cells.grid.features))
        features.append(calibrate_feature(own))
    return Calibration(
        window_ns=counts.window_ns,
        windows=int(starts.size),
        rows=float(np.median(rows)),
        span_ns=int(starts[-1] - starts[0]) + counts.window_ns,
        cells=cells,
        features=tuple(features),
        volume=_volume(rows, middles, counts.window_ns),
        drifting=_drifting(features, cells) + _apart(features, cells, held.sum(axis=0), starts),
    )


def _refuse_too_few(starts: Ints, rows: Floats, counts: WindowCounts) -> None:
    window, fewest = _duration(counts.window_ns), FEWEST_WINDOWS * FEWEST_ROWS
    total = int(counts.rows.sum())
    crowded = len(counts) > 0 and int(counts.rows.max()) > total / 2
    if total < fewest and (crowded or starts.size < FEWEST_WINDOWS):
        raise TooFewWindows(f"{total} {'row' if total == 1 else 'rows'} with a time, at least {fewest} are needed")
    if crowded:
        raise TooFewWindows(f"one window of {window} holds more than half of the reference")
    if starts.size < FEWEST_WINDOWS:
        raise TooFewWindows(f"{starts.size} whole windows of {window}, at least {FEWEST_WINDOWS} are needed")
    if float(np.median(rows)) < FEWEST_ROWS:
        raise TooFewWindows(f"{np.median(rows):g} rows in a window of {window}, at least {FEWEST_ROWS} are needed")


def _duration(nanos: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        if nanos % (length * 10**9) == 0:
            return f"{nanos // (length * 10**9)}{unit}"
    return f"{nanos / 1e9:g}s"


def _drifting(features: list[FeatureCalibration], cells: MergedCells) -> tuple[Drifting, ...]:
    return tuple(
        Drifting(name, *one.step) for name, one in zip(cells.grid.names, features, strict=True) if one.step is not None
    )


def _apart(features: list[FeatureCalibration], cells: MergedCells, late: Ints, starts: Ints) -> tuple[Drifting, ...]:
    """What differs between the windows learnt from and a longer reference, whose shares are what is expected."""
    everything = cells.merge(cells.grid.counts).astype(np.float64)
    found = []
    for at, (name, one) in enumerate(zip(cells.grid.names, features, strict=True)):
        if one.step is None and 0 < late[at].sum() < MOST_OF_IT * everything[at].sum():
            held, numeric = slice(cells.sizes[at]), at < len(cells.grid.numeric)
            shift = later_shift(one, everything[at, held], late[at, held], numeric=numeric, windows=starts.size)
            found += [] if shift is None else [Drifting(name, int(starts[0]), *shift)]
    return tuple(found)


def _volume(rows: Floats, middles: Ints, window_ns: int) -> Volume:
    logs = np.log(np.maximum(rows, 1.0))
    span = int(middles[-1] - middles[0]) + window_ns
    season = 0
    if window_ns <= seasons.HOUR_NS:
        for longer, days in ((seasons.DAY, DAYS_FOR_DAY), (seasons.WEEK, 14)):
            if span >= days * seasons.DAY * seasons.HOUR_NS * 0.99 and seasons.seasonal(logs, middles, longer):
                season = longer
    if not season:
        level: Floats = np.array([np.median(logs)])
        apart = logs - level[0]
    else:
        hour = seasons.hours(middles, season).astype(np.int64) % season
        level = np.array([np.median(logs[hour == one]) if (hour == one).any() else np.nan for one in range(season)])
        level = np.where(np.isnan(level), np.nanmedian(level), level)
        at = seasons.between(middles, season)
        apart = logs - (level[at.low] * (1 - at.share) + level[at.high] * at.share)
    quick = quick_sd(apart, unit=VOLUME_FLOOR)
    chance = normal_quantile(UNSURE * window_ns / seasons.HOUR_NS) * quick  # the furthest window of an hour
    misfit = _recurring(np.abs(apart), middles, season, max(chance, VOLUME_MISFIT)) if season else ()
    return Volume(float(np.hypot(quick, slow_sd(apart, quick).sd * 3)), season, tuple(level.tolist()), misfit)


def _recurring(apart: Floats, middles: Ints, season: int, least: float) -> tuple[float, ...]:
    """How far the furthest window of each hour lies in most turns of the season, 0 where less than `least`; () where nowhere."""
    hour = seasons.hours(middles, season).astype(np.int64) % season
    turns, turn = np.unique(middles // seasons.HOUR_NS - hour, return_inverse=True)
    furthest = np.zeros((turns.size, season))
    np.maximum.at(furthest, (turn, hour), apart)
    found = np.quantile(furthest, 0.5, axis=0, method="lower")
    found = np.where(found > least, found, 0.0)
    return tuple(found.tolist()) if found.any() else ()

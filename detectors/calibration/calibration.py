"""What a reference's own windows teach: how far scores go when nothing is wrong, and the hours they follow."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from detectors.calibration import seasons
from detectors.calibration.arrival_rate import ArrivalRate, arrival_rate
from detectors.calibration.cells import MOST, MergedCells
from detectors.calibration.changes import unsteady
from detectors.calibration.days import OwnWindows
from detectors.calibration.extremes import settled
from detectors.calibration.feature import (
    FeatureCalibration,
    FeatureWindows,
    Levels,
    OwnDeviates,
    calibrate_feature,
)
from detectors.calibration.groups import Together
from detectors.calibration.holidays import NO_HOLIDAYS, Holidays, iso, read_holidays, within_reach
from detectors.calibration.mass import rates_of_features
from detectors.calibration.rates import RateVariation
from detectors.calibration.recent import check_recent, with_recent
from detectors.calibration.replay import Reached
from detectors.calibration.slow import Level, moderated
from detectors.calibration.tails import NO_TAIL, Tail
from detectors.calibration.unsteady import STEADY, Drifting, Unsteady
from detectors.calibration.windows import WindowCounts
from detectors.features import Bools, Floats, Ints
from detectors.layout import Layout

LONGEST_NS, MOST_ROWS = 2**62, 1e15
FEWEST_WINDOWS = 50
FEWEST_ROWS = 5  # of a usual window


class TooFewWindows(ValueError):  # noqa: N818 - it is what there is
    """The reference's own windows do not say enough: the reason, in one line."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Learnt from `windows` windows of `window_ns` nanoseconds with a median of `rows` rows, over `span_ns`.

    `hours` holds the profiles of all features that have one; those of `features` are views of it. Their hours and days are
    those of `timezone`, an IANA name; None is UTC. `holidays` are local days, as numbers since 1970, in the reference and after it:
    what came on them was left out. `together`: how many rows the group of a row has in a usual window; 0: rows have no groups.
    """

    window_ns: int
    windows: int
    rows: float
    span_ns: int
    cells: MergedCells
    features: tuple[FeatureCalibration, ...]  # in the layout's order
    arrival_rate: ArrivalRate
    unsteady: Unsteady = STEADY
    timezone: str | None = None
    holidays: tuple[int, ...] = ()
    together: float = 0.0
    hours: tuple[seasons.HourlyProfiles, ...] = field(init=False)

    def __post_init__(self) -> None:
        width, zone = self.cells.width, self.timezone
        profiles = (_stacked(self.features, season, width, zone) for season in (seasons.DAY, seasons.WEEK))
        object.__setattr__(self, "hours", tuple(hourly for hourly in profiles if hourly.which.size))
        features = list(self.features)
        for hourly in self.hours:
            for at, feature in zip(hourly.which.tolist(), _viewed(hourly, self.cells, features), strict=True):
                features[at] = feature
        object.__setattr__(self, "features", tuple(features))

    @property
    def profile(self) -> str:
        """The longest season found: week, day or none."""
        return {0: "none", seasons.DAY: "day", seasons.WEEK: "week"}[max(learnt.season for learnt in self.features)]

    @property
    def kind(self) -> str:
        """The name shown: week, day or pooled."""
        return self.profile if self.profile != "none" else "pooled"

    @property
    def drifting(self) -> tuple[Drifting, ...]:
        """The features that change inside the reference."""
        return self.unsteady.drifting

    def select(self, names: Iterable[str], layout: Layout) -> "Calibration":
        """Return the calibration of some features, which `layout` holds in its order."""
        wanted = set(names)
        kept = [at for at, name in enumerate(self.cells.layout.names) if name in wanted]
        return Calibration(
            self.window_ns,
            self.windows,
            self.rows,
            self.span_ns,
            self.cells.select(layout, kept),
            tuple(self.features[at] for at in kept),
            self.arrival_rate,
            self.unsteady.select(wanted),
            self.timezone,
            self.holidays,
            self.together,
        )

    @property
    def calendar(self) -> Holidays:
        """The holidays, by the clock of the zone."""
        return Holidays(frozenset(self.holidays), self.timezone)

    @property
    def on_holidays(self) -> Ints:
        """Rows in each cell on holidays, int64[f, width]."""
        counts = np.zeros((len(self.features), self.cells.width), dtype=np.int64)
        for row, learnt in zip(counts, self.features, strict=True):
            row[: len(learnt.on_holidays)] = learnt.on_holidays
        return counts

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, exact."""
        return {
            "window_ns": self.window_ns,
            "windows": self.windows,
            "rows": self.rows,
            "span_ns": self.span_ns,
            **({"timezone": self.timezone} if self.timezone else {}),
            **({"holidays": [iso(day) for day in self.holidays]} if self.holidays else {}),
            **({"together": self.together} if self.together else {}),
            "volume": self.arrival_rate.to_dict(),
            **self.unsteady.to_dict(),
            "features": {
                name: _feature_to_dict(learnt, cuts, joined)
                for name, learnt, cuts, joined in zip(
                    self.cells.layout.names, self.features, self.cells.cuts, self.cells.joined, strict=True
                )
            },
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], layout: Layout) -> Self:
        """Read the JSON form of a calibration on this layout. Raises ValueError with one line."""
        try:
            entries = {name: content["features"][name] for name in layout.names}
            cuts, joined = (
                tuple(np.array(entry.get(part, []), dtype=np.int64) for entry in entries.values())
                for part in ("cuts", "joined")
            )
            cells = MergedCells(layout, cuts, joined)
            features = tuple(_feature_from(entry) for entry in entries.values())
            _check_features(cells, features)  # before they are laid side by side
            timezone = _timezone(content.get("timezone"))
            calibration = cls(
                int(content["window_ns"]),
                int(content["windows"]),
                float(content["rows"]),
                int(content["span_ns"]),
                cells,
                features,
                ArrivalRate.from_dict(content["volume"], timezone),
                Unsteady.from_dict(content),
                timezone,
                read_holidays([*content.get("holidays", ())]),
                float(content.get("together", 0.0)),
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
        if self.together and not 1 <= self.together <= MOST_ROWS:
            raise ValueError("calibration: together must be a number of rows")
        if max(self.window_ns, self.span_ns) > LONGEST_NS or self.rows > MOST_ROWS or self.windows < 1:
            raise ValueError("calibration: window_ns, span_ns, windows or rows is beyond all reason")
        self.unsteady.check(self.cells.layout.names)


def _timezone(content: Any) -> str | None:
    """The zone of the hours. Raises UnknownTimezoneError, a ValueError, for one that this system does not know."""
    if content is None:
        return None
    seasons.clock(str(content))
    return str(content)


def _stacked(
    features: Sequence[FeatureCalibration], season: int, width: int, timezone: str | None
) -> seasons.HourlyProfiles:
    """The profiles of those that follow this season, copied."""
    which = [at for at, learnt in enumerate(features) if learnt.season == season]
    counts = [learnt.profile for at in which if (learnt := features[at]).profile is not None]
    return seasons.HourlyProfiles.of(season, which, counts, [features[at].lack_of_fit for at in which], width, timezone)


def _viewed(
    hours: seasons.HourlyProfiles, cells: MergedCells, features: Sequence[FeatureCalibration]
) -> Iterator[FeatureCalibration]:
    """These features with their part of the profiles in place of arrays of their own."""
    lacks_of_fit = dict(zip(hours.missed.tolist(), hours.lacks_of_fit, strict=True))
    for row, (at, counts) in enumerate(zip(hours.which.tolist(), hours.counts, strict=True)):
        yield replace(features[at], profile=counts[:, : cells.cuts[at].size], lack_of_fit=lacks_of_fit.get(row))


def _check_features(cells: MergedCells, features: Sequence[FeatureCalibration]) -> None:
    usable = cells.layout.lost - cells.layout.offsets[:-1]
    for name, cuts, joined, most, learnt in zip(
        cells.layout.names, cells.cuts, cells.joined, usable.tolist(), features, strict=True
    ):
        if not (np.isin(joined, np.arange(1, cuts.size)).all() and (np.diff(joined) > 0).all()):
            raise ValueError(f"calibration: {name}: joined must rise and be places of cells, without the first")
        _check_feature(name, cuts, most, learnt)


def _check_feature(name: str, cuts: Ints, most: int, learnt: FeatureCalibration) -> None:
    rising = 0 < cuts.size <= MOST and cuts[0] == 0 and (np.diff(cuts) > 0).all() and cuts[-1] < most
    if not rising:
        raise ValueError(f"calibration: {name}: cuts must be at most {MOST}, rise from 0 and stay below {most}")
    shape = None if learnt.profile is None else learnt.profile.shape
    if learnt.season not in {0, seasons.DAY, seasons.WEEK} or (learnt.season and shape != (learnt.season, cuts.size)):
        raise ValueError(f"calibration: {name}: the profile should have {learnt.season} hours of {cuts.size} cells")
    if learnt.lack_of_fit is not None and not (
        learnt.lack_of_fit.shape == (learnt.season, 3) and np.isfinite(learnt.lack_of_fit).all()
    ):
        raise ValueError(f"calibration: {name}: misfit should have {learnt.season} hours of 3 finite numbers")
    numbers = [
        *learnt.sd,
        *learnt.skew,
        *learnt.slow,
        *learnt.shape,
        learnt.shape_sd,
        learnt.shape_slow,
        *learnt.missing,
        learnt.scale_mean,
        learnt.shape_mean,
        *learnt.reached,
        *learnt.caps,
        *learnt.shape_tail,
        *(number for level in learnt.levels or () for number in (level.variance, level.dof, level.draws, level.past)),
    ]
    if not np.isfinite(numbers).all() or min(*learnt.sd, *learnt.shape, learnt.shape_sd, learnt.missing[0]) <= 0:
        raise ValueError(f"calibration: {name}: deviations must be finite and above zero")
    _check_alike(name, learnt)
    check_recent(name, learnt.recent, cuts.size)
    if learnt.on_holidays and (len(learnt.on_holidays) != cuts.size or min(learnt.on_holidays) < 0):
        raise ValueError(f"calibration: {name}: holidays should be {cuts.size} counts, none below zero")
    if not np.isfinite(learnt.overdispersion).all() or min(learnt.overdispersion) < 0:
        raise ValueError(f"calibration: {name}: grows must be finite and not below zero")
    if min(*learnt.slow, learnt.shape_slow, learnt.missing[1]) < 0:
        raise ValueError(f"calibration: {name}: allowances must not be below zero")
    if min(
        *learnt.caps,
        *learnt.reached,
        *(least for level in learnt.levels or () for least in (level.variance, level.past)),
    ) < 0 or any(min(level.dof, level.draws, level.shape) <= 0 for level in learnt.levels or ()):
        raise ValueError(f"calibration: {name}: levels, caps and what was reached must not be below zero")
    if learnt.profile is not None and not (
        np.isfinite(learnt.profile).all() and (learnt.profile > 0).any(axis=1).all()
    ):
        raise ValueError(f"calibration: {name}: the profile must hold finite counts in every hour")


def _check_alike(name: str, learnt: FeatureCalibration) -> None:
    if not all(0 <= each <= 1 for each in (*learnt.alike, *(rate.alike for rate in learnt.rates.values()))):
        raise ValueError(f"calibration: {name}: alike must lie between 0 and 1")


def _feature_to_dict(learnt: FeatureCalibration, cuts: Ints, joined: Ints) -> dict[str, Any]:
    rates = {str(place): variation.to_list() for place, variation in learnt.rates.items()}
    return {
        "cuts": cuts.tolist(),
        **({"joined": joined.tolist()} if joined.size else {}),
        **({"rates": rates} if rates else {}),
        "sd": list(learnt.sd),
        "skew": list(learnt.skew),
        **({"grows": list(learnt.overdispersion)} if any(learnt.overdispersion) else {}),
        "slow": list(learnt.slow),
        "shape": list(learnt.shape),
        "shape_sd": learnt.shape_sd,
        "shape_slow": learnt.shape_slow,
        "missing": list(learnt.missing),
        **({} if learnt.levels is None else {"levels": [_level_to_list(level) for level in learnt.levels]}),
        **({"scale_mean": learnt.scale_mean} if learnt.scale_mean else {}),
        **({"shape_mean": learnt.shape_mean} if learnt.shape_mean else {}),
        **({"shape_tail": list(learnt.shape_tail)} if learnt.shape_tail.chance else {}),
        **({"reached": list(learnt.reached)} if any(learnt.reached) else {}),
        **({"caps": list(learnt.caps)} if any(learnt.caps) else {}),
        "season": learnt.season,
        "profile": None if learnt.profile is None else learnt.profile.tolist(),
        "misfit": None if learnt.lack_of_fit is None else learnt.lack_of_fit.tolist(),
        **({"holidays": list(learnt.on_holidays)} if learnt.on_holidays else {}),
        **({"alike": list(learnt.alike)} if any(learnt.alike) else {}),
        **({"recent": [[day, *counts] for day, counts in learnt.recent.items()]} if learnt.recent else {}),
    }


def _feature_from(content: Mapping[str, Any]) -> FeatureCalibration:
    def pair(key: str) -> tuple[float, float]:
        first, second = content[key]
        return float(first), float(second)

    profile, lack_of_fit = _counts(content["profile"]), _counts(content["misfit"])
    return FeatureCalibration(
        sd=pair("sd"),
        skew=pair("skew"),
        overdispersion=pair("grows") if "grows" in content else (0.0, 0.0),
        slow=pair("slow"),
        shape=pair("shape"),
        shape_sd=float(content["shape_sd"]),
        shape_slow=float(content["shape_slow"]),
        missing=pair("missing"),
        levels=_levels(content),
        scale_mean=float(content.get("scale_mean", 0.0)),
        shape_mean=float(content.get("shape_mean", 0.0)),
        shape_tail=_tail(content.get("shape_tail", NO_TAIL)),
        reached=_three(content.get("reached", (0, 0, 0))),
        caps=_three(content.get("caps", (0, 0, 0))),
        season=int(content["season"]),
        profile=profile,
        lack_of_fit=lack_of_fit,
        rates={int(place): RateVariation.from_list(numbers) for place, numbers in content.get("rates", {}).items()},
        on_holidays=tuple(map(int, content.get("holidays", ()))),
        alike=_three(content.get("alike", (0, 0, 0))),
        recent={int(day): tuple(map(int, counts)) for day, *counts in content.get("recent", ())},
    )


def _level_to_list(level: Level) -> list[float]:
    return [level.variance, level.dof, level.draws, level.shape, level.past, level.tail]


def _levels(content: Mapping[str, Any]) -> Levels | None:
    if "levels" not in content:
        return None
    location, scale, shape = (Level(*_six(numbers)) for numbers in content["levels"])
    return location, scale, shape


def _six(numbers: Any) -> tuple[float, float, float, float, float, float]:
    variance, dof, draws, shape, past, tail = map(float, numbers)
    return variance, dof, draws, shape, past, tail


def _tail(numbers: Any) -> Tail:
    found = Tail(*_three(numbers))
    if not 0 <= found.chance < 1 or not found.excess > 0:
        raise ValueError("calibration: a tail needs a chance below one and an excess above zero")
    return found


def _three(numbers: Any) -> Reached:
    location, scale, shape = map(float, numbers)
    return location, scale, shape


def _counts(numbers: Any) -> seasons.HourCounts | None:
    """Lists of numbers, to 24 bits: what an older file says exactly is rounded once."""
    with np.errstate(over="ignore"):  # what is infinite is refused by name
        return None if numbers is None else np.array(numbers, dtype=np.float32)


def calibrate(
    counts: WindowCounts, cells: MergedCells, everything: Ints, holidays: Holidays = NO_HOLIDAYS
) -> Calibration:
    """Learn from the reference's own windows, the first and the last left out: they are likely cut off.

    Hours and days are those of the zone of `holidays`, whose windows are left out too.

    `everything` int64[size] are the counts of the whole reference, which may be longer than its windows.
    Raises TooFewWindows where they do not say enough.
    """
    all_middles, timezone = counts.starts + counts.window_ns // 2, holidays.timezone
    off = holidays.hold(all_middles)
    whole = ~off
    whole[[0, -1] if whole.size else []] = False
    kept = whole & (counts.rows > 0)
    came = (counts.rows if counts.arrived is None else counts.arrived)[whole].astype(np.float64)
    middles, starts = all_middles[kept], counts.starts[kept]
    rows, held = counts.rows[kept].astype(np.float64), counts.cells[kept]
    _refuse_too_few(starts, rows, counts)
    groups = Together.of(None if counts.together is None else counts.together[kept])
    numeric, many = len(cells.layout.numeric), len(cells.layout.features)
    learnt: list[tuple[FeatureCalibration, OwnDeviates | None]] = []
    for at, size in enumerate(cells.sizes.tolist()):
        mine = cells.fold_one(at, held[:, at, :size].astype(np.float64))
        missing = rows - mine.sum(axis=1)
        windows = FeatureWindows(mine, missing, rows, middles, at < numeric, many, counts.window_ns, timezone, groups)
        learnt.append(calibrate_feature(windows))
    together = _together([feature for feature, _ in learnt], numeric)
    features = settled(together, [own for _, own in learnt])
    if off.any():
        features = [
            replace(feature, on_holidays=tuple(on.tolist()))
            for feature, on in zip(features, _on_holidays(counts, cells, off), strict=True)
        ]
    usual = cells.merge(everything) - counts.cells[off].sum(axis=0, dtype=np.int64)
    rated = rates_of_features(features, held, rows, seasons.local(middles, timezone), cells, everything, groups)
    own = OwnWindows(cells, held, rows, starts, middles, timezone)
    unlike = unsteady(own, rated, usual)
    return Calibration(
        window_ns=counts.window_ns,
        windows=int(starts.size),
        rows=float(np.median(rows)),
        span_ns=int(starts[-1] - starts[0]) + counts.window_ns,
        cells=cells,
        features=with_recent(rated, own, {each.feature for each in unlike.wandering}),
        arrival_rate=arrival_rate(came, all_middles[whole], counts.window_ns, timezone),
        unsteady=unlike,
        timezone=timezone,
        holidays=_within_reach(holidays, all_middles),
        together=0.0 if groups is None else groups.usual,
    )


def _within_reach(holidays: Holidays, middles: Ints) -> tuple[int, ...]:
    first, *_, last = seasons.local_days(middles, holidays.timezone).tolist()
    return within_reach(sorted(holidays.days), first, last)


def _on_holidays(counts: WindowCounts, cells: MergedCells, off: Bools) -> Iterator[Ints]:
    """Rows in each cell of each feature on holidays."""
    held = counts.cells[off].sum(axis=0, dtype=np.int64)
    return (row[:size] for row, size in zip(held, cells.sizes.tolist(), strict=True))


def _together(features: Sequence[FeatureCalibration], numeric: int) -> list[FeatureCalibration]:
    """Features with levels that tell of each other: location, scale and shape of numbers, the shape of categoricals."""
    levels: list[list[Level]] = []
    for column in range(3):
        mine = [feature.levels[column] for feature in features if feature.levels is not None]
        levels.append([*moderated(mine[:numeric]), *moderated(mine[numeric:])])
    return [replace(feature, levels=each) for feature, each in zip(features, zip(*levels, strict=True), strict=True)]


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

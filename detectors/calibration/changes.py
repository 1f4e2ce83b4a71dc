"""What a reference says against itself: features that change inside it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import seasons
from detectors.calibration.cells import MergedCells
from detectors.calibration.components import TINY, normal_scores
from detectors.calibration.feature import FeatureCalibration
from detectors.calibration.variation import FEWEST_BLOCKS, SLOW, t_quantile
from detectors.features import Floats, Ints

CHANGED = 0.01  # chance, over all features, of calling an unchanged reference changed
SMALLEST_CHANGE = {"mean": 0.05, "mix": 0.01, "missing": 0.005}  # sigma, shares
LEADING = 3  # categories whose share is looked at
STEP_BLOCKS = 24
MOST_OF_IT = 0.9  # of the rows: windows with fewer are compared with all
LevelChange = tuple[int, float, str]  # time, size, what changes


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


@dataclass(frozen=True, slots=True, eq=False)
class OwnWindows:
    """All features in the reference's own windows: `cells` [k, f, width], `rows` float64[k], `starts`, `middles` int64[k]."""

    merged: MergedCells
    cells: NDArray[np.uint32]
    rows: Floats
    starts: Ints
    middles: Ints
    timezone: str | None = None  # of the hours

    def numeric(self, at: int) -> bool:
        """Whether this feature, in the layout's order, is a number."""
        return at < len(self.merged.layout.numeric)

    def counts(self, at: int) -> Floats:
        """Usable values of one feature, float64[k, size]."""
        return self.cells[:, at, : self.merged.sizes[at]].astype(np.float64)


def drifting(windows: OwnWindows, learnt: Sequence[FeatureCalibration], everything: Ints) -> tuple[Drifting, ...]:
    """Return the features that change inside the reference; `everything` int64[f, width] are all its rows on merged cells."""
    changes = []
    for at, (name, feature) in enumerate(zip(windows.merged.layout.names, learnt, strict=True)):
        change = _inside(windows, at, feature)
        if change is not None:
            changes.append(Drifting(name, *change))
        elif (shift := _apart(windows, at, feature, everything[at])) is not None:
            changes.append(Drifting(name, int(windows.starts[0]), *shift))
    return tuple(changes)


def _inside(windows: OwnWindows, at: int, learnt: FeatureCalibration) -> LevelChange | None:
    """The first of a feature's series that changes for good."""
    counts, features = windows.counts(at), len(windows.merged.cuts)
    usable = counts.sum(axis=1)
    kept = usable > 0
    changes = []
    if kept.sum() >= 2 and counts.shape[1] >= 2:  # noqa: PLR2004 - a constant has nothing to vary
        cells, rows, middles = counts[kept], usable[kept], windows.middles[kept]
        pooled = seasons.shares(cells.sum(axis=0))
        q = (
            pooled
            if learnt.profile is None
            else seasons.expected(
                learnt.profile.astype(np.float64), seasons.local(middles, windows.timezone), learnt.season
            )[0]
        )
        apart = cells / rows[:, None] - q
        weights = np.sqrt(rows / np.median(rows))
        if windows.numeric(at):
            scores = normal_scores(pooled[None], np.array([pooled.size]), 1)[0][:, 0]
            changes = [_level_change(middles, weights * (apart @ scores), "mean", features)]
        else:
            changes = [_level_change(middles, weights * each, "mix", features) for each in apart.T[:LEADING]]
    lost = 1 - usable / windows.rows
    if 0 < lost.sum() < lost.size:
        changes.append(_level_change(windows.middles, lost - lost.mean(), "missing", features))
    return next((change for change in changes if change is not None), None)


def _level_change(middles: Ints, series: Floats, what: str, features: int) -> LevelChange | None:
    """Return when a series changes for good, how far, and what it is; None where it does not, or hardly."""
    if series.size < 2:  # noqa: PLR2004 - nothing to compare
        return None
    step = largest_step(series, CHANGED / features, _windows_a_day(middles))
    if step is None or abs(step[1]) < SMALLEST_CHANGE[what]:
        return None
    return int(middles[step[0]]), step[1], what


def largest_step(series: Floats, chance: float, day: int) -> tuple[int, float] | None:
    """Return where the level of a series changes for good, and by how much; None where slow variation explains it.

    The best split of about 24 block means by a two-sample t, against a bound for the best of all splits. Blocks are whole
    days of `day` windows where there are twelve of them, for a day's windows go up and down together.
    """
    length = max(1, series.size // STEP_BLOCKS)
    if series.size >= 2 * FEWEST_BLOCKS * day:
        length = -(-length // day) * day
    means = np.asarray(series[: series.size // length * length].reshape(-1, length).mean(axis=1))
    if means.size < 2 * FEWEST_BLOCKS:
        return None
    best, at = 0.0, 0
    for split in range(3, means.size - 2):
        before, after = means[:split], means[split:]
        inside = np.square(before - before.mean()).sum() + np.square(after - after.mean()).sum()
        error = np.sqrt(max(inside, 1e-12) / (means.size - 2) * (1 / before.size + 1 / after.size))
        t = abs(after.mean() - before.mean()) / error
        best, at = max((best, at), (float(t), split))
    if best < t_quantile(chance / means.size / 2, means.size - 2):
        return None
    return at * length, float(means[at:].mean() - means[:at].mean())


def _windows_a_day(middles: Ints) -> int:
    return max(1, round(seasons.DAY * seasons.HOUR_NS / float(np.median(np.diff(middles)))))


def _apart(windows: OwnWindows, at: int, learnt: FeatureCalibration, everything: Ints) -> tuple[float, str] | None:
    """What differs between the windows learnt from and a longer reference, whose shares are what is expected."""
    late = windows.cells[:, at].sum(axis=0)
    if not 0 < late.sum() < MOST_OF_IT * everything.sum():
        return None
    held = slice(windows.merged.sizes[at])
    return later_shift(
        learnt,
        everything[held].astype(np.float64),
        late[held],
        numeric=windows.numeric(at),
        windows=windows.middles.size,
    )


def later_shift(
    learnt: FeatureCalibration, everything: Floats, late: Floats | Ints, *, numeric: bool, windows: int
) -> tuple[float, str] | None:
    """Return by how much the windows learnt from differ from what was before, and what; None where hardly or by chance.

    `everything`, `late` [size]: counts of the whole reference and of those windows.
    """
    pooled, count = seasons.shares(everything), float(late.sum())
    earlier = max(1 - count / float(everything.sum()), TINY)
    apart = late / count - pooled
    settled = np.sqrt(max(windows / SLOW[-1], 1.0))  # slow variation: days that stand for themselves
    if numeric:
        moved = float(apart @ normal_scores(pooled[None], np.array([pooled.size]), 1)[0][:, 0])
        what, unit, slow = "mean", learnt.sd[0], learnt.slow[0]
    else:
        leading = int(np.argmax(np.abs(apart[:LEADING])))
        moved, spread = float(apart[leading]), float(np.sqrt(pooled[leading] * (1 - pooled[leading])))
        what, unit, slow = "mix", learnt.shape[0] ** 0.5 * spread, learnt.shape_slow**0.5 * spread
    chance = 3 * unit * np.sqrt(earlier / count) + slow / settled
    return (float(moved / earlier), what) if abs(moved) > SMALLEST_CHANGE[what] + chance else None

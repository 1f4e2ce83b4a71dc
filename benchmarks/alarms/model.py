"""A model with its reference, fitted on simulated weeks as a user's is on real ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.alarms.laws import labels
from benchmarks.alarms.streams import DAY_WINDOWS, SECOND, Stream, World
from benchmarks.alarms.truth import Categories, Feature, Mix, Normal
from detectors import Baseline, FeatureBaseline, Reference
from detectors.calibration.calibration import calibrate
from detectors.calibration.cells import MergedCells
from detectors.calibration.windows import WindowCounts
from detectors.features import Floats, Ints

MONDAY = 1_704_067_200 * SECOND  # 2024-01-01T00:00Z: where simulated time begins
SAMPLE = 16_384  # values of each feature that edges are taken from, beside the two extremes of all rows
WEEKS = 2


@dataclass(frozen=True, eq=False)
class Model:
    """A calibrated reference and the traffic that goes on where the reference ended."""

    world: World
    truth: Sequence[Feature]
    reference: Reference
    stream: Stream
    begins: int  # number of the first window after the reference

    @property
    def cells(self) -> MergedCells:
        """What the reference is decided on."""
        assert self.reference.calibration is not None
        return self.reference.calibration.cells

    def start(self, window: int) -> int:
        """Return when a window begins, in nanoseconds."""
        return MONDAY + window * self.world.window_ns


def fitted(world: World, mix: Mix, rng: np.random.Generator, *, weeks: float = WEEKS) -> Model:
    """Draw features, a reference of some weeks, and calibrate it."""
    truth = mix.features(rng)
    windows = round(weeks * 7 * DAY_WINDOWS)
    season = world.season_of(len(truth), rng)
    levels = None if season is None else season.levels(0, windows)
    sample = sampled(truth, world.rows, windows, levels, rng)
    cells = MergedCells.of(sample.layout, sample.counts, world.rows)
    stream = world.stream(truth, cells, season, rng)
    counts, lost = own_windows(stream, windows, world)
    whole = refined(sample, cells, counts.cells.sum(axis=0, dtype=np.int64), lost, rng)
    reference = Reference(
        **whole.parts(),
        period=(MONDAY, MONDAY + windows * world.window_ns),
        rows_per_second=whole.rows / (windows * world.window_ns / SECOND),
    )
    calibration = calibrate(counts, MergedCells(whole.layout, cells.cuts), whole.counts)
    return Model(world, truth, replace(reference, calibration=calibration), stream, windows)


def own_windows(stream: Stream, windows: int, world: World) -> tuple[WindowCounts, Ints]:
    """Return the reference's windows, and how many rows of each feature are missing."""
    kept, rows, lost = [], [], []
    for first in range(0, windows, DAY_WINDOWS):
        block = stream.draw(first, min(DAY_WINDOWS, windows - first))
        kept.append(block.cells.astype(np.uint32))
        rows.append(block.rows)
        lost.append(block.missing.sum(axis=0))
    starts = MONDAY + np.arange(windows, dtype=np.int64) * world.window_ns
    return WindowCounts(world.window_ns, starts, np.concatenate(rows), np.concatenate(kept)), np.sum(lost, axis=0)


def sampled(
    truth: Sequence[Feature], rows: int, windows: int, levels: Floats | None, rng: np.random.Generator
) -> Reference:
    """Bins and categories as a fit finds them: quantiles of a sample, and the extremes of all rows."""
    columns: dict[str, np.ndarray] = {}
    for at, feature in enumerate(truth):
        moving = levels[:, at] * feature.sd if levels is not None and isinstance(feature, Normal) else np.zeros(windows)
        if isinstance(feature, Categories):
            known = labels(feature)
            columns[f"f{at:03}"] = np.append(known, rng.choice(known, SAMPLE + 2 - known.size, p=feature.shares))
        else:
            sample = feature.ppf(rng.random(SAMPLE)) + rng.choice(moving, SAMPLE)
            columns[f"f{at:03}"] = np.append(sample, _extremes(feature, rows, moving, rng))
    return Reference.fit(columns)


def _extremes(feature: Feature, rows: int, moving: Floats, rng: np.random.Generator) -> list[float]:
    """Least and largest of all rows: those of each window around its level."""
    assert not isinstance(feature, Categories)
    furthest = np.clip(rng.random((2, moving.size)) ** (1 / rows), 1e-16, 1 - 1e-16)
    least, largest = feature.ppf(1 - furthest[0]) + moving, feature.ppf(furthest[1]) + moving
    return [float(least.min()), float(largest.max())]


def refined(sample: Baseline, cells: MergedCells, totals: Ints, lost: Ints, rng: np.random.Generator) -> Baseline:
    """Return the baseline whose counts are these: `totals` int64[f, width] on merged cells, split as the sample was; `lost` missing."""
    found: list[FeatureBaseline] = []
    features = sample.features.values()
    for feature, cuts, total, none in zip(features, cells.cuts, totals, lost.tolist(), strict=True):
        tail = feature.cells - feature.usable
        usable = feature.counts[:-tail].astype(np.float64)
        parts = np.split(usable, cuts[1:].tolist())
        counts = [
            rng.multinomial(int(many), part / max(part.sum(), 1e-9)) for many, part in zip(total, parts, strict=False)
        ]
        found.append(replace(feature, counts=np.concatenate([*counts, [none, 0, 0][:tail]])))
    return Baseline.of(found, int(totals[0].sum() + lost[0]))

"""Whether numbers look like the reference's in another unit: a sample is scaled back and held against its counts."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from detectors.baseline import NumericBaseline
from detectors.features import Floats

FEWEST = 16  # numbers that say anything
FAR = 0.3  # KS distance at which a sample is plainly another
GAINED = 0.2  # of which scaling back must take away at least so much
ABSURD = 1e100  # numbers beyond are nobody's unit, and their products overflow
CLOSE = 1.36  # over √n: what chance alone exceeds once in twenty times
COUNTS = 0.25  # of the reference's width: an offset below is not told from none, and then from another factor
WIDER = 1 / 3  # of ln(factor): how far the spread may be from the factor, unless that is a power of ten
SAME = 1e-9  # relative: what scaling back and forth may cost

PARTS = (0.1, 0.5, 0.9)  # between the first and the last lies what counts as width
POWERS = tuple(10.0**power for power in (1, 2, 3, 4, 5, 6, 9))
RATIOS = (
    60.0,
    3600.0,
    24.0,
    1440.0,
    86400.0,
    1024.0,
)  # pounds and miles are too near to ordinary drift to be told from it


@dataclass(frozen=True, slots=True)
class Change:
    """Now = before x `factor` + `offset`; `words` say so."""

    factor: float
    offset: float
    words: str
    common: bool  # a power of ten or a sign: needs no further proof
    doubt: float = 0.0  # added to the distance where several fit


def _changes() -> Iterator[Change]:
    for factors, common in ((POWERS, True), (RATIOS, False)):
        for factor in factors:
            name = f"{factor:.4g}" if factor < 10_000 else f"{factor:,.0f}".replace(",", " ")  # noqa: PLR2004 - thousands
            doubt = 0.0 if common else 0.05
            yield Change(factor, 0.0, f"values × {name}: a unit change?", common, doubt)
            yield Change(1 / factor, 0.0, f"values ÷ {name}: a unit change?", common, doubt)
    yield Change(-1.0, 0.0, "values × −1: a sign change?", common=True)
    yield Change(1.8, 32.0, "values × 1.8 + 32: Celsius to Fahrenheit?", common=False)
    yield Change(1 / 1.8, -32 / 1.8, "values − 32, ÷ 1.8: Fahrenheit to Celsius?", common=False)


CHANGES = tuple(_changes())
FACTORS = np.array([change.factor for change in CHANGES])
OFFSETS = np.array([change.offset for change in CHANGES])


def unit_change(feature: NumericBaseline, numbers: Floats) -> str | None:
    """Say which change of unit makes the newest `numbers` the reference's; None where none does, or none is needed."""
    rungs, expected = _ladder(feature)
    if not rungs.size or not numbers.size or max(np.abs(rungs).max(), np.abs(numbers).max()) > ABSURD:
        return None
    for sample in (numbers, numbers[numbers.size // 2 :]):  # the older half may be from before the change
        if sample.size >= FEWEST and (found := _best(sample, rungs, expected)):
            return found.words
    return None


def _best(sample: Floats, rungs: Floats, expected: Floats) -> Change | None:
    as_is = _distance(sample, rungs, expected)
    if as_is < FAR:
        return None
    low, middle, high = (rungs[np.searchsorted(expected, part).clip(0, rungs.size - 1)] for part in PARTS)
    shifted = _distance(sample - (np.median(sample) - middle), rungs, expected)
    limit = min(CLOSE / np.sqrt(sample.size), as_is - GAINED)
    wider = _wider(high / 2 - low / 2, float(np.ptp(np.quantile(sample / 2, (PARTS[0], PARTS[-1])))))
    near = [
        (distance + change.doubt, change)
        for change in _likely(float(np.median(sample)), rungs, expected, limit)
        if abs(change.offset / 2) >= COUNTS * (high / 2 - low / 2) * (change.offset != 0)
        and (change.common or abs(wider - np.log(change.factor)) <= WIDER * abs(np.log(change.factor)))
        and (distance := _distance((sample - change.offset) / change.factor, rungs, expected)) <= limit
        and (
            rungs.size > 1
            or abs(float(np.median(sample) - change.offset) / change.factor - rungs[0]) <= SAME * abs(rungs[0])
        )
        # What lies evenly about its middle can be shifted onto its mirror image.
        and (distance <= shifted or change.factor < 0)
    ]
    return min(near, key=lambda one: one[0])[1] if near else None


def _likely(middle: float, rungs: Floats, expected: Floats, limit: float) -> list[Change]:
    """The changes that bring a sample's median near the reference's: the others need not be tried."""
    placed = (middle - OFFSETS) / FACTORS
    slack = SAME * np.abs(placed)
    levels = np.concatenate([[0.0], expected])
    low = levels[np.searchsorted(rungs, placed - slack, side="left")]
    high = levels[np.minimum(np.searchsorted(rungs, placed + slack, side="right") + 1, expected.size)]
    far = np.maximum(low - 0.5, 0.5 - high)
    return [CHANGES[at] for at in np.flatnonzero(far <= limit + 1 / FEWEST).tolist()]


def _wider(usual: float, found: float) -> float:
    """How much wider the sample is, as a logarithm; 0 where one has no width."""
    return float(np.log(found / usual)) if usual > 0 and found > 0 else 0.0


def _ladder(feature: NumericBaseline) -> tuple[Floats, Floats]:
    """The edges at which the reference's distribution is known, and its value there; not the near side of single values."""
    edges = feature.edges
    counts = feature.counts[1 : feature.bins + 1]
    if not counts.sum():
        return np.empty(0), np.empty(0)
    expected = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    apart = np.append(np.diff(edges / 2) > SAME * np.abs(edges[1:]), [True])  # halves: a difference may overflow
    return edges[apart], expected[apart]


def _distance(sample: Floats, rungs: Floats, expected: Floats) -> float:
    """KS distance of a sample to the reference, at these rungs."""
    sample = np.sort(sample)
    below = np.searchsorted(sample, rungs + np.abs(rungs) * SAME, side="right")
    return float(np.abs(below / sample.size - expected).max())

"""What is to be said of a number: mean, spread, mass at one value, out of range, of another shape or in another unit."""

from dataclasses import dataclass

import numpy as np

from detectors.baseline import NumericBaseline
from detectors.features import Floats
from monitor.explain.figures import apart, moved, plain, signed, single
from monitor.explain.parts import NOTABLE_SHARE, NOTABLE_SHIFT, NOTABLE_SPREAD, Part, Reading, share_part, sureness
from monitor.explain.units import unit_change

GROUPS = 16  # runs of bins of about equal mass, between which a shape is described
CHOSEN = 1.5  # by so much the surest run of all looks surer than it is
PILED = 0.05  # of the rows at one value are worth naming it
STUCK = 0.95  # of the rows at one value: so also where values are few
OFTEN = 3  # times in a sample: no coincidence
FAR = 0.3  # KS distance of two rows of counts: only then is a change of unit looked for
SLIGHT = 0.02  # σ, or of ln(sd / sd): too little to say which way
CLAMPED = 0.01  # of the rows outside the range: their distance is not known
BEYOND_KNOWN = 0.2  # of the rows outside: the spread is not known
INNER = (0.1, 0.9)


def number_parts(feature: NumericBaseline, reading: Reading, chart: str, numbers: Floats | None) -> list[Part]:
    """Return the parts of a number; `numbers` are a few raw values, the newest last."""
    if not reading.comparable:
        return []
    if not feature.std:
        return [*_unit(feature, reading, numbers), _constant(feature, reading)]
    moments = Moments.of(feature, reading)
    parts = [
        *_unit(feature, reading, numbers),
        *_piled(feature, reading, numbers),
        _mean(feature, reading, moments, chart),
        _spread(feature, reading, moments, chart),
        _outside(reading),
    ]
    return [*parts, _shape(feature, reading, parts)]


@dataclass(frozen=True, slots=True)
class Moments:
    """How far the mean went, in σ of the reference, and the spread as a ratio; both from counts."""

    shift: float
    spread: float

    @classmethod
    def of(cls, feature: NumericBaseline, reading: Reading) -> "Moments":
        """Take every bin at its mean; values out of range stand at its end."""
        half = feature.std / 2  # halves, because the distance of two finite numbers may overflow
        with np.errstate(over="ignore"):
            places = np.clip((feature.bin_means / 2 - feature.mean / 2) / half, -1e9, 1e9)
        before, now = float(reading.before @ places), float(reading.now @ places)
        usual = float(reading.before @ (places - before) ** 2)
        found = float(reading.now @ (places - now) ** 2)
        return cls(now - before, float(np.sqrt(found / usual)) if usual > 0 else 1.0)


def _unit(feature: NumericBaseline, reading: Reading, numbers: Floats | None) -> list[Part]:
    if numbers is None or np.abs(np.cumsum(reading.now - reading.before)).max() < FAR:
        return []
    words = unit_change(feature, numbers)
    return [] if words is None else [Part("unit", words, np.inf, np.inf, overrides=True)]


def _constant(feature: NumericBaseline, reading: Reading) -> Part:
    other = float(1 - reading.now[1:-1].sum())
    strength = other / NOTABLE_SHARE
    return Part("mean", f"always {single(feature.mean)} before, {moved(0, other)} differ", strength, np.inf)


# --- how far ----------------------------------------------------------------------------------------------------------


def _mean(feature: NumericBaseline, reading: Reading, moments: Moments, chart: str) -> Part:
    shift = moments.shift
    sure = abs(shift) * np.sqrt(reading.usable) / max(1.0, moments.spread)
    against = (chart == "location+" and shift < SLIGHT) or (chart == "location-" and shift > -SLIGHT)
    if against:  # the chart weighs ranks: the tails say otherwise
        return Part("mean", _middle(feature, reading, up=chart == "location+"), 1.0, np.inf)
    clamped = reading.now[0] + reading.now[-1] - reading.before[0] - reading.before[-1] > CLAMPED
    text = f"mean {signed(shift)} σ{' or more' if clamped else ''}"
    return Part("mean", text, abs(shift) / NOTABLE_SHIFT, float(sure))


def _middle(feature: NumericBaseline, reading: Reading, *, up: bool) -> str:
    before, now = (2 * _quantile(feature, shares, 0.5) for shares in (reading.before, reading.now))
    if before == now or (now > before) is not up:
        return f"values tend {'up' if up else 'down'}"
    return f"median {' → '.join(apart(before, now))}"


def _spread(feature: NumericBaseline, reading: Reading, moments: Moments, chart: str) -> Part:
    ratio = moments.spread
    change = float(np.log(ratio)) if ratio > 0 else -np.inf
    against = (chart == "scale+" and change < SLIGHT) or (chart == "scale-" and change > -SLIGHT)
    if against:
        before, now = (np.diff([_quantile(feature, shares, at) for at in INNER])[0] for shares in _both(reading))
        ratio = float(now / before) if before > 0 else 1.0
        if (ratio > 1) is not (chart == "scale+"):
            return Part("spread", f"values {'further apart' if chart == 'scale+' else 'closer together'}", 1.0, np.inf)
        return Part("spread", f"spread × {plain(ratio, 2)}", 1.0, np.inf)
    beyond = reading.now[0] + reading.now[-1] > BEYOND_KNOWN
    sure = 0.0 if beyond else abs(change) * np.sqrt(2 * reading.usable)
    return Part("spread", f"spread × {plain(ratio, 2)}", min(abs(change), 5.0) / NOTABLE_SPREAD, float(sure))


def _both(reading: Reading) -> tuple[Floats, Floats]:
    return reading.before, reading.now


def _quantile(feature: NumericBaseline, shares: Floats, at: float) -> float:
    """Half the value below which so much of the mass lies: between the means of the cells, by their middle mass."""
    middle = np.cumsum(shares) - shares / 2
    return float(np.interp(at, middle, feature.bin_means / 2))


def _outside(reading: Reading) -> Part:
    before, now = (float(shares[0] + shares[-1]) for shares in _both(reading))
    return share_part("outside", "outside the known range", before, now, reading.usable)


# --- where ------------------------------------------------------------------------------------------------------------


def _piled(feature: NumericBaseline, reading: Reading, numbers: Floats | None) -> list[Part]:
    """Mass that has come to a single value: known where a bin is one, else found in the sample."""
    found = _piled_in_bins(feature, reading)
    if numbers is not None and numbers.size:
        found += _piled_in_sample(feature, reading, numbers)
    gain, before, now, value = max(found, default=(0.0, 0.0, 0.0, 0.0))
    if gain < PILED or (feature.discrete and now < STUCK):
        return []
    text = f"mass at one value {single(value)}: {moved(before, now)}"
    moved_in_all = float(np.abs(np.add.reduceat(reading.now - reading.before, _groups(reading.before))).sum() / 2)
    overrides = gain >= moved_in_all / 2
    return [Part("shape", text, gain / NOTABLE_SHARE, sureness(before, now, reading.usable), overrides)]


Pile = tuple[float, float, float, float]  # gain, share before, share now, the value


def _piled_in_bins(feature: NumericBaseline, reading: Reading) -> list[Pile]:
    gains = np.where(feature.atoms, (reading.now - reading.before)[1:-1], -1.0)
    at = int(np.argmax(gains))
    return [(float(gains[at]), float(reading.before[at + 1]), float(reading.now[at + 1]), float(feature.tops[at]))]


def _piled_in_sample(feature: NumericBaseline, reading: Reading, numbers: Floats) -> list[Pile]:
    values, times = np.unique(numbers, return_counts=True)
    cells = np.searchsorted(feature.edges, values, side="left")
    held = np.bincount(cells, weights=times, minlength=feature.bins + 2)[cells]
    return [
        (share - before, before, share, value)
        for value, cell, part in zip(values.tolist(), cells.tolist(), (times / held).tolist(), strict=True)
        if (share := float(reading.now[cell]) * part) >= PILED
        and (before := _alone(feature, reading, cell)) <= share
        and times[values.searchsorted(value)] >= OFTEN
    ]


def _alone(feature: NumericBaseline, reading: Reading, cell: int) -> float:
    """The reference's share of one value in a cell; a value that was frequent has a bin of its own."""
    single = 1 <= cell <= feature.bins and feature.atoms[cell - 1]
    return float(reading.before[cell]) if single else 0.0


def _shape(feature: NumericBaseline, reading: Reading, parts: list[Part]) -> Part:
    """Where mass has come to, for what neither mean nor spread tells."""
    told = any(part.kind in {"mean", "spread"} and part.strength >= 1 for part in parts)
    text, before, now = _value(feature, reading) if feature.discrete else _run(feature, reading)
    strength = (now - before) / NOTABLE_SHARE
    return Part("shape", text, strength, 0.0 if told else sureness(before, now, reading.usable) / CHOSEN)


def _value(feature: NumericBaseline, reading: Reading) -> tuple[str, float, float]:
    """Of few distinct values, the one that gained most."""
    at = int(np.argmax((reading.now - reading.before)[1:-1])) + 1
    before, now = float(reading.before[at]), float(reading.now[at])
    return f"value {single(float(feature.tops[at - 1]))}: {moved(before, now)}", before, now


def _run(feature: NumericBaseline, reading: Reading) -> tuple[str, float, float]:
    """The run of bins that gained most: the largest sum of neighbours (Kadane)."""
    starts = _groups(reading.before)
    before, now = (np.add.reduceat(shares, starts) for shares in _both(reading))
    first, last = _heaviest(now - before)
    ends = [*starts.tolist(), reading.before.size]
    where = _between(feature, ends[first], ends[last + 1])
    old, new = (float(shares[first : last + 1].sum()) for shares in (before, now))
    return f"shape changed: more mass {where} ({moved(old, new)})", old, new


def _groups(before: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Where runs of about a sixteenth of the reference begin; what is under and over joins the first and the last."""
    middle = np.cumsum(before) - before / 2
    group = np.minimum((middle * GROUPS).astype(np.int64), GROUPS - 1)
    return np.concatenate([[0], np.flatnonzero(np.diff(group[:-1]) > 0) + 1])


def _heaviest(gains: Floats) -> tuple[int, int]:
    best, span, total, first = -np.inf, (0, 0), 0.0, 0
    for at, gain in enumerate(gains.tolist()):
        if total <= 0:
            total, first = 0.0, at
        total += gain
        if total > best:
            best, span = total, (first, at)
    return span


def _between(feature: NumericBaseline, first: int, last: int) -> str:
    """Cells first to last - 1, in values."""
    edge, top = float(feature.edges[max(first - 1, 0)]), float(feature.edges[min(last, feature.bins + 1) - 1])
    least = float(np.nextafter(edge, np.inf)) + 0.0  # a bin does not hold its lower edge
    low, high = apart(edge if edge.is_integer() and least != top else least, top)
    if not first:
        return f"up to {high}"
    if last > feature.bins + 1:
        return f"above {low}"
    return f"at {low}" if low == high else f"between {low} and {high}"

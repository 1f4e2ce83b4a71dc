"""Where bins stand across a picture, and the round numbers under them."""

from dataclasses import dataclass

import numpy as np

from detectors.features import Floats
from detectors.figures import plain

LONG, TIMES = (
    0.25,
    3.0,
)  # of all bins between the ends, and × a usual one: an end that is wider is drawn narrow, with a gap
NARROW, GAP = 16.0, 6.0
TICKS = 5  # at most, about
DIGITS = range(4, 18)
LARGE = 1e12  # from here on a power of ten says more
ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Bins between places left and right, on an even or a logarithmic scale; a long end is drawn narrow, with a gap.

    `scaled` float64[b + 1] are the edges on that scale, halved so that no distance overflows; `first` and `last` are those
    between which the scale holds.
    """

    lefts: Floats
    rights: Floats
    scaled: Floats
    first: int
    last: int
    growing: bool

    @classmethod
    def of(cls, edges: Floats, left: float, right: float, *, growing: bool) -> "Axis":
        """Lay bins out between two places. Of growing ones the first may begin at or below 0: it is a long end.

        >>> Axis.of(np.array([0.0, 1, 2, 3, 99]), 0, 122, growing=False).lefts.round().tolist()
        [0.0, 33.0, 67.0, 106.0]
        """
        with np.errstate(divide="ignore"):
            scaled = (np.log(np.maximum(edges, 0.0)) if growing else edges) / 2
        widths = np.diff(scaled)
        long = max(LONG * float(widths[1:-1].sum()), TIMES * float(np.median(widths)))
        early, late = (widths.size > 2 and bool(widths[end] > long) for end in (0, -1))  # noqa: PLR2004 - both ends
        first, last = int(early), scaled.size - 1 - int(late)
        inner = scaled[first : last + 1]
        begin, end = left + early * (NARROW + GAP), right - late * (NARROW + GAP)
        across = begin + (inner - inner[0]) / max(float(inner[-1] - inner[0]), 5e-324) * (end - begin)
        lefts = np.concatenate([[left] * early, across[:-1], [right - NARROW] * late])
        rights = np.concatenate([[left + NARROW] * early, across[1:], [right] * late])
        return cls(lefts, rights, scaled, first, last, growing)

    @property
    def widths(self) -> Floats:
        """How wide each bin is drawn."""
        return np.maximum(self.rights - self.lefts, 0.01)

    def place(self, value: float) -> float:
        """Where a number between the ends stands."""
        scaled = (float(np.log(value)) if self.growing else value) / 2
        return float(np.interp(scaled, self.scaled[self.first : self.last + 1], self._bounds))

    @property
    def _bounds(self) -> Floats:
        return np.append(self.lefts[self.first : self.last], self.rights[self.last - 1])

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Round numbers along the scale, a few, in as many digits as tell them apart."""
        first, last = (2 * float(self.scaled[end]) for end in (self.first, self.last))
        places = powers(float(np.exp(first)), float(np.exp(last))) if self.growing else steps(first, last)
        return list(zip(places, told_apart(places), strict=True))


def told_apart(places: list[float]) -> list[str]:
    r"""Return numbers as people read them, in as many digits as tell them apart.

    >>> told_apart([0.0, 0.5, 1.0]), told_apart([1700000020.0, 1700000040.0])
    (['0', '0.5', '1'], ['1\u202f700\u202f000\u202f020', '1\u202f700\u202f000\u202f040'])
    """
    digits = next((more for more in DIGITS if len({plain(place, more) for place in places}) == len(places)), DIGITS[-1])
    whole = all(place.is_integer() and abs(place) < LARGE for place in places)
    return [thousands(int(place)) if whole else plain(place, digits) for place in places]


def thousands(whole: int) -> str:
    r"""Return a whole number with its thousands apart, by a narrow space that does not break.

    >>> thousands(-50000), thousands(512)
    ('−50\u202f000', '512')
    """
    return f"{whole:,}".replace(",", "\u202f").replace("-", "−")


def steps(first: float, last: float) -> list[float]:
    """Return multiples of 1, 2, 2.5 or 5 times a power of ten between two numbers.

    >>> steps(0.0, 99.0), steps(-0.31, 0.42)
    ([0.0, 20.0, 40.0, 60.0, 80.0], [-0.2, 0.0, 0.2, 0.4])
    """
    rough = (last / TICKS - first / TICKS) or 1.0
    size = 10.0 ** np.floor(np.log10(rough))
    step = next((size * each for each in ROUND if size * each >= rough), rough)
    places = np.arange(np.ceil(first / step), np.floor(last / step) + 1)
    return [float(f"{place * step:.15g}") + 0.0 for place in places[: 2 * TICKS]]


def powers(first: float, last: float) -> list[float]:
    """Return powers of ten between two numbers, every second or third where there are many; steps where there are few.

    >>> powers(0.5, 2000), powers(2, 9)
    ([1.0, 10.0, 100.0, 1000.0], [2.0, 4.0, 6.0, 8.0])
    """
    low, high = int(np.ceil(np.log10(first))), int(np.floor(np.log10(last)))
    if high <= low:
        return steps(first, last)
    every = -(-(high - low + 1) // TICKS)
    return [float(f"1e{power}") for power in range(low, high + 1, every)]

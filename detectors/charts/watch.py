"""What is kept of features that warn or fire: their counts by stretches of time since then, for levels and sizes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.calibration.components import TINY
from detectors.features import Bools, Floats, Ints

BLOCKS = 8  # seven whole ones and the one that goes on
SETTLED = 2  # the first look is enough, unless it finds a move
ALL = slice(None)
NEVER, TOLD = np.iinfo(np.int64).min, np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class WatchedSubgroup:
    """What one subgroup counted: int64[f, w] cells, float64[f, w] the reference's shares, int64[f, 2] missing and unseen, rows."""

    cells: Ints
    shares: Floats
    events: Ints
    rows: int
    start: int
    end: int


LIFE = ("places", "fired", "subgroups", "checked", "steady", "held", "moving", "told_at")
COUNTS = ("counts", "expected", "levelled", "events", "rows")
SIZES = ("seen", "sizes", "learnt", "level_z", "level_effect", "level_rows", "sums", "run", "run_effect")
TURNS = ("opposed",)
KEPT = LIFE + COUNTS + SIZES + TURNS


class Watch:
    """The features that are watched, `places` int64[k] rising, each with what came since it began to warn.

    `fired` int64[k] is the end of the subgroup in which it began to fire, `subgroups` int64[k] how many it has fired for.
    `counts`, `expected` float64[k, blocks, w], `events` float64[k, blocks, 2] and `rows` float64[k, blocks] are of the last
    stretches, `stretch_ns` each; expected is by the reference, `levelled` the same as a level takes it (`ratios`).
    `held` bool[k]: watched though it neither warns nor fires.
    """

    def __init__(self, stretch_ns: int, width: int, charts: int) -> None:
        self.stretch_ns = stretch_ns
        self.block = 0  # the number of the stretch that goes on
        self.places: Ints = np.empty(0, dtype=np.int64)
        self.fired: Ints = np.empty(0, dtype=np.int64)
        self.subgroups: Ints = np.empty(0, dtype=np.int64)
        self.checked: Ints = np.empty(0, dtype=np.int64)  # the stretch in which its level was last looked at
        self.steady: Ints = np.empty(0, dtype=np.int64)  # looks at it, once it had lasted, in which it did not move
        self.held: Bools = np.empty(0, dtype=np.bool_)
        self.moving: Bools = np.empty(0, dtype=np.bool_)
        self.counts: Floats = np.empty((0, BLOCKS, width))
        self.expected: Floats = np.empty((0, BLOCKS, width))
        self.levelled: Floats = np.empty((0, BLOCKS, width))
        self.events: Floats = np.empty((0, BLOCKS, 2))
        self.rows: Floats = np.empty((0, BLOCKS))
        self.told_at: Ints = np.empty(0, dtype=np.int64)  # when it began to fire, or had last grown
        # Sizes, see growth.py.
        none = np.empty((0, charts))
        self.seen: Ints = np.empty(0, dtype=np.int64)
        self.sizes: Floats = none
        self.learnt: Ints = none.astype(np.int64)
        self.level_z: Floats = none
        self.level_effect: Floats = none
        self.level_rows: Floats = none
        self.sums: Floats = none
        self.run: Ints = none.astype(np.int64)
        self.run_effect: Floats = none
        self.opposed: Ints = np.empty(
            (0, 2), dtype=np.int64
        )  # of location and scale: since when it is the other way than was known, or TOLD

    def follow(self, seen: WatchedSubgroup, uneasy: Bools, firing: Bools) -> None:
        """Take one subgroup, of features that warn or fire; the others are forgotten."""
        wanted = np.flatnonzero(uneasy)
        if not wanted.size and not self.places.size:
            return
        self._turn(seen.start // self.stretch_ns)
        self._keep(np.union1d(wanted, self.places[self.held]))
        fires = firing[self.places]
        self.fired = np.where(fires, np.where(self.fired == NEVER, seen.end, self.fired), NEVER)
        self.subgroups = np.where(fires, self.subgroups + 1, 0)
        slot, cells, shares = self.block % BLOCKS, seen.cells[self.places], seen.shares[self.places]
        ratios = self.ratios()  # by what came before, of which both counts and what is due are known
        sums = np.maximum((shares * ratios).sum(axis=1), TINY)
        self.counts[:, slot] += cells
        self.expected[:, slot] += cells.sum(axis=1)[:, None] * shares
        known = np.where(shares > 0, cells, 0).sum(axis=1)  # what the reference has none of has no factor
        self.levelled[:, slot] += (known / sums)[:, None] * shares
        self.events[:, slot] += seen.events[self.places]
        self.rows[:, slot] += seen.rows

    def ratios(self, which: Bools | slice = ALL) -> Floats:
        """What is seen of each cell of these over what is due, float64[k, w]: r, where the shares of each hour h are q_h r / Σ q_h r.

        So each hour's part of what is due is over that sum: r = seen / Σ_h n_h q_h / Σ q_h r is its likelihood's maximum, taken up subgroup
        by subgroup. Without these sums a shift at hours that differ would be one share too large at some of them, too small at others.
        Its size is that at which they are 1 over all that was watched. Jeffreys: no cell is impossible because it was empty.
        """
        ratio = (self.counts[which].sum(axis=1) + 0.5) / (self.levelled[which].sum(axis=1) + 0.5)
        due = self.expected[which].sum(axis=1)
        whole, size = due.sum(axis=1), np.maximum((due * ratio).sum(axis=1), TINY)
        return np.asarray(ratio * np.where(whole > 0, whole / size, 1.0)[:, None])

    def _turn(self, block: int) -> None:
        """Begin another stretch: what lies too far back is forgotten."""
        if block == self.block:
            return
        fresh = [number % BLOCKS for number in range(max(self.block + 1, block - BLOCKS + 1), block + 1)]
        for array in (getattr(self, name) for name in COUNTS):
            array[:, fresh] = 0.0
        self.block = block

    def _keep(self, wanted: Ints) -> None:
        if np.array_equal(wanted, self.places):
            return
        known = np.isin(wanted, self.places)
        came_from = np.searchsorted(self.places, wanted[known])
        for name, before in self._arrays().items():
            array = np.full((wanted.size, *before.shape[1:]), _empty(name), dtype=before.dtype)
            array[known] = before[came_from]
            setattr(self, name, array)
        self.places = wanted

    def restart(self, which: Bools, end: int) -> None:
        """Count these anew: what they are now is another level than before."""
        if not which.any():
            return
        for name in COUNTS:
            getattr(self, name)[which] = 0.0
        self.fired = np.where(which, end, self.fired)
        self.subgroups, self.steady = np.where(which, 0, self.subgroups), np.where(which, SETTLED, self.steady)

    def forget(self, which: Bools) -> None:
        """Watch these no longer."""
        self.held = self.held & ~which
        self._keep(self.places[~which])

    @property
    def ages(self) -> Floats:
        """How many stretches back each slot lies, float64[blocks]; the one that goes on is 0."""
        return np.asarray((self.block - np.arange(BLOCKS)) % BLOCKS, dtype=np.float64)

    # --- state --------------------------------------------------------------------------------------------------

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {name: getattr(self, name) for name in KEPT}

    def packed(self) -> dict[str, Any]:
        """All of it."""
        return {"block": self.block, **{name: array.tobytes() for name, array in self._arrays().items()}}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Read what `packed` gave. Raises ValueError where it is of another make."""
        self.block = saved["block"]
        for name, array in self._arrays().items():
            if name not in saved and name == "levelled":  # of an earlier version: what all hours had together
                self.levelled = self.expected.copy()
                continue
            if name not in saved and name in TURNS:  # of an earlier version: nothing has turned yet
                setattr(self, name, np.full((self.places.size, *array.shape[1:]), NEVER))
                continue
            read = np.frombuffer(saved[name], dtype=array.dtype).reshape(-1, *array.shape[1:]).copy()
            setattr(self, name, read)


def _empty(name: str) -> int:
    """What an array holds of a feature that is newly watched."""
    return {"fired": NEVER, "checked": -1, "steady": SETTLED, "told_at": NEVER, "opposed": NEVER}.get(name, 0)

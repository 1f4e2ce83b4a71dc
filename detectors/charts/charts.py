"""The charts of one series: sums of evidence over disjoint panes, what fires, what has come to rest, and since when."""

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.charts.evidence import Counted, Found, weigh
from detectors.charts.improvement import Improvements
from detectors.charts.plan import CHARTS, COLUMNS, FIRST_COLUMNS, GAUSSIAN, OWNERS, ChartPlan, Plan, most
from detectors.charts.point import Step
from detectors.charts.recovery import RateRest, Rest
from detectors.charts.rows import VolumeCharts
from detectors.charts.selfcheck import SelfCheck
from detectors.features import Bools, Floats, Ints, some
from detectors.sketches import Tally

if TYPE_CHECKING:
    from detectors.reference.reference import Reference  # which holds a calibration

ENOUGH = 20.0  # independent rows that a feature is judged on; fewer are carried over to the next pane
FILLED = 1.001  # times the threshold: past it
REST = 12  # panes that a chart has to be quiet for, or a day where that is fewer
DAY_NS = 86_400 * 10**9
NEVER = np.iinfo(np.int64).min
MAGIC = b"dCHT"
VERSION = 1


class Sums:
    """Sums against thresholds: S = max(0, S + increment), no increment above six tenths of the threshold.

    Also by themselves, to see what other thresholds would have done with the same increments.
    """

    def __init__(self, limits: Floats, features: int) -> None:
        self.limits = limits
        self.most = most(limits)
        self.values = np.zeros((features, limits.size))

    def advance(self, increments: Floats) -> Bools:
        """Add one pane, float64[f, columns], NaN where a chart stands still; which are over their threshold."""
        moved = np.maximum(self.values + np.minimum(increments, self.most), 0.0)
        self.values = np.where(np.isnan(increments), self.values, moved)
        return np.asarray(self.values >= self.limits)


class Charts:
    """All charts of one series, advancing on disjoint panes.

    Raises BudgetError for a budget that cannot be held, ValueError for a reference without calibration.
    """

    def __init__(self, reference: "Reference", wanted: ChartPlan) -> None:
        if reference.calibration is None:
            raise ValueError("the reference is not calibrated: fit it with timestamps")
        self.reference = reference
        self.plan = Plan(reference, reference.calibration, wanted)
        features, width = self.plan.cells.held.shape
        self.sums = Sums(self.plan.thresholds, features)
        self.firing: Bools = np.zeros((features, len(CHARTS)), dtype=np.bool_)
        self.since = np.full((features, len(CHARTS)), NEVER)
        self.judged: Bools = np.zeros(features, dtype=np.bool_)  # which values the last step was enough for
        self._risen = np.full((features, COLUMNS), NEVER)
        self._armed: Bools = np.ones((features, GAUSSIAN), dtype=np.bool_)
        self._open: Bools = np.zeros((features, GAUSSIAN), dtype=np.bool_)  # warnings that neither fired nor went
        panes = int(np.clip(-(-DAY_NS // self.plan.block_ns), 3, REST))
        self._rest = Rest((features, GAUSSIAN), panes)
        self._rates_rest = RateRest(self.plan.tolerated, self.plan.dispersion, panes)
        self._carried = np.zeros((2, features, width))  # counts and expectation of values not judged yet
        self._carried_since = np.full(features, NEVER)
        self._block: _Block | None = None
        self.volume = VolumeCharts(self.plan, panes)
        self.check = SelfCheck(self.plan.thresholds)
        self.improvements = Improvements(self.plan)

    # --- panes in, steps out ------------------------------------------------------------------------------------

    def update(self, pane: Tally, start: int, end: int) -> list[Step]:
        """Take a sealed pane; the steps that it completes are returned: none, one, or two after a gap."""
        steps, number = [], start // self.plan.block_ns
        if self._block is not None and self._block.number != number:
            steps.append(self._flush())
        block = self._block or self._begun(number, start)
        self._block = block.plus(self.plan.cells.merge(pane.counts), pane.missing, pane.unseen, pane.rows, end)
        if end % self.plan.block_ns == 0:
            steps.append(self._flush())
        return steps

    def _begun(self, number: int, start: int) -> "_Block":
        """Begin a block. All of it counts as seen, panes without rows too, but what was before the very first pane."""
        length = self.plan.block_ns
        covered = length if self.volume.begun else (number + 1) * length - start
        return _Block.empty(number, start, self.firing.shape[0], self.plan.cells.width, covered)

    def _flush(self) -> Step:
        block, self._block = self._block, None
        assert block is not None
        return self.step(
            block.cells, block.missing, block.unseen, block.rows, block.start, block.end, covered=block.covered
        )

    def step(
        self, cells: Ints, missing: Ints, unseen: Ints, rows: int, start: int, end: int, *, covered: int | None = None
    ) -> Step:
        """Take what a pane counted: cells int64[f, w], missing and unseen int64[f]; `covered` of its time, if not all."""
        shares, resting, misfit = self.plan.expected(start, end)
        self._carried[0] += cells
        self._carried[1] += cells.sum(axis=1)[:, None] * shares
        self._carried_since = np.where(self._carried_since == NEVER, start, self._carried_since)
        judged = self.judged = np.asarray(self._carried[0].sum(axis=1) >= ENOUGH * self.plan.design)
        all_rows = np.full(judged.size, rows, dtype=np.int64)
        found = weigh(
            self.plan, Counted(self._carried[0], self._carried[1], missing, unseen, all_rows, resting, misfit), judged
        )
        began = np.where(judged, self._carried_since, start)
        self._carried[:, judged] = 0.0
        self._carried_since[judged] = NEVER
        self._advance(found, began, start)
        self._come_to_rest(found, np.stack([missing, unseen], axis=1), rows)
        self.volume.step(rows, start, end, covered)
        warned, due = self._warnings(found)
        return Step(
            start=start,
            end=end,
            rows=rows,
            increments=found.increments,
            values=self.sums.values,
            thresholds=self.plan.thresholds,
            judged=judged,
            z=found.z,
            effects=found.effects,
            firing=self.firing.copy(),
            certain=found.certain,
            warning=self.warning,
            since=self.since.copy(),
            volume=self.volume.values.copy(),
            volume_firing=self.volume.firing.copy(),
            volume_since=self.volume.since.copy(),
            usual_rows=self.volume.usual(start, end),
            warned=warned,
            expected_warnings=due,
            suspect=self.check.suspect,
            improved=self.improvements.step(missing, unseen, rows),
            of_late=(float(self.check.counts[0]), float(self.check.counts[1])),
        )

    def _advance(self, found: Found, began: Ints, start: int) -> None:
        over = self.sums.advance(found.increments)
        up = self.sums.values > 0
        first = np.where(OWNERS < GAUSSIAN, began[:, None], start)
        self._risen = np.where(up, np.where(self._risen == NEVER, first, self._risen), NEVER)
        newly = (_by_chart(over) | found.certain) & ~self.firing
        enough = (newly & found.certain)[:, OWNERS] & (self.sums.values > 0)
        if some(enough):  # one pane was enough: so it is for the sums
            self.sums.values = np.where(
                enough, np.maximum(self.sums.values, FILLED * self.sums.limits), self.sums.values
            )
        if some(newly):
            onset = np.where(up, self._risen, start)
            self.since = np.where(newly, _earliest(onset, up), self.since)
            at_once = np.where(np.arange(len(CHARTS)) < GAUSSIAN, began[:, None], start)
            self.since = np.where(newly & found.certain & ~_by_chart(over), at_once, self.since)
            self.firing |= newly
            self._rest.forget(newly[:, :GAUSSIAN])
            self._rates_rest.forget(newly[:, GAUSSIAN:])

    def _come_to_rest(self, found: Found, events: Ints, rows: int) -> None:
        if not some(self.firing):
            return
        z, looked = found.z[:, :GAUSSIAN], np.repeat(self.judged[:, None], GAUSSIAN, axis=1)
        rested = np.hstack(
            [
                self._rest.follow(self.firing[:, :GAUSSIAN], z, looked),
                self._rates_rest.follow_counts(self.firing[:, GAUSSIAN:], events, rows),
            ]
        )
        if rested.any():
            self.firing &= ~rested
            self.since[rested] = NEVER
            columns = rested[:, OWNERS]
            self.sums.values = np.where(columns, 0.0, self.sums.values)
            self._risen[columns] = NEVER

    @property
    def warning(self) -> Bools:
        """Which features have a sum past half its threshold, bool[f]."""
        return np.asarray((self.sums.values >= self.plan.thresholds / 2).any(axis=1))

    @property
    def ratios(self) -> Floats:
        """Return the highest sum of each feature over its threshold, float64[f]."""
        return np.asarray((self.sums.values / self.plan.thresholds).max(axis=1))

    def _warnings(self, found: Found) -> tuple[int, float]:
        """Count charts that have just passed half their threshold, of features where nothing fires.

        For the check of the calibration one counts when it is back at zero: what fires instead was no false one.
        """
        quiet = np.asarray(~self.firing.any(axis=1))
        values: Floats = self.sums.values[:, :GAUSSIAN]
        half = self.plan.thresholds[:GAUSSIAN] / 2
        above = np.greater_equal(values, half)
        passed = above & self._armed & quiet[:, None]
        self._open = (self._open | passed) & quiet[:, None]
        false = self._open & (values == 0)
        self._open &= ~false
        self._armed = np.asarray((self._armed & ~above) | (values == 0))
        judged = (~np.isnan(found.increments[:, :GAUSSIAN]) & quiet[:, None]).sum(axis=0)
        due = self.check.follow(int(false.sum()), judged)
        return int(passed.sum()), due

    # --- state --------------------------------------------------------------------------------------------------

    def _arrays(self) -> dict[str, NDArray[Any]]:
        found = {
            "values": self.sums.values,
            "firing": self.firing,
            "judged": self.judged,
            "since": self.since,
            "risen": self._risen,
            "armed": self._armed,
            "open": self._open,
            "carried": self._carried,
            "carried_since": self._carried_since,
        }
        found |= self._rest.arrays("rest") | self._rates_rest.arrays("rates_rest")
        return (
            found
            | self.volume.arrays()
            | self.improvements.arrays()
            | {"check": self.check.counts, "suspected": self.check.suspected}
        )

    @property
    def fingerprint(self) -> str:
        """What the sums are made under; another budget only moves thresholds."""
        return f"{self.reference.hash}:{self.plan.block_ns}"

    def to_bytes(self) -> bytes:
        """Write all state, so that charts read from it go on bit for bit."""
        arrays = {name: array.tobytes() for name, array in self._arrays().items()}
        block = None if self._block is None else self._block.packed()
        packed = zlib.compress(msgspec.msgpack.encode([arrays, block]), 1)
        body = MAGIC + msgspec.msgpack.encode([VERSION, self.fingerprint, packed])
        return body + struct.pack("<I", zlib.crc32(body))

    def restore(self, data: bytes) -> None:
        """Read what `to_bytes` wrote. Raises ValueError for damaged bytes and for another reference or pane."""
        if data[:4] != MAGIC or zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
            raise ValueError("these bytes are no charts, or damaged ones")
        version, fingerprint, packed = msgspec.msgpack.decode(data[4:-4])
        if version != VERSION:
            raise ValueError(f"the charts have format {version}, this version reads {VERSION}")
        if fingerprint != self.fingerprint:
            raise ValueError("the charts belong to another reference or pane length")
        arrays, block = msgspec.msgpack.decode(zlib.decompress(packed))
        mine = self._arrays()
        if arrays.keys() != mine.keys() or any(len(arrays[name]) != array.nbytes for name, array in mine.items()):
            raise ValueError("the charts are of another make")
        self._block = None if block is None else _Block.unpacked(block, self.plan.cells.width)
        for name, array in mine.items():
            array[...] = np.frombuffer(arrays[name], dtype=array.dtype).reshape(array.shape)


def _by_chart(columns: Bools) -> Bools:
    """Whether any column of a chart is set, bool[f, 7]."""
    return np.logical_or.reduceat(columns, FIRST_COLUMNS, axis=1)


def _earliest(risen: Ints, up: Bools) -> Ints:
    """When the sums of each chart began to rise, the earliest of those above zero, int64[f, 7]."""
    return np.minimum.reduceat(np.where(up, risen, np.iinfo(np.int64).max), FIRST_COLUMNS, axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Panes that make up a step not yet complete."""

    number: int
    start: int
    end: int
    rows: int
    cells: Ints
    missing: Ints
    unseen: Ints
    covered: int  # nanoseconds

    @classmethod
    def empty(cls, number: int, start: int, features: int, width: int, covered: int) -> "_Block":
        none = np.zeros(features, dtype=np.int64)
        return cls(number, start, start, 0, np.zeros((features, width), dtype=np.int64), none, none, covered)

    def plus(self, cells: Ints, missing: Ints, unseen: Ints, rows: int, end: int) -> "_Block":
        more = self.cells + cells, self.missing + missing, self.unseen + unseen
        return _Block(self.number, self.start, end, self.rows + rows, *more, self.covered)

    def packed(self) -> list[object]:
        arrays = (self.cells.tobytes(), self.missing.tobytes(), self.unseen.tobytes())
        return [self.number, self.start, self.end, self.rows, self.covered, *arrays]

    @classmethod
    def unpacked(cls, saved: list[Any], width: int) -> "_Block":
        cells, missing, unseen = (np.frombuffer(part, dtype=np.int64) for part in saved[5:])
        number, start, end, rows, covered = saved[:5]
        return cls(number, start, end, rows, cells.reshape(-1, width), missing, unseen, covered)

"""A cold reference that learns: effect sizes decide until live traffic has taught what charts need, then charts do.

    panes ──► windows ──► quiet   no alert is open: what is usual
                     └──► apart   one is: thrown away when it ends; what lasts as long as learning takes is usual too

Edges and categories stay those of the training set, so panes, scores and rules go on as they are, held against it. Charts are
held against the live traffic that was learnt from: a training set that was never like it must not page for ever. How far the
two lie apart is said when learning ends, and stays visible in the scores.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from detectors import Reference, ScoreColumns, Sketch, Tally
from detectors.calibration import Calibration, TooFewWindows, calibrate
from detectors.calibration.calibration import FEWEST_WINDOWS
from detectors.charts import BudgetError
from detectors.reference.live import differences, learnt_reference
from monitor.alerting.alerts import AlertState
from monitor.alerting.table import ScoreTable
from monitor.facts import CalibrationLearning, CalibrationLearnt, Fact
from monitor.series.charts import NAME as CHARTS
from monitor.series.charts import ChartBudget
from monitor.series.effects import EffectBudget
from monitor.series.incident import INCIDENT
from monitor.series.material import TOTAL, WINDOW, Material
from monitor.series.operators import Operator
from monitor.series.records import Entry
from monitor.stream.events import Nanos, SeriesKey
from monitor.stream.windows import ClosedWindow, SealedPane

OPEN, LEARNT = "learning_open", "learnt"
QUIET, APART = 0, 1
NEEDED = FEWEST_WINDOWS + 2  # the first and the last are left out of a calibration
LEARNT_KIND = "learnt_"  # before the kind of a calibration that live traffic has taught


@dataclass(slots=True)
class SavedOpen:
    """The window that panes come into."""

    number: int
    counts: bytes


@dataclass(slots=True)
class SavedLearnt:
    """What was learnt: with the training set's layout it makes the same reference again."""

    at: Nanos
    live: bytes
    period: tuple[Nanos, Nanos]
    calibration: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lesson:
    """How a series learns: for how long, in windows of which length, and the charts that then decide."""

    learn_for: Nanos
    window_ns: Nanos
    charts: Callable[[Reference, str], ChartBudget]  # of a calibrated reference, and the kind of its calibration


class Learning(Operator[Sketch]):
    """The budget of one series with a cold reference: effect sizes first, later charts."""

    name = "learning"
    kinds = (WINDOW, TOTAL, OPEN, LEARNT, CHARTS, INCIDENT)

    def __init__(self, key: SeriesKey, reference: Reference, effects: EffectBudget, lesson: Lesson) -> None:
        self.effects = effects
        self.charts: ChartBudget | None = None
        self._key = key
        self._reference = reference
        self._lesson = lesson
        self._quiet = self._material(QUIET)
        self._apart: Material | None = None  # since an alert is open
        self._open: tuple[int, Sketch] | None = None  # the window that panes come into, by its number
        self._learnt: tuple[SavedLearnt, CalibrationLearnt] | None = None
        self._gone: list[Entry] = []  # rows that the store still holds
        self._open_changed = self._learnt_changed = False

    def _material(self, number: int) -> Material:
        return Material(self._reference, self._lesson.window_ns, number)

    @property
    def deciding(self) -> EffectBudget | ChartBudget:
        """Who decides now."""
        return self.effects if self.charts is None else self.charts

    # --- panes and windows --------------------------------------------------------------------------------------

    def on_pane(self, pane: SealedPane[Sketch]) -> list[Fact]:
        """Take a sealed pane: to learn from, or for the charts once they are there."""
        facts = [] if self.charts is not None else self._gather(pane)
        return facts if self.charts is None else [*facts, *self.charts.on_pane(pane)]

    def _gather(self, pane: SealedPane[Sketch]) -> list[Fact]:
        """Add a pane to its window. The one before is learnt from, since it is known by now whether anything fired on it."""
        number, facts = pane.start // self._lesson.window_ns, list[Fact]()
        if self._open is not None and self._open[0] != number:
            facts, self._open = self._take(*self._open), None
        if self.charts is None:
            self._open = number, pane.sketch if self._open is None else self._open[1].merge(pane.sketch)
        self._open_changed = True
        return facts

    def _take(self, number: int, window: Sketch) -> list[Fact]:
        start = number * self._lesson.window_ns
        material = self._choose()
        material.add(start, window)
        if material.elapsed >= self._lesson.learn_for and len(material) >= NEEDED and material.ready:
            learnt = self._learn(material)
            if learnt is not None:
                return learnt
        return [self._progress(start + self._lesson.window_ns)]

    def _choose(self) -> Material:
        """What the next window belongs to: an alert that begins sets all that follows apart until it ends."""
        if not self.effects.standing():
            if self._apart is not None:
                self._gone += self._apart.gone()
                self._apart = None
            return self._quiet
        if self._apart is None:
            self._quiet.interrupt()
            self._apart = self._material(APART)
        return self._apart

    def on_window(self, window: ClosedWindow[Sketch], scores: ScoreTable) -> list[Fact]:
        """Let the one who decides take a window."""
        return self.deciding.on_window(window, scores)

    def columns(self, window: Tally, scored: Sequence[ScoreColumns]) -> ScoreColumns:
        """The scores of the one who decides."""
        return self.deciding.columns(window, scored)

    # --- learning -----------------------------------------------------------------------------------------------

    def _learn(self, material: Material) -> list[Fact] | None:
        """Let charts decide from now on; None where the windows do not say enough yet, or no threshold holds the budget."""
        windows, cells = material.counted()
        try:
            calibration = calibrate(windows, cells, material.total.counts)
            saved = SavedLearnt(material.period[1], material.total.to_bytes(), material.period, calibration.to_dict())
            self._begin(saved, material.total, calibration)
        except (TooFewWindows, BudgetError) as error:
            material.refuse(str(error))
            return None
        assert self._learnt is not None
        last = int(windows.starts[-1])
        ended = self.effects.settle(last, last + windows.window_ns, int(windows.rows[-1]))
        self._forget_material()
        self._learnt_changed = True
        return [*ended, self._learnt[1]]

    def _begin(self, saved: SavedLearnt, live: Sketch, calibration: Calibration) -> None:
        """Take up what was learnt. Raises BudgetError."""
        reference = learnt_reference(self._reference, live, calibration, saved.period)
        kind = LEARNT_KIND + calibration.kind
        self.charts = self._lesson.charts(reference, kind)
        announced = CalibrationLearnt(
            self._key,
            saved.at,
            kind,
            self._reference.hash,
            reference.hash,
            calibration.windows,
            calibration.span_ns,
            differences(self._reference, live),
            tuple(change.words for change in calibration.drifting),
            reference,
        )
        self._learnt = saved, announced

    def _forget_material(self) -> None:
        for material in (self._quiet, self._apart):
            self._gone += [] if material is None else material.gone()
        self._gone.append(Entry(OPEN, None))
        self._quiet, self._apart, self._open = self._material(QUIET), None, None

    def _progress(self, at: Nanos) -> CalibrationLearning:
        material = self._quiet if self._apart is None else self._apart
        wanted = self._lesson.learn_for
        return CalibrationLearning(
            self._key, at, material.elapsed, wanted, len(material), NEEDED, self._apart is not None, material.why
        )

    # --- where things stand -------------------------------------------------------------------------------------

    def standing(self) -> Mapping[str, AlertState]:
        """The features that the one who decides holds for not inactive."""
        return self.deciding.standing()

    def current(self) -> list[Fact]:
        """How far learning has come, or what was learnt, then how the one who decides stands."""
        told = self._progress(0) if self._learnt is None else self._learnt[1]
        return [told, *self.deciding.current()]

    # --- state --------------------------------------------------------------------------------------------------

    def changes(self) -> list[Entry]:
        """The rows that changed since the last call."""
        gone, self._gone = self._gone, []
        opened = list(self._open_rows()) if self._open_changed else []
        learnt = list(self._learnt_rows()) if self._learnt_changed else []
        self._open_changed = self._learnt_changed = False
        gathered = [entry for material in self._materials() for entry in material.changes()]
        return [*gone, *gathered, *opened, *learnt, *self.deciding.changes()]

    def snapshot(self) -> list[Entry]:
        """All rows."""
        gathered = [entry for material in self._materials() for entry in material.snapshot()]
        return [*gathered, *self._open_rows(), *self._learnt_rows(), *self.deciding.snapshot()]

    def _materials(self) -> Iterator[Material]:
        if self.charts is None:
            yield self._quiet
            if self._apart is not None:
                yield self._apart

    def _open_rows(self) -> Iterator[Entry]:
        if self._open is not None:
            number, window = self._open
            yield Entry(OPEN, msgspec.msgpack.encode(SavedOpen(number, window.to_bytes())))

    def _learnt_rows(self) -> Iterator[Entry]:
        if self._learnt is not None:
            yield Entry(LEARNT, zlib.compress(msgspec.msgpack.encode(self._learnt[0]), 1))

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up what was learnt, or gathered, and the alert. Raises ValueError for damaged rows."""
        if alike:
            for entry in entries:
                self._restore(entry)
            if self.charts is None:
                self._restore_material(entries)
        return self.deciding.restore(entries, alike=alike)

    def _restore(self, entry: Entry) -> None:
        layout = self._reference.layout
        match entry.kind:
            case "learnt":
                saved = msgspec.msgpack.decode(zlib.decompress(entry.held), type=SavedLearnt)
                live = Sketch.from_bytes(layout, saved.live)
                self._begin(saved, live, Calibration.from_dict(saved.calibration, layout))
            case "learning_open":
                held = msgspec.msgpack.decode(entry.held, type=SavedOpen)
                self._open = held.number, Sketch.from_bytes(layout, held.counts)
            case _:
                pass

    def _restore_material(self, entries: Sequence[Entry]) -> None:
        self._quiet.restore(entries)
        if any(entry.kind == TOTAL and entry.number == APART for entry in entries):
            self._apart = self._material(APART)
            self._apart.restore(entries)

"""A cold reference that learns: effect sizes decide until live traffic has taught what charts need, then charts do.

    panes ──► windows ──► quiet   no alert is open: what is usual
                     └──► apart   one is: thrown away when it ends; what lasts as long as learning takes is usual too

Edges and categories stay those of the training set, so panes, scores and rules go on as they are, held against it. Charts are
held against the live traffic that was learnt from: a training set that was never like it must not page for ever. How far the
two lie apart is said when learning ends, and stays visible in the scores.
"""

import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from detectors import Reference, ScoreColumns, Sketch, Tally
from detectors.calibration import Calibration, MergedCells, TooFewWindows, WindowCounts, calibrate
from detectors.calibration.calibration import FEWEST_WINDOWS
from detectors.charts import BudgetError
from detectors.features import Ints
from detectors.reference.live import differences, learnt_reference
from monitor.alerting.alerts import AlertState
from monitor.alerting.table import ScoreTable
from monitor.facts import CalibrationLearning, CalibrationLearnt, Fact, StateReset
from monitor.series.accepted import ACCEPTED
from monitor.series.charts import NAME as CHARTS
from monitor.series.charts import ChartBudget
from monitor.series.effects import EffectBudget
from monitor.series.incident import INCIDENT
from monitor.series.material import TOTAL, WINDOW, Material
from monitor.series.operators import Operator
from monitor.series.records import Entry
from monitor.stream.events import DAY, Nanos, SeriesKey
from monitor.stream.windows import ClosedWindow, SealedPane

OPEN, LEARNT = "learning_open", "learnt"
NEEDED = FEWEST_WINDOWS + 2  # the first and the last are left out of a calibration
SETTLE_AFTER, SETTLING = (
    7 * DAY,
    100,
)  # how long an alert lasts before its level is taken for usual, and in how many windows
CALM = DAY  # how long nothing has to stand before an alert is over: what comes at some hours comes again tomorrow
LEARNT_KIND = "learnt_"  # before the kind of a calibration that live traffic has taught


@dataclass(slots=True)
class SavedOpen:
    """The window that panes come into, if there is one, and which material is that of quiet times."""

    quiet: int
    number: int
    counts: bytes | None


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
    calibrate: Callable[[WindowCounts, MergedCells, Ints], Calibration] = calibrate
    settle_after: Nanos = SETTLE_AFTER


class Learning(Operator[Sketch]):
    """The budget of one series with a cold reference: effect sizes first, later charts."""

    name = "learning"
    kinds = (WINDOW, TOTAL, OPEN, LEARNT, ACCEPTED, CHARTS, INCIDENT)
    reads, gives = EffectBudget.reads, EffectBudget.gives

    def __init__(self, key: SeriesKey, reference: Reference, effects: EffectBudget, lesson: Lesson) -> None:
        self.effects = effects
        self.charts: ChartBudget | None = None
        self._key = key
        self._reference = reference
        self._lesson = lesson
        self._quiet = self._material(0)
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

    def settle(self) -> None:
        """Let the charts hold on to no pane."""
        if self.charts is not None:
            self.charts.settle()

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
        end, told = start + self._lesson.window_ns, list[Fact]()
        material = self._choose(start)
        if material is None:
            return [self._progress(end)]
        material.add(start, window)
        if self._settled(material):
            told = self._settle(material, end)
        if self._enough(material):
            learnt = self._learn(material)
            if learnt is not None:
                return [*told, *learnt]
        return [*told, self._progress(end)]

    def _settled(self, material: Material) -> bool:
        """Whether an alert has lasted for so long that its level is taken for usual."""
        lasted = material.elapsed >= self._lesson.settle_after and len(material) >= SETTLING
        return material is self._apart and lasted

    def _settle(self, material: Material, at: Nanos) -> list[Fact]:
        """Go on from the level that has lasted: effect sizes of these features, and what is learnt."""
        told = self.effects.accept(material.stood, None, at, material.total.copy())
        self._gone += self._quiet.gone()
        self._quiet, self._apart, self._open_changed = material, None, True
        return told

    def _enough(self, material: Material) -> bool:
        """Whether a calibration is worth trying."""
        return material.elapsed >= self._lesson.learn_for and len(material) >= NEEDED and material.ready

    def _choose(self, start: Nanos) -> Material | None:
        """What the next window belongs to; None while something is accepted for a time, which is not how things usually are.

        An alert, waiting ones too, sets what follows apart until a day has passed without: what comes at some hours comes again
        tomorrow, and then it is usual; the other hours alone are not. So does what is told elsewhere of the window that starts here.
        """
        standing = self.effects.standing().keys() - self.effects.settled
        standing |= self.effects.elsewhere.told(start).keys()
        if self.effects.excepted:
            self._throw_away()
            return None
        if standing and self._apart is None:
            self._apart = self._material(1 - self._quiet.number)
        if self._apart is None:
            return self._quiet
        self._apart.follow(self._lesson.window_ns, standing)
        if self._apart.calm < CALM:
            return self._apart
        self._throw_away()
        return self._quiet

    def _throw_away(self) -> None:
        """What was set apart says nothing of what is usual, nor does the time in which it came."""
        self._quiet.interrupt()
        if self._apart is not None:
            self._gone += self._apart.gone()
            self._apart = None

    def accept(self, features: Collection[str], until: Nanos | None, at: Nanos) -> list[Fact]:
        """Let the one who decides accept. What was set apart takes the place of what was usual before, if it is for good."""
        facts = self.deciding.accept(features, until, at)
        if self.charts is None and until is None and self._apart is not None and not self.effects.standing():
            self._gone += self._quiet.gone()
            self._quiet, self._apart, self._open_changed = self._apart, None, True
        return facts

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
            calibration = self._lesson.calibrate(windows, cells, material.total.counts)
            saved = SavedLearnt(material.period[1], material.total.to_bytes(), material.period, calibration.to_dict())
            self._begin(saved, material.total, calibration)
        except (TooFewWindows, BudgetError) as error:
            material.refuse(str(error))
            return None
        assert self._learnt is not None
        ended = self.effects.accept([*self.effects.standing()], None, saved.at)
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
        self._gone += [Entry(OPEN, None), Entry(ACCEPTED, None)]
        self._quiet, self._apart, self._open = self._material(0), None, None

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
        if self.charts is None:
            number, window = (0, None) if self._open is None else self._open
            counts = None if window is None else window.to_bytes()
            yield Entry(OPEN, msgspec.msgpack.encode(SavedOpen(self._quiet.number, number, counts)))

    def _learnt_rows(self) -> Iterator[Entry]:
        if self._learnt is not None:
            yield Entry(LEARNT, zlib.compress(msgspec.msgpack.encode(self._learnt[0]), 1))

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up what was learnt, or gathered, and the alert. Raises ValueError for damaged rows."""
        facts = [fact for entry in entries for fact in self._restore(entry)] if alike else []
        if alike and self.charts is None:
            self._restore_material(entries)
        return [*facts, *self.deciding.restore(entries, alike=alike)]

    def _restore(self, entry: Entry) -> list[Fact]:
        layout = self._reference.layout
        match entry.kind:
            case "learnt":
                saved = msgspec.msgpack.decode(zlib.decompress(entry.held), type=SavedLearnt)
                live = Sketch.from_bytes(layout, saved.live)
                try:
                    self._begin(saved, live, Calibration.from_dict(saved.calibration, layout))
                except ValueError as error:  # another budget that no threshold holds, or a calibration of another make
                    return [StateReset(self._key, f"what live traffic has taught starts anew: {error}")]
            case "learning_open":
                held = msgspec.msgpack.decode(entry.held, type=SavedOpen)
                self._quiet = self._material(held.quiet)
                if held.counts is not None:
                    self._open = held.number, Sketch.from_bytes(layout, held.counts)
            case _:
                pass
        return []

    def _restore_material(self, entries: Sequence[Entry]) -> None:
        self._quiet.restore(entries)
        other = 1 - self._quiet.number
        if any(entry.kind == TOTAL and entry.number == other for entry in entries):
            self._apart = self._material(other)
            self._apart.restore(entries)

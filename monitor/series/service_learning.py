"""How requests are served, learnt from live traffic where the reference does not say it: gathered first, then the charts of the service.

Windows are gathered on every bin of a latency, then on a few cells, as a cold reference gathers those of features (learning.py). Nothing
is told meanwhile, for there is nothing to hold requests against; so nothing is set apart either, and a slow day is a part of what is usual.
"""

import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from detectors import Reference, Sketch
from detectors.calibration import Calibration, MergedCells, TooFewWindows, WindowCounts, calibrate
from detectors.charts import BudgetError, BudgetSpec
from detectors.features import Ints
from detectors.reference.live_service import blank_service, learnt_service
from detectors.reference.service import LATENCY
from monitor.facts import CalibrationLearning, Fact, ServiceLearning, ServiceLearnt, StateReset
from monitor.series.learning import LEARNT_KIND, NEEDED
from monitor.series.material import Material
from monitor.series.operators import Operator
from monitor.series.records import Entry
from monitor.series.service import ServiceBudget
from monitor.stream.events import Nanos, SeriesKey
from monitor.stream.windows import SealedPane

WINDOW, TOTAL, OPEN, LEARNT = (f"service_{part}" for part in ("window", "total", "open", "learnt"))
NOTHING_TIMED = "no request says what it took"


@dataclass(slots=True)
class SavedServicePanes:
    """The window that panes come into, and of what it is."""

    names: tuple[str, ...]
    number: int
    counts: bytes | None


@dataclass(slots=True)
class SavedServiceLearnt:
    """What was learnt: with a blank profile it makes the same service again."""

    names: tuple[str, ...]
    at: Nanos
    live: bytes
    period: tuple[Nanos, Nanos]
    calibration: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ServiceLesson:
    """What is learnt of requests, for how long, in windows of which length, and what is asked of the charts that then decide."""

    names: tuple[str, ...]
    learn_for: Nanos
    window_ns: Nanos
    plan: BudgetSpec
    calibrate: Callable[[WindowCounts, MergedCells, Ints], Calibration] = calibrate


class ServiceLearner(Operator[Sketch]):
    """How the requests of one series are served: learnt first, then judged by charts."""

    name = "service"
    kinds = (WINDOW, TOTAL, OPEN, LEARNT, *ServiceBudget.kinds)

    def __init__(self, key: SeriesKey, reference: Reference, lesson: ServiceLesson) -> None:
        self.charts: ServiceBudget | None = None
        self._key = key
        self._reference = reference
        self._lesson = lesson
        self._blank = blank_service(lesson.names)
        self._material = self._fresh()
        self._open: tuple[int, Sketch] | None = None  # the window that panes come into, by its number
        self._learnt: tuple[SavedServiceLearnt, ServiceLearnt] | None = None
        self._gone: list[Entry] = []  # rows that the store still holds
        self._open_changed = self._learnt_changed = False

    def _fresh(self) -> Material:
        return Material(self._blank.profile, self._lesson.window_ns, 0, (WINDOW, TOTAL))

    def on_pane(self, pane: SealedPane[Sketch]) -> list[Fact]:
        """Take a sealed pane: to learn from, or for the charts once they are there."""
        facts = [] if self.charts is not None else self._gather(pane)
        return facts if self.charts is None else [*facts, *self.charts.on_pane(pane)]

    def _gather(self, pane: SealedPane[Sketch]) -> list[Fact]:
        number, facts = pane.start // self._lesson.window_ns, list[Fact]()
        if self._open is not None and self._open[0] != number:
            facts, self._open = self._take(*self._open), None
        if self.charts is None:
            came = self._blank.sketch(pane.sketch.served, pane.sketch.rows)
            self._open = number, came if self._open is None else self._open[1].merge(came)
        self._open_changed = True
        return facts

    def _take(self, number: int, window: Sketch) -> list[Fact]:
        start, material = number * self._lesson.window_ns, self._material
        material.add(start, window)
        if material.elapsed >= self._lesson.learn_for and len(material) >= NEEDED and material.ready:
            learnt = self._learn(material)
            if learnt is not None:
                return learnt
        return [self._progress(start + self._lesson.window_ns)]

    def _learn(self, material: Material) -> list[Fact] | None:
        """Let charts decide from now on; None where the windows do not say enough yet, or no threshold holds the budget."""
        if self._lesson.names == (LATENCY,) and not self._blank.heard(material.total).timed:
            material.refuse(NOTHING_TIMED)
            return None
        windows, cells = material.counted()
        try:
            calibration = self._lesson.calibrate(windows, cells, material.total.counts)
            live, taught = material.total.to_bytes(), calibration.to_dict()
            saved = SavedServiceLearnt(self._lesson.names, material.period[1], live, material.period, taught)
            learnt = self._begin(saved, material.total, calibration)
        except (TooFewWindows, BudgetError) as error:
            material.refuse(str(error))
            return None
        self._gone += [*material.gone(), Entry(OPEN, None)]
        self._material, self._open, self._learnt_changed = self._fresh(), None, True
        return [learnt]

    def _begin(self, saved: SavedServiceLearnt, live: Sketch, calibration: Calibration) -> ServiceLearnt:
        """Take up what was learnt. Raises BudgetError."""
        service = learnt_service(self._blank, live, calibration, saved.period)
        after = replace(self._reference, service=service).hash
        self.charts = ServiceBudget(self._key, after, service, self._lesson.plan)
        announced = ServiceLearnt(
            self._key,
            saved.at,
            LEARNT_KIND + calibration.kind,
            self._reference.hash,
            after,
            calibration.windows,
            calibration.span_ns,
            tuple(change.words for change in calibration.drifting),
            service,
        )
        self._learnt = saved, announced
        return announced

    def _progress(self, at: Nanos) -> ServiceLearning:
        material, wanted = self._material, self._lesson.learn_for
        come = CalibrationLearning(self._key, at, material.elapsed, wanted, len(material), NEEDED, why=material.why)
        return ServiceLearning(self._key, come)

    def accept(self, features: Collection[str], until: Nanos | None, at: Nanos) -> list[Fact]:
        """Let the charts accept; before there are any there is nothing to accept."""
        return [] if self.charts is None else self.charts.accept(features, until, at)

    def current(self) -> list[Fact]:
        """How far learning has come, or what was learnt, then the incidents that are not inactive."""
        if self.charts is None or self._learnt is None:
            return [self._progress(0)]
        return [self._learnt[1], *self.charts.current()]

    # --- state --------------------------------------------------------------------------------------------------

    def changes(self) -> list[Entry]:
        """The rows that changed since the last call."""
        gone, self._gone = self._gone, []
        rows = [*(self._material.changes() if self.charts is None else ()), *self._own_rows(of_changes=True)]
        self._open_changed = self._learnt_changed = False
        return [*gone, *rows, *(() if self.charts is None else self.charts.changes())]

    def snapshot(self) -> list[Entry]:
        """All rows."""
        if self.charts is None:
            return [*self._material.snapshot(), *self._own_rows()]
        return [*self._own_rows(), *self.charts.snapshot()]

    def _own_rows(self, *, of_changes: bool = False) -> Iterator[Entry]:
        if self.charts is None and (self._open_changed or not of_changes):
            number, window = (0, None) if self._open is None else self._open
            counts = None if window is None else window.to_bytes()
            saved = SavedServicePanes(self._lesson.names, number, counts)
            yield Entry(OPEN, zlib.compress(msgspec.msgpack.encode(saved), 1))
        if self._learnt is not None and (self._learnt_changed or not of_changes):
            yield Entry(LEARNT, zlib.compress(msgspec.msgpack.encode(self._learnt[0]), 1))

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up what was learnt, or gathered, and the incidents. Raises ValueError for damaged rows."""
        facts = self._restore({entry.kind: entry for entry in entries}, entries) if alike else []
        if self.charts is not None:
            facts += self.charts.restore(entries, alike=alike)
        return facts

    def _restore(self, by_kind: dict[str, Entry], entries: Sequence[Entry]) -> list[Fact]:
        if LEARNT in by_kind:
            saved = _read(by_kind[LEARNT], SavedServiceLearnt)
            return self._anew(entries) if saved.names != self._lesson.names else self._take_up(saved)
        if OPEN in by_kind:
            held = _read(by_kind[OPEN], SavedServicePanes)
            if held.names != self._lesson.names:
                return self._anew(entries)
            if held.counts is not None:
                self._open = held.number, Sketch.from_bytes(self._blank.profile.layout, held.counts)
            self._material.restore(entries)
        return []

    def _take_up(self, saved: SavedServiceLearnt) -> list[Fact]:
        layout = self._blank.profile.layout
        live = Sketch.from_bytes(layout, saved.live)
        try:
            self._begin(saved, live, Calibration.from_dict(saved.calibration, layout))
        except ValueError as error:  # another budget that no threshold holds, or a calibration of another make
            return [self._reset(str(error))]
        return []

    def _anew(self, entries: Sequence[Entry]) -> list[Fact]:
        """Give up rows of other paths."""
        self._gone += [Entry(entry.kind, None, entry.number) for entry in entries if entry.kind in self.kinds]
        return [self._reset("other paths of topics say it now")]

    def _reset(self, why: str) -> StateReset:
        return StateReset(self._key, f"what live traffic has taught of requests starts anew: {why}")


def _read(entry: Entry, kind: Any) -> Any:
    return msgspec.msgpack.decode(zlib.decompress(entry.held), type=kind)

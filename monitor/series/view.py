"""One view of a series at work: panes and windows, scored, then put to the operators; and how all of it is saved."""

from collections import deque
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic

import msgspec
import numpy as np

from detectors.sketches.violations import Violations
from monitor.alerting.alerts import AlertState, Span
from monitor.alerting.episodes import worst_of_each
from monitor.alerting.rules import AlertRule
from monitor.facts import ContractBroken, EventsCounted, Fact, StateReset, WindowSpan
from monitor.series.contract import MONOTONE
from monitor.series.operators import Operator, Scoring
from monitor.series.records import Entry, Owner, Record
from monitor.stream.delta import NO_ROWS, PaneDelta, RowsHeld
from monitor.stream.events import Nanos, Partition, SeriesKey
from monitor.stream.rising import Last, RisingValues, by_span
from monitor.stream.schema import RowSchema
from monitor.stream.sketches import S, SketchSpec
from monitor.stream.windows import ClosedWindow, SealedPane, Windows, WindowSpec

STATE, PANE = "series", "pane"
FEW = 2  # windows that close together as in quiet times


@dataclass(frozen=True, slots=True)
class ViewSpec(Generic[S]):
    """What a view is made of.

    `fingerprint` is what panes and scores are made under: when it changes they are worthless. `rules` are those whose alerts
    its operators keep: of one that is gone the end is said. `rules_after`: where those depend on the kinds of rows that it takes up.
    """

    name: str
    windows: WindowSpec
    sketches: SketchSpec[S]
    fingerprint: str
    build: Callable[[SeriesKey], tuple[Scoring[S], Sequence[Operator[S]]]]
    rules: tuple[AlertRule, ...] = ()
    rules_after: Callable[[Collection[str]], tuple[AlertRule, ...]] | None = None


@dataclass(slots=True)
class SavedView:
    """A view as saved, without its panes and what its operators save."""

    fingerprint: str
    origin: Nanos | None
    sealed_until: Nanos | None
    last: WindowSpan | None = None  # the last closed window
    rising: Last = field(default_factory=dict)  # values of columns that a contract wants to rise


class View(Generic[S]):
    """One view of a series at work."""

    def __init__(self, key: SeriesKey, spec: ViewSpec[S]) -> None:
        self.key = key
        self.spec = spec
        self.windows = Windows(spec.windows, spec.sketches)
        self.scoring, self.operators = spec.build(key)
        self._of_panes = [each for each in self.operators if type(each).on_pane is not Operator.on_pane]
        self._of_windows = [each for each in self.operators if type(each).on_window is not Operator.on_window]
        self._of_time = [each for each in self.operators if type(each).on_time is not Operator.on_time]
        self._of_standing = [each for each in self.operators if type(each).standing is not Operator.standing]
        self._owner = Owner(key, spec.name)
        self._last: WindowSpan | None = None
        self._closed = 0  # windows, since the last of them was settled
        self._due: deque[Nanos] = deque()  # ends of panes that are still to be sealed
        # What was sealed and closed, by its end, and is still to be judged.
        self._ahead: deque[tuple[Nanos, list[SealedPane[S] | ClosedWindow[S]]]] = deque()
        self._newest: Nanos | None = None  # the end of the newest pane before these were
        self._changed = False
        self.late: dict[str, int] = {}  # events by topic, not told to the operators yet
        self._open_rows = 0  # counted since a pane was sealed
        self._rising = RisingValues()
        self.restored = False  # it goes on from a state that was made under the same reference and windows

    @property
    def operators_by_name(self) -> dict[str, Operator[S]]:
        """Its operators."""
        return {operator.name: operator for operator in self.operators}

    def operator(self, name: str) -> Operator[S]:
        """One of its operators. Raises KeyError."""
        return self.operators_by_name[name]

    def distrusted(self) -> list[Span]:
        """Times of events whose predictions say nothing of what the model is worth."""
        return [span for operator in self.operators for span in operator.distrusted()]

    # --- events in, facts out -----------------------------------------------------------------------------------

    def merge(self, delta: PaneDelta) -> list[Fact]:
        """Add what was folded, and say how much of it was in time."""
        origin = self.windows.origin
        late = self.windows.add(delta.panes)
        self._changed = self._changed or self.windows.origin != origin
        excluded = sum(
            part.excluded
            for start, part in delta.panes.items()
            if part.violations is not None and not self.windows.is_sealed(start)
        )
        return self._tell(delta.topic, delta.rows - late, excluded, late)

    def hold(self, slot: Hashable, delta: PaneDelta, known: Mapping[Nanos, RowsHeld]) -> list[Fact]:
        """Let this be what a slot has counted so far, in the place of what is `known` of it, and say how much of what is new was in time."""
        rows = excluded = late = 0
        for start, part in delta.panes.items():
            before = known.get(start, NO_ROWS)
            if self.windows.is_sealed(start):
                late += part.rows - before.rows
            else:
                rows += part.rows - before.rows
                excluded += part.excluded - before.excluded
        origin = self.windows.origin
        self.windows.hold(slot, delta.panes)
        self._changed = self._changed or self.windows.origin != origin
        return self._tell(delta.topic, rows, excluded, late)

    def _tell(self, topic: str, rows: int, excluded: int, late: int) -> list[Fact]:
        """How many events came in time, `excluded` among them, and how many did not."""
        facts: list[Fact] = []
        if rows:
            self._open_rows += rows
            facts.append(EventsCounted(topic, "ok", rows - excluded, self.key))
        if excluded:
            facts.append(EventsCounted(topic, "excluded", excluded, self.key))
        if late:
            facts.append(EventsCounted(topic, "late", late, self.key))
            self.late[topic] = self.late.get(topic, 0) + late
            self._changed = True
        return facts

    def note_schema(self, rows: RowSchema) -> list[Fact]:
        """Let panes have what their rows tell of the columns they have, which were merged before; say what does not rise."""
        slide = self.spec.windows.slide
        for number, some in rows.by(slide):
            self.windows.note_schema(number * slide, some)
        fell = self._rising.fell(rows) if rows.fell is None else rows.fell
        self._changed = self._changed or bool(rows.rising)
        for number, counts in by_span(rows, fell, slide).items():
            found = Violations({(name, MONOTONE): count for name, count in counts.items()})
            self.windows.violate(number * slide, found)
        broken = {(name, MONOTONE): int(np.count_nonzero(which)) for name, which in fell.items() if which.any()}
        return [ContractBroken(self.key, broken)] if broken else []

    def judge_late(self) -> list[Fact]:
        """Let the operators take what was late since the last time."""
        (late, self.late), sealed = (self.late, {}), self.windows.sealed_until
        assert sealed is not None  # else nothing is late
        return [fact for operator in self.operators for fact in operator.on_late(late, self._open_rows, sealed)]

    def judge_silence(self, silent: Mapping[Partition, Nanos], now: Nanos) -> list[Fact]:
        """Let the operators take which partitions nobody answers for."""
        self._changed = True
        return [fact for operator in self.operators for fact in operator.on_silence(silent, now)]

    def changed(self) -> None:
        """What its operators hold is to be saved."""
        self._changed = True

    def judge_time(self, clock: Nanos) -> list[Fact]:
        """Let the operators take how far event time has come."""
        newest = self.windows.newest
        return [fact for operator in self._of_time for fact in operator.on_time(clock, newest)]

    def due(self, watermark: Nanos) -> Collection[Nanos]:
        """The ends of panes and windows that are to be closed now, rising, each by `close`."""
        self._due = deque(self.windows.due(watermark))
        return self._due

    def close(self, end: Nanos) -> list[Fact]:
        """Seal the pane that ends here, and close the window that does: the next of those that are due."""
        self._open_rows = 0
        if not self._ahead:
            self._due = self._due or deque([end])
            self._look_ahead()
        ahead, closed = self._ahead.popleft()
        assert ahead == end
        return [fact for each in closed for fact in self._take(each)]

    @property
    def newest(self) -> Nanos | None:
        """The end of the newest pane that is not judged yet, or is needed for windows to come."""
        return self._newest if self._ahead else self.windows.newest

    def _look_ahead(self) -> None:
        """Seal and close some of what is due: nothing enters it any more, so its counts are there before any of it is judged."""
        self._newest = self.windows.newest
        for _ in range(min(self.scoring.ahead, len(self._due))):
            end = self._due.popleft()
            self._ahead.append((end, self.windows.close(end)))
        windows = [each for _, closed in self._ahead for each in closed if isinstance(each, ClosedWindow)]
        if len(windows) > 1:  # of one it is cheaper to score it when it is judged
            self.scoring.foresee(windows)

    def _take(self, closed: SealedPane[S] | ClosedWindow[S]) -> list[Fact]:
        if isinstance(closed, ClosedWindow):
            return self._judge(closed)
        return [fact for operator in self._of_panes for fact in operator.on_pane(closed)]

    def _judge(self, window: ClosedWindow[S]) -> list[Fact]:
        self._closed += 1
        scored = self.scoring.score(window)
        told = [fact for operator in self._of_windows for fact in operator.on_window(window, scored.scores)]
        self._last = WindowSpan(window.start, window.end, window.sketch.rows)
        return [*self.scoring.tell(scored, self._standing()), *told]

    def settle(self) -> None:
        """Nothing else closes for now: what somebody may read of the last window is worked out here, not where it is read.

        Where windows close by the dozen the next ones are on their way: who reads meanwhile, or a checkpoint, works it out.
        """
        closed, self._closed = self._closed, 0
        for operator in self.operators:
            operator.settle()
        self.scoring.settle(whole=0 < closed <= FEW)

    def _standing(self) -> Mapping[str, AlertState]:
        """The features that any operator holds for not inactive."""
        standing = [each for operator in self._of_standing if (each := operator.standing())]
        return worst_of_each(standing) if len(standing) > 1 else dict(*standing)

    def accept(self, features: Collection[str], until: Nanos | None, at: Nanos) -> list[Fact]:
        """Let every operator take these features as they are for how they should be."""
        self._changed = True
        return [fact for operator in self.operators for fact in operator.accept(features, until, at)]

    def seal_until(self, watermark: Nanos) -> None:
        """What the watermark has passed is late from now on; called once all that is due is closed."""
        self.windows.seal_until(watermark)
        self._changed = True

    # --- state --------------------------------------------------------------------------------------------------

    def current(self) -> list[Fact]:
        """The facts that say where things stand, for a reader that starts now."""
        told = [fact for operator in self.operators for fact in operator.current()]
        return [*self.scoring.current(self._standing()), *told]

    def snapshot(self) -> list[Record]:
        """All state as records."""
        entries = [self._entry(), *map(self._pane, self.windows.panes)]
        for part in (self.scoring, *self.operators):
            entries += part.snapshot()
        return [self._owner.record(entry) for entry in entries]

    def changes(self) -> list[Record]:
        """The records that changed since the last call."""
        entries = [self._pane(start) for start in self.windows.touched]
        self.windows.touched.clear()
        if self._changed:
            entries.append(self._entry())
            for part in (self.scoring, *self.operators):
                entries += part.changes()
        self._changed = False
        return [self._owner.record(entry) for entry in entries]

    def rules(self, entries: Sequence[Entry]) -> Sequence[AlertRule]:
        """The rules whose alerts it can go on with, given the state that it is to take up."""
        if self.spec.rules_after is None:
            return self.spec.rules
        return self.spec.rules_after({entry.kind for entry in entries} if self._alike(_states(entries)) else ())

    def _alike(self, states: Sequence[SavedView]) -> bool:
        return any(saved.fingerprint == self.spec.fingerprint for saved in states)

    def restore(self, entries: Sequence[Entry]) -> list[Fact]:
        """Take up saved state; what had to be dropped is said."""
        states = _states(entries)
        alike = self._alike(states)
        facts: list[Fact] = []
        if states:
            self._rising.last = states[0].rising
        self.restored = alike
        if alike:
            self._restore(states[0], [entry for entry in entries if entry.kind == PANE])
        elif states:
            cause = "reference or window changed: panes, detectors and last scores start anew"
            facts.append(StateReset(self.key, cause))
        for part in (*self.operators, self.scoring):
            facts += part.restore([entry for entry in entries if entry.kind in part.kinds], alike=alike)
        return facts

    def _restore(self, saved: SavedView, panes: Sequence[Entry]) -> None:
        self.windows.origin, self.windows.sealed_until, self._last = saved.origin, saved.sealed_until, saved.last
        for entry in panes:
            assert entry.number is not None
            self.windows.restore(entry.number, self.spec.sketches.from_bytes(entry.held))

    def _entry(self) -> Entry:
        windows = self.windows
        saved = SavedView(self.spec.fingerprint, windows.origin, windows.sealed_until, self._last, self._rising.last)
        return Entry(STATE, msgspec.json.encode(saved))

    def _pane(self, start: Nanos) -> Entry:
        """One pane; gone once no window needs it."""
        pane = self.windows.panes.get(start)
        return Entry(PANE, None if pane is None else pane.to_bytes(), start)


def _states(entries: Sequence[Entry]) -> list[SavedView]:
    return [msgspec.json.decode(entry.held, type=SavedView) for entry in entries if entry.kind == STATE]

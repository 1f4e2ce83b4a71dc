"""The scores of a window of features: asked for, with thresholds, and what they make of each feature's state."""

import math
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import DETECTORS, PackedSketch, ScoreColumns, Sketch, Tally
from detectors.sketches import TallyStack
from detectors.univariate import volume
from monitor.alerting.alerts import AlertState
from monitor.alerting.rules import AlertRule, lowest_threshold
from monitor.alerting.table import AskedScores, DetectorScores, ScoreTable
from monitor.facts import (
    DetectorFailed,
    Fact,
    FeaturesTracked,
    Qualities,
    WindowClosed,
    WindowIds,
    WindowRequests,
    WindowScored,
)
from monitor.series.contract import ID, UNIQUE, broken_in
from monitor.series.history import KIND as WINDOW
from monitor.series.history import History
from monitor.series.judging import Judging
from monitor.series.operators import ColumnScorer, ForeseeingScorer, Later, LateScorer, Scored, Scoring
from monitor.series.records import Entry
from monitor.series.tracks import TrackKeeper
from monitor.stream.events import Nanos, SeriesKey
from monitor.stream.windows import ClosedWindow

OK, WARNING, DRIFT, INSUFFICIENT = 0, 1, 2, -1
NOT_ASKED = -2  # of a feature that no detector scored
STATE_OF_ALERT = {
    AlertState.INACTIVE: OK,
    AlertState.PENDING: WARNING,
    AlertState.RECOVERING: WARNING,
    AlertState.FIRING: DRIFT,
}
REPORT = "report"
MOST_AHEAD = 64  # windows that are scored together,
CELLS_AHEAD = 1 << 20  # of so many cells in all


def _judges_all_rows(name: str) -> bool:
    """Whether a detector never lacks data; the budget's own scores are of no detector."""
    return name in DETECTORS and DETECTORS[name].judges_all_rows


class FeatureScoring(Scoring[Sketch]):
    """Scores windows of features by one scorer after the other, and keeps the last of them."""

    kinds = (REPORT, WINDOW, *TrackKeeper.kinds)
    ahead: int

    def __init__(self, key: SeriesKey, judging: Judging, scorers: Sequence[ColumnScorer], history: History) -> None:
        self.history = history
        self.last: Scored | None = None
        self._key = key
        self._asking = Asking(judging)
        pressing = {rule.detector for rule in judging.all_rules}.union(*(each.reads for each in scorers))
        self._scorers = [
            (each, each.later if isinstance(each, LateScorer) and each.gives not in pressing else None)
            for each in scorers
        ]
        self._foreseeing = [
            each for each, waits in self._scorers if waits is None and isinstance(each, ForeseeingScorer)
        ]
        self._fallible = [each for each in scorers if getattr(each, "fallible", False)]
        self._reference = judging.reference
        self._contract = judging.contract
        self.ahead = max(1, min(MOST_AHEAD, CELLS_AHEAD // self._reference.layout.size))
        self._tracks = TrackKeeper(len(self._asking.features))
        self._changed = False
        self._quiet: tuple[tuple[tuple[str, bytes], ...], Mapping[str, int]] = (), {}  # see `_without_alerts`
        self._held: KeptCounts | None = None  # of the last window
        self._settled: Scored | None = None  # the window that nothing is left of to work out
        self._states = LateStates(dict[str, int])

    def foresee(self, windows: Sequence[ClosedWindow[Sketch]]) -> None:
        """Take the windows that are judged next."""
        tallies = TallyStack([each.sketch.tally() for each in windows])
        for scorer in self._foreseeing:
            scorer.foresee(tallies)

    def score(self, window: ClosedWindow[Sketch]) -> Scored:
        """Score a closed window: what is decided by now, the rest when it is read."""
        tally = window.sketch.tally()
        if self._held is not None:
            self._held.forget()
        counts = self._held = KeptCounts(PackedSketch(tally.layout, tally.rows, tally.kept), tally)
        quality, ids = Qualities(self._reference, counts.tally), WindowIds.of(tally)
        together = None if tally.groups is None else self._group_rows(tally)
        more = ids, together, None if tally.served is None else WindowRequests.of(tally.served)
        closed = WindowClosed(self._key, window.start, window.end, tally.rows, quality, *more)
        if (broken := window.sketch.violations) is not None:
            found = tuple(broken_in(self._contract, broken, tally.arrived))
            closed = replace(closed, violations=found, excluded=broken.excluded, unlogged=broken.left_out)
        if ids is not None and (repeats := self._repeats(ids)):
            closed = replace(closed, violations=tuple(sorted([*closed.violations, (ID, UNIQUE, repeats)])))
        return Scored(closed, self._scores(tally, counts), counts.kept)

    def _scores(self, tally: Tally, counts: "KeptCounts") -> ScoreTable:
        """The scores that are decided by, or read by other scorers; and of those that are not, what works them out."""
        ready: list[ScoreColumns] = []
        later: list[ScoreColumns | Later] = []
        for scorer, waits in self._scorers:
            late = waits(tally) if waits is not None else None
            if late is None:
                ready.append(scorer.columns(tally, ready))
            later.append(late or ready[-1])
        if len(ready) == len(later):
            return self._asking.table(ready)
        return self._asking.table(ready, WorkOut(self._asking, counts, later))

    def _repeats(self, ids: WindowIds) -> int:
        """The rows of a window that repeat an id of it, where ids are to come once."""
        rules = None if self._contract is None else self._contract.contract.columns.get(ID)
        return 0 if rules is None or not rules.unique else round(ids.share * ids.rows)

    def _group_rows(self, window: Tally) -> float | None:
        """How many rows the group of a row has, over those of the reference's usual window; None where either is not known."""
        calibration = self._reference.calibration
        if calibration is None or not calibration.together or window.groups is None:
            return None
        found = window.groups.together(window.rows)
        return None if math.isnan(found) else found / calibration.together

    def tell(self, scored: Scored, standing: Mapping[str, AlertState]) -> list[Fact]:
        """Keep the window, and say it with its scores and the state of each feature."""
        self.last = scored
        self.history.add(scored.window)
        self._changed = True
        window, hour = self._tracks.add(scored.window.start, scored.window.end, scored.scores)
        tracked = FeaturesTracked(self._key, self._asking.features, (window,), (hour,))
        failures = self._failures(scored.window.end) if self._fallible else ()
        return [*self._told(scored, standing), tracked, *failures]

    def _failures(self, end: Nanos) -> Iterator[DetectorFailed]:
        """Which detectors of others did not score the last window."""
        for scorer in self._fallible:
            why = getattr(scorer, "failed", None)
            if why is not None:
                yield DetectorFailed(self._key, end, scorer.gives, why)

    def _told(self, scored: Scored, standing: Mapping[str, AlertState]) -> list[Fact]:
        self._states = LateStates(partial(self.states, scored.scores, standing))
        return [scored.window, WindowScored(self._key, scored.window.end, scored.scores, self._states, scored.counts)]

    def settle(self, *, whole: bool) -> None:
        """Work out what is read of the last window: no other closes for now."""
        self._tracks.settle()
        if whole and self.last is not None and self._settled is not self.last:
            self._work_out(self.last)
        if self._held is not None:
            self._held.forget()

    def _work_out(self, last: Scored) -> None:
        self._settled, window, scores = last, last.window, last.scores
        if isinstance(window.quality, Qualities):
            window.quality.settle()
        if window.ids is not None:
            window.ids.settle()
        for part in scores.parts:
            part.columns.settle()
        self._states.settle()

    # --- states -------------------------------------------------------------------------------------------------

    def states(self, scores: ScoreTable, standing: Mapping[str, AlertState]) -> Mapping[str, int]:
        """The state of each feature scored: that of its worst alert, else whether there was enough to judge it by.

        A feature is judged by its values, or by all rows where nothing else is asked for.
        """
        quiet = self._without_alerts(scores)
        if not standing:
            return quiet
        return {**quiet, **{name: STATE_OF_ALERT[state] for name, state in standing.items() if name in quiet}}

    def _without_alerts(self, scores: ScoreTable) -> Mapping[str, int]:
        """The states where nothing alerts. They follow from which scores are known, which is seldom another than last time."""
        known = tuple((part.columns.detector, part.known.tobytes()) for part in scores.parts)
        quiet = self._quiet  # another thread may ask too
        if quiet[0] != known:
            quiet = self._quiet = known, self._find_states(scores)
        return quiet[1]

    def _find_states(self, scores: ScoreTable) -> dict[str, int]:
        features = self._asking.features
        sides = np.full((2, len(features)), NOT_ASKED)  # by rows, by values
        for part in scores.parts:
            side = sides[0 if _judges_all_rows(part.columns.detector) else 1]
            places = part.asked.features
            side[places] = np.maximum(side[places], np.where(part.known, OK, INSUFFICIENT))
        states = np.where(sides[1] == NOT_ASKED, sides[0], sides[1]).tolist()
        return {name: state for name, state in zip(features, states, strict=True) if state != NOT_ASKED}

    # --- state --------------------------------------------------------------------------------------------------

    def current(self, standing: Mapping[str, AlertState]) -> list[Fact]:
        """The history, then the last window as it was scored."""
        told = self._told(self.last, standing) if self.last is not None else []
        windows, hours = self._tracks.windows, self._tracks.hours
        tracked = [FeaturesTracked(self._key, self._asking.features, windows, hours)] if windows else []
        return [*self.history.windows, *told, *tracked]

    def changes(self) -> list[Entry]:
        """The rows that changed since the last call."""
        last = [_report(self.last)] if self._changed else []
        self._changed = False
        return [*last, *self.history.changes(), *self._tracks.changes()]

    def snapshot(self) -> list[Entry]:
        """All rows."""
        return [_report(self.last), *self.history.snapshot(), *self._tracks.snapshot()]

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up the history, and the last window under today's thresholds. Raises ValueError for damaged bytes."""
        self.history.restore(entry for entry in entries if entry.kind == WINDOW)
        if alike:
            self._tracks.restore(entries)
        for entry in entries if alike else ():
            if entry.kind == REPORT:
                saved = msgspec.msgpack.decode(entry.held, type=SavedReport)
                table = self._asking.table(columns.columns() for columns in saved.scores)
                layout = self._reference.layout
                counts = Sketch.from_bytes(layout, saved.counts).packed() if saved.counts else None
                self.last = Scored(saved.window, table, counts)
        return []


class KeptCounts:
    """The counts of a closed window, as small as they go: who reads late gets the same tally again. Until `forget` it is at hand."""

    __slots__ = ("_tally", "kept")

    def __init__(self, kept: PackedSketch, tally: Tally) -> None:
        self.kept = kept
        self._tally: Tally | None = tally

    def forget(self) -> None:
        """Another window has come, or nothing is left to be worked out."""
        self._tally = None

    def tally(self) -> Tally:
        """What detectors ask for."""
        return self._tally or self._again()

    def _again(self) -> Tally:
        return Sketch.unpacked(self.kept).tally()


@dataclass(slots=True)
class WorkOut:
    """Works out the scores of a window that nobody decides by; those that are there are taken as they are."""

    asking: "Asking"
    counts: KeptCounts
    columns: Sequence[ScoreColumns | Later]

    def __call__(self) -> tuple[DetectorScores, ...]:
        """All parts, in the order of the scorers."""
        tally = self.counts.tally()
        return self.asking.parts(each if isinstance(each, ScoreColumns) else each(tally) for each in self.columns)


class LateStates(Mapping[str, int]):
    """The states of features, worked out when they are first read."""

    __slots__ = ("_find", "_found")

    def __init__(self, find: Callable[[], Mapping[str, int]]) -> None:
        self._find = find
        self._found: Mapping[str, int] | None = None

    def settle(self) -> Mapping[str, int]:
        """Work them out."""
        find, found = self._find, self._found  # in this order: another thread may do the same
        if found is None:
            found = self._found = find()
            self._find = dict  # what it holds on to is a window
        return found

    def __getitem__(self, name: str) -> int:
        return self.settle()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.settle())

    def __len__(self) -> int:
        return len(self.settle())

    def values(self) -> ValuesView[int]:
        """All states: a view of the mapping itself asks for each by its name."""
        return self.settle().values()

    def items(self) -> ItemsView[str, int]:
        """All features with their states."""
        return self.settle().items()

    def __repr__(self) -> str:
        return repr(self.settle())


class Asking:
    """What is asked of each detector: which features, by which thresholds. All of it is configuration."""

    def __init__(self, judging: Judging) -> None:
        self.features = (*judging.reference.names, volume.FEATURE)
        self._judging = judging
        self._rules = {rule.name: judging.rules_for(rule) for rule in judging.all_rules}
        self._asked: dict[str, tuple[tuple[str, ...], AskedScores]] = {}  # by detector, with the features it scores

    def table(self, columns: Iterable[ScoreColumns], work_out: "WorkOut | None" = None) -> ScoreTable:
        """The scores that are asked for, each with the threshold that applies, and what works out those that are not ready."""
        return ScoreTable(self.parts(columns), work_out)

    def parts(self, columns: Iterable[ScoreColumns]) -> tuple[DetectorScores, ...]:
        """The same, without the table."""
        return tuple([DetectorScores(each, self._of(each.detector, each.names)) for each in columns])

    def _of(self, detector: str, names: tuple[str, ...]) -> AskedScores:
        """What is asked of a detector that scores these features; worked out when it first speaks."""
        known, asked = self._asked.get(detector, ((), None))
        if asked is None or (known is not names and known != names):
            asked = self._work_out(detector, names)
            self._asked[detector] = names, asked
        return asked

    def _work_out(self, detector: str, names: tuple[str, ...]) -> AskedScores:
        kept = [place for place, name in enumerate(names) if self._judging.wants(name, detector)]
        numbers = {name: number for number, name in enumerate(self.features)}
        asking = [rule.name for rule in self._judging.all_rules if rule.detector == detector]
        rules = {name: self._rules[name] for name in asking}
        applying = ([each[name] for each in rules.values() if name in each] for name in names)
        return AskedScores(
            places={name: place for place, name in enumerate(names)},
            kept=None if len(kept) == len(names) else np.array(kept, dtype=np.int64),
            features=np.array([numbers[names[place]] for place in kept], dtype=np.int64),
            thresholds=tuple(lowest_threshold(each) for each in applying),
            limits={rule: _limits(each, names) for rule, each in rules.items()},
        )


def _limits(rules: Mapping[str, AlertRule], names: Iterable[str]) -> NDArray[np.float64]:
    return np.array([rules[name].fire_above if name in rules else np.inf for name in names])


# --- the last window as saved -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class SavedColumns:
    """One detector's scores as saved: the arrays of `ScoreColumns` as little-endian bytes."""

    detector: str
    names: tuple[str, ...]
    known: bytes
    rows: bytes
    values: bytes
    pvalues: bytes | None
    details: dict[str, bytes]

    @classmethod
    def of(cls, found: ScoreColumns) -> Self:
        """The columns as bytes."""
        return cls(
            found.detector,
            found.names,
            found.known.tobytes(),
            found.rows.astype("<i8").tobytes(),
            found.values.astype("<f8").tobytes(),
            None if found.pvalues is None else found.pvalues.astype("<f8").tobytes(),
            {name: column.astype("<f8").tobytes() for name, column in found.details.items()},
        )

    def columns(self) -> ScoreColumns:
        """The columns that they were. Raises ValueError where bytes are missing."""
        return ScoreColumns(
            self.detector,
            self.names,
            np.frombuffer(self.known, dtype=np.bool_),
            np.frombuffer(self.rows, dtype="<i8"),
            np.frombuffer(self.values, dtype="<f8"),
            None if self.pvalues is None else np.frombuffer(self.pvalues, dtype="<f8"),
            {name: np.frombuffer(column, dtype="<f8") for name, column in self.details.items()},
        )


@dataclass(slots=True)
class SavedReport:
    """The last closed window as saved; states follow from scores and alerts. `counts`: none in states of before they were kept."""

    window: WindowClosed
    scores: list[SavedColumns]
    counts: bytes = b""


def _report(last: Scored | None) -> Entry:
    if last is None:
        return Entry(REPORT, None)
    ids = last.window.ids
    window = replace(last.window, quality=tuple(last.window.quality), ids=None if ids is None else ids.settle())
    columns = [SavedColumns.of(part.columns) for part in last.scores.parts]
    counts = b"" if last.counts is None else last.counts.to_bytes()
    return Entry(REPORT, msgspec.msgpack.encode(SavedReport(window, columns, counts)))

"""Whether predictions and features are frozen: one value in row after row, where the reference has more. An incident of the service.

A freeze is a cache, a feed or a server that is stuck, not the world: nothing is to be trained for it, and the budget's charts
leave it alone (`held` in charts.py). What decides, for a value whose cell has the share p of the reference's rows:

1. Chance. n rows in one cell have the chance pⁿ. It has to be below 1e-9, n as many as independent rows would be worth: less where
   rows of a window share a level (calibration), or come together in groups. And no fewer than `min_rows`.
2. What is usual. A weekday is one value all day, a rate of exchange all morning. So nine in ten of the panes before must have varied,
   at least 12 of them; a freeze that has ended counts among these. Predictions, and features that vary inside the windows of a
   calibrated reference, are trusted whatever came before. What follows the hours of the day must stand still for a day.

It follows from sealed panes alone, and outlives a restart. Nothing resolves for want of data: a pane without a value says nothing.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from detectors import Reference, Sketch
from detectors.charts import IncidentKind
from detectors.encoding import PREDICTION
from detectors.features import Bools, Floats, Ints
from monitor.alerting.alerts import Span
from monitor.alerting.budget import BY_FREEZE
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import FROZEN_RULE, Severity
from monitor.facts import Fact, WindowSpan
from monitor.series.alerts import Teller
from monitor.series.incident import IncidentAlert, incident_row, restore_row
from monitor.series.operators import Operator
from monitor.series.records import Entry
from monitor.stream.events import DAY, HOUR, Nanos, SeriesKey
from monitor.stream.windows import SealedPane

CHANCE = 1e-9  # of a freeze that is none
PANES, USUALLY = 12, 0.9  # panes that were looked at, and the share of them that varied
REMEMBERED = 1024  # panes; then what is older counts half
ALIKE, SLOW = (
    0.25,
    0.5,
)  # of the rows of one window, and sigma of slow variation, from which on the past has to show that a feature varies
RUNS = "runs"  # kind of the row of what stands still


@dataclass(slots=True)
class Run:
    """One value in pane after pane. `worth`: so many independent rows; `told`: it is a freeze; `accepted`: somebody has said that it is well so."""

    value: float
    since: Nanos
    end: Nanos
    rows: int = 0
    worth: float = 0.0
    panes: int = 0
    told: bool = False
    accepted: bool = False

    def goes_on(self, end: Nanos, rows: int, worth: float) -> None:
        """Take one more pane."""
        self.end, self.rows, self.worth, self.panes = end, self.rows + rows, self.worth + worth, self.panes + 1


@dataclass(slots=True)
class SavedRuns:
    """What stands still, by feature, and how many panes each feature was looked at in and varied in."""

    runs: dict[str, Run] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    varied: dict[str, int] = field(default_factory=dict)


class Frozen(Operator[Sketch]):
    """The incident of what is frozen in one series."""

    name = FROZEN_RULE
    kinds = (FROZEN_RULE, RUNS)

    def __init__(self, key: SeriesKey, reference: Reference, interval: Nanos, min_rows: int) -> None:
        self.alert = IncidentAlert(
            Teller(key, BY_FREEZE, reference.hash, interval, kind=IncidentKind.SERVICE), reference.names, apart=HOUR
        )
        self._reference = reference
        self._usual = UsualValues(reference)
        self._min_rows = min_rows
        self.runs: dict[int, Run] = {}  # by column
        self._seen: Ints = np.zeros(len(reference.names), dtype=np.int64)  # panes that were looked at
        self._varied: Ints = self._seen.copy()  # and those of them in which it varied
        self._changed = self._moved = True  # runs; the incident

    @property
    def features(self) -> frozenset[str]:
        """What is frozen now."""
        return frozenset(self._reference.names[column] for column, run in self.runs.items() if run.told)

    def on_pane(self, pane: SealedPane[Sketch]) -> list[Fact]:
        """Take a sealed pane."""
        self._changed = True
        self._take(pane)
        incident, span = self.alert.incident, Span(pane.start, pane.end)
        frozen = {column: run for column, run in self.runs.items() if run.told and not run.accepted}
        if not frozen and not incident.state.alerts:
            return []
        self._moved = True
        found = [self._evidence(column, run) for column, run in sorted(frozen.items(), key=self._in_order)]
        episodes = incident.follow({each.feature: each.since or span.end for each in found}, found, span)
        return [*self.alert.told(episodes, WindowSpan(pane.start, pane.end, pane.sketch.rows))]

    def _take(self, pane: SealedPane[Sketch]) -> None:
        usable, unvaried = pane.sketch.usable, pane.sketch.unvaried
        varied = usable > 0
        if unvaried is not None:
            varied[unvaried.columns] = False
        self._count(varied)
        for column in [column for column in self.runs if varied[column]]:
            self._end(column)
        for column, value in () if unvaried is None else zip(unvaried.columns.tolist(), unvaried.values, strict=True):
            if usable[column]:
                self._stand(column, float(value), pane, int(usable[column]))

    def _count(self, varied: Bools) -> None:
        self._seen += varied
        self._varied += varied
        old = self._seen >= REMEMBERED
        self._seen[old] //= 2
        self._varied[old] //= 2

    def _end(self, column: int) -> None:
        """It varies again, or stands at another value: what was told is from now on among what it does."""
        run = self.runs.pop(column)
        self._seen[column] += run.panes if run.told else 0

    def _stand(self, column: int, value: float, pane: SealedPane[Sketch], rows: int) -> None:
        run = self.runs.get(column)
        if run is not None and run.value != value:
            self._end(column)
            run = None
        if run is None:
            run = self.runs[column] = Run(value, pane.start, pane.start)
        worth = self._usual.worth(column, rows, pane.sketch)
        run.goes_on(pane.end, rows, worth)
        if run.told:
            return
        needed = self._usual.needed(column, value)
        if run.worth >= needed and run.rows >= self._min_rows and run.end - run.since >= self._usual.least[column]:
            if self._varies(column):
                run.told = True
            elif worth >= needed:
                self._seen[column] += 1  # a pane of one value, which is how it is

    def _varies(self, column: int) -> bool:
        """Whether it does as a rule."""
        seen = int(self._seen[column])
        return bool(self._usual.trusted[column]) or (seen >= PANES and int(self._varied[column]) >= USUALLY * seen)

    def _in_order(self, found: tuple[int, Run]) -> tuple[bool, Nanos, str]:
        column, run = found
        name = self._reference.names[column]
        return name != PREDICTION, run.since, name

    def _evidence(self, column: int, run: Run) -> Evidence:
        name = self._reference.names[column]
        return Evidence(
            feature=name,
            detector=FROZEN_RULE,
            score=float(run.rows),
            threshold=float(max(self._min_rows, math.ceil(self._usual.needed(column, run.value)))),
            pvalue=None,
            rows=run.rows,
            chart=FROZEN_RULE,
            since=run.since,
            severity=Severity.CRITICAL if name == PREDICTION else Severity.WARNING,
            counts=np.array([run.value]).tobytes() + np.array([run.rows], dtype="<i8").tobytes(),
        )

    def accept(self, features: Collection[str], until: Nanos | None, at: Nanos) -> list[Fact]:
        """Let these features stand still until they vary again: until then it is nobody's incident."""
        del until
        accepted = {column for column, run in self.runs.items() if run.told and not run.accepted}
        accepted = {column for column in accepted if not features or self._reference.names[column] in features}
        if not accepted:
            return []
        for column in accepted:
            self.runs[column].accepted = True
        self._changed = self._moved = True
        names = {self._reference.names[column] for column in accepted}
        return [*self.alert.told(self.alert.incident.without(names, Span(at, at)), WindowSpan(at, at, 0))]

    def current(self) -> list[Fact]:
        """The incident, unless it is inactive."""
        return [*self.alert.current()]

    # --- state --------------------------------------------------------------------------------------------------

    def changes(self) -> list[Entry]:
        """The runs, if any pane came, and the incident, if it changed."""
        runs = [self._runs()] if self._changed else []
        incident = [incident_row(FROZEN_RULE, self.alert)] if self._moved else []
        self._changed = self._moved = False
        return [*runs, *incident]

    def snapshot(self) -> list[Entry]:
        """A row of each."""
        return [self._runs(), incident_row(FROZEN_RULE, self.alert)]

    def _runs(self) -> Entry:
        names = self._reference.names
        seen, varied = (dict(zip(names, each.tolist(), strict=True)) for each in (self._seen, self._varied))
        return Entry(
            RUNS, msgspec.json.encode(SavedRuns({names[at]: run for at, run in self.runs.items()}, seen, varied))
        )

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up the incident; what stood still where panes are those that they were."""
        for entry in entries:
            if entry.kind == FROZEN_RULE:
                restore_row(entry, self.alert)
            elif alike:
                self._restore(msgspec.json.decode(entry.held, type=SavedRuns))
        return []

    def _restore(self, saved: SavedRuns) -> None:
        places = {name: column for column, name in enumerate(self._reference.names)}
        self.runs = {places[name]: run for name, run in saved.runs.items()}
        for name, column in places.items():
            self._seen[column], self._varied[column] = saved.seen[name], saved.varied[name]


class UsualValues:
    """What a reference knows of each feature: how likely one value is, what rows are worth, and whether it varies inside windows."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        calibration, count = reference.calibration, len(reference.names)
        learnt = () if calibration is None else calibration.features
        self._sd: Floats = np.array([max(each.sd[0], 1.0) for each in learnt] or np.ones(count))
        self._shared: Floats = np.array([each.overdispersion[0] for each in learnt] or np.zeros(count))
        self.least: Ints = np.array([DAY if each.season else 0 for each in learnt] or np.zeros(count), dtype=np.int64)
        steady = [each.overdispersion[0] < ALIKE and each.slow[0] < SLOW for each in learnt] or [False] * count
        self.trusted: Bools = np.array(steady) | (np.array(reference.names) == PREDICTION)

    def needed(self, column: int, value: float) -> float:
        """So many independent rows of one value that chance does not bring; inf where the reference has no other."""
        counts, cell = self._cells(column, value)
        rows = int(counts.sum())
        share = (int(counts[cell]) + 1) / (rows + 1)
        return math.log(CHANCE) / math.log(share) if share < 1 else math.inf

    def _cells(self, column: int, value: float) -> tuple[Ints, int]:
        """The counts of a feature's values, and the cell of one."""
        feature = self._reference.features[self._reference.names[column]]
        counts = feature.counts[: feature.usable]
        if column >= len(self._reference.numeric):
            return counts, int(value)
        return counts, int(np.searchsorted(self._reference.layout.numeric[column].edges, value, side="left"))

    def worth(self, column: int, rows: int, sketch: Sketch) -> float:
        """What so many rows of a pane are worth, in independent ones."""
        together = math.nan if sketch.groups is None else sketch.groups.together(sketch.rows)
        shared = float(self._sd[column]) ** 2 * (1 + float(self._shared[column]) * rows)
        return rows / max(1.0, shared, 0.0 if math.isnan(together) else together)

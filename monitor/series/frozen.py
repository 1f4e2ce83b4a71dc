"""Whether predictions and features are frozen: one value in row after row, where the reference has more. An incident of the service.

A freeze is a cache, a feed or a server that is stuck, not the world: nothing is to be trained for it, and the budget leaves it alone
(`Elsewhere` in operators.py): charts are set back while it lasts, so that nothing need be held afterwards. What decides:

1. The reference. n rows in a cell that holds the share p of its rows have the chance pⁿ. It has to be below 1e-9, n as many as
   independent rows would be worth: less where rows of a window share a level (calibration), or come together in groups. And no
   fewer than `min_rows`. What is one value in all of the reference is never frozen.
2. Its own past. The same of the last thousand rows or so: 1 - p is the share of rows beside the commonest cell of their pane. A rate
   that has fallen makes long runs likely, and what stands still for a day after a day has a p of 1. After a freeze its past begins anew with it.
3. What is usual. Nine in ten of the panes before must have varied, at least 12 of them; the panes of every run that the reference
   makes unlikely, and nobody was told of, are counted once it has ended. Predictions, and features that vary inside the windows of a
   calibrated reference, need no such past, but what they have of one counts as for all. What follows the hours of the day must
   stand still for a day.
4. The same hours. Where three runs of one value that the reference makes unlikely have come and gone at the same hours of the day (of
   the week, if they were longer than a day), one more of that value is told half its length after it should have ended: nights, weekends.

Labels come later than the freeze, and would say that the model has become worse. So freezes of predictions that were told, and that nobody has accepted, are
remembered (`distrusted`): performance is judged without them.

A freeze that was told teaches neither 3 nor 4 anything, unless somebody has accepted it: one outage must not mute the next.

It follows from sealed panes alone, and outlives a restart. Nothing resolves for want of data: a pane without a value says nothing.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from detectors import Reference, Sketch, Tally
from detectors.charts import IncidentKind
from detectors.encoding import PREDICTION
from detectors.features import Bools, Floats, Ints
from detectors.sketches import TallyStack, sums
from monitor.alerting.alerts import Span
from monitor.alerting.budget import BY_FREEZE
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import FROZEN_RULE, Severity
from monitor.facts import Fact, WindowSpan
from monitor.series.alerts import Teller
from monitor.series.incident import IncidentAlert, incident_row, restore_row, without_counts
from monitor.series.operators import Operator
from monitor.series.records import Entry
from monitor.series.spells import WEEK, Still, recurring, with_another
from monitor.stream.events import DAY, HOUR, Nanos, SeriesKey
from monitor.stream.windows import SealedPane

CHANCE = 1e-9  # of a freeze that is none
PANES, USUALLY = 12, 0.9  # panes that were looked at, and the share of them that varied
REMEMBERED = 1024  # panes; then what is older counts half
RECENT = 1024.0  # rows of its own past, on average; what is older fades
MEMORY = np.array([RECENT, REMEMBERED])
AWAITED = 2  # times `min_rows`: for so many rows of one value nothing else is told of it, since it may become a freeze
ALIKE, SLOW = (
    0.25,
    0.5,
)  # of the rows of one window, and sigma of slow variation, from which on the past has to show that a feature varies
THREE = 3  # nights, or weekends, that are a custom
MOST_DISTRUSTED = 100  # freezes of predictions that are remembered for labels to come
FOREVER: Nanos = 2**63 - 1
MANY = 64  # panes that are remembered together
RUNS = "runs"  # kind of the row of what stands still


@dataclass(slots=True)
class Run:
    """One value in pane after pane. `worth`: so many independent rows; `told`: it is a freeze; `accepted`: somebody has said that it is well so, until then.

    `usual`: for so long it may be, since one came at the same hours before.
    """

    value: float
    since: Nanos
    end: Nanos
    rows: int = 0
    worth: float = 0.0
    panes: int = 0
    told: bool = False
    accepted: bool = False
    until: Nanos | None = None
    usual: Nanos = 0

    @property
    def is_usual(self) -> bool:
        """Whether it stands still as it has before at these hours."""
        return not self.told and self.end - self.since <= self.usual

    @property
    def teaches(self) -> bool:
        """Whether it says what is usual: nobody was told of it, or somebody has said that it is well so."""
        return self.accepted or not self.told

    def goes_on(self, end: Nanos, rows: int, worth: float) -> None:
        """Take one more pane."""
        self.end, self.rows, self.worth, self.panes = end, self.rows + rows, self.worth + worth, self.panes + 1


@dataclass(slots=True)
class SavedRuns:
    """What stands still, by feature, and what is known of the past: float64[4, f] of panes, those in which it varied, and `recent`.

    Earlier versions wrote the past by the names of features.
    """

    runs: dict[str, Run] = field(default_factory=dict)
    past: bytes = b""
    seen: dict[str, int] = field(default_factory=dict)
    varied: dict[str, int] = field(default_factory=dict)
    recent: dict[str, tuple[float, float]] = field(default_factory=dict)  # rows, and those beside the commonest cell
    over: dict[str, tuple[Nanos, Nanos]] = field(default_factory=dict)  # the last freeze that has ended
    usual_over: dict[str, tuple[Nanos, Nanos]] = field(default_factory=dict)  # the last that was usual
    nights: dict[str, list[Still]] = field(default_factory=dict)  # runs that are over, and were nobody's incident
    distrusted: list[tuple[Nanos, Nanos]] = field(default_factory=list)  # freezes of predictions that are over


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
        count = len(reference.names)
        self._seen: Ints = np.zeros(count, dtype=np.int64)  # panes that were looked at
        self._varied: Ints = self._seen.copy()  # and those of them in which it varied
        self._recent: Floats = np.zeros((2, count))  # rows of late, and those beside the commonest cell of their pane
        self._over: dict[int, tuple[Nanos, Nanos]] = {}  # since when and until when it was frozen last
        self._usual_over: dict[int, tuple[Nanos, Nanos]] = {}  # and stood still as usual
        self._nights: dict[
            int, list[Still]
        ] = {}  # runs that are over, that the reference makes unlikely, and were nobody's incident
        self._distrusted: list[tuple[Nanos, Nanos]] = []  # freezes of predictions that are over, the last ones
        self._varying: list[Tally] = []  # panes without a run that the past is still to hear of
        self._before: Nanos = interval  # a freeze may have begun amid the window before
        self._changed = self._moved = True  # runs; the incident

    def distrusted(self) -> list[Span]:
        """When predictions were frozen, with the window before and the pane after, which may be of both."""
        names = self._reference.names
        on = [(run.since, FOREVER) for at, run in self.runs.items() if names[at] == PREDICTION and _is_fault(run)]
        return [Span(since - self._before, end) for since, end in (*self._distrusted, *on)]

    def told(self, after: Nanos) -> dict[str, Nanos]:
        """What is frozen, or was after this, each with when it began to stand still."""
        over = {column: since for column, (since, end) in self._over.items() if end > after}
        return self._named(over | {column: run.since for column, run in self.runs.items() if run.told})

    def usual(self, after: Nanos) -> dict[str, Nanos]:
        """What stands still as it does at these hours, or did after this, each with when that began."""
        over = {column: since for column, (since, end) in self._usual_over.items() if end > after}
        return self._named(over | {column: run.since for column, run in self.runs.items() if run.is_usual})

    def awaited(self) -> dict[str, Nanos]:
        """What stands still and may yet be told of."""
        runs = self.runs.items()
        return self._named({column: run.since for column, run in runs if not run.told and self._may_be(column, run)})

    def _named(self, columns: dict[int, Nanos]) -> dict[str, Nanos]:
        return {self._reference.names[column]: since for column, since in columns.items()}

    def _may_be(self, column: int, run: Run) -> bool:
        soon = run.rows <= AWAITED * self._min_rows
        return soon and self._varies(column) and math.isfinite(self._needed(column, run.value))

    def learnt(self, reference: Reference) -> None:
        """Go by this reference of the same layout, which live traffic has taught."""
        self._usual = UsualValues(reference)

    def on_pane(self, pane: SealedPane[Sketch]) -> list[Fact]:
        """Take a sealed pane."""
        self._changed = True
        self._take(pane)
        if not self.runs and not self.alert.state.alerts:  # as nearly always
            return []
        incident, span = self.alert.incident, Span(pane.start, pane.end)
        frozen = {column: run for column, run in self.runs.items() if _is_fault(run)}
        if not frozen and not incident.state.alerts:
            return []
        self._moved = True
        found = [self._evidence(column, run) for column, run in sorted(frozen.items(), key=self._in_order)]
        episodes = incident.follow({each.feature: each.since or span.end for each in found}, found, span)
        return [*self.alert.told(episodes, WindowSpan(pane.start, pane.end, pane.sketch.rows))]

    def _take(self, pane: SealedPane[Sketch]) -> None:
        tally, unvaried = pane.sketch.tally(), pane.sketch.unvaried
        if unvaried is None or not unvaried.columns.size:
            unvaried = None
            if not self.runs:  # as nearly always
                self._varying.append(tally)
                if len(self._varying) == MANY:
                    self.settle()
                return
        self.settle()
        most, usable = tally.most, tally.usable
        varied = usable > 0
        if unvaried is not None:
            varied[unvaried.columns] = False
        for column in [column for column in self.runs if varied[column]]:
            self._end(column, pane.end)
        self._count(varied[None], usable[None], most[None])
        if unvaried is None:
            return
        stands = self._usual.several[unvaried.columns] & (usable[unvaried.columns] > 0)
        columns, values = unvaried.columns[stands].tolist(), unvaried.values[stands].tolist()
        for column, value in zip(columns, values, strict=True):
            self._stand(column, value, pane, int(usable[column]))

    def settle(self) -> None:
        """Let the past have the panes that it has not heard of: many at once take a fraction of the time of one after the other."""
        if self._varying:
            panes, self._varying = TallyStack(self._varying), []
            self._count(panes.usable > 0, panes.usable, panes.most)

    def _count(self, varied: Bools, usable: Ints, most: Ints) -> None:
        """Add panes, a row each, to the past of what varied in them. Each pane comes by here with all columns: a few additions, nothing more."""
        if not sums.USED or not sums.fade(usable, most, varied, self._seen, self._varied, self._recent, MEMORY):
            for each in zip(varied, usable, most, strict=True):
                self._count_by_numpy(*each)

    def _count_by_numpy(self, varied: Bools, usable: Ints, most: Ints) -> None:
        self._seen += varied
        self._varied += varied
        if int(self._seen.max(initial=0)) >= REMEMBERED:
            old = self._seen >= REMEMBERED
            self._seen[old] //= 2
            self._varied[old] //= 2
        rows = usable * varied
        self._recent *= RECENT / (RECENT + rows)
        self._recent[0] += rows
        self._recent[1] += (usable - most) * varied

    def _end(self, column: int, at: Nanos) -> None:
        """It varies again, or stands at another value: what it did is from now on among what it does.

        The pane in which it does so may still be of both, so a freeze ends with that.
        """
        run = self.runs.pop(column)
        if _is_fault(run) and self._reference.names[column] == PREDICTION:
            self._distrusted = [*self._distrusted, (run.since, at)][-MOST_DISTRUSTED:]
        if run.told or run.is_usual:
            (self._over if run.told else self._usual_over)[column] = run.since, at
        if run.teaches and self._is_unlikely(column, run):
            self._seen[column] += 0 if run.is_usual else run.panes
            spell = run.end, run.end - run.since, run.value
            self._nights[column] = with_another(self._nights.get(column, ()), spell)
        if run.told:  # where a rate has fallen, what was before says nothing of the runs to come
            self._recent[:, column] = min(run.rows, RECENT), 0.0
            return
        self._recent[:, column] *= RECENT / (RECENT + run.rows)
        self._recent[0, column] += run.rows

    def _stand(self, column: int, value: float, pane: SealedPane[Sketch], rows: int) -> None:
        run = self.runs.get(column)
        if run is not None and run.value != value:
            self._end(column, pane.start)
            run = None
        if run is None:
            usual = usual_at(self._nights.get(column, ()), value, pane.start)
            run = self.runs[column] = Run(value, pane.start, pane.start, usual=usual)
        run.goes_on(pane.end, rows, self._usual.worth(column, rows, pane.sketch))
        if run.until is not None and pane.end > run.until:
            run.accepted, run.until = False, None
        if not run.told and not run.is_usual and self._is_unlikely(column, run) and self._varies(column):
            run.told = run.worth >= self._needed(column, value)

    def _is_unlikely(self, column: int, run: Run) -> bool:
        """Whether the reference does not explain so long a run."""
        long = run.rows >= self._min_rows and run.end - run.since >= self._usual.least[column]
        return bool(long and run.worth >= self._usual.needed(column, run.value))

    def _needed(self, column: int, value: float) -> float:
        """So many independent rows as neither the reference nor its own past makes likely."""
        rows, others = self._recent[:, column].tolist()
        return max(self._usual.needed(column, value), rows_needed((rows - others + 1) / (rows + 1)) if rows else 0.0)

    def _varies(self, column: int) -> bool:
        """Whether it does as a rule."""
        seen, least = int(self._seen[column]), 0 if self._usual.trusted[column] else PANES
        return seen >= least and int(self._varied[column]) >= USUALLY * seen

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
            threshold=float(max(self._min_rows, math.ceil(self._needed(column, run.value)))),
            pvalue=None,
            rows=run.rows,
            chart=FROZEN_RULE,
            since=run.since,
            severity=Severity.CRITICAL if name == PREDICTION else Severity.WARNING,
            counts=np.array([run.value]).tobytes() + np.array([run.rows], dtype="<i8").tobytes(),
        )

    def accept(self, features: Collection[str], until: Nanos | None, at: Nanos) -> list[Fact]:
        """Let these features stand still until they vary again, or until then: meanwhile it is nobody's incident."""
        accepted = {column for column, run in self.runs.items() if _is_fault(run)}
        accepted = {column for column in accepted if not features or self._reference.names[column] in features}
        if not accepted:
            return []
        for column in accepted:
            self.runs[column].accepted, self.runs[column].until = True, until
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
        self.settle()
        names = self._reference.names
        past = np.vstack([self._seen, self._varied, self._recent]).astype("<f8").tobytes()
        runs = {names[column]: run for column, run in self.runs.items()}
        over, usual_over = (
            {names[column]: span for column, span in each.items()} for each in (self._over, self._usual_over)
        )
        nights = {names[column]: each for column, each in self._nights.items()}
        saved = SavedRuns(runs, past, over=over, usual_over=usual_over, nights=nights, distrusted=self._distrusted)
        return Entry(RUNS, msgspec.json.encode(saved))

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up the incident; what stood still, and at which value, where panes are those that they were."""
        for entry in entries:
            if entry.kind == FROZEN_RULE:
                restore_row(entry, self.alert)
                if not alike:
                    without_counts(self.alert.incident)
            else:
                saved = msgspec.json.decode(entry.held, type=SavedRuns)
                self._distrusted = [*saved.distrusted, *([] if alike else _cut_short(saved))]
                if alike:
                    self._restore(saved)
        return []

    def _restore(self, saved: SavedRuns) -> None:
        places = {name: column for column, name in enumerate(self._reference.names)}
        self.runs = {places[name]: run for name, run in saved.runs.items()}
        for name, column in places.items() if not saved.past else ():
            self._seen[column], self._varied[column] = saved.seen[name], saved.varied[name]
            self._recent[:, column] = saved.recent.get(name, (0.0, 0.0))
        if saved.past:
            past = np.frombuffer(saved.past, "<f8").reshape(4, -1)
            self._seen[:], self._varied[:], self._recent[:] = past[0], past[1], past[2:]
        self._over = {places[name]: over for name, over in saved.over.items()}
        self._usual_over = {places[name]: over for name, over in saved.usual_over.items()}
        self._nights = {places[name]: nights for name, nights in saved.nights.items()}


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
        counts = [reference.features[name] for name in reference.names]
        self.several: Bools = np.array([np.count_nonzero(each.counts[: each.usable]) > 1 for each in counts])
        self.trusted: Bools = np.array(steady) | (np.array(reference.names) == PREDICTION)

    def needed(self, column: int, value: float) -> float:
        """So many independent rows of one value that chance does not bring; inf where the reference has no other."""
        counts, cell = self._cells(column, value)
        rows = int(counts.sum())
        return rows_needed((int(counts[cell]) + 1) / (rows + 1))

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


def _is_fault(run: Run) -> bool:
    """Whether it was told, and nobody has said that it is well so."""
    return run.told and not run.accepted


def _cut_short(saved: SavedRuns) -> list[tuple[Nanos, Nanos]]:
    """The freeze of predictions that went on under a reference that is another now: until where it is known of."""
    run = saved.runs.get(PREDICTION)
    return [] if run is None or not _is_fault(run) else [(run.since, run.end)]


def usual_at(stills: Sequence[Still], value: float, begun: Nanos) -> Nanos:
    """How long a run of this value may be that begins here, by those that came at the same hours of the day, or of the week."""
    alike = [(end, length) for end, length, of in stills if of == value]
    nights = [spell for spell in alike if spell[1] < DAY]
    weekends = [spell for spell in alike if spell[1] >= DAY]
    return max(recurring(nights, begun, DAY, alike=THREE), recurring(weekends, begun, WEEK, alike=THREE))


def rows_needed(share: float) -> float:
    """So many independent rows of what has this share that chance does not bring; inf where there is nothing else."""
    return math.log(CHANCE) / math.log(share) if share < 1 else math.inf

"""Whether events still have the columns that a data contract agreed on: an incident of its own that says since which offset they do not.

A column is *gone* where it has to be there and the last rows of a partition all lack it; *of a new type* where the values of the last
rows are all of another; a field is *new* where messages that were looked through hold it again and again. What decides, for the first two:

1. Chance. n rows in a row lack a column that as a rule the share p of them lacks with the chance pⁿ. It has to be below 1e-9, n no
   fewer than `min_rows`, and what is missing now and then must be so for a whole window. Rows that lack what may be missing come
   together (hours, tenants), which no chance tells from gone: only what has to be there, or always was, can be gone.
2. The run still goes on when its pane ends, and is no blink: a twentieth of the partition's rows in it.
3. A partition that never had a column says nothing by itself: there all partitions with rows must lack it.
4. Of all rows of the pane more are so than may be, by half a point. Over a window no more than that: it is as agreed again.

So while old and new producers write side by side to each partition, nothing is told here: the contract's page by budget says how many
rows lack what. Once the last row of the old kind has passed, the schema has changed since the offset behind it.

It follows from sealed panes alone, and outlives a restart. Nothing resolves for want of data. No budget is asked for.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import msgspec

from detectors import Sketch
from detectors.charts import IncidentKind
from detectors.contract import ColumnType
from detectors.sketches.schema import PartitionSchema, SchemaRun, SchemaRuns
from monitor.alerting.alerts import AlertState, Span
from monitor.alerting.budget import BY_SCHEMA
from monitor.alerting.episodes import Evidence, FirstOffset
from monitor.alerting.rules import SCHEMA_RULE, Severity
from monitor.facts import Fact, SchemaChanged, WindowSpan
from monitor.series.alerts import Teller
from monitor.series.contract import ID, SHARE, TIME
from monitor.series.evidence import integers
from monitor.series.incident import IncidentAlert, incident_row, restore_row
from monitor.series.judging import Judging
from monitor.series.operators import Operator
from monitor.series.records import Entry
from monitor.stream.events import HOUR, Nanos, Partition, SeriesKey
from monitor.stream.windows import SealedPane

SCHEMA = "schema_runs"  # kind of the row of what was seen
GONE, RETYPED, NEW = "gone", "type", "new"
TYPES = tuple(ColumnType)  # that words number
CHANCE = 1e-9  # of a column that is gone without being so
BLINK = 0.05  # of the rows of a partition in a pane
AGREED = 0.005  # the share of rows beyond the usual one, up to which a schema is as agreed: the floor of missing values
SEEN = 3  # times that a new field has to be seen
MOST = 64  # new fields that are followed
OVER, LOOKS = 1e-6, 10  # chance that a new field is still there, and messages that were looked through since, at least


class ColumnRun(msgspec.Struct):
    """Rows of one partition, the last ones, none of which has a column as agreed. `had`: rows before them had it."""

    ending: SchemaRun
    had: bool

    def first(self, change: str) -> tuple[int, Nanos]:
        """Offset and event time of the first row that is so otherwise."""
        each = self.ending
        if change == RETYPED and each.odd is not None and each.odd_time is not None:
            return each.odd, each.odd_time
        return each.offset, each.time


class ColumnChange(msgspec.Struct):
    """A column that is otherwise than agreed: the first rows that were, by partition (`topic/0`): offset and event time.

    `back` and `changed` are rows since `judged`, the last verdict on whether it still is, and those of them that were.
    """

    change: str
    first: dict[str, tuple[int, Nanos]]
    rows: int = 0
    back: int = 0
    changed: int = 0
    judged: Nanos = 0


class Otherwise(msgspec.Struct, frozen=True):
    """Of so many rows of a pane, those that lack a column, and those that have it of another type."""

    rows: int
    lacking: int
    wrong: int

    def of(self, change: str) -> int:
        """Those that are otherwise in this way."""
        return self.wrong if change == RETYPED else self.lacking


class Field(msgspec.Struct):
    """A field that nobody agreed on: in how many messages of those looked through since, and how many since it was last seen."""

    first: dict[str, tuple[int, Nanos]]
    count: int = 0
    looked: int = 0
    since: int = 0
    told: bool = False


Before = tuple[Mapping[str, tuple[str, Mapping[str, tuple[int, Nanos]]]], Collection[str]]
"""How columns were otherwise, and where that began; and which new fields were told."""


class SavedSchema(msgspec.Struct):
    """All of it: partitions that have been seen, runs by partition and column.

    `near` are columns that may be about to be gone, since when, as they were at the end of the last pane, `until`.
    """

    runs: dict[str, dict[str, ColumnRun]] = {}
    known: list[str] = []
    changes: dict[str, ColumnChange] = {}
    new: dict[str, Field] = {}
    near: dict[str, Nanos] = {}
    until: Nanos = 0
    over: dict[str, tuple[Nanos, Nanos]] = {}  # columns that are as agreed again: since when until when they were not


class SchemaWatch(Operator[Sketch]):
    """The incident of a schema that has changed.

    `told_already`: columns whose data another incident already calls bad; they are not told twice.
    """

    name = SCHEMA_RULE
    kinds = (SCHEMA_RULE, SCHEMA)

    def __init__(self, key: SeriesKey, judging: Judging) -> None:
        assert judging.contract is not None
        self._key = key
        self._contract = judging.contract.contract
        self._usual = UsualColumns(judging)
        self.alert = IncidentAlert(
            Teller(key, BY_SCHEMA, judging.reference.hash, 0, kind=IncidentKind.DATA_QUALITY), (), apart=HOUR
        )
        self._min_rows, self._window = judging.min_rows, judging.window_length
        self._held = SavedSchema()
        self.told_already: Callable[[], Collection[str]] = tuple
        self._changed = self._moved = True  # what was seen; the incident

    def told(self, after: Nanos) -> Mapping[str, Nanos]:
        """The columns that the incident tells of, or did after this, each with when that began."""
        told = {name: min(time for _, time in each.first.values()) for name, each in self._held.changes.items()}
        over = {name: since for name, (since, end) in self._held.over.items() if end > after}
        return over | {name: since for name, since in told.items() if name in self.alert.state.alerts}

    def usual(self, after: Nanos) -> Mapping[str, Nanos]:
        """None: a schema has no hours."""
        del after
        return {}

    def awaited(self) -> Mapping[str, Nanos]:
        """The columns that it is about to tell of: for a window, after which others need not wait any longer."""
        held = self._held
        return {name: since for name, since in held.near.items() if held.until - since < self._window}

    def _come_near(self, found: SchemaRuns, end: Nanos) -> None:
        """Note the columns that partitions which still have rows may be about to lack."""
        held = self._held
        runs = (run for partition in sorted(found.partitions) for run in held.runs[partition].items())
        near = {name: run.ending.time for name, run in runs if self._is_near(name, run)}
        held.near, held.until = {name: held.near.get(name, since) for name, since in near.items()}, end

    def _is_near(self, name: str, run: ColumnRun) -> bool:
        """Whether a run is long enough, but was too short a part of its pane."""
        usual = self._usual
        return name not in self._held.changes and run.had and usual.always(name) and usual.is_long(name, run.ending)

    def on_pane(self, pane: SealedPane[Sketch]) -> list[Fact]:
        """Take a sealed pane."""
        found = pane.sketch.schema
        if found is None:
            return []
        self._changed = True
        changes = {name: (each.change, {**each.first}) for name, each in self._held.changes.items()}
        before = changes, {name for name, each in self._held.new.items() if each.told}
        self._follow(found)
        otherwise = self._otherwise(pane)
        regrouped = self._find(found, otherwise, pane.end)
        self._recover(otherwise, pane.end)
        self._come_near(found, pane.end)
        self._see(found)
        facts = [*self._news(before, pane.end)]
        return [*facts, *self._tell(pane, regrouped)]

    # --- columns --------------------------------------------------------------------------------------------------

    def _follow(self, found: SchemaRuns) -> None:
        """Let the runs of each partition go on, begin or end."""
        held = self._held
        for partition, part in found.partitions.items():
            known, before = partition in held.known, held.runs.get(partition, {})
            runs = {name: _joined(before.get(name), run, known) for name, run in part.runs.items()}
            held.runs[partition] = {name: run for name, run in runs.items() if name in self._usual.columns}
            if not known:
                held.known.append(partition)

    def _otherwise(self, pane: SealedPane[Sketch]) -> dict[str, Otherwise]:
        """How many rows of a pane have each column otherwise than agreed."""
        violations, lacking, wrong = pane.sketch.violations, Counter[str](), Counter[str]()
        for (name, rule), count in ({} if violations is None else violations.counts).items():
            if rule == "type":
                wrong[name] += count
            elif rule in {"required", SHARE}:
                lacking[name] += count
        return {name: Otherwise(pane.sketch.arrived, lacking[name], wrong[name]) for name in self._usual.columns}

    def _find(self, found: SchemaRuns, otherwise: Mapping[str, Otherwise], end: Nanos) -> set[str]:
        """Note columns that are otherwise than agreed; those that are so in another way than before are returned."""
        held, regrouped = self._held, set[str]()
        names = {name for partition in found.partitions for name in held.runs[partition]}
        for name in sorted(names):
            runs = {each: held.runs[each][name] for each in sorted(found.partitions) if name in held.runs[each]}
            kinds = [
                kind
                for kind in self._kinds(name, runs, found.partitions, end)
                if otherwise[name].of(kind) > self._usual.allowed(name, kind) * otherwise[name].rows
            ]
            if not kinds:
                continue
            before = held.changes.get(name)
            if before is None or before.change not in kinds:
                held.changes[name] = ColumnChange(kinds[0], {}, judged=end)
                regrouped |= set() if before is None else {name}
            self._place(held.changes[name], name, runs, end, everywhere=len(runs) == len(found.partitions))
        return regrouped

    def _place(
        self, change: ColumnChange, name: str, runs: Mapping[str, ColumnRun], end: Nanos, *, everywhere: bool
    ) -> None:
        """Note where a change began, in partitions where it has not been found before."""
        change.rows = sum(run.ending.rows for run in runs.values())
        for partition, run in runs.items():
            if everywhere or self._usual.kind(name, run.ending, end) is not None:
                change.first.setdefault(partition, run.first(change.change))

    def _kinds(
        self, name: str, runs: Mapping[str, ColumnRun], partitions: Mapping[str, PartitionSchema], end: Nanos
    ) -> list[str]:
        """How a column is otherwise: in partitions that had it, else in all of them."""
        kinds = [
            self._usual.kind(name, run.ending, end)
            for partition, run in runs.items()
            if run.had and run.ending.rows >= BLINK * partitions[partition].rows
        ]
        if not any(kinds) and len(runs) == len(partitions):
            each = [run.ending for run in runs.values()]
            together = SchemaRun(
                sum(run.rows for run in each), sum(run.wrong for run in each), 0, max(run.time for run in each)
            )
            rows = sum(part.rows for part in partitions.values())
            kinds = [self._usual.kind(name, together, end)] if together.rows >= BLINK * rows else []
        return [kind for kind in kinds if kind is not None]

    def _recover(self, otherwise: Mapping[str, Otherwise], end: Nanos) -> None:
        """End what is as agreed again: over a window hardly a row is otherwise, and there are enough of them."""
        for name, change in [*self._held.changes.items()]:
            if change.judged == end:
                continue
            change.back += otherwise[name].rows
            change.changed += otherwise[name].of(change.change)
            if change.back < self._min_rows or end - change.judged < self._window:
                continue
            if change.changed <= self._usual.allowed(name, change.change) * change.back:
                if name in self.alert.state.alerts:
                    self._held.over[name] = min(time for _, time in change.first.values()), end
                del self._held.changes[name]
            change.back, change.changed, change.judged = 0, 0, end

    # --- new fields -----------------------------------------------------------------------------------------------

    def _see(self, found: SchemaRuns) -> None:
        """Follow fields that nobody agreed on."""
        fields, looked = self._held.new, sum(part.looked for part in found.partitions.values())
        for each in fields.values():
            each.looked += looked
            each.since += looked
        for partition, part in found.partitions.items():
            for name, new in part.new.items():
                if name not in fields and self._has_room():
                    fields[name] = Field({}, looked=looked)
                if name in fields:
                    fields[name].count += new.count
                    fields[name].since = 0
                    fields[name].first.setdefault(partition, (new.offset, new.time))
        for name, each in [*fields.items()]:
            each.told = each.told or each.count >= SEEN
            share = min(each.count / max(each.looked - each.since, 1), 1.0)
            if each.since >= LOOKS and (1 - share) ** each.since < OVER:
                del fields[name]

    def _has_room(self) -> bool:
        """Whether one more new field can be followed, the one that has not been seen for longest being let go, unless it was told."""
        fields = self._held.new
        if len(fields) >= MOST:
            idle = [(each.since, name) for name, each in fields.items() if not each.told and each.since]
            if idle:
                del fields[max(idle)[1]]
        return len(fields) < MOST

    # --- what is said ---------------------------------------------------------------------------------------------

    def _news(self, before: Before, at: Nanos) -> Iterator[SchemaChanged]:
        """What has changed, or began in another partition, and what is as agreed again."""
        changes, new = before
        now = {name: (each.change, each.first) for name, each in self._held.changes.items()}
        for name, change in now.items():
            if changes.get(name) != change:
                yield self._fact(name, *change, at)
        for name in sorted(changes.keys() - now.keys()):
            yield self._fact(name, *changes[name], at, ended=True)
        fields = {name: each for name, each in self._held.new.items() if each.told}
        for name in sorted(fields.keys() - new):
            yield self._fact(name, NEW, fields[name].first, at)
        for name in sorted(new - fields.keys()):
            yield self._fact(name, NEW, {}, at, ended=True)

    def _fact(
        self, name: str, change: str, first: Mapping[str, tuple[int, Nanos]], at: Nanos, *, ended: bool = False
    ) -> SchemaChanged:
        return SchemaChanged(self._key, name, change, at, places(first), ended=ended)

    def _tell(self, pane: SealedPane[Sketch], regrouped: Collection[str]) -> list[Fact]:
        """The incident, where it is or was open."""
        incident, span, others = self.alert.incident, Span(pane.start, pane.end), self.told_already()
        firing = [
            self._evidence(name, change, grown=name in regrouped)
            for name, change in self._held.changes.items()
            if name in incident.state.alerts or name not in others
        ]
        if self._contract.new_columns_refused:
            firing += [self._of_new(name, each) for name, each in self._held.new.items() if each.told]
        if not firing and not incident.state.alerts:
            return []
        self._moved = True
        firing.sort(key=lambda each: (each.chart == NEW, each.since, each.feature))
        since = {each.feature: each.since or span.end for each in firing}
        episodes = incident.follow(since, firing, span)
        return [*self.alert.told(episodes, WindowSpan(pane.start, pane.end, pane.sketch.arrived))]

    def _evidence(self, name: str, change: ColumnChange, *, grown: bool) -> Evidence:
        first, rules = places(change.first), self._contract.columns[name]
        return Evidence(
            feature=name,
            detector=SCHEMA_RULE,
            score=float(max(change.rows, 1)),
            threshold=float(self._usual.needed(name)),
            pvalue=None,
            rows=change.rows,
            chart=change.change,
            since=first[0].event_time,
            effect=1.0,
            severity=Severity.CRITICAL,
            grown=grown,
            first=first,
            counts=integers(TYPES.index(rules.type)) if change.change == RETYPED and rules.type is not None else b"",
        )

    def _of_new(self, name: str, each: Field) -> Evidence:
        first = places(each.first)
        return Evidence(
            feature=name,
            detector=SCHEMA_RULE,
            score=float(each.count),
            threshold=float(SEEN),
            pvalue=None,
            rows=each.looked,
            chart=NEW,
            since=first[0].event_time,
            effect=1.0,
            severity=Severity.WARNING,
            first=first,
        )

    def standing(self) -> Mapping[str, AlertState]:
        """The columns that the incident is of."""
        return self.alert.state.shown

    def current(self) -> list[Fact]:
        """What is otherwise than agreed, and the incident, unless it is inactive."""
        return [*self._news(({}, set()), 0), *self.alert.current()]

    # --- state --------------------------------------------------------------------------------------------------

    def changes(self) -> list[Entry]:
        """What was seen, if any pane came, and the incident, if it changed."""
        seen = [self._seen()] if self._changed else []
        incident = [incident_row(SCHEMA_RULE, self.alert)] if self._moved else []
        self._changed = self._moved = False
        return [*seen, *incident]

    def snapshot(self) -> list[Entry]:
        """A row of each."""
        return [self._seen(), incident_row(SCHEMA_RULE, self.alert)]

    def _seen(self) -> Entry:
        return Entry(SCHEMA, msgspec.msgpack.encode(self._held))

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up all of it, whatever panes are now: offsets and columns are what they were. What the contract no longer asks is over."""
        del alike
        for entry in entries:
            if entry.kind == SCHEMA_RULE:
                restore_row(entry, self.alert)
                continue
            held, asked = msgspec.msgpack.decode(entry.held, type=SavedSchema), self._usual.columns
            self._held = held
            held.changes = {name: each for name, each in held.changes.items() if name in asked}
            held.near = {name: since for name, since in held.near.items() if name in asked}
            held.runs = {
                partition: {name: run for name, run in runs.items() if name in asked}
                for partition, runs in held.runs.items()
            }
            held.new = {name: each for name, each in held.new.items() if name not in self._contract.columns}
        return []


def _joined(before: ColumnRun | None, run: SchemaRun, known: bool) -> ColumnRun:  # noqa: FBT001 - of a partition
    """A run that goes on through another pane, or begins in it."""
    if run.whole and before is not None:
        return ColumnRun(before.ending.then(run), before.had)
    return ColumnRun(run, had=not run.whole or known)


def places(first: Mapping[str, tuple[int, Nanos]]) -> tuple[FirstOffset, ...]:
    """The first rows of a change by partition, the earliest in front."""
    found = sorted((time, name, offset) for name, (offset, time) in first.items())
    return tuple(FirstOffset(_partition(name), offset, time) for time, name, offset in found)


def _partition(name: str) -> Partition:
    topic, _, index = name.rpartition("/")
    return Partition(topic, int(index))


class UsualColumns:
    """What contract and reference say of each column: whether it has to be there, and how many rows lack it as a rule."""

    def __init__(self, judging: Judging) -> None:
        assert judging.contract is not None
        reference = judging.reference
        held = {*reference.names, ID}
        rules = judging.contract.contract.columns
        self.columns = {
            name: each
            for name, each in rules.items()
            if name in held and name != TIME and (each.must_be_there or each.type is not None)
        }
        self._rows, self._window, self._min_rows = reference.rows, judging.window_length, judging.min_rows
        calibration = reference.calibration
        strays = (
            0.0 if calibration is None else BLINK * calibration.rows
        )  # too few for any of its windows to lack a column
        self._lack: dict[str, float] = {}
        self._may_be_gone = set[str]()
        for name, each in self.columns.items():
            feature = reference.features.get(name)
            lacking = 0 if feature is None else reference.rows - int(feature.counts[: feature.usable].sum())
            self._lack[name] = max(each.max_missing or 0.0, lacking / max(reference.rows, 1))
            if each.required or (each.must_be_there and (not each.max_missing or lacking <= strays)):
                self._may_be_gone.add(name)

    def allowed(self, name: str, change: str) -> float:
        """The share of all rows that may be otherwise in this way: half a point more than usual; of another type, half of those with one."""
        lacking = self._lack[name]
        return AGREED * (1 - lacking) if change == RETYPED else lacking + AGREED

    def always(self, name: str) -> bool:
        """Whether it can be gone, and every row has it as a rule."""
        return name in self._may_be_gone and not self._lack[name]

    def needed(self, name: str) -> int:
        """So many rows in a row as chance does not leave without a column."""
        return max(self._min_rows, _needed(max(self._lack[name], 1 / (self._rows + 1))))

    def is_long(self, name: str, run: SchemaRun) -> bool:
        """Whether chance does not explain a run."""
        return run.rows >= self.needed(name)

    def kind(self, name: str, run: SchemaRun, end: Nanos) -> str | None:
        """How a column is otherwise in the rows of a run that lasts until `end`; None where that is not sure."""
        rules = self.columns[name]
        wrong = max(self._min_rows, _needed(1 / (self._rows + 1)))
        if rules.type is not None and run.wrong >= wrong and self._matters(name, run):
            return RETYPED
        lasts = self.always(name) or end - run.time >= self._window
        return GONE if name in self._may_be_gone and lasts and self.is_long(name, run) else None

    def _matters(self, name: str, run: SchemaRun) -> bool:
        """Whether rows of another type are what the run is made of, and not strays among rows that lack a column."""
        return not self.columns[name].must_be_there or run.wrong >= BLINK * run.rows


def _needed(share: float) -> int:
    """So many independent rows of what has this share that chance does not bring."""
    return math.ceil(math.log(CHANCE) / math.log(share)) if share < 1 else 2**62

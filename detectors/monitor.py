"""The budget's charts without a daemon: chunks of a table in, alarms out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.calibration.calibration import Calibration
from detectors.charts.charts import Charts
from detectors.charts.compared import Comparison
from detectors.charts.design import BudgetSpec
from detectors.charts.firing import FiringReader
from detectors.charts.floors import Floors
from detectors.charts.kinds import IncidentKind, kind_of
from detectors.charts.matters import matters
from detectors.charts.point import ChartPoint
from detectors.columns import as_columns
from detectors.durations import LengthOfTime, nanoseconds, show_duration
from detectors.encoding import encode_table
from detectors.features import Bools, Floats, Ints
from detectors.panes import NO_TIME, by_pane
from detectors.reference.grouping import groups_of
from detectors.reference.reference import Reference
from detectors.results import Results, shown
from detectors.sketches import Sketch
from detectors.sketches.ids import Hashes
from detectors.tables import Library, TableLike, column_of, library_of, times_of

NO_VALUES: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Alarm:
    """One feature that drifts, or did.

    Times are nanoseconds since the Unix epoch. `since` is the end of the subgroup in which the change began, `opened_at`
    of the one after which it was certain enough, `resolved_at` of the one after which it was over; None while it is open.
    `chart` says what has changed: `location+` the mean rose, `location-` it fell, `scale+` and `scale-` the spread,
    `shape` the form or the mix of categories, `missing`, `unseen`, `rows+` and `rows-` the number of rows. `effect` is how
    far, as last seen: sigma of the reference, or a share of the rows, or log2 of the number of rows over the usual one.
    `score` is the chart's sum over its threshold.
    """

    feature: str
    chart: str
    since: int
    effect: float
    score: float
    opened_at: int
    resolved_at: int | None = None

    @property
    def kind(self) -> IncidentKind:
        """What it is about: `drift`, `data_quality`, `prediction`. The daemon makes an incident of each kind."""
        return kind_of(self.feature, self.chart)


class Alarms(Results[Alarm]):
    """Some alarms, a row each.

    >>> Alarms([Alarm("age", "location+", 0, 0.4, 1.2, 300 * 10**9)])
    feature  chart      effect                since               opened  resolved
    age      location+     0.4  1970-01-01 00:00:00  1970-01-01 00:05:00         –
    """

    kinds = MappingProxyType(
        {
            "feature": str,
            "chart": str,
            "effect": float,
            "since": np.datetime64,
            "opened": np.datetime64,
            "resolved": np.datetime64,
        }
    )

    def row(self, value: Alarm) -> tuple[object, ...]:
        """Return feature, chart, effect and times."""
        resolved = None if value.resolved_at is None else np.datetime64(value.resolved_at, "ns")
        times = np.datetime64(value.since, "ns"), np.datetime64(value.opened_at, "ns"), resolved
        return value.feature, value.chart, value.effect, *times


class BudgetMonitor:
    """Control charts of every feature, held to a budget of false alarms: what `driftd run` decides by.

    Rows are counted into panes of event time. A pane is judged when the event times seen have passed its end by
    `lateness`; rows that come for it later are counted in `late` and left out, as are rows without a time, in
    `without_time`. Within a chunk rows may stand in any order. The first pane is left out, for it is likely cut off. The
    same events give the same alarms as the daemon, which makes one incident of all alarms of a kind open at a time, and pages
    the same features once a day at most.

    Args:
        reference: A calibrated reference: `Reference.fit(train, timestamp="ts")`, or the file that `driftd reference fit
            --timestamp` wrote.
        false_alarms_per_month: How often all charts together may cry wolf, a month of 30 days.
        timestamp: The column of event times of the chunks: datetimes, RFC 3339 texts or whole nanoseconds.
        prediction: The column of the model's output, where the chunks do not call it `__prediction__`.
        group: The column of what rows come together in, sessions or users: of a reference that was fitted with one, and then always.
        pane: The length of a pane, `5m` or a timedelta: the daemon's `slide`, or `window` where it has none. Absent: the window that the
            reference was calibrated with. Charts advance on subgroups: whole panes, at least as long as that window.
        lateness: How long to wait for rows that come late.
        floors: Changes too small to be of interest, of all features.
        effect_floors: The same by feature: sigma, or share of a category.
        importance: By feature: alarms of the more important come first.
        settle_after: How long a changed level has to last, and 28 subgroups at least, until the charts go on from there and
            its alarm is resolved.
        baseline: What features are compared with, or the same by feature: `reference`; `trailing 28d`, its own last days; `auto`, which
            is that where the reference says that it wanders by nature.

    Raises:
        ValueError: The reference is not calibrated, or covers less time than one subgroup; a feature is unknown; a length
            of time is no length; only the reference knows groups, or only `group`.
        BudgetError: No threshold can hold this budget.

    References:
        Page (1954), Continuous inspection schemes. Siegmund (1985), Sequential analysis. Lorden (1971), Procedures for
        reacting to a change in distribution. How they are put together: docs/semantics.md.

    >>> rng = np.random.default_rng(1)
    >>> def rows(day, shift=0.0):
    ...     start = np.datetime64("2025-11-01T00:00", "ns") + np.timedelta64(day, "D")
    ...     return {"ts": start + np.arange(28_800) * np.timedelta64(3, "s"), "age": rng.normal(40 + shift, 10, 28_800)}
    >>> reference = Reference.fit(rows(day=0), timestamp="ts")
    >>> monitor = BudgetMonitor(reference, false_alarms_per_month=1)
    >>> len(monitor.update(rows(day=1)))
    0
    >>> [alarm] = monitor.update(rows(day=2, shift=3.0))
    >>> alarm.feature, alarm.chart, round(alarm.effect, 1)
    ('age', 'location+', 0.3)
    """

    def __init__(
        self,
        reference: Reference,
        false_alarms_per_month: float = 1.0,
        *,
        timestamp: str = "ts",
        prediction: str | None = None,
        group: str | None = None,
        pane: LengthOfTime | None = None,
        lateness: LengthOfTime = "0s",
        floors: Floors | None = None,
        effect_floors: Mapping[str, float] = NO_VALUES,
        importance: Mapping[str, float] = NO_VALUES,
        settle_after: LengthOfTime = "7d",
        baseline: str | Mapping[str, str] = "auto",
    ) -> None:
        calibration = reference.calibration
        if calibration is None:
            raise ValueError(f"the reference is not calibrated: {_why_cold(reference)}")
        spec = BudgetSpec(
            per_month=false_alarms_per_month,
            pane_ns=calibration.window_ns if pane is None else nanoseconds(pane),
            floors=floors or Floors(),
            own_floors=effect_floors,
            importance=importance,
            settle_ns=nanoseconds(settle_after),
            **_compared(baseline),
        )
        lateness_ns = nanoseconds(lateness)
        _check(reference, spec, lateness_ns)
        _check_group(calibration, group)
        if spec.subgroup_ns(calibration) > calibration.span_ns:
            raise ValueError(
                f"subgroups of {show_duration(spec.subgroup_ns(calibration))} are longer than the reference, "
                f"which covers {show_duration(calibration.span_ns)}"
            )
        self.reference = reference
        self.timestamp = timestamp
        self.late = self.without_time = 0
        self._prediction = prediction
        self._group = group
        self._pane_ns, self._lateness_ns = spec.pane_ns, lateness_ns
        self._charts = Charts(reference, spec)
        self._reader = FiringReader.of(self._charts.design)
        self._panes: dict[int, Sketch] = {}  # not judged yet, by start
        self._origin: int | None = None  # the smallest event time accepted
        self._sealed_until: int | None = None  # an end of a pane: what is earlier comes too late
        self._seen: int | None = None  # the largest event time
        self._open: dict[tuple[str, IncidentKind], Alarm] = {}  # by feature and what it is about
        self._resolved: list[Alarm] = []
        self._library: Library | None = None

    def update(self, chunk: TableLike) -> Alarms:
        """Take some rows, in any order, and judge what they complete.

        Args:
            chunk: A table of pandas, polars or pyarrow, or a dictionary of arrays, with the column of event times. Further
                columns are ignored; a feature that it lacks is missing in its rows.

        Returns:
            The alarms that opened or were resolved, in that order. What is open in all is in `alarms`.

        Raises:
            ValueError: There is no column of event times, or it holds something else; there is no column `group`.
        """
        self._library = library_of(chunk)
        times = times_of(chunk, self.timestamp)
        groups = self._groups(chunk, times.size)
        numeric, codes = encode_table(self.reference.layout, chunk, self._prediction)
        timely = self._timely(times)
        if self._seen is None:
            return Alarms(library=self._library)
        horizon = (self._seen - self._lateness_ns) // self._pane_ns * self._pane_ns
        groups = None if groups is None else groups[timely]
        return self._changes(self._fold(times[timely], numeric[timely], codes[timely], horizon, groups))

    def finish(self) -> Alarms:
        """Judge the panes that are still open, as if time had passed. Returns the alarms that opened or were resolved."""
        last = max(self._panes, default=None)
        return self._changes([] if last is None else self._seal(last + self._pane_ns))

    @property
    def alarms(self) -> Alarms:
        """What is open now, the one to look at first in front."""
        return Alarms(self._open.values(), self._library)

    def to_frame(self, library: Library | None = None) -> object:
        """Return every alarm so far as a table, those that are over first. `library` as in `Alarms.to_frame`."""
        return self._all.to_frame(library)

    def __repr__(self) -> str:
        until = None if self._sealed_until is None else np.datetime64(self._sealed_until, "ns")
        judged = "nothing judged yet" if until is None else f"judged until {shown(until)}"
        return f"<BudgetMonitor of {len(self.reference.names)} features: {judged}, {len(self._open)} alarms open>"

    def _repr_html_(self) -> str:
        return self._all._repr_html_()

    @property
    def _all(self) -> Alarms:
        return Alarms([*self._resolved, *self._open.values()], self._library)

    def _groups(self, chunk: TableLike, rows: int) -> Hashes | None:
        """What rows come together in, as hashes."""
        if self._group is None:
            return None
        return groups_of(as_columns(column_of(chunk, self._group, "group"))[self._group], rows)

    # --- rows to panes ------------------------------------------------------------------------------------------

    def _timely(self, times: Ints) -> Bools:
        """Return which rows count, bool[n]; the others are counted apart."""
        known: Bools = times != NO_TIME
        timely: Bools = known if self._sealed_until is None else known & (times >= self._sealed_until)
        self.without_time += int(np.count_nonzero(~known))
        self.late += int(np.count_nonzero(known & ~timely))
        if known.any():
            last = int(times[known].max())
            self._seen = last if self._seen is None else max(self._seen, last)
        if timely.any():
            first = int(times[timely].min())
            self._origin = first if self._origin is None else min(self._origin, first)
        return timely

    def _fold(
        self, times: Ints, numeric: Floats, codes: NDArray[np.int32], horizon: int, groups: Hashes | None
    ) -> list[ChartPoint]:
        """Count rows into panes and seal those that end by the horizon; the chart points that they complete are returned."""
        points = []
        for start, pane in by_pane(self.reference.layout, times, numeric, codes, self._pane_ns, groups):
            points += self._seal(min(start, horizon))  # they come in order: a long chunk holds few at a time
            before = self._panes.setdefault(start, pane)
            if before is not pane:
                before.add(pane)
        return points + self._seal(horizon)

    def _seal(self, until: int) -> list[ChartPoint]:
        """Put the panes that end by then to the charts; the chart points that they complete are returned."""
        assert self._origin is not None
        points = []
        for start in sorted(start for start in self._panes if start + self._pane_ns <= until):
            pane = self._panes.pop(start)
            if start >= self._origin:
                points += self._charts.update(pane.tally(), start, start + self._pane_ns)
        self._sealed_until = until if self._sealed_until is None else max(self._sealed_until, until)
        return points

    # --- charts to alarms ---------------------------------------------------------------------------------------

    def _changes(self, points: list[ChartPoint]) -> Alarms:
        changes = [alarm for point in points for alarm in self._follow(point)]
        return Alarms(changes, self._library)

    def _follow(self, point: ChartPoint) -> list[Alarm]:
        before, self._open = self._open, {}
        opened_at = {place: alarm.opened_at for place, alarm in before.items()}
        for found in matters(self._reader.read(point), opened_at, point.end):
            place = found.feature, found.kind
            began = opened_at.get(place, point.end)
            alarm = Alarm(found.feature, found.chart, found.since, found.effect, found.score, began)
            self._open.setdefault(place, alarm)
        opened = [alarm for name, alarm in self._open.items() if name not in before]
        resolved = [replace(alarm, resolved_at=point.end) for name, alarm in before.items() if name not in self._open]
        self._resolved += resolved
        return opened + resolved


def _check(reference: Reference, spec: BudgetSpec, lateness_ns: int) -> None:
    """Raise ValueError for what cannot be meant."""
    if spec.pane_ns <= 0 or lateness_ns < 0:
        raise ValueError("a pane must be longer than zero, and the lateness at least zero")
    if spec.settle_ns <= 0:
        raise ValueError("settle_after must be longer than zero")
    named = (*spec.own_floors, *spec.importance, *spec.own_baselines)
    unknown = [name for name in named if name not in reference.names]
    if unknown:
        raise ValueError(f"the reference has no feature {unknown[0]}; it has {', '.join(reference.names)}")


def _check_group(calibration: Calibration, group: str | None) -> None:
    """Raise ValueError for groups that only one side knows: windows would be weighed as the reference's usual one, or not at all."""
    if group is None and calibration.together:
        raise ValueError("the reference knows groups of rows, but no group= says where rows have theirs")
    if group is not None and not calibration.together:
        raise ValueError(
            f"the reference knows no groups, so group={group} says nothing; Reference.fit(…, group={group}) learns them"
        )


def _compared(baseline: str | Mapping[str, str]) -> dict[str, Any]:
    """What features are compared with, as a plan has it. Raises ValueError."""
    if isinstance(baseline, str):
        return {"baseline": Comparison.parse(baseline)}
    return {"own_baselines": {name: Comparison.parse(text) for name, text in baseline.items()}}


def _why_cold(reference: Reference) -> str:
    if reference.cold:
        return f"{reference.cold}; fit it on a longer time, or in longer windows"
    return 'fit it with its event times, Reference.fit(train, timestamp="ts"), so that it learns how windows differ'

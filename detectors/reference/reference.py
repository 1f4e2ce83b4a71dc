"""What a model's data looked like when all was well: frozen bins and categories, and the counts on them."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.baseline import Baseline, NumericBaseline
from detectors.calibration.calibration import Calibration
from detectors.calibration.holidays import NO_HOLIDAYS, Holidays, Source, calendar_of
from detectors.columns import as_columns, refuse_time
from detectors.compare import compare
from detectors.distribution import Distributions, distributions_of
from detectors.durations import LengthOfTime, nanoseconds
from detectors.encoding import PREDICTION, encode, window_of
from detectors.features import Floats, Ints, Kind
from detectors.layout import Layout
from detectors.protocols import Detector
from detectors.reference import file as serial
from detectors.reference import fit as fitting
from detectors.reference.copies import Copy
from detectors.reference.file import ReferenceFormatError
from detectors.reference.grouping import GroupColumn
from detectors.reference.labels import LabelColumn
from detectors.reference.service import ERROR, LATENCY, MIDDLES, ServedColumns, profiled
from detectors.reference.workers import Workers
from detectors.results import Scores
from detectors.sketches import Sketch
from detectors.sketches.served import BINS, ServedCounts
from detectors.tables import TableLike, columns_of, refuse_strange, times_of

if TYPE_CHECKING:
    from detectors.reference.labelled import ReferencePerformance
    from detectors.reference.passes import Apply

WINDOW_NS = 300 * 10**9  # that a calibration is learnt from, where nobody says otherwise
TIMES = "__timestamps__"  # the column of event times, where they are handed over beside the data


def _created_by() -> str:
    try:
        return f"driftd {metadata.version('driftd')}"
    except metadata.PackageNotFoundError:
        return "driftd"


@dataclass(frozen=True, eq=False, repr=False)
class Reference(Baseline):
    """The profile of a reference data set; it holds no row of it.

    `period` is the first and last event time in nanoseconds, `rows_per_second` the usual traffic, both None when no
    timestamps were given. `calibration` is what its own windows teach; None where there were no timestamps, no window, or
    too few windows, and then `cold` says which. `copies` are features that say what the prediction says; `performance` is what its
    labels say of the prediction, `service` how its requests were served, None where it has none. Two references are the same when `hash` is.

    >>> reference = Reference.fit({"age": [20, 30, 40, 50], "plan": ["pro", "free", "free", None]})
    >>> reference.names
    ('age', 'plan')
    >>> [score.value for score in reference.compare({"age": [20, 30], "plan": ["pro", "new"]}, min_rows=3)][:2]
    [None, None]
    """

    period: tuple[int, int] | None = None
    rows_per_second: float | None = None
    calibration: Calibration | None = None
    cold: str = ""
    copies: tuple[Copy, ...] = ()
    created_by: str = ""
    performance: "ReferencePerformance | None" = None
    service: "ReferenceService | None" = None

    def __repr__(self) -> str:
        learnt = "cold" if self.calibration is None else self.calibration.kind
        return f"<Reference {self.hash}: {self.rows} rows, {len(self.names)} features, {learnt}>"

    @classmethod
    def fit(
        cls,
        data: TableLike,
        *,
        kinds: Mapping[str, Kind | str] | None = None,
        prediction: str | None = None,
        timestamp: str | None = None,
        window: LengthOfTime | None = None,
        timestamps: ArrayLike | None = None,
        window_ns: int | None = None,
        timezone: str | None = None,
        holidays: Source = (),
        group: str | None = None,
        label: str | LabelColumn | None = None,
        served: ServedColumns | None = None,
        any_order: bool = False,
    ) -> Self:
        """Profile a table: numbers are numeric, text and booleans categorical, unless `kinds` says so.

        The same rows and columns give the same reference as `driftd reference fit`, which however leaves out identifiers
        and times by itself: here every column but `timestamp` is a feature. An index of pandas is none.

        Args:
            data: A table of pandas, polars or pyarrow, or a dictionary of arrays of one length.
            kinds: `numeric` or `categorical` by column, where the column itself does not say.
            prediction: The column of the model's output, which becomes `__prediction__`.
            timestamp: The column of event times, datetimes, RFC 3339 texts or whole nanoseconds: with it the calibration is learnt.
            window: The windows to learn from, `5m` or a timedelta, at most as long as those to be judged. Absent: five
                minutes.
            timestamps: The same as `timestamp` beside the data, int64[n] nanoseconds or datetime64[n]. The calibration is
                then learnt only with `window` or `window_ns`.
            window_ns: The same as `window`, in nanoseconds.
            timezone: Whose hours and days the profile has, by its IANA name, `Europe/Berlin`. Absent: UTC's.
            holidays: Days that no ordinary one is to learn from: their dates, a file of them, or a country, `DE`, or a part of
                one, `DE-BY`, by the package `holidays`.
            group: The column of what rows come together in, sessions or users: no feature, texts or numbers. Windows are then weighed
                by it, so it needs `timestamp`.
            label: The column of what came true, no feature; it needs `prediction`. `LabelColumn("repaid", positive="yes")` says
                how it is read. The reference then has a `performance`.
            served: The columns of what requests took and whether they failed, no features, as `ServedColumns("took", 1e-3, "error")`
                of milliseconds. The reference then has a `service`.
            any_order: The same rows give the same reference in whatever order, and as `driftd.spark.fit` does: see `fit_parts`.
                Otherwise its last digits depend on their order, and its edges where a column has more than 131 072 values.

        Returns:
            The reference. Its `cold` says why there is no calibration, where there were times.

        Raises:
            ValueError: No column, no row, columns of unequal length, an unknown kind, a column of times that is not
                `timestamp`, or of what is neither number, text nor boolean; a `group` that fewer than one row in ten has, or
                without times.
            TypeError: The data is no table.

        >>> Reference.fit({"age": [20, 30, 40], "plan": ["free", "pro", None]}).names
        ('age', 'plan')
        """
        columns = columns_of(data)
        if timestamp is not None:
            if timestamps is not None:
                raise ValueError("timestamp names a column, timestamps are one: give one of them")
            columns[timestamp] = times_of(data, timestamp)
            window_ns = WINDOW_NS if window is None and window_ns is None else window_ns
        elif timestamps is not None:
            if TIMES in columns:
                raise ValueError(f"there is a column {TIMES} beside the timestamps")
            columns[TIMES], timestamp = times_of({TIMES: timestamps}, TIMES), TIMES
        refuse_strange(columns)
        window_ns = window_ns if window is None else nanoseconds(window)
        if group is not None and group in columns:
            refuse_time(group, as_columns({group: columns[group]})[group])
        return cls.fit_chunks(
            lambda: [columns],
            kinds=kinds,
            prediction=prediction,
            timestamp=timestamp,
            window_ns=window_ns,
            calendar=calendar_of(holidays, timezone),
            group=group,
            label=label,
            served=served,
            any_order=any_order,
        )

    @classmethod
    def fit_chunks(
        cls,
        chunks: Callable[[], Iterable[Mapping[str, ArrayLike]]],
        *,
        kinds: Mapping[str, Kind | str] | None = None,
        prediction: str | None = None,
        timestamp: str | None = None,
        window_ns: int | None = None,
        progress: Callable[[int], None] | None = None,
        calendar: Holidays = NO_HOLIDAYS,
        group: str | GroupColumn | None = None,
        label: str | LabelColumn | None = None,
        served: ServedColumns | None = None,
        threads: int = 1,
        sampling: str | None = None,
        any_order: bool = False,
    ) -> Self:
        """Profile any number of rows in bounded memory: `chunks` is called twice and must give the same rows.

        A kind is inferred from the first chunk in which the column has a value. Edges come from a sample of 131 072
        values a column (all of them when fewer), counts are exact. `timestamp` names a column of int64 nanoseconds;
        with `window_ns` it also gives the usual traffic and the calibration, for which up to 64 bytes a feature are held of
        each of the last eight weeks' windows, or thousand. `progress` hears the rows read so far, both passes together.
        `group` is the column of what rows come together in, or its name, `label` that of what came true, of which the last 2016 windows
        are kept. `calendar`: the holidays, and the zone whose hours and days the calibration has. `served` are columns that say how
        requests were served; where there are any `chunks` is called four times. `threads` share the columns of each chunk: the
        reference is the same with any number of them. `sampling` is the column that says of which share of all rows, in percent, a
        row is a sample: the usual traffic is then that of all. `any_order`: the same rows give the same reference in whatever order and chunks,
        as `fit_parts` says; `chunks` is then called twice or more, and `label`, `served` and `sampling` are refused.
        Raises ValueError as `fit` does, and when the two passes see different numbers of rows.
        """
        if any_order:
            for name, column in (("label", label), ("served", served), ("sampling", sampling)):
                if column is not None:
                    raise ValueError(f"{name} cannot be counted in any order yet: leave out any_order, or the {name}")
            return cls._fit_chunks_in_any_order(
                chunks,
                threads,
                progress,
                kinds=kinds,
                prediction=prediction,
                timestamp=timestamp,
                window_ns=window_ns,
                calendar=calendar,
                group=group,
            )
        how: dict[str, Any] = {"window_ns": window_ns, "progress": progress, "calendar": calendar}
        with Workers(threads) as workers:
            fitted = fitting.fit(
                chunks if served is None else lambda: served.without(chunks()),
                kinds=kinds,
                prediction=prediction,
                timestamp=timestamp,
                group=GroupColumn(group) if isinstance(group, str) else group,
                label=LabelColumn(label) if isinstance(label, str) else label,
                workers=workers,
                sampling=sampling,
                **how,
            )
        service = None if served is None else ReferenceService.fit(served, chunks, timestamp, threads=threads, **how)
        return cls._of(fitted, service)

    @classmethod
    def _of(cls, fitted: fitting.Fitted, service: "ReferenceService | None" = None) -> Self:
        return cls(
            **fitted.baseline.parts(),
            period=fitted.period,
            rows_per_second=fitted.rows_per_second,
            calibration=fitted.calibration,
            cold=fitted.cold,
            copies=fitted.copies,
            created_by=_created_by(),
            performance=fitted.performance,
            service=service,
        )

    @classmethod
    def _fit_chunks_in_any_order(
        cls,
        chunks: Callable[[], Iterable[Mapping[str, ArrayLike]]],
        threads: int,
        progress: Callable[[int], None] | None,
        **how: Any,
    ) -> Self:
        read = [0]

        def heard() -> Iterator[Mapping[str, ArrayLike]]:
            for chunk in chunks():
                yield chunk
                read[0] += len(next(iter(chunk.values()), ()))  # type: ignore[arg-type]  # columns have a length
                if progress is not None:
                    progress(read[0])

        with Workers(threads) as workers:
            return cls.fit_parts(lambda counting: counting(heard(), workers), **how)

    @classmethod
    def fit_parts(
        cls,
        apply: "Apply",
        *,
        kinds: Mapping[str, Kind | str] | None = None,
        prediction: str | None = None,
        timestamp: str | None = None,
        window_ns: int | None = None,
        calendar: Holidays = NO_HOLIDAYS,
        group: str | GroupColumn | None = None,
    ) -> Self:
        """Profile data that lies in parts, on other machines perhaps: the same rows give the same reference, however they are parted and sorted.

        `apply` takes a pass, calls it with the chunks of every part, and returns what all of them found, put together by
        `put_together(counting, found)`. It is called twice, and once more for each closer look at values that are common among many others.
        A pass can be pickled; what it returns is counts by name, as bytes. `driftd.spark` does this on Spark.

        The other arguments are those of `fit_chunks`, whose reference with `any_order` is the same. Numbers and texts in one column, and more than
        100 000 different texts in one, are refused.

        >>> from detectors.reference.passes import put_together
        >>> parts = [{"age": [20, 30]}, {"age": [40]}]
        >>> fitted = [
        ...     Reference.fit_parts(lambda counting: put_together(counting, [counting([part]) for part in order]))
        ...     for order in (parts, parts[::-1])
        ... ]
        >>> fitted[0].hash == fitted[1].hash == Reference.fit({"age": [30, 40, 20]}, any_order=True).hash
        True
        """
        from detectors.reference import any_order

        column = GroupColumn(group) if isinstance(group, str) else group
        return cls._of(
            any_order.fit(
                apply,
                kinds=kinds,
                prediction=prediction,
                timestamp=timestamp,
                window_ns=window_ns,
                calendar=calendar,
                group=column,
            )
        )

    @cached_property
    def hash(self) -> str:
        """Sixteen hexadecimal digits of the SHA-256 of all content but `created_by`, `cold` and `copies`."""
        learnt = None if self.calibration is None else self.calibration.to_dict()
        said = None if self.performance is None else self.performance.content()
        served = None if self.service is None else self.service.content()
        return serial.content_hash(self._head(), list(self.features.values()), learnt, said, served)

    def encode(self, data: Mapping[str, ArrayLike]) -> tuple[Floats, NDArray[np.int32]]:
        """Return numeric float64[n, k] and codes int32[n, c] for `Sketch.update`; absent columns are all missing."""
        return encode(self.layout, as_columns(data))

    def compare(
        self,
        data: TableLike | Sketch,
        *,
        detectors: Sequence[Detector | str] | None = None,
        timestamp: str | None = None,
        prediction: str | None = None,
        min_rows: int = 1,
    ) -> Scores:
        """Return how far a table is from the reference.

        Args:
            data: A table of pandas, polars or pyarrow, a dictionary of arrays, or a sketch. Columns that are no features
                are ignored; a feature that lacks is missing in all rows.
            detectors: Which detectors score, such as `Psi(bins=20)`, or names. Absent: all, ADWIN and volume too where the
                time is known.
            timestamp: The column of event times, as in `fit`.
            prediction: The column of the model's output, where the table does not call it `__prediction__`.
            min_rows: Usable rows below which a feature is not scored.

        Returns:
            Scores: `scores["age", "ks"]`, `scores.to_dict()`, `scores.to_frame()`, and a sequence of them.

        Raises:
            LayoutMismatchError: A sketch on another layout.
            ValueError: A detector among those chosen needs `timestamp`, or two have one name.

        >>> reference = Reference.fit({"age": list(range(100))})
        >>> round(reference.compare({"age": list(range(50, 150))})["age", "ks"].statistic, 2)
        0.5
        """
        return compare(
            self,
            data,
            detectors=detectors,
            timestamp=timestamp,
            prediction=prediction,
            min_rows=min_rows,
            pane_ns=WINDOW_NS if self.calibration is None else self.calibration.window_ns,
            rows_per_second=self.rows_per_second,
        )

    def distributions(
        self,
        data: TableLike | Sketch,
        *,
        features: Iterable[str] | None = None,
        prediction: str | None = None,
    ) -> Distributions:
        """Return each feature's values in the reference and in a table, as shares of a few bins or names; a notebook draws them.

        Args:
            data: A table, a dictionary of arrays, or a sketch, as in `compare`.
            features: Which of them. Absent: all.
            prediction: The column of the model's output, where the table does not call it `__prediction__`.

        Raises:
            LayoutMismatchError: A sketch on another layout.
            ValueError: A name that is no feature.

        >>> reference = Reference.fit({"plan": ["free", "free", "pro", "pro"]})
        >>> reference.distributions({"plan": ["free", "pro", "pro", "pro"]})["plan"]
        <Distribution of plan: 4 rows in the reference, 4 in the window. free 50 % → 25 %; pro 50 % → 75 %.>
        """
        return distributions_of(self, window_of(self.layout, data, prediction), features)

    def select(self, names: Iterable[str]) -> "Reference":
        """Return a reference of these features only. Raises ValueError for an unknown name, and for none at all."""
        wanted = set(names)
        unknown = sorted(wanted - set(self.names))
        if unknown:
            raise ValueError(f"the reference has no feature {unknown[0]}; it has {', '.join(self.names)}")
        if not wanted:
            raise ValueError("a reference needs at least one feature")
        kept = Baseline.of([feature for feature in self.features.values() if feature.name in wanted], self.rows)
        calibration = None if self.calibration is None else self.calibration.select(wanted, kept.layout)
        copies = tuple(copy for copy in self.copies if copy.feature in wanted)
        performance = self.performance if PREDICTION in wanted else None
        return replace(self, **kept.parts(), calibration=calibration, copies=copies, performance=performance)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, `driftd.reference/1`; exact, since floats are written by repr."""
        return {
            **self._head(),
            "created_by": self.created_by,
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
            **({"cold": self.cold} if self.cold else {}),
            **({"copies": [[copy.feature, copy.agreement] for copy in self.copies]} if self.copies else {}),
            **({"performance": self.performance.to_dict()} if self.performance else {}),
            **({"service": self.service.to_dict()} if self.service else {}),
            "features": [serial.feature_to_dict(feature) for feature in self.features.values()],
        }

    def _head(self) -> dict[str, Any]:
        return {
            "format": f"{serial.FAMILY}{serial.VERSION}",
            "rows": self.rows,
            "period": None if self.period is None else list(self.period),
            "rows_per_second": self.rows_per_second,
            "calibration": None,
        }

    @classmethod
    def from_dict(cls, content: Any) -> Self:
        """Read the JSON form. Raises ReferenceFormatError saying in one line what is wrong."""
        where = "the reference"
        raw = serial.typed(content, dict, where)
        serial.check_format(serial.get(raw, "format", where))
        rows = serial.integer(serial.get(raw, "rows", where), "rows")
        if rows < 1:
            raise ReferenceFormatError(f"rows is {rows}; a reference has at least one")
        try:
            kept = Baseline.of(serial.features_from(serial.get(raw, "features", where), rows), rows)
        except ReferenceFormatError:
            raise
        except ValueError as error:
            raise ReferenceFormatError(str(error)) from error
        return cls(
            **kept.parts(),
            period=_period(raw.get("period")),
            rows_per_second=_rate(raw.get("rows_per_second")),
            calibration=_calibration(raw.get("calibration"), kept.layout),
            cold=serial.typed(raw.get("cold", ""), str, "cold"),
            copies=_copies(raw.get("copies", []), kept.names),
            created_by=serial.typed(raw.get("created_by", ""), str, "created_by"),
            performance=_performance(raw.get("performance"), kept),
            service=None if (said := raw.get("service")) is None else ReferenceService.from_dict(said),
        )

    def save(self, path: str | Path) -> None:
        """Write the JSON file, whole or not at all."""
        path = Path(path)
        text = json.dumps(self.to_dict()) + "\n"
        if path.exists() and not path.is_file():  # a pipe or a device cannot be replaced
            path.write_text(text, encoding="ascii")
            return
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            beside.write_text(text, encoding="ascii")
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read the JSON file. Raises ReferenceFormatError for bad content, OSError for a file that cannot be read."""
        return cls.from_dict(serial.parse(Path(path).read_bytes()))


@dataclass(frozen=True, eq=False)
class ReferenceService:
    """How requests were served: counts of all, and a profile of `__latency__` and `__error__` with a calibration of its own."""

    served: ServedCounts
    profile: Reference

    @classmethod
    def fit(
        cls,
        columns: ServedColumns,
        chunks: Callable[[], Iterable[Mapping[str, ArrayLike]]],
        timestamp: str | None,
        **how: Any,
    ) -> Self:
        """Profile the columns; `chunks` is called twice. Raises ValueError where one is not there, or holds nothing."""
        heard = [ServedCounts(), ServedCounts()]
        passes = iter(heard)
        kinds = dict.fromkeys(profiled(np.empty((0, 2), dtype=np.int16), columns), Kind.NUMERIC)
        profile = Reference.fit_chunks(
            lambda: columns.profiled(chunks(), timestamp, next(passes)), kinds=kinds, timestamp=timestamp, **how
        )
        if columns.latency is not None and not heard[0].timed:
            raise ValueError(f"{columns.latency}: holds no latency, a number of 0 or more")
        return cls(heard[0], profile)

    @cached_property
    def _cells(self) -> Ints:
        """The cell of each bin of latencies in a sketch of the profile."""
        return self._begin(LATENCY) + np.searchsorted(self._edges(LATENCY), MIDDLES, side="left")

    def _edges(self, name: str) -> Floats:
        return self._baseline(name).edges

    def _begin(self, name: str) -> int:
        return int(self.profile.layout.offsets[self.profile.names.index(name)])

    def sketch(self, served: ServedCounts | None, rows: int) -> Sketch:
        """Return what was counted of so many rows as a sketch of the profile."""
        layout: Layout = self.profile.layout
        counts = np.zeros(layout.size, dtype=np.int64)
        served = served or ServedCounts()
        lost = dict(zip(layout.names, layout.lost.tolist(), strict=True))
        if LATENCY in lost:
            np.add.at(counts, self._cells, served.latencies[:BINS])
            counts[lost[LATENCY]] = rows - served.timed
        if ERROR in lost:
            fine = self._begin(ERROR) + int(np.searchsorted(self._edges(ERROR), 0.0, side="left"))
            counts[fine], counts[lost[ERROR]] = rows - served.failed, served.failed
        return Sketch(layout, rows, counts)

    def heard(self, live: Sketch) -> ServedCounts:
        """Return what was counted in a sketch of the profile, where each bin of latencies has a cell of its own."""
        names, lost = self.profile.names, dict(zip(live.layout.names, live.layout.lost.tolist(), strict=True))
        latencies = live.counts[self._cells] if LATENCY in names else None
        failed = int(live.counts[lost[ERROR]]) if ERROR in names else 0
        return ServedCounts(latencies, live.rows if ERROR in names else 0, failed)

    @cached_property
    def _merged(self) -> Ints:
        """The cell of the calibration of each bin of latencies."""
        assert self.profile.calibration is not None
        codes = self.profile.calibration.cells.codes(self.profile.names.index(LATENCY))
        return np.asarray(codes[self._cells - self._begin(LATENCY)])

    def latencies(self, requests: Floats, held: ServedCounts | None = None) -> Floats:
        """Return how many to expect in each bin, float64[BINS], given how many in each cell of the calibration, float64[w].

        Inside of a cell as they were counted in `held`, where it has some, else in the reference.
        """
        within = self._within(self.served)
        if held is not None:
            within = np.where(self._of_cells(held)[self._merged] > 0, self._within(held), within)
        return np.asarray(requests[self._merged] * within)

    def _within(self, counts: ServedCounts) -> Floats:
        return np.asarray(counts.latencies / np.maximum(self._of_cells(counts)[self._merged], 1.0))

    def _of_cells(self, counts: ServedCounts) -> Floats:
        return np.bincount(self._merged, weights=counts.latencies).astype(np.float64)

    def _baseline(self, name: str) -> NumericBaseline:
        found = self.profile.features[name]
        assert isinstance(found, NumericBaseline)
        return found

    def content(self) -> bytes:
        """What enters the hash of the reference."""
        return self.served.to_bytes() + self.profile.hash.encode()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        counts = self.served
        latencies = counts.latencies.tolist() if counts.timed else []
        said = {"latencies": latencies, "told": counts.told, "failed": counts.failed}
        return {**said, "profile": self.profile.to_dict()}

    @classmethod
    def from_dict(cls, content: Any) -> Self:
        """Read the JSON form. Raises ReferenceFormatError."""
        raw = serial.typed(content, dict, "service")
        held = serial.typed(serial.get(raw, "latencies", "service"), list, "service.latencies")
        latencies = [serial.integer(each, "service.latencies") for each in held]
        told, failed = (
            serial.integer(serial.get(raw, each, "service"), f"service.{each}") for each in ("told", "failed")
        )
        if len(latencies) not in {0, BINS} or min([0, *latencies]) < 0 or not 0 <= failed <= told:
            raise ReferenceFormatError("service holds no counts of requests")
        profile = Reference.from_dict(serial.get(raw, "profile", "service"))
        if not {*profile.names} <= {LATENCY, ERROR} or profile.layout.categorical:
            raise ReferenceFormatError(f"service.profile has features other than {LATENCY} and {ERROR}")
        return cls(ServedCounts(np.array(latencies or [0] * BINS, dtype=np.int64), told, failed), profile)


def _calibration(content: Any, layout: Layout) -> Calibration | None:
    if content is None:
        return None
    try:
        return Calibration.from_dict(serial.typed(content, dict, "calibration"), layout)
    except ValueError as error:
        raise ReferenceFormatError(str(error)) from error


def _performance(content: Any, kept: Baseline) -> "ReferencePerformance | None":
    if content is None:
        return None
    from detectors.reference.labelled import ReferencePerformance

    return ReferencePerformance.from_dict(content, {each.name: each for each in kept.layout.features}.get(PREDICTION))


def _copies(content: Any, names: Sequence[str]) -> tuple[Copy, ...]:
    copies = []
    for entry in serial.typed(content, list, "copies"):
        if len(serial.typed(entry, list, "copies")) != 2 or entry[0] not in names:  # noqa: PLR2004 - a feature, and how much
            raise ReferenceFormatError("copies is no list of known features with a number each")
        copies.append(Copy(entry[0], serial.number(entry[1], "copies")))
    return tuple(copies)


def _period(content: Any) -> tuple[int, int] | None:
    if content is None:
        return None
    if len(serial.typed(content, list, "period")) != 2:  # noqa: PLR2004 - first and last
        raise ReferenceFormatError("period is no list of first and last event time")
    first, last = (serial.integer(value, "period") for value in content)
    if first > last:
        raise ReferenceFormatError(f"period ends at {last}, before it begins at {first}")
    return first, last


def _rate(content: Any) -> float | None:
    rate = None if content is None else serial.number(content, "rows_per_second")
    if rate is not None and rate <= 0:
        raise ReferenceFormatError(f"rows_per_second is {rate}, which is not above zero")
    return rate

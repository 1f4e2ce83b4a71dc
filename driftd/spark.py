"""References and panes where the data is: Spark's executors count, and counts alone leave them (docs/spark.md).

PySpark 4 or newer, which the user has; driftd must be installed where the executors run. `fit` gives the reference that one process
gives with `any_order`, bit for bit, whatever the partitions and the order of their rows; `fold` and `merge` give panes that add up with a daemon's.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detectors.calibration.holidays import Source, calendar_of
from detectors.durations import LengthOfTime, nanoseconds
from detectors.features import CategoricalFeature, Kind, NumericFeature
from detectors.layout import Layout
from detectors.reference.passes import CountingPass, count_tables
from detectors.reference.reference import WINDOW_NS, Reference
from driftd.parts import PaneFold, merge_sketches

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

BATCH = 131_072  # rows counted at once; Spark's own batches are of 10 000
COUNTS = "name string, failed boolean, bucket int, counts binary"
PANES = "model string, version string, pane_start bigint, sketch binary"
FAN_IN = 32  # parts of one name merged at once, so that no executor holds those of a thousand partitions


def fit(
    data: "DataFrame",
    *,
    kinds: Mapping[str, Kind | str] | None = None,
    prediction: str | None = None,
    timestamp: str | None = None,
    window: LengthOfTime | None = None,
    timezone: str | None = None,
    holidays: Source = (),
    group: str | None = None,
) -> Reference:
    """Profile a DataFrame by two passes over it; a third where single values are common among many others.

    Every column but `timestamp` and `group` is a feature: `select` what the model sees. The arguments are those of `Reference.fit`, and so
    is the result: that with `any_order=True` on the same rows. The DataFrame must give the same rows each time: cache or write one that is drawn
    at random.

    Raises ValueError as `Reference.fit` does, and where the rows changed between two passes; TypeError for what is no DataFrame of Spark.
    """
    window_ns = WINDOW_NS if timestamp is not None and window is None else None
    return Reference.fit_parts(
        lambda counting: _counted(data, counting),
        kinds=kinds,
        prediction=prediction,
        timestamp=timestamp,
        window_ns=window_ns if window is None else nanoseconds(window),
        calendar=calendar_of(holidays, timezone),
        group=group,
    )


def fold(
    data: "DataFrame",
    reference: Reference,
    *,
    model: str,
    version: str,
    pane: LengthOfTime,
    timestamp: str,
    prediction: str | None = None,
    id: str | None = None,  # noqa: A002 - the name of the field in the configuration
    group: str | None = None,
) -> "DataFrame":
    """Return the panes of one model's rows: `model`, `version`, `pane_start` in nanoseconds, `sketch`; those of a partition apart, see `merge`.

    `pane` is the slide of the daemon's windows, `prediction`, `id` and `group` the columns that its fields name. Raises ValueError on the
    executors for a DataFrame without a feature.
    """
    columns = {"prediction": prediction, "id": id, "group": group}
    folding = PaneFold.of(reference, pane=pane, timestamp=timestamp, **columns)
    return _numbered(data).mapInArrow(_Folding(folding, model, version, tuple(data.columns)), PANES)


def merge(panes: "DataFrame", reference: Reference) -> "DataFrame":
    """Return each pane once: the sum of all rows of `panes` that have its model, version and start, those of a daemon among them.

    All of them are on the layout of `reference`. Raises LayoutMismatchError on the executors for another one's.
    """
    merging = _function(_Merging(reference.layout.numeric, reference.layout.categorical))
    found: DataFrame = panes.groupBy("model", "version", "pane_start").applyInArrow(merging, PANES)
    return found


def _counted(data: "DataFrame", counting: CountingPass) -> dict[str, bytes]:
    """Make one pass: counts of each partition, merged by name where the executors are, collected."""
    parts = _numbered(data).mapInArrow(_CountingParts(counting, tuple(data.columns)), COUNTS)
    merging = _function(_MergingParts(counting))
    if data.rdd.getNumPartitions() > FAN_IN:
        parts = parts.groupBy("name", "failed", "bucket").applyInArrow(merging, COUNTS)
    rows = parts.groupBy("name", "failed").applyInArrow(merging, COUNTS).collect()
    for row in rows:
        if row.failed:
            raise ValueError(bytes(row.counts).decode())
    return {row.name: bytes(row.counts) for row in rows}


@dataclass(frozen=True, slots=True)
class _CountingParts:
    """Counts a partition."""

    counting: CountingPass
    names: tuple[str, ...]

    def __call__(self, batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        from pyspark import TaskContext

        context = TaskContext.get()
        bucket = 0 if context is None else context.partitionId() // FAN_IN
        try:
            found = [
                (name, False, bucket, held)
                for name, held in count_tables(self.counting, _tables(batches, self.names)).items()
            ]
        except ValueError as error:  # told by who asked, in the words of one process
            found = [("", True, bucket, str(error).encode())]
        yield _batch(COUNTS, found)


@dataclass(frozen=True, slots=True)
class _MergingParts:
    """Merges the counts of one name; of what failed the first in the order of its words is told."""

    counting: CountingPass

    def __call__(self, table: "pa.Table") -> "pa.Table":
        import pyarrow as pa

        row = table.slice(0, 1).to_pylist()[0]
        parts = table.column("counts").to_pylist()
        failed, counts = row["failed"], min(parts)
        if not failed:
            try:
                counts = self.counting.merge(row["name"], parts)
            except ValueError as error:
                failed, counts = True, str(error).encode()
        return pa.Table.from_batches([_batch(COUNTS, [(row["name"], failed, row["bucket"], counts)])])


@dataclass(frozen=True, slots=True)
class _Folding:
    """Folds a partition."""

    fold: PaneFold
    model: str
    version: str
    names: tuple[str, ...]

    def __call__(self, batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        panes = self.fold(_tables(batches, self.names))
        yield from (_batch(PANES, [(self.model, self.version, *pane)]) for pane in panes)


@dataclass(frozen=True, slots=True)
class _Merging:
    """Adds up the sketches of one pane."""

    numeric: tuple[NumericFeature, ...]
    categorical: tuple[CategoricalFeature, ...]

    def __call__(self, table: "pa.Table") -> "pa.Table":
        import pyarrow as pa

        row = table.slice(0, 1).to_pylist()[0]
        whole = merge_sketches(Layout(self.numeric, self.categorical), table.column("sketch").to_pylist())
        merged = row["model"], row["version"], row["pane_start"], whole
        return pa.Table.from_batches([_batch(PANES, [merged])])


def _function(merging: "Callable[[pa.Table], pa.Table]") -> "Callable[[pa.Table], pa.Table]":
    """Return a plain function: of an object PySpark counts `self` as an argument, and takes two for a key and a table."""

    def merged(table: "pa.Table") -> "pa.Table":
        return merging(table)

    return merged


def _numbered(data: "DataFrame") -> "DataFrame":
    """Return the same columns under plain names: mapInArrow looks columns up by name, and takes `a.b` for a field of `a`, `x` for `X`.

    Raises TypeError for what is no DataFrame of Spark.
    """
    if not hasattr(data, "mapInArrow"):
        raise TypeError(
            f"data must be a DataFrame of PySpark 4 or newer, not {type(data).__module__}.{type(data).__name__}"
        )
    return data.toDF(*(f"c{at}" for at in range(len(data.columns))))


def _tables(batches: Iterable["pa.RecordBatch"], names: tuple[str, ...]) -> Iterator["pa.Table"]:
    """Spark's small batches as fewer tables, whose columns have their own names again."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(each.num_rows for each in held) >= BATCH:
            yield pa.Table.from_batches(held).rename_columns(names)
            held = []
    if held:
        yield pa.Table.from_batches(held).rename_columns(names)


def _batch(schema: str, rows: list[tuple[Any, ...]]) -> "pa.RecordBatch":
    import pyarrow as pa

    types: dict[str, Callable[[], Any]] = {
        "string": pa.string,
        "boolean": pa.bool_,
        "int": pa.int32,
        "bigint": pa.int64,
        "binary": pa.binary,
    }
    names = [column.split()[0] for column in schema.split(", ")]
    kinds = [types[column.split()[1]]() for column in schema.split(", ")]
    arrays = [pa.array([row[at] for row in rows], kind) for at, kind in enumerate(kinds)]
    return pa.RecordBatch.from_arrays(arrays, names)

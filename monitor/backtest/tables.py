"""Recorded events as tables, a column a path: Parquet and CSV straight to event batches, without JSON between."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors import canonical
from detectors.columns import BOOLEANS, Coded
from monitor.backtest.recorded import Piece, RecordedError, piece_of, size_of
from monitor.explain.samples import legible
from monitor.facts import EventsCounted, EventsRejected, FieldsRejected
from monitor.series.series import SeriesSpec
from monitor.sources.formats.columns import PREDICTION, FieldMap, SeriesDecoder
from monitor.sources.formats.decode import Decoded, TopicDecoder
from monitor.sources.formats.values import Rejected, number
from monitor.sources.tables.files import Column, TableError, explained
from monitor.sources.tables.reading import NOT_A_TIME, Chunk, Kinds, Place, table_of, times_of
from monitor.stream.events import EventBatch, Partition, SeriesKey, UnseenCategory

TIME_NAMES = ("timestamp", "ts")
UNMONITORED = -1
SHOWN = 30  # columns in an error
NAMED = 32  # rows of a chunk whose new category is written down


class Tables:
    """Files with a column a path of the message, read in the order given as one partition."""

    def __init__(self, paths: Sequence[Path], decoder: TopicDecoder, specs: Sequence[SeriesSpec]) -> None:
        self._paths = paths
        self._decoder = decoder
        self._references = {spec.key: spec.reference for spec in specs}
        self._partition = Partition(decoder.topic, 0)
        self._notes: dict[str, None] = {}

    @property
    def notes(self) -> Sequence[str]:
        """Columns that files lack."""
        return tuple(self._notes)

    def hold(self, partitions: frozenset[Partition]) -> None:
        """A single partition runs ahead of nothing."""

    def pieces(self) -> Iterator[Piece]:
        """A chunk of rows at once. Raises RecordedError."""
        new = frozenset({self._partition})
        for at, path in enumerate(self._paths):
            size_of(path)
            try:
                for chunk, done in self._chunks(path):
                    decoded, rows = self._decode(chunk)
                    yield piece_of(decoded, self._partition, new, rows, (at + done) / len(self._paths))
                    new = frozenset()
            except TableError as error:
                raise RecordedError(str(error)) from None

    def _chunks(self, path: Path) -> Iterator[tuple[Chunk, float]]:
        """The columns of a file by the path of the message that they hold, and the share of the file read by then."""
        with explained(path):
            table = table_of(path)
            found = self._layout(path, table.names)
            yield from table.read(found, self._kinds())

    def _kinds(self) -> Kinds:
        """What the texts of a CSV mean: paths of numbers, and of nothing but true and false."""
        series = self._decoder.series.values()
        texts = {place for one in series for _, place in one.categorical}
        logical = {
            place
            for one in series
            for (_, place), table in zip(one.categorical, one.tables, strict=True)
            if set(table.categories) <= set(BOOLEANS)
        }
        numbers = {place for one in series for _, place in one.numeric} - texts
        return Kinds(frozenset(numbers), frozenset(logical), self._decoder.fields.timestamp)

    def _layout(self, path: Path, names: Sequence[str]) -> dict[Place, str]:
        """Which column holds which path. Raises TableError for a file without event times, or with models unnamed."""
        fields = self._decoder.fields
        found = places_in(names, fields, [place for place, _ in self._wanted()])
        if fields.timestamp not in found:
            raise TableError(
                f"{path}: has no column {'.'.join(fields.timestamp)} with event times; it has {', '.join(names[:SHOWN])}"
            )
        if fields.model not in found and len(self._references) > 1:
            raise TableError(
                f"{path}: has no column {'.'.join(fields.model)}, and {len(self._references)} models are configured; "
                f"it has {', '.join(names[:SHOWN])}"
            )
        for place, key in self._wanted():
            if place not in found:
                self._notes[f"{path} has no column {'.'.join(place)}: missing in its rows of {key}"] = None
        return found

    def _wanted(self) -> Iterator[tuple[Place, SeriesKey]]:
        for key, series in self._decoder.series.items():
            for _, place in (*series.numeric, *series.categorical):
                yield place, key

    # --- one chunk ----------------------------------------------------------------------------------------------------

    def _decode(self, chunk: Chunk) -> tuple[Decoded, int]:
        fields, topic = self._decoder.fields, self._decoder.topic
        rejected: Counter[str] = Counter()
        lost: Counter[str] = Counter()
        times = times_of(chunk[fields.timestamp], fields.unit, rejected)
        series = self._route(chunk, times != NOT_A_TIME, rejected)
        valid = (times != NOT_A_TIME) & (series >= UNMONITORED)
        decoded = Decoded()
        if valid.any():
            decoded.seen[self._partition] = int(times[valid].max())
        for at, decoder in enumerate(self._decoder.series.values()):
            rows = valid & (series == at)
            if rows.any():
                decoded.batches.append(self._batch(decoder, chunk, times, rows, lost))
        decoded.facts += [EventsRejected(topic, reason, count) for reason, count in rejected.items()]
        decoded.facts += [FieldsRejected(topic, reason, count) for reason, count in lost.items() if count]
        unmonitored = int(np.count_nonzero(valid & (series == UNMONITORED)))
        for outcome, count in (("rejected", rejected.total()), ("unmonitored", unmonitored)):
            if count:
                decoded.facts.append(EventsCounted(topic, outcome, count))
        return decoded, len(times)

    def _route(self, chunk: Chunk, timely: NDArray[np.bool_], rejected: Counter[str]) -> NDArray[np.int64]:
        """The number of each row's series; -1: not monitored, -2: rejected."""
        fields, rows = self._decoder.fields, len(timely)
        only = next(iter(self._references)) if len(self._references) == 1 else None
        models = chunk.get(fields.model, Coded((only.model if only else None,), np.zeros(rows, dtype=np.int64)))
        anyone = fields.version not in chunk and fields.model not in chunk  # a file of the only model, and says nothing
        version = only.version if anyone and only else None
        versions = chunk.get(fields.version, Coded((version,), np.zeros(rows, dtype=np.int64)))
        names, of_model = each_once(models)
        texts, of_version = each_once(versions)
        pairs = of_model * len(texts) + of_version
        table = np.full(len(names) * len(texts), UNMONITORED, dtype=np.int64)
        for pair in np.unique(pairs[timely]).tolist():
            try:
                table[pair] = self._series_of(names[pair // len(texts)], texts[pair % len(texts)])
            except Rejected as reason:
                table[pair] = UNMONITORED - 1
                rejected[str(reason)] += int(np.count_nonzero((pairs == pair) & timely))
        return np.asarray(table[pairs])

    def _series_of(self, model: Any, version: Any) -> int:
        decoder = self._decoder.decoder_of(model, version)
        return UNMONITORED if decoder is None else list(self._decoder.series).index(decoder.key)

    def _batch(
        self,
        decoder: SeriesDecoder,
        chunk: Chunk,
        times: NDArray[np.int64],
        rows: NDArray[np.bool_],
        lost: Counter[str],
    ) -> EventBatch:
        whole = bool(rows.all())
        own: Counter[str] = Counter()
        columns: dict[str, Any] = {}
        for name, place in (*decoder.numeric, *decoder.categorical):
            if place in chunk:
                columns[name] = chunk[place] if whole else only_rows(chunk[place], rows)
        for name, _ in decoder.numeric:
            if name in columns:
                columns[name] = as_a_message_has_it(columns[name], own)
        times = times if whole else times[rows]
        numeric, codes = self._encode(decoder.key, columns, len(times))
        own["missing"] += int(np.isnan(numeric).sum()) - own.total()
        for at, table in enumerate(decoder.tables):
            own["missing"] += int(np.count_nonzero(codes[:, at] == table.missing))
        own["non_finite"] += int(np.isinf(numeric).sum())
        lost.update(own)
        newcomers = _newcomers(decoder, columns, codes, times)
        return EventBatch(decoder.key, self._decoder.topic, times, numeric, codes, newcomers)

    def _encode(
        self, key: SeriesKey, columns: Mapping[str, Any], rows: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        reference = self._references[key]
        return reference.encode(columns or {reference.names[0]: np.full(rows, None, dtype=object)})


def _newcomers(
    decoder: SeriesDecoder, columns: Mapping[str, Any], codes: NDArray[np.int32], times: NDArray[np.int64]
) -> tuple[UnseenCategory, ...]:
    """Some of the categories that the reference does not know, of rows spread over the chunk."""
    found: list[UnseenCategory] = []
    for at, ((name, _), table) in enumerate(zip(decoder.categorical, decoder.tables, strict=True)):
        if name in columns:
            new = np.flatnonzero(codes[:, at] == table.unseen)
            few = min(NAMED, new.size)
            new = new[np.arange(few) * new.size // max(few, 1)]
            texts = map(canonical, only_rows(columns[name], new).tolist())
            told = zip(texts, times[new].tolist(), strict=True)
            found += [UnseenCategory(at, legible(text), time) for text, time in told if text is not None]
    return tuple(found)


# --- which column is what -------------------------------------------------------------------------------------------


def places_in(names: Sequence[str], fields: FieldMap, features: Sequence[Place]) -> dict[Place, str]:
    """The column of each path: called by its dotted path, by what the path is for, or by the path's last part if no other has it."""
    wanted = dict.fromkeys([fields.timestamp, fields.model, fields.version, *features])
    found = {place: ".".join(place) for place in wanted if ".".join(place) in names}
    roles = {fields.timestamp: TIME_NAMES, fields.model: ("model",), fields.version: ("version",)}
    roles[fields.prediction] = ("prediction", PREDICTION)
    free = [name for name in names if name not in found.values()]
    ends = Counter(place[-1] for place in wanted)
    for place in wanted:
        plain = (place[-1],) if ends[place[-1]] == 1 and place not in {fields.model, fields.version} else ()
        named = next((name for name in (*plain, *roles.get(place, ())) if name in free), None)
        if place not in found and named is not None:
            found[place] = named
            free.remove(named)
    return found


def only_rows(column: Column, rows: NDArray[Any]) -> Column:
    """Some rows of a column."""
    return Coded(column.values, column.rows[rows]) if isinstance(column, Coded) else column[rows]


def each_once(column: Column) -> tuple[list[Any], NDArray[np.int64]]:
    """The values of a column, None for a missing one, and int64[n] saying which one each row has."""
    if isinstance(column, Coded):
        return list(column.values), column.rows.astype(np.int64)
    seen: dict[Any, int] = {}
    values = (None if value != value else value for value in column.tolist())  # noqa: PLR0124 - NaN
    rows = np.fromiter((seen.setdefault(value, len(seen)) for value in values), np.int64, count=column.size)
    return list(seen), rows


def as_a_message_has_it(column: Column, lost: Counter[str]) -> Column:
    """A column of numbers as it would be read from JSON: truth values and texts are none, and are counted."""
    if isinstance(column, Coded):
        return _numbers(column, lost)
    if column.dtype.kind == "O":
        values, rows = each_once(column)
        return _numbers(Coded(tuple(values), rows), lost)
    if column.dtype.kind in "iuf":
        return column
    lost["boolean_as_number" if column.dtype.kind == "b" else "wrong_type"] += column.size
    return np.full(column.size, np.nan)


def _numbers(column: Coded, lost: Counter[str]) -> NDArray[np.float64]:
    counts = np.bincount(column.rows, minlength=len(column.values)).tolist()
    reasons: Counter[str] = Counter()
    found = np.empty(len(column.values))
    for at, (value, count) in enumerate(zip(column.values, counts, strict=True)):
        reasons.clear()
        found[at] = number(float(value) if isinstance(value, Decimal) else value, reasons)
        lost.update({reason: count for reason in reasons if reason not in {"missing", "non_finite"}})
    return np.asarray(found[column.rows])

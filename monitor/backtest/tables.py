"""Recorded events as tables, a column a path: Parquet and CSV straight to event batches, without JSON between."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from detectors.columns import BOOLEANS, Coded, Column
from monitor.backtest.recorded import Piece, RecordedError, piece_of, size_of
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.base import Rows
from monitor.sources.formats.fields import PREDICTION, FieldMap
from monitor.sources.formats.fields import Path as Place
from monitor.sources.tables.base import Chunk, TableError, Texts, explained
from monitor.sources.tables.files import table_of
from monitor.sources.tables.times import plain_times
from monitor.stream.events import Partition, SeriesKey

TIME_NAMES = ("timestamp", "ts")
SHOWN = 30  # columns in an error


class Tables:
    """Files with a column a path of the message, read in the order given as one partition."""

    def __init__(self, paths: Sequence[Path], decoder: TopicDecoder) -> None:
        self._paths = paths
        self._decoder = decoder
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
                for rows, done in self._rows(path):
                    decoded = self._decoder.decode_rows(rows, self._partition)
                    yield piece_of(decoded, self._partition, new, len(rows), (at + done) / len(self._paths))
                    new = frozenset()
            except TableError as error:
                raise RecordedError(str(error)) from None

    def _rows(self, path: Path) -> Iterator[tuple[Rows, float]]:
        """The rows of a file by the paths of a message, and the share of the file read by then."""
        with explained(path):
            table = table_of(path)
            names = self._layout(path, table.names)
            for chunk, done in table.read(set(names.values()), self._texts(names)):
                yield self._as_messages(chunk, names), done

    def _as_messages(self, chunk: Chunk, names: Mapping[Place, str]) -> Rows:
        """A chunk as rows of messages; a file that names no model is of the only one there is."""
        fields = self._decoder.fields
        columns: dict[Place, Column] = {place: chunk[name] for place, name in names.items()}
        columns[fields.timestamp] = plain_times(columns[fields.timestamp])
        messages = np.arange(len(columns[fields.timestamp]))
        if fields.model not in columns:
            (only,) = self._decoder.series
            said = {fields.model: only.model}
            if fields.version not in columns:
                said[fields.version] = only.version
            columns |= {place: Coded((text,), np.zeros_like(messages)) for place, text in said.items()}
        return Rows(columns, messages)

    def _texts(self, names: Mapping[Place, str]) -> Texts:
        """What the texts of a CSV mean."""
        series = self._decoder.series.values()
        categorical = {place for each in series for _, place in each.categorical}
        logical = {
            place
            for each in series
            for (_, place), table in zip(each.categorical, each.tables, strict=True)
            if set(table.categories) <= set(BOOLEANS)
        }
        numeric = {place for each in series for _, place in each.numeric} - categorical
        mixed, booleans = ({names[place] for place in places if place in names} for places in (numeric, logical))
        return Texts(mixed=mixed, booleans=booleans, time=names[self._decoder.fields.timestamp])

    def _layout(self, path: Path, names: Sequence[str]) -> dict[Place, str]:
        """Which column holds which path. Raises TableError for a file without event times, or with models unnamed."""
        fields = self._decoder.fields
        held = places_in(names, fields, [place for place, _ in self._wanted()])
        if fields.timestamp not in held:
            raise TableError(
                f"{path}: has no column {'.'.join(fields.timestamp)} with event times; it has {', '.join(names[:SHOWN])}"
            )
        if fields.model not in held and len(self._decoder.series) > 1:
            raise TableError(
                f"{path}: has no column {'.'.join(fields.model)}, and {len(self._decoder.series)} models are configured; "
                f"it has {', '.join(names[:SHOWN])}"
            )
        for place, key in self._wanted():
            if place not in held:
                self._notes[f"{path} has no column {'.'.join(place)}: missing in its rows of {key}"] = None
        return held

    def _wanted(self) -> Iterator[tuple[Place, SeriesKey]]:
        for key, series in self._decoder.series.items():
            for _, place in (*series.numeric, *series.categorical):
                yield place, key


# --- which column is what -------------------------------------------------------------------------------------------


def places_in(names: Sequence[str], fields: FieldMap, features: Sequence[Place]) -> dict[Place, str]:
    """The column of each path: called by its dotted path, by what the path is for, or by the path's last part if no other has it."""
    wanted = dict.fromkeys([fields.timestamp, fields.model, fields.version, *features])
    held = {place: ".".join(place) for place in wanted if ".".join(place) in names}
    roles = {fields.timestamp: TIME_NAMES, fields.model: ("model",), fields.version: ("version",)}
    roles[fields.prediction] = ("prediction", PREDICTION)
    free = [name for name in names if name not in held.values()]
    ends = Counter(place[-1] for place in wanted)
    for place in wanted:
        plain = (place[-1],) if ends[place[-1]] == 1 and place not in {fields.model, fields.version} else ()
        named = next((name for name in (*plain, *roles.get(place, ())) if name in free), None)
        if place not in held and named is not None:
            held[place] = named
            free.remove(named)
    if fields.id and fields.id not in held and ".".join(fields.id) in free:
        held[fields.id] = ".".join(fields.id)
    return held

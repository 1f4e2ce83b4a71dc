"""Recorded events as tables, a column a path: Parquet and CSV straight to event batches, without JSON between."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from detectors import Kind
from detectors.columns import BOOLEANS, Coded, Column, distinct
from monitor.backtest.recorded import Piece, RecordedError, piece_of, size_of
from monitor.sources.decode.class_scores import is_score, score_places
from monitor.sources.decode.finding import FeatureFinder
from monitor.sources.decode.labels import LabelDecoder
from monitor.sources.decode.shaping import ShapedDecoder
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.base import Rows
from monitor.sources.formats.fields import PREDICTION, FieldMap
from monitor.sources.formats.fields import Path as Place
from monitor.sources.formats.written import COMMAS, people_write
from monitor.sources.tables.base import NESTED, Chunk, Dialect, TableError, Texts, explained, levels
from monitor.sources.tables.csv import PLAIN, CsvTable
from monitor.sources.tables.files import look, table_of
from monitor.sources.tables.shape import Shape
from monitor.sources.tables.times import plain_times
from monitor.stream.events import Partition, SeriesKey

TIME_NAMES = ("timestamp", "ts")
PEEKED = 1000  # values of a column that tell what it holds
SHOWN = 30  # columns in an error
ROLES = (
    "id",
    "group",
    "label",
    "weight",
    "latency",
    "error",
    "scores",
    "sampling",
)  # what a column may be, where it is mapped


class Tables:
    """Files with a column a path of the message, read in the order given as one partition."""

    def __init__(self, paths: Sequence[Path], decoder: TopicDecoder, dialect: Dialect = PLAIN) -> None:
        self._paths = paths
        self._dialect = dialect
        self._decoder = decoder
        self._shapes = decoder.format if isinstance(decoder.format, ShapedDecoder) else None
        self._partition = Partition(decoder.topic, 0)
        self._notes: dict[str, None] = {}
        self._names: frozenset[str] = frozenset()  # columns of the file that is read
        self._commas: set[str] = set()  # columns of which it was noted

    @property
    def notes(self) -> Sequence[str]:
        """What is read from which column, and columns that files lack."""
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
                    yield piece_of(
                        decoded,
                        self._partition,
                        new,
                        len(rows) + sum(rows.rejected.values()),
                        (at + done) / len(self._paths),
                    )
                    new = frozenset()
            except TableError as error:
                raise RecordedError(str(error)) from None

    def _rows(self, path: Path) -> Iterator[tuple[Rows, float]]:
        """The rows of a file by the paths of a message, and the share of the file read by then."""
        with explained(path):
            table = table_of(path, self._dialect)
            names = self._layout(path, table.names)
            texts = self._texts(names)
            texts = replace(texts, rows=NESTED) if self._shapes else texts
            for chunk, done in table.read(set(names.values()), texts):
                if isinstance(table, CsvTable) and self._dialect.decimal == ".":
                    self._note_commas(path, {name: chunk[name] for name in texts.mixed if name in chunk})
                yield self._shaped(self._as_messages(chunk, names)), done

    def _shaped(self, rows: Rows) -> Rows:
        """The rows as the mapping wants them: of a list each element is one."""
        if self._shapes is None:
            return rows
        rows = self._shapes.shape(rows, None)
        return replace(rows, messages=np.arange(len(rows)))

    def _note_commas(self, path: Path, chunk: Chunk) -> None:
        """Note columns of numbers whose texts are some only with a decimal comma."""
        for name in sorted(chunk.keys() - self._commas):
            column = chunk[name]
            texts = [value for value in column.values if isinstance(value, str)] if isinstance(column, Coded) else []
            how, first = (people_write(texts) if texts else None) or ("", "")
            if how == COMMAS:
                self._commas.add(name)
                self._notes[
                    f"{path}: {name} holds numbers with {how}, such as {first[:40]!r}: missing; --decimal , reads them"
                ] = None

    def _as_messages(self, chunk: Chunk, names: Mapping[Place, str]) -> Rows:
        """A chunk as rows of messages."""
        fields = self._decoder.fields
        columns: dict[Place, Column] = {place: chunk[name] for place, name in names.items()}
        columns[fields.timestamp] = plain_times(columns[fields.timestamp])
        messages = np.arange(len(columns[fields.timestamp]))
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
        time, decimal = names[self._decoder.fields.timestamp], self._dialect.decimal
        identities = {self._decoder.fields.id, self._decoder.fields.group} - numeric - categorical
        exact = {names[place] for place in identities if place in names} - {time}
        return Texts(mixed=mixed, booleans=booleans, exact=exact, time=time, decimal=decimal)

    def _layout(self, path: Path, names: Sequence[str]) -> dict[Place, str]:
        """Which column holds which path. Raises TableError for a file without event times, or with models unnamed."""
        fields, self._names = self._decoder.fields, frozenset(names)
        whole = whole_columns(path, names, fields)
        wanted = [(place, key) for place, key in self._wanted() if not any(map(place_below(place), whole))]
        held = places_in(names, fields, [place for place, _ in wanted]) | whole
        if fields.timestamp not in held:
            raise TableError(
                f"{path}: has no column {'.'.join(fields.timestamp)} with event times; it has {', '.join(names[:SHOWN])}"
            )
        models = {key.model for key in self._decoder.series}
        if fields.model_is is None and fields.model not in held and len(models) > 1:
            raise TableError(
                f"{path}: has no column {'.'.join(fields.model)}, and {len(models)} models are configured; "
                f"it has {', '.join(names[:SHOWN])}"
            )
        if path == self._paths[0]:
            of_labels = isinstance(self._decoder, LabelDecoder)
            self._notes[mapped_words(path, held, fields, labels=of_labels, listed=whole)] = None
        for place, key in wanted:
            if place not in held:
                self._notes[f"{path} has no column {'.'.join(place)}: missing in its rows of {key}"] = None
        return held

    def _wanted(self) -> Iterator[tuple[Place, SeriesKey]]:
        for key, series in self._decoder.series.items():
            for name, place in (*series.numeric, *series.categorical):
                if not is_score(name):
                    yield place, key
            yield from ((place, key) for place in score_places(series, self._names))


# --- which column is what -------------------------------------------------------------------------------------------


def places_in(names: Sequence[str], fields: FieldMap, features: Sequence[Place]) -> dict[Place, str]:
    """The column of each path: called by its dotted path, by what the path is for, or by the path's last part if no other has it."""
    wanted = dict.fromkeys([*fields.envelope.values(), *features])
    held = {place: ".".join(place) for place in wanted if ".".join(place) in names}
    roles = {fields.timestamp: TIME_NAMES, fields.model: ("model",), fields.version: ("version",)}
    roles[fields.prediction] = (
        PREDICTION,
    )  # never a column that happens to be called prediction: that may be anybody's
    free = [name for name in names if name not in held.values()]
    ends = Counter(place[-1] for place in wanted)
    for place in wanted:
        plain = (place[-1],) if ends[place[-1]] == 1 and place not in {fields.model, fields.version} else ()
        named = next((name for name in (*plain, *roles.get(place, ())) if name in free), None)
        if place not in held and named is not None:
            held[place] = named
            free.remove(named)
    for path in (fields.id, fields.group, fields.scores):
        if path and path not in held and ".".join(path) in free:
            held[path] = ".".join(path)
    return held


def whole_columns(path: Path, names: Sequence[str], fields: FieldMap) -> dict[Place, str]:
    """The columns that hold lists of which the mapping wants parts, by their paths. Raises TableError where rows lie in one that is not there."""
    listed = [fields.explode, *fields.indexed, *([fields.features] if fields.columns else [])]
    found: dict[Place, str] = {}
    for place in filter(None, listed):
        depths = (place[:depth] for depth in range(len(place), 0, -1))
        column = next((each for each in depths if ".".join(each) in names), None)
        if column is not None:
            found[column] = ".".join(column)
        elif place == fields.explode:
            raise TableError(
                f"{path}: has no column {'.'.join(place)} of which each element is a row; it has {', '.join(names[:SHOWN])}"
            )
    return found


def place_below(place: Place) -> Callable[[Place], bool]:
    """Whether it is another one, or lies below."""
    return lambda other: place[: len(other)] == other


def mapped_words(
    path: Path,
    held: Mapping[Place, str],
    fields: FieldMap,
    *,
    labels: bool = False,
    listed: Collection[Place] = (),
) -> str:
    """What is read from which column, in a line; features that stand under their own names are counted. `labels`: rows are of labels.

    `listed` are columns that hold lists, parts of which are read.
    """
    constants = {"model": fields.model_is, "version": fields.version_is}
    places = {**fields.envelope, **{role: getattr(fields, role) for role in ROLES if getattr(fields, role) in held}}
    always = {"id": fields.id, "label": fields.label} if labels else {"prediction": fields.prediction}
    places |= always
    if labels:
        places.pop("version", None)  # a label is one of every version
    inside = {place: ".".join(place) for place in places.values() if any(map(place_below(place), listed))}
    sources = {**inside, **held}
    said = [f"{name} from {sources.get(place, 'none')}" for name, place in places.items()]
    said += [f"{name} is {constant}" for name, constant in constants.items() if constant is not None]
    if labels:
        return f"{path}: {', '.join(said)}"
    said += [f"parts of {name}" for name in map(".".join, listed)]
    features = {place: name for place, name in held.items() if place not in {*places.values(), *listed}}
    renamed = [
        f"{'.'.join(place)} from {name}" for place, name in features.items() if place[-1] != name.rpartition(".")[2]
    ]
    return f"{path}: {', '.join(said)}, {len(features)} features from columns of their names" + "".join(
        f"; {each}" for each in renamed
    )


# --- which features there are ---------------------------------------------------------------------------------------


def find_inside(paths: Sequence[Path], decoder: TopicDecoder, finder: FeatureFinder, dialect: Dialect = PLAIN) -> None:
    """Find the features of tables in which lists hold them: by the first rows of each file. Raises TableError."""
    assert isinstance(decoder.format, ShapedDecoder)
    for path in paths:
        with explained(path):
            table = table_of(path, dialect)
            places = {name: levels(name, table.names) for name in table.names}
            whole_columns(path, table.names, decoder.fields)
            texts = Texts(rows=NESTED, decimal=dialect.decimal)
            for chunk, _ in table.read(set(table.names), texts):
                columns = {places[name]: column.tolist()[:NESTED] for name, column in chunk.items()}
                rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
                finder.look(shaped for row in rows for shaped in decoder.format.shape_row(row))
                break


def find_features(paths: Sequence[Path], fields: FieldMap, finder: FeatureFinder, dialect: Dialect = PLAIN) -> None:
    """Find the features of tables by their columns: those below the path of the features, or all of a flat table. Raises TableError."""
    shape = look(paths, dialect=dialect)
    texts = shape.reading({}, None)
    columns: dict[str, str] = {}
    for path in paths:
        with explained(path):
            table = table_of(path, dialect)
            wanted = feature_columns(table.names, fields, finder)
            columns = wanted | columns
            finder.order.update(dict.fromkeys(wanted))  # also those that hold nothing
            for feature in [feature for feature, column in wanted.items() if column in shape.left_out]:
                finder.left_out[feature] = shape.left_out[wanted.pop(feature)]
            for chunk, _ in table.read(set(wanted.values()), texts) if wanted else ():
                for feature in [feature for feature, column in wanted.items() if column in chunk]:
                    if take_column(finder, feature, chunk[wanted[feature]], kind_in(shape, wanted[feature])):
                        del wanted[feature]
                if not wanted:
                    break
    remark(finder, columns, shape)


def score_names(paths: Sequence[Path], fields: FieldMap, dialect: Dialect = PLAIN) -> Iterator[str]:
    """The classes that columns of scores are called by. Raises TableError."""
    start = ".".join(fields.scores) + "."
    for path in paths if fields.scores else ():
        with explained(path):
            yield from (name.removeprefix(start) for name in table_of(path, dialect).names if name.startswith(start))


def remark(finder: FeatureFinder, columns: Mapping[str, str], shape: Shape) -> None:
    """Note what is to be known of columns of texts that were taken as features, as a fit without a configuration says it."""
    for feature, column in columns.items():
        found, tally = finder.features.get(feature), shape.texts.get(column)
        if found is None or tally is None or finder.kind_asked(feature) is not None:
            continue
        if tally.typed:
            finder.note_numbers(feature, found.texts)
            continue
        for line in tally.remarks(feature, shape.dialect.decimal):
            finder.odd[feature] = line


def feature_columns(names: Sequence[str], fields: FieldMap, finder: FeatureFinder) -> dict[str, str]:
    """The columns that may be features, by the name of the feature."""
    below = ".".join(fields.features) + "."
    nested = [name for name in names if fields.features and name.startswith(below)]
    beside = [
        fields.prediction,
        *(path for path in (fields.label, fields.weight, fields.scores, fields.sampling) if path),
    ]
    places = places_in(names, fields, beside)
    roles = set(places.values())
    plain = [name for name in names if name not in roles | finder.envelope and len(levels(name, names)) == 1]
    found = {name.removeprefix(below): name for name in nested} if nested else {name: name for name in plain}
    found |= {name: places[path] for name, path in finder.beside.items() if path in places}
    known = finder.predicted_inside | finder.features.keys()
    return {feature: name for feature, name in found.items() if feature not in known}


def kind_in(shape: Shape, column: str) -> Kind | None:
    """What a column is in all files together, as a fit without a configuration takes it; None where its values tell."""
    numeric = shape.numeric(column)
    return None if numeric is None else Kind.NUMERIC if numeric else Kind.CATEGORICAL


def take_column(finder: FeatureFinder, name: str, column: Column, kind: Kind | None = None) -> bool:
    """Take a column as a feature, or leave it out; whether it held a value that tells which."""
    if not isinstance(column, Coded) and column.dtype.kind == "M":
        finder.left_out[name] = "a time"
        return True
    values = column.occurring if isinstance(column, Coded) else column[:PEEKED].tolist()
    held = [value for value in values if value is not None and value == value]  # noqa: PLR0124 - NaN
    if not held:
        return False
    finder.add(name, held, kind)
    if name in finder.features and finder.features[name].kind is Kind.CATEGORICAL:
        logical = {str(value).lower() for value in held} <= set(BOOLEANS)
        finder.learn(name, BOOLEANS if logical else [text for text in distinct(column)[0] if text is not None])
    return True

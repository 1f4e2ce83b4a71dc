"""Where a topic's messages keep what is needed: paths, the columns of each series, and whose a message is."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors import Layout
from detectors.reference.service import ERROR, LATENCY
from monitor.sources.formats.categories import CategoryTable, ErrorTable
from monitor.sources.formats.values import UNITS, Rejected, version_text
from monitor.stream.events import ANY_VERSION, SECOND, Nanos, SeriesKey
from monitor.stream.halves import REQUEST, RESPONSE, WHOLE

Path = tuple[str, ...]
"""Keys, outermost first."""

PREDICTION = "__prediction__"
LABELLED = "__label__"  # what came true, where it stands among the columns of a series
WEIGHT = "__weight__"  # how much a label counts
SAMPLING = "__sampling__"  # which share of all requests the log holds, in percent
OF_LABELS = LABELLED, WEIGHT
LONGEST_INDEX = 8  # digits
OF_ID = -1  # the id, among columns of categories


HEADER, KEY, PARTITION, BROKER = "header", "key", "partition", "broker"


@dataclass(frozen=True, slots=True)
class PlaceBeside:
    """What stands beside the value of a message: a header by its `name`, the key or what is `below` in one of JSON, the partition, the broker's time.

    `path` is where rows have it. A `timely` header of digits is a number, and a `numeric` header or key any number.
    """

    path: Path
    kind: str
    name: str = ""
    below: Path = ()
    timely: bool = False
    numeric: bool = False

    @classmethod
    def parse(cls, kind: str, said: Any, *, timely: bool = False, numeric: bool = False) -> "PlaceBeside":
        """From what a mapping says: the name of a header, the path of a key, or that it is wanted."""
        name = said if kind == HEADER else ""
        below = tuple(said.split(".")) if kind == KEY and isinstance(said, str) else ()
        shown = f"<{kind} {said}>" if isinstance(said, str) else f"<{kind}>"  # no key of a message looks so
        shown += " as time" if timely and kind == HEADER else " as number" if numeric else ""
        return cls((shown,), kind, name, below, timely, numeric)


def is_index(name: str) -> bool:
    """Whether a part of a path may be a place in a list."""
    return name.isascii() and name.isdecimal() and len(name) < LONGEST_INDEX


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Where a topic's messages keep what is needed: paths of keys. An empty path is the message itself.

    `model_is` and `version_is` are constants: all messages are of them, and nothing is looked up. An empty `group`: rows are
    on their own. `sampling` is the share of all requests that the log holds, in percent once it is multiplied by `sampling_unit`;
    `sampling_is` the same where no message says it. `latency_unit` in seconds; `fine` are texts at the path of errors that are none.
    Not `predicts`: rows have features alone. `explode` leads to a list of which each element is a row; `columns` are the names of
    features that are a list. `beside` are the paths that lead to no part of the message.
    """

    timestamp: Path = ("ts",)
    model: Path = ("model",)
    version: Path = ("version",)
    features: Path = ("features",)
    prediction: Path = ("prediction",)
    id: Path = ("id",)
    group: Path = ()
    label: Path = ()
    weight: Path = ()
    latency: Path = ()
    latency_unit: float = 1.0
    error: Path = ()
    scores: Path = ()
    sampling: Path = ()
    sampling_unit: float = 1.0
    sampling_is: float | None = None
    fine: tuple[str, ...] = ()
    predicts: bool = True
    unit: Nanos = UNITS["ms"]
    model_is: str | None = None
    version_is: str | None = None
    explode: Path = ()
    columns: tuple[str, ...] = ()
    beside: tuple[PlaceBeside, ...] = ()

    @classmethod
    def parse(cls, paths: Mapping[str, Any], unit: Nanos, topic: str = "") -> "FieldMap":
        """From dotted paths; `{"const": TEXT}` stands for a constant, `{"topic": PATTERN}` for what it finds in the topic's name."""
        dotted = {name: said for name, said in paths.items() if isinstance(said, str)}
        split: dict[str, Any] = {name: tuple(path.split(".")) if path else () for name, path in dotted.items()}
        beside = []
        for name, said in paths.items():
            if isinstance(said, Mapping) and (kind := next((each for each in BESIDE if each in said), None)):
                beside.append(
                    place := PlaceBeside.parse(kind, said[kind], timely=name == "timestamp", numeric=name == "sampling")
                )
                split[name] = place.path
            elif isinstance(said, Mapping):
                split |= _told(name, said, topic)
        split["columns"] = tuple(paths.get("columns") or ())
        return cls(**split, unit=unit, beside=tuple(dict.fromkeys(beside)))

    @property
    def shapes(self) -> bool:
        """Whether rows are to be more than what lies at the paths of a message's objects."""
        return bool(self.explode or self.columns or self.beside or self.indexed)

    @property
    def _beside_features(self) -> tuple[Path, ...]:
        return (
            self.prediction,
            self.id,
            self.group,
            self.label,
            self.weight,
            self.latency,
            self.error,
            self.scores,
            self.sampling,
        )

    @property
    def indexed(self) -> tuple[Path, ...]:
        """The paths some of whose parts may be places in lists."""
        paths = dict.fromkeys((*self.envelope.values(), self.features, *self._beside_features))
        return tuple(path for path in paths if any(map(is_index, path[1:])))

    @property
    def among_features(self) -> frozenset[str]:
        """The keys of the object of features that are mapped as something else, as a prediction that stands there."""
        mapped = (*self._beside_features, *self.envelope.values())
        return frozenset(path[-1] for path in mapped if path and path[:-1] == self.features)

    @property
    def envelope(self) -> dict[str, Path]:
        """Where event time, model and version are looked up, by what they are; a constant is not."""
        places = {"timestamp": self.timestamp}
        if self.model_is is None:
            places["model"] = self.model
        if self.version_is is None:
            places["version"] = self.version
        return places

    def feature_path(self, name: str) -> Path:
        """Where a column of the reference stands in the message."""
        if name == PREDICTION:
            return self.prediction
        return self.label if name == LABELLED and self.label else (*self.features, name)


BESIDE = HEADER, KEY, PARTITION, BROKER


def named_in(topic: str, pattern: str | bool, name: str) -> str | None:  # noqa: FBT001 - as the configuration has it
    """What a pattern such as `seldon.{model}.inputs` finds in the name of a topic; all of it where there is none. None: it is another's."""
    if not isinstance(pattern, str):
        return topic
    parts = re.split(r"\{(model|version)\}", pattern)  # texts and names in turn
    text = "".join(f"(?P<{part}>.+?)" if at % 2 else re.escape(part) for at, part in enumerate(parts))
    found = re.fullmatch(text, topic)
    return None if found is None else found.groupdict().get(name)


def _told(name: str, said: Mapping[str, Any], topic: str) -> dict[str, Any]:
    """What a field says that is more than a path."""
    if "const" in said:
        return {f"{name}_is": said["const"]}
    if "topic" in said:
        return {f"{name}_is": named_in(topic, said["topic"], name)}
    path: dict[str, Any] = {name: tuple(said["path"].split("."))}
    if name == "sampling":
        return path | {"sampling_unit": 100.0 if said["unit"] == "fraction" else 1.0}
    if name == "latency":
        return path | {"latency_unit": UNITS[said["unit"]] / SECOND}
    return path | {"fine": tuple(said["fine"])}


@dataclass(frozen=True, slots=True)
class FeatureSlot:
    """A feature as a decoder needs it, before a reference says more; `categories` of a number are none."""

    name: str
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FeatureSlots:
    """What a decoder needs of a layout. There may be more categories than a reference keeps."""

    numeric: tuple[FeatureSlot, ...]
    categorical: tuple[FeatureSlot, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(column.name for column in (*self.numeric, *self.categorical))


@dataclass(frozen=True, slots=True)
class JoinedFields:
    """What of a message is joined with labels, beside the columns of a reference: columns and where they stand; of classes the texts too.

    Not `spelled`: each text is a class of its own.
    """

    numeric: tuple[tuple[str, Path], ...] = ()
    categorical: tuple[tuple[str, Path, tuple[str, ...]], ...] = ()
    scores: tuple[int, int] = (0, 0)  # how many of these, the first, are of predictions and not of labels
    spelled: bool = True
    classes: tuple[str, ...] = ()  # that have scores
    listed: bool = False  # these may be a list in that order


class Bounds(NamedTuple):
    """What a number is to lie within: above what and up to what, whether it is whole, and one of which, None: of any.

    `flags`: truth values are told as well.
    """

    least: float
    most: float
    whole: bool
    flags: bool
    values: list[float] | None


class Keeping(NamedTuple):
    """What surely keeps the rules of a contract: texts, numbers within bounds, truth values, nothing at all, texts that are times.

    `known` are the texts of all values, None: any; a pattern is its table of states as bytes, none: any. What else stands there may
    keep them, too: whoever asks reads it again.
    """

    texts: bool
    numbers: bool
    truth: bool
    nothing: bool
    times: bool
    bounds: Bounds
    known: list[str] | None
    kinds: bytes
    after: bytes
    ends: bytes


class SeriesFields:
    """The columns of one series in the order of its reference, those that are joined after them, and where its messages keep them.

    Where its requests are `served`, what they took and whether they failed stand behind, and last which share of them the log holds.
    """

    def __init__(
        self,
        key: SeriesKey,
        layout: Layout | FeatureSlots,
        fields: FieldMap,
        joined: JoinedFields | None = None,
        *,
        served: bool = False,
    ) -> None:
        self.key = key
        self.fields = fields
        self.joined = joined
        self.half = WHOLE  # what of a prediction its rows are
        self._layout = layout
        self.numeric = [(feature.name, fields.feature_path(feature.name)) for feature in layout.numeric]
        self.categorical = [(feature.name, fields.feature_path(feature.name)) for feature in layout.categorical]
        self.own = len(self.numeric), len(self.categorical)  # columns of the reference
        scores = (0, 0) if joined is None else joined.scores
        self.counted = (
            self.own[0] + scores[0],
            self.own[1] + scores[1],
        )  # the first columns; those of labels are counted apart
        self.known = frozenset(layout.names) | fields.among_features
        spelled = isinstance(layout, Layout)  # what is still to be found is not yet known to be one value
        self.tables = [CategoryTable(feature.categories, spelled=spelled) for feature in layout.categorical]
        if joined is not None:
            self.numeric += joined.numeric
            self.categorical += [(name, path) for name, path, _ in joined.categorical]
            self.tables += [CategoryTable(classes, spelled=joined.spelled) for _, _, classes in joined.categorical]
        self.sampling: int | None = None  # its column among the numbers, the last
        self.latency: int | None = None
        self.error: int | None = None  # their columns, among the numbers and among the categories
        if served:
            self._serve()
        if fields.sampling:
            self.sampling = len(self.numeric)
            self.numeric.append((SAMPLING, fields.sampling))
        self.id = self._own_id()
        self.group = fields.group
        self.placed = self.wide  # whether the place of each row's message is wanted: also where a contract asks
        self.bounds: Sequence[Bounds] = ()
        """Of each number of the reference, where a contract asks."""
        self.keeping: dict[int, Keeping] = {}
        """Of columns of categories, and at `OF_ID` of the id, of which a contract asks what codes and hashes do not tell."""
        self.unseen = np.array([table.unseen for table in self.tables], dtype=np.int32)  # the code of a new category

    def _serve(self) -> None:
        """Add the columns of what requests took, and of whether they failed, where a path leads to them."""
        if self.fields.latency:
            self.latency = len(self.numeric)
            self.numeric.append((LATENCY, self.fields.latency))
        if self.fields.error:
            self.error = len(self.categorical)
            self.categorical.append((ERROR, self.fields.error))
            self.tables.append(ErrorTable(self.fields.fine))

    def of_half(self, half: int, *, served: bool) -> "SeriesFields":
        """The columns of a request, all but the prediction and its scores, or those of a response; labels may stand in either."""
        joined = self.joined or JoinedFields()
        if half == REQUEST:
            joined = replace(
                joined,
                numeric=tuple(each for each in joined.numeric if each[0] in OF_LABELS),
                categorical=tuple(each for each in joined.categorical if each[0] in OF_LABELS),
                scores=(0, 0),
                classes=(),
            )
        layout = _half_of(self._layout, half)
        found = SeriesFields(self.key, layout, _fields_of(self.fields, half), joined, served=served)
        found.half, found.placed = half, True
        return found

    @property
    def of_features(self) -> tuple[Sequence[tuple[str, Path]], Sequence[tuple[str, Path]]]:
        """The columns of the reference alone, numbers and categories, by name and path."""
        return self.numeric[: self.own[0]], self.categorical[: self.own[1]]

    @property
    def serves(self) -> bool:
        """Whether it is read how requests were served."""
        return self.latency is not None or self.error is not None

    @property
    def wide(self) -> bool:
        """Whether more bits of ids are wanted."""
        return self.joined is not None and bool(self.id)

    def _own_id(self) -> Path:
        """Where a row has its id; empty where something else stands there: then no ids are read."""
        fields, path = self.fields, self.fields.id
        others = [
            fields.timestamp,
            fields.model,
            fields.version,
            *(held for _, held in (*self.numeric, *self.categorical)),
        ]
        apart = all(path[: len(other)] != other and other[: len(path)] != path for other in others)
        return path if path and apart and fields.features[: len(path)] != path else ()

    def unknown(self, row: Mapping[Path, object]) -> list[str]:
        """Features of a row that the reference does not have. Only where features have an object of their own."""
        return self.named(row, self.known)

    def named(self, row: Mapping[Path, object], known: frozenset[str]) -> list[str]:
        """Features of a row but these. Only where features have an object of their own."""
        path = self.fields.features
        if not path:
            return []
        held = row.get(path)
        if isinstance(held, dict) and held.keys() <= known:  # as a rule
            return []
        names = held if isinstance(held, Mapping) else _names_below(path, row)
        return [name for name in names if name not in known]


def _fields_of(fields: FieldMap, half: int) -> FieldMap:
    """Where a half keeps what is needed: a response has no features, and none are asked of it."""
    return replace(fields, features=()) if half == RESPONSE else fields


def _half_of(layout: Layout | FeatureSlots, half: int) -> Layout | FeatureSlots:
    """The prediction alone, or all but it."""
    is_response = half == RESPONSE
    if isinstance(layout, FeatureSlots):
        slots = (
            tuple(each for each in columns if (each.name == PREDICTION) is is_response)
            for columns in (layout.numeric, layout.categorical)
        )
        return FeatureSlots(*slots)
    numeric = tuple(each for each in layout.numeric if (each.name == PREDICTION) is is_response)
    categorical = tuple(each for each in layout.categorical if (each.name == PREDICTION) is is_response)
    return Layout(numeric, categorical) if numeric or categorical else FeatureSlots(())


def _names_below(path: Path, row: Mapping[Path, object]) -> Iterable[str]:
    depth = len(path)
    return dict.fromkeys(other[depth] for other in row if len(other) > depth and other[:depth] == path)


class TopicFields:
    """What a topic may hold: its field map and its series, by model and version. `options` are those of its format, as that declares them."""

    def __init__(
        self,
        series: Iterable[SeriesFields],
        fields: FieldMap,
        followed: Collection[SeriesKey] = (),
        *,
        name: str = "",
        options: Any = None,
    ) -> None:
        self.fields = fields
        self.name = name
        self.options = options
        self._halves: dict[int, TopicFields] = {}
        self._followed = frozenset(followed)  # new versions: a row that names none is of none of them
        self.series = {each.key: each for each in series}
        self._wildcards = {key.model: each for key, each in self.series.items() if key.version == ANY_VERSION}
        models = {key.model for key in self.series}
        held = [each.known for each in self.series.values()]
        self.known = held[0].intersection(*held) if held else frozenset[str]()
        """The features that all series know."""
        self.stamped = False
        """Whether a row without a time has that of its record."""
        self.waiting: Callable[[SeriesFields], NDArray[Any]] | None = None
        """A row of one half of a series as it waits for the other, with nothing in it, where whoever joins them says so."""
        self.unnamed = fields.model_is or (next(iter(models)) if len(models) == 1 else None)
        """The model of a row that names none: the constant one, or the only one."""

    def of_half(self, half: int, *, served: bool | None = None) -> "TopicFields":
        """The same of rows that are half a prediction. How a request was served is known once it is answered, unless it is said otherwise."""
        if half not in self._halves:
            serves = half == RESPONSE if served is None else served
            series = [each.of_half(half, served=serves and each.serves) for each in self.series.values()]
            fields = _fields_of(self.fields, half)
            self._halves[half] = TopicFields(series, fields, self._followed, name=self.name, options=self.options)
        return self._halves[half]

    def series_of(self, model: Any, version: Any) -> SeriesFields | None:
        """The series of a row's model and version; None where it is not monitored. Raises Rejected."""
        if self.fields.version_is is not None:
            version = self.fields.version_is
        if isinstance(version, dict | list):
            raise Rejected("version_invalid")
        if self.fields.model_is is not None or (model is None and self.unnamed is not None):
            return self.unnamed_series(version_text(version))
        if model is None:
            raise Rejected("model_missing")
        if not isinstance(model, str):
            raise Rejected("model_invalid")
        return self.named_series(model, version_text(version))

    def named_series(self, model: str, version: str) -> SeriesFields | None:
        """The series of a version of a model, else that of all its other versions."""
        return self.series.get(SeriesKey(model, version)) or self._wildcards.get(model)

    def unnamed_series(self, version: str) -> SeriesFields | None:
        """The series of a row that names no model; one that names no version either is of the only series there is."""
        assert self.unnamed is not None
        held = [each for key, each in self.series.items() if key.model == self.unnamed and key not in self._followed]
        return held[0] if len(held) == 1 and not version else self.named_series(self.unnamed, version)

"""Where a topic's messages keep what is needed: paths, the columns of each series, and whose a message is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors import Layout, canonical
from monitor.sources.formats.values import UNITS, Rejected, version_text
from monitor.stream.events import ANY_VERSION, Nanos, SeriesKey

Path = tuple[str, ...]
"""Keys, outermost first."""

PREDICTION = "__prediction__"


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Where a topic's messages keep what is needed: paths of keys. An empty path is the message itself."""

    timestamp: Path = ("ts",)
    model: Path = ("model",)
    version: Path = ("version",)
    features: Path = ("features",)
    prediction: Path = ("prediction",)
    id: Path = ("id",)
    unit: Nanos = UNITS["ms"]

    @classmethod
    def parse(cls, paths: Mapping[str, str], unit: Nanos) -> "FieldMap":
        """From dotted paths."""
        split = {name: tuple(path.split(".")) if path else () for name, path in paths.items()}
        return cls(**split, unit=unit)

    def feature_path(self, name: str) -> Path:
        """Where a column of the reference stands in the message."""
        return self.prediction if name == PREDICTION else (*self.features, name)


class CategoryTable(dict[Any, int]):
    """Category text to code. What is not in it is worked out and not kept: events must not grow memory."""

    def __init__(self, categories: Sequence[str]) -> None:
        super().__init__({name: code for code, name in enumerate(categories)})
        self.categories = list(categories)
        self.unseen = len(categories)
        self.missing = self.unseen + 1
        self[None] = self.missing

    def __missing__(self, value: Any) -> int:
        if isinstance(value, str):
            return self.unseen
        text = canonical(value)
        return self.unseen if text is None else self.get(text, self.unseen)


class SeriesFields:
    """The columns of one series in the order of its reference, and where its messages keep them."""

    def __init__(self, key: SeriesKey, layout: Layout, fields: FieldMap) -> None:
        self.key = key
        self.fields = fields
        self.numeric = [(feature.name, fields.feature_path(feature.name)) for feature in layout.numeric]
        self.categorical = [(feature.name, fields.feature_path(feature.name)) for feature in layout.categorical]
        self.known = frozenset(layout.names)
        self.tables = [CategoryTable(feature.categories) for feature in layout.categorical]
        self.id = self._own_id()
        self.unseen = np.array([table.unseen for table in self.tables], dtype=np.int32)  # the code of a new category

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
        path = self.fields.features
        if not path:
            return []
        held = row.get(path)
        names = held if isinstance(held, Mapping) else _names_below(path, row)
        return [name for name in names if name not in self.known]


def _names_below(path: Path, row: Mapping[Path, object]) -> Iterable[str]:
    depth = len(path)
    return dict.fromkeys(other[depth] for other in row if len(other) > depth and other[:depth] == path)


class TopicFields:
    """What a topic may hold: its field map and its series, by model and version."""

    def __init__(self, series: Iterable[SeriesFields], fields: FieldMap) -> None:
        self.fields = fields
        self.series = {each.key: each for each in series}
        self._wildcards = {key.model: each for key, each in self.series.items() if key.version == ANY_VERSION}

    def series_of(self, model: Any, version: Any) -> SeriesFields | None:
        """The series of a row's model and version; None where it is not monitored. Raises Rejected."""
        if model is None:
            raise Rejected("model_missing")
        if not isinstance(model, str):
            raise Rejected("model_invalid")
        if isinstance(version, dict | list):
            raise Rejected("version_invalid")
        return self.series.get(SeriesKey(model, version_text(version))) or self._wildcards.get(model)

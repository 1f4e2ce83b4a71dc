"""Where messages keep things, and one series' messages to columns: typed all at once, or leniently one by one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import Layout, canonical
from monitor.sources.formats.structs import StructPlan, plan_struct
from monitor.sources.formats.values import UNREADABLE, category, dig, number
from monitor.stream.events import Nanos, SeriesKey

PREDICTION = "__prediction__"


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Where a topic's messages keep what is needed: paths of keys. An empty path is the message itself."""

    timestamp: tuple[str, ...] = ("ts",)
    model: tuple[str, ...] = ("model",)
    version: tuple[str, ...] = ("version",)
    features: tuple[str, ...] = ("features",)
    prediction: tuple[str, ...] = ("prediction",)
    unit: Nanos = 1_000_000

    @classmethod
    def parse(cls, paths: Mapping[str, str], unit: Nanos) -> "FieldMap":
        """From dotted paths."""
        split = {name: tuple(path.split(".")) if path else () for name, path in paths.items() if name != "id"}
        return cls(**split, unit=unit)

    def feature_path(self, name: str) -> tuple[str, ...]:
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


class SeriesDecoder:
    """Messages of one series to columns."""

    def __init__(self, key: SeriesKey, layout: Layout, fields: FieldMap) -> None:
        self.key = key
        self.fields = fields
        self.numeric = [(feature.name, fields.feature_path(feature.name)) for feature in layout.numeric]
        self.categorical = [(feature.name, fields.feature_path(feature.name)) for feature in layout.categorical]
        self.known = frozenset(layout.names)
        self.tables = [CategoryTable(feature.categories) for feature in layout.categorical]
        self.unseen = np.array([table.unseen for table in self.tables], dtype=np.int32)  # the code of a new category
        self.plan: StructPlan | None = plan_struct(
            {"timestamp": fields.timestamp, "model": fields.model, "version": fields.version},
            [path for _, path in self.numeric],
            [path for _, path in self.categorical],
            fields.features,
        )

    def columns(self, messages: list[Any]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Typed structs to matrices: numeric float64[n, k] (column-major), codes int32[n, c]."""
        assert self.plan is not None
        columns = self.plan.columns(messages)
        count = len(messages)
        width = len(self.numeric)
        numeric = np.array(columns[:width], dtype=np.float64).reshape(width, count).T
        codes = np.empty((len(self.tables), count), dtype=np.int32)
        for row, (table, column) in enumerate(zip(self.tables, columns[width:], strict=True)):
            codes[row] = np.fromiter(map(table.__getitem__, column), dtype=np.int32, count=count)
        return numeric, codes.T

    def lenient_row(self, found: dict[str, Any], reasons: Counter[str]) -> tuple[list[float], list[int]]:
        """One message, value by value, with the reason of each value that is none."""
        numbers = [number(dig(found, path), reasons) for _, path in self.numeric]
        codes = []
        for table, (_, path) in zip(self.tables, self.categorical, strict=True):
            codes.append(table[category(dig(found, path), reasons)])
        return numbers, codes

    def unknown(self, found: dict[str, Any]) -> int:
        """Features of a message that the reference does not have. Only where features have an object of their own."""
        features = dig(found, self.fields.features) if self.fields.features else None
        return sum(name not in self.known for name in features) if isinstance(features, dict) else 0


def decode_typed(decoder: SeriesDecoder, values: list[bytes]) -> tuple[list[Any], Sequence[int], list[int]]:
    """Typed structs, their places, and the places of messages that must be read leniently."""
    if decoder.plan is None:
        return [], [], list(range(len(values)))
    decode = msgspec.json.Decoder(decoder.plan.struct).decode
    try:
        return [decode(raw) for raw in values], range(len(values)), []
    except UNREADABLE:
        pass
    typed, places, odd = [], [], []
    for at, raw in enumerate(values):
        try:
            typed.append(decode(raw))
            places.append(at)
        except UNREADABLE:
            odd.append(at)
    return typed, places, odd

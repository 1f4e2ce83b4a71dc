"""Avro schemas and data drawn at random: events in many spellings, and what breaks them."""

import datetime as dt
import io
import json
import uuid
from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import Any

import fastavro

from tests.fakes import NOON

TS = NOON // 1_000_000
SCALARS = ["null", "boolean", "int", "long", "float", "double", "bytes", "string", "enum", "fixed"]
LOGICAL = [
    {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
    {"type": "bytes", "logicalType": "decimal", "precision": 30},
    {"type": "int", "logicalType": "date"},
    {"type": "int", "logicalType": "time-millis"},
    {"type": "long", "logicalType": "time-micros"},
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "string", "logicalType": "uuid"},
]
TIMES: list[Any] = [
    "long",
    "double",
    "string",
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "long", "logicalType": "local-timestamp-micros"},
    ["null", {"type": "long", "logicalType": "timestamp-millis"}],
]
TEXTS = ["", "free", "pro", "Zürich", "1", "true", "churn", "a" * 40, "\U0001f986"]


class Drawn:
    """One schema of events, and data of it."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self._names = 0
        self.schema = self._event()
        self.text = json.dumps(self.schema)
        self.parsed = fastavro.parse_schema(json.loads(self.text))

    def encoded(self) -> bytes:
        """One event."""
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, self.parsed, self.value(self.schema))
        return stream.getvalue()

    # --- schemas ------------------------------------------------------------------------------------------------------

    def _event(self) -> dict[str, Any]:
        draw = self.random
        features = [{"name": name, "type": self._type(1)} for name in ("a", "b", "plan", "code", "e")]
        of_map: Any = {"type": "map", "values": draw.choice(["double", ["null", "string", "double", "long"]])}
        held = [of_map, {"type": "record", "name": "Features", "fields": draw.sample(features, draw.randint(1, 5))}]
        fields = [
            {"name": "ts", "type": draw.choice(TIMES)},
            {"name": "model", "type": draw.choice(["string", ["null", "string"], self._enum(["churn", "fraud"])])},
            {"name": "version", "type": draw.choice(["string", "int", ["null", "string", "long"]])},
            {"name": "features", "type": draw.choice([*held, ["null", held[1]]])},
            {"name": "prediction", "type": self._type(1)},
            {"name": "id", "type": self._type(2)},
            {"name": "more", "type": self._type(0)},
        ]
        draw.shuffle(fields)
        return {"type": "record", "name": "Event", "fields": fields}

    def _type(self, depth: int) -> Any:
        draw = self.random
        kind = draw.choice(["scalar", "scalar", "logical", "union", "nested"])
        if kind == "logical":
            return draw.choice(LOGICAL)
        if kind == "union" and depth < 3:
            return ["null", draw.choice(["double", "string", "long", draw.choice(LOGICAL)])]
        if kind == "nested" and depth < 3:
            return self._nested(depth)
        return self._scalar()

    def _scalar(self) -> Any:
        name = self.random.choice(SCALARS)
        if name == "enum":
            return self._enum(["free", "pro", "1"])
        return {"type": "fixed", "name": self._name(), "size": 3} if name == "fixed" else name

    def _nested(self, depth: int) -> Any:
        kind = self.random.choice(["array", "map", "record"])
        if kind == "record":
            fields = [{"name": name, "type": self._type(depth + 1)} for name in "xy"]
            return {"type": "record", "name": self._name(), "fields": fields}
        return {"type": kind, "items" if kind == "array" else "values": self._type(depth + 1)}

    def _enum(self, symbols: Sequence[str]) -> Any:
        symbols = [symbol if symbol.isidentifier() else f"s{symbol}" for symbol in symbols]
        return {"type": "enum", "name": self._name(), "symbols": symbols}

    def _name(self) -> str:
        self._names += 1
        return f"T{self._names}"

    # --- data ---------------------------------------------------------------------------------------------------------

    def value(self, told: Any, name: str = "") -> Any:  # noqa: PLR0911 - one a kind
        """A value of a type; those of the envelope are mostly such that the event counts."""
        draw = self.random
        if isinstance(told, list):
            return self.value(draw.choice(told), name)
        if isinstance(told, str):
            return self._plain(told, name)
        if "logicalType" in told:
            return self._logical(told, name)
        match told["type"]:
            case "record":
                return {each["name"]: self.value(each["type"], each["name"]) for each in told["fields"]}
            case "array":
                return [self.value(told["items"]) for _ in range(draw.randint(0, 3))]
            case "map":
                keys = draw.sample(["a", "b", "plan", "code", "e", "Zürich"], draw.randint(0, 5))
                return {key: self.value(told["values"]) for key in keys}
            case "enum":
                return draw.choice(told["symbols"])
            case "fixed":
                return draw.randbytes(told["size"])
        return self._plain(told["type"], name)

    def _plain(self, kind: str, name: str) -> Any:  # noqa: PLR0911 - same
        draw = self.random
        if name == "ts" and kind != "null":
            return {"long": TS + draw.randint(0, 9), "double": TS + 0.25, "string": "2026-11-23T12:00:00.5Z"}[kind]
        if name in {"model", "version"} and kind == "string":
            return draw.choice(["churn", "fraud"] if name == "model" else ["3", "4"])
        match kind:
            case "null":
                return None
            case "boolean":
                return draw.random() < 0.5
            case "int":
                return draw.choice([0, 1, 3, -1, 2**31 - 1, -(2**31)])
            case "long":
                return draw.choice([0, 3, -7, 2**53 + 1, 2**63 - 1, -(2**63)])
            case "float":
                return draw.choice([0.5, -0.0, 2.0, float("nan"), float("inf"), 1.5e30])
            case "double":
                return draw.choice([draw.gauss(0, 1), 2.5, -0.0, 1e-7, 1e300, float("nan"), -float("inf")])
            case "bytes":
                return draw.randbytes(draw.randint(0, 12))
        return draw.choice(TEXTS)

    def _logical(self, told: Any, name: str) -> Any:
        draw = self.random
        match told["logicalType"]:
            case "decimal" if told.get("scale"):
                return Decimal(draw.randint(-(10**8), 10**8)).scaleb(-2)
            case "decimal":
                return Decimal(draw.choice([0, 7, -1, 10**25]))
            case "date":
                return dt.date(2026, 1, 1) + dt.timedelta(days=draw.randint(0, 400))
            case "time-millis" | "time-micros":
                return dt.time(draw.randint(0, 23), 5, 6, 7000)
            case "uuid":
                return uuid.UUID(int=draw.getrandbits(128))
        late = 0 if name == "ts" else draw.randint(0, 10**6)
        time = dt.datetime.fromtimestamp(TS / 1000, dt.UTC) + dt.timedelta(milliseconds=late)
        return time.replace(tzinfo=None) if "local" in told["logicalType"] else time


def damaged(random: Random, raw: bytes) -> bytes:
    """The same with a few bytes changed, cut off or added."""
    for _ in range(random.randint(1, 3)):
        at = random.randint(0, len(raw))
        match random.randint(0, 3):
            case 0:
                raw = raw[:at]
            case 1:
                raw = raw[:at] + random.randbytes(random.randint(1, 3)) + raw[at:]
            case 2:
                raw = raw[:at] + random.choice([b"\xff", b"\x80", b"\x01", b"\x00", b"\xff" * 10]) + raw[at + 1 :]
            case _:
                raw += random.randbytes(1)
    return raw

"""Requests and answers as records, and the rows that formats make of them; what real libraries wrote."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from monitor.sources.base import Headers, TopicRecords
from monitor.sources.formats.base import REQUEST, RESPONSE, WHOLE, Rows
from monitor.sources.formats.fields import FieldMap, TopicFields
from monitor.sources.formats.values import parse_time

RECORDED = Path(__file__).parent / "parts" / "formats"
HALVES = {WHOLE: "whole", REQUEST: "request", RESPONSE: "response"}
Row = dict[str, Any]


def recorded(library: str) -> Any:
    """What a library wrote for fixed values (`make formats`)."""
    return json.loads((RECORDED / f"{library}.json").read_text(encoding="utf-8"))


def unpacked(text: str) -> bytes:
    """Bytes as they are recorded."""
    return base64.b64decode(text)


def records(
    *values: bytes | None,
    topic: str = "t",
    headers: Iterable[Mapping[str, str]] = (),
    keys: Sequence[bytes | None] = (),
    stamps: Sequence[int] = (),
) -> TopicRecords:
    """Records of a topic."""
    held: list[Headers] = [[(name, value.encode()) for name, value in each.items()] for each in headers]
    return TopicRecords(topic, [0] * len(values), values, keys=keys, stamps=stamps, headers=held)


def decoder_of(form: ModuleType, topic: str = "", **options: Any) -> Any:
    """A format's decoder of a topic."""
    return form.decoder(TopicFields((), FieldMap(), name=topic, options=form.Options(**options)))


def decoded(form: ModuleType, found: TopicRecords, **options: Any) -> Rows:
    """A format's rows of records."""
    rows: Rows = decoder_of(form, **options).decode_records(found)
    return rows


def said(rows: Rows) -> list[Row]:
    """Rows as dotted paths to values, what is missing left out; times in nanoseconds, and which half it is."""
    paths = [("ts",), ("id",), ("model",), ("version",), ("prediction",)]
    paths += [
        (below, name)
        for below in ("features", "outputs", "kserve", "seldon", "ce")
        for name in sorted(rows.names((below,)))
    ]
    found = []
    for at in range(len(rows)):
        row = {
            ".".join(path): value
            for path, value in zip(paths, rows.values(at, paths), strict=True)
            if value is not None
        }
        if "ts" in row and isinstance(row["ts"], str):
            row["ts"] = parse_time(row["ts"])
        if rows.halves is not None:
            row["half"] = HALVES[int(rows.halves[at])]
        found.append(row)
    return found


def features(rows: Rows) -> list[Row]:
    """The features alone."""
    return [
        {name.removeprefix("features."): value for name, value in row.items() if name.startswith("features.")}
        for row in said(rows)
    ]


def why(rows: Rows) -> dict[str, int]:
    """What was rejected."""
    return {reason: count for reason, count in rows.rejected.items() if count}

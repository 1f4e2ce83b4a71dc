"""Which records were rejected: labels, halves, rows of one message; each as it came, with its offset, beside any others."""

import json
from dataclasses import replace
from typing import Any

import numpy as np

from detectors import Reference
from monitor.series.truth import Truth
from monitor.sources.base import TopicRecords
from monitor.sources.decode.labels import LabelDecoder
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.stream.events import SECOND, OffsetRange, Partition, SeriesKey
from monitor.stream.rejected import RejectedRecord
from tests.fakes import NOON

KEY = SeriesKey("m", "1")
LAYOUT = Reference.fit({"x": np.arange(100.0)}).layout
FUTURE = 600 * SECOND
TS = NOON // 1_000_000


def event(**changes: Any) -> dict[str, Any]:
    said = {"ts": TS, "model": "m", "version": "1", "features": {"x": 1.0}} | changes
    return {name: value for name, value in said.items() if value is not ...}


def keeping(fields: FieldMap, form: str = "json") -> TopicDecoder:
    decoder = TopicDecoder("t", [SeriesFields(KEY, LAYOUT, fields)], fields, FUTURE, form)
    decoder.keeps_rejected = True
    return decoder


def told(rejected: list[RejectedRecord]) -> list[tuple[int, int, list[tuple[int | None, str]]]]:
    return [(each.partition.index, each.offset, list(each.whys)) for each in rejected]


def test_rows_of_a_message_are_named_and_the_message_is_kept_once() -> None:
    rows = [event(), event(ts=...), event(), event(ts="noon"), event(features=3)]
    single = [event(), event(ts=...)]
    values = [json.dumps(each).encode() for each in (rows, [event()], single, [event(ts=1)] * 2)]
    records = TopicRecords(
        "t", [0, 1, 1, 0], values, (OffsetRange(Partition("t", 0), 5, 6), OffsetRange(Partition("t", 1), 9, 10))
    )

    for form, fields, held in (
        ("json-batch", FieldMap(), values),
        ("json", FieldMap(explode=("rows",)), [b'{"rows": %s}' % value for value in values]),
    ):
        deeper = fields if form == "json-batch" else inside(fields)
        found = keeping(deeper, form).decode(TopicRecords("t", records.partitions, held, records.offsets), NOON)

        assert told(list(found.rejected)) == [
            (0, 5, [(2, "timestamp_missing"), (4, "timestamp_invalid"), (5, "features_invalid")]),
            (1, 10, [(2, "timestamp_missing")]),
            (0, 6, [(1, "timestamp_before_2000"), (2, "timestamp_before_2000")]),
        ]
        assert found.rejected[0].value == held[0]


def inside(fields: FieldMap) -> FieldMap:
    """The same fields, of the elements of a list."""
    paths = {name: ("rows", *getattr(fields, name)) for name in ("timestamp", "model", "version", "features")}
    return replace(fields, **paths)


def test_labels_are_kept_with_what_is_beside_them() -> None:
    truth = Truth("binary", positive="1")
    fields = FieldMap(features=(), label=("label",), id=("id",))
    decoder = LabelDecoder("t", {"m": truth}, {"m": [KEY]}, fields, FUTURE)
    decoder.keeps_rejected = True
    good = {"id": "a", "model": "m", "ts": TS, "label": 1}
    said = [good, good | {"id": None}, good | {"label": {}}, None, good | {"ts": "noon"}, "cut", good | {"ts": None}]
    values = [None if each is None else json.dumps(each).encode() for each in said]
    records = TopicRecords(
        "t",
        [0] * 7,
        values,
        keys=[b"k%d" % at for at in range(3)] + [b""] + [b""] * 3,
        numbers=range(7),
        stamps=[NOON] * 7,
    )
    found = decoder.decode(records, NOON)

    assert [(offset, why) for _, offset, [(_, why)] in told(list(found.rejected))] == [
        (1, "id_missing"),
        (2, "label_invalid"),
        (3, "id_missing"),
        (4, "timestamp_invalid"),
        (5, "not_object"),
    ]
    assert (found.rejected[0].key, found.rejected[0].time) == (b"k1", NOON)

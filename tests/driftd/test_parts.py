"""Panes of tables in parts are those of a daemon, byte by byte."""

import json
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

from detectors import LayoutMismatchError, Reference, Sketch
from driftd import spark
from driftd.parts import PaneFold, merge_panes
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.stream.delta import Folder, PaneDelta
from monitor.stream.events import SECOND, SeriesKey
from monitor.stream.sketches import LayoutSketches

KEY = SeriesKey("churn", "3")
MINUTE = 60 * SECOND
BEGIN = 1_763_870_700_000  # ms


def table(rows: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(1)
    return {
        "age": np.where(draw.random(rows) < 0.1, np.nan, draw.integers(15, 70, rows).astype(float)),
        "plan": draw.choice(np.array(["free", "pro", "new", None], dtype=object), rows),
        "score": draw.random(rows),
        "id": draw.integers(0, rows // 2, rows).astype(str),
        "session": draw.integers(0, rows // 5, rows).astype(str),
        "ts": (BEGIN + draw.integers(0, 600_000, rows)).astype("datetime64[ms]"),
    }


DATA = table(4_000)
REFERENCE = Reference.fit(
    {name: DATA[name] for name in ("age", "plan", "score")} | {"plan": np.array(["free", "pro"] * 2_000, dtype=object)},
    prediction="score",
)
FOLD = PaneFold.of(REFERENCE, pane="1m", timestamp="ts", prediction="score", id="id", group="session")


def rows_at(places: np.ndarray) -> dict[str, np.ndarray]:
    return {name: column[places] for name, column in DATA.items()}


def by_daemon(places: np.ndarray, fields: FieldMap) -> list[tuple[int, bytes]]:
    """What a daemon counts of these rows as JSON on a topic: its decoder, its folder, its sketches."""
    messages = [
        json.dumps(
            {
                "id": DATA["id"][at],
                "session": DATA["session"][at],
                "ts": int(DATA["ts"][at].astype(np.int64)),
                "features": {
                    "age": None if np.isnan(DATA["age"][at]) else DATA["age"][at],
                    "plan": DATA["plan"][at],
                },
                "prediction": DATA["score"][at],
            }
        ).encode()
        for at in places.tolist()
    ]
    decoder = TopicDecoder("events", [SeriesFields(KEY, REFERENCE.layout, fields)], fields, 10**18)
    held = decoder.decode(TopicRecords("events", [0] * len(messages), messages), BEGIN * 1_000_000)
    assert sum(len(batch) for batch in held.batches) == places.size
    spec, panes = LayoutSketches(REFERENCE.layout), dict[int, Sketch]()
    for batch in held.batches:
        for delta in Folder({(batch.key, batch.view): MINUTE}).fold(batch):
            sent = PaneDelta.from_bytes(delta.to_bytes(spec), spec)
            for start, part in sent.panes.items():
                part.add_to(panes.setdefault(start, spec.empty()))
    return [(start, pane.to_bytes()) for start, pane in sorted(panes.items())]


def test_panes_of_parts_are_those_of_a_daemon_byte_by_byte() -> None:
    fields = FieldMap(id=("id",), group=("session",))
    everything = np.arange(4_000)
    daemon = by_daemon(everything, fields)
    draw = np.random.default_rng(2)
    parts = np.array_split(draw.permutation(4_000), 5)
    fold = pickle.loads(pickle.dumps(FOLD))

    folded = [pane for part in parts for pane in fold([rows_at(part[:300]), rows_at(part[300:])])]
    half, rest = np.split(draw.permutation(4_000), 2)

    assert len(daemon) == 10
    assert merge_panes(REFERENCE, folded) == daemon
    assert merge_panes(REFERENCE, folded[::-1]) == daemon
    assert merge_panes(REFERENCE, [*by_daemon(half, fields), *fold([rows_at(rest)])]) == daemon


def test_panes_of_another_reference_are_refused() -> None:
    other = Reference.fit({"age": [1.0, 2.0]})

    with pytest.raises(LayoutMismatchError, match="belongs to layout"):
        merge_panes(other, FOLD([DATA]))
    with pytest.raises(ValueError, match="no sketch"):
        merge_panes(REFERENCE, [(0, b"nothing")])


def test_many_panes_are_handed_over_in_pieces_that_add_up() -> None:
    data = {**DATA, "ts": np.arange(4_000).astype("datetime64[h]")}
    fine = PaneFold.of(REFERENCE, pane="1s", timestamp="ts", prediction="score")
    rows = [Sketch.from_bytes(REFERENCE.layout, held).rows for _, held in fine([data, data])]

    assert sum(rows) == 8_000


def test_what_is_no_dataframe_of_spark_is_one_line() -> None:
    table: Any = pd.DataFrame({"amount": [1.0, 2.0], "at": pd.to_datetime(["2026-01-01", "2026-01-02"])})
    reference = Reference.fit(table[["amount"]])
    words = r"^data must be a DataFrame of PySpark 4 or newer, not pandas\.\S*DataFrame$"

    with pytest.raises(TypeError, match=words):
        spark.fit(table)
    with pytest.raises(TypeError, match=words):
        spark.fold(table, reference, model="m", version="1", pane="1h", timestamp="at")

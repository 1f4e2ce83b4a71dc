"""Tables whose columns hold lists: a row an element, places in lists, read as the same messages would be."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.feather as pf
import pytest
import yaml

from detectors import Reference
from monitor.backtest.recorded import Lines, RecordedError
from monitor.cli import main
from monitor.sources.formats.fields import FieldMap
from tests.fakes import NOON
from tests.monitor.backtest.test_tables import MS, decoder, everything, lines, parquet, tables

LISTED = {
    "explode": "instances",
    "features": "instances",
    "columns": ["age", "plan", "member"],
    "prediction": "scores.0",
}
NAMED = {"explode": "rows", "features": "rows.features", "prediction": "rows.score", "id": "rows.id"}


def listed(at: int, rows: int) -> dict[str, Any]:
    """A message whose rows are lists of features; one that has none at every tenth."""
    values = [[str(each), "pro" if each % 2 else "free", None] for each in range(rows)]
    return {
        "id": f"r-{at}",
        "ts": NOON // MS + at,
        "model": "churn",
        "version": "3",
        "instances": values,
        "scores": [at / 100, 1.0],
    }


def named(at: int, rows: int) -> dict[str, Any]:
    """The same as objects, with numbers."""
    held = [
        {
            "id": f"{at}-{each}",
            "score": each / 10,
            "features": {"age": each + 0.5, "plan": "pro", "member": each % 2 == 0},
        }
        for each in range(rows)
    ]
    return {"ts": NOON // MS + at, "model": "churn", "version": "3", "rows": held}


def written(home: Path, rows: list[dict[str, Any]], form: str) -> Path:
    if form == "parquet":
        return parquet(home, rows)
    if form == "arrow":
        pf.write_feather(pa.Table.from_pylist(rows), home / "events.arrow")
        return home / "events.arrow"
    features = [("age", "double"), ("plan", "string"), ("member", "boolean")]
    inner = {"type": "record", "name": "F", "fields": [{"name": n, "type": ["null", t]} for n, t in features]}
    row = [("id", "string"), ("score", "double"), ("features", inner)]
    rows_type = {
        "type": "array",
        "items": {"type": "record", "name": "R", "fields": [{"name": n, "type": t} for n, t in row]},
    }
    outer = [("ts", "long"), ("model", "string"), ("version", "string"), ("rows", rows_type)]
    schema = {"type": "record", "name": "M", "fields": [{"name": n, "type": t} for n, t in outer]}
    with (home / "events.avro").open("wb") as file:
        fastavro.writer(file, schema, rows)
    return home / "events.avro"


@pytest.mark.parametrize(
    ("make", "mapping", "form"),
    [
        (listed, LISTED, "parquet"),
        (listed, LISTED, "arrow"),
        (named, NAMED, "parquet"),
        (named, NAMED, "arrow"),
        (named, NAMED, "avro"),
    ],
)
def test_a_list_of_a_table_is_read_as_that_of_the_messages(tmp_path: Path, make: Any, mapping: Any, form: str) -> None:
    fields = FieldMap.parse(mapping, MS)
    events = [make(at, at % 10) for at in range(600)]  # more than a chunk has
    expected = everything(Lines([lines(tmp_path, events)], decoder(fields=fields)).pieces())

    assert everything(tables([written(tmp_path, events, form)], fields=fields).pieces()) == expected
    assert expected[1]["EventsRejected", "rows_missing"] == 60


def test_a_table_without_the_list_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path, [{"ts": NOON // MS, "age": 1.0}])

    with pytest.raises(RecordedError, match=r"has no column rows of which each element is a row; it has ts, age"):
        list(tables([path], fields=FieldMap.parse(NAMED, MS)).pieces())


@pytest.mark.parametrize("make", [listed, named])
def test_fit_and_backtest_of_such_a_table(tmp_path: Path, make: Any, capsys: pytest.CaptureFixture[str]) -> None:
    mapping = LISTED if make is listed else NAMED
    if make is listed:  # a number of each row needs names: the prediction is the message's
        mapping = {**LISTED, "prediction": "instances.age"}
    events = [
        named(at, 5) if make is named else {**listed(at, 5), "instances": [[float(n), n] for n in range(5)]}
        for at in range(400)
    ]
    mapping = mapping if make is named else {**mapping, "columns": ["age", "size"]}
    config = {
        "topics": [{"name": "p", "fields": mapping}],
        "models": [{"name": "churn", "reference": "r.json", "window": "1s", "min_rows": 1}],
    }
    (tmp_path / "driftd.yaml").write_text(yaml.safe_dump(config))
    path, shown = str(parquet(tmp_path, events)), str(tmp_path / "found.json")
    how = ["--config", str(tmp_path / "driftd.yaml"), "--input", path]

    assert main(["reference", "fit", *how, "--output", str(tmp_path / "r.json")]) == 0, capsys.readouterr().err
    found = Reference.load(tmp_path / "r.json")
    assert found.rows == 2000
    assert ("size" if make is listed else "age") in found.names
    assert np.isclose(found.sketch.missing.sum(), 0)
    assert main(["backtest", *how, "--json", shown]) in {0, 1}, capsys.readouterr().err
    assert json.loads(Path(shown).read_text())["events"]["ok"] == 2000


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_rows_of_a_log_are_exploded_as_any(tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether it comes as lines or as a table: fit, backtest and the check of a contract see an element a row."""
    topic = {"name": "p", "kind": "features", "format": "feast", "options": {"request_data": ["basket"]}}
    topic["fields"] = {"explode": "features.basket", "features": "features.basket", "model": {"const": "churn"}}
    model = {"name": "churn", "reference": "r.json", "window": "1s", "min_rows": 1}
    (tmp_path / "driftd.yaml").write_text(yaml.safe_dump({"topics": [topic], "models": [model]}))
    stamps = [datetime.fromtimestamp(NOON / 1e9 + at, UTC) for at in range(400)]
    logged = [
        {
            "basket": [{"price": at + each / 2, "at": stamp} for each in range(5)] if at else [],
            "__log_timestamp": stamp,
            "__request_id": f"r-{at}",
        }
        for at, stamp in enumerate(stamps)
    ]
    path = parquet(tmp_path, logged)
    if form == "jsonl":
        path = lines(tmp_path, json.loads(json.dumps(logged, default=datetime.isoformat)))
    how, reference = ["--config", str(tmp_path / "driftd.yaml")], tmp_path / "r.json"

    assert main(["reference", "fit", *how, "--input", str(path), "--output", str(reference)]) == 0
    found = Reference.load(reference)
    assert (found.names, found.rows) == (("price",), 5 * 399)
    assert "at: a time" in (said := capsys.readouterr().err)
    assert "rows_missing 1" in said
    main(["backtest", *how, "--input", str(path), "--json", str(tmp_path / "told.json")])
    events = json.loads((tmp_path / "told.json").read_text())["events"]
    assert (events["ok"], events["late"], events["rejected"]) == (5 * 399, 0, 1)
    assert main(["contract", "infer", str(reference), "--output", str(tmp_path / "c.yaml")]) == 0
    capsys.readouterr()
    assert main(["contract", "check", str(tmp_path / "c.yaml"), str(path), *how]) == 1
    [broken] = [line for line in capsys.readouterr().out.splitlines() if " at" in f" {line}"]
    assert broken.endswith("allows: at"), broken

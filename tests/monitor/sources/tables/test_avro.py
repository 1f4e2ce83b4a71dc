"""Avro containers as tables: the same columns as of JSON lines, and one line for what is wrong with a file."""

import datetime as dt
import io
from pathlib import Path
from typing import Any

import pytest

from monitor.sources.tables.base import TableError
from monitor.sources.tables.files import chunks, look

fastavro: Any = pytest.importorskip("fastavro")

SCHEMA = {
    "type": "record",
    "name": "Row",
    "fields": [
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "plan", "type": ["null", "string"]},
        {
            "name": "features",
            "type": {"type": "record", "name": "F", "fields": [{"name": "age", "type": ["null", "float"]}]},
        },
        {"name": "tags", "type": {"type": "array", "items": "string"}},
    ],
}


def file_of(path: Path, rows: int, codec: str = "deflate") -> Path:
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    values = [
        {
            "ts": moment + dt.timedelta(minutes=at),
            "plan": "pro" if at % 2 else None,
            "features": {"age": at / 4 if at % 3 else None},
            "tags": ["x"],
        }
        for at in range(rows)
    ]
    stream = io.BytesIO()
    fastavro.writer(stream, fastavro.parse_schema(SCHEMA), values, codec=codec, sync_interval=1000)
    path.write_bytes(stream.getvalue())
    return path


def read(path: Path) -> dict[str, list[Any]]:
    shape = look([path])
    found: dict[str, list[Any]] = {}
    for chunk in chunks([path], shape, [name for name in shape.columns if name not in shape.left_out], None):
        for name, column in chunk.items():
            found.setdefault(name, []).extend(column.tolist())
    return found


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
def test_records_in_records_are_columns_named_with_dots(tmp_path: Path, codec: str) -> None:
    found = read(file_of(tmp_path / "rows.avro", 500, codec))

    assert list(found) == ["ts", "plan", "features.age"]
    assert found["ts"][:2] == ["2026-01-01T00:00:00.000000Z", "2026-01-01T00:01:00.000000Z"]
    assert found["plan"] == [None, "pro"] * 250
    assert found["features.age"][1:3] == [0.25, 0.5]
    assert sum(value != value for value in found["features.age"]) == 167  # noqa: PLR0124 - NaN


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: raw[:-10], "rows.avro: ends in the middle of a block"),
        (lambda _: b"Obj\x01 no schema", "rows.avro: "),
        (lambda _: b"a,b\n1,2\n", "rows.avro: is no Avro container, or is damaged"),
        (lambda raw: raw.replace(b"deflate", b"nosuch!"), "rows.avro: is packed by a codec that is not known here"),
        (lambda raw: raw.replace(b'"record"', b'"rec"   ', 1), "rows.avro: its header holds no Avro schema"),
    ],
)
def test_what_is_wrong_with_a_file_is_a_line(tmp_path: Path, change: Any, words: str) -> None:
    path = file_of(tmp_path / "rows.avro", 500)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(TableError, match=words):
        look([path])

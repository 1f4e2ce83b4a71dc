"""A log of features as Feast declares it: the columns are made by Feast, the values are fixed. Parquet as base64. Runs where feast is."""

import base64
import io
import json
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.feature_logging import FeatureServiceLoggingSource
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.repo_config import RepoConfig
from feast.types import Float32, Int64, String, UnixTimestamp

MOMENT = datetime(2026, 11, 1, 12, 0, 0, 250_000, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def schema(home: Path) -> pa.Schema:
    """The columns that Feast gives the log of a service of one view."""
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    fields = [
        Field(name="rating", dtype=Float32),
        Field(name="city", dtype=String),
        Field(name="trips", dtype=Int64),
        Field(name="since", dtype=UnixTimestamp),
    ]
    source = FileSource(path=str(home / "driver.parquet"), timestamp_field="event_timestamp")
    view = FeatureView(
        name="driver",
        entities=[driver],
        schema=[Field(name="driver_id", dtype=Int64), *fields],
        source=source,
        ttl=timedelta(days=1),
    )
    service = FeatureService(name="drivers", features=[view])
    (home / "driver.parquet").touch()
    pq.write_table(
        pa.table(
            {
                "driver_id": pa.array([1], pa.int64()),
                "rating": pa.array([1.0], pa.float32()),
                "city": ["a"],
                "trips": pa.array([1], pa.int64()),
                "since": pa.array([MOMENT], pa.timestamp("us", "UTC")),
                "event_timestamp": pa.array([MOMENT], pa.timestamp("us", "UTC")),
            }
        ),
        home / "driver.parquet",
    )
    config = RepoConfig(
        project="p",
        provider="local",
        registry=str(home / "registry.db"),
        entity_key_serialization_version=3,
        online_store={"type": "sqlite", "path": str(home / "online.db")},
    )
    store = FeatureStore(config=config)
    store.apply([driver, view, service])
    return FeatureServiceLoggingSource(store.get_feature_service("drivers"), "p").get_schema(store.registry)


def rows() -> list[dict[str, Any]]:
    """A feature that is there, one that is null, one that was not found, one too old."""
    present, null, lost, old = (
        FieldStatus.Value(name) for name in ("PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE")
    )
    beside = {"__log_timestamp": MOMENT, "__log_date": date(2026, 11, 1)}
    statuses = [(present, 4.5, MOMENT), (null, None, MOMENT), (lost, None, EPOCH), (old, None, EPOCH)]
    return [
        {
            "driver_id": 1000 + number,
            "driver__rating": value,
            "driver__rating__timestamp": when,
            "driver__rating__status": status,
            "driver__city": "Zürich",
            "driver__city__timestamp": MOMENT,
            "driver__city__status": present,
            "driver__trips": number,
            "driver__trips__timestamp": MOMENT,
            "driver__trips__status": present,
            "driver__since": None,
            "driver__since__timestamp": MOMENT,
            "driver__since__status": null,
            "__request_id": f"r-{number}",
            **beside,
        }
        for number, (status, value, when) in enumerate(statuses)
    ]


def _parquet(columns: pa.Schema) -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows(), schema=columns), written)
    return written.getvalue()


if __name__ == "__main__":
    columns = schema(Path(tempfile.mkdtemp()))
    made = {
        "version": version("feast"),
        "columns": {field.name: str(field.type) for field in columns},
        "statuses": dict(FieldStatus.items()),
        "parquet": base64.b64encode(_parquet(columns)).decode(),
    }
    json.dump(made, sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")

"""One data set through every format of logs is the same columns, bit by bit, as through plain JSON."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from monitor.sources.base import TopicRecords
from monitor.sources.decode.mapping import decode_records, map_rows
from monitor.sources.formats.base import DecodeCounts, SeriesRows
from monitor.sources.formats.fields import FieldMap, SeriesFields, TopicFields
from monitor.sources.formats.registry import decoder_of, options_of
from monitor.stream.events import MILLISECOND, SeriesKey
from tests.charted import seeded
from tests.fakes import NOON

ROWS, TOGETHER = 60, 3
COLUMNS = ["age", "rate", "plan"]
Row = dict[str, Any]


def data_set() -> list[Row]:
    """Numbers of all digits and of single precision, texts, and what is missing."""
    rng = seeded()
    found = []
    for number in range(ROWS):
        age = None if rng.random() < 0.2 else float(rng.normal(40, 5))
        plan = None if rng.random() < 0.2 else str(rng.choice(["pro", "free", "gold"]))
        rate = float(np.float32(rng.choice([0.1, 0.2, 0.7])))
        score = float(rng.random())
        found.append({"features": {"age": age, "rate": rate, "plan": plan}, "prediction": score, "id": f"r-{number}"})
    return found


def moment(number: int) -> int:
    """Milliseconds, one for all rows of a call."""
    return NOON // MILLISECOND + 1000 * (number // TOGETHER)


def text_of(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def call(rows: list[Row], number: int) -> tuple[list[list[Any]], list[float], str, int]:
    """What was asked, what was answered, an id and a time."""
    return (
        [list(row["features"].values()) for row in rows],
        [row["prediction"] for row in rows],
        f"c-{number}",
        moment(number),
    )


def plain(rows: list[Row], number: int) -> list[Any]:
    return [{**row, "ts": moment(number)} for row in rows]


def csv(asked: list[list[Any]]) -> str:
    return "".join(",".join("" if value is None else str(value) for value in line) + "\n" for line in asked)


def sagemaker(rows: list[Row], number: int, encoding: str = "CSV") -> list[Any]:
    asked, told, of, at = call(rows, number)
    texts = csv(asked), "\n".join(map(str, told))
    if encoding == "JSON":
        texts = json.dumps({"instances": asked}), json.dumps({"predictions": told})
    if encoding == "BASE64":
        texts = base64.b64encode(texts[0].encode()).decode(), base64.b64encode(texts[1].encode()).decode()
    kind = "application/json" if encoding == "JSON" else "text/csv"
    parts = [{"data": text, "encoding": encoding, "observedContentType": kind} for text in texts]
    captured = dict(zip(("endpointInput", "endpointOutput"), parts, strict=True))
    return [{"captureData": captured, "eventMetadata": {"eventId": of, "inferenceTime": text_of(at)}}]


def databricks(rows: list[Row], number: int) -> list[Any]:
    asked, told, of, at = call(rows, number)
    split = json.dumps({"dataframe_split": {"columns": COLUMNS, "data": asked}})
    texts = {"request": split, "response": json.dumps({"predictions": told})}
    return [texts | {"databricks_request_id": of, "timestamp_ms": at, "status_code": 200}]


def vertex(rows: list[Row], number: int) -> list[Any]:
    asked, told, of, at = call(rows, number)
    texts = {"request_payload": list(map(json.dumps, asked)), "response_payload": list(map(json.dumps, told))}
    return [texts | {"request_id": of, "logging_time": text_of(at)}]


def mlflow(rows: list[Row], number: int) -> list[Any]:
    asked, told, of, at = call(rows, number)
    return [{"ts": at, "id": of, "instances": asked, "predictions": [{"0": score} for score in told]}]


def bentoml(rows: list[Row], number: int) -> list[Any]:
    beside = {"timestamp": text_of(moment(number))[:-1], "request_id": "None", "trace_id": "0"}
    return [
        {
            **{name: str(value) if name == "age" else value for name, value in row["features"].items()},
            "score": str(row["prediction"]),
            **beside,
        }
        for row in rows
    ]


def feast(rows: list[Row], number: int) -> list[Any]:
    return [{**row["features"], "__log_timestamp": text_of(moment(number)), "__request_id": row["id"]} for row in rows]


def azure(rows: list[Row], number: int) -> list[Any]:
    about = {"type": "azureml.inference.model_inputs", "time": text_of(moment(number)), "correlationid": f"c-{number}"}
    return [about | {"data": [row["features"] for row in rows]}]


def debezium(rows: list[Row], number: int) -> list[Any]:
    beside = {"source": {"connector": "postgresql", "db": "d"}, "op": "c", "before": None}
    flat = [row["features"] | {name: row[name] for name in ("prediction", "id")} for row in rows]
    return [{"schema": None, "payload": beside | {"after": row | {"ts": moment(number)}}} for row in flat]


def otel(rows: list[Row], number: int) -> list[Any]:
    """A span a row, its attributes the features."""

    def span(row: Row, at: int) -> Any:
        said = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "churn"} | row["features"]
        each = {name: "doubleValue" if isinstance(value, float) else "stringValue" for name, value in said.items()}
        held = [{"key": name, "value": {each[name]: said[name]}} for name in said if said[name] is not None]
        named = {"traceId": f"{number + 1:032x}", "spanId": f"{at + 1:016x}", "name": "chat"}
        time = str(moment(number) * MILLISECOND)
        return named | {"startTimeUnixNano": time, "endTimeUnixNano": time, "attributes": held}

    return [{"resourceSpans": [{"scopeSpans": [{"spans": [span(row, at) for at, row in enumerate(rows)]}]}]}]


@dataclass(frozen=True)
class Told:
    """A message with what stands beside it."""

    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    stamp: int = 0


def tensors(rows: list[Row]) -> Any:
    """A tensor a column, null where a value is missing."""
    kinds = {"age": "FP64", "rate": "FP32", "plan": "BYTES"}
    columns = {name: [row["features"][name] for row in rows] for name in COLUMNS}
    each = {"shape": [len(rows), 1]}
    return {"inputs": [each | {"name": name, "datatype": kinds[name], "data": columns[name]} for name in COLUMNS]}


def kserve(rows: list[Row], number: int, *, second: bool = False) -> list[Any]:
    about = {"specversion": "1.0", "id": f"c-{number}", "type": "org.kubeflow.serving.inference.request"}
    about |= {"source": "/", "time": text_of(moment(number)), "inferenceservicename": "churn"}
    body = tensors(rows) if second else {"instances": [list(row["features"].values()) for row in rows]}
    return [Told(body, {f"ce_{name}": value for name, value in about.items()})]


def mlserver(rows: list[Row], number: int) -> list[Any]:
    return [Told(tensors(rows), {"mlserver-model": "churn"}, moment(number) * MILLISECOND)]


def seldon(rows: list[Row], number: int) -> list[Any]:
    beside = {"type": "io.seldon.serving.inference.request", "requestid": f"c-{number}", "modelid": "churn"}
    return [Told(tensors(rows), beside | {"protocol": "v2"}, moment(number) * MILLISECOND)]


NAMED = {"columns": COLUMNS}
ROLES = {"roles": dict.fromkeys(COLUMNS, "feature") | {"score": "prediction"}}
LOGS: list[tuple[str, Callable[..., list[Any]], dict[str, Any]]] = [
    ("sagemaker-capture", sagemaker, NAMED),
    ("sagemaker-capture", lambda *rows: sagemaker(*rows, "JSON"), NAMED),
    ("sagemaker-capture", lambda *rows: sagemaker(*rows, "BASE64"), NAMED),
    ("databricks-inference", databricks, {}),
    ("vertex-logging", vertex, NAMED),
    ("mlflow", mlflow, NAMED),
    ("bentoml", bentoml, ROLES),
    ("feast", feast, {"request_data": COLUMNS}),
    ("azureml-mdc", azure, {"outputs": None}),
    ("debezium", debezium, {}),
    ("otel", otel, {}),
    ("kserve", kserve, NAMED),
    ("kserve", partial(kserve, second=True), {}),
    ("mlserver", mlserver, {}),
    ("seldon", seldon, {}),
]
UNANSWERED = {"feast", "azureml-mdc", "otel", "kserve", "mlserver", "seldon"}
"""Those that log no prediction, or in a message of its own."""


def columns_of(form: str, make: Callable[..., list[Any]], options: dict[str, Any], rows: list[Row]) -> SeriesRows:
    fields, section = FieldMap(), options_of(form)
    layout = Reference.fit(
        {"age": [30.0, 50.0], "rate": [0.1, 0.7], "plan": ["pro", "free"], "score": [0.0, 1.0]}, prediction="score"
    ).layout
    series = [SeriesFields(SeriesKey("churn", "*"), layout, fields)]
    topic = TopicFields(series, fields, options=None if section is None else section.model_validate(options))
    calls = [make(rows[at : at + TOGETHER], at) for at in range(0, len(rows), TOGETHER)]
    told = [message if isinstance(message, Told) else Told(message) for each in calls for message in each]
    values = [json.dumps(each.body).encode() for each in told]
    headers = [[(name, value.encode()) for name, value in each.headers.items()] for each in told]
    stamps = [each.stamp for each in told]
    records = TopicRecords("t", [0] * len(values), values, headers=headers, stamps=stamps)
    counts = DecodeCounts()
    (part,) = map_rows(decode_records(decoder_of(form, topic), records), topic, NOON * 2, counts).rows
    assert not counts.rejected
    return part


@pytest.mark.parametrize(("form", "make", "options"), LOGS, ids=[f"{at}-{log[0]}" for at, log in enumerate(LOGS)])
def test_a_log_gives_the_columns_that_json_gives(
    form: str, make: Callable[..., list[Any]], options: dict[str, Any]
) -> None:
    rows = data_set()
    expected, found = columns_of("json", plain, {}, rows), columns_of(form, make, options, rows)
    features = [place for place, (name, _) in enumerate(expected.series.numeric) if name != "__prediction__"]
    numbers = features if form in UNANSWERED else slice(None)

    assert found.times.tolist() == expected.times.tolist()
    assert found.numeric[:, numbers].tobytes() == expected.numeric[:, numbers].tobytes()
    assert found.codes.tobytes() == expected.codes.tobytes()

"""The examples of serving code, run: what they emit is what the daemon's decoder reads."""

import http.client
import importlib.util
import json
import os
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from detectors import Reference
from monitor.facts import Fact
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.stream.events import SECOND, SeriesKey
from tests.parts.child import Child
from tests.parts.mock import MockBroker
from tests.parts.ports import free_ports
from tests.parts.reader import reading
from tests.parts.serving import installed

ROOT = Path(__file__).parents[2]
SERVING = ROOT / "examples" / "serving"
KEY = SeriesKey("churn", "3")
REFERENCE = Reference.fit(
    {"age": [20.0, 30.0, 40.0], "plan": ["free", "free", "pro"], "p": [0.1, 0.2, 0.3]}, prediction="p"
)
CUSTOMERS = [{"age": 20.5 + number, "plan": ("free", "pro")[number % 2]} for number in range(20)]


def events(broker: MockBroker, topic: str, count: int) -> list[bytes]:
    with reading(broker, topic) as reader:
        reader.read(count)
        return [value for values in reader.values.values() for value in values if value is not None]


def decoded(values: list[bytes]) -> tuple[dict[float, tuple[int, float]], list[Fact]]:
    """By age the code of the plan and the prediction, as the daemon reads them now."""
    fields = FieldMap()
    decoder = TopicDecoder("predictions", [SeriesFields(KEY, REFERENCE.layout, fields)], fields, 600 * SECOND)
    now = max(json.loads(value)["ts"] for value in values) * 1_000_000
    held = decoder.decode(TopicRecords("predictions", [0] * len(values), values), now)
    [batch] = held.batches
    rows = zip(batch.numeric.tolist(), batch.codes[:, 0].tolist(), strict=True)
    return {age: (code, score) for (age, score), code in rows}, held.facts


def expected(scores: list[float]) -> dict[float, tuple[int, float]]:
    return {
        each["age"]: (("free", "pro").index(each["plan"]), score)  # type: ignore[dict-item]
        for each, score in zip(CUSTOMERS, scores, strict=True)
    }


@pytest.fixture
def kafka(mock_broker: MockBroker, monkeypatch: pytest.MonkeyPatch) -> MockBroker:
    for topic in ("predictions", "labels"):
        mock_broker.create_topic(topic)
    monkeypatch.setenv("KAFKA", mock_broker.bootstrap)
    return mock_broker


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_fastapi(kafka: MockBroker) -> None:
    from fastapi.testclient import TestClient

    app = imported(SERVING / "fastapi_app.py")
    with TestClient(app.app) as client:
        answers = [client.post("/predict", json=each).json() for each in CUSTOMERS]
        for answer in answers[:5]:
            assert client.post("/outcome", json={"id": answer["id"], "churned": True}).status_code == 200

    assert (app.emitter.sent, app.emitter.dropped, app.emitter.failed) == (25, 0, 0)
    values = events(kafka, "predictions", 20)
    assert decoded(values) == (expected([answer["churns"] for answer in answers]), [])
    assert [json.loads(value)["id"] for value in values] == [answer["id"] for answer in answers]
    labels = [json.loads(value) for value in events(kafka, "labels", 5)]
    assert [(each["id"], each["label"], each["model"]) for each in labels] == [
        (answer["id"], 1, "churn") for answer in answers[:5]
    ]


def post(port: int, path: str, body: Any) -> Any:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        raw = answer.read()
        assert answer.status == 200, raw
        return json.loads(raw)


def is_ready(port: int, path: str) -> bool:
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request("GET", path)
            return connection.getresponse().status == 200
    except OSError:
        return False


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Servers that tell nobody, write nothing outside, and find driftd, and nothing but what was installed for them."""
    for name, value in {
        "PYTHONPATH": str(ROOT),
        "DO_NOT_TRACK": "1",
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(tmp_path),
        "HOME": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)


def test_bentoml(kafka: MockBroker, quiet: None, tmp_path: Path) -> None:
    """Two workers, each with a producer of its own."""
    programs = installed("bentoml")
    if programs is None:
        pytest.skip("BentoML is not here: make serving")
    [port] = free_ports(1)
    where = ["--host", "127.0.0.1", "--port", str(port), "--working-dir", str(SERVING)]
    server = Child("BentoML", [programs / "bentoml", "serve", "bentoml_service:Churn", *where], log=tmp_path / "log")
    try:
        server.wait_until(lambda: is_ready(port, "/readyz"), seconds=120)
        answers = [post(port, "/predict", each) for each in CUSTOMERS]
        values = events(kafka, "predictions", 20)
    finally:
        server.stop(seconds=30)

    assert decoded(values) == (expected([answer["churns"] for answer in answers]), [])
    assert {json.loads(value)["id"] for value in values} == {answer["id"] for answer in answers}


def test_mlserver(kafka: MockBroker, quiet: None, tmp_path: Path) -> None:
    programs = installed("mlserver")
    if programs is None:
        pytest.skip("MLServer is not here: make serving")
    ports = free_ports(3)
    names = "MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT"
    environment = dict(zip(names, map(str, ports), strict=True)) | {"MLSERVER_HOST": "127.0.0.1"}
    command = ["env", *(f"{name}={value}" for name, value in environment.items()), programs / "mlserver", "start"]
    server = Child("MLServer", [*command, SERVING / "mlserver"], log=tmp_path / "log")
    request = {
        "id": "r",
        "inputs": [
            {"name": "age", "datatype": "FP64", "shape": [20], "data": [each["age"] for each in CUSTOMERS]},
            {"name": "plan", "datatype": "BYTES", "shape": [20], "data": [each["plan"] for each in CUSTOMERS]},
        ],
    }
    try:
        server.wait_until(lambda: is_ready(ports[0], "/v2/models/churn/ready"), seconds=120)
        [output] = post(ports[0], "/v2/models/churn/infer", request)["outputs"]
        values = events(kafka, "predictions", 20)
    finally:
        server.stop(seconds=30)

    assert decoded(values) == (expected(output["data"]), [])
    assert [json.loads(value)["id"] for value in values] == [f"r/{number}" for number in range(20)]
    assert os.environ["KAFKA"] == kafka.bootstrap

"""A law of the formats whose rows are objects: a batch is what each of its messages is alone, however many of them are damaged."""

import json
from collections import Counter
from random import Random, getrandbits
from typing import Any

import pytest

from monitor.sources.formats.fields import FieldMap, TopicFields
from monitor.sources.formats.registry import decoder_of, options_of
from tests.monitor.sources.formats import (
    test_azureml_mdc,
    test_bentoml,
    test_databricks_inference,
    test_feast,
    test_mlflow,
    test_sagemaker_capture,
    test_vertex_logging,
)
from tests.monitor.sources.formats.debezium import test_debezium
from tests.monitor.sources.formats.otel import test_otel

GOOD: dict[str, list[Any]] = {
    "azureml-mdc": [test_azureml_mdc.event([{"age": 41.5, "plan": "pro"}, {"age": 30, "plan": None}])],
    "bentoml": [test_bentoml.line(age=41.5, score=0.83)],
    "databricks-inference": [test_databricks_inference.legacy(), test_databricks_inference.gateway()],
    "debezium": [value for value in test_debezium.values("schemas") if value is not None],
    "feast": [json.loads(json.dumps(row, default=str)) for row in test_feast.logged()],
    "mlflow": [answer.encode() for answer in test_mlflow.MADE["answers"].values()],
    "otel": [write(test_otel.request(test_otel.GENAI, test_otel.OPENINFERENCE)) for write in test_otel.WAYS.values()],
    "sagemaker-capture": [
        test_sagemaker_capture.call(test_sagemaker_capture.part("1.5,2\n3,4"), test_sagemaker_capture.part("0.8\n0.1"))
    ],
    "vertex-logging": [test_vertex_logging.call(["[1.5, null]", "[3, 4]"], ["0.83", "0.1"])],
}
OPTIONS: dict[str, dict[str, Any]] = {"bentoml": {"roles": test_bentoml.ROLES}}


def damaged(good: bytes, rng: Random) -> bytes | None:
    """A message that is cut, or changed at a place, or no message at all."""
    held = bytearray(good)
    held[rng.randrange(len(held))] = rng.randrange(256)
    return rng.choice((None, b"", b"[]", b"\x00" + good, good[: rng.randrange(len(good))], bytes(held)))


@pytest.mark.parametrize("form", GOOD)
def test_a_batch_with_damaged_messages_is_what_each_message_is_alone(form: str) -> None:
    rng = Random(getrandbits(64))
    good = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in GOOD[form]]
    values = [damaged(rng.choice(good), rng) if rng.random() < 0.3 else rng.choice(good) for _ in range(60)]
    section = options_of(form)
    assert section is not None
    options = section.model_validate(OPTIONS.get(form, {}))
    decoder: Any = decoder_of(form, TopicFields([], FieldMap(), options=options))

    alone = [decoder.decode([value]) for value in values]
    found = decoder.decode(values)

    assert list(map(repr, found.documents)) == [repr(document) for rows in alone for document in rows.documents]
    assert found.messages.tolist() == [place for place, rows in enumerate(alone) for _ in range(len(rows))]
    assert found.rejected == sum((Counter(rows.rejected) for rows in alone), Counter())
    assert len(decoder.decode(good)) > 0

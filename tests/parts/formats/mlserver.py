"""What MLServer writes for fixed values: tensors by its codecs, and the messages of its Kafka server. Runs where mlserver is."""

import asyncio
import json
import sys
import warnings
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from mlserver.codecs import Base64Codec, DatetimeCodec, NumpyCodec, NumpyRequestCodec, PandasCodec, StringCodec
from mlserver.kafka.handlers import KafkaHandlers
from mlserver.kafka.message import KafkaMessage
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


def request(*inputs: Any, **more: Any) -> str:
    """A request's body, as the client sends it."""
    return InferenceRequest(inputs=list(inputs), **more).model_dump_json(exclude_none=True)


def body(held: Any) -> str:
    """A body as it is sent: `null` among data stays."""
    return json.dumps(json.loads(held.model_dump_json(exclude_unset=True)))


def pandas() -> dict[str, str]:
    """Data frames."""
    numbers = pd.DataFrame({"a": [1.5, np.nan, np.inf], "n": [1, 2, 3], "t": [True, False, True]})
    mixed = pd.DataFrame({"s": pd.Series(["pro", 1], dtype=object), "a": [0.5, 0.25]})
    narrow = pd.DataFrame({"f": np.array([0.1, 0.2], dtype=np.float32), "h": np.array([0.1, 0.2], dtype=np.float16)})
    frames = {"numbers": numbers, "mixed": mixed, "narrow": narrow}
    return {name: body(PandasCodec.encode_request(frame)) for name, frame in frames.items()}


def arrays() -> dict[str, str]:
    """Arrays and lists."""
    made = {
        "wide": NumpyCodec.encode_input("x", np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]])),
        "texts": NumpyCodec.encode_input("s", np.array(["pro", "free"])),
        "padded": NumpyCodec.encode_input("s", np.array([b"pro", b"free"])),
        "strings": StringCodec.encode_input("s", ["pro", "frée"]),
        "base64": Base64Codec.encode_input("s", [b"pro", b"free"]),
        "times": DatetimeCodec.encode_input("t", [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2)]),  # noqa: DTZ001 - as people have them
    }
    found = {name: body(InferenceRequest(inputs=[tensor])) for name, tensor in made.items()}
    return found | {"one": body(NumpyRequestCodec.encode_request(np.array([[1.0, 2.0]])))}


class Plane:
    """What serves models, as far as the Kafka handlers ask it: answers in tensors of MLServer's own."""

    async def infer(self, payload: InferenceRequest, name: str, version: str | None) -> InferenceResponse:
        """One number a row."""
        rows = payload.inputs[0].shape[0]
        score = ResponseOutput(name="score", shape=[rows, 1], datatype="FP32", data=[0.25] * rows)
        return InferenceResponse(id=payload.id, model_name=name, model_version=version, outputs=[score])


def kafka() -> dict[str, Any]:
    """A request and its answer as records: key, headers, value."""
    asked = json.loads(request(NumpyCodec.encode_input("x", np.array([1.0, 2.0])), id="in-the-body"))
    headers = {"mlserver-model": "churn", "mlserver-version": "3"}
    answer = asyncio.run(KafkaHandlers(Plane()).infer(KafkaMessage(key="r-1", value=asked, headers=dict(headers))))
    return {
        "request": {"key": "r-1", "headers": headers, "value": json.dumps(asked)},
        "response": {"key": answer.key, "headers": answer.headers, "value": json.dumps(answer.value)},
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    made = {"version": version("mlserver"), "pandas": pandas(), "arrays": arrays(), "kafka": kafka()}
    json.dump(made, sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")

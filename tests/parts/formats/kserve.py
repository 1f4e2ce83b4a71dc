"""What KServe's SDK writes for fixed values: requests and answers as JSON, with binary tensors, and as protobuf. Runs where kserve is."""

import base64
import json
import sys
from importlib.metadata import version
from typing import Any

import numpy as np
from kserve import InferInput, InferOutput, InferRequest, InferResponse

NUMBERS = np.array([1.5, np.nan])
WIDE = np.array([[0.1, 0.2], [0.3, 0.4]], dtype=np.float32)
TEXTS = np.array(["pro", None, np.nan, "frée"], dtype=object)


def tensor(kind: Any, name: str, values: np.ndarray, datatype: str, *, binary: bool) -> Any:
    """A tensor of an array."""
    made = kind(name, list(values.shape), datatype)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def sent(held: Any) -> str:
    """A body as it is sent by HTTP, in base64."""
    body, _ = held.to_rest()
    return base64.b64encode(body if isinstance(body, bytes) else json.dumps(body).encode()).decode()


def asked(*inputs: Any) -> InferRequest:
    """A request of a fixed id."""
    return InferRequest(model_name="churn", infer_inputs=list(inputs), request_id="r-1")


def answered(*outputs: Any) -> InferResponse:
    """An answer of a fixed id."""
    return InferResponse(response_id="r-1", model_name="churn", infer_outputs=list(outputs))


def bodies() -> dict[str, str]:
    """By HTTP."""
    numbers = np.array([1, 2**53 + 1], dtype=np.int64)
    binary = [
        tensor(InferInput, "x", NUMBERS, "FP64", binary=True),
        tensor(InferInput, "half", np.array([0.1, 2.0], dtype=np.float16), "FP16", binary=True),
        tensor(InferInput, "n", numbers, "INT64", binary=True),
        tensor(InferInput, "flag", np.array([True, False]), "BOOL", binary=True),
        tensor(InferInput, "plan", TEXTS[[0, 3]], "BYTES", binary=True),
    ]
    return {
        "binary": sent(asked(*binary)),
        "plain": sent(asked(tensor(InferInput, "wide", WIDE, "FP32", binary=False))),
        "missing_texts": sent(asked(tensor(InferInput, "plan", TEXTS, "BYTES", binary=True))),
        "answer": sent(answered(tensor(InferOutput, "p", WIDE[:, 0], "FP32", binary=False))),
        "binary_answer": sent(answered(tensor(InferOutput, "p", WIDE[:, 0], "FP32", binary=True))),
    }


def messages() -> dict[str, str]:
    """By gRPC: contents, and raw contents as others send them."""
    request = asked(
        tensor(InferInput, "x", NUMBERS, "FP64", binary=False),
        tensor(InferInput, "n", np.array([1, -2], dtype=np.int32), "INT32", binary=False),
        tensor(InferInput, "big", np.array([-(2**53) - 1, 7], dtype=np.int64), "INT64", binary=False),
        tensor(InferInput, "u", np.array([2**64 - 1, 7], dtype=np.uint64), "UINT64", binary=False),
        tensor(InferInput, "flag", np.array([True, False]), "BOOL", binary=False),
        tensor(InferInput, "plan", TEXTS[[0, 3]], "BYTES", binary=False),
    ).to_grpc()
    raw = asked(tensor(InferInput, "wide", WIDE, "FP32", binary=True)).to_grpc()
    answer = answered(tensor(InferOutput, "p", WIDE[:, 0], "FP32", binary=False)).to_grpc()
    raw_answer = answered(tensor(InferOutput, "p", WIDE[:, 0], "FP32", binary=True)).to_grpc()
    made = {"request": request, "raw": raw, "answer": answer, "raw_answer": raw_answer}
    return {name: base64.b64encode(each.SerializeToString(deterministic=True)).decode() for name, each in made.items()}


if __name__ == "__main__":
    json.dump(
        {"version": version("kserve"), "bodies": bodies(), "messages": messages()}, sys.stdout, indent=1, sort_keys=True
    )
    sys.stdout.write("\n")

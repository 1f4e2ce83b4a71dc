"""MLServer: a runtime that emits each row of a request to driftd.

pip install driftd mlserver
KAFKA=127.0.0.1:9092 mlserver start .
"""

import math
import os

from confluent_kafka import Producer
from mlserver import MLModel, ModelSettings
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from numpy import array

from driftd.emit import Emitter


def connect() -> Producer:
    """The producer of one process."""
    return Producer({"bootstrap.servers": os.environ.get("KAFKA", "127.0.0.1:9092"), "linger.ms": 50})


class ChurnModel(MLModel):
    """A model of two inputs, `age` and `plan`, each a column of rows."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.emitter = Emitter(connect=connect, topic="predictions", model=self.name, version=self.version)

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Predict all rows; the id of row N is the request's id, a slash, and N."""
        inputs = {each.name: each for each in payload.inputs}
        ages = NumpyCodec.decode_input(inputs["age"]).ravel()
        plans = StringCodec.decode_input(inputs["plan"])
        scores = [1 / (1 + math.exp(age / 20 - 2 - (plan == "free"))) for age, plan in zip(ages, plans, strict=True)]
        for number, (age, plan, score) in enumerate(zip(ages, plans, scores, strict=True)):
            self.emitter.emit({"age": age, "plan": plan}, score, id=f"{payload.id}/{number}")
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            model_version=self.version,
            outputs=[NumpyCodec.encode_output("churns", array(scores))],
        )

    async def unload(self) -> bool:
        """What waits is sent."""
        return self.emitter.close()

"""BentoML: every prediction to driftd, from each worker.

pip install driftd bentoml
KAFKA=127.0.0.1:9092 bentoml serve bentoml_service:Churn
"""

import math
import os
from typing import Any

import bentoml
from confluent_kafka import Producer

from driftd.emit import Emitter


def connect() -> Producer:
    """The producer of one process."""
    return Producer({"bootstrap.servers": os.environ.get("KAFKA", "127.0.0.1:9092"), "linger.ms": 50})


@bentoml.service(workers=2)
class Churn:
    """A model behind an API."""

    def __init__(self) -> None:
        self.emitter = Emitter(connect=connect, topic="predictions", model="churn", version="3")

    @bentoml.api
    def predict(self, age: float, plan: str) -> dict[str, Any]:
        """A prediction, with the id by which its outcome is told."""
        churns = 1 / (1 + math.exp(age / 20 - 2 - (plan == "free")))  # your model
        return {"churns": churns, "id": self.emitter.emit({"age": age, "plan": plan}, churns)}

    @bentoml.on_shutdown
    def stop(self) -> None:
        """What waits is sent."""
        self.emitter.close()

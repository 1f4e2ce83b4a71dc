"""FastAPI: every prediction, and later what came true, to driftd.

    pip install driftd fastapi uvicorn
    KAFKA=127.0.0.1:9092 uvicorn fastapi_app:app --workers 4

Each worker has a producer and a thread of its own; what waits is sent when it stops.
"""

import math
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from confluent_kafka import Producer
from fastapi import FastAPI
from pydantic import BaseModel

from driftd.emit import Emitter


def connect() -> Producer:
    """The producer of one process."""
    return Producer({"bootstrap.servers": os.environ.get("KAFKA", "127.0.0.1:9092"), "linger.ms": 50})


emitter = Emitter(connect=connect, topic="predictions", label_topic="labels", model="churn", version="3")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """What waits at the end is sent."""
    yield
    emitter.close()


app = FastAPI(lifespan=lifespan)


class Customer(BaseModel):
    """What the model is asked about."""

    age: float
    plan: str


class Outcome(BaseModel):
    """What came true of a prediction."""

    id: str
    churned: bool


def score(customer: Customer) -> float:
    """Your model."""
    return 1 / (1 + math.exp(customer.age / 20 - 2 - (customer.plan == "free")))


@app.post("/predict")
async def predict(customer: Customer) -> dict[str, Any]:
    """A prediction, with the id by which its outcome is told."""
    churns = score(customer)
    return {"churns": churns, "id": emitter.emit(customer, churns)}


@app.post("/outcome")
async def outcome(told: Outcome) -> None:
    """What came true."""
    emitter.label(told.id, int(told.churned))


@app.get("/emitted")
async def emitted() -> dict[str, int]:
    """For a dashboard: events dropped are events that driftd will not see."""
    return {"sent": emitter.sent, "dropped": emitter.dropped, "failed": emitter.failed, "pending": emitter.pending}

"""What the parts of messages are commonly called: times, ids, models, versions, predictions; spelled in any way, in any object."""

import re
from collections.abc import Sequence
from functools import cache

from monitor.sources.formats.fields import Path

TIMES = (
    "ts",
    "timestamp",
    "event_time",
    "time",
    "datetime",
    "created_at",
    "occurred_at",
    "scored_at",
    "date",
)
TIME_ENDS = ("_ts", "_time", "_timestamp", "_at", "_datetime")
IDS = (
    *("id", "event_id", "request_id", "prediction_id", "inference_id", "uuid", "guid", "req_id", "request"),
    *("message_id", "transaction_id", "correlation_id", "trace_id"),
)
GROUPS = (  # what rows come together in
    *(
        "session_id",
        "session",
        "visit_id",
        "visit",
        "user_id",
        "user",
        "customer_id",
        "customer",
        "client_id",
        "client",
    ),
    *("account_id", "account", "device_id", "visitor_id"),
)
MODELS = ("model", "model_name", "model_id")
VERSIONS = ("model_version", "version")
PREDICTED = (  # what no input of a model is called
    *("prediction", "predicted", "y_pred", "pred", "y_hat", "y_score", "y_proba", "y_prob", "y_pred_proba"),
    *(
        "pred_proba",
        "predicted_value",
        "predicted_class",
        "predicted_label",
        "predicted_proba",
        "predicted_probability",
    ),
    *("prediction_value", "prediction_score", "prediction_proba", "prediction_probability"),
)
SCORES = ("score", "probability", "proba", "prob", "output")  # what an input may be called too
PREDICTIONS = (*PREDICTED, *SCORES)
PREDICTION_STARTS = ("predicted_", "prediction_", "pred_")
PREDICTION_ENDS = ("_prediction", "_predicted", "_pred", "_probability", "_proba", "_prob", "_score")  # the best first
FEATURES = ("features", "feature_values", "inputs")  # objects of nothing else
WRAPPERS = (*FEATURES, "input", "data", "payload")
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s-]+")


def plain(name: str) -> str:
    """A name as those above are written.

    >>> plain("requestId"), plain("Model-Name"), plain("@timestamp"), plain("_id")
    ('request_id', 'model_name', 'timestamp', 'id')
    """
    return HUMP.sub("_", name).lower().strip("_@")


def rank(path: Path, names: Sequence[str]) -> int | None:
    """How well a path is called so, 0 best: by its last name, or by that with its object's; None where it is not.

    >>> rank(("meta", "model", "name"), MODELS), rank(("result", "yPred"), PREDICTIONS), rank(("age",), MODELS)
    (1, 2, None)
    >>> rank(("yhat",), PREDICTIONS) == rank(("Y-Hat",), PREDICTIONS)
    True
    """
    known = _places(tuple(names))
    called = (_joined(path[-1]), "".join(map(_joined, path[-2:])))
    return min((known[each] for each in called if each in known), default=None)


@cache
def _places(names: tuple[str, ...]) -> dict[str, int]:
    return {_joined(name): place for place, name in enumerate(names)}


def _joined(name: str) -> str:
    return plain(name).replace("_", "")


def is_predicted(name: str) -> bool:
    """Whether a column is named as nothing but a prediction is."""
    return rank((name,), PREDICTED) is not None or plain(name).startswith(("y_pred_", "y_hat_"))


def likeness(name: str) -> int | None:
    """How well a name is like that of a prediction by its start or end, 0 best; None where it is not.

    >>> likeness("churn_pred"), likeness("fraudScore"), likeness("predicted_price"), likeness("scores")
    (2, 6, 0, None)
    """
    low = plain(name)
    if low.startswith(PREDICTION_STARTS):
        return 0
    return next((place for place, end in enumerate(PREDICTION_ENDS) if low.endswith(end)), None)

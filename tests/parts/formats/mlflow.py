"""What MLflow's scoring server answers for fixed predictions, by the function that writes its answers. Runs where mlflow is."""

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc.scoring_server import _split_data_and_params, infer_and_parse_data, predictions_to_json


def answered(predictions: Any) -> str:
    """The body of the answer."""
    written = io.StringIO()
    predictions_to_json(predictions, written)
    return written.getvalue()


def asked(body: str) -> str:
    """What the server makes of a request, as text: that it is one."""
    data, _ = _split_data_and_params(json.loads(body))
    return str(infer_and_parse_data(data))


FRAME = pd.DataFrame({"label": ["pro", "free"], "score": [0.5, float("nan")]})
PREDICTIONS: dict[str, Callable[[], Any]] = {
    "array": lambda: np.array([0.5, np.nan, np.inf]),
    "array32": lambda: np.array([0.1], dtype=np.float32),
    "list": lambda: [0.5, 0.25],
    "frame": lambda: FRAME,
    "series": lambda: pd.Series([0.5, float("nan")]),
    "named_series": lambda: pd.Series([0.5, 0.25], name="score"),
    "texts": lambda: pd.DataFrame({"label": ["pro", None]}),
    "matrix": lambda: np.array([[0.25, 0.75], [0.5, 0.5]]),
    "object": lambda: {"score": [0.5, 0.25], "label": ["a", "b"]},
    "scalar": lambda: 0.5,
}
REQUESTS = {
    "split": '{"dataframe_split": {"columns": ["age", "plan"], "index": [7, 8], "data": [[41.5, "pro"], [NaN, null]]}}',
    "records": '{"dataframe_records": [{"age": 41.5, "plan": "pro"}, {"age": null, "plan": "free"}]}',
    "instances": '{"instances": [[1.5, 2.5], [3.5, 4.5]]}',
    "inputs": '{"inputs": {"age": [1.5, 2.5], "income": [3.5, 4.5]}}',
}

if __name__ == "__main__":
    made = {
        "version": mlflow.__version__,
        "pandas": pd.__version__,
        "answers": {name: answered(make()) for name, make in PREDICTIONS.items()},
        "requests": REQUESTS,
        "read_as": {name: asked(body) for name, body in REQUESTS.items()},
    }
    json.dump(made, sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")

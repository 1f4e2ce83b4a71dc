"""Kubeflow Pipelines v2beta1 as its API server reads requests: no key, doubles for numbers, null refused."""

import json
from typing import Any

from tests.apis.service import Call, Reply, Service

ENTRY: dict[str, Any] = {
    "type": "kubeflow",
    "pipeline_id": "p1",
    "pipeline_version_id": "v1",
    "experiment_id": "e1",
    "parameters": {"since": "{data_range.from}", "rows": "{window.rows}"},
}


class Kubeflow(Service):
    """One pipeline version. Each POST is a run."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[dict[str, Any]] = []

    @property
    def runs(self) -> list[dict[str, Any]]:
        return self.started

    def entry(self, **changes: Any) -> dict[str, Any]:
        return {**ENTRY, "url": self.url, **changes}

    def answer(self, call: Call) -> Reply:
        path = call.path.removeprefix("/apis/v2beta1")
        if path in {"/pipelines/p1/versions/v1", "/experiments/e1"}:
            return Reply(200, {"state": "AVAILABLE"})
        if path != "/runs":
            return Reply(404, {"error": "NotFound", "code": 5, "message": "ResourceNotFoundError"})
        if call.method == "POST":
            return self._start(call.json)
        (predicate,) = json.loads(call.query["filter"])["predicates"]
        assert predicate["key"] == "display_name"
        found = [run for run in self.started if run["display_name"] == predicate["string_value"]]
        return Reply(200, {"runs": found, "total_size": len(found)} if found else {})

    def _start(self, run: dict[str, Any]) -> Reply:
        parameters = run["runtime_config"]["parameters"]
        if None in parameters.values() or parameters.keys() - {"since", "rows"}:
            return Reply(400, {"error": "InvalidInputError", "message": "parameters are not those of the pipeline"})
        self.started.append({**run, "run_id": f"r{len(self.started)}", "state": "PENDING"})
        return Reply(200, self.started[-1])

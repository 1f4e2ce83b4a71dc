"""Prefect's API as 3.9.1 answers: keys are kept a flow, 409 is about parameters."""

from typing import Any
from uuid import UUID, uuid4

from tests.apis.service import Call, Reply, Service

DEPLOYMENT, SIBLING = str(UUID(int=1)), str(UUID(int=2))
ENTRY: dict[str, Any] = {"type": "prefect", "deployment": DEPLOYMENT, "parameters": {"since": "{data_range.from}"}}
SCHEMA = {"properties": {"since": {"type": "string"}, "rows": {"type": "integer"}}, "required": ["since"]}


class Prefect(Service):
    """One flow `train` with two deployments."""

    changing = staticmethod(lambda call: call.path.endswith("/create_flow_run"))

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, dict[str, Any]] = {}

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        return self.keys

    def entry(self, **changes: Any) -> dict[str, Any]:
        return {**ENTRY, "url": f"{self.url}/api", **changes}

    def answer(self, call: Call) -> Reply:
        if call.path == "/api/flow_runs/filter":
            keys = call.json["flow_runs"]["idempotency_key"]["any_"]
            return Reply(200, [run for key, run in self.keys.items() if key in keys])
        if call.path == "/api/deployments/name/train/nightly":
            return Reply(200, {"id": DEPLOYMENT, "parameter_openapi_schema": SCHEMA, "paused": True})
        deployment = call.path.removeprefix("/api/deployments/").partition("/")[0]
        if deployment not in {DEPLOYMENT, SIBLING}:
            return Reply(404, {"detail": "Deployment not found"})
        if call.method == "GET":
            return Reply(200, {"id": deployment, "parameter_openapi_schema": SCHEMA})
        return self._create(deployment, call.json)

    def _create(self, deployment: str, asked: dict[str, Any]) -> Reply:
        if asked.keys() - {"name", "parameters", "tags", "idempotency_key"}:
            return Reply(422, {"exception_message": "Invalid request received."})
        if not isinstance(asked["parameters"].get("since", ""), str):
            return Reply(409, {"detail": "Error creating flow run: 5 is not of type 'string'"})
        if (key := asked["idempotency_key"]) in self.keys:
            return Reply(200, self.keys[key])
        self.keys[key] = {**asked, "id": str(uuid4()), "deployment_id": deployment, "state_type": "SCHEDULED"}
        return Reply(201, self.keys[key])

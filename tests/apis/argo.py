"""Argo Workflows' server: a name is given once, as its documentation and Kubernetes have it."""

from typing import Any

from tests.apis.service import Call, Reply, Service

ENTRY: dict[str, Any] = {
    "type": "argo_workflows",
    "namespace": "ml",
    "template": "train",
    "token_env": "TOKEN",
    "parameters": {"since": "{data_range.from}", "rows": "{window.rows}"},
}


class Argo(Service):
    """One namespace `ml` with one template `train`."""

    def __init__(self) -> None:
        super().__init__()
        self.workflows: dict[str, dict[str, Any]] = {}

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        return self.workflows

    def entry(self, **changes: Any) -> dict[str, Any]:
        return {**ENTRY, "url": self.url, **changes}

    def answer(self, call: Call) -> Reply:
        if call.path == "/api/v1/workflow-templates/ml/train":
            return Reply(200, {"metadata": {"name": "train"}})
        if call.path == "/api/v1/workflows/ml/submit":
            return self._submit(call.json)
        name = call.path.removeprefix("/api/v1/workflows/ml/")
        found = self.workflows.get(name)
        return Reply(404, {"code": 5, "message": f"{name} not found"}) if found is None else Reply(200, found)

    def _submit(self, asked: dict[str, Any]) -> Reply:
        name = asked["submitOptions"]["name"]
        if asked["resourceName"] != "train":
            return Reply(404, {"code": 5, "message": "workflowtemplates not found"})
        if name in self.workflows:
            return Reply(409, {"code": 6, "message": f'workflows.argoproj.io "{name}" already exists'})
        self.workflows[name] = {"metadata": {"name": name}, "status": {}, "asked": asked}
        return Reply(200, self.workflows[name])

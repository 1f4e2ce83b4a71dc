"""MLflow's REST API as 3.17.2 answers. Every writing of a tag is told to its webhooks, of an equal value too."""

from typing import Any

from tests.apis.service import Call, Reply, Service

API = "/api/2.0/mlflow"
ENTRY: dict[str, Any] = {"type": "mlflow", "experiment": "drift", "alias": "needs-retraining"}


class Mlflow(Service):
    """A registered model `churn` with version 3, and an experiment `drift`."""

    changing = staticmethod(lambda call: call.path.endswith("/runs/create"))

    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, str] = {}
        self.aliases: set[str] = set()
        self.fired: list[str] = []  # what its webhooks were told
        self.started: dict[str, dict[str, Any]] = {}
        self.metrics: dict[tuple[str, int, int], float] = {}

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        return self.started

    def entry(self, **changes: Any) -> dict[str, Any]:
        return {**ENTRY, "url": self.url, **changes}

    def answer(self, call: Call) -> Reply:
        return getattr(self, "_" + call.path.removeprefix(API + "/").replace("/", "_").replace("-", "_"))(call)

    def _model_versions_get(self, call: Call) -> Reply:
        if call.query != {"name": "churn", "version": "3"}:
            return Reply(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Model Version not found"})
        tags = [{"key": key, "value": value} for key, value in self.tags.items()]
        return Reply(200, {"model_version": {"name": "churn", "tags": tags, "aliases": sorted(self.aliases)}})

    def _model_versions_set_tag(self, call: Call) -> Reply:
        if not isinstance(call.json["version"], str):
            return Reply(400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "version"})
        self.tags[call.json["key"]] = call.json["value"]
        self.fired.append(f"tag {call.json['key']}")
        return Reply()

    def _registered_models_alias(self, call: Call) -> Reply:
        self.aliases.add(call.json["alias"])
        self.fired.append("alias")
        return Reply()

    def _registered_models_search(self, _: Call) -> Reply:
        return Reply()

    def _registered_models_get(self, call: Call) -> Reply:
        return Reply() if call.query["name"] == "churn" else Reply(404, {"message": "Registered Model not found"})

    def _experiments_get_by_name(self, call: Call) -> Reply:
        if call.query != {"experiment_name": "drift"}:
            return Reply(404, {"message": "Could not find experiment"})
        return Reply(200, {"experiment": {"experiment_id": "7"}})

    def _runs_search(self, call: Call) -> Reply:
        found = [
            run
            for run in self.started.values()
            for tag in run["tags"]
            if call.json["filter"] == f"tags.`{tag['key']}` = '{tag['value']}'"
        ]
        return Reply(200, {"runs": [{"info": run} for run in found]} if found else {})

    def _runs_create(self, call: Call) -> Reply:
        name = f"run{len(self.started)}"
        self.started[name] = {**call.json, "run_id": name, "status": "RUNNING"}
        return Reply(200, {"run": {"info": self.started[name]}})

    def _runs_log_batch(self, call: Call) -> Reply:
        for each in call.json["metrics"]:
            self.metrics[each["key"], each["timestamp"], each["step"]] = each["value"]
        return Reply()

    def _runs_update(self, call: Call) -> Reply:
        self.started[call.json["run_id"]] |= {"status": call.json["status"]}
        return Reply()

"""What MLflow 3.17.2 answers of its registry and of artifacts that it serves itself."""

import base64
import hashlib
import hmac
import time
from typing import Any

from tests.apis.mlflow import API
from tests.apis.service import Call, Reply, Service

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"


class RegistryServer(Service):
    """A registered model `churn`, whose versions are made by runs; artifacts lie in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: dict[str, dict[str, Any]] = {}
        self.artifacts: dict[str, bytes] = {}
        self.aliases: dict[str, str] = {}
        self.down = False

    def register(self, version: str, made: float | None = None, *, run: bool = True) -> None:
        self.versions[version] = {
            "name": "churn",
            "version": version,
            "creation_timestamp": round((time.time() if made is None else made) * 1000),
            "run_id": f"run{version}" if run else "",
            "tags": [],
        }

    def answer(self, call: Call) -> Reply:
        if self.down:
            return Reply(503, {"message": "no database"})
        if call.path.startswith(ARTIFACTS):
            return self._artifact(call, call.path.removeprefix(ARTIFACTS))
        return getattr(self, "_" + call.path.removeprefix(API + "/").replace("/", "_").replace("-", "_"))(call)

    def _artifact(self, call: Call, path: str) -> Reply:
        if call.method == "PUT":
            self.artifacts[path] = call.body
            return Reply()
        if path not in self.artifacts:
            return Reply(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such artifact"})
        return Reply(200, self.artifacts[path])

    def _model_versions_search(self, call: Call) -> Reply:
        if call.query["filter"] != "name='churn'":
            return Reply(200, {})
        return Reply(200, {"model_versions": list(self.versions.values())[::-1]})

    def _model_versions_get(self, call: Call) -> Reply:
        found = self.versions.get(call.query["version"]) if call.query["name"] == "churn" else None
        if found is None:
            return Reply(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Model Version not found"})
        return Reply(200, {"model_version": found})

    def _model_versions_set_tag(self, call: Call) -> Reply:
        tags = self.versions[call.json["version"]]["tags"]
        tags.append({"key": call.json["key"], "value": call.json["value"]})
        return Reply()

    def _registered_models_alias(self, call: Call) -> Reply:
        if call.query["alias"] not in self.aliases:
            return Reply(400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "alias not found"})
        return Reply(200, {"model_version": self.versions[self.aliases[call.query["alias"]]]})

    def _runs_get(self, call: Call) -> Reply:
        root = f"mlflow-artifacts:/1/{call.query['run_id']}/artifacts"
        return Reply(200, {"run": {"info": {"artifact_uri": root}}})


def signed(secret: bytes, body: bytes, at: float, name: str = "d1") -> dict[str, str]:
    """The headers of a webhook as MLflow sends them."""
    content = f"{name}.{round(at)}.".encode() + body
    mark = base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()
    return {
        "X-MLflow-Signature": f"v1,{mark}",
        "X-MLflow-Delivery-Id": name,
        "X-MLflow-Timestamp": str(round(at)),
    }

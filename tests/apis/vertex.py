"""Vertex AI's pipelineJobs over REST, with the place where a service account gets its token."""

import json
from typing import Any

from tests.apis.service import Call, Reply, Service

PATH = "/v1/projects/p/locations/europe-west1/pipelineJobs"
ENTRY: dict[str, Any] = {
    "type": "vertex",
    "project": "p",
    "location": "europe-west1",
    "bucket": "gs://b/runs",
    "template_uri": "https://europe-west1-kfp.pkg.dev/p/r/train/v1",
    "credentials_file": "account.json",
    "parameters": {"since": "{data_range.from}", "rows": "{window.rows}"},
}


class Vertex(Service):
    """One project and location."""

    changing = staticmethod(lambda call: call.method == "POST" and call.path == PATH)
    untouched = frozenset({"/token"})

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, dict[str, Any]] = {}

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        return self.jobs

    def entry(self, **changes: Any) -> dict[str, Any]:
        return {**ENTRY, "url": self.url, **changes}

    def account(self, key: str) -> str:
        """A service account's file, whose tokens are had here."""
        known = {"type": "service_account", "client_email": "d@p", "token_uri": f"{self.url}/token"}
        return json.dumps({**known, "private_key": key, "private_key_id": "1", "project_id": "p"})

    def answer(self, call: Call) -> Reply:
        if call.path == "/token":
            return Reply(200, {"access_token": "ya29.canary7f3a", "expires_in": 3600, "token_type": "Bearer"})
        if call.headers.get("authorization") != "Bearer ya29.canary7f3a":
            return Reply(401, {"error": {"status": "UNAUTHENTICATED", "message": "no credentials"}})
        if call.method == "POST" and call.path == PATH:
            return self._create(call.query["pipelineJobId"], call.json)
        if call.path == PATH:
            return Reply(200, {"pipelineJobs": list(self.jobs.values())[:1]})
        name = call.path.removeprefix(f"{PATH}/")
        return Reply(200, self.jobs[name]) if name in self.jobs else Reply(404, {"error": {"message": "NOT_FOUND"}})

    def _create(self, name: str, job: dict[str, Any]) -> Reply:
        if name in self.jobs:
            return Reply(409, {"error": {"code": 409, "status": "ALREADY_EXISTS", "message": "exists"}})
        place = f"projects/1/locations/europe-west1/pipelineJobs/{name}"
        self.jobs[name] = {**job, "name": place, "state": "PIPELINE_STATE_PENDING"}
        return Reply(200, self.jobs[name])

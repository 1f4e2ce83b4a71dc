"""GitHub's REST API for repository_dispatch: 204, no key, limits under 403."""

from typing import Any

from tests.apis.service import Call, Reply, Service

ENTRY: dict[str, Any] = {
    "type": "github",
    "repository": "acme/models",
    "token_env": "TOKEN",
    "runs_named_by_id": True,
}


class Github(Service):
    """One repository with a workflow that is named after the id of its event."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[dict[str, Any]] = []
        self.repository: dict[str, Any] = {"full_name": "acme/models", "permissions": {"push": True}}

    @property
    def runs(self) -> list[dict[str, Any]]:
        return self.started

    def entry(self, **changes: Any) -> dict[str, Any]:
        return {**ENTRY, "url": self.url, **changes}

    def answer(self, call: Call) -> Reply:
        match call.path.removeprefix("/repos/acme/models"):
            case "":
                return Reply(200, self.repository)
            case "/actions/runs":
                return Reply(200, {"total_count": len(self.started), "workflow_runs": self.started})
            case "/dispatches":
                assert len(call.json["client_payload"]) <= 10
                title = f"driftd {call.json['client_payload']['id']}"
                self.started.append({"id": 7, "display_title": title, "status": "queued", "conclusion": None})
                return Reply(204, b"")
            case _:
                return Reply(404, {"message": "Not Found"})

"""Dagster's GraphQL as 1.13.28 answers: 200 refuses too, 500 is final of a wrong variable and passes of a PythonError."""

from typing import Any

from tests.apis.service import Call, Reply, Service

ENTRY: dict[str, Any] = {
    "type": "dagster",
    "location": "jobs",
    "job": "retrain",
    "run_config": {"rows": "{window.rows}"},
}


class Dagster(Service):
    """One code location `jobs` with one job `retrain`. It knows no key: each launch is a run."""

    changing = staticmethod(lambda call: b"launchRun" in call.body)

    def __init__(self) -> None:
        super().__init__()
        self.launched: list[dict[str, Any]] = []
        self.launches: list[Reply] = []  # answered in place of launching

    @property
    def runs(self) -> list[dict[str, Any]]:
        return self.launched

    def entry(self, **changes: Any) -> dict[str, Any]:
        return {**ENTRY, "url": self.url, **changes}

    def answer(self, call: Call) -> Reply:
        assert call.path == "/graphql"
        query, variables = call.json["query"], call.json["variables"]
        if "launchRun" in query:
            return self.launches.pop(0) if self.launches else self._launch(variables["params"])
        if "runsOrError" in query:
            (tag,) = variables["tags"]
            found = [run for run in self.launched if tag in run["tags"]]
            return data("runsOrError", {"__typename": "Runs", "results": found})
        if variables["job"]["pipelineName"] != "retrain":
            return data("pipelineOrError", not_found(variables["job"]["pipelineName"]))
        return data("pipelineOrError", {"__typename": "Pipeline", "name": "retrain"})

    def _launch(self, params: dict[str, Any]) -> Reply:
        if params["selector"]["jobName"] != "retrain":
            return data("launchRun", not_found(params["selector"]["jobName"]))
        if not isinstance(params["runConfigData"].get("rows"), int):
            error = {"message": "Missing required config entry"}
            return data("launchRun", {"__typename": "RunConfigValidationInvalid", "errors": [error]})
        run = {
            "runId": f"r{len(self.launched)}",
            "status": "QUEUED",
            "tags": params["executionMetadata"]["tags"],
            "config": params["runConfigData"],
        }
        self.launched.append(run)
        return data("launchRun", {"__typename": "LaunchRunSuccess", "run": {"runId": run["runId"]}})


def data(name: str, found: dict[str, Any], status: int = 200) -> Reply:
    return Reply(status, {"data": {name: found}})


def not_found(name: str) -> dict[str, Any]:
    return {"__typename": "PipelineNotFoundError", "message": f"Could not find Pipeline {name}"}

"""SageMaker's JSON protocol: a token that is known gives the first execution back; errors are named, under 400."""

from typing import Any

from tests.apis.service import Call, Reply, Service

ENTRY: dict[str, Any] = {
    "type": "sagemaker",
    "pipeline": "train",
    "region": "eu-central-1",
    "parameters": {"Since": "{data_range.from}", "Rows": "{window.rows}"},
}


class SageMaker(Service):
    """One pipeline. `forgetful`: it does not know tokens, as moto does not."""

    changing = staticmethod(lambda call: call.headers["x-amz-target"] == "SageMaker.StartPipelineExecution")

    def __init__(self, *, forgetful: bool = False) -> None:
        super().__init__()
        self.forgetful = forgetful
        self.executions: list[dict[str, Any]] = []

    @property
    def runs(self) -> list[dict[str, Any]]:
        return self.executions

    def entry(self, **changes: Any) -> dict[str, Any]:
        return {**ENTRY, "url": self.url, **changes}

    def answer(self, call: Call) -> Reply:
        asked = call.json
        if asked["PipelineName"] != "train":
            return error("ResourceNotFound", "Pipeline does not exist")
        match call.headers["x-amz-target"].removeprefix("SageMaker."):
            case "ListPipelineExecutions":
                return Reply(200, {"PipelineExecutionSummaries": self.executions})
            case "DescribePipeline":
                return Reply(200, {"PipelineName": "train"})
            case _:
                return self._start(asked)

    def _start(self, asked: dict[str, Any]) -> Reply:
        if not 32 <= len(asked["ClientRequestToken"]) <= 128:
            return error("ValidationException", "ClientRequestToken")
        if not self.forgetful:
            for each in self.executions:
                if each["ClientRequestToken"] == asked["ClientRequestToken"]:
                    return Reply(200, {"PipelineExecutionArn": each["PipelineExecutionArn"]})
        arn = f"arn:aws:sagemaker:eu-central-1:1:pipeline/train/execution/{len(self.executions)}"
        self.executions.append({**asked, "PipelineExecutionArn": arn, "PipelineExecutionStatus": "Executing"})
        return Reply(200, {"PipelineExecutionArn": arn})


def error(name: str, message: str) -> Reply:
    return Reply(400, {"__type": f"com.amazonaws.sagemaker#{name}", "message": message})

"""What Azure's collector sends for fixed frames: headers and bodies, received on loopback. Runs where azureml-ai-monitoring is.

The agent beside the server, which writes CloudEvents out of them, is Azure's own and is not here: `event` writes as its pages say.
"""

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from typing import Any

RECEIVED: list[dict[str, Any]] = []
FIXED = {"ce-time": "1793534400", "trace-id": "t-1", "ce-x-request-id": "c-1"}  # what differs by run


class Agent(BaseHTTPRequestHandler):
    """Takes what the collector posts."""

    def do_POST(self) -> None:
        """Keep it."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        headers = {
            name.lower(): value
            for name, value in self.headers.items()
            if name.lower().startswith(("ce-", "content-type"))
        }
        assert datetime.fromtimestamp(int(headers["ce-time"]), UTC).year > 2000
        RECEIVED.append({"headers": headers | {k: v for k, v in FIXED.items() if k in headers}, "body": body})
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *said: Any) -> None:
        """Say nothing."""


def event(received: Mapping[str, Any]) -> str:
    """The line that the agent's pages show for what was posted."""
    headers = received["headers"]
    line = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/onlineEndpoints/e/deployments/blue",
        "type": headers["ce-type"],
        "datacontenttype": "application/json",
        "time": datetime.fromtimestamp(int(headers["ce-time"]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": json.loads(received["body"]),
        "correlationid": headers["ce-x-request-id"],
        "xrequestid": headers["ce-x-request-id"],
        "modelversion": headers.get("ce-model-version", "default"),
        "collectdatatype": headers["ce-collect-data-type"],
        "agent": headers["ce-agent"],
    }
    return json.dumps(line)


def collect(port: int) -> None:
    """Inputs and outputs of one request of two rows, as a scoring script collects them."""
    os.environ |= {"AZUREML_MDC_ENABLED": "true", "AZUREML_MDC_HOST": "127.0.0.1", "AZUREML_MDC_PORT": str(port)}
    import pandas as pd
    from azureml.ai.monitoring import Collector

    failed: list[Exception] = []
    inputs = Collector(name="model_inputs", on_error=failed.append)
    outputs = Collector(name="model_outputs", on_error=failed.append)
    frame = pd.DataFrame(
        {
            "age": [41.5, float("nan")],
            "rate": pd.Series([0.1, 1.5e-11], dtype="float32"),
            "tiny": [1.5e-11, float("inf")],
            "plan": ["pro", None],
            "joined": pd.to_datetime(["2026-11-01T12:00:00", None]),
        }
    )
    context = inputs.collect(frame)
    outputs.collect(pd.DataFrame({"score": [0.83, 0.1]}), context)
    assert not failed, failed


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", 0), Agent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with contextlib.redirect_stdout(sys.stderr):  # where the collector's log goes
        collect(server.server_port)
    deadline = time.monotonic() + 30
    while len(RECEIVED) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    made = {
        "version": version("azureml-ai-monitoring"),
        "received": RECEIVED,
        "lines": [event(each) for each in RECEIVED],
    }
    json.dump(made, sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")

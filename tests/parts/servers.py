"""Real Airflow, Dagster, MLflow and Prefect servers on loopback, and moto for AWS, each in a virtual environment of its own.

Heavy, so no part of a usual run: `make targets` installs and runs them. `python -m tests.parts.servers DIRECTORY` installs;
tests find them where TARGET_SERVERS says. Standard library only.
"""

import http.client
import json
import os
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.parts.child import Child
from tests.parts.ports import free_ports

PACKAGES: dict[str, Sequence[str]] = {
    "airflow": ["apache-airflow==3.3.2"],
    "dagster": ["dagster==1.13.28", "dagster-webserver==1.13.28"],
    "mlflow": ["mlflow==3.17.2"],
    "moto": ["moto[server]==5.2.5", "kfp-server-api==2.17.3"],
    "prefect": ["prefect==3.9.1"],
}
READY_SECONDS = 600
QUIET = {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
DAG = """
from airflow.sdk import dag, task

@dag(schedule=None)
def train():
    @task
    def fit(**context):
        print(context["dag_run"].conf)

    fit()

train()
"""
JOBS = """
from dagster import Definitions, job, op

@op(config_schema={"since": str, "rows": int})
def train(context):
    context.log.info(context.op_config["since"])

@job
def retrain():
    train()

defs = Definitions(jobs=[retrain])
"""


def installed(name: str) -> Path | None:
    """The folder of a server's programs; None where this run does not want them, or has not this one."""
    folder = Path(os.environ.get("TARGET_SERVERS", "/nowhere")) / name / "bin"
    return folder if folder.exists() else None


def install(directory: Path) -> None:
    """What is missing, one after the other."""
    for name, packages in PACKAGES.items():
        done = directory / name / ".installed"
        if done.exists() and done.read_text() == " ".join(packages):
            continue
        print(f"installing {' '.join(packages)} …", flush=True)
        venv.create(directory / name, with_pip=True, clear=True)
        python = directory / name / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages], check=True)
        done.write_text(" ".join(packages))


class Server:
    """One started server with its own folder; `address` is host and port."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self.programs = folder, programs
        (port,) = free_ports(1)
        self.address = f"127.0.0.1:{port}"
        self.port = str(port)
        self._child: Child | None = None

    def start(self, program: str, *arguments: str, ready: str, **environment: str) -> None:
        named = {**QUIET, "PATH": f"{self.programs}:{os.environ['PATH']}", "HOME": str(self.folder), **environment}
        words = [f"{name}={value}" for name, value in named.items()]
        command = ["env", f"--chdir={self.folder}", *words, self.programs / program, *arguments]
        self._child = Child(program, command, log=self.folder / "server.log")
        self._child.wait_until(lambda: self.answers(ready), seconds=READY_SECONDS)

    def run(self, program: str, *arguments: str, **environment: str) -> None:
        """Run one of its programs to its end."""
        named = {**os.environ, **QUIET, "PATH": f"{self.programs}:{os.environ['PATH']}", **environment}
        with (self.folder / "server.log").open("ab") as log:
            subprocess.run(
                [self.programs / program, *arguments],
                check=True,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                env=named,
                timeout=READY_SECONDS,
            )

    def answers(self, path: str) -> bool:
        try:
            return self.ask("GET", path)[0] == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON, or bytes where it is none."""
        with closing(http.client.HTTPConnection(self.address, timeout=120)) as connection:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"content-type": "application/json", **(headers or {})})
            response = connection.getresponse()
            raw = response.read()
        try:
            return response.status, json.loads(raw)
        except ValueError:
            return response.status, raw

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()


def airflow(server: Server) -> str:
    """An API server with a DAG `train`; the password of `admin`."""
    (server.folder / "dags").mkdir()
    (server.folder / "dags" / "train.py").write_text(DAG)
    environment = {
        "AIRFLOW_HOME": str(server.folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    server.run("airflow", "db", "migrate", **environment)
    server.run("airflow", "dags", "reserialize", **environment)
    place = ("--host", "127.0.0.1", "--port", server.port, "--workers", "1")
    server.start("airflow", "api-server", *place, ready="/api/v2/version", **environment)
    passwords = json.loads((server.folder / "simple_auth_manager_passwords.json.generated").read_text())
    return str(passwords["admin"])


def dagster(server: Server) -> None:
    """A web server with a code location `jobs.py` and its job `retrain`."""
    (server.folder / "jobs.py").write_text(JOBS)
    (server.folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    place = ("-h", "127.0.0.1", "-p", server.port)
    server.start("dagster-webserver", "-f", "jobs.py", *place, ready="/server_info", DAGSTER_HOME=str(server.folder))


def mlflow(server: Server) -> None:
    """A tracking server on SQLite, which serves artifacts and tells webhooks on loopback."""
    place = ("--host", "127.0.0.1", "--port", server.port, "--workers", "1")
    store = ("--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "artifacts")
    hooks = {"MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true", "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https"}
    server.start("mlflow", "server", *place, *store, ready="/health", **hooks)


def moto(server: Server) -> None:
    """AWS as moto has it: it takes SageMaker's request token and does not look at it."""
    server.start("moto_server", "-H", "127.0.0.1", "-p", server.port, ready="/moto-api/")


def prefect(server: Server) -> None:
    """A server on SQLite, without a worker."""
    place = ("--host", "127.0.0.1", "--port", server.port)
    home = str(server.folder)
    server.start("prefect", "server", "start", *place, ready="/api/health", PREFECT_HOME=home)


if __name__ == "__main__":
    install(Path(sys.argv[1]))

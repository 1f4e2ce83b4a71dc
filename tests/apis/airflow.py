"""Airflow's REST API as 3.3.2 and 2.x answer: 409 has one body for two meanings."""

from typing import Any

from tests.apis.service import CANARY, Call, Reply, Service

ENTRY: dict[str, Any] = {"type": "airflow", "dag": "train", "username": "driftd", "password_env": "PASSWORD"}
TAKEN = {"detail": {"reason": "Unique constraint violation", "message": "duplicate key"}}


class Airflow(Service):
    """One DAG, `train`."""

    changing = staticmethod(lambda call: call.method == "POST" and call.path.endswith("/dagRuns"))

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[str, dict[str, Any]] = {}
        self.dag: dict[str, Any] = {"dag_id": "train", "is_paused": False}
        self.date_is_taken = False  # another run has the logical date: answered as a repeat is

    def entry(self, **changes: Any) -> dict[str, Any]:
        return {**ENTRY, "url": self.url, **changes}

    def answer(self, call: Call) -> Reply:
        if call.path == "/auth/token":
            right = call.json == {"username": "driftd", "password": CANARY}
            return Reply(201, {"access_token": "jwt"}) if right else Reply(401, {"detail": "Invalid credentials"})
        if not call.headers.get("authorization", "").startswith(("Bearer jwt", "Basic ")):
            return Reply(401, {"detail": "Not authenticated"})
        if not call.path.startswith(("/api/v2/dags/train", "/api/v1/dags/train")):
            return Reply(404, {"detail": "The Dag with ID: `nope` was not found"})
        return self._runs(call)

    def _runs(self, call: Call) -> Reply:
        if call.method == "POST":
            return self._start(call.json, dated="/v2/" in call.path)
        name = call.path.rpartition("/")[2]
        if name == "train":
            return Reply(200, self.dag)
        return Reply(200, self.runs[name]) if name in self.runs else Reply(404, {"detail": "DagRun not found"})

    def _start(self, run: dict[str, Any], *, dated: bool) -> Reply:
        if dated and "logical_date" not in run:
            return Reply(422, {"detail": [{"type": "missing", "loc": ["body", "logical_date"]}]})
        if unknown := run.keys() - {"dag_run_id", "logical_date", "conf"}:
            return Reply(422, {"detail": [{"type": "extra_forbidden", "loc": ["body", *unknown]}]})
        if run["conf"].get("rows") == "many":
            return Reply(400, {"detail": "Invalid input for param rows: 'many' is not of type 'integer'"})
        name = run.get("dag_run_id") or f"manual__{len(self.runs)}"  # an empty id is none: each starts a run
        if name in self.runs or self.date_is_taken:
            return Reply(409, TAKEN)
        self.runs[name] = {"dag_run_id": name, "state": "queued", "conf": run["conf"]}
        return Reply(200, self.runs[name])

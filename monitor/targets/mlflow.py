"""MLflow: a decision on the model version (tags, alias) and, where an experiment is named, its figures on a run.

Setting a tag twice fires MLflow's webhook twice, so the version is read first. The tag that holds the decision is
written last: what stands before it can be done again without harm.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode

from pydantic import field_validator

from monitor.clock import Clock
from monitor.store.outbox import Notice
from monitor.stream.events import SECOND
from monitor.targets.base import Access, AlreadyThere, Delivered, Delivery, Refused, TryLater
from monitor.targets.identity import run_id
from monitor.targets.model_registry import tags_in
from monitor.targets.rest import Api, LoginSettings, json_of, objects_in
from monitor.targets.secrets import Secrets
from monitor.targets.templates import TextTemplate, fields_of, render
from monitor.targets.transport import Answer, Transport

ERRORS = frozenset({"error", "errors", "error_code"})  # of what is no success, whatever the status
MARK = "driftd.decision"  # the tag that says that it is told
API = "/api/2.0/mlflow"
MOST_METRICS = 1000  # of one request
MOST_PARAM, MOST_TAG, MOST_KEY = 6000, 5000, 250
_ALIAS = re.compile(r"(?!(?i:latest)$)(?!v\d+$)[A-Za-z0-9_-]{1,255}")
_NO_KEY = re.compile(r"[^A-Za-z0-9_\-. /]")  # what a metric's name may not hold


class MlflowSettings(LoginSettings):
    """The registered model whose version is marked, the alias it gets, and the experiment for figures."""

    type: Literal["mlflow"]
    model: TextTemplate = "{model}"
    version: TextTemplate = "{model_version}"
    alias: str | None = None
    experiment: str | None = None

    @field_validator("alias")
    @classmethod
    def _an_alias(cls, alias: str | None) -> str | None:
        if alias is not None and not _ALIAS.fullmatch(alias):
            raise ValueError("must be letters, digits, - and _, and neither `latest` nor v with a number")
        return alias

    def build(self, secrets: Secrets) -> "Mlflow":
        """The target. Raises ValueError."""
        return Mlflow(self.name, self.opened(secrets), self.model, self.version, self.alias, self.experiment)


class _Failed(Exception):  # noqa: N818 - says what happened
    """A request that had no success; how the attempt ends."""

    def __init__(self, delivery: Delivery) -> None:
        super().__init__()
        self.delivery = delivery


@dataclass(frozen=True, slots=True)
class Mlflow:
    """One tracking server with its registry."""

    name: str
    api: Api
    model: str = "{model}"
    version: str = "{model_version}"
    alias: str | None = None
    experiment: str | None = None

    starts: ClassVar[str] = "change of the model version"

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Write what is not written yet, the mark last."""
        try:
            return self._deliver(notice, _Session(self.api, io, clock))
        except _Failed as failed:
            return failed.delivery

    def _deliver(self, notice: Notice, session: "_Session") -> Delivery:
        said, decision = fields_of(notice), run_id(notice)
        model, version = str(render(self.model, said) or ""), str(render(self.version, said) or "")
        if not version.isascii() or not version.isdigit():
            return Refused(None, f"version: {version!r} is no number of a version of {model} at MLflow")
        run = None if self.experiment is None else session.run_of(self.experiment, decision)
        if run is not None and run.get("status") == "FINISHED":
            return AlreadyThere(HTTPStatus.OK.value)
        known = session.version(model, version)
        marked = known.tags.get(MARK) == decision
        if not marked:
            run = self._logged(session, run, notice, said)
            self._mark(session, model, version, known, {**tags_of(said), MARK: decision})
        if run is not None:
            session.finish(id_of(run), notice)
        return AlreadyThere(HTTPStatus.OK.value) if marked else Delivered(HTTPStatus.OK.value)

    def _logged(
        self, session: "_Session", run: Mapping[str, Any] | None, notice: Notice, said: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """The run of a decision with its figures; None where no experiment is named."""
        if self.experiment is None:
            return None
        run = run or session.create_run(self.experiment, notice, {MARK: run_id(notice), **tags_of(said)})
        session.log(id_of(run), metrics_of(said), notice)
        return run

    def _mark(self, session: "_Session", model: str, version: str, known: "_Marked", tags: Mapping[str, str]) -> None:
        """Write what the version does not have yet: MLflow tells its webhooks of every writing, of an equal value too."""
        if self.alias is not None and self.alias not in known.aliases:
            session.post("/registered-models/alias", {"name": model, "alias": self.alias, "version": version})
        for key, value in tags.items():
            if known.tags.get(key) != value:
                session.post("/model-versions/set-tag", {"name": model, "version": version, "key": key, "value": value})

    def check(self, io: Transport, clock: Clock) -> Access:
        """Whether we are let in, and whether experiment and model, where it has one name, are there."""
        session = _Session(self.api, io, clock)
        problems = []
        if "{" not in self.model:
            answer = self.api.get(io, f"{API}/registered-models/get?" + urlencode({"name": self.model}))
            if (why := self.api.unreadable(answer)) is not None:
                problems.append(f"model {self.model}: {why}")
        answer = self.api.get(io, f"{API}/registered-models/search?max_results=1")
        if (why := self.api.unreadable(answer)) is not None:
            problems.append(f"its registry {why}")
        if self.experiment is not None:
            try:
                session.experiment_id(self.experiment)
            except _Failed as failed:
                problems.append(f"experiment {self.experiment}: {failed.delivery.detail}")
        return Access("its registry answers", tuple(problems))


@dataclass(frozen=True, slots=True)
class _Marked:
    """What a model version is marked with."""

    tags: Mapping[str, str]
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Session:
    """The requests of one attempt; one without success ends it."""

    api: Api
    io: Transport
    clock: Clock

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send JSON, and get JSON."""
        return self._success(self.api.post(self.io, API + path, body))

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Read."""
        return self._success(self.api.get(self.io, f"{API}{path}?{urlencode(query)}"))

    def _success(self, answer: Answer) -> dict[str, Any]:
        if answer.status != HTTPStatus.OK:
            raise _Failed(self.api.failed(answer, self.clock))
        if not answer.body.lstrip().startswith(b"{"):  # a page of a proxy that asks for a login
            raise _Failed(TryLater(answer.status, "answered no JSON"))
        found = json_of(answer)
        if not ERRORS.isdisjoint(found):
            raise _Failed(TryLater(answer.status, self.api.words(answer)))
        return found

    def version(self, model: str, version: str) -> _Marked:
        """A version, which is there."""
        found = part_of(self.get("/model-versions/get", name=model, version=version), "model_version")
        aliases = found.get("aliases")
        return _Marked(tags_in(found), tuple(map(str, aliases)) if isinstance(aliases, list) else ())

    def experiment_id(self, name: str) -> str:
        """The id of an experiment."""
        found = self.get("/experiments/get-by-name", experiment_name=name)
        return str(part_of(found, "experiment").get("experiment_id"))

    def run_of(self, experiment: str, decision: str) -> Mapping[str, Any] | None:
        """The run of a decision; None where it is not there."""
        asked = {
            "experiment_ids": [self.experiment_id(experiment)],
            "filter": f"tags.`{MARK}` = '{decision}'",
            "max_results": 1,
        }
        runs = objects_in(self.post("/runs/search", asked), "runs")
        return part_of(runs[0], "info") if runs else None

    def create_run(self, experiment: str, notice: Notice, tags: Mapping[str, str]) -> Mapping[str, Any]:
        """A run of a decision."""
        body = {
            "experiment_id": self.experiment_id(experiment),
            "run_name": run_id(notice),
            "start_time": milliseconds(notice.event_time),
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        return part_of(part_of(self.post("/runs/create", body), "run"), "info")

    def log(self, run: str, metrics: Mapping[str, float], notice: Notice) -> None:
        """Write metrics at the notice's event time: the same ones again are the same rows."""
        at = milliseconds(notice.event_time)
        rows = [{"key": key, "value": value, "timestamp": at, "step": 0} for key, value in metrics.items()]
        if rows:
            self.post("/runs/log-batch", {"run_id": run, "metrics": rows[:MOST_METRICS]})

    def finish(self, run: str, notice: Notice) -> None:
        """End the run of a decision: all is written."""
        self.post("/runs/update", {"run_id": run, "status": "FINISHED", "end_time": milliseconds(notice.event_time)})


def part_of(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What an answer holds under a name."""
    part = found.get(name)
    if not isinstance(part, Mapping):  # a proxy's answer under 200, or another server's
        raise _Failed(TryLater(HTTPStatus.OK.value, f"answered without {name}"))
    return part


def id_of(run: Mapping[str, Any]) -> str:
    """The id of a run."""
    found = run.get("run_id")
    if not isinstance(found, str) or not found:
        raise _Failed(TryLater(HTTPStatus.OK.value, "answered a run without run_id"))
    return found


def milliseconds(nanos: int) -> int:
    """Nanoseconds as MLflow has time."""
    return nanos // (SECOND // 1000)


def tags_of(said: Mapping[str, Any]) -> dict[str, str]:
    """What a decision says, as tags; what it does not say is left out."""
    template = {
        "driftd.reason": "{reason}",
        "driftd.severity": "{severity}",
        "driftd.incident": "{incident}",
        "driftd.summary": "{summary}",
        "driftd.data_from": "{data_range.from}",
        "driftd.data_to": "{data_range.to}",
        "driftd.reference": "{reference.hash}",
        "driftd.url": "{url}",
    }
    return {key: str(value)[:MOST_TAG] for key, value in render(template, said).items()}


def metrics_of(said: Mapping[str, Any]) -> dict[str, float]:
    """The scores and effects of the features. Numbers that are not finite are left out: MLflow stores a bare NaN as 0."""
    return dict(_metrics(said.get("evidence", ())))


def _metrics(evidence: Any) -> Iterator[tuple[str, float]]:
    for each in evidence:
        feature = _NO_KEY.sub("_", str(each.get("feature", "")))[: MOST_KEY - 20]
        for name in ("score", "threshold", "effect", "pvalue"):
            value = each.get(name)
            if isinstance(value, int | float) and math.isfinite(value):
                yield f"drift/{feature}/{name}", float(value)

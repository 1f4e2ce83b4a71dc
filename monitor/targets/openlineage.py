"""OpenLineage: a request for retraining as a run, so that a model version can be traced to the data and the cause.

START on request; COMPLETE or FAIL when its runs have ended or a new version has come; OTHER for a version that comes after that.
Events of specification 2-0-2. Their receivers know no key: one that comes twice is the same, byte for byte, under the same run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from pydantic import Field, field_validator, model_validator

from monitor.clock import Clock
from monitor.store.outbox import Notice
from monitor.targets.base import Delivered, Delivery, NoticeType, TryLater
from monitor.targets.paging import decided_at
from monitor.targets.payloads import COMPLETED, FAILED, RETRAIN, rfc3339
from monitor.targets.rest import Api, TokenSettings
from monitor.targets.secrets import Secrets
from monitor.targets.templates import fields_of
from monitor.targets.transport import Transport

SPEC = "https://openlineage.io/spec"
EVENT_SCHEMA = f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
OURS = "urn:driftd:openlineage"  # of facets of our own: docs/targets/openlineage.md says what they hold
TOLD: list[NoticeType] = ["model.retrain.requested", "model.retrain.completed", "model.retrain.failed"]
EVENTS = {RETRAIN: "START", COMPLETED: "COMPLETE", FAILED: "FAIL"}
OTHER = "OTHER"
TAKEN = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT})
DRIFTED = ("feature", "chart", "detector", "score", "threshold", "effect", "since", "words")  # of the evidence


class OpenLineageSettings(TokenSettings):
    """Where events go, and in which namespaces jobs, topics and models are known there."""

    type: Literal["openlineage"]
    types: Annotated[list[NoticeType], Field(min_length=1)] = TOLD
    endpoint: str = Field(default="/api/v1/lineage", pattern=r"^/[!-~]*$")
    namespace: str = Field(default="driftd", min_length=1)
    dataset_namespace: str
    model_namespace: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _decisions_alone(self) -> "OpenLineageSettings":
        """In the place of the same method of targets that start runs: what has ended is told here too."""
        if unknown := [kind for kind in self.types if kind not in TOLD]:
            raise ValueError(f"types: type openlineage takes {', '.join(TOLD)}, and not {unknown[0]}")
        return self

    @field_validator("dataset_namespace")
    @classmethod
    def _of_kafka(cls, namespace: str) -> str:
        parts = urlsplit(namespace)
        if parts.scheme != "kafka" or not parts.hostname or parts.username or parts.path or parts.query:
            raise ValueError("must be kafka://HOST:PORT, as other tools name the broker, without a user name")
        return namespace

    def build(self, secrets: Secrets) -> "OpenLineage":
        """The target. Raises ValueError."""
        api, models = self.bearer(secrets), self.model_namespace or self.namespace
        return OpenLineage(self.name, api, self.endpoint, self.namespace, self.dataset_namespace, models)


@dataclass(frozen=True, slots=True)
class OpenLineage:
    """One collector of lineage, such as Marquez."""

    name: str
    api: Api
    endpoint: str
    namespace: str
    datasets: str
    models: str

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Send one event."""
        answer = self.api.post(io, self.endpoint, self.event(notice, clock))
        if answer.status in TAKEN:
            if answer.body.lstrip()[:1] == b"<":  # a page of a proxy that asks for a login
                return TryLater(answer.status, "answered with a page")
            return Delivered(answer.status)
        return self.api.failed(answer, clock)

    def event(self, notice: Notice, clock: Clock) -> dict[str, Any]:
        """The event of a notice."""
        said = fields_of(notice)
        facets = Facets(f"urn:driftd:{said.get('driftd_version', '')}")
        return {
            "eventType": event_type(notice, said),
            "eventTime": rfc3339(decided_at(notice, clock.now())),
            "run": {"runId": lineage_id(said.get("decision_id") or notice.id), "facets": facets.of_run(said)},
            "job": {
                "namespace": self.namespace,
                "name": f"retrain.{said.get('model', '')}",
                "facets": facets.of_job(),
            },
            "inputs": self._inputs(said, facets),
            "outputs": self._outputs(said, facets),
            "producer": facets.producer,
            "schemaURL": EVENT_SCHEMA,
        }

    def _inputs(self, said: Mapping[str, Any], facets: "Facets") -> list[dict[str, Any]]:
        """The topics, each with the records that hold the data."""
        topics: dict[str, list[dict[str, Any]]] = {}
        for each in said.get("offsets") or ():
            span = {name: each[name] for name in ("partition", "from", "to")}
            topics.setdefault(each["topic"], []).append(span)
        return [
            {
                "namespace": self.datasets,
                "name": topic,
                "inputFacets": {"driftd_records": facets.records(said, partitions)},
            }
            for topic, partitions in topics.items()
        ]

    def _outputs(self, said: Mapping[str, Any], facets: "Facets") -> list[dict[str, Any]]:
        """The model, with its version once that has come."""
        version = (said.get("ended") or {}).get("new_version")
        known = {} if version is None else {"facets": {"version": facets.version(version)}}
        return [{"namespace": self.models, "name": said.get("model", ""), **known}]


def event_type(notice: Notice, said: Mapping[str, Any]) -> str:
    """What an event says of its run. A version that comes after the run's end is told as more of the same."""
    ended = said.get("ended") or {}
    late = ended.get("new_version") is not None and ended.get("outcome") != "trained"
    return OTHER if late else EVENTS.get(notice.type, OTHER)


def lineage_id(decision: str) -> str:
    """The run's id: a UUID that is made of the decision's id alone.

    >>> lineage_id("8d5c0a1b2c3d4e5f8d5c0a1b2c3d4e5f")
    '9a7f8cfd-a33c-54b2-ad19-507c6b67abf0'
    """
    return str(uuid5(NAMESPACE_URL, f"urn:driftd:decision:{decision}"))


@dataclass(frozen=True, slots=True)
class Facets:
    """What is told beside, each with who says it and by which schema."""

    producer: str

    def _facet(self, schema: str, **said: Any) -> dict[str, Any]:
        known = {name: value for name, value in said.items() if value is not None}
        return {"_producer": self.producer, "_schemaURL": schema, **known}

    def of_run(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """The range of the data as the nominal time; of a request the cause, of an end what became of it: a facet told again takes the place of the first."""
        data, found = said.get("data_range") or {}, {} if "ended" in said else {"driftd_cause": self.cause(said)}
        if "from" in data and "to" in data:
            schema = f"{SPEC}/facets/1-0-1/NominalTimeRunFacet.json#/$defs/NominalTimeRunFacet"
            found["nominalTime"] = self._facet(schema, nominalStartTime=data["from"], nominalEndTime=data["to"])
        if ended := said.get("ended"):
            found["driftd_outcome"] = self._facet(
                f"{OURS}:outcome:1", outcome=ended.get("outcome"), runs=ended.get("runs"), at=ended.get("at")
            )
            if ended.get("outcome") in {"failed", "cancelled"}:
                schema = f"{SPEC}/facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet"
                error = self._facet(schema, message=str(said.get("summary", "")), programmingLanguage="unknown")
                found["errorMessage"] = error
        return found

    def cause(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Why: the incident, which features, since when, against which reference, by which configuration."""
        alert, data = said.get("alert") or {}, said.get("data_range") or {}
        people = said.get("decided_by") or said.get("requested_by") or {}
        return self._facet(
            f"{OURS}:cause:1",
            decision=said.get("decision_id"),
            reason=said.get("reason"),
            modelVersion=said.get("model_version"),
            incident=said.get("incident"),
            severity=said.get("severity"),
            rule=alert.get("rule"),
            onset=data.get("from") if alert else None,
            features=[{name: each[name] for name in DRIFTED if name in each} for each in said.get("evidence") or ()],
            referenceHash=(said.get("reference") or {}).get("hash") or None,
            configHash=said.get("config_hash"),
            decidedBy=people.get("by"),
            summary=said.get("summary"),
            url=said.get("url") or (said.get("links") or {}).get("model"),
            test=said.get("test"),
        )

    def of_job(self) -> dict[str, Any]:
        """What kind of job it is."""
        schema = f"{SPEC}/facets/2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet"
        return {
            "jobType": self._facet(schema, processingType="BATCH", integration="DRIFTD", jobType="RETRAINING"),
        }

    def records(self, said: Mapping[str, Any], partitions: list[dict[str, Any]]) -> dict[str, Any]:
        """Which records of a topic hold the data: from the first on, before the last."""
        data = said.get("data_range") or {}
        times = {"eventTimeFrom": data.get("from"), "eventTimeTo": data.get("to")}
        return self._facet(f"{OURS}:records:1", partitions=partitions, whole=said.get("offsets_whole"), **times)

    def version(self, version: str) -> dict[str, Any]:
        """A version of a dataset."""
        schema = f"{SPEC}/facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet"
        return self._facet(schema, datasetVersion=version)

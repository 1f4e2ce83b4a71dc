"""MLflow as a registry: which versions a model has, and the reference profile that lies beside one as an artifact.

The reference is an artifact of the run that made the version, or where a tag of the version says, which `driftd reference push`
writes. Both are read through the tracking server's own proxy of artifacts, so that no storage credentials are needed here.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from monitor.alerting.versions import ListedVersions
from monitor.stream.events import SECOND, Nanos
from monitor.targets.rest import Api, json_of, object_in, objects_in
from monitor.targets.transport import Answer, Request, Transport, TransportError

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
SCHEME = "mlflow-artifacts:"
PLACE, HASH = "driftd.reference_artifact", "driftd.reference"  # tags of a version
MOST_REFERENCE = 64_000_000  # bytes
MOST_VERSIONS, PAGE = 1000, 200
URI = re.compile(r"models:/+([^/@]+)(?:/([^/@]+)|@([^/@]+))")
MILLISECOND: Nanos = SECOND // 1000


class RegistryError(Exception):
    """A registry does not say what it was asked for; one line says why, without a secret."""


class RegistryAwayError(RegistryError):
    """It does not answer, or has trouble of its own: later it may."""


@dataclass(frozen=True, slots=True)
class ModelUri:
    """`models:/name/version` or `models:/name@alias`."""

    model: str
    version: str | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> "ModelUri":
        """Raises ValueError."""
        found = URI.fullmatch(text)
        if found is None:
            raise ValueError(f"{text} is neither models:/NAME/VERSION nor models:/NAME@ALIAS")
        return cls(*found.groups())


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version as the registry has it."""

    version: str
    run: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ModelRegistry:
    """One tracking server with its registry. `artifact` is the path of references below the artifacts of a run."""

    api: Api
    artifact: str = "driftd/reference.json"

    def listed(self, model: str, alias: str | None, io: Transport) -> ListedVersions:
        """The versions of a model, the oldest first; with an alias the one that it is of. Raises RegistryError."""
        if alias is not None:
            found = [self._aliased(model, alias, io)]
        else:
            found = sorted(self._versions(model, io), key=lambda each: number_in(each, "version"))
        made = [
            (str(number_in(each, "version")), number_in(each, "creation_timestamp", 0) * MILLISECOND) for each in found
        ]
        return ListedVersions(model, tuple((version, at or None) for version, at in made))

    def _versions(self, model: str, io: Transport) -> Iterator[Mapping[str, Any]]:
        if "'" in model or "\\" in model:
            raise RegistryError(f"{model!r} can be no name there")
        asked, many = {"filter": f"name='{model}'", "max_results": str(PAGE)}, 0
        while many < MOST_VERSIONS:
            page = self._get(io, "/model-versions/search", asked)
            found = objects_in(page, "model_versions")
            many += len(found)
            yield from found
            if not page.get("next_page_token") or not found:
                return
            asked = {**asked, "page_token": page["next_page_token"]}

    def _aliased(self, model: str, alias: str, io: Transport) -> Mapping[str, Any]:
        return object_in(self._get(io, "/registered-models/alias", {"name": model, "alias": alias}), "model_version")

    def version_of(self, uri: ModelUri, io: Transport) -> str:
        """The version that a URI is of. Raises RegistryError."""
        return self._version(uri, io).version

    def _version(self, uri: ModelUri, io: Transport) -> RegisteredVersion:
        if uri.alias is not None:
            found = self._aliased(uri.model, uri.alias, io)
        else:
            asked = {"name": uri.model, "version": uri.version or ""}
            found = object_in(self._get(io, "/model-versions/get", asked), "model_version")
        if "version" not in found:
            raise RegistryError("answered without a version")
        return RegisteredVersion(str(found["version"]), str(found.get("run_id") or ""), tags_in(found))

    # --- the reference ------------------------------------------------------------------------------------------

    def reference(self, uri: ModelUri, io: Transport) -> bytes:
        """The content of the reference of a version. Raises RegistryError."""
        version = self._version(uri, io)
        place = version.tags.get(PLACE) or self._artifact_of(version, io)
        answer = self._send(io, "GET", ARTIFACTS + _path(place), b"")
        if answer.status == HTTPStatus.NOT_FOUND:
            raise RegistryError(
                f"version {version.version} of {uri.model} has no artifact {place}: push it with driftd reference push"
            )
        self._refuse(answer)
        if len(answer.body) >= MOST_REFERENCE:
            raise RegistryError(f"{place} has more than {MOST_REFERENCE // 10**6} MB")
        return answer.body

    def push(self, uri: ModelUri, content: bytes, digest: str, io: Transport) -> str:
        """Put a reference beside a version, and say so in its tags; where it lies is returned. Raises RegistryError."""
        version = self._version(uri, io)
        place = (
            self._artifact_of(version, io)
            if version.run
            else f"{SCHEME}/driftd/{uri.model}/{version.version}/{self.artifact}"
        )
        self._refuse(self._send(io, "PUT", ARTIFACTS + _path(place), content))
        for key, value in ((PLACE, place), (HASH, digest)):
            if version.tags.get(key) != value:
                body = {"name": uri.model, "version": version.version, "key": key, "value": value}
                self._refuse(self._ask(io, "POST", f"{API}/model-versions/set-tag", body))
        return place

    def _artifact_of(self, version: RegisteredVersion, io: Transport) -> str:
        """Where the reference is among the artifacts of the version's run."""
        if not version.run:
            raise RegistryError(
                f"version {version.version} has no run, and no tag {PLACE}: push it with driftd reference push"
            )
        run = object_in(self._get(io, "/runs/get", {"run_id": version.run}), "run")
        root = str(object_in(run, "info").get("artifact_uri", ""))
        return f"{root.rstrip('/')}/{self.artifact}"

    # --- asking -------------------------------------------------------------------------------------------------

    def _get(self, io: Transport, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        answer = self._ask(io, "GET", f"{API}{path}?{urlencode(query)}")
        self._refuse(answer)
        if not answer.body.lstrip().startswith(b"{"):
            raise RegistryError("answered no JSON: is there a login in front of it?")
        return json_of(answer)

    def _refuse(self, answer: Answer) -> None:
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise RegistryAwayError(self.api.words(answer))
        if answer.status != HTTPStatus.OK:
            raise RegistryError(self.api.words(answer))

    def _ask(self, io: Transport, method: str, path: str, body: Any = None) -> Answer:
        try:
            return self.api.ask(io, method, path, body)
        except TransportError as error:
            raise RegistryAwayError(f"does not answer: {error}") from None

    def _send(self, io: Transport, method: str, path: str, content: bytes) -> Answer:
        headers = {"user-agent": "driftd", **self.api.headers}
        if content:
            headers["content-type"] = "application/octet-stream"
        api = self.api
        try:
            return io.send(Request(method, api.url + path, headers, content, api.timeout, MOST_REFERENCE, api.ca_file))
        except TransportError as error:
            raise RegistryAwayError(f"does not answer: {error}") from None


def tags_in(found: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a model version."""
    return {str(each["key"]): str(each.get("value", "")) for each in objects_in(found, "tags") if "key" in each}


def number_in(found: Mapping[str, Any], name: str, otherwise: int | None = None) -> int:
    """A whole number, which MLflow writes as one or as text. Raises RegistryError where there is something else, or nothing to stand in for it."""
    told = found.get(name, otherwise)
    if isinstance(told, int) or (isinstance(told, str) and told.isascii() and told.isdigit()):
        return int(told)
    raise RegistryError(f"answered a version whose {name} is no number")


def _path(place: str) -> str:
    """A place of artifacts as the proxy's path. Raises RegistryError for one that it does not serve."""
    if not place.startswith(SCHEME):
        raise RegistryError(f"{place} is not served by the tracking server: start it with --serve-artifacts")
    path = place.removeprefix(SCHEME)
    path = (
        path[path.index("/", 2) :] if path.startswith("//") and "/" in path[2:] else path
    )  # its host is the server asked
    parts = path.strip("/").split("/")
    if any(part in {"", ".", ".."} for part in parts):
        raise RegistryError(f"{place} is no place of an artifact")
    return "/" + "/".join(quote(part, safe="") for part in parts)


# --- webhooks ---------------------------------------------------------------------------------------------------------

SIGNATURE, DELIVERY, TIMESTAMP = "x-mlflow-signature", "x-mlflow-delivery-id", "x-mlflow-timestamp"
TOLERANCE: Nanos = 300 * SECOND  # of a webhook's timestamp, which its retries repeat


def is_signed(secret: bytes, headers: Mapping[str, str], body: bytes, now: Nanos) -> bool:
    """Whether MLflow has signed a webhook, lately: `v1,` and the base64 of HMAC-SHA256 of `id.timestamp.body`. Names in lower case."""
    name, timestamp = headers.get(DELIVERY, ""), headers.get(TIMESTAMP, "")
    if not name or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= len(str(2**63))):
        return False
    signed = f"{name}.{timestamp}.".encode("utf-8", "surrogateescape") + body
    wanted = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest())
    told = [each.partition(",") for each in headers.get(SIGNATURE, "").split()]
    brought = [text for version, _, text in told if version == "v1"]
    known = [hmac.compare_digest(text.encode("utf-8", "surrogateescape"), wanted) for text in brought]
    return any(known) and abs(now - int(timestamp) * SECOND) <= TOLERANCE

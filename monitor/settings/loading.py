"""From a YAML file and the environment to settings; from mistakes to one line each; from settings to a masked print."""

import difflib
import os
import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from monitor.settings.schema import Settings
from monitor.targets.webhook import WebhookSettings

ENVIRONMENT = "DRIFTD_"
CONFIG_VARIABLE = "DRIFTD_CONFIG"
CONFIG_FILE = Path("driftd.yaml")
MASK = "********"
SECRET_WORDS = ("password", "secret", "key.pem", "oauth", "token", "credential", "sasl.jaas", "userinfo", "whsec")
NAMES_A_SECRET = ("_file", "_env")  # keys that say where a secret stands
PLAIN_WORD = re.compile(r"[a-z]{1,12}|v[0-9]")  # a random token of twelve letters would be no secret long
PROPERTIES = "kafka.properties"
KeyPath = tuple[int | str, ...]


class ConfigError(Exception):
    """The configuration cannot be used: one line a problem. Exit code 2."""


class _Loader(yaml.SafeLoader):
    """Plain YAML in which a key may stand only once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - the base class's
        seen: set[str] = set()
        scalars = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in scalars:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(problem=f"the key {key.value} is there twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def find_config(asked: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """The configuration file: the one asked for, else that of DRIFTD_CONFIG, else ./driftd.yaml. Raises ConfigError."""
    named = environment.get(CONFIG_VARIABLE)
    if asked is not None or named:
        return asked or Path(named or "")
    if not CONFIG_FILE.exists():
        raise ConfigError(f"no configuration: there is no ./{CONFIG_FILE}; name one by --config or {CONFIG_VARIABLE}")
    return CONFIG_FILE


def load_settings(path: Path) -> Settings:
    """Read a configuration file. Raises ConfigError, a line for each problem, each naming the key and what is valid."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is no YAML: {explain_yaml(error)}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: must be a mapping of keys such as kafka, topics, models")
    named = {str(key): value for key, value in document.items()}
    check_environment(named)
    hidden = [key for key in named if key.startswith("_")]  # pydantic would take them for options of its own
    if hidden:
        raise ConfigError(f"{path}: {hidden[0]} is no key{_suggestion(hidden)}")
    try:
        return Settings(**named)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {explain(problem)}" for problem in error.errors())) from None
    except SettingsError as error:
        raise ConfigError(f"environment: {error}; only scalar keys can be set there") from None


def check_environment(document: Mapping[str, Any]) -> None:
    """Raise ConfigError for a variable that is nearly a key of ours.

    Others are left alone: targets' secrets may have any name, and Kubernetes sets DRIFTD_PORT and its like itself.
    """
    lists = [document.get(key) for key in ("webhooks", "targets")]
    entries = [entry for entries in lists if isinstance(entries, list) for entry in entries]
    secrets = [entry.get("secret_env") for entry in entries if isinstance(entry, Mapping)]
    http = document.get("http")
    secrets += [http.get("token_env")] if isinstance(http, Mapping) else []
    for name in os.environ:
        if not name.upper().startswith(ENVIRONMENT) or name in secrets:
            continue
        key = name.upper().removeprefix(ENVIRONMENT).split("__", maxsplit=1)[0].lower()
        near = difflib.get_close_matches(key, Settings.model_fields, n=1, cutoff=0.8)
        if near and near[0] != key:
            raise ConfigError(f"environment: {name} is no key; did you mean {ENVIRONMENT}{near[0].upper()}?")


def explain_yaml(error: Exception) -> str:
    """What is wrong with a YAML text and where, without the text: it could be a secret."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    problem = re.sub("'[^']{2,}'", "'…'", error.problem or "cannot be understood")
    mark = error.problem_mark
    return problem if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def explain(problem: ErrorDetails) -> str:
    """One validation problem as one line: key, value, what is valid."""
    where = problem["loc"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
    if problem["type"] == "extra_forbidden":
        return f"{key} is no key{_suggestion(where)}"
    if problem["type"] == "missing":
        return f"{key} is missing"
    if problem["type"] in {"model_type", "dict_type"}:
        message = "must be a mapping of keys"
    else:
        message = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{key}: {message}{_shown(where, key, problem['input'])}{_origin(where)}" if key else message


def _shown(where: KeyPath, key: str, value: Any) -> str:
    """The value, where it cannot be a secret. Of a target's own keys only its type knows which are."""
    text = str(value)
    if where[0] == "targets" and not WebhookSettings.model_fields.keys() & where[2:3]:
        return ""
    if isinstance(value, dict | list | BaseModel) or key.startswith(PROPERTIES) or _is_secret(key) or _is_secret(text):
        return ""
    return f" (is {(mask_url(text) if '://' in text else text)[:80]!r})"


def _origin(where: KeyPath) -> str:
    """The environment variable that a value came from."""
    variable = "DRIFTD_" + "__".join(str(part) for part in where).upper()
    return f", set by {variable}" if variable in {name.upper() for name in os.environ} else ""


def _suggestion(where: Sequence[int | str]) -> str:
    valid = keys_at(where[:-1])
    if not valid:
        return ""
    near = difflib.get_close_matches(str(where[-1]), valid, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; valid here: {', '.join(sorted(valid))}"


def keys_at(where: Sequence[int | str]) -> list[str]:
    """The valid keys of the section at a place of the configuration; none inside a target, which only its type knows."""
    if where[0:1] == ("targets",) and len(where) > 1:
        return []
    section: Any = Settings
    named = False  # the next part is a name that the operator chose, as of a feature
    for part in where:
        field = section.model_fields.get(part)
        if isinstance(part, int) or named or field is None:
            named = False
            continue
        section = _section_of(field.annotation)
        named = getattr(field.annotation, "__origin__", None) is dict
        if section is None:
            return []
    return [info.alias or name for name, info in section.model_fields.items()]


def _section_of(annotation: Any) -> Any:
    """The Section inside a type such as list[TopicSettings] or dict[str, FeatureSettings]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    sections = [_section_of(section) for section in getattr(annotation, "__args__", ())]
    return next((section for section in sections if section is not None), None)


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in SECRET_WORDS)


def masked(settings: Settings) -> dict[str, Any]:
    """The effective configuration as plain values, secrets masked."""
    values: dict[str, Any] = settings.model_dump(mode="json", by_alias=True, exclude={"defaults"})
    properties = values["kafka"]["properties"]
    for name in properties:
        if _is_secret(name):
            properties[name] = MASK
    values["webhooks"] = [_masked_webhook(webhook) for webhook in values["webhooks"]]
    values["targets"] = [mask(target) for target in values["targets"]]
    return values


def _masked_webhook(webhook: dict[str, Any]) -> dict[str, Any]:
    """In the order that the configuration's hash knows; the type is plain from where it stands."""
    first = {"name": webhook["name"], "url": mask_url(webhook["url"])}
    return first | {key: value for key, value in webhook.items() if key not in {*first, "type"}}


def mask(value: Any, key: str = "") -> Any:
    """Plain values without what could be a secret: by the word in the key, or in an address."""
    match value:
        case dict():
            return {name: mask(inner, name) for name, inner in value.items()}
        case list():
            return [mask(inner, key) for inner in value]
        case str() if _is_secret(key) and not key.endswith(NAMES_A_SECRET):
            return MASK
        case str() if "://" in value:
            return mask_url(value)
        case _:
            return value


def mask_url(url: str) -> str:
    """An address without its query and user, and of its path no more than a first plain word: tokens live in all three."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(
        netloc=host, path=_masked_path(parts.path), query=MASK if parts.query else "", fragment=""
    ).geturl()


def _masked_path(path: str) -> str:
    first, slash, rest = path.removeprefix("/").partition("/")
    shown = first if PLAIN_WORD.fullmatch(first) else MASK
    return f"/{shown}{slash}{MASK if rest else ''}" if path.strip("/") else path

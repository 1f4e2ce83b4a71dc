"""From a YAML file and the environment to settings; from mistakes to one line each; from settings to a masked print."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from monitor.settings.schema import Settings

MASK = "********"
SECRET_WORDS = ("password", "secret", "key.pem", "oauth", "token", "credential", "sasl.jaas", "userinfo")


class ConfigError(Exception):
    """The configuration cannot be used: one line a problem. Exit code 2."""


def load_settings(path: Path) -> Settings:
    """Read a configuration file. Raises ConfigError, a line for each problem, each naming the key and what is valid."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: must be a mapping of keys such as kafka, topics, models")
    try:
        return Settings(**with_defaults({str(key): value for key, value in found.items()}))
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {explain(problem)}" for problem in error.errors())) from None


def with_defaults(found: dict[str, Any]) -> dict[str, Any]:
    """Every key of `defaults` put into each model that does not set it itself."""
    defaults, models = found.get("defaults"), found.get("models")
    if not isinstance(defaults, Mapping) or not isinstance(models, Sequence):
        return found
    merged = [{**defaults, **model} if isinstance(model, Mapping) else model for model in models]
    return {**found, "models": merged}


def explain(problem: ErrorDetails) -> str:
    """One validation problem as one line: key, value, what is valid."""
    where = [part for part in problem["loc"] if part not in {"function-after", "function-before"}]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
    if problem["type"] == "extra_forbidden":
        return f"{key} is no key{_suggestion(where)}"
    if problem["type"] == "missing":
        return f"{key} is missing"
    message = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    value = problem["input"]
    shown = "" if isinstance(value, dict | list | BaseModel) or _is_secret(key) else f" (is {str(value)[:80]!r})"
    return f"{key}: {message}{shown}" if key else message


def _suggestion(where: Sequence[int | str]) -> str:
    valid = keys_at(where[:-1])
    if not valid:
        return ""
    near = difflib.get_close_matches(str(where[-1]), valid, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; valid here: {', '.join(sorted(valid))}"


def keys_at(where: Sequence[int | str]) -> list[str]:
    """The valid keys of the section at a place of the configuration."""
    section: Any = Settings
    for part in where:
        if isinstance(part, int):
            continue
        fields = getattr(section, "model_fields", {})
        if part in fields:
            section = _section_of(fields[part].annotation)
    return [info.alias or name for name, info in getattr(section, "model_fields", {}).items()]


def _section_of(annotation: Any) -> Any:
    """The Section inside a type such as list[TopicSettings] or dict[str, FeatureSettings]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = [_section_of(one) for one in getattr(annotation, "__args__", ())]
    return next((one for one in inner if one is not None), None)


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in SECRET_WORDS)


def masked(settings: Settings) -> dict[str, Any]:
    """The effective configuration as plain values, secrets masked."""
    found: dict[str, Any] = settings.model_dump(mode="json", by_alias=True, exclude={"defaults"})
    properties = found["kafka"]["properties"]
    for name in properties:
        if _is_secret(name):
            properties[name] = MASK
    for webhook in found["webhooks"]:
        webhook["url"] = mask_url(webhook["url"])
    return found


def mask_url(url: str) -> str:
    """An address without its query, where tokens like to live."""
    return urlsplit(url)._replace(query=MASK, fragment="").geturl() if urlsplit(url).query else url

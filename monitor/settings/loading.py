"""From a YAML file and the environment to settings; from mistakes to one line each; from settings to a masked print."""

import difflib
import os
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from monitor.failpoints import VARIABLE as FAILPOINT
from monitor.sections import Section
from monitor.settings.schema import SECRET_FILES, Settings
from monitor.targets.webhook import WebhookSettings

ENVIRONMENT = "DRIFTD_"
CONFIG_VARIABLE = "DRIFTD_CONFIG"
CONFIG_FILE = Path("driftd.yaml")
MASK = "********"
SECRET_WORDS = (
    "password",
    "passphrase",
    "secret",
    "key.pem",
    "oauth",
    "token",
    "credential",
    "sasl.jaas",
    "userinfo",
    "whsec",
)
NAMES_A_SECRET = ("_file", "_env")  # keys that say where a secret stands
PLAIN_WORD = re.compile(r"[a-z]{1,12}|v[0-9]")  # a random token of twelve letters would be no secret long
PROPERTIES = "kafka.properties"
TRUTH = {"true": True, "false": False}
KINDS: Mapping[type, str] = {list: ", not a list", dict: ", not a mapping"}
LINKS = re.compile(  # what Kubernetes sets of a service called driftd, or driftd-…
    r"DRIFTD_([A-Z0-9_]+_)?(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
LINK = re.compile(r"DRIFTD_([A-Z0-9_]+_)?PORT")
OWN_VARIABLES = frozenset({CONFIG_VARIABLE, "DRIFTD_PURE", FAILPOINT})
KeyPath = tuple[int | str, ...]


class ConfigError(Exception):
    """The configuration cannot be used: one line a problem. Exit code 2."""


class _Loader(yaml.SafeLoader):
    """Plain YAML in which a key may stand only once, and in which what is not written as its value is said is a text.

    YAML 1.1 reads 010 as 8, 20:30 as 1230, 2024_10 as 202410 and no as false: keys that are text get what was written, and
    those that are numbers or truth read it themselves.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - the base class's
        seen: set[str] = set()
        scalars = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in scalars:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(problem=f"the key {key.value} is there twice", problem_mark=key.start_mark)
            seen.add(key.value)
            if key.tag != "tag:yaml.org,2002:merge":
                key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)


def _as_written(_: _Loader, node: yaml.ScalarNode) -> object:
    """A plain number or truth, or its text where that is not how it would be written."""
    text = str(node.value)
    if text in TRUTH:
        return TRUTH[text]
    try:
        number = float(text) if "." in text else int(text)
    except ValueError:
        return text
    return number if str(number) == text else text


for _tag in ("bool", "int", "float", "timestamp"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _as_written)


def find_config(asked: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """The configuration file: the one asked for, else that of DRIFTD_CONFIG, else ./driftd.yaml. Raises ConfigError."""
    named = environment.get(CONFIG_VARIABLE)
    if asked is not None or named:
        return asked or Path(named or "")
    if not CONFIG_FILE.exists():
        raise ConfigError(f"no configuration: there is no ./{CONFIG_FILE}; name one by --config or {CONFIG_VARIABLE}")
    return CONFIG_FILE


def read_yaml(path: Path) -> Any:
    """What a YAML file holds, no key twice, and texts where a number or truth is not written as such. Raises ConfigError."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is no YAML: {explain_yaml(error)}") from None


def load_settings(path: Path) -> Settings:
    """Read a configuration file. Raises ConfigError, a line for each problem, each naming the key and what is valid."""
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: must be a mapping of keys such as kafka, topics, models")
    named = {str(key): value for key, value in document.items()}
    check_environment(named)
    hidden = [key for key in named if key.startswith("_")]  # pydantic would take them for options of its own
    if hidden:
        raise ConfigError(f"{path}: {hidden[0]} is no key{_suggestion(hidden)}")
    try:
        return beside(Settings(**named), path.resolve().parent)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {explain(problem)}" for problem in error.errors())) from None
    except SettingsError as error:
        raise ConfigError(f"environment: {error}; only scalar keys can be set there") from None


def beside(settings: Settings, base: Path) -> Settings:
    """The files that the broker's settings name are relative to the configuration."""
    kafka = settings.kafka
    properties = {
        name: str(base / value) if name in SECRET_FILES else value for name, value in kafka.properties.items()
    }
    ca_file = None if kafka.ca_file is None else base / kafka.ca_file
    topics = [
        topic if topic.options is None else topic.model_copy(update={"options": section_beside(topic.options, base)})
        for topic in settings.topics
    ]
    told = {"kafka": kafka.model_copy(update={"properties": properties, "ca_file": ca_file})}
    return settings.model_copy(update=told | ({"topics": topics} if topics != settings.topics else {}))


def section_beside(section: Section, base: Path) -> Section:
    """The files that a section names, and those below it, are relative to the configuration."""
    found: dict[str, Any] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Path):
            found[name] = base / value
        elif isinstance(value, Section):
            found[name] = section_beside(value, base)
    return section.model_copy(update=found)


def check_environment(document: Mapping[str, Any]) -> None:
    """Raise ConfigError for a variable of ours that names no key, with the nearest right one.

    Not for those that hold a secret by the configuration's own word, nor for those that Kubernetes sets of a service of ours.
    """
    secrets = set(_named_variables(document))
    for name, value in os.environ.items():
        upper = name.upper()
        if not upper.startswith(ENVIRONMENT) or name in secrets or upper in OWN_VARIABLES or _is_link(upper, value):
            continue
        if (problem := _no_scalar(upper)) is not None:
            raise ConfigError(f"environment: {name} {problem}")


def _named_variables(value: Any) -> Iterator[str]:
    """The variables that keys such as `secret_env` name, anywhere in the configuration."""
    for key, held in (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    ):
        if isinstance(held, str) and str(key).endswith("_env"):
            yield held
        yield from _named_variables(held)


def _is_link(name: str, value: str) -> bool:
    return LINKS.fullmatch(name) is not None or (LINK.fullmatch(name) is not None and "://" in value)


def _no_scalar(name: str) -> str | None:
    """Why a variable names no key; None where it does."""
    *sections, last = parts = name.removeprefix(ENVIRONMENT).lower().split("__")
    if _is_list(parts[0]) and sections:
        path = "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in parts).lstrip(".")
        defaults = "; DRIFTD_DEFAULTS__… sets a key of all models" if parts[0] == "models" else ""
        return f"cannot be set: lists are not overridden item by item; set {path} in the file{defaults}"
    at = _section_at(sections)
    known = at is not None if at is None or isinstance(at, dict) else last in at.model_fields
    return None if known else f"is no key; did you mean {_nearest(parts)}?"


def _is_list(name: str) -> bool:
    field = Settings.model_fields.get(name)
    return field is not None and getattr(field.annotation, "__origin__", None) is list


def _section_at(names: Sequence[str]) -> Any:
    """The section of the configuration at a place; a dict stands for names that the operator chooses; None: there is none."""
    section: Any = Settings
    for name in names:
        field = section.model_fields.get(name)
        if field is None:
            return None
        if getattr(field.annotation, "__origin__", None) is dict:
            return {}
        section = _section_of(field.annotation)
        if section is None:
            return None
    return section


def _nearest(parts: Sequence[str]) -> str:
    """The variable of a key that looks most like this one."""
    wanted = "__".join(parts)

    def likeness(key: str) -> float:
        whole = difflib.SequenceMatcher(None, wanted, key).ratio()
        return max(
            whole, 0.9 * difflib.SequenceMatcher(None, parts[-1], key.rpartition("__")[2]).ratio()
        )  # the section was left out

    return ENVIRONMENT + max(map("__".join, _scalars(Settings, ())), key=likeness).upper()


def _scalars(section: Any, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The keys that a variable can set."""
    for name, field in section.model_fields.items():
        inner, origin = _section_of(field.annotation), getattr(field.annotation, "__origin__", None)
        if inner is not None and origin is not list and origin is not dict:
            yield from _scalars(inner, (*above, name))
        elif origin is not list:
            yield (*above, name)


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
    message = _required(problem)
    return f"{key}: {message}{_shown(where, key, problem['input'])}{_origin(where)}" if key else message


def _required(problem: ErrorDetails) -> str:
    """What a value must be, in words."""
    limits = problem.get("ctx", {})
    match problem["type"]:
        case "model_type" | "dict_type":
            said = "must be a mapping of keys"
        case "string_type":
            said = f"must be a text{KINDS.get(type(problem['input']), '')}"
        case "list_type":
            said = "must be a list"
        case "string_too_short" if limits["min_length"] == 1:
            said = "must not be empty"
        case "too_short" | "too_long" if not limits["actual_length"]:
            said = "must not be empty"
        case "too_short":
            said = f"must have at least {limits['min_length']} items, not {limits['actual_length']}"
        case "too_long":
            said = f"must have at most {limits['max_length']} items, not {limits['actual_length']}"
        case _:
            said = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return said


def _shown(where: KeyPath, key: str, value: Any) -> str:
    """The value, where it cannot be a secret. Of a target's own keys only its type knows which are."""
    text = str(value)
    if where[0] == "targets" and not WebhookSettings.model_fields.keys() & where[2:3]:
        return ""
    plain = isinstance(value, list) and all(isinstance(each, int | float) for each in value)
    if (
        (isinstance(value, dict | list | BaseModel) and not plain)
        or key.startswith(PROPERTIES)
        or _is_secret(key)
        or _is_secret(text)
    ):
        return ""
    if plain:
        return f" (is {text[:80]})"
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
        if _is_secret(name) and not name.endswith(NAMES_A_SECRET):
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

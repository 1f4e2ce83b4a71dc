"""What every section of the configuration is made of: names and durations. Each section is declared beside what it configures."""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from detectors.durations import nanoseconds, show_duration

__all__ = [
    "Duration",
    "Name",
    "PositiveDuration",
    "Section",
    "Size",
    "at_most_one",
    "one_way_in",
    "parse_duration",
    "parse_size",
    "possible",
    "show_duration",
    "show_size",
    "unknown_key",
]


def parse_duration(value: Any) -> int:
    """`5m` to nanoseconds; a unit is required, but of zero."""
    return 0 if isinstance(value, int) and not isinstance(value, bool) and value == 0 else nanoseconds(value)


def _positive(nanos: int) -> int:
    if nanos <= 0:
        raise ValueError("must be longer than zero")
    return nanos


SIZES = {"GB": 10**9, "MB": 10**6, "KB": 10**3}
_SIZE = re.compile(r"([1-9][0-9]{0,11}) ?([KMG]B)")


def parse_size(value: Any) -> int:
    """`64MB` to bytes."""
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be a size such as 64MB; there is KB, MB, GB")
    return int(found[1]) * SIZES[found[2]]


def show_size(size: int) -> str:
    """Bytes as they are written."""
    unit = next(unit for unit, bytes_ in SIZES.items() if size % bytes_ == 0)
    return f"{size // SIZES[unit]}{unit}"


Size = Annotated[int, BeforeValidator(parse_size), PlainSerializer(show_size, return_type=str)]
Duration = Annotated[int, BeforeValidator(parse_duration), PlainSerializer(show_duration, return_type=str)]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]


def possible(value: Any) -> Any:
    """The same value. Raises ValueError where it is a path that no file system has: such a path is said here, not where it is opened."""
    if isinstance(value, Path) and "\0" in str(value):
        raise ValueError("must be a path, which holds no NUL character")
    return value


class Section(BaseModel):
    """A part of the configuration. Unknown keys are errors; a text may be written as a number or as truth."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    @field_validator("*")
    @classmethod
    def _is_possible(cls, value: Any) -> Any:
        return possible(value)

    @model_validator(mode="before")
    @classmethod
    def _truth_as_text(cls, values: Any) -> Any:
        """`true` where a text is wanted is the word: a model may be called so."""
        if not isinstance(values, Mapping):
            return values
        return {
            name: str(value).lower() if isinstance(value, bool) and _is_text(cls, name) else value
            for name, value in values.items()
        }


def _is_text(section: type[BaseModel], name: Any) -> bool:
    field = section.model_fields.get(name)
    if field is None:
        return False
    kinds = {field.annotation, *getattr(field.annotation, "__args__", ())}
    return str in kinds and bool not in kinds


N = TypeVar("N", bound=Section)


def at_most_one(settings: N, kind: str) -> N:
    """The same settings, which name a secret in one way. Raises ValueError."""
    if getattr(settings, f"{kind}_file") is not None and getattr(settings, f"{kind}_env") is not None:
        raise ValueError(f"{kind}_file and {kind}_env name two: give one")
    return settings


def one_way_in(settings: N) -> N:
    """The same settings, which let in by a token, by a user name with its password, or by neither. Raises ValueError."""
    token, password = (_is_given(at_most_one(settings, kind), kind) for kind in ("token", "password"))
    if password != (dict(settings)["username"] is not None):
        raise ValueError("username needs password_file or password_env, and they need username")
    if password and token:
        raise ValueError("username and a token are two ways in: give one")
    return settings


def _is_given(settings: Section, kind: str) -> bool:
    return any(getattr(settings, f"{kind}_{how}") is not None for how in ("file", "env"))


def unknown_key(section: type[Section], said: Mapping[Any, Any], within: str = "") -> str:
    """The first key that a section, or one inside of it, does not have, with what is meant; empty where they have all."""
    valid = {field.alias or name: field for name, field in section.model_fields.items()}
    for key, value in said.items():
        if key not in valid:
            near = difflib.get_close_matches(str(key), valid, n=1, cutoff=0.5)
            meant = f"did you mean {within}{near[0]}?" if near else f"valid here: {', '.join(sorted(valid))}"
            return f"{within}{key}; {meant}"
        below = _section_in(valid[key].annotation) if isinstance(value, Mapping) else None
        if below is not None and (found := unknown_key(below, value, f"{within}{key}.")):
            return found
    return ""


def _section_in(annotation: Any) -> type[Section] | None:
    """The section that a key holds, where it may hold one."""
    each = (annotation, *get_args(annotation))
    return next((one for one in each if isinstance(one, type) and issubclass(one, Section)), None)

"""Where a topic's messages keep what is needed, as the configuration says it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from monitor.sections import Section

LEAST_PERCENT = 1e-4  # of requests in a log: a row of less would stand for more than a million


def refuse_undotted(path: object) -> None:
    """Raise ValueError for a text that is no path; what else stands for one is let pass."""
    if isinstance(path, str) and (not path or "" in path.split(".")):
        raise ValueError("must be a dotted path such as meta.time")


def _true(said: object) -> bool:
    if said is not True:
        raise ValueError("must be true")
    return said


def _true_or_text(said: object) -> bool | str:
    if said is not True and not (isinstance(said, str) and said):
        raise ValueError("must be true or a pattern such as seldon.{model}.inputs")
    return said


def _true_or_path(said: object) -> bool | str:
    if said is not True and not isinstance(said, str):
        raise ValueError("must be true or a dotted path such as meta.id")
    refuse_undotted(said)
    return said


class ConstantSettings(Section):
    """What every message of a topic is of, though none says so."""

    const: Annotated[str, Field(min_length=1)]


class HeaderSettings(Section):
    """A header of the record, by its name; the last of several."""

    header: Annotated[str, Field(min_length=1)]


class KeySettings(Section):
    """The key of the record: its text, or a dotted path into one that is JSON."""

    key: Annotated[Any, AfterValidator(_true_or_path)]


class PartitionSettings(Section):
    """The number of the partition."""

    partition: Annotated[Any, AfterValidator(_true)]


class TopicNameSettings(Section):
    """The name of the topic, or what a pattern such as `seldon.{model}.inputs` finds in it."""

    topic: Annotated[Any, AfterValidator(_true_or_text)]


class BrokerTimeSettings(Section):
    """The broker's timestamp of the record."""

    broker: Annotated[Any, AfterValidator(_true)]


def _path_or(*sections: type[Section]) -> BeforeValidator:
    """A dotted path, or a section, which its only key tells from the others."""
    by_key = {next(iter(section.model_fields)): section for section in sections}

    def read(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        if len(value) != 1 or (section := by_key.get(next(iter(value)))) is None:
            raise ValueError(f"must be a dotted path or one of {', '.join(f'{{{key}: …}}' for key in by_key)}")
        return section.model_validate(value)

    return BeforeValidator(read)


PathOrBeside = Annotated[
    str | HeaderSettings | KeySettings | PartitionSettings, _path_or(HeaderSettings, KeySettings, PartitionSettings)
]
PathOrConstant = Annotated[
    str | ConstantSettings | TopicNameSettings | HeaderSettings | KeySettings | PartitionSettings,
    _path_or(ConstantSettings, TopicNameSettings, HeaderSettings, KeySettings, PartitionSettings),
]
PathOrTime = Annotated[
    str | BrokerTimeSettings | HeaderSettings | KeySettings, _path_or(BrokerTimeSettings, HeaderSettings, KeySettings)
]


class LatencySettings(Section):
    """Where a message says what its request took, and in which unit."""

    path: str
    unit: Literal["s", "ms", "us", "ns"] = "s"


class ErrorSettings(Section):
    """Where a message says whether its request failed, and texts there that are no error."""

    path: str
    fine: list[str] = Field(default_factory=list)


def _path_and_more(section: type[Section]) -> BeforeValidator:
    return BeforeValidator(lambda value: section.model_validate(value) if isinstance(value, Mapping) else value)


class SamplingSettings(Section):
    """Where a message says which share of all requests its log holds, and whether in percent or of 1."""

    path: str
    unit: Literal["percent", "fraction"] = "percent"


class SampledSettings(Section):
    """Which share of all requests a log holds, in percent, though no message says so."""

    const: Annotated[float, Field(ge=LEAST_PERCENT, le=100)]


_sampled_beside = _path_or(SampledSettings, HeaderSettings, KeySettings)


def _sampling(value: Any) -> Any:
    """A dotted path, one with its unit, or one of the sections."""
    if isinstance(value, int | float):
        raise ValueError(f"must be a dotted path, or {{const: {value}}} for a log that holds so many percent")  # noqa: TRY004 - as pydantic wants it
    if isinstance(value, Mapping) and "path" in value:
        return SamplingSettings.model_validate(value)
    return _sampled_beside.func(value)  # type: ignore[call-arg]  # it takes a value alone


PathOrSampling = Annotated[
    str | SampledSettings | HeaderSettings | KeySettings | SamplingSettings, BeforeValidator(_sampling)
]
PathOrLatency = Annotated[str | LatencySettings, _path_and_more(LatencySettings)]
PathOrError = Annotated[str | ErrorSettings, _path_and_more(ErrorSettings)]


def _lies(path: str, other: str) -> str | None:
    """How a path stands to another in words; None where they are apart."""
    if path == other:
        return "is also"
    if f"{other}.".startswith(f"{path}."):
        return "holds"
    return "lies below" if f"{path}.".startswith(f"{other}.") else None


class FieldsSettings(Section):
    """Dotted paths into a message; an empty `features` is the message itself. Model and version may be constants.

    `group`: the session, user or client that a row belongs to; null: rows are on their own. `explode`: a list, each element of
    which is a row. `columns`: the names of features that are a list. `sampling`: which share of all requests the log holds, in percent.
    """

    id: PathOrBeside = "id"
    group: PathOrBeside | None = None
    timestamp: PathOrTime = "ts"
    model: PathOrConstant = "model"
    version: PathOrConstant = "version"
    features: str = "features"
    prediction: str = "prediction"
    label: str | None = None
    weight: str | None = None
    latency: PathOrLatency | None = None
    error: PathOrError | None = None
    scores: str | None = None
    sampling: PathOrSampling | None = None
    explode: str | None = None
    columns: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=10_000)] | None = None

    @model_validator(mode="after")
    def _named_once(self) -> "FieldsSettings":
        """Names of unnamed columns are each of one, and the features are somewhere in the message."""
        if self.columns is not None and len({*self.columns}) < len(self.columns):
            twice = next(name for at, name in enumerate(self.columns) if name in self.columns[:at])
            raise ValueError(f"columns names {twice} twice")
        if self.columns is not None and not self.features:
            raise ValueError("columns are the names of a list at features, which is the message itself; give its path")
        return self

    @model_validator(mode="after")
    def _of_their_own(self) -> "FieldsSettings":
        """What a request took, and whether it failed, stand where nothing else does."""
        _refuse_shared("latency", _places(self))
        _refuse_shared("error", _places(self))
        _refuse_shared("scores", _places(self))
        _refuse_shared("sampling", _places(self))
        return self

    @model_validator(mode="after")
    def _more_than_one_row(self) -> "FieldsSettings":
        """What rows come together in is nothing else, and holds and is held by nothing else but the features."""
        if not isinstance(self.group, str):
            return self
        if self.group == self.id:
            raise ValueError(
                f"group {self.group} is also the id, which each row has for itself; give another path to one of them"
            )
        for name in ("id", "timestamp", "model", "version", "prediction", "label", "weight", "features"):
            path = getattr(self, name)
            lies = _lies(self.group, path) if isinstance(path, str) and path else None
            if lies is not None and (name != "features" or lies != "lies below"):
                raise ValueError(
                    f"group {self.group} {lies} {path}, the path of {name}; give another path to one of them"
                )
        return self

    @field_validator(
        "timestamp",
        "model",
        "version",
        "prediction",
        "label",
        "weight",
        "group",
        "latency",
        "error",
        "scores",
        "sampling",
        "explode",
    )
    @classmethod
    def _path(cls, path: Any) -> Any:
        refuse_undotted(path.path if isinstance(path, LatencySettings | ErrorSettings | SamplingSettings) else path)
        return path


def _places(fields: FieldsSettings) -> dict[str, str]:
    """The path of everything that has one, by what stands there; the message itself is nobody's."""
    held = {name: getattr(fields, name) for name in FieldsSettings.model_fields}
    paths = {name: getattr(each, "path", each) for name, each in held.items() if name not in {"explode", "columns"}}
    return {name: path for name, path in paths.items() if isinstance(path, str) and path}


def _refuse_shared(name: str, places: Mapping[str, str]) -> None:
    """Raise ValueError where something else stands at a path, or above or below it; below the features one may."""
    for other, path in places.items() if name in places else ():
        lies = _lies(places[name], path) if other != name else None
        if lies is not None and (other != "features" or lies != "lies below"):
            raise ValueError(
                f"{name} {places[name]} {lies} {path}, the path of {other}; give another path to one of them"
            )

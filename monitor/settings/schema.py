"""What the configuration may say: every key, its type, default and bounds. Plain values only; nothing is built here."""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from detectors.calibration.clocks import clock
from detectors.charts.compared import Comparison
from detectors.spellings import coded
from monitor.alerting.rules import OUR_RULES
from monitor.sections import (
    Duration,
    Name,
    PositiveDuration,
    Section,
    Size,
    parse_duration,
    parse_size,
    possible,
    show_duration,
    show_size,
    unknown_key,
)
from monitor.settings.approval import ApprovalLinksSettings
from monitor.settings.dead_letters import DeadLettersSettings
from monitor.settings.fields import ConstantSettings, FieldsSettings, TopicNameSettings, refuse_undotted
from monitor.settings.registry import RegistrySettings
from monitor.settings.replicas import COUNTS, STATE, TOPIC_NAME, ReplicasSettings
from monitor.settings.reports import ReportsSettings
from monitor.settings.retraining import RetrainingSettings, with_general
from monitor.settings.thresholds import MetricThresholdSettings
from monitor.settings.versions import NewVersionsSettings
from monitor.sources.formats.fields import named_in
from monitor.sources.formats.registry import format_of, options_of
from monitor.stream.halves import longest_to_count
from monitor.targets.base import TargetSettings
from monitor.targets.registry import read_target
from monitor.targets.webhook import WebhookSettings

MOST_PANES = 10_000  # of one window
MOST_AGES = 8  # at which windows are judged
LEAST_TO_JOIN = parse_size("1MB")
MOST_CLASSES = 256

# Ours to decide, because positions, restarts and safety hang on them.
OWN_PROPERTIES = frozenset(
    {
        "bootstrap.servers",
        "metadata.broker.list",
        "allow.auto.create.topics",
        "auto.commit.enable",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "enable.partition.eof",
        "isolation.level",
        "partition.assignment.strategy",
    }
)
DANGEROUS_PROPERTIES = frozenset(
    {
        "plugin.library.paths",
        "ssl.engine.location",
        "ssl.providers",
        "debug",
        "log_cb",
        "error_cb",
        "stats_cb",
        "oauth_cb",
        "interceptors",
        "opaque",
    }
)


# A file beside the configuration that holds the property.
SECRET_FILES = {f"{name}_file": name for name in ("sasl.password", "ssl.key.password")}

Threshold = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Floor = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


def _scalar(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise ValueError("must be a text, a number, true or false")  # noqa: TRY004 - pydantic's way to refuse
    return value


class KafkaSettings(Section):
    """How the broker is reached."""

    bootstrap_servers: Annotated[str, Field(min_length=1)] = "127.0.0.1:9092"
    group_id: Name = "driftd"
    start_from: Literal["earliest", "latest"] = "latest"
    ca_file: Path | None = None
    properties: dict[str, Annotated[Any, AfterValidator(_scalar)]] = Field(default_factory=dict, repr=False)
    startup_timeout: PositiveDuration = parse_duration("60s")
    lost_offsets: Literal["stop", "skip"] = "stop"

    @field_validator("properties")
    @classmethod
    def _safe(cls, properties: dict[str, Any]) -> dict[str, Any]:
        for name, value in properties.items():
            if name in OWN_PROPERTIES or name.startswith("test.mock."):
                raise ValueError(f"{name} is set by driftd itself and cannot be changed")
            if name in DANGEROUS_PROPERTIES:
                raise ValueError(f"{name} is refused: it loads code, leaks data or replaces a callback")
            if name == "enable.ssl.certificate.verification" and str(value).lower() not in {"true", "t", "1"}:
                raise ValueError(f"{name}: false is refused; give the broker's CA in kafka.ca_file instead")
            if name in SECRET_FILES and SECRET_FILES[name] in properties:
                raise ValueError(f"takes only one of {SECRET_FILES[name]} and {name}")
            if "\0" in f"{name}{value}":  # the client would take what stands before it
                raise ValueError(f"{name!r} holds a NUL character")
        return properties

    @model_validator(mode="after")
    def _one_ca(self) -> "KafkaSettings":
        if self.ca_file is not None and (twice := self.properties.keys() & {"ssl.ca.location", "ssl.ca.pem"}):
            raise ValueError(f"takes only one of ca_file and properties.{min(twice)}")
        return self


class TopicSettings(Section):
    """One topic and the shape of its messages."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
    kind: Literal["predictions", "features", "labels"] = "predictions"
    format: str = "json"
    options: SerializeAsAny[Section] | None = Field(default=None, validate_default=True)
    fields: FieldsSettings = FieldsSettings()
    timestamp_unit: Literal["s", "ms", "us", "ns"] = "ms"
    half: Literal["request", "response"] | None = None

    @field_validator("format")
    @classmethod
    def _there_is(cls, name: str) -> str:
        format_of(name)
        return name

    @field_validator("options", mode="before")
    @classmethod
    def _of_the_format(cls, said: Any, info: ValidationInfo) -> Any:
        """What the format declares; its own errors name the key."""
        wanted = options_of(info.data.get("format", ""))
        if wanted is None and said is not None:
            raise ValueError(f"format {info.data.get('format')} takes no options")
        if wanted is not None and isinstance(said, dict) and (unknown := unknown_key(wanted, said)):
            raise ValueError(f"format {info.data.get('format')} has no option {unknown}")
        return None if wanted is None else wanted.model_validate({} if said is None else said)

    @model_validator(mode="after")
    def _columns_named_once(self) -> "TopicSettings":
        """A format that has names for columns of its own makes features of them: nothing is left that `fields` could name."""
        held: Any = self.options
        while held is not None and "columns" not in type(held).model_fields:
            held = getattr(held, "options", None)
        if held is not None and self.fields.columns is not None:
            raise ValueError(f"fields.columns is not for format {self.format}, whose columns options.columns names")
        return self

    @model_validator(mode="after")
    def _named_by_topic(self) -> "TopicSettings":
        """A pattern for the topic's name says where in it the model or the version stands, and is of this topic."""
        for name in ("model", "version"):
            said = getattr(self.fields, name)
            pattern = said.topic if isinstance(said, TopicNameSettings) else True
            if isinstance(pattern, str) and pattern.count(f"{{{name}}}") != 1:
                raise ValueError(
                    f"fields.{name}.topic: {pattern} must have {{{name}}} once, such as seldon.{{{name}}}.inputs"
                )
            if isinstance(pattern, str) and named_in(self.name, pattern, name) is None:
                raise ValueError(f"fields.{name}.topic: {pattern} does not fit the name of the topic, {self.name}")
        return self

    def constant(self, name: str) -> str | None:
        """The model or the version that all messages are of, as the configuration or the topic's name says; None where it says none."""
        said = getattr(self.fields, name)
        if isinstance(said, ConstantSettings):
            return said.const
        return named_in(self.name, said.topic, name) if isinstance(said, TopicNameSettings) else None

    @model_validator(mode="after")
    def _of_predictions(self) -> "TopicSettings":
        """A request is answered with a prediction, and with nothing else."""
        for name in ("latency", "error", "sampling"):
            if self.kind == "features" and name == "sampling":
                continue
            if self.kind != "predictions" and getattr(self.fields, name) is not None:
                raise ValueError(
                    f"fields.{name} is of a request for a prediction, but the topic is of kind {self.kind}"
                )
        if self.kind != "predictions" and self.half is not None:
            raise ValueError(f"half: {self.half} is half of a prediction, but the topic is of kind {self.kind}")
        return self


class ThresholdSettings(Section):
    """A feature's own thresholds for one detector."""

    fire_above: Threshold
    clear_below: Threshold | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "ThresholdSettings":
        _refuse_disorder(self.fire_above, self.clear_below)
        return self


def _refuse_disorder(fire_above: float, clear_below: float | None) -> None:
    if clear_below is not None and clear_below > fire_above:
        raise ValueError(f"clear_below {clear_below} must not exceed fire_above {fire_above}")


def _threshold(value: Any) -> Any:
    return value if isinstance(value, Mapping | bool) else {"fire_above": value}


def _baseline(text: str | None) -> str | None:
    return None if text is None else str(Comparison.parse(text))


Baseline = Annotated[str, AfterValidator(_baseline)]


class FeatureSettings(Section):
    """What is different for one feature."""

    detectors: list[str] | None = None
    thresholds: dict[str, Annotated[ThresholdSettings, BeforeValidator(_threshold)]] = Field(default_factory=dict)
    importance: Threshold | None = None
    effect_floor: Floor | None = None
    baseline: Baseline | None = None
    ignore: bool = False


def _enough_to_join(size: int) -> int:
    if size < LEAST_TO_JOIN:
        raise ValueError(f"must be at least {show_size(LEAST_TO_JOIN)}")
    return size


class LabelsSettings(Section):
    """Where a model's labels come from, and how long they are waited for."""

    topic: str | None = None
    wait: PositiveDuration = parse_duration("7d")
    judge_at: Annotated[list[PositiveDuration], Field(min_length=1, max_length=MOST_AGES)] | None = None
    positive: str = "1"
    negative: str | None = None
    join_memory: Annotated[Size, AfterValidator(_enough_to_join)] = parse_size("64MB")

    @property
    def ages(self) -> tuple[int, ...]:
        """How old windows are when they are judged, rising."""
        return tuple(sorted({*(self.judge_at or [self.wait])}))

    @model_validator(mode="after")
    def _in_time(self) -> "LabelsSettings":
        if self.ages[-1] > self.wait:
            raise ValueError(f"judge_at {show_duration(self.ages[-1])} is later than wait {show_duration(self.wait)}")
        if self.negative is not None and same_value(self.positive, self.negative):
            raise ValueError(f"positive {self.positive!r} and negative {self.negative!r} are the same label")
        return self


class HalvesSettings(Section):
    """How long requests and responses that come apart wait for each other, and what those that wait may take."""

    wait: PositiveDuration | None = None
    memory: Annotated[Size, AfterValidator(_enough_to_join)] = parse_size("64MB")
    unmatched: Literal["leave", "count"] = "leave"


class CostsSettings(Section):
    """What a prediction costs, by what it is and by what came true."""

    true_negative: float = Field(default=0.0, allow_inf_nan=False)
    false_positive: float = Field(default=0.0, allow_inf_nan=False)
    false_negative: float = Field(default=0.0, allow_inf_nan=False)
    true_positive: float = Field(default=0.0, allow_inf_nan=False)


class PerformanceSettings(Section):
    """What a model's performance is, once labels are there."""

    task: Literal["binary", "multiclass", "regression"] | None = None
    metrics: list[str] = Field(default_factory=list)
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.5
    classes: Annotated[list[str], Field(min_length=2, max_length=MOST_CLASSES)] | None = None
    thresholds: dict[str, MetricThresholdSettings] = Field(default_factory=dict)
    watch: list[str] | None = None
    costs: CostsSettings | None = None
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.5

    @field_validator("classes")
    @classmethod
    def _different(cls, classes: list[str] | None) -> list[str] | None:
        for first, second in combinations(classes or [], 2):
            if same_value(first, second):
                raise ValueError(f"{first!r} and {second!r} are the same class")
        return classes


def same_value(first: str, second: str) -> bool:
    """Whether two labels are one, however spelled: 1, 1.0 and true."""
    return first == second or second in coded((first,)) or first in coded((second,))


class ContractSettings(Section):
    """A data contract that events are held against; `exclude`: rows that break it are not counted for drift."""

    path: Path
    exclude: bool = False


def _contract(value: Any) -> Any:
    return {"path": value} if isinstance(value, str | Path) else value


class ModelDefaults(Section):
    """Every key of a model that can have a default for all of them."""

    version: str | None = None
    reference: Path | None = None
    window: PositiveDuration = parse_duration("5m")
    slide: PositiveDuration | None = None
    lateness: Duration = parse_duration("30s")
    min_rows: int = Field(default=200, ge=1)
    learn_for: Duration = parse_duration("14d")
    timezone: str | None = None
    holidays: list[date] | str | None = None
    settle_after: PositiveDuration = parse_duration("7d")
    baseline: Baseline = "auto"
    features: dict[str, FeatureSettings] = Field(default_factory=dict)
    group: str | None = None
    labels: LabelsSettings | None = None
    performance: PerformanceSettings | None = None
    contract: Annotated[ContractSettings, BeforeValidator(_contract)] | None = None
    halves: HalvesSettings | None = None
    retraining: RetrainingSettings | None = None
    new_versions: NewVersionsSettings | None = None

    @field_validator("timezone")
    @classmethod
    def _there_is_a_clock(cls, timezone: str | None) -> str | None:
        clock(timezone)
        return timezone

    @field_validator("group")
    @classmethod
    def _path(cls, group: str | None) -> str | None:
        refuse_undotted(group)
        return group


class ModelSettings(ModelDefaults):
    """One monitored series: a model, and a version of it or all of them."""

    name: Name
    reference: Path
    champion: bool = False  # other versions are compared with this one

    @property
    def series_version(self) -> str:
        """The version as a label; `*` for every version not named elsewhere."""
        return "*" if self.version is None else self.version

    @model_validator(mode="after")
    def _windows(self) -> "ModelSettings":
        if self.slide is not None and self.window % self.slide:
            raise ValueError(f"slide {show_duration(self.slide)} must divide window {show_duration(self.window)}")
        if self.slide is not None and self.window // self.slide > MOST_PANES:
            raise ValueError(f"slide {show_duration(self.slide)} makes more than {MOST_PANES} panes of a window")
        return self

    @model_validator(mode="after")
    def _halves(self) -> "ModelSettings":
        if self.halves is not None and self.halves.wait is not None and self.halves.wait > self.lateness:
            raise ValueError(
                f"halves.wait {show_duration(self.halves.wait)} is longer than lateness {show_duration(self.lateness)}: "
                "windows would close before their last predictions are whole"
            )
        return self

    @model_validator(mode="after")
    def _counted_halves(self) -> "ModelSettings":
        """A request that nobody answers is given up before its window closes, on the grid of steps on which they are."""
        told, longest = self.halves, longest_to_count(self.lateness)
        if told is not None and told.unmatched == "count" and (told.wait or 0) > longest:
            raise ValueError(
                f"halves.wait {show_duration(told.wait or 0)} is longer than 64/65 of lateness {show_duration(self.lateness)}: with "
                "unmatched: count windows would close before requests that nobody answers are counted"
            )
        return self

    @model_validator(mode="after")
    def _labels(self) -> "ModelSettings":
        if self.labels is not None and self.labels.ages[0] < self.lateness:
            raise ValueError(
                f"labels: windows judged after {show_duration(self.labels.ages[0])} would miss predictions that may be "
                f"{show_duration(self.lateness)} late (lateness)"
            )
        return self


class RuleSettings(Section):
    """An explicit rule with its hysteresis."""

    name: Name
    detector: str
    features: list[str] = Field(default_factory=lambda: ["*"], min_length=1)
    fire_above: Threshold
    clear_below: Threshold | None = None
    hold: Annotated[int, Field(alias="for", ge=1)] = 1
    keep_firing_for: Annotated[int, Field(ge=1)] = 1
    min_rows: Annotated[int, Field(ge=0)] = 0
    severity: Literal["info", "warning", "critical"] = "warning"
    models: list[str] = Field(default_factory=lambda: ["*"], min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> "RuleSettings":
        _refuse_disorder(self.fire_above, self.clear_below)
        return self


class EffectFloorSettings(Section):
    """Changes too small to hear of: in sigma of the reference, share of a category's rows, share of all rows."""

    shift: Floor = 0.05
    scale: Floor = 0.05
    mass: Annotated[Threshold, Field(lt=1)] = 0.01
    missing: Annotated[Threshold, Field(lt=1)] = 0.005
    unseen: Annotated[Threshold, Field(lt=1)] = 0.005
    rare: Annotated[Threshold, Field(lt=1)] = 0.005
    duplicates: Annotated[Threshold, Field(lt=1)] = 0.005


class AlertingSettings(Section):
    """When an alert is raised."""

    false_alarms_per_month: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 1
    effect_floor: EffectFloorSettings = EffectFloorSettings()
    rules: list[RuleSettings] = Field(default_factory=list)

    @field_validator("rules")
    @classmethod
    def _distinct(cls, rules: list[RuleSettings]) -> list[RuleSettings]:
        names = [rule.name for rule in rules]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two rules are called {name!r}")
            if name in OUR_RULES:
                raise ValueError(f"{name!r} is the name of a rule of driftd's own; call yours something else")
        return rules


class HttpSettings(Section):
    """Where the status page, /metrics, health and the JSON routes are served, how others reach them, and the token by which people decide."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 9464
    token_file: Path | None = None
    token_env: str | None = None
    external_url: str | None = None  # what links lead to, for those who read alerts
    approval_links: ApprovalLinksSettings | None = None
    web_config_file: Path | None = None  # TLS and users, as Prometheus and its exporters take them

    @field_validator("external_url")
    @classmethod
    def _page(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be an http:// or https:// address without ? and #")
        if parts.username or parts.password:
            raise ValueError("must hold no user name or password: alerts would tell it")
        if not url.isascii() or not url.isprintable() or " " in url or parts.port == 0:
            raise ValueError("must be plain ASCII without spaces")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _one_token(self) -> "HttpSettings":
        if self.token_file is not None and self.token_env is not None:
            raise ValueError("takes only one of token_file and token_env")
        return self

    @model_validator(mode="after")
    def _links_lead_here(self) -> "HttpSettings":
        if self.approval_links is not None and self.external_url is None:
            raise ValueError("approval_links needs external_url: where the links lead")
        return self


class LogSettings(Section):
    """How much is logged, and as what."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


InstanceName = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]  # it stands in addresses


def _grouped_by(topic: TopicSettings, group: str, key: str) -> FieldsSettings:
    """The fields of a topic whose rows are grouped by what stands under a key of a model. Raises ValueError."""
    if topic.fields.group is not None:
        raise ValueError(
            f"{key} is {group}, but topics.{topic.name}.fields.group is {topic.fields.group}; drop one of them"
        )
    try:
        return FieldsSettings.model_validate(topic.fields.model_dump(exclude_unset=True) | {"group": group})
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ValueError(f"{key}: in topics.{topic.name}, {problem}") from None


class Settings(BaseSettings):
    """The whole configuration. Environment wins over the file: DRIFTD_KAFKA__GROUP_ID is kafka.group_id."""

    model_config = SettingsConfigDict(
        env_prefix="DRIFTD_", env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=False
    )

    instance: InstanceName | None = None
    kafka: KafkaSettings = KafkaSettings()
    topics: list[TopicSettings] = Field(min_length=1)
    defaults: ModelDefaults = ModelDefaults()
    models: list[ModelSettings] = Field(min_length=1)
    alerting: AlertingSettings = AlertingSettings()
    retraining: RetrainingSettings = RetrainingSettings()
    registry: RegistrySettings | None = None
    webhooks: list[WebhookSettings] = Field(default_factory=list)
    targets: list[Annotated[SerializeAsAny[TargetSettings], BeforeValidator(read_target)]] = Field(default_factory=list)
    reports: ReportsSettings | None = None
    dead_letters: DeadLettersSettings | None = None
    replicas: ReplicasSettings | None = None
    state: Path = Path("/var/lib/driftd")
    audit_keep: PositiveDuration | None = None  # of wall time; None: all entries
    checkpoint_interval: PositiveDuration = parse_duration("5s")
    idle_after: PositiveDuration = parse_duration("30s")
    max_future: Duration = parse_duration("10m")
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()

    @field_validator("state")
    @classmethod
    def _is_possible(cls, state: Path) -> Path:
        possible(state)
        return state

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment first, then the file; nothing else is looked at."""
        assert isinstance(env_settings, EnvSettingsSource)
        return env_settings, init_settings

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, values: Any) -> Any:
        """Every key of `defaults`, from file or environment, put into each model that does not set it itself."""
        defaults, models = values.get("defaults"), values.get("models")
        if not isinstance(defaults, Mapping) or not isinstance(models, Sequence):
            return values
        merged = [{**defaults, **model} if isinstance(model, Mapping) else model for model in models]
        return {**values, "models": merged}

    @model_validator(mode="before")
    @classmethod
    def _with_general(cls, values: Any) -> Any:
        """Every key of `retraining`, put into the same section of each model that has one and does not set it itself."""
        general, models = values.get("retraining"), values.get("models")
        if not isinstance(general, Mapping) or not isinstance(models, Sequence):
            return values
        return {**values, "models": [with_general(model, general) for model in models]}

    @property
    def event_topics(self) -> list[TopicSettings]:
        """The topics of predictions and features."""
        return [topic for topic in self.topics if topic.kind != "labels"]

    @property
    def told(self) -> list[tuple[str, TargetSettings]]:
        """All targets, webhooks first, each with the key that it stands under."""
        lists: dict[str, Sequence[TargetSettings]] = {"webhooks": self.webhooks, "targets": self.targets}
        return [(f"{key}.{target.name}", target) for key, targets in lists.items() for target in targets]

    @model_validator(mode="after")
    def _distinct(self) -> "Settings":
        for what, names in (
            ("topics", [topic.name for topic in self.topics]),
            ("models", [f"{model.name} version {model.series_version}" for model in self.models]),
            ("webhooks", [webhook.name for webhook in self.webhooks]),
            ("targets and webhooks", [target.name for _, target in self.told]),
        ):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{what}: {name!r} is there twice")
        return self

    @model_validator(mode="after")
    def _letters_apart(self) -> "Settings":
        """What is rejected must not come in again, and the state has its directory to itself."""
        kept = self.dead_letters
        if kept is not None and kept.topic in {topic.name for topic in self.topics}:
            raise ValueError(f"dead_letters.topic: {kept.topic} is read itself (topics); name one that is not")
        if kept is not None and kept.directory == self.state:
            raise ValueError(
                f"dead_letters.directory: {kept.directory} is the directory of the state; name another, or one inside it"
            )
        return self

    @model_validator(mode="after")
    def _internal_apart(self) -> "Settings":
        """What replicas tell each other goes through topics of its own, whose names Kafka takes."""
        if self.replicas is None:
            return self
        for what in (COUNTS, STATE):
            name = self.replicas.topic_of(what, self.kafka.group_id)
            if not TOPIC_NAME.fullmatch(name):
                raise ValueError(
                    f"replicas.{what}_topic: {name!r}, after kafka.group_id, is no name of a topic; name one"
                )
            if name in {topic.name for topic in self.topics}:
                raise ValueError(f"replicas.{what}_topic: {name} is read itself (topics); name one that is not")
        return self

    @model_validator(mode="after")
    def _grouped(self) -> "Settings":
        """A model's `group` is that of the topics which name none: rows are read once for all models."""
        keys = {model.group: self._group_key(model) for model in self.models if model.group is not None}
        if len(keys) > 1:
            told = ", ".join(f"{key} is {group}" for group, key in keys.items())
            raise ValueError(
                f"{told}: rows are read once for all models; name their groups in topics.fields.group, a topic each"
            )
        for place, topic in enumerate(self.topics):
            for group, key in keys.items():
                if topic.kind != "labels" and topic.fields.group != group:
                    fields = _grouped_by(topic, group, key)
                    self.topics[place] = topic.model_copy(update={"fields": fields})
        return self

    @model_validator(mode="after")
    def _one_champion(self) -> "Settings":
        champions = [model.name for model in self.models if model.champion]
        for name in champions:
            if champions.count(name) > 1:
                raise ValueError(f"models: {name}: only one version can be the champion")
        return self

    @model_validator(mode="after")
    def _retrained(self) -> "Settings":
        """A model is retrained as a whole, so that its versions share a policy."""
        policies = dict[str, RetrainingSettings]()
        for model in self.models:
            policy = self.retraining_of(model)
            if policies.setdefault(model.name, policy) != policy:
                raise ValueError(f"models: {model.name}: retraining must be the same for every version of a model")
        return self

    @model_validator(mode="after")
    def _renewed(self) -> "Settings":
        """What becomes of new versions is of a model as a whole."""
        policies = dict[str, NewVersionsSettings | None]()
        for model in self.models:
            if policies.setdefault(model.name, model.new_versions) != model.new_versions:
                raise ValueError(f"models: {model.name}: new_versions must be the same for every version of a model")
            if model.new_versions is not None and model.new_versions.reference == "registry" and self.registry is None:
                raise ValueError(f"models: {model.name}: new_versions.reference: registry needs a section registry")
        return self

    def retraining_of(self, model: ModelSettings) -> RetrainingSettings:
        """When a model asks for retraining: as it says itself, else as all do."""
        return self.retraining if model.retraining is None else model.retraining

    def _group_key(self, model: ModelSettings) -> str:
        """Where a model's group is named."""
        return "defaults.group" if model.group == self.defaults.group else f"models.{model.name}.group"

    @model_validator(mode="after")
    def _both_halves(self) -> "Settings":
        """Who has topics of one half has some of the other."""
        halves = {topic.half: topic.name for topic in self.topics if topic.half is not None}
        for half, other in (("request", "response"), ("response", "request")):
            if half in halves and other not in halves:
                raise ValueError(f"topics: {halves[half]} has half: {half}, but no topic has half: {other}")
        return self

    @model_validator(mode="after")
    def _joined(self) -> "Settings":
        """Labels need a topic, and a topic of labels a model."""
        label_topics = [topic.name for topic in self.topics if topic.kind == "labels"]
        inside = any(topic.fields.label for topic in self.topics if topic.kind == "predictions")
        if not self.event_topics:
            raise ValueError("topics: all are of kind labels; at least one must bring predictions or features")
        for model in self.models:
            asked = None if model.labels is None else model.labels.topic
            if asked is not None and asked not in label_topics:
                raise ValueError(f"models: {model.name}: labels.topic: {asked!r} is no topic of kind labels")
            if model.labels is not None and all(topic.kind != "predictions" for topic in self.topics):
                raise ValueError(
                    f"models: {model.name}: labels are of predictions, but no topic is of kind predictions"
                )
            if model.labels is not None and not (label_topics or inside):
                raise ValueError(
                    f"models: {model.name}: labels come from nowhere: there is no topic of kind labels, and no topic of kind predictions maps fields.label"
                )
        if label_topics and not any(model.labels for model in self.models):
            raise ValueError(f"topics: {label_topics[0]} is of kind labels, but no model has a section labels")
        return self

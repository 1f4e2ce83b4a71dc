"""Reads what the settings point at, references and secrets, and works out by what each series is judged."""

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from detectors import DETECTORS, CategoricalBaseline, FeatureBaseline, NumericBaseline, Reference, ReferenceFormatError
from detectors.calibration import Calibration
from detectors.calibration.clocks import named
from detectors.calibration.holidays import HolidaysError, is_country, read_holidays
from detectors.charts import CHARTS, Budget, BudgetError, BudgetSpec, ChartDesign, Comparison, Floors
from detectors.contract import ContractError, contract_from
from detectors.reference import file as serial
from detectors.reference.live_service import blank_service
from detectors.reference.service import ERROR, LATENCY
from monitor.alerting.retraining import RetrainCosts, RetrainPolicy
from monitor.alerting.rules import AlertRule, Severity, Thresholds
from monitor.alerting.schedule import Schedule
from monitor.clock import SystemClock
from monitor.reporting.reports import ReportPlan
from monitor.sections import Section
from monitor.series.contract import ContractSpec
from monitor.series.estimating import EstimateSpec, estimate_spec, expectation
from monitor.series.halves import HalvesWait
from monitor.series.judging import FeatureChoice, Judging
from monitor.series.performance import PerformanceSpec
from monitor.series.series import SeriesSpec
from monitor.series.service import SHARE as SERVICE_SHARE
from monitor.series.service import plan_of, rules_of
from monitor.series.truth import BINARY, MEDIAN, MONEY, MULTICLASS, R2_REFERENCE, REGRESSION, TOP, TOPS, Truth, quarters
from monitor.settings import ConfigError, Settings, masked, read_yaml, show_duration
from monitor.settings.judges import PERFORMANCE_SHARE, decision_spec
from monitor.settings.retraining import RetrainingSettings
from monitor.settings.schema import (
    MOST_CLASSES,
    SECRET_FILES,
    FeatureSettings,
    HalvesSettings,
    LabelsSettings,
    ModelSettings,
    PerformanceSettings,
    RuleSettings,
    TopicSettings,
)
from monitor.settings.web import WebAccess, read_access
from monitor.sources.formats.fields import PREDICTION
from monitor.store.references import KeptReferences
from monitor.stream.events import DAY, SeriesKey
from monitor.stream.halves import longest_to_count
from monitor.stream.join import JoinSpec
from monitor.stream.windows import WindowSpec
from monitor.targets.base import Subscriber, TargetSettings, subscribed
from monitor.targets.model_registry import ModelRegistry, ModelUri, RegistryAwayError, RegistryError
from monitor.targets.reports import FOLDER, FOLDER_TYPE, KINDS, ReportFolder
from monitor.targets.secrets import SecretError, Secrets
from monitor.targets.transport import Transport

FEWEST_CLASSES = 2
# Keys of a model that came after the hash: they count in it where they are not left at their defaults.
LATER_KEYS = (
    "learn_for",
    "timezone",
    "holidays",
    "settle_after",
    "baseline",
    "group",
    "labels",
    "halves",
    "performance",
    "contract",
    "retraining",
    "champion",
    "new_versions",
)

LATER_TARGET_KEYS = ("models", "kinds", "severities")  # the same of webhooks and other targets
LATER_HALVES_KEYS = ("unmatched",)  # the same of the section halves
LATER_PERFORMANCE_KEYS = ("thresholds", "watch", "costs", "quantile")  # the same of the section performance


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings with the references and secrets that they point at, read and checked."""

    settings: Settings
    specs: tuple[SeriesSpec, ...]
    targets: tuple[Subscriber, ...]
    token: bytes | None = field(default=None, repr=False)  # by which people decide; without one nobody does
    base: Path = Path()  # of paths
    approval_key: bytes | None = field(
        default=None, repr=False
    )  # that signs approval links; without one there are none
    reports: ReportPlan | None = None
    folder: Subscriber | None = None  # that reports are written to
    references: tuple[Reference, ...] = field(default=(), repr=False)  # of the models, whole
    registry: ModelRegistry | None = None
    webhook_secret: bytes | None = field(default=None, repr=False)  # of the registry
    stood_in: Mapping[str, str] = field(default_factory=dict)  # references as they were kept, and why they are used
    access: WebAccess | None = None  # what the web configuration asks of connections and requests

    @property
    def subscribers(self) -> tuple[Subscriber, ...]:
        """All who are told: the targets, and the folder of reports."""
        return self.targets if self.folder is None else (*self.targets, self.folder)

    @property
    def config_hash(self) -> str:
        """Short hash of the effective configuration, secrets apart. A key that came later counts where it is used.

        Paths count as they are from where the file lies: the hash is the file's, whichever command computes it.
        """
        return _short(self._effective())

    def section_hashes(self) -> dict[str, str]:
        """Short hashes of its sections, by name; of lists one each entry."""
        found: dict[str, str] = {}
        for name, section in self._effective().items():
            if isinstance(section, list):
                for number, each in enumerate(section):
                    where = f"{name}.{each.get('name', number)}"
                    version = f"/{each['version']}" if name == "models" and each.get("version") else ""
                    found[where + version] = _short(each)
            else:
                found[name] = _short(section)
        return found

    def _effective(self) -> dict[str, Any]:
        """The effective configuration, secrets apart. A key that came later is there where it is used."""
        effective = masked(self.settings)
        kafka = effective["kafka"]
        effective["state"] = self._from_base(effective["state"])
        for name in SECRET_FILES.keys() & kafka["properties"].keys():
            kafka["properties"][name] = self._from_base(kafka["properties"][name])
        kafka["ca_file"] = kafka["ca_file"] and self._from_base(kafka["ca_file"])
        for section in (kafka, *effective["webhooks"], *effective["targets"]):
            if "ca_file" in section and section["ca_file"] is None:
                del section["ca_file"]
        for target in (*effective["webhooks"], *effective["targets"]):
            _drop_unrouted(target)
        self._drop_reports(effective)
        if self.settings.dead_letters is not None and self.settings.dead_letters.directory is not None:
            effective["dead_letters"]["directory"] = self._from_base(effective["dead_letters"]["directory"])
        for name in ("audit_keep", "dead_letters", "instance", "registry", "replicas", "targets"):
            if not effective[name]:
                del effective[name]
        self._drop_later(effective["models"])
        _drop_defaults(effective["retraining"], self.settings.retraining)
        self._drop_unsaid(effective["topics"])
        for key in ("token_file", "token_env", "external_url", "approval_links", "web_config_file"):
            if effective["http"][key] is None:
                del effective["http"][key]
        return effective

    def _drop_reports(self, effective: dict[str, Any]) -> None:
        """Drop the section reports where there is none; its folder counts as it is from where the file lies."""
        if effective["reports"] is None:
            del effective["reports"]
        elif effective["reports"]["folder"] is not None:
            effective["reports"]["folder"] = self._from_base(effective["reports"]["folder"])

    def _drop_later(self, models: list[dict[str, Any]]) -> None:
        """Drop the keys of models that came later, where they are not used."""
        for told, model in zip(models, self.settings.models, strict=True):
            for name in LATER_KEYS:
                if getattr(model, name) == ModelSettings.model_fields[name].get_default():
                    del told[name]
            if told.get("halves"):
                _drop_unused(told["halves"], HalvesSettings, LATER_HALVES_KEYS)
            if told.get("performance"):
                _drop_unused(told["performance"], PerformanceSettings, LATER_PERFORMANCE_KEYS)
            for feature in told["features"].values():
                if feature["baseline"] is None:
                    del feature["baseline"]

    def _drop_unsaid(self, topics: list[dict[str, Any]]) -> None:
        """Drop the fields of topics that are not mapped, and what of a format's options is not said."""
        for topic, told in zip(topics, self.settings.topics, strict=True):
            _drop_unmapped(topic)
            if told.options is not None:
                topic["options"] = self._told_options(told.options)

    def _told_options(self, options: Section) -> dict[str, Any]:
        """What a format's options say that is not their default; paths as they are from where the file lies."""
        found: dict[str, Any] = {}
        for name, value in options.model_dump(mode="json", exclude_defaults=True).items():
            held = getattr(options, name)
            if isinstance(held, Section):
                found[name] = self._told_options(held)
            else:
                found[name] = self._from_base(value) if isinstance(held, Path) else value
        return found

    def _from_base(self, path: str) -> str:
        return str(Path(path).relative_to(self.base)) if Path(path).is_relative_to(self.base) else path


def _short(section: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(section)).hexdigest()[:12]


def _drop_defaults(told: dict[str, Any], section: RetrainingSettings) -> None:
    """Drop what came later to a section retraining, where it is left at its defaults."""
    for name in told.keys() - {"cooldown", "max_per_week"}:
        if getattr(section, name) == RetrainingSettings.model_fields[name].get_default(call_default_factory=True):
            del told[name]


def _drop_unused(told: dict[str, Any], section: type[Section], names: Sequence[str]) -> None:
    """Drop these keys of a section where they are left at their defaults."""
    for name in names:
        if told[name] == section.model_fields[name].get_default(call_default_factory=True):
            del told[name]


def _drop_unmapped(topic: dict[str, Any]) -> None:
    """Drop the fields of a topic that are not mapped, and keys that came later where they are not used."""
    topic["fields"] = {name: path for name, path in topic["fields"].items() if path is not None}
    for name in ("options", "half"):
        if topic[name] is None:
            del topic[name]


def _drop_unrouted(told: dict[str, Any]) -> None:
    """Drop the keys of a target that came later, where they are left at their defaults."""
    for name in LATER_TARGET_KEYS:
        if told[name] == TargetSettings.model_fields[name].get_default():
            del told[name]


def load(
    settings: Settings,
    base: Path,
    environment: Mapping[str, str] = os.environ,
    *,
    needs_secrets: bool = True,
    file: Path | None = None,
    kept: KeptReferences | None = None,
) -> Configuration:
    """Read references and secrets; paths are relative to `base`. `kept`: what stands in for references whose registry is away.

    Raises ReferenceAwayError where only such a registry is in the way, else ConfigError, a line for each problem; each begins with the configuration's `file`, where that is given.
    """
    problems: list[str] = []
    specs: list[SeriesSpec] = []
    targets: list[Subscriber] = []
    reports: ReportPlan | None = None
    shared: dict[Path, Reference] = {}
    wholes: list[Reference] = []
    secrets = Secrets(base, environment)
    away = 0
    for number, model in enumerate(settings.models):
        try:
            path = base / model.reference
            if path not in shared:
                shared[path] = referred(settings, model, secrets, f"models[{number}]", kept)
            specs.append(series_spec(settings, model, shared[path], base))
            wholes.append(shared[path])
        except ConfigError as error:
            away += isinstance(error, ReferenceAwayError)
            problems.append(str(error))
    for key, target in settings.told if needs_secrets else ():
        try:
            targets.append(load_target(key, target, secrets))
        except ConfigError as error:
            problems.append(str(error))
    try:
        reports = report_plan(settings)
        targets = with_reports(settings, targets)
    except ConfigError as error:
        problems.append(str(error))
    token = approval_key = registry = webhook_secret = access = None
    try:
        access = load_access(settings, base) if needs_secrets else None
        token = load_token(settings, secrets) if needs_secrets else None
        approval_key = load_approval_key(settings, secrets) if needs_secrets else None
    except ConfigError as error:
        problems += str(error).splitlines()
    try:
        registry, webhook_secret = load_registry(settings, secrets) if needs_secrets else (None, None)
    except ConfigError as error:
        problems.append(str(error))
    if problems:
        begun = "" if file is None else f"{file}: "
        kind = ReferenceAwayError if away == len(problems) else ConfigError
        raise kind("\n".join(f"{begun}{problem}" for problem in problems))
    return Configuration(
        settings,
        tuple(specs),
        tuple(targets),
        token,
        base.absolute(),
        approval_key=approval_key,
        reports=reports,
        folder=report_folder(settings, base),
        references=tuple(wholes),
        registry=registry,
        webhook_secret=webhook_secret,
        stood_in={} if kept is None else kept.used,
        access=access,
    )


def report_plan(settings: Settings) -> ReportPlan | None:
    """When reports are made, and of which models; None where nobody asks for any. Raises ConfigError."""
    told = settings.reports
    if told is None:
        return None
    try:
        models = told.chosen([model.name for model in settings.models])
    except ValueError as error:
        raise ConfigError(f"reports.{error}") from None
    types = {target.name: target.type for _, target in settings.told}
    for name in told.targets:
        if name not in types:
            there_is = ", ".join(types) or "none"
            raise ConfigError(f"reports.targets: {name!r} is no target or webhook; there is {there_is}")
        if types[name] not in KINDS:
            raise ConfigError(
                f"reports.targets: {name} is of type {types[name]}, which takes no reports; {', '.join(KINDS)} do"
            )
    if FOLDER in types:
        raise ConfigError(f"targets: {FOLDER!r} is the name of the folder of reports; call yours something else")
    return ReportPlan(told.schedule, models)


def with_reports(settings: Settings, targets: Sequence[Subscriber]) -> list[Subscriber]:
    """The targets, those marked that get reports."""
    told = settings.reports
    if told is None:
        return list(targets)
    return [replace(each, reports=each.name in told.targets) for each in targets]


def report_folder(settings: Settings, base: Path) -> Subscriber | None:
    """The folder of reports; None where there is none."""
    told = settings.reports
    if told is None or told.folder is None:
        return None
    return Subscriber(ReportFolder((base / told.folder).absolute(), told.keep), FOLDER_TYPE, frozenset(), reports=True)


class ReferenceAwayError(ConfigError):
    """A registry is away, without which there is nothing to begin with: nothing is wrong with the configuration."""


def referred(
    settings: Settings, model: ModelSettings, secrets: Secrets, key: str, kept: KeptReferences | None
) -> Reference:
    """The reference of a model, of a file or of the registry. Raises ConfigError."""
    text = str(model.reference)
    if not text.startswith("models:/"):
        return load_reference(secrets.base / model.reference, key)
    try:
        uri = ModelUri.parse(text)
        registry, _ = load_registry(settings, secrets)
        if registry is None:
            raise ConfigError(f"{key}.reference: {text} needs a section registry")
        with Transport(SystemClock()) as io:
            content = registry.reference(uri, io)
        reference = Reference.from_dict(serial.parse(content))
    except RegistryAwayError as error:
        if kept is None or (held := held_reference(kept, text, str(error))) is None:
            raise ReferenceAwayError(f"{key}.reference: {text}: {error}") from None
        return held
    except (RegistryError, ReferenceFormatError, ValueError) as error:
        raise ConfigError(f"{key}.reference: {text}: {error}") from None
    if kept is not None:
        kept.keep(text, content)
    return reference


def held_reference(kept: KeptReferences, place: str, why: str) -> Reference | None:
    """A reference as it was kept, to be used because of `why`; None where there is none that can be read."""
    content = kept.content(place)
    try:
        reference = None if content is None else Reference.from_dict(serial.parse(content))
    except (ReferenceFormatError, ValueError):
        return None
    if reference is not None:
        kept.stand_in(place, why)
    return reference


def load_reference(path: Path, key: str) -> Reference:
    """A reference file. Raises ConfigError."""
    try:
        return Reference.load(path)
    except FileNotFoundError:
        raise ConfigError(f"{key}.reference: {path} does not exist; make it with `driftd reference fit`") from None
    except OSError as error:
        raise ConfigError(f"{key}.reference: {path} cannot be read: {error.strerror or error}") from None
    except ReferenceFormatError as error:
        raise ConfigError(f"{key}.reference: {path}: {error}") from None


def load_token(settings: Settings, secrets: Secrets) -> bytes | None:
    """The token by which people decide; None where no key names one. Raises ConfigError, which never holds it."""
    try:
        return secrets.token(settings.http.token_file, settings.http.token_env)
    except SecretError as error:
        raise ConfigError(f"http.{error}") from None


def load_access(settings: Settings, base: Path) -> WebAccess | None:
    """What the web configuration comes to; None where there is none. Raises ConfigError, a line for each problem."""
    file = settings.http.web_config_file
    if file is None:
        return None
    try:
        return read_access(base / file)
    except ConfigError as error:
        raise ConfigError("\n".join(f"http.web_config_file: {line}" for line in str(error).splitlines())) from None


def load_approval_key(settings: Settings, secrets: Secrets) -> bytes | None:
    """The secret that signs approval links; None where there are none. Raises ConfigError, which never holds it."""
    links = settings.http.approval_links
    try:
        return None if links is None else secrets.key(links.secret_file, links.secret_env)
    except SecretError as error:
        raise ConfigError(f"http.approval_links.{error}") from None


def load_registry(settings: Settings, secrets: Secrets) -> tuple[ModelRegistry | None, bytes | None]:
    """The registry, and the secret of its webhooks. Raises ConfigError, which holds no secret."""
    if settings.registry is None:
        return None, None
    try:
        return settings.registry.build(secrets), settings.registry.webhook_secret(secrets)
    except ValueError as error:
        raise ConfigError(f"registry.{error}") from None


def load_target(key: str, settings: TargetSettings, secrets: Secrets) -> Subscriber:
    """A target with its secret. Raises ConfigError, which never holds the secret."""
    try:
        target = settings.build(secrets)
        settings.urls()
    except ValueError as error:
        raise ConfigError(f"{key}.{error}") from None
    except Exception as error:  # noqa: BLE001 - whatever a stranger's code raises; its text could hold a secret
        raise ConfigError(f"{key}: type {settings.type} fails: {type(error).__name__}") from None
    if not callable(getattr(target, "deliver", None)) or getattr(target, "name", None) != settings.name:
        raise ConfigError(f"{key}: type {settings.type} builds no target of this name: {type(target).__name__}")
    return subscribed(target, settings)


def series_spec(settings: Settings, model: ModelSettings, reference: Reference, base: Path = Path()) -> SeriesSpec:
    """What one series is monitored by. Raises ConfigError."""
    refuse_other_hours(model, reference)
    whole = reference
    where = f"models.{model.name}.features"
    for name, feature in model.features.items():
        if name not in reference.names:
            raise ConfigError(f"{where}.{name}: the reference has no such feature; it has {', '.join(reference.names)}")
        for detector in (*(feature.detectors or ()), *feature.thresholds):
            known_detector(f"{where}.{name}", detector)
    ignored = {name for name, feature in model.features.items() if feature.ignore}
    if ignored:
        kept = [name for name in reference.names if name not in ignored]
        if not kept:
            raise ConfigError(f"{where}: every feature is ignored")
        reference = reference.select(kept)
    rules = tuple(alert_rule(rule) for rule in settings.alerting.rules if matches_model(rule, model))
    performance = performance_spec(settings, model, whole)
    share = PERFORMANCE_SHARE if performance is not None and performance.decision is not None else 0.0
    says = says_served(settings, model)
    served = SERVICE_SHARE if judges_served(reference, model, says) else 0.0
    plan = chart_plan(settings, model, base, 1 - share - served)
    refuse_impossible(f"models.{model.name}", reference, plan)
    service_plan = None if plan is None or not served else plan_of(plan, (budget_of(settings, model) or 0.0) * served)
    if served:
        service = blank_service(says) if reference.service is None else reference.service
        refuse_impossible(f"models.{model.name}", service.profile, service_plan)
    return SeriesSpec(
        key=SeriesKey(model.name, model.series_version),
        windows=WindowSpec(model.window, model.slide or model.window, model.lateness),
        judging=Judging(
            reference=reference,
            window_length=model.window,
            rules=rules,
            min_rows=model.min_rows,
            choices={name: feature_choice(feature) for name, feature in model.features.items() if not feature.ignore},
            plan=plan,
            learn_for=model.learn_for,
            estimate=estimate_of(settings, model, reference),
            service_plan=service_plan,
            served=says,
            model_budget=settings.alerting.false_alarms_per_month,
            contract=contract_spec(settings, model, base, reference),
        ),
        retraining=retrain_policy(settings, model),
        performance=performance,
        halves=None if model.halves is None else halves_wait(model.halves, model.lateness),
        sampled=any(topic.fields.sampling is not None for topic in settings.topics),
    )


def halves_wait(told: HalvesSettings, lateness: int) -> HalvesWait:
    """How long halves of a model's predictions wait for each other: as long as events may be late, unless it is said."""
    count = told.unmatched == "count"
    longest = longest_to_count(lateness) if count else lateness
    return HalvesWait(longest if told.wait is None else told.wait, halves_within(told.memory), unanswered=count)


def retrain_policy(settings: Settings, model: ModelSettings) -> RetrainPolicy:
    """When a model asks for retraining. Raises ConfigError."""
    told, key = settings.retraining_of(model), f"models.{model.name}.retraining"
    if told.min_labelled_rows and model.labels is None:
        raise ConfigError(f"{key}.min_labelled_rows: {told.min_labelled_rows} needs a section labels of the model")
    try:
        every = None if told.every is None else Schedule.parse(told.every, named(model.timezone))
    except ValueError as error:
        raise ConfigError(f"{key}.every: {error}") from None
    return RetrainPolicy(
        cooldown=told.cooldown,
        max_per_week=told.max_per_week,
        on=frozenset(told.on),
        every=every,
        unless_trained_within=told.unless_trained_within,
        severity=Severity(told.severity),
        features=tuple(told.features),
        in_flight_timeout=told.in_flight_timeout,
        min_labelled_rows=told.min_labelled_rows,
        veto=frozenset(told.veto),
        max_lag=told.max_lag,
        dry_run=told.dry_run,
        approval_within=told.approval_expires if told.approval == "required" else None,
        costs=None
        if told.costs is None
        else RetrainCosts(told.costs.retraining, told.costs.drift_per_day, told.costs.takes),
    )


def contract_spec(settings: Settings, model: ModelSettings, base: Path, reference: Reference) -> ContractSpec | None:
    """The data contract that a model's events are held against. Raises ConfigError."""
    told = model.contract
    if told is None:
        return None
    key, path = f"models.{model.name}.contract", base / told.path
    if told.exclude and settings.alerting.false_alarms_per_month is None:
        raise ConfigError(
            f"{key}.exclude: true needs a budget, alerting.false_alarms_per_month: without one nobody is told of what is left out"
        )
    if not path.is_file():
        raise ConfigError(f"{key}: {path} does not exist; make it with `driftd contract infer`")
    try:
        numbers = frozenset(feature.name for feature in reference.layout.numeric)
        return ContractSpec(contract_from(read_yaml(path)), told.exclude, numbers)
    except ContractError as error:
        raise ConfigError(f"{key}: {path}: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from None


def performance_spec(settings: Settings, model: ModelSettings, reference: Reference) -> PerformanceSpec | None:
    """What a model's performance is judged by; None where it has no labels. Raises ConfigError."""
    labels = model.labels
    if labels is None:
        if model.performance is not None and reference.performance is None:
            raise ConfigError(
                f"models.{model.name}.performance: needs labels; add a section labels to the model, or fit its reference with --label"
            )
        return None
    join = JoinSpec(model.window, model.slide or model.window, labels.ages[-1], rows_within(labels.join_memory))
    topics = frozenset(
        topic.name for topic in settings.topics if topic.kind == "labels" and labels.topic in {None, topic.name}
    )
    truth = truth_of(settings, model, labels, reference)
    expected = expectation(reference, truth)
    decision = decision_spec(model, truth, reference, budget_of(settings, model), expected)
    return PerformanceSpec(join, labels.ages, truth, topics, decision, expected)


def halves_within(memory: int) -> int:
    """Bytes of halves that may wait, of the memory that they may take: places not used, runs of keys and saving take the rest (`benchmarks/halves.py`)."""
    return memory * 2 // 5


def rows_within(memory: int) -> int:
    """Bytes of rows that a join may hold, of the memory that it may take: sorting, thinning and saving them takes as much for a moment."""
    return memory // 2


def truth_of(settings: Settings, model: ModelSettings, labels: LabelsSettings, reference: Reference) -> Truth:
    """How a model's labels are counted: as its configuration says, else as the prediction of its reference is. Raises ConfigError."""
    chosen, key = model.performance or PerformanceSettings(), f"models.{model.name}.performance"
    predicted = reference.features.get(PREDICTION)
    known = reference.performance
    categories = predicted.categories if isinstance(predicted, CategoricalBaseline) else ()
    if known is not None:
        categories = known.classes or categories
    task = chosen.task or (usual_task(predicted) if known is None else known.task)
    classes = tuple(chosen.classes or categories) if task == MULTICLASS else ()
    if task == MULTICLASS and not FEWEST_CLASSES <= len(set(classes)) == len(classes) <= MOST_CLASSES:
        many = f"not {len(classes)}" if classes else "and the reference has none: name them here"
        raise ConfigError(f"{key}.classes: must be {FEWEST_CLASSES} to {MOST_CLASSES} distinct classes, {many}")
    weighted = any(topic.fields.weight is not None for topic in settings.topics)
    positive, negative = labels_of(labels, reference)
    truth = Truth(
        task,
        chosen.threshold,
        positive,
        negative,
        classes,
        weighted=weighted,
        metrics=tuple(dict.fromkeys(chosen.metrics)),
        ranges=quarters(predicted) if task == REGRESSION and isinstance(predicted, NumericBaseline) else (),
        costs=None if chosen.costs is None else tuple(chosen.costs.model_dump().values()),
        quantile=chosen.quantile,
        scored=task == MULTICLASS and any(topic.fields.scores is not None for topic in settings.topics),
        listed=task == MULTICLASS and chosen.classes is not None,
        reference_mean=known.label_mean if known is not None and task == REGRESSION else None,
    )
    refuse_of_another_task(chosen, truth, key)
    return truth


def labels_of(labels: LabelsSettings, reference: Reference) -> tuple[str, str | None]:
    """The positive label and the other one: as configured, else as the reference's labels have them."""
    known = reference.performance
    if known is None or known.task != BINARY or {"positive", "negative"} & labels.model_fields_set:
        return labels.positive, labels.negative
    return known.positive, known.negative


def estimate_of(settings: Settings, model: ModelSettings, reference: Reference) -> EstimateSpec | None:
    """By what a model's performance is estimated before labels come; None where its reference has none. Raises ConfigError."""
    if reference.performance is None:
        return None
    return estimate_spec(reference, truth_of(settings, model, model.labels or LabelsSettings(), reference))


def refuse_of_another_task(chosen: PerformanceSettings, truth: Truth, key: str) -> None:
    """Raise ConfigError for a metric, or for what one needs, that its task does not have."""
    task = truth.task
    if chosen.costs is not None and task != BINARY:
        raise ConfigError(f"{key}.costs: are of task {BINARY}, and this one is {task}")
    if chosen.quantile != MEDIAN and task != REGRESSION:
        raise ConfigError(f"{key}.quantile: is of task {REGRESSION}, and this one is {task}")
    for name in chosen.metrics:
        if name not in truth.known:
            raise ConfigError(f"{key}.metrics: {why_not(name, truth, key)}")


def why_not(name: str, truth: Truth, key: str) -> str:
    """Why a metric is none of a model's: what it needs, or which there are."""
    needs = {MONEY: (BINARY, f"{key}.costs"), R2_REFERENCE: (REGRESSION, "a reference with labels that are numbers")}
    needs |= {TOP(k): (MULTICLASS, f"topics.fields.scores and more than {k} classes") for k in TOPS}
    task, what = needs.get(name, ("", ""))
    if task == truth.task:
        return f"{name!r} needs {what}"
    return f"{name!r} is none of task {truth.task}; there is {', '.join(truth.known)}"


def usual_task(predicted: FeatureBaseline | None) -> str:
    """What a prediction of a reference is: classes, a score between 0 and 1, or a number; without one a score."""
    if isinstance(predicted, CategoricalBaseline):
        return MULTICLASS
    if isinstance(predicted, NumericBaseline) and not is_share(predicted):
        return REGRESSION
    return BINARY


def is_share(predicted: NumericBaseline) -> bool:
    """Whether all values lie between 0 and 1, as far as there are any."""
    return not predicted.count or (predicted.min >= 0 and predicted.max <= 1)


def refuse_other_hours(model: ModelSettings, reference: Reference) -> None:
    """Raise ConfigError for a time zone that is not the one whose hours the reference has learnt."""
    if reference.calibration is None or model.timezone is None:
        return
    learnt, wanted = reference.calibration.timezone, named(model.timezone)
    if learnt != wanted:
        raise ConfigError(
            f"models.{model.name}.timezone: {model.timezone}, but the hours of the reference are those of {learnt or 'UTC'}: "
            f"fit it with --timezone {model.timezone}, or leave the key out"
        )


def says_served(settings: Settings, model: ModelSettings) -> tuple[str, ...]:
    """What events of a model can say of how its requests were served, as far as its topics are known."""
    fields = [
        topic.fields for topic in settings.topics if topic.kind == "predictions" and may_bring(settings, topic, model)
    ]
    read = {LATENCY: any(each.latency for each in fields), ERROR: any(each.error for each in fields)}
    return tuple(name for name, said in read.items() if said)


def may_bring(settings: Settings, topic: TopicSettings, model: ModelSettings) -> bool:
    """Whether a topic can hold events of a model: not where all of them are of another, or of another version."""
    of, version = topic.constant("model"), topic.constant("version")
    if of is not None and of != model.name:
        return False
    if version is None:
        return True
    others = {other.version for other in settings.models if other.name == model.name} - {None}
    return version == model.version if model.version is not None else version not in others


def judges_served(reference: Reference, model: ModelSettings, says: Collection[str]) -> bool:
    """Whether events say what a reference knows of how requests are served, or what is learnt where it knows nothing."""
    service = reference.service
    if service is None or not rules_of(service):
        return bool(says) and model.learn_for > 0
    return not {*says}.isdisjoint(service.profile.names)


def holidays_of(model: ModelSettings, base: Path) -> tuple[int, ...] | None:
    """The model's holidays; None where the reference's own stand. Raises ConfigError."""
    told = model.holidays
    if told is None:
        return None
    try:
        return read_holidays(told if not isinstance(told, str) or is_country(told) else base / told)
    except HolidaysError as error:
        raise ConfigError(f"models.{model.name}.{error}") from None


def chart_plan(settings: Settings, model: ModelSettings, base: Path, share: float = 1.0) -> BudgetSpec | None:
    """What the budget, or this share of it, asks of a model's charts; None where there is no budget."""
    alerting, features = settings.alerting, model.features.items()
    budget = budget_of(settings, model)
    if budget is None:
        return None
    return BudgetSpec(
        per_month=budget * share,
        pane_ns=model.slide or model.window,
        floors=Floors(**alerting.effect_floor.model_dump()),
        own_floors={name: feature.effect_floor for name, feature in features if feature.effect_floor is not None},
        importance={name: feature.importance for name, feature in features if feature.importance is not None},
        timezone=named(model.timezone),
        holidays=holidays_of(model, base),
        settle_ns=model.settle_after,
        baseline=Comparison.parse(model.baseline),
        own_baselines={name: Comparison.parse(each.baseline) for name, each in features if each.baseline is not None},
    )


def versions_of(settings: Settings, model: ModelSettings) -> int:
    """How many versions share the model's budget."""
    return sum(other.name == model.name for other in settings.models)


def budget_of(settings: Settings, model: ModelSettings) -> float | None:
    """False alarms a month of one version; None where there is no budget."""
    budget = settings.alerting.false_alarms_per_month
    return None if budget is None else budget / versions_of(settings, model)


def refuse_impossible(key: str, reference: Reference, plan: BudgetSpec | None) -> None:
    """Raise ConfigError for a budget that no threshold can hold."""
    if plan is None:
        return
    try:
        if reference.calibration is not None:
            refuse_longer(key, reference.calibration, plan)
            ChartDesign(reference, reference.calibration, plan)
        else:
            Budget(plan.per_month, len(reference.names) * len(CHARTS) + 2, plan.pane_ns)
    except BudgetError as error:
        raise ConfigError(f"{key}: alerting.{error}") from None


def refuse_longer(key: str, calibration: Calibration, plan: BudgetSpec) -> None:
    """Raise ConfigError for windows that are longer than the reference that they are compared with."""
    if plan.subgroup_ns(calibration) > calibration.span_ns:
        window, span = show_duration(plan.subgroup_ns(calibration)), calibration.span_ns / DAY
        raise ConfigError(f"{key}: windows of {window} are longer than the reference, which covers {span:.2g} days")


def matches_model(rule: RuleSettings, model: ModelSettings) -> bool:
    """Whether a rule is meant for a model."""
    return AlertRule(rule.name, rule.detector, 0, 0, features=tuple(rule.models)).applies_to(model.name)


def alert_rule(rule: RuleSettings) -> AlertRule:
    """A rule as the alert machine takes it. Raises ConfigError for an unknown detector."""
    known_detector(f"alerting.rules.{rule.name}", rule.detector)
    return AlertRule(
        name=rule.name,
        detector=rule.detector,
        fire_above=rule.fire_above,
        clear_below=rule.fire_above if rule.clear_below is None else rule.clear_below,
        features=tuple(rule.features),
        hold=rule.hold,
        keep_firing_for=rule.keep_firing_for,
        min_rows=rule.min_rows,
        severity=Severity(rule.severity),
    )


def known_detector(key: str, name: str) -> None:
    """Raise ConfigError for the name of no detector."""
    if name not in DETECTORS:
        raise ConfigError(f"{key}: {name!r} is no detector; there is {', '.join(sorted(DETECTORS))}")


def feature_choice(feature: FeatureSettings) -> FeatureChoice:
    """What the settings say of one feature."""
    return FeatureChoice(
        None if feature.detectors is None else frozenset(feature.detectors),
        {name: Thresholds(limits.fire_above, limits.clear_below) for name, limits in feature.thresholds.items()},
    )

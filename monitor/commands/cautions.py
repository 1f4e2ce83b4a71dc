"""What would run but may not be meant: rules that can never fire, references that change inside, secrets in the open."""

from collections.abc import Collection, Iterator, Sequence
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from detectors import DETECTORS
from detectors.reference.service import ERROR, LATENCY
from monitor.alerting.rules import ERRORS_RULE, LATENCY_RULE
from monitor.app import COMPILED, broker_timed, contract_columns, fields_of, not_checked, slow_contract
from monitor.commands.alarms import usual
from monitor.commands.judges import unwatched
from monitor.commands.selfreport import told
from monitor.configuration import Configuration
from monitor.explain.fewrows import few_rows
from monitor.series.estimating import other_labels
from monitor.series.series import SeriesSpec
from monitor.settings import Settings
from monitor.settings.retraining import RetrainingSettings
from monitor.settings.schema import HttpSettings, TopicSettings
from monitor.sources.formats.fields import PREDICTION
from monitor.targets.alertmanager import AlertmanagerSettings
from monitor.targets.base import TargetSettings
from monitor.targets.email import EmailSettings
from monitor.targets.payloads import ESCALATED, FIRING, PENDING, RETRAIN


def warnings(configuration: Configuration) -> Iterator[str]:
    """What would run but may not be meant."""
    settings = configuration.settings
    slow = [part for part, used in COMPILED.items() if not used]
    if slow:
        yield f"{', '.join(slow)}: Python does it, several times slower than the compiled part, which is not here"
    if not settings.alerting.rules and settings.alerting.false_alarms_per_month is None:
        yield "alerting: there is neither a budget nor a rule: scores are exported, nothing fires"
    yield from reference_warnings(configuration)
    yield from few_rows_warnings(configuration)
    yield from group_warnings(configuration)
    yield from service_warnings(configuration)
    yield from rule_warnings(configuration)
    yield from watch_warnings(configuration)
    yield from label_warnings(configuration)
    yield from contract_warnings(configuration)
    for topic in settings.topics:
        if topic.kind == "features" and any("__prediction__" in spec.reference.names for spec in configuration.specs):
            yield f"topics.{topic.name}: its rows have no prediction and count as missing in __prediction__"
    for name in broker_timed(settings):
        yield f"topics.{name}.fields.timestamp: the time of an event is the broker's timestamp of its record, however long it was under way"
    yield from target_warnings(settings)


def reference_warnings(configuration: Configuration) -> Iterator[str]:
    """What references say against themselves, which `fit` and `show` tell in the same words."""
    for spec in configuration.specs:
        for line in told(spec.reference):
            yield f"{spec.key.model} version {spec.key.version}: {line}"


def few_rows_warnings(configuration: Configuration) -> Iterator[str]:
    """Models whose usual windows hold too few rows for most scores."""
    for spec in configuration.specs:
        if few := few_rows(usual(spec).rows, spec.windows.length, spec.judging.min_rows):
            yield f"{spec.key.model} version {spec.key.version}: {few}"


def group_warnings(configuration: Configuration) -> Iterator[str]:
    """Groups of rows that only the mapping knows, or only the reference."""
    named = [topic for topic in configuration.settings.event_topics if topic.fields.group]
    for spec in configuration.specs:
        calibration = spec.reference.calibration
        if calibration is not None and named and not calibration.together:
            yield (
                f"{spec.key.model} version {spec.key.version}: its reference knows no groups, so topics.{named[0].name}.fields.group "
                "says nothing yet; `driftd reference fit --config` learns them"
            )
        if calibration is not None and calibration.together and not named:
            yield (
                f"{spec.key.model} version {spec.key.version}: its reference knows groups of rows, but no topics.fields.group says "
                "where events have theirs: every window counts as a usual one"
            )
        yield from _grouped_by_features(named, spec)


def _grouped_by_features(topics: Sequence[TopicSettings], spec: SeriesSpec) -> Iterator[str]:
    """Topics of which a path is read twice, as what rows come together in and as a feature: the quick readers read it once."""
    for topic in topics:
        fields = fields_of(topic)
        for name in spec.reference.names:
            path, group = fields.feature_path(name), fields.group
            if name != PREDICTION and all(one == other for one, other in zip(path, group, strict=False)):
                yield (
                    f"topics.{topic.name}.fields.group: {topic.fields.group} is also read as feature {name} of {spec.key.model} version "
                    f"{spec.key.version}, so the topic is read many times slower; ignore: true of the feature mends that, or a reference without it"
                )


def service_warnings(configuration: Configuration) -> Iterator[str]:
    """What a reference says of requests and no topic has a path for: nobody would hear of it."""
    for spec in configuration.specs:
        service = spec.reference.service
        for name in () if service is None else service.profile.names:
            if name not in spec.judging.served:
                path, rule = name.strip("_"), {LATENCY: LATENCY_RULE, ERROR: ERRORS_RULE}[name]
                yield (
                    f"{spec.key.model} version {spec.key.version}: its reference knows what is usual, but no topics.fields.{path} says "
                    f"where events have theirs: the rule {rule} hears nothing"
                )


def watch_warnings(configuration: Configuration) -> Iterator[str]:
    """Metrics that are asked for by name to be held against the reference, and cannot be."""
    models = {model.name: model for model in configuration.settings.models}
    for spec in configuration.specs:
        model = models[spec.key.model]
        if model.performance is not None and model.performance.watch:
            for line in unwatched(spec, model):
                yield f"models.{model.name}.performance.watch: {line}"


def label_warnings(configuration: Configuration) -> Iterator[str]:
    """Models whose positive or negative label is not that of their reference, so that nothing is compared with it."""
    for spec in configuration.specs:
        performance, said = spec.performance, spec.reference.performance
        because = None if performance is None or said is None else other_labels(said, performance.truth)
        if because is not None:
            yield f"models.{spec.key.model}.labels: {because}; until then nothing is compared with it, nor estimated by it"


def rule_warnings(configuration: Configuration) -> Iterator[str]:
    """Rules, and patterns in them, that can never fire."""
    models = [model.name for model in configuration.settings.models]
    for rule in configuration.settings.alerting.rules:
        for pattern in rule.models:
            if not any(fnmatchcase(name, pattern) for name in models):
                yield f"alerting.rules.{rule.name}: models: {pattern!r} matches none; there is {', '.join(models)}"
    for spec in configuration.specs:
        judged = judged_by(spec)
        for applied in spec.judging.rules:
            for pattern in applied.features:
                if not any(fnmatchcase(name, pattern) for name in judged.get(applied.detector, ())):
                    yield (
                        f"alerting.rules.{applied.name}: features: {pattern!r} matches nothing of {spec.key.model} "
                        f"that {applied.detector} can judge"
                    )


def contract_warnings(configuration: Configuration) -> Iterator[str]:
    """What a contract asks that the daemon does not check."""
    for spec in configuration.specs:
        if spec.contract is not None:
            for words in not_checked(spec.contract, contract_columns(configuration, spec)):
                yield f"models.{spec.key.model}.contract: {words}; not checked live, `driftd contract check` does"
            for name in slow_contract(configuration, spec, spec.contract):
                yield f"models.{spec.key.model}.contract: {name}: every event is read again for it, at several times the cost"


def judged_by(spec: SeriesSpec) -> dict[str, list[str]]:
    """The features that each detector judges."""
    judging, reference = spec.judging, spec.reference
    judged = {name: detector.judged(reference) for name, detector in DETECTORS.items()}
    return {
        name: [feature for feature in features if judging.wants(feature, name)] for name, features in judged.items()
    }


def routing_warnings(key: str, target: TargetSettings, models: Sequence[str]) -> Iterator[str]:
    """Filters of a target by which less is heard than may be meant."""
    for pattern in target.models:
        if not any(fnmatchcase(name, pattern) for name in models):
            yield f"{key}: models: {pattern!r} matches none; there is {', '.join(models)}"
    if "*" not in target.severities and FIRING in target.types and ESCALATED not in target.types:
        yield f"{key}: what becomes bad enough later is told as {ESCALATED}, which types leave out: it will not be heard of"


def target_warnings(settings: Settings) -> Iterator[str]:
    """What would be said in the open, twice, or never."""
    for key, target in settings.told:
        if any(urlsplit(url).scheme == "http" for url in target.urls()):
            yield f"{key}: plain http, anyone on the way can read it"
        if isinstance(target, EmailSettings) and target.security == "none":
            yield f"{key}: security: none, anyone on the way can read it"
        if isinstance(target, AlertmanagerSettings):
            yield (
                f"{key}: incidents are pushed to Alertmanager; where Prometheus sends it driftd's alerts too, have it leave out those of "
                "the same incidents (docs/paging.md has the lines), or people are told twice"
            )
        yield from routing_warnings(key, target, [model.name for model in settings.models])
    critical = any(rule.severity == "critical" for rule in settings.alerting.rules)
    budget = settings.alerting.false_alarms_per_month is not None  # its own rule is critical
    wanted = {key.partition(".")[0] for key, target in settings.told if RETRAIN in target.types}
    policies = [settings.retraining_of(model) for model in settings.models]
    otherwise = any(policy.every is not None or policy.severity != "critical" for policy in policies)
    if wanted and not (critical or budget or otherwise):
        yield f"{' and '.join(sorted(wanted))} want {RETRAIN}, but no rule is critical: retraining will never be asked for"
    http = settings.http
    nobody = http.token_file is None and http.token_env is None and http.approval_links is None
    if any(policy.approval == "required" for policy in policies) and nobody:
        yield "retraining.approval is required, but neither http.token_file nor http.token_env names a token: nobody can approve"
    yield from link_warnings(http, policies)
    yield from untold_warnings({kind for _, target in settings.told for kind in target.types}, policies)


def link_warnings(http: HttpSettings, policies: Sequence[RetrainingSettings]) -> Iterator[str]:
    """What is odd about approval links."""
    if http.approval_links is None:
        return
    if http.external_url is not None and http.external_url.startswith("http://"):
        yield "http.approval_links: http.external_url is not https, so whoever listens on the way can use the links"
    if not any(policy.approval == "required" for policy in policies):
        yield "http.approval_links: no model's retraining.approval is required, so there is nothing to approve by link"


def untold_warnings(told: Collection[str], policies: Sequence[RetrainingSettings]) -> Iterator[str]:
    """What is decided of retraining, and told to nobody."""
    if any(policy.every is not None for policy in policies) and {RETRAIN, "*"}.isdisjoint(told):
        yield f"retraining.every asks for retraining, but no webhook and no target takes {RETRAIN}: nobody is told"
    if any(policy.approval == "required" for policy in policies) and {PENDING, "*"}.isdisjoint(told):
        yield f"retraining.approval is required, but no webhook and no target takes {PENDING}: only `driftd retrain list` shows what waits"

"""New versions as series: an entry of the configuration for each, like that of the version before it, with a reference of its own.

What people would write by hand is made here: the same keys, another `version` and `reference`. So a version that is followed and
one that is configured are judged alike, share the model's budget, and count events that name them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_letters, digits

import numpy as np

from detectors import Reference, ReferenceFormatError
from detectors.encoding import PREDICTION
from detectors.reference import file as serial
from detectors.reference.relearnt import relearnt, widened
from detectors.univariate import volume
from monitor.alerting.versions import KnownVersion, ListedVersions, OfferedReference, VersionPolicy, VersionState
from monitor.clock import Clock
from monitor.configuration import Configuration, series_spec
from monitor.series.series import Predecessor, SeriesSpec
from monitor.series.truth import MULTICLASS, R2_REFERENCE, Truth
from monitor.settings import ConfigError, Settings
from monitor.settings.schema import ModelSettings, PerformanceSettings
from monitor.stream.events import SeriesKey
from monitor.targets.model_registry import ModelUri, RegistryError
from monitor.targets.transport import Transport
from monitor.versions import Follow

PLAIN = frozenset(ascii_letters + digits + "._-+")  # of a version that may be part of a path
LONGEST = 128
MOST_BYTES = 200 * 10**6  # of a reference file


def policies_of(settings: Settings) -> dict[str, VersionPolicy]:
    """What becomes of new versions, by model that says so."""
    told = {model.name: model.new_versions for model in settings.models if model.new_versions is not None}
    return {name: VersionPolicy(each.reference, each.rows, each.wait, each.keep) for name, each in told.items()}


@dataclass(frozen=True, slots=True)
class WithVersions:
    """A configuration with new versions as series; `refused`: why the reference of one cannot be used, by model and version."""

    configuration: Configuration
    refused: Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class _Base:
    """The entry of a model that new versions are like: its last one."""

    model: ModelSettings
    reference: Reference


def bases_of(configuration: Configuration) -> dict[str, _Base]:
    """What new versions are like, by model."""
    entries = zip(configuration.settings.models, configuration.references, strict=True)
    return {model.name: _Base(model, reference) for model, reference in entries}


def following(configuration: Configuration, follows: Sequence[Follow]) -> WithVersions:
    """The configuration with a series for each of these versions. A reference that cannot be used leaves its version waiting.

    Where there can be no further series, such as for a budget that more of them cannot share, the oldest give way.
    """
    if not follows:
        return WithVersions(configuration, {})
    try:
        return _following(configuration, follows)
    except ConfigError:
        kept, refused = _followable(configuration, follows)
    found = _following(configuration, kept) if kept else WithVersions(configuration, {})
    return replace(found, refused={**found.refused, **refused})


def _followable(
    configuration: Configuration, follows: Sequence[Follow]
) -> tuple[list[Follow], dict[tuple[str, str], str]]:
    """The newest of each model that can be followed together, and why the others cannot: traffic goes to the newest."""
    refused = dict[tuple[str, str], str]()
    for model in dict.fromkeys(each.known.model for each in follows):
        own = [each for each in follows if each.known.model == model]
        while own:
            try:
                _following(configuration, own)
                break
            except ConfigError as error:
                oldest = own.pop(0).known
                refused[oldest.model, oldest.version] = str(error).replace("\n", "; ")
    return [each for each in follows if (each.known.model, each.known.version) not in refused], refused


def _following(configuration: Configuration, follows: Sequence[Follow]) -> WithVersions:
    bases, refused = bases_of(configuration), dict[tuple[str, str], str]()
    derived = [(follow, derived_model(bases[follow.known.model].model, follow.known.version)) for follow in follows]
    settings = _with_models(configuration.settings, [model for _, model in derived])
    specs = _shared_out(configuration, settings, {follow.known.model for follow in follows})
    for follow, model in derived:
        base, known = bases[model.name], follow.known
        try:
            specs.append(version_spec(settings, model, base.reference, follow, configuration))
        except ConfigError as error:
            refused[known.model, known.version] = str(error).replace("\n", "; ")
            waiting = Follow(replace(known, standing=VersionState.WAITING))
            specs.append(version_spec(settings, model, base.reference, waiting, configuration))
    return WithVersions(replace(configuration, settings=settings, specs=tuple(specs)), refused)


def _with_models(settings: Settings, more: Iterable[ModelSettings]) -> Settings:
    return settings.model_copy(update={"models": [*settings.models, *more]})


def _shared_out(configuration: Configuration, settings: Settings, renewed: Iterable[str]) -> list[SeriesSpec]:
    """The configured series, which share their model's budget and traffic with its new versions."""
    specs = []
    for before, model, reference in zip(
        configuration.specs, configuration.settings.models, configuration.references, strict=True
    ):
        if model.name not in renewed:
            specs.append(before)
            continue
        spec = series_spec(settings, model, reference, configuration.base)
        specs.append(replace(spec, judging=replace(spec.judging, unjudged=frozenset({volume.FEATURE}))))
    return specs


def derived_model(base: ModelSettings, version: str) -> ModelSettings:
    """The entry of a new version. It challenges: the champion is the one that people have named."""
    return base.model_copy(update={"version": version, "champion": False})


def without_labels_of(model: ModelSettings, truth: Truth | None) -> ModelSettings:
    """The entry of a version whose reference has no labels: what they are is said here, and they are held to thresholds alone."""
    if model.labels is None or truth is None:
        return model.model_copy(update={"performance": None})
    told = model.performance or PerformanceSettings()
    classes = list(truth.classes) if truth.task == MULTICLASS else told.classes
    metrics = [name for name in told.metrics if name != R2_REFERENCE]
    labels = model.labels.model_copy(update={"positive": truth.positive, "negative": truth.negative})
    changes = {"task": truth.task, "classes": classes, "metrics": metrics, "watch": []}
    return model.model_copy(update={"labels": labels, "performance": told.model_copy(update=changes)})


def version_spec(
    settings: Settings, model: ModelSettings, base: Reference, follow: Follow, configuration: Configuration
) -> SeriesSpec:
    """What a new version is judged by. Raises ConfigError where its own reference cannot be used."""
    known, policy = follow.known, policies_of(settings)[model.name]
    reference = reference_of(base, follow)
    key = SeriesKey(model.name, bases_of(configuration)[model.name].model.series_version)
    of_base = next(each for each in configuration.specs if each.key == key)
    truth = None if of_base.performance is None else of_base.performance.truth
    given = known.standing is VersionState.GIVEN
    spec = series_spec(settings, model if given else without_labels_of(model, truth), reference, configuration.base)
    refuse_other_labels(model.name, spec, truth)
    settled = known.standing.settled
    unjudged = (
        {volume.FEATURE} if settled else {volume.FEATURE, PREDICTION}
    )  # how many of all rows are its own is no news
    first = replace(widened(of_base.reference, PREDICTION), performance=None)
    judging = replace(spec.judging, unjudged=frozenset(unjudged), first_rows=0 if settled else policy.rows)
    return replace(spec, judging=judging, after=Predecessor(key, of_base.reference, first))


def refuse_other_labels(model: str, spec: SeriesSpec, truth: Truth | None) -> None:
    """Raise ConfigError where a version's labels are of another task or other classes: they come with those of the others."""
    mine = None if spec.performance is None else spec.performance.truth
    if mine is not None and truth is not None and (mine.label_classes, mine.task) != (truth.label_classes, truth.task):
        raise ConfigError(
            f"models.{model}: its labels are of another task or other classes than those of the version before"
        )


def reference_of(base: Reference, follow: Follow) -> Reference:
    """The reference of a new version: its own, or that of the version before with what was learnt. Raises ConfigError."""
    match follow.known.standing:
        case VersionState.GIVEN:
            return parsed(follow.content)
        case VersionState.LEARNT if follow.content and PREDICTION in base.names:
            counts, wide = np.frombuffer(follow.content, dtype="<i8").astype(np.int64), widened(base, PREDICTION)
            if counts.size != wide.features[PREDICTION].counts.size:
                raise ConfigError("what was learnt of its predictions is in bins of another reference")
            return replace(relearnt(wide, PREDICTION, counts), performance=None)
        case _:
            return replace(widened(base, PREDICTION), performance=None)


def parsed(content: bytes) -> Reference:
    """A reference file's content. Raises ConfigError."""
    try:
        return Reference.from_dict(serial.parse(content))
    except ReferenceFormatError as error:
        raise ConfigError(str(error)) from None


def refuse_reference(configuration: Configuration, known: KnownVersion, content: bytes) -> str:
    """The hash of a reference that a new version can be judged by. Raises ConfigError."""
    base = bases_of(configuration)[known.model]
    given = Follow(replace(known, standing=VersionState.GIVEN), content)
    model = derived_model(base.model, known.version)
    settings = _with_models(configuration.settings, [model])
    _shared_out(configuration, settings, {model.name})
    version_spec(settings, model, base.reference, given, configuration)
    return parsed(content).hash


def is_plain(version: str) -> bool:
    """Whether a version may be part of a path."""
    return 0 < len(version) <= LONGEST and set(version) <= PLAIN and not version.startswith(".")


def followed_keys(configuration: Configuration) -> frozenset[SeriesKey]:
    """The series of new versions."""
    return frozenset(spec.key for spec in configuration.specs[len(configuration.references) :])


# --- looking for references -------------------------------------------------------------------------------------------


def finder(configuration: Configuration, clock: Clock) -> Callable[[KnownVersion], OfferedReference]:
    """Who looks for the reference of a version where it is to be, and whether it can be used. It raises nothing."""

    def find(known: KnownVersion) -> OfferedReference:
        try:
            uri = uri_of(configuration, known)
            content = read_reference(configuration, known) if uri is None else fetched(configuration, uri, clock)
            return _offered(known, content, refuse_reference(configuration, known, content))
        except ConfigError as error:
            return OfferedReference(known.model, known.version, known.place, why=str(error).replace("\n", "; "))

    return find


def _offered(known: KnownVersion, content: bytes, digest: str) -> OfferedReference:
    return OfferedReference(known.model, known.version, known.place, content, digest)


def uri_of(configuration: Configuration, known: KnownVersion) -> ModelUri | None:
    """Where in the registry a version's reference is; None where it is a file. Raises ConfigError."""
    section = bases_of(configuration)[known.model].model.new_versions
    if known.place.startswith("models:/"):
        try:
            return ModelUri.parse(known.place)
        except ValueError as error:
            raise ConfigError(str(error)) from None
    of_registry = section is not None and section.reference == "registry" and not known.place
    return ModelUri(known.model, known.version) if of_registry else None


def fetched(configuration: Configuration, uri: ModelUri, clock: Clock) -> bytes:
    """The content of a reference in the registry. Raises ConfigError."""
    if configuration.registry is None:
        raise ConfigError("there is no section registry that says where models:/ are")
    try:
        with Transport(clock) as io:
            return configuration.registry.reference(uri, io)
    except (RegistryError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"registry: {error}") from None


def asker(configuration: Configuration, clock: Clock) -> Callable[[str, str | None], ListedVersions]:
    """Who asks the registry for the versions of a model. It raises nothing."""
    registry = configuration.registry
    assert registry is not None

    def ask(model: str, alias: str | None) -> ListedVersions:
        try:
            with Transport(clock) as io:
                return registry.listed(model, alias, io)
        except (RegistryError, KeyError, TypeError, ValueError) as error:
            return ListedVersions(model, why=str(error))

    return ask


def aliases_of(settings: Settings) -> dict[str, str | None]:
    """The models that the registry is asked for, each with the alias that counts."""
    return {model.name: None if model.new_versions is None else model.new_versions.alias for model in settings.models}


def read_reference(configuration: Configuration, known: KnownVersion) -> bytes:
    """The content of the file that is to hold a version's reference. Raises ConfigError."""
    path = path_of(configuration, known)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path} has more than {MOST_BYTES // 10**6} MB")
        return path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None


def path_of(configuration: Configuration, known: KnownVersion) -> Path:
    """Where a version's reference is to be. Raises ConfigError for a path that leads elsewhere than references are."""
    section, base = bases_of(configuration)[known.model].model.new_versions, configuration.base
    assert section is not None
    if known.place:
        path = (base / known.place).resolve()
        roots = [base.resolve(), *([_root(base, section.file)] if section.file else [])]
        if not any(path.is_relative_to(root) for root in roots):
            raise ConfigError(f"{known.place} lies outside {' and '.join(map(str, roots))}: no reference is read there")
        return path
    if section.file is None:
        raise ConfigError("nobody said where its reference is")
    if not is_plain(known.version) or not is_plain(known.model):
        raise ConfigError(
            f"{known.model} {known.version!r} can be no part of a path: letters, digits and . _ - + may be"
        )
    return base / section.file.format(model=known.model, version=known.version)


def _root(base: Path, template: str) -> Path:
    """The directory below which a template's paths lie."""
    return (
        (base / template.partition("{")[0]).parent.resolve() if "{" in template else (base / template).parent.resolve()
    )

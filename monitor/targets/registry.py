"""Which types of targets there are: the modules of this package that declare settings, and entry points of others."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from inspect import isabstract
from typing import Any

from detectors.lookup import entry_points_of, in_a_line, modules_of
from monitor import targets
from monitor.targets.base import TargetSettings

GROUP = "driftd.targets"  # an entry point's name is the type; its object is a class of settings


def read_target(entry: Any) -> Any:
    """An entry of `targets`, as the settings of its type. Raises ValueError or pydantic's ValidationError."""
    if not isinstance(entry, Mapping):
        return entry  # pydantic says what it must be
    settings = settings_of(entry.get("type"))
    valid = [info.alias or name for name, info in settings.model_fields.items()]
    for key in entry:
        if key not in valid:
            raise ValueError(f"{key} is no key of type {entry['type']}; valid here: {', '.join(sorted(valid))}")
    return settings.model_validate(entry)


def settings_of(kind: Any) -> type[TargetSettings]:
    """The settings of a type. Raises ValueError, which lists the types there are."""
    ours = built_in()
    if isinstance(kind, str) and kind in ours:
        return ours[kind]
    theirs = entry_points_of(GROUP)
    if isinstance(kind, str) and kind in theirs:
        return load(theirs[kind])
    problem = "type is missing" if kind is None else f"type: {kind!r} is no type of target"
    raise ValueError(f"{problem}; there is {', '.join(sorted({*ours, *theirs}))}")


def built_in() -> dict[str, type[TargetSettings]]:
    """The types of this package: a module's name is the type."""
    return {
        name: value
        for name, module in modules_of(targets.__name__).items()
        for value in vars(module).values()
        if is_settings(value) and value.__module__ == module.__name__
    }


def load(point: EntryPoint) -> type[TargetSettings]:
    """The settings that another package declares. Raises ValueError where it cannot be used."""
    try:
        settings = point.load()
    except Exception as error:  # noqa: BLE001 - whatever a stranger's module raises
        raise ValueError(f"type: {point.name!r} cannot be loaded from {point.value}: {in_a_line(error)}") from None
    if not is_settings(settings):
        raise ValueError(f"type: {point.name!r}: {point.value} is no class of target settings")
    return settings  # type: ignore[no-any-return]


def is_settings(value: Any) -> bool:
    """Whether it is a class of settings that can build a target."""
    return isinstance(value, type) and issubclass(value, TargetSettings) and not isabstract(value)

"""The formats there are: a module here with a `decoder`, or an entry point of the group `driftd.formats`.

A module may also have `Options`, the section that stands under `topics[].options`, `recognises`, whether records look like
this format, `untimed`, why messages may say no time, and `comes_apart`, whether by these options its rows may be requests or responses (`Rows.halves`). What it needs of other packages it imports where a decoder is made: all modules here are imported to be
listed. Where one is asked for by its name, no other is.
"""

from collections.abc import Callable
from typing import Any

from detectors.lookup import entry_points_of, in_a_line, module_of, modules_of
from monitor.sections import Section
from monitor.sources.base import TopicRecords
from monitor.sources.formats.base import Decoder
from monitor.sources.formats.fields import TopicFields
from monitor.sources.formats.guarded import guarded

GROUP = "driftd.formats"
HERE = "monitor.sources.formats"

Format = Callable[[TopicFields], Decoder]
"""Makes the decoder of one topic."""


class UnknownFormatError(ValueError):
    """There is no such format, or it cannot be loaded: one line that says what is valid, or why."""


def format_of(name: str) -> Format:
    """A format by its name; ours win over an entry point of the same name. Raises UnknownFormatError."""
    ours = _module(name)
    if ours is not None:
        decoder: Format = ours.decoder
        return decoder
    theirs = entry_points_of(GROUP).get(name)
    if theirs is None:
        raise UnknownFormatError(f"must be one of {', '.join(formats())}")
    try:
        made: Format = theirs.load()
    except Exception as error:  # noqa: BLE001 - whatever a stranger's module raises
        raise UnknownFormatError(f"the package {theirs.value} cannot be loaded: {in_a_line(error)}") from None
    if not callable(made):
        raise UnknownFormatError(f"the package {theirs.value} makes no decoder: {type(made).__name__} cannot be called")
    return made


def decoder_of(name: str, topic: TopicFields) -> Decoder:
    """The decoder of one topic; one of another package is guarded. Raises UnknownFormatError."""
    if _module(name) is not None:
        return format_of(name)(topic)
    try:
        decoder = format_of(name)(topic)
    except UnknownFormatError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a stranger's code raises
        raise UnknownFormatError(f"{name} makes no decoder: {in_a_line(error)}") from None
    if not all(callable(getattr(decoder, method, None)) for method in ("decode", "inspect")):
        raise UnknownFormatError(f"{name} makes no decoder: {type(decoder).__name__} has no decode and inspect")
    try:
        return guarded(decoder)
    except Exception as error:  # noqa: BLE001 - same
        raise UnknownFormatError(f"{name} makes no decoder: {in_a_line(error)}") from None


def gives_halves(name: str, options: Section | None = None) -> bool:
    """Whether a format of ours, by these options, has messages that are half a prediction: its module says so."""
    told: Callable[[Any], bool] | None = getattr(_module(name), "comes_apart", None)
    return told is not None and told(options)


def untimed(name: str) -> str:
    """Why messages of a format of ours may say no time, and what to do; empty where there is nothing to be said."""
    return str(getattr(_module(name), "untimed", ""))


def options_of(name: str) -> type[Section] | None:
    """What a format of ours may be told; None where there is nothing."""
    return getattr(_module(name), "Options", None)


def recognised(records: TopicRecords) -> list[str]:
    """The formats of ours that records look like, by name."""
    return [name for name, module in sorted(_modules().items()) if getattr(module, "recognises", _nothing)(records)]


def _nothing(records: TopicRecords) -> bool:
    del records
    return False


def formats() -> list[str]:
    """The names of all of them."""
    return sorted({*_modules(), *entry_points_of(GROUP)})


def _module(name: str) -> Any:
    """The module of a format of ours; None where there is none of that name."""
    found = None if "_" in name else module_of(HERE, name.replace("-", "_"))
    return found if hasattr(found, "decoder") else None


def _modules() -> dict[str, Any]:
    held = modules_of(HERE)
    return {name.replace("_", "-"): module for name, module in held.items() if hasattr(module, "decoder")}

"""The formats there are: a module here with a `decoder`, or an entry point of the group `driftd.formats`.

A module may also have `Options`, the section that stands under `topics[].options`, `recognises`, whether records look like
this format, and `HALVES`, true where its rows may be requests or responses (`Rows.halves`), or what says so of its options. What it needs of other packages it imports where a decoder is made: all modules here are imported to be listed.
"""

from collections.abc import Callable
from typing import Any

from detectors.lookup import entry_points_of, in_a_line, modules_of
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
    ours = _ours().get(name)
    if ours is not None:
        return ours
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
    if name in _ours():
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
    """Whether a format of ours, told this, has messages that are half a prediction: its module says so by `HALVES`."""
    told = getattr(_modules().get(name), "HALVES", False)
    return bool(told(options) if callable(told) else told)


def options_of(name: str) -> type[Section] | None:
    """What a format of ours may be told; None where there is nothing."""
    return getattr(_modules().get(name), "Options", None)


def recognised(records: TopicRecords) -> list[str]:
    """The formats of ours that records look like, by name."""
    return [name for name, module in sorted(_modules().items()) if getattr(module, "recognises", _nothing)(records)]


def _nothing(records: TopicRecords) -> bool:
    del records
    return False


def formats() -> list[str]:
    """The names of all of them."""
    return sorted({*_ours(), *entry_points_of(GROUP)})


def _ours() -> dict[str, Format]:
    return {name: module.decoder for name, module in _modules().items()}


def _modules() -> dict[str, Any]:
    held = modules_of(HERE)
    return {name.replace("_", "-"): module for name, module in held.items() if hasattr(module, "decoder")}

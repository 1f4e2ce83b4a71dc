"""The formats there are: a module here with a `decoder`, or an entry point of the group `driftd.formats`."""

from collections.abc import Callable

from detectors.lookup import entry_points_of, modules_of
from monitor.sources.formats.base import Decoder
from monitor.sources.formats.fields import TopicFields

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
    except (ImportError, AttributeError) as error:
        raise UnknownFormatError(f"the package {theirs.value} cannot be loaded: {error}") from None
    return made


def formats() -> list[str]:
    """The names of all of them."""
    return sorted({*_ours(), *entry_points_of(GROUP)})


def _ours() -> dict[str, Format]:
    return {name: module.decoder for name, module in modules_of(HERE).items() if hasattr(module, "decoder")}

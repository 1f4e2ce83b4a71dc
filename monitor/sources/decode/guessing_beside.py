"""What messages may hold beside features: what came true, what a request took, whether it failed; and messages that are labels alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detectors.reference.copies import is_label
from monitor.sources.decode import naming
from monitor.sources.decode.finding import is_identifier
from monitor.sources.formats.fields import Path

Leaves = Mapping[Path, list[Any]]
LATENCIES = (
    *("latency", "took", "elapsed", "response_time", "inference_time", "processing_time", "request_time"),
    *("inference_latency", "request_latency", "inference_duration", "request_duration"),
)
ERRORS = ("error", "is_error", "error_code", "error_message", "exception")
SAMPLINGS = (
    *("sampling", "sampling_percent", "sampling_percentage", "sample_percent", "sampling_rate", "sample_rate"),
    *("sampling_fraction", "sample_fraction", "sampling_ratio", "sampling_probability"),
)
WHOLE = 100  # percent
NO_ERRORS = ("ok", "success", "none", "no error")  # texts that say that nothing failed
UNIT_ENDS = {
    **dict.fromkeys(("_s", "_sec", "_secs", "_seconds"), "s"),
    **dict.fromkeys(("_ms", "_msec", "_millis", "_milliseconds"), "ms"),
    **dict.fromkeys(("_us", "_micros", "_microseconds"), "us"),
    **dict.fromkeys(("_ns", "_nanos", "_nanoseconds"), "ns"),
}
MOSTLY = 0.9  # of the values of a label are plain
USUAL_POSITIVE = frozenset({"1", "1.0", "true", "True", "TRUE"})


@dataclass(frozen=True, slots=True)
class Beside:
    """Paths of what is no feature; None where there is none. `unit` None: its name does not say it. `positive`: of two labels, where they are words."""

    label: Path | None = None
    positive: str | None = None
    latency: Path | None = None
    unit: str | None = None
    error: Path | None = None
    fine: tuple[str, ...] = ()
    sampling: Path | None = None  # which share of all requests the log holds
    of_one: bool = False  # that is 1 for all of them, and not 100

    def holds(self, path: Path) -> bool:
        """Whether a path is one of them, or lies below."""
        return any(path[: len(each)] == each for each in self.places if each is not None)

    @property
    def places(self) -> tuple[Path | None, ...]:
        """All of them."""
        return self.label, self.latency, self.error, self.sampling


def beside(leaves: Leaves) -> Beside:
    """Return what stands beside the features, by its name and its values."""
    label = _label(leaves)
    latency = next((path for path, values in leaves.items() if _is_latency(path, values)), None)
    error = next(_errors(leaves), None)
    sampling = next((path for path, values in leaves.items() if _is_sampling(path, values)), None)
    texts = {value for value in leaves.get(error or (), ()) if isinstance(value, str)}
    return Beside(
        label,
        None if label is None else _positive(leaves[label]),
        latency,
        None if latency is None else _unit(latency[-1])[1],
        error,
        tuple(sorted(text for text in texts if text.lower() in NO_ERRORS)),
        sampling,
        sampling is not None and "percent" not in naming.plain(sampling[-1]) and max(leaves[sampling]) <= 1,
    )


def _label(leaves: Leaves) -> Path | None:
    """The nearest to the root that is called like what came true."""
    able = [path for path, values in leaves.items() if is_label(path[-1]) and _is_mapped(path) and _are_plain(values)]
    able = [path for path in able if not naming.is_predicted(path[-1])]
    return min(able, key=len, default=None)


def _positive(values: Sequence[Any]) -> str | None:
    """The positive one of two labels that are words; None where it is the usual one, or nobody knows."""
    texts = {value for value in values if isinstance(value, str)}
    if len(texts) != 2 or texts & USUAL_POSITIVE or not all(isinstance(value, str) for value in values):  # noqa: PLR2004 - of two classes
        return None
    return min(texts, key=lambda text: (text.lower() in {"no", "n", "negative", "false"}, values.count(text), text))


def _is_latency(path: Path, values: Sequence[Any]) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 for value in values)
    return bool(values) and numbers and _outside(path) and _unit(path[-1])[0] in LATENCIES


def _is_sampling(path: Path, values: Sequence[Any]) -> bool:
    shares = all(
        isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= WHOLE for value in values
    )
    return bool(values) and shares and _outside(path) and naming.plain(path[-1]) in SAMPLINGS


def _unit(name: str) -> tuple[str, str | None]:
    """A name without its unit, and the unit.

    >>> _unit("latencyMs"), _unit("took_seconds"), _unit("latency")
    (('latency', 'ms'), ('took', 's'), ('latency', None))
    """
    text = naming.plain(name)
    for end, unit in UNIT_ENDS.items():
        if text.endswith(end):
            return text.removesuffix(end), unit
    return text, None


def _errors(leaves: Leaves) -> Iterator[Path]:
    for path in leaves:
        for depth, name in enumerate(path, start=1):
            if naming.plain(name) in ERRORS and _outside(path[:depth]):
                yield path[:depth]


def _outside(path: Path) -> bool:
    """Whether a path can be mapped and leads into no object of features: what is called so there may be an input."""
    return _is_mapped(path) and not any(naming.plain(name) in naming.FEATURES for name in path[:-1])


def _is_mapped(path: Path) -> bool:
    return all(name and "." not in name for name in path)


def _are_plain(values: Sequence[Any]) -> bool:
    """Whether most are plain: a few broken ones say nothing of what the others are."""
    return sum(isinstance(value, str | int | float) for value in values) > MOSTLY * len(values)


def is_of_labels(leaves: Leaves) -> bool:
    """Whether messages are labels alone: an id, what came true, and nothing that could be an input or a prediction."""
    found = beside(leaves)
    others = [path for path in leaves if not found.holds(path)]
    identified = any(is_identifier(path[-1]) or naming.rank(path, naming.IDS) is not None for path in others)
    return found.label is not None and identified and not any(_is_more(path) for path in others)


def _is_more(path: Path) -> bool:
    """Whether a name says nothing that labels have too: an id, a time, a model, a weight."""
    text = naming.plain(path[-1])
    named = any(
        naming.rank(path, names) is not None for names in (naming.IDS, naming.TIMES, naming.MODELS, naming.VERSIONS)
    )
    return not (named or is_identifier(path[-1]) or f"_{text}".endswith(naming.TIME_ENDS) or text == "weight")

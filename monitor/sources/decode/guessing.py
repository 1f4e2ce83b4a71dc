"""What the parts of unknown messages may be: time and its unit, id, model, version, features, prediction; and what is not sure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detectors.reference.copies import is_label
from monitor.sources.decode import naming
from monitor.sources.decode.finding import is_identifier, is_time
from monitor.sources.decode.guessing_beside import Beside, beside, is_of_labels
from monitor.sources.formats.fields import Path
from monitor.sources.formats.values import EARLIEST, UNITS, Rejected, epoch, is_writable, parse_time
from monitor.stream.events import DAY, Nanos

TEXT = "text"  # in place of a unit: times as RFC 3339
MOST_MODELS = 20  # more are no models: a feature that is called so
USUAL_UNIT = UNITS["ms"]  # of times as numbers, where those of the events are texts
MOST_NAMED = 5
LONGEST_NAME = 128  # of a model
NAME = re.compile(r"[^\x00-\x1f\x7f]+")
NEARLY_ALL = 0.99  # of the values of a time are one
SHOWN_OF_A_VALUE = 40  # characters
OWN = 0.9  # of the values of an event's id are different ones
SOME = 0.25  # of the ids may look like amounts: of short ones of hexadecimal digits some do
MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
AMOUNT = re.compile(  # a number or a time with signs, marks and units: -1,234.50 €0.99 EUR12.50 12.5% 12kg 10:30pm 1h30m 13.05.1950
    rf"\W*(?:[^\W\d]{{1,4}}(?=\d+[.,:]\d))?\d(?:[\d\W_]|(?<=\d)[TZhms](?=\d)|(?i:{MONTHS})(?=[\d\W]))*(?:(?<![-_/])[^\W\d]{{1,5}}\W*)?"
)
ELSE = (*naming.PREDICTIONS, *naming.MODELS, *naming.VERSIONS, *naming.GROUPS)  # what is no id of an event
ENOUGH_FOR_IDS = 100  # words that come once each, from which on what is called otherwise is an id

Row = Mapping[str, Any]
Leaves = Mapping[Path, list[Any]]


@dataclass(frozen=True, slots=True)
class Guess:
    """Paths, dotted; None where there is none. `unit`: of times, or TEXT. `unsure`: what a reader should look at, by the key of the configuration."""

    timestamp: str
    unit: str
    identifier: str | None
    group: str | None
    model: str | None
    version: str | None
    features: str
    prediction: str | None
    models: tuple[str, ...]
    names: tuple[str, ...]
    times: tuple[Nanos, ...]
    unsure: Mapping[str, str] = field(default_factory=dict)
    beside: Beside = field(default_factory=Beside)


@dataclass(frozen=True, slots=True)
class LabelGuess:
    """Dotted paths of messages that are labels alone; None where there is none."""

    timestamp: str | None
    unit: str
    identifier: str
    model: str | None
    beside: Beside


class NothingLikeEvents(ValueError):  # noqa: N818 - says what it is
    """No guess: one line that says what lacks."""


def guess(rows: Sequence[Row], now: Nanos) -> Guess:
    """Guess from a sample. Raises NothingLikeEvents where no value could be a time."""
    leaves = _leaves_of(rows)
    unsure: dict[str, str] = {}
    timestamp, unit, times = _time(leaves, now, unsure)
    rest = {path: values for path, values in leaves.items() if path != timestamp}
    model, models = _model(rest, unsure)
    version = _version(rest, model)
    identifier = _identifier(rest, len(rows), unsure)
    found = beside(rest)
    envelope = {path for path in (timestamp, model, version, identifier) if path is not None}
    envelope |= {path for path in rest if found.holds(path)}
    if found.latency is not None and found.unit is None:
        unsure["latency"] = "its name does not say the unit: seconds are taken"
    if found.positive is not None:
        unsure["positive"] = "of two words the one that is looked for"
    features = _features_object(leaves, envelope)
    prediction = _prediction(rest, envelope, features, unsure)
    held = {path: values for path, values in leaves.items() if not _is_left_out(path, values, unit)}
    names = _features(held, envelope | {prediction or ()}, features, unsure)
    return Guess(
        timestamp=_dotted(timestamp),
        unit=unit,
        identifier=None if identifier is None else _dotted(identifier),
        group=_group(rest),
        model=None if model is None else _dotted(model),
        version=None if version is None else _dotted(version),
        features=_dotted(features),
        prediction=None if prediction is None else _dotted(prediction),
        models=models,
        names=names,
        times=times,
        unsure=unsure,
        beside=found,
    )


def guess_labels(rows: Sequence[Row], now: Nanos) -> LabelGuess | None:
    """Guess from a sample where messages that are labels alone have their parts; None where they are none."""
    leaves = _leaves_of(rows)
    if not rows or not is_of_labels(leaves):
        return None
    times = {path: read for path, values in leaves.items() if (read := as_times(values, now)) is not None}
    times = {path: read for path, read in times.items() if _can_be_mapped(path)}
    timestamp = min(times, key=lambda path: _unlikely(path, times[path][0]), default=None)
    rest = {path: values for path, values in leaves.items() if path != timestamp}
    model, _ = _model(rest, {})
    identifier = _identifier(rest, len(rows), {})
    named = identifier or next((path for path in rest if is_identifier(path[-1]) and _can_be_mapped(path)), None)
    if named is None:
        return None
    return LabelGuess(
        None if timestamp is None else _dotted(timestamp),
        TEXT if timestamp is None else times[timestamp][0],
        _dotted(named),
        None if model is None else _dotted(model),
        beside(rest),
    )


def _dotted(path: Path) -> str:
    return ".".join(path)


def _leaves_of(rows: Sequence[Row]) -> dict[Path, list[Any]]:
    """The values at each path that can be written, in the order in which paths first come."""
    found: dict[Path, list[Any]] = {}
    for row in rows:
        for path, value in _leaves(row, ()):
            held = found.setdefault(path, [])
            if value is not None:
                held.append(value)
    return {path: values for path, values in found.items() if is_writable("".join(path))}


def _leaves(held: Row, path: Path) -> Iterator[tuple[Path, Any]]:
    for name, value in held.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


def _can_be_mapped(path: Path) -> bool:
    """Whether a dotted path leads there."""
    return all(name and "." not in name for name in path)


# --- time ---------------------------------------------------------------------------------------------------------------


def _time(leaves: Leaves, now: Nanos, unsure: dict[str, str]) -> tuple[Path, str, tuple[Nanos, ...]]:
    """The path of the event time: by its name, then the one nearest to the message's root."""
    able = {path: read for path, values in leaves.items() if (read := as_times(values, now)) is not None}
    found = {path: read for path, read in able.items() if _can_be_mapped(path)}
    if not found:
        raise NothingLikeEvents(
            "no value of the messages could be an event time: epochs since 2000 and RFC 3339 texts are"
            + "".join(f"; {_dotted(path)} is one, but no path leads to a key with a dot in it" for path in [*able][:1])
            + ("" if able else _called_a_time(leaves))
        )
    path = min(found, key=lambda each: _unlikely(each, found[each][0]))
    unit, times = found[path]
    if others := [_dotted(each) for each in found if each != path]:
        unsure["timestamp"] = f"may also be {', '.join(others)}"
    elif not _is_called_a_time(path):
        unsure["timestamp"] = "is not called like a time: its values look like one"
    return path, unit, times


def _called_a_time(leaves: Leaves) -> str:
    """What is called a time and is none, with a value of it, for who is to write it otherwise."""
    named = [(path, values[0]) for path, values in leaves.items() if values and _is_called_a_time(path)]
    return "".join(
        f"; {_dotted(path)} is called one and holds {str(value)[:SHOWN_OF_A_VALUE]!r}: write it as 2026-11-23T10:00:00Z"
        for path, value in named[:1]
    )


def _unlikely(path: Path, unit: str) -> tuple[bool, bool, int, bool, int]:
    """How little a time is the event's: by its name, its object, the better name, whether it is a text, its depth."""
    rank = naming.rank(path, naming.TIMES)
    best = len(naming.TIMES) if rank is None else rank
    return not _is_called_a_time(path), _inside(path), best, unit != TEXT, len(path)


def _is_called_a_time(path: Path) -> bool:
    return naming.rank(path, naming.TIMES) is not None or f"_{naming.plain(path[-1])}".endswith(naming.TIME_ENDS)


def as_times(values: Sequence[Any], now: Nanos) -> tuple[str, tuple[Nanos, ...]] | None:
    """The unit in which nearly all values are times until now, `text` for texts, with them; None where they are none."""
    if not values:
        return None
    for unit in (TEXT, *UNITS):
        times = [
            time for value in values if (time := _as_time(value, unit)) is not None and EARLIEST <= time <= now + DAY
        ]
        if len(times) >= NEARLY_ALL * len(values):
            return unit, tuple(times)
    return None


def _as_time(value: Any, unit: str) -> Nanos | None:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        if unit == TEXT:
            return parse_time(value) if isinstance(value, str) else None
        return epoch(value, UNITS[unit]) if plain else None
    except Rejected:
        return None


# --- the rest -----------------------------------------------------------------------------------------------------------


def _called(leaves: Leaves, names: Sequence[str]) -> list[Path]:
    """The paths that are called so and hold plain values: the nearest to the root first, then the best name."""
    found = [
        path
        for path, values in leaves.items()
        if naming.rank(path, names) is not None and _can_be_mapped(path) and _is_scalar(values)
    ]
    return sorted(found, key=lambda path: (len(path), naming.rank(path, names)))


def _is_scalar(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(value, str | int | float) for value in values)


def _inside(path: Path) -> bool:
    """Whether a path leads into an object of features: what is called a model there is none."""
    return any(naming.plain(name) in naming.FEATURES for name in path[:-1])


def _model(leaves: Leaves, unsure: dict[str, str]) -> tuple[Path | None, tuple[str, ...]]:
    """Where messages name their model, and the models that the sample names."""
    able = [path for path in _called(leaves, naming.MODELS) if not _inside(path)]
    for path in able:
        if models := _models(leaves[path]):
            odd = dict.fromkeys(value for value in leaves[path] if value not in models)
            if odd:
                unsure["model"] = (
                    f"events of {', '.join(map(repr, odd))[:80]} are not monitored: that is no model's name"
                )
            return path, models
    if able:
        unsure["model"] = (
            f"{_dotted(able[0])} has too many values, or no texts, to be a model's name: taken as a feature"
        )
    return None, ()


def _models(values: Sequence[Any]) -> tuple[str, ...]:
    """The models that these values name; none where they are no models."""
    names = tuple(dict.fromkeys(value for value in values if isinstance(value, str)))
    few = len(names) <= MOST_MODELS and len(names) < max(2, len(values))
    return tuple(filter(_can_be_a_name, names)) if few else ()


def _can_be_a_name(text: str) -> bool:
    return len(text) <= LONGEST_NAME and is_writable(text) and NAME.fullmatch(text) is not None


def _version(leaves: Leaves, model: Path | None) -> Path | None:
    """Where messages name the version of their model: rather beside its name."""
    able = [path for path in _called(leaves, naming.VERSIONS) if path != model and not _inside(path)]
    return min(able, key=lambda path: path[:-1] != model[:-1] if model else False, default=None)


def _identifier(leaves: Leaves, rows: int, unsure: dict[str, str]) -> Path | None:
    """Where messages have an id of their own: one that many share is a customer's, or a model's."""
    able = [path for path in _called(leaves, naming.IDS) if not _inside(path)]
    found = next((path for path in able if len(set(leaves[path])) >= OWN * len(leaves[path])), None)
    if found is None:
        like = [path for path, values in leaves.items() if _can_be_an_id(path) and _are_ids(values, rows)]
        found = next(iter(like), None)
        if found is not None:
            unsure["id"] = "is not called like an id: each of its values comes once"
    return found


def _can_be_an_id(path: Path) -> bool:
    """Whether nothing in the name of a path says what else it is."""
    is_else = is_label(path[-1]) or naming.likeness(path[-1]) is not None or naming.rank(path, ELSE) is not None
    return _can_be_mapped(path) and not _inside(path) and not is_else


def _are_ids(values: Sequence[Any], rows: int) -> bool:
    """Whether values are words that come once each, one in every row, and neither numbers nor times."""
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) < max(ENOUGH_FOR_IDS, rows) or len(set(texts)) < len(texts):
        return False
    numbers = sum(AMOUNT.fullmatch(text) is not None for text in texts)
    return numbers <= SOME * len(texts) and not any(" " in text for text in texts)


def _group(leaves: Leaves) -> str | None:
    """What rows may come together in, dotted: called like a session or a user, and shared by some."""
    shared = (path for path in _called(leaves, naming.GROUPS) if len(set(leaves[path])) < OWN * len(leaves[path]))
    return next(map(_dotted, shared), None)


def _prediction(leaves: Leaves, envelope: set[Path], features: Path, unsure: dict[str, str]) -> Path | None:
    """Where messages have the prediction: rather outside the object of the features, where a score may be an input."""
    able = [path for path in _called(leaves, naming.PREDICTIONS) if path not in envelope]
    able.sort(key=lambda path: bool(features) and path[: len(features)] == features)
    if not able:
        return _prediction_by_likeness(leaves, envelope, features, unsure)
    if len(able) > 1:
        unsure["prediction"] = f"may also be {', '.join(map(_dotted, able[1:]))}"
    return able[0]


def _prediction_by_likeness(leaves: Leaves, envelope: set[Path], features: Path, unsure: dict[str, str]) -> Path | None:
    """The number that is called `fraudScore` or `churn_prob`: outside the features, or the only one of a flat message."""
    like = {
        path: place
        for path, values in leaves.items()
        if path not in envelope
        and (place := naming.likeness(path[-1])) is not None
        and _can_be_mapped(path)
        and _is_numbers(values)
    }
    able = sorted((path for path in like if not _inside(path)), key=lambda path: (len(path), like[path]))
    outside = [path for path in able if path[:-1] != features]
    found = outside or (able if len(able) == 1 else [])
    others = [path for path in able if path not in found[:1]]
    named = ", ".join(map(_dotted, others[:MOST_NAMED]))
    if found:
        more = f"; may also be {named}" if others else ""
        unsure["prediction"] = f"is called like a prediction only by a part of its name{more}"
        return found[0]
    may_be = f", though it may be one of {named}" if others else ""
    unsure["prediction"] = f"nothing is called like a prediction{may_be}: without one its drift is not seen"
    return None


def _is_numbers(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _features_object(leaves: Leaves, envelope: set[Path]) -> Path:
    """The object that is called the features, else the one that holds most values beside what is known."""
    inputs = {path for path in _may_be_features(leaves, envelope) if naming.rank(path, naming.PREDICTIONS) is None}
    objects = dict.fromkeys(path[:-1] for path in inputs or _may_be_features(leaves, envelope))
    if not objects:
        raise NothingLikeEvents(
            "no value of the messages could be a feature, beside time, model, version, prediction and ids"
        )

    def likely(held: Path) -> tuple[bool, int, int, int]:
        name = naming.plain(held[-1]) if held else ""
        wrapper = naming.WRAPPERS.index(name) if name in naming.WRAPPERS else len(naming.WRAPPERS)
        ours = [path for path in inputs if path[:-1] == held]
        unlike = sum(naming.likeness(path[-1]) is None for path in ours)
        return name in naming.FEATURES, len(ours), -wrapper, unlike

    return max(objects, key=likely)


def _may_be_features(leaves: Leaves, envelope: set[Path]) -> list[Path]:
    return [
        path
        for path, values in leaves.items()
        if path not in envelope
        and _can_be_mapped(path[:-1])
        and not is_identifier(path[-1])
        and not is_label(path[-1])
        and _is_scalar(values)
    ]


def _is_left_out(path: Path, values: Sequence[Any], unit: str) -> bool:
    """Whether a fit of the events leaves a path out for what it is called, or as a time."""
    name = path[-1]
    return naming.is_predicted(name) or is_time(name, values, UNITS.get(unit, USUAL_UNIT))


def _features(leaves: Leaves, envelope: set[Path], features: Path, unsure: dict[str, str]) -> tuple[str, ...]:
    """The names of the features; what stands elsewhere is said."""
    by_object: dict[Path, list[str]] = {}
    for path in _may_be_features(leaves, envelope):
        by_object.setdefault(path[:-1], []).append(path[-1])
    names = by_object.pop(features, [])
    if not names:
        raise NothingLikeEvents(
            "no value of the messages could be a feature, beside time, model, version, prediction and ids"
        )
    if by_object:
        rest = ", ".join(f"{_dotted(path) or 'the message itself'} ({len(held)})" for path, held in by_object.items())
        unsure["features"] = f"other values stand in {rest}; they are not read"
    return tuple(names)

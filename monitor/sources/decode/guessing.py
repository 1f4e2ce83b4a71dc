"""What the parts of unknown messages may be: time and its unit, id, model, version, features, prediction; and what is not sure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from detectors.reference.copies import is_label
from monitor.sources.decode.finding import is_identifier
from monitor.sources.formats.fields import Path
from monitor.sources.formats.values import EARLIEST, UNITS, Rejected, parse_time
from monitor.stream.events import DAY, Nanos

TIME_NAMES = ("ts", "timestamp", "event_time", "eventtime", "time", "datetime", "created_at", "occurred_at", "date")
ID_NAMES = ("id", "event_id", "request_id", "uuid", "prediction_id", "inference_id")
MODEL_NAMES = ("model", "model_name", "modelname", "model_id")
VERSION_NAMES = ("version", "model_version", "modelversion")
PREDICTION_NAMES = ("prediction", "predicted", "y_pred", "pred", "score", "probability", "proba", "output", "y_hat")
FEATURE_NAMES = ("features", "inputs", "input", "data", "payload")
MOST_MODELS = 20  # more are no models: a feature that is called so
NEARLY_ALL = 0.99  # of the values of a time are one

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Guess:
    """Paths, dotted; None where there is none. `unsure`: what a reader should look at, by the key of the configuration."""

    timestamp: str
    unit: str
    identifier: str | None
    model: str | None
    version: str | None
    features: str
    prediction: str | None
    models: tuple[str, ...]
    names: tuple[str, ...]
    times: tuple[Nanos, ...]
    unsure: Mapping[str, str] = field(default_factory=dict)


class NothingLikeEvents(ValueError):  # noqa: N818 - says what it is
    """No guess: one line that says what lacks."""


def guess(rows: Sequence[Row], now: Nanos) -> Guess:
    """Guess from a sample. Raises NothingLikeEvents where no value could be a time."""
    leaves = _leaves_of(rows)
    unsure: dict[str, str] = {}
    timestamp, unit, times = _time(leaves, now, unsure)
    taken = {timestamp}
    model = _named(leaves, MODEL_NAMES, taken)
    models = _models(leaves, model)
    if model is not None and not models:
        unsure["model"] = (
            f"{'.'.join(model)} has too many values, or no texts, to be a model's name: taken as a feature"
        )
        model = None
    version = _named(leaves, VERSION_NAMES, taken)
    prediction = _named(leaves, PREDICTION_NAMES, taken, scalar=True)
    identifier = _named(leaves, ID_NAMES, taken)
    envelope = {path for path in (timestamp, model, version, prediction, identifier) if path is not None}
    features, names = _features(leaves, envelope, unsure)
    if prediction is None:
        unsure["prediction"] = "nothing is called like a prediction: without one its drift is not seen"
    elif len(others := _all_named(leaves, PREDICTION_NAMES, features)) > 1:
        unsure["prediction"] = f"may also be {', '.join('.'.join(path) for path in others if path != prediction)}"
    return Guess(
        timestamp=_dotted(timestamp),
        unit=unit,
        identifier=None if identifier is None else _dotted(identifier),
        model=None if model is None else _dotted(model),
        version=None if version is None else _dotted(version),
        features=_dotted(features),
        prediction=None if prediction is None else _dotted(prediction),
        models=models,
        names=names,
        times=times,
        unsure=unsure,
    )


def _dotted(path: Path) -> str:
    return ".".join(path)


def _leaves_of(rows: Sequence[Row]) -> dict[Path, list[Any]]:
    """The values at each path that are there, in the order in which paths first come."""
    found: dict[Path, list[Any]] = {}
    for row in rows:
        for path, value in _leaves(row, ()):
            held = found.setdefault(path, [])
            if value is not None:
                held.append(value)
    return found


def _leaves(held: Row, path: Path) -> Iterator[tuple[Path, Any]]:
    for name, value in held.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


# --- time ---------------------------------------------------------------------------------------------------------------


def _time(leaves: Mapping[Path, list[Any]], now: Nanos, unsure: dict[str, str]) -> tuple[Path, str, tuple[Nanos, ...]]:
    """The path of the event time: by its name, then the one nearest to the message's root."""
    found = {path: read for path, values in leaves.items() if (read := as_times(values, now)) is not None}
    named = {path: read for path, read in found.items() if path[-1].lower() in TIME_NAMES}
    able = named or {path: read for path, read in found.items() if read[0] == "text"} or found
    if not able:
        raise NothingLikeEvents(
            "no value of the messages could be an event time: epochs since 2000 and RFC 3339 texts are"
        )
    path = min(able, key=lambda each: (_rank(each[-1], TIME_NAMES), len(each)))
    unit, times = able[path]
    if others := [".".join(each) for each in found if each != path]:
        unsure["timestamp"] = f"may also be {', '.join(others)}"
    elif not named:
        unsure["timestamp"] = "is not called like a time: its values look like one"
    return path, "ms" if unit == "text" else unit, times


def as_times(values: Sequence[Any], now: Nanos) -> tuple[str, tuple[Nanos, ...]] | None:
    """The unit in which nearly all values are times until now, `text` for texts, with them; None where they are none."""
    if not values:
        return None
    for unit in ("text", *UNITS):
        times = [
            time for value in values if (time := _as_time(value, unit)) is not None and EARLIEST <= time <= now + DAY
        ]
        if len(times) >= NEARLY_ALL * len(values):
            return unit, tuple(times)
    return None


def _as_time(value: Any, unit: str) -> Nanos | None:
    if unit == "text":
        try:
            return parse_time(value) if isinstance(value, str) else None
        except Rejected:
            return None
    plain = isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
    return int(value * UNITS[unit]) if plain else None


def _rank(name: str, names: Sequence[str]) -> int:
    low = name.lower()
    return names.index(low) if low in names else len(names)


# --- the rest -----------------------------------------------------------------------------------------------------------


def _named(
    leaves: Mapping[Path, list[Any]], names: Sequence[str], taken: set[Path], *, scalar: bool = True
) -> Path | None:
    """The path that is called so, the best name first, then the one nearest to the root."""
    able = [path for path in _all_named(leaves, names, None) if path not in taken and _is_scalar(leaves[path], scalar)]
    return min(able, key=lambda path: (len(path), _rank(path[-1], names)), default=None)


def _all_named(leaves: Mapping[Path, list[Any]], names: Sequence[str], outside: Path | None) -> list[Path]:
    inside = [path for path in leaves if outside and path[: len(outside)] == outside]
    return [path for path in leaves if path[-1].lower() in names and path not in inside]


def _is_scalar(values: Sequence[Any], scalar: bool) -> bool:  # noqa: FBT001 - said by the caller's keyword
    return not scalar or bool(values and all(isinstance(value, str | int | float) for value in values))


def _models(leaves: Mapping[Path, list[Any]], path: Path | None) -> tuple[str, ...]:
    """The models that the sample names; none where these are no models."""
    values = leaves.get(path or (), [])
    names = tuple(dict.fromkeys(value for value in values if isinstance(value, str)))
    return names if len(names) <= MOST_MODELS and len(names) < max(2, len(values)) else ()


def _features(
    leaves: Mapping[Path, list[Any]], envelope: set[Path], unsure: dict[str, str]
) -> tuple[Path, tuple[str, ...]]:
    """The object that holds most values beside what is known, and their names."""
    by_object: dict[Path, list[str]] = {(): []}
    for path, values in leaves.items():
        if path not in envelope and not is_identifier(path[-1]) and not is_label(path[-1]) and _is_scalar(values, True):  # noqa: FBT003 - same
            by_object.setdefault(path[:-1], []).append(path[-1])
    best = max(by_object, key=lambda path: (len(by_object[path]), -_rank(path[-1] if path else "", FEATURE_NAMES)))
    if not by_object[best]:
        raise NothingLikeEvents(
            "no value of the messages could be a feature, beside time, model, version, prediction and ids"
        )
    rest = [
        f"{'.'.join(path) or 'the message itself'} ({len(names)})"
        for path, names in by_object.items()
        if names and path != best
    ]
    if rest:
        unsure["features"] = f"other values stand in {', '.join(rest)}; they are not read"
    return best, tuple(by_object[best])

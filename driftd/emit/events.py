"""What is said to driftd, as bytes: the canonical event of a prediction, and that of a label."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from driftd.emit.plain import SCALARS, Plainer, features_of

MAX_BYTES = 1 << 20  # driftd refuses a longer message
UNSAID: Any = object()  # no label: None is one that is withdrawn

_quick: Callable[[Any], str] = json.JSONEncoder(allow_nan=False, check_circular=False, separators=(",", ":")).encode


class TooLargeError(ValueError):
    """An event that driftd would refuse."""


class EventWriter:
    """Writes the events of one model. `names` are those of features that come as mere values."""

    def __init__(self, model: str, version: str | None, names: Sequence[str], sampling: float) -> None:
        self._names = tuple(names)
        self._model = f',"model":{_quick(str(model))}'
        self._version = "" if version is None else f',"version":{_quick(str(version))}'
        self._sampling = "" if sampling >= 1 else f',"sampling":{_quick(sampling * 100)}'

    def prediction(
        self, name: str, at: int, features: Any, prediction: Any, label: Any, more: Mapping[str, Any]
    ) -> bytes:
        """A prediction. Raises whatever `features` raise where they cannot be read at all, TooLargeError."""
        text = f'{self._begun(name, at)}{self._version},"features":{self._features(features)}'
        if prediction is not None:
            text += f',"prediction":{_text(prediction)}'
        if label is not UNSAID:
            text += f',"label":{_text(label)}'
        return _ended(f"{text}{self._sampling}", more)

    def label(self, name: str, at: int, label: Any, more: Mapping[str, Any]) -> bytes:
        """A label. Raises TooLargeError."""
        return _ended(f'{self._begun(name, at)},"label":{_text(label)}', more)

    def _begun(self, name: str, at: int) -> str:
        return f'{{"id":{_quick(name)},"ts":{at}{self._model}'

    def _features(self, features: Any) -> str:
        if type(features) is dict and SCALARS.issuperset(map(type, features.values())):
            try:
                return _quick(features)
            except (TypeError, ValueError):  # a key that is no text, NaN, an endless integer
                pass
        return _quick(features_of(features, self._names))


def _ended(text: str, more: Mapping[str, Any]) -> bytes:
    further = "".join(f",{_quick(key)}:{_text(value)}" for key, value in more.items()) if more else ""
    event = f"{text}{further}}}".encode("ascii")
    if len(event) > MAX_BYTES:
        raise TooLargeError(f"an event of {len(event)} bytes: driftd reads at most {MAX_BYTES}")
    return event


def _text(value: Any) -> str:
    return _quick(Plainer().plain(value))


def id_text(value: Any) -> str:
    """An id as driftd reads it: a number's text is the number."""
    if type(value) is str:
        return value
    plain = Plainer().plain(value)
    return plain if isinstance(plain, str) else _quick(plain)


def milliseconds(at: Any) -> int:
    """An event time in ms since 1970: a datetime (without a zone: UTC, as driftd reads it) or a number of milliseconds. Raises ValueError."""
    if isinstance(at, datetime):
        return int((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() * 1000)
    try:
        return int(at)
    except (TypeError, OverflowError):
        raise ValueError(f"a time is a datetime or a number of milliseconds, not {type(at).__name__}") from None

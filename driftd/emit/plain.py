"""Values of any kind to what JSON has. Nothing raises: what is no value at all is null, which driftd counts as missing."""

import math
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from typing import Any

SCALARS = frozenset({str, int, float, bool, type(None)})
MAX_DEPTH = 16  # below the features; driftd refuses a message of more than 32
MAX_VALUES = 20_000  # of one event
MOST_WITHIN = 1_000  # of one feature: the others are still read
BEYOND = 10**309  # beyond all floats: valid JSON, which driftd reads as infinite and counts as `non_finite`
NOTHING = frozenset({"NAType", "NaTType"})  # pandas' words for a value that is not there
Plain = str | int | float | bool | None | list[Any] | dict[str, Any]


class Plainer:
    """One event's values made plain. They are counted: a small object that holds itself many times over could else fill the memory."""

    def __init__(self, most: int = MAX_VALUES) -> None:
        self.left = most

    def plain(self, value: Any, depth: int = 0) -> Plain:
        """What JSON has for a value; None where it has nothing, where it lies too deep, and where the value itself raises."""
        self.left -= 1
        if self.left < 0 or depth > MAX_DEPTH:
            return None
        try:
            leaf = leaf_of(type(value))  # type: ignore[arg-type]
            return self._held(value, depth) if leaf is None else leaf(value)
        except Exception:  # noqa: BLE001 - a value's own methods may raise whatever they like: then it is none
            return None

    def apart(self, value: Any) -> Plain:
        """The same, with a bound of its own."""
        try:
            leaf = leaf_of(type(value))  # type: ignore[arg-type]
            if leaf is not None:
                self.left -= 1
                return leaf(value)
        except Exception:  # noqa: BLE001 - same
            return None
        within = Plainer(most := min(self.left, MOST_WITHIN))
        held = within.plain(value, 1)
        self.left -= most - max(within.left, 0)
        return held

    def features(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        """The same of each feature, its name as text. Raises what the mapping itself raises."""
        return {_key(key): self.apart(held) for key, held in self._bounded(value.items())}

    def mapping(self, value: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
        """The same of each value, its key as text. Raises what the mapping itself raises."""
        return {_key(key): self.plain(held, depth + 1) for key, held in self._bounded(value.items())}

    def _held(self, value: Any, depth: int) -> Plain:
        if isinstance(value, Enum):
            return self.plain(value.value, depth + 1)
        if isinstance(value, Mapping):
            return self.mapping(value, depth)
        if isinstance(value, list | tuple | set | frozenset):
            return self.sequence(value, depth)
        return self._foreign(value, depth)

    def _bounded(self, values: Iterable[Any]) -> Iterable[Any]:
        for value in values:
            if self.left <= 0:
                return
            yield value

    def sequence(self, value: Iterable[Any], depth: int) -> list[Any]:
        """The same of each value."""
        return [self.plain(held, depth + 1) for held in self._bounded(value)]

    def _foreign(self, value: Any, depth: int) -> Plain:
        """Values of packages, by what they can do: those of NumPy, pandas, PyTorch, pydantic; of all others their text."""
        if type(value).__name__ in NOTHING:
            return None
        if is_dataclass(value) and not isinstance(value, type):
            return self.mapping({each.name: getattr(value, each.name) for each in fields(value)}, depth)
        kind = getattr(getattr(value, "dtype", None), "char", "")
        if kind in {"M", "m", "g"} and not getattr(value, "ndim", 0):
            return _timed(value, kind)
        size = getattr(value, "size", 0)
        if isinstance(size, int) and size > MAX_VALUES:
            return None
        for name in ("model_dump", "to_dict", "tolist", "item"):
            method = getattr(value, name, None)
            if callable(method) and not isinstance(value, type):
                held = method()
                return None if held is value else self.plain(held, depth + 1)
        return str(value)


def features_of(value: Any, names: Sequence[str]) -> dict[str, Any]:
    """Features by name: of a mapping, a pandas row, a frame of one row, an object with fields, or values in the order of `names`.

    Raises what the value itself raises, ValueError where it has no features or a frame not one row.
    """
    plainer = Plainer()
    if isinstance(value, Mapping):
        return plainer.features(value)
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        if len(value) != 1:
            raise ValueError(f"a frame of {len(value)} rows is not one event")
        [row] = value.to_dict("records")
        return plainer.features(row)
    named = getattr(value, "_asdict", None)
    if callable(named):  # a named tuple
        return plainer.features(named())
    plain = plainer.plain(value)
    if isinstance(plain, list) and len(plain) == 1 and isinstance(plain[0], list) and len(names) != 1:
        [plain] = plain  # a table of one row
    if isinstance(plain, list):
        return dict(zip(names or map(str, range(len(plain))), plain, strict=bool(names)))
    if not isinstance(plain, dict):
        raise ValueError(f"features are a mapping, a row or values with names, not {type(value).__name__}")  # noqa: TRY004 - counted, as any other
    return plain


def _key(key: Any) -> str:
    if type(key) is str:
        return key
    plain = Plainer().plain(key)
    return plain if isinstance(plain, str) else str(plain)


def _timed(value: Any, kind: str) -> Plain:
    """NumPy's times, durations and long floats."""
    if kind == "g":
        return _float(float(value))
    text = str(value)
    if text == "NaT":
        return None
    return text if kind == "M" else int(value.astype("timedelta64[us]").astype("int64")) / 1e6


def _float(value: float) -> Plain:
    if math.isnan(value):
        return None
    return float.__float__(value) if math.isfinite(value) else int(math.copysign(1, value)) * BEYOND


def _integer(value: int) -> Plain:
    held = int.__int__(value)  # of a subclass too, whatever that says
    return max(-BEYOND, min(BEYOND, held))


def _fraction(value: Any) -> Plain:
    try:
        return _float(float(value))
    except OverflowError:
        return BEYOND if value > 0 else -BEYOND


def _bytes(value: bytes | bytearray | memoryview) -> Plain:
    """Its text where it is UTF-8, else base64."""
    raw = bytes(value)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return b64encode(raw).decode("ascii")


def _datetime(value: Any) -> Plain:
    text: str = value.isoformat()
    return None if text == "NaT" else text  # pandas' is a datetime


def _item(value: Any) -> Plain:
    """A number of NumPy's as Python has it."""
    held = value.item()
    return _float(held) if type(held) is float else _integer(held)


def _same(value: Any) -> Plain:
    return value  # type: ignore[no-any-return]


Leaf = Callable[[Any], Plain]
LEAVES: Sequence[tuple[Any, Leaf]] = (
    (bool, _same),
    (float, _float),
    (int, _integer),
    (str, str.__str__),  # of a subclass too, whatever that says
    ((Decimal, Fraction), _fraction),
    ((datetime, date, time), _datetime),
    (timedelta, lambda value: _float(value.total_seconds())),
    ((bytes, bytearray, memoryview), _bytes),
)
NUMPYS = re.compile(r"(float(16|32)|u?int\d+|bool_?)")


@lru_cache(maxsize=512)
def leaf_of(kind: type) -> Leaf | None:
    """What makes values of a type plain that hold no others; None for all else."""
    if kind is type(None):
        return _same
    if issubclass(kind, Enum):
        return None
    if kind.__module__ == "numpy" and NUMPYS.fullmatch(kind.__name__):
        return _item
    return next((leaf for known, leaf in LEAVES if issubclass(kind, known)), None)

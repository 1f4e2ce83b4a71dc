"""Numbers that cross a border: systems that know doubles alone, or no NaN."""

import math
from collections.abc import Mapping
from typing import Any

EXACT = 2**53  # up to which a double holds every whole number


def finite(value: Any, most: int | None = None) -> Any:
    """The same without numbers that are not finite, and without nulls; whole numbers beyond `most` as texts.

    >>> finite({"a": float("nan"), "b": [1, None, 2**60], "c": 0.5}, most=EXACT)
    {'b': [1, '1152921504606846976'], 'c': 0.5}
    """
    match value:
        case Mapping():
            return {name: finite(each, most) for name, each in value.items() if _is_there(each)}
        case list():
            return [finite(each, most) for each in value if _is_there(each)]
        case int() if most is not None and abs(value) > most:
            return str(value)
        case _:
            return value


def _is_there(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))

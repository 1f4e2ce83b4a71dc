"""The reference file: versioned JSON, exact both ways, and one clear line about whatever is wrong with it."""

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.baseline import CategoricalBaseline, FeatureBaseline, NumericBaseline
from detectors.features import Floats, Ints

FAMILY = "driftd.reference/"
VERSION = 1
Number = TypeVar("Number", np.float64, np.int64)


class ReferenceFormatError(ValueError):
    """A reference file cannot be read; the message says why, in one line."""


def feature_to_dict(feature: FeatureBaseline) -> dict[str, Any]:
    """Return the JSON form of a feature."""
    if isinstance(feature, CategoricalBaseline):
        return {**_categorical_head(feature), "counts": feature.counts.tolist()}
    return {
        **_numeric_head(feature),
        "edges": feature.edges.tolist(),
        "counts": feature.counts.tolist(),
        "bin_means": feature.bin_means.tolist(),
    }


def _numeric_head(feature: NumericBaseline) -> dict[str, Any]:
    return {
        "name": feature.name,
        "kind": "numeric",
        "discrete": feature.discrete,
        "mean": feature.mean,
        "std": feature.std,
    }


def _categorical_head(feature: CategoricalBaseline) -> dict[str, Any]:
    return {"name": feature.name, "kind": "categorical", "categories": list(feature.categories)}


def content_hash(
    head: dict[str, Any],
    features: Sequence[FeatureBaseline],
    calibration: dict[str, Any] | None,
    performance: bytes | None = None,
    service: bytes | None = None,
) -> str:
    """Return sixteen hexadecimal digits of the SHA-256 of a reference's content, however it is written down.

    What is short enters as JSON, with each feature's number of edges, so that it is plain where an array ends; the
    arrays enter as little-endian bytes, for to write a number as text takes a hundred times as long; the calibration
    enters as the JSON of the quick writer, what labels say, and how requests were served, as their bytes.
    """
    numbers = [feature for feature in features if isinstance(feature, NumericBaseline)]
    heads = [
        *({**_numeric_head(feature), "edges": feature.edges.size} for feature in numbers),
        *(_categorical_head(feature) for feature in features if isinstance(feature, CategoricalBaseline)),
    ]
    digest = hashlib.sha256(json.dumps({**head, "features": heads}, sort_keys=True).encode())
    for feature in features:
        digest.update(feature.counts.astype("<i8").tobytes())
    for number in numbers:
        digest.update(number.edges.astype("<f8").tobytes())
        digest.update(number.bin_means.astype("<f8").tobytes())
    if calibration is not None:
        digest.update(msgspec.json.encode(calibration, order="sorted", enc_hook=float))
    for said in (performance, service):
        if said is not None:
            digest.update(said)
    return digest.hexdigest()[:16]


def parse(text: str | bytes) -> Any:
    """Return the JSON value. Raises ReferenceFormatError for anything else.

    The quick parser takes no more than the standard library's does; what it refuses is read again, to be taken after
    all or to be named.
    """
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return parse_slowly(text)


def parse_slowly(text: str | bytes) -> Any:
    """Return the same by the standard library, which says better what is wrong."""
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        line = str(error).partition("\n")[0]
        raise ReferenceFormatError(f"this is no JSON: {line}") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:30]} is no finite number")
    return number


def check_format(value: Any) -> None:
    """Raise ReferenceFormatError unless this version reads the format."""
    version = value.removeprefix(FAMILY) if isinstance(value, str) and value.startswith(FAMILY) else ""
    if not version.isdecimal():
        raise ReferenceFormatError(f"format is {shown(value)}; this version reads {FAMILY}{VERSION}")
    if version != str(VERSION):
        raise ReferenceFormatError(f"the file has format {value[:60]}, this version of driftd reads {FAMILY}{VERSION}")


def features_from(entries: Any, rows: int) -> list[FeatureBaseline]:
    """Return the features of the file's list; each must account for all rows."""
    features: list[FeatureBaseline] = []
    for position, entry in enumerate(typed(entries, list, "features")):
        where = f"features[{position}]"
        kind = get(typed(entry, dict, where), "kind", where)
        if kind == "numeric":
            features.append(_numeric(entry, where))
        elif kind == "categorical":
            features.append(_categorical(entry, where))
        else:
            raise ReferenceFormatError(f"{where}.kind is {shown(kind)}; valid are numeric, categorical")
    for feature in features:
        if sum(feature.counts.tolist()) != rows:
            raise ReferenceFormatError(f"{feature.name}: counts do not add up to the {rows} rows of the reference")
    return features


def _numeric(entry: dict[str, Any], where: str) -> NumericBaseline:
    try:
        return NumericBaseline(
            name=typed(get(entry, "name", where), str, f"{where}.name"),
            edges=_floats(entry, "edges", where),
            counts=_integers(entry, "counts", where),
            bin_means=_floats(entry, "bin_means", where),
            discrete=typed(get(entry, "discrete", where), bool, f"{where}.discrete"),
            mean=number(get(entry, "mean", where), f"{where}.mean"),
            std=number(get(entry, "std", where), f"{where}.std"),
        )
    except ValueError as error:
        raise ReferenceFormatError(str(error)) from error


def _categorical(entry: dict[str, Any], where: str) -> CategoricalBaseline:
    categories = typed(get(entry, "categories", where), list, f"{where}.categories")
    try:
        return CategoricalBaseline(
            name=typed(get(entry, "name", where), str, f"{where}.name"),
            categories=tuple(typed(text, str, f"{where}.categories") for text in categories),
            counts=_integers(entry, "counts", where),
        )
    except ValueError as error:
        raise ReferenceFormatError(str(error)) from error


def get(entry: dict[str, Any], key: str, where: str) -> Any:
    """Return the entry's value, or say that it is not there."""
    if key not in entry:
        raise ReferenceFormatError(f"{where} has no {key}")
    return entry[key]


def typed(value: Any, kind: type, where: str) -> Any:
    """Return the value, or say that it is of the wrong type."""
    if not isinstance(value, kind):
        raise ReferenceFormatError(f"{where} is {shown(value)}, which is no {kind.__name__}")
    return value


def number(value: Any, where: str) -> float:
    """Return a finite float, or say that it is none."""
    try:
        result = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise ReferenceFormatError(f"{where} is {shown(value)}, which is no finite number")
    return result


def integer(value: Any, where: str) -> int:
    """Return an integer of 64 bits, or say that it is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise ReferenceFormatError(f"{where} is {shown(value)}, which is no integer of 64 bits")
    return value


def _floats(entry: dict[str, Any], key: str, where: str) -> Floats:
    values = typed(get(entry, key, where), list, f"{where}.{key}")
    array = _array(values, {int, float}, np.float64)
    if array is None or not np.isfinite(array).all():
        array = np.array([number(value, f"{where}.{key}") for value in values], dtype=np.float64)
    return array


def _integers(entry: dict[str, Any], key: str, where: str) -> Ints:
    values = typed(get(entry, key, where), list, f"{where}.{key}")
    array = _array(values, {int}, np.int64)
    if array is None:
        array = np.array([integer(value, f"{where}.{key}") for value in values], dtype=np.int64)
    return array


def _array(values: list[Any], kinds: set[type], dtype: type[Number]) -> NDArray[Number] | None:
    """Return a list of nothing but these kinds as an array; None for any other, and where a number does not fit.

    Each number by itself is looked at only then, to say which is wrong.
    """
    if not kinds.issuperset(map(type, values)):
        return None
    try:
        return np.array(values, dtype=dtype)
    except OverflowError:
        return None


def shown(value: Any) -> str:
    """Return a short form of any JSON value."""
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case int() if abs(value) >= 2**63:
            return "a huge number"
        case _:
            return repr(value)[:60]

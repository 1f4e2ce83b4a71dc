"""What model servers are asked and what they answer, as CSV or as JSON in any of its shapes, to rows and outputs."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Final

import msgspec
from pydantic import AfterValidator

from monitor.sections import Name, Section
from monitor.sources.formats.json.documents import UNREADABLE, integer, is_too_deep
from monitor.sources.formats.logged import MAX_ROWS, MISMATCH, NO_ROWS, LoggedRow, row_ids
from monitor.sources.formats.values import Rejected
from monitor.sources.formats.written import PLAIN

MALFORMED: Final = "payload_malformed"
SHAPE: Final = "payload_shape_unknown"
COLUMNS: Final = "columns_mismatch"
MAX_COLUMNS = 10_000
MAX_BESIDE = 200_000  # values of a message that all of its rows have, in all rows together
NAMED = "instances", "dataframe_records", "inputs", "dataframe_split"
ANSWERS = "predictions", "outputs"
LEADING_ZERO = re.compile(r"[-+]?0[0-9]")  # a code, not a number
MAYBE_ZERO = frozenset("0+-")
TRUTH = {"true": True, "false": False}
NOTHING = frozenset({"", "null", "none", "nan", "<na>", "nat"})

Features = dict[str, Any]


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise ValueError(f"{twice} stands there twice; each column has a name of its own")
    return names


Columns = Annotated[tuple[Name, ...], AfterValidator(_each_once)]


class TabularOptions(Section):
    """How columns without names are called, and which of several outputs is the prediction.

    `columns`: names in the order of the values; without them they are x0, x1, … `prediction`: the name of an output, or its place, from 0.
    """

    columns: Columns = ()
    prediction: Name | None = None


# --- texts ------------------------------------------------------------------------------------------------------------


def parse_payload(text: str) -> Any:
    """JSON of any kind, or several documents a line each as a list; NaN and Infinity are let through. Raises Rejected."""
    try:
        return parse_json(text)
    except Rejected as rejected:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2 or str(rejected) != MALFORMED:  # noqa: PLR2004 - a single one is no list
            raise
        return [parse_json(line) for line in lines]


def parse_json(text: str) -> Any:
    """One JSON document of any kind. Raises Rejected."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise Rejected(MALFORMED) from None
    if is_too_deep(raw):
        raise Rejected("too_deep")
    try:
        return msgspec.json.decode(raw)
    except UNREADABLE:
        try:
            return json.loads(text, parse_int=integer)
        except (ValueError, RecursionError):
            raise Rejected(MALFORMED) from None


def read_csv(text: str) -> list[list[Any]]:
    """The cells of CSV, line by line; empty lines are none. Raises Rejected.

    >>> read_csv('69,0,"a, b"' + chr(10) + '70,,true' + chr(10))
    [[69, 0, 'a, b'], [70, None, True]]
    """
    try:
        lines = [[cell(each) for each in line] for line in csv.reader(io.StringIO(text, newline="")) if line]
    except csv.Error:
        raise Rejected(MALFORMED) from None
    return lines


def cell(text: str) -> Any:
    """What a text is worth that was written for want of types: a number, truth, nothing, else the text.

    A number with a leading zero is a code, which stays.

    >>> cell("3"), cell("0.5"), cell("True"), cell("<NA>"), cell("0123"), cell("pro")
    (3, 0.5, True, None, '0123', 'pro')
    """
    plain = text.strip()
    if PLAIN.fullmatch(plain) and not (plain[0] in MAYBE_ZERO and LEADING_ZERO.match(plain)):
        return integer(plain) if plain.lstrip("+-").isdigit() else float(plain)
    lower = plain.lower()
    return None if lower in NOTHING else TRUTH.get(lower, text)


# --- what was asked ---------------------------------------------------------------------------------------------------


def inputs_of(value: Any, columns: Sequence[str] = ()) -> list[Features]:
    """The rows of a request. Raises Rejected.

    >>> inputs_of({"instances": [[1.5, None]]}), inputs_of({"dataframe_split": {"columns": ["a"], "data": [[1], [2]]}})
    ([{'x0': 1.5, 'x1': None}], [{'a': 1}, {'a': 2}])
    """
    if isinstance(value, dict):
        return _of_object(value, columns)
    if isinstance(value, list) and value and not any(isinstance(each, dict | list) for each in value):
        return [named_values(value, columns)]
    return _of_list(value, columns)


def _of_object(value: dict[str, Any], columns: Sequence[str]) -> list[Features]:
    named = next((name for name in NAMED if name in value), None)
    held = value if named is None else value[named]
    if has_split(held):
        return _of_split(held, columns)
    if named is None:
        data = value.get("data")
        return _of_list(data, columns) if isinstance(data, list) and len(value) == 1 else [_of_item(value, columns)]
    if isinstance(held, dict):
        return _of_columns(held)
    return _of_list(held, columns)


def has_split(value: Any) -> bool:
    """Whether these are rows beside the names of their columns."""
    return isinstance(value, dict) and isinstance(value.get("columns"), list) and isinstance(value.get("data"), list)


def _of_split(held: dict[str, Any], columns: Sequence[str]) -> list[Features]:
    names = [name if isinstance(name, str) else str(name) for name in held["columns"]] or columns
    return _of_list(held["data"], names)


def _of_list(values: Any, columns: Sequence[str]) -> list[Features]:
    if not isinstance(values, list):
        raise Rejected(SHAPE)
    if len(values) > MAX_ROWS:
        raise Rejected("too_many_rows")
    rows = [_of_item(value, columns) for value in values]
    if len({len(value) for value in values if isinstance(value, list)}) > 1:
        raise Rejected(COLUMNS)
    return rows


def _of_item(value: Any, columns: Sequence[str]) -> Features:
    if isinstance(value, dict):
        features = value.get("features")
        if len(value) == 1 and isinstance(features, list):
            return named_values(features, columns)
        return features if len(value) == 1 and isinstance(features, dict) else value
    return named_values(value if isinstance(value, list) else [value], columns)


def _of_columns(held: dict[str, Any]) -> list[Features]:
    """Tensors by name: the first dimension are rows."""
    lists = [value for value in held.values() if isinstance(value, list)]
    if not lists:
        return [held]
    if len(lists) < len(held) or len({len(value) for value in lists}) > 1:
        raise Rejected(COLUMNS)
    if len(lists[0]) > MAX_ROWS:
        raise Rejected("too_many_rows")
    return [{name: _alone(value[row]) for name, value in held.items()} for row in range(len(lists[0]))]


def _alone(value: Any) -> Any:
    """A value out of lists that hold nothing else."""
    while isinstance(value, list) and len(value) == 1:
        (value,) = value
    return value


def named_values(values: Sequence[Any], columns: Sequence[str]) -> Features:
    """Values in the order of their columns. Raises Rejected where there is another number of them."""
    if len(values) > MAX_COLUMNS:
        raise Rejected("too_many_columns")
    names = columns or _numbered(len(values))
    if len(names) != len(values):
        raise Rejected(COLUMNS)
    return dict(zip(names, values, strict=True))


@lru_cache(maxsize=16)
def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"x{place}" for place in range(count))


def csv_inputs(text: str, columns: Sequence[str] = (), *, header: bool = False) -> list[Features]:
    """The rows of a CSV request. The first line names the columns where it is said so, or where it is the columns' own names."""
    lines = read_csv(text)
    if lines and (header or (columns and tuple(map(str, lines[0])) == tuple(columns))):
        columns, lines = columns or [str(name) for name in lines[0]], lines[1:]
    return _of_list(lines, columns)


# --- what was answered ------------------------------------------------------------------------------------------------


def outputs_of(value: Any) -> list[Any]:
    """The outputs of an answer, a row each: numbers, texts, lists or objects.

    >>> outputs_of({"predictions": [{"0": 0.5}]}), outputs_of([0.5, 0.25]), outputs_of({"predictions": {"p": [1, 2]}})
    ([{'0': 0.5}], [0.5, 0.25], [{'p': 1}, {'p': 2}])
    """
    named = next((name for name in ANSWERS if name in value), None) if isinstance(value, dict) else None
    held = value if named is None else value[named]
    if has_split(held):
        return list(_of_split(held, ()))
    if isinstance(held, dict) and held and all(isinstance(each, list) for each in held.values()):
        sizes = {len(each) for each in held.values()}
        if len(sizes) == 1:
            return [{name: each[row] for name, each in held.items()} for row in range(sizes.pop())]
    return held if isinstance(held, list) else [held]


def csv_outputs(text: str) -> list[Any]:
    """The outputs of a CSV answer, a line each."""
    return list(read_csv(text))


def prediction_of(output: Any, chosen: str | None) -> Any:
    """The prediction in an output: the chosen one of several, and that out of lists and objects that hold nothing else.

    >>> prediction_of({"0": 0.5}, None), prediction_of([[0.5]], None), prediction_of({"label": "a", "score": 0.9}, "score")
    (0.5, 0.5, 0.9)
    """
    if chosen is not None and isinstance(output, dict):
        return _single(output.get(chosen))
    if chosen is not None and isinstance(output, list) and len(output) > 1:
        return _single(output[int(chosen)]) if chosen.isdecimal() and int(chosen) < len(output) else None
    return _single(output)


def _single(value: Any) -> Any:
    while isinstance(value, dict | list) and len(value) == 1:
        (value,) = value.values() if isinstance(value, dict) else value
    return value


# --- both -------------------------------------------------------------------------------------------------------------


def paired(rows: int, outputs: Sequence[Any]) -> Sequence[Any]:
    """An output for each of some rows: a list of as many, or one list of as many values. Raises Rejected."""
    if rows == len(outputs):
        return outputs
    if len(outputs) == 1 and isinstance(outputs[0], list) and len(outputs[0]) == rows:
        return outputs[0]
    if rows == 1 and len(outputs) > 1:
        return [outputs]
    raise Rejected(MISMATCH)


def predicted_rows(
    about: Mapping[str, Any],
    named: Any,
    inputs: Sequence[Features] | None,
    outputs: Sequence[Any] | None,
    chosen: str | None,
) -> list[LoggedRow]:
    """Rows of one call, of which `inputs` or `outputs` may not have been logged. Raises Rejected."""
    if inputs is None and outputs is None:
        raise Rejected(NO_ROWS)
    rows = len(inputs if inputs is not None else outputs or ())
    if not rows:
        raise Rejected(NO_ROWS)
    if rows > MAX_ROWS or rows * len(about) > MAX_BESIDE:
        raise Rejected("too_many_rows")
    answers = None if outputs is None else paired(rows, outputs)
    logged = []
    for row, own in enumerate(row_ids(named, rows)):
        document = {**about, "id": own}
        if inputs is not None:
            document["features"] = inputs[row]
        if answers is not None:
            document |= answered(answers[row], chosen)
        logged.append(LoggedRow(document))
    return logged


def answered(output: Any, chosen: str | None) -> dict[str, Any]:
    """What a row says of its output: the prediction, and all of it where it is more than that."""
    prediction = prediction_of(output, chosen)
    return (
        {"prediction": prediction, "outputs": output}
        if isinstance(output, dict | list) and len(output) > 1
        else {"prediction": prediction}
    )

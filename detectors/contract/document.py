"""Plain values, as a YAML file holds them, to a contract. Whatever is wrong is one line that names the key."""

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from detectors.contract.contract import (
    ANYTHING,
    SIGNS,
    ColumnRules,
    ColumnType,
    Contract,
    ContractError,
    Ordering,
)
from detectors.features import canonical

FAMILY, VERSION = "driftd.contract/", 1
KEYS = ("format", "version", "reference", "new_columns", "columns", "comparisons")
NEW_COLUMNS = ("allowed", "refused")
COMPARISON = re.compile(r"\s*(.+?)\s*(>=|<=|==|!=|>|<)\s*([^<>=!].*?)\s*")


def contract_from(document: Any) -> Contract:
    """Read a contract. Raises ContractError naming the key, what it is and what is valid.

    >>> contract_from({"format": "driftd.contract/1", "columns": {"age": {"type": "integer", "min": 18}}}).columns["age"].min
    18.0
    """
    if not isinstance(document, Mapping):
        raise ContractError(f"must be a mapping of keys such as {', '.join(KEYS[:2])}, columns")
    _refuse_unknown("", document, KEYS)
    _check_format(document.get("format"))
    new = document.get("new_columns", NEW_COLUMNS[0])
    if new not in NEW_COLUMNS:
        raise ContractError(f"new_columns must be {' or '.join(NEW_COLUMNS)}{_is(new)}")
    return Contract(
        columns=_columns(document.get("columns")),
        comparisons=tuple(_comparisons(document.get("comparisons"))),
        new_columns_refused=new == "refused",
        version=_word("version", document.get("version", "")),
        reference=_word("reference", document.get("reference", "")),
    )


def _check_format(said: Any) -> None:
    expected = f"{FAMILY}{VERSION}"
    if said is None:
        raise ContractError(f"format is missing: it is {expected}")
    if said != expected:
        newer = isinstance(said, str) and said.startswith(FAMILY)
        raise ContractError(f"format must be {expected}{_is(said)}" + ("; a newer driftd reads it" if newer else ""))


def _columns(said: Any) -> dict[str, ColumnRules]:
    if said is None:
        raise ContractError("columns is missing")
    if not isinstance(said, Mapping):
        raise ContractError("columns must be a mapping of columns, each with its rules")
    return {str(name): _rules(f"columns.{name}", rules) for name, rules in said.items()}


def _rules(where: str, said: Any) -> ColumnRules:
    if said is None:
        return ANYTHING
    if not isinstance(said, Mapping):
        raise ContractError(f"{where} must be a mapping of rules such as type, required{_is(said)}")
    _refuse_unknown(f"{where}.", said, READ)
    given = {name: READ[name](f"{where}.{name}", value) for name, value in said.items() if value is not None}
    try:
        return ColumnRules(**given)
    except ContractError as error:
        raise ContractError(f"{where}.{error}") from None


def _comparisons(said: Any) -> list[Ordering]:
    if said is None:
        return []
    if not isinstance(said, list):
        raise ContractError(f"comparisons must be a list of such as 'end >= start'{_is(said)}")
    return [_comparison(f"comparisons[{at}]", text) for at, text in enumerate(said)]


def _comparison(where: str, said: Any) -> Ordering:
    found = COMPARISON.fullmatch(said) if isinstance(said, str) else None
    if found is None:
        raise ContractError(f"{where} must be two columns with one of {' '.join(SIGNS)} between{_is(said)}")
    return Ordering(found[1], found[2], found[3])


# --- single values ------------------------------------------------------------------------------------------------------


def _type(where: str, said: Any) -> ColumnType:
    if not isinstance(said, str) or said not in set(ColumnType):
        raise ContractError(f"{where} must be one of {', '.join(ColumnType)}{_is(said)}")
    return ColumnType(said)


def _truth(where: str, said: Any) -> bool:
    if not isinstance(said, bool):
        raise ContractError(f"{where} must be true or false{_is(said)}")
    return said


def _number(where: str, said: Any) -> float:
    """A number; a text that says one too, for YAML does not read 1e6 as people do."""
    try:
        if isinstance(said, int | float | str) and not isinstance(said, bool):
            return float(said)
    except (ValueError, OverflowError):
        pass
    raise ContractError(f"{where} must be a number{_is(said)}")


def _values(where: str, said: Any) -> tuple[str, ...]:
    if not isinstance(said, list):
        raise ContractError(f"{where} must be a list of values{_is(said)}")
    texts = [canonical(value) for value in said]
    for at, text in enumerate(texts):
        if text is None:
            raise ContractError(f"{where}[{at}] must be a text, a number or a truth value{_is(said[at])}")
    return tuple(dict.fromkeys(text for text in texts if text is not None))


def _text(where: str, said: Any) -> str:
    if not isinstance(said, str):
        raise ContractError(f"{where} must be a text, in quotes{_is(said)}")
    return said


def _word(where: str, said: Any) -> str:
    text = canonical(said)
    if text is None:
        raise ContractError(f"{where} must be a text or a number{_is(said)}")
    return text


READ: Mapping[str, Callable[[str, Any], Any]] = {
    "type": _type,
    "required": _truth,
    "max_missing": _number,
    "min": _number,
    "max": _number,
    "values": _values,
    "matches": _text,
    "unique": _truth,
    "monotone": _truth,
    "unit": _text,
}


def _refuse_unknown(where: str, said: Mapping[Any, Any], known: Collection[str]) -> None:
    for name in said:
        if name not in known:
            near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
            valid = f"did you mean {near[0]}?" if near else f"valid here: {', '.join(known)}"
            raise ContractError(f"{where}{name} is no key; {valid}")


def _is(said: Any) -> str:
    return "" if isinstance(said, Mapping | list) else f" (is {str(said)[:60]!r})"

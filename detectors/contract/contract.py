"""A contract as a value: the rules of each column, and how columns compare."""

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
SIGNS: Mapping[str, Any] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


class ContractError(ValueError):
    """A contract that cannot be meant: one line that names the key."""


class ColumnType(StrEnum):
    """What the values of a column are."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TEXT = "text"
    TIME = "time"

    @property
    def is_number(self) -> bool:
        """Whether it is of numbers."""
        return self in {ColumnType.NUMBER, ColumnType.INTEGER}

    @property
    def is_ordered(self) -> bool:
        """Whether its values come one after the other."""
        return self.is_number or self is ColumnType.TIME


@dataclass(frozen=True, slots=True)
class ColumnRules:
    """What a column keeps to; a rule that is not given is None or False. Raises ContractError where rules contradict.

    `values` are texts as categories are counted. Without `type` a value may be a text, a number or a truth value.
    `unit` is that of times written as numbers.

    >>> ColumnRules(ColumnType.TEXT, min=3)
    Traceback (most recent call last):
    detectors.contract.contract.ContractError: min needs type: number or integer
    """

    type: ColumnType | None = None
    required: bool = False
    max_missing: float | None = None
    min: float | None = None
    max: float | None = None
    values: tuple[str, ...] | None = None
    matches: str | None = None
    unique: bool = False
    monotone: bool = False
    unit: str | None = None

    def __post_init__(self) -> None:
        self._check_types()
        if self.max_missing is not None and not 0 <= self.max_missing <= 1:
            raise ContractError(f"max_missing {self.max_missing} must be a share from 0 to 1")
        if self.required and self.max_missing:
            raise ContractError(f"max_missing {self.max_missing} contradicts required: true")
        for name, bound in (("min", self.min), ("max", self.max)):
            if bound is not None and not math.isfinite(bound):
                raise ContractError(f"{name} must be a finite number")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ContractError(f"min {self.min:g} must not exceed max {self.max:g}")
        if self.unit is not None and self.unit not in UNITS:
            raise ContractError(f"unit must be one of {', '.join(UNITS)} (is {self.unit!r})")
        if self.values is not None and not self.values:
            raise ContractError("values must name at least one value")
        self._check_pattern()

    def _check_types(self) -> None:
        number = self.type is not None and self.type.is_number
        ordered = self.type is not None and self.type.is_ordered
        text = self.type in {ColumnType.TEXT, None}
        for name, given, allowed, needed in (
            ("min", self.min is not None, number, "number or integer"),
            ("max", self.max is not None, number, "number or integer"),
            ("monotone", self.monotone, ordered, "number, integer or time"),
            ("values", self.values is not None, self.type is not ColumnType.TIME, "text, boolean, number or integer"),
            ("matches", self.matches is not None, text, "text, or none"),
            ("unit", self.unit is not None, self.type is ColumnType.TIME, "time"),
        ):
            if given and not allowed:
                raise ContractError(f"{name} needs type: {needed}")

    def _check_pattern(self) -> None:
        try:
            re.compile(self.matches or "")
        except re.error as error:
            raise ContractError(f"matches is no regular expression: {error} (is {self.matches!r})") from None
        except (OverflowError, RecursionError):
            raise ContractError(
                "matches is a regular expression that repeats too often or holds too many groups in one another"
            ) from None

    @property
    def must_be_there(self) -> bool:
        """Whether data without the column break the contract."""
        return self.required or (self.max_missing is not None and self.max_missing < 1)

    @property
    def is_number(self) -> bool:
        """Whether its values are to be numbers."""
        return self.type is not None and self.type.is_number


@dataclass(frozen=True, slots=True)
class Ordering:
    """How two columns compare in every row that has both.

    >>> str(Ordering("end", ">=", "start"))
    'end >= start'
    """

    left: str
    sign: str
    right: str

    def __str__(self) -> str:
        return f"{self.left} {self.sign} {self.right}"


ANYTHING = ColumnRules()


@dataclass(frozen=True, slots=True)
class Contract:
    """What data keep to: rules by column, comparisons between columns, whether other columns may come.

    `version` is its owner's word for this state of it, `reference` the hash of the reference it was inferred from.
    Raises ContractError for comparisons of columns that do not compare.
    """

    columns: Mapping[str, ColumnRules]
    comparisons: tuple[Ordering, ...] = ()
    new_columns_refused: bool = False
    version: str = ""
    reference: str = ""

    def __post_init__(self) -> None:
        if not self.columns:
            raise ContractError("columns must name at least one column")
        for at, comparison in enumerate(self.comparisons):
            self._check_comparison(f"comparisons[{at}]: {comparison}", comparison)

    def _check_comparison(self, where: str, comparison: Ordering) -> None:
        types = []
        for name in (comparison.left, comparison.right):
            if name not in self.columns:
                signs = f"; signs are {' '.join(SIGNS)}" if set(name) & set("<>=!") else ""
                raise ContractError(f"{where}: {name} is no column of the contract{signs}")
            kind = self.columns[name].type
            if kind is None or not kind.is_ordered:
                raise ContractError(f"{where}: {name} needs type: number, integer or time")
            types.append(kind)
        if len({kind is ColumnType.TIME for kind in types}) > 1:
            raise ContractError(f"{where}: a time does not compare with a number")

"""Rows against a contract, source by source: its columns, and how they compare."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from detectors.columns import Column
from detectors.contract.column import ColumnCheck
from detectors.contract.contract import SIGNS, Contract, Ordering
from detectors.contract.judging import Ordered
from detectors.contract.report import BrokenRows, ContractReport, ContractViolation, Place, SchemaChange
from detectors.contract.values import shown
from detectors.features import Ints


@dataclass(slots=True)
class ComparisonCheck:
    """Two columns against each other."""

    comparison: Ordering
    rows: int = 0
    broken: BrokenRows = field(default_factory=BrokenRows)

    def add(self, held: Mapping[str, Ordered], columns: Mapping[str, Column], place: Place) -> None:
        """Take a chunk; rows that lack one of the two are not judged."""
        left, sign, right = self.comparison.left, self.comparison.sign, self.comparison.right
        if left not in held or right not in held:
            return
        known = held[left].known & held[right].known
        self.rows += int(np.count_nonzero(known))
        broken = known & ~SIGNS[sign](held[left].values, held[right].values)
        self.broken.add(broken, place, lambda row: f"{shown(columns[left], row)} beside {shown(columns[right], row)}")

    def violations(self) -> Iterator[ContractViolation]:
        """One, where rows break it."""
        if self.broken.count:
            yield ContractViolation(
                self.comparison.left, str(self.comparison), self.broken.count, self.rows, tuple(self.broken.samples)
            )


class Check:
    """Takes rows a chunk at a time, source by source in their order, and says at the end what came of them.

    >>> from detectors.contract import contract_from
    >>> contract = contract_from({"format": "driftd.contract/1", "columns": {"age": {"type": "integer", "min": 18}}})
    >>> check = Check(contract)
    >>> check.add("people.csv", {"age": np.array([20.0, 17.0])}, np.array([1, 2]))
    >>> [(each.rule, each.count, each.samples[0].value) for each in check.report().violations]
    [('min', 1, '17')]
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._columns = {name: ColumnCheck(name, rules) for name, rules in contract.columns.items()}
        self._comparisons = [ComparisonCheck(each) for each in contract.comparisons]
        self._new: dict[str, dict[str, None]] = {}  # sources, by column
        self._source: str | None = None
        self.rows = 0

    def meet(self, source: str, names: Iterable[str]) -> None:
        """Take the names of a source's columns, of which some may be no column of the contract."""
        self._begin(source)
        for name in names:
            if name not in self._columns:
                self._new.setdefault(name, {})[source] = None

    def add(self, source: str, columns: Mapping[str, Column], rows: Ints) -> None:
        """Take some rows, and their numbers in the source, int64[n]. A column that lacks is missing in them."""
        self.meet(source, columns)
        place = Place(source, rows)
        self.rows += rows.size
        ordered: dict[str, Ordered] = {}
        for name, column in self._columns.items():
            if name not in columns:
                column.absent(place)
            elif (held := column.add(columns[name], place)) is not None:
                ordered[name] = held
        for comparison in self._comparisons:
            comparison.add(ordered, columns, place)

    def report(self) -> ContractReport:
        """Say what came of all rows. Nothing can be added after it."""
        self._end()
        columns = self._columns.values()
        new = [
            SchemaChange(name, "new", tuple(sources), "is new", self._contract.new_columns_refused)
            for name, sources in self._new.items()
        ]
        values = [each for column in columns for each in column.violations()]
        compared = [each for comparison in self._comparisons for each in comparison.violations()]
        return ContractReport(
            self.rows,
            (*(each for column in columns for each in column.schema()), *new),
            (*values, *compared),
            tuple(
                f"{column.name}: {column.unjudged:,} whole numbers above 2^53 came as floats, which do not tell them apart: "
                "unique is not judged of them"
                for column in columns
                if column.unjudged
            ),
        )

    def _begin(self, source: str) -> None:
        if source != self._source:
            self._end()
            self._source = source

    def _end(self) -> None:
        if self._source is not None:
            for column in self._columns.values():
                column.end(self._source)
        self._source = None

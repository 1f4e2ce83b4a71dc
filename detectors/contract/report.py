"""What came of rows held against a contract: the schema, the rules that were broken, and the first rows that broke them."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from detectors.features import Bools, Ints

SHOWN = 3  # samples of a broken rule


@dataclass(frozen=True, slots=True)
class ValueSample:
    """A value that breaks a rule: its row, counted from 1 in its source, and the value in words."""

    source: str
    row: int
    value: str


@dataclass(frozen=True, slots=True)
class ContractViolation:
    """A rule of a column that rows break: how many of the rows it was asked of, and the first of them."""

    column: str
    rule: str
    count: int
    rows: int
    samples: tuple[ValueSample, ...]

    @property
    def share(self) -> float:
        """Of the rows."""
        return self.count / max(self.rows, 1)


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A column that is new, gone or of a new type, in some sources; `breaks` says whether the contract forbids it."""

    column: str
    change: str
    sources: tuple[str, ...]
    words: str
    breaks: bool


@dataclass(frozen=True, slots=True)
class ContractReport:
    """What came of all rows."""

    rows: int
    schema: tuple[SchemaChange, ...]
    violations: tuple[ContractViolation, ...]
    remarks: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether nothing breaks the contract."""
        return not self.violations and not any(change.breaks for change in self.schema)


@dataclass(slots=True)
class BrokenRows:
    """How many rows broke a rule, and the first of them."""

    count: int = 0
    samples: list[ValueSample] = field(default_factory=list)

    def add(self, broken: Bools, place: "Place", value: Callable[[int], str]) -> None:
        """Take the rows of a chunk that broke it."""
        count = int(np.count_nonzero(broken))
        if count:
            self.count += count
            first = np.flatnonzero(broken)[: SHOWN - len(self.samples)].tolist() if len(self.samples) < SHOWN else []
            self.samples += [ValueSample(place.source, int(place.rows[row]), value(row)) for row in first]

    def merge(self, later: "BrokenRows") -> None:
        """Take what came after it."""
        self.count += later.count
        self.samples = [*self.samples, *later.samples][:SHOWN]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rows of a chunk come from: a file, and their numbers in it, int64[n]."""

    source: str
    rows: Ints

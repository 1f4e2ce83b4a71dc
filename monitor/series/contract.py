"""A data contract that is checked live: what of it can be, and what it excludes."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from detectors.contract import Contract
from detectors.sketches.violations import Rule, Violations

ID, TIME = "__id__", "__time__"  # of an event, beside its features and `__prediction__`
UNIQUE, MONOTONE = "unique", "monotone"  # rules that ask of rows before
BEFORE = UNIQUE, MONOTONE
SHARE = "max_missing"  # a rule of a share: a single row does not break it
ASKED = "type", "required", SHARE, "min", "max", "values", "matches"


@dataclass(frozen=True, slots=True)
class ContractSpec:
    """A contract that events are held against. `exclude`: rows that break it are counted as violations alone.

    `numbers` are the features that are read as numbers, whose order can be followed.
    """

    contract: Contract
    exclude: bool = False
    numbers: frozenset[str] = frozenset()

    def rules(self, seen: Collection[str]) -> Iterator[Rule]:
        """What is asked of each event whose mapping sees these columns: all that can be counted."""
        for name, rules in self.contract.columns.items():
            if name in seen:
                yield from ((name, rule) for rule in ASKED if is_asked(getattr(rules, rule)))
                yield from ((name, rule) for rule in BEFORE if getattr(rules, rule) and self.follows(name, rule))
        for comparison in self.contract.comparisons:
            if {comparison.left, comparison.right} <= set(seen):
                yield comparison.left, str(comparison)

    def follows(self, name: str, rule: str) -> bool:
        """Whether a rule that asks of rows before can be followed in bounded memory: unique ids, times and numbers that rise."""
        if rule == UNIQUE:
            return name == ID
        rules = self.contract.columns[name]
        return name == TIME or (name in self.numbers and rules.type is not None and rules.type.is_number)

    def rising(self, seen: Collection[str]) -> list[str]:
        """The columns that are to rise and can be followed."""
        columns = self.contract.columns.items()
        return [name for name, each in columns if each.monotone and name in seen and self.follows(name, MONOTONE)]

    def left_out(self, seen: Collection[str]) -> Iterator[str]:
        """What is not checked live, in words."""
        for name, rules in self.contract.columns.items():
            if name not in seen:
                yield f"{name}: is no feature, id or time that its events are mapped to"
                continue
            for rule in BEFORE:
                if getattr(rules, rule) and not self.follows(name, rule):
                    yield f"{name}: {rule} asks of all events before"
        for comparison in self.contract.comparisons:
            if not {comparison.left, comparison.right} <= set(seen):
                yield f"{comparison}: one of the two is not seen"


def broken_in(contract: ContractSpec | None, found: Violations, rows: int) -> Iterator[tuple[str, str, int]]:
    """What of so many rows breaks a contract, by column and rule: a share that may be missing where it is exceeded."""
    for (column, rule), count in sorted(found.counts.items()):
        if rule != SHARE or count > _agreed(contract, column) * rows:
            yield column, rule, count


def _agreed(contract: ContractSpec | None, column: str) -> float:
    """The share of rows that may lack a column; all of them, where none is agreed any more."""
    rules = None if contract is None else contract.contract.columns.get(column)
    return 1.0 if rules is None or rules.max_missing is None else rules.max_missing


def of_rows(counts: Mapping[Rule, int]) -> dict[Rule, int]:
    """The rules that a row alone breaks."""
    return {rule: count for rule, count in counts.items() if rule[1] != SHARE}


def is_asked(said: object) -> bool:
    """Whether a rule is given."""
    return said is not None and said is not False

"""A data contract that is checked live: what of it can be, and what it excludes."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from detectors.contract import Contract
from detectors.sketches.violations import Rule, Violations

ID, TIME = "__id__", "__time__"  # of an event, beside its features and `__prediction__`
LEFT = "unique", "monotone"  # rules that ask of all rows before, in their order
SHARE = "max_missing"  # a rule of a share: a single row does not break it
ASKED = "type", "required", SHARE, "min", "max", "values", "matches"


@dataclass(frozen=True, slots=True)
class ContractSpec:
    """A contract that events are held against. `exclude`: rows that break it are counted as violations alone."""

    contract: Contract
    exclude: bool = False

    def rules(self, seen: Collection[str]) -> Iterator[Rule]:
        """What is asked of each event whose mapping sees these columns: all that can be counted."""
        for name, rules in self.contract.columns.items():
            if name in seen:
                yield from ((name, rule) for rule in ASKED if is_asked(getattr(rules, rule)))
        for comparison in self.contract.comparisons:
            if {comparison.left, comparison.right} <= set(seen):
                yield comparison.left, str(comparison)

    def left_out(self, seen: Collection[str]) -> Iterator[str]:
        """What is not checked live, in words."""
        for name, rules in self.contract.columns.items():
            if name not in seen:
                yield f"{name}: is no feature, id or time that its events are mapped to"
                continue
            yield from (f"{name}: {rule} asks of all events before" for rule in LEFT if getattr(rules, rule))
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

"""How many rows break each rule of a data contract: sparse counts by name, so that another contract adds to them as well."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

Rule = tuple[str, str]
"""A column of a contract, and what is asked of it: `min`, `type`, a comparison."""


@dataclass(frozen=True, slots=True)
class Violations:
    """Rows by the rule that they break; `excluded` rows are counted here alone.

    >>> both = Violations({("age", "min"): 2}).plus(Violations({("age", "min"): 1}, excluded=1))
    >>> both.counts, both.excluded
    ({('age', 'min'): 3}, 1)
    """

    counts: Mapping[Rule, int]
    excluded: int = 0

    def plus(self, other: "Violations") -> "Violations":
        """Return these and others."""
        return Violations(dict(Counter(self.counts) + Counter(other.counts)), self.excluded + other.excluded)

    def less(self, other: "Violations") -> "Violations":
        """Return these without others that were added."""
        return Violations(dict(Counter(self.counts) - Counter(other.counts)), self.excluded - other.excluded)

    def to_bytes(self) -> bytes:
        """Write them; `from_bytes` reads them."""
        rules = [[column, rule, count] for (column, rule), count in sorted(self.counts.items())]
        return json.dumps([self.excluded, rules], separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote. Raises ValueError for damaged bytes."""
        excluded, rules = json.loads(data)
        return cls({(column, rule): count for column, rule, count in rules}, excluded)


def all_violations(one: Violations | None, other: Violations | None) -> Violations | None:
    """Both together; None where there are none."""
    if one is None or other is None:
        return other if one is None else one
    return one.plus(other)

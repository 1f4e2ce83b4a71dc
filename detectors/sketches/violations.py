"""What is known of rows beside their counts: which rules they break, by name, and how many more rows a sampled log left out."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

Rule = tuple[str, str]
"""A column of a contract, and what is asked of it: `min`, `type`, a comparison."""


PART = 1_000_000
"""Weights of rows are whole millionths, so that their sums are exact in any order."""


@dataclass(frozen=True, slots=True)
class Violations:
    """Rows by the rule that they break; `excluded` rows are counted here alone.

    Of rows that stand for others that a log left out, each for w in all: `unlogged` is the sum of w - 1, in millionths, and `spread`
    that of w (w - 1), in their squares: the variance of the estimated number (Horvitz and Thompson 1952, rows drawn one by one).

    >>> both = Violations({("age", "min"): 2}).plus(Violations({("age", "min"): 1}, excluded=1))
    >>> both.counts, both.excluded
    ({('age', 'min'): 3}, 1)
    """

    counts: Mapping[Rule, int]
    excluded: int = 0
    unlogged: int = 0
    spread: int = 0

    def plus(self, other: "Violations") -> "Violations":
        """Return these and others."""
        more = self.unlogged + other.unlogged, self.spread + other.spread
        return Violations(dict(Counter(self.counts) + Counter(other.counts)), self.excluded + other.excluded, *more)

    def less(self, other: "Violations") -> "Violations":
        """Return these without others that were added."""
        more = self.unlogged - other.unlogged, self.spread - other.spread
        return Violations(dict(Counter(self.counts) - Counter(other.counts)), self.excluded - other.excluded, *more)

    @property
    def uncounted(self) -> "Violations":
        """The same without the rules."""
        return Violations({}, self.excluded, self.unlogged, self.spread)

    def volume(self, rows: int) -> int:
        """How many rows there were, where so many are counted elsewhere."""
        return rows + self.excluded + self.left_out

    @property
    def left_out(self) -> int:
        """How many more rows there were than the log holds, as estimated."""
        return (self.unlogged + PART // 2) // PART

    def each(self, rows: int) -> float:
        """How many rows one stands for in an error, where so many are counted elsewhere: the sum of squared weights by that of weights.

        The estimated number has the variance of a Poisson count of as many, times this; it is Kish's (1965) effective size that the
        estimate is worth, when it is divided by this.
        """
        total = (rows + self.excluded) * PART + self.unlogged
        return 1.0 + self.spread / (PART * total) if total > 0 else 1.0

    def to_bytes(self) -> bytes:
        """Write them; `from_bytes` reads them."""
        rules = [[column, rule, count] for (column, rule), count in sorted(self.counts.items())]
        weighed = [self.unlogged, self.spread] if self.unlogged else []
        return json.dumps([self.excluded, rules, *weighed], separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote. Raises ValueError for damaged bytes."""
        excluded, rules, *weighed = json.loads(data)
        return cls({(column, rule): count for column, rule, count in rules}, excluded, *weighed)


def all_violations(one: Violations | None, other: Violations | None) -> Violations | None:
    """Both together; None where there are none."""
    if one is None or other is None:
        return other if one is None else one
    return one.plus(other)

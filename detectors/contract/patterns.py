"""A regular expression as a table of states, for those that are no more than that: what fits is then told by one look-up a character.

Made of letters, classes, alternatives, groups and repetitions, an expression matches a text from end to end if and only if a
finite automaton does (Thompson 1968), and no order of trying changes that. Whatever else Python's expressions can – looking around,
referring back, flags within – has no table. What a single character matches is asked of `re` itself.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LETTERS = 128  # ASCII; of other texts the table tells nothing
MOST_STATES = 512
MOST_PLACES = 4096
MOST_STEPS = 2**18  # of building a table, each a fraction of a microsecond: few states may still be sets of many places
START: Final = 1
CHANGED = ImportError, AttributeError, LookupError, TypeError, ValueError  # the parser is Python's own, and may change


@dataclass(frozen=True, slots=True, eq=False)
class PatternTable:
    """The kind of each letter, uint8[128], the state after each kind, uint16[states, kinds], and which states end a match, uint8[states].

    Letters of one kind are alike to the whole expression. It begins in state 1; from state 0 nothing matches any more.
    """

    kinds: NDArray[np.uint8]
    after: NDArray[np.uint16]
    ends: NDArray[np.uint8]

    def matches(self, text: str) -> bool:
        """Whether an ASCII text matches from end to end."""
        state = START
        for letter in text.encode("ascii"):
            state = int(self.after[state, self.kinds[letter]])
        return bool(self.ends[state])


class _BeyondError(Exception):
    """An expression that no table of bounded size tells."""


@lru_cache(maxsize=64)
def table_of(pattern: str) -> PatternTable | None:
    r"""The table of an expression; None where it has none. Raises re.error for what is no expression.

    >>> table = table_of("request-[0-9]+")
    >>> table.matches("request-17"), table.matches("request-")
    (True, False)
    >>> table_of("(a)b\\1") is None
    True
    """
    re.compile(pattern)
    try:
        return _determined(_Places(import_module("re._parser").parse(pattern)))
    except (_BeyondError, RecursionError, *CHANGED):
        return None


@dataclass(slots=True)
class _Places:
    """The places within an expression, from 0, which letters lead from one to another, and where nothing is needed to go on."""

    parsed: Any
    letters: list[list[tuple[int, int]]] = field(default_factory=list)  # a bit a letter, and the place after it
    free: list[list[int]] = field(default_factory=list)
    end: int = 0
    _matching: dict[str, int] = field(default_factory=dict)  # the letters of each item met
    _left: int = MOST_STEPS

    def __post_init__(self) -> None:
        self.end = self._sequence(self.parsed, self._place(), first=True, last=True)

    def spend(self, steps: int = 1) -> None:
        """Count steps; beyond all that are allowed there is no table."""
        self._left -= steps
        if self._left < 0:
            raise _BeyondError

    def _place(self) -> int:
        if len(self.free) >= MOST_PLACES:
            raise _BeyondError
        self.letters.append([])
        self.free.append([])
        return len(self.free) - 1

    def _sequence(self, items: Iterable[Any], at: int, *, first: bool = False, last: bool = False) -> int:
        """Items one after the other; whether nothing comes before them, and nothing after."""
        listed = list(items)
        anchors = [_name(code) == "AT" for code, _ in listed]
        head = next((number for number, is_anchor in enumerate(anchors) if not is_anchor), len(listed))
        tail = next((len(listed) - 1 - n for n, is_anchor in enumerate(reversed(anchors)) if not is_anchor), 0)
        for number, (code, said) in enumerate(listed):
            self.spend()
            at = self._item(code, said, at, first=first and number <= head, last=last and number >= tail)
        return at

    def _item(self, code: Any, said: Any, at: int, *, first: bool, last: bool) -> int:
        match _name(code):
            case "LITERAL" | "NOT_LITERAL" | "IN" | "ANY":
                self.letters[at].append((self._letters(code, said), end := self._place()))
                return end
            case "BRANCH":
                ends = [self._sequence(branch, at, first=first, last=last) for branch in said[1]]
                return self._joined(ends)
            case "SUBPATTERN" if not said[1] and not said[2]:  # no flags of its own
                return self._sequence(said[3], at, first=first, last=last)
            case "MAX_REPEAT" | "MIN_REPEAT":
                least, most, body = said
                return self._repeat(least, most, body, at)
            case "AT" if (first and _name(said).startswith("AT_BEG")) or (last and _name(said).startswith("AT_END")):
                return at
        raise _BeyondError

    def _repeat(self, least: int, most: int, body: Any, at: int) -> int:
        if not body.getwidth()[0]:
            raise _BeyondError  # of what may be empty `re` stops early
        for _ in range(least):
            at = self._sequence(body, at)
        if most == import_module("re._constants").MAXREPEAT:
            loop = self._joined([at])
            self.free[self._sequence(body, loop)].append(loop)
            return self._joined([loop])
        ends = [at]
        for _ in range(most - least):
            ends.append(self._sequence(body, ends[-1]))
        return self._joined(ends)

    def _joined(self, ends: Sequence[int]) -> int:
        found = self._place()
        for end in ends:
            self.free[end].append(found)
        return found

    def _letters(self, code: Any, said: Any) -> int:
        """The letters that match an item, a bit each."""
        key = f"{code} {said}"
        if key not in self._matching:
            self._matching[key] = self._matched(code, said)
        return self._matching[key]

    def _matched(self, code: Any, said: Any) -> int:
        self.spend(LETTERS)
        item = import_module("re._parser").SubPattern(self.parsed.state, [(code, said)])
        fits = import_module("re._compiler").compile(item).fullmatch
        return sum(1 << letter for letter in range(LETTERS) if fits(chr(letter)))

    def reached(self, places: Iterable[int]) -> frozenset[int]:
        """These places, and where nothing is needed to go on to."""
        found, left = set[int](), list(places)
        while left:
            at = left.pop()
            if at not in found:
                self.spend()
                found.add(at)
                left += self.free[at]
        return frozenset(found)


def _determined(places: _Places) -> PatternTable:
    """The table whose states are sets of places (Rabin and Scott 1959)."""
    kinds, first = _alike({letters for steps in places.letters for letters, _ in steps})
    states = {frozenset[int](): 0, places.reached([0]): START}
    after: list[list[int]] = []
    for state in (waiting := list(states)):  # grows as states are found
        steps = [step for at in state for step in places.letters[at]]
        row: list[int] = []
        for letter in first:
            places.spend(len(steps))
            reached = places.reached(to for letters, to in steps if letters >> letter & 1)
            if reached not in states:
                states[reached] = len(states)
                waiting.append(reached)
            row.append(states[reached])
        after.append(row)
        if len(states) > MOST_STATES:
            raise _BeyondError
    ends = [places.end in state for state in waiting]
    return PatternTable(
        np.array(kinds, dtype=np.uint8), np.array(after, dtype=np.uint16), np.array(ends, dtype=np.uint8)
    )


def _alike(matched: Collection[int]) -> tuple[list[int], list[int]]:
    """The kind of each letter, and the first letter of each kind: no item tells between those of one."""
    told = [tuple(letters >> letter & 1 for letters in matched) for letter in range(LETTERS)]
    numbers = {each: number for number, each in enumerate(dict.fromkeys(told))}
    kinds = [numbers[each] for each in told]
    return kinds, list(map(kinds.index, range(len(numbers))))


def _name(code: Any) -> str:
    return str(code)

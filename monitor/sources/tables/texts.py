"""What the texts of a column look like: numbers, codes, booleans, and what is none of them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from monitor.sources.formats.written import COMMAS, GROUPED, written_with
from monitor.sources.tables import arrow

CODE = r"^\s*-?0[0-9]"  # of digits: its zero would be lost in a number
TRUTH = {"true": 1.0, "false": 0.0}
MOST_KEPT = 1000  # different texts that are no numbers


@dataclass(slots=True)
class TextTally:
    """How many texts of a column are numbers, and the first that is none. Words such as NA say missing among numbers."""

    texts: int = 0  # all that are there
    numbers: int = 0
    booleans: int = 0
    words: int = 0  # NA, null, nothing in quotes
    codes: bool = False  # digits after a zero
    odd: str | None = None  # the first that is neither number, truth nor word
    typed: bool = False  # of a file that could have said numbers

    def add(self, column: Any) -> None:
        """Take an arrow column of texts."""
        there = column.drop_null()
        self.texts += len(there)
        codes = bool(pc.any(pc.match_substring_regex(there, CODE), min_count=0).as_py()) if _zeros(there) else False
        self.codes |= codes and not bool(pc.all(pc.match_substring_regex(there, r"^\s*-?0[0-9]*\.")).as_py())
        if arrow.holds_numbers(there) and not self.words:
            nan = pc.sum(pc.is_in(there, value_set=arrow.WORDS), min_count=0).as_py()
            self.words, self.numbers = self.words + nan, self.numbers + len(there) - nan
            return
        real = arrow.without_words(there).drop_null()
        self.words += len(there) - len(real)
        if arrow.holds_numbers(real):
            self.numbers += len(real)
        elif arrow.holds_booleans(real):
            self.booleans += len(real)
        else:
            self._count(real)

    def _count(self, real: Any) -> None:
        trimmed = pc.utf8_trim_whitespace(real)
        is_number = pc.match_substring_regex(trimmed, r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$")
        is_truth = pc.is_in(pc.utf8_lower(trimmed), value_set=arrow.TRUTH)
        self.numbers += pc.sum(is_number, min_count=0).as_py()
        self.booleans += pc.sum(is_truth, min_count=0).as_py()
        if self.odd is None:
            self.odd = _first(real.filter(pc.invert(pc.or_(is_number, is_truth))))

    def merge(self, other: "TextTally") -> None:
        """Take what another file holds."""
        self.texts, self.words = self.texts + other.texts, self.words + other.words
        self.numbers, self.booleans = self.numbers + other.numbers, self.booleans + other.booleans
        self.codes |= other.codes
        self.odd = self.odd if self.odd is not None else other.odd
        self.typed |= other.typed

    @property
    def mostly_numbers(self) -> bool:
        """Whether more of the texts are numbers than not."""
        return 2 * self.numbers > self.real

    @property
    def real(self) -> int:
        """Texts that are no words for missing."""
        return self.texts - self.words

    @property
    def only_numbers(self) -> bool:
        """Whether every text is a number, or says truth or missing among numbers; a column of nothing may be either."""
        return self.numbers + self.booleans == self.real and (self.numbers > 0 or not self.texts)

    @property
    def plain(self) -> bool:
        """Whether they are numbers as everybody reads them, with no words between."""
        return self.only_numbers and not self.words and not self.booleans

    @property
    def only_booleans(self) -> bool:
        """Whether every text is true or false, or says missing among those."""
        return self.booleans == self.real and self.booleans > 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """What they are, numbers and booleans where truth stands among numbers; nothing where there is no text at all."""
        if not self.texts:
            return ()
        if self.only_booleans:
            return ("booleans",)
        if self.codes or not self.only_numbers:
            return ("text",)
        return ("numbers", "booleans") if self.booleans else ("numbers",)

    def remarks(self, name: str, decimal: str) -> Iterator[str]:
        """What is to be known of a column that is taken as text although much of it is numbers."""
        if self.only_numbers and self.typed:
            if self.numbers and not self.codes:
                yield f"{name} is text, all of it numbers: categorical; --kind {name}=numeric reads it as numbers"
        elif self.only_numbers and self.codes:
            yield f"{name} holds digits after a zero, as codes do: categorical; --kind {name}=numeric reads numbers"
        elif self.only_numbers or self.odd is None:
            return
        elif (how := written_with(self.odd, decimal)) == COMMAS:
            yield f"{name} holds numbers with {how}, such as {self.odd!r}, taken as text; --decimal , reads them"
        elif how is not None:
            yield (
                f"{name} holds numbers with {how}, such as {self.odd!r}, taken as text; "
                f"--kind {name}=numeric reads them"
            )
        elif self.mostly_numbers:
            yield (
                f"{name} is text: {_percent(self.numbers, self.real)} of it are numbers, but not {self.odd!r:.40}; "
                f"--kind {name}=numeric reads it as numbers, the rest missing"
            )


def _percent(part: int, whole: int) -> str:
    digits = next(digits for digits in range(10) if part == whole or f"{100 * part / whole:.{digits}f}"[:3] != "100")
    return f"{100 * part / whole:.{digits}f} %"


def _zeros(there: Any) -> bool:
    return bool(pc.any(pc.starts_with(pc.utf8_ltrim_whitespace(there), pattern="0"), min_count=0).as_py())


def _first(texts: Any) -> str | None:
    return str(texts[0].as_py()) if len(texts) else None


def with_points(texts: Any) -> Any:
    """An arrow column of texts with points for the commas before decimals."""
    return pc.replace_substring_regex(texts, r"^\s*([-+]?[0-9]*),([0-9]+)\s*$", r"\1.\2")


def number_in(text: object, decimal: str = ".") -> float:
    """A text as a number, with separators of thousands; truth is 1 and 0. NaN where it is none."""
    if not isinstance(text, str):
        return float("nan")
    plain = text.strip()
    if GROUPED[decimal].fullmatch(plain):
        plain = re.sub("[,  \u202f']" if decimal == "." else "[.  \u202f']", "", plain)
    if decimal == ",":
        plain = plain.replace(",", ".", 1)
    try:
        return TRUTH[plain.lower()] if plain.lower() in TRUTH else float(plain)
    except ValueError:
        return float("nan")


def numbers_of(texts: Any, decimal: str = ".") -> NDArray[np.float64]:
    """An arrow column of texts as float64, NaN where one is no number."""
    coded = arrow.coded_texts(arrow.plain_texts(texts))
    numbers = np.array([number_in(text, decimal) for text in coded.values], dtype=np.float64)
    return np.asarray(numbers[coded.rows])

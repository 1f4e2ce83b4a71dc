"""What a first look at some tables tells: which columns there are, and how their texts are to be read."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from detectors import Kind
from monitor.sources.tables.base import Chunk, Dialect, TableError, Texts
from monitor.sources.tables.texts import TextTally

MOST_COLUMNS = 10_000


@dataclass(slots=True)
class Shape:
    """What a first look at some files told: columns in order, what their CSV texts hold, which are no features."""

    dialect: Dialect = field(default_factory=Dialect)
    columns: list[str] = field(default_factory=list)
    texts: dict[str, TextTally] = field(default_factory=dict)  # of CSV columns
    kinds: dict[str, dict[str, Path]] = field(
        default_factory=dict
    )  # what a column holds, with the first file that says so
    left_out: dict[str, str] = field(default_factory=dict)  # column: why
    lacking: list[str] = field(default_factory=list)  # what one file has and another has not, in words

    def add(self, path: Path, names: Sequence[str], first: Path) -> None:
        """Take the columns of one more file. Raises TableError."""
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise TableError(f"{path}: has two columns called {twice[0]}")
        known = set(self.columns)
        if known:
            self.lacking += [
                f"{path} has no column {name}: missing in its rows" for name in self.columns if name not in names
            ]
            self.lacking += [
                f"{first} has no column {name}: missing in its rows" for name in names if name not in known
            ]
        self.columns += [name for name in names if name not in known]
        if len(self.columns) > MOST_COLUMNS:
            raise TableError(f"{path}: more than {MOST_COLUMNS} columns: is this a table?")

    def see(self, name: str, path: Path, *kinds: str | None) -> None:
        """Take what a file's column holds: numbers, text, booleans; None is nothing."""
        held = self.kinds.setdefault(name, {})
        for kind in kinds:
            if kind is not None:
                held.setdefault(kind, path)

    def numeric(self, name: str) -> bool | None:
        """Whether a column is numbers in all files together, whatever their order; None where nothing tells."""
        held = self.kinds.get(name)
        return "text" not in held and "numbers" in held if held else None

    def remarks(self, name: str) -> Iterator[str]:
        """What is to be known of a column of texts that is not what it may have been meant to be."""
        if name in self.texts:
            yield from self.texts[name].remarks(name, self.dialect.decimal)

    def differing(self) -> Iterator[tuple[str, str]]:
        """The columns that are not the same in all files, with what is to be known of each."""
        for name, held in self.kinds.items():
            if len(held) > 1 and name not in self.left_out:
                where = " and ".join(f"{kind} in {path}" for kind, path in sorted(held.items()))
                taken, other = ("numeric", "categorical") if self.numeric(name) else ("categorical", "numeric")
                yield name, f"{name} holds {where}: {taken}; --kind {name}={other} says otherwise"

    def reading(self, kinds: Mapping[str, Kind], time: str | None, exact: Collection[str] = ()) -> Texts:
        """What the texts of CSV files mean, where columns are of these kinds."""
        numeric = {name for name in self.texts if self._is_numeric(name, kinds) and name not in {time, *exact}}
        read = {name for name in numeric if self.texts[name].plain}
        plain = read if self.dialect.decimal == "." else set()
        categories = {name: tally for name, tally in self.texts.items() if name not in numeric}
        return Texts(
            numbers=plain,
            parsed=numeric - plain,
            booleans={name for name, tally in categories.items() if tally.only_booleans},
            exact=exact,
            time=time,
            decimal=self.dialect.decimal,
        )

    def _is_numeric(self, name: str, kinds: Mapping[str, Kind]) -> bool:
        return kinds[name] is Kind.NUMERIC if name in kinds else self.numeric(name) is not False


class Table(Protocol):
    """A file with named columns."""

    @property
    def names(self) -> Sequence[str]:
        """Its columns."""
        ...

    def look(self, shape: Shape, first: Path) -> Iterator[int]:
        """Add columns and kinds to a shape; yields the rows looked at. Raises TableError."""
        ...

    def read(self, wanted: Collection[str], texts: Texts) -> Iterator[tuple[Chunk, float]]:
        """The wanted columns, maybe more, some rows at once, with the share of the file read by then. Raises TableError."""
        ...


@runtime_checkable
class Nests(Protocol):
    """A file whose rows may be nested: of a log of predictions each is what a message would be."""

    def objects(self, rows: int) -> Iterator[tuple[list[dict[str, Any]], float]]:
        """The rows as objects, at most so many at once, with the share of the file read by then. Raises TableError."""
        ...

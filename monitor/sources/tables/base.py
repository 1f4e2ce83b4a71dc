"""What a table on disk promises: named columns, read a chunk at a time in bounded memory."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from detectors.columns import Column

CHUNK = 65_536  # rows
MOST_COLUMNS = 10_000
BOM = b"\xef\xbb\xbf"

Chunk = Mapping[str, Column]


class TableError(Exception):
    """A file that cannot be read as a table: one line that names it and says why."""


@dataclass(frozen=True, slots=True)
class Texts:
    """What the texts of a file that has nothing else mean, by column. All others are categories."""

    numbers: Collection[str] = ()  # every one of them is a number
    mixed: Collection[str] = ()  # numbers; what is none stays a text
    parsed: Collection[str] = ()  # numbers; what is none is missing
    booleans: Collection[str] = ()  # true and false, in any case
    time: str | None = None


class Table(Protocol):
    """A file with named columns."""

    @property
    def names(self) -> Sequence[str]:
        """Its columns."""
        ...

    def look(self, shape: "Shape", first: Path) -> Iterator[int]:
        """Add columns and kinds to a shape; yields the rows looked at. Raises TableError."""
        ...

    def read(self, wanted: Collection[str], texts: Texts) -> Iterator[tuple[Chunk, float]]:
        """The wanted columns, maybe more, some rows at once, with the share of the file read by then. Raises TableError."""
        ...


@dataclass(slots=True)
class Shape:
    """What a first look at some files told: columns in order, what their CSV texts hold, which are no features."""

    columns: list[str] = field(default_factory=list)
    numbers: set[str] = field(default_factory=set)
    booleans: set[str] = field(default_factory=set)
    parsed: set[str] = field(default_factory=set)  # texts to be read as numbers, missing where they are none
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


def present(path: Path, names: Sequence[str], wanted: Collection[str]) -> list[str]:
    """The wanted columns that a file has. Raises TableError where it has none of them."""
    held = [name for name in names if name in wanted]
    if not held:
        raise TableError(f"{path}: has none of the columns {', '.join(wanted)}")
    return held


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn a reader's troubles into TableErrors of one line."""
    import pyarrow as pa

    if path.exists() and not path.is_file():
        what = "a directory; name the files in it" if path.is_dir() else "no regular file, which can be read again"
        raise TableError(f"{path}: is {what}")
    try:
        yield
    except FileNotFoundError:
        raise TableError(f"{path}: does not exist") from None
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        why = " ".join((getattr(error, "strerror", None) or str(error)).split())[:200]
        if "utf8" in why.lower().replace("-", ""):
            why = f"is not UTF-8, save it as that: {why}"
        raise TableError(f"{path}: cannot be read: {why}") from None

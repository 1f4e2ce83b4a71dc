"""What a table on disk promises: named columns, read a chunk at a time in bounded memory."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from detectors.columns import Column

WIDE = "Integers with more than 64 bits"  # as Arrow says it
CHUNK = 65_536  # rows
NESTED = 256  # of them, where each may hold a list
BOM = b"\xef\xbb\xbf"

Chunk = Mapping[str, Column]


class TableError(Exception):
    """A file that cannot be read as a table: one line that names it and says why."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV is written: what stands between its fields, and before the decimals of its numbers."""

    delimiter: str = ","
    decimal: str = "."


@dataclass(frozen=True, slots=True)
class Texts:
    """What the texts of a file that has nothing else mean, by column, and which columns are ids. All others are categories."""

    numbers: Collection[str] = ()  # every one of them is a number
    mixed: Collection[str] = ()  # numbers; what is none stays a text
    parsed: Collection[str] = ()  # numbers, as people write them; what is none is missing
    booleans: Collection[str] = ()  # true and false, in any case
    exact: Collection[str] = ()  # what tells rows apart: texts stay texts, whole numbers of any size what they are
    time: str | None = None
    decimal: str = "."
    rows: int = CHUNK  # of a chunk: fewer where lists lie inside


def present(path: Path, names: Sequence[str], wanted: Collection[str]) -> list[str]:
    """The wanted columns that a file has. Raises TableError where it has none of them."""
    held = [name for name in names if name in wanted]
    if not held:
        raise TableError(f"{path}: has none of the columns {', '.join(wanted)}")
    return held


def levels(name: str, names: Collection[str]) -> tuple[str, ...]:
    """The keys that a column's name stands for: dots are levels, but where a column has the name before one, and holds no other.

    >>> levels("a.b", {"a.b", "c"}), levels("a.b", {"a", "a.b"})
    (('a', 'b'), ('a.b',))
    """
    path = tuple(name.split("."))
    return (name,) if any(".".join(path[:depth]) in names for depth in range(1, len(path))) else path


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
        if WIDE in why:
            why = "it has a column of integers of 128 bits (Int128 of Polars), which Arrow does not read: cast it to Int64 or to text, and write the file again"
        if "utf8" in why.lower().replace("-", ""):
            why = f"is not UTF-8, save it as that: {why}"
        raise TableError(f"{path}: cannot be read: {why}") from None

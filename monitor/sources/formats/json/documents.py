"""JSON messages as objects: what is refused unread, what is read leniently, and rows out of them."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.columns import Column
from monitor.sources.formats.base import TOMBSTONE, Rows
from monitor.sources.formats.fields import Path
from monitor.sources.formats.values import Rejected

MAX_BYTES = 1 << 20  # of one message
MAX_DEPTH = 32
BEGIN = 1 << 10  # bytes: a cut there splits an escape at worst, and no bracket is part of one
OPENS, CLOSES = b"{}"
NO_BRACKETS = bytes(set(range(256)) - set(b"{[]}"))
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)  # all that msgspec's JSON decoder raises
FRAME = 5  # bytes
FRAMED = "schema_registry_framed"
MALFORMED = "malformed_json"
SPACE = b" \t\n\r"
MANY = 256  # rows, of which a reader of their own is made
LONGEST_INTEGER = 4300  # characters that Python and msgspec read exactly; a longer one counts as infinite


def depths(raw: bytes) -> NDArray[np.int64]:
    """How deep one is after each bracket outside strings. A megabyte of brackets takes milliseconds."""
    unescaped = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    outside = b"".join(unescaped.split(b'"')[::2])
    brackets = np.frombuffer(outside.translate(None, NO_BRACKETS), dtype=np.int8)
    return np.cumsum(1 - ((brackets >> 1) & 2), dtype=np.int64)  # 0x5b and 0x7b open, 0x5d and 0x7d close


def is_too_deep(raw: bytes) -> bool:
    """Whether brackets outside strings are nested too deep, never recursive. What is so at the begin, as most that is, is looked through no further."""
    return _is_deep(raw[:BEGIN]) or (len(raw) > BEGIN and _is_deep(raw))


def _is_deep(raw: bytes) -> bool:
    brackets = raw.count(b"[") if b"[" in raw else 0  # counting costs ten times what looking does
    return brackets + raw.count(b"{") > MAX_DEPTH and bool((depths(raw) > MAX_DEPTH).any())


def framed(raw: bytes) -> int | None:
    """The id of the schema that a schema registry's client put before a message; None where it did not.

    A zero byte, then four bytes of the id, the highest first (Confluent's wire format). No JSON begins so.
    """
    return int.from_bytes(raw[1:5], "big") if len(raw) > FRAME and raw[0] == 0 else None


def refusal(raw: bytes | None) -> str | None:
    """Why a message is refused before it is parsed; None if it may be."""
    if raw is None:
        return TOMBSTONE
    if not raw:
        return "empty"
    if len(raw) <= BEGIN and raw[0] == OPENS and raw[-1] == CLOSES and raw.isascii():  # as a rule
        return None if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH else _text_refused(raw)
    if framed(raw) is not None:
        return FRAMED
    if len(raw) > MAX_BYTES:
        return "too_large"
    return _text_refused(raw)


def _text_refused(raw: bytes) -> str | None:
    if not (raw.isascii() or _is_utf8(raw)):
        return "invalid_utf8"
    if is_too_deep(raw):
        return "too_deep"
    return MALFORMED if raw[:1] == b"{" and raw[-1:] != b"}" and raw.rstrip(SPACE)[-1:] != b"}" else None


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def parse_leniently(raw: bytes) -> dict[str, Any]:
    """A message as plain objects, NaN, Infinity and 1e999 let through as floats. Raises Rejected."""
    try:
        message = STRICT(raw)
    except UNREADABLE:
        try:
            message = LENIENT.decode(raw.decode("utf-8-sig"))  # text: bytes could pass as UTF-16
        except (ValueError, RecursionError):
            raise Rejected(MALFORMED) from None
    if not isinstance(message, dict):
        raise Rejected("not_object")
    return message


def integer(digits: str) -> int | float:
    """A whole number of any length; one that is too long to be read counts as infinite."""
    return int(digits) if len(digits) <= LONGEST_INTEGER else math.copysign(math.inf, -1 if digits[0] == "-" else 1)


STRICT = msgspec.json.Decoder().decode
LENIENT = json.JSONDecoder(parse_int=integer)


def dig(value: Any, path: Path) -> Any:
    """The value at a path, None where anything on the way is absent or no object."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


class Document(Mapping[Path, object]):
    """An object by path: None where anything on the way is absent or no object. Its paths lead to what is no object."""

    def __init__(self, held: dict[str, Any]) -> None:
        self._held = held

    def __getitem__(self, path: Path) -> Any:
        return dig(self._held, path)

    def get(self, path: Path, default: Any = None) -> Any:
        """The same: what is absent is None."""
        del default
        return dig(self._held, path)

    def __iter__(self) -> Iterator[Path]:
        return _leaves(self._held, ())

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _leaves(held: dict[str, Any], path: Path) -> Iterator[Path]:
    for name, value in held.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name)


@dataclass(frozen=True, slots=True)
class DocumentRows(Rows):
    """A row an object. A column is dug out when it is asked for: those of all series together would be too many."""

    documents: Sequence[dict[str, Any]] = ()

    def column(self, path: Path) -> Column:
        """The values at a path, None where there is none."""
        values: Sequence[Any] = self.documents
        if path:
            values = [document.get(path[0]) for document in self.documents]
        for name in path[1:]:  # level by level
            values = [value.get(name) if isinstance(value, dict) else None for value in values]
        return np.fromiter(values, dtype=object, count=len(values))

    def names(self, path: Path) -> set[str]:
        """The keys below a path that any row has."""
        held = (dig(document, path) for document in self.documents)
        return set[str]().union(*(each for each in held if isinstance(each, dict)))

    def take(self, which: NDArray[np.intp]) -> "DocumentRows":
        """Some rows."""
        halves = None if self.halves is None else self.halves[which]
        documents = [self.documents[row] for row in which.tolist()]
        return DocumentRows({}, self.messages[which], halves=halves, documents=documents)

    def values(self, row: int, paths: Iterable[Path]) -> list[object]:
        """What a row holds at some paths."""
        return [dig(self.documents[row], path) for path in paths]


def read_documents(values: Sequence[bytes | None]) -> DocumentRows:
    """A row a message; those that are none are counted by reason."""
    documents: list[dict[str, Any]] = []
    messages: list[int] = []
    rejected: Counter[str] = Counter()
    for message, raw in enumerate(values):
        try:
            documents.append(read_document(raw))
            messages.append(message)
        except Rejected as reason:
            rejected[str(reason)] += 1
    return DocumentRows({}, np.array(messages, dtype=np.intp), rejected, documents=documents)


def reread(
    values: Sequence[bytes | None],
    places: Sequence[int] | NDArray[np.intp],
    rows: NDArray[np.intp],
    paths: Sequence[Path],
) -> Rows:
    """Rows with what stands at some paths as it came, given the place of each row's message among the values.

    Of many rows the rest of each message is passed over: objects are made of what is wanted alone.
    """
    held = [values[places[row]] for row in rows.tolist()]
    if rows.size < MANY:
        return read_documents(held)
    try:
        return _parts(held, paths)
    except (*UNREADABLE, AttributeError, KeyError):  # one holds something else there, or a path lies below another
        return read_documents(held)


def _parts(values: Sequence[Any], paths: Sequence[Path]) -> Rows:
    names: dict[Path, str] = {}
    decoder = msgspec.json.Decoder(_part(paths, (), names))
    decoded = list(map(decoder.decode, values))
    columns = {path: list(map(attrgetter(names[path]), decoded)) for path in paths}
    arrays: dict[Path, Column] = {
        path: np.fromiter(held, dtype=object, count=len(held)) for path, held in columns.items()
    }
    return Rows(arrays, np.arange(len(decoded)))


def _part(paths: Sequence[Path], before: Path, names: dict[Path, str]) -> Any:
    """A struct of what stands at some paths below one; which attributes lead there is noted."""
    fields: list[tuple[str, Any, Any]] = []
    spelled: dict[str, str] = {}
    for name in dict.fromkeys(path[len(before)] for path in paths):
        attribute, here = f"part_{len(fields)}", (*before, name)
        prefix = f"{names[before]}.{attribute}" if before else attribute
        names[here] = prefix
        below = [path for path in paths if len(path) > len(here) and path[: len(here)] == here]
        kind = Any if here in paths or not below else _part(below, here, names) | None
        fields.append((attribute, kind, None))
        spelled[attribute] = name
    return msgspec.defstruct("Part", fields, rename=spelled)


def read_document(raw: bytes | None) -> dict[str, Any]:
    """A message as an object. Raises Rejected."""
    reason = refusal(raw)
    if reason is not None:
        raise Rejected(reason)
    assert raw is not None
    return parse_leniently(raw)

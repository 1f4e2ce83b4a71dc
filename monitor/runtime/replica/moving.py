"""The state of a judge partition in a compacted topic: written whole, by turns in two places, under a claim. Taken up by who owns it next.

::

    claim 12         who writes it owns the partition from there on: its number is its offset
    12 a 0, 12 a 1   the pieces of a snapshot, in place a
    12 a head        that they are whole, with their digest
    12 b 0 …         the next one goes beside it, so that compaction never leaves half of the last
    claim 40         another owner: what 12 writes from now on is under another key, and nobody looks for it

A snapshot is the file of the state, compressed: the rows that one process keeps on its disk, with what is owed to targets.
"""

import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

PIECE = 500_000  # bytes
PLACES = "ab"
CLAIM = b"claim"


class _Key(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Of a piece, by its number; -1 for the head of a snapshot."""

    claim: int
    place: str
    piece: int


class _Head(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    sequence: int
    pieces: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class StateRecord:
    """A record of the state topic, with its offset."""

    offset: int
    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True)
class FoundState:
    """What a state topic holds: the newest snapshot that is whole, None where there is none, and the keys of all that are older than the claim."""

    image: bytes | None
    stale: tuple[bytes, ...]


@dataclass(slots=True)
class StateWriter:
    """Turns images of a state into records, under a claim."""

    claim: int
    _sequence: int = 0
    _pieces: dict[str, int] = field(default_factory=dict)  # that each place has had

    def records(self, image: bytes) -> list[tuple[bytes, bytes | None]]:
        """Keys and values of a snapshot, its head last; None: nothing stands there any more."""
        self._sequence += 1
        place = PLACES[self._sequence % 2]
        packed = zlib.compress(image, 1)
        pieces = [packed[at : at + PIECE] for at in range(0, len(packed), PIECE)]
        written: list[tuple[bytes, bytes | None]] = [
            (_name(self.claim, place, number), piece) for number, piece in enumerate(pieces)
        ]
        gone = range(len(pieces), self._pieces.get(place, 0))
        written += [(_name(self.claim, place, number), None) for number in gone]
        self._pieces[place] = len(pieces)
        head = _Head(self._sequence, len(pieces), _digest(packed))
        return [*written, (_name(self.claim, place, -1), msgspec.msgpack.encode(head))]


def found_state(records: Iterable[StateRecord]) -> FoundState:
    """The newest whole snapshot among these records, in the order of the topic. What is foreign is passed over.

    Of two claims the later one counts, whatever the earlier has written after it: who claims reads all that was written before.
    """
    newest: dict[_Key, bytes] = {}
    for record in records:
        if record.key == CLAIM or (key := _key(record.key)) is None:
            continue
        if record.value is None:
            newest.pop(key, None)
        else:
            newest[key] = record.value
    heads = [(key, head) for key, value in newest.items() if key.piece < 0 and (head := _head(value)) is not None]
    heads.sort(key=lambda each: (each[0].claim, each[1].sequence), reverse=True)
    images = (_image(newest, key, head) for key, head in heads)
    image = next((each for each in images if each is not None), None)
    return FoundState(image, tuple(_name(key.claim, key.place, key.piece) for key in newest))


def _image(newest: dict[_Key, bytes], key: _Key, head: _Head) -> bytes | None:
    """A snapshot; None where a piece lacks or is of another one."""
    pieces = [newest.get(_Key(key.claim, key.place, number)) for number in range(head.pieces)]
    packed = b"".join(piece for piece in pieces if piece is not None)
    if None in pieces or _digest(packed) != head.digest:
        return None
    try:
        return zlib.decompress(packed)
    except zlib.error:
        return None


def _name(claim: int, place: str, piece: int) -> bytes:
    return msgspec.json.encode(_Key(claim, place, piece))


def _key(data: bytes) -> _Key | None:
    try:
        return msgspec.json.decode(data, type=_Key)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _head(data: bytes) -> _Head | None:
    try:
        return msgspec.msgpack.decode(data, type=_Head)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _digest(packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=16).digest()

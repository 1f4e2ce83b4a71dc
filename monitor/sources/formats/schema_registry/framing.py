"""Which schema a message was written by: a header that names it, or a prefix of five bytes."""

from typing import NamedTuple
from uuid import UUID

from monitor.sources.base import Headers
from monitor.sources.formats.values import Rejected

Key = int | UUID
"""How a registry knows a schema: by a number of its own, or by a GUID that is the same in all registries."""

VALUE_HEADER, KEY_HEADER = "__value_schema_id", "__key_schema_id"
BY_NUMBER, BY_GUID = 0, 1  # the first byte
PREFIX, GUID = 5, 17  # bytes, the first included


class Framed(NamedTuple):
    """The schema of a message, and what is written by it. `beside` is what the header holds behind the GUID: the indexes of Protobuf.

    None: there was no header, and what is written begins with them.
    """

    key: Key
    payload: bytes
    beside: bytes | None = None


def framed(raw: bytes, headers: Headers = (), header: str = VALUE_HEADER) -> Framed:
    """Take a message apart. A header goes first, the last of its name: one before it was forwarded with the record. Raises Rejected."""
    named = next((value for name, value in reversed(headers) if name == header), None)
    if named is not None and len(named) >= GUID and named[0] == BY_GUID:
        return Framed(UUID(bytes=named[1:GUID]), raw, named[GUID:])
    if len(raw) < PREFIX or raw[0] != BY_NUMBER:
        raise Rejected("no_schema_id")
    return Framed(int.from_bytes(raw[1:PREFIX], "big"), raw[PREFIX:])

"""By which schemas the messages of a batch were written, as they say themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.sources.base import TopicRecords
from monitor.sources.formats.schema_registry.frames import Values, frames
from monitor.sources.formats.schema_registry.framing import VALUE_HEADER, Key, framed
from monitor.sources.formats.values import Rejected

NO_SCHEMA_ID = "no_schema_id"


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """What `values` say of their schemas: `found` are the keys, or why there is none, each once; intp[n] `which` of them each value has.

    `is_framed` bool[n]: whether a frame stands before what is written, whatever a header says.
    """

    values: Values
    found: Sequence[Key | str]
    which: NDArray[np.intp]
    is_framed: NDArray[np.bool_]


def keys_of(records: TopicRecords) -> Keys:
    """The key of each message's schema: that which a header names, else that of its frame."""
    codes, each = frames(records.values)
    known: dict[Key | str, int] = {int.from_bytes(frame[1:], "big"): code for code, frame in enumerate(each)}
    which = codes.astype(np.intp)
    is_framed = which >= 0
    if not is_framed.all():
        which[~is_framed] = known.setdefault(NO_SCHEMA_ID, len(known))
    if not any(records.headers):
        return Keys(records.values, list(known), which, is_framed)
    for place, headers in enumerate(records.headers):
        if headers and any(name == VALUE_HEADER for name, _ in headers):
            which[place] = known.setdefault(_key_of(records, place), len(known))
    found, which = np.unique(which, return_inverse=True)  # behind a header a zero byte need not begin a frame
    each_once = list(known)
    return Keys(records.values, [each_once[at] for at in found.tolist()], which, is_framed)


def key_of(record: TopicRecords) -> Key | str:
    """The same of a single record."""
    return _key_of(record, 0)


def _key_of(records: TopicRecords, place: int) -> Key | str:
    value = records.values[place]
    if value is None:
        return NO_SCHEMA_ID
    try:
        return framed(value, records.headers[place] if records.headers else ()).key
    except Rejected as reason:
        return str(reason)

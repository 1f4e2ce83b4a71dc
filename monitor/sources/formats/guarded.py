"""A decoder of another package: what it fails on is rejected, and costs neither other messages nor the daemon."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from monitor.sources.base import NotNow, RecordParts, TopicRecords
from monitor.sources.formats.base import Decoder, Outward, RecordDecoder, Rows
from monitor.sources.formats.fields import Path
from monitor.sources.formats.values import Rejected

FAILED = "decoder_failed"


class GuardedDecoder:
    """Lets another decoder read, and reads one by one the messages among which it fails on any."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._outward = decoder if isinstance(decoder, Outward) else None

    def fetch(self, records: TopicRecords) -> None:
        """Have what the decoder needs from outside, if it needs any. Raises NotNow; on what else it fails, it fails again as it decodes."""
        if self._outward is None:
            return
        try:
            self._outward.fetch(records)
        except NotNow:
            raise
        except Exception:  # noqa: BLE001 - whatever a stranger's code raises
            return

    def decode(self, values: Sequence[bytes | None]) -> Rows:
        """Read messages. Those that the decoder fails on are rejected as `decoder_failed`."""
        return _each_apart(lambda places: self._decoder.decode([values[at] for at in places]), len(values))

    def inspect(self, raw: bytes) -> Iterable[Mapping[Path, object]]:
        """Read the rows of one message. Raises Rejected."""
        return _inspected(lambda: self._decoder.inspect(raw))


class GuardedRecordDecoder(GuardedDecoder):
    """The same for one that needs more of records than their values."""

    def __init__(self, decoder: Decoder, wants: RecordParts) -> None:
        super().__init__(decoder)
        assert isinstance(decoder, RecordDecoder)
        self._whole: RecordDecoder = decoder
        self._wants = wants

    @property
    def wants(self) -> RecordParts:
        """As it said at first."""
        return self._wants

    def decode_records(self, records: TopicRecords) -> Rows:
        """Read records, as `decode` does."""
        return _each_apart(lambda places: self._whole.decode_records(records.only(places)), len(records.values))

    def inspect_record(self, record: TopicRecords) -> Iterable[Mapping[Path, object]]:
        """Read the rows of one record. Raises Rejected."""
        return _inspected(lambda: self._whole.inspect_record(record))


def guarded(decoder: Decoder) -> GuardedDecoder:
    """A guard before a decoder. What is raised as it says what it wants is the caller's."""
    if not isinstance(decoder, RecordDecoder):
        return GuardedDecoder(decoder)
    wants = decoder.wants
    if not isinstance(wants, RecordParts):
        raise TypeError(f"wants is no RecordParts but {type(wants).__name__}")
    return GuardedRecordDecoder(decoder, wants)


def _each_apart(read: Callable[[Sequence[int]], object], count: int) -> Rows:
    """Read messages by their places: all at once, or without those that are failed on."""
    rows = _read(read, range(count))
    if rows is not None:
        return rows
    good = [place for place in range(count) if _read(read, [place]) is not None]
    rows = _read(read, good) if good else None
    if rows is None:  # it fails on all of them, or on any two together
        return Rows({}, np.empty(0, dtype=np.intp), {FAILED: count})
    failed = {FAILED: rows.rejected.get(FAILED, 0) + count - len(good)}
    return replace(rows, messages=np.array(good, dtype=np.intp)[rows.messages], rejected={**rows.rejected, **failed})


def _read(read: Callable[[Sequence[int]], object], places: Sequence[int]) -> Rows | None:
    """Read messages; None where the decoder fails or returns no rows."""
    try:
        rows = read(places)
    except Exception:  # noqa: BLE001 - whatever a stranger's code raises
        return None
    return rows if isinstance(rows, Rows) else None


def _inspected(inspect: Callable[[], Iterable[Mapping[Path, object]]]) -> Iterable[Mapping[Path, object]]:
    try:
        return list(inspect())
    except Rejected:
        raise
    except Exception:  # noqa: BLE001 - same
        raise Rejected(FAILED) from None

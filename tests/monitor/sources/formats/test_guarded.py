"""Decoders of other packages that need keys or headers are guarded as any other."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from monitor.sources.base import RecordParts, TopicRecords
from monitor.sources.decode.mapping import decode_records, inspect_record
from monitor.sources.formats.base import RecordDecoder, Rows
from monitor.sources.formats.guarded import guarded
from monitor.sources.formats.values import Rejected


class Keyed:
    """Takes the key for the prediction; fails on a record of which the key says so."""

    wants: Any = RecordParts.KEYS

    def decode(self, values: Sequence[bytes | None]) -> Rows:
        return self.decode_records(TopicRecords("t", (), values))

    def inspect(self, raw: bytes) -> Iterable[Mapping[tuple[str, ...], object]]:
        return self.inspect_record(TopicRecords("t", (0,), (raw,)))

    def decode_records(self, records: TopicRecords) -> Rows:
        assert b"boom" not in records.keys
        keys = np.array([None if key is None else key.decode() for key in records.keys or [None] * len(records.values)])
        return Rows({("prediction",): keys}, np.arange(len(records.values)))

    def inspect_record(self, record: TopicRecords) -> Iterable[Mapping[tuple[str, ...], object]]:
        assert record.keys != [b"boom"]
        return [{("prediction",): key} for key in record.keys]


def test_records_that_a_decoder_fails_on_are_rejected_and_no_other() -> None:
    decoder = guarded(Keyed())
    records = TopicRecords("t", [0, 0, 0], [b"1", b"2", b"3"], keys=[b"a", b"boom", b"c"])

    rows = decode_records(decoder, records)

    assert isinstance(decoder, RecordDecoder)
    assert decoder.wants is RecordParts.KEYS
    assert rows.values(0, [("prediction",)]) == ["a"]
    assert rows.messages.tolist() == [0, 2]
    assert rows.rejected == {"decoder_failed": 1}
    assert list(inspect_record(decoder, records.only([2]))) == [{("prediction",): b"c"}]
    with pytest.raises(Rejected, match="decoder_failed"):
        inspect_record(decoder, records.only([1]))


def test_a_decoder_that_wants_what_is_no_part_is_refused() -> None:
    decoder = Keyed()
    decoder.wants = "keys"

    with pytest.raises(TypeError, match="wants is no RecordParts but str"):
        guarded(decoder)

"""Records of replicas: what was written is read, and what cannot be read has one reason."""

import zlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.replicas.cells import SourceLog, ViewPlace
from monitor.replicas.wire import (
    CHECK,
    FORMAT,
    HEAD,
    MAGIC,
    PREFIX,
    PROGRESS,
    CellPrefix,
    CellProgress,
    FaultyRecordError,
    PanePrefix,
    RecordFault,
    read,
    write,
)

CONFIG, OTHER_CONFIG = b"8 bytes!", b"another!"
LOG = SourceLog("predictions", "topic-1", 3)
PLACE = ViewPlace("churn", "3", "de")
A_PREFIX = CellPrefix(LOG, 100, 150, PLACE, {60: PanePrefix(61, b"counts"), 0: PanePrefix(7, b"others")})
A_PROGRESS = CellProgress(LOG, 2, 100, 150, {PLACE: b"digest!!"}, 75, 140, 1_000, 900)


def sealed(head: bytes, body: bytes) -> bytes:
    """A record with the right checksum."""
    return head + body + CHECK.pack(zlib.crc32(head + body))


def fault(data: bytes) -> RecordFault:
    with pytest.raises(FaultyRecordError) as raised:
        read(data, CONFIG)
    return raised.value.fault


def test_what_was_written_is_read() -> None:
    for record in (A_PREFIX, A_PROGRESS, msgspec.structs.replace(A_PROGRESS, confirmed=None, seen=None, silent=True)):
        assert read(write(record, CONFIG), CONFIG) == record


def test_a_digest_is_of_counts_alone() -> None:
    """Where no record follows, a prefix that ends later says the same."""
    later = msgspec.structs.replace(A_PREFIX, end=180)

    assert later.digest == A_PREFIX.digest
    assert msgspec.structs.replace(A_PREFIX, panes={0: PanePrefix(7, b"other")}).digest != A_PREFIX.digest


@pytest.mark.parametrize("record", [A_PREFIX, A_PROGRESS], ids=["prefix", "progress"])
def test_every_way_to_be_bad_has_its_name(record: CellPrefix | CellProgress) -> None:
    data = write(record, CONFIG)

    assert fault(b"") is RecordFault.FOREIGN
    assert fault(b'{"model": "churn"}') is RecordFault.FOREIGN
    assert fault(data + b"more") is RecordFault.DAMAGED
    assert fault(data[:4] + bytes([FORMAT + 1]) + data[5:]) is RecordFault.NEWER
    assert fault(write(record, OTHER_CONFIG)) is RecordFault.CONFIG


@pytest.mark.parametrize("record", [A_PREFIX, A_PROGRESS], ids=["prefix", "progress"])
def test_a_record_that_is_cut_off_anywhere_is_called_so(record: CellPrefix | CellProgress) -> None:
    data = write(record, CONFIG)

    assert {fault(data[:size]) for size in range(1, len(data))} == {RecordFault.TRUNCATED}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([A_PREFIX, A_PROGRESS]), st.integers(0, 10_000), st.integers(1, 255))
def test_no_flipped_bits_pass(record: CellPrefix | CellProgress, at: int, bits: int) -> None:
    data = bytearray(write(record, CONFIG))
    data[at % len(data)] ^= bits

    fault(bytes(data))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([PREFIX, PROGRESS, 9]), st.binary(max_size=60))
def test_content_that_is_none_of_ours_is_malformed_though_its_checksum_fits(kind: int, body: bytes) -> None:
    assert fault(sealed(HEAD.pack(MAGIC, FORMAT, kind, CONFIG, len(body)), body)) is RecordFault.MALFORMED


@pytest.mark.parametrize(
    "record",
    [
        msgspec.structs.replace(A_PREFIX, end=100),
        msgspec.structs.replace(A_PREFIX, begin=-5),
        msgspec.structs.replace(A_PREFIX, panes={}),
        msgspec.structs.replace(A_PROGRESS, end=99),
    ],
    ids=["empty", "negative", "no panes", "backwards"],
)
def test_a_range_that_is_none_is_malformed(record: CellPrefix | CellProgress) -> None:
    assert fault(write(record, CONFIG)) is RecordFault.MALFORMED

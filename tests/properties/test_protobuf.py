"""Protobuf by the official runtime: what it reads is what we read, value by value, compiled and in plain Python; whatever the bytes."""

import math
import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.columns import Column
from monitor.sources.formats.base import Rows
from monitor.sources.formats.protobuf import reading
from monitor.sources.formats.protobuf.columns import MessageRows
from monitor.sources.formats.protobuf.descriptors import Schema
from monitor.sources.formats.protobuf.reading import PlannedReader
from monitor.sources.formats.values import Rejected
from tests.parts import protobuf as official
from tests.parts.protobuf_all import MAPS, all_kinds

PACKAGES = {"pkg": "proto3", "old": "proto2"}


@cache
def kind(package: str) -> tuple[Any, PlannedReader, PlannedReader]:
    """The official class of all kinds of fields, and readers that are told what it is and are not."""
    file = all_kinds(package, syntax=PACKAGES[package])
    schema = Schema.of_set(official.set_of(file))
    message = schema.message(f"{package}.All")
    readers = (PlannedReader(message, strict=strict) for strict in (False, True))
    return official.classes_of(file)(f"{package}.All"), *readers


@pytest.fixture(params=["compiled", "plain"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to read."""
    if request.param == "compiled":
        request.getfixturevalue("compiled_parts")
    monkeypatch.setattr(reading, "COMPILED", request.param == "compiled")
    return str(request.param)


def read(reader: PlannedReader, messages: list[bytes]) -> MessageRows:
    rows = reader.read(list(messages), np.arange(len(messages)), np.zeros(len(messages), dtype=np.int64))
    assert isinstance(rows, MessageRows)
    return rows


def listed(column: Column | None) -> list[Any]:
    """A column as JSON would have it; of an object only that it is one."""
    if column is None:
        return []
    if getattr(column, "dtype", np.dtype(object)).kind == "M":
        return [None if np.isnat(each) else f"{each}Z" for each in np.asarray(column)]
    values = column.tolist()
    return [
        None if isinstance(each, float) and math.isnan(each) else {} if isinstance(each, dict) else each
        for each in values
    ]


def dig(held: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        held = held.get(name) if isinstance(held, Mapping) else None
    return {} if isinstance(held, Mapping) else held


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), package=st.sampled_from(sorted(PACKAGES)))
@pytest.mark.usefixtures("way")
def test_columns_and_documents_are_those_of_the_official_runtime(seed: int, package: str) -> None:
    draw = random.Random(seed)
    made, reader, _ = kind(package)
    messages = [official.fill(made(), draw) for _ in range(3)]
    raw = [each.SerializeToString() for each in messages]
    expected = [official.expected(each) for each in messages]

    rows = read(reader, raw)

    assert rows.messages.tolist() == [0, 1, 2]
    assert [reader.document(each) for each in raw] == expected
    for path in {*rows.columns, *rows.jsonlike}:
        assert listed(rows.column(path)) == [dig(each, path) for each in expected], path


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), package=st.sampled_from(sorted(PACKAGES)))
@pytest.mark.usefixtures("way")
def test_two_messages_behind_each_other_are_one_that_was_merged(seed: int, package: str) -> None:
    """Scalars: the last. Messages: merged. Lists: all. Of a oneof: the last. Of a map: the last entry of a key."""
    draw = random.Random(seed)
    made, reader, _ = kind(package)
    raw = b"".join(official.fill(made(), draw).SerializeToString() for _ in range(2))

    assert reader.document(raw) == official.expected(made.FromString(raw))
    rows = read(reader, [raw])
    for path in {*rows.columns, *rows.jsonlike}:
        assert listed(rows.column(path)) == [dig(official.expected(made.FromString(raw)), path)], path


def damaged(raw: bytes, draw: random.Random) -> bytes:
    found = bytearray(raw)
    for _ in range(draw.randrange(1, 4)):
        at = draw.randrange(len(found) + 1)
        match draw.randrange(4):
            case 0:
                del found[at:]
            case 1:
                found[at : at + 1] = draw.randbytes(1)
            case 2:
                found[at:at] = draw.randbytes(draw.randrange(4))
            case _:
                del found[at : at + 1]
    return bytes(found)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), package=st.sampled_from(sorted(PACKAGES)))
@pytest.mark.usefixtures("compiled_parts")
def test_whatever_the_bytes_both_ways_say_the_same(seed: int, package: str) -> None:
    draw = random.Random(seed)
    made, *readers = kind(package)
    raw = [damaged(official.fill(made(), draw).SerializeToString(), draw) for _ in range(6)]
    for reader in readers:
        with pytest.MonkeyPatch.context() as patch:
            told = []
            for compiled in (True, False):
                patch.setattr(reading, "COMPILED", compiled)
                told.append(said(read(reader, raw), [verdict(reader, each) for each in raw]))
        assert told[0] == told[1]


def said(rows: Rows, verdicts: list[Any]) -> Any:
    assert isinstance(rows, MessageRows)
    paths = sorted({*rows.columns, *rows.jsonlike})
    return rows.messages.tolist(), rows.rejected, {path: listed(rows.column(path)) for path in paths}, verdicts


def verdict(reader: PlannedReader, raw: bytes) -> Any:
    try:
        return reader.document(raw)
    except Rejected as reason:
        return str(reason)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32))
@pytest.mark.usefixtures("way")
def test_what_the_official_runtime_refuses_is_refused_and_what_it_takes_is_the_same(seed: int) -> None:
    """But for a group that ends where none began, which it takes for the end of the message, and for entries of maps that hold
    what no entry does, which it drops."""
    draw = random.Random(seed)
    made, reader, _ = kind("pkg")
    raw = damaged(official.fill(made(), draw).SerializeToString(), draw)
    expected: Any = None
    with suppress(DecodeError):
        expected = made.FromString(raw)

    found = verdict(reader, raw)

    assert expected is not None or isinstance(found, str)
    if isinstance(found, str):
        assert expected is None or found == "malformed_protobuf"
    else:
        with suppress(ValueError):  # a year that no calendar has
            assert without_maps(found) == without_maps(official.expected(expected))


def without_maps(held: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in held.items() if name not in MAPS}


def all_readers() -> Iterator[PlannedReader]:
    for package in PACKAGES:
        yield from kind(package)[1:]


@settings(max_examples=50)
@given(raw=st.binary(max_size=60))
@pytest.mark.usefixtures("way")
def test_any_bytes_are_a_row_or_a_reason(raw: bytes) -> None:
    for reader in all_readers():
        rows = read(reader, [raw])
        assert len(rows) + sum(rows.rejected.values()) == 1

"""How often reading began at a position: counted over processes, begun anew where one got further or ended by itself."""

from pathlib import Path

import pytest

from monitor.store.starts import NAME, Starts
from monitor.stream.events import Partition

A, B = Partition("t", 0), Partition("t", 1)


def test_starts_at_one_position_are_counted_and_others_begin_anew(tmp_path: Path) -> None:
    assert Starts(tmp_path).begin({A: 5, B: 7}) == {}
    assert Starts(tmp_path).begin({A: 5, B: 8}) == {A: 1}
    assert Starts(tmp_path).begin({A: 5, B: 8}) == {A: 2, B: 1}


def test_partitions_that_are_found_later_are_counted_too(tmp_path: Path) -> None:
    for deaths in ({}, {B: 1}):
        starts = Starts(tmp_path)
        starts.begin({A: 1 if not deaths else 2})

        assert starts.begin({B: 3}) == deaths


def test_a_process_that_ends_by_itself_has_not_died(tmp_path: Path) -> None:
    starts = Starts(tmp_path)
    starts.begin({A: 5})
    with pytest.raises(OSError, match="port"), starts.orderly():
        raise OSError("port")

    assert Starts(tmp_path).begin({A: 5}) == {}


def test_a_process_that_has_run_out_of_memory_has(tmp_path: Path) -> None:
    starts = Starts(tmp_path)
    starts.begin({A: 5})
    with pytest.raises(MemoryError), starts.orderly():
        raise MemoryError

    assert Starts(tmp_path).begin({A: 5}) == {A: 1}


@pytest.mark.parametrize("content", [b"", b"[[", b'[["t",0,"x",1]]', b"\xff\xff"])
def test_a_file_that_is_damaged_counts_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)

    assert Starts(tmp_path).begin({A: 5}) == {}
    assert Starts(tmp_path).begin({A: 5}) == {A: 1}


def test_where_nothing_can_be_written_nothing_is_counted(tmp_path: Path) -> None:
    assert Starts(tmp_path / "absent").begin({A: 5}) == {}
    assert Starts(tmp_path / "absent").begin({A: 5}) == {}

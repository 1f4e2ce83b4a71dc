"""Dead letters in a directory: each record once, whatever kills the writer; full is said and nothing is dropped unless somebody said so."""

import json
import os
from collections import deque
from pathlib import Path

import pytest

from monitor.facts import DeadLettersDropped, DeadLettersKept
from monitor.store.dead_letters import DeadLetterError, DeadLetterFiles, letters_in, line_of, segments
from monitor.store.opening import StateError
from monitor.stream.events import SECOND, Partition
from monitor.stream.rejected import RejectedRecord
from tests.fakes import NOON

P0 = Partition("t", 0)
MANY = 8_000_000  # bytes: a segment is an eighth of it


def letter(offset: int, value: bytes | None = b"{", reason: str = "malformed_json") -> RejectedRecord:
    return RejectedRecord(P0, offset, [(None, reason)], NOON, value, b"k", [("h", b"\xff"), ("none", None)])


def begun(
    directory: Path, saved: bytes | None = None, most: int = MANY, *, drop_oldest: bool = False
) -> DeadLetterFiles:
    found = DeadLetterFiles(directory, most, drop_oldest=drop_oldest)
    found.begin(saved)
    return found


def offsets(directory: Path) -> list[int]:
    return [each.offset for each in letters_in(directory)]


def checkpoint(files: DeadLetterFiles) -> bytes:
    """What a checkpoint saves."""
    files.secure()
    record = files.record
    files.covered()
    assert record.payload is not None
    return record.payload


def test_a_record_is_kept_as_it_came(tmp_path: Path) -> None:
    files = begun(tmp_path / "letters")
    rows = RejectedRecord(P0, 8, [(2, "timestamp_missing"), (5, "timestamp_missing")], value=b"[]")
    files.write(deque([letter(7, b"\x00\xff"), letter(9, None), rows]))

    first, second, third = letters_in(tmp_path / "letters")
    assert (first.topic, first.partition, first.offset, first.reason) == ("t", 0, 7, "malformed_json")
    assert (first.value, first.key, list(first.headers)) == (b"\x00\xff", b"k", [("h", b"\xff"), ("none", None)])
    assert first.time is not None
    assert first.time.timestamp() == NOON // SECOND
    assert second.value is None
    assert (third.events, list(third.rows)) == (2, [(2, "timestamp_missing"), (5, "timestamp_missing")])
    assert json.loads(line_of(letter(7)))["value"] == "ew=="
    assert files.news() == [
        DeadLettersKept("t", "malformed_json", 2, 16),
        DeadLettersKept("t", "timestamp_missing", 2, 2),
    ]
    assert (tmp_path / "letters").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("torn", [b"", b'{"topic": "t", "par'])
def test_what_no_checkpoint_covers_is_cut_off_and_comes_again(tmp_path: Path, torn: bytes) -> None:
    files = begun(tmp_path)
    files.write(deque(map(letter, range(3))))
    saved = checkpoint(files)
    files.write(deque([letter(3, bytes(1_000_000)), letter(4)]))  # in two segments
    files.close()
    assert len(segments(tmp_path)) == 2
    with max(tmp_path.glob("*.jsonl")).open("ab") as last:
        last.write(torn)

    again = begun(tmp_path, saved)

    assert offsets(tmp_path) == [0, 1, 2]
    again.write(deque([letter(3)]))
    assert offsets(tmp_path) == [0, 1, 2, 3]


def test_a_state_that_is_older_cuts_nothing_and_a_torn_line_is_repaired(tmp_path: Path) -> None:
    files = begun(tmp_path)
    files.write(deque([letter(0)]))
    older = checkpoint(files)
    files.write(deque([letter(1)]))
    checkpoint(files)
    files.close()
    with max(tmp_path.glob("*.jsonl")).open("ab") as last:
        last.write(b'{"topic"')

    for saved in (older, None, b"damaged"):
        begun(tmp_path, saved).close()

        assert offsets(tmp_path) == [0, 1]
    again = begun(tmp_path, older)
    again.write(deque([letter(1)]))
    assert offsets(tmp_path) == [0, 1, 1]
    assert len(segments(tmp_path)) == 2  # what was covered is not touched


def test_what_is_taken_away_meanwhile_is_not_missed(tmp_path: Path) -> None:
    files = begun(tmp_path)
    files.write(deque([letter(0)]))
    saved = checkpoint(files)
    files.close()
    next(tmp_path.glob("*.jsonl")).unlink()

    again = begun(tmp_path, saved)
    again.write(deque([letter(1)]))

    assert offsets(tmp_path) == [1]
    assert list(segments(tmp_path)) == [2]


def test_a_full_directory_takes_no_more_until_there_is_room(tmp_path: Path) -> None:
    files, waiting = begun(tmp_path), deque(letter(offset, bytes(700_000)) for offset in range(30))

    with pytest.raises(
        DeadLetterError, match=r"is full: .* dead_letters\.max_size is 8000000; take all but the newest"
    ):
        files.write(waiting)
    taken = 30 - len(waiting)
    assert 8 <= taken < 20
    assert offsets(tmp_path) == list(range(taken))
    for oldest in sorted(tmp_path.glob("*.jsonl"))[:-1]:
        oldest.unlink()

    with pytest.raises(DeadLetterError, match="is full"):
        files.write(waiting)
    assert 0 < len(waiting) < 30 - taken
    files.secure()


def test_the_oldest_go_where_that_is_wanted(tmp_path: Path) -> None:
    files = begun(tmp_path, drop_oldest=True)
    files.write(deque(letter(offset, bytes(700_000)) for offset in range(30)))

    kept = offsets(tmp_path)
    dropped = [fact for fact in files.news() if isinstance(fact, DeadLettersDropped)]
    assert kept == list(range(kept[0], 30))
    assert kept[0] > 0
    assert dropped[0].path.endswith("letters-00000001.jsonl")
    assert files.size < MANY + 2_000_000


def test_a_record_that_fills_the_directory_alone_is_not_in_the_way_of_the_next(tmp_path: Path) -> None:
    """Where the oldest go it goes as well; where nothing goes, it is one of those that can be taken away."""
    large = [letter(offset, bytes(1_000_000)) for offset in range(4)]
    dropping = begun(tmp_path / "dropping", most=1_000_000, drop_oldest=True)
    dropping.write(deque(large))
    assert offsets(tmp_path / "dropping") == [3]
    dropping.secure()

    full, waiting = begun(tmp_path / "full", most=1_000_000), deque(large)
    for left in (3, 2, 1):
        with pytest.raises(DeadLetterError, match="take all but the newest segment away"):
            full.write(waiting)
        assert len(waiting) == left
        for oldest in sorted((tmp_path / "full").glob("*.jsonl"))[:-1]:
            oldest.unlink()
    full.write(waiting)
    full.secure()
    assert offsets(tmp_path / "full") == [3]


def test_a_write_that_fails_leaves_no_half_of_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, waiting, write = begun(tmp_path), deque([letter(0), letter(1)]), os.write
    room = [100]

    def full(handle: int, lines: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        taken = write(handle, lines[: room[0]])
        room[0] -= taken
        return taken

    monkeypatch.setattr(os, "write", full)
    for _ in range(2):
        with pytest.raises(DeadLetterError, match="No space left on device"):
            files.write(waiting)
        assert (len(waiting), offsets(tmp_path)) == (2, [])
    assert sum(segments(tmp_path).values()) == 0
    monkeypatch.setattr(os, "write", write)
    files.write(waiting)

    assert offsets(tmp_path) == [0, 1]


@pytest.mark.parametrize("taken", ["deleted", "replaced"])
def test_a_segment_that_is_taken_away_while_it_is_written_is_noticed(tmp_path: Path, taken: str) -> None:
    files = begun(tmp_path)
    files.write(deque([letter(0)]))
    segment = next(tmp_path.glob("*.jsonl"))
    segment.unlink()
    if taken == "replaced":
        segment.write_bytes(b"")

    with pytest.raises(StateError, match="was deleted or replaced while driftd ran"):
        files.secure()


def test_a_directory_has_one_daemon_and_must_be_one(tmp_path: Path) -> None:
    begun(tmp_path / "letters")
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StateError, match="is in use by another driftd"):
        begun(tmp_path / "letters")
    with pytest.raises(StateError, match=r"dead_letters\.directory: .*file cannot be used"):
        begun(tmp_path / "file")

"""States: a damaged file is whole, recovered and said, or refused in a line; a row that no driftd wrote is refused, too."""

from collections.abc import Callable, Iterator
from pathlib import Path

from monitor.pipeline import Pipeline
from monitor.series.records import FOREIGN, Record
from monitor.store import files
from tests.build import make_pipeline, make_rule, play
from tests.damaged import fresh_copy, killed_states, opened
from tests.monitor.store.test_damage import fault

WORDS = ('["churn","3"]', "null", "true", "[]", "{}", "-1", "9223372036854775807", "1e308")
FILES = (files.DATABASE, f"{files.DATABASE}-wal")
ROWS = len(FILES)  # what is changed is one of the files, or a row
HEAD = 4  # bytes before what an edit writes: 3 say where, the last one how long it is


def edits(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Places, and what is written there."""
    while len(data) >= HEAD:
        end = HEAD + data[HEAD - 1] % 64
        yield int.from_bytes(data[: HEAD - 1], "little"), data[HEAD:end]
        data = data[end:]


def edited(content: bytes, data: bytes) -> bytes:
    """The content with these edits: at an odd place they are put in, and where nothing is written it is cut."""
    found = bytearray(content)
    for place, written in edits(data):
        at = place // 2 % (len(found) + 1)
        if not written:
            del found[at:]
        elif place % 2:
            found[at:at] = written
        else:
            found[at : at + len(written)] = written
    return bytes(found)


def a_pipeline() -> Pipeline:
    """One that saves rows of many kinds."""
    return make_pipeline(rules=[make_rule(hold=2, keep_firing_for=2)])


def seeds() -> list[bytes]:
    """An edit of each way in each file, and in each row."""
    ways = [b"\x10\x20\0\1\xff", b"\x11\x20\0\1\xff", b"\0\x10\0\0", b"\2\0\0\4\0\0\0\0"]
    whole = a_pipeline()
    play(whole, "BBDCB")
    rows = [bytes([ROWS, at]) for at in range(len(whole.snapshot()))]
    return [*(bytes([at, 0]) + way for at in range(ROWS) for way in ways), *(row + way for row in rows for way in ways)]


def prepared(home: Path) -> Callable[[bytes], None]:
    """What takes one input: a byte that says of which file, or that it is a row, one that says which row; then edits."""
    saved = killed_states(home / "killed", 1)
    contents = [(home / "killed" / name).read_bytes() for name in FILES]
    whole = a_pipeline()
    play(whole, "BBDCB")
    records = sorted(whole.snapshot(), key=lambda record: (record.kind, record.key))

    def check(data: bytes) -> None:
        if len(data) < 2:
            return
        which = data[0] % (ROWS + 1)
        if which == ROWS:
            restore(data[1] % len(records), data[2:])
        else:
            open_file(which, data[2:])

    def open_file(which: int, data: bytes) -> None:
        fresh_copy(home / "killed", home / "state")
        (home / "state" / FILES[which]).write_bytes(edited(contents[which], data))
        found, again = opened(home / "state"), opened(home / "state")
        assert found.refused is None, found.refused  # there is a backup
        assert again.refused is None, again.refused
        assert fault(found, saved) is None
        assert not again.recovered
        assert again.content == found.content

    def restore(which: int, data: bytes) -> None:
        rows = list(records)
        rows[which] = Record(rows[which].kind, rows[which].key, edited(rows[which].payload or b"", data))
        try:
            a_pipeline().restore(rows, 0)
        except FOREIGN:
            return  # which the daemon says in a line

    return check

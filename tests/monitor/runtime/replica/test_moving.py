"""The state that moves: whoever is cut off, whenever Kafka compacts, an owner takes up the newest whole snapshot, and nothing of a zombie."""

import random

from hypothesis import given
from hypothesis import strategies as st

from monitor.runtime.replica.moving import CLAIM, PIECE, StateRecord, StateWriter, found_state

Log = list[tuple[bytes, bytes | None]]


def records(log: Log) -> list[StateRecord]:
    return [StateRecord(offset, key, value) for offset, (key, value) in enumerate(log)]


def compacted(log: Log, upto: int) -> list[StateRecord]:
    """What stays where the records before some offset are compacted: of each key the newest, and at its offset."""
    last = {key: offset for offset, (key, _) in enumerate(log[:upto])}
    return [each for each in records(log) if each.offset >= upto or last[each.key] == each.offset]


def claimed(log: Log) -> StateWriter:
    """A new owner, that begins with its claim."""
    log.append((CLAIM, b""))
    return StateWriter(len(log) - 1)


def noise(size: int) -> bytes:
    """Bytes that do not compress, the same each time."""
    return random.Random(size).randbytes(size)


def image(number: int, pieces: int) -> bytes:
    """A state that does not compress, of about so many pieces."""
    return number.to_bytes(4) + noise(PIECE * pieces // 100)


scripts = st.lists(
    st.tuples(st.sampled_from(["write", "write", "write", "cut", "claim"]), st.integers(0, 3), st.integers(0, 250)),
    max_size=25,
)


@given(scripts, st.floats(0, 1))
def test_an_owner_takes_up_the_newest_whole_snapshot_of_the_latest_claim_that_has_one(
    script: list[tuple[str, int, int]], compact: float
) -> None:
    log = Log()
    writers = [claimed(log)]
    dead, whole = set[int](), dict[int, bytes]()
    for number, (kind, who, size) in enumerate(script):
        writer = writers[-1 - who % len(writers)]  # who was taken for dead may go on
        if kind == "claim":
            writers.append(claimed(log))
        elif writer.claim not in dead:
            said = image(number, size)
            written = writer.records(said)
            if kind == "cut":
                dead.add(writer.claim)
                written = written[: size % len(written)]
            else:
                whole[writer.claim] = said
            log += written

    wanted = whole[max(whole)] if whole else None
    assert found_state(records(log)).image == wanted
    assert found_state(compacted(log, round(compact * len(log)))).image == wanted


def test_what_is_stale_is_all_that_was_written_and_can_go() -> None:
    log = Log()
    before = claimed(log)
    log += before.records(noise(3 * PIECE))
    log += before.records(b"smaller")
    after = claimed(log)
    stale = found_state(records(log)).stale
    log += after.records(b"newer")

    log += [(key, None) for key in stale]

    found = found_state(records(log))
    assert found.image == b"newer"
    assert {key for key, value in log if value is not None and key != CLAIM} - set(stale) == set(found.stale)


def test_a_smaller_snapshot_leaves_no_pieces_of_a_larger_one() -> None:
    log = Log()
    writer = claimed(log)
    for size in (3 * PIECE, 10, 10):
        log += writer.records(noise(size))

    kept = {each.key for each in compacted(log, len(log)) if each.value is not None}

    assert len(kept) == 1 + 2 * 2  # the claim; a piece and a head in each place


def test_what_is_foreign_or_damaged_is_passed_over() -> None:
    log = Log()
    writer = claimed(log)
    log += writer.records(b"first")
    (name, piece), *head = writer.records(b"second")
    assert piece is not None
    log += [(b"no key of ours", b"x"), (b"[1]", b"x"), (name, piece[:-1]), *head]

    assert found_state(records(log)).image == b"first"

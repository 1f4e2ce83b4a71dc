"""Where rows stand in their partitions, whoever read them: laws of the offsets that a schema's changes are told with."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitor.sources.base import TopicRecords
from monitor.stream.events import OffsetRange, Partition
from tests.fakes import NOON
from tests.properties.test_contract_live import contract_of, decoder, messages

FIRST = 500
[GOOD] = messages([{"features": {"a": 1}}])
KINDS: dict[str, bytes | None] = {
    "good": GOOD,
    "without": GOOD.replace(b'"a": 1', b'"b": 1'),
    "nan": GOOD.replace(b'"a": 1', b'"a": NaN'),
    "huge": GOOD.replace(b'"a": 1', b'"a": 1' + b"0" * 400),  # left to the reader of last resort
    "surrogate": GOOD.replace(b'"a": 1', b'"a": 1, "plan": "\\ud800"'),
    "another's": GOOD.replace(b"churn", b"fraud").replace(b'"a": 1', b'"a": 1' + b"0" * 400),
    "tombstone": None,
    "truncated": GOOD[:-4],
    "timeless": b'{"model": "churn", "version": "3"}',
}
NOBODYS = {"another's", "tombstone", "truncated", "timeless"}
LACKING = {"without", "nan", "huge"}  # what is not finite is missing


@pytest.mark.parametrize("way", ["compiled", "typed", "lenient"])
@settings(max_examples=60, deadline=None)
@given(held=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=12), cut=st.integers(0, 12))
@example(held=["tombstone", "huge"], cut=0)
@example(held=["truncated", "huge", "another's"], cut=0)
def test_rows_stand_where_their_messages_stand(way: str, held: list[str], cut: int) -> None:
    found = decoder(contract_of({"a": {"type": "number", "required": True}}), way)
    offsets, lacking = list[int](), list[int]()
    for first, names in ((0, held[:cut]), (cut, held[cut:])):
        if names:
            span = OffsetRange(Partition("t", 0), FIRST + first, FIRST + first + len(names) - 1)
            records = TopicRecords("t", [0] * len(names), [KINDS[name] for name in names], (span,))
            for batch in found.decode(records, NOON).schemas:
                offsets += (rows := batch.rows).offsets.tolist()
                lacking += rows.offsets[rows.changed[0]].tolist() if rows.columns else []

    ours = [(FIRST + at, name) for at, name in enumerate(held) if name not in NOBODYS]
    assert offsets == [offset for offset, _ in ours]
    assert lacking == [offset for offset, name in ours if name in LACKING]

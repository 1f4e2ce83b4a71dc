"""Pieces of events that are put below each other: the same rows, and the same reference."""

import numpy as np
import pytest

from detectors import Kind
from monitor.sources.decode import learner
from monitor.sources.decode.finding import FeatureFinder, FoundFeature
from monitor.sources.decode.learner import EventColumns, joined
from monitor.sources.formats.fields import FieldMap
from tests.charted import seeded


def piece(rng: np.random.Generator, rows: int, others: tuple[str, ...] = (), *, grouped: bool = True) -> EventColumns:
    return EventColumns(
        rng.integers(0, 10**18, rows),
        {"age": rng.normal(size=rows)},
        {"plan": rng.integers(-1 - len(others), 2, rows).astype(np.int32)},
        {"plan": others},
        groups=rng.integers(0, 9, rows).astype(np.uint64) if grouped else None,
    )


def rows_of(pieces: list[EventColumns]) -> list[tuple[object, ...]]:
    finder = FeatureFinder(
        FieldMap(), features={"plan": FoundFeature("plan", Kind.CATEGORICAL, {"free": None, "pro": None})}
    )
    found: list[tuple[object, ...]] = []
    for each in pieces:
        plan = each.columns(finder)["plan"]
        texts = [plan.values[at] for at in plan.rows.tolist()]  # type: ignore[union-attr]
        groups = [None] * each.times.size if each.groups is None else each.groups.tolist()
        found += zip(each.times.tolist(), each.numbers["age"].tolist(), texts, groups, strict=True)
    return found


def test_rows_are_the_same_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner, "JOINED", 50)
    rng = seeded()
    texts: list[tuple[str, ...]] = [(), (), ("new",), (), ("new", "newer"), (), (), (), (), (), ()]
    pieces = [piece(rng, int(rng.integers(1, 30)), others) for others in texts]
    pieces += [piece(rng, 7, grouped=False), piece(rng, 3, grouped=False)]
    found = list(joined(iter(pieces)))

    assert rows_of(found) == rows_of(pieces)
    assert len(found) < len(pieces)
    assert all(each.times.size < 50 + 30 for each in found)
    assert list(joined(iter([]))) == []

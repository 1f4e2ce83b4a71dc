"""The search for batches that kill, over logs that are drawn: what scouts would see is worked out from the log."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from monitor.sources.kafka.scout import Stage
from monitor.sources.kafka.search import KillerSearch, Order, Sighting


@dataclass(frozen=True)
class Log:
    """Batches as they follow each other: how many records each, and which kill whoever fetches them."""

    batches: tuple[tuple[int, bool], ...]

    @property
    def end(self) -> int:
        return sum(count for count, _ in self.batches)

    @property
    def killers(self) -> list[tuple[int, int]]:
        found, first = [], 0
        for count, kills in self.batches:
            found += [(first, first + count)] if kills else []
            first += count
        return found

    def seen(self, order: Order, behind: int) -> Sighting:
        """A scout that dies has not told of the last so many records that it brought."""
        killer = next((first for first, after in self.killers if order.offset < after), None)
        if killer is not None and (not order.alone or order.offset >= killer):
            return Sighting(Stage.READING, max(order.offset, killer - behind), died=True)
        return Sighting(Stage.THROUGH, min(order.offset + 1, self.end) if order.alone else self.end)


def found(log: Log, start: int, behind: int) -> list[tuple[int, int]]:
    search = KillerSearch(start)
    while (order := search.order) is not None:
        search.saw(log.seen(order, behind))
    return search.ranges


READABLE = st.tuples(st.integers(1, 40), st.just(False))


@given(
    before=st.lists(READABLE, max_size=4),
    killer=st.integers(1, 300),
    after=st.lists(READABLE, max_size=4),
    data=st.data(),
)
def test_one_batch_that_kills_is_stepped_over_and_no_other_record(
    before: list[tuple[int, bool]], killer: int, after: list[tuple[int, bool]], data: st.DataObject
) -> None:
    log = Log((*before, (killer, True), *after))
    start = data.draw(st.integers(0, log.killers[0][1] - 1))

    [(first, end)] = log.killers
    assert found(log, start, data.draw(st.integers(0, 3))) == [(max(first, start), end)]


@given(batches=st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=8), behind=st.integers(0, 3))
def test_every_batch_that_kills_is_stepped_over_and_what_else_goes_lies_between_two(
    batches: list[tuple[int, bool]], behind: int
) -> None:
    """Whoever dies does not say which batch has killed it: of what lies close between two that do, not all is found."""
    log = Log(tuple(batches))
    ranges = found(log, 0, behind)

    stepped = {offset for first, end in ranges for offset in range(first, end)}
    killing = {offset for first, end in log.killers for offset in range(first, end)}
    assert killing <= stepped
    assert {first for first, _ in ranges} <= {first for first, _ in log.killers}
    assert {end for _, end in ranges} <= {end for _, end in log.killers}


def test_what_is_not_certain_is_not_stepped_over() -> None:
    """The broker is away, or a scout was killed from outside."""
    for unknown in (Sighting(Stage.READING, 5), Sighting(Stage.SENT, died=True), Sighting(Stage.LOST)):
        search = KillerSearch(5)
        search.saw(Sighting(Stage.READING, 5, died=True))
        search.saw(unknown)

        assert search.order is None
        assert search.ranges == []

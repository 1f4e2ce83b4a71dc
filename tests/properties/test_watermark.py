"""Laws of the watermark, whatever partitions do."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.stream.events import SECOND, Partition
from monitor.stream.watermark import Watermark
from tests.build import P0, P1, P2, at

IDLE_AFTER = 30 * SECOND

steps = st.lists(
    st.tuples(
        st.sampled_from(["assign", "observe", "observe", "read", "confirm", "wait", "restart"]),
        st.sampled_from([P0, P1, P2]),
        st.integers(0, 50),
    ),
    max_size=60,
)


@given(steps)
def test_the_watermark_never_goes_back_and_passes_no_unread_partition_and_no_frontier(
    todo: list[tuple[str, Partition, int]],
) -> None:
    watermark, now = Watermark(IDLE_AFTER), at(0)
    for what, partition, number in todo:
        before = watermark.value
        if what == "assign" or partition not in watermark.partitions:
            watermark.assign({partition}, now)
        match what:
            case "observe":
                watermark.read(partition)
                watermark.observe(partition, at(number), now)
            case "read":
                watermark.read(partition)
            case "confirm":
                watermark.confirm(partition, now)
            case "restart":
                saved = {one: (clock.seen, clock.idle) for one, clock in watermark.partitions.items()}
                watermark = Watermark(IDLE_AFTER)
                watermark.value = before
                for one, (seen, idle) in saved.items():
                    watermark.restore(one, seen, idle=idle, now=now)
                watermark.assign(saved, now)
        now += number * SECOND
        moved = watermark.advance()

        assert moved == (watermark.value != before)
        assert before is None or (watermark.value is not None and watermark.value >= before)
        if moved:
            clocks = watermark.partitions.values()
            lagging = [clock.seen for clock in clocks if clock.confirmed is None]
            assert all(seen is not None and watermark.value <= seen for seen in lagging)
            assert all(
                watermark.value <= clock.confirmed for clock in clocks if clock.idle and clock.confirmed is not None
            )

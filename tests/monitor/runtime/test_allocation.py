"""When freed memory is given back."""

from monitor.runtime.allocation import EVERY, FreedMemory


def test_it_is_given_back_once_an_interval() -> None:
    asked: list[int] = []

    def trim(padding: int) -> int:
        asked.append(padding)
        return 1

    freed = FreedMemory(trim)
    for turn in range(100):
        freed.see(turn * EVERY // 10)

    assert asked == [0] * 9


def test_a_clock_that_was_set_back_does_not_end_it() -> None:
    asked: list[int] = []
    freed = FreedMemory(lambda padding: asked.append(padding) or 1)

    for now in (100 * EVERY, EVERY, EVERY + 1, 2 * EVERY):
        freed.see(now)

    assert len(asked) == 2


def test_the_c_library_is_asked_where_it_can() -> None:
    freed = FreedMemory()

    freed.see(0)
    freed.see(2 * EVERY)

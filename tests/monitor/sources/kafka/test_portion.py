"""How much is taken at once follows what messages cost, down and up again."""

import pytest

from monitor.sources.kafka.portion import HELD, LEAST, SEEN, Portion

MOST = 10_000


def turned(portion: Portion, *, turns: int, cost: float, held: bool = False) -> int:
    """So many turns at so many seconds a message; how many messages are taken after them."""
    for _ in range(turns):
        messages = portion.messages // HELD if held else portion.messages
        portion.took(messages, messages * cost)
    return portion.messages


@pytest.mark.parametrize("held", [False, True])
def test_after_turns_that_were_long_it_grows_again_also_while_partitions_are_held(held: bool) -> None:
    portion = Portion(MOST)

    assert turned(portion, turns=SEEN, cost=0.001) == LEAST
    assert turned(portion, turns=SEEN, cost=1e-6, held=held) == MOST


@pytest.mark.parametrize("most", [1, 2, 10, LEAST, MOST])
def test_a_turn_without_messages_says_nothing(most: int) -> None:
    portion = Portion(most)
    portion.took(0, 60.0)

    assert portion.messages == most

"""Long walks of state machines: each rule takes a run of moves, a byte each, so that Hypothesis draws a step for a tenth of what a rule costs."""

import os
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

MOVES = 20  # of one rule
RULES = 50  # of one walk
FACTOR = int(os.environ.get("WALKS", "1"))  # so many times as long: `make walks`

moves = st.binary(min_size=MOVES, max_size=MOVES)


class Walk(RuleBasedStateMachine):
    """A machine that counts its steps."""

    taken: ClassVar[int] = 0

    def count(self) -> None:
        """One more."""
        type(self).taken += 1


def walk(machine: type[Walk], steps: int) -> None:
    """Take at least so many steps, in walks that begin anew."""
    machine.taken = 0
    wanted = steps * FACTOR
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=-(-wanted // (MOVES * RULES)) + 3,
            stateful_step_count=RULES + 1,  # its beginning is one
            deadline=None,
            suppress_health_check=[*HealthCheck],
        ),
    )
    assert machine.taken >= wanted, f"{machine.taken} steps"

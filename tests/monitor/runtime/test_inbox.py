"""From the threads of HTTP to the loop: an answer means that it is saved; no answer means that asking again is safe."""

import time
from collections.abc import Callable
from threading import Thread

import pytest

from monitor.alerting.decisions import Asked, Decision, Scope, Silence
from monitor.facts import DecisionMade, Fact
from monitor.runtime.inbox import Inbox, NotSavedError
from tests.build import HOUR
from tests.fakes import NOON

ASKED = Asked("1", Silence(Scope("churn"), HOUR), "ana")


def decide(asked: Asked) -> list[Fact]:
    return [DecisionMade(Decision(asked, "churn", NOON, None))]


class Asking(Thread):
    """Somebody who asks, and what came of it."""

    def __init__(self, inbox: Inbox) -> None:
        super().__init__(daemon=True)
        self.answer: object = None
        self._inbox = inbox
        self.start()

    def run(self) -> None:
        try:
            self.answer = self._inbox.ask(ASKED)
        except NotSavedError as error:
            self.answer = str(error)

    def heard(self) -> object:
        self.join(10)
        return self.answer


def open_inbox(patience: float = 10.0) -> Inbox:
    inbox = Inbox(patience)
    inbox.open()
    return inbox


def taken(inbox: Inbox, by: Callable[[Asked], list[Fact]] = decide) -> list[Fact]:
    """What the loop takes, once somebody asks."""
    deadline = time.monotonic() + 10
    while not (facts := inbox.take(by)):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return facts


def test_the_answer_comes_with_the_checkpoint_and_not_before() -> None:
    inbox = open_inbox()
    asking = Asking(inbox)
    assert taken(inbox) == decide(ASKED)
    assert inbox.unsaved
    asking.join(0.05)
    assert asking.answer is None

    inbox.saved()
    assert asking.heard() == decide(ASKED)[0]
    assert not inbox.unsaved
    assert inbox.take(decide) == []


def test_who_gives_up_before_the_loop_came_has_changed_nothing() -> None:
    inbox = open_inbox(patience=0.01)

    assert Asking(inbox).heard() == "not saved within 0.01 s: nothing was done"
    assert inbox.take(decide) == []


def test_who_gives_up_before_it_is_saved_does_not_know() -> None:
    inbox = open_inbox(patience=2.0)  # a busy machine takes its time to take it
    asking = Asking(inbox)
    taken(inbox)

    assert asking.heard() == "not saved within 2 s: it is not known whether it will be"
    inbox.saved()  # nobody waits any more


def test_before_the_loop_turns_and_after_it_nobody_waits() -> None:
    inbox = Inbox()
    with pytest.raises(NotSavedError, match=r"^driftd is starting$"):
        inbox.ask(ASKED)
    inbox.open()
    inbox.close()

    with pytest.raises(NotSavedError, match=r"^driftd is stopping$"):
        inbox.ask(ASKED)


def test_who_waits_at_the_end_is_told_so() -> None:
    inbox = open_inbox()
    first = Asking(inbox)
    taken(inbox)
    second = Asking(inbox)
    while inbox._queue.empty():
        time.sleep(0.001)
    inbox.close()

    assert first.heard() == "driftd is stopping, and could not save it"
    assert second.heard() == "driftd is stopping: nothing was done"

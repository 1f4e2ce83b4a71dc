"""The outbox to a real receiver, on a clock set by hand: until taken, in order, and never twice under another id."""

import os
import random
import socket
import sqlite3
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpcore
import pytest
import standardwebhooks

from monitor.facts import DeliveryTried
from monitor.store.outbox import AddressedNotice, Backlog, Notice, OutboxRow
from monitor.store.sqlite import StateStore
from monitor.stream.events import SECOND
from monitor.targets.base import AlreadyThere, Delivered, Fault, Refused, Subscriber, TryLater
from monitor.targets.notifier import GIVE_UP_AFTER, LONGEST_DELAY, LONGEST_OF_REQUESTS, Notifier, delay_after
from monitor.targets.transport import Transport
from monitor.targets.webhook import Webhook, decode_secret
from tests.fakes import NOON, Answer, ListTarget, ManualClock, Receiver, hang

SECRET = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
DAY = 86_400


def note(name: str, target: str, *, subject: str = "churn/3/drift") -> AddressedNotice:
    return AddressedNotice(Notice(name, "model.alert.firing", subject, NOON, b"{}"), (target,))


def of_type_webhook(webhook: Webhook) -> Subscriber:
    return Subscriber(webhook, "webhook", frozenset({"*"}))


class Scene:
    """A store with its notifier, a receiver and a clock."""

    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self.receiver = Receiver()
        self.io = Transport(self.clock)
        self.facts: list[DeliveryTried] = []
        self.directory = directory
        self.open()

    def open(self) -> None:
        self.store = StateStore(self.directory)
        self.notifier = self.make_notifier("trainer")

    def make_notifier(self, name: str) -> Notifier:
        webhook = Webhook(name, self.receiver.url, decode_secret(SECRET), timeout=5.0)
        return Notifier(of_type_webhook(webhook), self.store, self.clock, self.facts.append)

    def restart(self) -> None:
        self.store.close()
        self.open()

    def say(self, *names: str, subject: str = "churn/3/drift") -> None:
        self.store.save([], {}, [note(name, "trainer", subject=subject) for name in names], self.clock.now())

    def deliver(self) -> list[str]:
        """Everything due now; the ids of what the receiver was sent."""
        before = len(self.receiver.requests)
        while self.notifier.turn(self.io):
            pass
        return [request.headers["webhook-id"] for request in self.receiver.requests[before:]]

    def after(self, seconds: float) -> list[str]:
        self.clock.advance(seconds)
        return self.deliver()

    def close(self) -> None:
        self.store.close()
        self.receiver.close()
        self.io.__exit__()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    found = Scene(tmp_path)
    yield found
    found.close()


def outcomes(scene: Scene) -> list[str]:
    return [fact.outcome for fact in scene.facts]


def test_what_is_due_is_delivered_once(scene: Scene) -> None:
    scene.say("a")

    assert scene.deliver() == ["a"]
    assert scene.after(DAY) == []
    assert scene.facts == [DeliveryTried("trainer", "webhook", "a", "delivered", 204, "")]
    assert scene.store.backlog() == {}


def test_a_failure_is_tried_again_with_the_same_id_and_body_and_a_fresh_signature(scene: Scene) -> None:
    scene.receiver.answers = [500, 500]
    scene.say("a")

    assert scene.deliver() == ["a"]
    assert scene.after(0.5) == []
    assert scene.after(1) == ["a"]
    assert scene.after(1) == []
    assert scene.after(2) == ["a"]

    assert outcomes(scene) == ["retried", "retried", "delivered"]
    requests = scene.receiver.requests
    assert len({request.body for request in requests}) == 1
    assert [int(request.headers["webhook-timestamp"]) - NOON // SECOND for request in requests] == [0, 1, 4]
    assert len({request.headers["webhook-signature"] for request in requests}) == 3


def test_delays_double_up_to_ten_minutes_with_jitter() -> None:
    jitter = random.Random(1)
    for attempts in (0, 1, 2, 5, 9, 10, 50, 10**6):
        middle = min(2.0 ** min(attempts, 20), LONGEST_DELAY / 1.2)
        delays = [delay_after(attempts, jitter) for _ in range(200)]
        assert middle * 0.8 <= min(delays) < middle < max(delays) <= middle * 1.2 <= LONGEST_DELAY


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_is_wrong_with_one_notification_does_not_hold_the_others_back(scene: Scene, status: int) -> None:
    scene.receiver.answers = [status]
    scene.say("bad", subject="churn/3/drift")
    scene.say("good", subject="fraud/1/drift")

    assert scene.deliver() == ["bad", "good"]
    assert scene.after(2) == ["bad"]


@pytest.mark.parametrize("status", [301, 302, 307, 308, 408, 429, 500, 502, 503, 504])
def test_a_receiver_that_is_down_is_left_alone(scene: Scene, status: int) -> None:
    scene.receiver.answers = [(status, {"location": "/elsewhere"})]
    scene.say("a", subject="churn/3/drift")
    scene.say("b", subject="fraud/1/drift")

    assert scene.deliver() == ["a"]
    assert scene.after(2) == ["a", "b"]


def test_a_receiver_that_is_gone_ends_the_notification(scene: Scene) -> None:
    scene.receiver.answers = [410]
    scene.say("a", "b")

    assert scene.deliver() == ["a", "b"]
    assert outcomes(scene) == ["refused", "delivered"]
    assert scene.after(DAY) == []


@pytest.mark.parametrize(
    ("header", "early", "late"),
    [
        ("120", 119, 2),
        ("Mon, 23 Nov 2026 12:02:00 GMT", 119, 2),
        ("1000000000", LONGEST_DELAY - 1, 2),
        ("soon", 0.5, 1),
        ("-5", 0.5, 1),
        ("0", 0.5, 1),
        ("nan", 0.5, 1),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", 0.5, 1),
    ],
)
def test_retry_after_is_obeyed_where_it_makes_sense(scene: Scene, header: str, early: float, late: float) -> None:
    scene.receiver.answers = [(503, {"retry-after": header})]
    scene.say("a")

    assert scene.deliver() == ["a"]
    assert scene.after(early) == []
    assert scene.after(late) == ["a"]


@pytest.mark.parametrize(
    ("kind", "most"), [("model.alert.firing", LONGEST_DELAY), ("model.retrain.requested", LONGEST_OF_REQUESTS)]
)
def test_a_receiver_puts_off_no_page_by_a_day(scene: Scene, kind: str, most: float) -> None:
    scene.receiver.answers = [(429, {"retry-after": "86400"})]
    one = note("a", "trainer")
    scene.store.save([], {}, [replace(one, notice=replace(one.notice, type=kind))], scene.clock.now())

    assert scene.deliver() == ["a"]
    assert scene.after(most - 1) == []
    assert scene.after(2) == ["a"]


def test_firing_is_said_before_resolved_whatever_happens(scene: Scene) -> None:
    scene.receiver.answers = [500, 404, 429, 302]
    scene.say("firing")
    scene.say("resolved")

    said = scene.deliver()
    while scene.store.backlog():
        said += scene.after(1)

    assert said == ["firing"] * 5 + ["resolved"]


def test_after_three_days_it_is_given_up(scene: Scene) -> None:
    scene.receiver.answers = [500] * 10_000
    scene.say("a")
    scene.deliver()
    attempts = 1
    while scene.store.backlog():
        attempts += len(scene.after(60))
        assert scene.clock.now() <= NOON + GIVE_UP_AFTER + 2 * LONGEST_DELAY * SECOND

    assert outcomes(scene)[-1] == "dead"
    assert GIVE_UP_AFTER / SECOND / LONGEST_DELAY / 1.2 < attempts < GIVE_UP_AFTER / SECOND / LONGEST_DELAY / 0.8 + 20


def test_what_was_not_delivered_is_delivered_after_a_restart(scene: Scene) -> None:
    scene.receiver.answers = [500]
    scene.say("a", "b")
    scene.deliver()

    scene.restart()

    assert scene.after(2) == ["a", "b"]


def test_what_was_taken_but_not_noted_is_sent_again_under_the_same_id(scene: Scene) -> None:
    """The daemon dies between the receiver's 2xx and the note of it."""
    scene.say("a")
    row = scene.store.next_due("trainer", NOON)
    assert row is not None
    assert scene.notifier._target.deliver(row.notice, scene.io, scene.clock) == Delivered(204)

    scene.restart()

    assert scene.deliver() == ["a"]
    first, second = scene.receiver.requests
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)


def test_what_was_taken_is_not_sent_again_while_that_cannot_be_written_down(scene: Scene) -> None:
    """A full disk costs no repeat; nor is anything else sent of which the same could not be written."""
    scene.say("a")
    scene.say("b", subject="other")
    scene.store._db.execute("PRAGMA query_only = 1")

    assert scene.deliver() == ["a"]
    assert outcomes(scene) == ["retried"]
    for _ in range(50):
        assert scene.after(2) == []

    scene.store._db.execute("PRAGMA query_only = 0")
    assert scene.after(1) == ["b"]
    assert outcomes(scene) == ["retried", "delivered", "delivered"]
    assert [row.id for row in scene.store.undelivered()] == []


def test_a_try_that_failed_is_not_repeated_while_that_cannot_be_written_down(scene: Scene) -> None:
    scene.say("a")
    scene.receiver.answers = [500]
    scene.store._db.execute("PRAGMA query_only = 1")

    scene.deliver()
    for _ in range(50):
        assert scene.after(2) == []

    scene.store._db.execute("PRAGMA query_only = 0")
    scene.deliver()
    assert scene.store.undelivered()[0].attempts == 1
    assert scene.after(3) == ["a"]


def test_a_store_that_cannot_be_read_is_looked_at_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.say("a")

    def fail(_target: str, _now: int) -> OutboxRow:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(scene.store, "next_due", fail)
        assert scene.deliver() == []

    assert scene.deliver() == ["a"]


def test_a_refused_address_is_told_and_tried_again(scene: Scene) -> None:
    scene.say("a")
    notifier = Notifier(
        of_type_webhook(Webhook("trainer", "http://169.254.169.254/", decode_secret(SECRET))),
        scene.store,
        scene.clock,
        scene.facts.append,
    )

    assert notifier.turn(scene.io)

    assert outcomes(scene) == ["retried"]
    assert scene.facts[0].detail == "169.254.169.254 is a link-local, metadata or multicast address"


def test_each_target_gets_its_own(scene: Scene) -> None:
    scene.say("t")
    scene.store.save([], {}, [note("p", "pager")], NOON)

    assert scene.deliver() == ["t"]
    assert scene.store.backlog() == {"pager": Backlog(1, NOON)}
    assert scene.make_notifier("pager").turn(scene.io)
    assert scene.store.backlog() == {}


def test_the_thread_delivers_when_woken_and_ends_when_stopped(scene: Scene) -> None:
    scene.notifier.start()
    scene.say("a", "b", "c")
    scene.notifier.wake()

    scene.notifier.stop()
    scene.notifier.join(10)

    assert not scene.notifier.is_alive()
    assert [request.headers["webhook-id"] for request in scene.receiver.requests] == ["a", "b", "c"]


def test_stopping_does_not_wait_for_a_receiver_that_is_down(scene: Scene) -> None:
    scene.receiver.answers = [500] * 3
    scene.say("a")
    scene.notifier.start()

    scene.notifier.stop()
    scene.notifier.join(10)

    assert not scene.notifier.is_alive()
    assert len(scene.receiver.requests) <= 1
    assert scene.store.backlog() == {"trainer": Backlog(1, NOON)}


def test_a_thread_that_outlives_the_store_ends_quietly(scene: Scene) -> None:
    scene.say("a")
    scene.store.close()
    scene.notifier.start()

    scene.notifier.stop()
    scene.notifier.join(10)

    assert not scene.notifier.is_alive()
    scene.open()


def test_a_long_queue_is_drained_in_order(scene: Scene) -> None:
    names = [f"n{at}" for at in range(int(os.environ.get("QUEUED", "300")))]
    scene.say(*names)

    assert scene.deliver() == names


def test_the_public_implementation_signs_a_retry_the_same(scene: Scene) -> None:
    scene.receiver.answers = [500]
    scene.say("a")
    scene.deliver()
    scene.after(2)

    request = scene.receiver.requests[-1]
    at = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)
    assert request.headers["webhook-signature"] == standardwebhooks.Webhook(SECRET).sign("a", at, request.body.decode())


def test_an_odd_client_error_is_no_crash(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> httpcore.Response:
        raise httpcore.LocalProtocolError("odd")

    scene.say("a")
    monkeypatch.setattr(scene.io._pool_of(None), "stream", fail)

    assert scene.notifier.turn(scene.io)
    assert outcomes(scene) == ["retried"]


# --- targets of any type ----------------------------------------------------------------------------------------------


class OwnScene:
    """A notifier of a target that answers as told."""

    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self.store = StateStore(directory)
        self.target = ListTarget("board")
        self.facts: list[DeliveryTried] = []
        told = Subscriber(self.target, "kanban", frozenset({"*"}))
        self.notifier = Notifier(told, self.store, self.clock, self.facts.append)

    def turns(self) -> list[str]:
        """All that is due now; how each attempt ended."""
        before = len(self.facts)
        with Transport(self.clock) as io:
            while self.notifier.turn(io):
                pass
        return [fact.outcome for fact in self.facts[before:]]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnScene]:
    found = OwnScene(tmp_path)
    yield found
    found.store.close()


def test_each_of_the_four_answers_has_its_outcome(own: OwnScene) -> None:
    answers = [Delivered(), AlreadyThere(409, "known"), Refused(410, "archived"), TryLater(fault=Fault.NOTICE)]
    own.target.answers = list(answers)
    own.store.save([], {}, [note(str(number), "board", subject=str(number)) for number in range(4)], NOON)

    assert own.turns() == ["delivered", "present", "refused", "retried"]
    assert own.facts[1] == DeliveryTried("board", "kanban", "1", "present", 409, "known")
    assert own.store.backlog() == {"board": Backlog(1, NOON)}


def test_a_receiver_that_asks_for_time_holds_all_back_and_a_bad_notice_only_itself(own: OwnScene) -> None:
    own.target.answers = [TryLater(delay=30.0, fault=Fault.NOTICE), TryLater(delay=60.0)]
    own.store.save([], {}, [note(name, "board", subject=name) for name in "abc"], NOON)

    assert own.turns() == ["retried", "retried"]
    own.clock.advance(31)
    assert own.turns() == []
    own.clock.advance(30)
    assert own.turns() == ["delivered"] * 3
    assert [notice.id for notice in own.target.notices] == ["a", "b", "a", "b", "c"]


@pytest.mark.parametrize("written", ["signature=canary", "Signature%3Dcanary", '{"url": "signature\\u003dcanary"}'])
def test_the_signature_of_a_link_that_a_receiver_repeats_is_nowhere(own: OwnScene, written: str) -> None:
    own.target.answers = [Refused(400, f"bad link approval?{written}&x=1"), Delivered(200, written)]
    own.store.save([], {}, [note(name, "board", subject=name) for name in "ab"], NOON)

    assert own.turns() == ["refused", "delivered"]
    entries = [each.note() for each in own.store.audit_page(0, 10).entries]
    assert [entry.kind for entry in entries] == ["delivery.refused", "delivery.delivered"]
    assert "canary" not in repr(own.facts) + repr(entries)
    assert "bad link approval?" in entries[0].body["detail"]


def test_a_bug_in_a_target_holds_back_that_notice_alone_and_its_text_is_not_told(own: OwnScene) -> None:
    wrong: list[Any] = [KeyError("token=canary"), None]
    own.target.answers = wrong
    own.store.save([], {}, [note(name, "board", subject=name) for name in "abc"], NOON)

    assert own.turns() == ["retried", "retried", "delivered"]
    assert [fact.detail for fact in own.facts] == [
        "failed with KeyError",
        "returned NoneType, which is no delivery",
        "",
    ]


@pytest.mark.parametrize("delay", [0.0, -1.0, 0.99, 86_401.0, float("inf"), float("nan")])
def test_a_delay_that_makes_no_sense_is_refused(delay: float) -> None:
    with pytest.raises(ValueError, match="must be from 1 to 86400 seconds"):
        TryLater(delay=delay)


# --- all that a receiver can do, in one day ---------------------------------------------------------------------------


def drip(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-a: ")
    for _ in range(600):
        time.sleep(0.05)
        handler.wfile.write(b"b")


def long_body(handler: BaseHTTPRequestHandler) -> None:
    """A gigabyte, as much of it as is wanted: it was taken, whatever else is said."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n")
    for _ in range(1024):
        handler.wfile.write(bytes(2**20))


def reset(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def test_a_bad_day_of_a_receiver_ends_with_all_delivered_once_an_id_in_order(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hangs, drips, never ends, resets, redirects to us, is another host for a while, and is down for ten minutes."""
    inside = Receiver()  # where it redirects to: nobody but us could reach it
    webhook = Webhook("trainer", scene.receiver.url.replace("127.0.0.1", "trainer.internal"), b"k" * 32, timeout=0.3)
    notifier = Notifier(of_type_webhook(webhook), scene.store, scene.clock, scene.facts.append)
    resolved = {"trainer.internal": "127.0.0.1"}
    kind = socket.AF_INET, socket.SOCK_STREAM, 6, ""
    monkeypatch.setattr("socket.getaddrinfo", lambda host, port, *_, **__: [(*kind, (resolved.get(host, host), port))])
    ids = [f"n{number}" for number in range(40)]
    scene.store._db.execute("PRAGMA synchronous = OFF")
    for number, name in enumerate(ids):
        scene.say(name, subject=f"s{number % 5}")
    redirects: list[Answer] = [(307, {"location": inside.url})]
    scene.receiver.answers = [204, hang, 204, drip, 204, long_body, reset, *redirects, 500, 429, 404, 204]
    for minute in range(60):
        resolved["trainer.internal"] = "169.254.169.254" if 4 <= minute < 6 else "127.0.0.1"  # the name was rebound
        down = [(503, {"retry-after": "5"})] * 200 if 6 <= minute < 16 else []
        scene.receiver.answers = [*scene.receiver.answers, *down][:200] if minute < 16 else []
        while notifier.turn(scene.io):
            pass
        scene.clock.advance(60)
        if not scene.store.backlog():
            break

    assert inside.requests == []
    inside.close()
    assert scene.store.backlog() == {}
    taken = [fact.notice for fact in scene.facts if fact.outcome == "delivered"]
    assert sorted(taken) == sorted(ids)
    for subject in range(5):
        assert [name for name in taken if int(name[1:]) % 5 == subject] == ids[subject::5]
    told = " ".join(fact.detail for fact in scene.facts)
    for words in ("in time", "broke off", "answered 307", "trainer.internal is a link-local", "answered 503"):
        assert words in told, words

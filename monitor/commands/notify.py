"""`driftd notify test`: whether a target takes what it is told, tried with something that is marked as a test."""

from pathlib import Path

import msgspec

from monitor.app import VERSION
from monitor.clock import Clock, SystemClock
from monitor.commands.connections import access_to
from monitor.commands.exits import Exit
from monitor.configuration import Configuration, load
from monitor.explain.figures import utc
from monitor.settings import ConfigError, load_settings
from monitor.store.outbox import Notice
from monitor.stream.events import HOUR, Nanos
from monitor.targets.base import AlreadyThere, Delivered, Delivery, Refused, Starting, Subscriber, TryLater
from monitor.targets.identity import digest
from monitor.targets.payloads import RETRAIN, rfc3339
from monitor.targets.transport import Transport, TransportError

TEST = "driftd.test"  # the type of a notice that is none: who acts on types does nothing


def notify_test(config: Path, name: str, *, start: bool) -> Exit:
    """Tell one target a test, or look whether we are let in where telling starts a run. Raises ConfigError."""
    configuration = load(load_settings(config), config.resolve().parent, file=config)
    subscriber = named(configuration, name)
    with Transport(clock := SystemClock()) as io:
        if isinstance(subscriber.target, Starting) and not start:
            return looked_at(subscriber, io)
        return told(subscriber, test_notice(configuration, subscriber, clock.now()), io, clock)


def named(configuration: Configuration, name: str) -> Subscriber:
    """The target of this name. Raises ConfigError."""
    for subscriber in configuration.targets:
        if subscriber.name == name:
            return subscriber
    there = ", ".join(sorted(each.name for each in configuration.targets)) or "none"
    raise ConfigError(f"there is no target {name}; there is {there}")


def looked_at(subscriber: Subscriber, io: Transport) -> Exit:
    """Read what may be read, and say that nothing was started."""
    access, place = access_to(subscriber.target, io), f"{subscriber.name} ({subscriber.type})"
    for warning in access.warnings:
        print(f"warning: {place}: {warning}")
    if access.problems:
        for problem in access.problems:
            print(f"{place}: {problem}")
        return Exit.NO
    print(f"{place}: {access.found or 'it cannot be asked without being told'}")
    print(f"no {subscriber.target.starts} was started; --start starts one")  # type: ignore[attr-defined]
    return Exit.OK


def told(subscriber: Subscriber, notice: Notice, io: Transport, clock: Clock) -> Exit:
    """Tell a target, once."""
    try:
        delivery: Delivery = subscriber.target.deliver(notice, io, clock)
    except TransportError as error:
        delivery = TryLater(detail=str(error))
    except Exception as error:  # noqa: BLE001 - a bug in a stranger's target; its text could hold a secret
        delivery = TryLater(detail=f"failed with {type(error).__name__}")
    detail = f": {delivery.detail}" if delivery.detail else ""
    print(f"{subscriber.name} ({subscriber.type}): {words(delivery)}{detail}")
    print(f"test notice {notice.id} of type {notice.type}")
    return Exit.OK if isinstance(delivery, Delivered | AlreadyThere) else Exit.NO


def words(delivery: Delivery) -> str:
    """How an attempt ended."""
    match delivery:
        case Delivered():
            return "delivered"
        case AlreadyThere():
            return "it had been delivered before"
        case Refused():
            return "refused for good"
        case TryLater():
            return "not taken now; the daemon would try again"


def test_notice(configuration: Configuration, subscriber: Subscriber, now: Nanos) -> Notice:
    """Something to say that is marked as a test, with the keys of a real notice; another one at each time.

    Where telling starts a run it is a decision to retrain: nothing else starts one.
    """
    name = digest(subscriber.name, str(now))
    start, end = rfc3339(now - HOUR), rfc3339(now)
    data = {
        "test": True,
        "decision_id": name,
        "model": "driftd-test",
        "model_version": "0",
        "reason": "drift",
        "kind": "drift",
        "incident": name,
        "severity": "info",
        "alert": {"rule": "drift", "since": start, "episode": 1},
        "window": {"start": start, "end": end, "rows": 0},
        "evidence": [],
        "evidence_total": 0,
        "data_range": {"from": start, "to": end},
        "reference": {"hash": ""},
        "config_hash": configuration.config_hash,
        "driftd_version": VERSION,
        "summary": f"a test of driftd at {utc(now):%Y-%m-%d %H:%M}: nothing has happened",
    }
    kind = RETRAIN if isinstance(subscriber.target, Starting) else TEST
    return Notice(name, kind, "driftd-test", now, msgspec.json.encode(data))

"""Real Alertmanagers: an incident is one notification and one resolve, whoever is restarted, and a pair sends it once."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.clock import SystemClock
from monitor.facts import DeliveryTried, Fact
from monitor.store.sqlite import StateStore
from monitor.targets.base import Subscriber
from monitor.targets.notifier import Notifier
from monitor.targets.payloads import notices
from tests.fakes import Receiver
from tests.paging import ESCALATED, OF_QUALITY, OPENED, RESOLVED, SENDER, configured
from tests.parts.ports import free_ports
from tests.parts.prometheus import Alertmanager

pytestmark = [pytest.mark.prometheus, pytest.mark.slow]
PATIENCE = 60.0  # seconds; a shared machine is slow
QUIET = 8.0  # seconds in which what is not meant to come would have come


class Pager(Receiver):
    """Where Alertmanager sends what people are to be told."""

    def told(self) -> list[tuple[str, list[str]]]:
        """Of each notification its status, and the alerts in it."""
        found = [json.loads(each.body) for each in self.requests]
        return [
            (each["status"], sorted(f"{one['labels']['kind']} {one['status']}" for one in each["alerts"]))
            for each in found
        ]


class Daemon:
    """The part of the daemon that talks to Alertmanager: its state, and the notifier in its thread."""

    def __init__(self, directory: Path, subscriber: Subscriber) -> None:
        self.directory, self.subscriber = directory, subscriber
        self.facts: list[DeliveryTried] = []
        self.start()

    def start(self) -> None:
        self.store = StateStore(self.directory)
        self.notifier = Notifier(self.subscriber, self.store, SystemClock(), self.facts.append)
        self.notifier.start()

    def stop(self) -> None:
        self.notifier.stop()
        self.notifier.join()
        self.store.close()

    def say(self, *facts: Fact) -> None:
        self.store.save([], {}, notices(facts, [self.subscriber], SENDER), SystemClock().now())
        self.notifier.wake()


@pytest.fixture
def open_() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


@pytest.fixture
def pager(open_: ExitStack) -> Pager:
    found = Pager()
    open_.callback(found.close)
    return found


@pytest.fixture
def start(open_: ExitStack, pager: Pager, tmp_path: Path) -> Callable[..., Alertmanager]:
    def started(name: str, **cluster: Any) -> Alertmanager:
        directory = tmp_path / name
        directory.mkdir()
        config = directory / "alertmanager.yml"
        config.write_text(
            "route: {receiver: pager, group_by: [model, version], group_wait: 5s, group_interval: 3s, repeat_interval: 4h}\n"
            f"receivers: [{{name: pager, webhook_configs: [{{url: '{pager.url}', send_resolved: true}}]}}]\n"
        )
        server = Alertmanager(directory, config, **cluster)
        open_.callback(server.stop)
        return server

    return started


def daemon_for(servers: Sequence[Alertmanager], open_: ExitStack, tmp_path: Path) -> Daemon:
    urls = [f"http://{server.address}" for server in servers]
    found = Daemon(
        tmp_path / "state", configured({"name": "am", "type": "alertmanager", "urls": urls, "interval": "15s"})
    )

    def stop() -> None:
        with suppress(Exception):
            found.stop()

    open_.callback(stop)
    return found


def wait_for(condition: Callable[[], object], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what()
        threading.Event().wait(0.1)


def quiet() -> None:
    threading.Event().wait(QUIET)


def test_an_incident_is_grouped_updated_and_resolved_through_restarts_of_either(
    start: Callable[..., Alertmanager], pager: Pager, open_: ExitStack, tmp_path: Path
) -> None:
    server = start("am")
    daemon = daemon_for([server], open_, tmp_path)
    fired = [("firing", ["data_quality firing", "drift firing"])]

    daemon.say(OPENED)
    time.sleep(0.5)  # within group_wait, which an alert that began in event time would not wait for
    daemon.say(OF_QUALITY)
    wait_for(pager.told, server.alerts)
    assert pager.told() == fired

    daemon.say(ESCALATED)
    wait_for(
        lambda: (
            "critical"
            in {one["annotations"]["severity"] for one in server.alerts() if one["labels"]["kind"] == "drift"}
        ),
        server.alerts,
    )
    assert len(server.alerts()) == 2

    server.stop()
    server.restart()
    wait_for(lambda: len(server.alerts()) == 2, server.alerts)
    daemon.stop()
    daemon.start()
    quiet()
    assert pager.told() == fired

    daemon.say(RESOLVED)
    wait_for(lambda: len(pager.told()) == 2, pager.told)
    quiet()
    assert pager.told() == [*fired, ("firing", ["data_quality firing", "drift resolved"])]


def test_what_fires_again_after_its_end_is_told_again_and_an_end_said_again_does_not_end_it(
    start: Callable[..., Alertmanager], pager: Pager, open_: ExitStack, tmp_path: Path
) -> None:
    server = start("am")
    daemon = daemon_for([server], open_, tmp_path)
    daemon.say(OPENED)
    wait_for(pager.told, server.alerts)
    daemon.say(RESOLVED)
    wait_for(lambda: len(pager.told()) == 2, pager.told)

    daemon.say(replace(OPENED, since=RESOLVED.window.end))
    wait_for(lambda: len(pager.told()) == 3, pager.told)
    time.sleep(17)  # an interval
    quiet()

    assert [status for status, _ in pager.told()] == ["firing", "resolved", "firing"]


def test_a_pair_sends_one_page_and_one_end_though_one_of_it_is_killed(
    start: Callable[..., Alertmanager], pager: Pager, open_: ExitStack, tmp_path: Path
) -> None:
    one, two = (f"127.0.0.1:{port}" for port in free_ports(2))
    pair = [start("one", gossip=one, peers=[two]), start("two", gossip=two, peers=[one])]
    wait_for(lambda: [each.peers() for each in pair] == [2, 2], lambda: [each.peers() for each in pair])
    daemon = daemon_for(pair, open_, tmp_path)

    daemon.say(OPENED)
    wait_for(pager.told, lambda: [each.alerts() for each in pair])
    assert [len(each.alerts()) for each in pair] == [1, 1]
    quiet()
    assert pager.told() == [("firing", ["drift firing"])]

    pair[0].kill()
    daemon.say(ESCALATED)
    wait_for(lambda: "critical" in str(pair[1].alerts()), pair[1].alerts)
    pair[0].restart()
    wait_for(lambda: [each.peers() for each in pair] == [2, 2], lambda: [each.peers() for each in pair])
    daemon.say(RESOLVED)
    wait_for(lambda: len(pager.told()) == 2, pager.told)
    quiet()

    assert pager.told() == [("firing", ["drift firing"]), ("resolved", ["drift resolved"])]

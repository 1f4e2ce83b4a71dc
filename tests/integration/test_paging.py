"""A day of one incident, at every target for people: scores flap, the daemon is killed, receivers are away, answers are lost; one page, one end."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from monitor.alerting.rules import Severity
from monitor.facts import AlertChanged, AlertEscalated, DeliveryTried, Fact, WindowSpan
from monitor.store.sqlite import StateStore
from monitor.targets.base import Subscriber
from monitor.targets.notifier import Notifier
from monitor.targets.payloads import notices
from monitor.targets.transport import Transport
from tests.apis.pagers import Alertmanager, Opsgenie, PagerDuty, PagingService
from tests.build import MIDNIGHT, P0, at, make_pipeline, make_rule, of, play
from tests.fakes import ManualClock
from tests.paging import SENDER, configured
from tests.parts.smtp import MailServer

MINUTES = 24 * 60
STEP = 10  # minutes of event time between two checkpoints
FLAPPING = "BDBDDCDBBC"  # breaches, between the thresholds, clear for a moment
KILLS = (4 * 60 + 7, 10 * 60 + 40, 23 * 60 + 10)  # between checkpoints; while receivers are away; as the end is saved
END_AT = 23 * 60 + 2
AWAY = range(10 * 60, 11 * 60)
WORSE_AT = 10 * 60 + 30  # while they are away


# --- the daemon -------------------------------------------------------------------------------------------------------


class World:
    """A daemon with its targets. Its clock is that of its events."""

    def __init__(self, directory: Path, subscribers: list[Subscriber], clock: ManualClock) -> None:
        self.directory, self.subscribers, self.clock = directory, subscribers, clock
        self.facts: list[DeliveryTried] = []
        self.opened: AlertChanged | None = None
        self.start()

    def start(self) -> None:
        self.store = StateStore(self.directory)
        self.io = Transport(self.clock)
        self.pipeline = make_pipeline(rules=(make_rule(severity=Severity.WARNING, keep_firing_for=5),))
        self.pipeline.restore(self.store.records(), self.clock.now())
        self.minute = self.store.positions().get(P0, 0)  # how many of the script are read
        self.said: list[Fact] = []
        self.notifiers = [Notifier(each, self.store, self.clock, self.facts.append) for each in self.subscribers]

    def kill(self) -> None:
        """What was read and not saved is read again; what was sent and not acknowledged is sent again."""
        self.io.__exit__()
        self.store.close()

    def read(self, until: int) -> None:
        for minute in range(self.minute, until):
            new = play(self.pipeline, letter(minute), minute)
            self.opened = next((each for each in of(new, AlertChanged) if each.opened), self.opened)
            self.said += [*new, *self.worse(minute)]
        self.minute = until

    def worse(self, minute: int) -> list[Fact]:
        """At one minute of the day the incident is worse than was told."""
        if minute != WORSE_AT:
            return []
        assert self.opened is not None
        span = WindowSpan(at(minute), at(minute + 1), 2)
        grown = replace(self.opened, before=self.opened.after, severity=Severity.CRITICAL, window=span)
        return [AlertEscalated(grown, grown.evidence, Severity.WARNING)]

    def save(self) -> None:
        told = notices(self.said, self.subscribers, SENDER)
        self.store.save(self.pipeline.changes(), {P0: self.minute}, told, self.clock.now())
        self.said = []

    def deliver(self) -> None:
        for notifier in self.notifiers:
            while notifier.turn(self.io):
                pass


def letter(minute: int) -> str:
    """A day of scores that flap, and in its last hour an end."""
    return "C" if minute >= END_AT else FLAPPING[minute % len(FLAPPING)]


def a_day(world: World, services: list[PagingService], mail: MailServer) -> None:
    """A checkpoint each ten minutes, and deliveries each minute; more than a day, until nothing waits."""
    for minute in range(MINUTES + 120):
        world.clock.advance(60)
        away = minute in AWAY
        for service in services:
            service.away = away
        mail.orders.codes = {"MAIL": [421] * 99} if away else {}
        world.read(min(minute, MINUTES))
        if minute % STEP == 0:
            world.save()
        if minute in KILLS:
            world.kill()
            world.start()
        world.deliver()
        for service in services:
            if isinstance(service, Alertmanager):
                service.look()


# --- a day ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def open_() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


@pytest.mark.slow
def test_a_day_of_flapping_is_one_page_that_gets_worse_and_ends(open_: ExitStack, tmp_path: Path) -> None:
    clock = ManualClock(MIDNIGHT)
    pagerduty, opsgenie, slack, teams = PagerDuty(), Opsgenie(), PagingService(200), PagingService(202)
    pair = [Alertmanager(clock), Alertmanager(clock)]
    services = [pagerduty, opsgenie, slack, teams, *pair]
    mail = MailServer()
    mail.orders.hang_up_after_data = 1
    open_.callback(mail.close)
    for service in services:
        open_.callback(service.close)
    urls = [service.url.removesuffix("/hook") for service in services]
    secrets = {"K": "0" * 32, "S": slack.url, "T": teams.url}
    entries: list[dict[str, Any]] = [
        {"name": "pagerduty", "type": "pagerduty", "url": urls[0], "routing_key_env": "K"},
        {"name": "opsgenie", "type": "opsgenie", "url": urls[1], "api_key_env": "K"},
        {"name": "slack", "type": "slack", "url_env": "S"},
        {"name": "teams", "type": "teams", "url_env": "T"},
        {"name": "alertmanager", "type": "alertmanager", "urls": urls[4:], "interval": "5m"},
        {"name": "mail", "type": "email", "host": "127.0.0.1", "port": mail.port, "security": "none"}
        | {"from": "driftd@drift.test", "to": ["oncall@ops.test"]},
    ]
    world = World(tmp_path, [configured(entry, secrets) for entry in entries], clock)

    a_day(world, services, mail)
    assert world.store.backlog() == {}
    world.kill()

    assert pagerduty.pages == ["opened", "updated", "resolved"]
    assert opsgenie.pages == ["opened", "updated", "resolved"]
    assert [each.pages for each in pair] == [["opened", "updated", "resolved"]] * 2
    assert each_once(slack.pages) == each_once(teams.pages) == ["firing", "escalated", "resolved"]
    assert len(slack.pages) == len(teams.pages) == 6  # each stands there twice, for each first answer was lost
    told = [message_from_bytes(each.content) for each in mail.mails]
    assert len({each["Message-ID"] for each in told}) == 3
    assert len({each["References"] for each in told}) == 1
    assert {fact.outcome for fact in world.facts} == {"delivered", "retried"}


def each_once(messages: list[str]) -> list[str]:
    """What messages say, in order, repeats left out."""
    words = ["firing: ", "escalated: ", "resolved: "]
    said = [next(word for word in words if word in each).removesuffix(": ") for each in messages]
    return list(dict.fromkeys(said))


@pytest.mark.slow
def test_who_hears_of_what_is_critical_is_paged_when_it_becomes_so_and_told_of_its_end(
    open_: ExitStack, tmp_path: Path
) -> None:
    """The end is said of a warning: that it is told at all is kept in the state, through three kills."""
    service, mail = PagerDuty(), MailServer()
    open_.callback(mail.close)
    open_.callback(service.close)
    entry = {
        "name": "oncall",
        "type": "pagerduty",
        "url": service.url.removesuffix("/hook"),
        "routing_key_env": "K",
        "severities": ["critical"],
    }
    world = World(tmp_path, [configured(entry, {"K": "0" * 32})], ManualClock(MIDNIGHT))

    a_day(world, [service], mail)
    world.kill()

    assert service.pages == ["opened", "resolved"]

"""An incident's life as facts, and a scene in which a target of an operator's configuration is told of it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from detectors.charts import IncidentKind
from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import Evidence
from monitor.alerting.retraining import RetrainOutcome
from monitor.alerting.rules import Severity
from monitor.clock import Clock
from monitor.facts import AlertChanged, AlertEscalated, DeliveryTried, Fact, RetrainDecided, WindowSpan
from monitor.store.outbox import Notice
from monitor.store.sqlite import StateStore
from monitor.stream.events import SECOND, SeriesKey
from monitor.targets.base import Subscriber, Target, subscribed
from monitor.targets.notifier import Notifier
from monitor.targets.payloads import Sender, notices
from monitor.targets.registry import read_target
from monitor.targets.secrets import Secrets
from monitor.targets.transport import Transport
from tests.fakes import NOON, ManualClock

MINUTE = 60 * SECOND
SENDER = Sender("c0nf16", "1.2.3", "https://drift.internal")
INACTIVE, PENDING, RAISED, RECOVERING = AlertState
AGE = Evidence("age", "drift", 1.41, 1.0, 1e-9, 10_000, "location+", words="mean +0.8 σ")
PLAN = Evidence("plan", "drift", 2.0, 1.0, 1e-9, 10_000, "unseen", words='new category "EU-2" 8 %')
OPENED = AlertChanged(
    key=SeriesKey("churn", "3"),
    rule="drift",
    severity=Severity.WARNING,
    before=INACTIVE,
    after=RAISED,
    since=NOON - 5 * MINUTE,
    episode=1,
    window=WindowSpan(NOON - 5 * MINUTE, NOON, 10_000),
    evidence=(AGE,),
    reference="abc123",
)
ESCALATED = AlertEscalated(
    replace(
        OPENED,
        severity=Severity.CRITICAL,
        before=RAISED,
        window=WindowSpan(NOON, NOON + 5 * MINUTE, 10_000),
        evidence=(PLAN, AGE),
    ),
    (PLAN,),
    Severity.WARNING,
)
RESOLVED = replace(
    OPENED, before=RAISED, after=INACTIVE, window=WindowSpan(NOON + 60 * MINUTE, NOON + 65 * MINUTE, 9_000)
)
OF_QUALITY = replace(OPENED, kind=IncidentKind.DATA_QUALITY, severity=Severity.CRITICAL)
RETRAINED = RetrainDecided(OPENED, RetrainOutcome.REQUESTED, data_from=NOON - 10 * MINUTE, data_to=NOON)


def configured(
    entry: Mapping[str, Any], environment: Mapping[str, str] | None = None, base: Path = Path()
) -> Subscriber:
    """The target of an entry of `targets`, as the daemon has it. Raises what is wrong with it."""
    settings = read_target(dict(entry))
    return subscribed(settings.build(Secrets(base, environment or {})), settings)


def notice_of(fact: Fact, kind: str | None = None) -> Notice:
    """What is said of a fact."""
    everybody = Subscriber(Nobody(), "nobody", frozenset({kind or "*"}))
    (addressed,) = notices([fact], [everybody], SENDER)
    return replace(addressed.notice, decided=NOON)


class Nobody:
    """A target that only has a name."""

    name = "nobody"

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Any:
        raise NotImplementedError


def told(target: Target, *facts: Fact, clock: Clock | None = None) -> list[Any]:
    """How a target's attempts end, one for each fact."""
    clock = clock or ManualClock()
    with Transport(clock) as io:
        return [target.deliver(notice_of(fact), io, clock) for fact in facts]


class Desk:
    """A state, and the notifier of one target, that can be killed and started again."""

    def __init__(self, directory: Path, subscriber: Subscriber, clock: ManualClock) -> None:
        self.clock, self.directory, self.subscriber = clock, directory, subscriber
        self.facts: list[DeliveryTried] = []
        self.open()

    def open(self) -> None:
        self.store = StateStore(self.directory)
        self.io = Transport(self.clock)
        self.notifier = Notifier(self.subscriber, self.store, self.clock, self.facts.append)

    def kill(self) -> None:
        """Nothing is drained: what was sent and not acknowledged is sent again."""
        self.io.__exit__()
        self.store.close()

    def restart(self) -> None:
        self.kill()
        self.open()

    def save(self, *facts: Fact) -> None:
        self.store.save([], {}, notices(facts, [self.subscriber], SENDER), self.clock.now())

    def deliver(self) -> None:
        """All that is due."""
        while self.notifier.turn(self.io):
            pass

    def run(self, seconds: float, each: float = 5.0, between: Callable[[], None] = lambda: None) -> None:
        """Let time pass in steps, and deliver what falls due."""
        end = self.clock.elapsed() + seconds
        while self.clock.elapsed() < end:
            self.clock.advance(each)
            self.deliver()
            between()


def bodies(requests: Any) -> list[Any]:
    """Of what a receiver was sent, the JSON."""
    return [json.loads(each.body) for each in requests]


def answering(status: int, body: bytes = b"", **headers: str) -> Callable[[Any], None]:
    """An answer with a body."""

    def answer(handler: Any) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def lost(handler: Any) -> None:
    """The request is taken, and its answer is lost on the way."""
    handler.close_connection = True
    handler.connection.shutdown(2)


HOSTILE = replace(
    OPENED,
    evidence=(
        Evidence(
            "<!channel>",
            "drift",
            1.4,
            1.0,
            None,
            10,
            words='new category "<https://evil.example|pay> & [x](https://evil.example) <at>all</at>\u202e\x1b[31m"',
        ),
        *(Evidence(f"feature-{number}", "drift", 1.4, 1.0, None, 10, words="ä" * 500) for number in range(60)),
    ),
)
"""What comes out of events may hold anything, and much of it."""

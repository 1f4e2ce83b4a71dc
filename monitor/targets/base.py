"""What a target is: its settings, how it is told, and the four ways an attempt ends."""

import math
from abc import abstractmethod
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import Field

from monitor.alerting.runs import StartedRun
from monitor.clock import Clock
from monitor.sections import Name, Section
from monitor.store.outbox import Notice
from monitor.store.standing import Stays
from monitor.stream.events import SECOND, Nanos, SeriesKey
from monitor.targets.secrets import Secrets
from monitor.targets.transport import Transport

DELAYS = 1.0, 86_400.0  # seconds that a receiver may ask for; with less it could make us hammer it

NoticeType = Literal[
    "model.retrain.requested",
    "model.retrain.pending",
    "model.retrain.suppressed",
    "model.retrain.completed",
    "model.retrain.failed",
    "model.alert.firing",
    "model.alert.escalated",
    "model.alert.settled",
    "model.alert.resolved",
    "*",
]


KindOfIncident = Literal["drift", "data_quality", "prediction", "performance", "service", "*"]
SeverityOfAlert = Literal["info", "warning", "critical", "*"]
EVERY = "*"
REPORT = "model.report"


class Fault(Enum):
    """Whose fault a failed attempt is: only the receiver's holds back other notices."""

    NOTICE = "notice"
    RECEIVER = "receiver"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has taken it."""

    status: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """The receiver says that it has taken it before."""

    status: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver will never take it."""

    status: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TryLater:
    """It was not taken now. `delay` is what the receiver asks for, in seconds; None leaves that to the notifier."""

    status: int | None = None
    detail: str = ""
    delay: float | None = None
    fault: Fault = Fault.RECEIVER

    def __post_init__(self) -> None:
        least, most = DELAYS
        if self.delay is not None and not least <= self.delay <= most:
            raise ValueError(f"delay {self.delay} must be from {least:g} to {most:g} seconds")


Delivery = Delivered | AlreadyThere | Refused | TryLater


def bounded_delay(seconds: float) -> float | None:
    """What a receiver asks for as a delay: at most a day; None where it makes no sense."""
    least, most = DELAYS
    return min(seconds, most) if not math.isnan(seconds) and seconds >= least else None


class Target(Protocol):
    """Who is told. It renders a notice and makes one attempt; it keeps nothing between attempts."""

    @property
    def name(self) -> str:
        """What the operator calls it."""
        ...

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Try once.

        A TransportError may leave: the receiver could not be reached, and the attempt is made again. The same
        notice can come twice, after a crash: give its id to the receiver, who can then drop the repeat.
        """
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """What an authenticated read found: what is there, in words, what keeps a notice from being taken, and what may not be meant."""

    found: str = ""
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@runtime_checkable
class Checkable(Protocol):
    """A target that says whether it would be let in, and whether what its settings name is there."""

    def check(self, io: Transport, clock: Clock) -> Access:
        """Read, start nothing. A TransportError may leave."""
        ...


@runtime_checkable
class Followed(Protocol):
    """A target that says what became of a notice that it took. One whose `follows` is False cannot, as it is configured."""

    def status(self, notice: Notice, io: Transport, clock: Clock) -> StartedRun:
        """Ask by our own id, which is all of the notice that may be known by then. A TransportError may leave."""
        ...


def can_follow(target: object) -> bool:
    """Whether a target says what became of what it started."""
    return isinstance(target, Followed) and bool(getattr(target, "follows", True))


@runtime_checkable
class Starting(Protocol):
    """A target at which a notice starts something that costs: `starts` is its word, such as `run`."""

    starts: ClassVar[str]


class TargetSettings(Section):
    """What every target is configured by. Each type adds its own keys, beside its code.

    `models` are globs. Of an incident that got worse a target hears from when its severity is among `severities`, to its end.
    """

    name: Name
    type: str
    types: Annotated[list[NoticeType], Field(min_length=1)] = ["model.retrain.requested"]  # noqa: RUF012 - pydantic copies it
    models: Annotated[list[Name], Field(min_length=1)] = ["*"]  # noqa: RUF012 - same
    kinds: Annotated[list[KindOfIncident], Field(min_length=1)] = ["*"]  # noqa: RUF012 - same
    severities: Annotated[list[SeverityOfAlert], Field(min_length=1)] = ["*"]  # noqa: RUF012 - same

    def urls(self) -> tuple[str, ...]:
        """The addresses that it connects to: `driftd check` looks whether they may and can be reached."""
        return ()

    def say_again_every(self) -> Nanos | None:
        """How often what is open is said again, to a receiver that forgets; None where it is said once."""
        return None

    @abstractmethod
    def build(self, secrets: Secrets) -> Target:
        """The target. Raises ValueError: one line that begins with the key."""


@dataclass(frozen=True, slots=True)
class Routing:
    """Which models, kinds of incidents and severities a target hears of; `*` is all, models are globs."""

    models: tuple[str, ...] = (EVERY,)
    kinds: frozenset[str] = frozenset({EVERY})
    severities: frozenset[str] = frozenset({EVERY})

    def takes(self, model: str, kind: str) -> bool:
        """Whether it hears of incidents of this kind of this model."""
        return self.takes_model(model) and not {kind, EVERY}.isdisjoint(self.kinds)

    def takes_model(self, model: str) -> bool:
        """Whether it hears of this model at all."""
        return any(fnmatchcase(model, glob) for glob in self.models)

    def takes_severity(self, severity: str) -> bool:
        """Whether an incident that is so bad is told of; one of which it was told before is, however bad."""
        return not {severity, EVERY}.isdisjoint(self.severities)

    @property
    def by_severity(self) -> bool:
        """Whether anybody has to remember what it was told of."""
        return EVERY not in self.severities


EVERYTHING = Routing()


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A target with its type and the types of notices it wants, `*` is all; of what; and how often it is told again, in seconds."""

    target: Target
    type: str
    types: frozenset[str]
    routing: Routing = EVERYTHING
    again_every: float | None = None
    reports: bool = False  # it gets the reports for people

    @property
    def name(self) -> str:
        """What the operator calls the target."""
        return self.target.name

    @property
    def is_remembered(self) -> bool:
        """Whether the state keeps what this target was told is open."""
        return self.routing.by_severity or self.again_every is not None

    def wants(self, kind: str) -> bool:
        """Whether it is to be told of this type."""
        return kind in self.types or EVERY in self.types

    def may_have(self, kind: str) -> bool:
        """Whether it understands what was said to another, of this type."""
        return self.reports if kind == REPORT else self.wants(kind)


def subscribed(target: Target, settings: TargetSettings) -> Subscriber:
    """A target, with what its settings say it is told."""
    again = settings.say_again_every()
    return Subscriber(
        target,
        settings.type,
        frozenset(settings.types),
        Routing(tuple(settings.models), frozenset(settings.kinds), frozenset(settings.severities)),
        None if again is None else again / SECOND,
    )


def still_heard(subscribers: Iterable[Subscriber], series: Iterable[SeriesKey], owed: Collection[str] = ()) -> Stays:
    """Whether a target hears of a series and a kind of incidents, as all is configured now; who is gone and `owed` something may yet."""
    subscribers = list(subscribers)
    gone = set(owed) - {each.name for each in subscribers}
    targets = {each.name: each for each in subscribers if each.is_remembered}
    models = {str(key): key.model for key in series}

    def stays(target: str, key: str, kind: str) -> bool:
        if target in gone:
            return key in models
        return target in targets and key in models and targets[target].routing.takes(models[key], kind)

    return stays

"""What a target is: its settings, how it is told, and the four ways an attempt ends."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import Field

from monitor.clock import Clock
from monitor.sections import Name, Section
from monitor.store.outbox import Notice
from monitor.targets.secrets import Secrets
from monitor.targets.transport import Transport

DELAYS = 1.0, 86_400.0  # seconds that a receiver may ask for; with less it could make us hammer it

NoticeType = Literal[
    "model.retrain.requested",
    "model.alert.firing",
    "model.alert.escalated",
    "model.alert.settled",
    "model.alert.resolved",
    "*",
]


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


class RunState(Enum):
    """How what a notice started stands. One that waits in the target's own queue is in flight too."""

    IN_FLIGHT = "in_flight"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABSENT = "absent"
    UNKNOWN = "unknown"  # it could not be asked, or says nothing that we know


@runtime_checkable
class Checkable(Protocol):
    """A target that says whether it would be let in, and whether what its settings name is there."""

    def check(self, io: Transport, clock: Clock) -> Access:
        """Read, start nothing. A TransportError may leave."""
        ...


@runtime_checkable
class Followed(Protocol):
    """A target that says what became of a notice that it took."""

    def status(self, notice: Notice, io: Transport, clock: Clock) -> RunState:
        """Ask by our own id. A TransportError may leave."""
        ...


@runtime_checkable
class Starting(Protocol):
    """A target at which a notice starts something that costs: `starts` is its word, such as `run`."""

    starts: ClassVar[str]


class TargetSettings(Section):
    """What every target is configured by. Each type adds its own keys, beside its code."""

    name: Name
    type: str
    types: Annotated[list[NoticeType], Field(min_length=1)] = ["model.retrain.requested"]  # noqa: RUF012 - pydantic copies it

    def urls(self) -> tuple[str, ...]:
        """The addresses that it connects to: `driftd check` looks whether they may and can be reached."""
        return ()

    @abstractmethod
    def build(self, secrets: Secrets) -> Target:
        """The target. Raises ValueError: one line that begins with the key."""


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A target with its type and the types of notices it wants; `*` is all."""

    target: Target
    type: str
    types: frozenset[str]

    @property
    def name(self) -> str:
        """What the operator calls the target."""
        return self.target.name

    def wants(self, kind: str) -> bool:
        """Whether it is to be told of this type."""
        return kind in self.types or "*" in self.types

"""What is said, whoever is told."""

from dataclasses import dataclass, field

from monitor.stream.events import Nanos


@dataclass(frozen=True, slots=True)
class Notice:
    """What is said, whoever is told. `subject` orders: of one alert the first goes first.

    `data` is a JSON object, whose keys keep their order. `rendered` is there in notices of format 1 alone: the
    body of a webhook, sent as it is. `decided` is when it was put in the outbox, wall time; None before that.
    """

    id: str
    type: str
    subject: str
    event_time: Nanos
    data: bytes
    rendered: bytes | None = None
    decided: Nanos | None = field(default=None, compare=False)

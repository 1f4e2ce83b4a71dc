"""How requests are served: what is learnt of it, and how each subgroup stands to what is usual."""

from dataclasses import dataclass, field

from detectors.reference.reference import ReferenceService
from monitor.facts.learning import CalibrationLearning
from monitor.stream.events import Nanos, SeriesKey


@dataclass(frozen=True, slots=True)
class ServiceLearning:
    """How much live traffic was taken to learn how requests are served, which the reference does not say."""

    key: SeriesKey
    progress: CalibrationLearning


@dataclass(frozen=True, slots=True)
class ServiceLearnt:
    """How requests are served was learnt from `windows` windows of live traffic, over `span` nanoseconds until `at`.

    From here on charts of it decide. `before` and `after` are hashes of the reference and of the same with `service`; `changes`: what
    changed while it was learnt, in words.
    """

    key: SeriesKey
    at: Nanos
    calibration: str
    before: str
    after: str
    windows: int
    span: Nanos
    changes: tuple[str, ...]
    service: ReferenceService = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class UsualLatency:
    """What this share of the requests took at most, and what is usual at these hours, seconds; None where no request says it."""

    share: float
    now: float | None
    usual: float


@dataclass(frozen=True, slots=True)
class ServiceJudged:
    """How the requests of a subgroup were served, beside what is usual at these hours, or at the level that is accepted or has settled.

    `requests` came, `timed` say what they took. `error_rate` and `usual_error_rate` are shares of the requests, None where no rule is of errors.
    `told` are the rules of which an incident is open.
    """

    key: SeriesKey
    start: Nanos
    end: Nanos
    requests: int
    timed: int
    latencies: tuple[UsualLatency, ...]
    error_rate: float | None
    usual_error_rate: float | None
    told: tuple[str, ...]

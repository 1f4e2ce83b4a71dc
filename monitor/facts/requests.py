"""How requests were served that were answered with predictions."""

from dataclasses import dataclass, field

from detectors.features import Ints
from detectors.sketches.served import ServedCounts
from monitor.stream.events import SeriesKey


@dataclass(frozen=True, slots=True)
class RequestsServed:
    """Requests of events that were read, late ones too: what they took in the bins of `served`, None where it is not read, and all their seconds.

    `told`: of so many it is told whether they failed; 0 where that is not read.
    """

    key: SeriesKey
    latencies: Ints | None = field(compare=False)
    seconds: float
    told: int
    failed: int


@dataclass(frozen=True, slots=True)
class WindowRequests:
    """The requests of a window: `timed` are those of which it is told what they took, `told` whether they failed.

    `p50` … `p99` are the seconds under which so many in a hundred took.
    """

    timed: int
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    told: int
    failed: int

    @classmethod
    def of(cls, counts: ServedCounts | None) -> "WindowRequests | None":
        """Those of a window; None where nothing is told of any."""
        if counts is None or not (counts.timed or counts.told):
            return None
        half, most, nearly, all_but = (counts.quantile(share) for share in (0.5, 0.9, 0.95, 0.99))
        return cls(counts.timed, half, most, nearly, all_but, counts.told, counts.failed)

    @property
    def error_rate(self) -> float | None:
        """Share that failed; None where it is not told."""
        return self.failed / self.told if self.told else None

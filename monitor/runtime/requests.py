"""How requests were served since the daemon started, and what /metrics and the JSON routes say of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from detectors.sketches.served import within
from monitor.facts import RequestsServed, WindowRequests
from monitor.runtime.exposition import label, labelled, lines
from monitor.stream.events import SeriesKey

LATENCY_BOUNDS = np.exp2(np.arange(-10, 7))  # seconds, from a millisecond to a minute: each twice the one before
OUTCOMES = ("ok", "error")
SERIES = ("model", "version")
DIGITS = 6


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """Requests of one series. `latencies`: by LATENCY_BOUNDS and beyond, empty where they are not read; `seconds` all of them together."""

    latencies: tuple[int, ...] = ()
    seconds: float = 0.0
    told: int = 0
    failed: int = 0
    outcomes: bool = False  # whether it is read at all which of them fail

    @classmethod
    def begun(cls, *, latency: bool, error: bool) -> "RequestCounts":
        """None yet, of those that are read: a first one is then seen as an increase."""
        return cls((0,) * (LATENCY_BOUNDS.size + 1) if latency else (), outcomes=error)

    def plus(self, more: RequestsServed) -> "RequestCounts":
        """These and more."""
        latencies = self.latencies
        if more.latencies is not None:
            came = within(more.latencies, LATENCY_BOUNDS)
            latencies = tuple(map(sum, zip(latencies, came, strict=True))) if latencies else tuple(came)
        return RequestCounts(
            latencies,
            self.seconds + more.seconds,
            self.told + more.told,
            self.failed + more.failed,
            outcomes=self.outcomes or bool(more.told),
        )


Family = tuple[str, list[bytes]]


def families(
    requests: Mapping[SeriesKey, RequestCounts], windows: Mapping[SeriesKey, WindowRequests]
) -> Iterator[Family]:
    """The metrics of requests: counted since the start, and the share of errors of each last window."""
    timed = [(_base(key), each) for key, each in requests.items() if each.latencies]
    yield "driftd_request_latency_seconds", [text for base, each in timed for text in _histogram(base, each)]
    outcomes = [
        (f"{_base(key)},{label('outcome', outcome)}", count)
        for key, each in requests.items()
        if each.outcomes
        for outcome, count in zip(OUTCOMES, (each.told - each.failed, each.failed), strict=True)
    ]
    yield "driftd_requests_total", [lines("driftd_requests_total", outcomes)]
    shares = [(_base(key), each.error_rate) for key, each in windows.items() if each.error_rate is not None]
    yield "driftd_request_error_ratio", [lines("driftd_request_error_ratio", shares)]


def _base(key: SeriesKey) -> str:
    return labelled(SERIES, (key.model, key.version))


def _histogram(base: str, requests: RequestCounts) -> Iterator[bytes]:
    name, counts = "driftd_request_latency_seconds", list(accumulate(requests.latencies))
    bounds = (*(repr(bound) for bound in LATENCY_BOUNDS.tolist()), "+Inf")
    yield lines(f"{name}_bucket", [(f"{base},{label('le', le)}", n) for le, n in zip(bounds, counts, strict=True)])
    yield lines(f"{name}_count", [(base, counts[-1])])
    yield lines(f"{name}_sum", [(base, requests.seconds)])


def document(requests: WindowRequests | None) -> dict[str, Any] | None:
    """The requests of a window for programs; None where nothing is told of them."""
    if requests is None:
        return None
    quantiles = {name: getattr(requests, name) for name in ("p50", "p90", "p95", "p99")}
    return {
        "latency_seconds": {"requests": requests.timed}
        | {name: None if found is None else float(f"{found:.4g}") for name, found in quantiles.items()},
        "errors": {"requests": requests.told, "failed": requests.failed, "ratio": requests.error_rate},
    }

"""How requests were served since the daemon started, and what /metrics and the JSON routes say of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np

from detectors.sketches.served import within
from monitor.explain.learning import judged_item, learning_item, service_item
from monitor.facts import RequestsServed, ServiceJudged, ServiceLearning, ServiceLearnt, WindowRequests
from monitor.runtime.exposition import label, labelled, lines
from monitor.stream.events import SeriesKey
from monitor.targets.payloads import rfc3339

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


@dataclass(frozen=True, slots=True)
class ServiceBoard:
    """How requests of one series stand to what is usual: the last subgroup of the charts, and how far those are learnt."""

    judged: ServiceJudged | None = None
    learning: ServiceLearning | None = None
    learnt: ServiceLearnt | None = None

    def hear(self, fact: ServiceJudged | ServiceLearning | ServiceLearnt) -> "ServiceBoard":
        """The same after a fact."""
        match fact:
            case ServiceJudged():
                return replace(self, judged=fact)
            case ServiceLearning():
                return replace(self, learning=fact)
            case ServiceLearnt():
                return replace(self, learning=None, learnt=fact)


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


def usual_families(services: Mapping[SeriesKey, ServiceBoard]) -> Iterator[Family]:
    """The metrics of requests beside what is usual, of the last subgroup."""
    judged = [(_base(key), each.judged) for key, each in services.items() if each.judged is not None]
    timed = [(f"{base},{label('q', f'{each.share:g}')}", each) for base, one in judged for each in one.latencies]
    values: dict[str, list[tuple[str, float | None]]] = {
        "driftd_request_latency_quantile_seconds": [(place, each.now) for place, each in timed],
        "driftd_request_latency_usual_seconds": [(place, each.usual) for place, each in timed],
        "driftd_request_error_usual_ratio": [(base, one.usual_error_rate) for base, one in judged],
        "driftd_service_learning_ratio": [
            (_base(key), None if each.learning is None else each.learning.progress.share)
            for key, each in services.items()
        ],
    }
    for name, samples in values.items():
        yield name, [lines(name, [(place, value) for place, value in samples if value is not None])]


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


def against_usual(service: ServiceBoard | None) -> dict[str, Any] | None:
    """How requests stand to what is usual, for programs; None where nothing judges them."""
    if service is None:
        return None
    learning, learnt, judged = service.learning, service.learnt, service.judged
    return {
        "learning": None if learning is None else learning_item(learning.progress),
        "learnt": None if learnt is None else {"at": rfc3339(learnt.at), **service_item(learnt)},
        "last": None
        if judged is None
        else {"start": rfc3339(judged.start), "end": rfc3339(judged.end), **judged_item(judged)},
    }

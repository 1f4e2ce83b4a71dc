"""What a reference says of how its requests were served, in a line and for programs."""

from typing import Any

from detectors import Reference
from detectors.reference.reference import ReferenceService
from monitor.explain.figures import share
from monitor.explain.stream import duration

QUANTILES = (0.5, 0.9, 0.95, 0.99)


def served(reference: Reference) -> str | None:
    """One line: what requests took, how many failed, and how their charts are calibrated; None where nothing is said of it."""
    service = reference.service
    if service is None:
        return None
    found = service.served
    took = [f"p{100 * each:g} {duration(round(1e6 * value))}" for each, value in quantiles(service).items()]
    failed = [] if found.error_rate is None else [f"errors {share(found.error_rate)}"]
    return f"service: {', '.join([*took, *failed])}; {calibrated(service)}"


def calibrated(service: ReferenceService) -> str:
    """Whether there are charts of it."""
    calibration = service.profile.calibration
    return "cold, not judged" if calibration is None else f"calibrated by {calibration.kind}"


def quantiles(service: ReferenceService) -> dict[float, float]:
    """Seconds, where latencies are told."""
    values = {each: service.served.quantile(each) for each in QUANTILES}
    return {each: value for each, value in values.items() if value is not None}


def served_document(reference: Reference) -> dict[str, Any] | None:
    """The same as plain values."""
    service = reference.service
    if service is None:
        return None
    calibration = service.profile.calibration
    return {
        "timed": service.served.timed,
        "latency": {f"p{100 * each:g}": value for each, value in quantiles(service).items()},
        "told": service.served.told,
        "error_rate": service.served.error_rate,
        "calibration": "cold" if calibration is None else calibration.kind,
    }

"""What a reference says of itself: what changes inside it, its odd days, what wanders, copies of the prediction, what it cannot see."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from detectors import Reference
from detectors.calibration.changes import SMALLEST_CHANGE
from detectors.calibration.unsteady import Drifting, OddDay, Unsteady
from detectors.charts.budget import BudgetError
from detectors.charts.design import BudgetSpec, ChartDesign
from detectors.charts.detectable import detectable_shift
from monitor.stream.events import DAY, HOUR, Nanos
from monitor.targets.payloads import rfc3339

SHOWN = 10  # lines of a kind
HARDLY_SEEN = 0.5  # sigma: a number whose smaller shifts are not found is named
NAMED = 3


def told(reference: Reference) -> Iterator[str]:
    """What is to be thought twice about, the worst of each kind first, a line each."""
    unsteady = _unsteady(reference)
    yield from _worst([each.words for each in _by_size(unsteady.drifting)], "features change inside the reference")
    yield from _worst([each.words for each in sorted(unsteady.odd_days, key=_oddity)], "days are unlike the others")
    yield from _worst(
        [each.words for each in sorted(unsteady.wandering, key=lambda each: -each.share)], "features wander by nature"
    )
    yield from _worst([each.words for each in reference.copies], "features say what the prediction says")


def _unsteady(reference: Reference) -> Unsteady:
    return Unsteady() if reference.calibration is None else reference.calibration.unsteady


def _worst(lines: Sequence[str], rest: str) -> Iterator[str]:
    yield from lines[:SHOWN]
    if len(lines) > SHOWN:
        yield f"… and {len(lines) - SHOWN} more {rest}"


def _by_size(drifting: Sequence[Drifting]) -> list[Drifting]:
    return sorted(drifting, key=lambda each: -_weight(each.what, each.shift))


def _oddity(odd: OddDay) -> float:
    return -max(_weight(each.what, each.by) for each in odd.deviations)


def _weight(what: str, size: float) -> float:
    """A size as a multiple of the smallest that is told: points and sigmas are of one list."""
    return abs(size) / SMALLEST_CHANGE[what]


def remedies(reference: Reference) -> Iterator[str]:
    """The options of `fit` that leave out what is odd."""
    unsteady = _unsteady(reference)
    steps = [each.since for each in unsteady.drifting if each.how == "step"]
    if steps and reference.period is not None:
        times, features = np.unique(steps, return_counts=True)
        yield _leave_out(int(times[features.argmax()]), int(features.max()), reference.period)
    if unsteady.odd_days:
        days = " ".join(_time(odd.day) for odd in unsteady.odd_days[:SHOWN])
        yield f"--exclude {days} leaves the odd {'day' if len(unsteady.odd_days) == 1 else 'days'} out"


def _leave_out(since: Nanos, features: int, period: tuple[Nanos, Nanos]) -> str:
    """How to fit on what is on the longer side of a step."""
    first, last = period
    late = last - since <= since - first
    many = "1 feature changes" if features == 1 else f"{features} features change"
    side, spans = ("last", f"{_time(since)}..") if late else ("first", f"..{_time(since - 1)}")
    return f"{many} at {_time(since)}: --exclude {spans} leaves the {side} {_long(last - since if late else since - first)} out"


def _long(span: Nanos) -> str:
    """Whole days, or hours where there are few."""
    days, hours = round(span / DAY), max(1, round(span / HOUR))
    return f"{days} days" if days > 1 else "1 hour" if hours == 1 else f"{hours} hours"


def _time(at: Nanos) -> str:
    """A time as --exclude takes it: the day where it is the beginning or the end of one."""
    return f"{np.datetime64(at, 'ns').astype('datetime64[D]' if at % DAY in {0, DAY - 1} else 'datetime64[s]')}"


# --- what it will not see -------------------------------------------------------------------------------------------------


def detectable(reference: Reference) -> list[float | None]:
    """The smallest lasting shift of each feature that is found within a day by the default budget, in sigma; None: no number, or none."""
    calibration, numbers = reference.calibration, len(reference.layout.numeric)
    nothing: list[float | None] = [None] * len(reference.names)
    if calibration is None or not numbers:
        return nothing
    try:
        shifts = detectable_shift(ChartDesign(reference, calibration, BudgetSpec()), DAY)
    except BudgetError:
        return nothing
    return [float(shift) if np.isfinite(shift) else None for shift in shifts] + nothing[numbers:]


def unseen(reference: Reference) -> str | None:
    """What a day does not show, in a line; None where nothing is known."""
    shifts = dict(zip(reference.names, detectable(reference), strict=True))
    known = sorted(((shift, name) for name, shift in shifts.items() if shift is not None), reverse=True)
    if not known:
        return None
    far = [f"{name} {shift:.2f} σ" for shift, name in known if shift > HARDLY_SEEN]
    more = f" and {len(far) - NAMED} more" if len(far) > NAMED else ""
    apart = f"; of {', '.join(far[:NAMED])}{more}" if far else ""
    return f"not found within a day: shifts below {np.median([shift for shift, _ in known]):.2f} σ in the median number{apart}"


# --- for programs ---------------------------------------------------------------------------------------------------------


def document(reference: Reference) -> dict[str, Any]:
    """All of it, unbounded, each with its words."""
    unsteady = _unsteady(reference)
    return {
        "drifting": [asdict(each) | {"since": rfc3339(each.since), "words": each.words} for each in unsteady.drifting],
        "odd_days": [
            {"day": rfc3339(odd.day), "features": [asdict(each) for each in odd.deviations], "words": odd.words}
            for odd in unsteady.odd_days
        ],
        "wandering": [asdict(each) | {"words": each.words} for each in unsteady.wandering],
        "copies": [asdict(each) | {"words": each.words} for each in reference.copies],
    }

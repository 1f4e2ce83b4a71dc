"""How requests were served over a record: what was learnt of it, and the subgroups that were furthest from what is usual."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from monitor.explain.figures import dated, share
from monitor.explain.learning import judged_item, learning_item, service_item
from monitor.explain.stream import duration
from monitor.facts import ServiceJudged, ServiceLearning, ServiceLearnt
from monitor.targets.payloads import rfc3339

SHOWN = 0.95  # the quantile that is compared
MICRO = 1e6


@dataclass(frozen=True, slots=True)
class ServiceOutcome:
    """`slowest` is the subgroup whose p95 was most times the usual, `worst` the one in which most points more failed; None: there is none."""

    learning: ServiceLearning | None = None
    learnt: ServiceLearnt | None = None
    judged: int = 0
    slowest: ServiceJudged | None = field(default=None, repr=False)
    worst: ServiceJudged | None = field(default=None, repr=False)

    def hear(self, fact: ServiceJudged | ServiceLearning | ServiceLearnt) -> "ServiceOutcome":
        """The same after a fact."""
        match fact:
            case ServiceLearning():
                return replace(self, learning=fact)
            case ServiceLearnt():
                return replace(self, learning=None, learnt=fact)
            case ServiceJudged():
                return replace(
                    self,
                    judged=self.judged + 1,
                    slowest=fact if times(fact) > times(self.slowest) else self.slowest,
                    worst=fact if more(fact) > more(self.worst) else self.worst,
                )


def times(judged: ServiceJudged | None) -> float:
    """How many times the usual its p95 was; 0 where nothing was timed."""
    told = () if judged is None else judged.latencies
    return max((each.now / each.usual for each in told if each.share == SHOWN and each.now and each.usual), default=0.0)


def more(judged: ServiceJudged | None) -> float:
    """How many failed beyond the usual, a share of the requests."""
    if judged is None or judged.error_rate is None or judged.usual_error_rate is None:
        return -1.0
    return judged.error_rate - judged.usual_error_rate


def lines(found: ServiceOutcome | None) -> Iterator[str]:
    """It in words: how far it was learnt, and what was furthest from the usual."""
    if found is None:
        return
    if found.learning is not None:
        yield f"requests: {found.learning.progress.words}; until then nobody judges how they are served"
    if found.learnt is not None:
        yield f"requests: what is usual was learnt from live traffic until {dated(found.learnt.at)}"
    if found.slowest is not None:
        told = next(each for each in found.slowest.latencies if each.share == SHOWN)
        took, usual = (duration(round(MICRO * (value or 0.0))) for value in (told.now, told.usual))
        yield f"requests: slowest until {dated(found.slowest.end)}, p95 took {took} where {usual} is usual"
    if found.worst is not None:
        rate, usual_rate = found.worst.error_rate or 0.0, found.worst.usual_error_rate or 0.0
        yield f"requests: most errors until {dated(found.worst.end)}, {share(rate)} where {share(usual_rate)} is usual"


def item(found: ServiceOutcome | None) -> dict[str, Any] | None:
    """It for programs; null where nothing judges requests."""
    if found is None:
        return None
    return {
        "learning": None if found.learning is None else learning_item(found.learning.progress),
        "learnt": None if found.learnt is None else {"at": rfc3339(found.learnt.at), **service_item(found.learnt)},
        "judged": found.judged,
        "slowest": _of(found.slowest),
        "worst": _of(found.worst),
    }


def _of(judged: ServiceJudged | None) -> dict[str, Any] | None:
    if judged is None:
        return None
    return {"start": rfc3339(judged.start), "end": rfc3339(judged.end), **judged_item(judged)}

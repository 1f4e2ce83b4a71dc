"""Words of the stream itself: why events are late, and since when nobody answers for a partition."""

from collections.abc import Mapping

from detectors.baseline import CategoricalBaseline, FeatureBaseline
from monitor.alerting.rules import ERRORS_RULE, LATENCY_RULE
from monitor.explain.figures import dated, plain, share, thousands
from monitor.explain.samples import legible
from monitor.stream.events import MINUTE, SECOND, Nanos, Partition

DISORDER = "they are out of order within a partition by more than the lateness"


def late_cause(topic: str, behind: Mapping[Partition, Nanos]) -> str:
    """Why events of a topic are late, as far as partitions show it; `behind` is how far each trails the watermark."""
    ours = {partition: by for partition, by in behind.items() if partition.topic == topic and by > 0}
    if not ours:
        return DISORDER
    furthest = max(ours, key=lambda each: ours[each])
    minutes = ours[furthest] / MINUTE
    return (
        f"partition {furthest} is {minutes:.3g} minutes behind the watermark: silent for idle_after, then older events"
    )


def explain_late(late: int, events: int, cause: str) -> str:
    """Say how many events are late, and why.

    >>> explain_late(130, 1000, "")
    '13 % of 1 000 events too late to be counted'
    """
    words = f"{share(late / events)} of {thousands(events)} events too late to be counted"
    return f"{words}: {cause}" if cause else words


def explain_frozen(feature: FeatureBaseline, value: float, rows: int) -> str:
    """Say at which value a feature stands still, and in how many rows."""
    named = legible(feature.categories[int(value)]) if isinstance(feature, CategoricalBaseline) else plain(value)
    return f"is {named} in each of {thousands(rows)} rows"


def explain_pause(since: int, most: int) -> str:
    """Say since when, in seconds, no event has come, and how long a pause may be.

    >>> explain_pause(0, 5400)
    'have not come since 1970-01-01 00:00; a pause of 90 minutes is not usual here'
    """
    return f"have not come since {dated(since * SECOND)}; a pause of {most * SECOND / MINUTE:.3g} minutes is not usual here"


def explain_latency(now: int, usual: int, share: int = 950) -> str:
    """Say what so many of a thousand requests take at most, in microseconds, and what is usual.

    >>> explain_latency(420_000, 180_000)
    'p95 took 420 ms where 180 ms is usual'
    """
    return f"p{share / 10:g} took {duration(now)} where {duration(usual)} is usual"


def duration(micros: int) -> str:
    """A duration in three figures, of microseconds."""
    for unit, size in (("s", 1_000_000), ("ms", 1_000)):
        if micros >= size:
            return f"{micros / size:.3g} {unit}"
    return f"{micros} µs"


def explain_errors(now: int, usual: int) -> str:
    """Say how many of a million requests fail, and how many are usual.

    >>> explain_errors(21_000, 3_000)
    'in 2.1 % of requests where 0.3 % is usual'
    """
    return f"in {share(now / 1e6)} of requests where {share(usual / 1e6)} is usual"


def explain_silence(since: int) -> str:
    """Say since when, in seconds, the leader of a partition has not answered."""
    return f"has had no answer from its leader since {dated(since * SECOND)}: event time stands still"


WORDS_OF_SERVICE = {LATENCY_RULE: explain_latency, ERRORS_RULE: explain_errors}

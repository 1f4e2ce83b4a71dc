"""Words of the stream itself: why events are late, and since when nobody answers for a partition."""

from collections.abc import Mapping

from detectors.baseline import CategoricalBaseline, FeatureBaseline
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


def explain_silence(since: int) -> str:
    """Say since when, in seconds, the leader of a partition has not answered."""
    return f"has had no answer from its leader since {dated(since * SECOND)}: event time stands still"

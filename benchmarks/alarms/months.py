"""Months of a model, with the changes of its case: how often people are paged, how long, by what, and what they hear."""

from collections import Counter
from collections.abc import Iterable

from benchmarks.alarms.plain import PlainRule
from benchmarks.alarms.subject import MONTH_HOURS, Subject
from benchmarks.alarms.traffic import HOUR, Pane, Planted
from benchmarks.alarms.watch import CLOSED, DOUBT, ESCALATED, OPENED, SETTLED, Watch, names
from benchmarks.measure import Figures

COUNTED = (OPENED, ESCALATED, SETTLED, CLOSED)


def lived(subject: Subject, months: float) -> Figures:
    """Live through so many months."""
    watch, plain = subject.watch(), subject.plain()
    windows = round(months * MONTH_HOURS / subject.hours)
    follow(watch, plain, subject.panes(subject.begins, windows, subject.planted))
    return {
        "months": months,
        **figures(watch, plain),
        "planted": [_planted(subject, watch, one) for one in subject.planted],
        "notices": [[subject.day(one.at), one.line] for one in watch.notices],
    }


def follow(watch: Watch, plain: PlainRule | None, panes: Iterable[Pane]) -> None:
    """Let both see every pane."""
    for pane in panes:
        watch.take(pane)
        if plain is not None:
            plain.take(pane.means)


def figures(watch: Watch, plain: PlainRule | None) -> Figures:
    """What was counted."""
    opened = [one for one in watch.notices if one.what == OPENED]
    return {
        "windows": watch.windows,
        **{what: watch.count(what) for what in COUNTED},
        "open_windows": watch.open_windows,
        "doubtful_windows": watch.doubtful,
        "doubts": sum(one.incident == DOUBT for one in opened),
        "causes": dict(Counter(one.cause for one in opened if one.incident != DOUBT)),
        "plain": None if plain is None else {"pages": plain.pages, "open_windows": plain.open_windows},
    }


def _planted(subject: Subject, watch: Watch, one: Planted) -> Figures:
    features = [subject.names[at] for at in one.features]
    return {
        "features": features,
        "day": subject.day(subject.living.start(one.since)),
        "heard": heard_after(watch, features, subject.living.start(max(one.since, subject.begins))),
    }


def heard_after(watch: Watch, features: Iterable[str], since: int) -> float | None:
    """Days from a time to the first notice after it that names one of the features."""
    later = [one for one in watch.notices if one.at > since]
    found = [notice.at for name in features if (notice := names(later, name)) is not None]
    return round((min(found) - since) / (24 * HOUR), 3) if found else None

"""Months of a model, with the changes of its case: how often people are paged, how long, by what, and what they hear."""

from collections import Counter
from collections.abc import Collection, Iterable

from benchmarks.alarms.itself import named, words_of
from benchmarks.alarms.plain import PlainRule
from benchmarks.alarms.subject import MONTH_HOURS, Subject
from benchmarks.alarms.traffic import HOUR, Pane, Planted
from benchmarks.alarms.watch import CLOSED, DOUBT, ESCALATED, LEVEL, OPENED, SETTLED, Watch, names
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
        "warnings": watch.warnings,
        "open_windows": watch.open_windows,
        "doubtful_windows": watch.doubtful,
        "doubts": sum(one.incident == DOUBT for one in opened),
        "causes": dict(Counter(one.cause for one in opened if one.incident != DOUBT)),
        "plain": None if plain is None else {"pages": plain.pages, "open_windows": plain.open_windows},
    }


def _planted(subject: Subject, watch: Watch, one: Planted) -> Figures:
    features = [subject.names[at] for at in one.features]
    begins = subject.living.start(max(one.since, subject.begins))
    told = told_of(watch, features, begins) | {"day": subject.day(subject.living.start(one.since))}
    return told | {"named": named(words_of(subject.reference), features)} if one.since < subject.begins else told


def told_of(watch: Watch, features: Collection[str], since: int) -> Figures:
    """What people heard of a change of these features."""
    heard, first = heard_after(watch, features, since)
    return {
        "features": list(features),
        "heard": heard,
        "right": first in features,
        "first": first,
        "settled": settled_after(watch, features, since),
    }


def heard_after(watch: Watch, features: Collection[str], since: int) -> tuple[float | None, str]:
    """Days from a time to the first notice after it that names one of the features, and what stands first on that."""
    notice = names((one for one in watch.notices if one.at > since), features)
    return (None, "") if notice is None else (round((notice.at - since) / (24 * HOUR), 3), notice.features[0])


def settled_after(watch: Watch, features: Collection[str], since: int) -> float | None:
    """Days from a time to the first notice that an incident, or one of the features, has settled."""
    found = next(
        (
            one
            for one in watch.notices
            if one.at > since and one.what == SETTLED and (one.incident != LEVEL or set(features) & set(one.features))
        ),
        None,
    )
    return None if found is None else round((found.at - since) / (24 * HOUR), 2)

"""What a model was worth on its page: in words, each metric with the intervals of the last windows, and tables of the last one."""

from collections.abc import Mapping, Sequence

from detectors.durations import show_duration
from monitor.explain.figures import dated
from monitor.explain.performance import (
    bias_words,
    coverage_words,
    difference_words,
    estimate_words,
    figure,
    metric_words,
    no_positive_words,
    spelled,
)
from monitor.facts import ClassTold, PerformanceEstimated, PerformanceJudged
from monitor.html import plots
from monitor.html.figures import NONE, count, plural
from monitor.html.markup import Inside, Markup, name, table, tag
from monitor.html.performance import cell, coverage_plot, drawn_metrics, metric_plot
from monitor.html.plots import TimeAxis
from monitor.html.reliability import reliability
from monitor.runtime.board import Board
from monitor.runtime.page.frame import section
from monitor.stream.events import Nanos, SeriesKey

DRAWN = 4  # metrics
IN_WORDS = 3
OF_CLASS = ("precision", "recall", "f1")


def performance(board: Board, key: SeriesKey) -> Markup | None:
    """Return the section of a model: by labels, and before they come; None where it has neither."""
    judged, estimated = board.performance.get(key), board.estimated.get(key)
    if judged is None and estimated is None:
        return None
    by_labels = [] if judged is None else worth(board.worth.get(key, ()), judged)
    return section("What it was worth", [*by_labels[:1], before_labels(estimated), *by_labels[1:]], "worth")


def before_labels(estimated: PerformanceEstimated | None) -> Markup | None:
    """Return what labels are expected to say of the last window."""
    if estimated is None:
        return None
    told = [*estimate_words(estimated)][:IN_WORDS]
    words = ", ".join(told) or next(iter(each.because or "" for each in estimated.metrics), "nothing can be told")
    if_so = "if labels follow predictions as in the reference (no concept drift)"
    return tag("p", f"Estimated without labels: {words}; window to {dated(estimated.end)} UTC, {if_so}.")


def worth(windows: Sequence[PerformanceJudged], by_age: Mapping[Nanos, PerformanceJudged]) -> list[Inside]:
    """Return the section. `windows` are the last ones of the last age, the oldest first; `by_age` the last one of each."""
    if not by_age:
        return [tag("p", "No window is old enough: labels have their time first.", class_="quiet")]
    last = by_age[max(by_age)]
    if not last.final:  # the last age has judged none yet
        return [tag("p", sentence(None, last), f"; provisional, after {show_duration(last.age)}.")]
    earlier = [each for age, each in sorted(by_age.items()) if age != last.age]
    return [
        tag("p", sentence(windows[0] if windows else None, last), "."),
        [
            tag("p", f"Provisional, after {show_duration(each.age)}: {sentence(None, each)}.", class_="quiet")
            for each in earlier
        ],
        untold(last),
        concept(last),
        without_positive(last),
        caution(last),
        drawings(windows),
        classes_table(last.by_class),
        reliability(last.reliability, "that window"),
    ]


def sentence(first: PerformanceJudged | None, last: PerformanceJudged) -> str:
    """Return a window in words: metrics then and now, until when, how many labels are in."""
    told = [metric_words(first or last, last, metric.name) for metric in last.metrics]
    words = [each for each in told if each][:IN_WORDS] or ["no metric can be told"]
    return f"{', '.join(words)}; window to {dated(last.end)} UTC, {coverage_words(last)}"


def untold(last: PerformanceJudged) -> Markup | None:
    """Return which metrics the window does not have, each with the reason, and which labelled rows count in none."""
    reasons: dict[str, list[str]] = {}
    for metric in last.metrics:
        if metric.value is None:
            reasons.setdefault(metric.because or "", []).append(spelled(metric.name))
    absent = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())
    left_out = ", ".join(f"{reason} {rows:,}" for reason, rows in last.left_out.items())
    said = [f"{what}: {held}." for what, held in (("Not to be told", absent), ("Left out", left_out)) if held]
    return tag("p", " ".join(said), class_="quiet") if said else None


def in_a_cell(judged: Mapping[Nanos, PerformanceJudged] | None) -> Inside:
    """Return the first metric of a model in a table of many."""
    final = [each for each in (judged or {}).values() if each.final]
    told = [metric for each in final for metric in each.metrics if metric.value is not None]
    if not told or told[0].value is None:
        return NONE
    return [
        f"{spelled(told[0].name)} {figure(told[0].value)}",
        tag("span", f", {coverage_words(final[0])}", class_="quiet small"),
    ]


def concept(last: PerformanceJudged) -> Markup | None:
    """Return where labels said otherwise than was expected of the same predictions."""
    words = ", ".join([*difference_words(last)][:IN_WORDS])
    if not words:
        return None
    said = f"Realised less estimated of the same predictions: {words}; one window in twenty says so by chance."
    return tag("p", tag("b", "A hint of concept drift. "), said, class_="caution")


def without_positive(last: PerformanceJudged) -> Markup | None:
    """Return that no label was ever the positive one, where that is so."""
    words = no_positive_words(last)
    return tag("p", f"{words[0].upper()}{words[1:]}.", class_="caution") if words else None


def caution(last: PerformanceJudged) -> Markup | None:
    """Return that labels do not come at random, where they do not."""
    words = bias_words(last)
    if not words:
        return None
    known = [metric for metric in last.metrics if metric.over_missing is not None][:IN_WORDS]
    bounds = ", ".join(
        f"{spelled(metric.name)} {figure(metric.over_missing[0])} to {figure(metric.over_missing[1])}"
        for metric in known
        if metric.over_missing is not None
    )
    over = f" Whatever the missing ones are: {bounds}." if bounds else ""
    return tag("p", tag("b", "Selection bias. "), f"{words[0].upper()}{words[1:]}.{over}", class_="caution")


def drawings(windows: Sequence[PerformanceJudged]) -> Markup | None:
    """Return the first metrics over the last windows, and how many labels were in."""
    names = drawn_metrics(windows[-1], DRAWN) if windows else []
    if not names:
        return None
    axis = TimeAxis(windows[0].start, windows[-1].end)
    foot = tag("div", tag("div", "UTC", class_="label quiet"), plots.ticks(axis.ticks()), class_="plot foot")
    said = (
        f"The last {plural(len(windows), 'window')} since driftd started; bars are 95 % intervals, of independent rows."
    )
    drawn = [metric_plot(each, axis, windows) for each in names]
    plotted = tag("div", drawn, coverage_plot(axis, windows), foot, class_="plots")
    return Markup(tag("p", said, class_="quiet") + plotted)


def classes_table(entries: Sequence[ClassTold]) -> Markup | None:
    """Return each class against the rest, where there are classes."""
    if not entries:
        return None
    rows: list[list[Inside]] = [[name(each.name), count(each.labels), *map(cell, each.metrics)] for each in entries]
    heads = ("Class", "#Labels", *(f"#{spelled(each)}" for each in OF_CLASS))
    return table("Each class against the rest, in that window, with 95 % intervals", heads, rows)

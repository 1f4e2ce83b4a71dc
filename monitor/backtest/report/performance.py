"""What a model was worth, by the labels that had come: by age metrics with their intervals, labels in, and a table of windows."""

from collections.abc import Sequence

from detectors.durations import show_duration
from monitor.backtest.report.parts import ModelPart
from monitor.backtest.result import Estimates, JudgedAge
from monitor.explain.figures import dated
from monitor.explain.performance import bias_words, left_out_words, spelled
from monitor.facts import PerformanceJudged
from monitor.html import plots
from monitor.html.figures import count, moment, plural, share
from monitor.html.markup import Markup, table, tag
from monitor.html.performance import cell, coverage_plot, drawn_metrics, metric_plot
from monitor.html.reliability import reliability

DRAWN = 6  # metrics
LISTED = 100  # windows


def performance(part: ModelPart) -> Markup | None:
    """Return the chapter's content; None where no label was read, and the reference has none."""
    by_labels, estimates = labelled(part), part.model.estimates
    if estimates is None:
        return by_labels
    return Markup(before_labels(part, estimates) + (by_labels or ""))


def before_labels(part: ModelPart, estimates: Estimates) -> Markup:
    """Return what each window was expected to be worth by its predictions and the reference's labels."""
    windows = estimates.estimated
    kept = "" if len(windows) == estimates.windows else f"; {count(len(windows))} of them are shown, evenly"
    words = (
        f"{plural(estimates.windows, 'window')} estimated{kept}. Bars are the 95 % intervals of what labels would say of these rows, "
        "if labels follow predictions as in the reference."
    )
    shown = next((each for each in reversed(windows) if drawn_metrics(each, 1)), windows[-1])
    names = drawn_metrics(shown, DRAWN) or [each.name for each in shown.metrics][:DRAWN]
    head = tag("h4", "Estimated without labels")
    drawn = [metric_plot(name, part.axis, windows) for name in drawn_metrics(shown, DRAWN)]
    foot = tag("div", tag("div", "UTC", class_="label quiet"), plots.ticks(part.axis.ticks()), class_="plot foot")
    plotted = tag("div", drawn, foot, class_="plots") if drawn else ""
    heads = ("Window until", "#Predictions", "#Unlike the reference's", *(f"#{spelled(name)}" for name in names))
    rows = [
        [moment(each.end), count(each.rows), share(each.outside), *(cell(each.metric(name)) for name in names)]
        for each in [*reversed(windows)][:LISTED]
    ]
    caption = f"Performance of {part.model.key}, estimated without labels (times in UTC)"
    return Markup(head + tag("p", words, class_="quiet") + plotted + table(caption, heads, rows))


def labelled(part: ModelPart) -> Markup | None:
    """Return what labels said; None where none was read."""
    if part.model.performance is None:
        return None
    if not part.model.performance:
        return tag("p", "No window is old enough: the record ends before its labels had their time.")
    outcomes = ", ".join(f"{count(many)} {outcome.replace('_', ' ')}" for outcome, many in part.model.labels.items())
    labels = tag("p", f"Labels: {outcomes}.", class_="quiet") if outcomes else ""
    return Markup(labels + "".join(of_age(part, each) for each in part.model.performance))


def of_age(part: ModelPart, judged: JudgedAge) -> Markup:
    """Return what was known at one age."""
    kind = "" if judged.final else ", provisional"
    windows = judged.judged
    shown = "" if len(windows) == judged.windows else f"; {count(len(windows))} of them are drawn, evenly"
    head = tag("h4", f"{show_duration(judged.age)} after the prediction{kind}")
    words = tag(
        "p",
        f"{plural(judged.windows, 'window')} judged{shown}. Bars are 95 % intervals, of independent rows.",
        class_="quiet",
    )
    drawn = [metric_plot(name, part.axis, windows) for name in drawn_metrics(windows[-1], DRAWN)]
    foot = tag("div", tag("div", "UTC", class_="label quiet"), plots.ticks(part.axis.ticks()), class_="plot foot")
    plotted = tag("div", drawn, coverage_plot(part.axis, windows), foot, class_="plots")
    refused = left_out_words(windows)
    note = tag("p", f"{refused}.", class_="caution") if refused else ""
    last = next((each for each in reversed(windows) if each.reliability), windows[-1])
    scores = reliability(last.reliability, f"the window until {dated(last.end)} UTC") or ""
    return Markup(head + words + note + bias_note(windows) + plotted + scores + windows_table(part, judged))


def bias_note(windows: Sequence[PerformanceJudged]) -> str:
    """Return in how many windows labels do not come at random, where there are any."""
    biased = [each for each in windows if bias_words(each)]
    if not biased:
        return ""
    said = f"In {count(len(biased))} of {plural(len(windows), 'window')} {bias_words(biased[-1])}."
    return tag("p", tag("b", "Selection bias. "), said, class_="caution")


def windows_table(part: ModelPart, judged: JudgedAge) -> Markup:
    """Return the last windows, the newest first, with the metrics that are drawn."""
    windows = [*reversed(judged.judged)][:LISTED]
    names = drawn_metrics(windows[0], DRAWN)
    heads = ("Window until", "#Predictions", "#Labels in", *(f"#{spelled(name)}" for name in names))
    rows = [
        [moment(each.end), count(each.predictions), labels_in(each), *(cell(each.metric(name)) for name in names)]
        for each in windows
    ]
    caption = f"Performance of {part.model.key} by the labels of {show_duration(judged.age)} (times in UTC)"
    return table(caption, heads, rows)


def labels_in(judged: PerformanceJudged) -> str:
    """Return how many labels are in, and whether they come at random."""
    biased = judged.coverage_test is not None and judged.coverage_test.beyond_chance
    return f"{share(judged.coverage)}{' *' if biased else ''}"

"""What a model was worth over time: a small drawing of each metric with the interval of every window, and of how many labels were in."""

import math
from collections.abc import Sequence

from monitor.explain.performance import Worth, digits_of, figure, spelled
from monitor.facts import MetricTold, PerformanceJudged
from monitor.html import plots
from monitor.html.figures import NONE, share
from monitor.html.markup import Inside, Markup, tag
from monitor.html.plots import Scale, TimeAxis

HIGH = 1000.0  # steps of a drawing


def drawn_metrics(judged: Worth, most: int) -> list[str]:
    """Return the first metrics that have a value."""
    return [metric.name for metric in judged.metrics if metric.value is not None][:most]


def metric_plot(name: str, axis: TimeAxis, windows: Sequence[Worth]) -> Markup:
    """Return a metric of windows of one age, as far as it has values, and the interval of each."""
    found = [(each.end, metric) for each in windows if (metric := each.metric(name)) is not None]
    told = [(end, metric) for end, metric in found if metric.value is not None]
    values = [metric.value for _, metric in told if metric.value is not None]
    reach = [limit for _, metric in told for limit in (metric.lower, metric.upper) if limit is not None]
    scale = scale_of([*values, *reach])
    points = plots.places(axis, [end for end, _ in told], values)
    bars = [
        (axis.place(end), metric.lower, metric.upper)
        for end, metric in told
        if metric.lower is not None and metric.upper is not None
    ]
    last = figure(values[-1])
    described = f"{spelled(name)}: {figure(min(values))} to {figure(max(values))}, last {last}; bars are 95 % intervals"
    inside = [plots.intervals(bars, scale), plots.line("score", points, scale)]
    label = [tag("span", spelled(name)), tag("span", tag("b", last), " last", class_="quiet")]
    ends = [(0.0, figure(scale.top)), (1.0, figure(scale.base))]
    return plots.row("tall", label, [plots.drawing(described, scale, inside), plots.level_words(ends)])


def coverage_plot(axis: TimeAxis, windows: Sequence[PerformanceJudged]) -> Markup:
    """Return the share of predictions that have a label."""
    scale = Scale(1.0)
    points = plots.places(axis, [each.end for each in windows], [each.coverage for each in windows])
    last = share(windows[-1].coverage)
    label = [tag("span", "Labels in"), tag("span", tag("b", last), " last", class_="quiet")]
    described = f"Share of predictions with a label: last {last}"
    drawn = plots.drawing(described, scale, plots.line("score", points, scale))
    return plots.row("calm", label, [drawn, plots.level_words([(0.0, "all")])])


def cell(metric: MetricTold | None) -> Inside:
    """Return a metric with its interval, or why there is none."""
    if metric is None or metric.value is None:
        return NONE if metric is None else tag("span", NONE, title=metric.because)
    if metric.lower is None or metric.upper is None:
        return figure(metric.value)
    digits = digits_of(metric.value, metric.upper - metric.lower)
    reach = f" {figure(metric.lower, digits)} to {figure(metric.upper, digits)}"
    return [figure(metric.value, digits), tag("span", reach, class_="quiet small")]


def scale_of(values: Sequence[float]) -> Scale:
    """Return a scale from a round number below all values to one above.

    >>> scale = scale_of([0.84, 0.91])
    >>> round(scale.base, 3), round(scale.top, 3)
    (0.84, 0.92)
    """
    lowest, highest = min(values), max(values)
    span = highest - lowest or abs(highest) or 1.0
    step = 10.0 ** math.floor(math.log10(span / 2))
    step = next(step * n for n in (1, 2, 5, 10) if span / (step * n) <= 5)  # noqa: PLR2004 - so many steps are plenty
    base, top = math.floor(lowest / step + 1e-9) * step, math.ceil(highest / step - 1e-9) * step
    top = top if top > base else base + step
    return Scale(top, unit=HIGH / (top - base), base=base)

"""The reliability diagram of scores: what came true beside what was said, as a drawing and as a table."""

from collections.abc import Sequence

from monitor.explain.performance import figure
from monitor.facts import ReliabilityTold
from monitor.html import plots
from monitor.html.figures import count
from monitor.html.markup import Inside, Markup, table, tag
from monitor.html.plots import Scale

HEADS = ("Score", "#Labels", "#Mean score", "#Came true")


def reliability(bins: Sequence[ReliabilityTold], window: str) -> Markup | None:
    """Return the drawing and the table of a window, which the caption names; None where there are no scores."""
    if not bins:
        return None
    caption = f"Reliability in {window}: where scores are probabilities, the last two are alike"
    rows = [
        [f"{each.above:g} to {each.upto:g}", count(each.rows), figure(each.predicted), _seen(each)] for each in bins
    ]
    return Markup(diagram(bins, window) + table(caption, HEADS, rows))


def diagram(bins: Sequence[ReliabilityTold], window: str) -> Markup:
    """Return the drawing: mean scores from left to right, shares that came true upwards, both from 0 to 1."""
    scale = Scale(1.0)
    points = [(each.predicted, each.observed) for each in bins]
    inside = [
        plots.line("diagonal", [(0.0, 0.0), (1.0, 1.0)], scale),
        plots.intervals([(each.predicted, each.lower, each.upper) for each in bins], scale),
        plots.line("score", points, scale),
        plots.dots("score", points, scale),
    ]
    described = "Reliability diagram: " + "; ".join(
        f"mean score {figure(each.predicted)}, {figure(each.observed)} came true" for each in bins
    )
    words = "Reliability diagram of ", window, ": dots on the dashed line say what comes true; bars are 95 % intervals."
    axis = plots.ticks([(0.0, "0"), (0.5, "mean score"), (1.0, "1")])
    ends = plots.level_words([(0.0, "1 came true")])
    box = tag("div", plots.drawing(described, scale, inside), ends, class_="box")
    return tag("figure", tag("figcaption", words, class_="quiet small"), box, axis, class_="reliability")


def _seen(each: ReliabilityTold) -> Inside:
    reach = f" {figure(each.lower)} to {figure(each.upper)}"
    return [figure(each.observed), tag("span", reach, class_="quiet small")]

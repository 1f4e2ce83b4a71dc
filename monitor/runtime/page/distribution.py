"""A feature's values in the last window beside its reference: the picture that backtests and notebooks draw too."""

from detectors.distribution import svg
from monitor.html.figures import moment
from monitor.html.markup import Markup, tag
from monitor.runtime.board import SeriesBoard


def distribution(series: SeriesBoard, feature: str) -> Markup | None:
    """Return a feature's reference beside its last window; None where neither is at hand."""
    shown = series.distribution(feature)
    if shown is None or series.window is None:
        return None
    words = tag(
        "span", "Grey: the reference. Line or lower bar: the last window, to ", moment(series.window.end), " UTC."
    )
    return tag("figure", Markup(svg(shown)), tag("figcaption", words, class_="quiet small"))

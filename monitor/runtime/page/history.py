"""How near features came to an alert, over time: drawn from the points that the state keeps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.facts import AlertChanged, AlertSeen, TrackPoint
from monitor.html import plots
from monitor.html.figures import NONE, clock, spell, times
from monitor.html.markup import Inside, Markup, joined, name, tag
from monitor.html.plots import Scale, TimeAxis
from monitor.runtime.board import Board, SeriesTrack
from monitor.runtime.page.frame import feature_link
from monitor.series.tracks import read_points
from monitor.stream.events import Nanos, SeriesKey

SHOWN = 2.0  # × the threshold: the height of plots, more where a feature went further
CALM = 0.5  # below half a threshold nothing even warns
Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class TrackHistory:
    """How near the features of a series came at some times: `near` has a row a time, a column a feature, NaN where nothing is known."""

    key: SeriesKey
    features: tuple[str, ...]
    ends: tuple[Nanos, ...]
    near: np.typing.NDArray[np.float16]
    alerts: tuple[AlertSeen | AlertChanged, ...]

    @classmethod
    def of(
        cls, board: Board, key: SeriesKey, features: tuple[str, ...], points: Iterable[TrackPoint]
    ) -> "TrackHistory":
        """Those of the points of a series' track, beside its alerts."""
        kept = tuple(points)
        near = read_points(kept) if kept else np.empty((0, len(features)), np.float16)
        last = board.watermark or 0
        every: list[AlertSeen | AlertChanged] = [*board.alerts.values(), *board.resolved]
        alerts = (each for each in every if each.key == key and each.incident)
        return cls(key, features, tuple(min(each.end, max(last, each.start)) for each in kept), near, tuple(alerts))

    @property
    def axis(self) -> TimeAxis:
        """From the first to the last time."""
        return TimeAxis(self.ends[0], self.ends[-1]) if self.ends else TimeAxis(0, 1)

    def of_feature(self, feature: str) -> Values:
        """How near one feature came, time by time."""
        column = self.near[:, self.features.index(feature)].tolist()
        return [each if each == each else None for each in column]  # noqa: PLR0124 - not NaN

    def nearest(self, most: int) -> list[str]:
        """The features that came nearest, those first."""
        if not self.ends:
            return []
        highest = np.where(np.isnan(self.near), -1, self.near).max(axis=0)
        order = np.argsort(-highest, kind="stable")[:most].tolist()
        return [self.features[place] for place in order if highest[place] >= 0]


def both(board: Board, key: SeriesKey, track: SeriesTrack) -> list[tuple[str, TrackHistory]]:
    """Return the last windows and the last days, each under its words; what has no two points is left out."""
    found = [
        ("The last windows", TrackHistory.of(board, key, track.features, track.windows)),
        ("The last days, by the hour", TrackHistory.of(board, key, track.features, track.hours)),
    ]
    return [(words, history) for words, history in found if len(history.ends) > 1]


def longest(board: Board, key: SeriesKey, track: SeriesTrack) -> TrackHistory:
    """Return the history that reaches back furthest."""
    histories = [history for _, history in both(board, key, track)]
    reach = [history.ends[-1] - history.ends[0] for history in histories]
    return histories[reach.index(max(reach))] if histories else TrackHistory.of(board, key, track.features, ())


def features_plots(history: TrackHistory, features: Sequence[str], *, linked: bool = True) -> Markup:
    """Return a plot for each of these features, all over one axis of time and of one height."""
    values = {feature: history.of_feature(feature) for feature in features}
    highest = max((value for each in values.values() for value in each if value is not None), default=0.0)
    scale = Scale(max(SHOWN, plots.nice_top(highest)), growing=True)
    items = [tag("li", feature_plot(history, feature, values[feature], scale, linked=linked)) for feature in features]
    foot = plots_foot(history.axis)
    return joined([tag("ol", items, class_="plots tracks"), tag("div", foot, class_="plots")])


def feature_plot(history: TrackHistory, feature: str, values: Values, scale: Scale, *, linked: bool) -> Markup:
    """Return how near one feature came."""
    top = max((value for value in values if value is not None), default=0.0)
    at = next((end for end, value in zip(history.ends, values, strict=True) if value == top), 0)
    label = [
        feature_link(history.key, feature) if linked else tag("span", name(feature), class_="feature"),
        tag("span", tag("b", times(top)), f" at most, {clock(at)}", class_="quiet"),
    ]
    described = f"Score divided by threshold of {feature}: at most {times(top)}, at {clock(at)}"
    kind = "paged" if top >= 1 else "calm"
    return plots.row(kind, label, drawn(history, values, described, scale))


def drawn(history: TrackHistory, values: Values, described: str, scale: Scale) -> list[Markup]:
    """Return the picture: a line, the threshold, and the times in which an alert was open."""
    points = list(plots.places(history.axis, history.ends, values))
    inside = [
        *bands(history, scale),
        plots.level("warn", CALM, scale),
        plots.level("page", 1.0, scale),
        plots.line("score", points, scale),
    ]
    powers = [10.0**power for power in range(1, 5) if 10.0**power < scale.top]
    words = [(scale.fraction(value), f"{value:g}") for value in (*reversed(powers), 1.0)]
    return [plots.drawing(described, scale, inside), plots.level_words(words)]


def bands(history: TrackHistory, scale: Scale) -> list[Markup]:
    """Return when an alert of the model was open."""
    axis = history.axis
    return [
        plots.band(each.severity.value, axis.place(each.since), axis.place(end_of(each, axis.last)), scale)
        for each in history.alerts
        if each.since is not None and end_of(each, axis.last) >= axis.first
    ]


def end_of(alert: AlertSeen | AlertChanged, last: Nanos) -> Nanos:
    """When an alert ended; the end of what is shown where it has not."""
    return alert.window.end if isinstance(alert, AlertChanged) else last


def plots_foot(axis: TimeAxis) -> Markup:
    """Return the axis of time."""
    return tag("div", tag("div", "UTC", class_="label quiet"), plots.ticks(axis.ticks()), class_="plot foot")


def legend(history: TrackHistory) -> Markup:
    """Return what the lines mean."""
    span = f"Score ÷ threshold over {spell(history.axis.last - history.axis.first)}; even up to 1, factors above."
    keys = [("page", "1: an alert"), ("warn", f"{CALM:g}: a warning"), ("open", "an alert was open")]
    return tag(
        "p",
        tag("span", span),
        [tag("span", tag("i", class_=f"key {key}"), text) for key, text in keys],
        class_="legend",
    )


def sparkline(points: Sequence[tuple[Nanos, float | None]], described: str) -> Markup | str:
    """Return how near the nearest feature of a model came, small."""
    if len(points) < 2:  # noqa: PLR2004 - a line has two ends
        return NONE
    first, last = points[0][0], points[-1][0]
    scale, span = Scale(SHOWN, unit=100), max(last - first, 1)
    line = plots.line("score", [((end - first) / span, value and min(value, SHOWN)) for end, value in points], scale)
    return tag("div", plots.drawing(described, scale, [ALERT_AT, line]), class_="box spark")


ALERT_AT = plots.level("page", 1.0, Scale(SHOWN, unit=100))


def share_words(near: float | None) -> Inside:
    """Return a score as a multiple of its threshold."""
    return NONE if near is None else times(near)

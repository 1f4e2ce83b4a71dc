"""A model over time: its rows, alerts, planted changes and retraining, and how near each feature came to a page."""

from collections.abc import Iterable, Sequence

from monitor.backtest.report.parts import TOLD_AT_MOST, ModelPart
from monitor.backtest.result import AlertEpisode, Injected, Model, Retrain, Track
from monitor.html import plots
from monitor.html.evidence import CHARTS
from monitor.html.figures import clock, count, moment, plural, spell, times
from monitor.html.markup import Markup, name, tag
from monitor.html.plots import Scale
from monitor.stream.events import Nanos

SHOWN = 2.0  # × the threshold: the height of plots, more where a feature went further
NAMED_AT_MOST = 200  # features without a plot
LANES_AT_MOST = 8
BARS_AT_MOST = 500  # in a lane: more are one grey block to the eye


def timeline(part: ModelPart) -> Markup:
    """Return rows a window over the lanes of what happened, on one axis of time."""
    lanes = [
        alert_lanes(part),
        lane("Planted", [planted_bar(part, one) for one in part.injected]) if part.injected else None,
        lane("Retraining", [retrain_pin(part, one) for one in part.retrains[:BARS_AT_MOST]]) if part.retrains else None,
    ]
    return tag("div", rows_plot(part), lanes, foot(part), class_="plots")


def alert_lanes(part: ModelPart) -> list[Markup]:
    """Return a lane for each rule that fired, the last for all that are too many."""
    rules = list(part.by_rule.items())
    if len(rules) > LANES_AT_MOST:
        rest = [alert for _, alerts in rules[LANES_AT_MOST - 1 :] for alert in alerts]
        rules = [*rules[: LANES_AT_MOST - 1], (f"{len(rules) - LANES_AT_MOST + 1} more rules", rest)]
    return [lane(rule, alert_bars(part, alerts)) for rule, alerts in rules] or [lane("Alerts", [])]


def alert_bars(part: ModelPart, alerts: Sequence[tuple[int, AlertEpisode]]) -> list[Markup]:
    """Return the alerts of one lane; those that are told of in full are links."""
    return [
        alert_bar(part, number, alert, told=place < TOLD_AT_MOST)
        for place, (number, alert) in enumerate(alerts[:BARS_AT_MOST])
    ]


def rows_plot(part: ModelPart) -> Markup:
    """Return how many rows each window held."""
    model = part.model
    most = max(model.rows, default=0.0)
    scale = Scale(plots.nice_top(most), unit=10)
    points = list(plots.places(part.axis, model.ends, model.rows))
    described = f"Rows a window of {model.key}: at most {count(most)}, at least {count(min(model.rows, default=0.0))}"
    inside = [*alert_bands(part, scale), plots.line("rows", points, scale), *change_marks(part, scale)]
    label = [tag("span", "Rows a window"), tag("span", f"at most {count(most)}", class_="quiet")]
    return plot("tall", label, plots.drawing(described, scale, inside), [(0.0, count(scale.top)), (1.0, "0")])


def plot(class_: str, label: Iterable[Markup], drawing: Markup, levels: Iterable[tuple[float, str]] = ()) -> Markup:
    """Return a drawing beside its label; `levels` are words at places from the top (0) to the foot (1)."""
    return plots.row(class_, label, [drawing, plots.level_words(levels), tag("output", class_="read")])


def lane(label: str, bars: Sequence[Markup]) -> Markup:
    """Return one kind of event over time."""
    inside = bars or [tag("span", "none", class_="none quiet")]
    return tag("div", tag("div", name(label), class_="label"), tag("div", inside, class_="box"), class_="plot lane")


def foot(part: ModelPart) -> Markup:
    """Return the axis of time under the plots."""
    return tag("div", tag("div", "UTC", class_="label quiet"), plots.ticks(part.axis.ticks()), class_="plot foot")


def alert_bands(part: ModelPart, scale: Scale) -> list[Markup]:
    """Return the times in which an alert was open."""
    return [
        plots.band(alert.severity.value, part.axis.place(alert.fired_at), part.axis.place(ending(part, alert)), scale)
        for alert in part.shaded[:BARS_AT_MOST]
    ]


def change_marks(part: ModelPart, scale: Scale) -> list[Markup]:
    """Return where planted changes begin."""
    return [plots.mark("planted", part.axis.place(planted.at), scale) for planted in part.injected]


def ending(part: ModelPart, alert: AlertEpisode) -> Nanos:
    """Return when an alert ended, the end of the recording where it did not."""
    return part.axis.last if alert.resolved_at is None else alert.resolved_at


def alert_bar(part: ModelPart, number: int, alert: AlertEpisode, *, told: bool) -> Markup:
    """Return an alert in its lane, which leads to its explanation."""
    until = "still open" if alert.resolved_at is None else f"resolved {clock(alert.resolved_at)}"
    words = f"{alert.rule}: fired {clock(alert.fired_at)}, {until}"
    style = stretch(part, alert.fired_at, ending(part, alert))
    shown: dict[str, str] = {
        "class_": f"bar {alert.severity.value}",
        "style": style,
        "title": words,
        "aria_label": words,
    }
    return tag("a", href=f"#alert-{number}", **shown) if told else tag("span", role="img", **shown)


def planted_bar(part: ModelPart, planted: Injected) -> Markup:
    """Return a planted change in its lane."""
    until = part.axis.last if planted.until is None else planted.until
    return tag("span", planted.text, class_="bar planted", style=stretch(part, planted.at, until), title=planted.text)


def retrain_pin(part: ModelPart, retrain: Retrain) -> Markup:
    """Return a wish to retrain: full where it was granted."""
    words = f"{retrain.outcome.replace('_', ', ')} {clock(retrain.at)}"
    kind = "granted" if retrain.outcome == "requested" else "denied"
    place = f"left:{plots.percent(part.axis.place(retrain.at))}"
    return tag("span", class_=f"pin {kind}", style=place, title=words, role="img", aria_label=words)


def stretch(part: ModelPart, first: Nanos, last: Nanos) -> str:
    """Return where a stretch of time stands, as CSS."""
    left, right = part.axis.place(first), part.axis.place(last)
    return f"left:{plots.percent(left)};width:{plots.percent(max(right - left, 0))}"


def tracks(part: ModelPart) -> Markup:
    """Return a plot for each feature that came near a page, nearest first, all on the same axes."""
    model = part.model
    if not model.tracks:
        return tag(
            "p", "Nothing was charted: " + ("the reference is cold." if part.cold else "no subgroup had enough rows.")
        )
    items = [tag("li", track_plot(part, track)) for track in model.tracks]
    legend = tag("p", *legend_of(model), class_="legend")
    rest = [tag("p", not_shown_words(model), class_="quiet")] if model.not_shown else []
    plotted = tag("ol", items, class_="plots tracks") + tag("div", foot(part), class_="plots")
    return Markup(legend + plotted + "".join(rest))


def not_shown_words(model: Model) -> str:
    """Return which features have no plot."""
    more = len(model.not_shown) - NAMED_AT_MOST
    names = ", ".join(model.not_shown[:NAMED_AT_MOST]) + (f" and {count(more)} more" if more > 0 else "")
    lowest = times(min(track.highest for track in model.tracks))
    return f"Not shown, for they came no nearer than {lowest}: {names}."


def legend_of(model: Model) -> list[Markup]:
    """Return what the lines of these plots mean."""
    length = f"one point a subgroup of {spell(model.subgroup_ns)}"
    keys = [("page", "1: a page"), ("warn", f"{model.warn_at:g}: a warning"), ("open", "a page was open")]
    swatches = [tag("span", tag("i", class_=f"key {key}"), text) for key, text in keys]
    return [
        tag(
            "span",
            f"Evidence ÷ threshold, {length}. All plots reach to {times(score_scale(model).top)}: evenly up to 1, above by factors.",
        ),
        *swatches,
    ]


def track_plot(part: ModelPart, track: Track) -> Markup:
    """Return how near one feature came over time."""
    model, scale = part.model, score_scale(part.model)
    top, when, chart = peak(model, track)
    points = list(plots.places(part.axis, model.charted, track.peaks))
    described = f"Evidence divided by threshold of {track.feature}: highest {top} on {clock(when)} by {chart}"
    inside = [
        *alert_bands(part, scale),
        plots.level("warn", model.warn_at, scale),
        plots.level("page", 1.0, scale),
        plots.line("score", points, scale),
        *change_marks(part, scale),
    ]
    label = [
        tag("span", name(track.feature), class_="feature", title=track.feature),
        tag("span", tag("b", top), f" {chart}, ", moment(when), class_="quiet"),
    ]
    kind = "paged" if track.highest >= 1 else "calm"
    return plot(kind, label, plots.drawing(described, scale, inside), levels_of(scale))


def score_scale(model: Model) -> Scale:
    """Return the height of all plots of a model: as far as any feature went, above 1 by factors, so that 1 stays in sight."""
    return Scale(max([SHOWN, *(plots.nice_top(track.highest) for track in model.tracks)]), growing=True)


def levels_of(scale: Scale) -> list[tuple[float, str]]:
    """Return the words beside a plot: where a page is, and the powers of ten above it."""
    powers = [10.0**power for power in range(1, 10) if 10.0**power < scale.top]
    return [(scale.fraction(value), f"{value:g}") for value in (*reversed(powers), 1.0)]


def peak(model: Model, track: Track) -> tuple[str, Nanos, str]:
    """Return a feature's highest place: how high, when, by which chart."""
    highest = max(range(len(track.peaks)), key=lambda n: -1.0 if (value := track.peaks[n]) is None else value)
    return times(track.highest), model.charted[highest], CHARTS.get(track.charts[highest], track.charts[highest])


def windows_words(model: Model) -> str:
    """Return what the model was judged on, in words."""
    length, slide = spell(model.window_ns), spell(model.slide_ns)
    every = "" if model.slide_ns == model.window_ns else f" every {slide}"
    return f"{plural(model.windows, 'window')} of {length}{every}"

"""A feature's page: its scores against their thresholds, now and over time; its values beside the reference's."""

from monitor.html.figures import NONE, moment, number, share, times
from monitor.html.markup import Inside, Markup, facts, table, tag
from monitor.html.markup import name as named
from monitor.runtime import routes
from monitor.runtime.board import Board, SeriesTrack
from monitor.runtime.glance import ModelGlance, nearness_by_feature
from monitor.runtime.metrics import DaemonStatus
from monitor.runtime.page import cards
from monitor.runtime.page.distribution import distribution
from monitor.runtime.page.frame import frame, model_link, section, step
from monitor.runtime.page.history import both, features_plots, legend
from monitor.runtime.page.model import STATES
from monitor.series.scoring import DRIFT, OK, WARNING

MOODS = {DRIFT: "bad", WARNING: "warn"}


def feature_page(board: Board, status: DaemonStatus, model: ModelGlance, track: SeriesTrack, feature: str) -> bytes:
    """Return the page."""
    series = model.board
    state = series.states.get(feature, OK)
    near = nearness_by_feature(series).get(feature)
    involved = [each for each in model.incidents if feature in {entry.feature for entry in cards.features(each)}]
    lead = [tag("span", class_=f"dot {MOODS.get(state, 'good')}", aria_hidden="true"), STATES.get(state, NONE)]
    shape = distribution(series, feature)
    body = [
        tag("h1", named(feature)),
        tag("p", lead, "" if near is None else f", {times(near)} its threshold", class_="lead"),
        about(board, model, feature),
        section(
            "Part of",
            tag("div", [cards.card(board, each, status.now()) for each in involved], class_="cards"),
            "incidents",
        )
        if involved
        else None,
        section("Now beside the reference", shape, "distribution") if shape is not None else None,
        section("Score against threshold over time", over_time(board, model, track, feature), "history"),
        section("Scores of the last window", scores_table(model, feature), "scores"),
    ]
    trail = [step(model_link(model.key)), step(named(feature))]
    return frame(f"{feature} of {model.key}", MOODS.get(state, "good"), status, body, trail)


def about(board: Board, model: ModelGlance, feature: str) -> Markup:
    """Return how the feature is in the last window, and what it is held to."""
    window, place = model.board.window, (model.key, feature)
    known: list[tuple[str, Inside]] = []
    for entry in () if window is None else window.quality:
        if entry.feature == feature:
            known += [("Missing", share(entry.missing_ratio)), ("Outside the reference", share(entry.unseen_ratio))]
            known += (
                [] if entry.shift_sigma is None else [("Mean", f"{number(entry.shift_sigma)} σ from the reference's")]
            )
    if (level := board.levels.get(place)) is not None:
        until = [] if level.until is None else [", until ", moment(level.until)]
        known.append(("Held to", ["a level of its own (", level.step.value, ") since ", moment(level.at), until]))
    if (trails := board.trailing.get(place)) is not None:
        known.append(
            (
                "Compared with",
                f"its last {trails.days} of {trails.wanted} days, {share(trails.beyond)} of them outside the reference",
            )
        )
    return facts(known)


def over_time(board: Board, model: ModelGlance, track: SeriesTrack, feature: str) -> list[Markup]:
    """Return the last windows and the last days."""
    histories = both(board, model.key, track) if feature in track.features else []
    if not histories:
        return [tag("p", "No two windows have closed yet.", class_="quiet")]
    drawn = [
        [tag("h3", words), legend(history), features_plots(history, [feature], linked=False)]
        for words, history in histories
    ]
    return [tag("div", part, class_="chapter") for part in drawn]


def scores_table(model: ModelGlance, feature: str) -> Markup:
    """Return what each detector said."""
    found = [item for part in model.board.scores.parts for name, item in routes.items(part) if name == feature]
    rows: list[list[Inside]] = [
        [
            item["detector"],
            number(item["value"]),
            number(item["threshold"]),
            times(item["value"] / item["threshold"]) if item["value"] is not None and item["threshold"] else NONE,
            number(item["pvalue"]),
        ]
        for item in found
    ]
    heads = ("Detector", "#Score", "#Threshold", "#Of threshold", "#p-value")
    return table("Scores of the last window; – where there were too few rows, or no rule asks", heads, rows)

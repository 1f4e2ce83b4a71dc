"""Versions of a model side by side: whether they see the same traffic, which drifts, which performs, with intervals."""

from monitor.explain.performance import figure, spelled
from monitor.html.figures import NONE, count, number, plural
from monitor.html.markup import Inside, Markup, name, table, tag
from monitor.runtime.beside import MetricApart, VersionsCompared, champion_of, comparisons, digits_told, versions_of
from monitor.runtime.board import Board
from monitor.runtime.compared import version_item
from monitor.runtime.metrics import DaemonStatus
from monitor.runtime.page.distribution import distribution
from monitor.runtime.page.frame import feature_link, frame, model_link, section, step, title
from monitor.runtime.page.history import share_words
from monitor.series.scoring import DRIFT
from monitor.sources.formats.fields import PREDICTION
from monitor.stream.events import SeriesKey

SHOWN = 50  # features


def versions_page(board: Board, status: DaemonStatus, model: str) -> bytes:
    """Return the page. Raises KeyError where there is no such model."""
    keys = versions_of(board, model)
    if not keys:
        raise KeyError(f"driftd watches no model {model}.")
    champion = champion_of(board, keys)
    body: list[Inside] = [
        tag("h1", name(model), ": versions side by side"),
        section("Which drifts", versions_table(board, keys, champion), "drifts"),
    ]
    if len(keys) == 1:
        body.append(tag("p", "There is one version: nothing to compare.", class_="quiet"))
    body += [compared_section(each, number) for number, each in enumerate(comparisons(board, model))]
    body.append(section("Predictions of the last window", predictions(board, keys), "predictions"))
    return frame(f"{model}: versions", "none", status, body, step(name(model)))


def versions_table(board: Board, keys: list[SeriesKey], champion: SeriesKey) -> Markup:
    """Return each version against its own reference."""
    rows = []
    for key in keys:
        item, series = version_item(board, key), board.series[key]
        drifting = [feature for feature, state in series.states.items() if state == DRIFT]
        near = item["nearest"]
        assert isinstance(near, list)
        rows.append(
            [
                model_link(key, name(key.version)),
                "champion" if key == champion else "challenger",
                count(board.rows_seen[key]),
                [[feature_link(key, each), " "] for each in drifting[:SHOWN]] or "none",
                f"{near[0]['feature']} {share_words(near[0]['of_threshold'])}" if near else NONE,
                series.reference[:12],
            ]
        )
    heads = ("Version", "Role", "#Rows seen", "In drift", "Nearest to a threshold", "Reference")
    return table("Each version in its last window, held against its own reference", heads, rows)


def compared_section(compared: VersionsCompared, place: int) -> Markup:
    """Return a challenger beside the champion."""
    lines = [tag("li", words) for words in compared.verdict]
    inside: list[Inside] = [tag("ul", lines, class_="hints"), metrics_table(compared), inputs_table(compared)]
    if compared.inputs and not compared.same_time:
        inside.insert(1, tag("p", "Their last windows are of different times.", class_="caution"))
    return section(
        f"{compared.champion.version} beside {compared.challenger.version}",
        inside,
        f"beside-{place}",
    )


def metrics_table(compared: VersionsCompared) -> Markup | None:
    """Return what both are worth, and how far apart that is."""
    if not compared.metrics:
        return None
    rows = [metric_row(each) for each in compared.metrics]
    first = compared.metrics[0].apart
    how = "by how much windows differ" if first.paired else "as of independent rows"
    caption = (
        f"Over {plural(first.windows, 'window')} of both; intervals of differences hold all at once at 95 %, {how}"
    )
    heads = ("Metric", f"#{compared.champion.version}", f"#{compared.challenger.version}", "#Difference", "Better")
    return table(caption, heads, rows)


def metric_row(each: MetricApart) -> list[Inside]:
    """One metric."""
    told = each.apart
    digits = digits_told(each)

    def cell(value: float, interval: tuple[float, float]) -> str:
        return f"{figure(value, digits)} ({figure(interval[0], digits)} to {figure(interval[1], digits)})"

    better = each.better or ("cannot be told" if not told.beyond_chance else "they differ")
    return [
        spelled(each.metric),
        cell(told.first, told.first_interval),
        cell(told.second, told.second_interval),
        cell(told.value, told.interval),
        better,
    ]


def inputs_table(compared: VersionsCompared) -> Markup | None:
    """Return how far the features of both are apart."""
    every = [*([compared.predictions] if compared.predictions else []), *compared.inputs]
    if not every:
        return None
    rows = [
        [
            name("predictions" if each.feature == PREDICTION else each.feature),
            each.apart.measure,
            number(each.apart.value),
            number(each.apart.pvalue),
            "different" if each.different else "the same, as far as can be told",
        ]
        for each in every[:SHOWN]
    ]
    heads = ("Feature", "Measure", "#Distance", "#P-value", "Traffic")
    return table("The last windows of both, held against each other", heads, rows)


def predictions(board: Board, keys: list[SeriesKey]) -> Inside:
    """Return the predictions of each version, each beside its reference."""
    drawn = [(key, distribution(board.series[key], PREDICTION)) for key in keys]
    shown = [tag("div", tag("h3", title(key)), picture) for key, picture in drawn if picture is not None]
    return shown or tag("p", "No reference has predictions, or no window has closed yet.", class_="quiet")

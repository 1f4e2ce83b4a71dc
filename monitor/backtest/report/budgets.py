"""What other budgets would have done: pages and delay against false pages allowed."""

from collections.abc import Iterable, Sequence

from monitor.backtest.report.parts import ModelPart
from monitor.backtest.result import SweepRow
from monitor.html import plots
from monitor.html.figures import NONE, moment, number, plural, spell
from monitor.html.markup import Inside, Markup, name, table, tag
from monitor.html.plots import Scale

COLOURS = 6
HEADROOM = 1.2  # so that no dot stands on the edge or in the words there
Curve = list[float | None]


def sweep(part: ModelPart) -> Markup:
    """Return what other budgets would have done, as plots and as a table."""
    model = part.model
    if not model.sweep:
        return tag("p", "Not tried: ", "the reference is cold." if part.cold else "nothing was charted.")
    caption = f"What each budget would have done on {model.key}; a subgroup is {spell(model.subgroup_ns)}"
    delays = [f"#Delay: {planted.text}" for planted in part.injected]
    heads = ["Budget a month", "#Pages", *(["#False pages"] if part.injected else []), *delays, "First page"]
    shown = table(caption, heads, [sweep_row(part, row) for row in model.sweep], class_="sweep")
    drawn = tag("div", pages_plot(part), delay_plot(part) if part.injected else None, class_="pair")
    return Markup(drawn + shown)


def sweep_row(part: ModelPart, row: SweepRow) -> list[Inside]:
    """Return one budget."""
    configured = [" ", tag("span", "configured", class_="badge")] if row.now else None
    false = [NONE if row.false_pages is None else str(row.false_pages)] if part.injected else []
    delays = ["not found" if delay is None else plural(delay, "subgroup") for delay in row.delays]
    return [[number(row.per_month), configured], str(row.pages), *false, *delays, moment(row.first_page, "none")]


def pages_plot(part: ModelPart) -> Markup:
    """Return pages against budget."""
    rows = part.model.sweep
    curves: dict[str, Curve] = {"all pages": [float(row.pages) for row in rows]}
    if part.injected:
        curves["false pages"] = [row.false_pages for row in rows]
    return budget_plot(part, "Pages against budget", "pages", list(curves), list(curves.values()))


def delay_plot(part: ModelPart) -> Markup:
    """Return the delay of each planted change against budget."""
    rows = part.model.sweep
    curves: list[Curve] = [[row.delays[index] for row in rows] for index in range(len(part.injected))]
    return budget_plot(part, "Delay against budget", "subgroups", [planted.text for planted in part.injected], curves)


def budget_plot(part: ModelPart, title: str, unit: str, names: Sequence[str], curves: Sequence[Curve]) -> Markup:
    """Return curves over the budgets tried, which stand at equal steps."""
    rows = part.model.sweep
    highest = max((value for curve in curves for value in curve if value is not None), default=0.0)
    scale = Scale(plots.nice_top(highest * HEADROOM))
    steps = [(index + 0.5) / len(rows) for index in range(len(rows))]
    configured = [plots.mark("now", step, scale) for step, row in zip(steps, rows, strict=True) if row.now]
    lines = [curve_line(n, zip(steps, curve, strict=True), scale) for n, curve in enumerate(curves)]
    picture = plots.drawing(f"{title} of {part.model.key}; the table has the numbers", scale, [configured, lines])
    levels = plots.level_words([(0.0, f"{number(scale.top)} {unit}"), (1.0, "0")])
    budgets = [(step, number(row.per_month)) for step, row in zip(steps, rows, strict=True)]
    return tag(
        "figure",
        tag("figcaption", tag("b", title), legend(names, marked=bool(configured))),
        tag("div", tag("div", picture, levels, class_="box"), class_="plot tall bare"),
        tag("div", plots.ticks(budgets), class_="plot bare"),
        tag("p", "false pages allowed a month", class_="quiet small axis-name"),
    )


def curve_line(index: int, points: Iterable[plots.Point], scale: Scale) -> list[Markup]:
    """Return one curve with its dots."""
    colour, drawn = f"c{index % COLOURS}", list(points)
    return [plots.line(colour, drawn, scale), plots.dots(colour, drawn, scale)]


def legend(names: Sequence[str], *, marked: bool) -> Markup:
    """Return which colour is which curve."""
    keys = [(f"c{index % COLOURS}", curve) for index, curve in enumerate(names)] + (
        [("now", "configured")] if marked else []
    )
    return tag("span", [tag("span", tag("i", class_=f"key {key}"), name(text)) for key, text in keys], class_="legend")

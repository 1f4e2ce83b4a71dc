"""A report as HTML: a page in one file with its drawing, and a mail of plain tables, styled in place, for readers that know no style sheet."""

from collections.abc import Sequence
from datetime import UTC, datetime, time

from monitor.explain.report import ReportPart, headline, in_short, parts_of
from monitor.facts import DayTold, Report
from monitor.html import plots
from monitor.html.figures import count
from monitor.html.markup import Inside, Markup, name, table, tag, text
from monitor.html.page import page
from monitor.html.plots import Scale, TimeAxis
from monitor.stream.events import SECOND, Nanos

FONT = "font: 14px/1.45 sans-serif; color: #1f2328; background: #ffffff"
CELL = "border-bottom: 1px solid #d1d9e0; padding: 4px 12px 4px 0; text-align: left; vertical-align: top"
QUIET = "color: #59636e"


def report_page(report: Report, link: str | None = None) -> str:
    """Return a report as a whole page."""
    return page(f"driftd report – {headline(report)}", tag("main", report_body(report, link)))


def report_body(report: Report, link: str | None = None) -> Markup:
    """Return what a page says of a report."""
    inside: list[Inside] = [
        tag("p", "Report", class_="kicker quiet"),
        tag("h1", name(headline(report))),
        tag("p", f"{in_short(report)}. Times are {report.timezone}, of events.", class_="lead"),
        tag("section", tag("h2", "Rows and incidents a day"), days_plot(report.days)) if len(report.days) > 1 else None,
    ]
    inside += [_section(part) for part in parts_of(report)]
    inside += [tag("p", tag("a", "How it stands now", href=link))] if link else []
    return Markup("".join(each for each in inside if isinstance(each, Markup)))


def _section(part: ReportPart) -> Markup:
    lines = [tag("p", line) for line in part.lines]
    rows = [[text(cell) for cell in row] for row in part.rows]
    shown = table(part.caption, part.heads, rows) if rows else None
    return tag("section", tag("h2", part.heading), lines, shown)


def days_plot(days: Sequence[DayTold]) -> Markup:
    """Return how many rows each day held, with a dot where incidents opened."""
    axis = TimeAxis(_at(days[0]), _at(days[-1]))
    most = max(1, *(day.rows for day in days))
    scale = Scale(plots.nice_top(most), unit=1000 / plots.nice_top(most))
    times, rows = [_at(day) for day in days], [float(day.rows) for day in days]
    opened = [(axis.place(_at(day)), float(day.rows)) for day in days if day.opened]
    label = [
        tag("span", "Rows a day"),
        tag("span", f"{count(min(rows))} to {count(max(rows))}; a dot: incidents opened", class_="quiet"),
    ]
    described = f"Rows a day: at least {count(min(rows))}, at most {count(max(rows))}; incidents opened on {len(opened)} of {len(days)} days"
    drawn = [plots.line("rows", plots.places(axis, times, rows), scale), plots.dots("c4", opened, scale)]
    inside = [plots.drawing(described, scale, drawn), plots.level_words([(0.0, count(scale.top)), (1.0, "0")])]
    ticks = plots.ticks(day_ticks(axis, days))
    foot = tag("div", tag("div", "", class_="label quiet"), ticks, class_="plot foot")
    return tag("div", plots.row("tall", label, inside), foot, class_="plots")


def day_ticks(axis: TimeAxis, days: Sequence[DayTold]) -> list[tuple[float, str]]:
    """Return the words under the days. The heading has the year; beside the first day, on a phone, there is no room for it."""
    years = {day.day.year for day in days}
    return [
        (place, words.removesuffix(f" {min(years)}") if len(years) == 1 else words) for place, words in axis.ticks()
    ]


def _at(day: DayTold) -> Nanos:
    return int(datetime.combine(day.day, time(), UTC).timestamp()) * SECOND


def report_mail(report: Report, link: str | None = None) -> str:
    """Return the same for a mail: no drawing, no style sheet, nothing to load."""
    inside: list[Inside] = [
        tag("h1", name(headline(report)), style="font-size: 20px; margin: 0 0 4px"),
        tag("p", f"{in_short(report)}. Times are {report.timezone}, of events.", style=QUIET),
        [_mail_part(part) for part in parts_of(report)],
        tag("p", tag("a", "How it stands now", href=link)) if link else None,
    ]
    head = tag("head", tag("meta", charset="utf-8"), tag("title", headline(report)))
    return f"<!doctype html>\n{tag('html', head, tag('body', inside, style=FONT), lang='en')}\n"


def _mail_part(part: ReportPart) -> Markup:
    heads = tag("tr", [tag("th", head, style=f"{CELL}; {QUIET}") for head in part.heads])
    rows = [tag("tr", [tag("td", cell, style=CELL) for cell in row]) for row in part.rows]
    shown = tag("table", heads, rows, style="border-collapse: collapse; margin: 0 0 12px") if rows else None
    return tag(
        "div",
        tag("h2", part.heading, style="font-size: 16px; margin: 16px 0 4px"),
        [tag("p", line, style="margin: 0 0 6px") for line in part.lines],
        shown,
    )

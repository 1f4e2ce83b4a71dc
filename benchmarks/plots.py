"""Plots as SVG, by hand: bars and lines, readable on light and on dark pages."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 14px } .quiet { fill: #57606a } .axis { stroke: #8c959f; stroke-width: 1 }
.page { fill: #ffffff } .a { fill: #0969da; stroke: #0969da } .b { fill: #bf8700; stroke: #bf8700 }
.c { fill: #1a7f37; stroke: #1a7f37 } .d { fill: #8250df; stroke: #8250df } .e { fill: #cf222e; stroke: #cf222e }
.line { fill: none; stroke-width: 2 } .goal { stroke: #cf222e; stroke-dasharray: 4 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .quiet { fill: #9198a1 } .axis { stroke: #6e7681 } .page { fill: #0d1117 }
  .a { fill: #4493f8; stroke: #4493f8 } .b { fill: #d29922; stroke: #d29922 } .c { fill: #3fb950; stroke: #3fb950 }
  .d { fill: #ab7df8; stroke: #ab7df8 } .e { fill: #f85149; stroke: #f85149 } .line { fill: none }
}
</style>"""
COLOURS = "abcde"
WIDTH, LABEL, ROW, TOP = 760, 230, 22, 40
PLOT = WIDTH - LABEL - 150
HEIGHT = 260  # of a plot of lines
LEFT, BOTTOM = 60, 40
TICKS_AT_MOST = 12
MARGIN = 34  # pixels between two texts
Place = Callable[[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with its spread."""

    label: str
    value: float
    low: float
    high: float
    colour: str = "a"
    text: str = ""


def document(title: str, height: float, body: Sequence[str]) -> str:
    """A whole picture."""
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">'
    page = f'<rect class="page" width="{WIDTH}" height="{height:.0f}"/>'
    heading = f'<title>{escape(title)}</title><text class="title" x="10" y="22">{escape(title)}</text>'
    return "\n".join([opening, STYLE, page, heading, *body, "</svg>\n"])


def bars(title: str, values: Sequence[Bar], *, log: bool = False) -> str:
    """Horizontal bars, a whisker from lowest to highest."""
    highest = max(bar.high for bar in values)
    least = min(bar.low for bar in values) / 2 if log else 0.0

    def across(value: float) -> float:
        if log:
            return PLOT * math.log(max(value, least) / least) / math.log(highest / least)
        return PLOT * value / highest

    body = []
    for at, bar in enumerate(values):
        y = TOP + at * ROW
        middle = y + ROW / 2 - 2
        low, high = LABEL + across(bar.low), LABEL + across(bar.high)
        body += [
            f'<text x="{LABEL - 8}" y="{y + 13}" text-anchor="end">{escape(bar.label)}</text>',
            f'<rect class="{bar.colour}" x="{LABEL}" y="{y}" width="{across(bar.value):.1f}" height="{ROW - 6}" fill-opacity="0.75"/>',
            f'<line class="axis" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>',
            f'<text class="quiet" x="{max(high, LABEL + across(bar.value)) + 8:.1f}" y="{y + 13}">{escape(bar.text)}</text>',
        ]
    note = "logarithmic; " if log else ""
    foot = TOP + len(values) * ROW + 16
    body.append(f'<text class="quiet" x="{LABEL}" y="{foot}">{note}the thin line is lowest to highest</text>')
    return document(title, foot + 12, body)


def lines(
    title: str,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x: str,
    y: str,
    log: bool = False,
    goal: float | None = None,
) -> str:
    """Curves over one axis, which may be logarithmic."""
    points = [point for curve in curves.values() for point in curve]
    xs = [scale(at, log=log) for at, _ in points]
    first, last = min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1
    highest = max([value for _, value in points] + ([goal] if goal else [])) * 1.08
    wide, high = WIDTH - LEFT - 190, HEIGHT - BOTTOM - TOP

    def place(at: float, value: float) -> tuple[float, float]:
        return LEFT + wide * (scale(at, log=log) - first) / (last - first), TOP + high * (1 - value / highest)

    body = axes(wide, high, highest, x + (" (logarithmic)" if log else ""), y)
    if goal is not None:
        level = place(points[0][0], goal)[1]
        body.append(f'<line class="goal" x1="{LEFT}" x2="{LEFT + wide}" y1="{level:.1f}" y2="{level:.1f}"/>')
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        dots = [place(*point) for point in curve]
        path = " ".join(f"{across:.1f},{down:.1f}" for across, down in dots)
        body.append(f'<polyline class="{colour} line" points="{path}"/>')
        if len(dots) <= TICKS_AT_MOST:
            body += [f'<circle class="{colour}" cx="{a:.1f}" cy="{d:.1f}" r="3"/>' for a, d in dots]
        down = TOP + 14 + number * 18
        body.append(f'<rect class="{colour}" x="{LEFT + wide + 14}" y="{down - 9}" width="10" height="10"/>')
        body.append(f'<text x="{LEFT + wide + 30}" y="{down}">{escape(name)}</text>')
    body += ticks(sorted({at for at, _ in points}), place)
    return document(title, HEIGHT, body)


def scale(value: float, *, log: bool) -> float:
    """Where a value stands on its axis."""
    return math.log10(max(value, 0.5)) if log else value


def axes(wide: float, high: float, highest: float, x: str, y: str) -> list[str]:
    """Two axes with their names."""
    foot = TOP + high
    found = [
        f'<line class="axis" x1="{LEFT}" x2="{LEFT + wide}" y1="{foot}" y2="{foot}"/>',
        f'<line class="axis" x1="{LEFT}" x2="{LEFT}" y1="{TOP}" y2="{foot}"/>',
        f'<text class="quiet" x="{LEFT + wide / 2}" y="{foot + 34}" text-anchor="middle">{escape(x)}</text>',
        f'<text class="quiet" x="{LEFT + 6}" y="{TOP + 4}">{escape(y)}</text>',
    ]
    for part in (0.25, 0.5, 0.75, 1.0):
        level = foot - high * part / 1.08
        text = f"{highest * part / 1.08:,.3g}"
        found.append(f'<text class="quiet" x="{LEFT - 6}" y="{level + 4:.1f}" text-anchor="end">{text}</text>')
    return found


def ticks(values: Sequence[float], place: Place) -> list[str]:
    """Some values under the axis: all where there are few."""
    shown = values if len(values) <= TICKS_AT_MOST else [values[0], values[len(values) // 2], values[-1]]
    foot = HEIGHT - BOTTOM + 15
    found, before = [], -math.inf
    for value in shown:
        across = place(value, 0.0)[0]
        if across - before > MARGIN:
            found.append(f'<text class="quiet" x="{across:.1f}" y="{foot}" text-anchor="middle">{value:,.4g}</text>')
            before = across
    return found


def save(directory: Path, name: str, picture: str) -> str:
    """Write a picture; the line that shows it in Markdown."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.svg").write_text(picture, encoding="utf-8")
    return f"![{name.replace('-', ' ')}](plots/{name}.svg)"

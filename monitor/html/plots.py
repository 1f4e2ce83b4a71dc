"""Plots that fit any width: the drawing is stretched SVG, the words are HTML over it."""

import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from monitor.explain.figures import utc
from monitor.html.figures import MONTHS
from monitor.html.markup import Inside, Markup, tag
from monitor.stream.events import DAY, HOUR, MINUTE, SECOND, Nanos

ACROSS = 10_000  # steps from left to right
STEPS: tuple[Nanos, ...] = (
    *(n * SECOND for n in (1, 5, 15, 30)),
    *(n * MINUTE for n in (1, 5, 15, 30)),
    *(n * HOUR for n in (1, 3, 6, 12)),
    *(n * DAY for n in (1, 2, 7, 14, 28, 91, 182, 365, 1826, 3652)),
)
TICKS_AT_MOST = 9
LONG = 15  # signs: a date with a time
NEAR_DATE = 0.16  # of the axis: what such words may take
MONDAY = 4 * DAY  # 1970-01-05: steps of weeks begin on Mondays
GAP = 3  # a line is broken where a step is this many times the usual one
Point = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """From the first to the last time shown."""

    first: Nanos
    last: Nanos

    def place(self, time: Nanos) -> float:
        """Where a time stands, 0 to 1; what is outside stands on the edge."""
        return min(1.0, max(0.0, (time - self.first) / max(self.last - self.first, 1)))

    def ticks(self) -> list[tuple[float, str]]:
        """Round times with their places, at most nine."""
        span = max(self.last - self.first, 1)
        step = next((step for step in STEPS if span // step < TICKS_AT_MOST), -(-span // (TICKS_AT_MOST * DAY)) * DAY)
        base = MONDAY % step if step % (7 * DAY) == 0 else 0
        first = -(-(self.first - base) // step) * step + base
        times = list(range(first, self.last + 1, step))
        years = len({utc(time).year for time in times}) > 1
        before = (None, *times)
        return [
            (self.place(time), tick_text(time, last, year=years)) for last, time in zip(before, times, strict=False)
        ]


def tick_text(time: Nanos, before: Nanos | None, *, year: bool = False) -> str:
    """Return a time as it is read beside the tick before it: the day where that is another, the first with its `year`, or all.

    >>> tick_text(0, None), tick_text(HOUR, 0), tick_text(DAY, HOUR), tick_text(400 * DAY, DAY), tick_text(SECOND, 0)
    ('1 Jan 1970', '01:00', '2 Jan', '5 Feb 1971', '00:00:01')
    """
    when, last = utc(time), None if before is None else utc(before)
    of_year = f" {when.year}" if year or last is None or last.year != when.year else ""
    day = "" if last is not None and last.date() == when.date() else f"{when.day} {MONTHS[when.month - 1]}{of_year}"
    clock = "" if time % DAY == 0 else f"{when:%H:%M:%S}" if time % MINUTE else f"{when:%H:%M}"
    return " ".join(filter(None, (day, clock)))


@dataclass(frozen=True, slots=True)
class Scale:
    """From `base` to `top`, drawn in `unit` steps for one; what is above leaves the picture.

    `growing`: even up to 1, above by factors, a factor of ten as high as what is below 1: so 1 is seen beside 85.
    """

    top: float
    unit: float = 1000
    growing: bool = False
    base: float = 0.0
    _height: float = field(init=False)  # of the top above the base, as drawn

    def __post_init__(self) -> None:
        object.__setattr__(self, "_height", self._drawn(self.top))

    def down(self, value: float) -> int:
        """How far from the top a value stands, in steps; negative above it."""
        return round((self._height - self._drawn(value)) * self.unit)

    def fraction(self, value: float) -> float:
        """The same, as a part of the height."""
        return 1 - self._drawn(value) / self._height

    @property
    def high(self) -> int:
        """Steps from the top to the base."""
        return round(self._height * self.unit)

    def _drawn(self, value: float) -> float:
        return 1 + math.log10(value) if self.growing and value > 1 else value - self.base


def nice_top(highest: float) -> float:
    """Return the next of 1, 2, 2.5, 5 times a power of ten: where an axis may end."""
    size = 1.0
    while size * 10 <= highest:
        size *= 10
    return next(size * n for n in (1, 2, 2.5, 5, 10) if size * n >= highest)


def places(axis: TimeAxis, times: Sequence[Nanos], values: Sequence[float | None]) -> Iterator[Point]:
    """Yield the points of a line in time, with a break (None) where time passed without any."""
    steps = [late - early for early, late in itertools.pairwise(times)]
    most = GAP * statistics.median(steps) if steps else 0
    before: Nanos | None = None
    for time, value in zip(times, values, strict=True):
        if before is not None and time - before > most:
            yield axis.place(time), None
        yield axis.place(time), value
        before = time


def path(points: Iterable[Point], scale: Scale) -> str:
    """Return a line as SVG writes it, broken where a value is None; a point alone is a dot."""
    runs: list[list[str]] = [[]]
    for across, value in points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append(f"{round(across * ACROSS)},{scale.down(value)}")
    return "".join(f"M{' '.join(run)}{'h0' if len(run) == 1 else ''}" for run in runs if run)


def line(class_: str, points: Iterable[Point], scale: Scale) -> Markup:
    """Return one line of a plot."""
    return tag("path", class_=f"line {class_}", d=path(points, scale))


def dots(class_: str, points: Iterable[Point], scale: Scale) -> Markup:
    """Return a dot at each point: a line without length keeps its round ends however the picture is stretched."""
    spots = (f"M{round(across * ACROSS)},{scale.down(value)}h0" for across, value in points if value is not None)
    return tag("path", class_=f"dots {class_}", d="".join(spots))


def intervals(bars: Iterable[tuple[float, float, float]], scale: Scale) -> Markup:
    """Return a bar from the lower to the upper end at each place."""
    drawn = (f"M{round(across * ACROSS)},{scale.down(lower)}V{scale.down(upper)}" for across, lower, upper in bars)
    return tag("path", class_="intervals", d="".join(drawn))


def level(class_: str, value: float, scale: Scale) -> Markup:
    """Return a line across the whole plot."""
    return tag("path", class_=f"level {class_}", d=f"M0,{scale.down(value)}H{ACROSS}")


def mark(class_: str, across: float, scale: Scale) -> Markup:
    """Return a line from top to bottom."""
    return tag("path", class_=f"mark {class_}", d=f"M{round(across * ACROSS)},0V{scale.high}")


def band(class_: str, first: float, last: float, scale: Scale) -> Markup:
    """Return a stretch of time, as high as the plot."""
    left, wide = round(first * ACROSS), max(round((last - first) * ACROSS), 1)
    return tag("rect", class_=f"band {class_}", x=left, y=0, width=wide, height=scale.high)


def drawing(described: str, scale: Scale, inside: Inside) -> Markup:
    """Return the picture itself, to be stretched over its box; `described` is for who cannot see it."""
    return tag(
        "svg",
        inside,
        viewBox=f"0 0 {ACROSS} {scale.high}",
        preserveAspectRatio="none",
        role="img",
        aria_label=described,
        data_unit=scale.unit,
        data_growing=scale.growing,
        data_base=scale.base or None,
    )


def ticks(words: Iterable[tuple[float, str]]) -> Markup:
    """Return the words under an axis, each at its place."""
    texts = [tag("text", text, x=percent(place), y="1em", class_=edge(place)) for place, text in spaced(list(words))]
    return tag("svg", texts, class_="ticks", aria_hidden="true")


def spaced(words: Sequence[tuple[float, str]]) -> Sequence[tuple[float, str]]:
    """Return words without the second where the first, which has the whole date and hangs inwards, would reach it.

    >>> spaced([(0.02, "23 Nov 2026 04:00"), (0.1, "05:00"), (0.2, "06:00")])
    [(0.02, '23 Nov 2026 04:00'), (0.2, '06:00')]
    """
    if len(words) < 2 or len(words[0][1]) < LONG:  # noqa: PLR2004 - none to be reached
        return words
    room = NEAR_DATE if edge(words[0][0]) else NEAR_DATE / 2
    return [words[0], *words[2:]] if words[1][0] - words[0][0] < room else words


def level_words(words: Iterable[tuple[float, str]]) -> Markup:
    """Return words inside a plot, at places from the top (0) to the foot (1)."""
    texts = [tag("text", text, x=3, y=percent(place), class_="level-word") for place, text in words]
    return tag("svg", texts, class_="levels", aria_hidden="true")


def row(class_: str, label: Inside, inside: Inside) -> Markup:
    """Return a plot beside its label; what is inside is stretched over its box."""
    box = tag("div", inside, class_="box")
    return tag("div", tag("div", label, class_="label"), box, class_=f"plot {class_}")


def edge(place: float) -> str | None:
    """Which way words must hang so that they stay inside."""
    near = 0.06
    return "first" if place < near else "last" if place > 1 - near else None


def percent(place: float) -> str:
    """Return a place as CSS writes it."""
    return f"{100 * place:.2f}%"

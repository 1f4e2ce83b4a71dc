"""A distribution as a small picture: SVG that needs no style sheet, reads on light and on dark, and says in words what it shows."""

import unicodedata
from collections.abc import Iterator
from html import escape

import numpy as np

from detectors.distribution.axis import Axis, thousands
from detectors.distribution.shares import (
    ALWAYS,
    Distribution,
    ShareOf,
    ShareRow,
    between,
    described,
    shown_rows,
)
from detectors.figures import moved

WIDE = 420  # units of the picture
LEFT, RIGHT = 4, 416
TOP, HIGH = 24, 92  # of the histogram, below the legend
AXIS = 18
ROW = 20
LABEL_WIDE, BAR_WIDE = 128, 168
LONGEST, LONGEST_TITLE = 20, 60  # characters of a label, and of a name above
TITLE = 18
FULL = 0.1  # a bar is as long as the picture allows for this share, or for the largest where that is more

ISOLATE, END, UNKNOWN = "\u2068", "\u2069", "\ufffd"
UNWRITABLE = frozenset({"Cc", "Cs", "Cn"})  # controls, halves of pairs, no characters

# One ink for the reference, one for the window, both at least 3:1 on white and on black; a page may set its own --line. They are
# attributes, since a page may refuse styles that stand in its markup.
BEFORE = 'fill="currentColor" fill-opacity=".45"'
NOW_LINE = 'fill="none" stroke="var(--line,#1f7ad6)" stroke-width="2" stroke-linejoin="round"'
NOW_BAR = 'fill="var(--line,#1f7ad6)"'
QUIET = 'stroke="currentColor" stroke-opacity=".45"'


def svg(shown: Distribution, *, titled: bool = False) -> str:
    """Return the picture, `titled` with the feature's name in it. It is 420 wide; a page may let it shrink.

    >>> from detectors import Reference
    >>> from detectors.distribution import distribution_of
    >>> plan = Reference.fit({"plan": ["free", "free", "pro"]}).features["plan"]
    >>> "<title>plan: reference and window</title>" in svg(distribution_of(plan, plan.counts))
    True
    """
    rows = list(shown_rows(shown))
    binned = shown.reference.size > 0
    top = TOP + (HIGH + AXIS + 6 if binned else 0)
    high, above = top + ROW * len(rows), TITLE if titled else 0
    inside = [
        f"<title>{_text(shown.feature)}: {shown.before} and {shown.now}</title>",
        f"<desc>{_text(described(shown))}</desc>",
        _words(LEFT, -5, _cut(shown.feature, LONGEST_TITLE), bold=True) if titled else "",
        _legend(shown),
        *(_histogram(shown) if binned else ()),
        *_rows(rows, top),
    ]
    box = f'viewBox="0 {-above} {WIDE} {high + above}" width="{WIDE}" height="{high + above}"'
    text = 'font-family="system-ui,sans-serif" font-size="11"'
    return f'<svg class="distribution" role="img" {box} {text}>{"".join(inside)}</svg>'


def _legend(shown: Distribution) -> str:
    before = f"{shown.before}, {thousands(shown.rows_before)} rows"
    now = f"{shown.now}, {thousands(shown.rows_now)} rows"
    line = "M226,9h16" if shown.reference.size else "M226,6h16v6h-16z"
    style = NOW_LINE if shown.reference.size else NOW_BAR
    return (
        f'<rect x="{LEFT}" y="4" width="16" height="10" {BEFORE}/>{_words(LEFT + 22, 13, before)}'
        f'<path d="{line}" {style}/>{_words(248, 13, now)}'
    )


# --- numbers: bins side by side -------------------------------------------------------------------------------------------


def _histogram(shown: Distribution) -> Iterator[str]:
    """Bars of the reference, the outline of now over them, the axis with its numbers."""
    axis = Axis.of(shown.edges, LEFT, RIGHT, growing=shown.growing)
    usual = float(np.median(axis.widths))
    heights = np.stack([shown.reference, shown.current]) / axis.widths * usual  # an area is a share
    tallest = float(heights.max()) or 1.0
    foot = TOP + HIGH
    tops = foot - heights / tallest * HIGH
    lefts, rights = axis.lefts.tolist(), axis.rights.tolist()
    edges = shown.edges.tolist()
    for at, (left, right, top) in enumerate(zip(lefts, rights, tops[0].tolist(), strict=True)):
        words = f"{between(edges[at], edges[at + 1])}: {moved(*_pair(shown, at))}"
        yield (
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(right - left - 0.6, 0.4):.1f}" height="{foot - top:.1f}" '
            f"{BEFORE}><title>{_text(words)}</title></rect>"
        )
    if shown.rows_now:
        yield f'<path d="{_outline(lefts, rights, tops[1].tolist(), foot)}" {NOW_LINE}/>'
    yield f'<path d="M{LEFT},{foot}H{RIGHT}" {QUIET}/>'
    for value, words in axis.ticks:
        across = axis.place(value)
        anchor = "start" if across < LEFT + 24 else "end" if across > RIGHT - 24 else "middle"
        yield f'<path d="M{across:.1f},{foot}v4" {QUIET}/>{_words(across, foot + 15, words, anchor)}'


def _pair(shown: Distribution, at: int) -> tuple[float, float]:
    return float(shown.reference[at]), float(shown.current[at])


def _outline(lefts: list[float], rights: list[float], tops: list[float], foot: float) -> str:
    """The upper edge of bars; it goes down to the foot where bins are apart."""
    path, end = "", None
    for left, right, top in zip(lefts, rights, tops, strict=True):
        apart = end is None or left - end > 1
        path += f"{f'V{foot}' if end is not None else ''}M{left:.1f},{foot}" if apart else ""
        path += f"V{top:.1f}H{right:.1f}"
        end = right
    return f"{path}V{foot}"


# --- rows: two bars each, and the shares in words -------------------------------------------------------------------------


def _rows(rows: list[ShareRow], top: float) -> Iterator[str]:
    """A row each: its label, the reference's bar over that of the window, both shares."""
    longest = max((max(row.reference, row.current) for row in rows if row.part is not ShareOf.OTHER), default=0.0)
    for at, row in enumerate(rows):
        yield _row(row, top + at * ROW, max(longest, FULL))


def _row(row: ShareRow, top: float, longest: float) -> str:
    left, words = LEFT + LABEL_WIDE, moved(row.reference, row.current)
    before, now = (BAR_WIDE * part / longest for part in (row.reference, row.current))
    bars = (
        f'<rect x="{left}" y="{top + 3:g}" width="{before:.1f}" height="6" {BEFORE}/>'
        f'<rect x="{left}" y="{top + 10:g}" width="{now:.1f}" height="6" {NOW_BAR}/>'
    )
    return (
        f"<g><title>{_text(row.label)}: {_text(words)}</title>"
        f"{_words(left - 6, top + 13, _cut(row.label, LONGEST), 'end', italic=row.part not in ALWAYS)}"
        f"{'' if row.part is ShareOf.OTHER else bars}{_words(left + BAR_WIDE + 8, top + 13, words)}</g>"
    )


# --- words ------------------------------------------------------------------------------------------------------------------


def _words(
    across: float, down: float, words: str, anchor: str = "start", *, italic: bool = False, bold: bool = False
) -> str:
    look = (' font-style="italic"' if italic else "") + (' font-weight="600"' if bold else "")
    place = f'x="{across:.1f}" y="{down:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="currentColor"{look}>{_text(words)}</text>'


def _cut(label: str, longest: int) -> str:
    return label if len(label) <= longest else f"{label[: longest - 1]}…"


def _text(words: str) -> str:
    """Words as markup, without what XML cannot hold; those from outside turn nothing round that stands beside them."""
    whole = escape(words if words.isprintable() else "".join(map(_sign, words)))
    return whole if words.isascii() else f"{ISOLATE}{whole}{END}"


def _sign(sign: str) -> str:
    return UNKNOWN if unicodedata.category(sign) in UNWRITABLE else sign

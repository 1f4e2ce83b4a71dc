"""Numbers, times and spans as people read them."""

import math

from monitor.explain import figures
from monitor.explain.figures import utc
from monitor.html.markup import Markup, tag
from monitor.stream.events import DAY, HOUR, MINUTE, SECOND, Nanos

NONE = "–"
THIN = "\u202f"  # a narrow space that does not break: between thousands, before a unit
UNITS = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"))
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
PLAIN_FROM, PLAIN_TO = 1e-3, 1e9  # numbers outside are written with a power of ten


def number(value: float | None) -> str:
    """Return three significant digits, no more.

    >>> number(0.123456), number(41.0), number(None), number(3.2e-9)
    ('0.123', '41', '–', '3.2e-09')
    """
    if value is None or not math.isfinite(value):
        return NONE
    size = abs(value)
    if size and not PLAIN_FROM <= size < PLAIN_TO:
        return f"{value:.2g}".replace("-", "−", 1) if value < 0 else f"{value:.2g}"
    digits = 0 if size == 0 else max(0, 2 - math.floor(math.log10(size)))
    text = f"{value:,.{digits}f}".replace(",", THIN)
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", "−")


def count(value: float) -> str:
    """Return a whole number with its thousands apart."""
    return figures.thousands(value).replace(" ", THIN)


def plural(value: int, word: str) -> str:
    """Return a count with its word, which takes an s.

    >>> plural(1, "page"), plural(0, "page")
    ('1 page', '0 pages')
    """
    return f"{count(value)} {word}" + ("" if value == 1 else "s")


def share(value: float) -> str:
    """Return a share of one in percent."""
    return figures.share(value).replace(" ", THIN)


def times(value: float) -> str:
    r"""Return a ratio; one that is hardly above 1 is seen to be.

    >>> times(1.004), times(41.234)
    ('1.00\u202f×', '41.2\u202f×')
    """
    text = f"{value:.2f}" if abs(value) < 10 else number(value)  # noqa: PLR2004  three digits in all
    return f"{text}{THIN}×"


def clock(time: Nanos) -> str:
    """Return date and time in UTC, the seconds where there are any.

    >>> clock(0), clock(1_700_000_001_000_000_000)
    ('1970-01-01 00:00', '2023-11-14 22:13:21')
    """
    when = utc(time)
    return f"{when:%Y-%m-%d %H:%M:%S}" if when.second else f"{when:%Y-%m-%d %H:%M}"


def moment(time: Nanos | None, otherwise: str = NONE) -> Markup:
    """Return a time as an element that programs can read too."""
    if time is None:
        return tag("span", otherwise)
    return tag("time", clock(time), datetime=f"{clock(time).replace(' ', 'T')}Z")


def spell(span: Nanos) -> str:
    r"""Return a span in its two largest units.

    >>> spell(26 * HOUR), spell(5 * MINUTE), spell(0)
    ('1\u202fd 2\u202fh', '5\u202fmin', '0\u202fs')
    """
    rest = round(span / SECOND) * SECOND
    parts: list[str] = []
    for unit, word in UNITS:
        whole, rest = divmod(rest, unit)
        if whole:
            parts.append(f"{whole}{THIN}{word}")
        elif parts:
            break
    return " ".join(parts[:2]) or f"0{THIN}s"

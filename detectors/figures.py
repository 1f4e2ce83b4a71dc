"""Numbers as people read them, in as few digits as tell them apart; names that data bring, on one line."""

import math

WHOLE = 1e15  # up to here whole numbers are written out
MOST_DIGITS = 17  # that tell any two floats apart


def plain(value: float, digits: int = 4) -> str:
    """A number in a few digits, with a real minus.

    >>> plain(-1.0), plain(3.14159), plain(1e9)
    ('−1', '3.142', '1e+09')
    """
    return f"{value:.{digits}g}".replace("-", "−", 1) if value < 0 else f"{value:.{digits}g}"


def exact(value: float) -> str:
    """A number as it is, whole ones without a point.

    >>> exact(1700000000.0), exact(0.1)
    ('1700000000', '0.1')
    """
    return str(int(value)) if value.is_integer() and abs(value) < WHOLE else repr(value)


def single(value: float) -> str:
    """One value that a feature has: a whole number as it is, so that a count of milliseconds is told from the next.

    >>> single(1763870700300.0), single(0.1 + 0.2), single(-2.0)
    ('1763870700300', '0.3', '−2')
    """
    return exact(value).replace("-", "−", 1) if value.is_integer() and abs(value) < WHOLE else plain(value, 10)


def beside(value: float, spread: float) -> str:
    """A number in as many digits as its spread needs, four at least.

    >>> beside(1700000150.25, 87.0), beside(0.5, 0.1), beside(3.0, 0.0)
    ('1700000150', '0.5', '3')
    """
    needed = math.ceil(math.log10(abs(value) / spread)) + 2 if value and spread > 0 else 4
    return plain(value, min(max(4, needed), MOST_DIGITS))


def apart(first: float, second: float, digits: int = 4) -> tuple[str, str]:
    """Two numbers in as few digits as tell them apart.

    >>> apart(1700000000.0, 1700000060.0), apart(0.25, 3.0), apart(2.00001, 2.00002)
    (('1700000000', '1700000060'), ('0.25', '3'), ('2.00001', '2.00002'))
    """
    if first == second or plain(first, digits) != plain(second, digits):
        return plain(first, digits), plain(second, digits)
    if first.is_integer() and second.is_integer() and max(abs(first), abs(second)) < WHOLE:
        return exact(first), exact(second)
    needed = next(more for more in range(digits, MOST_DIGITS + 1) if plain(first, more) != plain(second, more))
    return plain(first, min(needed + 1, MOST_DIGITS)), plain(second, min(needed + 1, MOST_DIGITS))


def share(part: float, digits: int = 2) -> str:
    """A share in percent: two digits below a tenth and close to all, else none after the point.

    >>> share(0.001), share(0.14), share(0.0712), share(0.9996), share(1.0), share(0.0)
    ('0.1 %', '14 %', '7.1 %', '99.96 %', '100 %', '0 %')
    """
    percent = 100 * min(max(part, 0.0), 1.0)
    if 0 < percent < 0.01:  # noqa: PLR2004 - a hundredth of a percent
        return "< 0.01 %"
    small = min(percent, 100 - percent)
    if not small:
        return f"{percent:.0f} %"
    places = max(0, digits - 1 - math.floor(math.log10(small)))
    if places >= digits and percent > 50:  # noqa: PLR2004 - close to all
        return f"{math.floor(percent * 10**places) / 10**places:g} %"
    return f"{percent:.{digits}g} %"


def moved(before: float, now: float) -> str:
    """Two shares with an arrow between, in as many digits as tell them apart.

    >>> moved(0.001, 0.14), moved(0.301, 0.304), moved(0.0, 0.08), moved(1 / 3, 1 / 3)
    ('0.1 % → 14 %', '30.1 % → 30.4 %', '0 % → 8 %', '33 % → 33 %')
    """
    for digits in range(2, MOST_DIGITS):
        first, second = share(before, digits), share(now, digits)
        if first != second or before == now:
            break
    return f"{first} → {second}"


def printable(text: str) -> str:
    r"""A text in which names that come from data can neither end the line nor fail to be written.

    >>> printable("EU\nx\ud800")
    'EU?x?'
    """
    return "".join(each if each.isprintable() else "?" for each in text)

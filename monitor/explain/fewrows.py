"""Whether windows usually hold rows enough to be scored, and which length would do."""

from monitor.stream.events import HOUR, MINUTE, SECOND, Nanos


def few_rows(rows: float, length: Nanos, min_rows: int) -> str | None:
    """What is not judged where usual windows hold fewer rows than `min_rows`; None where they hold enough.

    >>> few_rows(40, 5 * MINUTE, 200)
    'a usual window of 5m holds 40 rows, min_rows is 200: KS, PSI and χ² will say insufficient_data; a window of 25m would do'
    >>> few_rows(200, 5 * MINUTE, 200)
    """
    if rows >= min_rows or rows <= 0:
        return None
    needed = -int(-length * min_rows // rows)
    return (
        f"a usual window of {_words(length)} holds {rows:,.3g} rows, min_rows is {min_rows:,}: "
        f"KS, PSI and χ² will say insufficient_data; a window of {_words(needed)} would do"
    )


def _words(length: Nanos) -> str:
    """As it is configured, rounded up to whole seconds, minutes or hours."""
    unit, name = next(
        (each, name)
        for each, name in ((HOUR, "h"), (MINUTE, "m"), (SECOND, "s"))
        if length >= 2 * each or each == SECOND
    )
    return f"{-(-length // unit)}{name}"

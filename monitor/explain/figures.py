"""Numbers as people read them: shares, signs, spaces between thousands."""

from datetime import UTC, datetime, timedelta

from detectors.figures import apart, beside, exact, moved, plain, share, single
from monitor.stream.events import Nanos

__all__ = ["apart", "beside", "dated", "exact", "moved", "plain", "share", "signed", "single", "thousands", "utc"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def signed(value: float) -> str:
    """A number with its sign, to the first digit that matters.

    >>> signed(0.83), signed(-0.061), signed(12.3)
    ('+0.8', '−0.06', '+12')
    """
    size = abs(value)
    digits = 0 if size >= 10 else 1 if size >= 0.1 else 2  # noqa: PLR2004 - a tenth, ten
    return f"{'−' if value < 0 else '+'}{size:.{digits}f}"


def thousands(count: float) -> str:
    """A count with spaces between thousands.

    >>> thousands(12000), thousands(3.4)
    ('12 000', '3')
    """
    return f"{count:,.0f}".replace(",", " ")


def utc(nanos: Nanos) -> datetime:
    """A time to the microsecond."""
    return EPOCH + timedelta(microseconds=nanos // 1_000)


def dated(at: Nanos) -> str:
    """Date, hour and minute, UTC: a line is read on another day than it was written.

    >>> dated(300 * 10**9)
    '1970-01-01 00:05'
    """
    return f"{utc(at):%Y-%m-%d %H:%M}"

"""How what is refused may be said."""

MOST_LINES = 1_000


def check_lines(error: Exception, begin: str = "", most: int = MOST_LINES, secret: str | None = None) -> None:
    """At most so many lines, none of them empty, each of which begins so; and no secret."""
    lines = str(error).splitlines()
    assert 0 < len(lines) <= most, lines
    assert all(line.strip() and line.startswith(begin) for line in lines), lines
    assert secret is None or secret not in str(error)

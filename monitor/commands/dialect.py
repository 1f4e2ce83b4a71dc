"""`--delimiter` and `--decimal`: how the CSVs of a command are written."""

from monitor.settings import ConfigError
from monitor.sources.tables.base import Dialect


def dialect_of(delimiter: str, decimal: str) -> Dialect:
    """What they say. Raises ConfigError."""
    mark = {"\\t": "\t", "tab": "\t"}.get(delimiter, delimiter)
    if len(mark) != 1 or mark in '"\r\n' or not mark.isascii():
        raise ConfigError(f"--delimiter {delimiter!r}: must be one character such as ';' or tab")
    if mark == decimal:
        raise ConfigError(f"--decimal {decimal}: stands between the fields; --delimiter ';' may be meant")
    return Dialect(mark, decimal)

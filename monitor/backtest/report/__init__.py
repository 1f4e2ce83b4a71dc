"""A backtest's result as one HTML page that needs nothing else: no network, no font, no second file."""

from pathlib import Path

from monitor.backtest.report.document import document
from monitor.backtest.result import BacktestResult


def write_report(result: BacktestResult, path: Path) -> None:
    """Write the report; text that is no Unicode, which a file's name may be, is written in its escaped form."""
    path.write_bytes(document(result).encode("utf-8", "backslashreplace"))

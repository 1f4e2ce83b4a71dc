"""The sections of docs/ALARMS.md about ordinary days, lasting changes, what is easily missed, and real series."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.alarms.cases import CASES
from benchmarks.alarms.goals import change_lines, lasting_lines, ordinary_lines, real_lines
from benchmarks.alarms.kept import told
from benchmarks.alarms.packages import cells
from benchmarks.alarms.verdict import Line
from benchmarks.measure import Figures

BEGINS, ENDS = "## Ordinary days", "## Beside naive rules"
HERE = Path(__file__).parent
TEMPLATE = HERE / "DAILY.template.md"
PLAIN = "plain rule"
ORDINARY = ("world", "pages in months", "a month", "95 %", "open", "escalated", f"{PLAIN}: a month, open")
LASTING = (
    "world",
    "pages a model",
    "escalated",
    "heard after",
    "settled after",
    "open",
    f"{PLAIN}: a month, open",
)
CHANGES = ("change", "median, hours", "heard", "median", "90 %", "right first", f"{PLAIN}: median, found")
PACKAGES = ("world", "rule", "pages", "hours alarmed", "half a σ, median")
REAL = ("series", "planted", "pages a month", "open", "heard after", "escalated, settled", f"{PLAIN}: a month, open")


def section(results: Figures) -> str:
    """The section as it is to stand in the document."""
    text = TEMPLATE.read_text(encoding="utf-8")
    parts = {
        "daily_run": told(results["cases_run"]) if results.get("cases_run") else "",
        "ordinary": judged(ORDINARY, ordinary_lines(results)),
        "lasting": judged(LASTING, lasting_lines(results)),
        "changes": judged(CHANGES, change_lines(results)),
        "packages": _packages(results),
        "series": judged(REAL, real_lines(results)),
    }
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part)
    return text


def _packages(results: Figures) -> str:
    if not results.get("packages"):
        return "Not measured in this run: `--only packages` does."
    rows = [
        [CASES[key].title, f"{title} {found.get('version', '')}".strip(), *_package(found)]
        for key, world in results.get("packages", {}).items()
        for title, found in world.items()
    ]
    return markdown([PACKAGES, ["---"] * len(PACKAGES), *rows])


def _package(found: Figures) -> tuple[str, ...]:
    return (str(found["broken"]), "", "") if "broken" in found else cells(found)


def judged(heads: Sequence[str], lines: Sequence[Line]) -> str:
    """A table whose last column says whether it was reached."""
    return markdown([[*heads, ""], ["---"] * (len(heads) + 1), *([*line.cells, line.verdict] for line in lines)])


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def put_into(document: Path, results: Figures) -> Path:
    """Put the section into a document in place of the one that stands there, and leave all else as it is."""
    text = document.read_text(encoding="utf-8")
    before, _, _ = text.partition(BEGINS)
    head, _, rest = text.partition(ENDS)
    head = before if BEGINS in text else head
    document.write_text(f"{head}{section(results).rstrip()}\n\n{ENDS}{rest}", encoding="utf-8")
    return document

"""`driftd version list`: the versions that the running daemon was told of."""

from monitor.commands.answers import VersionItem
from monitor.commands.decide import Way, show
from monitor.commands.exits import Exit

ROUTE = "/api/v1/versions"
JUDGED = {
    "seen": "judged as configured",
    "waiting": "waits for its reference",
    "learning": "learns its reference",
    "given": "judged by its own reference",
    "learnt": "judged by what it has learnt",
    "retired": "no longer followed",
}


def show_versions(way: Way, model: str | None, *, as_json: bool) -> Exit:
    """Print them, the newest first. Raises ConfigError."""
    nothing = "no new version was told of"
    return show(
        way, ROUTE, VersionItem, lambda each: model in {None, each["model"]}, version_line, nothing, as_json=as_json
    )


def version_line(version: VersionItem) -> str:
    """A version in a line."""
    judged = JUDGED.get(version["judged"], version["judged"])
    reference = f" {version['reference']}" if version["reference"] else ""
    rows = f" of {version['learnt_rows']} rows" if version["judged"] == "learnt" else ""
    why = f": {version['why']}" if version["why"] else ""
    about = f"{version['model']}/{version['version']}"
    return f"{about}  {version['seen_at']}  by {version['source']}: {judged}{reference}{rows}{why}"

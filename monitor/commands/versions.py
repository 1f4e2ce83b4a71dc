"""`driftd version list`: the versions that the running daemon was told of."""

from monitor.commands.answers import VersionItem
from monitor.commands.decide import AwayError, Way, cannot, obtained, pretty, reach
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


def show(way: Way, model: str | None, *, as_json: bool) -> Exit:
    """Print them, the newest first. Raises ConfigError."""
    try:
        every = obtained(reach(way, writes=False), ROUTE, list[VersionItem])
    except AwayError as error:
        return cannot(str(error))
    found = [each for each in every if model in {None, each["model"]}]
    if as_json:
        print(pretty(found))
    elif not found:
        print("no new version was told of")
    for each in () if as_json else found:
        print(version_line(each))
    return Exit.OK


def version_line(version: VersionItem) -> str:
    """A version in a line."""
    judged = JUDGED.get(version["judged"], version["judged"])
    reference = f" {version['reference']}" if version["reference"] else ""
    rows = f" of {version['learnt_rows']} rows" if version["judged"] == "learnt" else ""
    why = f": {version['why']}" if version["why"] else ""
    about = f"{version['model']}/{version['version']}"
    return f"{about}  {version['seen_at']}  by {version['source']}: {judged}{reference}{rows}{why}"

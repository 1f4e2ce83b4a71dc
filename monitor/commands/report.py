"""`driftd report`: a model's report of its last days, from the running daemon: as text, as a page, as JSON."""

from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlencode

import msgspec

from monitor.commands.decide import AwayError, Way, ask, cannot, pretty, reach, refused
from monitor.commands.exits import Exit
from monitor.explain.report import plain_text
from monitor.facts import Report
from monitor.html.report import report_page
from monitor.settings import ConfigError
from monitor.targets.reports import write_whole

ROUTE = "/api/v1/models/{}/report"


def report(way: Way, model: str, last: str, output: Path | None, *, as_json: bool) -> Exit:
    """Print a report, or write it as a page. Raises ConfigError."""
    daemon, route = reach(way, writes=False), ROUTE.format(quote(model, safe=""))
    try:
        answer = ask(daemon, "GET", None, f"{route}?{urlencode({'last': last})}")
        if answer.status != HTTPStatus.OK:
            return refused(answer)
        found = msgspec.convert(answer.body, Report, strict=False)
    except AwayError as error:
        return cannot(str(error))
    except msgspec.ValidationError as error:
        return cannot(f"{daemon.url}{route} answers no report: {error}")
    if output is not None:
        try:
            write_whole(output.absolute(), report_page(found).encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise ConfigError(f"--output: {output} cannot be written: {error.strerror or error}") from None
    if as_json:
        print(pretty(answer.body))
    elif output is None:
        print(plain_text(found), end="")
    else:
        print(f"{output} is written")
    return Exit.OK

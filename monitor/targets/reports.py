"""Reports as notices, and the folder that they are written to: a target like others, so that a full disk holds nobody up."""

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec

from monitor.alerting.ids import digest
from monitor.clock import Clock
from monitor.explain.documents import as_json
from monitor.explain.report import headline, in_short
from monitor.facts import Fact, Report, ReportMade
from monitor.reporting.tally import moment, nanos
from monitor.store.outbox import AddressedNotice, Notice
from monitor.targets.base import AlreadyThere, Delivered, Delivery, Subscriber, TryLater
from monitor.targets.payloads import REPORT, Sender
from monitor.targets.transport import Transport

FOLDER, FOLDER_TYPE = "reports-folder", "folder"  # the target's name, and its type
MOST_BYTES = 17_000  # of a report: with what is around it a body stays under what Standard Webhooks asks for
LONGEST_STEM = 100  # bytes of a file's name that are the model's
KINDS = ("email", "slack", "teams", "webhook")  # types of targets that reports are sent to


def report_notices(facts: Iterable[Fact], subscribers: Sequence[Subscriber], sender: Sender) -> list[AddressedNotice]:
    """What is said of the reports among some facts, and to whom."""
    return [
        AddressedNotice(report_notice(fact, sender), targets)
        for fact in facts
        if isinstance(fact, ReportMade)
        and (
            targets := tuple(each.name for each in subscribers if each.reports and each.routing.takes_model(fact.model))
        )
    ]


def report_notice(made: ReportMade, sender: Sender) -> Notice:
    """A report as a notice. What it lists is cut until it is small enough; what it counts stays."""
    report = made.report
    while len(encoded := as_json(data_of(made, report, sender))) > MOST_BYTES:
        if not (report.incidents or report.requests or report.worth):
            break
        report = replace(
            report,
            incidents=report.incidents[: len(report.incidents) * 2 // 3],
            requests=report.requests[len(report.requests) // 3 + 1 :],
            worth=report.worth[: len(report.worth) * 2 // 3],
        )
    return Notice(made.id, REPORT, f"{made.model}/report", nanos(report.end), encoded)


def data_of(made: ReportMade, report: Report, sender: Sender) -> dict[str, object]:
    """What a notice of a report holds."""
    day = moment(made.due).astimezone(ZoneInfo(report.timezone)).date()
    data: dict[str, object] = {
        "model": report.model,
        "summary": f"{headline(report)}: {in_short(report)}",
        "due": moment(made.due),
        "day": day,
        "report": report,
        "config_hash": sender.config_hash,
        "driftd_version": sender.version,
        **({"instance": sender.instance} if sender.instance else {}),
    }
    return data | ({} if sender.page is None else {"url": f"{sender.page}/report?model={quote(report.model, safe='')}"})


class ReportData(msgspec.Struct):
    """The data of a notice of a report."""

    report: Report
    day: str
    summary: str = ""
    url: str | None = None


def read_report(notice: Notice) -> ReportData:
    """The report that a notice tells of."""
    return msgspec.json.decode(notice.data, type=ReportData)


@dataclass(frozen=True, slots=True)
class ReportFolder:
    """A folder with a file a report, the last `keep` of each model."""

    folder: Path
    keep: int
    name: str = FOLDER

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:  # noqa: ARG002 - a folder needs neither
        """Write one report: all of it or nothing, and the same file however often."""
        from monitor.html.report import report_page

        told = read_report(notice)
        stem = stem_of(told.report.model)
        path = self.folder / f"{stem}-{told.day}.html"
        page = report_page(told.report, told.url).encode("utf-8", "backslashreplace")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if path.exists() and path.read_bytes() == page:
                return AlreadyThere(detail=str(path))
            write_whole(path, page)
            self._forget(stem)
        except OSError as error:
            return TryLater(detail=f"{path} cannot be written: {error.strerror or error}")
        return Delivered(detail=str(path))

    def _forget(self, stem: str) -> None:
        """Remove what is older than the last files of a model; nothing that is not named as ours."""
        ours = re.compile(rf"{re.escape(stem)}-\d{{4}}-\d\d-\d\d\.html")
        found = sorted(each for each in self.folder.iterdir() if ours.fullmatch(each.name))
        for path in found[: -self.keep]:
            path.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees half of it. Raises OSError."""
    begun = path.with_name(f".{path.name}.part")
    try:
        with begun.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        begun.replace(path)
    except OSError:
        with suppress(OSError):
            begun.unlink(missing_ok=True)
        raise


def stem_of(model: str) -> str:
    """How the files of a model begin: its name, with what no file name may hold written as in an address.

    >>> stem_of("churn"), stem_of("../a b")
    ('churn', '%2E%2E%2Fa%20b')
    """
    stem = quote(model, safe="", errors="backslashreplace").replace(".", "%2E")
    return stem if len(stem) <= LONGEST_STEM else f"{stem[: LONGEST_STEM - 9]}-{digest([model])[:8]}"

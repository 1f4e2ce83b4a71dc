"""Reports on their way out: a folder's files, a mail with two forms of the same, a line for others; and names that mean harm."""

import email
import email.policy
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from monitor.explain.report import plain_text
from monitor.html.report import report_mail, report_page
from monitor.store.outbox import Notice
from monitor.targets.base import AlreadyThere, Delivered, Subscriber, TryLater
from monitor.targets.message import AS_USUAL, read
from monitor.targets.payloads import Sender
from monitor.targets.reports import MOST_BYTES, ReportFolder, read_report, report_notice, report_notices, stem_of
from monitor.targets.transport import Transport
from tests.fakes import ManualClock
from tests.paging import configured
from tests.parts.smtp import MailServer
from tests.reported import BEGIN, HOSTILE, a_report, a_report_made, incident

SENDER = Sender("c0ffee", "1.0", "https://drift.internal")


class Outline(HTMLParser):
    """What elements a page has, and what it would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loads += [value or "" for name, value in attrs if name in {"src", "srcset", "background", "poster"}]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def notice(model: str = "churn", **changes: object) -> Notice:
    return report_notice(a_report_made(model, **changes), SENDER)


def deliver(folder: ReportFolder, said: Notice) -> object:
    clock = ManualClock()
    with Transport(clock) as io:
        return folder.deliver(said, io, clock)


# --- the folder -------------------------------------------------------------------------------------------------------


def test_a_folder_gets_a_file_a_report_which_is_the_same_however_often(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "reports", 5)

    assert isinstance(deliver(folder, notice()), Delivered)
    assert isinstance(deliver(folder, notice()), AlreadyThere)

    (file,) = (tmp_path / "reports").iterdir()
    assert file.name == "churn-2025-11-30.html"
    assert "churn: 2025-11-23 to 2025-11-29" in file.read_text(encoding="utf-8")


def test_a_folder_keeps_the_last_files_of_each_model_and_leaves_others_alone(tmp_path: Path) -> None:
    old = [tmp_path / f"churn-2025-10-0{day}.html" for day in range(1, 6)]
    others = [tmp_path / name for name in ("churn-2-2025-10-01.html", "churn-notes.html", "other-2025-10-01.html")]
    for path in (*old, *others):
        path.write_text("x", encoding="utf-8")

    deliver(ReportFolder(tmp_path, 3), notice())

    assert {each.name for each in tmp_path.iterdir()} == {
        *(each.name for each in others),
        "churn-2025-10-04.html",
        "churn-2025-10-05.html",
        "churn-2025-11-30.html",
    }


def test_a_folder_that_cannot_be_written_is_tried_again_later_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    answer = deliver(ReportFolder(tmp_path / "file", 3), notice())

    assert isinstance(answer, TryLater)
    assert "cannot be written" in answer.detail


@pytest.mark.parametrize("model", ["../../etc/passwd", "a/b", ".", "", "x" * 128, "ü" * 128, HOSTILE])
def test_a_name_stays_inside_the_folder(model: str, tmp_path: Path) -> None:
    inside = tmp_path / "reports"

    assert isinstance(deliver(ReportFolder(inside, 3), notice(model)), Delivered)

    (file,) = inside.iterdir()
    assert [each.name for each in tmp_path.iterdir()] == ["reports"]
    assert len(file.name.encode()) < 200
    assert re.fullmatch(r"[A-Za-z0-9%_~-]*\.html", file.name)


def test_two_long_names_that_begin_alike_are_two_files() -> None:
    assert stem_of("x" * 127 + "a") != stem_of("x" * 127 + "b")


# --- the page and the mail --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("render", [report_page, report_mail])
@pytest.mark.parametrize("model", ["churn", HOSTILE])
def test_it_runs_nothing_and_loads_nothing_whatever_the_names(render: object, model: str) -> None:
    report = a_report(
        model, incidents=(incident(HOSTILE, BEGIN + 1, features=(HOSTILE,), words=HOSTILE, version=HOSTILE),)
    )

    page = render(report, "https://drift.internal/report")  # type: ignore[operator]

    outline = Outline(page)
    assert outline.loads == outline.handlers == []
    assert outline.tags.isdisjoint({"script", "img", "iframe", "object", "form", "link", "base"})


def test_a_mail_needs_no_style_sheet_and_no_drawing() -> None:
    assert Outline(report_mail(a_report())).tags.isdisjoint({"style", "svg", "bdo", "main"})


def test_a_mail_is_html_with_the_same_as_plain_text() -> None:
    server = MailServer(None)
    try:
        entry = {"name": "mail", "type": "email", "host": "127.0.0.1", "port": server.port, "security": "none"}
        target = configured({**entry, "from": "d@drift.test", "to": ["ml@ops.test"]}, {})
        clock = ManualClock()
        with Transport(clock) as io:
            assert target.target.deliver(notice(), io, clock) == Delivered()
        mail = email.message_from_bytes(server.mails[0].content, policy=email.policy.SMTP)
    finally:
        server.close()

    assert mail["Subject"] == "[driftd] report churn: 2025-11-23 to 2025-11-29"
    assert mail["Message-ID"] == "<0123456789abcdef@drift.test>"
    plain, html = (mail.get_body((kind,)) for kind in ("plain", "html"))  # type: ignore[union-attr, attr-defined]
    assert plain.get_content().replace("\r\n", "\n").startswith(plain_text(a_report()))
    assert "<h1" in html.get_content()
    assert mail.get_content_type() == "multipart/alternative"


def test_others_get_a_line_and_a_link() -> None:
    said = read(notice(), "chat")

    assert AS_USUAL.title_of(said, 300).startswith(
        "report: churn: 2025-11-23 to 2025-11-29: 2 incidents opened, 1 open"
    )
    assert AS_USUAL.text_of(said, 3000).endswith("https://drift.internal/report?model=churn")


# --- the notice -------------------------------------------------------------------------------------------------------


def test_a_notice_is_read_as_it_was_made() -> None:
    assert read_report(notice()).report == a_report()


def test_a_notice_stays_small_and_says_how_many_it_left_out() -> None:
    many = tuple(incident(f"{n:032}", BEGIN + n, words="ü" * 160, features=("f" * 128,) * 5) for n in range(1, 90))

    said = notice(incidents=many)

    told = read_report(said).report
    assert len(said.data) <= MOST_BYTES
    assert 0 < len(told.incidents) < told.incidents_total == 89
    assert "of 89" in plain_text(told)


def test_who_gets_a_report_is_who_is_named_for_it_and_hears_of_the_model() -> None:
    folder = Subscriber(ReportFolder(Path("/x"), 1), "folder", frozenset(), reports=True)
    everything = Subscriber(ReportFolder(Path("/x"), 1, "all"), "folder", frozenset({"*"}))

    (one,) = report_notices([a_report_made()], [folder, everything], SENDER)

    assert one.targets == (folder.name,)
    assert msgspec.json.decode(one.notice.data)["url"] == "https://drift.internal/report?model=churn"

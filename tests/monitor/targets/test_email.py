"""Mails to a real server on loopback: under TLS, logged in, in one thread, and what its codes mean."""

import email
import email.policy
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from monitor.stream.events import SECOND
from monitor.targets.base import Delivered, Fault, Refused, Subscriber, TryLater
from monitor.targets.registry import read_target
from monitor.targets.transport import TransportError
from tests.fakes import ManualClock
from tests.paging import ESCALATED, HOSTILE, OPENED, RESOLVED, Desk, configured, notice_of, told
from tests.parts.ports import free_ports
from tests.parts.smtp import MailServer

PASSWORD = "pass word"  # a space is no end


@pytest.fixture
def start() -> Iterator[Callable[..., MailServer]]:
    with ExitStack() as servers:

        def started(tls: ssl.SSLContext | None = None, **settings: Any) -> MailServer:
            server = MailServer(tls, **settings)
            servers.callback(server.close)
            return server

        yield started


@pytest.fixture
def certified(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's certificate for 127.0.0.1, and its authority."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl")
    key, ca_file = tmp_path / "key.pem", tmp_path / "ca.pem"
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(ca_file), "-days", "2"]
    subprocess.run(
        [openssl, *made, "-subj", "/CN=driftd test", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key)
    return context, ca_file


def entry(port: int, **more: Any) -> dict[str, Any]:
    usual = {"host": "127.0.0.1", "port": port, "security": "none", "from": "driftd <driftd@drift.test>"}
    return {"name": "mail", "type": "email", **usual, "to": ["oncall@ops.test", "ml@ops.test"], **more}


def mailer(port: int, **more: Any) -> Subscriber:
    return configured(entry(port, **more), {"P": PASSWORD + "\n"})


def read(server: MailServer) -> list[EmailMessage]:
    found = [email.message_from_bytes(each.content, policy=email.policy.SMTP) for each in server.mails]
    assert all(isinstance(each, EmailMessage) for each in found)
    return [each for each in found if isinstance(each, EmailMessage)]


# --- the mail ---------------------------------------------------------------------------------------------------------


def test_an_incident_is_a_thread_of_plain_mails(start: Callable[..., MailServer]) -> None:
    server = start()

    assert told(mailer(server.port).target, OPENED, ESCALATED, RESOLVED) == [Delivered()] * 3

    mails = read(server)
    assert (server.mails[0].sender, server.mails[0].recipients) == (
        "driftd@drift.test",
        ["oncall@ops.test", "ml@ops.test"],
    )
    assert {mail["Subject"] for mail in mails} == {"[driftd] churn 3: drift"}
    assert {mail["References"] for mail in mails} == {f"<{OPENED.incident}@drift.test>"}
    assert [mail["Message-ID"] for mail in mails] == [
        f"<{notice_of(f).id}@drift.test>" for f in (OPENED, ESCALATED, RESOLVED)
    ]
    assert {mail.get_content_type() for mail in mails} == {"text/plain"}
    assert mails[0]["Date"] == "Mon, 23 Nov 2026 12:00:00 +0000"
    assert [mail["Importance"] for mail in mails] == ["normal", "high", "normal"]
    assert mails[0]["Auto-Submitted"] == "auto-generated"
    first = mails[0].get_content().splitlines()
    assert first[0] == "firing: churn/3 drifts since 2026-11-23 11:55: age mean +0.8 σ"
    assert first[-1] == f"https://drift.internal/incident?id={OPENED.incident}"


def test_what_comes_out_of_events_stays_in_its_line(start: Callable[..., MailServer]) -> None:
    server = start()
    target = mailer(server.port, template={"title": "{features}\r\nBcc: x@y.test", "text": ".\n{features}"}).target

    assert told(target, HOSTILE) == [Delivered()]

    (mail,) = read(server)
    assert len(mail["Subject"]) <= 200
    assert "\n" not in mail["Subject"]
    assert server.mails[0].recipients == ["oncall@ops.test", "ml@ops.test"]
    assert "\u202e" not in mail.get_content()


def test_a_repeat_after_an_answer_that_was_lost_has_the_same_message_id(
    start: Callable[..., MailServer], tmp_path: Path
) -> None:
    server = start()
    server.orders.hang_up_after_data = 1
    desk = Desk(tmp_path, mailer(server.port), ManualClock())
    desk.save(OPENED)
    desk.run(10)
    desk.kill()

    assert [fact.outcome for fact in desk.facts] == ["retried", "delivered"]
    assert desk.facts[0].detail == "the mail server hung up"
    assert len(server.mails) == 2
    assert len({mail["Message-ID"] for mail in read(server)}) == 1


# --- the way there ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_it_is_sent_under_tls_and_logged_in(
    start: Callable[..., MailServer], certified: tuple[ssl.SSLContext, Path], security: str
) -> None:
    context, ca_file = certified
    server = start(context, wrapped=security == "tls", login=("driftd", PASSWORD))
    target = mailer(server.port, security=security, username="driftd", password_env="P", ca_file=str(ca_file)).target

    assert told(target, OPENED) == [Delivered()]

    assert (server.mails[0].encrypted, server.mails[0].user) == (True, "driftd")
    assert PASSWORD not in repr(target)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_of_nobody_known_is_said_and_nothing_is_sent(
    start: Callable[..., MailServer], certified: tuple[ssl.SSLContext, Path], security: str
) -> None:
    server = start(certified[0], wrapped=security == "tls")

    with pytest.raises(TransportError, match="TLS: the certificate is not trusted: self-signed certificate"):
        told(mailer(server.port, security=security).target, OPENED)
    assert server.mails == []


def test_a_server_without_starttls_is_told_nothing(start: Callable[..., MailServer]) -> None:
    server = start()

    (delivery,) = told(mailer(server.port, security="starttls").target, OPENED)

    assert isinstance(delivery, TryLater)
    assert "STARTTLS extension not supported" in delivery.detail
    assert server.mails == []


def test_a_server_that_is_not_there_is_tried_again() -> None:
    (port,) = free_ports(1)

    with pytest.raises(TransportError, match="ConnectionRefusedError"):
        told(mailer(port).target, OPENED)


def test_addresses_that_no_target_may_reach_are_not_reached() -> None:
    with pytest.raises(TransportError, match="is a link-local, metadata or multicast address"):
        told(mailer(25, host="169.254.169.254").target, OPENED)


# --- what codes mean --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "code", "delivery"),
    [
        ("MAIL", 550, Refused(550, "answered 550")),
        ("MAIL", 451, TryLater(451, "answered 451", fault=Fault.NOTICE)),
        ("MAIL", 421, TryLater(421, "answered 421")),
        ("DATA", 554, Refused(554, "answered 554")),
        ("DATA", 452, TryLater(452, "answered 452", fault=Fault.NOTICE)),
    ],
)
def test_a_code_is_taken_as_it_is_meant(start: Callable[..., MailServer], word: str, code: int, delivery: Any) -> None:
    server = start()
    server.orders.codes = {word: [code]}

    assert told(mailer(server.port).target, OPENED) == [delivery]


def test_a_wrong_password_is_tried_again_later(
    start: Callable[..., MailServer], certified: tuple[ssl.SSLContext, Path]
) -> None:
    server = start(certified[0], login=("driftd", "another"))
    more = {"security": "starttls", "username": "driftd", "password_env": "P", "ca_file": str(certified[1])}

    assert told(mailer(server.port, **more).target, OPENED) == [TryLater(535, "answered 535 to the login")]


def test_a_server_that_hangs_up_on_the_login_is_said(
    start: Callable[..., MailServer], certified: tuple[ssl.SSLContext, Path]
) -> None:
    server = start(certified[0], login=("driftd", "another"))
    server.orders.hang_up_on.add("AUTH")
    more = {"security": "starttls", "username": "driftd", "password_env": "P", "ca_file": str(certified[1])}

    with pytest.raises(TransportError, match="hung up on the login"):
        told(mailer(server.port, **more).target, OPENED)


def test_one_recipient_of_two_is_enough_and_is_said(start: Callable[..., MailServer]) -> None:
    server = start()
    server.orders.refused = {"ml@ops.test"}

    assert told(mailer(server.port).target, OPENED) == [Delivered(detail="1 of 2 recipients were refused")]


@pytest.mark.parametrize(("code", "outcome"), [(550, Refused), (450, TryLater)])
def test_where_every_recipient_is_refused_the_code_says_for_how_long(
    start: Callable[..., MailServer], code: int, outcome: type[Any]
) -> None:
    server = start()
    server.orders.refused, server.orders.refused_with = {"ml@ops.test", "oncall@ops.test"}, code

    (delivery,) = told(mailer(server.port).target, OPENED)

    assert isinstance(delivery, outcome)
    assert delivery.detail == f"every recipient was refused: {code}"


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"to": []}, "at least 1 item"),
        ({"to": ["nobody"]}, "must be an address such as"),
        ({"to": ["a@b\nBcc: c@d"]}, "must be an address such as"),
        ({"from": "driftd@"}, "must be an address such as"),
        ({"from": "driftd@example."}, "must be an address such as"),
        ({"host": "http://mail"}, "name or address of a host"),
        ({"host": ""}, "name or address of a host"),
        ({"username": "u"}, "go together"),
        ({"password_env": "P"}, "go together"),
        ({"username": "u", "password_env": "P"}, "would send the password in the open"),
        ({"username": "u", "password_env": "P", "password_file": "p", "security": "tls"}, "exactly one of"),
        ({"security": "ssl"}, "starttls"),
    ],
)
def test_what_cannot_be_meant_is_refused(more: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        mailer(25, **more)


@pytest.mark.parametrize(
    ("security", "url"), [("starttls", "smtp://m:587"), ("tls", "smtps://m:465"), ("none", "smtp://m:25")]
)
def test_the_port_follows_from_security(security: str, url: str) -> None:
    usual = {key: value for key, value in entry(1, host="m", security=security).items() if key != "port"}
    assert read_target(usual).urls() == (url,)


def test_a_mail_says_when_it_was_decided_not_when_it_went_out(start: Callable[..., MailServer], tmp_path: Path) -> None:
    server = start()
    clock = ManualClock()
    server.orders.codes = {"MAIL": [421] * 3}
    desk = Desk(tmp_path, mailer(server.port), clock)
    decided = clock.now() // SECOND
    desk.save(OPENED)
    desk.run(120)
    desk.kill()

    (mail,) = read(server)
    assert int(mail["Date"].datetime.timestamp()) == decided

"""E-mail by SMTP: a message of plain text, whose id is that of the notice; the mails of one incident stand in one thread."""

import smtplib
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from monitor.clock import Clock
from monitor.explain.figures import utc
from monitor.explain.report import headline, plain_text
from monitor.html.report import report_mail
from monitor.store.outbox import Notice
from monitor.targets import address
from monitor.targets.base import Delivered, Delivery, Fault, Refused, TryLater
from monitor.targets.message import AS_USUAL, TITLE, Saying, State, Wording, clean, cut, read
from monitor.targets.paging import MOST_WORDS, PagingSettings, decided_at, one_of
from monitor.targets.reports import read_report
from monitor.targets.secrets import SecretError, Secrets
from monitor.targets.transport import Transport, TransportError, tls_context, tls_failure, trusted
from monitor.targets.wording import Template

SUBJECT = Template("[driftd] {model} {version}: {kind}")  # the same for all of an incident: some readers thread by it
LONGEST_SUBJECT, LONGEST_TITLE, LONGEST_TEXT = 200, 300, 20_000  # characters
LONGEST_REPORT = 60_000  # same
PORTS = {"starttls": 587, "tls": 465, "none": 25}
NOT_AVAILABLE = 421
FOR_GOOD = 500  # codes from here on
IMPORTANT = {"critical": "high"}
MOST_RECIPIENTS = 50


def mailbox(text: str) -> str:
    """An address such as `driftd <driftd@example.org>`. Raises ValueError."""
    name, spec = parseaddr(text)
    if not text.isascii() or not text.isprintable() or not spec or " " in spec:
        raise ValueError("must be an address such as driftd@example.org, in plain ASCII")
    try:
        parsed = Address(name, addr_spec=spec)
    except (ValueError, IndexError, AttributeError, MessageError):  # of the library, as the address is odd
        raise ValueError("must be an address such as driftd@example.org") from None
    if not parsed.username or not parsed.domain:
        raise ValueError("must be an address such as driftd@example.org")
    return text


def host_name(text: str) -> str:
    """A host. Raises ValueError."""
    if not text or not text.isascii() or any(each in text for each in " /@?#") or not text.isprintable():
        raise ValueError("must be the name or address of a host; port stands under port")
    return text


Mailbox = Annotated[str, AfterValidator(mailbox)]


# --- settings ---------------------------------------------------------------------------------------------------------


class EmailSettings(PagingSettings):
    """The mail server, who is written to, and who writes."""

    type: Literal["email"] = "email"
    host: Annotated[str, AfterValidator(host_name)]
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password_file: Path | None = None
    password_env: str | None = None
    sender: Annotated[Mailbox, Field(alias="from")]
    to: Annotated[list[Mailbox], Field(min_length=1, max_length=MOST_RECIPIENTS)]

    @model_validator(mode="after")
    def _login(self) -> "EmailSettings":
        named = self.password_file is not None or self.password_env is not None
        if named != (self.username is not None):
            raise ValueError("a username and one of password_file and password_env go together")
        if named:
            one_of(password_file=self.password_file, password_env=self.password_env)
        if named and self.security == "none":
            raise ValueError("security: none would send the password in the open; it must be starttls or tls")
        return self

    @property
    def at(self) -> int:
        """The port."""
        return self.port or PORTS[self.security]

    def urls(self) -> tuple[str, ...]:
        """The mail server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (f"smtp{'s' if self.security == 'tls' else ''}://{host}:{self.at}",)

    def build(self, secrets: Secrets) -> "Email":
        """The mail server with its login. Raises SecretError."""
        login = None
        if self.username is not None:
            text, place = secrets.read(self.password_file, self.password_env, "password")
            if not text.strip("\r\n"):
                raise SecretError(f"{place} is empty")
            login = MailLogin(self.username, text.strip("\r\n"))
        ca_file = trusted(None if self.ca_file is None else secrets.base / self.ca_file)
        server = MailHost(self.host, self.at, self.security, login, self.seconds, ca_file)
        return Email(self.name, server, self.sender, tuple(self.to), self.wording(title=SUBJECT))


# --- delivery ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MailLogin:
    """Who we are to the mail server."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MailHost:
    """A mail server, and how it is spoken to. `timeout` is in seconds, for each answer."""

    host: str
    port: int
    security: str
    login: MailLogin | None = None
    timeout: float = 15.0
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Email:
    """Some people's mailboxes."""

    name: str
    server: MailHost
    sender: str
    to: tuple[str, ...]
    wording: Wording = AS_USUAL

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:  # noqa: ARG002 - SMTP is no HTTP: its own way out, to the same addresses
        """Send one mail. A repeat has the same Message-ID, by which mail readers show it once."""
        mail = self.mail(read(notice, self.name), notice, clock.now())
        try:
            return self._send(mail)
        except smtplib.SMTPServerDisconnected:
            raise TransportError("the mail server hung up") from None
        except smtplib.SMTPRecipientsRefused as error:
            return self._refused(error.recipients)
        except smtplib.SMTPResponseException as error:
            return answered(error)
        except smtplib.SMTPException as error:  # what it does not offer: STARTTLS, a way to log in
            return TryLater(detail=f"{type(error).__name__}: {str(error)[:MOST_WORDS]}")
        except address.AddressRefused as error:
            raise TransportError(str(error)) from None
        except (OSError, UnicodeError) as error:
            raise TransportError(tls_failure(error) or type(error).__name__) from None

    def _send(self, mail: EmailMessage) -> Delivery:
        smtp = connect(self.server, parseaddr(self.sender)[1].rpartition("@")[2])
        try:
            log_in(smtp, self.server.login)
            refused = smtp.send_message(mail)
        finally:
            with suppress(smtplib.SMTPException, OSError):
                smtp.quit()
            smtp.close()
        detail = f"{len(refused)} of {len(self.to)} recipients were refused" if refused else ""
        return Delivered(detail=detail)

    def _refused(self, recipients: Mapping[str, tuple[int, bytes]]) -> Delivery:
        codes = [code for code, _ in recipients.values()]
        detail = f"every recipient was refused: {', '.join(map(str, sorted(set(codes))))}"
        if min(codes, default=0) >= FOR_GOOD:
            return Refused(max(codes), detail)
        return TryLater(min(codes, default=None), detail, fault=Fault.NOTICE)

    def mail(self, said: Saying, notice: Notice, now: int) -> EmailMessage:
        """The mail: its thread is the incident, its text is plain."""
        domain = parseaddr(self.sender)[1].rpartition("@")[2]
        thread = f"<{said.incident}@{domain}>"
        mail = EmailMessage(policy=SMTP)
        mail["From"], mail["To"] = self.sender, ", ".join(self.to)
        mail["Subject"] = self.wording.title_of(said, LONGEST_SUBJECT) or said.state.value
        mail["Date"] = format_datetime(utc(decided_at(notice, now)))
        mail["Message-ID"] = f"<{notice.id}@{domain}>"
        if mail["Message-ID"] != thread:  # a request for retraining that no incident is behind answers nothing
            mail["In-Reply-To"], mail["References"] = thread, thread
        mail["Auto-Submitted"] = "auto-generated"
        mail["Importance"] = IMPORTANT.get(said.severity, "normal")
        if said.state is State.REPORTED:
            return with_report(mail, notice)
        first = Wording(title=TITLE).title_of(said, LONGEST_TITLE)
        mail.set_content(f"{first}\n\n{self.wording.text_of(said, LONGEST_TEXT)}\n", cte="quoted-printable")
        return mail


def with_report(mail: EmailMessage, notice: Notice) -> EmailMessage:
    """The mail with a report: as HTML that loads nothing, and the same as plain text for readers without."""
    told = read_report(notice)
    del mail["Subject"]
    mail["Subject"] = cut(f"[driftd] report {clean(headline(told.report))}", LONGEST_SUBJECT)
    link = f"\n{told.url}\n" if told.url else ""
    mail.set_content(cut(clean(plain_text(told.report)), LONGEST_REPORT) + link, cte="quoted-printable")
    mail.add_alternative(report_mail(told.report, told.url), subtype="html", cte="quoted-printable")
    return mail


def log_in(smtp: smtplib.SMTP, login: MailLogin | None) -> None:
    """Say who we are, where that is asked for. Some servers hang up on a wrong password."""
    if login is not None:
        try:
            smtp.login(login.username, login.password)
        except smtplib.SMTPServerDisconnected:
            raise TransportError("the mail server hung up on the login") from None


def answered(error: smtplib.SMTPResponseException) -> Delivery:
    """What a code means: the login and what is not available now may come right, a mail that is refused does not."""
    detail = f"answered {error.smtp_code}"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return TryLater(error.smtp_code, f"{detail} to the login")
    about_mail = isinstance(error, smtplib.SMTPSenderRefused | smtplib.SMTPDataError)
    if about_mail and error.smtp_code >= FOR_GOOD:
        return Refused(error.smtp_code, detail)
    fault = Fault.NOTICE if about_mail and error.smtp_code != NOT_AVAILABLE else Fault.RECEIVER
    return TryLater(error.smtp_code, detail, fault=fault)


# --- the way out ------------------------------------------------------------------------------------------------------


def connect(server: MailHost, name: str) -> smtplib.SMTP:
    """A connection under TLS where that is asked for; `name` is who greets. Raises what smtplib and the network raise."""
    context = None if server.security == "none" else tls_context(server.ca_file)
    if server.security == "tls":
        assert context is not None
        return GuardedSmtpTls(server, name, context)
    smtp = GuardedSmtp(server, name)
    if context is not None:
        try:
            smtp.starttls(context=context)
        except BaseException:
            smtp.close()
            raise
    return smtp


class GuardedSmtp(smtplib.SMTP):
    """Connects to no address that other targets may not reach either."""

    def __init__(self, server: MailHost, name: str) -> None:
        super().__init__(server.host, server.port, local_hostname=name, timeout=server.timeout)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return reached(host, port, timeout)


class GuardedSmtpTls(smtplib.SMTP_SSL):
    """The same under TLS from the first byte."""

    def __init__(self, server: MailHost, name: str, context: ssl.SSLContext) -> None:
        super().__init__(server.host, server.port, local_hostname=name, timeout=server.timeout, context=context)

    def _get_socket(self, host: str, port: int, timeout: float) -> ssl.SSLSocket:
        wrap = partial(self.context.wrap_socket, server_hostname=host)
        plain = reached(host, port, timeout)
        try:
            return wrap(plain)
        except BaseException:
            plain.close()
            raise


def reached(host: str, port: int, timeout: float) -> socket.socket:
    """A connection to the first allowed address of a host that can be reached. Raises AddressRefused, OSError."""
    failed: OSError | None = None
    for resolved in address.resolve(host, port):
        try:
            return socket.create_connection((resolved, port), timeout)
        except OSError as error:
            failed = error
    assert failed is not None
    raise failed

"""A small SMTP server on loopback, as RFC 5321 has it: STARTTLS, TLS, login, and codes by order; it keeps what it took."""

import base64
import socketserver
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import Any


@dataclass
class Mail:
    """What was taken: envelope, message, and whether the connection was under TLS and logged in."""

    sender: str
    recipients: list[str]
    content: bytes
    encrypted: bool
    user: str | None


@dataclass
class Orders:
    """Codes by what is said, once each, in place of the usual; `hang_up_after_data`: a mail is taken and its answer lost."""

    codes: dict[str, list[int]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    refused_with: int = 550
    hang_up_after_data: int = 0
    hang_up_on: set[str] = field(default_factory=set)


class MailServer:
    """Ends with `close`. `tls` alone offers STARTTLS; with `wrapped` it speaks TLS from the first byte."""

    def __init__(
        self, tls: ssl.SSLContext | None = None, *, wrapped: bool = False, login: tuple[str, str] | None = None
    ) -> None:
        self.mails: list[Mail] = []
        self.orders = Orders()
        self.tls, self.wrapped, self.login = tls, wrapped, login
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _MailSession)
        self._server.daemon_threads = True
        self._server.mail_server = self  # type: ignore[attr-defined]
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.port = int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _MailSession(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.home: MailServer = self.server.mail_server  # type: ignore[attr-defined]
        self.encrypted, self.user = False, None
        self._reset()
        try:
            if self.home.wrapped:
                self._encrypt()
            self._say(220, "mail.test")
            while line := self.rfile.readline():
                word, _, rest = line.decode().strip().partition(" ")
                if not self._answer(word.upper(), rest):
                    return
        except (OSError, ssl.SSLError):
            return

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        self.connection.close()

    def _reset(self) -> None:
        self.sender, self.recipients = "", []

    def _answer(self, word: str, rest: str) -> bool:
        if word in self.home.orders.hang_up_on:
            return False
        ordered = self.home.orders.codes.get(word)
        if ordered:
            self._say(ordered.pop(0), "as ordered")
            return True
        handler = getattr(self, f"_{word.lower()}", None)
        if handler is None:
            self._say(500, "what?")
            return True
        return handler(rest) is not False

    def _ehlo(self, _: str) -> None:
        offers = ["mail.test", "SIZE 1000000"]
        offers += ["STARTTLS"] if self.home.tls is not None and not self.encrypted else []
        offers += ["AUTH PLAIN"] if self.home.login is not None else []
        for each in offers[:-1]:
            self.wfile.write(f"250-{each}\r\n".encode())
        self._say(250, offers[-1])

    def _starttls(self, _: str) -> None:
        self._say(220, "go")
        self._encrypt()

    def _auth(self, rest: str) -> None:
        _, user, password = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")
        if (user, password) == self.home.login:
            self.user = user
            self._say(235, "welcome")
        else:
            self._say(535, "no")

    def _mail(self, rest: str) -> None:
        if self.home.login is not None and self.user is None:
            self._say(530, "log in first")
            return
        self.sender = rest.partition("<")[2].partition(">")[0]
        self._say(250, "ok")

    def _rcpt(self, rest: str) -> None:
        recipient = rest.partition("<")[2].partition(">")[0]
        if recipient in self.home.orders.refused:
            self._say(self.home.orders.refused_with, "not here")
            return
        self.recipients.append(recipient)
        self._say(250, "ok")

    def _data(self, _: str) -> bool:
        self._say(354, "go on")
        lines: list[bytes] = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line[1:] if line.startswith(b".") else line)
        self.home.mails.append(Mail(self.sender, self.recipients, b"".join(lines), self.encrypted, self.user))
        self._reset()
        if self.home.orders.hang_up_after_data:
            self.home.orders.hang_up_after_data -= 1
            return False
        self._say(250, "taken")
        return True

    def _rset(self, _: str) -> None:
        self._reset()
        self._say(250, "ok")

    def _quit(self, _: str) -> bool:
        self._say(221, "bye")
        return False

    def _encrypt(self) -> None:
        assert self.home.tls is not None
        self.connection: Any = self.home.tls.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.encrypted = True

    def _say(self, code: int, words: str) -> None:
        self.wfile.write(f"{code} {words}\r\n".encode())

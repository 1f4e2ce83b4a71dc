"""Slack, by an incoming webhook: a message of blocks with the same as plain text. Mattermost and Rocket.Chat take the text."""

from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

import msgspec

from monitor.clock import Clock
from monitor.store.outbox import Notice
from monitor.targets.base import Access, Delivered, Delivery, Fault, Refused, TryLater
from monitor.targets.message import AS_USUAL, Saying, Wording, cut, read
from monitor.targets.paging import (
    SecretUrlSettings,
    answers,
    encoded,
    post,
    secrets_in,
    unlike,
    words_of,
)
from monitor.targets.secrets import Secrets
from monitor.targets.transport import Answer, Transport, trusted
from monitor.targets.webhook import judge

LONGEST_HEADER = 150  # characters of a header block
LONGEST_BLOCK = 3000  # and of a section
LONGEST_TEXT = 4000  # of the plain form
GONE = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


# --- settings ---------------------------------------------------------------------------------------------------------


class SlackSettings(SecretUrlSettings):
    """The address of the webhook, which is its secret."""

    type: Literal["slack"] = "slack"

    def build(self, secrets: Secrets) -> "Slack":
        """The channel. Raises SecretError."""
        ca_file = trusted(None if self.ca_file is None else secrets.base / self.ca_file)
        return Slack(self.name, self.secret_url(secrets), self.wording(), self.seconds, ca_file)


# --- delivery ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Slack:
    """A channel. It cannot tell a repeat: after an answer that was lost a message stands there twice."""

    name: str
    url: str = field(repr=False)
    wording: Wording = AS_USUAL
    timeout: float = 15.0
    ca_file: Path | None = None

    def check(self, io: Transport, clock: Clock) -> Access:  # noqa: ARG002 - as every target's
        """Whether its host answers."""
        return answers(io, self.url, self.timeout, self.ca_file)

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Send one message."""
        body = encoded(message(read(notice, self.name), self.wording))
        return verdict(io.send(post(self.url, body, {}, self.timeout, self.ca_file)), clock, self.url)


def verdict(answer: Answer, clock: Clock, url: str) -> Delivery:
    """What an answer means. A 200 is a success where its body does not say otherwise."""
    if (page := unlike(answer, secrets_in(url))) is not None:
        return page
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        if says_no(answer.body):
            return TryLater(answer.status, words_of(answer, secrets_in(url)), fault=Fault.NOTICE)
        return Delivered(answer.status)
    if answer.status == HTTPStatus.BAD_REQUEST:  # the message as it is
        return Refused(answer.status, words_of(answer, secrets_in(url)))
    if answer.status in GONE:
        return TryLater(answer.status, words_of(answer, secrets_in(url)))
    return judge(answer, clock)


def says_no(body: bytes) -> bool:
    """Whether the body of a success tells of a failure, as `{"ok": false}` or `{"success": false}`."""
    try:
        said = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body.strip().lower() not in {b"ok", b"1", b""} and b"error" in body.lower()
    if not isinstance(said, dict):
        return False
    return said.get("ok") is False or said.get("success") is False or bool(said.get("error"))


def message(said: Saying, wording: Wording) -> dict[str, Any]:
    """A header, the text, a line of small print and a button; the same in plain text."""
    title, text = wording.title_of(said, LONGEST_TEXT), wording.text_of(said, LONGEST_TEXT)
    small = " · ".join(filter(None, (said.severity, said.fields["kind"], said.incident)))
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": plain(title or said.state.value, LONGEST_HEADER)},
        {"type": "section", "text": plain(text or said.state.value, LONGEST_BLOCK)},
        {"type": "context", "elements": [plain(small, LONGEST_BLOCK)]},
    ]
    opens = [(said.state.opens, said.url)] if said.url else []
    if buttons := [*opens, *said.decisions]:
        elements = [{"type": "button", "text": plain(words, LONGEST_BLOCK), "url": url} for words, url in buttons]
        blocks.append({"type": "actions", "elements": elements})
    return {"text": fitted(f"{title}\n{text}", LONGEST_TEXT), "blocks": blocks}


def plain(text: str, most: int) -> dict[str, Any]:
    """Text that Slack shows as it is: no markup, no mention, no emoji."""
    return {"type": "plain_text", "text": fitted(text, most), "emoji": False}


def fitted(text: str, most: int) -> str:
    """Text with what Slack parses escaped, of at most so many characters by then."""
    while (over := len(escaped(text)) - most) > 0:
        text = cut(text, max(len(text) - over, 1))
    return escaped(text)


def escaped(text: str) -> str:
    """Text in which nothing is a mention or a link: Slack makes those of angle brackets alone.

    >>> escaped("<!channel> & <https://x|y>")
    '&lt;!channel&gt; &amp; &lt;https://x|y&gt;'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

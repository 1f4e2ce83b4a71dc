"""Microsoft Teams, by the webhook of a workflow: one adaptive card, whose texts are shown as they are."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from monitor.clock import Clock
from monitor.store.outbox import Notice
from monitor.targets.base import Delivered, Delivery, Refused
from monitor.targets.message import AS_USUAL, Saying, Wording, read
from monitor.targets.paging import PagingSettings, encoded, one_of, post, secrets_in, words_of
from monitor.targets.secrets import Secrets
from monitor.targets.slack import secret_url
from monitor.targets.transport import Transport, trusted
from monitor.targets.webhook import judge

MOST_BYTES = 28_000  # of a message; Teams refuses what is larger
LONGEST_TITLE, LONGEST_TEXT = 300, 6000  # characters, each of at most four bytes
SUCCESSES = range(200, 300)
FOREVER = frozenset({400, 413})
COLOURS = {"critical": "attention", "warning": "warning", "info": "accent"}


# --- settings ---------------------------------------------------------------------------------------------------------


class TeamsSettings(PagingSettings):
    """The address of the workflow, which is its secret."""

    type: Literal["teams"] = "teams"
    url_file: Path | None = None
    url_env: str | None = None

    @model_validator(mode="after")
    def _one_url(self) -> "TeamsSettings":
        one_of(url_file=self.url_file, url_env=self.url_env)
        return self

    def build(self, secrets: Secrets) -> "Teams":
        """The channel. Raises SecretError."""
        ca_file = trusted(None if self.ca_file is None else secrets.base / self.ca_file)
        url = secret_url(secrets, self.url_file, self.url_env)
        return Teams(self.name, url, self.wording(), self.seconds, ca_file)


# --- delivery ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Teams:
    """A channel or a chat. It cannot tell a repeat: after an answer that was lost a card stands there twice."""

    name: str
    url: str = field(repr=False)
    wording: Wording = AS_USUAL
    timeout: float = 15.0
    ca_file: Path | None = None

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Send one card."""
        body = encoded(message(read(notice, self.name), self.wording))
        answer = io.send(post(self.url, body, {}, self.timeout, self.ca_file))
        if answer.status in SUCCESSES:  # 202: the workflow has begun
            return Delivered(answer.status)
        if answer.status in FOREVER:
            return Refused(answer.status, words_of(answer, secrets_in(self.url)))
        return judge(answer, clock)


def message(said: Saying, wording: Wording) -> dict[str, Any]:
    """The card in its envelope. A text that would make it too large is cut."""
    most = LONGEST_TEXT
    while len(encoded(found := envelope(card(said, wording, most)))) > MOST_BYTES:
        most //= 2
    return found


def envelope(content: dict[str, Any]) -> dict[str, Any]:
    """What a workflow's webhook takes."""
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [attachment]}


def card(said: Saying, wording: Wording, most: int) -> dict[str, Any]:
    """Title, text and small print, as runs of text: unlike text blocks these know no markdown, so no link and no mention."""
    colour = "good" if said.state.ends else COLOURS.get(said.severity, "default")
    title = {"size": "large", "weight": "bolder", "color": "accent" if said.state.is_of_retraining else colour}
    small = " · ".join(filter(None, (said.severity, said.fields["kind"], said.incident)))
    found: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": wording.title_of(said, LONGEST_TITLE),
        "msteams": {"width": "Full"},
        "body": [
            paragraph(wording.title_of(said, LONGEST_TITLE), **title),
            *paragraphs(wording.text_of(said, most).split("\n")),
            paragraph(small, size="small", isSubtle=True),
        ],
    }
    return found | (
        {"actions": [{"type": "Action.OpenUrl", "title": said.state.opens, "url": said.url}]} if said.url else {}
    )


def paragraphs(lines: Iterable[str]) -> list[dict[str, Any]]:
    """A block a line that says something."""
    return [paragraph(line) for line in lines if line.strip()]


def paragraph(text: str, **style: Any) -> dict[str, Any]:
    """A block of one run of text."""
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}

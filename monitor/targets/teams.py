"""Microsoft Teams, by the webhook of a workflow: one adaptive card, whose texts are shown as they are."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from monitor.clock import Clock
from monitor.store.outbox import Notice
from monitor.targets.base import Access, Delivered, Delivery, Refused
from monitor.targets.message import AS_USUAL, Saying, Wording, read
from monitor.targets.paging import SecretUrlSettings, answers, encoded, post, secrets_in, unlike, words_of
from monitor.targets.secrets import Secrets
from monitor.targets.transport import Transport, trusted
from monitor.targets.webhook import judge

MOST_BYTES = 28_000  # of a message; Teams refuses what is larger
LONGEST_TITLE, LONGEST_TEXT = 300, 6000  # characters, each of at most four bytes
SUCCESSES = range(200, 300)
FOREVER = frozenset({400, 413})
COLOURS = {"critical": "attention", "warning": "warning", "info": "accent"}


# --- settings ---------------------------------------------------------------------------------------------------------


class TeamsSettings(SecretUrlSettings):
    """The address of the workflow, which is its secret."""

    type: Literal["teams"] = "teams"

    def build(self, secrets: Secrets) -> "Teams":
        """The channel. Raises SecretError."""
        ca_file = trusted(None if self.ca_file is None else secrets.base / self.ca_file)
        return Teams(self.name, self.secret_url(secrets), self.wording(), self.seconds, ca_file)


# --- delivery ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Teams:
    """A channel or a chat. It cannot tell a repeat: after an answer that was lost a card stands there twice."""

    name: str
    url: str = field(repr=False)
    wording: Wording = AS_USUAL
    timeout: float = 15.0
    ca_file: Path | None = None

    def check(self, io: Transport, clock: Clock) -> Access:  # noqa: ARG002 - as every target's
        """Whether its host answers."""
        return answers(io, self.url, self.timeout, self.ca_file)

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Send one card."""
        body = encoded(message(read(notice, self.name), self.wording))
        answer = io.send(post(self.url, body, {}, self.timeout, self.ca_file))
        if (page := unlike(answer, secrets_in(self.url))) is not None:
            return page
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
    opens = [(said.state.opens, said.url)] if said.url else []
    actions = [{"type": "Action.OpenUrl", "title": words, "url": url} for words, url in [*opens, *said.decisions]]
    return found | ({"actions": actions} if actions else {})


def paragraphs(lines: Iterable[str]) -> list[dict[str, Any]]:
    """A block a line that says something."""
    return [paragraph(line) for line in lines if line.strip()]


def paragraph(text: str, **style: Any) -> dict[str, Any]:
    """A block of one run of text."""
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}

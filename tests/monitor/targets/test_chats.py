"""What Slack and Teams are sent: within their limits, and nothing out of an event becomes a mention or a link."""

from collections.abc import Iterator
from typing import Any

import pytest

from monitor.clock import SystemClock
from monitor.targets.base import Checkable, Delivered, Fault, Refused, TryLater
from monitor.targets.transport import Transport, TransportError
from tests.apis.service import Call, Reply, Service
from tests.fakes import Receiver
from tests.paging import ESCALATED, HOSTILE, OPENED, RESOLVED, answering, bodies, configured, told

CHATS = pytest.mark.parametrize("kind", ["slack", "teams"])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


def chat(receiver: Receiver, kind: str, **more: Any) -> Any:
    return configured({"name": "chat", "type": kind, "url_env": "U", **more}, {"U": receiver.url + "\n"}).target


def texts(value: Any) -> Iterator[str]:
    """All texts of a body."""
    match value:
        case dict():
            for each in value.values():
                yield from texts(each)
        case list():
            for each in value:
                yield from texts(each)
        case str():
            yield value


# --- Slack ------------------------------------------------------------------------------------------------------------


def test_a_slack_message_has_blocks_and_the_same_as_plain_text(receiver: Receiver) -> None:
    receiver.answers = [answering(200, b"ok")]

    assert told(chat(receiver, "slack"), OPENED) == [Delivered(200)]

    (sent,) = bodies(receiver.requests)
    title = "firing: churn/3 drifts since 2026-11-23 11:55: age mean +0.8 σ"
    assert [block["type"] for block in sent["blocks"]] == ["header", "section", "context", "actions"]
    assert sent["blocks"][0]["text"] == {"type": "plain_text", "text": title, "emoji": False}
    assert sent["text"].startswith(title + "\n")
    assert sent["blocks"][3]["elements"][0]["url"] == f"https://drift.internal/incident?id={OPENED.incident}"


def test_nothing_in_a_slack_message_is_a_mention_or_a_link_and_limits_hold(receiver: Receiver) -> None:
    told(chat(receiver, "slack", template={"text": "{features}\n" * 20, "title": "{features}"}), HOSTILE)

    (sent,) = bodies(receiver.requests)
    assert "&lt;!channel&gt;" in sent["text"]
    assert len(sent["text"]) <= 4000
    assert all("<" not in text and ">" not in text for text in texts(sent))
    assert len(sent["blocks"][0]["text"]["text"]) <= 150
    assert len(sent["blocks"][1]["text"]["text"]) <= 3000
    assert all(block["text"]["type"] == "plain_text" for block in sent["blocks"][:2])


@pytest.mark.parametrize(
    ("answer", "delivery"),
    [
        (answering(200, b"ok"), Delivered(200)),
        (answering(200, b'{"success":true}'), Delivered(200)),
        (answering(204), Delivered(204)),
        (
            answering(200, b'{"ok":false,"error":"x"}'),
            TryLater(200, 'answered 200: {"ok":false,"error":"x"}', fault=Fault.NOTICE),
        ),
        (answering(400, b"invalid_blocks"), Refused(400, "answered 400: invalid_blocks")),
        (answering(404, b"channel_not_found"), TryLater(404, "answered 404: channel_not_found")),
        (answering(410, b"channel_is_archived"), TryLater(410, "answered 410: channel_is_archived")),
        (answering(429, retry_after="7"), TryLater(429, "answered 429", 7.0)),
        (answering(500), TryLater(500, "answered 500")),
        (answering(200, b"<html>Sign in</html>"), TryLater(200, "answered 200: <html>Sign in</html>")),
    ],
)
def test_an_answer_of_slack_is_taken_as_documented(receiver: Receiver, answer: Any, delivery: Any) -> None:
    receiver.answers = [answer]

    assert told(chat(receiver, "slack"), OPENED) == [delivery]


# --- Teams ------------------------------------------------------------------------------------------------------------


def test_a_card_for_teams_is_an_adaptive_card_in_a_message(receiver: Receiver) -> None:
    receiver.answers = [answering(202)]

    assert told(chat(receiver, "teams"), ESCALATED) == [Delivered(202)]

    (sent,) = bodies(receiver.requests)
    (attachment,) = sent["attachments"]
    card = attachment["content"]
    assert (sent["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    title = card["body"][0]["inlines"][0]
    assert title["text"].startswith("escalated: churn/3")
    assert title["color"] == "attention"
    assert card["actions"][0] == {
        "type": "Action.OpenUrl",
        "title": "Open the incident",
        "url": f"https://drift.internal/incident?id={OPENED.incident}",
    }


def test_nothing_in_a_card_is_markdown_or_a_mention_and_the_limit_holds(receiver: Receiver) -> None:
    """Text blocks know markdown, runs of text do not; a mention needs an entry under `msteams.entities`."""
    told(chat(receiver, "teams", template={"text": "{features}\n" * 100}), HOSTILE)

    assert len(receiver.requests[0].body) <= 28_000
    card = bodies(receiver.requests)[0]["attachments"][0]["content"]
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    assert {run["type"] for block in card["body"] for run in block["inlines"]} == {"TextRun"}
    assert card["msteams"] == {"width": "Full"}


def test_an_end_is_green(receiver: Receiver) -> None:
    told(chat(receiver, "teams"), RESOLVED)

    card = bodies(receiver.requests)[0]["attachments"][0]["content"]
    assert card["body"][0]["inlines"][0]["color"] == "good"


def test_a_login_page_is_no_message_in_teams(receiver: Receiver) -> None:
    receiver.answers = [answering(200, b"<html>Sign in</html>")]

    assert told(chat(receiver, "teams"), OPENED) == [TryLater(200, "answered 200: <html>Sign in</html>")]


@pytest.mark.parametrize(
    ("status", "delivery"),
    [
        (200, Delivered(200)),
        (400, Refused(400, "answered 400")),
        (413, Refused(413, "answered 413")),
        (401, TryLater(401, "answered 401", fault=Fault.NOTICE)),
        (502, TryLater(502, "answered 502")),
    ],
)
def test_an_answer_of_teams_is_taken_as_documented(receiver: Receiver, status: int, delivery: Any) -> None:
    receiver.answers = [answering(status)]

    assert told(chat(receiver, "teams"), OPENED) == [delivery]


# --- both -------------------------------------------------------------------------------------------------------------


@CHATS
def test_the_address_is_a_secret(receiver: Receiver, kind: str) -> None:
    receiver.answers = [answering(400, b"no such hook: " + receiver.url.encode())]
    target = chat(receiver, kind)

    (delivery,) = told(target, OPENED)

    assert receiver.url not in repr(target)
    assert receiver.url not in delivery.detail


@CHATS
@pytest.mark.parametrize("url", ["hooks.example/x", "ftp://x", "https://u:pw@x", "", "http://x y"])
def test_an_address_that_is_none_is_refused_and_not_shown(kind: str, url: str) -> None:
    with pytest.raises(ValueError, match=r"^url_env: ") as refused:
        configured({"name": "chat", "type": kind, "url_env": "U"}, {"U": url})

    assert not url or url not in str(refused.value)


@CHATS
def test_exactly_one_address_is_named(kind: str) -> None:
    with pytest.raises(ValueError, match="exactly one of url_file and url_env"):
        configured({"name": "chat", "type": kind})


@CHATS
def test_texts_are_clean_of_what_controls_a_terminal_or_turns_text(receiver: Receiver, kind: str) -> None:
    told(chat(receiver, kind), HOSTILE)

    assert not any(mark in text for text in texts(bodies(receiver.requests)) for mark in ("\u202e", "\x1b"))


# --- checks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["slack", "teams", "pagerduty"])
def test_a_check_asks_the_host_and_sends_no_message(receiver: Receiver, kind: str) -> None:
    """Not even the path, which is a secret."""
    entry = {"routing_key_env": "K", "url": receiver.url} if kind == "pagerduty" else {"url_env": "U"}
    target = configured({"name": "x", "type": kind, **entry}, {"K": "0" * 32, "U": receiver.url}).target
    assert isinstance(target, Checkable)
    with Transport(SystemClock()) as io:
        found = target.check(io, SystemClock())
        receiver.close()
        with pytest.raises(TransportError, match="ConnectError"):
            target.check(io, SystemClock())

    assert (found.found, found.problems) == (
        "127.0.0.1 answers; whether it takes messages is seen at the first alone",
        (),
    )
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("status", "found", "problems"),
    [
        (200, "its alerts can be read; whether it takes alerts is seen at the first alone", ()),
        (403, "it answers; whether it takes alerts is seen at the first alone", ()),
        (401, "", ('its key is not known: answered 401: {"message": "no ***"}',)),
    ],
)
def test_a_check_of_opsgenie_asks_whether_the_key_is_known(status: int, found: str, problems: tuple[str, ...]) -> None:
    service = Asked(status)
    try:
        entry = {"name": "x", "type": "opsgenie", "url": service.url, "api_key_env": "K"}
        target = configured(entry, {"K": "canary7f3a"}).target
        assert isinstance(target, Checkable)
        with Transport(SystemClock()) as io:
            access = target.check(io, SystemClock())
    finally:
        service.close()

    assert (access.found, access.problems) == (found, problems)
    assert [(call.method, call.path, call.query) for call in service.calls] == [("GET", "/v2/alerts", {"limit": "1"})]


class Asked(Service):
    """Answers every request with one status, and repeats the key."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self._status = status

    def answer(self, call: Call) -> Reply:
        return Reply(self._status, {"message": f"no {call.headers['authorization'].removeprefix('GenieKey ')}"})

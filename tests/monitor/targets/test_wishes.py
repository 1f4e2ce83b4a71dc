"""Wishes for retraining as people are told of them: those of alerts, and those of a schedule or a person, which know no incident."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from monitor.alerting.retraining import MANUAL_REASON, SCHEDULE_REASON, RetrainOutcome
from monitor.clock import SystemClock
from monitor.facts import RetrainDecided, RetrainWish
from monitor.targets.base import Delivered
from monitor.targets.message import AS_USUAL, State, read
from monitor.targets.paging import secrets_in, words_of
from monitor.targets.payloads import PENDING, Sender, notice
from monitor.targets.retraining import kind_of
from monitor.targets.transport import Answer, Transport
from tests.fakes import NOON, Receiver
from tests.paging import OPENED, answering, bodies, configured, notice_of, told

OF_SCHEDULE = RetrainWish("r1", OPENED.key, SCHEDULE_REASON, NOON, NOON - 10**12, NOON, reference="abc123")
OF_ANA = replace(OF_SCHEDULE, id="r2", reason=MANUAL_REASON, by="ana", why="labels are in")
OF_ALERT = replace(OF_SCHEDULE, id="r3", reason="drift", incident=OPENED.incident, rule=OPENED.rule)
OUTCOMES = {
    RetrainOutcome.REQUESTED: State.RETRAINING,
    RetrainOutcome.PENDING: State.PENDING,
    RetrainOutcome.COOLDOWN: State.SUPPRESSED,
}


def decided(wish: RetrainWish, outcome: RetrainOutcome) -> RetrainDecided:
    alert = OPENED if wish.incident else None
    return RetrainDecided(alert, outcome, wish.data_from, wish.data_to, wish, by=wish.by, why=wish.why)


WISHES = [decided(wish, outcome) for wish in (OF_SCHEDULE, OF_ANA, OF_ALERT) for outcome in OUTCOMES]
IDS = [f"{each.reason}-{each.outcome.value}" for each in WISHES]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.mark.parametrize("wish", WISHES, ids=IDS)
def test_a_wish_is_said_as_what_it_is_and_by_its_id(wish: RetrainDecided) -> None:
    said = read(notice_of(wish), "chat")

    assert said.state is OUTCOMES[wish.outcome]
    assert not said.state.ends
    assert wish.wish is not None
    assert said.fields["request"] == wish.wish.id
    assert said.url.startswith("https://drift.internal/")
    assert wish.outcome is not RetrainOutcome.COOLDOWN or said.fields["summary"].endswith(
        "the last request is not over"
    )


@pytest.mark.parametrize("wish", WISHES, ids=IDS)
@pytest.mark.parametrize("kind", ["slack", "teams"])
def test_a_channel_is_told_of_every_wish(receiver: Receiver, kind: str, wish: RetrainDecided) -> None:
    receiver.answers = [200]
    channel = configured({"name": "chat", "type": kind, "url_env": "U", "types": ["*"]}, {"U": receiver.url}).target

    assert told(channel, wish) == [Delivered(200)]
    (sent,) = bodies(receiver.requests)
    assert OUTCOMES[wish.outcome].value in str(sent)
    assert wish.wish is not None
    assert f"request {wish.wish.id}" in str(sent)
    assert "rule ," not in str(sent)


@pytest.mark.parametrize("wish", WISHES, ids=IDS)
def test_no_wish_pages_anybody(receiver: Receiver, wish: RetrainDecided) -> None:
    receiver.answers = [202]
    entry = {"name": "p", "type": "pagerduty", "routing_key_env": "K", "url": receiver.url, "types": ["*"]}

    assert told(configured(entry, {"K": "0" * 32}).target, wish) == [Delivered(202)]
    assert receiver.requests[0].path.endswith("/v2/change/enqueue")


@pytest.mark.parametrize("wish", WISHES, ids=IDS)
def test_a_mail_answers_no_mail_but_that_of_its_incident(wish: RetrainDecided) -> None:
    entry = {
        "name": "m",
        "type": "email",
        "host": "h",
        "from": "d@example.org",
        "to": ["a@example.org"],
        "types": ["*"],
    }
    target: Any = configured(entry).target
    notice = notice_of(wish)

    mail = target.mail(read(notice, "m"), notice, NOON)
    assert mail["Message-ID"] == f"<{notice.id}@example.org>"
    assert mail["In-Reply-To"] != mail["Message-ID"]


# --- secrets ----------------------------------------------------------------------------------------------------------

SECRET = "https://hooks.slack.com/services/T0001/B00000001/x7Fq2kLm9"


@pytest.mark.parametrize(
    "said",
    [
        f"nothing at {SECRET}",
        "the URL /services/T0001/B00000001/x7Fq2kLm9 was not found",
        "no such token: x7Fq2kLm9",
        "no such token: x7Fq\x002kLm9",
        "workflow?sig=x7Fq2kLm9",
    ],
)
def test_nothing_of_a_secret_address_comes_back_in_what_an_answer_says(said: str) -> None:
    detail = words_of(Answer(404, {}, said.encode()), secrets_in(SECRET))

    assert detail.startswith("answered 404: ")
    assert "x7Fq" not in detail


@pytest.mark.parametrize("key", ["url_env", "url_file"])
def test_an_address_in_place_of_where_it_stands_is_not_repeated(key: str) -> None:
    with pytest.raises(ValueError, match=f"{key}: must be the") as raised:
        configured({"name": "chat", "type": "slack", key: SECRET})
    assert "x7Fq" not in str(raised.value)


def test_a_proxy_that_repeats_the_token_is_not_quoted(receiver: Receiver) -> None:
    receiver.answers = [answering(403, b"Bearer s3cret-token is not known here")]
    entry = {"name": "am", "type": "alertmanager", "urls": [receiver.url], "token_env": "T"}

    (answer,) = told(configured(entry, {"T": "s3cret-token"}).target, OPENED)
    assert "Bearer *** is not known here" in answer.detail


# --- links ------------------------------------------------------------------------------------------------------------

LINKS = {
    name: f"https://drift.internal/approval?request=r1&action={name}&signature=ab" for name in ("approve", "reject")
}
LINKED = Sender("0d3f", "1", "https://drift.internal", lambda request: {**LINKS, "of": request})


@pytest.mark.parametrize(
    "wish",
    [decided(OF_SCHEDULE, RetrainOutcome.PENDING), decided(OF_ALERT, RetrainOutcome.PENDING)],
    ids=["plain", "alert"],
)
@pytest.mark.parametrize("kind", ["slack", "teams", "pagerduty"])
def test_a_request_that_waits_carries_links_to_decide(receiver: Receiver, kind: str, wish: RetrainDecided) -> None:
    entry = {"routing_key_env": "K", "url": receiver.url} if kind == "pagerduty" else {"url_env": "U"}
    target = configured({"name": "x", "type": kind, "types": ["*"], **entry}, {"K": "0" * 32, "U": receiver.url}).target
    receiver.answers = [202]
    with Transport(SystemClock()) as io:
        target.deliver(notice(wish, PENDING, LINKED), io, SystemClock())

    (sent,) = bodies(receiver.requests)
    found = [each for each in values(sent) if each in LINKS.values()]
    assert set(found) == set(LINKS.values())


def values(found: Any) -> Iterator[Any]:
    """All that stands in a body."""
    inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    yield from (each for one in inner for each in values(one))
    if isinstance(found, str):
        yield found


@pytest.mark.parametrize("outcome", [RetrainOutcome.REQUESTED, RetrainOutcome.COOLDOWN])
def test_what_does_not_wait_carries_none(outcome: RetrainOutcome) -> None:
    said = read(notice(decided(OF_SCHEDULE, outcome), kind_of(outcome), LINKED), "chat")

    assert said.decisions == []
    assert "to approve" not in AS_USUAL.text_of(said, 4000)


def test_plain_text_names_both() -> None:
    said = read(notice(decided(OF_ALERT, RetrainOutcome.PENDING), PENDING, LINKED), "mail")

    assert AS_USUAL.text_of(said, 4000).endswith(f"to approve: {LINKS['approve']}\nto reject: {LINKS['reject']}")

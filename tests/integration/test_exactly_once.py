"""A day of flapping scores, three kills, receivers that are away and lose answers: one page, one end, one run, at every target.

Judged by what the receivers have done. `make exactly-once` plays more days, with more kills and a pair of Alertmanagers.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from email import message_from_bytes
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monitor.targets.registry import built_in
from tests.apis.pagers import Alertmanager, ById, Lineage
from tests.contracts.test_targets import needs, private_key
from tests.integration.daemon import Driftd
from tests.integration.incident import (
    BEGIN,
    HOUR,
    HOURS,
    PARTITIONS,
    TOPIC,
    WINDOW,
    Receivers,
    Traffic,
    config,
    drawn,
    fitted,
    let_in,
    play,
    receivers,
    targets,
)

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker

DAYS = int(os.environ.get("DAYS", "1"))
LONG = DAYS > 1
KILLS, PEERS, PACE = (8, 2, 0.15) if LONG else (3, 1, 0.06)
PATIENCE = 240  # seconds: Alertmanagers are tried again each quarter of a minute, five answers are lost
LAST = BEGIN + HOURS * HOUR - WINDOW  # the window after it stays open: nothing comes after that one
OF_THE_DAY, OF_THE_RULE = ["opened", "updated", "resolved"], ["opened", "resolved"]


@pytest.fixture
def open_() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("day", range(DAYS))
def test_a_day_is_one_page_and_one_run_at_every_target(
    mock_broker: "MockBroker", tmp_path: Path, open_: ExitStack, monkeypatch: pytest.MonkeyPatch, day: int
) -> None:
    needs("botocore")
    needs("google.auth")
    seed = int(os.environ.get("DAY_SEED", random.getrandbits(32))) + day
    print(f"DAY_SEED={seed}")
    chance = random.Random(seed)
    fitted(seed).save(tmp_path / "churn.json")
    found = receivers(PEERS)
    open_.callback(found.close)
    let_in(found, tmp_path, private_key(), monkeypatch)
    told = targets(found)
    assert {each["type"] for each in told} == {*built_in()}
    mock_broker.create_topic(TOPIC, PARTITIONS)
    daemon = Driftd(tmp_path, config(mock_broker.bootstrap, told))

    play(daemon, Traffic(mock_broker.bootstrap, chance), found, drawn(chance, found.names, KILLS), chance, PACE)
    daemon.wait_for(lambda: last_window(daemon) == LAST, seconds=PATIENCE)
    daemon.wait_for(lambda: daemon.metric("driftd_outbox_pending") == 0, seconds=PATIENCE)
    daemon.wait_told()
    wait_for_ends(found)
    assert daemon.stop() == 0

    assert {name: len(each.runs) for name, each in found.trainers.items()} == dict.fromkeys(found.trainers, 1)
    for name in ("webhook", "argo_events"):
        receiver = found.pagers[name]
        assert isinstance(receiver, ById)
        assert (receiver.pages, receiver.deliveries >= 2) == (["started"], True)
    lineage = found.pagers["openlineage"]
    assert isinstance(lineage, Lineage)
    ((event,),) = lineage.by_key.values()
    assert (event.startswith("START "), lineage.deliveries >= 2) == (True, True)
    for name in ("pagerduty", "opsgenie", *(each for each in found.pagers if each.startswith("alertmanager"))):
        assert sorted(found.pagers[name].by_key.values()) == [OF_THE_RULE, OF_THE_DAY], name
    for name in ("slack", "teams"):
        messages = found.pagers[name].pages
        assert len(set(messages)) == 5, name  # a channel knows no ids: what was lost on the way stands there twice
        assert len(messages) >= 10
    mails = [message_from_bytes(each.content) for each in found.mail.mails]
    assert len({each["Message-ID"] for each in mails}) == 5
    assert len({each["References"] for each in mails}) == 2
    assert lost_answers(found) == {}


def last_window(daemon: Driftd) -> int:
    found = daemon.get("/api/v1/windows?limit=1")
    return int(datetime.fromisoformat(found[0]["end"]).timestamp()) if found else 0


def wait_for_ends(found: Receivers) -> None:
    """A peer of which an answer was lost is left alone for a minute, and hears of the end after that."""
    peers = [each for each in found.pagers.values() if isinstance(each, Alertmanager)]
    deadline = time.monotonic() + PATIENCE
    while any(each.ends for each in peers) and time.monotonic() < deadline:
        for each in peers:
            each.look()
        time.sleep(0.1)


def lost_answers(found: Receivers) -> dict[str, int]:
    """Of receivers that have not lost an answer yet."""
    left = {name: each.lose for name, each in found.trainers.items()}
    return {name: count for name, count in left.items() if count}

"""The commands of README and of the task pages, typed in order against a broker and a daemon: they do what the pages say."""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.charted import seeded
from tests.documents import Shell, blocks, is_like
from tests.integration.daemon import ROOT
from tests.parts.mock import MockBroker
from tests.parts.ports import free_ports

SET_UP, FLIGHTS = "docs/set-up.md", "docs/flights.md"
PAGES = (
    "README.md",
    SET_UP,
    *(f"docs/{name}.md" for name in ("read-an-alert", "accept-a-change", "tune", "operate", "contract", "performance")),
    FLIGHTS,
)
TYPED = {page: [one for one in blocks(ROOT / page, page) if one.is_typed or one.remark] for page in PAGES}
LEFT_BY_A_WALK = shutil.ignore_patterns(
    "state", "token", "webhook.secret", "*.json", "*.contract.yaml", "*.txt", "*.log", "__pycache__"
)
AT_MOST_NOT_RUN = 7  # of systemd, containers, and hosts that are not here


class Desk:
    """A clone, a terminal and a broker. Where a page says the usual ports, free ones are taken."""

    def __init__(self, home: Path, broker: MockBroker) -> None:
        http, receiver = free_ports(2)
        self._places = {"9464": str(http), "9500": str(receiver), "127.0.0.1:9092": broker.bootstrap}
        self.clone = home / "driftd"
        shutil.copytree(ROOT / "examples", self.clone / "examples", ignore=LEFT_BY_A_WALK)
        for path in [*self.clone.rglob("*.yaml"), *self.clone.rglob("*.py")]:
            path.write_text(self.here(path.read_text(encoding="utf-8")), encoding="utf-8")
        notes = home / "notes"
        notes.mkdir()
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.shell = Shell(self.clone, notes, {"PATH": path, "PYTHONPATH": str(ROOT)})

    def here(self, text: str) -> str:
        for usual, free in self._places.items():
            text = text.replace(usual, free)
        return text

    def go_through(self, page: str) -> None:
        if page in {SET_UP, FLIGHTS}:  # they begin in the clone's folder; the pages after them go on where they end
            self.shell.run(f"cd {self.clone}")
        for block in TYPED[page]:
            if block.remark == "file":
                (self.shell.directory / str(block.about)).write_text(self.here(block.text), encoding="utf-8")
            elif block.is_run:
                for step in block.steps:
                    code, output = self.shell.run(self.here(step.command))
                    at = f"{page}:{block.line}: {step.command}"
                    assert code == 0, f"{at}\nended with {code}:\n{output}"
                    assert step.said is None or is_like(self.here(step.said), output), f"{at}\nsaid:\n{output}"


def events() -> Iterator[dict[str, Any]]:
    """Two weeks of events of the shape that the README shows, one in five minutes."""
    rng, now = seeded(), time.time_ns() // 10**6
    for number in range(4000):
        features = {"age": round(rng.gamma(8, 5), 1), "plan": str(rng.choice(["free", "pro", "team"]))}
        yield {
            "id": f"r-{number}",
            "ts": now - 300_000 * (4000 - number),
            "model": "churn",
            "version": "3",
            "features": features,
            "prediction": round(rng.beta(2, 5), 3),
        }


@pytest.fixture
def desk(tmp_path: Path, mock_broker: MockBroker) -> Iterator[Desk]:
    mock_broker.create_topic("car-loan", 3)
    mock_broker.create_topic("predictions")
    producer = Producer({"bootstrap.servers": mock_broker.bootstrap, "log_level": 0})
    for event in events():
        producer.produce("predictions", json.dumps(event))
    assert producer.flush(30) == 0
    here = Desk(tmp_path, mock_broker)
    yield here
    here.shell.end()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not all(map(shutil.which, ("bash", "curl", "openssl"))), reason="the pages use bash, curl, openssl")
def test_what_the_pages_say_to_type_does_what_they_say(desk: Desk) -> None:
    """One story from page to page, in the order of the table of the README."""
    for page in PAGES:
        desk.go_through(page)


@pytest.mark.parametrize(
    ("said", "output", "like"),
    [
        ("ready\n", "ready", True),
        ("ready\n", "not ready", False),
        ("… 1 alert, … days\n", "churn: 1 alert, 3 days\n", True),
        ("… 1 alert, … days\n", "churn: 1 alert,\n3 days\n", False),
        ("first\n…\nlast\n", "first\na\nb\nlast\n", True),
        ("first\n…\nlast\n", "first\nlast\n", True),
        ("first\n…\nlast\n", "first\nlast\nmore\n", False),
    ],
)
def test_a_page_shows_what_was_said_but_for_what_differs_each_time(said: str, output: str, like: bool) -> None:
    assert is_like(said, output) == like


def test_few_commands_are_not_run_and_each_says_why() -> None:
    left_out = [one for page in PAGES for one in TYPED[page] if one.is_typed and not one.is_run]

    assert len(left_out) <= AT_MOST_NOT_RUN
    assert sum(len(TYPED[page]) for page in PAGES) > 2 * len(left_out)


@pytest.mark.parametrize("page", PAGES)
def test_each_page_has_commands_that_are_run(page: str) -> None:
    assert any(one.is_run for one in TYPED[page])

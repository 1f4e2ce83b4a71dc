"""A target is one file: in this package, or in a package of somebody else that says so in its entry points."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from detectors import Reference
from monitor.app import build_board
from monitor.commands.check import check
from monitor.configuration import Configuration, load
from monitor.facts import DeliveryTried
from monitor.runtime.telemetry import Telemetry
from monitor.settings import ConfigError, load_settings, masked
from monitor.store.sqlite import StateStore
from monitor.targets import registry
from monitor.targets.notifier import Notifier
from monitor.targets.payloads import FIRING, Sender, notices
from monitor.targets.transport import Transport
from monitor.targets.webhook import WebhookSettings
from tests.fakes import NOON, ManualClock, Receiver
from tests.monitor.targets.test_payloads import CHANGED

CANARY = "canary7f3a"
TRAINING = ["airflow", "argo_events", "argo_workflows", "dagster", "github", "kubeflow"]
TRAINING += ["mlflow", "openlineage", "prefect", "sagemaker", "vertex"]
PAGING = ["alertmanager", "email", "opsgenie", "pagerduty", "slack", "teams"]
OURS = sorted([*TRAINING, *PAGING, "webhook"])
TYPES = ", ".join(sorted([*OURS, "broken", "tickets"]))
TRAINER = {"name": "trainer", "url": "https://trainer.invalid", "secret_env": "S"}
SECRETS = {"S": "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"}

DOCUMENT = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text(encoding="utf-8")
(TICKETS,) = re.findall(
    r"^```python\n(.*?)^```$", DOCUMENT, flags=re.DOTALL | re.MULTILINE
)  # what people are told to write


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    Reference.fit({"age": [float(n) for n in range(100)]}).save(tmp_path / "r.json")
    monkeypatch.setenv("S", SECRETS["S"])
    return tmp_path


@pytest.fixture
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package as pip leaves it: its code, its name and its entry points."""
    site = tmp_path / "site-packages"
    about = site / "ticket_target-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "ticket_target.py").write_text(TICKETS)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: driftd-tickets\nVersion: 1.0\n")
    points = """
        [driftd.targets]
        tickets = ticket_target:TicketSettings
        broken = ticket_target:Nothing
        wrong = ticket_target:Tickets
        """
    (about / "entry_points.txt").write_text(dedent(points))
    monkeypatch.syspath_prepend(str(site))


def configured(home: Path, *targets: Any, **changes: Any) -> Configuration:
    settings = {
        "topics": [{"name": "predictions"}],
        "models": [{"name": "churn", "version": "3", "reference": "r.json"}],
        "targets": list(targets),
        "state": str(home / "state"),
    }
    (home / "driftd.yaml").write_text(yaml.safe_dump({**settings, **changes}))
    return load(load_settings(home / "driftd.yaml"), home, SECRETS)


def refusal(home: Path, *targets: Any, **changes: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        configured(home, *targets, **changes)
    return str(refused.value).replace(f"{home / 'driftd.yaml'}: ", "")


def tickets(url: str = "https://tickets.invalid", **changes: Any) -> dict[str, Any]:
    return {"name": "board", "type": "tickets", "url": url, "token": f"t-{CANARY}", "types": ["*"], **changes}


# --- a package of somebody else ---------------------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.mark.usefixtures("_installed")
def test_a_notice_reaches_a_target_that_another_package_brings(home: Path, receiver: Receiver) -> None:
    """From the configuration through outbox and notifier to its receiver, and into the metrics."""
    configuration = configured(home, tickets(receiver.url))
    telemetry = Telemetry(build_board(configuration), lambda: NOON)
    store, clock = StateStore(home / "state"), ManualClock()
    facts: list[DeliveryTried] = []
    notifier = Notifier(configuration.targets[0], store, clock, facts.append)
    receiver.answers = [503, 201]
    store.save([], {}, notices([CHANGED], configuration.targets, Sender("hash", "1")), NOON)

    with Transport(clock) as io:
        assert notifier.turn(io)
        clock.advance(2)
        assert notifier.turn(io)
    telemetry.record(facts)

    request = receiver.requests[1]
    assert request.body.decode() == "churn/3 drifts since 2026-11-23 11:55: age psi 0.41 > 0.25, plan chi2 3 > 2"
    assert request.headers["authorization"] == f"Bearer t-{CANARY}"
    assert [(fact.target, fact.type, fact.outcome, fact.status) for fact in facts] == [
        ("board", "tickets", "retried", 503),
        ("board", "tickets", "delivered", 201),
    ]
    counted = telemetry.look(lambda board: board.counters["driftd_target_deliveries_total"])
    assert counted == {
        ("board", "delivered"): 1,
        ("board", "present"): 0,
        ("board", "refused"): 0,
        ("board", "retried"): 1,
        ("board", "dead"): 0,
    }
    assert store.backlog() == {}
    store.close()


@pytest.mark.usefixtures("_installed")
def test_check_lists_it_and_shows_no_secret(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configured(home, tickets("http://tickets.invalid/?key=" + CANARY), TRAINER | {"type": "webhook"})

    assert check(home / "driftd.yaml", offline=True) == 0

    said = capsys.readouterr().out
    effective = yaml.safe_load(said.partition("effective configuration:\n")[2].rpartition("\nok")[0])
    assert effective["targets"] == [
        {
            "name": "board",
            "type": "tickets",
            "types": ["*"],
            "models": ["*"],
            "kinds": ["*"],
            "severities": ["*"],
            "url": "http://tickets.invalid/?********",
            "token": "********",
        },
        {
            "name": "trainer",
            "type": "webhook",
            "types": ["model.retrain.requested"],
            "models": ["*"],
            "kinds": ["*"],
            "severities": ["*"],
            "url": "https://trainer.invalid",
            "secret_file": None,
            "secret_env": "S",
            "timeout": "15s",
            "ca_file": None,
        },
    ]
    assert "type: tickets\n" in said
    assert "warning: targets.board: plain http, anyone on the way can read it\n" in said
    assert CANARY not in said


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (tickets(type="ticket"), f"targets[0]: type: 'ticket' is no type of target; there is {TYPES}"),
        (
            {"name": "board"},
            f"targets[0]: type is missing; there is {TYPES}",
        ),
        (
            tickets(tokn=CANARY),
            "targets[0]: tokn is no key of type tickets; valid here: kinds, models, name, severities, token, type, types, url",
        ),
        ({"name": "board", "type": "tickets", "token": CANARY}, "targets[0].url is missing"),
        (tickets(token=[CANARY]), "targets[0].token: must be a text, not a list"),
        (tickets(types=[]), "targets[0].types: must not be empty"),
        (tickets(token=CANARY), "targets.board.token: must begin with t-"),
        ("tickets", "targets[0]: must be a mapping of keys"),
        (tickets(type="broken"), "targets[0]: type: 'broken' cannot be loaded from ticket_target:Nothing: "),
        (tickets(type="wrong"), "targets[0]: type: 'wrong': ticket_target:Tickets is no class of target settings"),
        (tickets(type=["tickets"]), "targets[0]: type: ['tickets'] is no type of target; there is "),
    ],
)
def test_what_cannot_be_is_one_line_that_says_what_can(home: Path, entry: Any, said: str) -> None:
    found = refusal(home, entry)

    assert found.startswith(said)
    assert len(found.splitlines()) == 1
    assert CANARY not in found


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "raise RuntimeError('a\\nb')",
            "targets[0]: type: 'tickets' cannot be loaded from ticket_target:TicketSettings: Runt",
        ),
        ("def (", "targets[0]: type: 'tickets' cannot be loaded from ticket_target:TicketSettings: SyntaxError: "),
        (f"TicketSettings.build = lambda *_: {{}}['{CANARY}']", "targets.board: type tickets fails: KeyError"),
        (f"TicketSettings.urls = lambda *_: {{}}['{CANARY}']", "targets.board: type tickets fails: KeyError"),
        (
            "TicketSettings.build = lambda *_: None",
            "targets.board: type tickets builds no target of this name: NoneType",
        ),
    ],
)
@pytest.mark.usefixtures("_installed")
def test_a_package_that_is_broken_is_one_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, line: str, said: str
) -> None:
    (home / "site-packages" / "ticket_target.py").write_text(f"{TICKETS}\n{line}\n")
    monkeypatch.delitem(sys.modules, "ticket_target", raising=False)

    found = refusal(home, tickets())

    assert found.startswith(said)
    assert len(found.splitlines()) == 1
    assert CANARY not in found
    sys.modules.pop("ticket_target", None)


# --- this package -----------------------------------------------------------------------------------------------------


def test_there_is_what_lies_in_this_package() -> None:
    assert registry.built_in()["webhook"] is WebhookSettings
    assert sorted(registry.built_in()) == OURS


@pytest.mark.usefixtures("_installed")
def test_a_file_in_this_package_is_a_type(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if one were added: nothing else is touched."""
    (home / "more").mkdir()
    (home / "more" / "slips.py").write_text(TICKETS)
    monkeypatch.setattr("monitor.targets.__path__", [*registry.targets.__path__, str(home / "more")])

    (target,) = configured(home, tickets(type="slips")).targets

    assert (target.name, target.type, target.wants(FIRING)) == ("board", "slips", True)


def test_a_webhook_may_stand_under_targets(home: Path) -> None:
    configuration = configured(home, TRAINER | {"name": "second", "type": "webhook"}, webhooks=[TRAINER])

    assert [(target.name, target.type) for target in configuration.targets] == [
        ("trainer", "webhook"),
        ("second", "webhook"),
    ]
    assert "type" not in masked(configuration.settings)["webhooks"][0]


def test_no_name_stands_twice(home: Path) -> None:
    target = TRAINER | {"type": "webhook"}

    assert refusal(home, target, webhooks=[TRAINER]) == "targets and webhooks: 'trainer' is there twice"
    assert refusal(home, target, target) == "targets and webhooks: 'trainer' is there twice"


def test_only_webhooks_stand_under_webhooks(home: Path) -> None:
    assert refusal(home, webhooks=[TRAINER | {"type": "tickets"}]).startswith("webhooks[0].type: must be 'webhook'")


def test_the_secret_of_a_target_is_told_as_that_of_a_webhook(home: Path) -> None:
    missing = TRAINER | {"type": "webhook", "secret_env": "DRIFTD_WEBHOOK_SECRET"}

    assert refusal(home, missing) == "targets.trainer.secret_env: DRIFTD_WEBHOOK_SECRET is not set"

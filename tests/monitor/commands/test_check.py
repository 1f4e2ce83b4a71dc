"""`driftd check`: what would not run is an error, what may not be meant a warning, and estimates come true."""

import base64
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from detectors import Reference
from detectors.reference.service import ServedColumns
from monitor.app import COMPILED
from monitor.cli import main
from monitor.commands import memory
from monitor.commands.cautions import warnings
from monitor.commands.check import estimate
from monitor.configuration import load
from monitor.pipeline import Pipeline
from monitor.series.series import SeriesSpec
from monitor.settings import load_settings
from monitor.stream.events import SECOND
from tests import grouped
from tests.apis.prefect import Prefect
from tests.charted import fitted, seeded
from tests.parts.ports import free_ports

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker

Output = pytest.CaptureFixture[str]

CANARY = "Y2FuYXJ5LTdmM2E"
SECRET = "whsec_" + base64.b64encode(CANARY.encode() + b"-of-thirty-two-bytes").decode()
RULE = {"name": "psi-high", "detector": "psi", "fire_above": 0.25, "severity": "critical"}
FILLED = Path(__file__).parents[2] / "parts/filled.py"
BATCHES = "its rows come in 30 batches, one every day: about 52 of them are needed, which take 52 days"
QUIET: dict[str, Any] = {"false_alarms_per_month": None, "rules": [RULE]}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("DRIFTD_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TRAINER", SECRET)
    monkeypatch.setattr("monitor.commands.connections.PATIENCE", 0.5)
    for part in COMPILED:
        monkeypatch.setitem(COMPILED, part, True)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    Reference.fit({"age": np.arange(1000.0), "plan": ["pro", "free"] * 500}).save(tmp_path / "r.json")
    return tmp_path / "driftd.yaml"


def write(config: Path, **changes: Any) -> Path:
    settings = {
        "kafka": {"bootstrap_servers": "127.0.0.1:1"},
        "topics": [{"name": "predictions"}],
        "models": [{"name": "churn", "version": "3", "reference": "r.json"}],
        "alerting": QUIET,
        "state": "state",
        "http": {"port": free_ports(1)[0]},
    }
    config.write_text(yaml.safe_dump({**settings, **changes}))
    return config


def check(output: Output, config: Path, *options: str) -> tuple[int, str, list[str]]:
    """Exit code, standard output, and the lines of standard error."""
    code = main(["check", "--config", str(config), *options])
    said = output.readouterr()
    return code, said.out, [line.removeprefix("driftd: ") for line in said.err.splitlines()]


def test_offline_says_what_a_configuration_means_and_connects_to_nothing(config: Path, capsys: Output) -> None:
    code, said, problems = check(capsys, write(config), "--offline")

    assert (code, problems) == (0, [])
    assert "churn version 3: 1 numeric and 1 categorical features, reference " in said
    assert "of 1,000 rows, windows of 5m, rules: psi-high\n" in said
    assert said.endswith("\nok (nothing was connected to)\n")
    effective = yaml.safe_load(said.partition("effective configuration:\n")[2].rpartition("\nok")[0])
    assert effective["models"][0]["min_rows"] == 200
    assert not (config.parent / "state").exists()


def test_a_secret_is_in_nothing_that_is_printed(config: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:1/{'hook'}/{CANARY}/x?token={CANARY}"
    webhook = {"name": "trainer", "url": url, "secret_env": "TRAINER"}
    kafka = {"bootstrap_servers": "127.0.0.1:1", "properties": {"sasl.password": CANARY, "sasl.username": "me"}}

    printed = [check(capsys, write(config, webhooks=[webhook], kafka=kafka), *option) for option in ([], ["--offline"])]
    monkeypatch.setenv("TRAINER", f"{CANARY} no secret")
    printed.append(check(capsys, config, "--offline"))

    assert [code for code, *_ in printed] == [2, 0, 2]
    assert CANARY not in str(printed)
    assert SECRET not in str(printed)


def warned(config: Path, **changes: Any) -> list[str]:
    settings = load_settings(write(config, **changes))
    return list(warnings(load(settings, config.parent)))


def test_a_configuration_that_is_all_used_gives_no_warning(config: Path) -> None:
    assert warned(config) == []


def test_a_budget_and_importance_are_used_and_need_no_rule(config: Path) -> None:
    models = [{"name": "churn", "reference": "r.json", "features": {"age": {"importance": 2}}}]
    webhooks = [{"name": "trainer", "url": "https://127.0.0.1:1/", "secret_env": "TRAINER"}]

    assert warned(config, alerting={"false_alarms_per_month": 1}, models=models, webhooks=webhooks) == []


OF_FIRING = {
    "name": "pager",
    "type": "webhook",
    "url": "https://x/",
    "secret_env": "TRAINER",
    "types": ["model.alert.firing"],
}
BY_MAIL = {"name": "mail", "type": "email", "host": "mail", "from": "driftd@drift.test", "to": ["oncall@ops.test"]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"alerting": {"false_alarms_per_month": None}}, "alerting: there is neither a budget nor a rule"),
        (
            {"alerting": {**QUIET, "rules": [{**RULE, "features": ["agee"]}]}},
            "alerting.rules.psi-high: features: 'agee' matches nothing of churn that psi can judge",
        ),
        (
            {"alerting": {**QUIET, "rules": [{**RULE, "features": ["age", "agee"]}]}},
            "alerting.rules.psi-high: features: 'agee' matches nothing of churn that psi can judge",
        ),
        (
            {"alerting": {**QUIET, "rules": [{**RULE, "detector": "ks", "features": ["plan"]}]}},
            "alerting.rules.psi-high: features: 'plan' matches nothing of churn that ks can judge",
        ),
        (
            {"alerting": {**QUIET, "rules": [{**RULE, "models": ["zzz"]}]}},
            "alerting.rules.psi-high: models: 'zzz' matches none; there is churn",
        ),
        (
            {"webhooks": [{"name": "trainer", "url": "http://127.0.0.1:1/", "secret_env": "TRAINER"}]},
            "webhooks.trainer: plain http, anyone on the way can read it",
        ),
        (
            {"webhooks": [{"name": "trainer", "url": "https://x/", "secret_env": "TRAINER", "models": ["zzz"]}]},
            "webhooks.trainer: models: 'zzz' matches none; there is churn",
        ),
        (
            {"targets": [{**OF_FIRING, "severities": ["critical"]}]},
            "targets.pager: what becomes bad enough later is told as model.alert.escalated, which types leave out",
        ),
        (
            {"targets": [{"name": "am", "type": "alertmanager", "urls": ["https://127.0.0.1:1"]}]},
            "targets.am: incidents are pushed to Alertmanager; where Prometheus sends it driftd's alerts too, have it leave out",
        ),
        (
            {"targets": [{**BY_MAIL, "security": "none"}]},
            "targets.mail: security: none, anyone on the way can read it",
        ),
        (
            {
                "webhooks": [{"name": "trainer", "url": "https://127.0.0.1:1/", "secret_env": "TRAINER"}],
                "alerting": {**QUIET, "rules": [{**RULE, "severity": "warning"}]},
            },
            "webhooks want model.retrain.requested, but no rule is critical",
        ),
    ],
)
def test_what_may_not_be_meant_is_a_warning(config: Path, changes: dict[str, Any], said: str) -> None:
    (warning,) = warned(config, **changes)

    assert warning.startswith(said)


def test_what_cannot_be_loaded_is_an_error_for_each(
    config: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRAINER")
    webhook = {"name": "trainer", "url": "https://127.0.0.1:1/", "secret_env": "TRAINER"}
    write(config, webhooks=[webhook], models=[{"name": "churn", "reference": "nope.json"}])

    assert check(capsys, config, "--offline") == (
        2,
        "",
        [
            f"{config}: models[0].reference: {config.parent / 'nope.json'} does not exist; make it with `driftd reference fit`",
            f"{config}: webhooks.trainer.secret_env: TRAINER is not set",
        ],
    )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://169.254.169.254/latest", "which is never connected to"),
        ("https://nowhere.invalid/", "nowhere.invalid cannot be resolved: "),
    ],
)
def test_a_webhook_that_can_never_be_reached_is_an_error(config: Path, capsys: Output, url: str, said: str) -> None:
    write(config, webhooks=[{"name": "trainer", "url": url, "secret_env": "TRAINER"}])
    code, _, problems = check(capsys, config)

    assert code == 2
    assert [said in line for line in problems if line.startswith("webhooks.trainer: ")] == [True]


def test_a_broker_that_does_not_answer_is_an_error_with_its_reason(config: Path, capsys: Output) -> None:
    code, said, problems = check(capsys, write(config))

    assert code == 2
    assert "effective configuration:" in said
    (problem,) = problems
    assert problem.startswith("kafka.bootstrap_servers: 127.0.0.1:1 does not answer: ")
    assert "Connection refused" in problem


def test_a_property_that_the_client_does_not_know_is_an_error(config: Path, capsys: Output) -> None:
    write(config, kafka={"bootstrap_servers": "127.0.0.1:1", "properties": {"ssl.cavern": CANARY}})
    code, _, problems = check(capsys, config)

    assert code == 2
    assert problems == ['kafka.properties: No such configuration property: "ssl.cavern"']


def test_topics_are_looked_up(config: Path, capsys: Output, mock_broker: "MockBroker") -> None:
    mock_broker.create_topic("predictions", 3)
    write(config, kafka={"bootstrap_servers": mock_broker.bootstrap})
    code, said, problems = check(capsys, config)

    assert (code, problems) == (0, [])
    assert "topic predictions: 3 partitions\n" in said
    assert said.endswith("\nok\n")


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_that_is_taken_and_a_state_that_is_a_file_are_errors(
    config: Path, capsys: Output, listener: int
) -> None:
    write(config, http={"port": listener}, state="r.json/state")
    code, _, problems = check(capsys, config)

    assert code == 2
    assert problems[1:] == [
        f"state: {config.parent / 'r.json/state'} cannot be used: {config.parent / 'r.json'} is no directory",
        f"http: 127.0.0.1:{listener} cannot be bound: Address already in use; is driftd running already?",
    ]


def specs_of(config: Path, **model: Any) -> tuple[SeriesSpec, ...]:
    models = [{"name": "m", "reference": "r.json", **model}]
    return load(load_settings(write(config, models=models)), config.parent).specs


def test_panes_are_counted_by_window_slide_and_lateness(config: Path) -> None:
    (tumbling,) = specs_of(config, window="5m", lateness="0s")
    (sliding,) = specs_of(config, window="1h", slide="1m", lateness="90s")
    cells = tumbling.reference.layout.size

    assert memory.open_panes(tumbling.windows) == 2
    assert memory.panes([tumbling]) == cells * 2 * 4
    assert memory.open_panes(sliding.windows) == 63
    assert memory.panes([sliding]) == cells * (2 * 4 + 61 * 2 + 2)
    assert memory.panes([tumbling], grouped=True) == memory.panes([tumbling]) + 2 * 4096
    assert memory.panes([sliding], grouped=True) == memory.panes([sliding]) + 3 * 4096 + 61 * 1024
    assert memory.panes([tumbling], served=True) == memory.panes([tumbling]) + 2 * 2064
    assert memory.panes([sliding], served=True) == memory.panes([sliding]) + 3 * 2064 + 61 * 516


@pytest.mark.parametrize("kind", ["predictions", "labels"])
def test_groups_are_counted_where_events_have_them(config: Path, kind: str) -> None:
    """A pane of labels holds none."""
    topics = [{"name": "predictions"}, {"name": "more", "kind": kind}]
    models = [{"name": "m", "reference": "r.json", "slide": "1m", "labels": {} if kind == "labels" else None}]
    found = []
    for fields in ({}, {"group": "session"}):
        topics[1]["fields"] = fields
        found.append(estimate(load(load_settings(write(config, topics=topics, models=models)), config.parent)))

    one, other = found
    assert (other.panes_bytes > one.panes_bytes) == (kind == "predictions")
    assert other.memory_bytes - one.memory_bytes == other.panes_bytes - one.panes_bytes
    assert (other.panes_ahead_bytes > one.panes_ahead_bytes) == (kind == "predictions")


def test_panes_that_run_ahead_are_as_many_as_the_pipeline_lets_be_read(config: Path) -> None:
    specs = specs_of(config, window="5m", slide="1m", lateness="0s")
    most = Pipeline(specs, 30 * SECOND, 600 * SECOND).most_ahead

    assert most == 1200 * SECOND
    assert (
        memory.panes_ahead(specs, 30 * SECOND, 600 * SECOND) == specs[0].reference.layout.size * 20 * memory.KEPT_BYTES
    )


def test_a_reference_that_models_share_is_counted_once(config: Path) -> None:
    models = [{"name": name, "reference": "r.json"} for name in ("one", "two")]
    both = load(load_settings(write(config, models=models)), config.parent).specs

    assert memory.references(both) == memory.references(both[:1]) > 0


def test_estimates_are_printed(config: Path, capsys: Output) -> None:
    _, said, _ = check(capsys, write(config), "--offline")

    assert re.search(
        r"^memory: about \d+ MB, of which \d+ MB are references and \d+ MB panes\n"
        r"memory while catching up: up to \d+ MB more, of which at most \d+ MB are panes",
        said,
        re.MULTILINE,
    )
    assert re.search(r"^metrics: about \d+ series$", said, re.MULTILINE)


# --- for programs -----------------------------------------------------------------------------------------------------


def told(output: Output, config: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the document, and standard error."""
    code = main(["check", "--config", str(config), "--json", *options])
    said = output.readouterr()
    return code, json.loads(said.out), said.err


def test_everything_is_said_as_json_with_secrets_masked(config: Path, capsys: Output) -> None:
    webhook = {"name": "trainer", "url": f"http://127.0.0.1:1/?token={CANARY}", "secret_env": "TRAINER"}
    rule = {**RULE, "features": ["agee"]}
    alerting = {"false_alarms_per_month": 1, "rules": [rule]}
    code, said, problems = told(capsys, write(config, webhooks=[webhook], alerting=alerting), "--offline")

    assert (code, problems) == (0, "")
    assert (said["ok"], said["connected"], said["problems"], said["topics"]) == (True, False, [], [])
    assert said["warnings"] == [
        "alerting.rules.psi-high: features: 'agee' matches nothing of churn that psi can judge",
        "webhooks.trainer: plain http, anyone on the way can read it",
    ]
    assert CANARY not in str(said)
    assert said["configuration"]["models"][0]["min_rows"] == 200
    [model] = said["models"]
    assert model.items() >= {"model": "churn", "version": "3", "window": "5m", "slide": "5m"}.items()
    assert model["features"] == {"numeric": 1, "categorical": 1}
    assert model["calibration"] == "cold"
    assert (model["budget"]["false_alarms_per_month"], model["budget"]["charts"]) == (1, None)
    assert (model["rules"][0]["rule"], model["rules"][0]["severity"]) == ("psi-high", "critical")
    assert said["estimate"]["time_series"] > 100


def test_what_a_budget_comes_to_is_said_as_json(calibrated: Path, capsys: Output) -> None:
    _, said, _ = told(capsys, write(calibrated, alerting={"false_alarms_per_month": 2}), "--offline")
    budget = said["models"][0]["budget"]

    assert budget["subgroup"] == "5m"
    assert budget["charts"] > 0
    assert budget["threshold"] > 1
    assert budget["detectable_shift"].items() >= {"within": "1d", "features": 1, "worst_feature": "age"}.items()


def test_problems_are_said_as_json_too_and_the_exit_code_stays(config: Path, capsys: Output) -> None:
    code, said, problems = told(capsys, write(config))
    broken = told(capsys, write(config, models=[{"name": "churn", "reference": "nope.json"}]))

    assert (code, said["ok"], said["connected"]) == (2, False, True)
    assert said["problems"] == [line.removeprefix("driftd: ") for line in problems.splitlines()]
    assert said["problems"][0].startswith("kafka.bootstrap_servers: 127.0.0.1:1 does not answer: ")
    assert (broken[0], broken[1]["ok"], broken[1]["models"]) == (2, False, [])
    assert "nope.json does not exist" in broken[1]["problems"][0]
    assert broken[1].keys() == said.keys()


def test_every_key_of_the_json_is_documented(calibrated: Path, capsys: Output) -> None:
    documented = (Path(__file__).parents[3] / "docs/command-line.md").read_text(encoding="utf-8")
    _, said, _ = told(capsys, write(calibrated, alerting={"false_alarms_per_month": 1, "rules": [RULE]}), "--offline")
    [model] = said["models"]
    budget = model["budget"]
    keys = [*said, *(f"models[].{key}" for key in model), *budget, *budget["detectable_shift"], *model["rules"][0]]

    nested = ("models", "models[].reference", "models[].features", "topics")  # said key by key
    missing = [key for key in keys if key not in nested and not re.search(rf"`{re.escape(key)}(\[\])?`", documented)]
    assert missing == []


def test_topics_are_said_as_json(config: Path, capsys: Output, mock_broker: "MockBroker") -> None:
    mock_broker.create_topic("predictions", 3)
    kafka = {"bootstrap_servers": mock_broker.bootstrap}
    write(config, kafka=kafka, topics=[{"name": "predictions"}, {"name": "later"}])
    code, said, _ = told(capsys, config)

    assert code == 0
    found, later = said["topics"]
    assert (found["topic"], found["partitions"], found["sample"]["read"]) == ("predictions", 3, 0)
    assert later == {"topic": "later", "partitions": None, "sample": None}
    assert said["warnings"] == ["topic later does not exist yet; it will be waited for"]


# --- what the mapping makes of a few messages --------------------------------------------------------------------------


def produced(broker: "MockBroker", *values: bytes) -> dict[str, str]:
    from confluent_kafka import Producer

    broker.create_topic("predictions", 2)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    for at, value in enumerate(values):
        producer.produce("predictions", value, partition=at % 2)
    assert producer.flush(30) == 0
    return {"bootstrap_servers": broker.bootstrap}


def message(**features: Any) -> bytes:
    return json.dumps({"ts": 1_763_870_700_000, "model": "churn", "version": "3", "features": features}).encode()


def test_a_few_messages_say_what_the_mapping_takes(config: Path, capsys: Output, mock_broker: "MockBroker") -> None:
    good = [message(age=at, plan="pro", zip=1) for at in range(20)]
    code, said, problems = check(capsys, write(config, kafka=produced(mock_broker, *good, b"x", message(age=1))))

    assert (code, problems) == (0, [])
    assert (
        "topic predictions: of 22 messages read, 22 rows: 21 ok (churn version 3 21), 1 rejected (malformed_json 1), "
        "0 unmonitored; without a value: plan 1; unknown, ignored: zip 20\n"
    ) in said


def test_a_path_that_somebody_set_and_no_message_has_is_a_warning(
    config: Path, capsys: Output, mock_broker: "MockBroker"
) -> None:
    """Of a topic of one model all events are taken, whatever model they name where nobody looks."""
    fields = {"model": "info.modelNam", "version": "version", "id": "request"}
    topics = [{"name": "predictions", "fields": fields}]
    messages = [message(age=at, plan="pro") for at in range(20)]
    code, said, problems = check(capsys, write(config, topics=topics, kafka=produced(mock_broker, *messages)))

    assert (code, problems) == (0, [])
    assert [line for line in said.splitlines() if "none of 20" in line] == [
        "warning: topics.predictions.fields.model: none of 20 messages has info.modelNam",
        "warning: topics.predictions.fields.id: none of 20 messages has request",
    ]


@pytest.mark.parametrize(
    ("session", "said"),
    [
        (lambda at: {"id": at}, "none of 40 rows has a text or a number at session, which alone is read as group"),
        (lambda at: [at], "none of 40 rows has a text or a number at session, which alone is read as group"),
        (
            lambda at: at if at < 12 else None,
            "12 of 40 rows have session; the others are taken to be of groups like these",
        ),
        (lambda at: at if at < 3 else None, "3 of 40 rows have session; a window of so few counts as a usual one"),
        (
            lambda at: at if at < 12 else "",
            "12 of 40 rows have session; the others are taken to be of groups like these",
        ),
        (lambda _: "unknown", "all 40 rows have the same session: rows of one group weigh as one row"),
        (lambda at: f"s{at // 20}", None),
        (lambda at: at if at < 37 else None, None),
    ],
    ids=["objects", "lists", "few", "too few", "empty", "one", "two", "most"],
)
def test_what_stands_at_the_path_of_a_group_is_looked_at(
    config: Path, capsys: Output, mock_broker: "MockBroker", session: Callable[[int], Any], said: str | None
) -> None:
    topics = [{"name": "predictions", "fields": {"group": "session"}}]
    rows = [json.loads(message(age=at, plan="pro")) | {"session": session(at)} for at in range(40)]
    kafka = produced(mock_broker, *(json.dumps(row).encode() for row in rows))
    code, found, problems = check(capsys, write(config, topics=topics, kafka=kafka))

    assert (code, problems) == (0, [])
    lines = [line for line in found.splitlines() if "fields.group" in line]
    assert lines == ([] if said is None else [f"warning: topics.predictions.fields.group: {said}"])


def test_ids_that_few_messages_have_are_a_warning(config: Path, capsys: Output, mock_broker: "MockBroker") -> None:
    topics = [{"name": "predictions", "fields": {"id": "request"}}]
    rows = [json.loads(message(age=at, plan="pro")) | {"request": at if at < 5 else {}} for at in range(20)]
    kafka = produced(mock_broker, *(json.dumps(row).encode() for row in rows))
    _, found, _ = check(capsys, write(config, topics=topics, kafka=kafka))

    assert [line for line in found.splitlines() if "fields.id" in line] == [
        "warning: topics.predictions.fields.id: 5 of 20 rows have request; of the others no repeats are seen"
    ]


def test_a_reference_of_other_columns_is_named(config: Path, capsys: Output, mock_broker: "MockBroker") -> None:
    messages = [message(years=at, plan="pro") for at in range(20)]
    code, _, problems = check(capsys, write(config, kafka=produced(mock_broker, *messages)))

    assert code == 2
    assert problems == [
        (
            "topics.predictions: none of 20 messages of churn/3 has age: 1 of the reference's 2 features; "
            "they hold years, which it does not know"
        )
    ]


def test_a_feature_that_is_mostly_missing_anyway_may_be_missing(
    config: Path, capsys: Output, mock_broker: "MockBroker"
) -> None:
    """The reference has it in one row of a hundred: of twenty messages none need hold it."""
    rare = [1.0 if at % 100 == 0 else None for at in range(1000)]
    columns = {"age": np.arange(1000.0), "plan": ["pro", "free"] * 500, "rare": rare}
    Reference.fit(columns, kinds={"rare": "numeric"}).save(config.parent / "r.json")
    messages = [message(age=at, plan="pro") for at in range(20)]

    code, _, problems = check(capsys, write(config, kafka=produced(mock_broker, *messages)))

    assert (code, problems) == (0, [])


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (
            b"\0\0\0\0\x07\x02\x06abc",
            "0 unmonitored: they are framed by a schema registry (schema 7, Avro or",
        ),
        (b'{"time": 1}', "20 rejected (timestamp_missing 20), 0 unmonitored; `driftd explain` shows why"),
    ],
)
def test_a_mapping_that_takes_nothing_is_named(
    config: Path, capsys: Output, mock_broker: "MockBroker", raw: bytes, said: str
) -> None:
    code, _, problems = check(capsys, write(config, kafka=produced(mock_broker, *[raw] * 20)))

    assert code == 2
    assert problems[0].startswith("topics.predictions: the mapping takes none of 20 messages: ")
    assert said in problems[0]


def test_messages_of_a_new_version_that_is_followed_are_no_wrong_mapping(
    config: Path, capsys: Output, mock_broker: "MockBroker"
) -> None:
    """A day after its release all the newest messages are of it, and the configuration need not name it."""
    newer = [message(age=at, plan="pro").replace(b'"3"', b'"4"') for at in range(20)]
    kafka = produced(mock_broker, *newer)
    model = {"name": "churn", "version": "3", "reference": "r.json"}
    code, _, problems = check(capsys, write(config, kafka=kafka, models=[model]))
    assert (code, len(problems)) == (2, 1)

    followed = model | {"new_versions": {"reference": "learn"}}
    code, said, problems = check(capsys, write(config, kafka=kafka, models=[followed]))

    assert (code, problems) == (0, [])
    assert "20 unmonitored (churn version 4 20); 20 of them of new versions, which `new_versions` follows\n" in said


def test_a_webhook_that_nobody_listens_at_is_named(config: Path, capsys: Output, mock_broker: "MockBroker") -> None:
    (port,) = free_ports(1)
    webhook = {"name": "trainer", "url": f"http://127.0.0.1:{port}/{CANARY}", "secret_env": "TRAINER"}
    code, said, problems = check(capsys, write(config, kafka=produced(mock_broker), webhooks=[webhook]))

    assert (code, problems) == (
        2,
        [f"webhooks.trainer: 127.0.0.1:{port} cannot be connected to: Connection refused"],
    )
    assert CANARY not in said


def test_a_webhook_that_listens_is_sent_nothing(config: Path, capsys: Output, mock_broker: "MockBroker") -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        webhook = {"name": "trainer", "url": url, "secret_env": "TRAINER"}
        code, _, problems = check(capsys, write(config, kafka=produced(mock_broker), webhooks=[webhook]))
        connection, _ = listening.accept()
        with connection:
            assert connection.recv(1) == b""

    assert (code, problems) == (0, [])


def test_a_state_directory_that_takes_no_file_is_named(
    config: Path, capsys: Output, mock_broker: "MockBroker", monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("monitor.commands.connections.TemporaryFile", full)
    code, _, problems = check(capsys, write(config, kafka=produced(mock_broker)))

    assert code == 2
    assert problems[0].endswith(f"{config.parent} is not writable: No space left on device")


# --- what is to be expected of its alerts ------------------------------------------------------------------------------

KS = {"name": "far", "detector": "ks", "features": ["age"], "fire_above": 0.1}


@pytest.fixture
def calibrated(config: Path) -> Path:
    """In place of the plain reference, one that knows its own 300 windows of 100 rows."""
    rng = seeded()
    drawn = (
        fitted(rng, {"age": rng.normal(size=30_000), "plan": rng.choice(["pro", "free"], 30_000)}) for _ in range(20)
    )
    steady = next(one for one in drawn if one.calibration and not one.calibration.drifting)  # by chance a few do
    steady.save(config.parent / "r.json")
    return config


def expectations(output: Output, config: Path, **changes: Any) -> list[str]:
    """What `check` says of the alerts of the only model, and its warnings."""
    code, said, problems = check(output, write(config, **changes), "--offline")
    assert (code, problems) == (0, [])
    return [line for line in said.partition("effective")[0].splitlines() if line.startswith(("  ", "warning: "))]


def test_the_budget_is_explained(calibrated: Path, capsys: Output) -> None:
    models = [{"name": "churn", "reference": "r.json", "min_rows": 50}]
    budget, calibration = expectations(capsys, calibrated, alerting={"false_alarms_per_month": 2}, models=models)

    assert re.fullmatch(
        r"  drift: 2 pages a month; 2 features, \d+ charts on subgroups of 5m, threshold \d\.\d; "
        r"smallest lasting shift found within a day: 0\.\d\d σ",
        budget,
    )
    assert calibration.startswith(
        "  calibration: one profile for all hours from 298 windows of 5m"
    )  # the first and last are cut off


def test_a_shift_is_named_for_a_week_where_a_day_has_few_subgroups(calibrated: Path, capsys: Output) -> None:
    models = [{"name": "churn", "reference": "r.json", "window": "8h"}]
    budget, _ = expectations(capsys, calibrated, alerting={"false_alarms_per_month": 1}, models=models)

    assert "on subgroups of 8h" in budget
    assert "smallest lasting shift found within a week: 0." in budget


def test_a_cold_reference_keeps_no_budget_and_check_says_what_mends_it(config: Path, capsys: Output) -> None:
    budget, why, learning = expectations(capsys, config, alerting={"false_alarms_per_month": 1})

    assert budget.startswith("  drift: no budget can be kept, for the reference is cold: only large changes page")
    assert budget.endswith("`driftd reference fit --timestamp COL --window 5m …` mends that")
    assert why == "  calibration: cold, effect sizes only: no --timestamp"
    assert learning == ("  learning: after 14d of live traffic without an alert charts decide, calibrated by it")


def test_long_windows_need_longer_than_they_are_asked_to_learn(config: Path, capsys: Output) -> None:
    models = [{"name": "churn", "reference": "r.json", "window": "1d", "learn_for": "14d"}]
    *_, learning = expectations(capsys, config, alerting={"false_alarms_per_month": 1}, models=models)

    assert learning.endswith("; not before 50 whole windows of 1d, 52 days")


def test_a_reference_that_shall_not_learn_says_nothing_of_it(config: Path, capsys: Output) -> None:
    models = [{"name": "churn", "reference": "r.json", "learn_for": "0s"}]

    assert not any(
        line.startswith("  learning:")
        for line in expectations(capsys, config, alerting={"false_alarms_per_month": 1}, models=models)
    )


HOUR, MINUTES = 3600 * SECOND, 60 * SECOND
EVEN: dict[str, Any] = {"timestamps": np.arange(2000) * 5 * SECOND}  # 166 minutes of 12 rows each
BURSTS: dict[str, Any] = {"timestamps": np.arange(30).repeat(100) * 24 * HOUR}


@pytest.mark.parametrize(
    ("fit", "window", "why", "remedy"),
    [
        (
            EVEN | {"window_ns": 5 * MINUTES},
            "5m",
            "32 whole windows of 5m, at least 50 are needed (try --window 2m)",
            "`driftd reference fit --timestamp COL --window 2m …` mends that",
        ),
        (
            EVEN | {"window_ns": 24 * HOUR},
            "2m",
            "one window of 1d holds more than half of the reference (try --window 2m)",
            "`driftd reference fit --timestamp COL --window 2m …` mends that",
        ),
        (
            EVEN,
            "2m",
            "no --window (try --window 2m)",
            "`driftd reference fit --timestamp COL --window 2m …` mends that",
        ),
        (
            {"timestamps": np.arange(2000) * MINUTES, "window_ns": MINUTES},
            "1m",
            "1 rows in a window of 1m, at least 5 are needed (try --window 10m)",
            "`driftd reference fit --timestamp COL --window 10m …` mends that",
        ),
        (
            {"timestamps": np.arange(300) * 5 * MINUTES, "window_ns": 5 * MINUTES},
            "5m",
            "1 rows in a window of 5m, at least 5 are needed",
            "`driftd reference fit --timestamp COL --window 1h …` on at least 54h of data, 10 rows or more in each 1h, mends that",
        ),
        (
            {"timestamps": np.arange(2) * MINUTES, "window_ns": 5 * MINUTES},
            "5m",
            "2 rows with a time, at least 250 are needed",
            "`driftd reference fit --timestamp COL --window 5m …` on at least 270m of data, 10 rows or more in each 5m, mends that",
        ),
        (
            {"timestamps": np.zeros(2)},
            None,
            "no --timestamp",
            "`driftd reference fit --timestamp COL --window 5m …` on at least 270m of data, 10 rows or more in each 5m, mends that",
        ),
        (
            BURSTS | {"window_ns": 5 * HOUR},
            "5h",
            f"28 whole windows of 5h, at least 50 are needed; {BATCHES}",
            f"{BATCHES}; `driftd reference fit` on as many mends that",
        ),
    ],
)
def test_the_remedy_follows_from_why_the_reference_is_cold(
    config: Path, capsys: Output, fit: dict[str, Any], window: str | None, why: str, remedy: str
) -> None:
    """It is never the very window that was tried, nor another than the next line names."""
    rows = len(fit["timestamps"])
    Reference.fit({"age": np.arange(rows) % 7.0}, **(fit if window else {})).save(config.parent / "r.json")
    model = {"name": "churn", "reference": "r.json", "window": window or "5m"}
    found = expectations(capsys, config, alerting={"false_alarms_per_month": 1}, models=[model])

    assert [line.partition(" size alone; ")[2] or line for line in found[:2]] == [
        remedy,
        f"  calibration: cold, effect sizes only: {why}",
    ]


def test_the_window_that_is_named_does_mend_it() -> None:
    rows = {"age": np.arange(2000) % 7.0}

    assert Reference.fit(rows, **EVEN, window_ns=5 * MINUTES).calibration is None
    assert Reference.fit(rows, **EVEN, window_ns=2 * MINUTES).calibration is not None


def test_a_reference_that_changes_inside_itself_is_a_warning_in_the_words_of_fit(config: Path) -> None:
    rng = seeded()
    moved = fitted(rng, {"age": rng.normal(size=30_000) + 3 * (np.arange(30_000) > 20_000)})
    moved.save(config.parent / "r.json")
    assert moved.calibration is not None

    few = "churn version 3: a usual window of 5m holds 100 rows, min_rows is 200: KS, PSI and χ² will say insufficient_data"
    assert warned(config) == [
        *(f"churn version 3: {one.words}" for one in moved.calibration.drifting),
        f"{few}; a window of 10m would do",
    ]
    assert "age changes inside the reference: mean +" in warned(config)[0]


def test_groups_that_only_the_mapping_or_only_the_reference_knows_are_a_warning(config: Path) -> None:
    known = fitted_sessions(config.parent / "r.json")
    mapped = [{"name": "predictions", "fields": {"group": "session"}}]

    assert [line for line in warned(config, topics=mapped) if "group" in line] == []
    assert [line for line in warned(config) if "group" in line] == [
        (
            "churn version 3: its reference knows groups of rows, but no topics.fields.group says where events have theirs: "
            "every window counts as a usual one"
        )
    ]
    replace(known, calibration=None).save(config.parent / "r.json")
    assert [line for line in warned(config, topics=mapped) if "group" in line] == []
    fitted_sessions(config.parent / "r.json", None)
    assert [line for line in warned(config, topics=mapped) if "group" in line] == [
        (
            "churn version 3: its reference knows no groups, so topics.predictions.fields.group says nothing yet; "
            "`driftd reference fit --config` learns them"
        )
    ]


@pytest.mark.parametrize(("reads", "said"), [("session", 1), (None, 0)])
def test_a_group_of_labels_is_nobodys(config: Path, reads: str | None, said: int) -> None:
    """No row is read from labels: whether the reference knows groups or not, a group of theirs is as none."""
    fitted_sessions(config.parent / "r.json", reads)
    topics = [{"name": "predictions"}, {"name": "truth", "kind": "labels", "fields": {"group": "session"}}]
    models = [{"name": "churn", "version": "3", "reference": "r.json", "labels": {}}]

    found = [line for line in warned(config, topics=topics, models=models) if "fields.group" in line]
    assert len(found) == said
    assert all("but no topics.fields.group says" in line for line in found)


@pytest.mark.parametrize(
    ("group", "features", "read_twice"),
    [
        ("features.age", "features", True),
        ("age", "", True),
        ("features.age.of", "features", True),
        ("agent", "", False),
    ],
)
def test_a_group_that_is_a_feature_as_well_is_a_warning(
    config: Path, group: str, features: str, *, read_twice: bool
) -> None:
    fitted_sessions(config.parent / "r.json")
    topics = [{"name": "predictions", "fields": {"group": group, "features": features}}]

    said = [line for line in warned(config, topics=topics) if "fields.group" in line]
    warning = (
        f"topics.predictions.fields.group: {group} is also read as feature age of churn version 3, so the topic is read many "
        "times slower; ignore: true of the feature mends that, or a reference without it"
    )
    assert said == read_twice * [warning]


def fitted_sessions(path: Path, group: str | None = "session") -> Reference:
    """A reference of sessions, saved."""
    reference = grouped.fitted(grouped.sessions(seeded(), 60, 30), group)
    reference.save(path)
    return reference


def test_without_a_budget_explicit_rules_are_alone(config: Path, capsys: Output) -> None:
    budget, rule, rows = expectations(capsys, config)

    assert budget == "  drift: off, for alerting.false_alarms_per_month is null: explicit rules alone"
    assert rule.startswith("  psi-high: about ")
    assert rows == "  (rules: at 200 rows a window, that is min_rows, for the reference knows no arrival rate)"


def test_a_rule_tells_its_false_alarms_and_whether_they_exceed_the_budget(calibrated: Path, capsys: Output) -> None:
    """Two-sample Kolmogorov at 100 rows: D above 0.1 in a quarter of all windows of five minutes, by chance."""
    models = [{"name": "churn", "reference": "r.json", "min_rows": 50}]
    alerting = {"false_alarms_per_month": 1, "rules": [KS, {**KS, "name": "patient", "for": 40}]}
    _, _, far, patient, rows, warning = expectations(capsys, calibrated, alerting=alerting, models=models)

    [figure] = re.findall(
        r"^  far: about (\d,\d00) false alarms a month, if rows are independent; dependence and seasons add to it$", far
    )
    assert 1500 < int(figure.replace(",", "")) < 3000
    assert patient == "  patient: fewer than 0.001 false alarms a month, if rows are independent"
    assert rows == "  (rules: at 100 rows a window, by the calibration)"
    assert warning == (
        f"warning: alerting.rules.far: about {figure} false alarms a month on churn by itself, "
        "where alerting.false_alarms_per_month is 1"
    )


def test_a_rule_that_fires_in_every_window_is_told_so(calibrated: Path, capsys: Output) -> None:
    models = [{"name": "churn", "reference": "r.json", "min_rows": 50, "features": {"plan": {"ignore": True}}}]
    rule = {**RULE, "fire_above": 0.0}
    _, said, _ = expectations(
        capsys, calibrated, alerting={"false_alarms_per_month": None, "rules": [rule]}, models=models
    )

    assert said.startswith("  psi-high: about 8,600 false alarms a month, at least one in nearly every window, if rows")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (KS, "far: never has data: a usual window holds 100 rows, 200 are needed"),
        ({**KS, "min_rows": 300}, "far: never has data: a usual window holds 100 rows, 300 are needed"),
        ({"name": "gone", "detector": "missing", "fire_above": 0.1}, "gone: fewer than 0.001 false alarms a month, if"),
        (
            {"name": "quiet", "detector": "volume", "fire_above": 1.0},
            "quiet: no figure for false alarms, it depends on traffic",
        ),
    ],
)
def test_what_a_rule_cannot_raise_is_said(calibrated: Path, capsys: Output, rule: dict[str, Any], said: str) -> None:
    alerting = {"false_alarms_per_month": None, "rules": [rule]}

    assert expectations(capsys, calibrated, alerting=alerting)[1].startswith(f"  {said}")


def test_rows_are_those_of_the_references_traffic_where_it_has_no_calibration(config: Path, capsys: Output) -> None:
    times = np.arange(1000, dtype=np.int64) * SECOND
    Reference.fit({"age": np.arange(1000.0)}, timestamps=times, window_ns=100 * SECOND).save(config.parent / "r.json")

    assert expectations(capsys, config)[-1] == "  (rules: at 300 rows a window, by the arrival rate of the reference)"


def test_what_a_reference_says_of_requests_and_no_topic_reads_is_said(config: Path, capsys: Output) -> None:
    """Its rule would stand there, and every request count as fine."""
    table = {"age": np.arange(1000.0), "took": np.full(1000, 0.2), "failed": ["", "timeout"] * 500}
    times = np.arange(1000, dtype=np.int64) * SECOND
    served = ServedColumns(latency="took", error="failed")
    columns = {"timestamps": times, "window_ns": 100 * SECOND, "served": served}
    Reference.fit(table, **columns).save(config.parent / "r.json")
    topics = [{"name": "predictions", "fields": {"latency": "took"}}]
    _, said, _ = check(capsys, write(config, topics=topics), "--offline")

    assert [line.rpartition("the rule ")[2] for line in said.splitlines() if "the rule " in line] == [
        "errors hears nothing"
    ]


@pytest.mark.parametrize("budget", [1e6, 1e-9])
@pytest.mark.parametrize("reference", ["cold", "calibrated"])
def test_a_budget_that_cannot_be_held_is_refused_with_one_that_can(
    config: Path, capsys: Output, request: pytest.FixtureRequest, budget: float, reference: str
) -> None:
    if reference == "calibrated":
        request.getfixturevalue("calibrated")
    code, _, problems = check(capsys, write(config, alerting={"false_alarms_per_month": budget}), "--offline")

    assert code == 2
    [problem] = problems
    [reachable] = re.findall(
        r"models\.churn: alerting\.false_alarms_per_month \S+ cannot be held by \d+ charts .*; (\S+) can$", problem
    )
    nearest = float(reachable) * (0.9 if budget > 1 else 1.1)  # it is rounded
    assert check(capsys, write(config, alerting={"false_alarms_per_month": nearest}), "--offline")[0] == 0


@pytest.mark.serial
@pytest.mark.slow
@pytest.mark.parametrize(("models", "columns"), [(1, 20), (60, 80)])
def test_the_estimate_comes_true(config: Path, models: int, columns: int) -> None:
    """Within half as much: a daemon with every model's panes filled, judged and shown, in a process of its own."""
    rng = np.random.default_rng(0)
    Reference.fit({f"f{at}": rng.normal(size=4000) for at in range(columns)}).save(config.parent / "r.json")
    for at in range(models):  # a file for each, or they would share one reference
        (config.parent / f"{at}.json").symlink_to("r.json")
    write(config, models=[{"name": f"m{at}", "version": "1", "reference": f"{at}.json"} for at in range(models)])

    done = subprocess.run([sys.executable, FILLED, config], check=True, capture_output=True, text=True, timeout=120)
    found = json.loads(done.stdout)

    assert found["windows"] == models * 3
    assert 1 / 1.5 < found["resident"] / found["estimate"] < 1.5
    assert 0.9 < found["series"] / found["expected_series"] < 1.1


def test_the_formula_in_the_documents_is_the_one_that_check_uses() -> None:
    said = (Path(__file__).parents[3] / "docs/operate.md").read_text(encoding="utf-8")
    base, model, feature = memory.BASE_BYTES // 10**6, memory.MODEL_BYTES // 1000, memory.FEATURE_BYTES // 1000

    kept = f"windows kept × {memory.WINDOW_BYTES} + points kept × ({memory.POINT_BYTES} + 2 × features)"

    assert f"{base} MB + models × ({model} kB + {kept} + features × ({feature} kB" in said
    assert f"| points kept | {memory.POINTS} of a model" in said
    assert f"cells × ({memory.REFERENCE_BYTES} + {memory.COUNTING_BYTES} × panes counted into" in said
    assert f"| a category, beside that | {memory.CATEGORY_BYTES}:" in said
    assert f"a time series | {memory.TEXT_BYTES} kept" in said
    assert f"| while catching up | {memory.READING_BYTES // 10**6} MB:" in said
    assert f"| charts of the budget | {memory.CHARTS_BYTES // 1000} {memory.CHARTS_BYTES % 1000:03} a feature" in said
    assert f"{memory.HOUR_CELL_BYTES} × merged cells (at most 16) an hour" in said
    assert f"and {memory.HOUR_BYTES} an hour more" in said


def test_a_features_topic_beside_a_prediction_in_the_reference_is_a_warning(config: Path, tmp_path: Path) -> None:
    columns = {"age": np.arange(1000.0), "plan": ["pro", "free"] * 500, "score": np.arange(1000.0) % 7}
    Reference.fit(columns, prediction="score").save(tmp_path / "r.json")
    (warning,) = warned(config, topics=[{"name": "t", "kind": "features"}])

    assert warning == "topics.t: its rows have no prediction and count as missing in __prediction__"


def test_work_that_python_does_for_want_of_the_compiled_part_is_a_warning(
    config: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("reading", "decoding", "scoring"):
        monkeypatch.setitem(COMPILED, part, False)

    _, said, _ = check(capsys, write(config), "--offline")

    assert "warning: reading, decoding, scoring: Python does it" in said


# --- targets that can be asked ----------------------------------------------------------------------------------------


@pytest.fixture
def prefect() -> Iterator[Prefect]:
    found = Prefect()
    yield found
    found.close()


def test_a_target_that_lets_us_in_is_read_and_starts_nothing(
    config: Path, capsys: Output, mock_broker: "MockBroker", prefect: Prefect
) -> None:
    """What may not be meant is a warning: of its deployment that waits."""
    entry = {"name": "flow", **prefect.entry(deployment="train/nightly")}
    code, said, problems = check(capsys, write(config, kafka=produced(mock_broker), targets=[entry]))

    assert (code, problems) == (0, [])
    assert "warning: targets.flow: deployment train/nightly is paused: a run waits until it is not\n" in said
    assert prefect.runs == {}


def test_a_target_that_knows_no_such_thing_is_an_error(
    config: Path, capsys: Output, mock_broker: "MockBroker", prefect: Prefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"name": "flow", **prefect.entry(deployment="train/none", token_env="TOKEN")}
    monkeypatch.setenv("TOKEN", CANARY)
    code, said, problems = check(capsys, write(config, kafka=produced(mock_broker), targets=[entry]))

    assert (code, problems) == (2, ["targets.flow: deployment train/none: answered 404: Deployment not found"])
    assert prefect.calls[0].headers["authorization"] == f"Bearer {CANARY}"
    assert CANARY not in said + problems[0]


def test_offline_asks_no_target(config: Path, capsys: Output, prefect: Prefect) -> None:
    code, _, _ = check(
        capsys, write(config, targets=[{"name": "flow", **prefect.entry(deployment="train/none")}]), "--offline"
    )

    assert (code, prefect.calls) == (0, [])

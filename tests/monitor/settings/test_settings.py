"""The configuration: every key, every mistake one clear line, no secret ever shown."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.sections import parse_duration
from monitor.settings import ConfigError, Settings, load_settings, mask_url, masked, show_duration
from monitor.settings.schema import DANGEROUS_PROPERTIES, OWN_PROPERTIES
from monitor.sources.formats.registry import formats
from monitor.targets.webhook import Webhook, decode_secret

CANARY = "canary7f3a"
MINIMAL: dict[str, Any] = {
    "topics": [{"name": "predictions"}],
    "models": [{"name": "churn", "version": "3", "reference": "churn.json"}],
}
MINUTE = 60 * 10**9

FULL = """
kafka:
  bootstrap_servers: 127.0.0.1:9092
  group_id: driftd
  start_from: latest
  properties: {}
topics:
  - name: predictions
    kind: predictions
    format: json
    fields: {id: id, timestamp: ts, model: model, version: version, features: features, prediction: prediction}
    timestamp_unit: ms
defaults: {}
models:
  - name: churn
    version: "3"
    reference: churn-3.reference.json
    window: 5m
    slide: 1m
    lateness: 30s
    min_rows: 200
    features:
      age: {detectors: [ks, psi], thresholds: {psi: 0.3, ks: {fire_above: 0.2, clear_below: 0.1}}, importance: 2}
      id: {ignore: true}
alerting:
  false_alarms_per_month: 1
  rules:
    - name: psi-high
      detector: psi
      features: ["*"]
      fire_above: 0.25
      clear_below: 0.10
      for: 2
      keep_firing_for: 2
      severity: critical
retraining:
  cooldown: 24h
  max_per_week: 3
webhooks:
  - name: trainer
    url: https://trainer.internal/retrain
    types: [model.retrain.requested]
    secret_file: /run/secrets/trainer
state: /var/lib/driftd
checkpoint_interval: 5s
idle_after: 30s
max_future: 10m
http: {host: 127.0.0.1, port: 9464}
log: {level: info, format: json}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "driftd.yaml"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("DRIFTD_"):
            monkeypatch.delenv(name)


def load(config: Path, found: Any) -> Settings:
    config.write_text(found if isinstance(found, str) else yaml.safe_dump(found), encoding="utf-8")
    return load_settings(config)


def changed(path: str, value: Any) -> dict[str, Any]:
    """The minimal configuration with one key set; numbers in the path are places of a list."""
    return _set(MINIMAL, path, value)


def _set(whole: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    found = yaml.safe_load(yaml.safe_dump(whole))
    *parents, last = path.split(".")
    section = found
    for name in parents:
        section = section[int(name)] if name.isdigit() else section.setdefault(name, {})
    section[last] = value
    return dict(found)


def refusal(config: Path, found: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        load(config, found)
    text = str(refused.value)
    assert all(line.startswith((f"{config}: ", "environment: ")) for line in text.splitlines())
    return text.replace(f"{config}: ", "")


# --- what may be said -------------------------------------------------------------------------------------------------


def test_every_key_of_the_contract_is_accepted(config: Path) -> None:
    settings = load(config, FULL)

    (model,) = settings.models
    (rule,) = settings.alerting.rules
    assert (model.window, model.slide, model.series_version) == (5 * MINUTE, MINUTE, "3")
    assert (model.features["age"].thresholds["psi"].fire_above, model.features["id"].ignore) == (0.3, True)
    assert (rule.hold, rule.keep_firing_for, rule.severity) == (2, 2, "critical")


def test_what_is_not_said_has_the_default_of_the_contract(config: Path) -> None:
    found = masked(load(config, MINIMAL))

    assert found["kafka"] == {
        "bootstrap_servers": "127.0.0.1:9092",
        "group_id": "driftd",
        "start_from": "latest",
        "ca_file": None,
        "properties": {},
        "startup_timeout": "1m",
        "lost_offsets": "stop",
    }
    assert found["topics"][0]["fields"] == {
        "id": "id",
        "timestamp": "ts",
        "model": "model",
        "version": "version",
        "features": "features",
        "prediction": "prediction",
        "group": None,
        "label": None,
        "weight": None,
        "latency": None,
        "error": None,
        "scores": None,
        "sampling": None,
        "explode": None,
        "columns": None,
    }
    assert (found["topics"][0]["kind"], found["topics"][0]["timestamp_unit"]) == ("predictions", "ms")
    model = found["models"][0]
    assert (model["window"], model["slide"], model["lateness"], model["min_rows"]) == ("5m", None, "30s", 200)
    assert found["alerting"] == {
        "false_alarms_per_month": 1,
        "effect_floor": {
            "shift": 0.05,
            "scale": 0.05,
            "mass": 0.01,
            "missing": 0.005,
            "unseen": 0.005,
            "rare": 0.005,
            "duplicates": 0.005,
        },
        "rules": [],
    }
    assert found["retraining"] == {
        "cooldown": "1d",
        "max_per_week": 3,
        "on": ["drift", "performance"],
        "every": None,
        "unless_trained_within": None,
        "severity": "critical",
        "features": ["*"],
        "in_flight_timeout": None,
        "min_labelled_rows": 0,
        "veto": ["data_quality", "no_data", "calibration"],
        "max_lag": None,
        "dry_run": False,
        "approval": "none",
        "approval_expires": "7d",
        "costs": None,
    }
    assert (found["webhooks"], found["state"], found["max_future"]) == ([], "/var/lib/driftd", "10m")
    assert (found["checkpoint_interval"], found["idle_after"]) == ("5s", "30s")
    assert (found["http"], found["log"]) == (
        {
            "host": "127.0.0.1",
            "port": 9464,
            "token_file": None,
            "token_env": None,
            "external_url": None,
            "approval_links": None,
            "web_config_file": None,
        },
        {"level": "info", "format": "json"},
    )


def test_what_a_rule_does_not_say_has_its_default(config: Path) -> None:
    (rule,) = load(
        config, changed("alerting.rules", [{"name": "r", "detector": "ks", "fire_above": 0.2}])
    ).alerting.rules

    assert (rule.features, rule.clear_below, rule.hold, rule.keep_firing_for, rule.severity) == (
        ["*"],
        None,
        1,
        1,
        "warning",
    )


@pytest.mark.parametrize(
    ("version", "text"), [(3, "3"), ("3", "3"), ("3.10", "3.10"), (None, "*"), ("*", "*"), ("", "")]
)
def test_a_version_is_text(config: Path, version: Any, text: str) -> None:
    assert load(config, changed("models.0.version", version)).models[0].series_version == text


def test_budget_may_be_switched_off(config: Path) -> None:
    assert load(config, changed("alerting.false_alarms_per_month", None)).alerting.false_alarms_per_month is None


def test_defaults_hold_for_every_model_that_does_not_say_otherwise(config: Path) -> None:
    found = {
        "topics": [{"name": "t"}],
        "defaults": {"window": "10m", "min_rows": 5, "reference": "all.json"},
        "models": [{"name": "a"}, {"name": "b", "window": "1m"}],
    }

    a, b = load(config, found).models

    assert (a.window, a.min_rows, a.reference) == (10 * MINUTE, 5, Path("all.json"))
    assert (b.window, b.min_rows) == (MINUTE, 5)


# --- durations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("500ms", 500_000_000),
        ("30s", 30 * 10**9),
        ("1.5h", 90 * MINUTE),
        ("7d", 7 * 24 * 60 * MINUTE),
        (" 5 m ", 5 * MINUTE),
        ("10us", 10_000),
        ("7ns", 7),
        ("0s", 0),
        (0, 0),
        ("104249991375000001ns", 104_249_991_375_000_001),
        ("3650d", 3650 * 86_400 * 10**9),
    ],
)
def test_a_duration_has_a_unit(text: Any, nanos: int) -> None:
    assert parse_duration(text) == nanos
    assert parse_duration(show_duration(nanos)) == nanos


@pytest.mark.parametrize(
    "value",
    ["5", 5, 5.0, "", "m", "-5m", "5 minutes", "5m30s", "1e3s", "inf", True, None, [], "3651d", "9" * 400 + "d"],
)
def test_what_is_no_duration_is_refused(config: Path, value: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_duration(value)

    said = refusal(config, changed("models.0.window", value))
    assert said.startswith("models[0].window: must be ")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("key", ["models.0.window", "models.0.slide", "checkpoint_interval", "idle_after"])
def test_a_length_of_zero_is_refused(config: Path, key: str) -> None:
    assert "must be longer than zero" in refusal(config, changed(key, "0s"))


def test_the_slide_divides_the_window(config: Path) -> None:
    said = refusal(config, changed("models.0.slide", "2m"))

    assert said == "models[0]: slide 2m must divide window 5m"


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("kafak", "kafak is no key; did you mean kafka?"),
        ("kafka.bootstrap_server", "kafka.bootstrap_server is no key; did you mean bootstrap_servers?"),
        ("topics.0.field", "topics[0].field is no key; did you mean fields?"),
        ("topics.0.fields.timestmp", "topics[0].fields.timestmp is no key; did you mean timestamp?"),
        ("defaults.windw", "defaults.windw is no key; did you mean window?"),
        ("models.0.referense", "models[0].referense is no key; did you mean reference?"),
        ("models.0.features.age.treshold", "models[0].features.age.treshold is no key; did you mean thresholds?"),
        (
            "models.0.features.thresholds.detectrs",  # a feature of this name
            "models[0].features.thresholds.detectrs is no key; did you mean detectors?",
        ),
        (
            "models.0.features.age.thresholds.psi",
            "models[0].features.age.thresholds.psi.fire_abov is no key; did you mean fire_above?",
        ),
        ("alerting.rule", "alerting.rule is no key; did you mean rules?"),
        ("retraining.cooldwn", "retraining.cooldwn is no key; did you mean cooldown?"),
        ("http.prt", "http.prt is no key; did you mean port?"),
        ("log.xyz", "log.xyz is no key; valid here: format, level"),
        ("_env_file", "_env_file is no key; valid here: "),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(config: Path, key: str, said: str) -> None:
    value: Any = {"fire_above": 1, "fire_abov": 2} if key.endswith("psi") else "x"

    assert said in refusal(config, changed(key, value))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"hold": 2}, "alerting.rules[0].hold is no key; "),
        ({"fire_bove": 2}, "alerting.rules[0].fire_bove is no key; did you mean fire_above?"),
        ({"fore": 2}, "alerting.rules[0].fore is no key; did you mean for?"),
        ({"for": 0}, "alerting.rules[0].for: must be greater than or equal to 1 (is '0')"),
        ({"clear_below": 0.3}, "alerting.rules[0]: clear_below 0.3 must not exceed fire_above 0.2"),
        ({"fire_above": float("nan")}, "alerting.rules[0].fire_above: "),
        ({"fire_above": -1}, "alerting.rules[0].fire_above: "),
        ({"severity": "bad"}, "alerting.rules[0].severity: must be 'info', 'warning' or 'critical' (is 'bad')"),
        ({"features": []}, "alerting.rules[0].features: "),
        ({"name": "drift"}, "alerting.rules: 'drift' is the name of a rule of driftd's own; call yours something else"),
        ({"name": ""}, "alerting.rules[0].name: "),
        ({"name": "a\nb"}, "alerting.rules[0].name: "),
    ],
)
def test_a_rule_that_cannot_be_is_refused(config: Path, rule: dict[str, Any], said: str) -> None:
    rules = [{"name": "r", "detector": "ks", "fire_above": 0.2, **rule}]

    assert refusal(config, changed("alerting.rules", rules)).startswith(said)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("models.0.reference", None, "models[0].reference: "),
        ("models.0.name", "a\u0000b", "models[0].name: "),
        ("models.0.min_rows", 0, "models[0].min_rows: "),
        ("models.0.features", [], "models[0].features: must be a mapping of keys"),
        (
            "models.0.features.age.thresholds",
            {"psi": float("inf")},
            "models[0].features.age.thresholds.psi.fire_above: ",
        ),
        (
            "models.0.features.age.thresholds",
            {"psi": {"fire_above": 1, "clear_below": 2}},
            "models[0].features.age.thresholds.psi: clear_below 2.0 must not exceed fire_above 1.0",
        ),
        ("models", [], "models: "),
        ("models", {}, "models: "),
        ("topics", [], "topics: "),
        ("topics.0.kind", "x", "topics[0].kind: must be 'predictions', 'features' or 'labels' (is 'x')"),
        ("topics.0.format", "morse", f"topics[0].format: must be one of {', '.join(formats())} (is 'morse')"),
        ("topics.0.name", "a b", "topics[0].name: "),
        ("topics.0.timestamp_unit", "m", "topics[0].timestamp_unit: must be 's', 'ms', 'us' or 'ns' (is 'm')"),
        (
            "topics.0.fields.group",
            "a..b",
            "topics[0].fields.group: must be a dotted path such as meta.time (is 'a..b')",
        ),
        (
            "topics.0.fields.group",
            "id",
            "topics[0].fields: group id is also the id, which each row has for itself; give another path to one of them",
        ),
        (
            "topics.0.fields.group",
            "model",
            "topics[0].fields: group model is also model, the path of model; give another path to one of them",
        ),
        (
            "topics.0.fields.group",
            "features",
            "topics[0].fields: group features is also features, the path of features; give another path to one of them",
        ),
        (
            "topics.0.fields.group",
            "ts.user",
            "topics[0].fields: group ts.user lies below ts, the path of timestamp; give another path to one of them",
        ),
        (
            "topics.0.fields.group",
            "id.user",
            "topics[0].fields: group id.user lies below id, the path of id; give another path to one of them",
        ),
        (
            "topics.0.fields.group",
            "prediction",
            "topics[0].fields: group prediction is also prediction, the path of prediction; give another path to one of them",
        ),
        (
            "topics.0.fields.group",
            "version",
            "topics[0].fields: group version is also version, the path of version; give another path to one of them",
        ),
        (
            "topics.0.fields",
            {"group": "meta", "timestamp": "meta.ts"},
            "topics[0].fields: group meta holds meta.ts, the path of timestamp; give another path to one of them",
        ),
        (
            "topics.0.fields",
            {"group": "payload", "features": "payload.inputs"},
            "topics[0].fields: group payload holds payload.inputs, the path of features; give another path to one of them",
        ),
        (
            "topics.0.fields",
            {"group": "truth", "label": "truth"},
            "topics[0].fields: group truth is also truth, the path of label; give another path to one of them",
        ),
        ("topics.0.fields.model", "", "topics[0].fields.model: must be a dotted path such as meta.time (is '')"),
        (
            "topics.0.fields.model",
            "a..b",
            "topics[0].fields.model: must be a dotted path such as meta.time (is 'a..b')",
        ),
        ("kafka", None, "kafka: must be a mapping of keys (is 'None')"),
        ("kafka.start_from", "now", "kafka.start_from: must be 'earliest' or 'latest' (is 'now')"),
        ("kafka.properties", {"client.id": [1]}, "kafka.properties.client.id: must be a text, a number, true or false"),
        (
            "kafka.properties",
            {"client.id": None},
            "kafka.properties.client.id: must be a text, a number, true or false",
        ),
        ("alerting.false_alarms_per_month", 0, "alerting.false_alarms_per_month: must be greater than 0 (is '0')"),
        ("alerting.false_alarms_per_month", float("inf"), "alerting.false_alarms_per_month: "),
        ("http.port", 70_000, "http.port: must be less than or equal to 65535 (is '70000')"),
        ("http.port", "web", "http.port: must be a valid integer"),
        ("log.level", "loud", "log.level: must be 'debug', 'info', 'warning' or 'error' (is 'loud')"),
        ("retraining.max_per_week", -1, "retraining.max_per_week: "),
        ("state", 5, "state: "),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_one_line(config: Path, key: str, value: Any, said: str) -> None:
    found = refusal(config, changed(key, value))

    assert found.startswith(said)
    assert len(found.splitlines()) == 1


@pytest.mark.parametrize("key", ["topics", "models"])
def test_a_needed_section_is_missed(config: Path, key: str) -> None:
    assert refusal(config, {name: value for name, value in MINIMAL.items() if name != key}) == f"{key} is missing"


def test_every_mistake_has_a_line(config: Path) -> None:
    found = changed("http.port", "x") | {"state": 3, "nothing": 1}

    assert len(refusal(config, found).splitlines()) == 3


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ([{"name": "a", "version": 3}, {"name": "a", "version": "3"}], "models: 'a version 3' is there twice"),
        ([{"name": "a"}, {"name": "a", "version": "*"}], "models: 'a version *' is there twice"),
        ([{"name": "a"}, {"name": "a", "version": "3"}, {"name": "b", "version": "3"}], None),
    ],
)
def test_a_series_is_configured_once(config: Path, models: list[dict[str, Any]], said: str | None) -> None:
    found = changed("models", [{"reference": "r.json", **model} for model in models])

    if said is None:
        assert len(load(config, found).models) == 3
    else:
        assert refusal(config, found) == said


def test_names_stand_once(config: Path) -> None:
    hook = {"name": "a", "url": "http://localhost", "secret_env": "S"}
    rule = {"name": "r", "detector": "ks", "fire_above": 1}

    assert refusal(config, changed("topics", [{"name": "t"}] * 2)) == "topics: 't' is there twice"
    assert refusal(config, changed("webhooks", [hook, hook])) == "webhooks: 'a' is there twice"
    assert refusal(config, changed("alerting.rules", [rule, rule])) == "alerting.rules: two rules are called 'r'"


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "state",
        "kafka.ca_file",
        "models.0.reference",
        "defaults.contract",
        "models.0.contract",
        "models.0.contract.path",
        "http.token_file",
        "http.web_config_file",
        "http.approval_links.secret_file",
        "dead_letters.directory",
        "reports.folder",
        "registry.ca_file",
        "registry.webhook_secret_file",
        "webhooks.0.secret_file",
        "webhooks.0.ca_file",
        "targets.0.url_file",
        "targets.0.ca_file",
        "topics.0.options.registry.ca_file",
        "topics.0.options.registry.cert_file",
        "topics.0.options.registry.token_file",
    ],
)
def test_a_path_that_no_file_system_has_is_one_line(config: Path, key: str) -> None:
    """What opens such a file would raise something else than what it raises of a file that is not there."""
    before = {
        "registry": {"registry": {"url": "https://registry.internal", "type": "mlflow"}},
        "webhooks": {"webhooks": [{"name": "trainer", "url": "https://trainer.internal/"}]},
        "targets": {"targets": [{"name": "team", "type": "slack"}]},
        "topics": {
            "topics": [{"name": "t", "format": "avro", "options": {"registry": {"url": "https://registry.internal"}}}]
        },
    }
    first = key.partition(".")[0]

    text = refusal(config, _set(MINIMAL | before.get(first, {}), key, "a\0b"))

    assert [line for line in text.splitlines() if "NUL" in line], text
    assert text.isprintable() or "\0" not in text


@pytest.mark.parametrize("name", ["ssl.ca.location", "sasl.password_file", "ssl.key.password_file", "cli\0ent.id"])
def test_no_property_of_the_client_holds_a_nul(config: Path, name: str) -> None:
    text = refusal(config, _set(MINIMAL, "kafka", {"properties": {name: "a\0b"}}))

    assert text == f"kafka.properties: {name!r} holds a NUL character"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "must be a mapping of keys such as kafka, topics, models"),
        (b"# nothing\n", "must be a mapping of keys such as kafka, topics, models"),
        (b"- topics\n- models\n", "must be a mapping of keys such as kafka, topics, models"),
        (b"hello", "must be a mapping of keys such as kafka, topics, models"),
        (b"topics: [\n", "is no YAML: line 2, column 1: expected the node content"),
        (b"kafka: {a: @b}\n", "is no YAML: line 1, column 12: found character '@' that cannot start any token"),
        (b"state: a\nhttp: {}\nstate: b\n", "is no YAML: line 3, column 1: the key state is there twice"),
        (b"http: {port: 1, port: 2}\n", "is no YAML: line 1, column 17: the key port is there twice"),
        (b"\x7fELF\x02\x01\x01\x00\xff", "is no YAML: 'utf-8' codec can't decode byte 0xff"),
        (b"\x00\x01\x02", "is no YAML: unacceptable character #x0000"),
        (b"a: " + b"[" * 1500, "is no YAML: maximum recursion depth exceeded"),
        (b"? {a: b}\n: c\n", "is no YAML: line 1, column 3: found unhashable key"),
    ],
)
def test_a_file_that_is_no_configuration_gets_one_line(config: Path, text: bytes, said: str) -> None:
    config.write_bytes(text)

    with pytest.raises(ConfigError) as refused:
        load_settings(config)

    assert str(refused.value).startswith(f"{config}: {said}")
    assert len(str(refused.value).splitlines()) == 1


def test_yaml_merge_keys_are_allowed(config: Path) -> None:
    merged = "topics: [{name: t}]\nmodels:\n- &m {name: a, reference: r}\n- {<<: *m, name: b}\n"
    assert [model.name for model in load(config, merged).models] == ["a", "b"]


def test_a_missing_file_gets_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^.*/none\.yaml: cannot be read: No such file or directory$"):
        load_settings(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"^.*: cannot be read: Is a directory$"):
        load_settings(tmp_path)


# --- environment ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("DRIFTD_KAFKA__GROUP_ID", "other", lambda found: found.kafka.group_id == "other"),
        ("driftd_kafka__group_id", "other", lambda found: found.kafka.group_id == "other"),
        ("DRIFTD_HTTP__PORT", "1", lambda found: found.http.port == 1 and found.http.host == "0.0.0.0"),
        ("DRIFTD_STATE", "/x", lambda found: found.state == Path("/x")),
        ("DRIFTD_IDLE_AFTER", "1m", lambda found: found.idle_after == MINUTE),
        ("DRIFTD_DEFAULTS__WINDOW", "7m", lambda found: found.models[0].window == 7 * MINUTE),
        ("DRIFTD_ALERTING__FALSE_ALARMS_PER_MONTH", "5", lambda found: found.alerting.false_alarms_per_month == 5),
        ("DRIFTD_PORT", "tcp://10.0.0.1:9464", lambda found: True),  # Kubernetes sets it
    ],
)
def test_the_environment_wins_over_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, read: Any
) -> None:
    monkeypatch.setenv(name, value)
    text = {"kafka": {"group_id": "mine"}, "http": {"host": "0.0.0.0", "port": 5}, "state": "/y", "idle_after": "5s"}

    assert read(load(config, {**MINIMAL, **text, "defaults": {"window": "1m"}}))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DRIFTD_HTTP__PORT", "web", "http.port: must be a valid integer"),
        ("DRIFTD_HTTP__PRT", "1", "environment: DRIFTD_HTTP__PRT is no key; did you mean DRIFTD_HTTP__PORT?"),
        ("DRIFTD_KAFKA", "{", 'environment: error parsing value for field "kafka"'),
        ("DRIFTD_MODELS", CANARY, 'environment: error parsing value for field "models"'),
    ],
)
def test_a_mistake_in_the_environment_gets_one_line(
    config: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)

    found = refusal(config, MINIMAL)

    assert found.startswith(said)
    assert len(found.splitlines()) == 1
    assert CANARY not in found


def test_a_value_of_the_environment_is_named_so(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTD_HTTP__PORT", "web")

    assert refusal(config, MINIMAL).endswith("(is 'web'), set by DRIFTD_HTTP__PORT")


# --- the client's properties ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(OWN_PROPERTIES | DANGEROUS_PROPERTIES | {"test.mock.num.brokers"}))
def test_properties_that_are_ours_or_dangerous_are_refused(config: Path, name: str) -> None:
    found = refusal(config, changed("kafka.properties", {name: CANARY}))

    assert found.startswith(f"kafka.properties: {name} is ")
    assert CANARY not in found


@pytest.mark.parametrize("value", [False, "false", "False"])
def test_certificates_are_always_verified(config: Path, value: Any) -> None:
    found = refusal(config, changed("kafka.properties", {"enable.ssl.certificate.verification": value}))

    assert found.endswith("false is refused; give the broker's CA in kafka.ca_file instead")


def test_other_properties_pass(config: Path) -> None:
    properties = {"security.protocol": "SASL_SSL", "fetch.min.bytes": 1, "enable.ssl.certificate.verification": True}

    assert load(config, changed("kafka.properties", properties)).kafka.properties == properties


# --- webhooks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x",
        "trainer",
        "http://",
        "https://user:pw@x",
        "https://user@x",
        "http://x:99999",
        "http://x:0",
        "http://x:port",
        "http://[::1",
        "http://bücher.example",
        "http://x/a b",
        "http://x/\u007f",
        "",
        None,
    ],
)
def test_an_address_that_cannot_be_is_refused(config: Path, url: Any) -> None:
    found = refusal(config, changed("webhooks", [{"name": "a", "url": url, "secret_env": "S"}]))

    assert found.startswith("webhooks[0].url: ")
    assert len(found.splitlines()) == 1


@pytest.mark.parametrize(
    "url",
    [
        "drift.internal",
        "ftp://drift",
        "https://",
        "https://ana:pw@drift",
        "https://drift/?a=1",
        "https://drift/#a",
        "https://drïft",
        "",
    ],
)
def test_an_address_that_no_link_can_begin_with_is_refused(config: Path, url: str) -> None:
    found = refusal(config, changed("http", {"external_url": url}))

    assert found.startswith("http.external_url: must ")
    assert "pw" not in found


def test_the_address_that_links_begin_with_may_end_with_a_slash(config: Path) -> None:
    config.write_text(yaml.safe_dump(changed("http", {"external_url": "https://ops.internal/driftd/"})))

    assert load_settings(config).http.external_url == "https://ops.internal/driftd"


def test_there_is_one_token_at_most(config: Path) -> None:
    found = refusal(config, changed("http", {"token_env": "A", "token_file": "b"}))

    assert found == "http: takes only one of token_file and token_env"


@pytest.mark.parametrize("secrets", [{}, {"secret_env": "A", "secret_file": "b"}])
def test_a_webhook_has_exactly_one_secret(config: Path, secrets: dict[str, str]) -> None:
    found = refusal(config, changed("webhooks", [{"name": "a", "url": "http://x", **secrets}]))

    assert found == "webhooks[0]: needs exactly one of secret_file and secret_env"


def test_unknown_types_are_refused(config: Path) -> None:
    found = changed("webhooks", [{"name": "a", "url": "http://x", "secret_env": "S", "types": ["model.alert"]}])

    assert refusal(config, found).startswith("webhooks[0].types[0]: must be 'model.retrain.requested'")


# --- secrets ----------------------------------------------------------------------------------------------------------

SECRETS = {
    "sasl.password": CANARY,
    "ssl.key.password": CANARY,
    "ssl.key.pem": CANARY,
    "ssl.keystore.password": CANARY,
    "sasl.oauthbearer.client.secret": CANARY,
    "sasl.oauthbearer.config": CANARY,
}


def test_secrets_are_masked_in_the_effective_configuration(config: Path) -> None:
    found = changed("kafka.properties", {**SECRETS, "client.id": "shown"})
    found["webhooks"] = [{"name": "a", "url": f"http://x/p?token={CANARY}#{CANARY}", "secret_env": "S"}]

    settings = load(config, found)

    assert CANARY not in str(masked(settings))
    assert masked(settings)["kafka"]["properties"]["client.id"] == "shown"
    assert CANARY not in repr(settings)
    assert settings.kafka.properties["sasl.password"] == CANARY


@pytest.mark.parametrize(
    "found",
    [
        changed("kafka.properties", {**SECRETS, "plugin.library.paths": CANARY}),
        changed("kafka.properties", {**SECRETS, "client.id": [CANARY]}),
        changed("kafka.properties", f"sasl.password={CANARY}"),
        changed("kafka.sasl_password", CANARY),
        changed("kafka", f"password {CANARY}"),
        changed("webhooks", f"whsec_{CANARY}"),
        changed("webhooks", [f"whsec_{CANARY}"]),
        changed("webhooks", [{"name": "a", "url": "http://x", "secret": f"whsec_{CANARY}"}]),
        changed("webhooks", [{"name": "a", "url": "http://x", "secret_env": [f"whsec_{CANARY}"]}]),
        changed("webhooks", [{"name": "a", "url": f"http://u:{CANARY}@x", "secret_env": "S"}]),
        changed("webhooks", [{"name": "a", "url": f"ftp://x?key={CANARY}", "secret_env": "S"}]),
        changed("webhooks", [{"name": "a", "url": f"http://[::1?{CANARY}", "secret_env": "S"}]),
        changed("webhooks", [{"name": "a", "url": f"http://x:99999?{CANARY}", "secret_env": "S"}]),
        f'kafka: {{properties: {{sasl.password: "{CANARY}}}}}\n',
        f"kafka:\n  properties:\n    sasl.password: *{CANARY}\n",
        f"kafka:\n  properties:\n    sasl.password: !{CANARY}\n",
        f"kafka:\n  properties:\n    sasl.password: @{CANARY}\n",
        f"kafka:\n  properties:\n    sasl.password: {CANARY}: {CANARY}\n",
    ],
    ids=range(18),
)
def test_no_refusal_shows_a_secret(config: Path, found: Any) -> None:
    assert CANARY not in refusal(config, found)


def test_no_representation_shows_a_secret() -> None:
    secret = decode_secret("whsec_" + "Y2FuYXJ5" * 4)

    assert "canary" not in repr(Webhook("a", f"http://x?{CANARY}", secret))
    assert CANARY not in repr(Webhook("a", f"http://x?{CANARY}", secret))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://x/a", "https://x/a"),
        ("https://x/", "https://x/"),
        ("https://hooks.slack.com/services/T0/B0/s3cr3t", "https://hooks.slack.com/services/********"),
        ("https://x/api/webhooks/plainword", "https://x/api/********"),
        ("https://x/bot123:AA-b", "https://x/********"),
        ("https://x:1/a?b=c", "https://x:1/a?********"),
        ("https://u:p@x/a#f", "https://x/a"),
        ("http://[::1", "********"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert mask_url(url) == shown


@pytest.mark.parametrize("name", ["DRIFTD_CHEKPOINT_INTERVAL", "DRIFTD_KAKFA__GROUP_ID", "driftd_stat"])
def test_a_slip_in_an_environment_variable_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1s")
    path = tmp_path / "driftd.yaml"
    path.write_text("topics: [{name: t}]\nmodels: [{name: m, reference: r.json}]\n", encoding="utf-8")

    with pytest.raises(ConfigError, match=f"environment: {name} is no key; did you mean DRIFTD_"):
        load_settings(path)


# --- as written -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    ["2024_10", "010", "20:30", "0x1F", "3.10", "1e3", "yes", "no", "on", "true", "2024-10-01", "+5", ".5", "12"],
)
def test_a_text_reaches_us_as_it_is_written(config: Path, written: str) -> None:
    config.write_text(
        f"topics: [{{name: t}}]\nkafka: {{properties: {{sasl.password: {written}}}}}\n"
        f"models: [{{name: {written}, version: {written}, reference: r.json, features: {{{written}: {{ignore: yes}}}}}}]\n",
        encoding="utf-8",
    )
    found = load_settings(config)

    (model,) = found.models
    assert (model.name, model.version, list(model.features)) == (written, written, [written])
    assert model.features[written].ignore
    assert str(found.kafka.properties["sasl.password"]) in {written, "True"}


def test_numbers_are_numbers_however_they_are_written(config: Path) -> None:
    config.write_text(
        "topics: [{name: t}]\nhttp: {port: 0100}\nalerting: {false_alarms_per_month: 1.50}\n"
        "models: [{name: m, reference: r.json, min_rows: 1_000, features: {a: {thresholds: {psi: 2.0e-1}}}}]\n",
        encoding="utf-8",
    )
    found = load_settings(config)

    assert (found.http.port, found.alerting.false_alarms_per_month, found.models[0].min_rows) == (100, 1.5, 1000)
    assert found.models[0].features["a"].thresholds["psi"].fire_above == 0.2


# --- every variable ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("DRIFTD_PROT", "is no key; did you mean DRIFTD_HTTP__PORT?"),
        ("DRIFTD_GROUP_ID", "is no key; did you mean DRIFTD_KAFKA__GROUP_ID?"),
        ("DRIFTD_KAFKA__GROUPID", "is no key; did you mean DRIFTD_KAFKA__GROUP_ID?"),
        ("DRIFTD_KAFKA__GROUP_ID__X", "is no key; did you mean DRIFTD_KAFKA__GROUP_ID?"),
        ("DRIFTD_PORT", "is no key; did you mean DRIFTD_HTTP__PORT?"),
        ("DRIFTD_LOG_LEVEL", "is no key; did you mean DRIFTD_LOG__LEVEL?"),
        (
            "DRIFTD_WEBHOOKS__0__URL",
            "cannot be set: lists are not overridden item by item; set webhooks[0].url in the file",
        ),
        ("DRIFTD_MODELS__0__WINDOW", "DRIFTD_DEFAULTS__… sets a key of all models"),
    ],
)
def test_a_variable_that_names_no_key_is_refused(
    config: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setenv(name, "9000")

    found = refusal(config, MINIMAL)

    assert found.startswith(f"environment: {name} ")
    assert said in found
    assert len(found.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DRIFTD_SERVICE_HOST", "10.0.0.1"),
        ("DRIFTD_SERVICE_PORT_METRICS", "9464"),
        ("DRIFTD_PORT_9464_TCP_ADDR", "10.0.0.1"),
        ("DRIFTD_BLUE_PORT", "tcp://10.0.0.1:9464"),
        ("DRIFTD_HTTP_TOKEN", "of another key"),
        ("DRIFTD_CONFIG", "x"),
        ("DRIFTD_PURE", "1"),
    ],
)
def test_a_variable_that_others_set_or_the_file_names_is_none_of_ours(
    config: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    assert load(config, {**MINIMAL, "http": {"token_env": "DRIFTD_HTTP_TOKEN"}})


def grouped(*groups: str | None, fields: dict[str, str] | None = None) -> dict[str, Any]:
    """Models with these groups, and a topic."""
    models = [
        {"name": f"m{at}", "reference": "r.json"} | ({} if group is None else {"group": group})
        for at, group in enumerate(groups)
    ]
    return MINIMAL | {"models": models, "topics": [{"name": "predictions", "fields": fields or {}}]}


def test_the_group_of_a_model_is_that_of_its_topics(config: Path) -> None:
    found = load(config, grouped("user_id", None, "user_id", fields={"id": "key"}))

    assert (found.topics[0].fields.group, found.topics[0].fields.id) == ("user_id", "key")
    assert load(config, grouped(None)).topics[0].fields.group is None


@pytest.mark.parametrize(
    ("groups", "fields", "said"),
    [
        (
            ("user", "client"),
            {},
            "models.m0.group is user, models.m1.group is client: rows are read once for all models; name their groups in topics.fields.group, a topic each",
        ),
        (
            ("user",),
            {"group": "client"},
            "models.m0.group is user, but topics.predictions.fields.group is client; drop one of them",
        ),
        (
            ("id",),
            {},
            "models.m0.group: in topics.predictions, group id is also the id, which each row has for itself; give another path to one of them",
        ),
        (
            ("ts",),
            {},
            "models.m0.group: in topics.predictions, group ts is also ts, the path of timestamp; give another path to one of them",
        ),
        ((None, "a..b"), {}, "models[1].group: must be a dotted path such as meta.time (is 'a..b')"),
        (("",), {}, "models[0].group: must be a dotted path such as meta.time (is '')"),
    ],
)
def test_groups_that_cannot_be_are_refused_by_their_key(
    config: Path, groups: tuple[str | None, ...], fields: dict[str, str], said: str
) -> None:
    assert refusal(config, grouped(*groups, fields=fields)) == said


@pytest.mark.parametrize(
    ("group", "fields", "said"),
    [
        ("ts", {}, "defaults.group: in topics.predictions, group ts is also ts, the path of timestamp; "),
        ("user", {"group": "client"}, "defaults.group is user, but topics.predictions.fields.group is client; "),
        ("a..b", {}, "defaults.group: must be a dotted path such as meta.time (is 'a..b')"),
    ],
)
def test_a_group_of_all_models_is_refused_by_its_key(
    config: Path, group: str, fields: dict[str, str], said: str
) -> None:
    found = grouped(None, None, fields=fields) | {"defaults": {"group": group}}

    assert refusal(config, found).startswith(said)


def test_one_version_of_a_model_can_be_the_champion(config: Path) -> None:
    model = MINIMAL["models"][0] | {"champion": True}
    other = {"name": "fraud", "reference": "f.json", "champion": True}

    told = load(config, {**MINIMAL, "models": [model, other]})
    said = refusal(config, {**MINIMAL, "models": [model, model | {"version": "4"}]})

    assert [each.champion for each in told.models] == [True, True]
    assert "churn: only one version can be the champion" in said


# --- options of a format ----------------------------------------------------------------------------------------------

AVRO = {"name": "predictions", "format": "avro"}


def test_the_files_that_a_format_s_options_name_lie_beside_the_configuration(config: Path) -> None:
    options = {
        "registry": {"url": "https://registry.internal", "token_file": "token", "ca_file": "ca.pem"},
        "reader_schema_file": "event.avsc",
    }
    found = load(config, MINIMAL | {"topics": [AVRO | {"options": options}]})

    held: Any = found.topics[0].options
    assert held.reader_schema_file == config.parent / "event.avsc"
    assert held.registry.ca_file == config.parent / "ca.pem"
    assert held.registry.token_file == config.parent / "token"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"registry": {"url": "registry"}}, "topics[0].options"),
        ({"registry": {"url": "http://a"}, "schema_file": "b"}, "topics[0].options"),
        ({"nothing": 1}, "topics[0].options"),
    ],
)
def test_wrong_options_of_a_format_are_refused_in_one_line(config: Path, options: dict[str, Any], said: str) -> None:
    found = refusal(config, MINIMAL | {"topics": [AVRO | {"options": options}]})

    assert found.startswith(said)
    assert len(found.splitlines()) == 1

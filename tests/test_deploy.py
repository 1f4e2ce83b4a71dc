"""What is shipped beside the daemon: rules that fire when they should, configurations that their programs accept."""

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml

from monitor.settings.loading import load_settings
from tests.parts.prometheus import Alertmanager, amtool, promtool

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus/rules/driftd.yml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = sorted({rule["alert"] for rule in RULES})
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
UNIT = (DEPLOY / "systemd/driftd.service").read_text()
OPERATIONS = (ROOT / "docs/operate.md").read_text()

EVERY_RULE = pytest.mark.parametrize("rule", RULES, ids=[r["alert"] for r in RULES])
EVERY_SERVICE = pytest.mark.parametrize("name", SERVICES)


def accepted(done: subprocess.CompletedProcess[str]) -> str:
    """What a program said that was content."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# --- Prometheus -------------------------------------------------------------------------------------------------------


@pytest.mark.prometheus
def test_prometheus_accepts_its_configuration_and_finds_the_rules() -> None:
    said = accepted(promtool("check", "config", DEPLOY / "prometheus/prometheus.yml"))

    assert f"{len(RULES)} rules found" in said


@pytest.mark.prometheus
def test_every_alert_fires_when_it_should_and_only_then() -> None:
    accepted(promtool("test", "rules", DEPLOY / "prometheus/tests/driftd_test.yml"))


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_seen_firing_and_seen_silent(alert: str) -> None:
    """Silent: nothing is expected at some moment, or of some of several series, for the expected list is exact."""
    tests = yaml.safe_load((DEPLOY / "prometheus/tests/driftd_test.yml").read_text())["tests"]
    of_alert = [test for test in tests if test["name"].startswith(alert)]
    expected = [case["exp_samples"] for test in of_alert for case in test.get("promql_expr_test", [])]
    expected += [case["exp_alerts"] for test in of_alert for case in test.get("alert_rule_test", [])]

    assert any(expected)
    assert not all(expected) or any(len(test["input_series"]) > len(expected[0]) for test in of_alert)


@EVERY_RULE
def test_an_alert_explains_itself_and_has_a_runbook(rule: dict[str, Any]) -> None:
    annotations = rule["annotations"]

    assert set(annotations) == {"summary", "description", "runbook"}
    assert annotations["runbook"] == f"docs/operate.md#{rule['alert'].lower()}"
    assert f"\n### {rule['alert']}\n" in OPERATIONS


@EVERY_RULE
def test_an_alerts_labels_hold_identity_and_never_a_value(rule: dict[str, Any]) -> None:
    assert set(rule["labels"]) == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning", "{{ $labels.severity }}"}


def test_the_severity_of_drift_comes_from_the_rules_own_or_the_incidents_and_from_nothing_else() -> None:
    """Neither a name nor a second alert of drift decides it."""
    (drifting,) = [rule for rule in RULES if rule["alert"] == "DriftdDriftFiring"]
    taken = [rule["alert"] for rule in RULES if "$labels" in rule["labels"]["severity"]]

    assert taken == ["DriftdDriftFiring", "DriftdPerformanceFiring", "DriftdServiceDegraded", "DriftdNoData"]
    assert re.findall(r"\{(.*?)\}", drifting["expr"]) == [
        'severity=~"critical|warning",rule!~"calibration|lateness|reachability|performance|frozen|no_data|latency|errors"',
        'kind!~"performance|service"',
        'kind!~"performance|service"',
        'kind!~"performance|service"',
    ]


@EVERY_RULE
def test_a_runbook_says_what_it_means_what_to_look_at_and_what_to_do(rule: dict[str, Any]) -> None:
    section = OPERATIONS.split(f"\n### {rule['alert']}\n")[1].split("\n### ")[0]

    for heading in ("**Means.**", "**Look at.**", "**Do.**"):
        assert heading in section


# --- Alertmanager -----------------------------------------------------------------------------------------------------


@pytest.mark.prometheus
def test_alertmanager_accepts_its_configuration() -> None:
    accepted(amtool("check-config", DEPLOY / "alertmanager/alertmanager.yml"))


@pytest.mark.prometheus
@pytest.mark.parametrize(
    ("severity", "receiver"), [("critical", "pagerduty"), ("warning", "tickets"), ("info", "tickets")]
)
def test_severity_decides_who_is_told(severity: str, receiver: str) -> None:
    route = ("config", "routes", "test", "--config.file", DEPLOY / "alertmanager/alertmanager.yml")

    accepted(amtool(*route, f"--verify.receivers={receiver}", f"severity={severity}", "model=churn", "version=3"))


def test_inhibitions_name_alerts_that_exist() -> None:
    config = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text())
    matchers = [m for rule in config["inhibit_rules"] for m in rule["source_matchers"] + rule["target_matchers"]]
    named = set(re.findall(r"Driftd[A-Z]\w+", " ".join(matchers)))

    assert named <= set(ALERTS)


def test_a_real_alertmanager_pages_once_a_model_and_an_absent_daemon_silences_the_rest(
    alertmanager: Callable[[Path], Alertmanager], tmp_path: Path
) -> None:
    """The shipped configuration with shorter waits, a PagerDuty on loopback, and alerts as Prometheus would send them."""
    with pagerduty() as (pages, url):
        server = alertmanager(impatient(tmp_path, url))
        post(server, drift("churn", "ks"), drift("churn", "psi"))
        until(lambda: len(pages) == 1)
        post(server, {"alertname": "DriftdAbsent", "severity": "critical", "job": "driftd"})
        until(lambda: len(pages) == 2)
        post(server, drift("fraud", "ks"))
        until(lambda: "suppressed" in {alert["status"]["state"] for alert in server.alerts()})
        time.sleep(2)  # twice group_wait: a page that were to come would have come

    assert [page["payload"]["summary"] for page in pages] == ["churn drifts (of 2 alerts)", "driftd is away"]
    assert (pages[0]["event_action"], pages[0]["routing_key"]) == ("trigger", "k" * 32)
    assert (pages[0]["payload"]["severity"], pages[0]["payload"]["component"]) == ("critical", "churn")
    assert pages[0]["payload"]["custom_details"]["firing"] == "churn drifts; churn drifts; "


def drift(model: str, rule: str) -> dict[str, str]:
    labels = {"alertname": "DriftdDriftFiring", "job": "driftd", "model": model, "version": "3"}
    return {**labels, "rule": rule, "severity": "critical"}


def post(server: Alertmanager, *alerts: dict[str, str]) -> None:
    summaries = [f"{alert['model']} drifts" if "model" in alert else "driftd is away" for alert in alerts]
    body = [{"labels": a, "annotations": {"summary": s}} for a, s in zip(alerts, summaries, strict=True)]
    headers = {"content-type": "application/json"}
    urlopen(Request(f"http://{server.address}/api/v2/alerts", json.dumps(body).encode(), headers), timeout=5).close()


def until(seen: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


@contextmanager
def pagerduty() -> Iterator[tuple[list[dict[str, Any]], str]]:
    """An events endpoint that accepts everything and remembers it."""
    pages: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            pages.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(202)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield pages, f"http://127.0.0.1:{server.server_port}/v2/enqueue"
        server.shutdown()


def impatient(directory: Path, pagerduty_url: str) -> Path:
    """The shipped configuration, its keys in `directory`, its waits a second."""
    (directory / "pagerduty").write_text("k" * 32)
    (directory / "slack_url").write_text("http://127.0.0.1:9/")
    config = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text())
    config["global"]["pagerduty_url"] = pagerduty_url
    config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    file = directory / "alertmanager.yml"
    file.write_text(yaml.safe_dump(config).replace("/etc/alertmanager/secrets", str(directory)))
    return file


# --- systemd ----------------------------------------------------------------------------------------------------------


def test_systemd_accepts_the_unit(checkable_unit: Path) -> None:
    assert checkable_unit.name not in accepted(ran(systemd_analyze(), "verify", checkable_unit))


def test_systemd_finds_the_unit_well_shut(checkable_unit: Path) -> None:
    analyze = systemd_analyze()
    if int(ran(analyze, "--version").stdout.split()[1]) < 250:
        pytest.skip("systemd-analyze before 250 judges installed units only")

    accepted(ran(analyze, "security", "--offline=true", "--threshold=30", checkable_unit))  # tenths: 3.0 of 10, "OK"


@pytest.fixture
def checkable_unit(tmp_path: Path) -> Path:
    """A copy whose program exists here, with the example credential switched on."""
    copy = tmp_path / "driftd.service"
    text = re.sub(r"(?m)^ExecStart=.*$", "ExecStart=/bin/true", UNIT)
    copy.write_text(text.replace("#LoadCredential=", "LoadCredential="))
    return copy


def systemd_analyze() -> str:
    return shutil.which("systemd-analyze") or pytest.skip("systemd-analyze is missing: apt-get install systemd")


def ran(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "line",
    [
        "DynamicUser=yes",
        "StateDirectory=driftd",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "Restart=always",
        "RestartPreventExitStatus=2",
        "TimeoutStopSec=60",
        "ExecStart=/opt/driftd/bin/driftd run --config /etc/driftd/driftd.yaml",
    ],
)
def test_the_unit_says(line: str) -> None:
    assert line in UNIT.splitlines()


# --- containers -------------------------------------------------------------------------------------------------------
# No container engine is at hand where these tests run: the files are read, not built.


def stages() -> list[str]:
    return re.split(r"(?m)^FROM ", DOCKERFILE)[1:]


def test_the_image_installs_from_hash_locked_requirements_only() -> None:
    installs = re.findall(r"pip (?:--python \S+ )?install(?:.|\\\n)*?(?=\n[^ ]|&& |$)", DOCKERFILE)

    assert len(installs) == 3
    assert all("--require-hashes --only-binary :all:" in step or "--no-index --no-deps" in step for step in installs)
    assert "requirements/run.txt" in DOCKERFILE


def test_every_locked_requirement_has_a_hash() -> None:
    for name in ("run", "dev"):
        blocks = re.split(r"(?m)^(?=\w)", (ROOT / f"requirements/{name}.txt").read_text())
        assert all("--hash=sha256:" in block for block in blocks if block.strip())


def test_the_final_stage_has_no_pip_and_runs_as_a_numbered_user() -> None:
    *_, final = stages()

    assert "pip uninstall" in final
    assert "ensurepip" in final
    assert "pip install" not in final
    assert re.search(r"(?m)^USER (\d+):\1$", final)
    assert final.index("USER 10001:10001") < final.index("ENTRYPOINT")


def test_the_final_stage_says_how_to_run_and_watch_it() -> None:
    *_, final = stages()

    assert 'ENTRYPOINT ["/opt/driftd/bin/driftd"]' in final
    assert "EXPOSE 9464" in final
    assert "VOLUME /var/lib/driftd" in final
    assert re.search(r"HEALTHCHECK .*\\\n  CMD \[.*urllib.*/healthz", final)


def test_no_secret_and_no_floating_tag_stand_in_the_files() -> None:
    for text in (DOCKERFILE, (DEPLOY / "compose.yaml").read_text()):
        assert not re.search(r"(?i)(password|token|secret_key|whsec_)\s*[=:]", text)
        assert ":latest" not in text


def test_the_build_context_holds_only_what_is_copied() -> None:
    allowed = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = {
        word.split("/")[0] for line in re.findall(r"(?m)^COPY (?!--)(.*) \S+$", DOCKERFILE) for word in line.split()
    }

    assert copied == allowed
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


@EVERY_SERVICE
def test_a_service_is_shut_in(name: str) -> None:
    service = SERVICES[name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].split(":")[0]) > 0
    assert service["read_only"] is (name != "kafka")  # Kafka's image writes its own configuration when it starts
    assert "privileged" not in service
    assert "network_mode" not in service


@EVERY_SERVICE
def test_a_services_image_has_a_version_and_its_ports_stay_on_loopback(name: str) -> None:
    service = SERVICES[name]

    assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


@EVERY_SERVICE
def test_a_service_is_watched_and_what_it_mounts_exists(name: str) -> None:
    service = SERVICES[name]
    named = [volume.split(":")[0] for volume in service["volumes"]]
    paths = [DEPLOY / source for source in named if source.startswith(".")]

    assert service["healthcheck"]["test"][0] == "CMD"
    assert all(path.exists() for path in paths)
    assert {source for source in named if not source.startswith(".")} <= set(COMPOSE["volumes"])
    assert {s if isinstance(s, str) else s["source"] for s in service.get("secrets", [])} <= set(COMPOSE["secrets"])


def test_only_state_is_writable_for_the_daemon() -> None:
    writable = [volume for volume in SERVICES["driftd"]["volumes"] if not volume.endswith(":ro")]

    assert writable == ["state:/var/lib/driftd"]


def test_driftd_accepts_the_example_configuration() -> None:
    settings = load_settings(DEPLOY / "driftd.yaml")

    assert [model.name for model in settings.models] == ["churn"]
    assert settings.http.port == 9464


def test_the_files_agree_on_ports_paths_and_addresses() -> None:
    """One number in one place too few is the usual mistake of a first start."""
    example = yaml.safe_load((DEPLOY / "driftd.yaml").read_text())
    prometheus = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    scraped = {job["job_name"]: job["static_configs"][0]["targets"] for job in prometheus["scrape_configs"]}
    environment = SERVICES["kafka"]["environment"]

    assert example["http"] == {"host": "0.0.0.0", "port": 9464}
    assert scraped["driftd"] == ["driftd:9464"]
    assert SERVICES["driftd"]["ports"] == ["127.0.0.1:9464:9464"]
    assert f"INSIDE://{example['kafka']['bootstrap_servers']}" in environment["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert example["state"] == "/var/lib/driftd"
    assert [hook["secret_file"] for hook in example["webhooks"]] == [
        f"/run/secrets/{s}" for s in SERVICES["driftd"]["secrets"]
    ]
    assert prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == ["alertmanager:9093"]


def test_the_rules_watch_the_job_that_is_scraped() -> None:
    prometheus = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    absent = next(rule for rule in RULES if rule["alert"] == "DriftdAbsent")

    assert set(re.findall(r'job="(\w+)"', absent["expr"])) == {"driftd"}
    assert "driftd" in {job["job_name"] for job in prometheus["scrape_configs"]}

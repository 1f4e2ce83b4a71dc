"""The Helm chart: what it renders is what Kubernetes takes, driftd runs and the other files of deploy/ say; what cannot be is refused in words."""

import functools
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from detectors import Reference
from monitor.app import DRAIN
from monitor.cli import main
from monitor.settings import load_settings
from tests.parts.helm import helm, kubernetes_validate
from tests.parts.prometheus import promtool

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm/driftd"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
EXAMPLE = yaml.safe_load((CHART / "ci/example.yaml").read_text())
OLDEST, NEWEST = "1.27", "1.37"
FREE = {
    "config",
    "resources",
    "podSecurityContext",
    "securityContext",
}  # what they hold is Kubernetes's or driftd's own
OURS = {"ServiceMonitor", "PrometheusRule", "ScaledObject"}  # of operators, which Kubernetes has no schemas of
REPLICAS = {"judge_partitions": 8}

Values = Mapping[str, Any]
Manifest = dict[str, Any]


def configured(**changes: Any) -> dict[str, Any]:
    """The configuration of deploy/driftd.yaml, with its secret where the chart has them."""
    config = yaml.safe_load((DEPLOY / "driftd.yaml").read_text())
    config["webhooks"][0]["secret_file"] = "secrets/trainer"
    return {key: value for key, value in {**config, **changes}.items() if value is not None}


def values(**changes: Any) -> dict[str, Any]:
    return {**EXAMPLE, "config": configured(), "references": {"files": {"churn.reference.json": "{}"}}, **changes}


@pytest.fixture
def given(tmp_path: Path) -> Path:
    return tmp_path / "values.yaml"


def text(given: Path, **changes: Any) -> str:
    """What helm renders of a release named prod."""
    given.write_text(yaml.safe_dump(values(**changes)))
    done = helm("template", "prod", CHART, "--namespace", "ml", "--kube-version", OLDEST, "--values", given)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(given: Path, **changes: Any) -> dict[tuple[str, str], Manifest]:
    """By kind and name."""
    found = [each for each in yaml.safe_load_all(text(given, **changes)) if each]
    by_name = {(each["kind"], each["metadata"]["name"]): each for each in found}
    assert len(by_name) == len(found)
    return by_name


def refusal(given: Path, **changes: Any) -> str:
    given.write_text(yaml.safe_dump(values(**changes)))
    done = helm("template", "prod", CHART, "--kube-version", OLDEST, "--values", given)
    assert done.returncode != 0
    return done.stderr


def pod_of(manifests: Mapping[tuple[str, str], Manifest]) -> Manifest:
    spec: Manifest = manifests["StatefulSet", "prod-driftd"]["spec"]["template"]["spec"]
    return spec


# --- what it renders --------------------------------------------------------------------------------------------------


def test_helm_has_nothing_against_the_chart(given: Path) -> None:
    given.write_text(yaml.safe_dump(values()))
    done = helm("lint", "--strict", CHART, "--kube-version", OLDEST, "--values", given)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", [OLDEST, "1.33", NEWEST])
def test_kubernetes_takes_every_resource_and_knows_every_field(version: str, given: Path, tmp_path: Path) -> None:
    manifests = rendered(given, config=configured(replicas=REPLICAS), autoscaling={"enabled": True}, replicas=3)
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all(manifests.values()))
    done = kubernetes_validate(version, file)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("passed for resource") + done.stdout.count("passed for resource") == len(
        [kind for kind, _ in manifests if kind not in OURS]
    )
    assert {kind for kind, _ in manifests} >= OURS | {"NetworkPolicy", "PodDisruptionBudget", "StatefulSet", "Service"}


def test_a_field_that_kubernetes_does_not_know_is_found(given: Path, tmp_path: Path) -> None:
    manifests = rendered(given)
    pod_of(manifests)["terminationGraceSeconds"] = 60
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all(manifests.values()))

    assert kubernetes_validate("1.33", file).returncode != 0


def test_a_packaged_chart_renders_the_same(given: Path, tmp_path: Path) -> None:
    """Rules and dashboards are links into the tree, which a package has no tree to follow."""
    done = helm("package", CHART, "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    [package] = tmp_path.glob("*.tgz")
    with tarfile.open(package) as archive:
        assert {"driftd/files/rules.yml", "driftd/files/dashboards/model.json"} <= set(archive.getnames())
    whole = text(given)
    again = helm("template", "prod", package, "--namespace", "ml", "--kube-version", OLDEST, "--values", given)

    assert again.stdout == whole


@pytest.mark.prometheus
@pytest.mark.parametrize("job", ["driftd", "drift-eu"])
def test_the_rules_are_the_shipped_ones_under_the_name_of_the_job(job: str, given: Path, tmp_path: Path) -> None:
    shipped = (DEPLOY / "prometheus/rules/driftd.yml").read_text().replace('job="driftd"', f'job="{job}"')
    manifests = rendered(given, job=job)
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(manifests["PrometheusRule", "prod-driftd"]["spec"]))
    checked = promtool("check", "rules", file)
    [scraped] = manifests["ServiceMonitor", "prod-driftd"]["spec"]["endpoints"]

    assert manifests["PrometheusRule", "prod-driftd"]["spec"] == yaml.safe_load(shipped)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert scraped["relabelings"] == [{"action": "replace", "targetLabel": "job", "replacement": job}]


def test_the_dashboards_are_the_shipped_ones(given: Path) -> None:
    manifests = rendered(given)

    for path in (ROOT / "grafana/dashboards").glob("*.json"):
        held = manifests["ConfigMap", f"prod-driftd-{path.stem}"]
        assert json.loads(held["data"][f"driftd-{path.name}"]) == json.loads(path.read_text())
        assert held["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_prometheus_finds_pods_that_are_not_ready(given: Path) -> None:
    """A daemon that is not ready has the metrics that say why."""
    manifests = rendered(given)
    wanted = manifests["ServiceMonitor", "prod-driftd"]["spec"]["selector"]["matchLabels"]
    chosen = [
        each
        for (kind, _), each in manifests.items()
        if kind == "Service" and wanted.items() <= each["metadata"]["labels"].items()
    ]

    assert [service["spec"].get("publishNotReadyAddresses") for service in chosen] == [True]
    assert chosen[0]["metadata"]["name"] == manifests["StatefulSet", "prod-driftd"]["spec"]["serviceName"]


# --- the configuration ------------------------------------------------------------------------------------------------


def laid(manifests: Mapping[tuple[str, str], Manifest], root: Path) -> Path:
    """The files of the pod, as its volumes have them; each secret holds one of a webhook."""
    pod = pod_of(manifests)
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for mount in pod["containers"][0]["volumeMounts"]:
        volume, at = volumes.get(mount["name"], {}), root / mount["mountPath"].lstrip("/")
        for name, content in held(volume, manifests):
            path = at if mount.get("subPath") == name else at / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    return root / "etc/driftd/driftd.yaml"


def held(volume: Manifest, manifests: Mapping[tuple[str, str], Manifest]) -> Iterator[tuple[str, str]]:
    if "configMap" in volume:
        yield from manifests["ConfigMap", volume["configMap"]["name"]]["data"].items()
    for source in volume.get("projected", {}).get("sources", []):
        for item in source["secret"]["items"]:
            yield item["path"], "whsec_" + "QUFB" * 11


def test_driftd_accepts_what_is_mounted(given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = tmp_path / "reference.json"
    Reference.fit({"age": np.random.default_rng(1).normal(size=2_000)}).save(reference)
    manifests = rendered(given, references={"files": {"churn.reference.json": reference.read_text()}})
    config = laid(manifests, tmp_path / "pod")

    assert main(["check", "--offline", "--config", str(config)]) == 0, capsys.readouterr()
    assert pod_of(manifests)["containers"][0]["args"][:3] == ["run", "--config", "/etc/driftd/driftd.yaml"]


def test_what_the_pod_decides_stands_in_the_configuration(given: Path, tmp_path: Path) -> None:
    bare = configured(http=None, state=None)
    bare["models"][0]["min_rows"] = 12_345_678  # which templates like to write as 1.2345678e+07
    manifests = rendered(given, config=bare)
    settings = load_settings(laid(manifests, tmp_path))

    assert (settings.http.host, settings.http.port, str(settings.state)) == ("0.0.0.0", 9464, "/var/lib/driftd")
    assert settings.models[0].min_rows == 12_345_678


def test_another_port_is_the_port_of_everything(given: Path) -> None:
    manifests = rendered(given, config=configured(http={"port": 8080}))
    [container] = pod_of(manifests)["containers"]

    assert container["ports"] == [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]
    assert manifests["Service", "prod-driftd-http"]["spec"]["ports"][0]["port"] == 8080


def test_only_another_configuration_starts_the_pod_anew(given: Path) -> None:
    def checksum(**changes: Any) -> str:
        template = rendered(given, **changes)["StatefulSet", "prod-driftd"]["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/config"])

    assert checksum() == checksum(serviceMonitor={"enabled": False})
    assert checksum() != checksum(config=configured(log={"level": "debug"}))
    assert checksum() != checksum(references={"files": {"churn.reference.json": "[]"}})


def test_the_values_that_the_page_shows_render_and_are_a_configuration(given: Path, tmp_path: Path) -> None:
    section = (ROOT / "docs/operate.md").read_text().split("\n### On Kubernetes\n")[1].split("\n### ")[0]
    [shown] = re.findall(r"```yaml\n(.*?)```", section, flags=re.DOTALL)
    manifests = rendered(given, **yaml.safe_load(shown))

    assert [model.name for model in load_settings(laid(manifests, tmp_path)).models] == ["churn"]


# --- how it runs ------------------------------------------------------------------------------------------------------


def test_pods_keep_the_restricted_standard(given: Path) -> None:
    manifests = rendered(given)
    pods = [pod_of(manifests), manifests["Pod", "prod-driftd-ready"]["spec"]]

    for pod in pods:
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
    assert f"USER {pods[0]['securityContext']['runAsUser']}:" in (DEPLOY / "Dockerfile").read_text()


def test_only_state_and_tmp_can_be_written(given: Path) -> None:
    mounts = pod_of(rendered(given))["containers"][0]["volumeMounts"]

    assert [mount["mountPath"] for mount in mounts if not mount.get("readOnly")] == ["/var/lib/driftd", "/tmp"]


def test_no_secret_is_made_and_only_existing_ones_are_named(given: Path) -> None:
    manifests = rendered(given, secretEnv=[{"name": "TOKEN", "existingSecret": "mlflow", "key": "token"}])
    [container] = pod_of(manifests)["containers"]

    assert "Secret" not in {kind for kind, _ in manifests}
    assert container["env"] == [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "mlflow", "key": "token"}}}]


def test_probes_ask_what_the_daemon_answers(given: Path) -> None:
    [container] = pod_of(rendered(given))["containers"]
    asked = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    routes = re.findall(r"^\| `GET (/[\w/{}]*)", (ROOT / "docs/metrics.md").read_text(), flags=re.MULTILINE)

    assert asked == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    assert set(asked.values()) <= set(routes)


def test_a_stop_has_the_time_that_systemd_and_compose_give(given: Path) -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    grace = pod_of(rendered(given))["terminationGracePeriodSeconds"]

    assert f"{grace}s" == compose["services"]["driftd"]["stop_grace_period"]
    assert grace > 5 * DRAIN  # the rest is for what is read, and the last save


def test_a_node_can_be_drained_of_the_only_pod(given: Path) -> None:
    """A daemon that is away for a minute loses nothing; a budget that forbids it would hold up every node."""
    assert rendered(given)["PodDisruptionBudget", "prod-driftd"]["spec"]["maxUnavailable"] == 1


def test_the_network_is_open_to_brokers_names_and_targets_alone(given: Path) -> None:
    kafka = {**configured()["kafka"], "bootstrap_servers": "a.kafka:9093,b.kafka:9094, c.kafka"}
    policy = {"kafka": {"ports": [9095]}, "targets": {"ports": [443], "to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}}
    spec = rendered(given, config=configured(kafka=kafka), networkPolicy=policy)["NetworkPolicy", "prod-driftd"]["spec"]

    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert [[port["port"] for port in rule["ports"]] for rule in spec["egress"]] == [
        [53, 53],
        [9092, 9093, 9094, 9095],
        [443],
    ]
    assert spec["egress"][2]["to"] == [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    assert spec["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}]}]


def test_lag_decides_how_many_pods_there_are(given: Path) -> None:
    topics = [*configured()["topics"], {"name": "outcomes", "kind": "labels", "format": "json"}]
    config = configured(replicas=REPLICAS, topics=topics)
    manifests = rendered(given, config=config, autoscaling={"enabled": True, "lagThreshold": 5_000_000})
    scaled = manifests["ScaledObject", "prod-driftd"]["spec"]

    assert "replicas" not in manifests["StatefulSet", "prod-driftd"]["spec"]  # else each upgrade would undo it
    assert [trigger["metadata"] for trigger in scaled["triggers"]] == [
        {
            "bootstrapServers": "kafka:19092",
            "consumerGroup": "driftd",
            "topic": "predictions",
            "lagThreshold": "5000000",
            "offsetResetPolicy": "latest",
        }
    ]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config": {}}, "config.kafka is missing"),
        ({"replicas": 2}, "2 pods of one group need a section `replicas` in `config`"),
        ({"autoscaling": {"enabled": True}}, "autoscaling.enabled: several pods of one group need a section"),
        ({"references": {"files": {"a.json": ""}, "existingClaim": "b"}}, "files and existingClaim are given"),
        ({"secrets": [{"name": "trainer", "value": "whsec_"}]}, "value"),
        ({"replcas": 2}, "replcas"),
        ({"threads": 0}, "threads"),
        ({"terminationGracePeriodSeconds": 1}, "terminationGracePeriodSeconds"),
    ],
    ids=lambda each: each if isinstance(each, str) else "-".join(each),
)
def test_what_cannot_be_is_refused_in_words(changes: dict[str, Any], words: str, given: Path) -> None:
    assert words in refusal(given, **changes)


def test_a_password_does_not_go_into_a_configmap(given: Path) -> None:
    kafka = {**configured()["kafka"], "properties": {"sasl.password": "hunter2"}}

    assert "config.kafka.properties.sasl.password: a secret does not belong" in refusal(
        given, config=configured(kafka=kafka)
    )


def test_probes_that_would_be_refused_are(given: Path) -> None:
    config = configured(http={"web_config_file": "secrets/web.yml"})

    assert "probes would be refused" in refusal(given, config=config)
    rendered(given, config=config, probes={"scheme": "HTTPS"})


# --- the values -------------------------------------------------------------------------------------------------------


def leaves(held: Values, path: str = "") -> Iterator[str]:
    """Each value that can be given, by its path."""
    for name, value in held.items():
        of = path + name
        inner = SCHEMA
        for part in of.split("."):
            inner = inner["properties"][part]
        if "properties" in inner and of not in FREE and not of.startswith("probes."):
            yield from leaves(value, f"{of}.")
        else:
            yield of


@functools.cache
def documented() -> dict[str, str]:
    """The rows of the chart's page: what stands as its default."""
    rows = re.findall(r"^\| `([\w.]+)` \| `?(.*?)`? \| .+ \|$", (CHART / "README.md").read_text(), flags=re.MULTILINE)
    return dict(rows)


def test_every_value_is_documented_and_no_other() -> None:
    assert set(documented()) == set(leaves(VALUES))


def test_the_documented_defaults_are_those_of_the_chart() -> None:
    for path, said in documented().items():
        value: Any = VALUES
        for part in path.split("."):
            value = value[part]
        if said != "see below":
            assert yaml.safe_load(said or '""') == value, path


def test_the_schema_knows_every_value_and_no_other() -> None:
    def known(schema: Mapping[str, Any], held: Values, path: str) -> None:
        if path in FREE or schema.get("additionalProperties") is not False:
            return
        assert set(schema["properties"]) - {"global"} == set(held) | (
            {"initialDelaySeconds", "successThreshold"} if path.startswith("probes.") else set()
        ), path
        for name, inner in schema["properties"].items():
            if isinstance(held.get(name), dict):
                known(inner, held[name], f"{path}.{name}".lstrip("."))

    known(SCHEMA, VALUES, "")


def test_the_chart_has_the_version_of_the_image() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert f'version = "{chart["appVersion"]}"' in (ROOT / "pyproject.toml").read_text()

"""A broker behind TLS and SASL: what fails says so in one line, with the key that mends it; what is right is read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Producer

from detectors import Reference
from monitor.cli import main
from tests.parts import certificates
from tests.parts.kafka import SCRAM, ApacheKafka

pytestmark = pytest.mark.usefixtures("reader_kind")

Output = pytest.CaptureFixture[str]
EVENT = b'{"ts": 1763870700000, "model": "churn", "version": "3", "features": {"age": 41}}'
PASSWORD = "long-and-right"
LOGIN = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_driftd="{PASSWORD}";'


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("authorities")
    return {name: certificates.keystore(directory, name) for name in ("right", "other")}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory, authorities: dict[str, Path]) -> Iterator[ApacheKafka]:
    config = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(authorities["right"]),
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": LOGIN,
        **SCRAM,
    }
    node = ApacheKafka(tmp_path_factory.mktemp("kafka"), config=config, secured=("SSL", "SASL_SSL"))
    node.add_user("driftd", PASSWORD)
    node.create_topic("predictions")
    producer = Producer({"bootstrap.servers": node.bootstrap, "log_level": 0})
    producer.produce("predictions", EVENT)
    assert producer.flush(30) == 0
    yield node
    node.close()


def configured(home: Path, servers: str, ca_file: Path | None, **properties: str) -> str:
    Reference.fit({"age": [40, 41, 42]}).save(home / "r.json")
    kafka: dict[str, Any] = {"bootstrap_servers": servers, "properties": properties}
    kafka |= {} if ca_file is None else {"ca_file": str(ca_file)}
    settings = {
        "kafka": kafka,
        "topics": [{"name": "predictions"}],
        "models": [{"name": "churn", "version": "3", "reference": "r.json"}],
        "state": "state",
        "http": {"port": 0},
    }
    (home / "driftd.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return str(home / "driftd.yaml")


def login(password: str, mechanism: str = "PLAIN") -> dict[str, str]:
    return {"sasl.mechanisms": mechanism, "sasl.username": "driftd", "sasl.password": password}


UNTRUSTED = "TLS: the broker's certificate is not trusted (kafka.ca_file names its authority)"
REFUSED = "SASL: user or password is refused: sasl.username and sasl.password in kafka.properties"
FAILURES: dict[str, tuple[str, str | None, dict[str, str], str]] = {
    "no authority": ("SSL", None, {"security.protocol": "SSL"}, UNTRUSTED),
    "another authority": ("SSL", "other", {"security.protocol": "SSL"}, UNTRUSTED),
    "another authority, password": (
        "SASL_SSL",
        "other",
        {"security.protocol": "SASL_SSL", **login(PASSWORD)},
        UNTRUSTED,
    ),
    "wrong password": ("SASL_SSL", "right", {"security.protocol": "SASL_SSL", **login("wrong-word")}, REFUSED),
    "wrong password, by SCRAM": (
        "SASL_SSL",
        "right",
        {"security.protocol": "SASL_SSL", **login("wrong-word", "SCRAM-SHA-256")},
        REFUSED,
    ),
    "TLS to a listener without": (
        "PLAINTEXT",
        "right",
        {"security.protocol": "SSL"},
        "TLS: what listens there does not",
    ),
    "no TLS to a listener with it": ("SSL", None, {}, "speaks it: security.protocol in kafka.properties must be SSL"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_what_fails_is_said_in_one_line(
    failure: str, kafka: ApacheKafka, authorities: dict[str, Path], tmp_path: Path, capsys: Output
) -> None:
    listener, authority, properties, said = FAILURES[failure]
    servers = kafka.addresses.get(listener, kafka.bootstrap)
    config = configured(tmp_path, servers, authorities.get(authority or ""), **properties)

    assert main(["check", "--config", config]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert "wrong-word" not in line


@pytest.mark.parametrize("command", [["reference", "fit", "--kafka"], ["backtest", "--kafka"]])
def test_every_command_says_it(
    command: list[str], kafka: ApacheKafka, authorities: dict[str, Path], tmp_path: Path, capsys: Output
) -> None:
    config = configured(tmp_path, kafka.addresses["SSL"], authorities["other"], **{"security.protocol": "SSL"})

    assert main([*command, "--config", config]) == 2
    assert UNTRUSTED in capsys.readouterr().err


MECHANISMS = {"password": "PLAIN", "scram": "SCRAM-SHA-256"}


@pytest.mark.parametrize("given", ["ca_file", "SSL_CERT_FILE", *MECHANISMS])
def test_what_is_right_is_read(
    given: str,
    kafka: ApacheKafka,
    authorities: dict[str, Path],
    tmp_path: Path,
    capsys: Output,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listener, properties = "SSL", dict[str, str]()
    if given in MECHANISMS:
        listener, properties = "SASL_SSL", login(PASSWORD, MECHANISMS[given])
    if given == "SSL_CERT_FILE":
        monkeypatch.setenv("SSL_CERT_FILE", str(authorities["right"]))
    ca_file = None if given == "SSL_CERT_FILE" else authorities["right"]
    config = configured(tmp_path, kafka.addresses[listener], ca_file, **{"security.protocol": listener, **properties})

    assert main(["check", "--config", config]) == 0
    assert "topic predictions: 1 partitions" in (said := capsys.readouterr().out)
    assert PASSWORD not in said

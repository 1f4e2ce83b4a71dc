"""TLS, certificates of clients and passwords by the file that Prometheus has for that: a real one scrapes, others do not, and nobody is kept waiting."""

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import bcrypt
import pytest
import yaml

from detectors import Reference
from tests.integration.daemon import ROOT, Driftd
from tests.parts import certificates

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker
    from tests.parts.prometheus import Prometheus

PASSWORD, TOKEN = "open sesame", "a-token-that-is-long"
OPEN = 500  # connections
PIECES = 50  # of a request, by clients that drip


class SecuredDaemon(Driftd):
    """A daemon behind TLS and a password, which asks clients for a certificate."""

    def __init__(self, home: Path, bootstrap: str) -> None:
        certificates.valid(home)
        Reference.fit({"x": [1.0, 2.0, 3.0]}).save(home / "m.json")
        (home / "token").write_text(TOKEN, encoding="utf-8")
        self.web = home / "web.yml"
        clients = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "ca.pem"}
        tls = {"cert_file": "ca.pem", "key_file": "key.pem", **clients, "client_allowed_sans": ["127.0.0.1"]}
        users = {"prometheus": bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()}
        self.settings: dict[str, Any] = {"tls_server_config": tls, "basic_auth_users": users}
        self.secure()
        http = {"web_config_file": "web.yml", "token_file": "token"}
        model = {"name": "m", "reference": "m.json", "window": "1m"}
        super().__init__(
            home,
            {
                "kafka": {"bootstrap_servers": bootstrap},
                "topics": [{"name": "events"}],
                "models": [model],
                "http": http,
            },
        )

    def secure(self) -> None:
        self.web.write_text(yaml.safe_dump(self.settings), encoding="utf-8")

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def context(self) -> ssl.SSLContext:
        found = ssl.create_default_context(cafile=self.home / "ca.pem")
        found.load_cert_chain(self.home / "ca.pem", self.home / "key.pem")
        return found

    def asked(self, path: str, authorization: str = "", *, body: bytes | None = None) -> int:
        headers = {"authorization": authorization} if authorization else {}
        try:
            with urlopen(Request(self.url + path, body, headers), timeout=30, context=self.context) as answer:
                return answer.status
        except HTTPError as error:
            return error.code

    def status(self, path: str) -> int | None:
        try:
            return self.asked(path, f"Bearer {TOKEN}")
        except OSError:
            return None


@pytest.fixture
def daemon(tmp_path: Path, mock_broker: "MockBroker") -> Driftd:
    mock_broker.create_topic("events")
    found = SecuredDaemon(tmp_path, mock_broker.bootstrap)
    found.start()
    return found


def test_a_real_prometheus_scrapes_through_certificate_and_password(
    daemon: SecuredDaemon, prometheus: "Callable[..., Prometheus]"
) -> None:
    files = {"ca_file": "ca.pem", "cert_file": "ca.pem", "key_file": "key.pem"}
    tls = {name: str(daemon.home / file) for name, file in files.items()}
    auth = {"username": "prometheus", "password": PASSWORD}
    server = prometheus(f"127.0.0.1:{daemon.port}", scrape={"scheme": "https", "tls_config": tls, "basic_auth": auth})

    assert server.wait_for("driftd_build_info")
    assert server.wait_for("up == 1")


def test_only_who_is_known_is_let_in_and_a_stranger_learns_nothing(daemon: SecuredDaemon) -> None:
    for path in ("/", "/metrics", "/healthz", "/readyz", "/api/v1/models", "/nothing"):
        assert daemon.asked(path) == 401
    assert daemon.asked("/api/v1/decisions", "Bearer wrong", body=b"{}") == 401
    assert daemon.asked("/api/v1/decisions", f"Bearer {TOKEN}", body=b"{}") == 400  # let in, and told what is wrong
    stranger = ssl.create_default_context(cafile=daemon.home / "ca.pem")
    with pytest.raises(OSError, match=r"(?i)certificate|reset|closed|eof"):
        urlopen(f"{daemon.url}/metrics", timeout=30, context=stranger)
    log = daemon.log.read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert TOKEN not in log


def test_certificates_that_change_are_read_again_and_bad_ones_change_nothing(
    daemon: SecuredDaemon, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    certificates.valid(other)
    before = ssl.get_server_certificate(("127.0.0.1", daemon.port))
    for name in ("ca.pem", "key.pem"):
        (daemon.home / name).write_bytes((other / name).read_bytes())
    daemon.wait_for(lambda: ssl.get_server_certificate(("127.0.0.1", daemon.port)) != before)
    assert daemon.status("/healthz") == 200
    daemon.settings["basic_auth_users"] = {"prometheus": "no hash"}
    daemon.secure()
    daemon.wait_for(lambda: daemon.status("/healthz") == 200 and bool(daemon.logged("http.access_refused")))

    (refused,) = daemon.logged("http.access_refused")
    assert "basic_auth_users: prometheus: must be a bcrypt hash" in refused["error"]
    assert daemon.status("/healthz") == 200


def test_five_hundred_connections_and_drips_stop_no_scrape(daemon: SecuredDaemon) -> None:
    with ExitStack() as open_:
        silent = [open_.enter_context(socket.socket()) for _ in range(OPEN)]
        for each in silent:
            each.connect(("127.0.0.1", daemon.port))
        dripping = [
            open_.enter_context(
                daemon.context.wrap_socket(
                    socket.create_connection(("127.0.0.1", daemon.port)), server_hostname="127.0.0.1"
                )
            )
            for _ in range(20)
        ]
        for _ in range(PIECES):
            for each in list(dripping):
                try:
                    each.sendall(b"G")
                except OSError:  # hung up on
                    dripping.remove(each)
            time.sleep(0.01)
            assert daemon.status("/metrics") == 200


def test_the_commands_find_the_way_by_the_configuration(tmp_path: Path, mock_broker: "MockBroker") -> None:
    mock_broker.create_topic("events")
    daemon = SecuredDaemon(tmp_path, mock_broker.bootstrap)
    for name in ("client_auth_type", "client_ca_file", "client_allowed_sans"):
        del daemon.settings["tls_server_config"][name]
    daemon.secure()
    daemon.start()
    command = [sys.executable, "-m", "monitor", "status", "--config", daemon.config]
    environment = {"SSL_CERT_FILE": str(tmp_path / "ca.pem"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert "ready" in done.stdout, done.stderr


def test_a_web_configuration_that_cannot_be_used_is_said_and_ends_the_start(
    tmp_path: Path, mock_broker: "MockBroker"
) -> None:
    daemon = SecuredDaemon(tmp_path, mock_broker.bootstrap)
    (tmp_path / "key.pem").unlink()
    daemon.start(ready=False)

    assert daemon.wait() == 2
    line = daemon.log.read_text(encoding="utf-8").splitlines()[-1]
    assert "http.web_config_file: " in line
    assert "key_file: " in line
    assert "cannot be read: No such file" in line

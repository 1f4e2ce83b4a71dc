"""The web configuration: a file that Prometheus takes is taken, and what cannot be is one line, which holds no secret."""

import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.settings import ConfigError
from monitor.settings.web import read_access
from tests.parts import certificates
from tests.parts.prometheus import promtool

HASHED = "$2b$04$6Pvu4MfHTV6dvGwGS9OmkO3nz9dSoOT0CmQDtmrwDLOy31Y9ngl3e"
TLS = {"cert_file": "ca.pem", "key_file": "key.pem"}
CLIENT = TLS | {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "ca.pem"}
TAKEN: dict[str, Any] = {
    "nothing": None,
    "TLS": {"tls_server_config": TLS},
    "users": {"basic_auth_users": {"alice": HASHED, "bob": HASHED.replace("$2b", "$2y")}},
    "clients": {"tls_server_config": CLIENT | {"client_allowed_sans": ["127.0.0.1"]}},
    "clients that may": {"tls_server_config": CLIENT | {"client_auth_type": "VerifyClientCertIfGiven"}},
    "versions": {"tls_server_config": TLS | {"min_version": "TLS13", "max_version": "TLS13"}},
    "ciphers": {"tls_server_config": TLS | {"cipher_suites": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]}},
    "ciphers of TLS 1.3": {"tls_server_config": TLS | {"cipher_suites": ["TLS_AES_128_GCM_SHA256"]}},
    "curve": {"tls_server_config": TLS | {"curve_preferences": ["X25519"], "prefer_server_cipher_suites": False}},
    "headers": {"http_server_config": {"http2": False, "headers": {"X-Frame-Options": "deny"}}},
}
REFUSED: dict[str, tuple[Any, str]] = {
    "a list": ([1], "must be a mapping of keys such as tls_server_config and basic_auth_users"),
    "a key": ({"tls": {}}, "tls is no key; valid here: basic_auth_users, http_server_config, tls_server_config"),
    "a key within": (
        {"tls_server_config": TLS | {"cert_fil": "x"}},
        "tls_server_config.cert_fil is no key; did you mean",
    ),
    "no certificate": ({"tls_server_config": {"key_file": "key.pem"}}, "tls_server_config: cert_file is missing"),
    "no key": ({"tls_server_config": {"cert_file": "ca.pem"}}, "tls_server_config: key_file is missing"),
    "away": (
        {"tls_server_config": TLS | {"cert_file": "gone.pem"}},
        "cert_file: {home}/gone.pem cannot be read: No such",
    ),
    "no pair": ({"tls_server_config": TLS | {"key_file": "other.pem"}}, "are no certificate with its key: KEY_VALUES"),
    "no PEM": ({"tls_server_config": TLS | {"cert_file": "web.yml"}}, "are no certificate with its key: "),
    "locked": ({"tls_server_config": TLS | {"key_file": "locked.pem"}}, "the key is encrypted; there is nobody to ask"),
    "CA without clients": (
        {"tls_server_config": TLS | {"client_ca_file": "ca.pem"}},
        "NoClientCert takes no client_ca_file",
    ),
    "SANs of nobody": (
        {"tls_server_config": TLS | {"client_allowed_sans": ["a"]}},
        "client_allowed_sans needs client_auth_type RequireAndVerifyClientCert",
    ),
    "who": ({"tls_server_config": CLIENT | {"client_auth_type": "Sometimes"}}, "must be one of NoClientCert, "),
    "a cipher": (
        {"tls_server_config": TLS | {"cipher_suites": ["RC4"]}},
        "cipher_suites[0]: must be one of TLS_ECDHE_",
    ),
    "a curve": (
        {"tls_server_config": TLS | {"curve_preferences": ["P9"]}},
        "curve_preferences[0]: must be one of CurveP256",
    ),
    "a version": ({"tls_server_config": TLS | {"min_version": "SSL3"}}, "min_version: must be one of TLS12, TLS13"),
    "a header": (
        {"http_server_config": {"headers": {"Server": "x"}}},
        "headers: Server cannot be set; there is Content-",
    ),
    "a header's value": ({"http_server_config": {"headers": {"X-Frame-Options": "x"}}}, "must be deny or sameorigin"),
    "a password": (
        {"basic_auth_users": {"alice": "sesame"}},
        "basic_auth_users: alice: must be a bcrypt hash, such as of",
    ),
}
STRICTER: dict[str, tuple[Any, str]] = {  # than the format: what would not be done, or be dangerous, is not taken
    "old TLS": ({"tls_server_config": TLS | {"min_version": "TLS10"}}, "min_version: must be one of TLS12, TLS13"),
    "not verified": (
        {"tls_server_config": CLIENT | {"client_auth_type": "RequireAnyClientCert"}},
        "must be one of NoClientCert",
    ),
    "a text": (
        {"tls_server_config": {"cert": "x", "key_file": "key.pem"}},
        "cert cannot stand in the file itself here",
    ),
    "curves": ({"tls_server_config": TLS | {"curve_preferences": ["X25519", "CurveP256"]}}, "takes one curve here"),
    "split lines": ({"http_server_config": {"headers": {"Content-Security-Policy": "a\nb: c"}}}, "in one line"),
    "dear": (
        {"basic_auth_users": {"alice": HASHED.replace("$04$", "$31$")}},
        "the cost of the hash is 31; it must be from 4 to 14",
    ),
    "no salt": (
        {"basic_auth_users": {"alice": HASHED[:28] + "P" + HASHED[29:]}},
        "basic_auth_users: alice: must be a bcrypt hash",
    ),
    "a hash for a user": ({"basic_auth_users": {HASHED: "alice"}}, "basic_auth_users: $2…: must be a bcrypt hash"),
    "a hash for a key": ({f"alice {HASHED}": None}, "alice $2… is no key; valid here"),
    "digits of others": (
        {"basic_auth_users": {"alice": HASHED.replace("04", "٠٤", 1)}},
        "basic_auth_users: alice: must be a bcrypt hash",
    ),
    "no version": (
        {"tls_server_config": TLS | {"max_version": "TLS12", "cipher_suites": ["TLS_AES_128_GCM_SHA256"]}},
        "cipher_suites are all of TLS 1.3, and max_version is below it",
    ),
    "no name": (
        {"tls_server_config": TLS | {"key_file": "a\0b"}},
        "key_file: must be a path, which holds no NUL character",
    ),
    "a rate": ({"rate_limit": {"interval": "1s", "burst": 2}}, "rate_limit is not taken: addresses take turns"),
}
NEWER = {"clients", "SANs of nobody"}  # than the promtool of Debian, which knows no client_allowed_sans


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate, its key, another key, and one that is encrypted."""
    home, other = tmp_path_factory.mktemp("web"), tmp_path_factory.mktemp("other")
    certificates.valid(home)
    certificates.valid(other)
    (home / "other.pem").write_bytes((other / "key.pem").read_bytes())
    certificates.lock(home / "key.pem", home / "locked.pem")
    return home


def written(home: Path, document: Any) -> Path:
    file = home / "web.yml"
    file.write_text("" if document is None else yaml.safe_dump(document), encoding="utf-8")
    return file


@pytest.mark.parametrize("name", TAKEN)
def test_what_the_format_has_is_taken(made: Path, name: str) -> None:
    access = read_access(written(made, TAKEN[name]))

    assert (access.context is not None) is ("tls_server_config" in (TAKEN[name] or {}))


@pytest.mark.parametrize("name", REFUSED | STRICTER)
def test_what_cannot_be_is_one_line_that_holds_no_secret(made: Path, name: str) -> None:
    document, said = (REFUSED | STRICTER)[name]
    with pytest.raises(ConfigError) as refused:
        read_access(written(made, document))

    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"{made}/web.yml: ")
    assert said.format(home=made) in line
    assert not any(secret in line for secret in ("sesame", HASHED[-20:]))


@pytest.mark.prometheus
@pytest.mark.parametrize("name", sorted((TAKEN | REFUSED).keys() - NEWER))
def test_promtool_says_the_same(made: Path, name: str) -> None:
    document = TAKEN[name] if name in TAKEN else REFUSED[name][0]
    done = promtool("check", "web-config", written(made, document))

    assert (done.returncode == 0) is (name in TAKEN), done.stdout + done.stderr


def test_what_is_asked_for_is_what_connections_are_made_under(made: Path) -> None:
    access = read_access(written(made, TAKEN["clients"] | TAKEN["users"] | TAKEN["headers"]))

    assert access.context is not None
    assert access.context.verify_mode is ssl.CERT_REQUIRED
    assert access.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert access.sans == {"127.0.0.1"}
    assert access.headers == (("X-Frame-Options", "deny"),)
    assert access.users["alice"] == HASHED.encode()
    assert HASHED not in repr(access)
    assert {path.name for path in access.files} == {"web.yml", "ca.pem", "key.pem"}


def test_ciphers_are_those_named(made: Path) -> None:
    (old,) = TAKEN["ciphers"]["tls_server_config"]["cipher_suites"]
    context = read_access(written(made, TAKEN["ciphers"])).context
    assert context is not None
    assert old == "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    assert [each["name"] for each in context.get_ciphers() if each["protocol"] != "TLSv1.3"] == [
        "ECDHE-RSA-AES128-GCM-SHA256"
    ]

    context = read_access(written(made, TAKEN["ciphers of TLS 1.3"])).context
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3

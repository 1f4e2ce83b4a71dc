"""What files hold reaches the client as properties; what cannot be read is one line without a secret."""

from pathlib import Path
from typing import Any

import pytest

from monitor.settings.schema import SECRET_FILES
from monitor.sources.kafka.secured import SecretFileError, secured

TLS = {"security.protocol": "SASL_SSL"}


def test_a_secret_stands_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("s3cret\n", encoding="utf-8")

    found = secured({**TLS, "sasl.password_file": str(path)}, None, SECRET_FILES, {})

    assert found == {**TLS, "sasl.password": "s3cret"}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        SecretFileError, match=r"kafka.properties.sasl.password_file: .*none cannot be read: No such file"
    ):
        secured({"sasl.password_file": str(tmp_path / "none")}, None, SECRET_FILES, {})
    with pytest.raises(SecretFileError, match=r"kafka.ca_file: "):
        secured({}, tmp_path / "none", SECRET_FILES, {})


@pytest.mark.parametrize(
    ("properties", "environment", "located"),
    [
        (TLS, {"SSL_CERT_FILE": "/e"}, "/e"),
        ({**TLS, "ssl.ca.location": "/p"}, {"SSL_CERT_FILE": "/e"}, "/p"),
        ({}, {"SSL_CERT_FILE": "/e"}, None),
        (TLS, {}, None),
    ],
)
def test_the_usual_variable_names_the_authorities(
    properties: dict[str, Any], environment: dict[str, str], located: str | None
) -> None:
    assert secured(properties, None, SECRET_FILES, environment).get("ssl.ca.location") == located


def test_a_file_of_our_own_wins(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.touch()

    assert secured(TLS, path, SECRET_FILES, {"SSL_CERT_FILE": "/e"})["ssl.ca.location"] == str(path)

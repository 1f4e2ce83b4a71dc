"""The section `http.approval_links`: what it needs, what is odd about it, and that its secret is shown nowhere."""

from pathlib import Path
from typing import Any

import pytest

from monitor.commands.cautions import warnings
from monitor.configuration import Configuration
from monitor.configuration import load as load_configuration
from monitor.settings import ConfigError, load_settings
from tests.monitor.settings.test_retraining import load

KEY = "0123456789abcdef0123456789abcdef"
URL = "https://ops.internal/driftd"
LINKS = {"external_url": URL, "approval_links": {"secret_env": "KEY"}}


def linked(home: Path, environment: dict[str, str], **http: Any) -> Configuration:
    load(home, http={**LINKS, **http})
    return load_configuration(load_settings(home / "driftd.yaml"), home, environment)


def test_the_secret_is_read_from_a_file_or_the_environment(tmp_path: Path) -> None:
    (tmp_path / "link-secret").write_text(f"{KEY}\n")
    of_file = linked(tmp_path, {}, approval_links={"secret_file": "link-secret"})
    found = linked(tmp_path, {"KEY": KEY})

    assert found.approval_key == of_file.approval_key == KEY.encode()
    assert KEY not in repr(found)


@pytest.mark.parametrize(
    ("http", "environment", "said"),
    [
        ({"external_url": None}, {}, "http: approval_links needs external_url: where the links lead"),
        ({"approval_links": {}}, {}, "http.approval_links: needs exactly one of secret_file and secret_env"),
        ({"approval_links": {"secret_env": "KEY", "secret_file": "k"}}, {}, "needs exactly one of secret_file"),
        ({"approval_links": {"secret_env": "KEY", "expires": "0s"}}, {}, "expires: must be longer than zero"),
        ({}, {}, "http.approval_links.secret_env: KEY is not set"),
        ({}, {"KEY": "canary"}, "http.approval_links.secret_env: the secret in KEY must be 32 or more letters"),
        ({"approval_links": {"secret_file": "nowhere"}}, {}, "http.approval_links.secret_file: "),
    ],
    ids=["no address", "no secret", "two", "no time", "not set", "short", "no file"],
)
def test_what_cannot_be_is_refused_in_a_line(
    tmp_path: Path, http: dict[str, Any], environment: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        linked(tmp_path, environment, **http)

    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "canary" not in str(refused.value)


def test_what_is_odd_about_links_is_warned_of(tmp_path: Path) -> None:
    required = {"approval": "required"}
    plain = load(tmp_path, retraining=required, http={**LINKS, "external_url": "http://ops.internal"})
    idle = load(tmp_path, http=LINKS)

    assert [each for each in warnings(plain) if "approv" in each and "no webhook" not in each] == [
        "http.approval_links: http.external_url is not https, so whoever listens on the way can use the links"
    ]
    assert [each for each in warnings(idle) if "approval_links" in each] == [
        "http.approval_links: no model's retraining.approval is required, so there is nothing to approve by link"
    ]


def test_the_hash_of_a_configuration_without_links_is_as_it_was(tmp_path: Path) -> None:
    plain = load(tmp_path, http={"external_url": URL}).config_hash

    assert load(tmp_path, http={"external_url": URL, "approval_links": None}).config_hash == plain
    assert load(tmp_path, http=LINKS).config_hash != plain

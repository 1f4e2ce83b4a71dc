"""Web configurations: whatever the file says, it is taken or refused in plain lines, none of which holds a hash of a password."""

from collections.abc import Callable
from pathlib import Path

import yaml

from monitor.settings import ConfigError
from monitor.settings.web import CIPHERS, CLIENTS, CURVES, HEADERS, TLS13, VERSIONS, read_access
from tests.fuzz.words import check_lines
from tests.monitor.settings.test_web import HASHED, REFUSED, STRICTER, TAKEN
from tests.parts import certificates

KEYS = ("tls_server_config", "http_server_config", "basic_auth_users", "cert_file", "key_file", "client_auth_type")
MORE = ("client_ca_file", "client_allowed_sans", "min_version", "max_version", "cipher_suites", "curve_preferences")
WORDS = (*KEYS, *MORE, *CIPHERS, *CLIENTS, *CURVES, *HEADERS, *TLS13, *VERSIONS, "ca.pem", "key.pem", HASHED)


def seeds() -> list[bytes]:
    """What its tests have, taken or not."""
    documents = [*TAKEN.values(), *(document for document, _ in [*REFUSED.values(), *STRICTER.values()])]
    return [yaml.safe_dump(document).encode() for document in documents]


def prepared(home: Path) -> Callable[[bytes], None]:
    """What takes one input: the file."""
    certificates.valid(home)
    path = home / "web.yml"

    def check(data: bytes) -> None:
        path.write_bytes(data)
        try:
            access = read_access(path)
        except ConfigError as error:
            check_lines(error, f"{path}: ", secret=HASHED)
            return
        assert all(name and hashed.startswith(b"$2") for name, hashed in access.users.items())
        assert all(name in HEADERS and value.isprintable() for name, value in access.headers)

    return check

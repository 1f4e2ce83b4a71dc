"""The client's properties with what files hold: the CA of the brokers, and secrets."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CA = ("ssl.ca.location", "ssl.ca.pem")
SSL_CERT_FILE = "SSL_CERT_FILE"


class SecretFileError(ValueError):
    """A file that the broker's settings name cannot be read. The text holds nothing of it."""


def secured(
    properties: Mapping[str, Any],
    ca_file: Path | None,
    secret_files: Mapping[str, str],
    environment: Mapping[str, str] = os.environ,
) -> dict[str, Any]:
    """Return the properties that the client takes; `secret_files` says which hold the path of which. Raises SecretFileError."""
    found = {secret_files.get(name, name): value for name, value in properties.items()}
    for name in secret_files.keys() & properties.keys():
        found[secret_files[name]] = _secret(name, Path(str(properties[name])))
    if ca_file is not None:
        _readable("ca_file", ca_file)
        found["ssl.ca.location"] = str(ca_file)
    elif not found.keys() & set(CA) and "ssl" in str(found.get("security.protocol", "")).lower():
        found |= {"ssl.ca.location": environment[SSL_CERT_FILE]} if environment.get(SSL_CERT_FILE) else {}
    return found


def _secret(name: str, path: Path) -> str:
    return _readable(f"properties.{name}", path).strip()


def _readable(key: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SecretFileError(f"kafka.{key}: {path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SecretFileError(f"kafka.{key}: {path} is no text") from None

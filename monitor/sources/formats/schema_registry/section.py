"""`registry` of a format's options: where it is and how it lets us in."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator

from monitor.sections import PositiveDuration, Section, one_way_in
from monitor.stream.events import SECOND


class SchemaRegistryError(ValueError):
    """A secret or a certificate that cannot be used: one line that names the key. It never holds a secret."""


RegistryError = SchemaRegistryError


LONGEST = 20 * SECOND  # that one question may take


class SchemaRegistrySettings(Section):
    """A Schema Registry. Paths are relative to the configuration."""

    url: str
    username: str | None = None
    password_file: Path | None = None
    password_env: str | None = None
    token_file: Path | None = None
    token_env: str | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    subject: str | None = None
    timeout: PositiveDuration = 5 * SECOND

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an address such as https://registry.internal:8081")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must hold no password: give username with password_file or password_env")
        if parts.query or parts.fragment:
            raise ValueError("must be an address without ? and #")
        try:
            _ = parts.port
        except ValueError:
            raise ValueError("must have a port from 1 to 65535, or none") from None
        return url.rstrip("/")

    @field_validator("timeout")
    @classmethod
    def _short(cls, timeout: int) -> int:
        if timeout > LONGEST:
            raise ValueError("must be 20s at most")
        return timeout

    @model_validator(mode="after")
    def _one_way_in(self) -> "SchemaRegistrySettings":
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file needs cert_file: the certificate that the key is of")
        if self.cert_file is not None and urlsplit(self.url).scheme != "https":
            raise ValueError("cert_file needs an address of https")
        return one_way_in(self)

    def secret(self, kind: str, environment: Mapping[str, str] = os.environ) -> str | None:
        """The password or the token; None where no key names one. Raises SchemaRegistryError."""
        path, name = getattr(self, f"{kind}_file"), getattr(self, f"{kind}_env")
        if path is None and name is None:
            return None
        text = _of_file(path, f"registry.{kind}_file") if path is not None else environment.get(name)
        where = f"registry.{kind}_file: {path}" if path is not None else f"registry.{kind}_env: {name}"
        if text is None:
            raise SchemaRegistryError(f"{where} is not set")
        found = text.strip()
        if not found or not found.isprintable():
            raise SchemaRegistryError(f"{where} must hold one line of text")
        return found


def _of_file(path: Path, key: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SchemaRegistryError(f"{key}: {path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SchemaRegistryError(f"{key}: {path} is no text") from None

"""Where secrets are read: a file beside the configuration, or a variable of the environment. No text here holds one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SHORTEST_TOKEN = 16  # characters
SHORTEST_KEY = 32  # of what signs: 32 random hex digits are 128 bits


class SecretError(ValueError):
    """A secret that cannot be read or used. The text never holds it."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Reads what keys such as `secret_file` and `secret_env` of a target name; paths are relative to `base`."""

    base: Path
    environment: Mapping[str, str]

    def read(self, secret_file: Path | None, secret_env: str | None, kind: str = "secret") -> tuple[str, str]:
        """The secret, and in words where it stands. Raises SecretError, which begins with the key: `kind` is its word."""
        if secret_file is not None:
            if ":/" in str(secret_file):
                raise SecretError(f"{kind}_file: must be the path of a file that holds the {kind}, not an address")
            path = self.base / secret_file
            return _text(path, kind), f"{kind}_file: the {kind} in {path}"
        if secret_env is None or not (secret_env.isascii() and secret_env.isidentifier()):
            raise SecretError(
                f"{kind}_env: must be the name of a variable that holds the {kind}, not the {kind} itself"
            )
        if secret_env not in self.environment:
            raise SecretError(f"{kind}_env: {secret_env} is not set")
        return self.environment[secret_env], f"{kind}_env: the {kind} in {secret_env}"

    def token(self, token_file: Path | None, token_env: str | None) -> bytes | None:
        """The token by which people are known; None where no key names one. Raises SecretError."""
        if token_file is None and token_env is None:
            return None
        text, place = self.read(token_file, token_env, "token")
        token = text.strip()
        if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
            raise SecretError(f"{place} must be {SHORTEST_TOKEN} or more letters, digits and signs without a space")
        return token.encode()

    def key(self, secret_file: Path | None, secret_env: str | None) -> bytes:
        """A secret of ours that signs. Raises SecretError."""
        text, place = self.read(secret_file, secret_env)
        key = text.strip()
        if len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
            raise SecretError(f"{place} must be {SHORTEST_KEY} or more letters, digits and signs without a space")
        return key.encode()


def _text(path: Path, kind: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SecretError(f"{kind}_file: {path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SecretError(f"{kind}_file: {path} is no text") from None

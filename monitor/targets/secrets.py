"""Where secrets are read: a file beside the configuration, or a variable of the environment. No text here holds one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SecretError(ValueError):
    """A secret that cannot be read or used. The text never holds it."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Reads what the keys `secret_file` and `secret_env` of a target name; paths are relative to `base`."""

    base: Path
    environment: Mapping[str, str]

    def read(self, secret_file: Path | None, secret_env: str | None) -> tuple[str, str]:
        """The secret, and in words where it stands. Raises SecretError, which begins with the key."""
        if secret_file is not None:
            path = self.base / secret_file
            return _text(path), f"secret_file: the secret in {path}"
        if secret_env is None or secret_env not in self.environment:
            raise SecretError(f"secret_env: {secret_env} is not set")
        return self.environment[secret_env], f"secret_env: the secret in {secret_env}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SecretError(f"secret_file: {path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SecretError(f"secret_file: {path} is no text") from None

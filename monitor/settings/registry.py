"""The model registry that new versions and their references come from: the section `registry`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from monitor.sections import PositiveDuration, Section, at_most_one, one_way_in, parse_duration
from monitor.stream.events import SECOND
from monitor.targets.model_registry import ModelRegistry
from monitor.targets.rest import Api, Login, http_address, read_token
from monitor.targets.secrets import SecretError, Secrets
from monitor.targets.transport import trusted


class RegistrySettings(Section):
    """Where an MLflow tracking server is, who we are there, how often it is asked, and the secret of its webhooks."""

    type: Literal["mlflow"]
    url: str = Field(repr=False)
    token_file: Path | None = None
    token_env: str | None = None
    username: str | None = None
    password_file: Path | None = None
    password_env: str | None = None
    ca_file: Path | None = None
    timeout: PositiveDuration = parse_duration("30s")
    poll: PositiveDuration = parse_duration("1m")
    artifact: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$")] = "driftd/reference.json"
    webhook_secret_file: Path | None = None
    webhook_secret_env: str | None = None

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        return http_address(url)

    @model_validator(mode="after")
    def _one_way(self) -> "RegistrySettings":
        """Each secret in one place, and one way in."""
        return one_way_in(at_most_one(self, "webhook_secret"))

    def build(self, secrets: Secrets) -> ModelRegistry:
        """The registry. Raises ValueError, which holds no secret."""
        token = read_token(secrets, self.token_file, self.token_env)
        headers: dict[str, str] = {} if token is None else {"authorization": f"Bearer {token}"}
        hidden: tuple[str, ...] = () if token is None else (token,)
        if self.username is not None:
            text, place = secrets.read(self.password_file, self.password_env, "password")
            if not text.strip():
                raise SecretError(f"{place} is empty")
            login = Login(self.username, text.strip())
            headers, hidden = login.header(), login.hidden()
        ca_file = None if self.ca_file is None else secrets.base / self.ca_file
        return ModelRegistry(
            Api(self.url.rstrip("/"), headers, self.timeout / SECOND, trusted(ca_file), hidden), self.artifact
        )

    def webhook_secret(self, secrets: Secrets) -> bytes | None:
        """What MLflow signs its webhooks with, as it stands there; None where no key names one. Raises SecretError."""
        if self.webhook_secret_file is None and self.webhook_secret_env is None:
            return None
        text, place = secrets.read(self.webhook_secret_file, self.webhook_secret_env, "webhook_secret")
        if not text.strip():
            raise SecretError(f"{place} is empty")
        return text.strip().encode()

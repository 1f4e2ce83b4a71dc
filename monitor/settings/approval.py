"""Links by which a request for retraining is approved or rejected: the section `http.approval_links`."""

from pathlib import Path

from pydantic import model_validator

from monitor.sections import PositiveDuration, Section, parse_duration


class ApprovalLinksSettings(Section):
    """The secret that signs them, and how long each holds."""

    secret_file: Path | None = None
    secret_env: str | None = None
    expires: PositiveDuration = parse_duration("3d")

    @model_validator(mode="after")
    def _one_secret(self) -> "ApprovalLinksSettings":
        if (self.secret_file is None) == (self.secret_env is None):
            raise ValueError("needs exactly one of secret_file and secret_env")
        return self

"""What becomes of versions of a model that nobody has configured: the section `new_versions`."""

import re
from typing import Annotated

from pydantic import Field, model_validator

from monitor.alerting.versions import ReferenceFrom
from monitor.sections import PositiveDuration, Section, parse_duration

PLACES = re.compile(r"{([^{}]*)}")
NAMED = frozenset({"model", "version"})
MOST_KEPT = 10


class NewVersionsSettings(Section):
    """Where the reference of a new version comes from, how long it is waited for, and how many versions are followed."""

    reference: ReferenceFrom = "learn"
    file: str | None = None
    alias: str | None = None
    rows: Annotated[int, Field(ge=100, le=10**9)] = 10_000
    wait: PositiveDuration = parse_duration("1h")
    keep: Annotated[int, Field(ge=1, le=MOST_KEPT)] = 2

    @model_validator(mode="after")
    def _of_files(self) -> "NewVersionsSettings":
        """A template that names the version, where references are files; none where they are not."""
        if (self.file is not None) != (self.reference == "file"):
            raise ValueError(
                "reference: file needs file, the path of a reference with {version} in it, and file needs that"
            )
        if self.alias is not None and self.reference != "registry":
            raise ValueError("alias is of a registry: give reference: registry")
        if self.file is None:
            return self
        named = set(PLACES.findall(self.file))
        if "version" not in named or named - NAMED or "{" in PLACES.sub("", self.file):
            raise ValueError("file must name {version}, may name {model}, and nothing else in braces")
        return self

"""Where records that are rejected are kept: the section `dead_letters`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from monitor.sections import Section, Size, parse_size, show_size

LEAST = parse_size("1MB")


def _enough(size: int) -> int:
    if size < LEAST:
        raise ValueError(f"must be at least {show_size(LEAST)}")
    return size


class DeadLettersSettings(Section):
    """A directory, with how much it may hold and what happens then; or a topic."""

    directory: Path | None = None
    topic: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")] | None = None
    max_size: Annotated[Size, AfterValidator(_enough)] = parse_size("1GB")
    when_full: Literal["block", "drop_oldest"] = "block"

    @model_validator(mode="after")
    def _one_place(self) -> "DeadLettersSettings":
        if (self.directory is None) == (self.topic is None):
            raise ValueError("takes one of directory and topic")
        for name in ("max_size", "when_full"):
            if self.topic is not None and name in self.model_fields_set:
                raise ValueError(f"{name} is of a directory; how long a topic keeps records is set in Kafka")
        return self

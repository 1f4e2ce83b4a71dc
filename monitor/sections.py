"""What every section of the configuration is made of: names and durations. Each section is declared beside what it configures."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from detectors.durations import nanoseconds, show_duration

__all__ = ["Duration", "Name", "PositiveDuration", "Section", "parse_duration", "show_duration"]


def parse_duration(value: Any) -> int:
    """`5m` to nanoseconds; a unit is required, but of zero."""
    return 0 if isinstance(value, int) and not isinstance(value, bool) and value == 0 else nanoseconds(value)


def _positive(nanos: int) -> int:
    if nanos <= 0:
        raise ValueError("must be longer than zero")
    return nanos


Duration = Annotated[int, BeforeValidator(parse_duration), PlainSerializer(show_duration, return_type=str)]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Section(BaseModel):
    """A part of the configuration. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

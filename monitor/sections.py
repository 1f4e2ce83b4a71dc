"""What every section of the configuration is made of: names and durations. Each section is declared beside what it configures."""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from monitor.stream.events import DAY, HOUR, MILLISECOND, MINUTE, SECOND

NANOS = {"ns": 1, "us": 1_000, "ms": MILLISECOND, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
LONGEST = 3650 * NANOS["d"]  # so that event time and a duration together stay within int64


def parse_duration(value: Any) -> int:
    """`5m` to nanoseconds; a unit is required, so that 30 is never taken for minutes."""
    if isinstance(value, int) and not isinstance(value, bool) and value == 0:
        return 0
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|us|ns|s|m|h|d)", value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a duration such as 500ms, 30s, 5m, 1h or 7d")
    nanos = Decimal(match[1]) * NANOS[match[2]]
    if nanos > LONGEST:
        raise ValueError(f"must be at most {show_duration(LONGEST)}")
    return round(nanos)


def show_duration(nanos: int) -> str:
    """Nanoseconds in the largest unit that divides them."""
    if nanos == 0:
        return "0s"
    unit = next(unit for unit in ("d", "h", "m", "s", "ms", "us", "ns") if nanos % NANOS[unit] == 0)
    return f"{nanos // NANOS[unit]}{unit}"


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

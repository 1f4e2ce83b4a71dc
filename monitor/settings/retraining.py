"""When retraining is asked for: the section `retraining`, of the whole configuration or of one model."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from monitor.alerting.schedule import Schedule
from monitor.sections import Duration, PositiveDuration, Section, parse_duration

Reason = Literal["drift", "performance"]
Veto = Literal["data_quality", "no_data", "calibration"]
Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class RetrainingCostsSettings(Section):
    """What one retraining costs, what a day of drift costs that none has answered, and how long one takes: for `driftd backtest`."""

    retraining: Cost = 0.0
    drift_per_day: Cost = 0.0
    takes: Duration = 0


class RetrainingSettings(Section):
    """When retraining is asked for and what stands against it, per model in event time."""

    cooldown: Duration = parse_duration("24h")
    max_per_week: Annotated[int, Field(ge=0)] = 3
    on: Annotated[list[Reason], BeforeValidator(_listed)] = ["drift", "performance"]  # noqa: RUF012 - pydantic copies it
    every: str | None = None
    unless_trained_within: PositiveDuration | None = None
    severity: Literal["info", "warning", "critical"] = "critical"
    features: Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)] = ["*"]  # noqa: RUF012 - same
    in_flight_timeout: PositiveDuration | None = None
    min_labelled_rows: Annotated[int, Field(ge=0)] = 0
    veto: Annotated[list[Veto], BeforeValidator(_listed)] = ["data_quality", "no_data", "calibration"]  # noqa: RUF012 - same
    max_lag: PositiveDuration | None = None
    dry_run: bool = False
    approval: Literal["none", "required"] = "none"
    approval_expires: PositiveDuration = parse_duration("7d")
    costs: RetrainingCostsSettings | None = None

    @field_validator("every")
    @classmethod
    def _is_due(cls, every: str | None) -> str | None:
        if every is not None:
            Schedule.parse(every)
        return every

    @model_validator(mode="after")
    def _of_a_schedule(self) -> "RetrainingSettings":
        if self.unless_trained_within is not None and self.every is None:
            raise ValueError("unless_trained_within is of a schedule: give every too")
        return self


def with_general(model: Any, general: Mapping[str, Any]) -> Any:
    """A model whose section has what the general one says and it does not say itself."""
    own = model.get("retraining") if isinstance(model, Mapping) else None
    return {**model, "retraining": {**general, **own}} if isinstance(own, Mapping) else model

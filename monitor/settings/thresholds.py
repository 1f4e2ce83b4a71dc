"""What a metric must not be: the section of one threshold of performance."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from monitor.sections import Section

Limit = Annotated[float, Field(allow_inf_nan=False)]


class MetricThresholdSettings(Section):
    """A metric is wrong below `at_least`, or above `at_most`: one of them, by which way is better."""

    at_least: Limit | None = None
    at_most: Limit | None = None
    hold: Annotated[int, Field(alias="for", ge=1)] = 1
    keep_firing_for: Annotated[int, Field(ge=1)] = 2
    severity: Literal["info", "warning", "critical"] = "critical"

    @model_validator(mode="after")
    def _one(self) -> "MetricThresholdSettings":
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("takes one of at_least and at_most")
        return self

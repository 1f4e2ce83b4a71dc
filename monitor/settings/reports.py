"""Reports for people: when, of which models, and where to."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from detectors.calibration.clocks import named
from monitor.alerting.schedule import Schedule
from monitor.reporting.reports import refuse_often
from monitor.sections import Name, Section


class ReportsSettings(Section):
    """When reports are made, by the wall clock of a zone; of which models; the folder and the targets that get them."""

    every: str = "0 8 * * 1"
    timezone: str | None = None
    models: Annotated[list[Name], Field(min_length=1)] = ["*"]  # noqa: RUF012 - pydantic copies it
    folder: Path | None = None
    keep: Annotated[int, Field(ge=1, le=10_000)] = 60
    targets: list[Name] = []  # noqa: RUF012 - same

    @field_validator("timezone")
    @classmethod
    def _there_is_a_clock(cls, timezone: str | None) -> str | None:
        named(timezone)
        return timezone

    @field_validator("every")
    @classmethod
    def _is_due(cls, every: str) -> str:
        refuse_often(Schedule.parse(every))
        return every

    @model_validator(mode="after")
    def _goes_somewhere(self) -> "ReportsSettings":
        if self.folder is None and not self.targets:
            raise ValueError("reports go nowhere: give folder, targets or both")
        return self

    @property
    def schedule(self) -> Schedule:
        """When they are due."""
        return Schedule(self.every, named(self.timezone))

    def chosen(self, models: Sequence[str]) -> tuple[str, ...]:
        """Those of the configured models that are reported of. Raises ValueError for a name that is none of them."""
        for glob in self.models:
            if not any(fnmatchcase(model, glob) for model in models):
                raise ValueError(
                    f"models: {glob!r} is no configured model; there is {', '.join(dict.fromkeys(models))}"
                )
        return tuple(dict.fromkeys(each for each in models if any(fnmatchcase(each, glob) for glob in self.models)))

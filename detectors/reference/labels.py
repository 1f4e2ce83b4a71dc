"""Which column of a table holds what came true, and how it is read."""

from dataclasses import dataclass
from typing import Final

TASKS: Final = ("binary", "multiclass", "regression")


@dataclass(frozen=True, slots=True)
class LabelColumn:
    """The column `name` of labels, and how they are counted beside the prediction.

    `task` is binary (the prediction is a score), multiclass (it is a class) or regression (it is a number); absent, it follows from the
    prediction: one of categories is a class, one between 0 and 1 a score. `positive` is the label that scores speak of,
    however spelled; any other is negative, or `negative` alone where it is given, and those besides are refused. A score of
    `threshold` or more is a positive prediction. Raises ValueError for an unknown task and a threshold outside (0, 1].
    """

    name: str
    task: str | None = None
    positive: str = "1"
    negative: str | None = None
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.task not in {None, *TASKS}:
            raise ValueError(f"task {self.task!r} is none of {', '.join(TASKS)}")
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be above 0 and at most 1, not {self.threshold}")
        if self.positive == self.negative:
            raise ValueError(f"positive and negative are the same label, {self.positive!r}")

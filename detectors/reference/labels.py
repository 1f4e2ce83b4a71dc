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
    `threshold` or more is a positive prediction. `weight` is the column of weights, a row without one has 1. Of classes `scores` is how the columns of
    scores begin: the rest of each one's name is its class, however spelled. None of these columns is a feature. Raises ValueError for an
    unknown task and a threshold outside (0, 1].
    """

    name: str
    task: str | None = None
    positive: str = "1"
    negative: str | None = None
    threshold: float = 0.5
    weight: str | None = None
    scores: str | None = None

    def __post_init__(self) -> None:
        if self.task not in {None, *TASKS}:
            raise ValueError(f"task {self.task!r} is none of {', '.join(TASKS)}")
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be above 0 and at most 1, not {self.threshold}")
        if self.positive == self.negative:
            raise ValueError(f"positive and negative are the same label, {self.positive!r}")
        if self.weight == self.name:
            raise ValueError(f"weight and label are the same column, {self.name}")
        if self.scores == "":
            raise ValueError("scores must be how the names of their columns begin, not nothing")

    def holds(self, column: str) -> bool:
        """Whether a column is of labels, and hence no feature."""
        return column in {self.name, self.weight} or (self.scores is not None and column.startswith(self.scores))

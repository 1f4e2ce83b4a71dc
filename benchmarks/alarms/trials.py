"""The charts on simulated traffic: months in which nothing changes, and changes."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.alarms.incident import Incident
from benchmarks.alarms.laws import other
from benchmarks.alarms.model import Model
from benchmarks.alarms.scoring import DAY, MONTH
from benchmarks.alarms.truth import Categories, Change, Normal
from benchmarks.measure import Figures
from detectors.charts.charts import Charts
from detectors.charts.design import CHARTS, BudgetSpec
from detectors.charts.floors import Floors
from detectors.charts.point import ChartPoint

FLOORS = {"default": Floors(), "off": Floors(shift=0.0, scale=0.0, mass=0.0)}
BURN_IN = 24  # windows before a change, so that sums stand where they usually stand
AT_ONCE = 24  # windows drawn together after a change


@dataclass(frozen=True, slots=True)
class Trial:
    """A change, made to every feature of a sort as an experiment of its own, or to `one` at a time.

    Features are independent, each with a reference of its own, and thresholds are those of all of them, so a feature's own
    delay is that of a model where it alone has changed; `one` at a time shows which feature is named first.
    """

    key: str
    change: Change
    sort: str = "normal"
    floor: str = "default"
    horizon: int = DAY
    one: int = 0


def features_of(model: Model, trial: Trial) -> list[int]:
    """Which features a trial may change."""
    sorts = {
        "normal": lambda one: isinstance(one, Normal),
        "seldom missing": lambda one: isinstance(one, Normal) and one.missing > 0,
        "ten categories": lambda one: isinstance(one, Categories) and len(one.shares) == 10,
    }
    return [at for at, one in enumerate(model.truth) if sorts[trial.sort](one)]


def charts_of(model: Model, floor: str) -> Charts:
    """Begin charts at one false alarm a month."""
    return Charts(model.reference, BudgetSpec(per_month=1.0, floors=FLOORS[floor]))


def steps(
    charts: Sequence[Charts], model: Model, first: int, windows: int, changes: Mapping[int, Change] | None = None
) -> Iterator[list[ChartPoint]]:
    """Draw windows and let all charts see them."""
    block = model.stream.draw(first, windows, changes)
    for at in range(windows):
        start = model.start(first + at)
        counts = block.cells[at], block.missing[at], block.unseen[at], int(block.rows[at])
        yield [one.judge(*counts, start, start + model.world.window_ns) for one in charts]


def quiet(model: Model, windows: int, floors: Sequence[str]) -> dict[str, Figures]:
    """Run so many windows without a change; for each floor its pages, and what opened them."""
    charts = [charts_of(model, floor) for floor in floors]
    found = [_Quiet(model) for _ in floors]
    for first in range(0, windows, DAY):
        for seen in steps(charts, model, model.begins + first, min(DAY, windows - first)):
            for one, step in zip(found, seen, strict=True):
                one.take(step)
    return {floor: one.figures(windows) for floor, one in zip(floors, found, strict=True)}


class _Quiet:
    """Counts pages, and which charts opened them."""

    def __init__(self, model: Model) -> None:
        self.incident = Incident(model)
        self.alarmed = self.suspect = self.unclean = 0
        self.causes: Counter[str] = Counter()

    def take(self, step: ChartPoint) -> None:
        if self.incident.follow(step):
            self.causes.update(CHARTS[chart] for chart in np.flatnonzero(step.firing.any(axis=0)))
            self.causes.update(("few rows", "many rows")[way] for way in np.flatnonzero(step.row_firing))
        self.alarmed += self.incident.open
        self.suspect += step.suspect
        self.unclean += not (np.isfinite(step.values).all() and np.isfinite(step.z).all())

    def figures(self, windows: int) -> Figures:
        return {
            "pages": self.incident.pages,
            "windows": windows,
            "months": windows / MONTH,
            "alarmed": self.alarmed,
            "suspect": self.suspect,
            "unclean": self.unclean,
            "causes": dict(self.causes),
        }


def delays(model: Model, trial: Trial) -> Figures:
    """Windows from a change to its page, for every feature that the trial may change."""
    return _one_by_one(model, trial) if trial.one else _all_apart(model, trial)


def _all_apart(model: Model, trial: Trial) -> Figures:
    at = np.array(features_of(model, trial))
    charts = charts_of(model, trial.floor)
    for seen in steps([charts], model, model.begins, BURN_IN):
        before = seen[0].firing.any(axis=1)
    delay = np.full(at.size, np.inf)
    changes = dict.fromkeys(at.tolist(), trial.change)
    for windows in range(0, trial.horizon, AT_ONCE):
        for number, seen in enumerate(steps([charts], model, model.begins + BURN_IN + windows, AT_ONCE, changes), 1):
            fired = seen[0].firing[at].any(axis=1)
            delay = np.where(fired & np.isinf(delay), windows + number, delay)
        if np.isfinite(delay).all():
            break
    return {"delays": delay[~before[at]].tolist(), "horizon": trial.horizon}


def _one_by_one(model: Model, trial: Trial) -> Figures:
    """Change one feature after another, each from the same quiet beginning; which feature stands first on the page."""
    charts = charts_of(model, trial.floor)
    for _ in steps([charts], model, model.begins, BURN_IN):
        pass
    state, names = charts.to_bytes(), model.reference.names
    found, right = [], 0
    for at in features_of(model, trial)[: trial.one]:
        charts.restore(state)
        meant = {at, other(at, model.cells)} if trial.change.swapped else {at}
        delay, first = _paged(charts, model, trial, dict.fromkeys(meant, trial.change))
        found.append(delay)
        right += first in {names[one] for one in meant}
    return {"delays": found, "horizon": trial.horizon, "right": right}


def _paged(charts: Charts, model: Model, trial: Trial, changes: Mapping[int, Change]) -> tuple[float, str]:
    """Windows to the page, and the feature that stands first on it."""
    incident = Incident(model)
    for number, [step] in enumerate(steps([charts], model, model.begins + BURN_IN, trial.horizon, changes), 1):
        if incident.follow(step):
            return number, incident.first(step)
    return float("inf"), ""

"""Which worlds are simulated, for how long, which changes are made in them, and what is to be reached."""

from dataclasses import dataclass, replace

from benchmarks.alarms.compare import Contest
from benchmarks.alarms.streams import World
from benchmarks.alarms.trials import Trial
from benchmarks.alarms.truth import PLAIN, TIES, Change, Mix


@dataclass(frozen=True, slots=True)
class Scenario:
    """A world lived through `replicas` times, each with features and a reference of its own.

    `months` without a change each, once for every one of `floors`; then the trials.
    """

    key: str
    title: str
    world: World
    mix: Mix = PLAIN
    weeks: float = 2
    replicas: int = 10
    months: float = 1.0
    floors: tuple[str, ...] = ("default",)
    trials: tuple[Trial, ...] = ()


def both(key: str, change: Change) -> tuple[Trial, Trial]:
    """Make the same change under the default floor and without."""
    return Trial(key, change), Trial(f"{key}, floor off", change, floor="off")


SWEEP = (0.075, 0.15, 0.2, 0.35, 0.5, 1.0)  # σ, for the plot, beside those of the table
SEASON = "daily and weekly waves of {0} σ, days ± 0.03 σ"
SCENARIOS = (
    Scenario("iid-30", "independent rows, n = 30", World(30), trials=both("0.25 σ", Change(shift=0.25))),
    Scenario(
        "iid-100",
        "independent rows, n = 100",
        World(100),
        floors=("default", "off"),
        trials=(*both("0.25 σ", Change(shift=0.25)), *both("sd × 1.25", Change(stretch=1.25))),
    ),
    Scenario(
        "iid-1000",
        "independent rows, n = 1 000",
        World(1000),
        floors=("default", "off"),
        trials=(
            *both("0.25 σ", Change(shift=0.25)),
            *both("0.1 σ", Change(shift=0.1)),
            *(one for shift in SWEEP for one in both(f"{shift:g} σ", Change(shift=shift))),
            Trial("5 points of mass", Change(moved=0.05), "ten categories"),
            Trial("unseen 1 %", Change(unseen=0.01), "ten categories"),
            Trial("missing 2 %", Change(missing=0.02), "seldom missing"),
            Trial("× 100", Change(times=100.0), horizon=12, one=20),
            Trial("stuck", Change(stuck=True), horizon=12, one=20),
            Trial("swapped", Change(swapped=True), horizon=12, one=20),
        ),
    ),
    Scenario("iid-100000", "independent rows, n = 100 000", World(100_000)),
    Scenario("ar-100", "AR(0.9) rows, n = 100", World(100, phi=0.9)),
    Scenario(
        "ar-1000",
        "AR(0.9) rows, n = 1 000",
        World(1000, phi=0.9),
        trials=(*both("0.5 σ", Change(shift=0.5)), *both("0.25 σ", Change(shift=0.25))),
    ),
    Scenario(
        "season",
        SEASON.format("0.3"),
        World(1000, season=0.3, day_effect=0.03),
        trials=(Trial("0.5 σ", Change(shift=0.5)),),
    ),
    Scenario(
        "season-strong",
        SEASON.format("1"),
        World(1000, season=1.0, day_effect=0.03),
        trials=(Trial("0.5 σ", Change(shift=0.5)),),
    ),
    Scenario("weekend", "weekends 0.3 σ higher from midnight to midnight", World(1000, weekend=0.3), replicas=5),
    Scenario("ties-100", "ties, n = 100: 10 integers, 5 constants, 5 zero-inflated", World(100), TIES),
    Scenario("ties-1000", "ties, n = 1 000: 10 integers, 5 constants, 5 zero-inflated", World(1000), TIES),
    Scenario(
        "million",
        "independent rows, n = 1 000 000",
        World(1_000_000),
        trials=(
            Trial("0.05 σ", Change(shift=0.05), horizon=2016),
            Trial("0.02 σ", Change(shift=0.02), horizon=2016),
            Trial("0.1 σ", Change(shift=0.1)),
            Trial("0.2 σ", Change(shift=0.2)),
        ),
    ),
)
CONTESTS = (
    Contest("iid-100", World(100), 2000, (0.25,), river=1000),
    Contest("iid-1000", World(1000), 600, (0.25, 0.1), river=300),
    Contest("iid-100000", World(100_000), 100),
    Contest("ar-1000", World(1000, phi=0.9), 400, river=120),
    Contest("season", World(1000, season=0.3, day_effect=0.03), 576, river=288),
)


@dataclass(frozen=True, slots=True)
class RateRow:
    """A line of the table about false pages a month: most as the best estimate, or at least not ruled out by 95 %."""

    scenario: str
    most: float | None
    upper: float | None = None  # what the interval's upper end may be
    floor: str = "default"


@dataclass(frozen=True, slots=True)
class DelayRow:
    """A line about delays, in windows."""

    scenario: str
    trial: str
    most: float | None
    p95: float | None = None
    never: bool = False  # it is to stay silent
    right: bool = False  # and name the right feature first


RATES = (
    *(RateRow(f"iid-{rows}", 1) for rows in (30, 100, 1000, 100_000)),
    RateRow("iid-100", 1, floor="off"),
    RateRow("iid-1000", 1, floor="off"),
    RateRow("ar-100", 2, 4),
    RateRow("ar-1000", 2, 4),
    RateRow("season", 2),
    RateRow("season-strong", None),
    RateRow("weekend", None),
    RateRow("ties-100", 1),
    RateRow("ties-1000", 1),
    RateRow("million", 1),
)
DELAYS = (
    DelayRow("iid-1000", "0.25 σ", 3.5, 5),
    DelayRow("iid-1000", "0.1 σ", 25),
    DelayRow("iid-100", "0.25 σ", 12),
    DelayRow("iid-30", "0.25 σ", 32),
    DelayRow("iid-100", "sd × 1.25", 12),
    DelayRow("iid-1000", "0.25 σ, floor off", 3),
    DelayRow("iid-1000", "0.1 σ, floor off", 8),
    DelayRow("iid-100", "0.25 σ, floor off", 10),
    DelayRow("iid-30", "0.25 σ, floor off", 20),
    DelayRow("iid-100", "sd × 1.25, floor off", 8),
    DelayRow("ar-1000", "0.5 σ", 8),
    DelayRow("ar-1000", "0.25 σ", 30),
    DelayRow("ar-1000", "0.5 σ, floor off", 5),
    DelayRow("ar-1000", "0.25 σ, floor off", 15),
    DelayRow("million", "0.05 σ", None, never=True),
    DelayRow("million", "0.02 σ", None, never=True),
    DelayRow("million", "0.1 σ", 2),
    DelayRow("million", "0.2 σ", 2),
    DelayRow("iid-1000", "5 points of mass", 3),
    DelayRow("iid-1000", "unseen 1 %", 2),
    DelayRow("iid-1000", "missing 2 %", 2),
    DelayRow("iid-1000", "× 100", 1, right=True),
    DelayRow("iid-1000", "stuck", 1, right=True),
    DelayRow("iid-1000", "swapped", 1, right=True),
    DelayRow("season", "0.5 σ", None),
    DelayRow("season-strong", "0.5 σ", None),
)


LEFT_OUT = {"weekend", "million", "ties-1000", "iid-100000"}  # of the short form


def short() -> tuple[tuple[Scenario, ...], tuple[Contest, ...]]:
    """Most of it in three minutes: one reference a world, a few days without a change, every trial of the table."""
    wanted = {(row.scenario, row.trial) for row in DELAYS}
    scenarios = tuple(
        replace(
            one,
            replicas=1,
            months=0.05 if one.key == "ar-1000" else 0.2,
            trials=tuple(trial for trial in one.trials if (one.key, trial.key) in wanted),
        )
        for one in SCENARIOS
        if one.key not in LEFT_OUT
    )
    contests = tuple(
        replace(one, windows=40, shifts=(), river=0) for one in CONTESTS if one.key in {"iid-100", "ar-1000"}
    )
    return scenarios, contests

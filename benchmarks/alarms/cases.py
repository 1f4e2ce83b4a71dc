"""Ordinary worlds, changes that last, and changes that are easily missed: each by name, with what is drawn anew for a model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from benchmarks.alarms.levels import Process, days, long_memory, trend, wandering, waves
from benchmarks.alarms.marginals import (
    Categories,
    Counts,
    Feature,
    Flag,
    Lognormal,
    LongTail,
    Normal,
    ZeroInflated,
    inverse,
)
from benchmarks.alarms.rows import Independent, Rows, Sessions, Storm
from benchmarks.alarms.streams import World
from benchmarks.alarms.traffic import Change, Habits
from detectors.charts import duplicates
from detectors.univariate import volume

Pick = Callable[[tuple[Feature, ...], np.random.Generator], list[str]]


@dataclass(frozen=True, slots=True)
class Plant:
    """A change in the life of a model: from `day` on, counted from the end of the reference, of the features picked."""

    change: Change
    day: float
    pick: Pick
    lasts: float = inf  # days


@dataclass(frozen=True, slots=True)
class Trial:
    """A change made again and again, each time to one of the features picked and to a fresh operator.

    `after`: another change that was made to another feature so many hours before, so that an incident is open.
    `named`: what people ought to be told of, where it is not the feature itself.
    """

    key: str
    change: Change
    pick: Pick
    horizon: float = 72.0  # hours
    after: tuple[Change, float] | None = None
    named: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """A world by name. `grid` stands for habits where rows are too many to draw: the harness's own counts."""

    key: str
    title: str
    habits: Callable[[np.random.Generator], Habits] | None = None
    grid: World | None = None
    plants: tuple[Plant, ...] = ()
    trials: tuple[Trial, ...] = ()
    reference_days: float = 14.0
    months: bool = True  # whether it is lived through; else trials alone
    settles: bool = True  # a change that lasts is to settle; one that ends, or never ends, is not bound to


def numbers(many: int) -> Pick:
    """So many of the plain numbers, drawn anew for each model."""
    return lambda features, rng: _drawn([one.name for one in features if one.name.startswith("n")], many, rng)


def any_of(many: int) -> Pick:
    """So many features of any kind."""
    return lambda features, rng: _drawn([one.name for one in features], many, rng)


def every(kind: str) -> Pick:
    """All features whose names begin so."""
    return lambda features, _: [one.name for one in features if one.name.startswith(kind)]


def the(*chosen: str) -> Pick:
    """These features, by name."""
    return lambda _, __: list(chosen)


def _drawn(chosen: list[str], many: int, rng: np.random.Generator) -> list[str]:
    return [chosen[at] for at in rng.choice(len(chosen), min(many, len(chosen)), replace=False).tolist()]


def mixed(rng: np.random.Generator) -> tuple[Feature, ...]:
    """Twenty-four features: numbers of many shapes, flags, texts; some are missing now and then."""
    scales = np.exp(rng.normal(0, 2, 11)).tolist()
    plain = [
        Feature(f"n{at:02}", Normal(float(rng.normal(0, 3)) * scale, scale), 0.001 if at % 5 == 0 else 0.0)
        for at, scale in enumerate(scales)
    ]
    amounts = [Feature(f"a{at}", Lognormal(sd)) for at, sd in enumerate((0.5, 1.0, 1.5))]
    counts = [Feature(f"k{at}", Counts(rate)) for at, rate in enumerate((3.0, 12.0))]
    rest = [Feature("z0", ZeroInflated(0.3)), Feature("b0", Flag(0.2)), Feature("b1", Flag(0.5))]
    texts = [Feature(f"t{at}", inverse(many), 0.01 if at == 0 else 0.0) for at, many in enumerate((3, 5, 10, 10, 30))]
    return (*plain, *amounts, *counts, *rest, *texts)


def rare(rng: np.random.Generator) -> tuple[Feature, ...]:
    """The same with what is easily missed: rare flags, seldom amounts, a rare category, a rarely predicted label."""
    added = (
        *(Feature(f"flag_{share:g}", Flag(share / 100)) for share in (0.1, 1, 3)),
        Feature("seldom", ZeroInflated(0.02)),
        Feature("category", Categories((0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.018, 0.002))),
        Feature("__prediction__", Categories((0.998, 0.002))),
    )
    return (*mixed(rng)[4:], *added)


def usual(
    *levels: Process,
    rows: Rows | None = None,
    more: tuple[Feature, ...] = (),
    clocks: float | None = None,
    grouped: bool = False,
) -> Callable[[np.random.Generator], Habits]:
    """The mixed features under these levels."""
    return lambda rng: Habits((*mixed(rng), *more), rows or Independent(1000), levels, clocks=clocks, grouped=grouped)


SHIFT = Change(shift=0.5)
HALF = Trial("0.5 σ", SHIFT, numbers(4))
DAYS_14 = 14 * 24.0
WAVES = (waves(0.3), days(0.1))
WEATHER = Feature("weather", Normal(12, 6), noise=0.0, levels=(waves(0.8, 0.0), wandering(0.7, 72.0)))
ORDINARY = (
    Case("quiet", "rows at random, no levels", usual(), trials=(HALF,)),
    Case("waves-day-.1", "waves .3 σ, days ± .1 σ", usual(*WAVES), trials=(HALF,)),
    Case(
        "waves-day-.3",
        "waves .3 σ, days ± .3 σ",
        usual(waves(0.3), days(0.3)),
        trials=(Trial("1.5 σ", Change(shift=1.5), numbers(4)),),
    ),
    Case("waves-day-t3", "waves .3 σ, days ± .1 σ of Student's t with 3", usual(waves(0.3), days(0.1, 3.0))),
    Case("waves-1-day-.1", "waves 1 σ, days ± .1 σ", usual(waves(1.0), days(0.1))),
    Case("day-.1", "days ± .1 σ, no waves", usual(days(0.1))),
    Case(
        "day-.3",
        "days ± .3 σ, no waves",
        usual(days(0.3)),
        trials=(Trial("1.5 σ", Change(shift=1.5), numbers(4)),),
    ),
    Case("slow", "a level that wanders: sd .1 σ, a day", usual(wandering(0.1))),
    Case("sessions-100", "100 sessions a window, correlation .5", usual(rows=Sessions(1000, 100, 0.5)), trials=(HALF,)),
    *(
        case
        for key, title, rows in (
            ("30", "30 sessions a window, correlation .7", Sessions(1000, 30, 0.7)),
            (
                "wild",
                "100 sessions a window by day and few at night, sizes far apart, correlation .5",
                Sessions(1000, 100, 0.5, night=0.9, spread=1.5),
            ),
            (
                "vary",
                "some 60 sessions a window, from hour to hour between 20 and 200, correlation .6",
                Sessions(1000, 60, 0.6, varies=0.8),
            ),
            (
                "fewer",
                "100 sessions a window, a fifth of them five times as long after the reference, correlation .5",
                Sessions(1000, 100, 0.5, until=DAYS_14),
            ),
        )
        for case in (
            Case(f"sessions-{key}", title, usual(rows=rows), trials=(HALF,)),
            Case(f"grouped-{key}", f"{title}; `group`", usual(rows=rows, grouped=True), trials=(HALF,)),
        )
    ),
    Case("storm", "an hour a week in which 60 rows are sent again and again", usual(rows=Storm(1000, 60, 51.0))),
    Case("weather", "one value an hour for all rows", usual(more=(WEATHER,))),
    Case("memory", "ARFIMA, d .3, sd .3 σ", usual(long_memory(0.3, 0.3))),
    Case("long-tail", "categories of Zipf's law, some 800 of them seen", usual(more=(Feature("tail", LongTail()),))),
    *(
        Case(
            f"grid-day-{str(sd)[1:]}",
            f"200 features, 5 min: waves .3 σ, days ± {sd:g} σ",
            grid=World(1000, season=0.3, day_effect=sd),
        )
        for sd in (0.06, 0.1, 0.3)
    ),
    Case("grid-flat-.1", "200 features, 5 min: days ± .1 σ, no waves", grid=World(1000, day_effect=0.1)),
)
LASTING = (
    Case("step", "one feature .5 σ higher from day 5 on", usual(), plants=(Plant(SHIFT, 5.3, numbers(1)),)),
    Case(
        "step-waves",
        "the same under waves .3 σ, days ± .1 σ",
        usual(*WAVES),
        plants=(Plant(SHIFT, 5.3, numbers(1)),),
    ),
    Case(
        "category", "1 % of a new category from day 5 on", usual(), plants=(Plant(Change(unseen=0.01), 5.3, the("t2")),)
    ),
    Case(
        "leaked",
        "two features .5 σ higher from three days before the reference's end on",
        usual(),
        plants=(Plant(SHIFT, -3.0, numbers(2)),),
    ),
    Case(
        "leaked-far",
        "eight features 1 σ higher from three days before the reference's end on",
        usual(waves(0.3)),
        plants=(Plant(Change(shift=1.0), -3.0, numbers(8)),),
    ),
    Case(
        "leaked-back",
        "eight features 1 σ higher on the reference's last three days alone",
        usual(waves(0.3)),
        plants=(Plant(Change(shift=1.0), -3.0, numbers(8), lasts=3.0),),
        settles=False,
    ),
    Case(
        "clock",
        "waves of 1 σ by people's clocks, which change on day 7",
        usual(waves(1.0), clocks=DAYS_14 + 7 * 24 + 2),
    ),
    Case(
        "holiday",
        "a day on which twelve features are ± .8 σ",
        usual(waves(0.3)),
        plants=(
            Plant(Change(shift=0.8), 9.0, any_of(6), lasts=1.0),
            Plant(Change(shift=-0.8), 9.0, any_of(6), lasts=1.0),
        ),
        settles=False,
    ),
    Case("trend", "two features move by .005 σ a day for ever", usual(trend(0.005, 2)), settles=False),
    Case(
        "second",
        "a change while another is open",
        usual(),
        months=False,
        trials=(
            Trial("0.5 σ, alone", SHIFT, numbers(4)),
            Trial("0.5 σ, three days after another", SHIFT, numbers(4), after=(SHIFT, 72.0)),
            Trial("new category 1 %, alone", Change(unseen=0.01), the("t2", "t3")),
            Trial(
                "new category 1 %, three days after a shift", Change(unseen=0.01), the("t2", "t3"), after=(SHIFT, 72.0)
            ),
            Trial("missing 3 %, alone", Change(missing=0.03), numbers(2)),
            Trial("missing 3 %, three days after a shift", Change(missing=0.03), numbers(2), after=(SHIFT, 72.0)),
        ),
    ),
)
LABEL = Categories((0.8, 0.2))
BLIND = (
    Trial("flag .1 % → 50 %", Change(becomes=Flag(0.5)), the("flag_0.1")),
    Trial("flag 1 % → 50 %", Change(becomes=Flag(0.5)), the("flag_1")),
    Trial("flag 3 % → 50 %", Change(becomes=Flag(0.5)), the("flag_3")),
    Trial("flag 1 % → 5 %", Change(becomes=Flag(0.05)), the("flag_1")),
    Trial("seldom 2 % → 5 %", Change(becomes=ZeroInflated(0.05)), the("seldom")),
    Trial("seldom 2 % → 40 %", Change(becomes=ZeroInflated(0.4)), the("seldom")),
    Trial("seldom 2 % → never", Change(becomes=ZeroInflated(0.0)), the("seldom")),
    Trial("label .2 % → 20 %", Change(becomes=LABEL), the("__prediction__")),
    Trial(
        "category .2 % → 2 %",
        Change(becomes=Categories((0.393, 0.246, 0.147, 0.098, 0.049, 0.029, 0.018, 0.02))),
        the("category"),
    ),
    Trial("every row twice", Change(copies=2), the(volume.FEATURE), named=(duplicates.FEATURE,)),
    Trial("every row thrice, without their ids", Change(copies=3, same_ids=False), the(volume.FEATURE)),
)
CASES = {
    one.key: one
    for one in (
        *ORDINARY,
        *LASTING,
        *(
            Case(
                f"blind-{rows}",
                f"what is easily missed, n = {rows}",
                lambda rng, rows=rows: Habits(rare(rng), Independent(rows)),  # type: ignore[misc]
                trials=tuple(replace(trial, horizon=72.0) for trial in BLIND),
            )
            for rows in (30, 100, 1000)
        ),
    )
}
SHORT = ("waves-day-.1", "second", "blind-1000")  # what CI runs of them

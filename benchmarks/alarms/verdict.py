"""Each line of the tables: what was found, what was to be reached, and whether it was."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.alarms.scenarios import DELAYS, RATES, DelayRow, RateRow
from benchmarks.alarms.scoring import Rate, delays, garwood
from benchmarks.measure import Figures

REACHED, MISSED, STATED, ABSENT = "reached", "**not reached**", "–", "not run"
DOUBTFUL = "not ruled out"
TOO_SHORT = "too few months to say"
ENOUGH = 10.0  # model-months of the full form: from there on the upper end of a rate is judged
CHANCE = 1e-4  # at which a rate that holds is said to be missed
SURE = 3.3  # standard errors of a mean: of fifty lines none should fail by chance


@dataclass(frozen=True, slots=True)
class Line:
    """One row: cells of the table, whether it was reached, and whether chance cannot explain that it was not."""

    cells: tuple[str, ...]
    verdict: str
    failed: bool = False
    figures: dict[str, Any] = field(default_factory=dict)


def rate_of(results: Sequence[Figures], floor: str = "default") -> Rate | None:
    """Add up the months of all replicas."""
    months = [one["quiet"][floor] for one in results if floor in one["quiet"]]
    return Rate(sum(one["pages"] for one in months), sum(one["months"] for one in months)) if months else None


def rate_line(row: RateRow, title: str, results: Sequence[Figures]) -> Line:
    """False pages a month."""
    rate = rate_of(results, row.floor)
    name = title if row.floor == "default" else f"{title}, floor off"
    goal = "stated" if row.most is None else f"≤ {row.most:g}" + (f", upper ≤ {row.upper:g}" if row.upper else "")
    if rate is None:
        return Line((name, goal, "", "", "", ""), ABSENT)
    months = [one["quiet"][row.floor] for one in results]
    alarmed = sum(one["alarmed"] for one in months) / sum(one["windows"] for one in months)
    interval = f"{rate.low:.2f} to {rate.high:.2f}"
    cells = (name, goal, f"{rate.count} in {rate.months:.3g}", f"{rate.mean:.2f}", interval, f"{alarmed:.2%}")
    if row.most is None:
        return Line(cells, STATED, figures={"rate": rate})
    return Line(cells, _rate_verdict(row, rate), _beyond_chance(row, rate), {"rate": rate})


def _beyond_chance(row: RateRow, rate: Rate) -> bool:
    """Whether chance cannot explain the rate: a table has many, and each of them lies above its interval now and then."""
    assert row.most is not None
    above = row.upper is not None and rate.high > row.upper and rate.months >= ENOUGH
    return above or garwood(rate.count, rate.months, 1 - 2 * CHANCE)[0] > row.most


def _rate_verdict(row: RateRow, rate: Rate) -> str:
    assert row.most is not None
    above = row.upper is not None and rate.high > row.upper
    if rate.low > row.most or (above and rate.months >= ENOUGH):
        return MISSED
    if rate.mean > row.most:
        return DOUBTFUL
    return TOO_SHORT if above else REACHED


def delay_of(results: Sequence[Figures], trial: str) -> Figures | None:
    """Put the delays of all replicas together."""
    found = [one["trials"][trial] for one in results if trial in one["trials"]]
    if not found:
        return None
    together = delays([delay for one in found for delay in one["delays"]], found[0]["horizon"])
    return together | {"right": sum(one.get("right", 0) for one in found)}


def delay_line(row: DelayRow, title: str, results: Sequence[Figures], bound: float | None) -> Line:
    """Windows from the change to the page."""
    found = delay_of(results, row.trial)
    name = f"{title}: {row.trial}"
    if found is None:
        return Line((name, _goal(row), "", "", "", "", ""), ABSENT)
    if row.never:
        return _never(row, name, found)
    mean, p95 = found["mean"], found["p95"]
    named = f", named first {found['right']} of {found['changes']}" if row.right else ""
    ratio = f"{bound:.1f} ({mean / bound:.1f}×)" if bound else "–"
    cells = (
        name,
        _goal(row),
        f"{mean:.2f}",
        f"{p95:.0f}",
        ratio,
        f"{found['found']:.1%}{named}",
        str(found["changes"]),
    )
    if row.most is None:
        return Line(cells, STATED, figures=found)
    late = mean - SURE * found["error"] > row.most
    wrong = row.right and found["right"] < 0.95 * found["changes"]
    slow = row.p95 is not None and p95 > row.p95
    reached = mean <= row.most and not slow and not wrong
    verdict = REACHED if reached else MISSED if late or slow or wrong else DOUBTFUL
    return Line(cells, verdict, bool(late or slow or wrong), found)


def _goal(row: DelayRow) -> str:
    if row.never:
        return "no page"
    if row.most is None:
        return "stated"
    return f"≤ {row.most:g}" + (f", p95 ≤ {row.p95:g}" if row.p95 else "")


def _never(row: DelayRow, name: str, found: Figures) -> Line:
    """Changes that are below the floor."""
    paged = round(found["found"] * found["changes"])
    seen = f"{paged} paged in {found['horizon']} windows each"
    cells = (name, _goal(row), "–", "–", "–", seen, str(found["changes"]))
    return Line(cells, MISSED if paged else REACHED, paged > 0, found)


def unclean(results: Figures) -> int:
    """Steps in which anything was not a finite number."""
    worlds = results["worlds"].values()
    return int(sum(floor["unclean"] for world in worlds for one in world for floor in one["quiet"].values()))


def rate_lines(results: Figures) -> list[Line]:
    return [rate_line(row, results["titles"][row.scenario], results["worlds"].get(row.scenario, [])) for row in RATES]


def delay_lines(results: Figures, bounds: dict[tuple[str, str], float]) -> list[Line]:
    return [
        delay_line(
            row,
            results["titles"][row.scenario],
            results["worlds"].get(row.scenario, []),
            bounds.get((row.scenario, row.trial)),
        )
        for row in DELAYS
    ]


def other_lines(results: Figures) -> list[Line]:
    """Car loan, incidents of a day, and that nothing but finite numbers was seen."""
    found = []
    for name, one in (results.get("car_loan") or {}).items():
        good = one["false"] == 0 and one["delay"] is not None and one["delay"] <= 2
        said = f"{one['false']} false in {one['windows']} windows, page after {one['delay']}: {', '.join(one['named'])}"
        goal = "0 false before row 25 000, page within 2"
        found.append(Line((f"car loan, windows of {name}", goal, said), REACHED if good else MISSED, not good))
    for name, lived in (results.get("lasting") or {}).items():
        found.append(_lasting_line(name, np.array(lived)))
    broken = unclean(results)
    said = f"{broken} chart points with anything else"
    found.append(Line(("numbers, all worlds", "finite", said), MISSED if broken else REACHED, broken > 0))
    return found


def _lasting_line(name: str, lived: np.ndarray) -> Line:
    once = bool((lived == 1).all()) if "every other" not in name else bool((lived[:, 0] <= 1).all())
    said = f"{lived[:, 0].sum()} pages and {lived[:, 1].sum()} resolves of {len(lived)} changes"
    goal = "1 page, 1 resolve each" if "every other" not in name else "at most 1 page each"
    return Line((f"n = 1 000: {name}", goal, said), REACHED if once else MISSED, not once)


def failures(results: Figures) -> list[str]:
    """What chance cannot explain, one line each."""
    lines = [*rate_lines(results), *delay_lines(results, {}), *other_lines(results)]
    return [" | ".join(cell for cell in line.cells if cell) for line in lines if line.failed]

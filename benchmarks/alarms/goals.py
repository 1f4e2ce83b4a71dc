"""What is to be reached in worlds of ordinary days, of lasting changes and of what is easily missed; whether it was."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.alarms.cases import BLIND, CASES, LASTING, ORDINARY, Case
from benchmarks.alarms.scoring import Rate, garwood
from benchmarks.alarms.told import counted
from benchmarks.alarms.verdict import ABSENT, DOUBTFUL, ENOUGH, MISSED, REACHED, STATED, Line
from benchmarks.alarms.watch import ESCALATED, OPENED, SETTLED
from benchmarks.measure import Figures

PAGES = 1.0  # a month
OPEN = 0.05  # share of the time
SETTLED_DAYS = 8.0  # settle_after and a day
PAGES_A_CHANGE = 2.0
ESCALATED_WITHIN = 1.5  # times the delay of the same change on a quiet model
RIGHT = 0.95  # share of the notices that name the right feature first
SURE = 1e-4  # chance at which a goal that holds is said to be missed
ALONE = ", alone"


@dataclass(frozen=True, slots=True)
class DelayGoal:
    """The median of a trial's delays, hours; or so many times that of another trial of the case."""

    case: str
    trial: str
    hours: float | None
    of: str = ""


DELAYS = (
    DelayGoal("quiet", "0.5 σ", None),
    DelayGoal("waves-day-.1", "0.5 σ", 12),
    DelayGoal("sessions-30", "0.5 σ", 12),
    DelayGoal("sessions-100", "0.5 σ", None),
    *(DelayGoal(f"sessions-{key}", "0.5 σ", None) for key in ("wild", "vary", "fewer")),
    *(DelayGoal(f"grouped-{key}", "0.5 σ", 12) for key in ("30", "wild", "vary", "fewer")),
    DelayGoal("waves-day-.3", "1.5 σ", 24),
    DelayGoal("day-.3", "1.5 σ", 24),
    *(
        DelayGoal("second", trial.key, None, "" if trial.key.endswith(ALONE) else trial.key.split(",")[0] + ALONE)
        for trial in CASES["second"].trials
    ),
    *(
        DelayGoal("blind-1000", trial.key, 4 if "→ 5 %" in trial.key or "→ 2 %" in trial.key else 2)
        for trial in BLIND
        if not trial.named
    ),
    *(DelayGoal("blind-100", trial.key, 2 if "→ 50 %" in trial.key else None) for trial in BLIND),
    *(DelayGoal("blind-30", trial.key, 2 if "→ 50 %" in trial.key else None) for trial in BLIND),
)


def months_of(results: Figures, key: str) -> list[Figures]:
    """What was lived through of a case."""
    return [one["lived"] for one in results.get("cases", {}).get(key, []) if one["lived"]]


def trials_of(results: Figures, key: str, trial: str) -> list[Figures]:
    """What was tried in a case."""
    return [one["trials"][trial] for one in results.get("cases", {}).get(key, []) if trial in one["trials"]]


def ordinary_lines(results: Figures) -> list[Line]:
    """Worlds without a lasting change: pages a month, time under alarm."""
    return [_ordinary(one, months_of(results, one.key)) for one in (*ORDINARY, *_blind())]


def _blind() -> list[Case]:
    return [one for key, one in CASES.items() if key.startswith("blind")]


def _ordinary(case: Case, months: Sequence[Figures]) -> Line:
    if not months:
        return Line((case.title, *[""] * 6), ABSENT)
    total = counted(months)
    rate, share = Rate(total[OPENED], total["months"]), total["open_windows"] / total["windows"]
    cells = (
        case.title,
        f"{rate.count} in {rate.months:.3g}",
        f"{rate.mean:.2f}",
        f"{rate.low:.2f} to {rate.high:.2f}",
        f"{share:.1%}",
        str(total[ESCALATED]),
        plain_said(months),
    )
    missed = rate.low > PAGES or share > OPEN
    verdict = MISSED if missed else DOUBTFUL if rate.mean > PAGES else REACHED
    return Line(cells, verdict, _beyond_chance(rate, share), {"rate": rate})


def _beyond_chance(rate: Rate, share: float) -> bool:
    """Whether chance cannot explain it: the share is judged once there are months enough."""
    return garwood(rate.count, rate.months, 1 - 2 * SURE)[0] > PAGES or (share > OPEN and rate.months >= ENOUGH)


def plain_said(months: Sequence[Figures]) -> str:
    """Pages a month and open share of the plain rule."""
    plain = [one["plain"] for one in months if one["plain"] is not None]
    if not plain:
        return "–"
    rate = sum(one["pages"] for one in plain) / sum(one["months"] for one in months)
    share = sum(one["open_windows"] for one in plain) / sum(one["windows"] for one in months)
    return f"{rate:.1f}, {share:.0%}"


def lasting_lines(results: Figures) -> list[Line]:
    """Worlds with a change that lasts, or that ends by itself."""
    return [_lasting(one, months_of(results, one.key)) for one in LASTING if one.months]


def _lasting(case: Case, months: Sequence[Figures]) -> Line:
    if not months:
        return Line((case.title, *[""] * 6), ABSENT)
    total, models = counted(months), len(months)
    planted = [one for month in months for one in month["planted"]]
    heard = [one["heard"] for one in planted]
    settled = [one["settled"] for one in planted]
    pages, share = total[OPENED] / models, total["open_windows"] / total["windows"]
    cells = (
        case.title,
        f"{pages:.1f}",
        f"{total[ESCALATED] / models:.1f}",
        _days(heard) + _named(planted),
        _days(settled) if planted else f"{total[SETTLED]} of {models}",
        f"{share:.0%}",
        plain_said(months),
    )
    most = PAGES_A_CHANGE if case.settles else PAGES * total["months"] / models
    good = pages <= most and (not case.settles or _settled(total, settled, models))
    return Line(cells, REACHED if good else MISSED, not good and total["months"] >= ENOUGH)


def _named(planted: Sequence[Figures]) -> str:
    """How many of the features that changed inside the reference its fit names."""
    inside = [one for one in planted if "named" in one]
    if not inside:
        return ""
    return f"; the fit names {sum(one['named'] for one in inside)} of {sum(len(one['features']) for one in inside)}"


def _settled(total: Figures, settled: Sequence[float | None], models: int) -> bool:
    if not settled:
        return bool(total[SETTLED] >= models)
    return all(one is not None and one <= SETTLED_DAYS for one in settled)


def _days(found: Sequence[float | None]) -> str:
    """The median, and how many there were."""
    if not found:
        return "–"
    known = [one for one in found if one is not None]
    middle = f"{np.median(known):.2g} d, " if known else ""
    return f"{middle}{len(known)} of {len(found)}"


def change_lines(results: Figures) -> list[Line]:
    """Delays of planted changes."""
    return [_change(one, results) for one in DELAYS]


def _change(goal: DelayGoal, results: Figures) -> Line:
    found = trials_of(results, goal.case, goal.trial)
    name = f"{CASES[goal.case].title}: {goal.trial}"
    if not found:
        return Line((name, *[""] * 6), ABSENT)
    delays = _capped(found, "delays")
    hours = _goal_hours(goal, results)
    right, heard = sum(one["right"] for one in found), int(np.isfinite(delays).sum())
    masked = sum(one["masked"] for one in found)
    plain = _capped(found, "plain")
    cells = (
        name,
        "stated" if hours is None else f"≤ {hours:g}",
        f"{heard} of {delays.size}" + (f", {masked} masked" if masked else ""),
        _quantile(delays, 0.5, found[0]["horizon"]),
        _quantile(delays, 0.9, found[0]["horizon"]),
        f"{right} of {heard}",
        f"{_quantile(plain, 0.5, found[0]['horizon'])} ({int(np.isfinite(plain).sum())} of {plain.size})",
    )
    if hours is None or not delays.size:
        return Line(cells, STATED)
    reached = _median(delays) <= hours
    slow = int((delays > hours).sum())
    beyond = bool(stats.binom.sf(slow - 1, delays.size, 0.5) < SURE)
    return Line(cells, REACHED if reached else MISSED if beyond else DOUBTFUL, beyond and not reached)


def _goal_hours(goal: DelayGoal, results: Figures) -> float | None:
    if not goal.of:
        return goal.hours
    alone = trials_of(results, goal.case, goal.of)
    middle = _median(_capped(alone, "delays")) if alone else math.inf
    return math.ceil(ESCALATED_WITHIN * middle) if math.isfinite(middle) else None


def _capped(found: Sequence[Figures], key: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array([math.inf if one is None else one for each in found for one in each[key]], dtype=np.float64)


def _median(delays: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    return float(np.quantile(delays, 0.5, method="inverted_cdf")) if delays.size else math.inf


def _quantile(delays: np.ndarray[tuple[int, ...], np.dtype[np.float64]], share: float, horizon: float) -> str:
    if not delays.size:
        return "–"
    found = float(np.quantile(delays, share, method="inverted_cdf"))
    return f"> {horizon:g}" if math.isinf(found) else f"{found:g}"


REAL_OPEN = 0.1
REAL_DAYS = 2.0


def real_lines(results: Figures) -> list[Line]:
    """Real series: as they were, and with each planted change. Goals are those of the flights; others are stated."""
    return [line for one in results.get("real", {}).values() for line in _series(one)]


def _series(found: Figures) -> list[Line]:
    if "skipped" in found:
        return [Line((found["title"], "", "", "", f"skipped: {found['skipped']}", "", ""), ABSENT)]
    return [_told(found, key, one) for key, one in found["lived"].items()]


def _told(found: Figures, key: str, lived: Figures) -> Line:
    rate, share = lived[OPENED] / lived["months"], lived["open_windows"] / lived["windows"]
    heard = lived["planted"][0] if lived["planted"] else None
    said = (
        "–"
        if heard is None
        else "never"
        if heard["heard"] is None
        else f"{heard['heard']:.2g} d, {heard['first']} first"
    )
    cells = (
        found["title"],
        key or "as it was",
        f"{rate:.2f}",
        f"{share:.0%}",
        said,
        f"{lived[ESCALATED]}, {lived[SETTLED]}",
        plain_said([lived]),
    )
    if not found["case"].startswith("flights"):
        return Line(cells, STATED)
    good = share <= REAL_OPEN if heard is None else (heard["heard"] or math.inf) <= REAL_DAYS and heard["right"]
    return Line(cells, REACHED if good else MISSED, not good)


def failures(results: Figures) -> list[str]:
    """What chance cannot explain, one line each."""
    lines = [*ordinary_lines(results), *lasting_lines(results), *change_lines(results), *real_lines(results)]
    return [" | ".join(cell for cell in line.cells if cell) for line in lines if line.failed]

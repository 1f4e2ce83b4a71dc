"""`python -m benchmarks.alarms.worlds NAME…`: a world lived through by the daemon's own operator, model after model.

Prints for each: pages a month with their exact 95 % interval, the share of time with an incident open, escalations, settled
ones, what opened them, delays of planted changes and whether the right feature stood first; beside it the plain rule.
Without a name all worlds are listed. Each model has features, levels and a reference of its own; `--seed` gives it again.
"""

import argparse
import json
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol
from zlib import crc32

import numpy as np

from benchmarks.alarms import gridded
from benchmarks.alarms.cases import CASES, Case, Pick, Trial
from benchmarks.alarms.plain import PlainRule
from benchmarks.alarms.scoring import Rate
from benchmarks.alarms.traffic import HOUR, Change, Pane, Planted, Traffic
from benchmarks.alarms.watch import CLOSED, DOUBT, ESCALATED, HEARD, OPENED, SETTLED, Notice, Watch, names
from benchmarks.measure import Figures
from detectors import Reference
from detectors.features import Floats

MONTH_HOURS = 720.0
BURN_IN = 24  # windows before a change, so that sums stand where they usually stand
SPARE_DAYS = 14.0  # of life beside the months, for trials


class Living(Protocol):
    """A model with its reference and what comes after it."""

    @property
    def window_ns(self) -> int:
        """Length of a window."""

    def start(self, window: int) -> int:
        """When a window begins."""

    def panes(self, reference: Reference, first: int, windows: int, planted: Sequence[Planted] = ()) -> Iterator[Pane]:
        """The windows as the daemon counts them."""


class Model:
    """One model of a case: drawn, fitted, ready to be lived."""

    def __init__(self, case: Case, months: float, rng: np.random.Generator) -> None:
        self.case, self.rng = case, rng
        self.names: list[str] = []
        self.means: Floats | None = None
        self.living: Living
        if case.grid is not None:
            self.living = grid = gridded.Grid(case.grid, rng, case.reference_days)
            self.begins, self.hours, self.reference = grid.begins, case.grid.minutes / 60, grid.reference
            self.planted: list[Planted] = []
            return
        assert case.habits is not None
        habits = case.habits(rng)
        self.hours = habits.hours
        self.begins = round(case.reference_days * 24 / self.hours)
        self.names = [one.name for one in habits.features]
        self._features = habits.features
        life = max(months * MONTH_HOURS, SPARE_DAYS * 24) / self.hours
        self.living = traffic = Traffic(habits, self.begins + round(life), rng)
        self.planted = [
            Planted(
                one.change, self.places(self.pick(one.pick)), self.at(one.day * 24), self.at((one.day + one.lasts) * 24)
            )
            for one in case.plants
        ]
        self.reference, self.means = traffic.fit(self.begins, self.planted)

    def at(self, hours: float) -> int:
        """The window so many hours after the reference's end."""
        return 10**9 if np.isinf(hours) else self.begins + round(hours / self.hours)

    def pick(self, pick: Pick) -> list[str]:
        """Names of features."""
        return pick(self._features, self.rng)

    def places(self, chosen: Sequence[str]) -> tuple[int, ...]:
        """Where features stand; what is none has no place."""
        return tuple(self.names.index(name) for name in chosen if name in self.names)

    def watch(self) -> Watch:
        """A fresh operator."""
        return Watch(self.reference, self.living.window_ns)

    def plain(self) -> PlainRule | None:
        """The plain rule; None where there are no means."""
        return None if self.means is None else PlainRule(self.means)

    def day(self, at: int) -> float:
        """Days since the reference's end."""
        return round((at - self.living.start(self.begins)) / (24 * HOUR), 2)


def lived(model: Model, months: float) -> Figures:
    """Live through some months; what people heard."""
    watch, plain = model.watch(), model.plain()
    windows = round(months * MONTH_HOURS / model.hours)
    causes: Counter[str] = Counter()
    for pane in model.living.panes(model.reference, model.begins, windows, model.planted):
        for notice in watch.take(pane):
            if notice.what == OPENED and notice.incident != DOUBT:
                causes.update(notice.charts[:1])
        if plain is not None:
            plain.take(pane.means)
    return {
        "months": months,
        "windows": windows,
        **{what: watch.count(what) for what in (OPENED, ESCALATED, SETTLED, CLOSED)},
        "open_windows": watch.open_windows,
        "doubtful_windows": watch.doubtful,
        "doubts": sum(one.incident == DOUBT and one.what == OPENED for one in watch.notices),
        "causes": dict(causes),
        "plain": None if plain is None else {"pages": plain.pages, "open_windows": plain.open_windows},
        "planted": [
            {
                "features": [model.names[at] for at in one.features],
                "day": model.day(model.living.start(one.since)),
                "heard": _heard_after(model, watch, one),
            }
            for one in model.planted
        ],
        "notices": [[model.day(one.at), one.line] for one in watch.notices],
    }


def _heard_after(model: Model, watch: Watch, planted: Planted) -> float | None:
    """Days from a change to the first notice that names one of its features."""
    since = max(model.living.start(planted.since), model.living.start(model.begins))
    later = [one for one in watch.notices if one.at > since]
    found = [notice.at for at in planted.features if (notice := names(later, model.names[at])) is not None]
    return round((min(found) - since) / (24 * HOUR), 3) if found else None


def tried(model: Model, trial: Trial) -> Figures:
    """The delays of a trial, in hours: of the operator and of the plain rule."""
    found: Figures = {"delays": [], "right": 0, "masked": 0, "plain": [], "horizon": trial.horizon}
    for name in model.pick(trial.pick):
        _try(model, trial, name, found)
    return found


def _try(model: Model, trial: Trial, name: str, found: Figures) -> None:
    before = round(trial.after[1] / model.hours) if trial.after else 0
    horizon = round(trial.horizon / model.hours)
    room = round(SPARE_DAYS * 24 / model.hours) - BURN_IN - before - horizon
    first = model.begins + int(model.rng.integers(0, max(room, 1)))
    since = first + BURN_IN + before
    planted = [Planted(trial.change, model.places([name]), since)]
    if trial.after:
        others = [
            one
            for one in model.pick(lambda features, rng: [one.name for one in features if one.name[0] == "n"])
            if one != name
        ]
        planted.append(Planted(trial.after[0], model.places([str(model.rng.choice(others))]), first + BURN_IN))
    watch, plain = model.watch(), model.plain()
    heard, alarm = None, None
    asked = trial.named or name
    for at, pane in enumerate(model.living.panes(model.reference, first, since - first + horizon, planted), first):
        open_before = watch.open
        notices = watch.take(pane)
        alarmed = plain.take(pane.means) if plain is not None else None
        if at < since:
            masked_plain = bool(alarmed is not None and alarmed.any())
            continue
        if at == since and open_before and not trial.after:
            found["masked"] += 1
            return
        heard = heard or _hit(notices, asked, at - since + 1, model.hours)
        if (
            alarm is None
            and alarmed is not None
            and name in model.names
            and alarmed[model.names.index(name)]
            and not masked_plain
        ):
            alarm = (at - since + 1) * model.hours
        if heard is not None and (alarm is not None or name not in model.names):
            break
    found["delays"].append(None if heard is None else heard[0])
    found["right"] += heard is not None and heard[1] == asked
    found["plain"].append(alarm)


def _hit(notices: Sequence[Notice], name: str, windows: int, hours: float) -> tuple[float, str] | None:
    """When a notice names the feature, and what stands first on it."""
    notice = names(notices, name)
    return None if notice is None else (windows * hours, notice.features[0])


def run(case: Case, months: float, rng: np.random.Generator) -> Figures:
    """One model of a case: its months, then its trials."""
    model = Model(case, months, rng)
    return {
        "lived": lived(model, months) if case.months else None,
        "trials": {trial.key: tried(model, trial) for trial in case.trials},
        "drifting": []
        if model.reference.calibration is None
        else [one.words for one in model.reference.calibration.drifting],
    }


def measured(case: Case, models: int, months: float, seed: int) -> Figures:
    """Some models of a case, each with randomness of its own."""
    began = time.process_time()
    found = [run(case, months, np.random.default_rng([seed, at, crc32(case.key.encode())])) for at in range(models)]
    return {
        "case": case.key,
        "title": case.title,
        "seed": seed,
        "models": found,
        "seconds": time.process_time() - began,
    }


# --- words ------------------------------------------------------------------------------------------------------------


def said(figures: Figures, *, notices: bool = False) -> str:
    """What was found, in lines."""
    lines = [f"{figures['case']}: {figures['title']}  [{len(figures['models'])} models, {figures['seconds']:.0f} s]"]
    months = [one["lived"] for one in figures["models"] if one["lived"]]
    lines += _months_said(months) if months else []
    for key in figures["models"][0]["trials"]:
        lines.append(_trial_said(key, [one["trials"][key] for one in figures["models"]]))
    if words := [word for one in figures["models"] for word in one["drifting"]]:
        lines.append(f"  reference says of itself ({len(words)}): {'; '.join(words[:3])}")
    if notices:
        lines += [
            f"    model {at} day {day:g}: {line}" for at, one in enumerate(months) for day, line in one["notices"]
        ]
    return "\n".join(lines)


def _months_said(months: Sequence[Figures]) -> list[str]:
    total = {
        key: sum(one[key] for one in months)
        for key in (
            "months",
            "windows",
            OPENED,
            ESCALATED,
            SETTLED,
            CLOSED,
            "open_windows",
            "doubts",
            "doubtful_windows",
        )
    }
    rate = Rate(total[OPENED], total["months"])
    causes = sum((Counter(one["causes"]) for one in months), Counter[str]())
    lines = [
        f"  {rate.count} pages in {rate.months:g} months: {rate.mean:.2f} a month ({rate.low:.2f} to {rate.high:.2f}), "
        f"open {total['open_windows'] / total['windows']:.1%}, {total[ESCALATED]} escalated, {total[SETTLED]} settled, "
        f"{total[CLOSED]} resolved; self-check {total['doubts']} times, {total['doubtful_windows'] / total['windows']:.0%} of the time"
    ]
    if causes:
        lines.append("  opened by " + ", ".join(f"{chart} {many}" for chart, many in causes.most_common()))
    if months[0]["plain"] is not None:
        pages = sum(one["plain"]["pages"] for one in months)
        share = sum(one["plain"]["open_windows"] for one in months) / total["windows"]
        lines.append(f"  plain rule: {pages / total['months']:.2f} a month, open {share:.1%}")
    for one in months:
        for planted in one["planted"]:
            heard = "never heard" if planted["heard"] is None else f"heard after {planted['heard']:g} days"
            lines.append(
                f"  planted on day {planted['day']:g} in {', '.join(planted['features'])}: {heard}; pages {one[OPENED]}, escalated {one[ESCALATED]}, settled {one[SETTLED]}, open {one['open_windows'] / one['windows']:.0%}"
            )
    return lines


def _trial_said(key: str, results: Sequence[Figures]) -> str:
    delays = [one for result in results for one in result["delays"]]
    plain = [one for result in results for one in result["plain"]]
    right, masked = sum(one["right"] for one in results), sum(one["masked"] for one in results)
    horizon = results[0]["horizon"]
    hidden = f", {masked} under an open incident" if masked else ""
    return f"  {key}: {_delays_said(delays, horizon)}, first on the page {right}{hidden}; plain rule {_delays_said(plain, horizon)}"


def _delays_said(delays: Sequence[float | None], horizon: float) -> str:
    heard = [one for one in delays if one is not None]
    if not delays:
        return "none tried"
    capped = np.array([np.inf if one is None else one for one in delays])
    middle, late = (float(np.quantile(capped, share, method="inverted_cdf")) for share in (0.5, 0.9))
    shown = [f"> {horizon:g}" if np.isinf(one) else f"{one:g}" for one in (middle, late)]
    return f"{len(heard)} of {len(delays)}, median {shown[0]} h, 90 % {shown[1]} h"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worlds that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="worlds, or beginnings of their names; all: every one")
    parser.add_argument("--models", type=int, default=4, help="models, each with a reference of its own")
    parser.add_argument("--months", type=float, default=1.0, help="that each is lived through")
    parser.add_argument("--seed", type=int, default=None, help="of another run, to have it again; fresh otherwise")
    parser.add_argument("--notices", action="store_true", help="print everything that people were told")
    parser.add_argument("--json", type=Path, default=None, help="write the figures to this file")
    chosen = parser.parse_args(arguments)
    wanted = [
        case
        for key, case in CASES.items()
        if "all" in chosen.names or any(key.startswith(name) for name in chosen.names)
    ]
    if not wanted:
        print("\n".join(f"{key:<16} {case.title}" for key, case in CASES.items()))
        return 2 if chosen.names else 0
    seed = secrets.randbits(32) if chosen.seed is None else chosen.seed
    print(f"seed {seed}", flush=True)
    results = []
    for case in wanted:
        results.append(measured(case, chosen.models, chosen.months, seed))
        print(said(results[-1], notices=chosen.notices), flush=True)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

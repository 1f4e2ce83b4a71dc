"""The plots of docs/ALARMS.md."""

from collections.abc import Iterator

import numpy as np

from benchmarks.alarms.bounds import bounds, by_shift, shifts
from benchmarks.alarms.scenarios import SCENARIOS
from benchmarks.alarms.scoring import MONTH, garwood
from benchmarks.alarms.verdict import delay_of
from benchmarks.measure import Figures
from benchmarks.plots import Bar, bars, lines

LEAST = 0.5  # windows a month: where a logarithmic axis begins for none
OURS = "driftd, budget 1 a month"
BY_KEY = {one.key: one for one in SCENARIOS}


def pictures(results: Figures) -> Iterator[tuple[str, str]]:
    """Every plot for which there are figures, by name."""
    yield from _delays(results)
    for key, one in results["contests"].items():
        yield f"alarms-{key}", _alarmed(results, key, one)
    ratios = list(_ratios(results))
    if ratios:
        yield "alarms-lorden", bars("Mean delay ÷ Lorden's bound (whole windows, at least one)", ratios)


def _delays(results: Figures) -> Iterator[tuple[str, str]]:
    found = results["worlds"].get("iid-1000")
    if not found:
        return
    curves, world = {}, BY_KEY["iid-1000"]
    for floor, size in (("default", 0.05), ("off", 0.0)):
        held = [(shift, one) for shift, key in shifts(world, floor) if (one := delay_of(found, key))]
        points = [(shift, one["mean"]) for shift, one in held if one["mean"] < 60]
        if len(points) > 1:
            curves[f"floor {'0.05 σ' if size else 'off'}"] = points
            curves[f"theory, floor {'0.05 σ' if size else 'off'}"] = by_shift(world, size, [one for one, _ in points])
    if curves:
        title = "Windows to the page, shift in 1 of 200 features, n = 1 000"
        yield "alarms-delay", lines(title, curves, x="shift, σ", y="windows")


def _alarmed(results: Figures, key: str, one: Figures) -> str:
    """How long each rule alarms while nothing has changed; ours where the same world was lived through."""
    values = [_bar(rule, found["windows"], found["alarmed"], "b") for rule, found in one["rules"].items()]
    still = [world["quiet"]["default"] for world in results["worlds"].get(key, [])]
    windows = sum(month["windows"] for month in still)
    if windows:
        values.append(_bar(OURS, windows, sum(month["alarmed"] for month in still) / windows, "a"))
    ordered = sorted(values, key=lambda bar: -bar.value)
    return bars(f"Windows in false alarm, a month: {results['titles'][key]}", ordered, log=True)


def _bar(rule: str, windows: int, alarmed: float, colour: str) -> Bar:
    low, high = garwood(round(alarmed * windows), windows / MONTH)
    ends = [float(np.clip(value, LEAST, MONTH)) for value in (low, alarmed * MONTH, high)]
    return Bar(rule, ends[1], ends[0], max(ends[1], ends[2]), colour, f"{alarmed * MONTH:,.0f}, {alarmed:.1%} of all")


def _ratios(results: Figures) -> Iterator[Bar]:
    for (scenario, trial), bound in bounds().items():
        found = delay_of(results["worlds"].get(scenario, []), trial)
        if found and bound >= 2 and found["found"] > 0.99:
            low, high = ((found["mean"] + side * 1.96 * found["error"]) / bound for side in (-1, 1))
            ratio = found["mean"] / bound
            colour = "c" if "off" in trial else "a"
            yield Bar(f"{scenario}, {trial}", ratio, low, high, colour, f"{ratio:.2f}, bound {bound:.1f}")

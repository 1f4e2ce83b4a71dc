"""docs/ALARMS.md: the tables of one run, plots, and the promises in plain words."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.alarms import daily
from benchmarks.alarms.bounds import bounds
from benchmarks.alarms.compare import SOUGHT
from benchmarks.alarms.kept import told
from benchmarks.alarms.pictures import BY_KEY, OURS, pictures
from benchmarks.alarms.scoring import delays
from benchmarks.alarms.verdict import Line, delay_lines, delay_of, other_lines, rate_lines, rate_of
from benchmarks.measure import ROOT, Figures
from benchmarks.plots import save

OUT = ROOT / "docs"
HERE = Path(__file__).parent
RATES = ("no change", "goal, a month", "pages in months", "a month", "95 %", "time alarmed")
DELAYS = ("change in 1 of 200", "goal", "mean", "p95", "theory (ratio)", "found", "changes")
OTHERS = ("what", "goal", "found")
CAPTIONS = {
    "alarms-delay": "Delay against shift. Windows are whole, and no single one may page below half a σ, hence the floor of two.",
    "alarms-lorden": "Mean delay over the bound. Blue: default floor, against the bound of the shift beyond the floor.",
}


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def judged(heads: Sequence[str], lines: Sequence[Line]) -> str:
    """A table whose last column says whether it was reached."""
    return table([*heads, ""], [[*line.cells, line.verdict] for line in lines])


def tables(results: Figures) -> str:
    """The figures to reach."""
    return "\n\n".join(
        [
            judged(RATES, rate_lines(results)),
            judged(DELAYS, delay_lines(results, bounds())),
            judged(OTHERS, other_lines(results)),
        ]
    )


# --- beside naive rules -------------------------------------------------------------------------------------------------


def contests(results: Figures) -> Iterator[str]:
    """A table a world, of every rule that was run in it."""
    for key, one in results["contests"].items():
        shifts = list(one["found"])
        heads = ["rule", "false pages a month", "95 %", "windows alarmed", "between false pages"]
        heads += [f"{shift} σ: mean windows, found" for shift in shifts]
        rows = [_ours(results, key, shifts)]
        rows += [_rule(rule, found, one["found"], shifts) for rule, found in one["rules"].items()]
        blind = results.get("dummies") or {"rules": {}, "found": {}}
        rows += [
            _rule(rule, found, dict.fromkeys(shifts, blind["found"]), shifts) for rule, found in blind["rules"].items()
        ]
        seen = next(iter(one["rules"].values()))["windows"]
        yield f"### {results['titles'][key]}\n\n{seen:,} windows.\n\n{table(heads, rows)}"


def _ours(results: Figures, key: str, shifts: Sequence[str]) -> list[str]:
    found = results["worlds"].get(key, [])
    rate = rate_of(found)
    if rate is None:
        return [f"**{OURS}**", *["not run"] * (4 + len(shifts))]
    alarmed = sum(one["quiet"]["default"]["alarmed"] for one in found) / sum(
        one["quiet"]["default"]["windows"] for one in found
    )
    cells = [
        f"**{OURS}**",
        f"{rate.mean:.2f}",
        f"{rate.low:.2f} to {rate.high:.2f}",
        f"{alarmed:.2%}",
        _between(rate.mean),
    ]
    for shift in shifts:
        trial = delay_of(found, f"{shift} σ")
        every = [delay for one in found for delay in one["trials"].get(f"{shift} σ", {"delays": []})["delays"]]
        cells.append("–" if trial is None else _found(every))
    return cells


def _rule(rule: str, found: Figures, sought: Figures, shifts: Sequence[str]) -> list[str]:
    name = rule if found["features"] == 200 else f"{rule} ({found['features']} features × {found['windows']} windows)"
    cells = [name, f"{found['pages']:,.0f}", f"{found['low']:,.0f} to {found['high']:,.0f}", f"{found['alarmed']:.1%}"]
    cells.append("alarmed all the time" if found["alarmed"] > 0.99 else _between(found["pages"]))
    return cells + [_found(sought[shift][rule]) if rule in sought[shift] else "–" for shift in shifts]


def _found(every: Sequence[float]) -> str:
    one = delays(every, SOUGHT)
    return f"never in {SOUGHT}" if one["found"] == 0 else f"{one['mean']:.1f}, {one['found']:.0%}"


def _between(pages: float) -> str:
    """Mean time between false pages."""
    if pages == 0:
        return "none seen"
    hours = 720 / pages
    return f"{hours / 24:.1f} d" if hours >= 48 else f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"


# --- the document ---------------------------------------------------------------------------------------------------------


def write(out: Path, results: Figures) -> Path:
    """docs/ALARMS.md and its plots."""
    drawn = {name: save(out / "plots", name, picture) for name, picture in pictures(results)}
    text = (HERE / "ALARMS.template.md").read_text(encoding="utf-8")
    parts = {
        "run": told(results),
        "rates": judged(RATES, rate_lines(results)),
        "causes": _causes(results),
        "delays": judged(DELAYS, delay_lines(results, bounds())),
        "daily": daily.section(results),
        "others": judged(OTHERS, other_lines(results)),
        "contests": "\n\n".join(contests(results)),
        "delay_plots": "\n\n".join(f"{drawn[name]}\n\n{text}" for name, text in CAPTIONS.items() if name in drawn),
        "rule_plots": "\n\n".join(picture for name, picture in drawn.items() if name not in CAPTIONS),
    }
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part)
    path = out / "ALARMS.md"
    path.write_text(text, encoding="utf-8")
    return path


def _causes(results: Figures) -> str:
    """What opened the false pages that there were."""
    said = []
    for key, found in results["worlds"].items():
        for floor in BY_KEY[key].floors:
            causes: dict[str, int] = {}
            for one in found:
                for name, count in one["quiet"][floor]["causes"].items():
                    causes[name] = causes.get(name, 0) + count
            if causes:
                listed = ", ".join(
                    f"{name} {count}" for name, count in sorted(causes.items(), key=lambda item: -item[1])
                )
                worst = int(np.max([one["quiet"][floor]["pages"] for one in found]))
                where = BY_KEY[key].title + (", floor off" if floor == "off" else "")
                said.append(f"- {where}: {listed}; most in one replica {worst}")
    return "Charts that opened the false pages:\n\n" + "\n".join(said) if said else "There was none."

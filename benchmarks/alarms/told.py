"""What a world gave, in lines for people."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from benchmarks.alarms.months import COUNTED
from benchmarks.alarms.scoring import Rate
from benchmarks.alarms.watch import CLOSED, ESCALATED, OPENED, SETTLED
from benchmarks.measure import Figures

SUMMED = ("months", "windows", *COUNTED, "warnings", "open_windows", "doubts", "doubtful_windows")


def said(figures: Figures, *, notices: bool = False) -> str:
    """What was found."""
    models = figures["models"]
    months = [one["lived"] for one in models if one["lived"]]
    trials = {key: [one["trials"][key] for one in models] for key in models[0]["trials"]}
    return "\n".join(
        [
            f"{figures['case']}: {figures['title']}  [{len(models)} models, {figures['seconds']:.0f} s]",
            *(months_said(months) if months else []),
            *(f"  {key}: {trial_said(results)}" for key, results in trials.items()),
            *_itself(models),
            *(_notices(months) if notices else []),
        ]
    )


def months_said(months: Sequence[Figures]) -> list[str]:
    """Pages, open share, what opened them; the plain rule; changes that were planted."""
    return [
        "  " + totals_said(months),
        *_causes(months),
        *_plain(months),
        *(_planted(month, one) for month in months for one in month["planted"]),
    ]


def counted(months: Sequence[Figures]) -> Figures:
    """All months together."""
    return {key: sum(one[key] for one in months) for key in SUMMED}


def totals_said(months: Sequence[Figures]) -> str:
    """Pages and their rate, the open share, what else was told."""
    total = counted(months)
    rate = Rate(total[OPENED], total["months"])
    return (
        f"{rate.count} pages ({total['warnings']} warnings) in {rate.months:g} months: {rate.mean:.2f} a month ({rate.low:.2f} to {rate.high:.2f}), "
        f"open {total['open_windows'] / total['windows']:.1%}, {total[ESCALATED]} escalated, {total[SETTLED]} settled, "
        f"{total[CLOSED]} resolved; self-check {total['doubts']} times, "
        f"{total['doubtful_windows'] / total['windows']:.0%} of the time"
    )


def _causes(months: Sequence[Figures]) -> list[str]:
    causes = sum((Counter(one["causes"]) for one in months), Counter[str]())
    return ["  opened by " + ", ".join(f"{chart} {many}" for chart, many in causes.most_common())] if causes else []


def _plain(months: Sequence[Figures]) -> list[str]:
    plain = [one["plain"] for one in months if one["plain"] is not None]
    if not plain:
        return []
    rate = sum(one["pages"] for one in plain) / sum(one["months"] for one in months)
    share = sum(one["open_windows"] for one in plain) / sum(one["windows"] for one in months)
    return [f"  plain rule: {rate:.2f} a month, open {share:.1%}"]


def _planted(month: Figures, one: Figures) -> str:
    heard = "never heard" if one["heard"] is None else f"heard after {one['heard']:g} days, {one['first']} first"
    settled = "never settled" if one["settled"] is None else f"settled after {one['settled']:g} days"
    fit = f"the fit names {one['named']} of them; " if "named" in one else ""
    return (
        f"  planted on day {one['day']:g} in {', '.join(one['features'])}: {fit}{heard}; {settled}; {month[OPENED]} pages, "
        f"{month[ESCALATED]} escalated, open {month['open_windows'] / month['windows']:.0%}"
    )


def trial_said(results: Sequence[Figures]) -> str:
    """Delays of a trial, beside those of the plain rule."""
    delays, plain = ([one for result in results for one in result[key]] for key in ("delays", "plain"))
    right, masked = (sum(one[key] for one in results) for key in ("right", "masked"))
    hidden = f", {masked} more under an open incident" if masked else ""
    horizon = results[0]["horizon"]
    return (
        f"{delays_said(delays, horizon)}, first on the page {right}{hidden}; plain rule {delays_said(plain, horizon)}"
    )


def delays_said(delays: Sequence[float | None], horizon: float) -> str:
    """How many were heard of, and when."""
    if not delays:
        return "none tried"
    capped = np.array([np.inf if one is None else one for one in delays])
    shown = [
        f"> {horizon:g}" if np.isinf(one) else f"{one:g}"
        for one in np.quantile(capped, (0.5, 0.9), method="inverted_cdf").tolist()
    ]
    return f"{int(np.isfinite(capped).sum())} of {len(delays)}, median {shown[0]} h, 90 % {shown[1]} h"


def _itself(models: Sequence[Figures]) -> list[str]:
    words = [word for one in models for word in one["itself"]]
    return [f"  the reference says of itself ({len(words)}): {'; '.join(words[:3])}"] if words else []


def _notices(months: Sequence[Figures]) -> list[str]:
    return [f"    model {at} day {day:g}: {line}" for at, one in enumerate(months) for day, line in one["notices"]]

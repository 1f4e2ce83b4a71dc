"""The words that evidence and calibrations are shown with."""

from monitor.alerting.episodes import Evidence
from monitor.explain.figures import signed
from monitor.html.figures import NONE, THIN, number, times

CALIBRATIONS = {
    "week": "profile by hour of the week",
    "day": "profile by hour of the day",
    "pooled": "one profile for all hours",
    "cold": "cold",
    "learnt_week": "learnt from live traffic: profile by hour of the week",
    "learnt_day": "learnt from live traffic: profile by hour of the day",
    "learnt_pooled": "learnt from live traffic: one profile for all hours",
}
CHARTS = {
    "location+": "mean up",
    "location-": "mean down",
    "scale+": "spread up",
    "scale-": "spread down",
    "mass+": "rare values more",
    "mass-": "rare values fewer",
    "rows+": "more rows",
    "rows-": "fewer rows",
    "duplicates": "duplicates",
}


def chart_of(entry: Evidence) -> str:
    """Return what was seen to move, in words; the detector of an explicit rule."""
    return CHARTS.get(entry.chart, entry.chart) or entry.detector


def effect_of(entry: Evidence) -> str:
    """Return how far it has gone, in the unit of its chart."""
    if entry.effect is None:
        return NONE
    match entry.chart.rstrip("+-"):
        case "location":
            return f"{signed(entry.effect)}{THIN}σ"
        case "scale":
            return f"{signed(100 * entry.effect)}{THIN}%"
        case "missing" | "unseen" | "mass":
            return f"{signed(100 * entry.effect)} points"
        case "rows":  # in doublings
            return f"×{THIN}{number(2**entry.effect)}"
        case _:
            return number(entry.effect)


def said(entry: Evidence) -> str:
    """Return a feature's part in words; what is known of it where the words were not kept."""
    if entry.words:
        return entry.words
    moved = " ".join(part for part in (chart_of(entry), effect_of(entry)) if part != NONE)
    return f"{moved}, {times(entry.excess)} its threshold"

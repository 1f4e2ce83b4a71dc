"""Each alert with its explanation: which feature, since when, how far, on how many rows."""

from collections.abc import Sequence

from detectors.charts import IncidentKind
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import BUDGET_RULE
from monitor.backtest.report.parts import TOLD_AT_MOST, ModelPart
from monitor.backtest.result import AlertEpisode
from monitor.html.evidence import chart_of, said
from monitor.html.figures import NONE, clock, count, moment, number, plural, spell, times
from monitor.html.markup import Inside, Markup, facts, name, table, tag, text

OPEN_CARDS = 3  # of a rule; a rule with more of them is not told of in full
FEATURES_AT_MOST = 25  # in a card
WORDS_AT_MOST = 3  # features named in a card's head


def alerts(part: ModelPart) -> Markup:
    """Return a model's alerts, rule by rule."""
    groups = [group(part, rule, numbered) for rule, numbered in part.by_rule.items()]
    return tag("div", groups or tag("p", "No alert fired."), class_="cards")


def group(part: ModelPart, rule: str, numbered: Sequence[tuple[int, AlertEpisode]]) -> list[Markup]:
    """Return one rule's alerts: a card each, or one folded table where an explicit rule has many."""
    shown, rest = numbered[:TOLD_AT_MOST], len(numbered) - TOLD_AT_MOST
    more = [tag("p", f"And {plural(rest, 'alert')} more: --json writes them all.", class_="quiet")] if rest > 0 else []
    if rule == BUDGET_RULE or len(numbered) <= OPEN_CARDS:
        return [
            card(part, ordinal, alert, unfolded=place < OPEN_CARDS) for place, (ordinal, alert) in enumerate(shown)
        ] + more
    caption = f"Alerts of {rule} on {part.model.key} (times in UTC)"
    heads = ("Fired", "Open", "Features", "Planted")
    head = tag("summary", tag("b", name(rule)), f": {plural(len(numbered), 'alert')} of this explicit rule")
    return [tag("details", head, table(caption, heads, [short(part, *pair) for pair in shown]), more, class_="card")]


def short(part: ModelPart, ordinal: int, alert: AlertEpisode) -> list[Inside]:
    """Return an alert in one line."""
    planted = part.planted(alert)
    return [
        tag("span", moment(alert.fired_at), id=f"alert-{ordinal}"),
        open_for(alert),
        text("; ".join(f"{entry.feature} {said(entry)}" for entry in alert.evidence[:WORDS_AT_MOST])),
        name(planted.text) if planted else NONE,
    ]


def card(part: ModelPart, ordinal: int, alert: AlertEpisode, *, unfolded: bool) -> Markup:
    """Return one alert: its head always, its evidence where it is unfolded."""
    inside = [times_of(part, alert), evidence(part, ordinal, alert)]
    return tag(
        "details",
        head(part, alert),
        inside,
        id=f"alert-{ordinal}",
        class_=f"card {alert.severity.value}",
        open=unfolded,
    )


def head(part: ModelPart, alert: AlertEpisode) -> Markup:
    """Return what can be said in a line."""
    planted = part.planted(alert)
    first = [
        tag("span", alert.severity.value, class_="badge"),
        tag("b", name(alert.rule)),
        tag("span", alert.kind.value.replace("_", " "), class_="quiet")
        if alert.kind is not IncidentKind.DRIFT
        else None,
        tag("span", moment(alert.fired_at)),
        tag("span", open_for(alert), class_="quiet"),
        tag("span", "planted: ", name(planted.text), class_="note") if planted else None,
    ]
    named = alert.evidence[:WORDS_AT_MOST]
    rest = len(alert.evidence) + len(alert.joined) - len(named)
    words = [tag("span", name(entry.feature), " ", said(entry)) for entry in named]
    more = tag("span", f"and {plural(rest, 'feature')} more") if rest else None
    return tag("summary", tag("span", first, class_="head"), tag("span", words, more, class_="words"))


def open_for(alert: AlertEpisode) -> str:
    """Return how long an alert was open."""
    if alert.resolved_at is None:
        return "open at the end"
    return f"{alert.end} after {spell(alert.resolved_at - alert.fired_at)}"


def times_of(part: ModelPart, alert: AlertEpisode) -> Markup:
    """Return the alert's times, one by one."""
    window = alert.window
    moments: list[tuple[str, Inside]] = [
        ("First breach", moment(alert.since)),
        ("Fired", moment(alert.fired_at)),
        ("Settled" if alert.settled else "Resolved", moment(alert.resolved_at, "not by the end")),
        ("Window", f"{clock(window.start)} to {clock(window.end)}, {plural(window.rows, 'row')}"),
    ]
    if planted := part.planted(alert):
        moments.append(("Planted", [name(planted.text), f", {spell(alert.fired_at - planted.at)} before"]))
    return facts(moments)


def evidence(part: ModelPart, ordinal: int, alert: AlertEpisode) -> list[Markup]:
    """Return the features that made the alert, and those that joined it."""
    caption = f"Evidence of alert {ordinal} on {part.model.key} when it fired, strongest first"
    tables = (
        [evidence_table(caption, alert.evidence)] if alert.evidence else [tag("p", "No feature's evidence was kept.")]
    )
    return tables + ([evidence_table("Joined later, each as it was then", alert.joined)] if alert.joined else [])


def evidence_table(caption: str, entries: Sequence[Evidence]) -> Markup:
    """Return some features' evidence."""
    shown = entries[:FEATURES_AT_MOST]
    of = f"; {len(shown)} of {count(len(entries))} features" if len(shown) < len(entries) else ""
    heads = ("Feature", "In words", "Chart", "Since", "#Score ÷ threshold", "#Rows")
    return table(f"{caption} (times in UTC){of}", heads, map(evidence_row, shown))


def evidence_row(entry: Evidence) -> list[Inside]:
    """Return one feature's evidence."""
    return [
        name(entry.feature),
        text(said(entry)),
        chart_of(entry),
        moment(entry.since),
        [tag("b", times(entry.excess)), ratio(entry)],
        count(entry.rows),
    ]


def ratio(entry: Evidence) -> Markup | None:
    """Return score and threshold themselves; a chart's score is a ratio already."""
    if entry.threshold == 1:
        return None
    exact = "" if entry.resolution is None else f", resolution {number(entry.resolution)}"
    return tag("span", f" {number(entry.score)} ÷ {number(entry.threshold)}{exact}", class_="quiet small")

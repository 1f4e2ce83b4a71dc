"""`driftd status`: how the running daemon, its models and its targets stand, as its first page shows it."""

from collections.abc import Iterable, Iterator, Sequence

from monitor.commands.answers import AlertItem, FeatureItem, ModelItem, SeriesItem, StandingItem, TargetItem
from monitor.commands.decide import AwayError, Way, cannot, obtained, pretty, reach
from monitor.commands.exits import Exit
from monitor.explain.figures import thousands
from monitor.explain.samples import legible
from monitor.series.tracks import HIGHEST

STATUS, ALERTS, MODELS = "/api/v1/status", "/api/v1/alerts", "/api/v1/models"
NAMED = 3  # features of an incident or a model in a line
QUIET_SHOWN = 10  # models that stand well
LONGEST = 40
Row = Sequence[str]
WORDS = {
    "alerting": "ALERTING",
    "warning": "near an alert",
    "insufficient": "too few rows",
    "stale": "no window of late",
    "waiting": "no window yet",
    "ok": "quiet",
}
JUDGED = frozenset({"alerting", "warning", "ok"})


def status(way: Way, model: str | None, *, as_json: bool) -> Exit:
    """Print how everything stands, or a model's features. 1 where all is not well. Raises ConfigError."""
    try:
        daemon = reach(way, writes=False)
        standing = obtained(daemon, STATUS, StandingItem)
        opened = [each for each in obtained(daemon, ALERTS, list[AlertItem]) if is_open(each)]
        found = [each for each in obtained(daemon, MODELS, list[SeriesItem]) if each["model"] == model] if model else []
    except AwayError as error:
        return cannot(str(error))
    if model is not None and not found:
        cannot(f"driftd watches no model {model!r}; there is {', '.join(names(standing))}")
        return Exit.USAGE
    if as_json:
        print(pretty({**standing, "incidents": opened, **({"features": found} if model else {})}))
    else:
        print("\n".join([*head(standing), *(model_lines(found, opened) if model else lines(standing, opened))]))
    well = standing["well"] if model is None else is_well(standing, model)
    return Exit.OK if well else Exit.NO


def is_open(alert: AlertItem) -> bool:
    """Whether an alert is an incident that is open."""
    return bool(alert["incident"]) and alert["state"] != "pending" and alert["resolved_at"] is None


def is_well(standing: StandingItem, model: str) -> bool:
    """Whether a model has no incident and is judged, in a version at least, by a daemon that is ready."""
    states = {each["state"] for each in standing["models"] if each["model"] == model}
    return standing["ready"] and "alerting" not in states and not states.isdisjoint(JUDGED)


def names(standing: StandingItem) -> list[str]:
    """The models there are."""
    return sorted({legible(each["model"], LONGEST) for each in standing["models"]})


def head(standing: StandingItem) -> Iterator[str]:
    """The one line to remember, then what keeps driftd from seeing or telling."""
    ready = "ready" if standing["ready"] else f"not ready: {legible(standing['why'] or '', 200)}"
    until = standing["watermark"]
    read = "no event time is known yet" if until is None else f"events are complete until {until}"
    yield f"{standing['headline']}; driftd {standing['version']} is {ready}; {read}"
    for each in standing["troubles"]:
        yield f"! {legible(each['what'], 300)}: {legible(each['todo'], 300)}"


# --- all of it --------------------------------------------------------------------------------------------------------


def lines(standing: StandingItem, opened: Sequence[AlertItem]) -> Iterator[str]:
    """Everything, for people: the open incidents first."""
    for alert in opened:
        yield ""
        yield from incident_lines(alert)
    yield ""
    yield from table(
        ("MODEL", "STATE", "NEAREST FEATURES (score ÷ threshold)", "DRIFTING", "LAST WINDOW", "ROWS"),
        model_rows(standing),
    )
    yield ""
    yield from table(("TOPIC", "LAG", "COUNTED", "LATE", "REJECTED", "REASONS"), topic_rows(standing))
    if standing["targets"]:
        yield ""
        yield from table(
            ("TARGET", "WHERE", "LAST ATTEMPT", "WAITING", "DELIVERED", "TRIED AGAIN", "GIVEN UP"),
            map(target_row, standing["targets"]),
        )


def incident_lines(alert: AlertItem) -> Iterator[str]:
    """One open incident: what, since when, which features, who looks after it."""
    ack = alert.get("acknowledged")
    taken = f", looked after by {legible(ack['by'], LONGEST)}" if ack else ", silenced" if alert.get("silenced") else ""
    kind = alert["kind"].replace("_", " ")
    rule = "" if alert["rule"] == "drift" else f" (rule {legible(alert['rule'], LONGEST)})"
    yield f"{alert['severity'].upper()} {series(alert)}: {kind}{rule} since {alert['since']}{taken}"
    for entry in alert["evidence"][:NAMED]:
        said = entry.get("words") or f"{entry['detector']} {figure(entry['score'])} > {figure(entry['threshold'])}"
        yield f"    {legible(entry['feature'], LONGEST)}  {legible(said, 120)}"
    if (more := len(alert["evidence"]) - NAMED) > 0:
        yield f"    and {more} more"
    if not ack:
        yield f"    driftd ack {legible(alert['incident'] or '')}"


def series(item: ModelItem | AlertItem | SeriesItem) -> str:
    """A model and its version."""
    return legible(item["model"] if item["version"] == "*" else f"{item['model']}/{item['version']}", LONGEST)


def model_rows(standing: StandingItem) -> Iterator[Row]:
    """The models, the worst first; of many that stand well the first."""
    every = standing["models"]
    shown = [each for place, each in enumerate(every) if each["state"] != "ok" or place < QUIET_SHOWN]
    for each in shown:
        yield model_row(each)
    if (rest := len(every) - len(shown)) > 0:
        yield (f"and {rest} more", "quiet", "", "", "", "")


def model_row(model: ModelItem) -> Row:
    """One model."""
    near = ", ".join(
        f"{legible(each['feature'], LONGEST)} {ratio(each['of_threshold'])}" for each in model["nearest"][:NAMED]
    )
    window, state = model["window"], WORDS.get(model["state"], model["state"])
    if model["learning"]:
        state += f", {legible(model['learning'], 120)}"
    drifting = f"{model['drifting']} of {model['features']}" if model["features"] else "-"
    return (
        series(model),
        state,
        near or "-",
        drifting,
        window["end"] if window else "-",
        thousands(window["rows"]) if window else "-",
    )


def topic_rows(standing: StandingItem) -> Iterator[Row]:
    """The topics, each with why events were rejected."""
    for each in standing["topics"]:
        events = each["events"]
        reasons = [f"{one['reason']} {one['count']}" for one in standing["rejected"] if one["topic"] == each["topic"]]
        lag = "unknown" if each["lag"] is None else thousands(each["lag"])
        late = "-" if each["late_ratio"] is None else f"{each['late_ratio']:.1%}"
        counted, rejected = (thousands(events.get(outcome, 0)) for outcome in ("ok", "rejected"))
        yield legible(each["topic"], LONGEST), lag, counted, late, rejected, ", ".join(reasons[:NAMED]) or "-"


def target_row(target: TargetItem) -> Row:
    """One target."""
    tried, last = target["attempts"], target["last"]
    said = "-" if last is None else f"{last['outcome']} {legible(last['detail'], 60)}".strip()
    waits = str(target["pending"]) + (
        "" if target["oldest_seconds"] is None else f", for {target['oldest_seconds']:.0f} s"
    )
    counts = (
        tried.get("delivered", 0) + tried.get("present", 0),
        tried.get("retried", 0),
        tried.get("dead", 0) + tried.get("refused", 0),
    )
    return target["target"], f"{target['type']} {target['address']}", said, waits, *map(str, counts)


# --- a model's features -----------------------------------------------------------------------------------------------

STATES = {2: "drift", 1: "warning", 0: "ok", -1: "too few rows"}


def model_lines(found: Sequence[SeriesItem], opened: Sequence[AlertItem]) -> Iterator[str]:
    """One model, each of its versions: what is open, then all features by score."""
    for model in found:
        window = model["window"]
        yield f"{series(model)}: " + (
            f"window to {window['end']}, {thousands(window['rows'])} rows" if window else "no window yet"
        )
        for alert in opened:
            if (alert["model"], alert["version"]) == (model["model"], model["version"]):
                yield from incident_lines(alert)
        features = sorted(
            model["features"], key=lambda each: (-each["state"], -(nearest(each) or -1.0), each["feature"])
        )
        yield from table(
            ("FEATURE", "STATE", "SCORE ÷ THRESHOLD", "MISSING", "OUTSIDE", "SCORES"), map(feature_row, features)
        )


def nearest(feature: FeatureItem) -> float | None:
    """A feature's largest score ÷ threshold, where one is known; what is over a threshold of 0 is as far as can be."""
    found = (
        of_threshold(each["value"], each["threshold"])
        for each in feature["scores"]
        if each["value"] is not None and each["threshold"] is not None
    )
    return max(found, default=None)


def of_threshold(value: float, threshold: float) -> float:
    """Score ÷ threshold, no higher than the page shows it.

    >>> of_threshold(1.0, 2.0), of_threshold(1.0, 0.0), of_threshold(0.0, 0.0)
    (0.5, 60000.0, 0.0)
    """
    if threshold > 0:
        return min(value / threshold, HIGHEST)
    return HIGHEST if value > threshold else 0.0


def ratio(of_threshold: float | None) -> str:
    """How near, in as many digits as anybody reads."""
    return "-" if of_threshold is None else f"{of_threshold:.2f}"


def figure(value: float | None) -> str:
    """A score in three digits; a dash where no number says it."""
    return "-" if value is None else f"{value:.3g}"


def feature_row(feature: FeatureItem) -> Row:
    """One feature."""
    ratios = ["-" if part is None else f"{part:.1%}" for part in (feature["missing_ratio"], feature["unseen_ratio"])]
    scores = (f"{each['detector']} {each['value']:.3g}" for each in feature["scores"] if each["value"] is not None)
    state = STATES.get(feature["state"], "-")
    return (
        legible(feature["feature"], LONGEST),
        state,
        ratio(nearest(feature)),
        *ratios,
        ", ".join(scores) or "-",
    )


def table(heads: Row, rows: Iterable[Row]) -> Iterator[str]:
    """Columns as wide as they must be, two spaces apart."""
    every = [heads, *rows]
    wide = [max(len(row[at]) for row in every) for at in range(len(heads))]
    for row in every:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)).rstrip()

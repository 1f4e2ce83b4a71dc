"""`driftd status`: how the running daemon, its models and its targets stand, as its first page shows it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from monitor.commands.decide import AwayError, Listener, Said, Way, ask, cannot, pretty, reach
from monitor.commands.exits import Exit
from monitor.explain.figures import thousands
from monitor.explain.samples import legible

STATUS, INCIDENTS, MODELS = "/api/v1/status", "/api/v1/incidents", "/api/v1/models"
ALERTS = "/api/v1/alerts"
NAMED = 3  # features of an incident or a model in a line
QUIET_SHOWN = 10  # models that stand well
LONGEST = 40
Row = Sequence[str]
WORDS = {
    "alerting": "ALERTING",
    "warning": "near an alert",
    "insufficient": "too few rows",
    "waiting": "no window yet",
    "ok": "quiet",
}


def status(way: Way, model: str | None, *, as_json: bool) -> Exit:
    """Print how everything stands, or a model's features. 1 where an incident is open or driftd is not ready. Raises ConfigError."""
    try:
        daemon = reach(way, writes=False)
        standing = obtained(daemon, STATUS)
        alerts = [each for each in obtained(daemon, ALERTS) if each["incident"] and each["state"] != "pending"]
        found = [each for each in obtained(daemon, MODELS) if each["model"] == model] if model else []
    except AwayError as error:
        return cannot(str(error))
    opened = [each for each in alerts if each["resolved_at"] is None]
    if model is not None and not found:
        cannot(f"driftd watches no model {model!r}; there is {', '.join(names(standing))}")
        return Exit.USAGE
    if as_json:
        print(pretty({**standing, "incidents": opened, **({"features": found} if model else {})}))
    else:
        print("\n".join(model_lines(found, opened) if model else lines(standing, opened)))
    bad = [each for each in opened if model in {None, each["model"]}]
    return Exit.NO if bad or not standing["ready"] else Exit.OK


def obtained(daemon: Listener, route: str) -> Any:
    """What a route says. Raises AwayError for whatever is not a driftd of today."""
    answer: Said = ask(daemon, "GET", None, route)
    if answer.status != HTTPStatus.OK or answer.body is None:
        raise AwayError(
            f"{daemon.url}{route} answered {answer.status}: is another driftd, or something else, running there?"
        )
    return answer.body


def names(standing: Mapping[str, Any]) -> list[str]:
    """The models there are."""
    return sorted({legible(each["model"], LONGEST) for each in standing["models"]})


# --- all of it --------------------------------------------------------------------------------------------------------


def lines(standing: Mapping[str, Any], opened: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Everything, for people: what is wrong first."""
    yield headline(standing, opened)
    for each in standing["troubles"]:
        yield f"! {legible(each['what'], 300)}: {legible(each['todo'], 300)}"
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


def headline(standing: Mapping[str, Any], opened: Sequence[Mapping[str, Any]]) -> str:
    """The one line to remember."""
    ready = "ready" if standing["ready"] else f"not ready: {legible(standing['why'], 200)}"
    count = len(opened)
    what = "no incident is open" if not count else f"{count} incident{'s are' if count > 1 else ' is'} open"
    return f"{what}; driftd {standing['version']} is {ready}; events are complete until {standing['watermark'] or 'none yet'}"


def incident_lines(alert: Mapping[str, Any]) -> Iterator[str]:
    """One open incident: what, since when, which features, who looks after it."""
    ack = alert["acknowledged"]
    taken = f", looked after by {legible(ack['by'], LONGEST)}" if ack else ", silenced" if alert["silenced"] else ""
    kind = alert["kind"].replace("_", " ")
    rule = "" if alert["rule"] == "drift" else f" (rule {legible(alert['rule'], LONGEST)})"
    yield f"{alert['severity'].upper()} {series(alert)}: {kind}{rule} since {alert['since']}{taken}"
    for entry in alert["evidence"][:NAMED]:
        said = entry.get("words") or f"{entry['detector']} {entry['score']:.3g} > {entry['threshold']:.3g}"
        yield f"    {legible(entry['feature'], LONGEST)}  {legible(said, 120)}"
    if (more := len(alert["evidence"]) - NAMED) > 0:
        yield f"    and {more} more"
    if not ack:
        yield f"    driftd ack {alert['incident']}"


def series(item: Mapping[str, Any]) -> str:
    """A model and its version."""
    return legible(item["model"] if item["version"] == "*" else f"{item['model']}/{item['version']}", LONGEST)


def model_rows(standing: Mapping[str, Any]) -> Iterator[Row]:
    """The models, the worst first; of many that stand well the first."""
    every = standing["models"]
    shown = [each for place, each in enumerate(every) if each["state"] != "ok" or place < QUIET_SHOWN]
    for each in shown:
        yield model_row(each)
    if (rest := len(every) - len(shown)) > 0:
        yield (f"and {rest} more", "quiet", "", "", "", "")


def model_row(model: Mapping[str, Any]) -> Row:
    """One model."""
    near = ", ".join(
        f"{legible(each['feature'], LONGEST)} {each['of_threshold']:.2f}" for each in model["nearest"][:NAMED]
    )
    window, state = model["window"], WORDS.get(model["state"], model["state"])
    if model["learning"]:
        state += f", {model['learning']}"
    drifting = f"{model['drifting']} of {model['features']}" if model["features"] else "-"
    return (
        series(model),
        state,
        near or "-",
        drifting,
        window["end"] if window else "-",
        thousands(window["rows"]) if window else "-",
    )


def topic_rows(standing: Mapping[str, Any]) -> Iterator[Row]:
    """The topics, each with why events were rejected."""
    for each in standing["topics"]:
        events = each["events"]
        reasons = [f"{one['reason']} {one['count']}" for one in standing["rejected"] if one["topic"] == each["topic"]]
        lag = "unknown" if each["lag"] is None else thousands(each["lag"])
        late = "-" if each["late_ratio"] is None else f"{each['late_ratio']:.1%}"
        counted, rejected = (thousands(events.get(outcome, 0)) for outcome in ("ok", "rejected"))
        yield legible(each["topic"], LONGEST), lag, counted, late, rejected, ", ".join(reasons[:NAMED]) or "-"


def target_row(target: Mapping[str, Any]) -> Row:
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


def model_lines(found: Sequence[Mapping[str, Any]], opened: Sequence[Mapping[str, Any]]) -> Iterator[str]:
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


def nearest(feature: Mapping[str, Any]) -> float | None:
    """A feature's largest score ÷ threshold, where one is known."""
    found = (
        each["value"] / each["threshold"]
        for each in feature["scores"]
        if each["value"] is not None and each["threshold"]
    )
    return max(found, default=None)


def feature_row(feature: Mapping[str, Any]) -> Row:
    """One feature."""
    near = nearest(feature)
    ratios = ["-" if part is None else f"{part:.1%}" for part in (feature["missing_ratio"], feature["unseen_ratio"])]
    scores = (f"{each['detector']} {each['value']:.3g}" for each in feature["scores"] if each["value"] is not None)
    state = STATES.get(feature["state"], "-")
    return (
        legible(feature["feature"], LONGEST),
        state,
        "-" if near is None else f"{near:.2f}",
        *ratios,
        ", ".join(scores) or "-",
    )


def table(heads: Row, rows: Iterable[Row]) -> Iterator[str]:
    """Columns as wide as they must be, two spaces apart."""
    every = [heads, *rows]
    wide = [max(len(row[at]) for row in every) for at in range(len(heads))]
    for row in every:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)).rstrip()

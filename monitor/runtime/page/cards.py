"""An incident as a card: what, since when, which features in words, what joined, who looks after it."""

import shlex
from collections.abc import Sequence

from detectors.charts import IncidentKind
from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import (
    BUDGET_RULE,
    CONTRACT_RULE,
    ERRORS_RULE,
    FROZEN_RULE,
    LATENCY_RULE,
    LATENESS_RULE,
    NO_DATA_RULE,
    REACHABILITY_RULE,
    SCHEMA_RULE,
    SELF_CHECK_RULE,
)
from monitor.explain.words import OF_STREAM, VERBS, VERBS_OF_RULES
from monitor.facts import AlertChanged, AlertSeen
from monitor.html.evidence import said
from monitor.html.figures import moment, plural
from monitor.html.markup import Inside, Markup, name, tag
from monitor.runtime.board import Board
from monitor.runtime.decisions import decided
from monitor.runtime.page.frame import ago, feature_named, incident_address, title
from monitor.runtime.routes import ended
from monitor.stream.events import Nanos

NAMED = 3  # features in a card
ESCALATIONS_NAMED = 2
Shown = AlertSeen | AlertChanged


def headline(alert: Shown) -> list[Inside]:
    """Return what is the matter, in a few words."""
    return [title(alert.key), " ", verb(alert)]


def verb(alert: Shown) -> str:
    """Return what the model does."""
    over = isinstance(alert, AlertChanged)
    if alert.rule == SELF_CHECK_RULE:
        return "did not fit its reference" if over else "does not fit its reference"
    if alert.rule in OF_STREAM:
        return OF_STREAM[alert.rule][over]
    verbs = VERBS_OF_RULES.get(alert.rule) or VERBS.get(alert.kind, VERBS[IncidentKind.DRIFT])
    state = alert.state if isinstance(alert, AlertSeen) else AlertState.INACTIVE
    words = verbs.over if over else verbs.now.get(state, verbs.now[AlertState.FIRING])
    return words if alert.rule == BUDGET_RULE or alert.rule in VERBS_OF_RULES else f"{words}, by your rule {alert.rule}"


def card(board: Board, alert: AlertSeen, now: Nanos) -> Markup:
    """Return an open incident."""
    heading = tag("h3", tag("a", headline(alert), href=incident_address(alert.incident)))
    return tag(
        "article",
        heading,
        tag("p", badges(board, alert, now), class_="head"),
        words(board, alert),
        joined_later(alert),
        attended(board, alert),
        class_=f"card {alert.severity.value}",
    )


def badges(board: Board, alert: Shown, now: Nanos) -> list[Inside]:
    """Return severity, kind and times."""
    since = None if alert.since is None else alert.since
    kind = alert.kind.value.replace("_", " ")
    over = [tag("span", ended(alert), " ", moment(alert.window.end))] if isinstance(alert, AlertChanged) else []
    silenced = tag("span", "silenced", class_="badge") if decided(board, alert)["silenced"] else None
    return [
        tag("span", alert.severity.value, class_="badge severity"),
        tag("span", kind, class_="quiet"),
        tag("span", "since ", moment(since)),
        None if since is None or over else tag("span", ago(since, now), class_="quiet"),
        *over,
        silenced,
    ]


def features(alert: Shown) -> list[Evidence]:
    """All that are or were part of it, what is worst now in front."""
    now = {entry.feature for entry in alert.evidence}
    return [*alert.evidence, *(entry for entry in alert.about.members if entry.feature not in now)]


def words(board: Board, alert: Shown) -> Markup:
    """Return the first features, each in words."""
    every = features(alert)
    items = [tag("li", feature_named(board, alert.key, entry.feature), " ", said(entry)) for entry in every[:NAMED]]
    more = len(every) - len(items)
    rest = [tag("li", f"and {plural(more, 'feature')} more", class_="quiet")] if more > 0 else []
    return tag("ul", items, rest, class_="words")


def joined_later(alert: Shown) -> Markup | None:
    """Return what the incident was told again for, the latest first."""
    told = alert.about.escalations
    if not told:
        return None
    shown: list[Inside] = []
    for each in reversed(told[-ESCALATIONS_NAMED:]):
        shown += ["; " if shown else "", names_of(each.features), " ", moment(each.at)]
    more = len(told) - ESCALATIONS_NAMED
    return tag(
        "p", tag("b", "Joined or grew: "), shown, f"; and {more} times before" if more > 0 else "", class_="small"
    )


def names_of(names: Sequence[str]) -> list[Inside]:
    """Return the first of some names."""
    shown: list[Inside] = []
    for each in names[:NAMED]:
        shown += [", " if shown else "", name(each)]
    return [*shown, f" and {len(names) - NAMED} more" if len(names) > NAMED else ""]


def attended(board: Board, alert: Shown) -> Markup:
    """Return who looks after it; where nobody does, how to say so."""
    ack = decided(board, alert)["acknowledged"]
    if ack:
        why = f": {ack['reason']}" if ack["reason"] else ""
        return tag("p", "Looked after by ", tag("b", name(ack["by"])), why, class_="small")
    if isinstance(alert, AlertChanged):
        return tag("p", "Nobody had taken it.", class_="small quiet")
    return tag("p", "Nobody has taken it: ", tag("code", f"driftd ack {alert.incident}"), class_="small")


# --- what to do -------------------------------------------------------------------------------------------------------

ADVICE = {
    IncidentKind.DATA_QUALITY: "Look at what writes these columns: values are missing, unknown, repeated, or rows fail to come. Retraining on them would teach the model the fault.",
    IncidentKind.PREDICTION: "The model answers otherwise: see whether its inputs drift too (an incident of kind drift), or whether another version was released.",
    IncidentKind.PERFORMANCE: "The model is wrong more often than it may be: see whether its inputs drift too, and whether labels are what they were. Where both are sound, train it anew.",
    IncidentKind.SERVICE: "The reference no longer says what is usual here: fit it anew on more or later days, with driftd reference fit.",
}
STREAM_ADVICE = {
    LATENESS_RULE: "Raise lateness to how late events come, or idle_after; see which producer writes late.",
    NO_DATA_RULE: "See whether the model is still asked, and whether its producer writes to the topic: no window is judged meanwhile.",
    LATENCY_RULE: "See what the service waits for, and whether another version of it was released: requests take longer than in the reference. The model itself need not be trained.",
    ERRORS_RULE: "See what the requests that fail have in common; what failed brings no prediction, or a default. The model itself need not be trained.",
    FROZEN_RULE: "Look at what gives this value: a cache, a feed or a default that is stuck. The drift of what is frozen is not told beside it; nothing is to be trained for it.",
    CONTRACT_RULE: "See which producer writes what the contract forbids; driftd contract check tells it of a file. If it was meant, edit the contract.",
    SCHEMA_RULE: "See which producer was released at the offset named: the model gets columns that it was not made for. If it was meant, edit the contract and restart.",
    REACHABILITY_RULE: "Bring the broker, or the way to it, back: windows close by themselves once it answers.",
}
DRIFT_ADVICE = "See the first feature below: how it is now beside the reference, and since when. Was it meant (a campaign, a release, a new market), or has something upstream changed?"


def steps(alert: AlertSeen) -> Markup:
    """Return what can be done about an open incident, as commands that can be copied."""
    model = shlex.quote(alert.key.model)
    named = " ".join(shlex.quote(entry.feature) for entry in features(alert)[:NAMED])
    given: list[tuple[str, str]] = [("You look after it:", f"driftd ack {alert.incident} --reason …")]
    if alert.rule == BUDGET_RULE and named:  # without a name it would accept the whole model
        given.append(
            (
                "It was meant, and is how it should be from now on:",
                f"driftd accept {model} {named} --for-good --reason …",
            )
        )
    given.append(("You know, and need quiet while it is mended:", f"driftd silence {model} --for 2h --reason …"))
    items = [tag("li", words, " ", tag("code", command)) for words, command in given]
    return tag(
        "ol", tag("li", STREAM_ADVICE.get(alert.rule) or ADVICE.get(alert.kind, DRIFT_ADVICE)), items, class_="steps"
    )

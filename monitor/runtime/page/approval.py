"""The page of an approval link: what is asked for and why, and a form; or what has become of it."""

from collections.abc import Mapping
from itertools import islice

from monitor.alerting.retraining import RetrainOutcome
from monitor.facts import AlertSeen, RetrainDecided
from monitor.html.figures import moment
from monitor.html.markup import Inside, Markup, facts, name, tag
from monitor.runtime.metrics import DaemonStatus
from monitor.runtime.page.frame import POLICY, frame, incident_address, section

SHOWN = 10  # features
FORM_POLICY = POLICY.replace("form-action 'none'", "form-action 'self'")
HIDDEN = ("request", "action", "expires", "signature")
WORDS = {
    "approve": ("Approve retraining", "goes out to every target that wants it, under the id that it waited under."),
    "reject": ("Reject retraining", "is dropped. The next incident, or the next time of the schedule, asks anew."),
}


def approval_page(
    status: DaemonStatus, action: str, request: RetrainDecided, alert: AlertSeen | None, fields: Mapping[str, str]
) -> bytes:
    """Return the page with the form. `fields` are those of the link, which the form sends on."""
    wish = request.wish
    assert wish is not None
    heading, then = WORDS[action]
    hidden = [tag("input", type="hidden", name=each, value=fields.get(each, "")) for each in HIDDEN]
    required = action == "reject"
    form = tag(
        "form",
        hidden,
        tag(
            "p",
            tag("label", "Your name ", tag("input", name="by", required=True, maxlength="100", autocomplete="name")),
        ),
        tag("p", tag("label", "Why ", tag("input", name="reason", required=required, maxlength="1000", size="60"))),
        tag("p", tag("button", heading, type="submit")),
        method="post",
        action="approval",
    )
    body = [
        tag("h1", f"{heading} of ", name(wish.key.model), "?"),
        tag("p", f"The request {then} Nothing has been decided by opening this page.", class_="lead"),
        about(request),
        evidence(alert),
        section("Decide", form, "decide"),
    ]
    return frame(heading, "warn", status, body)


def about(request: RetrainDecided) -> Markup:
    """Return what is asked for, by what."""
    wish = request.wish
    assert wish is not None
    incident: Inside = (
        [
            f"an incident of {wish.reason}, rule {wish.rule}: ",
            tag("a", wish.incident, href=incident_address(wish.incident)),
        ]
        if wish.incident
        else f"its {wish.reason}"
    )
    known: list[tuple[str, Inside]] = [
        ("Model", name(str(wish.key))),
        ("Asked for by", incident),
        ("At", moment(wish.at)),
        ("To train on", [moment(request.data_from), " to ", moment(request.data_to)]),
        ("Request", tag("code", wish.id)),
    ]
    if request.expires_at is not None:
        known.append(("Dropped unless approved by", moment(request.expires_at)))
    return facts(known)


def evidence(alert: AlertSeen | None) -> Markup | None:
    """Return what the incident shows, if it is open."""
    if alert is None:
        return None
    words = [
        tag("li", name(each.feature), f": {each.words or each.chart or each.detector}")
        for each in islice(alert.evidence, SHOWN)
    ]
    more = len(alert.evidence) - SHOWN
    also = tag("p", f"and {more} more", class_="quiet") if more > 0 else None
    return section("What the incident shows", [tag("ul", words, class_="words"), also], "evidence")


def decided_page(status: DaemonStatus, name_of: str, request: RetrainDecided | None, refused: str = "") -> bytes:
    """Return what has become of a request: by whom, and why it could not be decided now."""
    lines: list[Inside] = [tag("p", name(refused), class_="lead")] if refused else []
    if request is None or request.wish is None:
        lines.append(tag("p", "Nothing is known of the request ", tag("code", name_of), " any more."))
    else:
        lines += [tag("p", outcome(request), class_="lead"), about(request)]
    return frame("Retraining", "none", status, [tag("h1", "Retraining"), *lines])


def outcome(request: RetrainDecided) -> str:
    """How a request was decided, in a sentence."""
    if request.outcome is RetrainOutcome.PENDING:
        return "It waits for approval."
    how = {RetrainOutcome.REQUESTED: "Approved: retraining is requested", RetrainOutcome.REJECTED: "Rejected"}
    by = f", by {request.by}" if request.by else ""
    why = f": {request.why}" if request.why else ""
    return f"{how.get(request.outcome, request.outcome.words.capitalize())}{by}{why}."

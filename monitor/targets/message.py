"""A notice for people: what it says as plain fields, a title and a text, whoever shows them."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from monitor.store.outbox import Notice
from monitor.targets.payloads import (
    COMPLETED,
    ESCALATED,
    FAILED,
    FIRING,
    PENDING,
    REPORT,
    RESOLVED,
    RETRAIN,
    SETTLED,
    SUPPRESSED,
    rfc3339,
)
from monitor.targets.wording import Template

MOST_FEATURES = 10  # lines of a text
ELLIPSIS = "…"
TITLE = Template("{state}: {summary}")
TEXT = Template(
    "{summary}\n"
    "{features}\n"
    "{severity} {kind} of {model} version {version}, rule {rule}, since {since}\n"
    "window {window_start} to {window_end}, {rows} rows\n"
    "incident {incident}\n"
    "request {request}\n"
    "{url}\n"
    "to approve: {approve}\n"
    "to reject: {reject}"
)
WITHOUT_ALERT = Template(  # what a schedule or a person wants
    "{summary}\n"
    "{reason} of {model} version {version}\n"
    "window {window_start} to {window_end}, {rows} rows\n"
    "request {request}\n"
    "{url}\n"
    "to approve: {approve}\n"
    "to reject: {reject}"
)
REPORTED = Template("{summary}\n{url}")  # a report for people
WITHOUT_KIND = "retraining"  # the kind of what no incident is behind


class State(Enum):
    """How an incident stands by a notice; the value is its word for people."""

    OPENED = "firing"
    ESCALATED = "escalated"
    SETTLED = "settled"
    RESOLVED = "resolved"
    RETRAINING = "retraining requested"
    PENDING = "retraining waits for approval"
    SUPPRESSED = "retraining not requested"
    COMPLETED = "retraining completed"
    FAILED = "retraining failed"
    REPORTED = "report"

    @property
    def is_of_retraining(self) -> bool:
        """Whether it is about a wish for retraining, which opens and ends no incident."""
        return self in {State.RETRAINING, State.PENDING, State.SUPPRESSED, State.COMPLETED, State.FAILED}

    @property
    def opens(self) -> str:
        """What a link to it says."""
        return "Open the report" if self is State.REPORTED else "Open the incident"

    @property
    def ends(self) -> bool:
        """Whether the incident is over."""
        return self in {State.SETTLED, State.RESOLVED}


STATES = {
    FIRING: State.OPENED,
    ESCALATED: State.ESCALATED,
    SETTLED: State.SETTLED,
    RESOLVED: State.RESOLVED,
    RETRAIN: State.RETRAINING,
    PENDING: State.PENDING,
    SUPPRESSED: State.SUPPRESSED,
    COMPLETED: State.COMPLETED,
    FAILED: State.FAILED,
    REPORT: State.REPORTED,
}
OF_RETRAINING = frozenset(kind for kind, state in STATES.items() if state.is_of_retraining)


@dataclass(frozen=True, slots=True)
class Saying:
    """What a notice says. All texts are clean of control characters; what is not known is empty."""

    state: State
    fields: Mapping[str, str]
    details: Mapping[str, Any]  # the data of the notice

    @property
    def incident(self) -> str:
        """The incident's id, the same from opening to end."""
        return self.fields["incident"]

    @property
    def severity(self) -> str:
        """`info`, `warning` or `critical`."""
        return self.fields["severity"]

    @property
    def url(self) -> str:
        """The page of the incident; empty where nobody says where our pages are."""
        return self.fields["url"]

    @property
    def decisions(self) -> list[tuple[str, str]]:
        """What can be decided by a link, in words, and the link."""
        named = (("Approve …", "approve"), ("Reject …", "reject"))
        return [(words, self.fields[name]) for words, name in named if self.fields[name]]

    @property
    def place(self) -> str:
        """Model, version, rule and kind: of these one incident is open at a time."""
        return "/".join(self.fields[name] for name in ("model", "version", "rule", "kind"))


@dataclass(frozen=True, slots=True)
class Wording:
    """The templates of one target."""

    title: Template = TITLE
    text: Template = TEXT

    def title_of(self, said: Saying, most: int) -> str:
        """One line of at most so many characters."""
        if said.state is State.REPORTED:  # templates word alerts
            return cut(" ".join(TITLE.fill(said.fields).split()), most)
        return cut(" ".join(self.title.fill(said.fields).split()), most)

    def text_of(self, said: Saying, most: int) -> str:
        """A text of at most so many characters."""
        if said.state is State.REPORTED:
            return cut(REPORTED.fill(said.fields), most)
        plain = self.text == TEXT and not said.fields["rule"]
        return cut((WITHOUT_ALERT if plain else self.text).fill(said.fields), most)


AS_USUAL = Wording()


def read(notice: Notice, target: str) -> Saying:
    """What a notice says to people."""
    data: dict[str, Any] = msgspec.json.decode(notice.data)
    state = STATES.get(notice.type, State.OPENED)
    alert, window, request = (data.get(name) or {} for name in ("alert", "window", "request"))
    links = data.get("links") or {}
    fields = {
        "approve": links.get("approve", ""),
        "reject": links.get("reject", ""),
        "event_time": rfc3339(notice.event_time),
        "features": lines(data.get("evidence", ()), data.get("evidence_total", 0)),
        "instance": data.get("instance") or "",
        "incident": data.get("incident") or request.get("id") or notice.id,
        "kind": data.get("kind") or ("report" if state is State.REPORTED else WITHOUT_KIND),
        "model": data.get("model", ""),
        "name": target,
        "new": lines(data.get("new", ()), len(data.get("new", ()))),
        "reason": data.get("reason", ""),
        "request": request.get("id") or "",
        "rows": str(window.get("rows", "")),
        "rule": alert.get("rule", ""),
        "severity": data.get("severity") or "",
        "since": alert.get("since", ""),
        "state": state.value,
        "summary": by_whom(data.get("instance"), reasoned(data.get("summary", ""), data.get("because"))),
        "url": data.get("url") or links.get("incident") or links.get("model") or "",
        "version": data.get("model_version", ""),
        "window_end": window.get("end", ""),
        "window_start": window.get("start", ""),
    }
    return Saying(state, {name: clean(value) for name, value in fields.items()}, data)


def reasoned(summary: str, because: str | None) -> str:
    """A summary that says why nothing was requested."""
    return summary if not because or because in summary else f"{summary}; {because}"


def by_whom(instance: str | None, summary: str) -> str:
    """A summary that begins with which driftd says it, where that has a name.

    >>> by_whom("eu", "churn/3: mean +0.8 σ"), by_whom(None, "churn/3: mean +0.8 σ")
    ('eu: churn/3: mean +0.8 σ', 'churn/3: mean +0.8 σ')
    """
    return f"{instance}: {summary}" if instance else summary


def lines(evidence: Any, total: int) -> str:
    """Features, a line each, the first ones; how many more there are."""
    told = [
        f"- {each.get('feature')}: {each.get('words') or each.get('chart') or each.get('detector')}"
        for each in evidence
    ]
    more = max(total, len(told)) - MOST_FEATURES
    return "\n".join([*told[:MOST_FEATURES], *([f"- and {more} more"] if more > 0 else [])])


def clean(text: str) -> str:
    """A text without characters that control a terminal or turn the direction of text; line ends stay."""
    return "".join(
        each for each in text if each == "\n" or unicodedata.category(each) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    )


def cut(text: str, most: int) -> str:
    """At most so many characters."""
    return text if len(text) <= most else text[: most - len(ELLIPSIS)].rstrip() + ELLIPSIS

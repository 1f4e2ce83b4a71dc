"""The daemon's answers, as far as commands read them: anything else that answers is no driftd of today."""

from typing import NotRequired, TypedDict


class TroubleItem(TypedDict):
    """What is wrong, and what to do."""

    what: str
    todo: str


class NearItem(TypedDict):
    """A feature near an alert. `of_threshold` null: no number says it."""

    feature: str
    of_threshold: float | None


class WindowItem(TypedDict):
    """The last window with rows."""

    end: str
    rows: int


class ModelItem(TypedDict):
    """One model and version, in `GET /api/v1/status`."""

    model: str
    version: str
    state: str
    features: int
    drifting: int
    nearest: list[NearItem]
    window: WindowItem | None
    learning: str | None


class TopicItem(TypedDict):
    """What has become of a topic's events."""

    topic: str
    lag: int | None
    late_ratio: float | None
    events: dict[str, int]


class RejectedItem(TypedDict):
    """Events rejected for one reason."""

    topic: str
    reason: str
    count: int


class AttemptItem(TypedDict):
    """How the last attempt to tell a target ended."""

    outcome: str
    detail: str


class TargetItem(TypedDict):
    """Who is told."""

    target: str
    type: str
    address: str
    pending: int
    oldest_seconds: float | None
    attempts: dict[str, int]
    last: AttemptItem | None


class StandingItem(TypedDict):
    """`GET /api/v1/status`."""

    version: str
    headline: str
    well: bool
    ready: bool
    why: str | None
    watermark: str | None
    troubles: list[TroubleItem]
    models: list[ModelItem]
    topics: list[TopicItem]
    rejected: list[RejectedItem]
    targets: list[TargetItem]


class AckItem(TypedDict):
    """Who looks after an incident."""

    by: str


class EvidenceItem(TypedDict):
    """One feature's part in an alert."""

    feature: str
    detector: str
    score: float | None
    threshold: float | None
    words: NotRequired[str | None]


class AlertItem(TypedDict):
    """One of `GET /api/v1/alerts`."""

    model: str
    version: str
    rule: str
    kind: str
    severity: str
    state: str
    since: str | None
    resolved_at: str | None
    incident: str | None
    evidence: list[EvidenceItem]
    acknowledged: NotRequired[AckItem | None]
    silenced: NotRequired[bool]


class ScoreItem(TypedDict):
    """What a detector says of a feature."""

    detector: str
    value: float | None
    threshold: float | None


class FeatureItem(TypedDict):
    """One feature in the last window."""

    feature: str
    state: int
    missing_ratio: float | None
    unseen_ratio: float | None
    scores: list[ScoreItem]


class SeriesItem(TypedDict):
    """One of `GET /api/v1/models`."""

    model: str
    version: str
    window: WindowItem | None
    features: list[FeatureItem]


class DecisionItem(TypedDict):
    """One of `GET /api/v1/decisions`."""

    id: str
    decision: str
    model: str
    by: str
    reason: str
    until: str | None
    ended_at: str | None
    version: NotRequired[str | None]
    features: NotRequired[list[str]]
    incident: NotRequired[str]
    ends: NotRequired[str]
    request: NotRequired[str]
    force: NotRequired[bool]
    notes: NotRequired[list[str]]


class VersionItem(TypedDict):
    """One of `GET /api/v1/versions`."""

    model: str
    version: str
    source: str
    judged: str
    seen_at: str
    reference: str | None
    learnt_rows: int | None
    why: str | None


class RequestItem(TypedDict):
    """One of `GET /api/v1/retraining`."""

    id: str
    model: str
    version: str
    reason: str
    outcome: str
    because: str
    at: str
    incident: str | None
    expires_at: str | None
    by: str | None
    why: str | None
    in_flight: NotRequired[bool]  # of a daemon that follows runs
    ended: NotRequired["EndedItem | None"]
    runs: NotRequired[list["RunItem"]]


class RunItem(TypedDict):
    """A run that a request has started."""

    target: str
    type: str
    state: str
    run: str | None
    url: str | None


class EndedItem(TypedDict):
    """How a request ended."""

    outcome: str
    at: str | None
    new_version: str | None


class OutboxItem(TypedDict):
    """One of `GET /api/v1/outbox`."""

    notice: str
    target: str
    type: str
    subject: str
    state: str
    created_at: str
    due_at: str | None
    attempts: int
    status: int | None
    detail: str | None
    configured: NotRequired[bool]


class OutboxAnswer(TypedDict):
    """What became of what was asked of the outbox."""

    action: str
    notices: list[OutboxItem]
    overtaken: list[OutboxItem]

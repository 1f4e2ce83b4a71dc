"""Retraining of all models: what happens in, decisions out. It owns its state, and hears facts as everybody does.

The pipeline feeds one of them, which decides; a backtest feeds others besides, each with another policy, and compares.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from detectors.charts import IncidentKind
from monitor.alerting.decisions import Approve, Asked, Refusal, RefusedError, Reject, Trigger
from monitor.alerting.episodes import OPEN, Evidence
from monitor.alerting.ids import notice_id, plain_id
from monitor.alerting.labelled import LabelledWindows
from monitor.alerting.retraining import (
    ASKED_AGAIN,
    KEPT_VERSIONS,
    MANUAL_REASON,
    SCHEDULE_REASON,
    VETOES,
    RetrainHistory,
    RetrainOutcome,
    RetrainPolicy,
    reason_of,
    shows_broken_data,
)
from monitor.alerting.rules import (
    BUDGET_RULE,
    CONTRACT_RULE,
    FROZEN_RULE,
    LATENESS_RULE,
    NO_DATA_RULE,
    REACHABILITY_RULE,
    SCHEMA_RULE,
    SELF_CHECK_RULE,
    Severity,
)
from monitor.alerting.runs import FOLLOWED_FOR, KEPT_REQUESTS, OpenRequest, RunsReport, RunState
from monitor.alerting.schedule import LATEST
from monitor.facts import (
    AlertChanged,
    AlertEscalated,
    AlertSeen,
    Fact,
    PerformanceJudged,
    RetrainDecided,
    RetrainEnded,
    RetrainRunEnded,
    RetrainWish,
    RunsStand,
    WindowClosed,
    WindowSpan,
)
from monitor.series.alerts import without_counts
from monitor.series.records import Record
from monitor.series.traces import RetrainTrace
from monitor.stream.events import ANY_VERSION, DAY, Nanos, SeriesKey

STATE, LISTED = "retraining", "requests"  # kinds of rows
REQUESTED = "model.retrain.requested"
SILENCE: Nanos = 2 * DAY  # of a model, after which a schedule has nothing new to train on
KEPT = 100  # wishes decided last, over all models
OF_DATA = frozenset({BUDGET_RULE, CONTRACT_RULE, SCHEMA_RULE})  # rules of ours that tell of bad data as such a kind
VETOED_BY = {
    FROZEN_RULE: "data_quality",
    NO_DATA_RULE: "no_data",
    REACHABILITY_RULE: "no_data",
    LATENESS_RULE: "no_data",
    SELF_CHECK_RULE: "calibration",
}
NOTED = frozenset({AlertChanged, WindowClosed, PerformanceJudged})  # facts that say anything of a wish
NEVER_ASK = frozenset({SELF_CHECK_RULE})


@dataclass(slots=True)
class WaitingWish:
    """A wish that may still be granted, and the alert that asked."""

    wish: RetrainWish
    alert: AlertChanged | None = None


@dataclass(slots=True)
class ModelState:
    """One model. `waiting`: wishes that a veto suppressed, by incident; empty: that of the schedule. `looked_at`: how far the schedule is.

    `requests`: the last that were made, the oldest first.
    """

    history: RetrainHistory = field(default_factory=RetrainHistory)
    waiting: dict[str, WaitingWish] = field(default_factory=dict)
    pending: WaitingWish | None = None
    looked_at: Nanos | None = None
    versions: dict[str, Nanos] = field(default_factory=dict)  # seen first, event time
    labelled: LabelledWindows = field(default_factory=LabelledWindows)
    window: WindowSpan | None = None  # the last that was judged, and of which series
    series: SeriesKey | None = None
    began: Nanos | None = None  # start of the first window
    requests: tuple[OpenRequest, ...] = ()


class Retraining:
    """Decides for every model. `policies` by model; `references` are hashes by series; `keep`: so many decisions, None: all."""

    def __init__(
        self, policies: Mapping[str, RetrainPolicy], references: Mapping[SeriesKey, str], keep: int | None = KEPT
    ) -> None:
        self.policies = policies
        self.models = {model: ModelState() for model in policies}
        self.decided: deque[RetrainDecided] = deque(maxlen=keep)
        self.heard: Collection[str] | None = None  # models whose requests somebody is told of; None: all
        self.instance = ""  # in whose name requests are made
        self.lag: Nanos = 0  # of event time behind the wall clock, where events wait to be read
        self._references = references
        self._open: dict[str, tuple[SeriesKey, str]] = {}  # by incident: its series, and which veto it is
        self._due: dict[str, Nanos] = {}  # when the schedule is due next
        self._again: dict[str, Nanos] = {}  # models whose vetoes may have ended, when
        self._waiting: dict[str, None] = {}  # models of which a wish may be asked again
        self._begun = False  # every schedule counts from some time on
        self._earliest: Nanos | None = None  # when a schedule is due or an approval runs out next; None: to be found
        self._dirty: dict[str, None] = {}  # models whose state is to be saved
        self._listed = True  # the wishes decided last are saved
        self._stands = True  # how requests stand was told
        self._older = False  # a row of before there was one a model is to go

    # --- what happens -------------------------------------------------------------------------------------------

    def note(self, facts: Iterable[Fact]) -> None:
        """Take what stands for or against a wish. All that is known at one time is noted before anybody asks."""
        for fact in [each for each in facts if type(each) in NOTED]:
            match fact:
                case AlertChanged() if fact.opened or fact.closed:
                    self._note_alert(fact)
                case WindowClosed(key=key) if key.model in self.models:
                    state = self.models[key.model]
                    if state.window is None or fact.end >= state.window.end:
                        state.window, state.series = WindowSpan(fact.start, fact.end, fact.rows), key
                    state.began = fact.start if state.began is None else state.began
                    self._dirty[key.model] = None
                case PerformanceJudged(key=key) if (
                    key.model in self.models and self.policies[key.model].min_labelled_rows
                ):
                    self.models[key.model].labelled.take(key.version, fact.start, fact.end, fact.labelled)
                    self._look_again(key.model, fact.end + fact.age)
                case _:
                    pass

    def _note_alert(self, alert: AlertChanged) -> None:
        model, veto = alert.key.model, veto_of(alert)
        if veto is not None and alert.opened:
            self._open[alert.incident] = alert.key, veto
        if alert.closed:
            self._open.pop(alert.incident, None)
            state = self.models.get(model)
            if state is not None and state.waiting.pop(alert.incident, None) is None and veto is not None:
                self._look_again(model, alert.window.end)
            self._dirty |= {model: None} if state is not None else {}

    def _look_again(self, model: str, at: Nanos) -> None:
        if self.models[model].waiting:
            self._again[model] = max(at, self._again.get(model, at))
        self._dirty[model] = None

    def follow(self, fact: Fact) -> list[RetrainDecided]:
        """Let an alert that has opened, or has become worse or more, ask for retraining where its model's policy says so."""
        match fact:
            case AlertEscalated(alert=alert):
                new = {each.feature for each in fact.new}
                known = [each for each in alert.evidence if each.feature not in new]
                asked = self._asks(alert, fact.severity_before, known or alert.evidence)
                return [] if asked or not self._asks(alert, alert.severity, alert.evidence) else [self._ask(alert)]
            case AlertChanged(opened=True) if self._asks(fact, fact.severity, fact.evidence):
                return [self._ask(fact)]
            case _:
                return []

    def _asks(self, alert: AlertChanged, severity: Severity, evidence: Sequence[object]) -> bool:
        if alert.kind is IncidentKind.SERVICE or alert.rule in NEVER_ASK:  # training does not mend a stream
            return False
        policy = self.policies[alert.key.model]
        return policy.asks(reason_of(alert.kind), severity, [each for each in alert.evidence if each in evidence])

    def _ask(self, alert: AlertChanged) -> RetrainDecided:
        onset = alert.since if alert.onset is None else alert.onset
        wish = RetrainWish(
            id=notice_id(alert.key, alert.rule, alert.kind, alert.since, REQUESTED, instance=alert.instance),
            key=alert.key,
            reason=reason_of(alert.kind),
            at=alert.window.end,
            data_from=onset,
            data_to=alert.window.end,
            incident=alert.incident,
            rule=alert.rule,
            window=alert.window,
            reference=alert.reference,
        )
        if says_broken_data(alert.rule, alert.kind, alert.evidence):
            trace = self._trace("alert", wish)
            trace = replace(trace, rule=alert.rule, kind=alert.kind, evidence=alert.evidence[:1])
            return self._told(
                RetrainDecided(alert, RetrainOutcome.DATA_QUALITY, onset, wish.data_to, wish, trace=trace)
            )
        return self._wish(WaitingWish(wish, alert))

    def _wish(self, asked: WaitingWish) -> RetrainDecided:
        """Decide on a wish, and keep it where it may still be granted."""
        wish, state = asked.wish, self.models[asked.wish.key.model]
        policy, vetoes = self.policies[wish.key.model], self._vetoes(wish)
        trace = self._trace("decide", wish, vetoes)
        state.history, outcome = state.history.decide(policy, wish.at, wish.reason, vetoes)
        kept = WaitingWish(wish, None if asked.alert is None else without_counts(asked.alert))
        expires = None
        if outcome in ASKED_AGAIN:
            state.waiting[wish.incident] = kept
            self._waiting[wish.key.model] = None
        elif outcome is RetrainOutcome.PENDING:
            state.pending, expires, self._earliest = kept, wish.at + (policy.approval_within or 0), None
        return self._told(
            RetrainDecided(asked.alert, outcome, wish.data_from, wish.data_to, wish, expires_at=expires, trace=trace)
        )

    def _trace(
        self,
        asked: str,
        wish: RetrainWish,
        vetoes: Collection[RetrainOutcome] = (),
        *,
        forced: bool = False,
    ) -> RetrainTrace:
        """What a decision on a wish is made from."""
        model = wish.key.model
        history, policy = self.models[model].history, self.policies[model]
        return RetrainTrace.of(asked, history, policy, wish.at, wish.reason, vetoes, forced=forced)

    def _told(self, decided: RetrainDecided) -> RetrainDecided:
        """Keep what was decided, for those who ask later; without the alert, whose evidence would be most of it."""
        self.decided.append(replace(decided, alert=None, trace=None))
        self._listed, self._dirty[decided.key.model] = False, None
        if decided.outcome is RetrainOutcome.REQUESTED and decided.wish is not None:
            wish, state = decided.wish, self.models[decided.key.model]
            state.requests, self._stands = (*state.requests, made_of(wish))[-KEPT_REQUESTS:], False
        return replace(decided, trace=replace(decided.trace, after=self.models[decided.key.model].history))

    def _vetoes(self, wish: RetrainWish) -> set[RetrainOutcome]:
        """What stands against a wish for now, whoever asks: incidents of the very series, for an earlier version may get no data any more."""
        model = wish.key.model
        policy = self.policies[model]
        held = {VETOES[veto] for key, veto in self._open.values() if key == wish.key and veto in policy.veto}
        if policy.max_lag is not None and self.lag > policy.max_lag:
            held.add(RetrainOutcome.LAG)
        if policy.min_labelled_rows > self.models[model].labelled.since(wish.data_from) and policy.min_labelled_rows:
            held.add(RetrainOutcome.FEW_LABELS)
        return held

    def ask_again(self, at: Nanos | None = None) -> list[RetrainDecided]:
        """Let wishes ask once more whose vetoes have ended; `at`: event time, where anything but a fact may have ended one."""
        again, self._again = self._again, {}
        if at is not None:
            self._waiting = {model: None for model in self._waiting if self.models[model].waiting}
            again |= dict.fromkeys(self._waiting, at)
        return [each for model, when in again.items() for each in self._asked_again(model, when)]

    def _asked_again(self, model: str, at: Nanos) -> Iterator[RetrainDecided]:
        state = self.models[model]
        for name, asked in list(state.waiting.items()):
            if self._vetoes(asked.wish):
                continue
            del state.waiting[name]
            later = max(at, asked.wish.at)
            yield self._wish(replace(asked, wish=replace(asked.wish, at=later, data_to=max(later, asked.wish.data_to))))

    # --- time ---------------------------------------------------------------------------------------------------

    def begin(self, at: Nanos) -> None:
        """A window is to be judged: schedules count from the first one on."""
        if self._begun:
            return
        self._begun, self._earliest = True, None
        for model, state in self.models.items():
            if state.looked_at is None and self.policies[model].every is not None:
                state.looked_at = at
                self._dirty[model] = None

    def is_due(self, at: Nanos) -> bool:
        """Whether anything may be decided before a window that is judged at this time."""
        return not self._begun or bool(self._again) or self._earliest is None or at >= self._earliest

    def advance(self, at: Nanos) -> list[RetrainDecided]:
        """Take that event time has come so far: schedules are due until then, and approvals run out. Called often: most times there is nothing."""
        if self._earliest is not None and at < self._earliest:
            return []
        decided = [each for model in self.models for each in self._due_until(model, at)]
        self._earliest = min((self._next(model) for model in self.models), default=LATEST)
        return decided

    def _next(self, model: str) -> Nanos:
        """When a model is to be looked at next."""
        pending = self.models[model].pending
        over = LATEST if pending is None else pending.wish.at + (self.policies[model].approval_within or 0)
        return min(over, self._due.get(model, LATEST))

    def _due_until(self, model: str, at: Nanos) -> Iterator[RetrainDecided]:
        state, policy = self.models[model], self.policies[model]
        schedule = policy.every
        while schedule is not None and state.looked_at is not None:
            due = self._due.get(model) or schedule.after(state.looked_at)
            self._due[model] = due
            if due > at or due == LATEST:
                break
            yield from self._expired(model, due)
            before, state.looked_at = state.looked_at, due
            self._dirty[model] = None
            del self._due[model]
            if is_silent(state.window, before, due):
                continue
            yield self._wish(
                WaitingWish(
                    self._plain(model, due, SCHEDULE_REASON, plain_id(self.instance, model, SCHEDULE_REASON, due))
                )
            )
        yield from self._expired(model, at)

    def _expired(self, model: str, at: Nanos) -> Iterator[RetrainDecided]:
        state, policy = self.models[model], self.policies[model]
        pending = state.pending
        if pending is None:
            return
        over = pending.wish.at + (policy.approval_within or 0)
        if at >= over:
            yield self._ended(model, RetrainOutcome.EXPIRED, over)

    def _ended(self, model: str, outcome: RetrainOutcome, at: Nanos, by: str = "", why: str = "") -> RetrainDecided:
        """What waited for approval is over, without a request."""
        state = self.models[model]
        pending = state.pending
        assert pending is not None
        wish = replace(pending.wish, at=at)
        trace = replace(self._trace("end", wish), outcome=outcome)
        state.pending, state.history = None, state.history.without_pending()
        return self._told(
            RetrainDecided(pending.alert, outcome, wish.data_from, wish.data_to, wish, by=by, why=why, trace=trace)
        )

    def _plain(self, model: str, at: Nanos, reason: str, name: str, by: str = "", why: str = "") -> RetrainWish:
        """The wish of a schedule or a person: to train on what came since the last training, or since all began."""
        state = self.models[model]
        key = state.series or next(key for key in self._references if key.model == model)
        since = state.history.known_trained
        begin = since if since is not None else at if state.began is None else state.began
        return RetrainWish(
            id=name,
            key=key,
            reason=reason,
            at=at,
            data_from=min(begin, at),
            data_to=at,
            window=state.window,
            reference=self._references.get(key, ""),
            by=by,
            why=why,
        )

    def see_version(
        self, model: str, version: str, at: Nanos, trained_at: Nanos | None = None, *, told: bool = False
    ) -> tuple[bool, list[Fact]]:
        """There is a version; whether it is new, and what it ends: what is in flight, unless that was asked for after it was trained.

        The first that events are of is not new, but for one that somebody has told of.
        """
        state = self.models.get(model)
        if state is None or version in state.versions or version == ANY_VERSION:
            return False, []
        new, ended = told or bool(state.versions), list[Fact]()
        if new:
            state.history = state.history.seen_trained(at, trained_at)
            ended = self._trained(state, version, at, at if trained_at is None else min(trained_at, at))
        state.versions[version] = at
        while len(state.versions) > KEPT_VERSIONS:
            del state.versions[next(iter(state.versions))]
        self._dirty[model] = None
        return new, ended

    # --- runs ---------------------------------------------------------------------------------------------------

    def take_runs(self, report: RunsReport, at: Nanos) -> list[Fact]:
        """Take how the runs of a request stand, as their targets say at event time `at`: an input, like an event."""
        for model, state in self.models.items():
            before = next((each for each in state.requests if each.id == report.request), None)
            if before is None:
                continue
            after, ended = before.take(report, at)
            if after != before:
                self._change(state, before, after)
                self._dirty[model] = None
            facts: list[Fact] = [RetrainRunEnded(after, run) for run in ended]
            if after.outcome == before.outcome:
                return facts
            failed = after.outcome != RunState.SUCCEEDED
            state.history = state.history.seen_ended(after.at, failed=failed)
            return [*facts, RetrainEnded(after)]
        return []

    def _trained(self, state: ModelState, version: str, at: Nanos, trained_at: Nanos) -> list[Fact]:
        """The last request has led to a version, unless another has come since, it waits no more, or the version is older than it."""
        last = state.requests[-1] if state.requests else None
        if last is None or last.version or not last.at <= trained_at or at >= self._until(last):
            return []
        after = last.trained(version, at)
        self._change(state, last, after)
        return [RetrainEnded(after)]

    def _change(self, state: ModelState, before: OpenRequest, after: OpenRequest) -> None:
        state.requests = tuple(after if each is before else each for each in state.requests)
        self._stands = False

    def _until(self, request: OpenRequest) -> Nanos:
        """When nobody waits for a request any more, as the policy is now."""
        timeout = self.policies[request.key.model].in_flight_timeout
        return request.at + (FOLLOWED_FOR if timeout is None else timeout)

    def runs_stand(self) -> RunsStand:
        """The last requests of every model with their runs."""
        every = (each for state in self.models.values() for each in state.requests)
        return RunsStand(tuple(replace(each, until=self._until(each)) for each in every))

    def news_of_runs(self) -> list[Fact]:
        """How requests stand, where that has changed since it was last told."""
        told, self._stands = self._stands, True
        return [] if told else [self.runs_stand()]

    # --- people -------------------------------------------------------------------------------------------------

    def model_of(self, asked: Asked, event_time: Nanos | None) -> str:
        """The model that somebody's wish is about. Raises RefusedError where it cannot be taken."""
        match asked.wish:
            case Trigger(model=model):
                if model not in self.models:
                    raise RefusedError(Refusal.UNKNOWN, f"there is no model {model}; there is {', '.join(self.models)}")
                if event_time is None:
                    raise RefusedError(Refusal.CONFLICT, "no event has been read yet: there is nothing to train on")
                if self.heard is not None and model not in self.heard:
                    raise RefusedError(
                        Refusal.CONFLICT, f"no webhook and no target takes {REQUESTED} of {model}: nobody would be told"
                    )
                return model
            case Approve(request=name) | Reject(request=name):
                return self._pending_model(name)
            case _:
                raise AssertionError(asked.wish)

    def _pending_model(self, name: str) -> str:
        for model, state in self.models.items():
            if state.pending is not None and state.pending.wish.id == name:
                return model
        known = next((each for each in reversed(self.decided) if each.wish and each.wish.id == name), None)
        if known is None:
            raise RefusedError(Refusal.UNKNOWN, f"there is no request {name}; see driftd retrain list")
        by = f" by {known.by}" if known.by else ""
        raise RefusedError(Refusal.CONFLICT, f"{name} does not wait for approval: {known.outcome.value}{by}")

    def decide(self, asked: Asked, event_time: Nanos) -> RetrainDecided:
        """Take what somebody asks for, which `model_of` has looked at. A request that is refused is suppressed for a reason."""
        model = self.model_of(asked, event_time)
        match asked.wish:
            case Reject():
                return self._ended(model, RetrainOutcome.REJECTED, event_time, asked.by, asked.reason)
            case Approve():
                return self._approved(model, asked, event_time)
            case Trigger(force=force):
                wish = self._plain(
                    model,
                    event_time,
                    MANUAL_REASON,
                    plain_id(self.instance, model, MANUAL_REASON, asked.id),
                    asked.by,
                    asked.reason,
                )
                state, vetoes = self.models[model], self._vetoes(wish)
                trace = self._trace("decide", wish, vetoes, forced=force)
                state.history, outcome = state.history.decide(
                    self.policies[model], event_time, MANUAL_REASON, vetoes, forced=force
                )
                by, why = asked.by, asked.reason
                return self._told(
                    RetrainDecided(None, outcome, wish.data_from, wish.data_to, wish, by=by, why=why, trace=trace)
                )
            case _:
                raise AssertionError(asked.wish)

    def _approved(self, model: str, asked: Asked, at: Nanos) -> RetrainDecided:
        state = self.models[model]
        pending = state.pending
        assert pending is not None
        wish = replace(pending.wish, at=max(at, pending.wish.at), data_to=max(at, pending.wish.data_to))
        vetoes = self._vetoes(pending.wish)
        trace = self._trace("approve", wish, vetoes)
        state.history, outcome = state.history.approve(self.policies[model], wish.at, vetoes)
        if outcome is RetrainOutcome.REQUESTED:
            state.pending = None
        return self._told(
            RetrainDecided(
                pending.alert, outcome, wish.data_from, wish.data_to, wish, by=asked.by, why=asked.reason, trace=trace
            )
        )

    # --- state --------------------------------------------------------------------------------------------------

    def changes(self) -> list[Record]:
        """The rows that changed since the last call."""
        rows = [Record(STATE, model, msgspec.json.encode(self.models[model])) for model in self._dirty]
        if self._older:
            rows.append(Record(STATE, "", None))
        if not self._listed:
            rows.append(self._list())
        self._dirty.clear()
        self._older, self._listed = False, True
        return rows

    def snapshot(self) -> list[Record]:
        """All rows."""
        rows = [Record(STATE, model, msgspec.json.encode(state)) for model, state in self.models.items()]
        return [*rows, self._list()]

    def _list(self) -> Record:
        return Record(LISTED, "", msgspec.json.encode(list(self.decided)))

    def restore(self, record: Record) -> None:
        """Take up a row: of one model, of the wishes decided last, or of all models as it was when it was times alone."""
        assert record.payload is not None
        if record.kind == LISTED:
            self.decided.extend(msgspec.json.decode(record.payload, type=list[RetrainDecided]))
        elif record.key in self.models:
            self.models[record.key] = msgspec.json.decode(record.payload, type=ModelState)
        elif not record.key:
            times = msgspec.json.decode(record.payload, type=dict[str, RetrainHistory])
            for model in times.keys() & self.models.keys():
                self.models[model].history = times[model]
                self._dirty[model] = None
            self._older = True

    def stand(self, incidents: Mapping[str, AlertSeen]) -> None:
        """Hold what is open for what these say, after a restore: rules may be gone, and older states do not tell."""
        vetoes = {name: (alert.key, veto_of(alert)) for name, alert in incidents.items() if alert.state in OPEN}
        self._open = {name: (key, veto) for name, (key, veto) in vetoes.items() if veto is not None}
        for state in self.models.values():
            for name in [name for name in state.waiting if name and name not in incidents]:
                del state.waiting[name]
        self._waiting = {model: None for model, state in self.models.items() if state.waiting}
        self._earliest = None


def made_of(wish: RetrainWish) -> OpenRequest:
    """The request that a granted wish is."""
    return OpenRequest(
        id=wish.id,
        key=wish.key,
        reason=wish.reason,
        at=wish.at,
        until=wish.at + FOLLOWED_FOR,
        data_from=wish.data_from,
        data_to=wish.data_to,
        rule=wish.rule,
        incident=wish.incident,
    )


def says_broken_data(rule: str, kind: IncidentKind, evidence: Sequence[Evidence]) -> bool:
    """Whether an alert itself says that what it would have one train on is broken; your own rules ask as they are told."""
    return (rule in OF_DATA and kind is IncidentKind.DATA_QUALITY) or shows_broken_data(evidence)


def is_silent(window: WindowSpan | None, before: Nanos, due: Nanos) -> bool:
    """Whether nothing came since the schedule was due last, nor for so long that a window could just be late.

    After a pause of months, what a schedule missed in it is not asked for all at once.
    """
    if window is None:
        return False
    return window.end < before and due - window.end > max(SILENCE, 2 * (window.end - window.start))


def veto_of(alert: AlertChanged | AlertSeen) -> str | None:
    """The veto that an open alert is; None where it is none."""
    if alert.rule in OF_DATA and alert.kind is IncidentKind.DATA_QUALITY:
        return "data_quality"
    return VETOED_BY.get(alert.rule)

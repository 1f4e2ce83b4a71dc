"""The one place that speaks: facts become metrics and log lines here, nowhere else."""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Any, TypeVar

from detectors.charts import LevelStep
from detectors.durations import show_duration
from monitor.alerting.alerts import AlertState
from monitor.alerting.runs import RunState
from monitor.explain.fewrows import few_rows
from monitor.explain.report import in_short
from monitor.explain.words import escalation, summary
from monitor.facts import (
    AlertChanged,
    AlertEscalated,
    ApprovalLinkUsed,
    AuditHead,
    BackupFailed,
    BaselineTrails,
    CalibrationLearning,
    CalibrationLearnt,
    CalibrationStands,
    ChartsTakenOver,
    CheckpointFailed,
    CheckpointSaved,
    ClockSet,
    ContractBroken,
    CountsComplete,
    CountsMissing,
    CountsQuarantined,
    DaemonStarted,
    DaemonStopped,
    DeadLettersBlocked,
    DeadLettersDropped,
    DeadLettersKept,
    DeadLettersSized,
    DecisionEnded,
    DecisionMade,
    DecisionRefused,
    DecisionsStand,
    DeliveryForgotten,
    DeliveryTried,
    DetectorFailed,
    EventsAhead,
    EventsCounted,
    EventsRejected,
    Fact,
    FeaturesTracked,
    FewRows,
    FieldsRejected,
    FirstRowsCounted,
    ForeignCommit,
    HalvesCounted,
    JoinCounted,
    LabelDelays,
    LateShare,
    LevelChanged,
    ModelTallied,
    NoticesUnclaimed,
    OffsetsExpired,
    OffsetsLost,
    OutboxDecided,
    PartitionsAssigned,
    PartitionsUnreachable,
    PerformanceEstimated,
    PerformanceJudged,
    PositionSuspected,
    RateImproved,
    ReaderChosen,
    RecordsSkipped,
    RecordsWaiting,
    ReferenceAbsent,
    ReferenceStoodIn,
    RegistryAnswered,
    ReplicaAssigned,
    ReportMade,
    RequestsServed,
    RequestsStand,
    RetrainDecided,
    RetrainEnded,
    RetrainRunEnded,
    RetrainRunUnseen,
    RunsStand,
    SchemaChanged,
    ServiceJudged,
    ServiceLearning,
    ServiceLearnt,
    SourceTroubled,
    StateBegun,
    StateLost,
    StateRecovered,
    StateReset,
    SubgroupCharted,
    TopicsMissing,
    VersionChanged,
    VersionSeen,
    VersionsStand,
    WatermarkAdvanced,
    WebAccessChanged,
    WindowClosed,
    WindowScored,
)
from monitor.importing import without
from monitor.runtime.board import WEBHOOK_OUTCOMES, Board
from monitor.runtime.decisions import shown
from monitor.runtime.metrics import METRICS
from monitor.runtime.outcomes import RecentOutcomes
from monitor.runtime.versions import version_words
from monitor.stream.events import DAY, SECOND, Nanos
from monitor.targets.payloads import incident_url, rfc3339

with without("rich"):  # its tracebacks in colour, which no line of ours has, are 5 MB and 50 ms of a start
    import structlog

__all__ = ["METRICS", "Telemetry", "configure_logging"]

T = TypeVar("T")
QUIET_FOR: Nanos = 60 * SECOND  # the same complaint is logged once in so long; its counter goes on
# Nothing is logged of these, and they are many.
UNSPOKEN = frozenset(
    {
        EventsCounted,
        DeadLettersKept,
        DeadLettersSized,
        WatermarkAdvanced,
        WindowScored,
        FeaturesTracked,
        SubgroupCharted,
        CalibrationStands,
        DecisionsStand,
        RequestsStand,
        RunsStand,
        VersionsStand,
        JoinCounted,
        HalvesCounted,
        LabelDelays,
        PerformanceEstimated,
        RequestsServed,
        ServiceJudged,
        ModelTallied,
    }
)
UNSPOKEN_BUT_TO_DEBUG = UNSPOKEN | {WindowClosed}
ABSENT = frozenset(
    {"missing", "latency_missing", "scores_sum"}
)  # reasons of what is not there, or counts all the same: nothing to complain of
FOREIGN = frozenset({"forged", "expired"})  # uses of approval links
LEVEL_EVENTS = {step: f"level.{step.value}" for step in LevelStep}
MOST_COMPLAINTS = 1000  # kinds remembered
MOST_NAMED = 10  # features in a line
OUTGROWN = 0.5  # of the rows of a recent past, beyond the reference: its bins do not tell them apart


def configure_logging(level: str, style: str) -> None:
    """Log to stderr: JSON lines, or console text for people."""
    renderer: Any = (
        structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


class Telemetry:
    """Takes facts from the loop and the notifiers; is read by scrapes."""

    def __init__(self, board: Board, now: Callable[[], Nanos], page: str | None = None) -> None:
        self._board = board
        self._page = page  # where others reach our status page
        self._lock = Lock()
        self._now = now
        self._recent = RecentOutcomes()
        self._said: dict[tuple[str, ...], Nanos] = {}
        self._log = structlog.get_logger()

    def look(self, read: Callable[[Board], T]) -> T:
        """Read the board while nobody writes to it."""
        with self._lock:
            return read(self._board)

    def renew(self, board: Board, facts: Iterable[Fact]) -> None:
        """Show other series from now on, as these say where they stand; what the process has counted goes on."""
        with self._lock:
            board.go_on_from(self._board)
            _stand(board, facts)
            self._board = board

    def outcomes(self) -> Mapping[str, Mapping[str, float]]:
        """What became of the last minutes' events, by topic."""
        with self._lock:
            return self._recent.counts(self._now())

    def restore(self, facts: Iterable[Fact]) -> None:
        """Take the facts that say where things stood when the state was saved; nothing is counted or logged again."""
        with self._lock:
            _stand(self._board, facts)

    def turned(self) -> None:
        """The loop has come round: it is not stuck. Only the loop may say so."""
        with self._lock:
            self._board.turned_at = self._now()

    def record(self, facts: Iterable[Fact]) -> None:
        """Take what happened."""
        facts = list(facts)
        with self._lock:
            self._board.apply(*facts)
            self._recent.see(facts, self._now())
        unspoken = UNSPOKEN if self._log.bind().is_enabled_for(logging.DEBUG) else UNSPOKEN_BUT_TO_DEBUG
        for fact in [each for each in facts if type(each) not in unspoken]:
            self._say(fact)

    def _say(self, fact: Fact) -> None:
        match fact:
            case AlertChanged() | AlertEscalated():
                self._say_alert(fact)
            case RetrainDecided() | RetrainRunEnded() | RetrainRunUnseen() | RetrainEnded():
                self._say_retraining(fact)
            case WindowClosed() | FewRows() | StateReset() | RateImproved() | LevelChanged():
                self._say_series(fact)
            case CalibrationLearning() | CalibrationLearnt() | BaselineTrails() | PerformanceJudged():
                self._say_learning(fact)
            case DeliveryTried() | DeliveryForgotten() | OutboxDecided() | NoticesUnclaimed() | ReportMade():
                self._say_delivery(fact)
            case DecisionMade() | DecisionRefused() | DecisionEnded() | ApprovalLinkUsed():
                self._say_decision(fact)
            case CheckpointSaved() | CheckpointFailed() | AuditHead() | DeadLettersBlocked() | DeadLettersDropped():
                self._say_checkpoint(fact)
            case EventsRejected(topic, reason, count):
                self._complain(logging.WARNING, "events.rejected", topic=topic, reason=reason, count=count)
            case FieldsRejected(topic, reason, count) if reason not in ABSENT:
                self._complain(logging.WARNING, "fields.rejected", topic=topic, reason=reason, count=count)
            case _:
                self._say_other(fact)

    def _say_other(self, fact: Fact) -> None:
        match fact:
            case ChartsTakenOver(key, at, before, features):
                about = {"model": key.model, "version": key.version, "at": rfc3339(at)}
                names = list(features[:MOST_NAMED])
                self._log.info("version.charts_kept", **about, before=before, features=names, kept=len(features))
            case DetectorFailed(key, _, detector, why):
                about = {"model": key.model, "version": key.version, "detector": detector}
                self._complain(logging.ERROR, "detector.failed", **about, detail=why)
            case ReferenceStoodIn(place, why):
                self._log.warning("reference.kept", reference=place, why=why)
            case VersionSeen() | VersionChanged() | ReferenceAbsent() | RegistryAnswered() | FirstRowsCounted():
                self._say_version(fact)
            case StateBegun() | StateRecovered() | StateLost() | BackupFailed():
                self._say_state(fact)
            case ClockSet(by, behind):
                level = logging.ERROR if behind else logging.WARNING
                self._log.log(level, "clock.set", seconds=round(by / SECOND, 3), behind=round(behind / SECOND, 3))
            case ReplicaAssigned() | CountsQuarantined() | CountsMissing() | CountsComplete():
                self._say_replica(fact)
            case _:
                self._say_source(fact)

    def _say_series(self, fact: WindowClosed | FewRows | StateReset | RateImproved | LevelChanged) -> None:
        log = self._log
        match fact:
            case WindowClosed(key, start, end, rows):
                log.debug("window.closed", model=key.model, version=key.version, start=start, end=end, rows=rows)
            case FewRows(key, rows, length, min_rows, few=True):
                about = {"model": key.model, "version": key.version}
                log.warning("window.few_rows", **about, why=few_rows(rows, length, min_rows))
            case FewRows(key, rows, min_rows=min_rows):
                about = {"model": key.model, "version": key.version}
                log.info("window.enough_rows", **about, rows=round(rows), min_rows=min_rows)
            case StateReset(key, cause):
                log.warning("state.reset", model=key.model, version=key.version, cause=cause)
            case RateImproved(key, _, feature, what, before, rate):
                about = {"model": key.model, "version": key.version, "feature": feature}
                log.info("rate.improved", **about, what=what, before=round(before, 6), now=round(rate, 6))

            case LevelChanged(key, at, feature, step, until):
                about = {"model": key.model, "version": key.version, "feature": feature, "at": rfc3339(at)}
                log.info(LEVEL_EVENTS[step], **about, **({} if until is None else {"until": rfc3339(until)}))

    def _say_performance(self, fact: PerformanceJudged) -> None:
        self._log.debug(
            "performance.judged",
            model=fact.key.model,
            version=fact.key.version,
            end=rfc3339(fact.end),
            age=show_duration(fact.age),
            labelled=fact.labelled,
            coverage=round(fact.coverage, 4),
            metrics={each.name: round(each.value, 4) for each in fact.metrics if each.value is not None},
        )

    def _say_baseline(self, fact: BaselineTrails) -> None:
        """Once that a feature is compared with its recent past; where most of that is beyond the reference, again, for bins say no more."""
        about = {"model": fact.key.model, "version": fact.key.version, "feature": fact.feature}
        if fact.begins:
            self._log.info("baseline.trailing", **about, days=fact.days, wanted=fact.wanted)
        if fact.beyond > OUTGROWN:
            self._log.warning("baseline.outgrown", **about, beyond=round(fact.beyond, 3))

    def _say_learning(self, fact: CalibrationLearning | CalibrationLearnt | BaselineTrails | PerformanceJudged) -> None:
        if isinstance(fact, PerformanceJudged):
            self._say_performance(fact)
            return
        if isinstance(fact, BaselineTrails):
            self._say_baseline(fact)
            return
        about = {"model": fact.key.model, "version": fact.key.version}
        if isinstance(fact, CalibrationLearning):
            self._log.debug("calibration.learning", **about, progress=fact.words, apart=fact.apart, why=fact.why)
            return
        self._log.warning(
            "calibration.learnt",
            **about,
            calibration=fact.calibration,
            windows=fact.windows,
            days=round(fact.span / DAY, 2),
            training=fact.before,
            reference=fact.after,
            differs=[each.words for each in fact.differs[:MOST_NAMED]],
            differing=len(fact.differs),
            changes=list(fact.changes[:MOST_NAMED]),
        )

    def _say_checkpoint(
        self, fact: CheckpointSaved | CheckpointFailed | AuditHead | DeadLettersBlocked | DeadLettersDropped
    ) -> None:
        match fact:
            case CheckpointFailed(error):
                self._complain(logging.ERROR, "checkpoint.failed", error=error)
            case DeadLettersBlocked(why, records):
                self._complain(logging.ERROR, "dead_letters.blocked", detail=why, records=records)
            case DeadLettersDropped(path, size):
                self._log.warning("dead_letters.dropped", path=path, bytes=size)
            case AuditHead(seq, head):
                self._log.info("audit.head", seq=seq, hash=head)
            case CheckpointSaved(seconds=seconds, size=size):
                self._log.debug("checkpoint.saved", seconds=round(seconds, 4), bytes=size)

    def _say_state(self, fact: StateBegun | StateRecovered | StateLost | BackupFailed) -> None:
        match fact:
            case StateBegun(path):
                self._log.warning("state.begun", path=path)
            case StateRecovered(cause, found, how, kept):
                self._log.error("state.recovered", cause=cause, found=found, how=how, kept=kept)
            case StateLost(partition, committed, resumed):
                self._log.error("state.lost", partition=str(partition), committed=committed, resumed=resumed)
            case BackupFailed(error):
                self._log.error("state.backup_failed", error=error)

    def _say_service(self, fact: ServiceLearning | ServiceLearnt) -> None:
        about = {"model": fact.key.model, "version": fact.key.version}
        if isinstance(fact, ServiceLearning):
            self._log.debug("service.learning", **about, progress=fact.progress.words, why=fact.progress.why)
            return
        self._log.warning(
            "service.learnt",
            **about,
            of=list(fact.service.profile.names),
            calibration=fact.calibration,
            windows=fact.windows,
            days=round(fact.span / DAY, 2),
            before=fact.before,
            reference=fact.after,
            changes=list(fact.changes[:MOST_NAMED]),
        )

    def _say_retraining(self, fact: RetrainDecided | RetrainRunEnded | RetrainRunUnseen | RetrainEnded) -> None:
        """A wish for retraining, and what became of a request."""
        if isinstance(fact, RetrainDecided):
            self._log.info("retrain.decided", **retrain_words(fact))
            return
        if isinstance(fact, RetrainRunUnseen):
            about = {"model": fact.model, "request": fact.request, "target": fact.target}
            self._log.warning("retrain.run_unseen", **about, why=fact.why)
            return
        request = fact.request
        about = {"model": request.key.model, "request": request.id}
        if isinstance(fact, RetrainEnded):
            level = logging.WARNING if fact.failed else logging.INFO
            new = {"new_version": request.version} if request.version else {}
            self._log.log(level, "retrain.ended", **about, outcome=request.outcome, **new)
            return
        run = fact.run.found
        level = logging.INFO if run.state is RunState.SUCCEEDED else logging.WARNING
        where = {} if run.url is None else {"url": run.url}
        told = {"target": fact.run.target, "outcome": run.state.value, "run": run.run}
        self._log.log(level, "retrain.run_ended", **about, **told, **where)

    def _say_delivery(
        self, fact: DeliveryTried | DeliveryForgotten | OutboxDecided | NoticesUnclaimed | ReportMade
    ) -> None:
        if isinstance(fact, DeliveryForgotten):
            about = {"target": fact.target, "id": fact.notice, "type": fact.type, "subject": fact.subject}
            self._complain(logging.WARNING, "outbox.forgotten", **about, count=1)
            return
        if isinstance(fact, ReportMade):
            about = {"model": fact.model, "id": fact.id, "due": rfc3339(fact.due)}
            self._log.info("report.made", **about, summary=in_short(fact.report))
            return
        if isinstance(fact, OutboxDecided):
            told = {"target": fact.target, "id": fact.notice, "by": fact.by, "reason": fact.why}
            moved = {} if fact.to is None else {"to": fact.to}
            self._log.info("outbox.dropped" if fact.action == "drop" else "outbox.retried", **told, **moved)
            return
        if isinstance(fact, NoticesUnclaimed):
            owed = {"target": fact.target, "oldest": rfc3339(fact.oldest), "ids": list(fact.notices)}
            self._log.warning("outbox.unclaimed", count=fact.count, **owed)
            return
        level = logging.INFO if fact.outcome in {"delivered", "present"} else logging.WARNING
        said = {"id": fact.notice, "status": fact.status, "detail": fact.detail}
        if fact.type == "webhook":
            self._log.log(level, f"webhook.{WEBHOOK_OUTCOMES[fact.outcome]}", webhook=fact.target, **said)
        else:
            self._log.log(level, f"target.{fact.outcome}", target=fact.target, type=fact.type, **said)

    def _say_broken(self, fact: ContractBroken) -> None:
        """The rules of a contract that events break; each once in a while."""
        words = {rule: [each.words for each in fact.samples if each.rule == rule] for rule in fact.counts}
        for rule, count in fact.counts.items():
            about = {"model": fact.key.model, "version": fact.key.version, "field": rule[0], "rule": rule[1]}
            self._complain(logging.WARNING, "contract.broken", **about, count=count, values=words[rule])

    def _say_schema(self, fact: SchemaChanged) -> None:
        """A column that is otherwise than agreed, or as agreed again."""
        about = {"model": fact.key.model, "version": fact.key.version, "field": fact.field, "change": fact.change}
        if fact.ended:
            self._log.info("contract.schema_agreed", **about)
        else:
            first = [f"{each.partition} offset {each.offset}" for each in fact.first[:MOST_NAMED]]
            self._log.warning("contract.schema_changed", **about, at=rfc3339(fact.at), first=first)

    def _say_decision(self, fact: DecisionMade | DecisionRefused | DecisionEnded | ApprovalLinkUsed) -> None:
        log = self._log
        match fact:
            case DecisionMade(decision, repeated=False):
                said = {name: value for name, value in shown(decision).items() if value not in (None, [])}
                log.info("decision.made", **said)
            case DecisionRefused(asked, _, why):
                log.warning("decision.refused", id=asked.id, decision=asked.kind, by=asked.by, why=why)
            case ApprovalLinkUsed(outcome, request):
                about = {"request": request} if request else {}
                self._complain(logging.WARNING if outcome in FOREIGN else logging.INFO, f"approval.{outcome}", **about)
            case DecisionEnded(past):
                log.info("decision.ended", id=past.decision.id, model=past.decision.model, why=past.why)
            case _:  # said before
                pass

    def _say_version(
        self, fact: VersionSeen | VersionChanged | ReferenceAbsent | RegistryAnswered | FirstRowsCounted
    ) -> None:
        match fact:
            case FirstRowsCounted(key, at, rows):
                about = {"model": key.model, "version": key.version, "at": rfc3339(at)}
                self._log.debug("version.first_rows", **about, rows=rows)
            case VersionSeen(known):
                self._log.info("version.seen", **version_words(known))
            case VersionChanged(known):
                self._log.info(f"version.{known.standing.value}", **version_words(known))
            case ReferenceAbsent(known):
                about = {"model": known.model, "version": known.version, "why": known.why}
                self._complain(logging.WARNING, "version.reference_absent", **about)
            case RegistryAnswered(model, why):
                if why:
                    self._complain(logging.WARNING, "registry.absent", model=model, why=why)

    def _say_alert(self, fact: AlertChanged | AlertEscalated) -> None:
        if isinstance(fact, AlertEscalated):
            alert, shown, words = fact.alert, fact.new, escalation(fact)
        else:
            alert, shown, words = fact, fact.evidence, summary(fact)
        self._log.log(
            logging.WARNING if alert.after is AlertState.FIRING else logging.INFO,
            f"alert.{_event(fact)}",
            model=alert.key.model,
            version=alert.key.version,
            rule=alert.rule,
            kind=alert.kind.value,
            incident=alert.incident,
            severity=alert.severity.value,
            since=rfc3339(alert.since),
            summary=words,
            **({} if self._page is None else {"url": incident_url(self._page, alert.incident)}),
            features=[
                f"{entry.feature} {entry.detector} {entry.score:.4g} > {entry.threshold:g}" for entry in shown[:5]
            ],
        )

    def _say_source(self, fact: Fact) -> None:
        log = self._log
        match fact:
            case DaemonStarted() | DaemonStopped() | ReaderChosen() | WebAccessChanged():
                self._say_start(fact)
            case ContractBroken():
                self._say_broken(fact)
            case SchemaChanged():
                self._say_schema(fact)
            case PartitionsAssigned(offsets):
                log.info("source.assigned", partitions={str(partition): offset for partition, offset in offsets})
            case TopicsMissing(topics):
                if topics:
                    log.warning("source.topics_missing", topics=list(topics))
            case RecordsWaiting(records, why, since, at):
                self._say_waiting(dict(records), why, (at - since) // SECOND)
            case ForeignCommit(partition, ours, found):
                self._complain(logging.ERROR, "source.foreign_commit", partition=str(partition), ours=ours, found=found)
            case SourceTroubled(error, detail):
                self._complain(logging.WARNING, "source.troubled", error=error, detail=detail)
            case _:
                self._say_loss(fact)

    def _say_replica(self, fact: ReplicaAssigned | CountsQuarantined | CountsMissing | CountsComplete) -> None:
        log = self._log
        match fact:
            case ReplicaAssigned(folds, judges):
                log.info("replica.assigned", folds=[str(each) for each in folds], judges=list(judges))
            case CountsQuarantined(judge, fault, words):
                self._complain(logging.ERROR, "replica.quarantined", reason=fault, judge=judge, detail=words)
            case CountsMissing(judge, partition, words):
                self._complain(
                    logging.ERROR, "replica.counts_missing", partition=str(partition), judge=judge, detail=words
                )
            case CountsComplete(judge, partition):
                log.info("replica.counts_complete", partition=str(partition), judge=judge)

    def _say_waiting(self, records: Mapping[str, int], why: str, seconds: int) -> None:
        if records:
            self._complain(logging.WARNING, "source.records_waiting", why=why, records=records, seconds=seconds)
        else:
            self._log.info("source.records_decoded", waited_for=why, seconds=seconds)

    def _say_start(self, fact: DaemonStarted | DaemonStopped | ReaderChosen | WebAccessChanged) -> None:
        log = self._log
        match fact:
            case DaemonStarted(url, brokers, version, config_hash, compiled, timed):
                about = {"version": version, "config_hash": config_hash, "compiled": compiled}
                about |= {"broker_timed": list(timed)} if timed else {}
                log.info("daemon.started", url=url, brokers=brokers, **about)
            case ReaderChosen(native, reason, threads):
                why = {} if reason is None else {"reason": reason}
                log.info("source.reader", native=native, threads=threads, **why)
            case DaemonStopped():
                log.info("daemon.stopped")
            case WebAccessChanged(None):
                log.info("http.access_changed")
            case WebAccessChanged(error):
                log.error("http.access_refused", error=error)

    def _say_loss(self, fact: Fact) -> None:
        log = self._log
        match fact:
            case EventsAhead(partition, count, lead):
                ahead = {"count": count, "seconds": round(lead / SECOND)}
                self._complain(logging.WARNING, "events.ahead", partition=str(partition), **ahead)
            case OffsetsExpired(partition, first):
                log.info("source.offsets_expired", partition=str(partition), first=first)
            case OffsetsLost(partition, wanted, resumed, cause):
                log.error("source.offsets_lost", partition=str(partition), wanted=wanted, resumed=resumed, cause=cause)
            case RecordsSkipped(partition, first, last, cause):
                log.error("source.records_skipped", partition=str(partition), first=first, last=last, cause=cause)
            case PositionSuspected(partition, offset, deaths):
                log.error("source.position_suspected", partition=str(partition), offset=offset, deaths=deaths)
            case LateShare(topic, share, many=True, changed=True, cause=cause):
                log.warning("events.late", topic=topic, share=round(share or 0.0, 4), cause=cause)
            case LateShare(topic, share, changed=True):
                log.info("events.timely", topic=topic, share=None if share is None else round(share, 4))
            case PartitionsUnreachable(partitions, changed=True):
                since = {str(partition): rfc3339(at) for partition, at in partitions}
                log.log(logging.ERROR if since else logging.INFO, "source.partitions_unreachable", partitions=since)
            case ServiceLearning() | ServiceLearnt():
                self._say_service(fact)
            case _:  # metrics only
                pass

    def _complain(self, level: int, event: str, **what: Any) -> None:
        """Log a complaint unless the same was logged just now."""
        kind = (
            event,
            *(
                str(value)
                for name, value in what.items()
                if name not in {"count", "values", "detail", "ours", "found", "seconds", "records"}
            ),
        )
        now = self._now()
        if now - self._said.get(kind, now - QUIET_FOR) < QUIET_FOR:
            return
        if len(self._said) >= MOST_COMPLAINTS:
            self._said.clear()
        self._said[kind] = now
        self._log.log(level, event, **what)


def _stand(board: Board, facts: Iterable[Fact]) -> None:
    """Let a board show where things stood; nothing is counted."""
    for fact in facts:
        if isinstance(fact, AlertChanged):
            board.remember_resolved(fact)
        else:
            board.apply(fact)


def _event(fact: AlertChanged | AlertEscalated) -> str:
    """What became of an alert, in a word."""
    if isinstance(fact, AlertEscalated):
        return "escalated"
    if fact.closed:
        return "settled" if fact.settled else "resolved"
    return fact.after.name.lower()


def retrain_words(fact: RetrainDecided) -> dict[str, object]:
    """What is logged of a wish for retraining: the request it is, or would have been, and who decided where a person did."""
    said: dict[str, object] = {"model": fact.key.model, "rule": fact.rule, "outcome": fact.outcome.value}
    more = {
        "reason": fact.reason,
        "request": None if fact.wish is None else fact.wish.id,
        "by": fact.by,
        "why": fact.why,
    }
    return said | {name: value for name, value in more.items() if value}

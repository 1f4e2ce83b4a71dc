"""Every metric by name, and what each says of the board at a scrape."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, compress
from threading import Lock

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics import exposition as openmetrics

from detectors import DETECTORS, DetailMetric
from detectors.charts import KINDS, IncidentKind
from monitor.alerting.alerts import AlertState
from monitor.alerting.budget import OF_SERVICE
from monitor.alerting.decisions import is_silenced
from monitor.alerting.episodes import OPEN, worst
from monitor.alerting.rules import BUDGET_RULE, CONTRACT_RULE, FROZEN_RULE, PERFORMANCE_RULE, SCHEMA_RULE, Severity
from monitor.alerting.table import DetectorScores
from monitor.facts import DELAY_BOUNDS, AlertSeen, PerformanceEstimated, PerformanceJudged
from monitor.runtime import requests
from monitor.runtime.beside import judged_beside
from monitor.runtime.board import DURATION_BUCKETS, INSUFFICIENT_CAUSES, JUDGES, Board, Durations, SeriesBoard
from monitor.runtime.exposition import CLASSIC, OPENMETRICS, MetricKind, Sample, head, label, labelled, lines
from monitor.runtime.ready import Forms, LineRoom
from monitor.store.outbox import Backlog
from monitor.stream.events import DAY, SECOND, Nanos, SeriesKey

MOST_FORMS = 1 << 17  # lines kept without their values: some 12 MiB
Value = tuple[tuple[str, ...], float]  # the labels' values, and the value
Family = tuple[str, Iterable[bytes]]  # a metric's name, and the text of its samples in pieces


@dataclass(frozen=True, slots=True)
class Spec:
    """What a metric is."""

    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()


SERIES = ("model", "version")
FEATURE = (*SERIES, "feature")
SCORE = (*FEATURE, "detector")


def _meanings() -> str:
    """What the score of each detector is."""
    names: dict[str, list[str]] = {}
    for name, detector in DETECTORS.items():
        names.setdefault(detector.help, []).append(name)
    return " ".join(f"{', '.join(alike)}: {meaning}." for meaning, alike in names.items())


def _exported(metric: DetailMetric) -> str:
    return f"driftd_drift_{metric.name}"


DETAILS = {  # by detector, the metrics of its scores' details
    name: {detail: _exported(metric) for detail, metric in detector.metrics.items()}
    for name, detector in DETECTORS.items()
}
METRICS: dict[str, Spec] = {
    "driftd_drift_score": Spec(
        "gauge",
        f"Score in the last closed window; larger is further from the reference. {_meanings()} drift: the highest of the "
        "feature's control charts over its threshold, 1 fires. Absent: insufficient data",
        SCORE,
    ),
    "driftd_drift_pvalue": Spec("gauge", "P-value of the score if nothing had changed, where there is one", SCORE),
    "driftd_drift_threshold": Spec("gauge", "Score above which the window breaches a rule", SCORE),
    **{
        _exported(metric): Spec("gauge", metric.help, SCORE)
        for detector in DETECTORS.values()
        for metric in detector.metrics.values()
    },
    "driftd_drift_state": Spec("gauge", "0 ok, 1 warning, 2 drift, -1 insufficient data", FEATURE),
    "driftd_insufficient_features": Spec(
        "gauge",
        "Features of which a detector has too few values in the last closed window; few_rows: the window holds fewer rows than "
        "min_rows, few_values: the feature is missing too often",
        (*SERIES, "cause"),
    ),
    "driftd_trailing_seconds": Spec(
        "gauge",
        "Time held of the recent past that the feature is compared with in place of the reference; absent where that decides",
        FEATURE,
    ),
    "driftd_trailing_shift_sigma": Spec(
        "gauge", "Mean of that recent past less the reference's mean, in reference standard deviations", FEATURE
    ),
    "driftd_drifted_features_ratio": Spec(
        "gauge",
        "Share of the features in drift among those that could be judged in the last closed window; absent where none could",
        SERIES,
    ),
    "driftd_window_rows": Spec("gauge", "Rows in the last closed window", SERIES),
    "driftd_window_unlogged_rows": Spec(
        "gauge",
        "Rows of the last closed window that a log of a sample left out, as estimated; absent where none is known",
        SERIES,
    ),
    "driftd_window_ids": Spec(
        "gauge", "Distinct ids in the last closed window, estimated; absent where no row has one", SERIES
    ),
    "driftd_duplicate_share": Spec(
        "gauge", "Share of the rows with an id that repeat one in the same window; absent where no row has one", SERIES
    ),
    "driftd_duplicate_share_error": Spec("gauge", "Standard error of driftd_duplicate_share", SERIES),
    "driftd_group_rows_ratio": Spec(
        "gauge",
        "How many rows the group of a row has in the last closed window, over the reference's usual window; above 1 its rows say "
        "less than usual. Absent: too few rows have a group, or the reference knows none",
        SERIES,
    ),
    "driftd_window_end_timestamp_seconds": Spec("gauge", "Event time at which the last closed window ended", SERIES),
    "driftd_feature_missing_ratio": Spec("gauge", "Share of rows without a usable value", FEATURE),
    "driftd_feature_unseen_ratio": Spec("gauge", "Share of rows outside the reference's range or categories", FEATURE),
    "driftd_feature_shift_sigma": Spec(
        "gauge", "Mean less the reference's mean, in reference standard deviations", FEATURE
    ),
    "driftd_performance": Spec(
        "gauge",
        "What the model was worth in the last window judged, by the labels that had come (realised); or is worth in the last closed "
        "window by the reference's labels (estimated). Bounds are of a 95 % interval. Absent: it cannot be said, /api/v1/models says why",
        (*SERIES, "metric", "estimate", "bound"),
    ),
    "driftd_performance_difference": Spec(
        "gauge",
        "What was realised in that window less what was estimated of the same labelled predictions; where lower and upper are on one "
        "side of 0, labels follow predictions no longer as in the reference",
        (*SERIES, "metric", "bound"),
    ),
    "driftd_version_difference": Spec(
        "gauge",
        "A metric of this version less that of the champion, over the windows of both that were judged by labels; where lower and upper "
        "are on one side of 0, one of them is better beyond chance. Absent: there is one version, or no such window",
        (*SERIES, "metric", "bound"),
    ),
    "driftd_reliability_ratio": Spec(
        "gauge",
        "The reliability diagram of the last window judged: of each of ten bins of scores the mean score (predicted) and the share that "
        "came true (observed, with its 95 % interval). Absent: no labelled score is in the bin",
        (*SERIES, "bin", "of"),
    ),
    "driftd_estimate_outside_ratio": Spec(
        "gauge",
        "Share of the predictions of the last closed window that are unlike any labelled one of the reference: what is estimated of "
        "them is said of their neighbours",
        SERIES,
    ),
    "driftd_performance_window_end_timestamp_seconds": Spec(
        "gauge", "Event time at which the last window ended whose performance was judged", SERIES
    ),
    "driftd_labelled_rows": Spec("gauge", "Predictions of that window with a label", SERIES),
    "driftd_labelled_rows_left_out": Spec(
        "gauge",
        "Predictions of that window with a label that could not be counted, by reason: no metric is of them",
        (*SERIES, "reason"),
    ),
    "driftd_label_coverage_ratio": Spec("gauge", "Share of the predictions of that window with a label", SERIES),
    "driftd_label_class_coverage_ratio": Spec(
        "gauge",
        "The same of one predicted class, or range of predicted numbers; where they differ, labels do not come at random",
        (*SERIES, "class"),
    ),
    "driftd_label_selection_bias": Spec(
        "gauge",
        "1: coverage differs between predicted classes beyond chance in that window, labels do not come at random. Absent: fewer than "
        "two classes were predicted",
        SERIES,
    ),
    "driftd_label_sampling_ratio": Spec(
        "gauge",
        "Share of the ids that were kept to be joined in that window; below 1 join_memory was too little",
        SERIES,
    ),
    "driftd_label_delay_seconds": Spec("histogram", "Time from a prediction to its label", SERIES),
    "driftd_labels_total": Spec(
        "counter",
        "Labels by what became of them: received; joined, corrected or withdrawn once their prediction was judged; "
        "unmatched: no prediction of this version has the id, or it was longer ago than is waited for; sampled_out: thinned out, for "
        "join_memory was too little; expired: too old when they came",
        (*SERIES, "outcome"),
    ),
    "driftd_halves_total": Spec(
        "counter",
        "Requests and responses that come apart, by what became of them: joined; unmatched: the other half did not come in time; evicted: "
        "given up before, for halves.memory was too little; repeated: the same half had come before",
        (*SERIES, "topic", "half", "outcome"),
    ),
    "driftd_join_predictions_total": Spec(
        "counter", "Predictions that wait for labels, and those that cannot: late, without_id", (*SERIES, "outcome")
    ),
    "driftd_request_latency_seconds": Spec("histogram", "What the requests took that predictions answered", SERIES),
    "driftd_requests_total": Spec("counter", "Requests by whether they failed: ok, error", (*SERIES, "outcome")),
    "driftd_request_error_ratio": Spec("gauge", "Share of the requests of the last closed window that failed", SERIES),
    "driftd_request_latency_quantile_seconds": Spec(
        "gauge",
        "What this share of the requests took at most, in the last subgroup of the charts; from bins 9 % wide",
        (*SERIES, "q"),
    ),
    "driftd_request_latency_usual_seconds": Spec(
        "gauge",
        "The same, as it is usual at these hours, or at the level that is accepted or has settled",
        (*SERIES, "q"),
    ),
    "driftd_request_error_usual_ratio": Spec(
        "gauge", "Share of the requests that fail as usual, or at the level that is accepted or has settled", SERIES
    ),
    "driftd_service_learning_ratio": Spec(
        "gauge", "How much of what is needed of live traffic was taken to learn how requests are served", SERIES
    ),
    "driftd_frozen_since_timestamp_seconds": Spec(
        "gauge",
        "Event time since which the feature is frozen: one value in every row, where the reference has more; absent of all that varies",
        FEATURE,
    ),
    "driftd_contract_violations_total": Spec(
        "counter",
        "Events that break a rule of the model's data contract, by the contract's column and rule, late ones included; an event may "
        "break several",
        (*SERIES, "field", "rule"),
    ),
    "driftd_calibration_info": Spec(
        "gauge",
        "1; week or day: the reference follows these hours; pooled: all hours alike; learnt_…: taught by live traffic; cold: effect sizes alone",
        (*SERIES, "calibration"),
    ),
    "driftd_learning_ratio": Spec(
        "gauge",
        "How much of what a cold reference needs of live traffic it has learnt",
        SERIES,
    ),
    "driftd_detector_failures_total": Spec(
        "counter",
        "Windows that a detector of another package failed on: its scores are not known",
        (*SERIES, "detector"),
    ),
    "driftd_chart_warnings_total": Spec(
        "counter", "Control charts that began to warn, at half their threshold", SERIES
    ),
    "driftd_chart_warnings_expected_total": Spec(
        "counter", "Warnings that chance alone would have brought at most, if the calibration fits", SERIES
    ),
    "driftd_calibration_suspect": Spec(
        "gauge", "1: charts warn far more often than the calibration allows: it does not fit this traffic", SERIES
    ),
    "driftd_allowance_ratio": Spec(
        "gauge",
        "What levels of days may do, over what the reference shows; grows with pages that pass by themselves",
        SERIES,
    ),
    "driftd_holiday": Spec(
        "gauge", "1: the last windows fell on a holiday, so that the charts judge missing values alone", SERIES
    ),
    "driftd_alert_state": Spec(
        "gauge", "0 inactive, 1 pending, 2 firing, 3 recovering; of a rule's kinds the worst", (*SERIES, "rule")
    ),
    "driftd_incident_open": Spec(
        "gauge", "Incidents of the budget, and of the stream (service): 0 none, 1 open, 2 escalated", (*SERIES, "kind")
    ),
    "driftd_incident_severity": Spec(
        "gauge",
        "How bad an open incident is by its size: 0 none is open, or a note, 1 a warning, 2 critical",
        (*SERIES, "kind"),
    ),
    "driftd_service_severity": Spec(
        "gauge",
        "How bad the open incident of a rule of the service is: 0 none is open, or a note, 1 a warning, 2 critical",
        (*SERIES, "rule"),
    ),
    "driftd_incident_escalations_total": Spec(
        "counter", "Open incidents that were told again, for what joined or grew", (*SERIES, "kind")
    ),
    "driftd_rule_info": Spec(
        "gauge", "1; a rule that applies to the model, and its severity", (*SERIES, "rule", "severity")
    ),
    "driftd_alert_transitions_total": Spec("counter", "Changes of an alert's state", (*SERIES, "rule", "to")),
    "driftd_retrain_requests_total": Spec(
        "counter", "Wishes for retraining, by what became of it", ("model", "reason", "outcome")
    ),
    "driftd_retrain_runs_total": Spec(
        "counter", "Runs that requests for retraining started and that ended", ("model", "target", "outcome")
    ),
    "driftd_retrain_in_flight": Spec(
        "gauge", "1: a request has led to no new version yet, and its runs have not ended", ("model",)
    ),
    "driftd_reports_total": Spec("counter", "Reports for people that were made", ("model",)),
    "driftd_decisions_total": Spec("counter", "Decisions that people made, by kind", ("model", "decision")),
    "driftd_approval_links_total": Spec("counter", "Uses of approval links, by how they ended", ("outcome",)),
    "driftd_model_versions_total": Spec(
        "counter",
        "Versions of a model that were told of, by who told first: events, request, registry",
        ("model", "source"),
    ),
    "driftd_version_judged": Spec(
        "gauge",
        "1 of each new version with a series of its own, by how it is judged: waiting for its reference, learning one, by the one that "
        "was given, or by one learnt",
        (*SERIES, "judged"),
    ),
    "driftd_version_reference_failures_total": Spec(
        "counter", "Times that the reference of a new version was looked for and not had", ("model",)
    ),
    "driftd_registry_polls_total": Spec(
        "counter", "Times that a registry was asked for the versions of a model", ("model", "outcome")
    ),
    "driftd_silenced": Spec("gauge", "1: nobody is told of the model for now", ("model",)),
    "driftd_webhook_deliveries_total": Spec("counter", "Delivery attempts by how they ended", ("webhook", "outcome")),
    "driftd_target_deliveries_total": Spec(
        "counter", "Delivery attempts by how they ended, to webhooks and all other targets", ("target", "outcome")
    ),
    "driftd_outbox_pending": Spec("gauge", "Notifications not yet delivered", ("webhook",)),
    "driftd_outbox_oldest_seconds": Spec("gauge", "Age of the oldest notification not yet delivered", ("webhook",)),
    "driftd_outbox_forgotten_total": Spec(
        "counter",
        "Notifications given up, and kept no more since a thousand others were given up after them",
        ("webhook",),
    ),
    "driftd_audit_entries_total": Spec(
        "counter",
        "Entries ever written to the audit log: the number of its last one, which a restart does not set back",
    ),
    "driftd_events_total": Spec("counter", "Events read, by outcome", ("topic", "outcome")),
    "driftd_events_ahead_total": Spec(
        "counter",
        "Events stamped ahead of those around them: a clock runs fast. They count, and move no event time",
        ("topic",),
    ),
    "driftd_events_rejected_total": Spec("counter", "Events that could not be used at all", ("topic", "reason")),
    "driftd_dead_letters_total": Spec(
        "counter", "Rejected events whose records were kept as dead letters", ("topic", "reason")
    ),
    "driftd_dead_letters_bytes_total": Spec(
        "counter", "Bytes of the records that were kept as dead letters, as they came", ("topic", "reason")
    ),
    "driftd_dead_letters_dropped_bytes_total": Spec(
        "counter", "Bytes of dead letters that were removed because their directory was full, as configured"
    ),
    "driftd_dead_letters_blocked": Spec(
        "gauge", "1: dead letters cannot be kept, and nothing is read until they are; absent where none are kept"
    ),
    "driftd_dead_letters_directory_bytes": Spec(
        "gauge", "Size of the directory of dead letters; absent where there is none"
    ),
    "driftd_fields_rejected_total": Spec(
        "counter",
        "Fields of events that still count; unknown ones are counted in every 256th event",
        ("topic", "reason"),
    ),
    "driftd_replica_partitions": Spec(
        "gauge",
        "Partitions of a replica, by role: fold, those of the topics that it reads and counts; judge, those of the counts topic whose "
        "models it owns. Absent: it is no replica",
        ("role",),
    ),
    "driftd_replica_quarantined_total": Spec(
        "counter", "Records of the counts topic that were put aside and never merged, by why", ("reason",)
    ),
    "driftd_replica_counts_missing": Spec(
        "gauge",
        "Pairs of a judge partition of this replica and a partition whose counts it lacks: event time stands for these models. Absent: "
        "it is no replica",
    ),
    "driftd_partitions_held": Spec(
        "gauge", "Partitions not read for now: they run ahead, and what they bring would wait in memory"
    ),
    "driftd_late_ratio": Spec(
        "gauge",
        "Share of late events over the last minutes, of those that are counted or late; absent where fewer than 100 came",
        ("topic",),
    ),
    "driftd_partition_unreachable_since_timestamp_seconds": Spec(
        "gauge",
        "Wall time of the last answer of a leader that has been silent for a minute; absent where leaders answer",
        ("topic", "partition"),
    ),
    "driftd_topics_missing": Spec("gauge", "Configured topics that the broker does not have"),
    "driftd_records_waiting": Spec(
        "gauge",
        "Records that were read and cannot be decoded yet, as while their schema registry is away; absent where none",
        ("topic",),
    ),
    "driftd_consumer_lag": Spec(
        "gauge",
        "Events between driftd's position and the partition's end, open transactions included; absent while its leader is silent",
        ("topic", "partition"),
    ),
    "driftd_source_answered_timestamp_seconds": Spec("gauge", "Wall time at which the cluster last answered a look-up"),
    "driftd_window_length_seconds": Spec("gauge", "Length of the model's windows in event time", SERIES),
    "driftd_open_panes": Spec("gauge", "Panes held in memory; grows while a partition holds event time back", SERIES),
    "driftd_offsets_lost_total": Spec("counter", "Offsets that were gone before they were read", ("topic",)),
    "driftd_offsets_expired_total": Spec(
        "counter", "Offsets that retention had taken before reading first began; told once, no loss of ours", ("topic",)
    ),
    "driftd_kafka_errors_total": Spec("counter", "Errors that the Kafka client reported and deals with", ("error",)),
    "driftd_foreign_commits": Spec("gauge", "1: another process commits offsets under driftd's group"),
    "driftd_watermark_timestamp_seconds": Spec("gauge", "Event time up to which events are complete", ("model",)),
    "driftd_checkpoint_age_seconds": Spec(
        "gauge", "Time since state and positions were last saved; absent for a replica that judges nothing"
    ),
    "driftd_checkpoint_duration_seconds": Spec("histogram", "Time a checkpoint took"),
    "driftd_checkpoint_failures_total": Spec("counter", "Checkpoints that could not be written"),
    "driftd_state_recoveries_total": Spec("counter", "Times that the state was lost, gone or damaged", ("cause",)),
    "driftd_state_backup_failures_total": Spec("counter", "Backups of the state that could not be made"),
    "driftd_state_bytes": Spec("gauge", "Size of the state on disk"),
    "driftd_loop_timestamp_seconds": Spec("gauge", "Wall time of the loop's last turn; if it is old the loop hangs"),
    "driftd_clock_behind_seconds": Spec(
        "gauge", "How far the wall clock was set back from where it had come; 0: it was not"
    ),
    "driftd_ready": Spec("gauge", "1: ready, as /readyz says"),
    "driftd_reference_info": Spec("gauge", "1; the reference in use", (*SERIES, "reference", "rows")),
    "driftd_build_info": Spec("gauge", "1; the version that runs", ("version",)),
    "driftd_compiled": Spec("gauge", "1: compiled code does this part of the work; 0: Python does", ("part",)),
}


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """What a scrape asks of the process, beside the board."""

    version: str
    now: Callable[[], Nanos]
    ready: Callable[[], str | None]
    other_committer: Callable[[], bool]
    backlog: Callable[[], dict[str, Backlog]]
    targets: tuple[str, ...]
    started: Nanos
    compiled: Mapping[str, bool] = field(default_factory=dict)
    addresses: Mapping[str, tuple[str, str]] = field(
        default_factory=dict
    )  # type and address of each target, secrets masked
    patience: Mapping[SeriesKey, Nanos] = field(default_factory=dict)  # how old a last window may be
    outcomes: Callable[[], Mapping[str, Mapping[str, float]]] = dict  # of the last minutes' events, by topic
    audited: Callable[[], int] = int  # entries of the audit log
    stood_in: Mapping[str, str] = field(default_factory=dict)  # references as they were kept, and why they are used


def _chosen(accept: str) -> str:
    """The content type that a client asks for; the classic one where what it says cannot be understood."""
    try:
        return choose_encoder(accept)[1]
    except (TypeError, ValueError):  # a version that is no number
        return CLASSIC


class Exposition:
    """Answers a scrape. The board is looked at for as long as it takes to copy it; all text is made after that.

    What a series' last window says is written once and kept until the next one: it is nearly all of the text.
    """

    def __init__(
        self,
        look: Callable[[Callable[[Board], Board]], Board],
        status: DaemonStatus,
        process: CollectorRegistry,
    ) -> None:
        self._look = look
        self.status = status
        self._process = process
        self._room = LineRoom(MOST_FORMS)  # of the families of series
        self._forms = Forms(LineRoom(MOST_FORMS))  # of all others
        self._kept: dict[SeriesKey, tuple[SeriesBoard, dict[str, bytes], Forms]] = {}
        self._one_at_a_time = Lock()  # who comes second finds the text written

    def answer(self, accept: str) -> tuple[str, bytes]:
        """Content type and text, in the format asked for."""
        wants_openmetrics = _chosen(accept).startswith("application/openmetrics-text")
        style, process = (OPENMETRICS, openmetrics.generate_latest) if wants_openmetrics else (CLASSIC, generate_latest)
        pieces: list[bytes] = []
        with self._one_at_a_time:
            for name, text in self._families(self._look(Board.copy)):
                spec = METRICS[name]
                pieces += (head(name, spec.kind, spec.help, style), *text)
        pieces.append(process(self._process))  # the last: OpenMetrics ends with a line of its own
        return style, b"".join(pieces)

    def stands_ready(self) -> bool:
        """Whether the text of every series is there, and nobody writes any."""
        return not self._one_at_a_time.locked() and self._is_written(self._look(Board.copy))

    def _is_written(self, board: Board) -> bool:
        known = map(self._kept.get, board.series)
        return all(
            each is not None and each[0] is series for each, series in zip(known, board.series.values(), strict=True)
        )

    def _families(self, board: Board) -> Iterator[Family]:
        written, text = self._written(board), self._text
        for name in (*SCORE_PARTS.values(), *DETAIL_METRICS, *SERIES_PARTS):
            yield name, [of_series[name] for of_series in written]
        for name, values in (*_of_models(board), *self._health(board), *self._outside()):
            yield name, [text(name, dict(values))]
        for name, counter in board.counters.items():
            yield name, [text(name, counter)]
        yield "driftd_checkpoint_duration_seconds", _histogram(board.checkpoint_durations)
        yield from _of_performance(board)
        windows = {key: series.window.requests for key, series in board.series.items() if series.window is not None}
        yield from requests.usual_families(board.services)
        yield from requests.families(board.requests, {key: each for key, each in windows.items() if each is not None})

    def _written(self, board: Board) -> list[dict[str, bytes]]:
        """The text of every series, written anew where another window was closed."""
        kept = self._kept
        for gone in kept.keys() - board.series.keys():
            kept.pop(gone)[2].forget()
        for key, series in board.series.items():
            known = kept.get(key)
            if known is None or known[0] is not series:
                forms = Forms(self._room) if known is None else known[2]
                kept[key] = series, write_series(key, series, forms), forms
        return [kept[key][1] for key in board.series]

    def _text(self, name: str, values: Mapping[tuple[str, ...], float]) -> bytes:
        """The samples of a family, by the values of their labels."""
        names = METRICS[name].labels
        return self._forms.write(
            name, tuple(values), values.values(), lambda labels: [labelled(names, one) for one in labels]
        )

    def _health(self, board: Board) -> Iterator[tuple[str, Iterable[Value]]]:
        started = self.status.started
        lags = [((partition.topic, str(partition.index)), lag) for partition, lag in board.lags.items()]
        yield "driftd_consumer_lag", lags
        yield (
            "driftd_late_ratio",
            [((topic,), late.share) for topic, late in board.late.items() if late.share is not None],
        )
        silent = [((place.topic, str(place.index)), at / SECOND) for place, at in board.unreachable.items()]
        yield "driftd_partition_unreachable_since_timestamp_seconds", silent
        yield "driftd_partitions_held", [((), board.partitions_held)]
        yield from self._replica(board)
        yield "driftd_topics_missing", [((), board.topics_missing)]
        waiting = () if board.waiting is None else board.waiting.records
        yield "driftd_records_waiting", [((topic,), count) for topic, count in waiting]
        yield "driftd_state_bytes", [((), board.state_bytes)]
        blocked, held = board.letters_blocked, board.letters_bytes
        yield "driftd_dead_letters_blocked", [] if blocked is None else [((), int(blocked))]
        yield "driftd_dead_letters_directory_bytes", [] if held is None else [((), held)]
        yield "driftd_clock_behind_seconds", [((), board.clock_behind / SECOND)]
        saved = started if board.checkpoint_at is None else board.checkpoint_at
        judges = board.replica is None or board.replica[JUDGES] > 0
        yield "driftd_checkpoint_age_seconds", [((), max(0, self.status.now() - saved) / SECOND)] if judges else []
        answered = started if board.answered_at is None else board.answered_at
        yield "driftd_source_answered_timestamp_seconds", [((), answered / SECOND)]
        turned = started if board.turned_at is None else board.turned_at
        yield "driftd_loop_timestamp_seconds", [((), turned / SECOND)]
        parts = self.status.compiled if board.native is None else {**self.status.compiled, "reading": board.native}
        yield "driftd_compiled", [((part,), int(used)) for part, used in parts.items()]

    @staticmethod
    def _replica(board: Board) -> Iterator[tuple[str, Iterable[Value]]]:
        roles, missing = board.replica or {}, len(board.counts_missing)
        yield "driftd_replica_partitions", [((role,), count) for role, count in roles.items()]
        yield "driftd_replica_counts_missing", [] if board.replica is None else [((), missing)]

    def _outside(self) -> Iterator[tuple[str, Iterable[Value]]]:
        backlog, now = self.status.backlog(), self.status.now()
        pending: list[Value] = []
        oldest: list[Value] = []
        gone = sorted(backlog.keys() - set(self.status.targets))  # owed, though no longer configured
        for target in (
            *self.status.targets,
            *gone,
        ):  # under the label `webhook`, whatever its type: dashboards know it so
            waiting = backlog.get(target, Backlog(0, None))
            pending.append(((target,), waiting.pending))
            age = 0.0 if waiting.oldest is None else max(0, now - waiting.oldest) / SECOND
            oldest.append(((target,), age))
        yield "driftd_outbox_pending", pending
        yield "driftd_outbox_oldest_seconds", oldest
        yield "driftd_audit_entries_total", [((), self.status.audited())]
        yield "driftd_ready", [((), int(self.status.ready() is None))]
        yield "driftd_foreign_commits", [((), int(self.status.other_committer()))]
        yield "driftd_build_info", [((self.status.version,), 1)]


DETAIL_METRICS = tuple({name: None for parts in DETAILS.values() for name in parts.values()})  # each once
SCORE_PARTS = {  # what a score says, by the name it goes under in `ScoreColumns`
    "value": "driftd_drift_score",
    "pvalue": "driftd_drift_pvalue",
    "threshold": "driftd_drift_threshold",
}
SERIES_PARTS = (
    "driftd_drift_state",
    "driftd_feature_missing_ratio",
    "driftd_feature_unseen_ratio",
    "driftd_feature_shift_sigma",
    "driftd_calibration_info",
    "driftd_learning_ratio",
    "driftd_insufficient_features",
    "driftd_drifted_features_ratio",
    "driftd_window_rows",
    "driftd_window_unlogged_rows",
    "driftd_window_ids",
    "driftd_duplicate_share",
    "driftd_duplicate_share_error",
    "driftd_group_rows_ratio",
    "driftd_window_end_timestamp_seconds",
    "driftd_window_length_seconds",
    "driftd_reference_info",
    "driftd_rule_info",
)


def write_series(key: SeriesKey, series: SeriesBoard, forms: Forms) -> dict[str, bytes]:
    """What the last window of a series says, by metric."""
    base = labelled(SERIES, _labels(key))
    text: dict[str, list[bytes]] = {name: [] for name in (*SCORE_PARTS.values(), *DETAIL_METRICS)}
    for part in series.scores.parts:
        for name, written in _of_part(base, part, forms):
            text[name].append(written)
    scores = {name: b"".join(written) for name, written in text.items()}
    return (
        scores
        | _of_features(base, series, forms)
        | {name: lines(name, said) for name, said in _of_series(base, series)}
    )


def _of_part(base: str, part: DetectorScores, forms: Forms) -> Iterator[tuple[str, bytes]]:
    """One detector's scores, column by column: making a score of each would take longer than writing it."""
    columns, thresholds = part.wanted()
    detector, names = columns.detector, columns.names
    ending = label("detector", detector)

    def labels(names: Sequence[str]) -> list[str]:
        return [f"{base},{label('feature', name)},{ending}" for name in names]

    known = None if columns.known.all() else columns.known.tolist()
    places = names if known is None else tuple(compress(names, known))
    named = SCORE_PARTS | DETAILS.get(detector, {})
    for name, column in (("value", columns.values), ("pvalue", columns.pvalues), *columns.details.items()):
        if name in named and column is not None:
            numbers = column.tolist() if known is None else compress(column.tolist(), known)
            yield named[name], forms.write(named[name], places, numbers, labels, detector)
    name = SCORE_PARTS["threshold"]
    yield name, forms.fixed((name, detector), part.asked, lambda: lines(name, _limits(labels(names), thresholds)))


def _limits(labels: Iterable[str], thresholds: Sequence[float | None]) -> list[Sample]:
    return [(of, limit) for of, limit in zip(labels, thresholds, strict=True) if limit is not None]


def _of_features(base: str, series: SeriesBoard, forms: Forms) -> dict[str, bytes]:
    """What is said of each feature, but for its scores."""
    quality = () if series.window is None else tuple(series.window.quality)
    names = tuple([entry.feature for entry in quality])
    shifts = {entry.feature: entry.shift_sigma for entry in quality if entry.shift_sigma is not None}
    said: dict[str, tuple[Sequence[str], Sequence[float]]] = {
        "driftd_drift_state": (tuple(series.states), [*series.states.values()]),
        "driftd_feature_missing_ratio": (names, [entry.missing_ratio for entry in quality]),
        "driftd_feature_unseen_ratio": (names, [entry.unseen_ratio for entry in quality]),
        "driftd_feature_shift_sigma": (tuple(shifts), [*shifts.values()]),
    }

    def labels(names: Sequence[str]) -> list[str]:
        return [f"{base},{label('feature', name)}" for name in names]

    return {name: forms.write(name, places, values, labels) for name, (places, values) in said.items()}


def _of_series(base: str, series: SeriesBoard) -> Iterator[tuple[str, list[Sample]]]:
    """What is said of a series as a whole."""
    window, drifted = series.window, series.drifted
    ids = None if window is None else window.ids
    info = labelled(("reference", "rows"), (series.reference, str(series.reference_rows)))
    yield "driftd_calibration_info", [(f"{base},{label('calibration', series.calibration)}", 1)]
    yield "driftd_learning_ratio", [] if series.learning is None else [(base, series.learning.share)]
    yield "driftd_insufficient_features", [] if window is None else _insufficient(base, series)
    yield "driftd_drifted_features_ratio", [] if drifted is None else [(base, drifted)]
    yield "driftd_window_rows", [] if window is None else [(base, window.rows)]
    unlogged = 0 if window is None else window.unlogged
    yield "driftd_window_unlogged_rows", [(base, unlogged)] if unlogged else []
    yield "driftd_window_ids", [] if ids is None else [(base, ids.distinct)]
    yield "driftd_duplicate_share", [] if ids is None else [(base, ids.share)]
    yield "driftd_duplicate_share_error", [] if ids is None else [(base, ids.error)]
    grouped = None if window is None else window.group_rows
    yield "driftd_group_rows_ratio", [] if grouped is None else [(base, grouped)]
    yield "driftd_window_end_timestamp_seconds", [] if window is None else [(base, window.end / SECOND)]
    yield "driftd_window_length_seconds", [(base, series.length / SECOND)]
    yield "driftd_reference_info", [(f"{base},{info}", 1)]
    yield "driftd_rule_info", [(f"{base},{labelled(('rule', 'severity'), rule)}", 1) for rule in series.rules.items()]


def _of_performance(board: Board) -> Iterator[Family]:
    """What models are worth, by the windows that are judged last of all: the same age of each."""
    judged = {key: ages[max(ages)] for key, ages in board.performance.items() if ages and ages[max(ages)].final}
    values: dict[str, Callable[[PerformanceJudged], float]] = {
        "driftd_performance_window_end_timestamp_seconds": lambda last: last.end / SECOND,
        "driftd_labelled_rows": lambda last: last.labelled,
        "driftd_label_coverage_ratio": lambda last: last.coverage,
        "driftd_label_sampling_ratio": lambda last: last.sampling,
    }
    for name, value in values.items():
        yield name, [_text(name, [(_labels(key), value(last)) for key, last in judged.items()])]
    metrics = [
        ((*_labels(key), *labels), value) for key, last in judged.items() for labels, value in _told(last, "realised")
    ]
    metrics += [
        ((*_labels(key), *labels), value)
        for key, last in board.estimated.items()
        if last is not None
        for labels, value in _told(last, "estimated")
    ]
    yield "driftd_performance", [_text("driftd_performance", metrics)]
    apart = [((*_labels(key), *labels), value) for key, last in judged.items() for labels, value in _apart(last)]
    yield "driftd_performance_difference", [_text("driftd_performance_difference", apart)]
    beside = [
        ((*_labels(key), metric.metric, bound), value)
        for model in dict.fromkeys(key.model for key in board.worth)
        for key, told in judged_beside(board, model)
        for metric in told
        for bound, value in zip(("point", "lower", "upper"), (metric.apart.value, *metric.apart.interval), strict=True)
    ]
    yield "driftd_version_difference", [_text("driftd_version_difference", beside)]
    bins = [((*_labels(key), *labels), value) for key, last in judged.items() for labels, value in _reliability(last)]
    yield "driftd_reliability_ratio", [_text("driftd_reliability_ratio", bins)]
    outside = [(_labels(key), last.outside) for key, last in board.estimated.items() if last is not None and last.rows]
    yield "driftd_estimate_outside_ratio", [_text("driftd_estimate_outside_ratio", outside)]
    by_class = [
        ((*_labels(key), each.name), each.labelled / each.predictions)
        for key, last in judged.items()
        for each in last.classes
        if each.predictions
    ]
    yield "driftd_label_class_coverage_ratio", [_text("driftd_label_class_coverage_ratio", by_class)]
    refused = [
        ((*_labels(key), reason), rows) for key, last in judged.items() for reason, rows in last.left_out.items()
    ]
    yield "driftd_labelled_rows_left_out", [_text("driftd_labelled_rows_left_out", refused)]
    tests = [(_labels(key), last.coverage_test) for key, last in judged.items()]
    biased = [(labels, int(test.beyond_chance)) for labels, test in tests if test is not None]
    yield "driftd_label_selection_bias", [_text("driftd_label_selection_bias", biased)]
    yield "driftd_label_delay_seconds", _delays(board)


def _told(
    judged: PerformanceJudged | PerformanceEstimated, estimate: str
) -> Iterator[tuple[tuple[str, str, str], float]]:
    for metric in judged.metrics:
        for bound, value in (("point", metric.value), ("lower", metric.lower), ("upper", metric.upper)):
            if value is not None:
                yield (metric.name, estimate, bound), value


def _apart(judged: PerformanceJudged) -> Iterator[tuple[tuple[str, str], float]]:
    for each in judged.differences:
        for bound, value in (("point", each.value), ("lower", each.lower), ("upper", each.upper)):
            yield (each.name, bound), value


def _reliability(judged: PerformanceJudged) -> Iterator[tuple[tuple[str, str], float]]:
    for each in judged.reliability:
        for of in ("predicted", "observed", "lower", "upper"):
            yield (f"{each.above:g} to {each.upto:g}", of), getattr(each, of)


def _delays(board: Board) -> Iterator[bytes]:
    name = "driftd_label_delay_seconds"
    for key, delays in board.delays.items():
        base = labelled(SERIES, _labels(key))
        counts = list(accumulate(delays.counts))
        bounds = (*(f"{bound:.1f}" for bound in DELAY_BOUNDS), "+Inf")
        yield lines(f"{name}_bucket", [(f"{base},{label('le', le)}", n) for le, n in zip(bounds, counts, strict=True)])
        yield lines(f"{name}_count", [(base, counts[-1])])
        yield lines(f"{name}_sum", [(base, delays.seconds)])


def _insufficient(base: str, series: SeriesBoard) -> list[Sample]:
    causes = Counter(cause for cause, _ in series.insufficient().values())
    return [(f"{base},{label('cause', cause)}", causes[cause]) for cause in INSUFFICIENT_CAUSES]


def _of_models(board: Board) -> Iterator[tuple[str, Iterable[Value]]]:
    yield "driftd_open_panes", [(_labels(key), board.panes.get(key, 0)) for key in board.series]
    models = sorted({key.model for key in board.series})
    followed = [known for known in board.versions.values() if known.standing.followed]
    yield "driftd_version_judged", [((each.model, each.version, each.standing.value), 1) for each in followed]
    heard = {key.model for key in board.series if not is_silenced(board.decisions, key, ())}
    yield "driftd_silenced", [((model,), int(model not in heard)) for model in models]
    in_flight = {each.key.model for each in board.requests_in_flight()}
    yield "driftd_retrain_in_flight", [((model,), int(model in in_flight)) for model in models]
    if board.watermark is not None:
        yield "driftd_watermark_timestamp_seconds", [((model,), board.watermark / SECOND) for model in models]
    rules = {labels[:3]: 0 for labels in board.counters["driftd_alert_transitions_total"]}
    states: dict[tuple[str, ...], list[AlertState]] = {}
    for (key, rule, _), alert in board.alerts.items():
        states.setdefault((*_labels(key), rule), []).append(alert.state)
    yield "driftd_alert_state", (rules | {labels: int(worst(found)) for labels, found in states.items()}).items()
    yield "driftd_incident_open", _of_incidents(board, how_open)
    yield "driftd_incident_severity", _of_incidents(board, how_bad)
    yield "driftd_service_severity", _of_service(board)
    yield "driftd_frozen_since_timestamp_seconds", _frozen(board)
    trailing = [((*_labels(key), feature), trails) for (key, feature), trails in board.trailing.items()]
    yield "driftd_trailing_seconds", [(labels, trails.days * DAY / SECOND) for labels, trails in trailing]
    shifts = [(labels, trails.shift) for labels, trails in trailing if trails.shift is not None]
    yield "driftd_trailing_shift_sigma", shifts
    yield "driftd_chart_warnings_expected_total", board.expected_warnings.items()
    yield "driftd_calibration_suspect", [(labels, int(suspect)) for labels, suspect in board.suspect.items()]
    yield "driftd_allowance_ratio", board.widened.items()
    yield "driftd_holiday", [(labels, int(holiday)) for labels, holiday in board.holiday.items()]


def _frozen(board: Board) -> Iterator[Value]:
    """Since when each frozen feature is."""
    for (key, rule, _), alert in board.alerts.items():
        for each in alert.evidence if rule == FROZEN_RULE and alert.state in OPEN else ():
            if each.since is not None:
                yield (*_labels(key), each.feature), each.since / SECOND


def _of_incidents(board: Board, told: Callable[[AlertSeen], int]) -> Iterator[Value]:
    """What is told of the incidents of each series by kind, of several the most."""
    for key, series in board.series.items():
        schema = (IncidentKind.DATA_QUALITY,) if SCHEMA_RULE in series.rules else ()
        for kind in KINDS if BUDGET_RULE in series.rules else schema:
            alerts = [board.alerts.get((key, rule, kind)) for rule in (BUDGET_RULE, CONTRACT_RULE, SCHEMA_RULE)]
            yield (*_labels(key), kind.value), max(0 if alert is None else told(alert) for alert in alerts)
        if PERFORMANCE_RULE in series.rules:
            alert = board.alerts.get((key, PERFORMANCE_RULE, IncidentKind.PERFORMANCE))
            yield (*_labels(key), IncidentKind.PERFORMANCE.value), 0 if alert is None else told(alert)
        stream = [board.alerts.get((key, rule.name, IncidentKind.SERVICE)) for rule in OF_SERVICE]
        yield (*_labels(key), IncidentKind.SERVICE.value), max(0 if alert is None else told(alert) for alert in stream)


def _of_service(board: Board) -> Iterator[Value]:
    """How bad the incident of each rule of the service is, where the series has it."""
    for key, series in board.series.items():
        for rule in (rule.name for rule in OF_SERVICE if rule.name in series.rules):
            alert = board.alerts.get((key, rule, IncidentKind.SERVICE))
            yield (*_labels(key), rule), 0 if alert is None else how_bad(alert)


def how_open(alert: AlertSeen) -> int:
    """Whether its incident is open: 0 no, 1 it is, 2 it was told again since."""
    if alert.state not in OPEN:
        return 0
    return 2 if alert.about.escalations else 1


def how_bad(alert: AlertSeen) -> int:
    """How bad its incident is: 0 it is not open, or a note; 1 a warning, 2 critical."""
    return {Severity.WARNING: 1, Severity.CRITICAL: 2}.get(alert.severity, 0) if alert.state in OPEN else 0


def _labels(key: SeriesKey) -> tuple[str, str]:
    return key.model, key.version


def _text(name: str, values: Iterable[Value]) -> bytes:
    names = METRICS[name].labels
    return lines(name, [(labelled(names, labels), value) for labels, value in values])


def _histogram(durations: Durations) -> Iterator[bytes]:
    name = "driftd_checkpoint_duration_seconds"
    counts = list(accumulate(durations.counts))
    bounds = (*map(str, DURATION_BUCKETS), "+Inf")
    yield lines(f"{name}_bucket", [(label("le", le), n) for le, n in zip(bounds, counts, strict=True)])
    yield lines(f"{name}_count", [("", counts[-1])])
    yield lines(f"{name}_sum", [("", durations.total)])

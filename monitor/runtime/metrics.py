"""Every metric by name, and the collector that writes them from the board at each scrape."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from detectors import DriftScore
from monitor.runtime.board import DURATION_BUCKETS, Board, SeriesBoard
from monitor.sinks.store import Backlog
from monitor.stream.events import SECOND, Nanos, SeriesKey

Value = tuple[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Spec:
    """What a metric is."""

    kind: Literal["gauge", "counter", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


SERIES = ("model", "version")
FEATURE = (*SERIES, "feature")
SCORE = (*FEATURE, "detector")

METRICS: dict[str, Spec] = {
    "driftd_drift_score": Spec(
        "gauge",
        "Score in the last closed window; larger is further from the reference. ks: D at the bin edges. psi: over at "
        "most 10 merged bins, half a count added to each bin on both sides. chi2: the homogeneity statistic. adwin: "
        "shift of the mean in reference standard deviations. missing, unseen: change of the share of rows. volume: "
        "|log2(rows / expected rows)|. Absent: insufficient data",
        SCORE,
    ),
    "driftd_drift_pvalue": Spec("gauge", "P-value of the score if nothing had changed, where there is one", SCORE),
    "driftd_drift_threshold": Spec("gauge", "Score above which this window would breach a rule", SCORE),
    "driftd_drift_score_upper": Spec("gauge", "Upper end of the certified interval of the exact score (ks)", SCORE),
    "driftd_drift_resolution": Spec("gauge", "Largest reference mass of one bin: the interval's widest (ks)", SCORE),
    "driftd_drift_expected": Spec("gauge", "Expected score if nothing had changed (psi)", SCORE),
    "driftd_drift_debiased": Spec("gauge", "Score less its expectation under no change, at least 0 (psi)", SCORE),
    "driftd_drift_direction": Spec("gauge", "1: the mean went up; -1: down (adwin)", SCORE),
    "driftd_drift_state": Spec("gauge", "0 ok, 1 warning, 2 drift, -1 insufficient data", FEATURE),
    "driftd_window_rows": Spec("gauge", "Rows in the last closed window", SERIES),
    "driftd_window_end_timestamp_seconds": Spec("gauge", "Event time at which the last closed window ended", SERIES),
    "driftd_feature_missing_ratio": Spec("gauge", "Share of rows without a usable value", FEATURE),
    "driftd_feature_unseen_ratio": Spec("gauge", "Share of rows outside the reference's range or categories", FEATURE),
    "driftd_alert_state": Spec("gauge", "0 inactive, 1 pending, 2 firing, 3 recovering", (*SERIES, "rule")),
    "driftd_rule_info": Spec(
        "gauge", "1; a rule that applies to the model, and its severity", (*SERIES, "rule", "severity")
    ),
    "driftd_alert_transitions_total": Spec("counter", "Changes of an alert's state", (*SERIES, "rule", "to")),
    "driftd_retrain_requests_total": Spec(
        "counter", "Critical alerts that asked for retraining, by what became of it", ("model", "reason", "outcome")
    ),
    "driftd_webhook_deliveries_total": Spec("counter", "Delivery attempts by how they ended", ("webhook", "outcome")),
    "driftd_outbox_pending": Spec("gauge", "Notifications not yet delivered", ("webhook",)),
    "driftd_outbox_oldest_seconds": Spec("gauge", "Age of the oldest notification not yet delivered", ("webhook",)),
    "driftd_events_total": Spec("counter", "Events read, by outcome", ("topic", "outcome")),
    "driftd_events_rejected_total": Spec("counter", "Events that could not be used at all", ("topic", "reason")),
    "driftd_fields_rejected_total": Spec(
        "counter",
        "Fields of events that still count; unknown ones are counted in every 256th event",
        ("topic", "reason"),
    ),
    "driftd_topics_missing": Spec("gauge", "Configured topics that the broker does not have"),
    "driftd_consumer_lag": Spec(
        "gauge",
        "Events between our position and the partition's end; absent while its broker is away",
        ("topic", "partition"),
    ),
    "driftd_source_answered_timestamp_seconds": Spec("gauge", "Wall time at which the cluster last answered a look-up"),
    "driftd_window_length_seconds": Spec("gauge", "Length of the model's windows, event time", SERIES),
    "driftd_open_panes": Spec("gauge", "Panes held in memory; grows while a partition holds event time back", SERIES),
    "driftd_offsets_lost_total": Spec("counter", "Offsets that were gone before they were read", ("topic",)),
    "driftd_kafka_errors_total": Spec("counter", "Errors that the Kafka client reported and deals with", ("error",)),
    "driftd_foreign_commits": Spec("gauge", "1: somebody else commits under our group"),
    "driftd_watermark_timestamp_seconds": Spec("gauge", "Event time up to which events are complete", ("model",)),
    "driftd_checkpoint_age_seconds": Spec("gauge", "Time since state and positions were last saved"),
    "driftd_checkpoint_duration_seconds": Spec("histogram", "Time a checkpoint took"),
    "driftd_checkpoint_failures_total": Spec("counter", "Checkpoints that could not be written"),
    "driftd_state_bytes": Spec("gauge", "Size of the state on disk"),
    "driftd_loop_timestamp_seconds": Spec("gauge", "Wall time of the loop's last turn: older than seconds is stuck"),
    "driftd_ready": Spec("gauge", "1: ready, as /readyz says it"),
    "driftd_reference_info": Spec("gauge", "1; the reference in use", (*SERIES, "reference", "rows")),
    "driftd_build_info": Spec("gauge", "1; the version running", ("version",)),
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a scrape asks besides the board."""

    version: str
    now: Callable[[], Nanos]
    ready: Callable[[], str | None]
    foreign: Callable[[], bool]
    backlog: Callable[[], dict[str, Backlog]]
    webhooks: tuple[str, ...]
    started: Nanos


class BoardCollector(Collector):
    """Yields all metrics from one look at the board; nothing is kept between scrapes, and no scrape waits for the disk."""

    def __init__(self, look: Callable[[Callable[[Board], list[Metric]]], list[Metric]], around: Surroundings) -> None:
        self._look = look
        self._around = around

    def describe(self) -> Iterable[Metric]:
        """Nothing is collected at registration."""
        return []

    def collect(self) -> Iterable[Metric]:
        """All families of one moment."""
        outside = list(self._outside())
        return [*self._look(lambda board: list(self._families(board))), *outside]

    def _families(self, board: Board) -> Iterator[Metric]:
        yield from self._series(board)
        yield from self._health(board)
        for name, counter in board.counters.items():
            yield _family(name, counter.items())

    def _series(self, board: Board) -> Iterator[Metric]:
        scored = [(key, series, score) for key, series in board.series.items() for score in series.scores.values()]
        for name, read in SCORE_PARTS.items():
            yield _family(name, _scores(scored, read))
        items = list(board.series.items())
        states = [
            ((*_labels(key), feature), state) for key, series in items for feature, state in series.states.items()
        ]
        yield _family("driftd_drift_state", states)
        closed = [(key, series.window) for key, series in items if series.window is not None]
        yield _family("driftd_window_rows", [(_labels(key), window.rows) for key, window in closed])
        yield _family(
            "driftd_window_end_timestamp_seconds", [(_labels(key), window.end / SECOND) for key, window in closed]
        )
        quality = [((*_labels(key), one.feature), one) for key, window in closed for one in window.quality]
        yield _family("driftd_feature_missing_ratio", [(labels, one.missing_ratio) for labels, one in quality])
        yield _family("driftd_feature_unseen_ratio", [(labels, one.unseen_ratio) for labels, one in quality])
        yield _family(
            "driftd_reference_info",
            [((*_labels(key), series.reference, str(series.reference_rows)), 1) for key, series in items],
        )
        yield _family("driftd_window_length_seconds", [(_labels(key), one.length / SECOND) for key, one in items])
        yield _family("driftd_open_panes", [(_labels(key), one.panes) for key, one in items])
        if board.watermark is not None:
            models = {key.model for key, _ in items}
            yield _family(
                "driftd_watermark_timestamp_seconds",
                [((model,), board.watermark / SECOND) for model in sorted(models)],
            )
        rules = {labels[:3]: 0 for labels in board.counters["driftd_alert_transitions_total"]}
        rules |= {(*_labels(key), rule): int(alert.state) for (key, rule), alert in board.alerts.items()}
        yield _family("driftd_alert_state", rules.items())
        info = [((*_labels(key), *rule), 1) for key, series in items for rule in series.rules.items()]
        yield _family("driftd_rule_info", info)

    def _health(self, board: Board) -> Iterator[Metric]:
        lags = [((partition.topic, str(partition.index)), lag) for partition, lag in board.lags.items()]
        yield _family("driftd_consumer_lag", lags)
        yield _family("driftd_topics_missing", [((), board.topics_missing)])
        yield _family("driftd_state_bytes", [((), board.state_bytes)])
        saved = self._around.started if board.checkpoint_at is None else board.checkpoint_at
        yield _family("driftd_checkpoint_age_seconds", [((), max(0, self._around.now() - saved) / SECOND)])
        answered = self._around.started if board.answered_at is None else board.answered_at
        yield _family("driftd_source_answered_timestamp_seconds", [((), answered / SECOND)])
        turned = self._around.started if board.turned_at is None else board.turned_at
        yield _family("driftd_loop_timestamp_seconds", [((), turned / SECOND)])
        yield _histogram(board)

    def _outside(self) -> Iterator[Metric]:
        backlog, now = self._around.backlog(), self._around.now()
        pending: list[Value] = []
        oldest: list[Value] = []
        for webhook in self._around.webhooks:
            waiting = backlog.get(webhook, Backlog(0, None))
            pending.append(((webhook,), waiting.pending))
            age = 0.0 if waiting.oldest is None else max(0, now - waiting.oldest) / SECOND
            oldest.append(((webhook,), age))
        yield _family("driftd_outbox_pending", pending)
        yield _family("driftd_outbox_oldest_seconds", oldest)
        yield _family("driftd_ready", [((), int(self._around.ready() is None))])
        yield _family("driftd_foreign_commits", [((), int(self._around.foreign()))])
        yield _family("driftd_build_info", [((self._around.version,), 1)])


SCORE_PARTS: dict[str, Callable[[DriftScore], float | None]] = {
    "driftd_drift_score": lambda score: score.value,
    "driftd_drift_pvalue": lambda score: score.pvalue,
    "driftd_drift_threshold": lambda score: score.threshold,
    "driftd_drift_score_upper": lambda score: score.details.get("upper"),
    "driftd_drift_resolution": lambda score: score.details.get("resolution"),
    "driftd_drift_expected": lambda score: score.details.get("expected"),
    "driftd_drift_debiased": lambda score: score.details.get("debiased"),
    "driftd_drift_direction": lambda score: score.details.get("direction"),
}


def _labels(key: SeriesKey) -> tuple[str, str]:
    return key.model, key.version


def _scores(
    scored: Iterable[tuple[SeriesKey, SeriesBoard, DriftScore]], read: Callable[[DriftScore], float | None]
) -> Iterator[Value]:
    for key, _, score in scored:
        value = read(score)
        if value is not None:
            yield (key.model, key.version, score.feature, score.detector), value


def _family(name: str, values: Iterable[Value]) -> Metric:
    spec = METRICS[name]
    family: CounterMetricFamily | GaugeMetricFamily
    if spec.kind == "counter":
        family = CounterMetricFamily(name.removesuffix("_total"), spec.help, labels=spec.labels)
    else:
        family = GaugeMetricFamily(name, spec.help, labels=spec.labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def _histogram(board: Board) -> Metric:
    spec = METRICS["driftd_checkpoint_duration_seconds"]
    family = HistogramMetricFamily("driftd_checkpoint_duration_seconds", spec.help)
    durations, sofar = board.checkpoint_durations, 0
    buckets = []
    for bound, count in zip((*map(str, DURATION_BUCKETS), "+Inf"), durations.counts, strict=True):
        sofar += count
        buckets.append((bound, sofar))
    family.add_metric([], buckets, durations.total)
    return family

"""The overview: every model at a glance, then what could make the glance lie: lateness, bad events, delivery, the daemon."""

from typing import Any

import budget
from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.models.common import BigValueTextMode
from grafana_foundation_sdk.models.units import BytesIEC, EventsPerSecond, NoUnit, PercentUnit, Seconds, Short
from panels import (
    BREACH,
    GREEN,
    GREY,
    ORANGE,
    RED,
    YELLOW,
    Column,
    Query,
    data_link,
    mapping,
    table_of,
    tiles,
    timeline,
    timeseries,
)
from words import ALERT_STATES, DRIFT_STATES, INCIDENTS, framed, or_none, percentile, ratio

UID = "driftd-overview"
PAGE = (
    "/d/driftd-model?var-datasource=${datasource}&${job:queryparam}&${instance:queryparam}&${page:queryparam}"
    "&${__url_time_range}"
)
OF_SERIES = (
    PAGE + "&var-model=${__field.labels.model:percentencode}&var-version=${__field.labels.version:percentencode}"
)
OF_ROW = PAGE + "&var-model=${__data.fields.model:percentencode}&var-version=${__data.fields.version:percentencode}"
OPEN_SERIES = data_link("Open ${__field.labels.model}", OF_SERIES)
OPEN_ROW = data_link("Open ${__data.fields.model}", OF_ROW)

OF_A_SIZE = 'label_replace(max by (model, version) (driftd_incident_severity{{kind!="service"}}) == {}, "severity", "{}", "", "")'
BY_SEVERITY = (
    'count by (severity) (group by (model, version, rule, severity) (driftd_rule_info{rule!~"drift|performance"})'
    " and on (model, version, rule) driftd_alert_state >= 2"
    f" or {OF_A_SIZE.format(2, 'critical')} or {OF_A_SIZE.format(1, 'warning')})"
)
ANY = ((None, GREEN), (1, RED))
AGE = ((None, GREEN), (900, YELLOW), (3600, RED))


def overview() -> Dashboard:
    """The dashboard, rows from the most asked to the least."""
    page = framed("driftd: overview", UID, "Drift of every model, and whether driftd itself can be believed right now.")
    for title, panels in (
        ("Models", _models()),
        ("Freshness: is the verdict of now, or of an hour ago?", _freshness()),
        ("Events: what came in, what was refused", _events()),
        ("Delivery: webhooks and retraining requests", _delivery()),
        ("Daemon", _daemon()),
    ):
        page.with_row(Row(title))
        for panel in panels:
            page.with_panel(panel)
    return page


def _models() -> list[Any]:
    return [*_states(), *_nearness(), *_alerts(), *budget.of_all(OPEN_SERIES)]


def _states() -> list[Any]:
    """How each model is now."""
    return [
        tiles(
            "State of each model",
            "The worst state among the model's features in its last closed window. Red: at least one alert rule is "
            "firing. Orange: a rule is pending or recovering, or a control chart warns. Grey: too few rows to judge, "
            "which is not the same as fine. Click a tile for the model's page.",
            NoUnit,
            Query("max by (model, version) (driftd_drift_state)", "{{model}} · {{version}}"),
            width=24,
            mappings=DRIFT_STATES,
            text=BigValueTextMode.VALUE_AND_NAME,
            link=OPEN_SERIES,
        ),
        table_of(
            "Models at a glance",
            "One row a model and version. 'score ÷ threshold' is the worst of all features and detectors: at 1 the window "
            "breaches. 'window age' counts from the end of the last closed window and 'watermark age' from the latest "
            "event time known to be complete; both hold the window length and the allowed lateness at best, so a steady "
            "value is healthy and a growing one is not.",
            Column("max by (model, version) (driftd_drift_state)", "state", mappings=DRIFT_STATES),
            Column(f"max by (model, version) ({ratio()})", "score ÷ threshold", Short, BREACH),
            Column(
                "count by (model, version) (driftd_alert_state >= 2) or 0 * max by (model, version) (driftd_alert_state)",
                "alerts firing",
                Short,
                ANY,
            ),
            Column("max by (model, version) (driftd_drifted_features_ratio)", "features in drift", PercentUnit),
            Column("max by (model, version) (driftd_window_rows)", "rows in window", Short),
            Column(
                "time() - max by (model, version) (driftd_window_end_timestamp_seconds)", "window age", Seconds, AGE
            ),
            Column(
                "(time() - max by (model) (driftd_watermark_timestamp_seconds))"
                " * on (model) group_right () group by (model, version) (driftd_reference_info)",
                "watermark age",
                Seconds,
                AGE,
            ),
            sort="score ÷ threshold",
            link=("model", OPEN_ROW),
        ),
        table_of(
            "Open incidents",
            "One row an incident that is open: drift of inputs, of the prediction, missing and doubled data, or service: events come "
            "late, or leaders of partitions do not answer. Escalated: it was told again, since it grew or others joined. What is wrong in words, and since when, stands on driftd's own "
            "status page, which the link above opens, and in the webhook's message; texts of events are never labels.",
            Column("max by (model, version, kind) (driftd_incident_open) > 0", "incident", mappings=INCIDENTS),
            width=12,
            link=("model", OPEN_ROW),
        ),
    ]


def _nearness() -> list[Any]:
    """How far features and models are, and over time."""
    return [
        timeseries(
            "Share of features in drift",
            "How many of a model's features are in drift, of those that could be judged in its last window. One feature of many: "
            "look at its producer. Most of them at once: look upstream, at the population, or at a join that fails.",
            PercentUnit,
            Query("max by (model, version) (driftd_drifted_features_ratio)", "{{model}} · {{version}}"),
            width=12,
            link=OPEN_SERIES,
        ),
        table_of(
            "Most drifted features",
            "The fifteen pairs of feature and detector nearest to, or furthest over, their threshold. Division by the "
            "threshold makes KS, PSI and ADWIN comparable. __prediction__ is the model's output and __volume__ the "
            "number of rows: drift in many features together with __volume__ points to a broken or partial feed "
            "rather than to a changed world.",
            Column(
                f"topk(15, max by (model, version, feature, detector) ({ratio()}))", "score ÷ threshold", Short, BREACH
            ),
            width=12,
            sort="score ÷ threshold",
            link=("model", OPEN_ROW),
        ),
        timeseries(
            "How near each model is to its thresholds",
            "The worst feature of each model over time, with the line at 1 where a window breaches. A single spike over "
            "the line need not fire (a rule may ask for several windows in a row); a plateau over it does.",
            Short,
            Query(f"max by (model, version) ({ratio()})", "{{model}} · {{version}}"),
            width=12,
            limit=1,
            link=OPEN_SERIES,
        ),
    ]


def _alerts() -> list[Any]:
    """What rules say."""
    return [
        timeline(
            "Alerts",
            "One lane a rule. Pending: breached, but not for long enough yet. Recovering: clear, but not for long enough "
            "yet, and still counted as firing. A lane that flips between the two sits at its threshold: widen the gap "
            "between fire_above and clear_below. Behind a rule of your own stands its severity: critical pages, info alerts nobody.",
            ALERT_STATES,
            Query(
                "max by (model, version, rule) (driftd_alert_state) * on (model, version, rule) group_right ()"
                ' group by (model, version, rule, severity) (driftd_rule_info{rule!~"drift|performance"})',
                "{{model}} · {{version}} · {{rule}} · {{severity}}",
            ),
            Query(
                'max by (model, version, rule) (driftd_alert_state{rule="drift"})', "{{model}} · {{version}} · {{rule}}"
            ),
            width=20,
            link=OPEN_SERIES,
        ),
        tiles(
            "Alerts firing",
            "Alerts firing or recovering, over all models, by severity: of your own rules as it is set, of incidents by their "
            "size. Several models at once usually share a cause upstream: look at the feed before looking at a model.",
            Short,
            Query(or_none(BY_SEVERITY, "severity"), "{{severity}}"),
            height=8,
            thresholds=ANY,
        ),
    ]


def _freshness() -> list[Any]:
    return [
        timeseries(
            "Age of the last window",
            "Time since the end of the last closed window. A saw-tooth between lateness and slide + lateness is the "
            "healthy shape. A straight climb means that no window closes: no events, or the watermark is held by a "
            "partition that is unread.",
            Seconds,
            Query("time() - max by (model, version) (driftd_window_end_timestamp_seconds)", "{{model}} · {{version}}"),
            width=6,
            link=OPEN_SERIES,
        ),
        timeseries(
            "Age of the watermark",
            "How far event time, as far as it is complete, lies behind the clock. It is the minimum over the partitions, so one "
            "lagging partition shows here. If it grows together with the lag, driftd cannot keep up; if it grows "
            "without lag, the producers have stopped or send old timestamps.",
            Seconds,
            Query("time() - max by (model) (driftd_watermark_timestamp_seconds)", "{{model}}"),
            width=6,
        ),
        timeseries(
            "Rows in the last window",
            "Rows judged in each model's last window. Below min_rows there is no verdict. A drop to half usually means "
            "that a producer instance is gone.",
            Short,
            Query("max by (model, version) (driftd_window_rows)", "{{model}} · {{version}}"),
            width=6,
            link=OPEN_SERIES,
        ),
        timeseries(
            "Consumer lag",
            "Messages in Kafka not yet read, a line a topic. After a restart it falls quickly; if it climbs for ten "
            "minutes, the input is faster than one core, or the broker is slow.",
            Short,
            Query(or_none("sum by (topic) (driftd_consumer_lag)", "topic"), "{{topic}}"),
            width=6,
        ),
    ]


def _events() -> list[Any]:
    return [*_arrivals(), *_refusals(), *_dead_letters()]


def _arrivals() -> list[Any]:
    """What comes, and what waits."""
    return [
        timeseries(
            "Events by outcome",
            "ok: counted in a window. late: arrived after its window had closed; raise lateness if it persists. "
            "rejected: not readable as an event. unmonitored: a model or version that the configuration does not name, "
            "often a newly deployed version that has no reference yet. tombstone: a message without a value, as a compacted "
            "topic has them; no fault.",
            EventsPerSecond,
            Query(
                or_none("sum by (topic, outcome) (rate(driftd_events_total[$__rate_interval]))", "outcome"),
                "{{topic}} · {{outcome}}",
            ),
            stacked=True,
            width=6,
        ),
        timeseries(
            "Share of late events",
            "Share of the last minutes' events that came for windows that had closed, and so are not judged. Above 5 % it is a "
            "state of its own; the log line events.late names the cause: a fast clock, a partition far behind, a lateness that "
            "is too short.",
            PercentUnit,
            Query(or_none("max by (topic) (driftd_late_ratio)", "topic"), "{{topic}}"),
            limit=0.05,
            width=6,
        ),
        timeseries(
            "Repeated ids",
            "Share of a window's rows whose id stands in the same window already, by model. A step up is a producer that sends "
            "twice, or a job that was run again; drift of everything else may be its echo. none: no event has an id.",
            PercentUnit,
            Query(or_none("max by (model, version) (driftd_duplicate_share)", "model"), "{{model}} · {{version}}"),
            width=6,
        ),
        timeseries(
            "Partitions without an answer",
            "Partitions whose leader has been silent for a minute. Event time waits for them, so no window closes; lag is not "
            "known there and not shown.",
            Short,
            Query(
                or_none("count by (topic) (driftd_partition_unreachable_since_timestamp_seconds)", "topic"),
                "{{topic}}",
            ),
            width=6,
        ),
        timeseries(
            "Records that wait",
            "Records that were read and cannot be decoded yet, as while a schema registry is away. Nothing of them is lost, and event "
            "time waits for them, so no window closes. /readyz and the log line source.records_waiting name the registry and why.",
            Short,
            Query(or_none("sum by (topic) (driftd_records_waiting)", "topic"), "{{topic}}"),
        ),
    ]


def _refusals() -> list[Any]:
    """What is not read as an event, or not as a value."""
    return [
        timeseries(
            "Rejected events by reason",
            "Whole messages that were refused. A sudden single reason is a producer release; feed one such message to "
            "`driftd explain` to see what is wrong with it.",
            EventsPerSecond,
            Query(
                or_none("sum by (topic, reason) (rate(driftd_events_rejected_total[$__rate_interval]))", "reason"),
                "{{topic}} · {{reason}}",
            ),
            stacked=True,
        ),
        timeseries(
            "Rejected fields by reason",
            "Single fields that were left out of the sketches while the rest of the event counted: null, text where a "
            "number belongs, an unknown feature. They show up as missing in the feature's own ratio.",
            EventsPerSecond,
            Query(
                or_none("sum by (topic, reason) (rate(driftd_fields_rejected_total[$__rate_interval]))", "reason"),
                "{{topic}} · {{reason}}",
            ),
            stacked=True,
        ),
    ]


def _dead_letters() -> list[Any]:
    """Whether what was rejected is kept."""
    return [
        timeseries(
            "Dead letters kept",
            "Rejected events whose records were kept in a directory or a topic, by reason: where any are, as many as are rejected. "
            "`driftd dead-letters show` lists them, and sends them again once what was wrong is mended. none: nothing was rejected, or "
            "dead_letters is not configured.",
            EventsPerSecond,
            Query(
                or_none("sum by (topic, reason) (rate(driftd_dead_letters_total[$__rate_interval]))", "reason"),
                "{{topic}} · {{reason}}",
            ),
            stacked=True,
            width=10,
        ),
        timeseries(
            "Directory of dead letters",
            "held: how large it is. dropped: what was removed of it because it was full, where `when_full: drop_oldest` says so; "
            "by default nothing is, and reading is held instead. none: they are kept in a topic, or nowhere.",
            BytesIEC,
            Query(
                or_none("max by (instance) (driftd_dead_letters_directory_bytes)", "instance"), "{{instance}} · held"
            ),
            Query(
                or_none(
                    "sum by (instance) (increase(driftd_dead_letters_dropped_bytes_total[$__rate_interval]))",
                    "instance",
                ),
                "{{instance}} · dropped",
            ),
            width=10,
        ),
        tiles(
            "Dead letters",
            "held: what was rejected cannot be kept, since the disk or the directory is full or the broker refuses, so nothing more is "
            "read until it can. Nothing is lost meanwhile but by the topic's retention. The log line dead_letters.blocked says why.",
            NoUnit,
            Query(or_none("max by (instance) (driftd_dead_letters_blocked)", "instance"), "{{instance}}"),
            mappings=mapping({0: ("reading goes on", GREEN), 1: ("reading is held", RED)}),
            height=8,
        ),
    ]


def _delivery() -> list[Any]:
    return [
        timeseries(
            "Outbox: waiting messages",
            "Webhook messages written but not yet accepted by the receiver. They survive a restart. Anything above zero "
            "for minutes means that the receiver refuses or is away.",
            Short,
            Query(or_none("sum by (webhook) (driftd_outbox_pending)", "webhook"), "{{webhook}}"),
            width=6,
        ),
        timeseries(
            "Outbox: age of the oldest message",
            "How long the first message in line has been waiting. Retries go on with growing pauses up to ten minutes.",
            Seconds,
            Query(or_none("max by (webhook) (driftd_outbox_oldest_seconds)", "webhook"), "{{webhook}}"),
            width=6,
        ),
        timeseries(
            "Deliveries by outcome",
            "delivered: the receiver answered 2xx. retried: it did not, and the message waits for another attempt. dead: "
            "driftd gave up, and somebody has to act on the message by hand.",
            Short,
            Query(
                or_none(
                    "sum by (webhook, outcome) (increase(driftd_webhook_deliveries_total[$__rate_interval]))", "webhook"
                ),
                "{{webhook}} · {{outcome}}",
            ),
            width=6,
        ),
        tiles(
            "Retraining requests in the chosen time",
            "Requests by model and outcome. Suppressed requests were held back by the cooldown, the weekly limit, or because "
            "values or rows are missing: the alert is still firing, only the trainer was not asked.",
            Short,
            Query(
                or_none("round(sum by (model, outcome) (increase(driftd_retrain_requests_total[$__range])))", "model"),
                "{{model}} · {{outcome}}",
            ),
            width=6,
            height=8,
        ),
        timeseries(
            "Retraining in flight",
            "Models of which a request has led to no new version yet, and whose runs have not ended. One that stays for days: "
            "`driftd retrain list` says what its runs do.",
            Short,
            Query("max by (model) (driftd_retrain_in_flight)", "{{model}}"),
            width=12,
        ),
        timeseries(
            "Audit log: new entries",
            "Decisions, changes of alerts and deliveries that were written to the audit log. Far more than usual: alerts that "
            "flap, or a target that is tried again and again; `driftd audit list --since 1h` says which.",
            Short,
            Query("sum by (instance) (increase(driftd_audit_entries_total[$__rate_interval]))", "{{instance}}"),
            width=12,
        ),
    ]


def _daemon() -> list[Any]:
    return [*_health(), *_resources(), *_faults()]


def _health() -> list[Any]:
    """Whether it runs as it should."""
    return [
        tiles(
            "Ready",
            "What /readyz says: partitions assigned, state loaded, able to checkpoint. The body of /readyz names the "
            "reason when it is not.",
            NoUnit,
            Query("min by (instance) (driftd_ready)", "{{instance}}"),
            mappings=mapping({0: ("not ready", RED), 1: ("ready", GREEN)}),
        ),
        tiles(
            "Loop heartbeat",
            "Time since the main loop last turned. Above a minute the numbers on this page are frozen, however healthy "
            "they look.",
            Seconds,
            Query("time() - max by (instance) (driftd_loop_timestamp_seconds)", "{{instance}}"),
            thresholds=((None, GREEN), (15, YELLOW), (60, RED)),
        ),
        tiles(
            "Checkpoint age",
            "Time since the state was last saved. A crash replays this much from Kafka. It should stay near "
            "checkpoint_interval.",
            Seconds,
            Query("max by (instance) (driftd_checkpoint_age_seconds)", "{{instance}}"),
            thresholds=((None, GREEN), (30, YELLOW), (120, RED)),
        ),
        tiles(
            "Second daemon",
            "Whether another process commits offsets under driftd's group. Two daemons on one group each see everything and "
            "send everything twice: stop one.",
            NoUnit,
            Query("max by (instance) (driftd_foreign_commits)", "{{instance}}"),
            mappings=mapping({0: ("none", GREEN), 1: ("yes", RED)}),
        ),
        tiles(
            "Topics missing",
            "Configured topics that the broker does not have. driftd looks again every five seconds and stays ready; a "
            "value that stays is a misspelt name or a missing right to describe the topic.",
            Short,
            Query("max by (instance) (driftd_topics_missing)", "{{instance}}"),
            thresholds=((None, GREEN), (1, ORANGE)),
        ),
        tiles(
            "Version",
            "The release that runs. Two versions at once mean a rollout in progress, or a second daemon.",
            NoUnit,
            Query("max by (version) (driftd_build_info)", "{{version}}"),
            text=BigValueTextMode.NAME,
            thresholds=((None, GREY),),
        ),
    ]


def _resources() -> list[Any]:
    """What it uses."""
    return [
        timeseries(
            "Checkpoint duration",
            "Median and 99th percentile of the time a checkpoint takes. The main loop waits for it: if it nears the "
            "checkpoint interval, the disk is too slow for the state.",
            Seconds,
            Query(percentile(0.5), "median"),
            Query(percentile(0.99), "99 %"),
            width=6,
        ),
        timeseries(
            "State on disk",
            "Size of the state directory. It follows from the number of models, features and panes; steady growth is a "
            "defect worth reporting.",
            BytesIEC,
            Query("max by (instance) (driftd_state_bytes)", "{{instance}}"),
            width=6,
        ),
        timeseries(
            "Resident memory",
            "Memory of the process. It climbs while the first windows fill and then stays level, whatever the rate of events.",
            BytesIEC,
            Query(
                "max by (instance) (process_resident_memory_bytes and on (job, instance) driftd_build_info)",
                "{{instance}}",
            ),
            width=6,
        ),
        timeseries(
            "CPU",
            "Share of one core. The pipeline is single-threaded, so a steady 100 % together with growing lag is the limit "
            "of one daemon.",
            PercentUnit,
            Query(
                "max by (instance) (rate(process_cpu_seconds_total[$__rate_interval]) and on (job, instance) driftd_build_info)",
                "{{instance}}",
            ),
            width=6,
        ),
    ]


def _faults() -> list[Any]:
    """What went wrong."""
    return [
        timeseries(
            "Kafka errors",
            "Errors that the Kafka client reported, by name. A few when a broker restarts are normal: the client "
            "reconnects by itself.",
            Short,
            Query(
                or_none("sum by (error) (increase(driftd_kafka_errors_total[$__rate_interval]))", "error"), "{{error}}"
            ),
        ),
        timeseries(
            "Offsets lost",
            "Offsets that were gone from the broker before driftd had read them: retention was shorter than driftd's "
            "absence, or the topic was recreated. These events were never judged.",
            Short,
            Query(or_none("sum by (topic) (increase(driftd_offsets_lost_total[$__range]))", "topic"), "{{topic}}"),
        ),
        timeseries(
            "Checkpoint failures",
            "Checkpoints that could not be written, usually for want of disk space. Positions are committed only after a "
            "checkpoint, so nothing is lost, but a crash replays further back.",
            Short,
            Query("sum by (instance) (increase(driftd_checkpoint_failures_total[$__rate_interval]))", "{{instance}}"),
        ),
    ]

"""The page of one model: which feature moved, by which detector, since when, and what was done about it."""

from typing import Any

import budget
import performance
from grafana_foundation_sdk.builders.dashboard import Dashboard, QueryVariable, Row
from grafana_foundation_sdk.models.units import EventsPerSecond, NoUnit, PercentUnit, Seconds, Short
from panels import (
    BREACH,
    GREEN,
    ORANGE,
    RED,
    YELLOW,
    Column,
    Query,
    history,
    mapping,
    table_of,
    tiles,
    timeline,
    timeseries,
)
from queries import scoped
from words import ALERT_STATES, DRIFT_STATES, INCIDENTS, framed, leading, or_none, ratio, variable, with_all

UID = "driftd-model"
MODEL = '{model="$model", version="$version"}'
FEATURES = '{model="$model", version="$version", feature=~"$feature"}'
SCORES = '{model="$model", version="$version", feature=~"$feature", detector=~"$detector"}'
DIRECTIONS = mapping({-1: ("below", "blue"), 0: ("level", GREEN), 1: ("above", "purple")})


def model_page() -> Dashboard:
    """The dashboard, rows in the order in which on-call asks."""
    page = framed("driftd: model", UID, "One model and version: what drifted, by how much, since when.", MODEL)
    for asked in _variables():
        page.with_variable(asked)
    for title, panels in (
        ("Now", _now()),
        ("The budget: the rule drift", budget.of_model(MODEL, FEATURES)),
        ("Which features, since when", _features()),
        ("Detectors", _detectors()),
        ("Data quality", _quality()),
        ("Requests: latency and errors", _requests()),
        ("By labels: what the model was worth", performance.of_model(MODEL)),
        ("Alerts, webhooks, retraining", _consequences()),
    ):
        page.with_row(Row(title))
        for panel in panels:
            page.with_panel(panel)
    return page


def _variables() -> list[QueryVariable]:
    model = variable("model", "Model", f"label_values({scoped('driftd_reference_info')}, model)")
    versions = scoped('driftd_reference_info{model="$model"}')
    version = variable("version", "Version", f"label_values({versions}, version)")
    detector = variable("detector", "Detector", f"label_values({scoped(f'driftd_drift_score{MODEL}')}, detector)")
    feature = variable("feature", "Feature", f"label_values({scoped(f'driftd_drift_state{MODEL}')}, feature)")
    metric = variable("metric", "Metric", f"label_values({scoped(f'driftd_performance{MODEL}')}, metric)")
    return [model, version, with_all(detector), with_all(feature), with_all(metric)]


def _now() -> list[Any]:
    return [
        tiles(
            "State",
            "The worst state among the features in the last closed window. Grey means too few rows for a verdict.",
            NoUnit,
            Query(f"max(driftd_drift_state{MODEL})"),
            mappings=DRIFT_STATES,
        ),
        tiles(
            "Worst score ÷ threshold",
            "The worst feature and detector of the last window, as a share of its threshold. At 1 the window breaches.",
            Short,
            Query(f"max({ratio(MODEL)})"),
            thresholds=BREACH,
        ),
        tiles(
            "Features over their threshold",
            "How many features breach in the last window. One: look at that feature's producer. Most of them: look at the "
            "population (a new customer segment, a campaign) or at a join that fails upstream.",
            Short,
            Query(f"count(max by (feature) ({ratio(MODEL)}) >= 1) or vector(0)"),
            thresholds=((None, GREEN), (1, RED)),
        ),
        tiles(
            "Share of features in drift",
            "Features in drift, of those that could be judged in the last window; hysteresis included, so it may differ from the "
            "number over their threshold.",
            PercentUnit,
            Query(f"max(driftd_drifted_features_ratio{MODEL})"),
            thresholds=((None, GREEN), (0.001, ORANGE), (0.5, RED)),
        ),
        tiles(
            "Window age",
            "Time since the end of the last closed window. Everything on this page is at least this old.",
            Seconds,
            Query(f"time() - max(driftd_window_end_timestamp_seconds{MODEL})"),
            thresholds=((None, GREEN), (900, YELLOW), (3600, RED)),
        ),
        tiles(
            "Watermark age",
            "Time since the latest event time that is complete over all partitions.",
            Seconds,
            Query('time() - max(driftd_watermark_timestamp_seconds{model="$model"})'),
            thresholds=((None, GREEN), (900, YELLOW), (3600, RED)),
        ),
    ]


def _features() -> list[Any]:
    moved = f"(max by (feature) (driftd_drift_state{FEATURES}) >= 1)"
    return [
        table_of(
            "What drifts now",
            "One row a feature in drift or warned of: how far it is past its threshold, where its mean has gone in standard deviations "
            "of the reference, what share of the rows lacks a value or has one that the reference never had. A page's own words "
            "stand on driftd's status page, which the link above opens.",
            Column(moved, "state", mappings=DRIFT_STATES),
            Column(
                f"max by (feature) ({ratio(FEATURES)}) and on (feature) {moved}", "score ÷ threshold", Short, BREACH
            ),
            Column(
                f"max by (feature) (driftd_feature_shift_sigma{FEATURES}) and on (feature) {moved}", "mean, σ", Short
            ),
            Column(
                f"max by (feature) (driftd_feature_missing_ratio{FEATURES}) and on (feature) {moved}",
                "missing",
                PercentUnit,
            ),
            Column(
                f"max by (feature) (driftd_feature_unseen_ratio{FEATURES}) and on (feature) {moved}",
                "unseen",
                PercentUnit,
            ),
            sort="score ÷ threshold",
        ),
        timeline(
            "Incidents",
            "One lane a kind of incident, of the budget or (service) of the stream: events come late, or leaders of partitions do "
            "not answer. Escalated: it was told again, since it grew or others joined. It ends when all its features have "
            "recovered, or by settling at a new level; service, when the stream is whole again.",
            INCIDENTS,
            Query(f"max by (kind) (driftd_incident_open{MODEL})", "{{kind}}"),
            width=24,
            height=6,
        ),
        history(
            "How near each feature is to its threshold",
            "One lane a feature; the colour is the worst chosen detector's score as a share of its threshold: green below "
            "0.5, red from 1. A red column is everything at once (feed, population); a red lane is one feature; a lane "
            "that warms up slowly is real drift of the kind retraining is for.",
            Short,
            Query(leading(f"max by (feature) ({ratio(SCORES)})", most=40), "{{feature}}"),
        ),
        timeline(
            "State of each feature",
            "What the rules made of the scores, hysteresis included: a feature stays in drift until it has been clear for "
            "long enough. Warning: also a control chart past half its threshold. No verdict: fewer usable values than min_rows.",
            DRIFT_STATES,
            Query(leading(f"max by (feature) (driftd_drift_state{FEATURES})", most=40), "{{feature}}"),
            width=24,
        ),
        timeseries(
            "Score against threshold: $detector",
            "The detector's raw score of each chosen feature, and its threshold dashed in the same unit. ks: a distance from "
            "0 to 1. psi: nats. adwin: a shift of the mean in reference standard deviations. missing, unseen: a change of "
            "the share of rows. volume: doublings or halvings of the expected rows. drift: the highest control chart, 1 fires. The threshold is the "
            "lowest fire_above of the rules that apply to the feature; none is drawn where no rule applies.",
            Short,
            Query(_of_leading("driftd_drift_score"), "{{feature}}"),
            Query(_of_leading("driftd_drift_threshold"), "{{feature}} threshold"),
            dashed=".* threshold$",
            repeat="detector",
        ),
    ]


def _of_leading(metric: str) -> str:
    """A metric of the features whose score came furthest over its threshold."""
    furthest = f"max by (feature, detector) (max_over_time(({ratio(SCORES)})[$__range:$__interval] @ end()))"
    return f"max by (feature, detector) ({metric}{SCORES}) and on (feature, detector) topk(15, {furthest})"


def _of(metric: str, selector: str) -> str:
    """A metric of one detector, of the features that came furthest by it."""
    score = f"max by (feature) (max_over_time(driftd_drift_score{selector}[$__range] @ end()))"
    return f"max by (feature) ({metric}{selector}) and on (feature) topk(15, {score})"


def _detectors() -> list[Any]:
    ks = SCORES.replace('detector=~"$detector"', 'detector="ks"')
    psi = SCORES.replace('detector=~"$detector"', 'detector="psi"')
    return [
        timeseries(
            "KS: distance and how sure it is",
            "The distance is taken at the reference's bin edges, so the true one lies between it and the dashed upper end; "
            "resolution is the heaviest bin and bounds the gap. A wide gap on one feature means that a few values carry "
            "most of its mass.",
            Short,
            Query(_of("driftd_drift_score", ks), "{{feature}}"),
            Query(_of("driftd_drift_score_upper", ks), "{{feature}} upper"),
            Query(_of("driftd_drift_resolution", ks), "{{feature}} resolution"),
            dashed=".* (upper|resolution)$",
        ),
        timeseries(
            "PSI beside what chance alone gives",
            "PSI is above zero even without drift, and the more so the fewer the rows: 'expected' is what no change at all "
            "would show at this sample size, 'debiased' is raw less expected. Raw near expected is noise, however large "
            "it looks beside the folklore limits of 0.1 and 0.25.",
            Short,
            Query(_of("driftd_drift_score", psi), "{{feature}} raw"),
            Query(_of("driftd_drift_expected", psi), "{{feature}} expected"),
            Query(_of("driftd_drift_debiased", psi), "{{feature}} debiased"),
            dashed=".* expected$",
            minimum=None,
        ),
        timeseries(
            "How likely chance alone is (p-values)",
            "How often a window without drift would score this high, for the detectors that can say. Logarithmic: each "
            "line down is ten times rarer. With many rows a tiny, harmless shift has a tiny p-value too, which is why a "
            "threshold also asks for a size.",
            NoUnit,
            Query(
                f"clamp_min(min by (feature, detector) (driftd_drift_pvalue{SCORES}), 1e-12) and on (feature, detector)"
                f" bottomk(15, min by (feature, detector) (min_over_time(driftd_drift_pvalue{SCORES}[$__range] @ end())))",
                "{{feature}} · {{detector}}",
            ),
            logarithmic=True,
        ),
        timeline(
            "Which way the mean went (ADWIN)",
            "Whether the recent mean lies above or below the reference's, for features that ADWIN watches. Level: no change point found.",
            DIRECTIONS,
            Query(f"max by (feature) (sgn(driftd_drift_direction{FEATURES}))", "{{feature}}"),
            width=24,
        ),
    ]


def _quality() -> list[Any]:
    return [
        timeseries(
            "Missing values",
            "Share of rows in which the feature is absent, null, not a finite number or of the wrong type. A step to a new "
            "level is a producer release; 100 % is a renamed field.",
            PercentUnit,
            Query(leading(f"max by (feature) (driftd_feature_missing_ratio{FEATURES})"), "{{feature}}"),
        ),
        timeseries(
            "Unseen values",
            "Share of rows with a category, or a number outside the range, that the reference never had. The model "
            "extrapolates there. New categories are often a changed spelling.",
            PercentUnit,
            Query(leading(f"max by (feature) (driftd_feature_unseen_ratio{FEATURES})"), "{{feature}}"),
        ),
        timeseries(
            "Repeated ids in the window",
            "Share of the rows whose id stands in the same window already, with its standard error dashed. A step up is a producer that "
            "sends twice or a job that was run again. none: the events have no id.",
            PercentUnit,
            Query(or_none(f"max by (model) (driftd_duplicate_share{MODEL})", "model"), "repeated"),
            Query(or_none(f"max by (model) (driftd_duplicate_share_error{MODEL})", "model"), "standard error"),
            dashed="standard error",
        ),
        timeseries(
            "Compared with its recent past: how far that has gone",
            "Features that wander by nature are compared with their own last days in place of the reference. The line is how "
            "far that past lies from the reference, in its standard deviations: a feature that goes on and on is outgrowing its "
            "reference, so fit a new one. none: every feature is compared with the reference.",
            Short,
            Query(
                or_none(leading(f"max by (feature) (driftd_trailing_shift_sigma{FEATURES})"), "feature"), "{{feature}}"
            ),
            minimum=None,
            width=6,
        ),
        timeseries(
            "Compared with its recent past: days held",
            "How much of its recent past each such feature has. It begins with the last days of the reference, and a day joins it "
            "at midnight; what comes while the feature warns is kept apart.",
            Seconds,
            Query(or_none(leading(f"max by (feature) (driftd_trailing_seconds{FEATURES})"), "feature"), "{{feature}}"),
            width=6,
        ),
        timeseries(
            "Rows in the window",
            "Traffic of this model, window by window. Read a score beside it: a dip in rows widens every threshold.",
            Short,
            Query(f"max(driftd_window_rows{MODEL})", "rows"),
            width=6,
        ),
        timeseries(
            "Rows a group, beside the reference's",
            "How many rows the group of a row has in the window, over the reference's usual window. Above 1 rows say less than usual; a "
            "leap is groups that have become one. none: rows have no group, or the reference knows none.",
            Short,
            Query(or_none(f"max by (model) (driftd_group_rows_ratio{MODEL})", "model"), "× the usual"),
            width=6,
        ),
        table_of(
            "Reference",
            "What the model is compared with: the first characters of the reference file's hash and the rows it was fitted "
            "on. A new hash resets this model's windows, detectors and control charts; the first window after that starts from nothing.",
            Column(f"group by (reference, rows) (driftd_reference_info{MODEL})", "in use"),
            hide=("Value",),
            width=24,
        ),
    ]


def _requests() -> list[Any]:
    return [
        timeseries(
            "What requests take, and what is usual",
            "p50, p95 and p99 of the last subgroup of the charts, seconds; dashed: what is usual at these hours, or at the level that was "
            "accepted or has settled. Empty: no topic has fields.latency, or what is usual is still being learnt.",
            Seconds,
            Query(f"max by (q) (driftd_request_latency_quantile_seconds{MODEL})", "q{{q}}"),
            Query(f"max by (q) (driftd_request_latency_usual_seconds{MODEL})", "q{{q}} usual"),
            dashed=".* usual$",
            width=12,
        ),
        timeseries(
            "Requests that fail, and how many are usual",
            "Share of the requests of the last window that failed; dashed: what is usual, or the level that was accepted or has settled.",
            PercentUnit,
            Query(f"max(driftd_request_error_ratio{MODEL})", "failed"),
            Query(f"max(driftd_request_error_usual_ratio{MODEL})", "failed usual"),
            dashed=".* usual$",
            width=12,
        ),
        timeline(
            "Whether that is told",
            "The rules latency and errors. Firing: an incident of the service is open. A lane is missing where nothing says so, or there is no budget.",
            ALERT_STATES,
            Query(
                'max by (rule) (driftd_alert_state{model="$model", version="$version", rule=~"latency|errors"})',
                "{{rule}}",
            ),
            width=20,
            height=4,
        ),
        tiles(
            "What is usual is learnt",
            "How much of the live traffic that is needed was taken, where the reference does not say how requests are served. Empty: it does, or all is learnt.",
            PercentUnit,
            Query(f"max(driftd_service_learning_ratio{MODEL})"),
        ),
    ]


def _consequences() -> list[Any]:
    return [
        timeline(
            "Alert rules",
            "One lane a rule of this model: as bad as its worst feature.",
            ALERT_STATES,
            Query(f"max by (rule) (driftd_alert_state{MODEL})", "{{rule}}"),
            width=24,
        ),
        tiles(
            "Alert transitions in the chosen time",
            "How often each rule entered each state. Firing and inactive by turns, many times a day, is flapping: raise "
            "`for` or widen the deadband.",
            Short,
            Query(
                or_none(
                    f"round(sum by (rule, to) (increase(driftd_alert_transitions_total{MODEL}[$__range])))", "rule"
                ),
                "{{rule}} → {{to}}",
            ),
            width=8,
            height=8,
        ),
        tiles(
            "Retraining requests in the chosen time",
            "requested: a message to the trainer was written. suppressed_cooldown, suppressed_weekly_max: one was due but "
            "held back by the limits under `retraining`; suppressed_data_quality: values or rows are missing, and a model "
            "must not be trained on that.",
            Short,
            Query(
                or_none(
                    'round(sum by (reason, outcome) (increase(driftd_retrain_requests_total{model="$model"}[$__range])))',
                    "outcome",
                ),
                "{{reason}} {{outcome}}",
            ),
            width=8,
            height=8,
        ),
        timeseries(
            "Retraining: in flight, and runs that ended",
            "in flight: 1 while a request has led to no new version and its runs have not ended. Others: runs that ended in "
            "each step, by target and outcome; none where no target can say how its runs stand.",
            Short,
            Query('max(driftd_retrain_in_flight{model="$model"})', "in flight"),
            Query(
                or_none(
                    'sum by (target, outcome) (increase(driftd_retrain_runs_total{model="$model"}[$__rate_interval]))',
                    "target",
                ),
                "{{target}} · {{outcome}}",
            ),
            width=8,
        ),
        timeseries(
            "Webhooks: attempts by outcome",
            "All webhooks, not this model's alone: attempts per second by outcome. If the alert fired and nothing is "
            "delivered here, the receiver is the problem.",
            EventsPerSecond,
            Query(
                or_none(
                    "sum by (webhook, outcome) (rate(driftd_webhook_deliveries_total[$__rate_interval]))", "webhook"
                ),
                "{{webhook}} · {{outcome}}",
            ),
        ),
    ]

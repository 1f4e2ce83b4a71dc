"""What the model's page shows of labels: what the model was worth, with intervals, and how much of the truth is in."""

from typing import Any

from grafana_foundation_sdk.models.units import EventsPerSecond, NoUnit, PercentUnit, Seconds, Short
from panels import BLUE, GREEN, GREY, ORANGE, Column, Query, bars, mapping, tiles, timeseries
from words import or_none

AT_RANDOM = mapping({-1: ("no labels", GREY), 0: ("yes", GREEN), 1: ("no: biased", ORANGE)})
SHARE = ((None, GREY), (0, ORANGE), (0.5, BLUE))


def of_model(model: str) -> list[Any]:
    """One model's performance, realised by labels and estimated without; `model` selects its series."""
    of_metric = model.replace("}", ', metric=~"$metric"}')
    return [
        *_last_window(model),
        *_labels(model),
        *_estimated(model, of_metric),
        _reliability(model),
        _worth(of_metric),
    ]


def _last_window(model: str) -> list[Any]:
    """How far the last window that was judged can be trusted."""
    return [
        tiles(
            "Labels in",
            "Share of the predictions of the last window judged that have a label. What the model was worth is told of those alone.",
            PercentUnit,
            Query(f"max(driftd_label_coverage_ratio{model}) or vector(-1)"),
            thresholds=SHARE,
            width=6,
            mappings=mapping({-1: ("no labels", GREY)}),
        ),
        tiles(
            "Do labels come at random?",
            "Whether labels come as often for one predicted class as for another, as far as chance tells. Where they do not, the metrics are "
            "off by what no interval knows; over_missing in GET /api/v1/models says by how much at most.",
            NoUnit,
            Query(f"max(driftd_label_selection_bias{model}) or vector(-1)"),
            width=6,
            mappings=AT_RANDOM,
        ),
        tiles(
            "Ids that are kept",
            "Share of the ids that were joined in that window. Below 100 % join_memory was too little, and intervals are wider.",
            PercentUnit,
            Query(f"max(driftd_label_sampling_ratio{model}) or vector(-1)"),
            thresholds=((None, GREY), (0, ORANGE), (1, GREEN)),
            width=6,
            mappings=mapping({-1: ("no labels", GREY)}),
        ),
        tiles(
            "Age of what is told",
            "Time since the end of the last window whose performance was judged. Much more than wait and a few windows: labels "
            "are not read, or no prediction comes.",
            Seconds,
            Query(f"time() - max(driftd_performance_window_end_timestamp_seconds{model}) or vector(-1)"),
            width=6,
            mappings=mapping({-1: ("no labels", GREY)}),
        ),
    ]


def _labels(model: str) -> list[Any]:
    """Which labels come, when, and what becomes of them."""
    delays = f"sum by (le) (increase(driftd_label_delay_seconds_bucket{model}[$__range]))"
    return [
        timeseries(
            "Labels in, by predicted class",
            "Share of the predictions of each class, or of each range of a number, that have a label. Lines that part are labels that "
            "do not come at random: chargebacks come, good payments stay silent. none: the model has no labels.",
            PercentUnit,
            Query(or_none(f"max by (class) (driftd_label_class_coverage_ratio{model})", "class"), "{{class}}"),
            limit=1,
        ),
        timeseries(
            "How long labels take",
            "Time from a prediction to its label, of the labels joined in the chosen time: half of them came sooner than the "
            "median. Choose wait by the upper line. none: no label was joined.",
            Seconds,
            Query(or_none(f"histogram_quantile(0.5, {delays})", "class"), "median"),
            Query(or_none(f"histogram_quantile(0.9, {delays})", "class"), "nine of ten"),
            dashed="nine of ten",
        ),
        timeseries(
            "Labels by what became of them",
            "Labels a second: received, and once their predictions are judged joined, corrected or withdrawn; unmatched ones have no prediction of "
            "this version, expired ones came too late, sampled_out ones did not fit into join_memory.",
            EventsPerSecond,
            Query(
                or_none(f"sum by (outcome) (rate(driftd_labels_total{model}[$__rate_interval]))", "outcome"),
                "{{outcome}}",
            ),
        ),
    ]


def _estimated(model: str, of_metric: str) -> list[Any]:
    """What is expected before labels come, beside what they said."""
    return [
        timeseries(
            "Realised less estimated",
            "What labels said of predictions less what was expected of the very same ones, dashed the ends of its 95 % interval. All of it on one "
            "side of 0, window after window, is a hint that the concept drifts: the same inputs mean something else by now. none: "
            "the model has no labels, or its reference has none.",
            Short,
            Query(
                or_none(f"max by (metric, bound) (driftd_performance_difference{of_metric})", "metric"),
                "{{metric}} {{bound}}",
            ),
            width=12,
            dashed=".* (lower|upper)$",
            minimum=None,
        ),
        timeseries(
            "Predictions unlike any labelled row",
            "Share of the predictions of the last window where the reference has no labelled row. Where it is large, estimates without "
            "labels say little. none: the reference has no labels.",
            PercentUnit,
            Query(or_none(f"max by (model) (driftd_estimate_outside_ratio{model})", "model"), "unlike"),
            width=12,
        ),
        timeseries(
            "This version less the champion",
            "A metric of the chosen version less that of the champion, over the windows of both that were judged by labels, dashed the ends of "
            "its interval. All of it on one side of 0: one of them is better beyond chance. Whether both see the same traffic is on the page "
            "/versions of driftd. none: there is one version, this is the champion, or no window of both has labels.",
            Short,
            Query(
                or_none(f"max by (metric, bound) (driftd_version_difference{of_metric})", "metric"),
                "{{metric}} {{bound}}",
            ),
            width=24,
            dashed=".* (lower|upper)$",
            minimum=None,
        ),
    ]


def _reliability(model: str) -> Any:
    """Whether scores are probabilities."""

    def of(what: str) -> str:
        chosen = model.replace("}", f', of="{what}"}}')
        return f"max by (bin) (driftd_reliability_ratio{chosen})"

    return bars(
        "Reliability: mean score and what came true",
        "The labelled predictions of the last window judged, in ten bins of scores: where scores are probabilities, both bars of a bin are "
        "alike. A bin without a labelled score has none; few rows may differ by chance, lower and upper of driftd_reliability_ratio are "
        "the 95 % interval. Of two classes with scores alone.",
        PercentUnit,
        "bin",
        Column(of("predicted"), "mean score"),
        Column(of("observed"), "came true"),
        width=24,
    )


def _worth(of_metric: str) -> Any:
    """A metric with its interval, for each that is chosen."""
    return timeseries(
        "What the model was worth: $metric",
        "The metric of the last window judged, by the labels that had come at the last age; dashed the ends of its 95 % "
        "interval, for rows that do not depend on each other. Realised is from labels, estimated is what it is held to be before they "
        "come. It belongs to predictions made wait (seven days) earlier. none: the model has no labels.",
        Short,
        Query(
            or_none(f"max by (estimate, bound) (driftd_performance{of_metric})", "estimate"),
            "{{estimate}} {{bound}}",
        ),
        dashed=".* (lower|upper)$",
        minimum=None,
        repeat="metric",
    )

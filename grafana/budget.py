"""What both dashboards show of the budget: its control charts against 1, warnings against their expectation, calibrations."""

from typing import Any

from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.models.common import BigValueTextMode
from grafana_foundation_sdk.models.units import NoUnit, Short
from panels import GREEN, GREY, ORANGE, RED, Query, mapping, tiles, timeseries
from words import leading

FITS = mapping({-1: ("not calibrated", GREY), 0: ("yes", GREEN), 1: ("no", RED)})


def of_all(link: DashboardLink) -> list[Any]:
    """All models at a glance; `link` leads to one of them."""
    return [
        timeseries(
            "How near each model is to a page",
            "The highest control chart among the model's features, over its threshold, which follows from "
            "false_alarms_per_month. At 1 the rule drift fires, from a half on it warns.",
            Short,
            Query('max by (model, version) (driftd_drift_score{detector="drift"})', "{{model}} · {{version}}"),
            width=12,
            limit=1,
            link=link,
        ),
        tiles(
            "Models by calibration",
            "What the rule drift judges by. week, day, pooled: what the reference's own windows show; the budget holds. "
            "cold: large effects alone; fit the reference with --timestamp.",
            Short,
            Query("count by (calibration) (driftd_calibration_info)", "{{calibration}}"),
            width=6,
            height=8,
        ),
        tiles(
            "References in doubt",
            "Models whose control charts warn far more often than their calibration allows: the traffic is not like the "
            "reference's. Fit a new reference, and read pages of these models with some doubt until then.",
            Short,
            Query("count(driftd_calibration_suspect == 1) or vector(0)"),
            width=6,
            height=8,
            thresholds=((None, GREEN), (1, ORANGE)),
        ),
    ]


def of_model(model: str, features: str) -> list[Any]:
    """One model's charts, warnings and calibration; `model` and `features` select its series and those of its features."""
    drift = features.replace("{", '{detector="drift", ')
    return [
        timeseries(
            "How near each feature is to a page",
            "The highest control chart of each feature over its threshold, which follows from false_alarms_per_month. At 1 the "
            "feature fires, from a half on it warns. A line that climbs from subgroup to subgroup is a small lasting change; "
            "one that leaps is a large one. A break in a line: too few values to judge; they are carried over to the next "
            "subgroup.",
            Short,
            Query(leading(f"max by (feature) (driftd_drift_score{drift})"), "{{feature}}"),
            limit=1,
        ),
        timeseries(
            "Means against the reference",
            "How far the mean of each number is from the reference's, in standard deviations of the reference. Read it with the "
            "control chart beside it: a large shift is far, a high chart is certain.",
            Short,
            Query(
                f"max by (feature) (driftd_feature_shift_sigma{features}) and on (feature) topk(15, max by (feature)"
                f" (max_over_time(abs(driftd_feature_shift_sigma{features})[$__range:$__interval] @ end())))",
                "{{feature}}",
            ),
            minimum=None,
        ),
        timeseries(
            "Warnings within a day, seen and expected",
            "Control charts that began to warn while nothing fired, and how many chance would bring at most (dashed). Seen above "
            "twice the expectation for long: the traffic is not like the reference's, and the budget does not hold. Both 0: "
            "the model is cold, or has no budget.",
            Short,
            Query(f"sum(increase(driftd_chart_warnings_total{model}[1d])) or vector(0)", "seen"),
            Query(f"sum(increase(driftd_chart_warnings_expected_total{model}[1d])) or vector(0)", "to be expected"),
            dashed="to be expected",
        ),
        tiles(
            "Calibration",
            "What the rule drift judges by. week, day: the reference's own windows, by the hour. pooled: its windows, all hours "
            "alike. cold: large effects alone, for the reference was fitted without timestamps or has too few windows.",
            NoUnit,
            Query(f"max by (calibration) (driftd_calibration_info{model})", "{{calibration}}"),
            width=6,
            text=BigValueTextMode.NAME,
        ),
        tiles(
            "Does the reference fit?",
            "Whether control charts warn far more often than the calibration allows. If so, fit a new reference on the last "
            "weeks; until then read pages of this model with some doubt.",
            NoUnit,
            Query(f"max(driftd_calibration_suspect{model}) or vector(-1)"),
            width=6,
            mappings=FITS,
        ),
    ]

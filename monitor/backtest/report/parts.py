"""What of a backtest's result belongs to one model, and the words its parts are shown with."""

from dataclasses import dataclass
from typing import Self

from monitor.alerting.rules import BUDGET_RULE, SELF_CHECK_RULE
from monitor.backtest.result import AlertEpisode, BacktestResult, ExpectedRule, Injected, Model, Retrain
from monitor.html.markup import Markup, name
from monitor.html.plots import TimeAxis

TOLD_AT_MOST = 100  # alerts of a rule that the report tells of; the JSON has them all


@dataclass(frozen=True, slots=True)
class ModelPart:
    """One model with everything in the result that is about it; `at` is its place in the report, `alerts` with theirs among all alerts."""

    at: int
    model: Model
    axis: TimeAxis
    alerts: tuple[tuple[int, AlertEpisode], ...]
    retrains: tuple[Retrain, ...]
    injected: tuple[Injected, ...]
    explicit: tuple[ExpectedRule, ...]

    @classmethod
    def of(cls, result: BacktestResult, at: int) -> Self:
        """Return what belongs to the model in this place."""
        model = result.models[at]
        retrains = (one for one in (*result.retrains, *result.suppressed) if one.key == model.key)
        return cls(
            at,
            model,
            TimeAxis(min((result.first, *model.ends[:1])), max((result.last, *model.ends[-1:]))),
            tuple((n, one) for n, one in enumerate(result.alerts, start=1) if one.key == model.key),
            tuple(sorted(retrains, key=lambda one: one.at)),
            tuple(one for one in result.injected if one.key == model.key),
            tuple(one for one in result.explicit if one.key == model.key),
        )

    @property
    def cold(self) -> bool:
        """Whether the reference knows nothing of how its own windows vary."""
        return self.model.calibration == "cold"

    @property
    def pages(self) -> list[AlertEpisode]:
        """Episodes that are pages, whatever their rule."""
        return [alert for _, alert in self.alerts if alert.pages]

    @property
    def by_budget(self) -> list[AlertEpisode]:
        """Episodes of the budget's own rule."""
        return [alert for _, alert in self.alerts if alert.by_budget]

    @property
    def by_rule(self) -> dict[str, list[tuple[int, AlertEpisode]]]:
        """The alerts of each rule that fired, the budget's own first, then as they are configured."""
        rules = [
            BUDGET_RULE,
            *(explicit.rule for explicit in self.explicit),
            *(alert.rule for _, alert in self.alerts),
        ]
        alerts_of: dict[str, list[tuple[int, AlertEpisode]]] = {rule: [] for rule in rules}
        for numbered in self.alerts:
            alerts_of[numbered[1].rule].append(numbered)
        return {rule: alerts for rule, alerts in alerts_of.items() if alerts}

    @property
    def shaded(self) -> list[AlertEpisode]:
        """The alerts whose time is shaded in the plots: it is under alarm."""
        return [alert for _, alert in self.alerts if alert.rule != SELF_CHECK_RULE]

    @property
    def false_pages(self) -> int | None:
        """Alerts of the budget outside every planted change; None where nothing was planted, for then nobody knows."""
        return sum(self.planted(alert) is None for alert in self.by_budget) if self.injected else None

    def planted(self, alert: AlertEpisode) -> Injected | None:
        """Return the planted change that an alert, from its first breach to its firing, fell into."""
        reach = self.model.window_ns
        within = (
            change
            for change in self.injected
            if change.at < alert.fired_at and (change.until is None or alert.since <= change.until + reach)
        )
        return next(within, None)


def title(model: Model) -> Markup:
    """Return a model's name and version; the version that stands for all others is left out."""
    key = model.key
    return name(key.model if key.version == "*" else str(key))

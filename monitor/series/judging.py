"""What a series is judged by, as configured."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from detectors import Reference
from detectors.charts import BudgetSpec, adwin_delta
from detectors.univariate import adwin, volume
from monitor.alerting.budget import BY_CHARTS, BY_CONTRACT, BY_EFFECT, BY_SCHEMA, BY_SELF_CHECK, BY_STREAM
from monitor.alerting.rules import BUDGET_RULE, AlertRule, Thresholds
from monitor.series.contract import ContractSpec
from monitor.series.estimating import EstimateSpec
from monitor.series.service import RULES, rules_of
from monitor.stream.events import SECOND, Nanos

VOLUME = "volume"  # the detector that judges the number of rows


@dataclass(frozen=True, slots=True)
class FeatureChoice:
    """What the configuration says of one feature: which detectors (None: all), and thresholds of its own."""

    detectors: frozenset[str] | None = None
    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judging:
    """What a series is judged by. `min_rows` counts usable values of a feature."""

    reference: Reference
    window_length: Nanos
    rules: tuple[AlertRule, ...] = ()
    min_rows: int = 1
    choices: Mapping[str, FeatureChoice] = field(default_factory=dict)
    plan: BudgetSpec | None = None  # None: no budget, explicit rules alone
    learn_for: Nanos = 0  # of live traffic, after which a cold reference calibrates itself; 0: it does not
    estimate: EstimateSpec | None = None  # None: the reference has no labels
    contract: ContractSpec | None = None  # that events are held against
    service_plan: BudgetSpec | None = None  # of how requests are served; None: nothing says so, or it cannot be judged
    served: tuple[str, ...] = ()  # what events can say of it: __latency__, __error__
    model_budget: float | None = None  # false alarms a month of all versions; None: the plan is of the only one
    unjudged: frozenset[str] = frozenset()  # features that are counted, and of which nothing is told
    first_rows: int = 0  # of a new version, that its predictions are learnt from; 0: they are not

    @property
    def calibration(self) -> str:
        """How the reference is calibrated: week, day, pooled, or cold."""
        calibration = self.reference.calibration
        return "cold" if calibration is None else calibration.kind

    @property
    def usual_rows(self) -> float | None:
        """Rows of a usual window: by the calibration, else by the reference's arrival rate; None where it knows neither."""
        calibration, rate = self.reference.calibration, self.reference.rows_per_second
        if calibration is not None:
            return calibration.rows * self.window_length / calibration.window_ns
        return None if rate is None else rate * self.window_length / SECOND

    @property
    def budget(self) -> float | None:
        """False alarms a month of the model, all of its versions; None where there is no budget."""
        return None if self.plan is None else self.model_budget or self.plan.per_month

    @property
    def adwin_delta(self) -> float:
        """How sure ADWIN has to be of a change: with a budget, so that unchanged data is cut as often as it has pages."""
        if self.plan is None:
            return adwin.DELTA
        numbers, pane = len(self.reference.layout.numeric), self.plan.pane_ns or self.window_length
        return adwin_delta(self.model_budget or self.plan.per_month, numbers, pane)  # another version changes nothing

    @property
    def budget_rules(self) -> tuple[AlertRule, ...]:
        """The budget's own rules; none without a budget."""
        if self.plan is None:
            return ()
        besides = self.contract_rules + self.service_rules
        by_charts = (BY_CHARTS, BY_SELF_CHECK, *besides)
        if self.reference.calibration is not None:
            return by_charts
        return (BY_EFFECT, *by_charts) if self.learns else (BY_EFFECT, *besides)

    @property
    def service_rules(self) -> tuple[AlertRule, ...]:
        """The rules of how requests are served, where there is a budget and the reference says so, or live traffic is to."""
        return tuple(RULES[name] for name in self.service_names)

    @property
    def service_names(self) -> tuple[str, ...]:
        """What of it is judged, or will be once it is learnt."""
        service, told = self.reference.service, rules_of(self.reference.service)
        if self.learns_service:
            return self.served
        return () if self.service_plan is None or service is None or not told else service.profile.names

    @property
    def learns_service(self) -> bool:
        """Whether live traffic is to say how requests are served, since the reference does not, or not in a way that charts can use."""
        told = rules_of(self.reference.service)
        return self.service_plan is not None and not told and bool(self.served) and self.learn_for > 0

    @property
    def contract_rules(self) -> tuple[AlertRule, ...]:
        """The rule of a data contract, where there is one and a budget."""
        return () if self.contract is None or self.plan is None else (BY_CONTRACT,)

    @property
    def schema_rules(self) -> tuple[AlertRule, ...]:
        """The rule of a contract's schema, with a budget or without."""
        return () if self.contract is None else (BY_SCHEMA,)

    @property
    def learns(self) -> bool:
        """Whether a cold reference is to calibrate itself: its budget's rules are those of effects first, then those of charts."""
        return self.plan is not None and self.reference.calibration is None and self.learn_for > 0

    @property
    def first_rules(self) -> tuple[AlertRule, ...]:
        """All rules as long as nothing is learnt: then the budget's are those of effect sizes."""
        first = *self.rules, BY_EFFECT, *self.contract_rules, *self.schema_rules, *self.service_rules, *BY_STREAM
        return first if self.learns else self.all_rules

    @property
    def all_rules(self) -> tuple[AlertRule, ...]:
        """The explicit rules, then the budget's own, then those of schema and stream."""
        return (*self.rules, *self.budget_rules, *self.schema_rules, *BY_STREAM)

    def wants(self, feature: str, detector: str) -> bool:
        """Whether a detector is asked for on a feature; the budget's own charts watch every feature that is not ignored."""
        if feature in self.unjudged:
            return False
        choice = self.choices.get(feature)
        return detector == BUDGET_RULE or choice is None or choice.detectors is None or detector in choice.detectors

    def rules_for(self, rule: AlertRule) -> dict[str, AlertRule]:
        """The rule as it applies to each feature it matches."""
        names = (volume.FEATURE,) if rule.detector == VOLUME else tuple(self.reference.layout.names)
        return {
            name: rule.adjusted(self.choices.get(name, FeatureChoice()).thresholds.get(rule.detector))
            for name in names
            if rule.applies_to(name) and self.wants(name, rule.detector)
        }

"""The view of features: which scorers and operators a series has, by what it is configured to be judged by."""

from collections.abc import Collection, Sequence
from functools import partial

import numpy as np

from detectors import PluginError, Reference, ScoreColumns, Sketch, Tally, WindowDetector, window_detectors
from detectors.calibration import calibrate
from detectors.charts import duplicates
from detectors.plugins import columns_of, is_own
from detectors.protocols import ManyScorer, Scorer, prepared
from detectors.sketches import TallyStack
from monitor.alerting.budget import BY_EFFECT
from monitor.alerting.episodes import RuleState
from monitor.series.adwin import AdwinOperator
from monitor.series.alerts import Teller
from monitor.series.charts import ChartBudget
from monitor.series.contract import ID
from monitor.series.effects import EffectBudget
from monitor.series.estimating import Estimating
from monitor.series.first_rows import FirstRows
from monitor.series.frozen import Frozen
from monitor.series.history import History, VolumeScorer
from monitor.series.holding import ContractHeld
from monitor.series.incident import IncidentAlert
from monitor.series.judging import Judging
from monitor.series.lateness import LateEvents
from monitor.series.learning import LEARNT, Learning, Lesson
from monitor.series.nodata import NoData
from monitor.series.operators import NOWHERE, Both, Elsewhere, Later, Operator, Unjudged
from monitor.series.reachability import Reachability
from monitor.series.rules import Rules
from monitor.series.schema import SchemaWatch
from monitor.series.scoring import FeatureScoring
from monitor.series.service import ServiceBudget
from monitor.series.service_learning import ServiceLearner, ServiceLesson
from monitor.series.unique import UniqueIds
from monitor.series.view import ViewSpec
from monitor.stream.events import FEATURES, SeriesKey
from monitor.stream.sketches import LayoutSketches
from monitor.stream.windows import WindowSpec


def feature_view(windows: WindowSpec, judging: Judging) -> ViewSpec[Sketch]:
    """The specification of a series' view of features."""
    return ViewSpec(
        name=FEATURES,
        windows=windows,
        sketches=LayoutSketches(judging.reference.layout),
        fingerprint=f"{judging.reference.hash}:{windows.length}:{windows.slide}",
        build=lambda key: build(key, windows, judging),
        rules=judging.all_rules,
        rules_after=lambda kinds: judging.all_rules if not judging.learns or LEARNT in kinds else judging.first_rules,
    )


def build(key: SeriesKey, windows: WindowSpec, judging: Judging) -> tuple[FeatureScoring, Sequence[Operator[Sketch]]]:
    """The scoring of a series, and its operators in the order in which they are asked. What is not configured is not there."""
    reference, history = judging.reference, History(judging.window_length)
    bank = AdwinOperator(key, reference, judging.adwin_delta, judging.min_rows)
    frozen = Frozen(key, reference, judging.window_length, judging.min_rows)
    schema = SchemaWatch(key, judging) if judging.schema_rules else None
    contract = ContractHeld(key, judging, schema or NOWHERE) if judging.contract_rules else None
    if schema is not None and contract is not None:
        schema.told_already = contract.told
    budgets = _budgets(key, judging, frozen, contract, schema)
    scorers = [
        *(DetectorScorer(detector, reference, judging.min_rows) for detector in window_detectors().values()),
        bank,
        VolumeScorer(history, reference.rows_per_second, judging.window_length),
        *budgets,
    ]
    rules = [Rules(_alerts(key, judging), reference, judging.min_rows)] if judging.rules else []
    first = [FirstRows(key, reference, judging.first_rows)] if judging.first_rows else []
    estimating = [] if judging.estimate is None else [Estimating(key, judging.estimate)]
    stream = (
        LateEvents(key, reference.hash, judging.window_length),
        Reachability(key, reference.hash),
        NoData(key, windows, judging),
    )
    ids = UniqueIds(key, judging.window_length) if asks_unique(judging) else None
    if ids is not None and contract is not None:
        contract.repeats = lambda: ids.sure
    held = [*(each for each in (schema, ids, contract) if each is not None), *_service(key, judging)]
    return FeatureScoring(key, judging, scorers, history), [
        bank,
        *rules,
        frozen,
        *held,
        *budgets,
        *stream,
        *estimating,
        *first,
    ]


def _service(key: SeriesKey, judging: Judging) -> Sequence[ServiceBudget | ServiceLearner]:
    reference, plan = judging.reference, judging.service_plan
    if plan is None or not judging.service_names:
        return []
    if judging.learns_service:
        learn = partial(calibrate, holidays=plan.calendar(None))
        lesson = ServiceLesson(judging.served, judging.learn_for, judging.window_length, plan, learn)
        return [ServiceLearner(key, reference, lesson)]
    assert reference.service is not None
    return [ServiceBudget(key, reference.hash, reference.service, plan)]


def asks_unique(judging: Judging) -> bool:
    """Whether ids are to come once."""
    rules = None if judging.contract is None else judging.contract.contract.columns.get(ID)
    return rules is not None and rules.unique


def apart(charts: ChartBudget, contract: ContractHeld | None, schema: SchemaWatch | None) -> ChartBudget:
    """The incident of bad data beside those of a contract: of a column that one of them tells of the others are silent."""
    if contract is not None:
        contract.told_already = lambda: alike(charts.quality_told())
        charts.told_already = lambda: alike(contract.told())
    if schema is not None:
        schema.told_already = lambda: {*charts.quality_told(), *(() if contract is None else contract.told())}
    return charts


def alike(told: Collection[str]) -> set[str]:
    """These columns, and that ids repeat by both its names."""
    ids = {ID, duplicates.FEATURE}
    return {*told, *(ids if not ids.isdisjoint(told) else ())}


def _budgets(
    key: SeriesKey, judging: Judging, frozen: Frozen, contract: ContractHeld | None, schema: SchemaWatch | None
) -> Sequence[ChartBudget | EffectBudget | Learning]:
    reference, plan = judging.reference, judging.plan
    if plan is None:
        return []
    elsewhere: Elsewhere = frozen if schema is None else Both(frozen, schema)
    elsewhere = Both(elsewhere, Unjudged(judging.unjudged)) if judging.unjudged else elsewhere

    def charts(of: Reference, calibration: str) -> ChartBudget:
        frozen.learnt(of)
        return apart(ChartBudget(key, of, plan, calibration, elsewhere), contract, schema)

    if reference.calibration is not None:
        return [charts(reference, judging.calibration)]
    teller = Teller(key, BY_EFFECT, reference.hash, judging.window_length, judging.calibration)
    rules = judging.rules_for(BY_EFFECT)
    calendar = plan.calendar(None)
    effects = EffectBudget(reference, IncidentAlert(teller, rules, rules), judging.min_rows, calendar, elsewhere)
    learn = partial(calibrate, holidays=calendar)
    lesson = Lesson(judging.learn_for, judging.window_length, charts, learn, plan.settle_ns)
    return [Learning(key, reference, effects, lesson) if judging.learns else effects]


def _alerts(key: SeriesKey, judging: Judging) -> list[tuple[Teller, RuleState]]:
    return [
        (
            Teller(key, rule, judging.reference.hash, judging.window_length, kind=rule.kind),
            RuleState(judging.rules_for(rule)),
        )
        for rule in judging.rules
    ]


class DetectorScorer:
    """One of the detectors that judge a window by its counts alone."""

    reads = frozenset[str]()

    def __init__(self, detector: WindowDetector, reference: Reference, min_rows: int) -> None:
        self.detector = detector
        self.gives = detector.name
        self._reference = reference
        self._min_rows = min_rows
        self._late = self._of if is_own(detector) else None
        self._scorer: Scorer | None = None  # of a detector of ours, once it was asked
        self._ahead: dict[Tally, ScoreColumns] = {}  # of windows that are still to be asked for
        self._names: tuple[str, ...] = ()  # that it scored last
        self.fallible = not is_own(detector)
        self.failed: str | None = None  # why it did not score the last window

    def columns(self, window: Tally, scored: object) -> ScoreColumns:
        """Score a window."""
        del scored
        foreseen = self._ahead.pop(window, None)
        if foreseen is not None:
            return foreseen
        if self._scorer is not None:
            return self._scorer(window, self._min_rows)
        if is_own(self.detector):
            self._scorer = prepared(self.detector, self._reference)
        try:
            columns, self.failed = columns_of(self.detector, self._reference, window, self._min_rows), None
        except (
            PluginError
        ) as error:  # a stranger's: what it says of this window is not known, and nothing else waits for it
            self.failed, many = str(error), len(self._names)
            nothing = np.zeros(many)
            return ScoreColumns(
                self.gives, self._names, np.zeros(many, dtype=bool), np.zeros(many, dtype=np.int64), nothing
            )
        self._names = columns.names
        return columns

    def foresee(self, windows: TallyStack) -> None:
        """Score windows at once, where the detector does. One of another package takes each when it is judged."""
        self._ahead.clear()
        if not is_own(self.detector):
            return
        if self._scorer is None:
            self._scorer = prepared(self.detector, self._reference)
        if isinstance(self._scorer, ManyScorer):
            self._ahead = dict(zip(windows.each, self._scorer.many(windows, self._min_rows), strict=True))

    def later(self, window: Tally) -> Later | None:
        """Counts are all it needs. One of another package scores at once, for what fails in there is told where the window is."""
        del window
        return self._late

    def _of(self, window: Tally) -> ScoreColumns:
        return self.columns(window, ())

"""Puts words to alerts: a function of facts, and of a few values as they came."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from detectors import Reference
from detectors.charts import IncidentKind, duplicates
from detectors.contract import ColumnType
from detectors.features import Ints
from detectors.sketches.violations import Rule
from detectors.univariate import volume
from monitor.alerting.budget import EVERY_FEATURE
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import CONTRACT_RULE, FROZEN_RULE, NO_DATA_RULE, REACHABILITY_RULE, SCHEMA_RULE
from monitor.explain.performance import explain_metric
from monitor.explain.samples import Samples
from monitor.explain.stream import (
    WORDS_OF_SERVICE,
    explain_frozen,
    explain_late,
    explain_pause,
    explain_silence,
    late_cause,
)
from monitor.explain.words import (
    OF_STREAM,
    explain,
    explain_broken,
    explain_days,
    explain_duplicates,
    explain_rows,
    explain_schema,
    explain_warnings,
)
from monitor.facts import (
    AlertChanged,
    AlertEscalated,
    AlertSeen,
    CalibrationLearnt,
    ContractBroken,
    Fact,
    RetrainDecided,
)
from monitor.stream.events import FEATURES, EventBatch, Nanos, Partition, SeriesKey

WARNINGS = 2  # numbers that tell of warnings: seen, due
NAMED = 2  # values that break a rule
TYPES = tuple(ColumnType)
WORDED_ANEW = 8  # firing features, up to which their words follow every subgroup: they take a millisecond a feature
Alert = TypeVar("Alert", AlertSeen, AlertChanged)
Subject = tuple[str, IncidentKind]  # of an alert: its rule, and what it is about
Behind = Callable[[], Mapping[Partition, Nanos]]  # how far each partition trails event time; empty where nobody knows
Worded = dict[
    tuple[SeriesKey, Subject, int], tuple[Evidence, ...]
]  # by series, subject and the identity of what has no words


class Explainer:
    """Sees the events of all series, and words their alerts. Nothing is decided by what it says."""

    def __init__(self, references: Mapping[SeriesKey, Reference], behind: Behind = dict) -> None:
        self._narrators = {key: Narrator(reference, behind) for key, reference in references.items()}

    def go_on_from(self, before: "Explainer") -> None:
        """Take the values that another has seen, of the series that have the same reference."""
        for key, narrator in self._narrators.items():
            known = before._narrators.get(key)  # noqa: SLF001 - of the same class
            if known is not None and known.reference == narrator.reference:
                narrator.samples, narrator.broken = known.samples, known.broken

    def see(self, batches: Iterable[EventBatch]) -> None:
        """Keep a few values of each batch of features."""
        for batch in batches:
            if batch.view == FEATURES:
                self._narrators[batch.key].samples.see(batch)

    def explain(self, facts: Iterable[Fact]) -> list[Fact]:
        """The same facts; evidence has words instead of counts."""
        worded: Worded = {}
        held = list(facts)  # for identities to last
        return [self._explained(fact, worded) for fact in held]

    def hear(self, facts: Iterable[Fact]) -> None:
        """Keep a few of the values that break contracts."""
        for fact in facts:
            if isinstance(fact, ContractBroken):
                broken = self._narrators[fact.key].broken
                for sample in fact.samples:
                    broken[sample.rule] = (*broken.get(sample.rule, ()), sample.words)[-NAMED:]

    def _explained(self, fact: Fact, worded: Worded) -> Fact:
        match fact:
            case AlertSeen():
                return self._with_words(fact, worded)
            case AlertChanged():
                return self._with_words(fact, worded)
            case RetrainDecided(alert=AlertChanged()):
                assert fact.alert is not None
                return replace(fact, alert=self._with_words(fact.alert, worded))
            case CalibrationLearnt(key=key) if key in self._narrators:
                self._narrators[key].learn(fact.reference)
                return fact
            case AlertEscalated():
                alert = self._with_words(fact.alert, worded)
                named = {each.feature: each for each in alert.evidence}
                return replace(fact, alert=alert, new=tuple(named.get(each.feature, each) for each in fact.new))
            case _:
                return fact

    def _with_words(self, fact: Alert, worded: Worded) -> Alert:
        """The alert with words, made once for the facts that share its evidence."""
        subject = fact.rule, fact.kind
        narrator = self._narrators.get(fact.key)  # a series that is no longer configured has none
        if narrator is None:
            return fact
        ended = isinstance(fact, AlertChanged) and fact.closed  # maybe long ago, where it is told at a start
        place = fact.key, subject, id(fact.evidence)
        if place not in worded:
            worded[place] = narrator.words(subject, fact.evidence, keep=not ended)
        evidence, members = worded[place], fact.about.members
        if members:
            members = narrator.members(subject, members, evidence, keep=not ended)
        return replace(fact, evidence=evidence, about=replace(fact.about, members=members))


class Narrator:
    """Words the alerts of one series."""

    def __init__(self, reference: Reference, behind: Behind = dict) -> None:
        self.reference = reference.hash
        self.samples = Samples(reference.layout)
        self.broken: dict[Rule, tuple[str, ...]] = {}  # the last values that break a contract
        self._behind = behind
        self.learn(reference)

    def learn(self, reference: Reference) -> None:
        """Compare with this reference from now on."""
        self._features = dict(reference.features)
        self._follows = reference.calibration is None  # the effects of a cold reference are worded window by window
        self._known: dict[Subject, Mapping[str, str]] = {}  # the words of each feature that were said last
        self._was: dict[Subject, Mapping[str, str]] = {}  # the same of all members of an incident

    def words(self, subject: Subject, evidence: tuple[Evidence, ...], *, keep: bool = True) -> tuple[Evidence, ...]:
        """Evidence of an alert with words, which are made anew unless many features fire; `keep` them for the next time."""
        anew = self._follows or len(evidence) <= WORDED_ANEW
        known = {} if anew else self._known.get(subject, {})
        worded = tuple(self._worded(each, known.get(each.feature, "")) for each in evidence)
        if keep:
            self._known[subject] = {
                each.feature: each.words for each in worded if each.words and each.feature in self._features
            }
        return worded

    def members(
        self, subject: Subject, members: tuple[Evidence, ...], firing: tuple[Evidence, ...], *, keep: bool = True
    ) -> tuple[Evidence, ...]:
        """All that was ever part of an incident, with the words that were said of it last."""
        now, known = {each.feature: each for each in firing}, self._was.get(subject, {})
        worded = tuple(now.get(each.feature) or self._worded(each, known.get(each.feature, "")) for each in members)
        if keep:
            self._was[subject] = {each.feature: each.words for each in worded if each.words}
        return worded

    def _worded(self, evidence: Evidence, known: str) -> Evidence:
        words = evidence.words or ("" if evidence.measured else known) or self._made(evidence)
        return replace(evidence, words=words, counts=b"") if words or evidence.counts else evidence

    def _made(self, evidence: Evidence) -> str:
        if evidence.detector == SCHEMA_RULE:
            agreed = [TYPES[number] for number in np.frombuffer(evidence.counts, dtype="<i8").tolist()]
            samples = self.broken.get((evidence.feature, "type"), ())
            return explain_schema(evidence.chart, evidence.first, "".join(agreed), samples)
        if evidence.measured is not None:
            return explain_metric(evidence.measured)
        counts = np.frombuffer(evidence.counts, dtype="<i8")
        return self._of_counts(evidence, counts) if counts.size else ""

    def _of_counts(self, evidence: Evidence, counts: Ints) -> str:
        if evidence.detector == CONTRACT_RULE:
            return self._of_contract(evidence, *counts.tolist())
        if evidence.detector in OF_STREAM:
            return self._of_stream(evidence, *counts.tolist())
        if evidence.feature == volume.FEATURE:
            return explain_rows(*counts.tolist())
        if evidence.feature == duplicates.FEATURE:
            return explain_duplicates(*counts.tolist())
        if evidence.feature == EVERY_FEATURE:
            numbers = counts.tolist()
            return explain_warnings(*numbers) if len(numbers) == WARNINGS else explain_days(*numbers)
        feature = self._features[evidence.feature]
        return explain(feature, feature.counts, counts, evidence.chart, self.samples)

    def _of_contract(self, evidence: Evidence, count: int, rows: int, allowed: int) -> str:
        """What breaks a rule of a data contract, with a few of its values."""
        samples = self.broken.get((evidence.feature, evidence.chart), ())
        return explain_broken(evidence.chart, count, rows, allowed, samples)

    def _of_freeze(self, evidence: Evidence, value: float, rows: int) -> str:
        """At which value a feature stands still; one that is no longer there says nothing."""
        feature = self._features.get(evidence.feature)
        return "" if feature is None else explain_frozen(feature, value, rows)

    def _of_stream(self, evidence: Evidence, *counts: int) -> str:
        """What is wrong with a topic, a partition, or a feature that stands still."""
        if evidence.detector == FROZEN_RULE:
            return self._of_freeze(evidence, float(np.frombuffer(evidence.counts, "<f8")[0]), counts[1])
        if evidence.detector == NO_DATA_RULE:
            return explain_pause(*counts)
        if evidence.detector in WORDS_OF_SERVICE:
            return WORDS_OF_SERVICE[evidence.detector](*counts)
        if evidence.detector == REACHABILITY_RULE:
            return explain_silence(*counts)
        behind, (late, events) = self._behind(), counts
        return explain_late(late, events, late_cause(evidence.feature, behind) if behind else "")

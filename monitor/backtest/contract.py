"""What of recorded events breaks a model's data contract, of a backtest: gathered, for machines, and in a line for people."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from detectors.sketches.violations import Rule, Violations
from monitor.backtest.result import BrokenRule, ContractOutcome, Model, SchemaSpan
from monitor.explain.figures import share
from monitor.explain.words import CHANGES, begun_at
from monitor.facts import ContractBroken, SchemaChanged
from monitor.series.contract import BEFORE, ContractSpec, broken_in
from monitor.stream.events import EventBatch
from monitor.targets.payloads import offset_item, rfc3339

SAMPLES = 3  # of a rule
IN_A_LINE = 3  # rules
DIGITS = 6


@dataclass(slots=True)
class ContractFindings:
    """What events of one series broke, and how their schema changed."""

    rows: int = 0
    excluded: int = 0
    counts: Counter[Rule] = field(default_factory=Counter)
    samples: dict[Rule, tuple[str, ...]] = field(default_factory=dict)
    spans: list[SchemaSpan] = field(default_factory=list)

    def count(self, batch: EventBatch) -> None:
        """Take some events."""
        self.rows += len(batch)
        if batch.violations is not None:
            self.counts.update(batch.violations.counts)
            self.excluded += batch.violations.exclusions

    def hear(self, fact: ContractBroken | SchemaChanged) -> None:
        """Keep the first values that broke a rule, in words, and what became of columns."""
        if isinstance(fact, SchemaChanged):
            self._change(fact)
            return
        self.counts.update({rule: count for rule, count in fact.counts.items() if rule[1] in BEFORE})
        for sample in fact.samples:
            kept = self.samples.get(sample.rule, ())
            if len(kept) < SAMPLES and sample.words not in kept:
                self.samples[sample.rule] = (*kept, sample.words)

    def _change(self, fact: SchemaChanged) -> None:
        """A column is otherwise than agreed, elsewhere too, or as agreed again."""
        before = next((each for each in self.spans if each.field == fact.field and each.ended_at is None), None)
        if before is not None:
            self.spans.remove(before)
        if not fact.ended:
            same = before is not None and before.change == fact.change
            at = before.at if before is not None and same else fact.at
            self.spans.append(SchemaSpan(fact.field, fact.change, at, fact.first))
        if before is not None and (fact.ended or before.change != fact.change):
            self.spans.append(SchemaSpan(before.field, before.change, before.at, before.first, fact.at))

    def found(self, contract: ContractSpec | None) -> ContractOutcome | None:
        """As a value; None where the model has no contract."""
        if contract is None:
            return None
        broken = broken_in(contract, Violations(self.counts), self.rows)
        rules = [
            BrokenRule(column, rule, count, self.samples.get((column, rule), ())) for column, rule, count in broken
        ]
        return ContractOutcome(
            contract.contract.version,
            self.rows,
            self.excluded if contract.exclude else None,
            tuple(sorted(rules, key=lambda each: (-each.count, each.field, each.rule))),
            tuple(sorted(self.spans, key=lambda each: (each.at, each.field))),
        )


def item(model: Model) -> dict[str, Any] | None:
    """What broke the contract of a model, for machines; None: it has none."""
    held = model.contract
    if held is None:
        return None
    return {
        "version": held.version,
        "rows": held.rows,
        "excluded": held.excluded,
        "violations": [
            {
                "field": each.field,
                "rule": each.rule,
                "count": each.count,
                "share": round(each.count / max(held.rows, 1), DIGITS),
                "samples": list(each.samples),
            }
            for each in held.violations
        ],
        "schema": [_span(each) for each in held.schema],
    }


def _span(span: SchemaSpan) -> Mapping[str, Any]:
    return {
        "field": span.field,
        "change": span.change,
        "at": rfc3339(span.at),
        "ended_at": None if span.ended_at is None else rfc3339(span.ended_at),
        "first": [offset_item(each) for each in span.first],
    }


def lines(model: Model) -> Iterator[str]:
    """The same in a line or two."""
    held = model.contract
    if held is None:
        return
    rules = [f"{each.field}: {broken_words(each, held.rows)}" for each in held.violations[:IN_A_LINE]]
    left = len(held.violations) - IN_A_LINE
    more = f" and {left} more rule{'s' * (left > 1)}" if left > 0 else ""
    out = f"; {held.excluded:,} events are left out of drift" if held.excluded else ""
    said = f"broken: {', '.join(rules)}{more}" if rules else "kept"
    yield f"  data contract {held.version}: {said}{out}"
    for each in held.schema:
        yield f"  {rfc3339(each.at)} schema: {span_words(each)}"


def broken_words(each: BrokenRule, rows: int) -> str:
    """A rule that was broken, and by how many rows."""
    such = f", such as {each.samples[0]}" if each.samples else ""
    return f"{each.rule} {each.count:,} times, {share(each.count / max(rows, 1))}{such}"


def span_words(span: SchemaSpan) -> str:
    """A column that was otherwise than agreed, since when and until when."""
    since = f" since {begun_at(span.first[0])}" if span.first else ""
    until = "" if span.ended_at is None else f", as agreed again {rfc3339(span.ended_at)}"
    return f"{span.field} {CHANGES[span.change]}{since}{until}"

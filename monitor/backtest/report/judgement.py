"""How to read it: expected and seen false alarms, the self-check, planted changes, retraining."""

import math

from detectors.charts.budget import MONTH_NS
from monitor.alerting.retraining import RetrainOutcome
from monitor.alerting.rules import BUDGET_RULE
from monitor.backtest.report.parts import ModelPart
from monitor.backtest.result import BacktestResult, ExpectedRule, Injected, PolicyOutcome, Retrain
from monitor.html.figures import NONE, clock, count, moment, number, plural, share, spell, times
from monitor.html.markup import Inside, Markup, name, table, tag, text

SUSPECT = 3.0  # × as many warnings as expected
NOT_KNOWN = "not known"
FEW = 10  # warnings: below it a ratio says nothing


def false_alarms(part: ModelPart) -> Markup:
    """Return expected and seen alarms, first in words, then by rule."""
    words = [budget_words(part), seen_words(part), cold_words(part)]
    why = "the budget × the time"
    if part.model.expected_false_alarms is None:
        why = "no budget can be kept" if part.model.learnt is None else "no budget could be kept at first"
    budget_row: list[Inside] = [name(BUDGET_RULE), expected(part), str(len(part.by_budget)), why]
    every = [] if part.model.budget is None else [budget_row]
    every += [rule_row(part, rule) for rule in part.explicit]
    caption = f"Alerts of {part.model.key} by rule, expected without any change and seen"
    rules = table(caption, ("Rule", "#Expected false", "#Seen", "Why so many"), every) if every else None
    return Markup(tag("p", " ".join(word for word in words if word)) + (rules or ""))


def expected(part: ModelPart) -> str:
    """Return how many pages the budget allows; words where it cannot be kept."""
    known = part.model.expected_false_alarms
    return NOT_KNOWN if known is None else number(known)


def budget_words(part: ModelPart) -> str:
    """Return what the budget allows."""
    model = part.model
    if model.budget is None:
        return "The budget is off: only explicit rules speak."
    if model.expected_false_alarms is None:
        seen = f"Seen of the rule {BUDGET_RULE}: {plural(len(part.by_budget), 'alert')}. How many false ones to expect is not known"
        if model.learnt is None:
            return f"{seen}."
        return f"{seen} until {clock(model.learnt.at)}; after that the budget allows {number(model.expected_since_learnt)}."
    return (
        f"The budget is {number(model.budget)} false {'page' if model.budget == 1 else 'pages'} a month; "
        f"over these {spell(round(model.months * MONTH_NS))} that is {number(model.budget * model.months)}. "
        f"Seen of the rule {BUDGET_RULE}: {plural(len(part.by_budget), 'alert')}."
    )


def seen_words(part: ModelPart) -> str:
    """Return how many of the budget's alerts were false, as far as anybody can know."""
    allowed = part.model.expected_false_alarms
    if part.model.budget is None or allowed is None or not part.by_budget:
        return ""
    if part.false_pages is not None:
        return f"{part.false_pages} of {len(part.by_budget)} lay outside every planted change."
    chance = chance_of(len(part.by_budget), allowed)
    likely = f"in {share(chance)} of such times" if chance >= 0.001 else "in fewer than one of a thousand such times"  # noqa: PLR2004  what people can picture
    return f"Which of them were false, a recording cannot say. Without any change as many or more come {likely}."


def chance_of(seen: int, expected: float) -> float:
    """Return how likely `seen` or more are, where so many are expected and they come by chance (Poisson)."""
    if seen == 0:
        return 1.0
    if expected <= 0:
        return 0.0
    terms = (math.exp(k * math.log(expected) - expected - math.lgamma(k + 1)) for k in range(seen))
    return max(0.0, 1.0 - math.fsum(terms))


def cold_words(part: ModelPart) -> str:
    """Return what a cold reference means for the promise."""
    if not part.cold or part.model.budget is None:
        return ""
    return "The reference is cold: only large effects page, and the budget is no promise."


def rule_row(part: ModelPart, rule: ExpectedRule) -> list[Inside]:
    """Return an explicit rule's alarms."""
    seen = sum(alert.rule == rule.rule for _, alert in part.alerts)
    return [name(rule.rule), number(rule.count), str(seen), text(rule.why)]


def self_check(part: ModelPart) -> Markup:
    """Return warnings seen and expected, and what their ratio says of the reference."""
    seen, expected = part.model.warnings_seen, part.model.warnings_expected
    if seen is None or expected is None:
        return tag("p", "Warnings are not counted: ", "the reference is cold." if part.cold else "the budget is off.")
    ratio = seen / expected if expected > 0 else float("inf") if seen else 1.0
    words = f"{plural(seen, 'warning')} seen, {number(expected)} expected of a reference that fits"
    if seen < FEW or ratio < SUSPECT:
        return tag("p", tag("b", "As expected: " if ratio > 1 / SUSPECT else "No more than expected: "), f"{words}.")
    return tag(
        "p",
        tag("b", f"{times(ratio)} as many as expected: " if expected > 0 else "More than expected: "),
        f"{words}. Drift brings warnings too; where nothing changed, the reference does not fit these data, ",
        "and its pages come more often than the budget says.",
        class_="caution",
    )


def planted(part: ModelPart) -> Markup:
    """Return each planted change with what became of it."""
    caption = f"Changes planted in {part.model.key} (times in UTC)"
    heads = ("Change", "From", "Until", "#Rows changed", "Found", "By", "#Delay", "#Place in the page")
    return table(caption, heads, map(planted_row, part.injected))


def planted_row(planted: Injected) -> list[Inside]:
    """Return one planted change."""
    delay = (
        [plural(planted.delay, "window"), tag("span", f" {spell(planted.found_at - planted.at)}", class_="quiet small")]
        if planted.delay is not None and planted.found_at is not None
        else NONE
    )
    fired = f"not found: its chart {planted.chart} fired, nobody is told" if planted.chart else "not found"
    found_on = moment(planted.found_at, fired)
    rank = NONE if planted.rank is None else str(planted.rank)
    return [
        name(planted.text),
        moment(planted.at),
        moment(planted.until, "the end"),
        count(planted.rows),
        found_on,
        name(planted.rule or NONE),
        delay,
        rank,
    ]


def retraining(part: ModelPart) -> Markup:
    """Return every wish to retrain with its outcome."""
    if not part.retrains:
        return tag("p", "Nothing asked for retraining.")
    caption = f"Retraining of {part.model.key} (times in UTC)"
    return table(caption, ("When", "Asked by", "Outcome"), map(retrain_row, part.retrains))


def retrain_row(retrain: Retrain) -> list[Inside]:
    """Return one wish to retrain."""
    outcome = RetrainOutcome(retrain.outcome)
    words = f"suppressed: {outcome.words}" if outcome.suppressed else outcome.words
    return [moment(retrain.at), name(retrain.rule or retrain.reason), text(words)]


def policies(result: BacktestResult) -> Markup | None:
    """Return what other policies of retraining would have come to; nothing where none was compared."""
    if not result.policies:
        return None
    said = (
        "Each policy heard the same record. What a retrained model would have changed is not on it: uncovered is the time with an "
        "incident of drift or performance open of which no training had seen anything yet."
    )
    heads = (
        "Model",
        "#Rank",
        "Policy",
        "#Requests",
        "#Suppressed",
        "Age of the model, mean / most",
        "Drift uncovered / in all",
        "#Cost",
    )
    return tag(
        "section",
        [tag("h2", "Policies of retraining compared", id="policies"), tag("p", said)],
        table("Policies of retraining", heads, map(policy_row, result.policies)),
        aria_labelledby="policies",
    )


def policy_row(outcome: PolicyOutcome) -> list[Inside]:
    """Return one policy."""
    asks = outcome.policy if outcome.every is None else f"{outcome.policy}, every {outcome.every}"
    return [
        outcome.model,
        str(outcome.rank),
        f"{asks} (as configured)" if outcome.configured else asks,
        count(outcome.requests),
        count(sum(outcome.suppressed.values())),
        f"{spell(outcome.age_mean)} / {spell(outcome.age_most)}",
        f"{spell(outcome.uncovered)} / {spell(outcome.drift)}",
        NONE if outcome.cost is None else number(outcome.cost),
    ]

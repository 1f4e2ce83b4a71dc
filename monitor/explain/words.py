"""What drifted and how far, in a line for people: from counts alone, with a few values as they came as examples."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from detectors.baseline import FeatureBaseline, NumericBaseline
from detectors.charts import IncidentKind
from detectors.features import Ints
from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import OPEN, Evidence, FirstOffset
from monitor.alerting.rules import (
    BUDGET_RULE,
    CONTRACT_RULE,
    ERRORS_RULE,
    FROZEN_RULE,
    LATENCY_RULE,
    LATENESS_RULE,
    NO_DATA_RULE,
    PERFORMANCE_RULE,
    REACHABILITY_RULE,
    SCHEMA_RULE,
    SELF_CHECK_RULE,
)
from monitor.explain.categories import category_parts
from monitor.explain.figures import dated, plain, share, thousands
from monitor.explain.numbers import number_parts
from monitor.explain.parts import Part, Reading, material, missing_part
from monitor.explain.performance import spelled
from monitor.explain.samples import Samples, legible
from monitor.explain.values import value_part
from monitor.facts import AlertChanged, AlertEscalated

MOST_PARTS = 3
LONGEST_SUMMARY = 200
LONGEST_NAME = 40
MOST_BEGUN = 2  # partitions in which a column became otherwise, in words
SAID_BY = {  # which parts tell of what a chart watches, the plainest first
    "location+": ("mean",),
    "location-": ("mean",),
    "scale+": ("spread",),
    "scale-": ("spread",),
    "shape": ("shape", "category", "new"),
    "missing": ("missing",),
    "unseen": ("new", "outside"),
    "mass+": ("value",),
    "mass-": ("value",),
}

VALUES = ("mass+", "mass-")


def explain(feature: FeatureBaseline, before: Ints, now: Ints, chart: str, samples: Samples | None = None) -> str:
    """Say how a feature's row of counts `now` differs from the reference's `before`, what the chart watches first.

    Both int64 in the layout of the feature's row in a sketch. Empty where one of them has no row.
    """
    reading = Reading.of(feature, before, now)
    if reading is None:
        return ""
    parts = [missing_part(reading)]
    if isinstance(feature, NumericBaseline):
        numbers = None if samples is None else samples.numbers(feature.name)
        parts += number_parts(feature, reading, chart, numbers)
    else:
        unseen = () if samples is None else samples.unseen_categories(feature.name)
        parts += category_parts(feature, reading, unseen)
    if chart in VALUES:
        value = value_part(feature, reading, up=chart == VALUES[0])
        parts = [*value, *(part for part in parts if part.text not in {one.text for one in value})]
    return ", ".join(part.text for part in _chosen(parts, SAID_BY.get(chart, ())))


def _chosen(parts: Iterable[Part], wanted: Sequence[str]) -> list[Part]:
    """What matters, strongest first; what the chart watches leads, and is said however little it is."""
    ranked = sorted(parts, key=lambda part: (part.kind not in wanted, -part.strength))
    leading = [part for part in ranked if part.overrides]
    if leading:
        ranked = [part for part in ranked if part is leading[0] or part.kind == "missing"]
    found = [part for at, part in enumerate(ranked) if material(part) or (not at and part.kind in wanted)]
    chosen, strong = ([part for part in parts if part.strength > 0] for parts in (found, ranked))
    return chosen[:MOST_PARTS] or strong[:1]


def explain_rows(before: float, now: float) -> str:
    """Say how many rows a window has, and used to have."""
    return f"rows a window {thousands(before)} → {thousands(now)}"


def explain_duplicates(before: int, now: int) -> str:
    """Say how many rows repeat an id, and used to; both in thousandths of the rows.

    >>> explain_duplicates(0, 500)
    '0 % → 50 % of rows (by id)'
    """
    return f"{plain(before / 10)} % → {plain(now / 10)} % of rows (by id)"


def explain_warnings(seen: float, due: float) -> str:
    """Say that charts warn more often than the calibration allows."""
    return (
        f"{seen:.0f} warnings of late where chance brings {due:.0f} at most: the reference does not fit this traffic, "
        "fit it anew"
    )


def explain_days(days: int, firings: int, due: int, out: int, out_due: int, alarmed: int) -> str:
    """Say that days differ by more than the budget allows; `due` and `out_due` are tenths, `alarmed` thousandths of the time."""
    return (
        f"in {days} days {firings} firings where {due / 10:.1f} were due, passing changes on {out} days where {out_due / 10:.1f} were, "
        f"{alarmed / 10:.0f} % of the time under alarm: fit it anew on more days"
    )


# --- a whole alert ----------------------------------------------------------------------------------------------------


def summary(changed: AlertChanged) -> str:
    """One line of at most 200 characters: who drifts since when (UTC), the strongest features, how many more."""
    name = f"{legible(changed.key.model, LONGEST_NAME)}/{legible(changed.key.version, LONGEST_NAME // 2)}"
    if changed.rule == SELF_CHECK_RULE:
        return _self_check(changed, name)
    if changed.rule in OF_STREAM:
        return _of_stream(changed, name, OF_STREAM[changed.rule])
    if changed.rule not in {BUDGET_RULE, CONTRACT_RULE, SCHEMA_RULE, PERFORMANCE_RULE}:
        name += f" ({legible(changed.rule, LONGEST_NAME // 2)})"
    if changed.rule == SCHEMA_RULE and changed.evidence:
        return _of_schema(name, changed.evidence)
    verbs = _verbs_of(changed)
    if changed.settled:
        head = f"{name} has settled at a new level, {verbs.participle} since {dated(changed.since)}; it pages when it moves from there"
        stay = set(changed.about.settled)
        return _listed(head, [_one(each) for each in changed.about.members if each.feature in stay])
    if changed.closed or changed.after is AlertState.INACTIVE:
        return _over(changed, name, verbs)
    return _listed(_head(changed, name, verbs), [_one(evidence) for evidence in changed.evidence])


def _over(changed: AlertChanged, name: str, verbs: "Verbs") -> str:
    """The same of what is over, or of which nobody knows any more whether it is."""
    if changed.silent:
        metrics = legible(", ".join(spelled(each.strip("_")) for each in changed.about.silent), LONGEST_NAME)
        return f"{name} may still be {verbs.participle}, as since {dated(changed.since)}, but nobody knows: labels say nothing of {metrics} any more"
    if changed.closed:
        return f"{name} {verbs.over}: it did from {dated(changed.since)} to {dated(changed.window.end)}"
    return f"{name} {verbs.never} after all"


def escalation(escalated: AlertEscalated) -> str:
    """The same of an incident that is told again: what is new in front."""
    changed, new = escalated.alert, {each.feature for each in escalated.new}
    name = f"{legible(changed.key.model, LONGEST_NAME)}/{legible(changed.key.version, LONGEST_NAME // 2)}"
    if changed.rule in OF_STREAM:
        known = [each for each in changed.evidence if each.feature not in new]
        return _of_stream(
            replace(changed, evidence=(*escalated.new, *known)), name, OF_STREAM[changed.rule], told=", new"
        )
    if changed.rule == SCHEMA_RULE:
        known = [each for each in changed.evidence if each.feature not in new]
        return _of_schema(name, escalated.new, known)
    head = _head(changed, name, _verbs_of(changed)) + ", new"
    rest = [_one(each) for each in changed.evidence if each.feature not in new]
    return _listed(head, [*(_one(each) for each in escalated.new), *rest])


def _head(changed: AlertChanged, name: str, verbs: "Verbs") -> str:
    since = min([changed.since, *(one.since for one in changed.evidence if one.since is not None)])
    head = f"{name} {verbs.now[changed.after]} since {dated(since)}"
    if changed.calibration == "cold":
        head += " (cold reference: by size alone)"
    return head


@dataclass(frozen=True, slots=True)
class Verbs:
    """What a model does that an alert is about: as long as it does, when it no longer does, and when it never did."""

    now: Mapping[AlertState, str]
    over: str
    never: str
    participle: str


def _verbs(does: str, infinitive: str, participle: str) -> Verbs:
    now = {
        AlertState.PENDING: f"may {infinitive}",
        AlertState.FIRING: does,
        AlertState.RECOVERING: f"recovers, {participle}",
    }
    return Verbs(now, f"no longer {does}", f"did not {infinitive}", participle)


VERBS = {
    IncidentKind.DRIFT: _verbs("drifts", "drift", "drifting"),
    IncidentKind.DATA_QUALITY: _verbs("gets bad data", "get bad data", "getting bad data"),
    IncidentKind.PREDICTION: _verbs("predicts otherwise", "predict otherwise", "predicting otherwise"),
    IncidentKind.PERFORMANCE: _verbs("performs worse", "perform worse", "performing worse"),
}


OTHERWISE = _verbs("has another schema", "have another schema", "having another schema")
BREAKS = _verbs("breaks its data contract", "break its data contract", "breaking its data contract")


VERBS_OF_RULES = {CONTRACT_RULE: BREAKS, SCHEMA_RULE: OTHERWISE}


def _verbs_of(changed: AlertChanged) -> Verbs:
    return VERBS_OF_RULES.get(changed.rule) or VERBS.get(changed.kind, VERBS[IncidentKind.DRIFT])


CHANGES = {"gone": "is gone", "type": "is of a new type", "new": "is new"}  # what a column of a schema can be


def _of_schema(name: str, changed: Sequence[Evidence], known: Sequence[Evidence] = ()) -> str:
    """The same of a schema that has changed: since which offset, then each column."""
    first = min((at for each in changed for at in each.first), key=lambda at: at.event_time, default=None)
    since = "" if first is None else f" since {begun_at(first)}"
    items = [f"{legible(_known(each.feature), LONGEST_NAME)} {CHANGES[each.chart]}" for each in (*changed, *known)]
    return _listed(f"{name} {OTHERWISE.now[AlertState.FIRING]}{since}", items)


def begun_at(first: FirstOffset) -> str:
    """Partition, offset and event time, for people."""
    topic = legible(first.partition.topic, LONGEST_NAME)
    return f"{topic}/{first.partition.index} offset {first.offset} ({dated(first.event_time)})"


def explain_schema(change: str, first: Sequence[FirstOffset], agreed: str = "", samples: Sequence[str] = ()) -> str:
    """Say what has become of a column, and since when; `agreed` is the type that the contract has.

    >>> from monitor.stream.events import Partition
    >>> explain_schema("gone", [FirstOffset(Partition("t", 0), 41, 0)])
    'is gone since t/0 offset 41 (1970-01-01 00:00)'
    >>> explain_schema("type", [FirstOffset(Partition("t", n), 41 + n, 0) for n in (0, 1)], "number", ["'7,5'"])
    "holds no number any more, such as '7,5', since t/0 offset 41 (1970-01-01 00:00) and t/1 offset 42 (1970-01-01 00:00)"
    """
    does = f"holds no {agreed} any more" if change == "type" and agreed else CHANGES[change]
    if change == "type" and samples:
        does += f", such as {' and '.join(samples)},"
    shown = [begun_at(each) for each in first[:MOST_BEGUN]]
    more = f" and {len(first) - len(shown)} partitions more" if len(first) > len(shown) else ""
    return f"{does} since {' and '.join(shown)}{more}" if shown else does


def explain_broken(rule: str, count: int, rows: int, allowed: int, samples: Sequence[str] = ()) -> str:
    """Say how many rows break a rule of a contract; `allowed` is in millionths.

    >>> explain_broken("max", 30, 1000, 0, ["7.5"])
    'max broken by 3 % of rows, such as 7.5'
    >>> explain_broken("max_missing", 30, 1000, 10_000)
    'missing in 3 % of rows, 1 % allowed'
    """
    missing = {"required": ", which is required", "max_missing": f", {share(allowed / 1e6)} allowed"}
    if rule in missing:
        return f"missing in {share(count / rows)} of rows{missing[rule]}"
    such = f", such as {' and '.join(samples)}" if samples else ""
    return f"{rule} broken by {share(count / max(rows, 1))} of rows{such}"


def _self_check(changed: AlertChanged, name: str) -> str:
    """The same of the rule that watches the calibration: no feature drifts."""
    if changed.after is not AlertState.FIRING:
        return f"{name} fits its reference again"
    head = f"{name} does not fit its reference since {dated(changed.since)}"
    return _listed(head, [legible(one.words, LONGEST_SUMMARY) for one in changed.evidence])


OF_STREAM = {  # what a model does, and when it is over
    LATENESS_RULE: ("misses many events", "gets its events in time again"),
    REACHABILITY_RULE: ("is not judged", "is judged again: every partition answers"),
    FROZEN_RULE: ("is frozen", "varies again"),
    NO_DATA_RULE: ("gets no data", "gets data again"),
    LATENCY_RULE: ("is slow", "is as quick as usual again"),
    ERRORS_RULE: ("fails", "fails no more often than usual again"),
}


def _of_stream(changed: AlertChanged, name: str, words: tuple[str, str], told: str = "") -> str:
    """The same of the rules that watch the stream: where what is wrong lies is a topic or a partition."""
    does, over = words
    if changed.after not in OPEN:
        return f"{name} {over}"
    head = f"{name} {does} since {dated(changed.since)}{told}"
    return _listed(
        head,
        [
            f"{legible(_known(each.feature), LONGEST_NAME)} {legible(each.words, LONGEST_SUMMARY)}"
            for each in changed.evidence
        ],
    )


def _one(evidence: Evidence) -> str:
    words = evidence.words or f"{evidence.detector} {plain(evidence.score)} > {plain(evidence.threshold)}"
    pace = " (keeps moving)" if evidence.moving else ""
    return f"{legible(_known(evidence.feature), LONGEST_NAME)} {legible(words, LONGEST_SUMMARY)}{pace}"


def _known(name: str) -> str:
    """What people call a feature: __prediction__ and __volume__ without their marks."""
    return name.strip("_") if name.startswith("__") else name


def _listed(head: str, items: Sequence[str]) -> str:
    """As many items as fit on the line, and how many did not."""
    line, shown = head, 0
    for item in items:
        longer = f"{line}{', ' if shown else ': '}{item}"
        if len(longer) + len(_rest(len(items) - shown - 1)) > LONGEST_SUMMARY:
            break
        line, shown = longer, shown + 1
    if not shown and items:
        cut = f"{head}: {items[0]}"
        most = LONGEST_SUMMARY - len(_rest(len(items) - 1))
        line, shown = legible(cut, most), 1
    return line + _rest(len(items) - shown)


def _rest(count: int) -> str:
    return f", and {count} more" if count else ""

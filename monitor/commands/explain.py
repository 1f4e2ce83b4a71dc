"""`driftd explain`: what the decoder and the mapping make of each message."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from typing import Any

import msgspec

from detectors.sketches.violations import Rule
from monitor.app import build_decoder
from monitor.clock import SystemClock
from monitor.commands.exits import Exit
from monitor.commands.explained import ExplainChoice, chosen_records
from monitor.commands.steps import mapping_steps, record_steps
from monitor.configuration import Configuration, load
from monitor.explain import documents
from monitor.settings import ConfigError, load_settings
from monitor.sources.base import TopicRecords
from monitor.sources.decode.class_scores import is_score, scores_explained
from monitor.sources.decode.topic import TopicDecoder, Verdict
from monitor.sources.formats.fields import PREDICTION, FieldMap, SeriesFields
from monitor.sources.formats.fields import Path as Place
from monitor.sources.formats.json import hint
from monitor.sources.formats.json.documents import FRAMED
from monitor.sources.formats.values import UNITS, Rejected, category, number, version_text
from monitor.stream.events import Nanos
from monitor.stream.halves import REQUEST, RESPONSE
from monitor.targets.payloads import rfc3339

SHOWN_UNKNOWN = 10
SCORES = "scores of classes"  # all together


HALF_NAMES = {REQUEST: "request", RESPONSE: "response"}


@dataclass(frozen=True, slots=True)
class FieldExplained:
    """A feature of the reference: its value in the message, or the reason why it has none."""

    feature: str
    value: float | str | None
    reason: str | None = None
    unseen: bool = False
    detail: str | None = None  # the keys there are, where the mapped one is not


@dataclass(frozen=True, slots=True)
class BrokenExplained:
    """A rule of a data contract that a row breaks: `new` of a field that the contract does not know."""

    field: str
    rule: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of one row: `outcome` is ok, unmonitored or rejected. The rest is None or empty where it is not known."""

    outcome: str
    reason: str | None = None
    detail: str | None = None  # where the mapping looked, and what it found there
    model: str | None = None
    version: str | None = None
    event_time: Nanos | None = None
    fields: tuple[FieldExplained, ...] = ()
    unknown: tuple[str, ...] = ()
    contract: tuple[BrokenExplained, ...] | None = (
        None  # what of the model's data contract it breaks; None: it has none
    )
    half: str | None = None  # request or response, which waits for the other; None: it is whole
    mapped: tuple[str, ...] = ()  # where the mapping found what, in words


@dataclass(slots=True)
class Totals:
    """What all rows came to."""

    outcomes: Counter[str] = field(default_factory=Counter)
    series: Counter[str] = field(default_factory=Counter)  # accepted rows
    reasons: Counter[str] = field(default_factory=Counter)  # rejected rows
    others: Counter[str] = field(default_factory=Counter)  # unmonitored rows
    missing: Counter[str] = field(default_factory=Counter)  # accepted rows without the feature
    unknown: Counter[str] = field(default_factory=Counter)  # accepted rows with what the reference does not know
    contract: Counter[str] = field(default_factory=Counter)  # accepted rows that break a rule of a contract

    def count(self, explanation: Explanation) -> None:
        """Take one row."""
        self.outcomes[explanation.outcome] += 1
        name = f"{explanation.model} version {explanation.version or '(none)'}"
        match explanation.outcome:
            case "ok":
                self.series[name] += 1
                self.missing.update(each.feature for each in explanation.fields if each.reason is not None)
                self.unknown.update(explanation.unknown)
                self.contract.update(f"{each.field} {each.rule}" for each in explanation.contract or ())
            case "unmonitored":
                self.others[name] += 1
            case _:
                self.reasons[explanation.reason or "unknown"] += 1

    def words(self) -> str:
        """In a line."""
        parts = (("ok", self.series), ("rejected", self.reasons), ("unmonitored", self.others))
        said = [f"{self.outcomes[outcome]:,} {outcome}{_in_brackets(by)}" for outcome, by in parts]
        lacking = f"; without a value: {_listed(self.missing)}" if self.missing else ""
        ignored = f"; unknown, ignored: {_listed(self.unknown)}" if self.unknown else ""
        broken = f"; breaking the contract: {_listed(self.contract)}" if self.contract else ""
        return f"{self.outcomes.total():,} rows: {', '.join(said)}{lacking}{ignored}{broken}"

    def document(self) -> dict[str, Any]:
        """For programs."""
        outcomes = {outcome: self.outcomes[outcome] for outcome in ("ok", "rejected", "unmonitored")}
        return outcomes | {
            "series": dict(self.series),
            "reasons": dict(self.reasons),
            "others": dict(self.others),
            "missing": dict(self.missing),
            "unknown": dict(self.unknown),
            "contract": dict(self.contract),
        }


def _in_brackets(counts: Counter[str]) -> str:
    return f" ({_listed(counts)})" if counts else ""


def _listed(counts: Counter[str]) -> str:
    more = f" and {len(counts) - SHOWN_UNKNOWN} more" if len(counts) > SHOWN_UNKNOWN else ""
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common(SHOWN_UNKNOWN)) + more


def explain(choice: ExplainChoice) -> Exit:
    """Explain messages one by one. Raises ConfigError."""
    choice.refuse_mixed()
    settings = load_settings(choice.config)
    base = choice.config.resolve().parent
    configuration = load(settings, base, needs_secrets=False, file=choice.config)
    decoder = decoder_for(configuration, choice.topic)
    form = next(topic.format for topic in settings.topics if topic.name == decoder.topic)
    now = SystemClock().now()
    totals = Totals()
    records = chosen_records(choice, settings, decoder.topic)
    for line_number, (where, record) in enumerate(records, start=1):
        explanations = list(explain_record(decoder, record, now))
        steps = list(record_steps(decoder, form, record)) if choice.steps else None
        for explanation in explanations:
            totals.count(explanation)
        said = (
            as_objects(line_number, explanations, steps)
            if choice.as_json
            else as_text(decoder, where, explanations, steps)
        )
        for line in said:
            print(line)
    print(documents.as_json({"totals": totals.document()}).decode() if choice.as_json else totals.words())
    return Exit.OK if totals.outcomes["ok"] else Exit.NO


def as_text(
    decoder: TopicDecoder, where: str, explanations: Sequence[Explanation], steps: Sequence[str] | None
) -> Iterator[str]:
    """One record, for people."""
    yield from (f"{where}: {step}" for step in steps or ())
    for row, explanation in enumerate(explanations, start=1):
        place = f"{where}.{row}" if len(explanations) > 1 else where
        mapped = explanation.mapped if steps is not None else ()
        yield from (f"{place}: {line}" for line in (*mapped, *words(decoder, explanation)))


def as_objects(number: int, explanations: Sequence[Explanation], steps: Sequence[str] | None) -> Iterator[str]:
    """One record, for programs: an object a row."""
    for row, explanation in enumerate(explanations, start=1):
        yield line_of_json(number, row, explanation, steps)


def decoder_for(configuration: Configuration, name: str | None) -> TopicDecoder:
    """The decoder of a topic, the first if none is named. Raises ConfigError."""
    topics = {topic.name: topic for topic in configuration.settings.topics}
    if name is not None and name not in topics:
        raise ConfigError(f"--topic {name}: is not configured; there is {', '.join(topics)}")
    return build_decoder(configuration, topics[name] if name is not None else next(iter(topics.values())))


# --- what became of it ---------------------------------------------------------------------------------------------------


def explain_record(decoder: TopicDecoder, record: TopicRecords, now: Nanos) -> Iterator[Explanation]:
    """What becomes of each row of a single record."""
    nothing: Mapping[Place, object] = {}
    away = decoder.away(record)
    for verdict, row in zip(
        decoder.verdicts(record, now), chain(rows_of(decoder, record), repeat(nothing)), strict=False
    ):
        explanation = explain_row(decoder, verdict, row)
        if explanation.reason == FRAMED:
            explanation = replace(explanation, detail=hint(record.values[0] or b""))
        elif explanation.reason is not None and away is not None:
            explanation = replace(explanation, detail=away)
        yield replace(explanation, mapped=tuple(mapping_steps(decoder.fields, row))) if row else explanation


def rows_of(decoder: TopicDecoder, record: TopicRecords) -> list[Mapping[Place, object]]:
    """The rows of a record as they came; none of one that cannot be read."""
    try:
        return list(decoder.inspect(record))
    except Rejected:
        return []


def explain_row(decoder: TopicDecoder, verdict: Verdict, row: Mapping[Place, object]) -> Explanation:
    """What becomes of one row."""
    fields = decoder.fields
    if verdict.reason is not None:
        return Explanation("rejected", verdict.reason, explain_envelope(fields, row, verdict.reason))
    if verdict.series is None:
        model = fields.model_is or row.get(fields.model)
        version = fields.version_is or version_text(row.get(fields.version))
        model = None if model is None else str(model)
        return Explanation("unmonitored", model=model, version=version, event_time=verdict.time)
    return Explanation(
        "ok",
        model=verdict.series.key.model,
        version=verdict.series.key.version,
        event_time=verdict.time,
        fields=tuple(explain_fields(verdict.series, row)),
        unknown=tuple(verdict.series.unknown(row)),
        half=HALF_NAMES.get(verdict.series.half),
        contract=None if verdict.broken is None else tuple(broken_by(decoder, verdict.series, verdict.broken, row)),
    )


def broken_by(
    decoder: TopicDecoder, series: SeriesFields, broken: Iterable[Rule], row: Mapping[Place, object]
) -> Iterator[BrokenExplained]:
    """The rules of a data contract that a row breaks."""
    yield from (BrokenExplained(*rule) for rule in broken)
    yield from (BrokenExplained(name, "new") for name in decoder.refused(series, row))


def explain_envelope(fields: FieldMap, row: Mapping[Place, object], reason: str) -> str | None:
    """Where the mapping looked, and what it found there."""
    part = reason.partition("_")[0]
    path = {
        "timestamp": fields.timestamp,
        "model": fields.model,
        "version": fields.version,
        "features": fields.features,
    }.get(part)
    if path is None:
        return None
    value = row.get(path)
    if value is None and path not in set(row):
        return absent(path, row)
    unit = next(name for name, nanos in UNITS.items() if nanos == fields.unit)
    in_unit = f" in {unit}" if part == "timestamp" and isinstance(value, int | float) else ""
    return f"{'.'.join(path)} is {repr(value)[:60]}{in_unit}"


def absent(path: Place, row: Mapping[Place, object]) -> str:
    """Where there is nothing: the keys that there are, down to where the path ends."""
    depth = next(
        (depth for depth in range(len(path)) if all(at[: depth + 1] != path[: depth + 1] for at in row)), len(path) - 1
    )
    beside = dict.fromkeys(at[depth] for at in row if at[:depth] == path[:depth] and len(at) > depth)
    where = "the message" if depth == 0 else ".".join(path[:depth])
    there = f"{where} has {', '.join(list(beside)[:SHOWN_UNKNOWN])}" if beside else f"{where} is empty"
    more = f" and {len(beside) - SHOWN_UNKNOWN} more" if len(beside) > SHOWN_UNKNOWN else ""
    return f"{'.'.join(path)} is not there; {there}{more}"


def explain_fields(series: SeriesFields, row: Mapping[Place, object]) -> Iterator[FieldExplained]:
    """Each feature of the reference, with its value or why it has none."""
    scored = series.joined is not None and bool(series.joined.classes)
    for at, (name, path) in enumerate(series.numeric):
        if scored and at >= series.own[0] and is_score(name):
            continue
        reasons: Counter[str] = Counter()
        value = number(row.get(path), reasons)
        yield lacking(series, name, path, row, reasons) if reasons else FieldExplained(name, value)
    for (name, path), table in zip(series.categorical, series.tables, strict=True):
        reasons = Counter()
        text = category(row.get(path), reasons)
        unseen = not reasons and table[text] == table.unseen
        yield lacking(series, name, path, row, reasons) if reasons else FieldExplained(name, text, unseen=unseen)
    if scored:
        yield explain_scores(series, row)


def explain_scores(series: SeriesFields, row: Mapping[Place, object]) -> FieldExplained:
    """The scores of classes: how many have one."""
    assert series.joined is not None
    known, why = scores_explained(series, row)
    classes = series.joined.classes
    path = ".".join(series.fields.scores)
    if why is None:
        return FieldExplained(SCORES, float(known))
    first = ", ".join(map(repr, classes[:SHOWN_UNKNOWN])) + (" …" if len(classes) > SHOWN_UNKNOWN else "")
    as_list = f", nor a list of {len(classes)} numbers" if series.joined.listed else ""
    detail = None if why == "missing" else f"{path} has no number for any of {first}{as_list}"
    return FieldExplained(SCORES, None, why, detail=detail)


def lacking(
    series: SeriesFields, name: str, path: Place, row: Mapping[Place, object], reasons: Counter[str]
) -> FieldExplained:
    """A feature without a value; what else stands in the object of the features is told as unknown."""
    elsewhere = name == PREDICTION or not series.fields.features
    detail = absent(path, row) if elsewhere and "missing" in reasons and path not in set(row) else None
    return FieldExplained(name, None, next(iter(reasons)), detail=detail)


# --- in words, and for programs ------------------------------------------------------------------------------------------


def words(decoder: TopicDecoder, explanation: Explanation) -> Iterator[str]:
    """An explanation for people, in lines."""
    time = None if explanation.event_time is None else rfc3339(explanation.event_time)
    match explanation.outcome:
        case "rejected":
            yield f"rejected: {explanation.reason}{f': {explanation.detail}' if explanation.detail else ''}"
        case "unmonitored":
            known = ", ".join(f"{key.model} version {key.version}" for key in decoder.series)
            yield f"unmonitored: {explanation.model} version {explanation.version or '(none)'}; there is {known} (event time {time})"
        case _:
            half = f", a {explanation.half} that is joined by its id" if explanation.half else ""
            yield f"ok: {explanation.model} version {explanation.version}, event time {time}{half}"
            yield from map(field_words, explanation.fields)
    if explanation.contract:
        rules = ", ".join(f"{each.field} {each.rule}" for each in explanation.contract[:SHOWN_UNKNOWN])
        more = len(explanation.contract) - SHOWN_UNKNOWN
        yield f"   breaks the contract: {rules}{f' and {more} more' if more > 0 else ''}"
    if explanation.unknown:
        shown = ", ".join(map(repr, explanation.unknown[:SHOWN_UNKNOWN]))
        more = len(explanation.unknown) - SHOWN_UNKNOWN
        yield f"   unknown, ignored: {shown}{f' and {more} more' if more > 0 else ''}"


def field_words(field: FieldExplained) -> str:
    """One feature in a line."""
    if field.reason is not None:
        return f"   {field.feature}: {field.reason}{f': {field.detail}' if field.detail else ''}"
    if isinstance(field.value, str):
        return f"   {field.feature} = {field.value!r}{' (unseen in the reference)' if field.unseen else ''}"
    return f"   {field.feature} = {repr(field.value).removesuffix('.0')}"


def line_of_json(number: int, row: int, explanation: Explanation, steps: Sequence[str] | None = None) -> str:
    """An explanation as a line of JSON."""
    document: dict[str, Any] = {"line": number, "row": row, **msgspec.to_builtins(explanation)}
    document["event_time"] = None if explanation.event_time is None else rfc3339(explanation.event_time)
    if steps is None:
        del document["mapped"]
    else:
        document["steps"] = list(steps)
    return documents.as_json(document).decode()

"""`driftd explain`: what the decoder and the mapping make of each message."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from monitor.app import build_decoder
from monitor.clock import SystemClock
from monitor.commands.exits import Exit
from monitor.configuration import Configuration, load
from monitor.facts import EventsRejected
from monitor.settings import ConfigError, load_settings
from monitor.sources.base import TopicRecords
from monitor.sources.formats.decode import SeriesDecoder, TopicDecoder
from monitor.sources.formats.values import UNITS, Rejected, category, dig, number, parse_leniently, version_text
from monitor.stream.events import Nanos
from monitor.targets.payloads import rfc3339

SHOWN_UNKNOWN = 10


@dataclass(frozen=True, slots=True)
class FieldExplained:
    """A feature of the reference: its value in the message, or the reason why it has none."""

    feature: str
    value: float | str | None
    reason: str | None = None
    unseen: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of one message: `outcome` is ok, unmonitored or rejected. The rest is None or empty where it is not known."""

    outcome: str
    reason: str | None = None
    detail: str | None = None  # where the mapping looked, and what it found there
    model: str | None = None
    version: str | None = None
    event_time: Nanos | None = None
    fields: tuple[FieldExplained, ...] = ()
    unknown: tuple[str, ...] = ()


def explain(config: Path, file: Path | None, topic: str | None, *, as_json: bool = False) -> Exit:
    """Explain messages, one a line. Raises ConfigError."""
    settings = load_settings(config)
    configuration = load(settings, config.resolve().parent, needs_secrets=False)
    decoder = decoder_for(configuration, topic)
    now = SystemClock().now()
    accepted = False
    for line_number, line in enumerate(lines_of(file), start=1):
        explanation = explain_message(decoder, line.rstrip(b"\r\n"), now)
        accepted = accepted or explanation.outcome == "ok"
        for line_said in [line_of_json(line_number, explanation)] if as_json else words(decoder, explanation):
            print(line_said if as_json else f"{line_number}: {line_said}")
    return Exit.OK if accepted else Exit.NO


def decoder_for(configuration: Configuration, name: str | None) -> TopicDecoder:
    """The decoder of a topic, the first if none is named. Raises ConfigError."""
    topics = {topic.name: topic for topic in configuration.settings.topics}
    if name is not None and name not in topics:
        raise ConfigError(f"--topic {name}: is not configured; there is {', '.join(topics)}")
    return build_decoder(configuration, topics[name] if name is not None else next(iter(topics.values())))


def lines_of(file: Path | None) -> Iterable[bytes]:
    """Lines of a file or of standard input. Raises ConfigError."""
    if file is None:
        yield from sys.stdin.buffer
        return
    try:
        with file.open("rb") as lines:
            yield from lines
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from None


# --- what became of it ---------------------------------------------------------------------------------------------------


def explain_message(decoder: TopicDecoder, raw: bytes, now: Nanos) -> Explanation:
    """What becomes of one message."""
    decoded = decoder.decode(TopicRecords(decoder.topic, [0], [raw]), now)
    rejected = [fact.reason for fact in decoded.facts if isinstance(fact, EventsRejected)]
    if rejected:
        return Explanation("rejected", rejected[0], explain_envelope(decoder, raw, rejected[0]))
    if not decoded.batches:
        message = parse_leniently(raw)
        model, version = dig(message, decoder.fields.model), version_text(dig(message, decoder.fields.version))
        return Explanation("unmonitored", model=model, version=version, event_time=next(iter(decoded.seen.values())))
    batch = decoded.batches[0]
    series = decoder.series[batch.key]
    return Explanation(
        "ok",
        model=batch.key.model,
        version=batch.key.version,
        event_time=int(batch.event_times[0]),
        fields=tuple(explain_fields(series, raw)),
        unknown=tuple(unknown_features(series, raw)),
    )


def explain_envelope(decoder: TopicDecoder, raw: bytes, reason: str) -> str | None:
    """Where the mapping looked, and what it found there."""
    part = reason.partition("_")[0]
    path = {
        "timestamp": decoder.fields.timestamp,
        "model": decoder.fields.model,
        "version": decoder.fields.version,
        "features": decoder.fields.features,
    }.get(part)
    if path is None:
        return None
    try:
        value = dig(parse_leniently(raw), path)
    except Rejected:  # parsed a moment ago, so this does not happen
        return None
    unit = next(name for name, nanos in UNITS.items() if nanos == decoder.fields.unit)
    in_unit = f" in {unit}" if part == "timestamp" and isinstance(value, int | float) else ""
    return f"{'.'.join(path)} is {repr(value)[:60]}{in_unit}"


def explain_fields(series: SeriesDecoder, raw: bytes) -> Iterator[FieldExplained]:
    """Each feature of the reference, with its value or why it has none."""
    try:
        message = parse_leniently(raw)
    except Rejected:  # decoded typed a moment ago, so this does not happen
        return
    for name, path in series.numeric:
        reasons: Counter[str] = Counter()
        value = number(dig(message, path), reasons)
        yield FieldExplained(name, None, next(iter(reasons))) if reasons else FieldExplained(name, value)
    for (name, path), table in zip(series.categorical, series.tables, strict=True):
        reasons = Counter()
        text = category(dig(message, path), reasons)
        unseen = not reasons and table[text] == table.unseen
        yield FieldExplained(name, None, next(iter(reasons))) if reasons else FieldExplained(name, text, unseen=unseen)


def unknown_features(series: SeriesDecoder, raw: bytes) -> list[str]:
    """Features of the message that the reference does not have."""
    features = dig(parse_leniently(raw), series.fields.features) if series.fields.features else None
    return [name for name in features if name not in series.known] if isinstance(features, dict) else []


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
            yield f"ok: {explanation.model} version {explanation.version}, event time {time}"
            yield from map(field_words, explanation.fields)
    if explanation.unknown:
        shown = ", ".join(map(repr, explanation.unknown[:SHOWN_UNKNOWN]))
        more = len(explanation.unknown) - SHOWN_UNKNOWN
        yield f"   unknown, ignored: {shown}{f' and {more} more' if more > 0 else ''}"


def field_words(field: FieldExplained) -> str:
    """One feature in a line."""
    if field.reason is not None:
        return f"   {field.feature}: {field.reason}"
    if isinstance(field.value, str):
        return f"   {field.feature} = {field.value!r}{' (unseen in the reference)' if field.unseen else ''}"
    return f"   {field.feature} = {field.value:g}"


def line_of_json(line_number: int, explanation: Explanation) -> str:
    """An explanation as a line of JSON."""
    document: dict[str, Any] = {"line": line_number, **msgspec.to_builtins(explanation)}
    document["event_time"] = None if explanation.event_time is None else rfc3339(explanation.event_time)
    return msgspec.json.encode(document).decode()

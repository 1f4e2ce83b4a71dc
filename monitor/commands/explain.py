"""`driftd explain`: what the decoder and the mapping make of each message."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from monitor.app import build_decoder
from monitor.clock import SystemClock
from monitor.configuration import Loaded, load
from monitor.facts import EventsRejected
from monitor.settings import ConfigError, load_settings
from monitor.sources.base import TopicRecords
from monitor.sources.formats.decode import SeriesDecoder, TopicDecoder
from monitor.sources.formats.values import UNITS, Rejected, category, dig, number, parse_leniently, version_text
from monitor.stream.events import Nanos
from monitor.targets.payloads import rfc3339


def explain(config: Path, file: Path | None, topic: str | None) -> int:
    """Explain messages, one a line. Raises ConfigError."""
    settings = load_settings(config)
    loaded = load(settings, config.resolve().parent, needs_secrets=False)
    decoder = decoder_for(loaded, topic)
    now = SystemClock().now()
    for at, line in enumerate(lines_of(file), start=1):
        for said in explain_message(decoder, line.rstrip(b"\r\n"), now):
            print(f"{at}: {said}")
    return 0


def decoder_for(loaded: Loaded, name: str | None) -> TopicDecoder:
    """The decoder of a topic, the first if none is named. Raises ConfigError."""
    topics = {topic.name: topic for topic in loaded.settings.topics}
    if name is not None and name not in topics:
        raise ConfigError(f"--topic {name}: is not configured; there is {', '.join(topics)}")
    return build_decoder(loaded, topics[name] if name is not None else next(iter(topics.values())))


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


def explain_message(decoder: TopicDecoder, raw: bytes, now: Nanos) -> Iterator[str]:
    """What becomes of one message."""
    decoded = decoder.decode(TopicRecords(decoder.topic, [0], [raw]), now)
    rejected = [fact.reason for fact in decoded.facts if isinstance(fact, EventsRejected)]
    if rejected:
        yield f"rejected: {rejected[0]}{explain_envelope(decoder, raw, rejected[0])}"
        return
    if not decoded.batches:
        time = next(iter(decoded.seen.values()))
        found = parse_leniently(raw)
        model, version = dig(found, decoder.fields.model), version_text(dig(found, decoder.fields.version))
        known = ", ".join(f"{key.model} version {key.version}" for key in decoder.series)
        yield f"unmonitored: {model} version {version or '(none)'}; there is {known} (event time {rfc3339(time)})"
        return
    batch = decoded.batches[0]
    yield f"ok: {batch.key.model} version {batch.key.version}, event time {rfc3339(int(batch.event_times[0]))}"
    yield from explain_fields(decoder.series[batch.key], raw)
    yield from explain_unknown(decoder.series[batch.key], raw)


def explain_envelope(decoder: TopicDecoder, raw: bytes, reason: str) -> str:
    """Where the mapping looked, and what it found there."""
    part = reason.partition("_")[0]
    path = {
        "timestamp": decoder.fields.timestamp,
        "model": decoder.fields.model,
        "version": decoder.fields.version,
        "features": decoder.fields.features,
    }.get(part)
    if path is None:
        return ""
    try:
        value = dig(parse_leniently(raw), path)
    except Rejected:  # parsed a moment ago, so this does not happen
        return ""
    unit = next(name for name, nanos in UNITS.items() if nanos == decoder.fields.unit)
    in_unit = f" in {unit}" if part == "timestamp" and isinstance(value, int | float) else ""
    return f": {'.'.join(path)} is {repr(value)[:60]}{in_unit}"


def explain_fields(series: SeriesDecoder, raw: bytes) -> Iterator[str]:
    """Each feature of the reference, with its value or why it has none."""
    from collections import Counter

    try:
        found = parse_leniently(raw)
    except Rejected:  # decoded typed a moment ago, so this does not happen
        return
    for name, path in series.numeric:
        reasons: Counter[str] = Counter()
        value = number(dig(found, path), reasons)
        yield f"   {name} = {value:g}" if not reasons else f"   {name}: {next(iter(reasons))}"
    for (name, path), table in zip(series.categorical, series.tables, strict=True):
        reasons = Counter()
        text = category(dig(found, path), reasons)
        if reasons:
            yield f"   {name}: {next(iter(reasons))}"
        else:
            unseen = " (unseen in the reference)" if table[text] == table.unseen else ""
            yield f"   {name} = {text!r}{unseen}"


def explain_unknown(series: SeriesDecoder, raw: bytes) -> Iterator[str]:
    """Features of the message that the reference does not have."""
    features = dig(parse_leniently(raw), series.fields.features) if series.fields.features else None
    unknown = [name for name in features if name not in series.known] if isinstance(features, dict) else []
    if unknown:
        shown = ", ".join(repr(name) for name in unknown[:10])
        yield f"   unknown, ignored: {shown}{f' and {len(unknown) - 10} more' if len(unknown) > 10 else ''}"  # noqa: PLR2004

"""Which events a command reads: recorded files, or a range of the configured topics."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from monitor.backtest.recorded import LINES, MESSAGES, TABLES, Lines, Recorded, RecordsAhead
from monitor.backtest.replay import Range
from monitor.settings import ConfigError, Settings
from monitor.settings.schema import TopicSettings
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.logged import LogDecoder
from monitor.sources.formats.values import Rejected, parse_time
from monitor.sources.tables.base import Dialect
from monitor.sources.tables.packed import packed
from monitor.stream.events import Nanos


def range_of(first_text: str | None, until_text: str | None) -> Range:
    """`--from` and `--until`. Raises ConfigError."""
    first, until = time_of("--from", first_text), time_of("--until", until_text)
    if first is not None and until is not None and until <= first:
        raise ConfigError(f"--until {until_text}: is not after --from {first_text}")
    return Range(first, until)


def time_of(option: str, text: str | None) -> Nanos | None:
    """A time of the command line. Raises ConfigError."""
    try:
        return None if text is None else parse_time(text)
    except Rejected:
        raise ConfigError(f"{option} {text}: is no time such as 2026-11-01 or 2026-11-01T12:00:00Z") from None


def label_topic_of(settings: Settings, name: str | None) -> TopicSettings:
    """A configured topic of labels, the first if none is named. Raises ConfigError."""
    topics = {topic.name: topic for topic in settings.topics if topic.kind == "labels"}
    if not topics:
        raise ConfigError("--labels: no topic is of kind labels; add one that says how labels are mapped")
    if name is not None and name not in topics:
        raise ConfigError(f"--label-topic {name}: is no configured topic of labels; there is {', '.join(topics)}")
    return topics[name] if name is not None else next(iter(topics.values()))


def topic_of(settings: Settings, name: str | None) -> TopicSettings:
    """A configured topic, the first if none is named. Raises ConfigError."""
    topics = {topic.name: topic for topic in settings.event_topics}
    if name is not None and name not in topics:
        raise ConfigError(f"--topic {name}: is not configured; there is {', '.join(topics)}")
    return topics[name] if name is not None else next(iter(topics.values()))


def files_of(
    paths: Sequence[Path], decoder: TopicDecoder, dialect: Dialect, option: str = "--input", *, threads: int = 1
) -> Recorded:
    """Recorded files, as an option names them; with more than one thread they are read ahead. Raises ConfigError."""
    found: Recorded
    if holds_lines(paths, option):
        found = Lines(paths, decoder)
    elif isinstance(decoder.bare, LogDecoder):
        from monitor.backtest.logged import LoggedTables

        odd = next((path for path in paths if path.suffix.lower() == ".csv"), None)
        if odd is not None:
            raise ConfigError(
                f"{option} {odd}: topic {decoder.topic} is of a format that is read from .jsonl, .parquet, .arrow or .avro"
            )
        found = LoggedTables(paths, decoder, decoder.bare)
    else:
        from monitor.backtest.tables import Tables

        found = Tables(paths, decoder, dialect)
    return RecordsAhead(found) if threads > 1 else found


def holds_lines(paths: Sequence[Path], option: str = "--input") -> bool:
    """Whether files hold messages, a line or a file each, or are tables. Raises ConfigError for anything else, and for both."""
    if (why := next(filter(None, map(packed, paths)), None)) is not None:
        raise ConfigError(why)
    endings = {path.suffix.lower() for path in paths}
    if endings <= LINES | MESSAGES:
        return True
    if endings <= TABLES:
        return False
    odd = next((path for path in paths if path.suffix.lower() not in LINES | MESSAGES | TABLES), None)
    if odd is not None:
        raise ConfigError(
            f"{option} {odd}: {odd.suffix or 'no ending'} is no format known here; .jsonl, .parquet, .csv, .arrow and .avro are"
        )
    raise ConfigError(
        f"{option}: messages (.jsonl) and tables (.parquet, .csv, .arrow, .avro) cannot be read in one go"
    )


def range_of_topics(
    settings: Settings,
    decoders: Mapping[str, TopicDecoder],
    within: Range,
    longer: Mapping[str, Nanos] = MappingProxyType({}),
    *,
    threads: int = 1,
) -> Recorded:
    """A range of some topics; of those in `longer` so much more. With several threads none can be held. Raises ConfigError."""
    from monitor.backtest.topics import TopicRange
    from monitor.commands.ranges import kafka_range

    parts = {topic: decoder.wants for topic, decoder in decoders.items()}
    return TopicRange(kafka_range(settings, parts, within, longer), decoders, threads)

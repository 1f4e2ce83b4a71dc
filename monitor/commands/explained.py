"""The records that `driftd explain` reads: lines, a whole file, records with all their parts, or those of a topic."""

import base64
import binascii
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import KafkaException

from monitor.app import client_properties, explain_client
from monitor.backtest.recorded import TABLES
from monitor.commands.ranges import kafka_range
from monitor.commands.records import range_of
from monitor.settings import ConfigError, Settings
from monitor.sources.base import RecordParts, SourceError, TopicRecords
from monitor.sources.formats.values import Rejected, parse_time
from monitor.sources.kafka.newest import SampleError, newest_of
from monitor.sources.tables.packed import packed
from monitor.stream.events import MILLISECOND, Nanos

LARGEST = 64 << 20  # bytes of a message that is a whole file: no broker takes more
KEYS = ("value", "key", "headers", "timestamp", "partition")
FEW = 20  # records of a topic
ALL = ~RecordParts.NOTHING


@dataclass(frozen=True, slots=True)
class ExplainChoice:
    """What the command line asked for."""

    config: Path
    file: Path | None = None
    topic: str | None = None
    message: bool = False
    records: bool = False
    kafka: bool = False
    first: str | None = None
    until: str | None = None
    limit: int | None = None
    steps: bool = False
    as_json: bool = False

    def refuse_mixed(self) -> None:
        """Raise ConfigError for options that do not go together."""
        if self.message and self.records:
            raise ConfigError("--message: the file is one message, and --records says that it holds a record a line")
        if self.kafka and (self.file is not None or self.message or self.records):
            what = self.file or ("--message" if self.message else "--records")
            raise ConfigError(f"--kafka: records are read from the topic, and {what} says otherwise")
        for option, said in (("--from", self.first), ("--until", self.until), ("--limit", self.limit)):
            if said is not None and not self.kafka:
                raise ConfigError(f"{option} {said}: is of the records of a topic, which --kafka reads")


def chosen_records(choice: ExplainChoice, settings: Settings, topic: str) -> Iterator[tuple[str, TopicRecords]]:
    """Single records with a word for where each stands. Raises ConfigError."""
    if choice.kafka:
        yield from islice(_of_topic(choice, settings, topic), choice.limit or FEW)
    elif choice.message:
        yield "1", TopicRecords(topic, (0,), (_whole(choice.file),))
    else:
        for number, line in enumerate(lines_of(choice.file), start=1):
            raw = line.rstrip(b"\r\n")
            where = f"{choice.file or 'standard input'}: line {number}"
            yield str(number), _record(topic, raw, where) if choice.records else TopicRecords(topic, (0,), (raw,))


# --- files --------------------------------------------------------------------------------------------------------------


def lines_of(file: Path | None) -> Iterable[bytes]:
    """Lines of a file or of standard input. Raises ConfigError, also for a table."""
    if file is None:
        yield from sys.stdin.buffer
        return
    _refuse_table(file)
    try:
        with file.open("rb") as lines:
            yield from lines
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from None


def _whole(file: Path | None) -> bytes:
    if file is None:
        held = sys.stdin.buffer.read(LARGEST + 1)
    else:
        try:
            with file.open("rb") as opened:
                held = opened.read(LARGEST + 1)
        except OSError as error:
            raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from None
    if len(held) > LARGEST:
        raise ConfigError(f"{file or 'standard input'}: is larger than {LARGEST >> 20} MiB, and no message is")
    return held


def _refuse_table(file: Path) -> None:
    if (why := packed(file)) is not None:
        raise ConfigError(why)
    if file.suffix.lower() in TABLES and file.is_file():
        raise ConfigError(
            f"{file}: explain reads messages, one JSON a line; of a table, `driftd reference fit --config` "
            "and `driftd backtest --input` say what they read from which column"
        )


def _record(topic: str, line: bytes, where: str) -> TopicRecords:
    """A record with all its parts, from `{"value": …, "key": …, "headers": [[name, value], …], "timestamp": …}`. Raises ConfigError."""
    try:
        held = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        held = None
    if not isinstance(held, dict):
        raise ConfigError(f'{where}: is no record such as {{"value": "…", "key": "…", "headers": [["name", "…"]]}}')
    known = {name: name for name in KEYS} | {f"{name}_base64": name for name in KEYS[:2]}
    if (odd := next((name for name in held if name not in known), None)) is not None:
        raise ConfigError(f"{where}: {odd} is no key of a record; valid here: {', '.join(known)}")
    return TopicRecords(
        topic,
        (_whole_number(held.get("partition", 0), f"{where}: partition"),),
        (_bytes(held, "value", where),),
        keys=(_bytes(held, "key", where),),
        stamps=(_stamp(held.get("timestamp"), f"{where}: timestamp"),),
        headers=(_headers(held.get("headers") or [], f"{where}: headers"),),
    )


def _bytes(held: Mapping[str, Any], name: str, where: str) -> bytes | None:
    """A part as text, in base64, or as JSON that it is."""
    packed_up = held.get(f"{name}_base64")
    if packed_up is None:
        said = held.get(name)
        return said.encode() if isinstance(said, str) else None if said is None else json.dumps(said).encode()
    try:
        return base64.b64decode(packed_up, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise ConfigError(f"{where}: {name}_base64: is no base64") from None


def _headers(said: Any, where: str) -> list[tuple[str, bytes | None]]:
    pairs = list(said.items()) if isinstance(said, dict) else said
    if isinstance(pairs, list) and all(isinstance(each, list | tuple) and len(each) == 2 for each in pairs):  # noqa: PLR2004 - name and value
        held = [(name, _header(value, where)) for name, value in pairs]
        if all(isinstance(name, str) for name, _ in held):
            return held
    raise ConfigError(f"{where}: must be a list of [name, value], a value being text, null or {{base64: …}}")


def _header(value: Any, where: str) -> bytes | None:
    if isinstance(value, dict) and value.keys() == {"base64"}:
        return _bytes({"value_base64": value["base64"]}, "value", where)
    return _bytes({"value": value}, "value", where)


def _stamp(said: Any, where: str) -> Nanos:
    """A timestamp: milliseconds, or RFC 3339; 0 where there is none."""
    try:
        return parse_time(said) if isinstance(said, str) else _whole_number(said or 0, where) * MILLISECOND
    except Rejected:
        raise ConfigError(f"{where}: {said} is no time such as 2026-11-01T12:00:00Z or milliseconds") from None


def _whole_number(said: Any, where: str) -> int:
    if isinstance(said, bool) or not isinstance(said, int) or not 0 <= said < 1 << 43:
        raise ConfigError(f"{where}: must be a whole number (is {said!r:.60})")
    return said


# --- a topic ------------------------------------------------------------------------------------------------------------


def _of_topic(choice: ExplainChoice, settings: Settings, topic: str) -> Iterator[tuple[str, TopicRecords]]:
    """The newest few, or those of a range of time."""
    try:
        if choice.first is None and choice.until is None:
            few = choice.limit or FEW
            found = newest_of(client_properties(settings.kafka), topic, each=few).records
            newest = sorted(range(len(found.values)), key=found.stamps.__getitem__)[-few:]
            yield from _single(found.only(newest))
            return
        ranged = kafka_range(settings, {topic: ALL}, range_of(choice.first, choice.until))
        with closing(ranged):
            ranged.open()
            for poll in ranged.polls():
                for records in poll.records:
                    yield from _single(records)
    except (SampleError, SourceError) as error:
        raise ConfigError(f"topics.{topic}: {error}") from None
    except KafkaException as error:
        raise ConfigError(f"kafka: {explain_client(error)}") from None


def _single(records: TopicRecords) -> Iterator[tuple[str, TopicRecords]]:
    for at in range(len(records.values)):
        yield f"{records.partitions[at]}@{records.numbers[at]}", records.only([at])

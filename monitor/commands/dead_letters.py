"""`driftd dead-letters`: what a directory of dead letters holds, one of them explained, and their bytes sent to their topic again."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from monitor.app import client_properties, explain_client
from monitor.clock import SystemClock
from monitor.commands.decide import cannot, pretty
from monitor.commands.exits import Exit
from monitor.commands.explain import as_text, decoder_for, explain_record
from monitor.configuration import load
from monitor.settings import ConfigError, Settings, load_settings
from monitor.sources.base import TopicRecords
from monitor.sources.kafka.client import SILENT
from monitor.store.dead_letters import DeadLetter, letters_in
from monitor.stream.events import MILLISECOND, Nanos

PLACE = re.compile(r"([A-Za-z0-9._-]{1,249})/([0-9]{1,10})/([0-9]{1,19})")
PATIENCE = 30.0  # seconds for a broker to take what is sent again


@dataclass(frozen=True, slots=True)
class LetterChoice:
    """Which dead letters: those of a topic, and rejected for a reason; None: all. `directory`: of the configuration where it is None."""

    config: Path
    directory: Path | None = None
    topic: str | None = None
    reason: str | None = None


def chosen(choice: LetterChoice) -> Iterator[DeadLetter]:
    """The letters, in the order written. Raises ConfigError, OSError and ValueError."""
    for each in letters_in(_place(choice)):
        reasons = {each.reason, *(why for _, why in each.rows)}
        if choice.topic in {None, each.topic} and (choice.reason is None or choice.reason in reasons):
            yield each


def _place(choice: LetterChoice) -> Path:
    if choice.directory is not None:
        return choice.directory
    kept = load_settings(choice.config).dead_letters
    if kept is None:
        raise ConfigError("dead_letters: the configuration keeps none; name a directory with --directory")
    if kept.directory is None:
        raise ConfigError(
            f"dead_letters.topic: they are in {kept.topic}, which any consumer reads; their headers begin with driftd-"
        )
    return choice.config.resolve().parent / kept.directory


# --- listed -----------------------------------------------------------------------------------------------------------


def show_all(choice: LetterChoice, *, as_json: bool) -> Exit:
    """Print how many there are, by topic and reason, with where the last of each stood. Raises ConfigError."""
    try:
        found = list(counted(choice))
    except (OSError, ValueError) as error:
        return cannot(f"dead letters cannot be read: {error}")
    if as_json:
        print(pretty(found))
    elif not found:
        print("there are no dead letters")
    for each in () if as_json else found:
        events = f"{each['events']} events in {each['records']} records"
        print(f"{each['topic']}  {each['reason']}  {events}, the last {each['last']}")
    return Exit.OK


def counted(choice: LetterChoice) -> Iterator[dict[str, Any]]:
    """Counts by topic and reason. A record with several reasons counts under each. Raises ConfigError, OSError and ValueError."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for each in chosen(choice):
        by_reason: dict[str, int] = {}
        for _, reason in each.rows or [(None, each.reason)] * each.events:
            by_reason[reason] = by_reason.get(reason, 0) + 1
        for reason, events in by_reason.items():
            place = each.topic, reason
            held = found.setdefault(
                place, {"topic": each.topic, "reason": reason, "records": 0, "events": 0, "last": ""}
            )
            held["records"] += 1 if each.last_offset is None else each.last_offset - each.offset + 1
            held["events"] += events
            held["last"] = name_of(each)
    yield from (found[place] for place in sorted(found))


def name_of(letter: DeadLetter) -> str:
    """Where a record stood, as `show` takes it."""
    return f"{letter.topic}/{letter.partition}/{letter.offset}"


# --- one of them ------------------------------------------------------------------------------------------------------


def show_one(choice: LetterChoice, place: str) -> Exit:
    """Print one, with what the decoder makes of it today. Raises ConfigError."""
    if (named := PLACE.fullmatch(place)) is None:
        raise ConfigError(f"{place}: is no place such as predictions/0/1234, which dead-letters list tells")
    topic, partition, offset = named[1], int(named[2]), int(named[3])
    try:
        letter = next((each for each in chosen(choice) if _stood(each, topic, partition, offset)), None)
    except (OSError, ValueError) as error:
        return cannot(f"dead letters cannot be read: {error}")
    if letter is None:
        print(f"{place} is not among them")
        return Exit.NO
    for line in told(letter):
        print(line)
    settings = load_settings(choice.config)
    if letter.last_offset is None and letter.topic in {each.name for each in settings.topics}:
        configuration = load(settings, choice.config.resolve().parent, needs_secrets=False, file=choice.config)
        decoder = decoder_for(configuration, letter.topic)
        explanations = list(explain_record(decoder, record_of(letter), SystemClock().now()))
        for line in as_text(decoder, "today", explanations, None):
            print(line)
    return Exit.OK


def _stood(letter: DeadLetter, topic: str, partition: int, offset: int) -> bool:
    last = letter.offset if letter.last_offset is None else letter.last_offset
    return (letter.topic, letter.partition) == (topic, partition) and letter.offset <= offset <= last


def told(letter: DeadLetter) -> Iterator[str]:
    """A dead letter for people: bytes as text, what cannot be shown escaped."""
    if letter.last_offset is not None:
        yield f"{name_of(letter)} to {letter.last_offset}: rejected: {letter.reason}; nobody has their bytes"
        return
    when = "" if letter.time is None else f", of {letter.time:%Y-%m-%dT%H:%M:%S.%fZ}"
    yield f"{name_of(letter)}{when}: rejected: {letter.reason}"
    yield from (f"   row {row}: {reason}" for row, reason in letter.rows)
    if letter.key is not None:
        yield f"   key: {escaped(letter.key)}"
    yield from (f"   header {name!r}: {'none' if value is None else escaped(value)}" for name, value in letter.headers)
    yield "   no value" if letter.value is None else f"   value: {escaped(letter.value)}"


def escaped(raw: bytes) -> str:
    """Bytes as text that a terminal takes for nothing else."""
    return repr(raw)[2:-1] if not raw.isascii() else raw.decode("ascii").encode("unicode_escape").decode()


def stamp_of(letter: DeadLetter) -> Nanos:
    """The broker's timestamp, 0 where there was none. It is whole milliseconds; floats are not that exact in nanoseconds."""
    return 0 if letter.time is None else round(letter.time.timestamp() * 1000) * MILLISECOND


def record_of(letter: DeadLetter) -> TopicRecords:
    """The record as it was read."""
    return TopicRecords(
        letter.topic,
        (letter.partition,),
        (letter.value,),
        keys=(letter.key,),
        numbers=(letter.offset,),
        stamps=(stamp_of(letter),),
        headers=(letter.headers,),
    )


# --- sent again -------------------------------------------------------------------------------------------------------


def replay(choice: LetterChoice, *, send: bool) -> Exit:
    """Send key, value, headers and timestamp as they came to the topics that they came from; unless `send`, only count them. Raises ConfigError."""
    settings = load_settings(choice.config)
    topics = {each.name for each in settings.topics}
    try:
        letters = (each for each in chosen(choice) if each.last_offset is None and each.topic in topics)
        count = _sent(settings, letters) if send else sum(1 for _ in letters)
    except (OSError, ValueError, KafkaException) as error:
        return cannot(f"dead letters: {explain_client(error) if isinstance(error, KafkaException) else error}")
    print(f"{count} records {'were sent again' if send else 'would be sent again; --send does it'}")
    return Exit.OK


def _sent(settings: Settings, letters: Iterator[DeadLetter]) -> int:
    """How many were taken by the broker. Raises KafkaException for the first that was not."""
    refused: list[KafkaError] = []
    properties = {
        **client_properties(settings.kafka),
        "enable.idempotence": True,
        "message.timeout.ms": int(PATIENCE * 1000),
    }
    producer, count = Producer(properties, logger=SILENT), 0

    def answered(error: KafkaError | None, _message: object) -> None:
        if error is not None:
            refused.append(error)

    for each in letters:
        while True:
            try:
                headers: list[tuple[str, str | bytes | None]] = list(each.headers)
                producer.produce(
                    each.topic,
                    each.value,
                    each.key,
                    each.partition,
                    headers=headers,
                    timestamp=stamp_of(each) // MILLISECOND,
                    on_delivery=answered,
                )
                break
            except BufferError:
                producer.poll(1.0)
        producer.poll(0)
        count += 1
        if refused:
            break
    unanswered = producer.flush(PATIENCE + 5)
    if refused or unanswered:
        raise KafkaException(refused[0] if refused else KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - librdkafka's own code
    return count

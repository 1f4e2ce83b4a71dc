"""Messages that look like a format of their own: the events in them, for `driftd init` to look at as at any others."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from monitor.settings import ConfigError
from monitor.sources.base import TopicRecords
from monitor.sources.decode import naming
from monitor.sources.decode.mapping import inspect_record
from monitor.sources.formats.fields import FieldMap, Path, TopicFields
from monitor.sources.formats.logged import LogDecoder
from monitor.sources.formats.registry import (
    UnknownFormatError,
    decoder_of,
    gives_halves,
    options_of,
    recognised,
    untimed,
)
from monitor.sources.formats.values import Rejected

GENERAL = ("cloudevents", "json-batch", "json-lines")  # what a format of a serving stack may look like, too
ENVELOPE = {("ts",), ("model",), ("version",), ("id",), ("prediction",)}  # of the row that needs no mapping
BESIDE = {"features", "outputs", "kserve", "seldon"}  # below which it has what it pleases
ABOUT = "__"  # how formats call what is about a row and no part of it, such as the version of a connector
MOST_ASTRAY = 0.2  # of the messages of a topic: malformed ones, or such as somebody tried out
LOOKED_AT = 100  # of the messages, one by one

TIME, FEATURES = "ts", "features"  # of a row that needs no mapping
ANSWERS = {"prediction", "predictions", "outputs", "response"}
NO_FEATURES = {"ts", "model", "version", "id", "ce", *ANSWERS}

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recognised:
    """The format of some messages, and the events in them as objects.

    `canonical`: each lies where the default mapping looks. `broker_timed`: none says when it was; the broker does. `others` they look like, too.
    """

    form: str
    rows: Sequence[Row]
    canonical: bool
    broker_timed: bool
    others: tuple[str, ...] = ()

    @property
    def apart(self) -> bool:
        """Whether messages are requests and responses: nobody joins them on the way to a reference."""
        return gives_halves(self.form)


def recognise(records: TopicRecords, where: str, *, logs_alone: bool = False) -> Recognised | None:
    """What some messages are, and their events; None where they look like no format but JSON. Raises ConfigError.

    `logs_alone`: they are rows of a table, which a log of predictions may be.
    """
    held = records.only([at for at, value in enumerate(records.values) if value])
    names = sorted(recognised(held) or recognised_of_most(held), key=lambda name: (name in GENERAL, name))
    names = [name for name in names if not logs_alone or is_log(name)]
    refused, reasons = "", Counter[str]()
    for name in names:
        try:
            rows = list(events_of(name, held, reasons))
        except (UnknownFormatError, ValidationError) as error:
            refused = refused or f"{where}: messages look like {name}, which needs options: {_first_line(error)}"
            continue
        if rows:
            return _recognised(name, rows, tuple(other for other in names if other != name))
    if names:
        why = f": {', '.join(reasons)} (docs/formats/{names[0]}.md)" if reasons else ""
        raise ConfigError(refused or f"{where}: messages look like {names[0]}, and none of them holds an event{why}")
    return None


def is_log(name: str) -> bool:
    """Whether a format is one of logs, whose messages rows of a table may be."""
    try:
        options = options_of(name)
        made = decoder_of(name, TopicFields((), FieldMap(), options=None if options is None else options()))
    except (UnknownFormatError, ValidationError):
        return False
    return isinstance(made, LogDecoder)


def recognised_of_most(records: TopicRecords) -> list[str]:
    """The formats that messages look like but for a few that look like none of them."""
    places = range(0, len(records.values), -(-len(records.values) // LOOKED_AT) or 1)
    alike = {at: frozenset(recognised(records.only([at]))) for at in places}
    votes = Counter(name for names in alike.values() for name in names)
    usual = {name for name, count in votes.items() if count >= (1 - MOST_ASTRAY) * len(places)}
    kept = records.only([at for at, names in alike.items() if names & usual])
    return [name for name in recognised(kept) if name in usual] if usual else []


def events_of(name: str, records: TopicRecords, reasons: Counter[str]) -> Iterator[tuple[Mapping[Path, object], int]]:
    """The rows of messages in a format, each with the broker's time of its record, 0 where there is none; others are counted by their reasons."""
    options = options_of(name)
    topic = TopicFields((), FieldMap(), name=records.topic, options=None if options is None else options())
    decoder = decoder_of(name, topic)
    for at in range(len(records.values)):
        try:
            rows = list(inspect_record(decoder, records.only([at])))
        except Rejected as reason:
            reasons[str(reason)] += 1
            continue
        yield from ((row, records.stamps[at] if records.stamps else 0) for row in rows)


def _recognised(name: str, held: Sequence[tuple[Mapping[Path, object], int]], others: tuple[str, ...]) -> Recognised:
    paths = {path for row, _ in held for path in row if row.get(path) is not None}
    canonical = all(path in ENVELOPE or path[0] in BESIDE for path in paths if path)
    timed = canonical and ("ts",) not in paths and all(stamp for _, stamp in held)
    shaped = any(path[:1] == ("features",) for path in paths)
    rows = [
        nested(_without_about(row) if shaped else row) | ({"ts": _text_of(stamp)} if timed else {})
        for row, stamp in held
    ]
    return Recognised(name, rows, canonical, timed, others)


def _without_about(row: Mapping[Path, object]) -> dict[Path, object]:
    return {path: row.get(path) for path in row if path and not path[0].startswith(ABOUT)}


def nested(row: Mapping[Path, object]) -> dict[str, Any]:
    """A row as the object that a message of JSON would be."""
    made: dict[str, Any] = {}
    for path in row:
        held = made
        for name in path[:-1]:
            below = held.setdefault(name, {})
            held = below if isinstance(below, dict) else {}
        if path:
            held[path[-1]] = _plain(row.get(path))
    return made


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else _text_of(int(value.astype("datetime64[ns]").astype(np.int64)))
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 - NaN


def _text_of(nanos: int) -> str:
    return f"{np.datetime64(nanos // 1_000, 'us')}Z"


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'options'}: {first['msg']}"
    return next(iter(str(error).splitlines()), type(error).__name__)


# --- what is no event ---------------------------------------------------------------------------------------------------


def cause(rows: Sequence[Row], form: Recognised | None, *, is_file: bool) -> str:
    """Why messages that are something are no events, and what to do; empty where that is not known."""
    named = "messages" if form is None else f"messages look like {form.form}, and"
    said = names_in(rows)
    if form is not None and TIME not in said and (why := untimed(form.form) or _untimed(form, said, is_file=is_file)):
        return f"{named} none of them says when it was: {why}"
    if FEATURES in said or not any(
        name in ANSWERS or naming.rank((name,), naming.PREDICTIONS) is not None for name in said
    ):
        return ""
    return (
        f"{named} are answers alone, without what was asked: name a topic or file that holds the requests too, or configure both "
        "as halves of predictions (docs/formats/halves.md)"
    )


def _untimed(form: Recognised, said: Collection[str], *, is_file: bool) -> str:
    """What to do where messages of any format say no time."""
    stands_in = is_file and form.canonical and bool(said)
    return (
        "they say no time; on a topic the broker's timestamp stands in: init --kafka BROKERS --topic NAME"
        if stands_in
        else ""
    )


def is_sure(rows: Sequence[Row], form: Recognised | None) -> bool:
    """Whether nothing in the rows of a format could be a feature that stands elsewhere."""
    return form is not None and (form.canonical or names_in(rows) <= NO_FEATURES)


def names_in(rows: Sequence[Row]) -> set[str]:
    """The outermost names that hold anything."""
    return {name for row in rows for name, value in row.items() if value not in (None, {})}

"""What the mapping makes of a few messages of each topic: how many it takes, of which model, what they lack and bring."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from detectors.sketches.groups import FEWEST
from detectors.sketches.identity import hashes_of
from monitor.app import build_decoder, client_properties
from monitor.clock import SystemClock
from monitor.commands.explain import Totals, explain_record
from monitor.configuration import Configuration
from monitor.series.series import SeriesSpec
from monitor.settings.schema import TopicSettings
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import PREDICTION
from monitor.sources.formats.json import hint
from monitor.sources.formats.values import Rejected
from monitor.sources.kafka.newest import Sample, SampleError, newest_of

RARE = 1e-4  # a feature that is missing in all messages by chance, less often than this, is not there
SHOWN = 10
UNFRAMED = {"json", "json-batch", "json-lines"}  # formats of which none has a frame
IDENTITIES = "id", "group"  # that are read as texts and numbers only
WITHOUT = {"id": "of the others no repeats are seen", "group": "the others are taken to be of groups like these"}
TOO_FEW = "a window of so few counts as a usual one"
OFTEN = 0.9  # a path that fewer rows have may not be the one that was meant
MANY = 20  # rows of one group that make one wonder


@dataclass(slots=True)
class TopicSample:
    """What became of some messages of a topic. `lacking` and `unknown` are features, by series.

    `absent` are the paths that are mapped and that no message has, by what they are of; `remarks` say so, and what else is odd there.
    `new_versions` are the unmonitored rows of versions that `new_versions` follows once the daemon has seen them.
    """

    topic: str
    read: int
    held: int
    totals: Totals
    lacking: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    new_versions: int = 0

    def words(self) -> str:
        """In a line."""
        return (
            f"topic {self.topic}: of {self.read:,} messages read, {self.totals.words()}{self._followed()}"
            if self.read
            else (
                f"topic {self.topic}: holds no message yet"
                if not self.held
                else f"topic {self.topic}: no message could be read"
            )
        )

    def _followed(self) -> str:
        return (
            f"; {self.new_versions:,} of them of new versions, which `new_versions` follows"
            if self.new_versions
            else ""
        )

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {"read": self.read, **self.totals.document(), "lacking": self.lacking, "absent": self.absent}

    def warnings(self) -> Iterator[str]:
        """What is taken all the same, but hardly as it was meant."""
        for remark in self.remarks:
            yield f"topics.{self.topic}.fields.{remark}"


def sample_topics(configuration: Configuration, topics: Sequence[str], patience: float) -> Iterator[TopicSample]:
    """Read a few messages of each topic. What cannot be read is a problem."""
    for topic in topics:
        try:
            sample = newest_of(client_properties(configuration.settings.kafka), topic, patience)
        except SampleError as error:
            yield TopicSample(topic, 0, 0, Totals(), problems=[f"topics.{topic}: cannot be read: {error}"])
        else:
            yield sampled(configuration, topic, sample)


def sampled(configuration: Configuration, name: str, sample: Sample) -> TopicSample:
    """What the mapping makes of a sample."""
    topic = next(topic for topic in configuration.settings.topics if topic.name == name)
    decoder, now = build_decoder(configuration, topic), SystemClock().now()
    totals, new = Totals(), 0
    by_series: dict[str, Totals] = {}
    following = {model.name for model in configuration.settings.models if model.new_versions is not None}
    records = held_of(sample.records)
    for at in range(len(records.values)):
        for explanation in explain_record(decoder, records.only([at]), now):
            totals.count(explanation)
            new += explanation.outcome == "unmonitored" and bool(explanation.version) and explanation.model in following
            if explanation.outcome == "ok":
                by_series.setdefault(f"{explanation.model}/{explanation.version}", Totals()).count(explanation)
    found = TopicSample(name, len(records.values), sample.held, totals, new_versions=new)
    predicted = topic.kind == "predictions"
    for spec in configuration.specs:
        if (seen := by_series.get(f"{spec.key.model}/{spec.key.version}")) is not None:
            lacking = absent_features(spec, seen, predicted=predicted)
            if lacking:
                found.lacking[str(spec.key)] = lacking
                found.problems.append(lacking_words(name, spec, seen, lacking))
    if totals.outcomes["ok"]:
        look_at_paths(found, topic, decoder, records)
    elif records.values and not new:
        away = decoder.away(records)
        found.problems.append(
            nothing_taken(topic, totals, records.values)
            if away is None
            else f"topics.{name}: none of {len(records.values):,} messages can be read now: {away}"
        )
    return found


def held_of(records: TopicRecords) -> TopicRecords:
    """The records that have a value."""
    return records.only([at for at, value in enumerate(records.values) if value is not None])


def look_at_paths(found: TopicSample, topic: TopicSettings, decoder: TopicDecoder, records: TopicRecords) -> None:
    """Say what stands at the paths of model, version, id and group that somebody has set: an event without them is taken too."""
    said = {
        name: getattr(topic.fields, name)
        for name in ("model", "version", *IDENTITIES)
        if name in topic.fields.model_fields_set
    }
    rows = list(_rows_of(decoder, records))
    for name, path in said.items():
        if not isinstance(path, str) or not path:
            continue
        held = [row.get(tuple(path.split("."))) for row in rows]
        there = [value for value in held if value is not None]
        if not there:
            found.absent[name] = path
            found.remarks.append(f"{name}: none of {found.read:,} messages has {path}")
        elif name in IDENTITIES and (remark := _identity_remark(name, path, held)):
            found.remarks.append(f"{name}: {remark}")


def _rows_of(decoder: TopicDecoder, records: TopicRecords) -> Iterator[Mapping[tuple[str, ...], object]]:
    for at in range(len(records.values)):
        with suppress(Rejected):
            yield from decoder.inspect(records.only([at]))


def _identity_remark(name: str, path: str, held: Sequence[object]) -> str | None:
    """What is odd about the ids or the groups of some rows; None where nothing is."""
    hashes = hashes_of(np.fromiter(held, dtype=object, count=len(held)), len(held))
    known = hashes[hashes > 0]
    if not known.size:
        return f"none of {len(held):,} rows has a text or a number at {path}, which alone is read as {name}"
    if known.size < OFTEN * len(held):
        few = name == "group" and known.size * FEWEST < len(held)
        return f"{known.size:,} of {len(held):,} rows have {path}; {TOO_FEW if few else WITHOUT[name]}"
    if name == "group" and known.size >= MANY and (known == known[0]).all():
        return f"all {known.size:,} rows have the same {path}: rows of one group weigh as one row"
    return None


def absent_features(spec: SeriesSpec, seen: Totals, *, predicted: bool) -> list[str]:
    """The features that no message holds, and that the reference holds too often for that to be chance."""
    rows, reference = seen.outcomes["ok"], spec.reference
    return [
        name
        for name, feature in reference.features.items()
        if seen.missing[name] == rows
        and (predicted or name != PREDICTION)
        and (1 - feature.count / reference.rows) ** rows < RARE
    ]


def lacking_words(topic: str, spec: SeriesSpec, seen: Totals, lacking: Sequence[str]) -> str:
    """A reference of other columns than the messages."""
    of = f"{len(lacking)} of the reference's {len(spec.reference.names)} features"
    unknown = f"; they hold {_some(list(seen.unknown))}, which it does not know" if seen.unknown else ""
    rows = seen.outcomes["ok"]
    return f"topics.{topic}: none of {rows:,} messages of {spec.key} has {_some(lacking)}: {of}{unknown}"


def nothing_taken(topic: TopicSettings, totals: Totals, values: Sequence[bytes | None]) -> str:
    """A mapping that takes no message."""
    help_ = hint(values[0] or b"") if topic.format in UNFRAMED else None
    more = f": they are {help_}" if help_ else "; `driftd explain` shows why"
    return f"topics.{topic.name}: the mapping takes none of {len(values):,} messages: {totals.words().partition(': ')[2]}{more}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more

"""The halves of predictions of one series: joined to events as if they had come whole, and saved while they wait."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.encoding import PREDICTION
from detectors.features import Floats
from detectors.sketches.served import BINS, UNKNOWN, bins_of
from detectors.sketches.violations import PART
from monitor.facts import Fact, HalvesCounted, RequestsServed, StateReset
from monitor.series.contract import ID, TIME, ContractSpec
from monitor.series.records import Entry, Owner, Record
from monitor.series.truth import Truth
from monitor.stream.events import EventBatch, HalfBatch, JoinBatch, Nanos, SeriesKey
from monitor.stream.halves import (
    FAILED,
    HALVES,
    REQUEST,
    RESPONSE,
    TIMED,
    TOLD,
    HalfJoin,
    HalfShape,
    HalfSpec,
    Pairs,
    Rows,
    WaitingRows,
    stretches,
)
from monitor.stream.join import INLINE, LABEL, no_rows, rows_of
from monitor.stream.join import PREDICTION as PREDICTIONS
from monitor.stream.violations import RowViolations, of_weights

VIEW = "halves"  # the name of its rows in the store
STATE = "state"
STRETCHES = 8  # that rows wait through: each is saved by itself, and dropped as a whole
PIECES = 32  # that a stretch is saved in before it is written anew
MEMORY = 25_600_000  # bytes of rows, unless something else is said: 64 MB with all that is about them
LONGEST = 86_400.0  # seconds: what takes longer is added as a day, or one broken number would be all of the sum


@dataclass(frozen=True, slots=True)
class HalvesWait:
    """How long halves wait for each other, event time in nanoseconds, and the bytes of rows that they may take.

    `unanswered`: a request that nobody answers counts, without a prediction.
    """

    wait: Nanos
    memory: int = MEMORY
    unanswered: bool = False


def half_shape(
    numeric: Sequence[str],
    categorical: Sequence[str],
    truth: Truth | None,
    contract: ContractSpec | None,
    *,
    sampled: bool = False,
) -> HalfShape:
    """The columns of the halves of a series: of its reference by name, of its labels and of its contract; `sampled`: of a log that says how much it holds."""
    predicted = None
    for kind, names in enumerate((numeric, categorical)):
        if PREDICTION in names:
            predicted = kind, list(names).index(PREDICTION)
    labels = "" if truth is None else msgspec.json.encode([truth.task, truth.classes, truth.label_classes]).decode()
    rules = () if contract is None else tuple(contract.rules({*numeric, *categorical, ID, TIME}))
    return HalfShape(len(numeric), len(categorical), predicted, labels, rules, sampled)


class SavedHalves(msgspec.Struct):
    """The join as saved, without its rows; `pieces` by kind: the number of a stretch, and how many it is saved in."""

    fingerprint: str
    stretch: int
    topics: list[str]
    clock: int | None
    evicted_until: int | None
    pieces: dict[str, list[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Joined:
    """What halves came to: events, what of them is joined with labels, and facts."""

    batches: Sequence[EventBatch] = ()
    joins: Sequence[JoinBatch] = ()
    facts: Sequence[Fact] = ()


class SeriesHalves:
    """The halves of one series at work."""

    def __init__(self, key: SeriesKey, spec: HalfSpec) -> None:
        self.key = key
        self.join = HalfJoin(spec)
        self._stretch = max(spec.step, spec.wait // STRETCHES)
        self._owner = Owner(key, VIEW)
        self._pieces: dict[str, dict[int, int]] = {kind: {} for kind in self.join.kinds}  # by stretch
        self._gone: list[Entry] = []  # rows that the store still holds
        self._changed = False

    def take(self, batch: HalfBatch) -> Joined:
        """Take halves, and give what they and others come to."""
        self._changed = True
        pairs = self.join.add(batch)
        facts, unanswered = self._counted(pairs.counts), self._unanswered()
        if not pairs.requests.size:
            return Joined(unanswered.batches, facts=[*facts, *unanswered.facts])
        whole = WholeRows(self.key, self.join.spec.shape, pairs)
        batches = [*self._by_topic(whole.batch(), pairs.requests), *unanswered.batches]
        return Joined(batches, whole.joins(), [*facts, *whole.served_facts(), *unanswered.facts])

    def expire(self, watermark: int) -> Joined:
        """Give up what has waited long enough; requests among it may count all the same."""
        before = self.join.clock
        facts, unanswered = self._counted(self.join.expire(watermark)), self._unanswered()
        self._changed |= self.join.clock != before and bool(self.join.topics)
        return Joined(unanswered.batches, facts=[*facts, *unanswered.facts])

    @property
    def unanswered_until(self) -> Nanos | None:
        """When the last request was that waits, and counts even if nobody answers it; None where there is none."""
        waiting = self.join.sides[REQUEST]
        if not self.join.spec.unanswered or not waiting.count:
            return None
        return int(waiting.rows["time"][waiting.places].max())

    def _unanswered(self) -> Joined:
        """Requests that nobody answered, in the order of their times, as events without a prediction."""
        rows = self.join.take_unanswered()
        if not rows.size:
            return Joined()
        rows = rows[np.argsort(rows["time"], kind="stable")]
        alone = WholeRows(self.key, self.join.spec.shape, Pairs(rows, self._no_answers(rows.size)))
        return Joined(self._by_topic(alone.batch(), rows), facts=alone.served_facts())

    def _no_answers(self, count: int) -> Rows:
        """Responses of which all is missing."""
        shape = self.join.spec.shape
        rows = np.zeros(count, dtype=shape.dtype(RESPONSE))
        rows["numeric"] = rows["latency"] = np.nan
        rows["codes"] = shape.no_prediction
        return rows

    def _by_topic(self, events: EventBatch, requests: Rows) -> list[EventBatch]:
        topics = requests["topic"]
        return [
            replace(events.where(topics == topic), topic=self.join.topics[topic])
            for topic in np.unique(topics).tolist()
        ]

    def _counted(self, counts: Counter[tuple[str, int, str]]) -> list[Fact]:
        held: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
        for (topic, half, outcome), count in counts.items():
            held[topic, half][outcome] = count
        return [HalvesCounted(self.key, topic, HALVES[half], outcomes) for (topic, half), outcomes in held.items()]

    # --- state --------------------------------------------------------------------------------------------------

    def changes(self) -> list[Record]:
        """The records that changed since the last call: rows that came and still wait, the ids of those that met."""
        if not self._changed and not self._gone:
            return []
        gone, self._gone, self._changed = self._gone, [], False
        entries = [*gone, *self._over()]
        for kind, waiting in self.join.kinds.items():
            entries += self._new_pieces(kind, waiting)
        last = {(entry.kind, entry.number): entry for entry in entries}  # what is gone may be written anew
        return [self._owner.record(entry) for entry in (*last.values(), self._entry())]

    def snapshot(self) -> list[Record]:
        """All state as records; of a series that never had a half none."""
        if not self.join.topics:
            return []
        self._pieces = {kind: {} for kind in self.join.kinds}
        for waiting in self.join.kinds.values():
            waiting.unsaved[waiting.places] = True
        self._changed = True
        return self.changes()

    def _over(self) -> Iterator[Entry]:
        """The stretches of which no row can be there any more."""
        if self.join.clock is None:
            return
        needed_from = (self.join.clock - self.join.spec.wait) // self._stretch
        for kind, held in self._pieces.items():
            for number in [number for number in held if number < needed_from]:
                yield from (_piece(kind, number, piece, None) for piece in range(held.pop(number)))

    def _new_pieces(self, kind: str, waiting: WaitingRows) -> Iterator[Entry]:
        held, places = self._pieces[kind], np.flatnonzero(waiting.unsaved)
        for number, fresh in stretches(waiting.rows.take(places), self._stretch):
            rows, piece = fresh, held.get(number, 0)
            if piece == PIECES:
                yield from (_piece(kind, number, each, None) for each in range(1, piece))
                every = waiting.rows.take(waiting.places)
                rows, piece = every[every["time"] // self._stretch == number], 0
            yield _piece(kind, number, piece, rows.tobytes())
            held[number] = piece + 1
        waiting.unsaved[places] = False

    def _entry(self) -> Entry:
        join = self.join
        pieces = {kind: list(held.items()) for kind, held in self._pieces.items()}
        saved = SavedHalves(
            join.spec.shape.fingerprint, self._stretch, join.topics, join.clock, join.evicted_until, pieces
        )
        return Entry(STATE, msgspec.json.encode(saved))

    def restore(self, entries: Sequence[Entry]) -> list[Fact]:
        """Take up saved state; what had to be dropped is said."""
        states = [msgspec.json.decode(each.held, type=SavedHalves) for each in entries if each.kind == STATE]
        if not states:
            return []
        [saved] = states
        pieces = [each for each in entries if each.kind != STATE]
        alike = saved.fingerprint == self.join.spec.shape.fingerprint
        self.join.topics = saved.topics
        self.join.evicted_until = saved.evicted_until
        if alike and saved.stretch == self._stretch:
            self.join.clock = saved.clock
            self._pieces |= {kind: dict(held) for kind, held in saved.pieces.items()}
        else:
            self._gone = [Entry(each.kind, None, each.number) for each in pieces]
            self._changed = True
        if alike:
            self._restore_rows(pieces, moved=saved.stretch != self._stretch)
            return []
        return [StateReset(self.key, "halves of predictions are joined otherwise: those that waited are forgotten")]

    def _restore_rows(self, pieces: Sequence[Entry], *, moved: bool) -> None:
        held = defaultdict[str, list[Rows]](list)
        for each in pieces:
            held[each.kind].append(np.frombuffer(each.held, dtype=self.join.kinds[each.kind].rows.dtype))
        self.join.restore(held)
        for waiting in self.join.kinds.values() if moved else ():
            waiting.unsaved[waiting.places] = True


def _piece(kind: str, number: int, piece: int, payload: bytes | None) -> Entry:
    return Entry(kind, payload, number * PIECES + piece)


# --- whole rows ---------------------------------------------------------------------------------------------------------


class WholeRows:
    """Pairs of halves as rows: features, id and time of the request, the prediction of the response, all else of whichever has it."""

    def __init__(self, key: SeriesKey, shape: HalfShape, pairs: Pairs) -> None:
        self._key = key
        self._shape = shape
        self._requests, self._responses = pairs.requests, pairs.responses

    def batch(self) -> EventBatch:
        """As events, of no topic."""
        requests, responses = self._requests, self._responses
        numeric = np.empty((requests.size, self._shape.numbers), order="F")
        codes = np.empty((requests.size, self._shape.categories), dtype=np.int32, order="F")
        for half, rows in zip(HALVES, (requests, responses), strict=True):
            numbers, categories = self._shape.columns(half)
            numeric[:, numbers], codes[:, categories] = rows["numeric"], rows["codes"]
        groups = np.where(requests["group"] != 0, requests["group"], responses["group"])
        return EventBatch(
            self._key,
            "",
            np.ascontiguousarray(requests["time"]),
            numeric,
            codes,
            ids=np.ascontiguousarray(requests["high"]),
            groups=groups if groups.any() else None,
            served=self._served(),
            violations=of_weights(self._violations(), self._weights()),
        )

    def joins(self) -> list[JoinBatch]:
        """What of them is joined with labels."""
        if not self._shape.labels:
            return []
        requests, responses = self._requests, self._responses
        columns = {name: requests[name] for name in ("high", "low", "time")}
        predictions = rows_of(PREDICTIONS, **columns, value=responses["value"])
        known = ~np.isnan(responses["label"])
        label, weight = (np.where(known, responses[name], requests[name]) for name in ("label", "weight"))
        there = ~np.isnan(label)
        labels = rows_of(LABEL, **columns, offset=INLINE, value=label, weight=weight)[there]
        return [JoinBatch(self._key, predictions, labels if there.any() else no_rows(LABEL))]

    def _latency(self) -> Floats:
        said, asked = self._responses["latency"], self._requests["latency"]
        return np.asarray(np.where(np.isnan(said), asked, said))

    @property
    def _said(self) -> NDArray[np.int8]:
        return np.asarray(self._requests["served"] | self._responses["served"])

    def _served(self) -> NDArray[np.int16] | None:
        said = self._said
        if not said.any():
            return None
        served = np.full((said.size, 2), UNKNOWN, dtype=np.int16)
        served[:, 0] = bins_of(self._latency())
        told = np.asarray(said & TOLD, dtype=np.bool_)
        served[told, 1] = np.asarray(said & FAILED, dtype=np.bool_)[told]
        return served

    def served_facts(self) -> list[Fact]:
        """How their requests were served."""
        served, said = self._served(), self._said
        if served is None:
            return []
        bins, seconds = served[:, 0], self._latency()
        timed = np.bincount(bins[bins != UNKNOWN], minlength=BINS) if np.any(said & TIMED) else None
        total = float(np.minimum(seconds[bins != UNKNOWN], LONGEST).sum())
        told = int(np.count_nonzero(served[:, 1] != UNKNOWN))
        return [RequestsServed(self._key, timed, total, told, int(np.count_nonzero(served[:, 1] == 1)))]

    def _weights(self) -> NDArray[np.int64] | None:
        """How many requests each stands for: as the request says, else the response."""
        if not self._shape.sampled:
            return None
        asked, said = self._requests["sampled"], self._responses["sampled"]
        weights = np.where(asked != 0, asked, said)
        return np.where(weights != 0, weights, PART) if weights.any() else None

    def _violations(self) -> RowViolations | None:
        rules = self._shape.rules
        if not rules:
            return None
        flags = np.unpackbits(self._requests["broken"] | self._responses["broken"], axis=1, count=len(rules) + 1)
        broken = np.asarray(flags.any(axis=0))[:-1]
        if not broken.any():
            return None
        rows = np.ascontiguousarray(flags[:, :-1].T[broken].astype(np.bool_))
        excluded = flags[:, -1].astype(np.bool_)
        of = tuple(rule for rule, found in zip(rules, broken.tolist(), strict=True) if found)
        return RowViolations(of, rows, excluded if excluded.any() else None)


def broken_flags(shape: HalfShape, found: RowViolations | None, rows: int) -> NDArray[np.uint8]:
    """The rules that rows break, and whether they are counted as that alone, as flags of a waiting row, uint8[n, b]."""
    flags = np.zeros((rows, len(shape.rules) + 1), dtype=np.bool_)
    if found is None or not shape.rules:
        return np.zeros((rows, shape.broken_bytes), dtype=np.uint8)
    places: Mapping[Any, int] = {rule: at for at, rule in enumerate(shape.rules)}
    for rule, those in zip(found.rules, found.rows, strict=True):
        if rule in places:
            flags[:, places[rule]] = those
    if found.excluded is not None:
        flags[:, -1] = found.excluded
    return np.packbits(flags, axis=1)

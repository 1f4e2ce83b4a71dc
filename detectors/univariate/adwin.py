"""Adaptive windowing over panes: where the mean of each numeric feature stands since it last changed."""

import io
import struct
import zlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from operator import length_hint
from typing import Any, ClassVar, Self

import numpy as np

from detectors import special
from detectors.baseline import Baseline
from detectors.features import Bools, Floats, Ints, every, some
from detectors.protocols import DetailMetric, Detector, JudgedWindows
from detectors.scores import DriftScore, ScoreColumns
from detectors.sketches import Sketch, Tally, TallyStack
from detectors.univariate.laws import limits_by_place, usable_rows

PANES = 64  # remembered for display; the detector itself remembers as many as it likes
CLIP = 8.0  # standard errors: no single pane decides alone
SPARE = 16  # panes that there is room for
FEWEST = 2  # usable rows that make a pane
DELTA = 5e-4  # where no budget sets it
CLOCK = 32  # values of a stream between two checks, as in river
HEADER = struct.Struct("<4sB16s8sdQ")  # magic, version, river version, reference hash, delta, panes fed
MAGIC = b"dADW"
VERSION = 2


def _river(delta: float, clock: int) -> Any:
    # River's own window, not the shell around it: `river.drift` takes a second and 60 MB to import, and the shell forgets
    # the newer panes too after a change, where the algorithm keeps them.
    from river._river_rust.drift import AdaptiveWindowing

    return AdaptiveWindowing(delta=delta, clock=clock)


def _river_version() -> bytes:
    """Return the version that the inner state belongs to; another one may not read it."""
    return metadata.version("river").encode()[:16].ljust(16, b"\0")


@dataclass(slots=True, eq=False)
class Adwin(Detector):
    """|mean shift| of each numeric feature in the baseline's sd, over the panes since ADWIN last saw a change.

    By itself it watches a single stream of numbers by river's conventions: `update` takes one, and `drift_detected` says
    whether it completed a change. After a change the window starts anew.

    Args:
        delta: Bounds false cuts a check for values in [0, 1]. Of panes it is a tuned number, see `AdwinBank`.
        clock: Values of a stream between two checks.

    References:
        Bifet and Gavaldà 2007, Learning from time-changing data with adaptive windowing.

    >>> adwin = Adwin(delta=0.002)
    >>> [place for place, x in enumerate([0.0] * 1000 + [1.0] * 1000) if adwin.update(x).drift_detected]
    [1023]
    """

    delta: float = DELTA
    clock: int = CLOCK
    drift_detected: bool = field(default=False, init=False)
    _window: Any = field(default=None, init=False, repr=False)
    name: ClassVar[str] = "adwin"
    help: ClassVar[str] = "shift of the mean in reference standard deviations"
    memory: ClassVar[int] = PANES
    metrics: ClassVar[Mapping[str, DetailMetric]] = {
        "direction": DetailMetric("direction", "1: the mean went up; -1: down (adwin)")
    }

    def update(self, x: float) -> Self:
        """Take one value of a stream. Returns itself, so that `update(x).drift_detected` says what came of it."""
        if self._window is None or self.drift_detected:
            self._window = _river(self.delta, self.clock)
        self.drift_detected = bool(self._window.update(x))
        return self

    @property
    def width(self) -> int:
        """Values since the last change, as far as they are remembered."""
        return 0 if self._window is None else int(self._window.get_width())

    @property
    def estimation(self) -> float:
        """Their mean; 0 before the first."""
        return self._window.get_total() / self.width if self.width else 0.0

    def judged(self, baseline: Baseline) -> tuple[str, ...]:
        """Return the numeric features."""
        return baseline.names[: len(baseline.numeric)]

    def bank(self, baseline: Baseline) -> "AdwinBank":
        """Return one ADWIN for each numeric feature of the baseline, to be fed with panes."""
        return AdwinBank(baseline, delta=self.delta)

    def false_alarm_chance(self, baseline: Baseline, limits: Mapping[str, float], windows: JudgedWindows) -> Floats:
        """Return the chance of a larger shift: the normal law of a mean over 64 panes, which is an approximation."""
        places, above = limits_by_place(baseline, limits)
        rows, known = usable_rows(baseline, places, windows)
        numeric = baseline.numeric
        varied = np.array([at < len(numeric) and numeric[at].std > 0 for at in places.tolist()], dtype=np.bool_)
        behind = np.maximum(rows / windows.slides * PANES, 1e-300)
        error = np.sqrt(1 / behind + 1 / np.maximum(known, 1))
        return np.where(varied & (rows > 0), 2 * special.ndtr(-above / error), 0.0)


def detect(values: Iterable[float], *, delta: float = 0.002, clock: int = CLOCK) -> list[int]:
    """Return the positions in a stream at which river's ADWIN sees a change of the mean; see `Adwin`.

    >>> import random
    >>> rng = random.Random(12345)
    >>> detect(rng.choices([0, 1], k=1000) + rng.choices(range(4, 8), k=1000))
    [1023]
    """
    adwin = Adwin(delta, clock)
    return [position for position, value in enumerate(values) if adwin.update(value).drift_detected]


class AdwinBank:
    """One ADWIN for each numeric feature, fed with the standardised means of sealed panes.

    A pane's mean comes from its counts, so that it does not depend on the order of events. It enters as
    (mean - reference mean) / (reference sd / sqrt(n)), clipped at ±8, because ADWIN's bound is not free of scale; its
    `delta` is thereby a tuned number and no proven false alarm rate: unchanged data was cut about `delta` / 1000 times a
    pane and feature, see `detectors.charts.budget.adwin_delta`. Constant features: see `Baseline.mean_shift`; any
    other value than the constant, on balance, enters as ±8.

    >>> from detectors import Reference
    >>> reference = Reference.fit({"age": list(range(100))})
    >>> bank = AdwinBank(reference)
    >>> bank.update(reference.sketch)
    >>> [(score.value, score.rows) for score in bank.scores()]
    [(0.0, 100)]
    """

    def __init__(self, baseline: Baseline, *, delta: float = DELTA) -> None:
        self.baseline = baseline
        self.delta = delta
        numeric = baseline.numeric
        features = len(numeric)
        self.names = baseline.names[:features]
        self._constant = np.array([feature.std == 0 for feature in numeric], dtype=np.bool_)
        self._known = np.array([feature.count > 0 for feature in numeric], dtype=np.bool_)
        self._windows = [_river(delta, clock=1) for _ in range(features)]
        self._state = BankState.of(features)
        self._room: Room | None = None
        self._waiting: list[WaitingPane] = []
        self.fed = 0  # panes
        self._journal: deque[tuple[int, Ints, Floats]] = deque(maxlen=PANES)

    def update(self, pane: Sketch) -> None:
        """Take one sealed pane; a feature with fewer than two usable rows in it sits this one out.

        Raises LayoutMismatchError for a pane of another layout.
        """
        self.baseline.layout.same_as(pane.layout)
        self._wait(pane.tally())

    def _wait(self, pane: "Tally | tuple[Ints, Floats]") -> None:
        """Let a pane, or what the journal holds of one, wait for others of its kind."""
        if self._waiting and type(self._waiting[0].pane) is not type(pane):
            self.feed()
        self.fed += 1
        self._waiting.append(WaitingPane(pane))
        if len(self._waiting) == PANES:
            self.feed()

    def feed(self) -> None:
        """Feed the panes that wait until somebody asks where the means stand: many are fed in half the time of one after the other."""
        panes, self._waiting = self._waiting, []
        if not panes:
            return
        counted = [each.pane for each in panes if isinstance(each.pane, Tally)]
        if counted:
            tallies, first = TallyStack(counted), self.fed - len(panes) + 1
            rows, shifts = tallies.usable[:, : len(self._windows)], self.baseline.mean_shifts(tallies)
            self._journal.extend(zip(range(first, self.fed + 1), rows, shifts, strict=True))
        else:
            rows, shifts = (
                np.array(each) for each in zip(*(each.pane for each in panes), strict=True)
            )  # they are all of one kind
        errors = np.where(self._constant, np.sign(shifts) * CLIP, shifts * np.sqrt(rows))
        errors = np.minimum(np.maximum(errors, -CLIP), CLIP)
        usable = (rows >= FEWEST) & self._known
        if every(usable):
            self._feed_all(panes, errors, (shifts, rows))
            return
        for pane, held, error, which in zip(panes, zip(shifts, rows, strict=True), errors, usable, strict=True):
            self._feed_some(pane, held, error, which)

    def _feed_all(self, panes: Sequence["WaitingPane"], errors: Floats, held: tuple[Floats, Ints]) -> None:
        """Feed panes in which every feature has rows enough, feature by feature."""
        number = len(panes)
        widths = self._state.widths + np.arange(1, number + 1)[:, None]
        changed = self._update(errors)
        detections = self._state.detections
        detections = detections[None] if not changed else np.repeat(detections[None], number, axis=0)
        for at, i, width, found in changed:
            widths[at:, i] = width + np.arange(number - at)
            detections[at:, i] = found
        shifts, rows = self._append(*held)
        fed = FedPanes(shifts, rows, widths, detections)
        for at, pane in enumerate(panes):
            if pane.asked is not None:
                pane.asked.fed_with = fed, at
        self._state = fed.state(number - 1)
        assert self._room is not None
        self._room.of = self._state

    def _update(self, errors: Floats) -> list[tuple[int, int, int, int]]:
        """Feed each window its errors, float64[panes, k]; of each change the pane, the feature, the width and how many there were."""
        changed = []
        if len(errors) == 1:  # in half the time
            cut = [
                window for window, error in zip(self._windows, errors[0].tolist(), strict=True) if window.update(error)
            ]
            places = [self._windows.index(each) for each in cut]
            return [(0, at, each.get_width(), each.get_n_detections()) for at, each in zip(places, cut, strict=True)]
        for i, (window, column) in enumerate(zip(self._windows, errors.T.tolist(), strict=True)):
            values = iter(column)
            while any(map(window.update, values)):  # as far as a change, without a step of the interpreter
                at = len(column) - 1 - length_hint(values)
                changed.append((at, i, window.get_width(), window.get_n_detections()))
        return changed

    def _append(self, shifts: Floats, rows: Ints) -> tuple[Floats, Ints]:
        """Put those of new panes behind those of the state; both together."""
        room = self._room
        if room is None or room.of is not self._state or not room.holds(len(rows)):
            room = self._room = Room.after(self._state, max(len(rows), SPARE))
        return room.append(shifts, rows)

    def _feed_some(self, pane: "WaitingPane", held: tuple[Floats, Ints], errors: Floats, usable: Bools) -> None:
        """Feed a pane in which only some features have rows enough."""
        which, before = usable.nonzero()[0].tolist(), self._state
        widths, detections = before.widths + usable, before.detections.copy()
        for i, error in zip(which, errors[which].tolist(), strict=True):
            if self._windows[i].update(error):
                widths[i], detections[i] = self._windows[i].get_width(), self._windows[i].get_n_detections()
        shifts, rows = before.shifts.copy(), before.rows.copy()
        for memory, newest in zip((shifts, rows), held, strict=True):
            memory[:-1, which] = memory[1:, which]
            memory[-1, which] = newest[which]
        self._state = BankState(shifts, rows, widths, detections)
        if pane.asked is not None:
            pane.asked.state = self._state

    def scores(self, *, min_rows: int = 1) -> list[DriftScore]:
        """Return |mean shift| in reference sd over the panes since the last change, at most 64, of every numeric feature.

        Panes weigh by their rows. `rows` are those behind the value; None below `min_rows` of them. Details hold
        `direction` (-1, 0 or 1) and `detections`, the changes seen so far.
        """
        return self.columns(min_rows=min_rows).scores()

    def columns(self, *, min_rows: int = 1, brought: Ints | None = None) -> ScoreColumns:
        """Return the same as columns; None also where a window `brought`, int64[k], fewer rows, which are then its rows."""
        return self.standing().columns(min_rows=min_rows, brought=brought)

    def standing(self) -> "BankStanding":
        """Return what the scores are made of, as it is now: what is fed later does not change it."""
        if not self._waiting:
            return BankStanding(self, self.fed, self._state)
        last = self._waiting[-1]
        if last.asked is None:
            last.asked = BankStanding(self, self.fed)
        return last.asked

    def take_journal(self) -> list[tuple[int, bytes]]:
        """Return what was fed since the last call, numbered as `fed` counts, at most the last 64 panes: 16 bytes a feature."""
        self.feed()
        found = [
            (fed, rows.astype("<i8", copy=False).tobytes() + shifts.astype("<f8", copy=False).tobytes())
            for fed, rows, shifts in self._journal
        ]
        self._journal.clear()
        return found

    def replay(self, entry: bytes) -> None:
        """Feed what the journal holds of a pane. Raises ValueError where bytes are missing."""
        count = len(self._windows)
        if len(entry) != 16 * count:
            raise ValueError(f"an entry of ADWIN's journal should have {16 * count} bytes, not {len(entry)}")
        self._wait((np.frombuffer(entry, "<i8", count), np.frombuffer(entry, "<f8", count, 8 * count)))

    def to_bytes(self) -> bytes:
        """Write all state, so that a bank read from it continues bit for bit."""
        self.feed()
        out = io.BytesIO()
        out.write(
            HEADER.pack(MAGIC, VERSION, _river_version(), bytes.fromhex(self.baseline.hash), self.delta, self.fed)
        )
        out.write(self._state.shifts.T.astype("<f8").tobytes())
        out.write(self._state.rows.T.astype("<i8").tobytes())
        for window in self._windows:
            state = window.__getstate__()
            out.write(struct.pack("<I", len(state)))
            out.write(state)
        return out.getvalue() + struct.pack("<I", zlib.crc32(out.getvalue()))

    @classmethod
    def from_bytes(cls, baseline: Baseline, data: bytes, *, delta: float | None = None) -> Self:
        """Read what `to_bytes` wrote. Raises ValueError for damaged bytes, another reference and another version of river.

        So it does for another delta than the one given: what was forgotten under it cannot be had back.
        """
        if len(data) < HEADER.size + 4 or data[:4] != MAGIC:
            raise ValueError("these bytes are no ADWIN bank")
        if zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
            raise ValueError("the ADWIN bank is damaged: its checksum does not fit")
        _, version, river, hashed, used, fed = HEADER.unpack_from(data)
        if version != VERSION:
            raise ValueError(f"the ADWIN bank has format {version}, this version reads {VERSION}")
        if river != _river_version():
            raise ValueError(f"the ADWIN bank was written with river {river!r}, this is {_river_version()!r}")
        if hashed.hex() != baseline.hash:
            raise ValueError(f"the ADWIN bank belongs to reference {hashed.hex()}, not to {baseline.hash}")
        if delta is not None and used != delta:
            raise ValueError(f"the ADWIN bank was fed under delta {used:.3g}, now it is {delta:.3g}")
        bank = cls(baseline, delta=used)
        bank.fed = fed
        body = io.BytesIO(data[HEADER.size : -4])
        size = 8 * PANES * len(bank._windows)
        shifts, rows = (
            np.ascontiguousarray(np.frombuffer(body.read(size), kind).reshape(-1, PANES).T)  # sums go down columns
            for kind in ("<f8", "<i8")
        )
        for window in bank._windows:
            window.__setstate__(body.read(struct.unpack("<I", body.read(4))[0]))
        widths, detections = (
            [getattr(each, name)() for each in bank._windows] for name in ("get_width", "get_n_detections")
        )
        bank._state = BankState(
            shifts, rows, np.array(widths, dtype=np.float64), np.array(detections, dtype=np.float64)
        )
        return bank


@dataclass(slots=True, eq=False)  # these are not frozen, which takes a third of the time; nobody changes them
class BankState:
    """What is known of each feature, of the last 64 panes, the newest last.

    `shifts` float64[64, k] and `rows` int64[64, k]; `widths` float64[k] are the panes since the last change, `detections` float64[k]
    the changes there were.
    """

    shifts: Floats
    rows: Ints
    widths: Floats
    detections: Floats

    @classmethod
    def of(cls, features: int) -> Self:
        """Return that of no panes."""
        empty = np.zeros((PANES, features))
        return cls(empty, empty.astype(np.int64), np.zeros(features), np.zeros(features))


@dataclass(slots=True, eq=False)
class FedPanes:
    """What is known after each of some panes: their states as they overlap.

    `shifts` and `rows` [63 + panes, k], `widths` [panes, k], `detections` [panes, k], or [1, k] where nothing has changed.
    """

    shifts: Floats
    rows: Ints
    widths: Floats
    detections: Floats

    def state(self, at: int) -> BankState:
        """What is known after one of them."""
        last = slice(at + 1, at + 1 + PANES)
        found = self.detections[min(at, len(self.detections) - 1)]
        return BankState(self.shifts[last], self.rows[last], self.widths[at], found)


@dataclass(slots=True, eq=False)
class Room:
    """The panes of a state with room behind them, so that most panes need not move those before. What is written once stays."""

    shifts: Floats  # [panes, k]
    rows: Ints
    end: int
    of: BankState

    @classmethod
    def after(cls, state: BankState, more: int) -> Self:
        """Return the panes of a state with room for more."""
        shape = PANES + more, state.shifts.shape[1]
        shifts, rows = np.empty(shape), np.empty(shape, dtype=np.int64)
        shifts[:PANES], rows[:PANES] = state.shifts, state.rows
        return cls(shifts, rows, PANES, state)

    def holds(self, more: int) -> bool:
        """Whether there is room."""
        return self.end + more <= len(self.rows)

    def append(self, shifts: Floats, rows: Ints) -> tuple[Floats, Ints]:
        """Write more panes; the last 64 before them and these are returned."""
        begin, end = self.end - PANES, self.end + len(rows)
        self.shifts[self.end : end], self.rows[self.end : end] = shifts, rows
        self.end = end
        return self.shifts[begin:end], self.rows[begin:end]


@dataclass(slots=True, eq=False)
class WaitingPane:
    """A pane that is not fed yet, and who asked where the means stand after it."""

    pane: Tally | tuple[Ints, Floats]
    asked: "BankStanding | None" = None


@dataclass(slots=True, eq=False)
class BankStanding:
    """Where the means of a bank stand after so many panes; worked out when its scores are asked for."""

    bank: AdwinBank
    fed: int
    state: BankState | None = None
    fed_with: tuple[FedPanes, int] | None = None  # the panes among which it is one

    def columns(self, *, min_rows: int = 1, brought: Ints | None = None) -> ScoreColumns:
        """Return the scores; see `AdwinBank.columns`."""
        if self.state is None and self.fed_with is None:
            self.bank.feed()
        if self.fed_with is not None:
            (fed, at), self.fed_with = self.fed_with, None
            self.state = fed.state(at)
        state = self.state
        assert state is not None
        rows = state.rows
        if some(state.widths < min(self.fed, PANES)):  # what came before the last change counts no more
            rows = np.where(np.arange(PANES)[:, None] >= PANES - state.widths, rows, 0)
        total = np.add.reduce(rows)
        shifts = np.add.reduce(state.shifts * rows) / np.maximum(total, 1)
        known = total >= max(1, min_rows)
        if brought is not None and some(brought < max(1, min_rows)):
            enough = brought >= max(1, min_rows)
            known, total = known & enough, np.where(enough, total, brought)
        return ScoreColumns(
            "adwin",
            self.bank.names,
            known=known,
            rows=total,
            values=np.abs(shifts),
            details={"direction": np.sign(shifts), "detections": state.detections},
        )

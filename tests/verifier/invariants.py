"""I1 to I6 of docs/RELIABILITY.md, decided from what was sent and from what is left. Nothing here is the daemon's but how its bytes are read."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from detectors import Layout, Sketch
from tests.verifier.evidence import Heard, Left, Letter, Series, Told
from tests.verifier.replay import FIRING, RESOLVED, Transition
from tests.verifier.truth import UNMONITORED, Columns, Sent, Truth

REACHABILITY = "reachability"  # the rule by which silent leaders are told, as the wall has it


@dataclass(frozen=True)
class ModelView:
    """How a series is judged: its cells, and how long its windows are (nanoseconds); they do not overlap."""

    layout: Layout
    window: int


@dataclass
class Verdict:
    """What was found."""

    violations: list[dict[str, Any]] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)

    def break_(self, invariant: str, where: str, what: str) -> None:
        """One of them does not hold."""
        self.violations.append({"invariant": invariant, "where": where, "what": what})


class Verifier:
    """Judges one run: states as kills have left them, in their order, and the last one."""

    def __init__(self, truth: Truth, models: dict[Series, ModelView], expected: Sequence[Transition]) -> None:
        self.truth = truth
        self.models = models
        self.expected = expected
        self.verdict = Verdict()
        self._columns: dict[Series, Columns] = {
            key: sent.columns(models[key].layout) for key, sent in truth.series.items()
        }

    # --- I1, I2: counts -------------------------------------------------------------------------------------------

    def state(self, where: str, found: Left) -> None:
        """A state holds the events before its positions, each once, and no others."""
        if found.flaw is not None:
            self.verdict.break_("I1", where, f"the state {found.flaw}")
            return
        for key, sent in self.truth.series.items():
            self._panes(where, key, sent, found)
            self._windows(where, key, sent, found)
        self.verdict.figures["states"] += 1

    def _panes(self, where: str, key: Series, sent: Sent, found: Left) -> None:
        """Panes are windows here. Those not sealed have to be there; what is there has to be right."""
        model, sealed = self.models[key], found.sealed.get(key, 0)
        starts, read = sent.time // model.window * model.window, sent.read(found.positions)
        wanted = {int(start) for start in np.unique(starts[read]) if start >= sealed}
        there = {start: payload for (of, start), payload in found.panes.items() if of == key}
        for start in sorted(wanted | there.keys()):
            counted = self._counted(there.get(start), model.layout)
            self._compare(f"{where} {key} pane {start}", counted, key, sent, read & (starts == start))

    def _counted(self, payload: bytes | None, layout: Layout) -> Sketch:
        return Sketch.empty(layout) if payload is None else Sketch.from_bytes(layout, payload)

    def _compare(self, where: str, counted: Sketch, key: Series, sent: Sent, which: np.ndarray) -> None:
        right = sent.sketch(self.models[key].layout, self._columns[key], which)
        self.verdict.figures["panes"] += 1
        self.verdict.figures["events_counted"] += right.rows
        if counted.rows != right.rows:
            self.verdict.break_("I1", where, f"{counted.rows} rows for {right.rows} events")
        elif counted.usable.tolist() != right.usable.tolist():
            self.verdict.break_("I1", where, f"usable values {counted.usable.tolist()} for {right.usable.tolist()}")
        elif not np.array_equal(counted.counts, right.counts):
            cells = int((counted.counts != right.counts).sum())
            self.verdict.break_("I2", where, f"{cells} cells are not those of one pass over the events")

    def _windows(self, where: str, key: Series, sent: Sent, found: Left) -> None:
        """Every window from the first one wholly after the first event to the last one sealed, with its rows."""
        length = self.models[key].window
        closed = {start: rows for (of, start), rows in found.windows.items() if of == key}
        if not closed:
            return
        starts = sent.time // length * length
        counts = dict(zip(*(each.tolist() for each in np.unique(starts, return_counts=True)), strict=True))
        first = -(-int(sent.time.min()) // length) * length if len(closed) < MOST_WINDOWS else min(closed)
        for start in sorted({start for start in counts if first <= start < found.sealed[key]} | closed.keys()):
            self.verdict.figures["windows"] += 1
            if closed.get(start) != counts.get(start):
                told = f"{closed.get(start)} rows for {counts.get(start)} events"
                self.verdict.break_("I1", f"{where} {key} window {start}", told)

    # --- I3, I4: what was said ------------------------------------------------------------------------------------

    def said(self, found: Left, log: Sequence[Heard]) -> None:
        """What was said is what a replay says, under its ids, each taken, in the order of its alert. Of leaders that were silent no replay knows: of that the end has to be told, too."""
        due = [each for each in self.expected if each.at <= found.sealed.get((each.model, each.version), 0)]
        wanted = {each.id: each for each in due}
        own = [each for each in log if each.subject[2] == REACHABILITY]
        told = {each.id: each for each in log if each.subject[2] != REACHABILITY}
        self._ended(own)
        self.verdict.figures["transitions"] += len(wanted)
        self.verdict.figures["requests"] += len(log)
        for name in told.keys() - wanted.keys():
            self.verdict.break_("I3", name, f"{told[name].type} was said, and a replay does not say it")
        for name in wanted.keys() - told.keys():
            self.verdict.break_("I4", name, f"{wanted[name]} was never delivered")
        self._each_once(wanted, log)
        self._ordered(log)
        for name, status in found.deliveries.items():
            if status != "delivered":
                self.verdict.break_("I4", name, f"its delivery is {status} in the end")
        for name in (found.deliveries.keys() - {each.id for each in own}) ^ wanted.keys():
            self.verdict.break_("I4", name, "the outbox and a replay differ")

    def _ended(self, own: Sequence[Heard]) -> None:
        """Each silence that was told has one id for its beginning and one for its end, both taken, in this order."""
        taken: dict[tuple[str, ...], list[str]] = {}
        names: dict[tuple[str, ...], set[str]] = {}
        for each in own:
            silence = *each.subject, str(each.body["data"]["alert"]["since"])
            told = taken.setdefault(silence, [])
            if each.taken and each.type not in told:
                told.append(each.type)
            names.setdefault((*silence, each.type), set()).add(each.id)
        self.verdict.figures["silences"] += len(taken)
        for silence, told in taken.items():
            if told != [FIRING, RESOLVED]:
                self.verdict.break_("I4", str(silence), f"of a silence was taken: {told}")
        for said, ids in names.items():
            if len(ids) > 1:
                self.verdict.break_("I3", str(said), f"said under {len(ids)} ids")

    def _each_once(self, wanted: dict[str, Transition], log: Sequence[Heard]) -> None:
        """One id has one body, a good signature, and was taken at least once: who drops repeats sees it once."""
        bodies: dict[str, set[str]] = {}
        for each in log:
            bodies.setdefault(each.id, set()).add(repr(each.body))
            if not each.verified:
                self.verdict.break_("I4", each.id, "its signature is wrong")
            if each.id in wanted and wanted[each.id].type != each.type:
                self.verdict.break_("I3", each.id, f"said as {each.type}")
        for name, different in bodies.items():
            if len(different) > 1:
                self.verdict.break_("I4", name, f"{len(different)} bodies under one id")
        for name in wanted.keys() - {each.id for each in log if each.taken}:
            self.verdict.break_("I4", name, "no request with it was answered")

    def _ordered(self, log: Sequence[Heard]) -> None:
        """Of an alert nothing is said before what came before it was taken."""
        place = {each.id: (each.at, each.type != FIRING) for each in self.expected}
        taken: dict[tuple[str, ...], set[str]] = {}
        for each in log:
            if each.type in {FIRING, RESOLVED} and each.id in place:
                alert = [one for one in self.expected if (one.model, one.version, one.rule) == each.subject]
                before = {one.id for one in alert if place[one.id] < place[each.id] and one.type in {FIRING, RESOLVED}}
                if left_out := before - taken.setdefault(each.subject, set()):
                    self.verdict.break_("I4", each.id, f"said before {sorted(left_out)}")
            if each.taken:
                taken.setdefault(each.subject, set()).add(each.id)

    # --- I5, I6: what was rejected, and what was read -------------------------------------------------------------

    def counted(self, told: Told, begin: dict[int, int]) -> None:
        """What the last run read is what there was from its first position on: each record under one outcome and one reason."""
        wanted = self.truth.reasons(begin)
        good, unmonitored = wanted.pop("", 0), wanted.pop("unmonitored", 0)
        outcomes = {"ok": good, "unmonitored": unmonitored, "rejected": wanted.total()}
        found = told.by("driftd_events_total", "outcome")
        if found != Counter({name: count for name, count in outcomes.items() if count}):
            self.verdict.break_("I5", "driftd_events_total", f"{dict(found)} for {outcomes}")
        reasons = told.by("driftd_events_rejected_total", "reason")
        if reasons != wanted:
            self.verdict.break_("I5", "driftd_events_rejected_total", f"{dict(reasons)} for {dict(wanted)}")
        self.verdict.figures["rejected_in_the_last_run"] += wanted.total()
        self.verdict.figures["reasons"] += len(wanted)
        if lost := told.by("driftd_offsets_lost_total", "topic") + told.by("driftd_offsets_expired_total", "topic"):
            self.verdict.break_("I6", "driftd_offsets_lost_total", f"{dict(lost)}, where nothing was lost")

    def kept(self, letters: Sequence[Letter]) -> None:
        """Each record that is rejected is kept as it came, under its reason; nothing else is. What is kept again is counted."""
        wanted = {
            (partition, offset): (reason, text)
            for partition, offset, reason, text in self.truth.records
            if reason not in {"", UNMONITORED}
        }
        found: Counter[tuple[int, int]] = Counter()
        for each in letters:
            place = each.partition, each.offset
            found[place] += 1
            if wanted.get(place) != (each.reason, each.value):
                self.verdict.break_("I5", f"letter {place}", f"kept for {each.reason}, sent as {wanted.get(place)}")
        for place in wanted.keys() - found.keys():
            self.verdict.break_("I5", f"letter {place}", f"rejected for {wanted[place][0]}, and not kept")
        self.verdict.figures["kept"] += len(found)
        self.verdict.figures["kept_again"] += found.total() - len(found)

    def read(self, states: Iterable[tuple[str, Left]]) -> None:
        """Positions never go back nor past the end, and reach it."""
        last: dict[int, int] = {}
        where = ""
        for where, state in states:
            for partition, position in state.positions.items():
                if not last.get(partition, 0) <= position <= self.truth.ends[partition]:
                    self.verdict.break_("I6", where, f"partition {partition} is at {position}, after {last}")
            last = {**last, **state.positions}
        if last != self.truth.ends:
            self.verdict.break_("I6", where, f"read to {last}, while the partitions end at {self.truth.ends}")


MOST_WINDOWS = 500  # that a state keeps of a series; of those before them nobody asks

"""ADWIN over the sealed panes of a series: fed by panes, scored with each window, saved by what it was fed."""

from collections.abc import Sequence
from operator import attrgetter
from zlib import crc32

from detectors import Reference, ScoreColumns, Sketch, Tally
from detectors.univariate import adwin
from monitor.facts import Fact, StateReset
from monitor.series.operators import Later, Operator
from monitor.series.records import Entry
from monitor.stream.events import SeriesKey
from monitor.stream.windows import SealedPane

WHOLE, FED = "adwin", "fed"
WHOLE_AFTER = adwin.PANES  # a kilobyte or more a feature, so a checkpoint writes only what came to it


class AdwinOperator(Operator[Sketch]):
    """Decides nothing by itself: rules look at its scores."""

    name = gives = WHOLE
    kinds = (WHOLE, FED)
    reads = frozenset[str]()

    def __init__(self, key: SeriesKey, reference: Reference, delta: float, min_rows: int) -> None:
        self.bank = adwin.AdwinBank(reference, delta=delta)
        self._key = key
        self._reference = reference
        self._delta = delta
        self._min_rows = min_rows
        self._numbers = len(reference.layout.numeric)
        self._whole = 0  # where the journal begins: what was fed when it was last written whole
        self._written: list[int] = []  # the entries of the journal that the store holds
        self._stagger = crc32(str(key).encode()) % (WHOLE_AFTER // 2)  # so that not all series come at once

    def on_pane(self, pane: SealedPane[Sketch]) -> list[Fact]:
        """Feed a sealed pane."""
        self.bank.update(pane.sketch)
        return []

    def settle(self) -> None:
        """Feed what waits: who reads scores must find it done."""
        self.bank.feed()

    def columns(self, window: Tally, scored: Sequence[ScoreColumns]) -> ScoreColumns:
        """Where the means stand, of features with enough values in the window: few say little, as for other detectors."""
        del scored
        return self.later(window)(window)

    def later(self, window: Tally) -> Later:
        """The bank as it is now is enough."""
        del window
        bank = self.bank.standing()
        return lambda again: bank.columns(min_rows=self._min_rows, brought=again.usable[: self._numbers])

    # --- state --------------------------------------------------------------------------------------------------

    def changes(self) -> list[Entry]:
        """What was fed since the last call; after 64 panes all of the state instead."""
        journal = self.bank.take_journal()
        if self.bank.fed - self._whole < WHOLE_AFTER - self._stagger:
            self._written += [number for number, _ in journal]
            return [Entry(FED, fed, number) for number, fed in journal]
        gone = [Entry(FED, None, number) for number in self._written]
        self._whole = self.bank.fed
        self._written.clear()
        return [*self.snapshot(), *gone]

    def snapshot(self) -> list[Entry]:
        """All of the state."""
        return [Entry(WHOLE, self.bank.to_bytes())]

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up what was last written whole, then what was fed since."""
        if not alike:
            return []
        facts = [fact for entry in entries if entry.kind == WHOLE for fact in self._restore(entry.held)]
        for entry in sorted((entry for entry in entries if entry.kind == FED), key=attrgetter("number")):
            self._replay(entry)
        return facts

    def _restore(self, whole: bytes) -> list[Fact]:
        try:
            self.bank = adwin.AdwinBank.from_bytes(self._reference, whole, delta=self._delta)
        except ValueError as error:  # written under another version of river, or another delta
            return [StateReset(self._key, f"adwin starts anew: {error}")]
        self._whole = self.bank.fed
        return []

    def _replay(self, entry: Entry) -> None:
        """Feed an entry of the journal, unless the bank holds it already."""
        assert entry.number is not None
        self._written.append(entry.number)
        if entry.number == self.bank.fed + 1:
            self.bank.replay(entry.held)

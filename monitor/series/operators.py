"""What a view is made of: scorers and operators. Each owns its state and none sees its series.

When a pane is sealed every operator takes it. When a window closes it is scored first, then every operator takes window and
scores: two phases, always in this order.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from detectors import PackedSketch, ScoreColumns, Tally
from detectors.sketches import TallyStack
from monitor.alerting.alerts import AlertState, Span
from monitor.alerting.table import ScoreTable
from monitor.facts import Fact, WindowClosed
from monitor.series.records import Entry
from monitor.stream.events import Nanos, Partition
from monitor.stream.sketches import S
from monitor.stream.windows import ClosedWindow, SealedPane


@dataclass(slots=True)  # not frozen: one is made for each window
class Scored:
    """A closed window and its scores. `counts` are those of its rows, to be shown; None where they were not kept."""

    window: WindowClosed
    scores: ScoreTable
    counts: PackedSketch | None = None


class Elsewhere(Protocol):
    """Features of which another operator tells something that is not to be told twice, each with when that began."""

    def told(self, after: Nanos) -> Mapping[str, Nanos]:
        """Those of which it is told now, or was after this."""

    def usual(self, after: Nanos) -> Mapping[str, Nanos]:
        """Those that are now, or were after this, as they are at these hours: nobody tells of them."""

    def awaited(self) -> Mapping[str, Nanos]:
        """Those of which it may yet be told."""


class Nothing:
    """None of them."""

    def told(self, after: Nanos) -> Mapping[str, Nanos]:
        """None."""
        del after
        return {}

    def usual(self, after: Nanos) -> Mapping[str, Nanos]:
        """None."""
        del after
        return {}

    def awaited(self) -> Mapping[str, Nanos]:
        """None."""
        return {}


NOWHERE = Nothing()


@dataclass(frozen=True, slots=True)
class Unjudged:
    """These, whatever they are: nobody knows yet how they should be."""

    names: Collection[str]

    def told(self, after: Nanos) -> Mapping[str, Nanos]:
        """None."""
        del after
        return {}

    def usual(self, after: Nanos) -> Mapping[str, Nanos]:
        """All of them, always."""
        del after
        return dict.fromkeys(self.names, 0)

    def awaited(self) -> Mapping[str, Nanos]:
        """None."""
        return {}


@dataclass(frozen=True, slots=True)
class Both:
    """Those of two others."""

    one: Elsewhere
    other: Elsewhere

    def told(self, after: Nanos) -> Mapping[str, Nanos]:
        """Those of which either tells."""
        return {**self.one.told(after), **self.other.told(after)}

    def usual(self, after: Nanos) -> Mapping[str, Nanos]:
        """Those that are as usual by either."""
        return {**self.one.usual(after), **self.other.usual(after)}

    def awaited(self) -> Mapping[str, Nanos]:
        """Those of which either may yet tell."""
        return {**self.one.awaited(), **self.other.awaited()}


class Saved(Protocol):
    """Whoever has state to save. `kinds` are those of its rows, and nobody else's in the view."""

    kinds: tuple[str, ...]

    def changes(self) -> list[Entry]:
        """The rows that changed since the last call."""

    def snapshot(self) -> list[Entry]:
        """All rows."""

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up saved rows; what had to be dropped is said. `alike`: made under today's reference, window and slide."""


Later = Callable[[Tally], ScoreColumns]  # what scores a window, given its counts once more


class ColumnScorer(Protocol):
    """One column of scores, called `gives`. `reads` are those that it has to have."""

    reads: frozenset[str] = frozenset()

    @property
    def gives(self) -> str:
        """The detector that its scores are of."""

    def columns(self, window: Tally, scored: Sequence[ScoreColumns]) -> ScoreColumns:
        """Score a window, given the columns of those that it reads."""


@runtime_checkable
class LateScorer(ColumnScorer, Protocol):
    """One that can wait until somebody asks."""

    def later(self, window: Tally) -> Later | None:
        """What scores this window later, when the state is another one, to the last bit alike; None where only now will do."""


@runtime_checkable
class ForeseeingScorer(ColumnScorer, Protocol):
    """One that needs the counts of a window alone, and takes several in little more time than one."""

    def foresee(self, windows: TallyStack) -> None:
        """Score the windows that it is asked for next."""


class Scoring(Saved, Protocol[S]):
    """The first phase."""

    ahead: int = 1  # windows of those that are due at once that it is shown before they are judged, at most

    def foresee(self, windows: Sequence[ClosedWindow[S]]) -> None:
        """Take the windows that are judged next: what follows from their counts alone may be found for all of them at once."""
        del windows

    def score(self, window: ClosedWindow[S]) -> Scored:
        """Score a closed window."""

    def tell(self, scored: Scored, standing: Mapping[str, AlertState]) -> list[Fact]:
        """What is said of the window, once every operator has taken it: `standing` are the features not inactive."""

    def settle(self, *, whole: bool) -> None:
        """No more windows close for now: hold on to nothing; and where it is to be `whole`, leave nothing of the last one for later."""

    def current(self, standing: Mapping[str, AlertState]) -> list[Fact]:
        """The facts that say where things stand, for a reader that starts now."""


class Operator(Saved, Protocol[S]):
    """One of those who decide in the second phase: rules, a budget, ADWIN, later performance. What it leaves out does nothing."""

    name: str  # in the view

    def on_pane(self, pane: SealedPane[S]) -> list[Fact]:
        """Take a sealed pane. Panes are disjoint, however much the windows overlap."""
        del pane
        return []

    def on_window(self, window: ClosedWindow[S], scores: ScoreTable) -> list[Fact]:
        """Take a closed window, scored."""
        del window, scores
        return []

    def settle(self) -> None:
        """No more panes are sealed for now: what others may read at any time is to be there."""
        return

    def on_late(self, late: Mapping[str, int], open_rows: int, sealed_until: Nanos) -> list[Fact]:
        """Take the number of late events of each topic, before the panes that event time has passed are sealed.

        `open_rows` were counted since a pane was sealed; what comes for before `sealed_until` is late.
        """
        del late, open_rows, sealed_until
        return []

    def on_silence(self, silent: Mapping[Partition, Nanos], now: Nanos) -> list[Fact]:
        """Take the partitions whose leaders are silent at `now`, each since when; processing time."""
        del silent, now
        return []

    def on_time(self, clock: Nanos, newest: Nanos | None) -> list[Fact]:
        """Take how far event time has come, and the end of the newest pane that is held, sealed or not; None: there is none."""
        del clock, newest
        return []

    def accept(self, features: Collection[str], until: Nanos | None, at: Nanos) -> list[Fact]:
        """Take these features, all where none is named, as they are at event time `at` for how they should be.

        Until that event time, or for good.
        """
        del features, until, at
        return []

    def distrusted(self) -> Sequence[Span]:
        """Times of events whose predictions say nothing of what the model is worth, though labels may say so only later."""
        return ()

    def standing(self) -> Mapping[str, AlertState]:
        """The features that it holds for not inactive; a warning is pending."""
        return {}

    def current(self) -> list[Fact]:
        """The facts that say where things stand, for a reader that starts now."""
        return []

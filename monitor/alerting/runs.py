"""What became of a request for retraining: the runs that it started, and when it is over. Values; nothing here asks anybody.

requested ──► runs are in flight ──► all that can be followed have ended ──► over: succeeded, failed or cancelled
    └───────────────────────────────► a new version comes ─────────────────► over: trained
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from monitor.stream.events import DAY, Nanos, SeriesKey

FOLLOWED_FOR: Nanos = (
    14 * DAY
)  # event time, where no in_flight_timeout says less: a run that never ends is not asked for ever
KEPT_REQUESTS = 10  # of a model


class RunState(StrEnum):
    """How what a notice started stands. One that waits in the target's own queue is in flight too."""

    IN_FLIGHT = "in_flight"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"  # by a person, or by the system that runs it
    ABSENT = "absent"
    UNKNOWN = "unknown"  # it could not be asked, or says nothing that we know

    @property
    def ended(self) -> bool:
        """Whether it goes on no more. What is not found, or not known, may."""
        return self in ENDS


ENDS = (
    RunState.SUCCEEDED,
    RunState.CANCELLED,
    RunState.FAILED,
)  # the last that any run ended in is that of the request
TRAINED = "trained"  # a new version came


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A run as its target shows it: its state, its id there, and its page where that is known."""

    state: RunState
    run: str = ""
    url: str | None = None


@dataclass(frozen=True, slots=True)
class FollowedRun:
    """A run, and the target that started it."""

    target: str
    type: str
    found: StartedRun


@dataclass(frozen=True, slots=True)
class RunsReport:
    """How all runs of a request stand that can be followed, as their targets say. One not delivered yet is in flight."""

    request: str
    runs: tuple[FollowedRun, ...]


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request for retraining that was made, of which data and why, and what is known of its runs, by target. Times are event time.

    `outcome`: how it ended, a value of `ENDS` or `TRAINED`; empty while it is in flight. `until`: when nobody waits for it any more.
    `version`: the new one that came after it.
    """

    id: str
    key: SeriesKey
    reason: str
    at: Nanos
    until: Nanos
    data_from: Nanos
    data_to: Nanos
    rule: str = ""
    incident: str = ""
    runs: tuple[FollowedRun, ...] = ()
    outcome: str = ""
    ended_at: Nanos | None = None
    version: str = ""

    def is_in_flight(self, at: Nanos | None) -> bool:
        """Whether it waits for something at an event time."""
        return not self.outcome and (at is None or at < self.until)

    def take(self, report: RunsReport, at: Nanos) -> tuple["OpenRequest", list[FollowedRun]]:
        """Take how its runs stand: the request after that, and the runs that have ended since. What has ended stays so."""
        known = {each.target: each for each in self.runs}
        ended = [each for each in report.runs if each.found.state.ended and not _ended(known.get(each.target))]
        known |= {each.target: each for each in report.runs if not _ended(known.get(each.target))}
        told = replace(self, runs=tuple(known.values()))
        waits = not report.runs or not all(_ended(known[each.target]) for each in report.runs)
        if self.outcome or waits:
            return told, ended
        return replace(told, outcome=worst_of(told.runs), ended_at=at), ended

    def trained(self, version: str, at: Nanos) -> "OpenRequest":
        """A new version has come. A request whose runs have ended before keeps how they did."""
        if self.outcome:
            return replace(self, version=version)
        return replace(self, version=version, outcome=TRAINED, ended_at=at)


def _ended(run: FollowedRun | None) -> bool:
    return run is not None and run.found.state.ended


def worst_of(runs: Iterable[FollowedRun]) -> str:
    """How runs that have ended did, taken together.

    >>> worst_of([FollowedRun("a", "t", StartedRun(RunState.SUCCEEDED)), FollowedRun("b", "t", StartedRun(RunState.FAILED))])
    'failed'
    """
    return max((each.found.state for each in runs if each.found.state.ended), key=ENDS.index).value

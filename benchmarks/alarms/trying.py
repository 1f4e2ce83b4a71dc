"""One change after another, each to a fresh operator: how many hours until people hear of it, and what stands first."""

from dataclasses import dataclass

from benchmarks.alarms.cases import Trial, every
from benchmarks.alarms.subject import SPARE_HOURS, Subject
from benchmarks.alarms.traffic import Pane, Planted
from benchmarks.alarms.watch import names
from benchmarks.measure import Figures

BURN_IN = 24  # windows before a change, so that sums stand where they usually stand


def tried(subject: Subject, trial: Trial) -> Figures:
    """Make the trial's change to each feature that it picks.

    `masked` ones began while an incident was open by itself, and say nothing. Delays are hours, None where nothing was
    heard within the horizon; `plain` those of the plain rule, None too where it was in alarm already.
    """
    found = [_one(subject, trial, name) for name in subject.pick(trial.pick)]
    told = [one for one in found if not one.masked]
    return {
        "delays": [one.heard for one in told],
        "right": sum(one.first in (trial.named or (one.name,)) for one in told),
        "plain": [one.plain for one in told],
        "masked": len(found) - len(told),
        "horizon": trial.horizon,
    }


@dataclass(eq=False)
class Tried:
    """One change of one feature and what became of it."""

    name: str
    heard: float | None = None
    first: str = ""
    plain: float | None = None
    masked: bool = False


def _one(subject: Subject, trial: Trial, name: str) -> Tried:
    before = round(trial.after[1] / subject.hours) if trial.after else 0
    horizon = round(trial.horizon / subject.hours)
    room = round(SPARE_HOURS / subject.hours) - BURN_IN - before - horizon
    first = subject.begins + int(subject.rng.integers(0, max(room, 1)))
    since = first + BURN_IN + before
    planted = [subject.plant(trial.change, [name], since), *_earlier(subject, trial, name, first + BURN_IN)]
    found = Tried(name)
    attempt = _Attempt(subject, trial, found, since)
    for at, pane in enumerate(subject.panes(first, since - first + horizon, planted), first):
        if attempt.take(at, pane):
            break
    return found


def _earlier(subject: Subject, trial: Trial, name: str, since: int) -> list[Planted]:
    """The change that came before, in another of the plain numbers."""
    if trial.after is None:
        return []
    others = [one for one in subject.pick(every("n")) if one != name]
    return [subject.plant(trial.after[0], [str(subject.rng.choice(others))], since)]


class _Attempt:
    """Watches from the burn-in to the first notice."""

    def __init__(self, subject: Subject, trial: Trial, found: Tried, since: int) -> None:
        self._watch, self._plain = subject.watch(), subject.plain()
        self._place = subject.names.index(found.name) if found.name in subject.names else None
        self._found, self._since, self._hours = found, since, subject.hours
        self._quiet, self._named = trial.after is None, trial.named or (found.name,)

    def take(self, at: int, pane: Pane) -> bool:
        """See a pane; whether there is nothing more to learn."""
        if at == self._since and self._watch.open and self._quiet:
            self._found.masked = True
            return True
        after = (at - self._since + 1) * self._hours
        plain = self._take_plain(pane, after)
        notice = names(self._watch.take(pane), self._named)
        if at >= self._since and notice is not None and self._found.heard is None:
            self._found.heard, self._found.first = after, notice.features[0]
        return self._found.heard is not None and plain

    def _take_plain(self, pane: Pane, after: float) -> bool:
        """Whether the plain rule has nothing more to say."""
        if self._plain is None or self._place is None:
            return True
        alarmed = bool(self._plain.take(pane.means)[self._place])
        if alarmed and after <= 0:
            self._place = None  # in alarm before anything happened
        elif alarmed and self._found.plain is None:
            self._found.plain = after
        return self._found.plain is not None

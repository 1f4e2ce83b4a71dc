"""What a reference says against itself: features that drift inside it, odd days, features that wander by nature."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

LONGEST_NS = 2**62
NAMED = 3  # features of an odd day
WANDERS, SHARED = (
    "wanders",
    "is shared",
)  # how a number wanders: from day to day, or as one that all rows of a time share
WHATS = ("mean", "spread", "mix", "missing")


@dataclass(frozen=True, slots=True)
class Drifting:
    """A feature that changes inside the reference: from `since` (ns) on by `shift`.

    `what`: its mean, in sigma; its spread, as a share of sigma; the mix of its categories or its missing values, in share.
    `how`: a `step`, or a `trend` that ends so far from where it began.
    """

    feature: str
    since: int
    shift: float
    what: str = "mean"
    how: str = "step"

    @property
    def words(self) -> str:
        """The change in words."""
        if self.how == "trend":
            return f"{self.feature} changes inside the reference: {size(self.what, self.shift)} little by little since {_minute(self.since)}"
        return (
            f"{self.feature} changes inside the reference: {size(self.what, self.shift)} from {_minute(self.since)} on"
        )


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far one feature is from its other days; `what` and the unit of `by` as in Drifting."""

    feature: str
    by: float
    what: str = "mean"

    @property
    def words(self) -> str:
        """The feature, and how far."""
        return f"{self.feature} {size(self.what, self.by)}"


@dataclass(frozen=True, slots=True)
class OddDay:
    """A day (ns at which it begins) unlike the others, and the features that say so, the surest first."""

    day: int
    deviations: tuple[Deviation, ...]

    @property
    def words(self) -> str:
        """The day and the first of its features in words."""
        named = ", ".join(each.words for each in self.deviations[:NAMED])
        more = f" and {len(self.deviations) - NAMED} more" if len(self.deviations) > NAMED else ""
        return f"{np.datetime64(self.day, 'ns').astype('datetime64[D]')} is unlike the other days: {named}{more}"


@dataclass(frozen=True, slots=True)
class Wandering:
    """A feature whose level leans on that of the day before, and makes up `share` of its variance.

    `how`: it `wanders`, or `rises` or `falls` all the time, or `is shared` by all rows of a time.
    """

    feature: str
    share: float
    how: str = WANDERS

    @property
    def words(self) -> str:
        """What it does, and what to do about it."""
        natures = {WANDERS: "wanders by nature", SHARED: "is of the time, not of the rows"}
        nature = natures.get(self.how, f"{self.how} all the time")
        return (
            f"{self.feature} {nature}: {self.share:.0%} of its variance is where its level happens to be; "
            "compared with its recent past instead (baseline: trailing 28d), unless the model says baseline: reference"
        )


@dataclass(frozen=True, slots=True)
class Unsteady:
    """All of it: `drifting` and `wandering` in the layout's order, `odd_days` by time."""

    drifting: tuple[Drifting, ...] = ()
    odd_days: tuple[OddDay, ...] = ()
    wandering: tuple[Wandering, ...] = ()

    def select(self, wanted: Collection[str]) -> "Unsteady":
        """Return what concerns these features."""
        days = (
            OddDay(odd.day, tuple(each for each in odd.deviations if each.feature in wanted)) for odd in self.odd_days
        )
        return Unsteady(
            tuple(each for each in self.drifting if each.feature in wanted),
            tuple(odd for odd in days if odd.deviations),
            tuple(each for each in self.wandering if each.feature in wanted),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, exact: keys of the calibration's; those that are empty are left out, but `drifting`."""
        odd = [[odd.day, [[each.feature, each.by, each.what] for each in odd.deviations]] for odd in self.odd_days]
        wandering = [[each.feature, each.share, each.how] for each in self.wandering]
        return {
            "drifting": [
                [each.feature, each.since, each.shift, each.what, *([each.how] if each.how != "step" else [])]
                for each in self.drifting
            ],
            **({"odd_days": odd} if odd else {}),
            **({"wandering": wandering} if wandering else {}),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read the JSON form. Raises KeyError, TypeError, ValueError or OverflowError."""
        return cls(
            tuple(
                Drifting(str(name), int(since), float(shift), str(what), *map(str, how))
                for name, since, shift, what, *how in content["drifting"]
            ),
            tuple(_odd_day(*entry) for entry in content.get("odd_days", ())),
            tuple(Wandering(str(name), float(share), str(how)) for name, share, how in content.get("wandering", ())),
        )

    def check(self, names: Sequence[str]) -> None:
        """Raise ValueError where a feature is unknown, or a time or a number none."""
        known = set(names)
        deviations = [each for odd in self.odd_days for each in odd.deviations]
        if any(each.feature not in known or not abs(each.since) < LONGEST_NS for each in self.drifting):
            raise ValueError("calibration: drifting names an unknown feature or no time")
        if any(each.feature not in known for each in deviations) or any(
            not abs(odd.day) < LONGEST_NS for odd in self.odd_days
        ):
            raise ValueError("calibration: odd_days names an unknown feature or no time")
        if any(each.feature not in known for each in self.wandering):
            raise ValueError("calibration: wandering names an unknown feature")
        whats = {each.what for each in self.drifting} | {each.what for each in deviations}
        if whats - set(WHATS):
            raise ValueError(f"calibration: what is {min(whats - set(WHATS))!r}; valid are {', '.join(WHATS)}")
        numbers = [
            *(each.shift for each in self.drifting),
            *(each.by for each in deviations),
            *(each.share for each in self.wandering),
        ]
        if not np.isfinite(numbers).all():
            raise ValueError("calibration: drifting, odd_days and wandering must be finite")


STEADY = Unsteady()


def _odd_day(day: Any, deviations: Iterable[Sequence[Any]]) -> OddDay:
    return OddDay(int(day), tuple(Deviation(str(name), float(by), str(what)) for name, by, what in deviations))


def size(what: str, by: float) -> str:
    """How far something is off, in the unit of what it is."""
    match what:
        case "mean":
            return f"mean {by:+.2f} σ"
        case "spread":
            return f"spread {by * 100:+.0f} %"
        case _:
            return f"{what} {by * 100:+.1f} points"


def _minute(at: int) -> str:
    return f"{np.datetime64(at, 'ns').astype('datetime64[m]')}Z"

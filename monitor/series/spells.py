"""Spells that come and go, pauses or stillness: how long the next one may be, by those that have come and how they came."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeVar

from monitor.stream.events import DAY, HOUR, Nanos

Spell = tuple[Nanos, Nanos]
"""When it ended, and how long it was."""
Still = tuple[Nanos, Nanos, float]
"""And at which value."""
SomeSpell = TypeVar("SomeSpell", Spell, Still)
KEPT, MONTH, WEEK = 8, 28 * DAY, 7 * DAY  # spells kept, and for how long the shorter ones count
LONGER = 1.5  # times its own
EARLIER = 8  # no more than this part of a day, or of a week, earlier are the same hours
RARE = 13.8  # exponent of the chance of one spell, 1e-6
FEWEST = 2  # pauses that say how they differ
ALIKE = 4  # a spell of less than a quarter of another is no interruption beside it
CLOCK, CERTAIN = 0.9, 6.0  # mean resultant length of hours of the day, and n R² of Rayleigh's test, p ≈ exp(-n R²)


def with_another(spells: Iterable[SomeSpell], another: SomeSpell) -> list[SomeSpell]:
    """The longest spells that count, with one more."""
    recent: list[SomeSpell] = [spell for spell in spells if counts(spell, another[0])]
    recent.append(another)
    recent.sort(key=itemgetter(1), reverse=True)
    return recent[:KEPT]


def counts(spell: Spell | Still, at: Nanos) -> bool:
    """Whether it is not forgotten yet: a monthly one is known for the two that follow."""
    return at - spell[0] < MONTH + 2 * spell[1]


def recurring(spells: Iterable[Spell], begun: Nanos, period: Nanos, *, alike: int = 1) -> Nanos:
    """How long one that begins here may be, where so many came at the same hours of the days or weeks before; 0: they did not."""
    may = list[Nanos]()
    for end, length in spells:
        again = end + -(-(begun - end) // period) * period  # when it would end next
        earlier = min((LONGER - 1) * length, period / EARLIER)
        if length < period and again - length <= begun + earlier and again - end <= MONTH:
            may.append(again - begun + round((LONGER - 1) * length))
    return sorted(may)[-alike] if len(may) >= alike else 0


def own(spells: Sequence[Spell], begun: Nanos, at: Nanos) -> Nanos:
    """The length that is its own: that of the second longest, or of any that lasted longer than what came before it, since `begun`.

    One outage is not its own. A job that works for an hour and rests for a month is known after one rest. What has come for days
    since, and for much longer than before, is no job: that was a test before it went live.
    """
    known = [spell for spell in spells if counts(spell, at)]
    lengths = sorted((length for _, length in known), reverse=True)
    restful = [spell[1] for spell in known if _is_rest(known, spell, begun, at)]
    return max(lengths[1] if len(lengths) > 1 else 0, *restful, 0)


def _is_rest(spells: Sequence[Spell], spell: Spell, begun: Nanos, at: Nanos) -> bool:
    """Whether it is the pause of a job: longer than the work before it, and the work after it is as the work before."""
    end, length = spell
    before, after = end - length - _since(spells, spell, begun), _until(spells, spell, at) - end
    return length > before and after <= max(ALIKE * before, DAY)


def _since(spells: Iterable[Spell], spell: Spell, begun: Nanos) -> Nanos:
    """When the last spell before this one ended that can be compared with it."""
    begin = spell[0] - spell[1]
    return max([begun, *(end for end, length in spells if end <= begin and length * ALIKE >= spell[1])])


def _until(spells: Iterable[Spell], spell: Spell, at: Nanos) -> Nanos:
    """When the next spell after this one began that can be compared with it."""
    begins = (end - length for end, length in spells if end - length >= spell[0] and length * ALIKE >= spell[1])
    return min([at, *begins])


@dataclass(slots=True)
class Comings:
    """How a model's panes come: `panes` with events, and the pauses between them, in panes: how many, their sum and sum of squares.

    `cosines` and `sines` add up the hours of the day at which pauses end. All fade with a month.
    """

    panes: float = 0.0
    pauses: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    cosines: float = 0.0
    sines: float = 0.0

    def take(self, at: Nanos, pause: float, pane: Nanos) -> None:
        """Take a pane with events that begins here, after a pause of so many panes."""
        self.panes += 1
        if pause > 0:
            angle = 2 * math.pi * (at % DAY) / DAY
            self.pauses, self.total, self.squares = self.pauses + 1, self.total + pause, self.squares + pause * pause
            self.cosines, self.sines = self.cosines + math.cos(angle), self.sines + math.sin(angle)
        if (self.panes + self.total) * pane > MONTH:
            self._fade()

    def _fade(self) -> None:
        self.panes, self.pauses, self.total = self.panes / 2, self.pauses / 2, self.total / 2
        self.squares, self.cosines, self.sines = self.squares / 2, self.cosines / 2, self.sines / 2

    def by_the_clock(self, pane: Nanos) -> bool:
        """Whether pauses end at one hour of the day: a job, or office hours, and nothing that comes at random."""
        if pane > 2 * HOUR or not self.pauses:
            return False
        together = math.hypot(self.cosines, self.sines) / self.pauses
        return together >= CLOCK and self.pauses * together**2 >= CERTAIN

    def by_chance(self, pane: Nanos) -> float:
        """How many panes a pause may be where panes come at random: a longer one has a chance of 1e-6.

        Pauses are gamma distributed by their mean and variation, no longer than where every pane is empty by itself. What is
        known of few is stretched by twice its standard error.
        """
        if self.pauses < FEWEST or self.by_the_clock(pane):
            return 0.0
        mean = self.total / self.pauses
        variation = max(self.squares / self.pauses / mean**2 - 1, 0.0) * self.pauses / (self.pauses - 1)
        by_pauses = mean * rare_gamma(variation * (1 + 2 / math.sqrt(self.pauses)) ** 2)
        empty = (self.total + 0.5) / (self.panes + self.total + 1)
        return min(by_pauses, RARE / -math.log(empty) * (1 + 2 / math.sqrt(self.panes)))


def rare_gamma(variation: float) -> float:
    """How many times its mean a gamma variable of this squared coefficient of variation seldom is: Chernoff's bound of 1e-6.

    P(X > x mean) ≤ (x exp(1 - x))^(1 / variation).

    >>> [round(rare_gamma(each), 1) for each in (0.0, 0.01, 1.0)]
    [1.0, 1.6, 17.7]
    """
    exponent = RARE * variation
    times = 1 + exponent + math.sqrt(2 * exponent)
    for _ in range(50):
        times = 1 + exponent + math.log(times)
    return times

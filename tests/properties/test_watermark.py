"""The watermark against a model of it, whatever partitions do; and what holds of it besides."""

from dataclasses import dataclass, field

import msgspec
from hypothesis.stateful import initialize, rule

from monitor.stream.events import SECOND, Nanos, Partition
from monitor.stream.watermark import Watermark, restore_watermark, saved_watermark
from tests.build import P0, P1, P2, at
from tests.walks import Walk, moves, walk

IDLE_AFTER = 30 * SECOND
PLACES = (P0, P1, P2)


# --- the model: it keeps all that was shown, and looks at all of it again each time ------------------------------------


@dataclass
class Shown:
    """What one partition has shown, in the order in which it did."""

    times: list[Nanos] = field(default_factory=list)
    silent_since: Nanos = 0
    ends: list[Nanos | None] = field(default_factory=lambda: [None])  # confirmed, or None: no longer known
    asleep: bool = False
    there: bool = True

    @property
    def end(self) -> Nanos | None:
        return self.ends[-1]

    def waited_for(self) -> bool:
        """Whether event time waits for it: awake, or asleep with something unread."""
        return self.there and (not self.asleep or self.end is None)


@dataclass
class Model:
    """All partitions, and how far event time has come."""

    reached: Nanos | None = None
    shown: dict[Partition, Shown] = field(default_factory=dict)

    def there(self) -> list[Shown]:
        return [each for each in self.shown.values() if each.there]

    def observe(self, place: Partition, time: Nanos, now: Nanos) -> None:
        if self.shown[place].asleep and all(each.asleep for each in self.there()):
            for each in self.there():
                each.asleep, each.silent_since = False, now
        self.shown[place].times.append(time)
        self.shown[place].silent_since, self.shown[place].asleep = now, False

    def advance(self) -> None:
        for each in self.shown.values():
            each.asleep |= each.end is not None and each.end >= each.silent_since + IDLE_AFTER
        waited = [each for each in self.there() if each.waited_for()]
        shown = [max(each.times) for each in self.there() if each.times]
        if not shown or not all(each.times for each in waited):
            return
        bounds = [max(each.times) for each in waited] or [max(shown)]
        bounds += [each.end for each in self.there() if not each.waited_for() and each.end is not None]
        self.reached = max(min(bounds), self.reached or 0)


# --- the walk ---------------------------------------------------------------------------------------------------------


class Marks(Walk):
    """A watermark and its model."""

    @initialize()
    def begin(self) -> None:
        self.watermark, self.model, self.now = Watermark(IDLE_AFTER), Model(), at(0)

    @rule(moves=moves)
    def go_on(self, moves: bytes) -> None:
        for move in moves:
            self.count()
            self.step(move & 7, (*PLACES, P0)[move >> 3 & 3], move >> 5)
            before = self.watermark.value
            moved = self.watermark.advance()
            self.model.advance()
            assert self.watermark.value == self.model.reached
            assert moved == (self.watermark.value != before)
            assert before is None or (self.watermark.value is not None and self.watermark.value >= before)
            asleep = {place for place, each in self.model.shown.items() if each.asleep}
            assert self.watermark.idle == asleep

    def step(self, what: int, place: Partition, more: int) -> None:
        if what == 0 or place not in self.model.shown:
            self.assign(place)
        match what:
            case 1 | 2 | 3:
                self.read(place)
                time = self.now - (0, 0, 1, 5, 20, 60, 600, -3)[more] * SECOND
                self.watermark.observe(place, time, self.now)
                self.model.observe(place, time, self.now)
            case 4:
                self.read(place)
            case 5:
                self.confirm(place, self.now - (0, 0, 0, 1, 2, 3, 40, 90)[more] * SECOND)
            case 6:
                self.watermark.restart_silence(place, self.now)
                self.model.shown[place].silent_since = self.now
            case 7 if more == 0:
                self.restart()
            case 7:
                self.now += (1, 2, 5, 20, 31, 45, 300)[more - 1] * SECOND

    def assign(self, place: Partition) -> None:
        self.watermark.assign({place}, self.now)
        shown = self.model.shown.setdefault(place, Shown(silent_since=self.now))
        shown.there = True
        shown.ends.append(None)

    def read(self, place: Partition) -> None:
        self.watermark.read(place)
        self.model.shown[place].ends.append(None)

    def confirm(self, place: Partition, as_of: Nanos) -> None:
        self.watermark.confirm(place, as_of)
        self.model.shown[place].ends.append(as_of)

    def restart(self) -> None:
        """Go on from what is saved; the last partition is not there any more, for now."""
        payload = msgspec.json.encode(saved_watermark(self.watermark))
        self.watermark = Watermark(IDLE_AFTER)
        restore_watermark(self.watermark, payload, self.now)
        for each in self.model.shown.values():
            each.silent_since, each.there = self.now, False
            each.ends.append(None)
        for place in [*self.model.shown][: max(1, len(self.model.shown) - 1)]:
            self.assign(place)


def test_event_time_is_what_all_that_was_shown_says() -> None:
    walk(Marks, 35_000)

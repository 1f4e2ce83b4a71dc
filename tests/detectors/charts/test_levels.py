"""Levels: what stays settles and moves from there anew, what goes back is no page, what never stays does not settle."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from detectors import Reference
from detectors.charts import LevelStep
from detectors.charts.charts import MAGIC
from detectors.charts.design import CHARTS
from detectors.charts.firing import FiringReader
from detectors.charts.watch import Watch, WatchedSubgroup
from tests.charted import WINDOW, Charted, mixed, reference, seeded

LASTING = 100  # subgroups
Change = Callable[[dict[str, np.ndarray]], None]


@pytest.fixture(scope="module")
def learnt() -> Reference:
    return reference(seeded()).select(["normal", "other", "holes", "plan"])


class Stream(Charted):
    """Charts that settle as soon as they may, and traffic for them; a page in twenty months, so that none comes by chance."""

    def __init__(self, learnt: Reference, seed: int | None = None) -> None:
        super().__init__(learnt, per_month=0.05, settle_ns=LASTING * WINDOW)
        self.rng = seeded(seed)

    def panes(self, count: int, *changes: Change) -> None:
        for _ in range(count):
            table = mixed(self.rng, 100)
            for change in changes:
                change(table)
            self.feed(table)

    def steps(self, name: str) -> list[LevelStep]:
        place = self.place(name)
        return [change.step for point in self.points for change in point.changes if change.place == place]

    def fires(self, name: str) -> bool:
        return bool(self.points[-1].firing[self.place(name)].any())

    def fired(self, name: str, last: int) -> bool:
        return any(point.firing[self.place(name)].any() for point in self.points[-last:])


def shift(by: float, name: str = "normal") -> Change:
    def change(table: dict[str, np.ndarray]) -> None:
        table[name] = table[name] + by

    return change


def missing(share: float, name: str = "normal") -> Change:
    def change(table: dict[str, np.ndarray]) -> None:
        table[name][: round(share * table[name].size)] = np.nan

    return change


def new_category(table: dict[str, np.ndarray]) -> None:
    table["plan"] = table["plan"].astype(object)
    table["plan"][::8] = "new"


@pytest.mark.parametrize(
    ("name", "change"),
    [("normal", shift(0.8)), ("normal", shift(-0.8)), ("normal", missing(0.3)), ("plan", new_category)],
    ids=["up", "down", "missing", "category"],
)
def test_what_stays_settles_and_what_goes_back_is_no_page(learnt: Reference, name: str, change: Change) -> None:
    stream = Stream(learnt)
    stream.panes(10)
    stream.panes(LASTING, change)
    assert stream.fires(name)
    assert stream.steps(name) == []
    stream.panes(150, change)  # the first look may find a move by chance: then three more
    assert stream.steps(name)[:1] == [LevelStep.SETTLED]
    assert not stream.fires(name)

    stream.panes(60)
    assert stream.steps(name) == [LevelStep.SETTLED, LevelStep.RETURNED]
    assert not stream.fired(name, 60)


def stray(table: dict[str, np.ndarray]) -> None:
    table["normal"][:2] = 50.0  # no number of the reference


def test_a_stray_value_or_two_hide_no_return(learnt: Reference) -> None:
    stream = Stream(learnt)
    stream.panes(260, shift(0.8))
    assert stream.steps("normal") == [LevelStep.SETTLED]
    stream.panes(2, stray)
    stream.panes(20)

    assert stream.steps("normal") == [LevelStep.SETTLED, LevelStep.RETURNED]
    assert not stream.fired("normal", 10)


def test_it_is_held_to_the_level_beside_the_reference(learnt: Reference) -> None:
    """What moves from there fires anew, and may settle again."""
    stream = Stream(learnt)
    stream.panes(260, shift(0.8))
    assert stream.steps("normal") == [LevelStep.SETTLED]
    stream.panes(40, shift(0.8))
    assert not stream.fired("normal", 30)

    stream.panes(10, shift(1.6))
    assert stream.fires("normal")
    stream.panes(260, shift(1.6))
    assert stream.steps("normal") == [LevelStep.SETTLED, LevelStep.SETTLED]
    assert [level.place for level in stream.charts.levels.standing()] == [stream.place("normal")]


def test_other_features_are_held_to_the_reference(learnt: Reference) -> None:
    stream = Stream(learnt)
    stream.panes(260, shift(0.8))
    stream.panes(10, shift(0.8), shift(0.8, "other"))

    assert stream.fires("other")
    assert not stream.fires("normal")


def test_what_never_stays_does_not_settle(learnt: Reference) -> None:
    stream = Stream(learnt)
    for number in range(300):
        stream.panes(1, shift(0.01 * number))

    assert stream.steps("normal") == []
    assert stream.fires("normal")
    assert stream.place("normal") in stream.points[-1].moving


def test_a_second_step_starts_the_clock_anew(learnt: Reference) -> None:
    """What settles is the level that lasted, no mixture of two."""
    stream = Stream(learnt)
    stream.panes(60, shift(0.4))
    stream.panes(90, shift(1.6))
    assert stream.steps("normal") == []
    stream.panes(220, shift(1.6))
    assert stream.steps("normal") == [LevelStep.SETTLED]
    stream.panes(30, shift(1.6))
    assert not stream.fired("normal", 20)


def test_what_has_doubled_says_so_once(learnt: Reference) -> None:
    stream = Stream(learnt)
    place = stream.place("normal")
    stream.panes(60, shift(0.6))
    assert not any(place in point.grown for point in stream.points)
    stream.panes(12, shift(2.4))

    assert sum(place in point.grown for point in stream.points) == 1
    assert stream.points[-1].sizes[place].max() > 1.2


def test_what_turns_the_other_way_says_so_at_once_however_long_it_was_the_one(learnt: Reference) -> None:
    """A unit that changes while the mean is already off: the sum of the change before takes weeks to fall."""
    stream = Stream(learnt)
    place = stream.place("normal")
    stream.panes(60, shift(1.0))
    assert not any(point.turned for point in stream.points)
    stream.panes(3, shift(-2.0))
    turned = [point for point in stream.points if place in point.turned]

    assert len(turned) == 1
    assert CHARTS[turned[0].turned[place]] == "location-"
    assert turned[0].sizes[place][CHARTS.index("location-")] > 1.3  # 1.64 ± 0.07 in 25 draws
    assert turned[0].firing[place, CHARTS.index("location+")]
    told = next(each for each in FiringReader.of(stream.charts.design).read(turned[0]) if each.feature == "normal")
    assert (told.chart, told.effect < -1.3) == ("location-", True)
    assert told.turned is not None
    assert told.turned > stream.at - 4 * WINDOW > told.since


def test_people_accept_at_once_and_until_then(learnt: Reference) -> None:
    stream = Stream(learnt)
    stream.panes(20, shift(0.8))
    until = stream.at + 30 * WINDOW
    accepted = stream.charts.accept(["normal"], until, stream.at)

    assert [(change.place, change.step, change.until) for change in accepted] == [
        (stream.place("normal"), "accepted", until)
    ]
    stream.panes(30, shift(0.8))
    assert not stream.fired("normal", 30)
    assert stream.steps("normal") == [LevelStep.EXPIRED]
    stream.panes(10, shift(0.8))
    assert stream.fires("normal")


def test_what_was_accepted_and_goes_back_is_learnt_on_no_longer(learnt: Reference) -> None:
    stream = Stream(learnt)
    stream.panes(20, missing(0.3))
    stream.charts.accept(["normal"], None, stream.at)
    stream.panes(20)
    assert stream.steps("normal") == [LevelStep.RETURNED]

    stream.panes(2 * LASTING, missing(0.3))
    assert stream.steps("normal") == [LevelStep.RETURNED, LevelStep.SETTLED]


def test_what_earlier_versions_held_on_to_is_let_go(learnt: Reference) -> None:
    stream, fresh = Stream(learnt), Stream(learnt)
    stream.panes(20, shift(0.8))
    stream.charts.levels.watch.held[:] = True
    fresh.charts.restore(stream.charts.to_bytes())

    assert fresh.charts.levels.watch.places.size
    assert not fresh.charts.levels.watch.held.any()


def test_levels_that_an_earlier_version_saved_are_held_to_as_then(learnt: Reference) -> None:
    """It kept neither what was seen in each cell, nor what is due by a level's factors; without hours all is as it was."""
    stream, fresh = Stream(learnt), Stream(learnt)
    stream.panes(20, shift(0.8))
    stream.charts.accept(["normal"], None, stream.at)
    stream.panes(10, shift(0.8), missing(0.3, "other"))
    saved = stream.charts.levels.packed()
    earlier = {name: array for name, array in saved.items() if name != "seen"}
    earlier["watch"] = {name: array for name, array in saved["watch"].items() if name != "levelled"}
    fresh.charts.levels.restore(earlier)
    before, after = (each.charts.levels for each in (stream, fresh))

    assert after.watch.places.tolist() == before.watch.places.tolist()
    assert after.seen.shape == before.seen.shape
    assert np.allclose(after.watch.levelled, before.watch.levelled, rtol=1e-9)
    usual = stream.charts.design.unfolded, stream.charts.design.rows
    assert np.array_equal(fresh.charts.design.rows, usual[1])  # what was learnt on is what is held to
    assert np.array_equal(fresh.charts.design.scores, stream.charts.design.scores)
    for old, new in zip(before.expected(*usual), after.expected(*usual), strict=True):
        assert np.allclose(new, old, rtol=0.1, atol=1e-3)
    stream.charts.levels.restore(earlier)
    stream.panes(60, shift(0.8), missing(0.3, "other"))
    assert not stream.fired("normal", 60)


NIGHT, NOON = np.array([0.6, 0.2, 0.15, 0.05, 0.0]), np.array([0.1, 0.3, 0.3, 0.3, 0.0])
TIMES = np.array([0.5, 1.0, 1.5, 2.0, 1.0])  # what becomes of each cell


def watched(shares: np.ndarray, times: np.ndarray, at: int) -> WatchedSubgroup:
    """One feature for which what is due came, and that so many times."""
    cells = np.round(1e6 * shares * times / (shares * times).sum()).astype(np.int64)
    return WatchedSubgroup(cells[None], shares[None], np.zeros((1, 2), dtype=np.int64), 10**6, at, at + WINDOW)


def test_the_factor_of_a_cell_is_the_same_at_every_hour() -> None:
    """Of all hours together it is another: what hours are alike in would be seen as part of the change."""
    watch = Watch(1000 * WINDOW, 5, len(CHARTS))
    for number in range(200):
        subgroup = watched(NOON if number % 8 < 3 else NIGHT, TIMES, number * WINDOW)
        watch.follow(subgroup, np.ones(1, dtype=np.bool_), np.ones(1, dtype=np.bool_))
    factors = watch.ratios()[0, :4]

    assert np.allclose(factors / factors[1], TIMES[:4], rtol=0.01)
    pooled = watch.counts.sum(axis=(0, 1))[:4] / watch.expected.sum(axis=(0, 1))[:4]
    assert not np.allclose(pooled / pooled[1], TIMES[:4], rtol=0.1)


def test_what_the_reference_has_none_of_keeps_its_share_in_a_level(learnt: Reference) -> None:
    """Though shares are of more than one, as they are where rows of holidays count in them and not among the rows."""
    stream = Stream(learnt)
    levels, place, width = stream.charts.levels, stream.place("normal"), stream.charts.design.cells.width
    features = len(learnt.names)
    cells, shares = np.zeros((features, width), dtype=np.int64), np.zeros((features, width))
    cells[place, :3], shares[place, :2] = (40_000, 50_000, 10_000), (0.6, 0.6)
    uneasy = np.arange(features) == place
    none = np.zeros((features, 2), dtype=np.int64)
    levels.watch.follow(WatchedSubgroup(cells, shares, none, 100_000, 0, WINDOW), uneasy, uneasy)
    levels.accept([place], None, WINDOW)
    expected, resting = levels.expected(shares, stream.charts.design.rows)

    assert expected[place, :3] == pytest.approx([0.4, 0.5, 0.1], rel=1e-3)
    assert resting[place] <= 100_000


def test_a_level_of_which_no_value_was_seen_rests_on_next_to_nothing(learnt: Reference) -> None:
    stream = Stream(learnt)
    stream.panes(20, missing(1.0))
    stream.charts.accept(["normal"], None, stream.at)
    design = stream.charts.design

    assert design.rows[stream.place("normal")] == 1
    assert stream.charts.levels.expected(design.unfolded, design.rows)[1][stream.place("normal")] == 1


def test_nothing_is_accepted_of_what_is_as_it_was(learnt: Reference) -> None:
    stream = Stream(learnt)
    stream.panes(20, shift(0.8))

    assert stream.charts.accept(["other"], None, stream.at) == []
    assert [change.place for change in stream.charts.accept([], None, stream.at)] == [stream.place("normal")]


@pytest.mark.parametrize("stopped", [3, 60, 118, 150, 190, 240])
def test_going_on_from_bytes_is_never_having_stopped(learnt: Reference, stopped: int) -> None:
    def play(stream: Stream, panes: range) -> None:
        for number in panes:
            shifts = [shift(0.8)] if 5 <= number < 200 else []
            stream.panes(1, *shifts, *([missing(0.3, "other")] if number >= 100 else []))
            if number == 30:
                stream.charts.accept(["normal"], stream.at + 60 * WINDOW, stream.at)

    straight = Stream(learnt)
    seed = int(straight.rng.integers(2**32))
    straight.rng, again = np.random.default_rng(seed), Stream(learnt, seed)
    play(straight, range(330))
    play(again, range(stopped))
    fresh = Stream(learnt)
    fresh.charts.restore(again.charts.to_bytes())
    again.charts = fresh.charts
    play(again, range(stopped, 330))

    assert again.charts.to_bytes() == straight.charts.to_bytes()
    assert again.points[-1].changes == straight.points[-1].changes
    assert straight.steps("normal")
    assert straight.steps("other")


def test_charts_of_before_there_were_levels_are_read(learnt: Reference) -> None:
    stream, fresh = Stream(learnt), Stream(learnt)
    stream.panes(10, shift(0.3))
    fresh.charts.restore(of_format_1(stream.charts.to_bytes()))

    assert np.array_equal(fresh.charts.sums.values, stream.charts.sums.values)
    assert fresh.charts.levels.standing() == []


def of_format_1(data: bytes) -> bytes:
    import struct
    import zlib

    _, fingerprint, packed = msgspec.msgpack.decode(data[4:-4])
    parts = msgspec.msgpack.decode(zlib.decompress(packed))[:2]
    body = MAGIC + msgspec.msgpack.encode([1, fingerprint, zlib.compress(msgspec.msgpack.encode(parts))])
    return body + struct.pack("<I", zlib.crc32(body))

"""ADWIN over panes: it finds shifts, tells where the mean stands, and continues bit for bit after a restart."""

import random
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from detectors import DriftScore, Reference, Sketch
from detectors.charts.budget import ADWIN_RATE
from detectors.univariate import adwin
from tests.charted import seeded

ROWS = 1000
REFERENCE = Reference.fit(
    {
        "x": np.random.default_rng(0).normal(10, 2, 50_000),
        "y": np.random.default_rng(1).lognormal(size=50_000),
        "constant": np.full(50_000, 3.0),
        "plan": ["a"] * 50_000,
    }
)


def pane(rng: np.random.Generator, *, shift: float = 0.0, rows: int = ROWS, constant: float = 3.0) -> Sketch:
    """A pane whose x has moved by so many reference sigma."""
    sketch = Sketch.empty(REFERENCE.layout)
    data = {
        "x": rng.normal(10 + 2 * shift, 2, rows),
        "y": rng.lognormal(size=rows),
        "constant": np.full(rows, constant),
    }
    sketch.update(*REFERENCE.encode(data))
    return sketch


def score_of(bank: adwin.AdwinBank, name: str, **options: int) -> DriftScore:
    return next(score for score in bank.scores(**options) if score.feature == name)


def test_the_documented_example_is_detected_where_river_says() -> None:
    rng = random.Random(12345)
    stream = rng.choices([0, 1], k=1000) + rng.choices(range(4, 8), k=1000)

    assert adwin.detect(stream) == [1023]


@pytest.mark.parametrize(("delta", "clock"), [(0.002, 32), (0.05, 1)])
def test_changes_are_seen_where_rivers_public_detector_sees_them(delta: float, clock: int) -> None:
    """What is used here is the inside of `river.drift.ADWIN`, which may change with any version of river."""
    from river import drift

    rng, public, expected = random.Random(7), drift.ADWIN(delta=delta, clock=clock), []
    stream = [rng.gauss(at // 300 % 2, 1) for at in range(3000)]
    for at, value in enumerate(stream):
        public.update(value)
        if public.drift_detected:
            expected.append(at)

    assert len(expected) > 3
    assert adwin.detect(stream, delta=delta, clock=clock) == expected


def test_before_the_first_pane_there_is_no_score() -> None:
    scores = adwin.AdwinBank(REFERENCE).scores()

    assert [score.feature for score in scores] == ["x", "y", "constant"]
    assert all(score.insufficient for score in scores)
    assert all(score.details == {} for score in scores)


def test_unchanged_data_gives_no_detection_and_a_small_shift() -> None:
    rng, bank = np.random.default_rng(2), adwin.AdwinBank(REFERENCE)
    for _ in range(500):
        bank.update(pane(rng))

    assert score_of(bank, "x").details["detections"] == 0
    assert score_of(bank, "x").value < 0.02
    assert score_of(bank, "x").rows == 64 * ROWS


@pytest.mark.parametrize("sign", [1, -1])
def test_a_quarter_sigma_is_found_within_ten_panes_and_its_size_told(sign: int) -> None:
    rng, bank = np.random.default_rng(3), adwin.AdwinBank(REFERENCE)
    for _ in range(100):
        bank.update(pane(rng))
    panes = 0
    while not score_of(bank, "x").details["detections"]:
        bank.update(pane(rng, shift=0.25 * sign))
        panes += 1
    for _ in range(64):
        bank.update(pane(rng, shift=0.25 * sign))

    assert panes <= 10
    assert score_of(bank, "x").value == pytest.approx(0.25, abs=0.02)
    assert score_of(bank, "x").details["direction"] == sign
    assert score_of(bank, "y").details["detections"] == 0


def test_the_newer_panes_survive_a_detection() -> None:
    """Bifet and Gavaldà drop the old part of the window only; so the score stays on what is known of the new level."""
    rng, bank = np.random.default_rng(4), adwin.AdwinBank(REFERENCE)
    for number in range(120):
        bank.update(pane(rng, shift=1.0 if number >= 100 else 0.0))

    assert score_of(bank, "x").rows >= 10 * ROWS


def test_panes_weigh_by_their_rows() -> None:
    bank = adwin.AdwinBank(REFERENCE)
    rng = np.random.default_rng(5)
    large, small = pane(rng, rows=3000), pane(rng, shift=1.0, rows=1000)
    bank.update(large)
    bank.update(small)
    expected = sum(weight * REFERENCE.mean_shift(one.tally())[0] for weight, one in ((3, large), (1, small))) / 4

    assert score_of(bank, "x").value == pytest.approx(abs(expected), rel=1e-12)
    assert score_of(bank, "x").rows == 4000


def test_a_constant_moves_by_the_share_of_rows_that_left_it() -> None:
    bank = adwin.AdwinBank(REFERENCE)
    bank.update(pane(np.random.default_rng(6)))
    assert score_of(bank, "constant").value == 0.0

    bank.update(pane(np.random.default_rng(6), constant=2.9))
    assert score_of(bank, "constant").value == 0.5
    assert score_of(bank, "constant").details["direction"] == -1


def test_a_pane_with_one_usable_row_is_passed_over() -> None:
    bank = adwin.AdwinBank(REFERENCE)
    bank.update(pane(np.random.default_rng(7), rows=1))
    bank.update(Sketch.empty(REFERENCE.layout))

    assert score_of(bank, "x").insufficient
    assert score_of(bank, "x").rows == 0


def test_min_rows_counts_the_rows_behind_the_score() -> None:
    bank = adwin.AdwinBank(REFERENCE)
    bank.update(pane(np.random.default_rng(8)))

    assert not score_of(bank, "x", min_rows=ROWS).insufficient
    assert score_of(bank, "x", min_rows=ROWS + 1).insufficient


@pytest.mark.parametrize("before", [0, 1, 63, 64, 150, 203])
def test_a_restored_bank_continues_bit_for_bit(before: int) -> None:
    """Also when saved in the middle of a detection, which begins at pane 200."""
    rng, bank = np.random.default_rng(9), adwin.AdwinBank(REFERENCE, delta=0.002)
    for number in range(before):
        bank.update(pane(rng, shift=0.5 if number >= 200 else 0.0, rows=200))
    restored = adwin.AdwinBank.from_bytes(REFERENCE, bank.to_bytes())
    assert restored.delta == 0.002
    assert restored.to_bytes() == bank.to_bytes()
    for number in range(60):
        sealed = pane(rng, shift=0.5 if number >= 30 else 0.0, rows=200)
        bank.update(sealed)
        restored.update(sealed)
        assert restored.scores() == bank.scores()

    assert restored.to_bytes() == bank.to_bytes()
    assert score_of(bank, "x").details["detections"] > 0


def test_a_pane_of_another_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        adwin.AdwinBank(REFERENCE).update(Reference.fit({"x": [1.0]}).sketch)


def test_a_bank_without_numeric_features_has_nothing_to_say() -> None:
    reference = Reference.fit({"c": ["a", "b"]})
    bank = adwin.AdwinBank(reference)
    bank.update(reference.sketch)

    assert bank.scores() == []
    assert adwin.AdwinBank.from_bytes(reference, bank.to_bytes()).scores() == []


def sealed_again(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"", "no ADWIN bank"),
        (lambda data: b"junk" + data[4:], "no ADWIN bank"),
        (lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:], "checksum"),
        (lambda data: data[:-1], "checksum"),
        (lambda data: sealed_again(data[:4] + b"\x07" + data[5:-4]), "format 7, this version reads 2"),
        (lambda data: sealed_again(data[:5] + b"9" + data[6:-4]), "written with river"),
    ],
)
def test_foreign_and_damaged_banks_are_refused(change: Callable[[bytes], bytes], message: str) -> None:
    bank = adwin.AdwinBank(REFERENCE)
    bank.update(pane(np.random.default_rng(10)))
    with pytest.raises(ValueError, match=message):
        adwin.AdwinBank.from_bytes(REFERENCE, change(bank.to_bytes()))


def test_a_bank_of_another_reference_is_refused() -> None:
    other = Reference.fit({"x": [1.0, 2.0]})
    with pytest.raises(ValueError, match=f"belongs to reference {REFERENCE.hash}"):
        adwin.AdwinBank.from_bytes(other, adwin.AdwinBank(REFERENCE).to_bytes())


def test_a_bank_fed_under_another_delta_is_refused() -> None:
    saved = adwin.AdwinBank(REFERENCE, delta=0.002).to_bytes()

    assert adwin.AdwinBank.from_bytes(REFERENCE, saved, delta=0.002).delta == 0.002
    with pytest.raises(ValueError, match=r"fed under delta 0\.002, now it is 0\.0005"):
        adwin.AdwinBank.from_bytes(REFERENCE, saved, delta=0.0005)


def test_unchanged_panes_are_cut_as_often_as_the_budget_reckons() -> None:
    """At a delta of 0.02 it was 26 in a million of 20 million panes, at 0.002 1.9 of 60, at 0.0005 0.5 of 100: 1.3 to 0.95
    thousandths of delta. Here some 20 cuts are expected; the bounds are four and more of their deviations away.
    """
    rng, cuts = seeded(), 0
    for _ in range(90):  # months of five minutes
        window = adwin._river(0.02, clock=1)
        cuts += sum(map(bool, map(window.update, np.clip(rng.normal(size=8640), -adwin.CLIP, adwin.CLIP).tolist())))

    assert 0.2 < cuts / (90 * 8640) / (0.02 * ADWIN_RATE) < 4


@pytest.mark.parametrize("few", [False, True])
def test_panes_that_wait_are_fed_as_if_each_were_asked_about(few: bool) -> None:
    """Many are fed at once; whoever asked in between gets what was known then, whenever the answer is read."""
    rng = np.random.default_rng(11)
    panes = [
        pane(rng, shift=0.0 if number < 90 else 1.0, rows=1 if few and number % 7 == 3 else 200)
        for number in range(150)
    ]
    asked, waiting = (adwin.AdwinBank(REFERENCE, delta=0.002) for _ in range(2))
    now, later = [], []
    for sealed in panes:
        asked.update(sealed)
        now.append(asked.columns())
        waiting.update(sealed)
        later.append(waiting.standing())

    assert [each.columns().scores() for each in later] == [each.scores() for each in now]
    assert waiting.to_bytes() == asked.to_bytes()
    assert any(score.details["detections"] for score in now[-1].scores())
    assert waiting.take_journal() == asked.take_journal()

"""A reference made of live traffic on the layout of a training set, and how far the two are apart."""

import re

import numpy as np
import pytest

from detectors import Reference, Sketch
from detectors.reference.live import Difference, differences, learnt_reference
from tests.charted import mixed, pane, reference, seeded


@pytest.fixture(scope="module")
def training() -> Reference:
    return Reference.fit(mixed(seeded(), 20_000))


def live_of(training: Reference, live: Sketch) -> Reference:
    calibration = reference(np.random.default_rng(1)).calibration
    assert calibration is not None
    return learnt_reference(training, live, calibration, (0, 10))


def test_edges_stay_and_counts_are_live(training: Reference) -> None:
    live = pane(training, mixed(seeded(), 5_000))
    learnt = live_of(training, live)

    assert learnt.layout is training.layout
    assert learnt.rows == 5_000
    assert (learnt.counts == live.counts).all()
    assert learnt.hash != training.hash
    assert (learnt.cold, learnt.period) == ("", (0, 10))
    assert Reference.from_dict(learnt.to_dict()).hash == learnt.hash


def test_moments_follow_from_live_counts(training: Reference) -> None:
    table = mixed(seeded(), 20_000)
    learnt = live_of(training, pane(training, table | {"normal": table["normal"] * 0.5 + 0.7}))
    normal, constant, empty = (learnt.features[name] for name in ("normal", "constant", "empty"))

    assert normal.mean == pytest.approx(0.7, abs=0.05)  # type: ignore[union-attr]
    assert normal.std == pytest.approx(0.5, abs=0.05)  # type: ignore[union-attr]
    assert (constant.mean, constant.std) == (1.0, 0.0)  # type: ignore[union-attr]
    assert (empty.mean, empty.std) == (0.0, 0.0)  # type: ignore[union-attr]


def test_a_number_of_which_nothing_came_keeps_its_moments(training: Reference) -> None:
    table = mixed(seeded(), 500)
    learnt = live_of(training, pane(training, table | {"normal": np.full(500, np.nan)}))

    assert learnt.features["normal"].mean == training.features["normal"].mean  # type: ignore[union-attr]


def test_moments_of_values_as_large_as_they_come_are_finite() -> None:
    huge = Reference.fit({"x": np.array([-1.7e308, 1.7e308] * 50), "y": np.arange(100.0)})
    live = pane(huge, {"x": np.array([-1.7e308, 1.7e308] * 50), "y": np.arange(100.0)})
    calibration = reference(np.random.default_rng(1)).calibration
    assert calibration is not None

    assert np.isfinite(learnt_reference(huge, live, calibration, None).numeric[0].std)


def test_traffic_like_the_training_set_differs_in_nothing(training: Reference) -> None:
    assert differences(training, pane(training, mixed(seeded(), 200_000))) == ()
    assert differences(training, pane(training, mixed(seeded(), 100))) == ()


def test_what_differs_is_named_furthest_first(training: Reference) -> None:
    table = mixed(seeded(), 50_000)
    table["normal"] = table["normal"] + 1.5
    table["holes"][:5_000] = np.nan
    table["other"] = table["other"] + 0.3
    table["plan"] = np.where(np.arange(50_000) % 20 == 0, "new", table["plan"])
    found = differences(training, pane(training, table))

    assert {each.feature for each in found} == {"normal", "holes", "other", "plan"}
    assert found[-1].feature == "other"
    by_name = {each.feature: each.words for each in found}
    assert by_name["normal"].startswith("normal PSI ")
    points = re.fullmatch(r"holes missing \+([0-9.]+) points", by_name["holes"])
    assert points is not None
    assert float(points[1]) == pytest.approx(
        9.5, abs=0.9
    )  # both samples have holes of their own: its standard deviation is 0.18
    assert "unseen +5.0 points" in by_name["plan"]
    assert found[-1].shift == pytest.approx(0.3, abs=0.05)
    assert by_name["other"].startswith("other mean +0.")


def test_a_number_without_a_live_value_has_no_shift(training: Reference) -> None:
    table = mixed(seeded(), 1_000)
    (found,) = differences(training, pane(training, table | {"normal": np.full(1_000, np.nan)}))

    assert found == Difference("normal", found.psi, None, 1.0, -training.unseen_shares[training.names.index("normal")])

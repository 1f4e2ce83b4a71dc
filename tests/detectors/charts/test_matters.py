"""One change of one feature is told once, under one kind."""

from dataclasses import replace

from detectors.charts import FiringFeature, IncidentKind
from detectors.charts.matters import begun, matters

DRIFT, QUALITY, _ = (IncidentKind.DRIFT, IncidentKind.DATA_QUALITY, IncidentKind.PREDICTION)


def fires(chart: str, since: int, feature: str = "plan") -> FiringFeature:
    return FiringFeature(feature, chart, since, 0.1, 1.2)


def test_of_what_fires_at_once_the_first_is_told() -> None:
    unseen, shape = fires("unseen", 90), fires("shape", 80)

    assert matters([unseen, shape], {}, 100) == [unseen]
    assert matters([shape, unseen], {}, 100) == [shape]
    assert matters([unseen, fires("shape", 90, "age")], {}, 100) == [unseen, fires("shape", 90, "age")]


def test_a_new_category_is_why_the_mix_moves_however_far() -> None:
    """Told as drift it would be part of an incident that is open, and a model would be trained on it."""
    unseen, shape = replace(fires("unseen", 90), numeric=False), replace(fires("shape", 80), numeric=False)

    assert matters([shape, unseen], {}, 100) == [unseen]
    assert matters([shape, fires("location+", 90, "age"), unseen], {}, 100) == [fires("location+", 90, "age"), unseen]
    assert matters([shape, unseen], begun([shape], {}, 90), 100) == [shape]  # which is known as one matter already


def test_what_had_changed_by_then_is_part_of_it() -> None:
    """Also where it takes longer to prove."""
    before = begun([fires("unseen", 90)], {}, 100)

    assert matters([fires("shape", 100), fires("unseen", 90)], before, 120) == [fires("unseen", 90)]


def test_what_changes_later_is_a_matter_of_its_own() -> None:
    before = begun([fires("location+", 90)], {}, 100)
    both = [fires("missing", 110), fires("location+", 90)]

    assert matters(both, before, 120) == both
    assert begun(both, before, 120) == {("plan", DRIFT): 100, ("plan", QUALITY): 120}
    assert matters(both[::-1], begun(both, before, 120), 140) == both[::-1]


def test_what_outlives_what_told_it_is_told_by_itself() -> None:
    before = begun([fires("unseen", 90)], {}, 100)

    assert matters([fires("shape", 80)], before, 120) == [fires("shape", 80)]

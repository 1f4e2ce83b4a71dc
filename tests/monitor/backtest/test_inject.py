"""Planted changes: what each does to the events it concerns, that it leaves all others alone, and mistakes as one line."""

import random
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from detectors import Reference
from monitor.backtest.inject import InjectError, Plant, parse_plants
from monitor.stream.events import EventBatch, SeriesKey
from tests.build import KEY, MIDNIGHT, MINUTE, OTHER_KEY, make_spec

ROWS = 20_000
REFERENCE = Reference.fit(
    {
        "age": np.arange(100.0),
        "income": np.arange(100.0) * 7,
        "plan": ["free", "free", "free", "pro"] * 25,
        "colour": ["red", "pro", "free", "blue"] * 25,
    }
)
FLAT = Reference.fit({"same": np.full(100, 0.1), "none": np.full(100, np.nan)})
SPEC = make_spec(reference=REFERENCE)
NOON = "2025-11-23T12:00:00Z"
AGE, INCOME = (REFERENCE.features[name] for name in ("age", "income"))
PLAN, COLOUR = 0, 1


def planted(change: str, until: str = "") -> Plant:
    """A change at noon."""
    (plant,) = parse_plants([f"{change}@{NOON}{until}"], [SPEC])
    return plant


@pytest.fixture
def batch() -> EventBatch:
    """A day of events, one a few seconds, one in a hundred without an age."""
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    columns = {
        "age": np.where(rng.random(ROWS) < 0.01, np.nan, rng.normal(50, 10, ROWS)),
        "income": rng.normal(300, 100, ROWS),
        "plan": rng.choice(["free", "pro", None], ROWS),
        "colour": rng.choice(["red", "pro", "free", "blue", "mauve"], ROWS),
    }
    times = MIDNIGHT + np.arange(ROWS, dtype=np.int64) * (24 * 60 * MINUTE // ROWS)
    return EventBatch(KEY, "predictions", times, *REFERENCE.encode(columns))


def halves(batch: EventBatch) -> tuple[EventBatch, EventBatch]:
    """Before noon and from noon on."""
    later = batch.event_times >= MIDNIGHT + 12 * 60 * MINUTE
    return batch.where(~later), batch.where(later)


def same(one: EventBatch, two: EventBatch) -> bool:
    return np.array_equal(one.numeric, two.numeric, equal_nan=True) and np.array_equal(one.codes, two.codes)


CHANGES = ["age:shift=0.5sd", "age:missing=5%", "plan:category=EU-2:8%", "plan:constant=pro", "age:swap=income"]


@pytest.mark.parametrize("change", CHANGES)
def test_only_the_events_from_its_time_on_are_changed(batch: EventBatch, change: str) -> None:
    before = halves(batch)
    kept = batch.numeric.copy(), batch.codes.copy()
    plant = planted(change)
    after = halves(plant.into(batch))

    assert same(before[0], after[0])
    assert not same(before[1], after[1])
    assert plant.rows == len(before[1])
    assert np.array_equal(batch.numeric, kept[0], equal_nan=True)  # what was read is not written to
    assert np.array_equal(batch.codes, kept[1])


@pytest.mark.parametrize("change", CHANGES)
def test_it_ends_where_it_says(batch: EventBatch, change: str) -> None:
    plant = planted(change, "..2025-11-23T13:00:00Z")
    found = plant.into(batch)
    end = batch.event_times >= MIDNIGHT + 13 * 60 * MINUTE

    assert same(batch.where(end), found.where(end))
    assert 0 < plant.rows < ROWS / 20


@pytest.mark.parametrize("change", CHANGES)
def test_the_same_change_is_the_same_in_any_batches(batch: EventBatch, change: str) -> None:
    whole = planted(change).into(batch)
    plant, cuts = planted(change), [0, 1, 7_000, 11_111, 11_112, ROWS]
    parts = []
    for first, last in pairwise(cuts):
        rows = np.zeros(ROWS, dtype=np.bool_)
        rows[first:last] = True
        parts.append(plant.into(batch.where(rows)))

    assert np.array_equal(np.concatenate([part.numeric for part in parts]), whole.numeric, equal_nan=True)
    assert np.array_equal(np.concatenate([part.codes for part in parts]), whole.codes)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("age:shift=0.5sd", lambda age: age + 0.5 * AGE.std),
        ("age:shift=-2sd", lambda age: age - 2 * AGE.std),
        ("age:scale=1.25", lambda age: AGE.mean + 1.25 * (age - AGE.mean)),
        ("age:times=100", lambda age: age * 100),
        ("age:constant=-1", lambda age: np.full_like(age, -1)),
    ],
)
def test_numbers_are_moved_as_said(
    batch: EventBatch, change: str, expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    _, before = halves(batch)
    _, after = halves(planted(change).into(batch))

    np.testing.assert_allclose(after.numeric[:, 0], expected(before.numeric[:, 0]))
    np.testing.assert_array_equal(after.numeric[:, 1], before.numeric[:, 1])


def test_a_share_of_the_values_goes_missing(batch: EventBatch) -> None:
    _, before = halves(batch)
    _, numbers = halves(planted("income:missing=20%").into(batch))
    _, texts = halves(planted("colour:missing=20%").into(batch))

    assert 0.15 < np.isnan(numbers.numeric[:, 1]).mean() < 0.25
    assert 0.15 < (texts.codes[:, COLOUR] == 5).mean() - (before.codes[:, COLOUR] == 5).mean() < 0.25


def test_a_new_category_is_unseen_and_has_its_name(batch: EventBatch) -> None:
    plant = planted("plan:category=EU-2:8%")
    _, after = halves(plant.into(batch))

    assert 0.05 < (after.codes[:, PLAN] == 2).mean() < 0.11
    assert [one[:2] for one in plant.named_in(batch).unseen_categories] == [(PLAN, "EU-2")]


def test_a_known_category_gets_more_of_them(batch: EventBatch) -> None:
    plant = planted("plan:category=pro:90%")
    _, after = halves(plant.into(batch))

    assert (after.codes[:, PLAN] == 1).mean() > 0.85
    assert plant.named_in(batch).unseen_categories == ()


def test_a_text_may_be_the_constant(batch: EventBatch) -> None:
    _, after = halves(planted("plan:constant=free").into(batch))

    assert (after.codes[:, PLAN] == 0).all()


def test_swapped_numbers_are_each_others(batch: EventBatch) -> None:
    _, before = halves(batch)
    plant = planted("age:swap=income")
    _, after = halves(plant.into(batch))

    np.testing.assert_array_equal(after.numeric[:, 0], before.numeric[:, 1])
    np.testing.assert_array_equal(after.numeric[:, 1], before.numeric[:, 0])
    assert plant.features == ("age", "income")


def test_swapped_categories_keep_their_names(batch: EventBatch) -> None:
    """A code is another word in another feature; a word that the other does not know is unseen there."""
    _, before = halves(batch)
    _, after = halves(planted("plan:swap=colour").into(batch))
    words = {name: [*REFERENCE.features[name].categories, "unseen", None] for name in ("plan", "colour")}
    was = [words["colour"][code] for code in before.codes[:, COLOUR]]
    now = [words["plan"][code] for code in after.codes[:, PLAN]]

    assert now == [word if word in words["plan"] else "unseen" for word in was]
    assert [words["colour"][code] for code in after.codes[:, COLOUR]] == [
        words["plan"][code] for code in before.codes[:, PLAN]
    ]


def test_other_series_are_left_alone(batch: EventBatch) -> None:
    other = EventBatch(OTHER_KEY, batch.topic, batch.event_times, batch.numeric, batch.codes)
    plant = planted("age:times=100")

    assert plant.into(other) is other
    assert plant.rows == 0


def test_a_feature_of_several_models_is_named_with_its_model() -> None:
    specs = [make_spec(reference=REFERENCE), make_spec(reference=REFERENCE, key=SeriesKey("fraud", "*"))]

    assert parse_plants([f"fraud/age:times=2@{NOON}"], specs)[0].key == SeriesKey("fraud", "*")
    assert parse_plants([f"churn/3/age:times=2@{NOON}"], specs)[0].key == KEY
    with pytest.raises(InjectError, match=r"age may be churn/3/age or fraud/\*/age: say which"):
        parse_plants([f"age:times=2@{NOON}"], specs)


def test_names_may_hold_what_the_form_is_made_of() -> None:
    odd = Reference.fit({"a:shift=1/b@c": np.arange(9.0)})
    (plant,) = parse_plants([f"a:shift=1/b@c:times=2@{NOON}"], [make_spec(reference=odd)])

    assert plant.features == ("a:shift=1/b@c",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("age", "is not [MODEL/]FEATURE:CHANGE@TIME"),
        ("age:shift=1sd", "is not [MODEL/]FEATURE:CHANGE@TIME"),
        (f"age:turn=1@{NOON}", "is not [MODEL/]FEATURE:CHANGE@TIME"),
        (f"height:times=2@{NOON}", "no model has a feature height; there is age, income, plan, colour"),
        (f"age:shift=0.5@{NOON}", "say how many standard deviations, as in shift=0.5sd"),
        (f"age:shift=xsd@{NOON}", "'x' is no number"),
        (f"age:times=nan@{NOON}", "'nan' is no number"),
        (f"age:constant=old@{NOON}", "'old' is no number"),
        (f"age:missing=5@{NOON}", "'5' is no share such as 5%"),
        (f"age:missing=0%@{NOON}", "'0%' is no share such as 5%"),
        (f"age:missing=101%@{NOON}", "'101%' is no share such as 5%"),
        (f"age:category=EU:8%@{NOON}", "age is numeric; category is for categories"),
        (f"plan:category=8%@{NOON}", "must be category=NAME:8%"),
        (f"plan:shift=1sd@{NOON}", "plan is categorical; shift is for numbers"),
        (f"age:swap=plan@{NOON}", "age is numeric, plan is categorical; both must be of one kind"),
        (f"age:swap=age@{NOON}", "is no other feature"),
        (f"age:swap=height@{NOON}", "is no other feature"),
        ("age:times=2@tomorrow", "'tomorrow' is no time such as 2026-11-01"),
        (f"age:times=2@{NOON}..2025-11-23", "2025-11-23 is not after 2025-11-23T12:00:00Z"),
    ],
)
def test_what_cannot_be_meant_is_one_line(text: str, said: str) -> None:
    with pytest.raises(InjectError) as refused:
        parse_plants([text], [SPEC])

    assert str(refused.value).startswith(f"--inject {text}: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("feature", "held"), [("same", "one value only"), ("none", "no value")])
def test_what_has_no_standard_deviation_cannot_be_shifted_by_it(feature: str, held: str) -> None:
    spec = make_spec(reference=FLAT)

    with pytest.raises(InjectError, match=rf"^--inject {feature}:shift=1sd@{NOON}: {feature} has {held}") as refused:
        parse_plants([f"{feature}:shift=1sd@{NOON}"], [spec])
    assert "\n" not in str(refused.value)
    assert parse_plants([f"{feature}:constant=7@{NOON}"], [spec])

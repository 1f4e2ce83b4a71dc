"""The budget's own rule by itself: when people are told, of what first, and what stands in for charts on a cold reference."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from detectors import Reference, Sketch, window_detectors
from detectors.charts import CHARTS, Step
from monitor.alerting.alerts import AlertState, Span
from monitor.alerting.episodes import Evidence
from monitor.series.drift import (
    DAY,
    EVERY_FEATURE,
    NAME,
    SELF_CHECK,
    VOLUME,
    ChartReader,
    DriftState,
    chart_scores,
    effect_scores,
    strengths,
    worst_chart,
)
from tests.build import HOUR, MIDNIGHT, MINUTE
from tests.charted import Charted, mixed, pane, reference, seeded

INACTIVE, PENDING, FIRING, _ = AlertState
PANE = 5 * MINUTE


def hour(number: float) -> Span:
    """The pane that ends so many hours after midnight."""
    end = MIDNIGHT + round(number * HOUR)
    return Span(end - PANE, end)


def told(state: DriftState, at: Span, *features: str) -> bool:
    """Take one pane in which these features fire, since it began; whether people are told now."""
    before, after = state.follow(dict.fromkeys(features, at.end), (), at)
    return after.state is FIRING and before.state is not FIRING


# --- when people are told ---------------------------------------------------------------------------------------------


def test_the_first_feature_opens_an_incident_and_others_join() -> None:
    state = DriftState({})

    assert told(state, hour(1), "age")
    assert not told(state, hour(2), "age", "plan")
    assert state.episode.number == 1
    assert state.episode.since == hour(1).end
    assert set(state.alerts) == {"age", "plan"}


def test_nothing_firing_ends_it() -> None:
    state = DriftState({})
    told(state, hour(1), "age")
    before, after = state.follow({}, (), hour(2))

    assert (before.state, after.state) == (FIRING, INACTIVE)
    assert after.resolved_at == hour(2).end


def test_the_same_again_within_a_day_waits_until_the_day_is_over() -> None:
    state = DriftState({})
    told(state, hour(1), "age", "plan")
    told(state, hour(2))

    assert not told(state, hour(3), "age")
    assert state.episode.state is PENDING
    assert not told(state, hour(24.5), "age")
    assert told(state, hour(25), "age")
    assert state.episode.number == 2


def test_another_feature_does_not_wait() -> None:
    state = DriftState({})
    told(state, hour(1), "age")
    told(state, hour(2))

    assert told(state, hour(3), "age", "plan")


def test_features_that_joined_were_told_too() -> None:
    state = DriftState({})
    told(state, hour(1), "age")
    told(state, hour(2), "age", "plan")
    told(state, hour(3))

    assert not told(state, hour(4), "plan")


def test_flapping_is_a_page_a_day() -> None:
    """On and off each hour for five days."""
    state = DriftState({})
    pages = sum(told(state, hour(at), *(["age"] if at % 2 else [])) for at in range(1, 5 * 24))

    assert pages == 5


def test_an_incident_that_lasts_is_not_told_again() -> None:
    state = DriftState({})

    assert sum(told(state, hour(at), "age") for at in range(1, 10 * 24)) == 1
    assert DAY == 24 * HOUR


# --- of what first ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learnt() -> Reference:
    return reference(seeded())


def fired(learnt: Reference, **changes: Any) -> tuple[Charted, Step]:
    """Charts in whose last panes columns hold other values."""
    rng, charted = seeded(), Charted(learnt)
    for number in range(12):
        table = mixed(rng, 100)
        if number >= 6:
            table |= {name: change(table[name]) for name, change in changes.items()}
        charted.feed(table)
    return charted, charted.steps[-1]


def reader(charted: Charted, **importance: float) -> ChartReader:
    learnt = charted.charts.reference
    weights = np.array([importance.get(name, 1.0) for name in learnt.names])
    return ChartReader(learnt.grid, weights, charted.charts.plan.block_ns)


def ranked(found: list[Evidence]) -> list[str]:
    return [one.feature for one in found]


def test_the_largest_change_comes_first(learnt: Reference) -> None:
    charted, step = fired(learnt, normal=lambda x: x + 0.6, heavy=lambda x: x * 100, other=lambda x: x + 0.6)
    found = reader(charted).evidence(step)

    assert ranked(found)[0] == "heavy"
    assert set(ranked(found)) == {"heavy", "normal", "other"}


def test_importance_weighs_in(learnt: Reference) -> None:
    charted, step = fired(learnt, normal=lambda x: x + 0.6, heavy=lambda x: x * 100)

    assert ranked(reader(charted, heavy=0.01).evidence(step)) == ["normal", "heavy"]


def test_evidence_says_since_when_how_far_and_by_which_chart(learnt: Reference) -> None:
    charted, step = fired(learnt, normal=lambda x: x - 0.8)
    (one,) = reader(charted).evidence(step)
    onset = charted.at - 6 * PANE

    assert (one.feature, one.detector, one.chart, one.threshold) == ("normal", NAME, "location-", 1.0)
    assert one.score >= 1.0
    assert one.effect == pytest.approx(-0.8, abs=0.4)
    assert one.since is not None
    assert -6 * PANE <= one.since - (onset + PANE) <= 2 * PANE
    assert one.pvalue is not None
    assert 0 <= one.pvalue < 0.01
    assert reader(charted).firing(step)["normal"] <= one.since  # another of its charts may have risen before


def test_one_pane_that_was_enough_speaks_twice_as_loud(learnt: Reference) -> None:
    _, step = fired(learnt, heavy=lambda x: x * 100)
    at = learnt.names.index("heavy")

    assert (strengths(step)[at][step.certain[at]] >= 2).all()
    assert strengths(step).shape == (len(learnt.names), len(CHARTS))


def test_rows_come_last(learnt: Reference) -> None:
    _, step = fired(learnt, normal=lambda x: x + 0.8)
    both = replace(step, volume_firing=np.array([False, True]), volume_since=np.array([0, step.start]), usual_rows=20.0)
    charted = Charted(learnt)
    found = reader(charted).evidence(both)

    assert ranked(found) == ["normal", VOLUME]
    assert found[-1].chart == "rows+"
    assert found[-1].words == "rows a window 20 → 100"
    assert reader(charted).firing(both)[VOLUME] == step.end


def test_the_self_check_says_what_it_saw(learnt: Reference) -> None:
    charted, step = fired(learnt)
    found = reader(charted).self_check(replace(step, of_late=(40.0, 7.0), suspect=True))

    assert (found.feature, found.detector, found.effect) == (EVERY_FEATURE, SELF_CHECK, 33.0)
    assert found.words.startswith("40 warnings of late where chance brings 7 at most")


# --- a cold reference -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cold() -> Reference:
    return Reference.fit(mixed(seeded(), 20_000))


def effects(cold: Reference, window: Sketch, min_rows: int = 1) -> dict[str, float | None]:
    psi = window_detectors()["psi"].columns(cold, window.tally(), min_rows=min_rows)
    found = effect_scores(cold, window.tally(), psi, min_rows)
    return {
        name: (float(value) if known else None)
        for name, value, known in zip(found.names, found.values, found.known, strict=True)
    }


@pytest.mark.parametrize("rows", [5, 100, 2_000])
def test_chance_has_no_effect(cold: Reference, rows: int) -> None:
    found = effects(cold, pane(cold, mixed(seeded(), rows)))

    assert max(value or 0.0 for value in found.values()) < 1.0


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"normal": lambda x: x + 1}, "normal"),
        ({"normal": lambda x: np.where(np.arange(x.size) % 3 == 0, np.nan, x)}, "normal"),
        ({"normal": lambda x: np.full(x.size, np.nan)}, "normal"),
        ({"plan": lambda x: np.where(np.arange(x.size) % 3 == 0, "EU-2", x)}, "plan"),
    ],
    ids=["shifted", "a third missing", "all missing", "a third unseen"],
)
def test_a_large_effect_breaches(cold: Reference, change: Any, name: str) -> None:
    table = mixed(seeded(), 500)
    table |= {column: of(table[column]) for column, of in change.items()}
    found = effects(cold, pane(cold, table))

    assert {feature for feature, value in found.items() if value is not None and value > 1} == {name}


def test_a_small_effect_does_not_however_sure(cold: Reference) -> None:
    table = mixed(seeded(), 50_000)
    found = effects(cold, pane(cold, table | {"normal": table["normal"] + 0.2}))

    assert (found["normal"] or 0.0) < 0.8


def test_too_few_rows_show_a_jump_but_no_end_of_one(cold: Reference) -> None:
    """Else each night of fewer rows would resolve what each day pages anew."""
    table = mixed(seeded(), 100)
    found = effects(cold, pane(cold, table | {"normal": np.full(100, np.nan)}), min_rows=200)

    assert found["normal"] is not None
    assert found["normal"] > 1
    assert {value for name, value in found.items() if name != "normal"} == {None}


def test_a_feature_without_values_has_a_score_once_it_fires() -> None:
    charted = Charted(reference(seeded()))
    rng, place = seeded(), charted.place("normal")
    for _ in range(3):
        table = mixed(rng, 100) | {"normal": np.full(100, np.nan)}
        step = charted.feed(table)
    found = chart_scores(charted.charts, pane(charted.charts.reference, table).tally().usable)

    assert step.firing[place].any()
    assert not step.judged[place]
    assert found.known[place]
    assert found.values[place] >= 1


def test_the_words_are_of_the_worst(cold: Reference) -> None:
    table = mixed(seeded(), 500)
    window = pane(cold, table | {"normal": np.full(500, np.nan), "other": table["other"] + 2}).tally()

    assert worst_chart(cold, window, cold.names.index("normal")) == "missing"
    assert worst_chart(cold, window, cold.names.index("other")) == "shape"

"""The page explains itself: what is said of a change, and that it is said whatever the counts."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import Reference, Sketch
from detectors.charts import CHARTS
from detectors.features import Floats
from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import Evidence
from monitor.explain.samples import Samples
from monitor.explain.units import CHANGES, unit_change
from monitor.explain.words import LONGEST_SUMMARY, explain, explain_rows, summary
from monitor.stream.events import SECOND, EventBatch, SeriesKey, UnseenCategory
from tests.fakes import NOON
from tests.monitor.targets.test_payloads import CHANGED, INACTIVE, MINUTE, PENDING, RAISED, RECOVERING

SEED = 20_261_123  # of one sample: in some draws another factor lies nearer, or another value has the most rows
ROWS, WINDOW = 20_000, 2000
PLANS, SHARES = ["free", "pro", "team", "gold"], [0.5, 0.3, 0.15, 0.05]

Change = Callable[[Any, np.random.Generator], Any]


@pytest.fixture(autouse=True)
def seed() -> None:
    print(f"seed {SEED}")


def ordinary(rng: np.random.Generator, rows: int) -> dict[str, Any]:
    """Columns of every sort, as they were when all was well."""
    return {
        "age": rng.normal(40, 12, rows),
        "income": rng.lognormal(8, 1, rows),
        "wait": np.where(rng.random(rows) < 0.6, 0.0, rng.gamma(2, 3, rows)),
        "count": rng.poisson(2, rows).astype(float),
        "five": np.full(rows, 5.0),
        "plan": rng.choice(np.array(PLANS, dtype=object), rows, p=SHARES),
        "sex": rng.choice(np.array(["f", "m"], dtype=object), rows),
    }


REFERENCE = Reference.fit(ordinary(np.random.default_rng(SEED), ROWS))


def said(name: str, change: Change, chart: str = "", *, samples: bool = True) -> str:
    """What is said of one feature of a window that a change has come over."""
    rng = np.random.default_rng([SEED, 1])
    columns = ordinary(rng, WINDOW)
    columns[name] = change(columns[name], rng)
    numeric, codes = REFERENCE.encode(columns)
    window = Sketch.empty(REFERENCE.layout)
    window.update(numeric, codes)
    feature = REFERENCE.features[name]
    values = seen(columns, numeric, codes) if samples else None
    return explain(feature, feature.counts, window.row(name), chart, values)


def seen(columns: dict[str, Any], numeric: Floats, codes: Any) -> Samples:
    """The window's rows, in batches as they might have come, and what the decoder may have written down."""
    samples = Samples(REFERENCE.layout)
    for first in range(0, WINDOW, 10):
        rows = slice(first, first + 10)
        times = NOON + np.arange(10) * SECOND + first * 10 * SECOND
        news = tuple(
            UnseenCategory(column, str(columns[feature.name][first]), int(times[0]))
            for column, feature in enumerate(REFERENCE.layout.categorical)
            if codes[first, column] == len(feature.categories)
        )
        samples.see(EventBatch(SeriesKey("churn", "3"), "t", times, numeric[rows], codes[rows], news))
    return samples


def some_of(share: float, value: Any) -> Change:
    """That share of the rows becomes a value."""

    def change(column: Any, rng: np.random.Generator) -> Any:
        changed = column.copy()
        changed[: round(share * WINDOW)] = value
        return rng.permutation(changed)

    return change


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "change", "chart", "words"),
    [
        ("age", lambda x, _: x - x.mean() + 40 + 0.8 * 12, "location+", "mean +0.8 σ"),
        ("age", lambda x, _: x - x.mean() + 40 - 0.3 * 12, "location-", "mean −0.3 σ"),
        ("age", some_of(0.14, np.nan), "missing", "missing 0 % → 14 %"),
        ("age", some_of(1.0, np.nan), "missing", "missing 0 % → 100 %"),
        ("age", some_of(0.07, np.inf), "missing", "infinite 0 % → 7 %"),
        ("income", some_of(0.37, -1.0), "location-", "mass at one value −1: 0 % → 37 %"),
        ("age", lambda x, _: np.full(x.size, 33.25), "scale-", "mass at one value 33.25: 0 % → 100 %"),
        ("income", some_of(0.3, 9_999_999.0), "unseen", "mass at one value 9999999: 0 % → 30 %"),
        ("count", lambda x, _: np.full(x.size, 0.0), "location-", "mass at one value 0: 14 % → 100 %"),
        ("five", some_of(0.12, 6.0), "location+", "always 5 before, 0 % → 12 % differ"),
        ("age", lambda x, _: x * 100, "location+", "values × 100: a unit change?"),
        ("income", lambda x, _: x / np.exp(np.log(x).mean() - 8) / 1000, "location-", "values ÷ 1000: a unit change?"),
        ("age", lambda x, _: x * 60, "location+", "values × 60: a unit change?"),
        ("wait", lambda x, _: -x, "location-", "values × −1: a sign change?"),
        ("five", lambda x, _: x * 100, "location+", "values × 100: a unit change?"),
    ],
)
def test_a_change_of_a_number_is_said_in_words(name: str, change: Change, chart: str, words: str) -> None:
    found = said(name, change, chart)

    if "mass at one value 0:" in words:  # what there was before is a matter of chance
        assert found.startswith("mass at one value 0: ")
        assert found.endswith("→ 100 %")
    else:
        assert found == words


def test_a_narrower_spread_is_a_factor() -> None:
    found = said("age", lambda x, _: (x - x.mean()) / x.std() * 12 * 0.5 + 40, "scale-")

    assert found.startswith("spread × ")
    assert float(found.removeprefix("spread × ")) == pytest.approx(0.5, abs=0.03)


def test_a_value_that_many_share_is_found_inside_a_bin() -> None:
    found = said("age", some_of(0.5, 33.25), "scale-")

    assert found.startswith("mass at one value 33.25: 0 % → ")


def test_a_mean_and_a_spread_are_said_together() -> None:
    found = said("age", lambda x, _: (x - x.mean()) / x.std() * 12 * 1.4 + 40 - 0.3 * 12, "location-")

    assert found.startswith("mean −0.3 σ")
    assert "spread × 1.4" in found


def test_what_the_chart_watches_comes_first() -> None:
    def wider(column: Floats, _: Any) -> Floats:
        return (column - column.mean()) / column.std() * 12 * 1.4 + 40 - 0.3 * 12

    assert said("age", wider, "location-").startswith("mean ")
    assert said("age", wider, "scale+").startswith("spread ")


def test_values_out_of_range_make_the_mean_a_lower_bound() -> None:
    found = said("age", lambda x, _: x + 5 * 12, "location+", samples=False)

    assert "σ or more" in found
    assert "outside the known range 0 % → " in found
    assert "spread" not in found


def test_two_humps_are_a_change_of_shape() -> None:
    """Mean and spread are what they were."""
    found = said("age", lambda x, rng: 40 + 12 * np.sign(x - np.median(x)) * rng.normal(1, 0.1, x.size), "shape")

    assert found.startswith("shape changed: more mass between ")
    assert " σ" not in found


def test_of_few_values_the_one_that_gained_is_named() -> None:
    assert said("count", some_of(0.2, 7.0), "shape").startswith("value 7: ")


@pytest.mark.parametrize(
    ("now", "chart", "words"),
    [
        (0.05, "mass+", "share of 1 1 % → 5 %"),
        (0.0, "mass-", "share of 1 1 % → 0 %"),
        (0.5, "mass+", "share of 1 1 % → 50 %"),
    ],
)
def test_a_rare_value_is_named_with_its_share(now: float, chart: str, words: str) -> None:
    """Exact shares: the words are those of the counts."""
    found = Reference.fit({"flag": np.repeat([0.0, 1.0], [9_900, 100])})
    window = Sketch.empty(found.layout)
    window.update(*found.encode({"flag": np.repeat([0.0, 1.0], [round(2_000 * (1 - now)), round(2_000 * now)])}))

    assert explain(found.numeric[0], found.sketch.row("flag"), window.row("flag"), chart).startswith(words)


def test_of_rare_categories_the_one_that_moved_most_surely_is_named_once() -> None:
    """The common ones move further, by chance."""
    found = Reference.fit({"plan": np.repeat(["a", "b", "c", "d"], [5_800, 4_000, 180, 20])})
    window = Sketch.empty(found.layout)
    window.update(*found.encode({"plan": np.repeat(["a", "b", "c", "d"], [1_220, 720, 20, 40])}))
    said = explain(found.categorical[0], found.sketch.row("plan"), window.row("plan"), "mass+")

    assert said.startswith('category "d" 0.2 % → 2 %')
    assert said.count('"d"') == 1


def test_rare_values_that_rise_together_are_told_by_the_common_one() -> None:
    rng = np.random.default_rng(SEED)
    found = Reference.fit({"amount": np.append(np.zeros(9_800), rng.gamma(2, 3, 200))})
    window = Sketch.empty(found.layout)
    window.update(*found.encode({"amount": np.append(np.zeros(1_900), rng.gamma(2, 3, 100))}))

    assert explain(found.numeric[0], found.sketch.row("amount"), window.row("amount"), "mass+").startswith(
        "share of 0 98 % → 95 %"
    )


def test_without_samples_a_unit_change_is_a_mean_out_of_range() -> None:
    assert "unit" not in said("age", lambda x, _: x * 100, "location+", samples=False)


def test_where_ranks_and_mean_disagree_the_median_is_told() -> None:
    """Most values rise, a few fall very far: the location chart is right, and the mean went the other way."""

    def change(column: Floats, rng: np.random.Generator) -> Floats:
        raised = np.minimum(column * 1.3, column.max())
        return some_of(0.3, column.min())(raised, rng)

    found = said("income", change, "location+", samples=False)

    assert "mean" not in found.split(", ", maxsplit=1)[0]


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0, 10.0])
@pytest.mark.parametrize("name", ["age", "wait", "count"])
def test_a_plain_shift_is_no_change_of_unit(name: str, shift: float) -> None:
    feature = REFERENCE.features[name]
    rng = np.random.default_rng([SEED, 2])
    samples = [ordinary(rng, 64)[name] + shift * feature.std for _ in range(40)]

    taken = sum(unit_change(feature, sample) is not None for sample in samples)  # type: ignore[arg-type]

    assert taken <= 8


@pytest.mark.parametrize("change", [one for one in CHANGES if one.common], ids=lambda one: one.words)
def test_powers_of_ten_are_recognised(change: Any) -> None:
    feature = REFERENCE.features["age"]
    rng = np.random.default_rng([SEED, 3])
    samples = [ordinary(rng, 64)["age"] * change.factor for _ in range(20)]

    assert sum(unit_change(feature, sample) == change.words for sample in samples) >= 12  # type: ignore[arg-type]


@pytest.mark.parametrize(("scale", "guessed"), [(1.0, True), (2_000.0, False)])
def test_degrees_are_guessed_only_where_32_of_them_count(scale: float, guessed: bool) -> None:
    """A price that rose by four fifths is no temperature."""
    rng = np.random.default_rng([SEED, 4])
    feature = Reference.fit({"value": scale * rng.normal(15, 4, 20_000)}).features["value"]
    said = [unit_change(feature, scale * rng.normal(15, 4, 64) * 1.8 + 32) for _ in range(20)]  # type: ignore[arg-type]

    assert sum(each is not None and "Fahrenheit" in each for each in said) >= 5 if guessed else said == [None] * 20


def test_too_few_numbers_say_nothing_of_units() -> None:
    assert unit_change(REFERENCE.features["age"], np.full(15, 4000.0)) is None  # type: ignore[arg-type]


# --- categories -------------------------------------------------------------------------------------------------------


def test_a_new_category_is_named() -> None:
    assert said("plan", some_of(0.08, "EU-2"), "unseen") == 'new category "EU-2" 8 %'


def test_without_its_text_it_is_still_told() -> None:
    assert said("plan", some_of(0.08, "EU-2"), "unseen", samples=False) == "new categories 0 % → 8 %"


def test_what_a_new_category_took_from_all_alike_is_not_told_again() -> None:
    assert said("plan", some_of(0.5, "EU-2"), "unseen") == 'new category "EU-2" 50 %'


def test_of_many_new_ones_examples_are_named() -> None:
    found = said("plan", lambda x, _: np.array([f"id-{at}" for at in range(x.size)], dtype=object), "unseen")

    assert found.startswith('new categories 100 %, such as "id-')


def test_a_category_that_grew_is_told_with_the_one_that_shrank() -> None:
    found = said("plan", lambda x, _: rearranged(x.size, [0.2, 0.6, 0.15, 0.05]), "shape")

    assert 'category "pro" ' in found
    assert found.split(", ", maxsplit=1)[0].endswith("→ 60 %") or found.split(", ", maxsplit=1)[0].endswith("→ 20 %")
    assert 'category "free" ' in found


def test_of_two_categories_one_says_it_all() -> None:
    found = said("sex", lambda x, _: np.array(["f"] * (x.size // 5) + ["m"] * (x.size - x.size // 5), dtype=object))

    assert found.count("category") == 1


def rearranged(rows: int, shares: list[float]) -> Any:
    return np.repeat(np.array(PLANS, dtype=object), [round(rows * share) for share in shares])


def test_a_text_that_would_deceive_is_made_harmless() -> None:
    found = said("plan", some_of(0.5, "\x1b[2J\n" + "x" * 1000), "unseen")

    assert found.isprintable()
    assert len(found) < 200


# --- whatever the counts ----------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(chart=st.sampled_from(["", *CHARTS]), full=st.sampled_from([0.01, 0.1, 1.0]), seed=st.integers(0, 2**32 - 1))
def test_any_counts_give_a_line_without_nan(chart: str, full: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, now = rng.choice([1, 5, 1000, 10**12], (2, 400)) * (rng.random((2, 400)) < full)
    samples = Samples(REFERENCE.layout)
    rows = np.repeat(rng.choice([0.0, -1.0, 5.0, 1e308, -1e308, np.nan, np.inf, 1e-320], (20, 1)), 5, axis=1)
    codes = np.zeros((20, 2), dtype=np.int32)
    samples.see(
        EventBatch(
            SeriesKey("a", "b"),
            "t",
            np.arange(20) + NOON,
            rows,
            codes,
            (UnseenCategory(0, "", NOON), UnseenCategory(1, "x" * 64, NOON)),
        )
    )
    for feature in REFERENCE.features.values():
        old, new = (one[: feature.counts.size].astype(np.int64) for one in (before, now))
        for these in (feature.counts, old):
            found = explain(feature, these, new, chart, samples)

            assert found.isprintable()
            assert not {"nan", "inf", "−inf", "+inf"} & set(found.replace("×", " ").split())
            assert len(found) < 400


@pytest.mark.parametrize("chart", ["", *CHARTS])
@pytest.mark.parametrize("column", [[None, None], [1e308, -1e308, 0.0], [0.0], [5e-324, 0.0]])
def test_strange_references_can_be_explained(column: list[float | None], chart: str) -> None:
    reference = Reference.fit({"x": column}, kinds={"x": "numeric"})
    (feature,) = reference.features.values()
    for values in ([None], [1e308] * 40, [-1e308, 1e308], [np.inf], [0.0] * 50, column):
        window = Sketch.empty(reference.layout)
        numeric, codes = reference.encode({"x": np.array(values, dtype=float)})
        window.update(numeric, codes)
        samples = Samples(reference.layout)
        samples.see(EventBatch(SeriesKey("a", "b"), "t", np.full(len(numeric), NOON), numeric, codes))

        assert "nan" not in explain(feature, feature.counts, window.row("x"), chart, samples)


def test_no_rows_leave_nothing_to_say() -> None:
    feature = REFERENCE.features["age"]

    assert explain(feature, feature.counts, np.zeros_like(feature.counts), "location+") == ""


def test_a_change_of_traffic() -> None:
    assert explain_rows(12_000, 3400) == "rows a window 12 000 → 3 400"


# --- a whole alert ----------------------------------------------------------------------------------------------------

AGE = Evidence("age", "drift", 1.4, 1.0, None, 900, "location+", NOON - 15 * MINUTE, 0.8, words="mean +0.8 σ")
DOUBT = replace(AGE, feature="*", words="12 warnings")
PLAN = Evidence(
    "plan", "drift", 1.2, 1.0, None, 900, "unseen", NOON - 5 * MINUTE, 0.08, words='new category "EU-2" 8 %'
)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, 'churn/3 drifts since 2026-11-23 11:45: age mean +0.8 σ, plan new category "EU-2" 8 %'),
        ({"evidence": ()}, "churn/3 drifts since 2026-11-23 11:55"),
        (
            {"before": INACTIVE, "after": PENDING, "evidence": (PLAN,)},
            'churn/3 may drift since 2026-11-23 11:55: plan new category "EU-2" 8 %',
        ),
        ({"before": RAISED, "after": RECOVERING, "evidence": ()}, "churn/3 recovers, drifting since 2026-11-23 11:55"),
        (
            {"before": RECOVERING, "after": INACTIVE, "evidence": ()},
            "churn/3 no longer drifts: it did from 2026-11-23 11:55 to 2026-11-23 12:00",
        ),
        ({"before": PENDING, "after": INACTIVE, "evidence": ()}, "churn/3 did not drift after all"),
        ({"since": NOON - 24 * 60 * MINUTE, "evidence": ()}, "churn/3 drifts since 2026-11-22 12:00"),
        (
            {"rule": "psi-high", "evidence": CHANGED.evidence[:1]},
            "churn/3 (psi-high) drifts since 2026-11-23 11:55: age psi 0.41 > 0.25",
        ),
        (
            {"rule": "calibration", "evidence": (DOUBT,)},
            "churn/3 does not fit its reference since 2026-11-23 11:55: 12 warnings",
        ),
        (
            {"rule": "calibration", "before": RAISED, "after": INACTIVE, "evidence": ()},
            "churn/3 fits its reference again",
        ),
        (
            {"evidence": (replace(AGE, feature="__prediction__"),)},
            "churn/3 drifts since 2026-11-23 11:45: prediction mean +0.8 σ",
        ),
    ],
)
def test_an_alert_in_a_line(changes: dict[str, Any], line: str) -> None:
    assert summary(replace(CHANGED, **{"evidence": (AGE, PLAN), **changes})) == line


def test_what_does_not_fit_is_counted() -> None:
    line = summary(replace(CHANGED, evidence=(AGE,) * 200))

    assert len(line) <= LONGEST_SUMMARY
    shown, rest = line.count("age mean"), int(line.rsplit(", and ", 1)[1].removesuffix(" more"))
    assert shown + rest == 200
    assert shown > 3


@settings(max_examples=100, deadline=None)
@given(
    texts=st.tuples(*[st.one_of(st.text(), st.text(min_size=100, max_size=400))] * 4),
    many=st.integers(0, 60),
    states=st.tuples(st.sampled_from(AlertState), st.sampled_from(AlertState)),
)
def test_a_summary_is_one_line_of_200_characters(
    texts: tuple[str, str, str, str], many: int, states: tuple[AlertState, AlertState]
) -> None:
    model, version, rule, feature = texts
    evidence = (replace(AGE, feature=feature, words=rule),) * many
    changed = replace(
        CHANGED, key=SeriesKey(model, version), rule=rule, evidence=evidence, before=states[0], after=states[1]
    )

    line = summary(changed)

    assert len(line) <= LONGEST_SUMMARY
    assert line.isprintable()


@pytest.mark.parametrize("start", [1_700_000_000, 1_763_870_700_000, -17_638_707_000_000])
def test_numbers_that_differ_late_are_told_apart(start: int) -> None:
    """Epochs, counters, ids: 1700000000 and 1700000300 are both 1.7e+09."""
    first, second = (f"{start + step}".replace("-", "−") for step in (0, 300))
    reference = Reference.fit({"x": start + 300 * (np.arange(3000) % 2), "y": start + np.arange(3000) % 300})
    window = Sketch.empty(reference.layout)
    late = start + 250 + np.arange(1000) % 50
    window.update(*reference.encode({"x": np.where(np.arange(1000) % 10, start + 300, start), "y": late}))
    before, now = reference.counts, window.counts
    words = {
        name: [
            explain(feature, before[at : at + feature.cells], now[at : at + feature.cells], chart)
            for chart in ("shape", "mass+", "mass-")
        ]
        for (name, feature), at in zip(reference.features.items(), reference.layout.offsets.tolist(), strict=False)
    }

    assert any(second in text for text in words["x"])
    assert any(first in text or second in text for text in words["x"])
    assert not any("e+" in text for texts in words.values() for text in texts), words

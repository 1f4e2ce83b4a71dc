"""A few values as they came: bounded, the newest first to stay, fit to be shown; and the decoder that writes them down."""

import json
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest

from detectors import Reference, Sketch
from detectors.charts import BudgetSpec
from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import BUDGET_RULE, Severity
from monitor.explain.explainer import Explainer
from monitor.explain.samples import FRESH, KEPT, LONGEST, TEXTS, Samples, legible
from monitor.facts import AlertChanged, AlertSeen, Fact
from monitor.sources.base import TopicRecords
from monitor.sources.decode import unseen as sampling
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields, TopicFields
from monitor.sources.formats.json import LONGEST as LONGEST_READ
from monitor.sources.formats.json import look, scanning
from monitor.sources.formats.json.typed import typed_reader
from monitor.stream.events import SECOND, EventBatch, SeriesKey, UnseenCategory
from monitor.targets.payloads import Sender, notices
from tests.build import KEY, OTHER_REFERENCE, REFERENCE, feed, make_batch, make_pipeline, of
from tests.fakes import NOON, subscriber

TS = NOON // 1_000_000
TWO = Reference.fit({"age": [1.0, 2.0], "plan": ["free", "pro"], "city": ["Bonn", "Rome"]})


def seen(*batches: EventBatch) -> Samples:
    samples = Samples(REFERENCE.layout)
    for batch in batches:
        samples.see(batch)
    return samples


def told(*texts: str) -> EventBatch:
    """A batch whose decoder wrote down these new plans."""
    batch = make_batch([NOON])
    return EventBatch(
        KEY, "t", batch.event_times, batch.numeric, batch.codes, tuple(UnseenCategory(0, text, NOON) for text in texts)
    )


def test_what_was_seen_goes_on_where_series_are_built_anew_of_the_same_reference() -> None:
    sketch = Sketch.empty(REFERENCE.layout)
    sketch.update(*REFERENCE.encode({"age": [50.0] * 90, "plan": ["EU-2"] * 90}))
    counts = sketch.row("plan").tobytes()
    evidence = Evidence("plan", BUDGET_RULE, 1.5, 1.0, None, 90, "unseen", counts=counts)
    shown = AlertSeen(KEY, BUDGET_RULE, Severity.CRITICAL, AlertState.FIRING, NOON, 1, (evidence,))
    before, after, another = (Explainer({KEY: each}) for each in (REFERENCE, REFERENCE, OTHER_REFERENCE))
    before.see([told("EU-2", "EU-2")])
    for fresh in (after, another):
        fresh.go_on_from(before)

    words = [of(each.explain([shown]), AlertSeen)[0].evidence[0].words for each in (before, after)]
    assert words[0] == words[1]
    assert "EU-2" in words[0]
    assert "EU-2" not in of(another.explain([shown]), AlertSeen)[0].evidence[0].words


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_the_newest_numbers_push_out_the_oldest() -> None:
    batches = [make_batch([NOON + at * 60 * SECOND], float(at)) for at in range(3 * KEPT)]

    assert seen(*batches).numbers("age").tolist() == [float(at) for at in range(2 * KEPT, 3 * KEPT)]


def test_of_a_large_batch_only_the_last_rows_are_kept() -> None:
    count = 10_000

    found = seen(make_batch([NOON + at for at in range(count)], np.arange(float(count)))).numbers("age")

    assert 0 < found.size < KEPT
    assert found.tolist() == list(np.arange(float(count - found.size), count))


def test_a_stream_of_small_batches_is_sampled_too() -> None:
    """Within one second of event time: by their number alone."""
    found = seen(*(make_batch([NOON + at], float(at)) for at in range(1, 3000))).numbers("age")

    assert 2 <= found.size <= KEPT


def test_only_finite_values_are_examples() -> None:
    ages = [None, float("inf"), float("-inf"), 7.0]

    assert seen(make_batch([NOON] * 4, ages)).numbers("age").tolist() == [7.0]


@pytest.mark.parametrize("name", ["plan", "nobody"])
def test_what_is_no_number_has_none(name: str) -> None:
    assert seen(make_batch([NOON])).numbers(name).size == 0


def test_before_any_event_nothing_is_known() -> None:
    samples = seen(make_batch([]))

    assert samples.numbers("age").size == 0
    assert samples.unseen_categories("plan") == samples.unseen_categories("age") == ()


# --- new categories ---------------------------------------------------------------------------------------------------


def test_new_categories_have_their_share_of_the_new_ones() -> None:
    assert seen(told("EU-2", "EU-2", "EU-3"), told("EU-2")).unseen_categories("plan") == (
        ("EU-2", 0.75),
        ("EU-3", 0.25),
    )


def test_recent_ones_weigh() -> None:
    found = seen(*[told("old")] * FRESH, *[told("new")] * FRESH).unseen_categories("plan")

    assert found[0][0] == "new"
    assert found[0][1] > 0.5


def test_a_frequent_new_category_stands_out_of_any_number_of_others() -> None:
    found = seen(*(told("often", f"id-{at}") for at in range(1000))).unseen_categories("plan")

    assert found[0][0] == "often"
    assert len(found) <= TEXTS


@pytest.mark.serial
def test_memory_does_not_grow_with_what_comes() -> None:
    samples = seen(*(told("x" * LONGEST + str(at)) for at in range(200)))
    tracemalloc.start()
    try:
        for at in range(5000):
            samples.see(told(f"{at:064}"))
        held = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    ours = [tracemalloc.Filter(inclusive=True, filename_pattern=f"*{name}.py") for name in ("samples", "events")]
    grown = sum(one.size for one in held.filter_traces(ours).statistics("filename"))  # other threads have memory too

    assert grown < 100_000  # 5000 texts of 64 characters would be more than 500 kB


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("EU-2", "EU-2"),
        ("Zürich 🦆", "Zürich 🦆"),
        ("a\nb\tc\x00\x1b[31m", "abc[31m"),
        ("abc\u202ecba\u2028", "abccba"),  # text that would turn its direction, and a line end
        ("\ud800x", "x"),  # a lone surrogate: cannot be written
        ("", ""),
        ("x" * 1000, "x" * (LONGEST - 1) + "…"),
        ("\n" * 10_000_000 + "x", ""),  # no more of it is looked at than can be shown
    ],
)
def test_text_out_of_events_is_fit_to_be_shown(text: str, shown: str) -> None:
    assert legible(text) == shown
    json.dumps(legible(text)).encode()
    legible(text).encode()


# --- what the decoder writes down -------------------------------------------------------------------------------------


def event(plan: object = "free", city: object = "Bonn", model: str = "churn", **more: object) -> bytes:
    features = {"age": 1.5, "plan": plan, "city": city}
    return json.dumps({"ts": TS, "model": model, "version": "3", "features": features, **more}).encode()


def make_decoder(way: str, *models: str, reference: Reference = TWO) -> TopicDecoder:
    fields = FieldMap()
    series = [SeriesFields(SeriesKey(model, "3"), reference.layout, fields) for model in models or ("churn",)]
    decoder = TopicDecoder("t", series, fields, SECOND)
    if way == "compiled" and not scanning.COMPILED:
        pytest.skip("the compiled part is not here")
    if way != "compiled":
        typed = typed_reader(TopicFields(series, fields), look)
        decoder.readers[:-1] = [] if typed is None or way == "lenient" else [typed]
    return decoder


def named(decoder: TopicDecoder, messages: Sequence[bytes], now: int = NOON) -> set[tuple[str, int, str]]:
    """Model, column and text of what one poll's new categories are called."""
    decoded = decoder.decode(TopicRecords("t", [0] * len(messages), list(messages)), now)
    return {(batch.key.model, one.column, one.text) for batch in decoded.batches for one in batch.unseen_categories}


WAYS = pytest.mark.parametrize("way", ["compiled", "typed", "lenient"])


@WAYS
@pytest.mark.parametrize("models", [("churn",), ("churn", "fraud")])
def test_new_categories_are_written_down_under_their_column(way: str, models: tuple[str, ...]) -> None:
    messages = [event(), event("EU-2"), event(model="other"), event(city="Oslo"), event(None, 17), event("pro", "Rome")]

    assert named(make_decoder(way, *models), messages) == {
        ("churn", 0, "EU-2"),
        ("churn", 1, "Oslo"),
        ("churn", 1, "17"),
    }


@WAYS
def test_they_belong_to_the_series_of_their_message(way: str) -> None:
    messages = [
        event("a"),
        event("b", model="fraud"),
        event(model="fraud"),
        event("free"),
        event(city="c", model="fraud"),
    ]

    found = named(make_decoder(way, "churn", "fraud"), messages)

    assert found == {("churn", 0, "a"), ("fraud", 0, "b"), ("fraud", 1, "c")}


@WAYS
def test_an_odd_message_among_plain_ones_does_not_shift_the_rows(way: str) -> None:
    """A field of the wrong type costs the typed reading; a time out of range costs the message."""
    wrong = event("Z").replace(b"1.5", b'"1.5"')
    old = event("never").replace(str(TS).encode(), b"1")

    assert named(make_decoder(way), [old, event(), wrong, b"{", event("Y")]) == {("churn", 0, "Z"), ("churn", 0, "Y")}


@WAYS
def test_known_and_missing_ones_are_not(way: str) -> None:
    assert named(make_decoder(way), [event("pro"), event(None), event("free", None), event([1], {})]) == set()


@WAYS
def test_where_nothing_is_new_no_message_is_read_again(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "named", lambda *_: pytest.fail("read again"))

    assert named(make_decoder(way), [event("pro")] * 1000) == set()


@WAYS
def test_few_messages_are_read_again_however_many_are_new(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    named_before = sampling.named
    monkeypatch.setattr(sampling, "named", lambda *rest: read.append(1) or named_before(*rest))  # type: ignore[func-returns-value]

    assert len(named(make_decoder(way), [event(f"id-{at}") for at in range(5000)])) == len(read) == sampling.MOST


@pytest.mark.parametrize("way", ["compiled", "typed"])  # what is read leniently need not be read again
def test_a_long_text_is_cut_and_a_huge_message_is_not_read_again(way: str) -> None:
    huge = event("huge", more="x" * LONGEST_READ)

    found = named(make_decoder(way), [huge, event("y" * 10_000)])

    assert found == {("churn", 0, "y" * (LONGEST - 1) + "…")}


def test_a_noisy_column_does_not_crowd_out_a_rare_one() -> None:
    messages = [event(f"id-{at}", "Oslo" if at == 700 else "Bonn") for at in range(1000)]

    assert ("churn", 1, "Oslo") in named(make_decoder("typed"), messages)


def test_each_series_has_its_turn() -> None:
    """More series than are looked through at once, all of them with something new, a poll a second."""
    models = [f"m{at}" for at in range(3 * sampling.LOOKS)]
    decoder = make_decoder("typed", *models)
    found: set[str] = set()
    for at in range(len(models)):
        messages = [event("new", model=model) for model in models]
        found |= {model for model, _, _ in named(decoder, messages, NOON + at * SECOND)}

    assert found == set(models)


# --- from bytes to a page ---------------------------------------------------------------------------------------------


@WAYS
def test_a_page_names_the_new_category(way: str) -> None:
    """Through decoder, pipeline and payload; the reference is cold, so effect sizes decide."""
    reference = Reference.fit({"age": [1.5] * 120, "plan": ["free", "pro", "pro"] * 40})
    decoder = make_decoder(way, reference=reference)
    pipeline = make_pipeline(reference=reference, plan=BudgetSpec(per_month=1.0))
    explainer, facts = Explainer({KEY: reference}), list[Fact]()
    for number in range(12):
        at = TS + number * 60_000
        plans = ["free", "pro", "EU-2"] if number > 3 else ["free", "pro", "pro"]
        raw = [event(plan, ts=at + row) for row, plan in enumerate(plans * 60)]
        decoded = decoder.decode(TopicRecords("t", [0] * len(raw), raw), NOON + number * 60 * SECOND)
        explainer.see(decoded.batches)
        facts += explainer.explain(feed(pipeline, *decoded.batches))

    (fired,) = [fact for fact in of(facts, AlertChanged) if fact.opened]
    (addressed,) = notices([fired], [subscriber("pager")], Sender("c", "1"))
    data = json.loads(addressed.notice.data)

    assert fired.rule == "drift"
    assert 'plan new category "EU-2" 33 %' in data["summary"]
    assert data["evidence"][0]["words"].startswith('new category "EU-2" 33 %')
    assert data["calibration"] == "cold"

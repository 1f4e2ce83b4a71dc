"""Laws of the contract on a stream: whatever reads it and however it is cut, it says what `contract check` says of the same events."""

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors import Reference
from detectors.contract import Check, Contract, ContractReport, contract_from
from detectors.sketches.violations import Rule, Violations
from monitor.commands.contract_rows import paths_of, slots_of
from monitor.facts import ContractBroken
from monitor.series.contract import BEFORE, ContractSpec, broken_in
from monitor.sources.base import TopicRecords
from monitor.sources.decode.contract import RowContract
from monitor.sources.decode.raw import RawDecoder
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.base import DecodeCounts, Rows
from monitor.sources.formats.fields import FieldMap, Path, SeriesFields, TopicFields
from monitor.sources.formats.json import look
from monitor.sources.formats.json.typed import typed_reader
from monitor.stream.events import SECOND, OffsetRange, Partition, SeriesKey
from monitor.stream.rising import RisingValues
from tests.fakes import NOON

TS = NOON // 1_000_000
KEY = SeriesKey("churn", "3")
REFERENCE = Reference.fit(
    {
        "a": [1.0, 2.0, 3.0] * 3,
        "b": [1.0, 2.0, 3.0] * 3,
        "plan": ["free", "pro", "Zürich"] * 3,
        "code": ["1", "2", "03"] * 3,
        "flag": ["true", "false", "true"] * 3,
        "y": [1.0, 2.0, 3.0] * 3,
    },
    prediction="y",
)
NAMES = ["a", "b", "plan", "code", "flag", "__prediction__"]

TIMES = ["2026-11-23T12:00:00Z", "2026-11-23 12:00:00.5+0130", "2026-11-23T23:59:60Z", "2026-11-23"]
texts = st.sampled_from(
    ["", "free", "pro", "gold", "1", "1.0", "2", "true", "True", "0", "03", "1e+16", "e+x", "Zürich", "pro\n", *TIMES]
)
values = st.one_of(
    texts,
    st.integers(-3, 3),
    st.sampled_from([0.5, 1.0, 2.0, -0.0, 1e300, 2**53 + 1, -(2**63), 10**400, TS, 1.7976931348623157e308]),
    st.floats(allow_nan=True, allow_infinity=True),
    st.booleans(),
    st.none(),
    st.sampled_from([[], {}, [1], {"a": 1}]),
    st.text(max_size=3),
)
events = st.fixed_dictionaries(
    {"features": st.dictionaries(st.sampled_from([*NAMES[:5], "other"]), values, max_size=6)},
    optional={"id": values, "prediction": values},
)
BOUNDS = {"min": st.sampled_from([-1, 0, 0.5, 1]), "max": st.sampled_from([1, 2, 1e300])}
SOME = st.lists(
    st.sampled_from(["free", "pro", "gold", "1", 1, True, "0", "03", 2.5, 2**53 + 1]), min_size=1, max_size=3
)
COMMON = {"required": st.just(True)} | {"max_missing": st.sampled_from([0, 0.5])}
PATTERN = st.sampled_from(
    ["[a-z]+", "[0-9]*", "1|true|.*Z", "(?i)TRUE", "^[^é]+$", "(?=p)pro", r"\d+\.0|.*\+.*", "(a?)*|10+"]
)
rules = st.one_of(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["number", "integer"])}, optional={**COMMON, **BOUNDS, "values": SOME}
    ),
    st.fixed_dictionaries({}, optional={**COMMON, "values": SOME, "matches": PATTERN}),
    st.fixed_dictionaries({"type": st.just("text")}, optional={**COMMON, "values": SOME, "matches": PATTERN}),
    st.fixed_dictionaries({"type": st.just("boolean")}, optional={**COMMON, "values": SOME}),
    st.fixed_dictionaries({"type": st.just("time")}, optional={**COMMON, "unit": st.sampled_from(["s", "ns"])}),
).filter(lambda said: not (said.get("required") and said.get("max_missing")))
contracts = st.dictionaries(st.sampled_from([*NAMES, "__id__", "__time__"]), rules, min_size=1, max_size=5)


def ordered(said: dict[str, dict[str, Any]]) -> list[str]:
    """Every comparison that makes sense between two of the columns."""
    kinds = {name: "time" if each.get("type") == "time" else "number" for name, each in said.items()}
    comparable = [name for name, each in said.items() if each.get("type") in {"number", "integer", "time"}]
    pairs = itertools.combinations(comparable, 2)
    return [f"{one} >= {other}" for one, other in pairs if kinds[one] == kinds[other]]


def contract_of(said: dict[str, dict[str, Any]]) -> Contract:
    columns = {
        name: {rule: each for rule, each in held.items() if not (rule == "min" and held.get("max", 9e300) < each)}
        for name, held in said.items()
    }
    return contract_from({"format": "driftd.contract/1", "columns": columns, "comparisons": ordered(said)})


def messages(said: list[dict[str, Any]]) -> list[bytes]:
    return [
        json.dumps({"ts": TS + at, "model": "churn", "version": "3", **each}).encode() for at, each in enumerate(said)
    ]


def decoder(contract: Contract, way: str = "compiled") -> TopicDecoder:
    fields = FieldMap()
    series = [SeriesFields(KEY, REFERENCE.layout, fields)]
    spec = ContractSpec(contract, numbers=frozenset({"a", "b", "__prediction__"}))
    found = TopicDecoder("t", series, fields, 600 * SECOND, contracts={KEY: spec})
    if way != "compiled":
        typed = typed_reader(TopicFields(series, fields), look)
        found.readers[:-1] = [] if typed is None or way == "lenient" else [typed]
    return found


def live(found: TopicDecoder, batches: list[list[bytes]]) -> Counter[Rule]:
    counts: Counter[Rule] = Counter()
    rows, contract = 0, ContractSpec(found.contracts[KEY])
    for batch in batches:
        for part in found.decode(TopicRecords("t", [0] * len(batch), batch), NOON).batches:
            rows += len(part)
            counts.update({} if part.violations is None else part.violations.counts)
    return Counter({(column, rule): count for column, rule, count in broken_in(contract, Violations(counts), rows)})


def report_of(contract: Contract, batch: list[bytes]) -> ContractReport:
    raw, check = RawDecoder("t", [KEY], KEY, slots_of(contract), FieldMap()), Check(contract)
    raw.decode(TopicRecords("t", [0] * len(batch), batch), NOON)
    for held in raw.drain():
        columns = held.columns(paths_of(contract, FieldMap()))
        if "__time__" in contract.columns:
            columns["__time__"] = held.times.view("datetime64[ns]")
        check.add("file", columns, held.numbers)
    return check.report()


def before_checked(contract: Contract, batch: list[bytes]) -> Counter[Rule]:
    """What `contract check` says of rules that ask of rows before."""
    report = report_of(contract, batch)
    return Counter({(each.column, each.rule): each.count for each in report.violations if each.rule in BEFORE})


def checked(contract: Contract, batch: list[bytes], counts: Counter[Rule]) -> tuple[Counter[Rule], Counter[Rule]]:
    """What `contract check` says, and what of the counts it says in another way: as a change of schema, or as a share."""
    report = report_of(contract, batch)
    told = Counter({(each.column, each.rule): each.count for each in report.violations if each.rule not in BEFORE})
    changes = {change.column: change.change for change in report.schema}
    apart = {rule for rule in counts if changes.get(rule[0]) == "gone" and rule[1] in {"required", "max_missing"}}
    apart |= {rule for rule in counts if changes.get(rule[0]) == "type" and rule[1] == "type"}
    return told, Counter({rule: count for rule, count in counts.items() if rule not in apart})


@settings(max_examples=120, deadline=None)
@given(said=contracts, held=st.lists(events, min_size=1, max_size=12), cut=st.integers(0, 12))
@example(said={"a": {"type": "number"}}, held=[{"features": {"a": "1"}}, {"features": {"a": None}}], cut=0)
@example(said={"code": {"matches": "[0-9]*"}}, held=[{"features": {"code": [1]}}, {"features": {"code": 1.5}}], cut=1)
@example(said={"a": {"type": "time", "unit": "ns"}}, held=[{"features": {"a": 1e300}}], cut=0)
@example(said={"a": {"type": "integer", "values": [2**53 + 1]}}, held=[{"features": {"a": 2**53 + 1}}], cut=0)
@example(
    said={"flag": {"type": "text", "required": True}},
    held=[{"features": {"flag": 10**400}}, {"features": {}, "prediction": [1]}],
    cut=1,
)
@example(said={"flag": {"max_missing": 0}}, held=[{"features": {"flag": 10**400}}, {"prediction": [1]}], cut=1)
@example(said={"a": {"values": [0, 1, 2]}}, held=[{"features": {"a": a}} for a in (0, 1, True, False, 0.0)], cut=2)
@example(
    said={"a": {"type": "time", "unit": "s"}, "b": {"type": "time", "unit": "ns"}},
    held=[{"features": {"a": 2**53 + 1, "b": 2**63}}, {"features": {"a": "2026-11-23T12:00:00Z", "b": "x"}}],
    cut=1,
)
@example(
    said={"a": {"type": "time"}, "b": {"type": "time", "unit": "ns"}},
    held=[{"features": {"a": TS, "b": TS * 10**6 + 1}}],
    cut=0,
)
@example(
    said={"__id__": {"matches": "10+"}},
    held=[{"id": known, "features": {}} for known in ("1e+16", 1e16, "10", 1e300)],
    cut=1,
)
@example(
    said={"__id__": {"type": "integer", "min": 1, "max": 3, "values": [1, 2, 3, 2**53 + 1]}},
    held=[{"id": known, "features": {}} for known in (1, 2.0, 0, 4, 2**53 + 1, 2**53, "1", True, 1.5, [1], None)],
    cut=3,
)
@example(
    said={
        "plan": {"type": "integer", "required": True},
        "code": {"type": "number", "max": 2},
        "flag": {"type": "time"},
    },
    held=[{"features": {"plan": each, "code": each, "flag": each}} for each in (1, 1.5, "1", True, None, 3, *TIMES)],
    cut=4,
)
@example(
    said={"plan": {"type": "time", "max_missing": 0.5}},
    held=[{"features": {"plan": each}} for each in (10**400, float("inf"), {}, 1e300, TS)] + [{"features": {}}],
    cut=2,
)
@example(
    said={"a": {"type": "number", "values": [1, 2]}, "b": {"type": "integer"}, "y": {"type": "number"}},
    held=[{"features": {"a": a, "b": b}} for a, b in ((1, 2), (True, 0), (2**53 + 1, 1), ("x", 1), (2, None), (3, 9))],
    cut=1,
)
def test_a_stream_is_told_what_contract_check_tells(
    said: dict[str, dict[str, Any]], held: list[dict[str, Any]], cut: int
) -> None:
    contract, batch = contract_of(said), messages(held)
    found = {way: live(decoder(contract, way), [batch]) for way in ("compiled", "typed", "lenient")}

    assert found["compiled"] == found["typed"] == found["lenient"]
    assert found["compiled"] == live(decoder(contract), [batch[:cut], batch[cut:]])
    told, counted = checked(contract, batch, found["compiled"])
    assert counted == told


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(["number", "integer"]),
    held=st.lists(st.tuples(values, values, st.integers(-3, 0)), min_size=1, max_size=12),
    cut=st.integers(0, 12),
)
@example(kind="integer", held=[(3, 1, 0), (2.5, "1.0", 0), (-1, True, 0)], cut=1)  # nothing else is asked of 2.5
@example(kind="integer", held=[(float("inf"), 1.0, 0), (2.5, "1", 0), (False, "1.0", 0), (3, None, 0)], cut=2)
@example(kind="number", held=[(2, "a", 0), ("1", " a", -1), (True, [1], -2)], cut=1)
def test_rules_of_rows_before_are_told_as_contract_check_tells_them(
    kind: str, held: list[tuple[Any, Any, int]], cut: int
) -> None:
    rises = {"type": kind, "monotone": True}
    contract = contract_of(
        {"a": rises, "__time__": {"type": "time", "unit": "ms", "monotone": True}, "__id__": {"unique": True}}
    )
    batch = messages([{"features": {"a": number}, "id": known} for number, known, _ in held])
    batch = [
        json.dumps(json.loads(each) | {"ts": TS + back}).encode() for each, (*_, back) in zip(batch, held, strict=True)
    ]

    for way in ("compiled", "typed", "lenient"):
        assert of_rows_before(contract, way, [batch[:cut], batch[cut:]]) == before_checked(contract, batch)


def of_rows_before(contract: Contract, way: str, batches: list[list[bytes]]) -> Counter[Rule]:
    """What falls and which ids repeat, as a view takes what is decoded."""
    found, rising = decoder(contract, way), RisingValues()
    counts, ids, first = Counter[Rule](), list[int](), 0
    for batch in batches:
        span = OffsetRange(Partition("t", 0), first, first + len(batch) - 1)
        decoded = found.decode(TopicRecords("t", [0] * len(batch), batch, (span,) if batch else ()), NOON)
        first += len(batch)
        for each in decoded.schemas:
            counts.update({(name, "monotone"): int(fell.sum()) for name, fell in rising.fell(each.rows).items()})
        ids += [known for part in decoded.batches if part.ids is not None for known in part.ids.tolist() if known]
    return +(counts + Counter({("__id__", "unique"): len(ids) - len(set(ids))}))


@pytest.mark.parametrize("way", ["compiled", "typed", "lenient"])
def test_a_sample_is_the_value_as_it_came_and_never_an_id(way: str) -> None:
    said = {"a": {"type": "number", "max": 2}, "plan": {"values": ["free"]}, "__id__": {"matches": "[0-9]+"}}
    batch = messages([{"id": "secret", "features": {"a": "3,5", "plan": "gold\n"}}, {"features": {"a": 7}}])

    decoded = decoder(contract_of(said), way).decode(TopicRecords("t", [0, 0], batch), NOON)

    samples = [each for fact in decoded.facts if isinstance(fact, ContractBroken) for each in fact.samples]
    assert {(each.rule, each.words) for each in samples} == {
        (("a", "type"), "'3,5'"),
        (("a", "max"), "7"),
        (("plan", "values"), "'gold\\n'"),
    }


@pytest.mark.usefixtures("compiled_parts")  # which leaves all rows in one batch
def test_rows_are_masked_as_they_lie_in_the_batch() -> None:
    batch = messages([{"features": {"a": value}} for value in (1, 9, 2, "9", 9)])
    [found] = (
        decoder(contract_of({"a": {"type": "number", "max": 5}}))
        .decode(TopicRecords("t", [0] * 5, batch), NOON)
        .batches
    )

    assert found.violations is not None
    assert dict(zip(found.violations.rules, found.violations.rows.tolist(), strict=True)) == {
        ("a", "type"): [False, False, False, True, False],
        ("a", "max"): [False, True, False, False, True],
    }
    assert found.violations.where(np.array([1, 0])).counts == {("a", "max"): 1}


def test_a_model_has_samples_of_its_own() -> None:
    """Two models with one rule on one topic: the values of one are not shown in place of the other's."""
    fields, contract = FieldMap(), ContractSpec(contract_of({"a": {"type": "number", "max": 5}}))
    keys = [SeriesKey(name, "3") for name in ("churn", "fraud")]
    series = [SeriesFields(key, REFERENCE.layout, fields) for key in keys]
    found = TopicDecoder("t", series, fields, 600 * SECOND, contracts=dict.fromkeys(keys, contract))
    batch = messages([{"model": key.model, "features": {"a": 9}} for key in keys for _ in range(5)])

    decoded = found.decode(TopicRecords("t", [0] * 10, batch), NOON)

    assert {fact.key.model: len(fact.samples) for fact in decoded.facts if isinstance(fact, ContractBroken)} == {
        "churn": 3,
        "fraud": 3,
    }


@pytest.mark.usefixtures("compiled_parts")  # Python's reader cannot tell 1 from true, and reads both again
@pytest.mark.parametrize(
    ("said", "again"),
    [
        ({"a": {"type": "integer", "values": list(range(10))}}, [2]),  # true may be meant by 1, and is read again
        ({"a": {"type": "integer", "values": [1, 2, True]}}, []),
        ({"__id__": {"type": "text", "required": True}}, [3]),
        ({"__id__": {"matches": "[0-9]+"}}, []),
        ({"__id__": {"matches": "[02-9]+", "required": True}}, [1, 3]),  # what does not match, and what is not there
        ({"__id__": {"matches": "(?=[0-9])[0-9]"}}, [0, 1, 2, 3]),  # what looks ahead has no table
        ({"__id__": {"values": ["0", "1"]}}, [2]),
        ({"__id__": {"type": "integer"}}, [0, 1, 2]),
        ({"code": {"type": "integer", "min": 1, "required": True}}, [1, 2]),  # 0 and a text, and not what is missing
        ({"code": {"type": "time"}}, []),
        ({"plan": {"matches": "gold-[0-9]+"}}, [2]),
    ],
)
def test_only_what_columns_do_not_tell_is_read_again(said: dict[str, dict[str, Any]], again: list[int]) -> None:
    fields = FieldMap()
    series = [SeriesFields(KEY, REFERENCE.layout, fields)]
    found = TopicDecoder("t", series, fields, 600 * SECOND, contracts={KEY: ContractSpec(contract_of(said))})
    batch = messages(
        [
            {"features": {"a": a, "code": code, "plan": plan}} | ({} if at == 3 else {"id": f"{at}"})
            for at, (a, code, plan) in enumerate(
                zip(
                    [1, 0, True, 2],
                    [1, 0, "2026-11-23T12:00:00Z", None],
                    ["gold-1", "gold-22", "gold", "gold-3"],
                    strict=True,
                )
            )
        ]
    )
    [part] = found.readers[0].read(TopicRecords("t", [0] * 4, batch), NOON + 600 * SECOND, DecodeCounts()).rows
    asked: list[int] = []

    def reread(rows: NDArray[np.intp], paths: Sequence[Path]) -> Rows:
        asked.extend(rows.tolist())
        assert part.reread is not None
        return part.reread(rows, paths)

    RowContract(series[0], ContractSpec(contract_of(said))).check(replace(part, reread=reread), objects=False)

    assert asked == again


@pytest.mark.usefixtures("compiled_parts")
@settings(max_examples=50, deadline=None)
@given(said=contracts, held=st.lists(st.tuples(st.booleans(), events), min_size=1, max_size=12))
def test_models_of_one_topic_are_told_what_each_alone_is_told(
    said: dict[str, dict[str, Any]], held: list[tuple[bool, dict[str, Any]]]
) -> None:
    """Their messages are read turn by turn, each into columns of its own."""
    contract = contract_of(said)
    spec = ContractSpec(contract, numbers=frozenset({"a", "b", "__prediction__"}))
    keys = {False: SeriesKey("churn", "3"), True: SeriesKey("fraud", "3")}
    series = [SeriesFields(key, REFERENCE.layout, FieldMap()) for key in keys.values()]
    both = TopicDecoder("t", series, FieldMap(), 600 * SECOND, contracts=dict.fromkeys(keys.values(), spec))
    batch = messages([each | {"model": keys[other].model} for other, each in held])
    found = counted(both, batch)

    for other, key in keys.items():
        own = [each | {"model": "churn"} for which, each in held if which is other]
        alone = counted(decoder(contract), messages(own))
        assert found.get(key, Counter()) == alone.get(KEY, Counter())


def counted(by: TopicDecoder, batch: list[bytes]) -> dict[SeriesKey, Counter[Rule]]:
    """The rows that break each rule, by series that has any, whoever read them."""
    found: dict[SeriesKey, Counter[Rule]] = {}
    for part in by.decode(TopicRecords("t", [0] * len(batch), batch), NOON).batches:
        if part.violations is not None and part.violations.counts:
            found.setdefault(part.key, Counter()).update(part.violations.counts)
    return found

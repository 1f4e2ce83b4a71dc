"""Messages: whatever one holds, it is counted or taken, the quick ways and the slow one agree, and its neighbours are untouched."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.broken import LOGS, messages
from benchmarks.traffic import BEGIN_MS, columns, events
from detectors import Reference
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import Decoded, TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.sources.formats.registry import options_of
from monitor.stream.events import SECOND, SeriesKey
from tests.contracts.test_formats import FORMATS, KEYS, REFERENCE, drawn
from tests.fakes import NOON
from tests.properties.test_decode import rows

OTHERS = [log for log in LOGS if log.form not in FORMATS]  # of servers, each with a mapping of its own
KINDS = [*FORMATS, *(log.form for log in OTHERS)]
SERVED = SeriesKey("bench", "*")
WORDS = (
    "features",
    "model",
    "version",
    "prediction",
    "inputs",
    "outputs",
    "instances",
    "resourceSpans",
    "1e999",
    "NaN",
)
Headers = Sequence[tuple[str, bytes]]


class Case(NamedTuple):
    """A format, by its quick ways and by the slow one alone, and a good message of it. `alone`: what that comes to."""

    quick: TopicDecoder
    slow: TopicDecoder
    good: bytes
    headers: Headers
    alone: Counter[Any]


def told(decoded: Decoded) -> Counter[Any]:
    """Rows, whole ones and halves, as values."""
    halves = Counter((half.key, half.half, each.tobytes()) for half in decoded.halves for each in half.rows)
    return rows(decoded) + halves


def read(decoder: TopicDecoder, values: list[bytes], headers: Headers) -> Decoded:
    """One poll of these messages."""
    stamps = [BEGIN_MS * 1_000_000] * len(values)
    held = [headers] * len(values)
    return decoder.decode(
        TopicRecords("t", [0] * len(values), values, keys=[None] * len(values), stamps=stamps, headers=held), NOON
    )


@cache
def written() -> dict[str, tuple[bytes, Headers]]:
    """A good message of each format, of two events where it holds several."""
    some = drawn(np.random.default_rng(1), 2)
    found: dict[str, tuple[bytes, Headers]] = {
        name: (form.write(some)[0], [(key, value.encode()) for key, value in form.beside(some[0]).items()])
        for name, form in FORMATS.items()
    }
    some = [json.loads(event) for event in events(2)]
    for log in OTHERS:
        values, headers = messages(log, [some[: min(log.rows, 2)]])
        found[log.form] = values[0], headers[0]
    return found


def decoders(name: str, home: Path) -> list[TopicDecoder]:
    """Two of one format, the second without its quick ways."""
    if name in FORMATS:
        form, fields, options = name.partition(",")[0], FORMATS[name].fields, FORMATS[name].options(home)
        series = [SeriesFields(key, REFERENCE.layout, fields) for key in KEYS]
    else:
        [log] = [each for each in OTHERS if each.form == name]
        form, fields, options = name, FieldMap(), log.options or {}
        layout = Reference.fit({f"{log.prefix}{each}": held for each, held in columns(100).items()}).layout
        series = [SeriesFields(SERVED, layout, fields)]
    kind = options_of(form)
    options = None if kind is None else kind.model_validate(options)
    both = [TopicDecoder("t", series, fields, 600 * SECOND, form, options=options) for _ in range(2)]
    both[1].readers[:-1] = []
    return both


def seeds() -> list[bytes]:
    """A good message of each format, and what its tests break of it."""
    found = []
    for at, name in enumerate(KINDS):
        good, _ = written()[name]
        broken = [message for message, _ in FORMATS[name].broken(good)] if name in FORMATS else []
        found += [bytes([at]) + message for message in [good, *broken]]
    return found


def prepared(home: Path) -> Callable[[bytes], None]:
    """What takes one input: a byte that says which format, then the message."""
    cases = []
    for name in KINDS:
        quick, slow = decoders(name, home)
        good, headers = written()[name]
        cases.append(Case(quick, slow, good, headers, told(read(quick, [good, good], headers))))
        assert cases[-1].alone == told(read(slow, [good, good], headers))
        assert cases[-1].alone, name

    def check(data: bytes) -> None:
        if not data:
            return
        case = cases[data[0] % len(cases)]
        values = [case.good, data[1:], case.good]
        quick, slow = (read(each, values, case.headers) for each in (case.quick, case.slow))
        found = told(quick)
        assert found == told(slow)
        assert set(quick.facts) == set(slow.facts)
        assert not case.alone - found, "a neighbour is not what it was"
        assert found != case.alone or quick.facts, "neither rows nor a reason"

    return check

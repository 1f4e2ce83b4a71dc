"""How samples are written for a scrape, in both of Prometheus's formats: a family's head, a label, a line."""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

import msgspec

MetricKind = Literal["gauge", "counter", "histogram"]
Sample = tuple[str, float]  # labels as `labelled` writes them, and the value

CLASSIC = "text/plain; version=0.0.4; charset=utf-8"
NO_NUMBER = b"null"
NAMES_KEPT = 1 << 14  # a few MiB
LONGEST_LABEL = 200  # characters: names of features are as long as whoever fitted the reference made them
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def labelled(names: Iterable[str], values: Iterable[str]) -> str:
    r"""Labels as they stand between the braces.

    >>> labelled(("model", "feature"), ("churn", 'say "hi"'))
    'model="churn",feature="say \\"hi\\""'
    """
    return ",".join(map(label, names, values))


@lru_cache(maxsize=NAMES_KEPT)
def label(name: str, value: str) -> str:
    """One label. Values are names out of the configuration and references: the same ones every time."""
    return f'{name}="{escape(bounded(value))}"'


def bounded(value: str) -> str:
    """A value of a label, cut where it is too long; those that begin alike stay apart.

    >>> bounded("age"), len(bounded("a" * 10_000)), bounded("a" * 10_000)[-14:]
    ('age', 200, 'a…27dd1f61b867')
    """
    if len(value) <= LONGEST_LABEL:
        return value
    mark = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{value[: LONGEST_LABEL - 13]}…{mark}"


def numbers(values: Iterable[float]) -> list[bytes]:
    """Each as the shortest text that is read as the same number; msgspec writes it ten times as fast as `repr`.

    >>> numbers([1, 0.1, float("-inf")])
    [b'1.0', b'0.1', b'-inf']
    """
    floats = list(map(float, values))
    if not floats:
        return []
    written = msgspec.json.encode(floats)[1:-1].split(b",")
    if NO_NUMBER in written:  # JSON has neither infinities nor NaN
        return [
            repr(value).encode() if text == NO_NUMBER else text for text, value in zip(written, floats, strict=True)
        ]
    return written


def lines(name: str, samples: Iterable[Sample]) -> bytes:
    r"""A line for each sample. The same in both formats.

    >>> lines("driftd_ready", [("", 1)]) + lines("driftd_window_rows", [('model="churn"', 100)])
    b'driftd_ready 1.0\ndriftd_window_rows{model="churn"} 100.0\n'
    """
    samples = list(samples)
    return form(name, [labels for labels, _ in samples]) % tuple(numbers([value for _, value in samples]))


def form(name: str, labels: Iterable[str]) -> bytes:
    r"""A line for each of some labels, with a place for its number.

    >>> form("driftd_window_rows", ['model="100%"']) % (b"7.0",)
    b'driftd_window_rows{model="100%"} 7.0\n'
    """
    written = [
        f"{name}{{{each}}} %b\n" if each else f"{name} %b\n" for each in (one.replace("%", "%%") for one in labels)
    ]
    return "".join(written).encode()


@lru_cache(maxsize=1 << 10)  # each metric in both formats
def head(name: str, kind: MetricKind, meaning: str, style: str) -> bytes:
    """What stands before a family's samples. OpenMetrics names a counter without its suffix, and escapes quotes."""
    if style == OPENMETRICS:
        name = name.removesuffix("_total") if kind == "counter" else name
        meaning = escape(meaning)
    else:
        meaning = meaning.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n".encode()


def escape(text: str) -> str:
    """A label's value between its quotes."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")

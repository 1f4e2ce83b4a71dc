"""How samples are written for a scrape, in both of Prometheus's formats: a family's head, a label, a line."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

MetricKind = Literal["gauge", "counter", "histogram"]
Sample = tuple[str, float]  # labels as `labelled` writes them, and the value

CLASSIC = "text/plain; version=0.0.4; charset=utf-8"
NAMES_KEPT = 1 << 14  # a few MiB
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
    return f'{name}="{escape(value)}"'


def lines(name: str, samples: Iterable[Sample]) -> bytes:
    r"""A line for each sample. The same in both formats.

    >>> lines("driftd_ready", [("", 1)]) + lines("driftd_window_rows", [('model="churn"', 100)])
    b'driftd_ready 1.0\ndriftd_window_rows{model="churn"} 100.0\n'
    """
    written = [
        f"{name}{{{labels}}} {float(value)!r}\n" if labels else f"{name} {float(value)!r}\n"
        for labels, value in samples
    ]
    return "".join(written).encode()


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

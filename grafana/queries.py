"""The PromQL of a dashboard or a rule file, ready for a Prometheus: variables filled in, metric names found."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

MATCHER = re.compile(r'=~?"\$\{?(\w+)\}?"')
LABEL_VALUES = re.compile(r"^label_values\((.+), *\w+\)$")
# What may stand in an expression without being a metric: taken out from the outside in.
NO_METRIC = (
    re.compile(r'"(?:[^"\\]|\\.)*"'),
    re.compile(r"\{[^}]*\}"),
    re.compile(r"\[[^\]]*\]"),
    re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)"),
    re.compile(r"\b(?:offset|@)\s*-?\w+"),
)
SCOPE = 'job=~"$job", instance=~"$instance"'
OURS = re.compile(r"\b((?:driftd|process)_\w+)(?:\{([^}]*)\})?")
NAME = re.compile(r"(?<![\w.])[a-zA-Z_:][\w:]*(?!\w*\s*\()")
WORDS = frozenset({"and", "bool", "by", "group_left", "group_right", "inf", "nan", "or", "unless", "without"})


def queries(
    dashboard: Mapping[str, Any],
    *,
    rate_interval: str = "1m",
    time_range: str = "1h",
    interval: str = "15s",
    **variables: str,
) -> list[str]:
    """Every PromQL expression of a dashboard's panels, annotations and variables, in their order, as Prometheus takes it.

    A variable that is not given matches everything: `queries(page)` runs over all models, `queries(page, model="churn")`
    over one. Values are regular expressions.
    """
    spans = {"$__rate_interval": rate_interval, "$__range": time_range, "$__interval": interval}
    found = []
    for expr in _expressions(dashboard):
        for name, span in spans.items():
            expr = expr.replace(name, span)  # noqa: PLW2901  # one text, filled in step by step
        found.append(MATCHER.sub(lambda at: f'=~"{variables.get(at[1], ".*")}"', expr))
    return found


def scoped(expr: str) -> str:
    """Return an expression that asks of the chosen jobs and instances alone.

    >>> scoped('max by (a) (driftd_x{b="c"}) / driftd_y + rate(driftd_z[5m])').replace(SCOPE, "…")
    'max by (a) (driftd_x{…, b="c"}) / driftd_y{…} + rate(driftd_z{…}[5m])'
    """
    return OURS.sub(lambda at: f"{at[1]}{{{SCOPE}{f', {at[2]}' if at[2] else ''}}}", expr)


def metrics(expr: str) -> set[str]:
    """The names of the metrics an expression reads.

    >>> sorted(metrics('sum by (le) (rate(a_bucket{x="b"}[5m])) / on (job) group_left up offset 1h or vector(0)'))
    ['a_bucket', 'up']
    """
    for pattern in NO_METRIC:
        expr = pattern.sub(" ", expr)
    return {name for name in NAME.findall(expr) if name.lower() not in WORDS}


def _expressions(dashboard: Mapping[str, Any]) -> Iterator[str]:
    for variable in dashboard.get("templating", {}).get("list", []):
        if asked := LABEL_VALUES.match(str(variable.get("query", ""))):
            yield asked[1]
    for annotation in dashboard.get("annotations", {}).get("list", []):
        yield annotation["expr"]
    for panel in dashboard["panels"]:
        for nested in (panel, *panel.get("panels", [])):
            yield from (target["expr"] for target in nested.get("targets", []))

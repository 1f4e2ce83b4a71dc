"""Ids: hashes of what is said, so that a replay or a lost state says it under the same id; and by whom, where that one has a name."""

import hashlib
from collections.abc import Sequence

import msgspec

from detectors.charts import IncidentKind
from monitor.alerting.rules import BUDGET_RULE
from monitor.stream.events import Nanos, SeriesKey

DIGITS = 32


def notice_id(
    key: SeriesKey,
    rule: str,
    kind: IncidentKind,
    since: Nanos | None,
    said: str,
    at: Nanos | None = None,
    instance: str = "",
) -> str:
    """The id of what is said of an alert that began at `since`; `at` is the window that caused it, where one alert says so twice.

    `instance` is who says it, empty where this driftd has no name: two that watch one model and window say different things. Of the kinds that open under one rule drift alone is left out: its ids are those of before there were kinds.
    """
    parts: list[object] = [key.model, key.version, rule, since, said]
    parts += [key.segment] if key.segment else []
    more: dict[str, object] = {}
    if rule == BUDGET_RULE and kind is not IncidentKind.DRIFT:
        more["kind"] = kind.value
    if at is not None:
        more["at"] = at
    more |= named(instance)
    return digest([*parts, more] if more else parts)


def incident_id(key: SeriesKey, rule: str, kind: IncidentKind, since: Nanos, instance: str = "") -> str:
    """The id of an incident."""
    return notice_id(key, rule, kind, since, "incident", instance=instance)


def named(instance: str) -> dict[str, object]:
    """What an instance adds to what its ids are hashes of: nothing without a name."""
    return {"instance": instance} if instance else {}


def plain_id(instance: str, *parts: object) -> str:
    """The id of what is said of a model, by an instance."""
    return digest([*parts, *([named(instance)] if instance else [])])


def digest(parts: Sequence[object]) -> str:
    """A hash of these values."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:DIGITS]

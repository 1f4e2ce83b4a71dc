"""Ids: hashes of what is said, so that a replay or a lost state says it under the same id."""

import hashlib
from collections.abc import Sequence

import msgspec

from detectors.charts import IncidentKind
from monitor.alerting.rules import BUDGET_RULE
from monitor.stream.events import Nanos, SeriesKey

DIGITS = 32


def notice_id(
    key: SeriesKey, rule: str, kind: IncidentKind, since: Nanos | None, said: str, at: Nanos | None = None
) -> str:
    """The id of what is said of an alert that began at `since`; `at` is the window that caused it, where one alert says so twice.

    Of the kinds that open under one rule drift alone is left out: its ids are those of before there were kinds.
    """
    parts: list[object] = [key.model, key.version, rule, since, said]
    parts += [key.segment] if key.segment else []
    more = ({"kind": kind.value} if rule == BUDGET_RULE and kind is not IncidentKind.DRIFT else {}) | (
        {} if at is None else {"at": at}
    )
    return digest([*parts, more] if more else parts)


def incident_id(key: SeriesKey, rule: str, kind: IncidentKind, since: Nanos) -> str:
    """The id of an incident."""
    return notice_id(key, rule, kind, since, "incident")


def digest(parts: Sequence[object]) -> str:
    """A hash of these values."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:DIGITS]

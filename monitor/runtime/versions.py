"""What is known of new versions, as a route and log lines show it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from monitor.alerting.versions import KnownVersion
from monitor.targets.payloads import rfc3339


def listed_versions(known: Mapping[tuple[str, str], KnownVersion]) -> Iterator[dict[str, Any]]:
    """`GET /api/v1/versions`: the versions that were told of, the newest first."""
    return map(version_item, sorted(known.values(), key=lambda each: -each.number))


def version_item(known: KnownVersion) -> dict[str, Any]:
    """One version. `seen_at` is event time; `reference` the hash of its own, null while it has none."""
    return {
        "model": known.model,
        "version": known.version,
        "source": known.source.value,
        "judged": known.standing.value,
        "seen_at": rfc3339(known.seen_at),
        "trained_at": None if known.trained_at is None else rfc3339(known.trained_at),
        "reference": known.reference or None,
        "looked_for_at": known.place or None,
        "learnt_rows": known.rows or None,
        "why": known.why or None,
    }


def version_words(known: KnownVersion) -> dict[str, Any]:
    """The same for a log line: what there is to say."""
    return {name: value for name, value in version_item(known).items() if value is not None}


def changed(
    versions: Mapping[tuple[str, str], KnownVersion], known: Iterable[KnownVersion]
) -> dict[tuple[str, str], KnownVersion]:
    """The versions with these as they are now."""
    return {**versions, **{(each.model, each.version): each for each in known}}

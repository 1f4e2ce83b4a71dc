"""Feast's logs of served features: flat rows in which each feature stands beside its time and its status."""

from collections.abc import Sequence
from typing import Any

from monitor.sections import Name, Section
from monitor.sources.base import TopicRecords
from monitor.sources.formats.fields import TopicFields
from monitor.sources.formats.logged import LogDecoder, LoggedRow, objects_in, time_text
from monitor.sources.formats.values import Rejected

TIME, REQUEST_ID = "__log_timestamp", "__request_id"
BESIDE = "__timestamp", "__status"  # behind the name of a feature
STATUS = ("invalid", "present", "null_value", "not_found", "outside_max_age")


class FeastOptions(Section):
    """`request_data`: columns that are features though no feature view has them; all others without a view are keys of entities."""

    request_data: tuple[Name, ...] = ()


Options = FeastOptions


class FeastDecoder(LogDecoder):
    """A row a message. Missing is what has no value; its status says why."""

    def __init__(self, topic: TopicFields) -> None:
        super().__init__(topic)
        options: FeastOptions = topic.options or FeastOptions()
        self._besides = frozenset(options.request_data)

    def rows_of(self, message: dict[str, Any]) -> Sequence[LoggedRow]:
        """The row of a message. Raises Rejected."""
        if TIME not in message:
            raise Rejected("timestamp_missing")
        names = [name for name in message if self._is_feature(name, message)]
        statuses = {name: _status(message.get(f"{name}__status")) for name in names}
        return [
            LoggedRow(
                {
                    "ts": time_text(message[TIME]),
                    "id": message.get(REQUEST_ID),
                    "features": {name: message[name] for name in names},
                    "status": {name: said for name, said in statuses.items() if said is not None},
                }
            )
        ]

    def _is_feature(self, name: str, message: dict[str, Any]) -> bool:
        if name in self._besides:
            return True
        beside = any(name.endswith(end) and name.removesuffix(end) in message for end in BESIDE)
        return "__" in name[1:] and not name.startswith("__") and not beside


def _status(told: Any) -> str | None:
    """The word for a status, which may be its number."""
    if isinstance(told, str):
        return told.lower()
    known = isinstance(told, int) and not isinstance(told, bool) and 0 <= told < len(STATUS)
    return STATUS[told] if known else None


decoder = FeastDecoder


def recognises(records: TopicRecords) -> bool:
    """Whether all records have the columns that the feature server adds."""
    held = objects_in(records)
    return bool(held) and all(TIME in message and REQUEST_ID in message for message in held)

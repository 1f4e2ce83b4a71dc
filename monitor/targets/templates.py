r"""What of a notice a setting passes on: `{model}` is one value of it, inside a text or as it is.

>>> said = {"model": "churn", "data_range": {"from": "2026-11-23T03:55:00Z"}, "window": {"rows": 10000}}
>>> render({"name": "retrain {model}", "rows": "{window.rows}", "link": "{url}", "macro": "{{ ds }}"}, said)
{'name': 'retrain churn', 'rows': 10000, 'macro': '{{ ds }}'}
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
from pydantic import AfterValidator

from monitor.store.outbox import Notice
from monitor.targets.identity import run_id

DATA_FIELDS = frozenset(
    {
        "decision_id",
        "model",
        "model_version",
        "reason",
        "kind",
        "incident",
        "instance",
        "severity",
        "alert.rule",
        "alert.since",
        "alert.episode",
        "window.start",
        "window.end",
        "window.rows",
        "evidence",
        "evidence_total",
        "evidence_omitted",
        "data_range.from",
        "data_range.to",
        "reference.hash",
        "config_hash",
        "driftd_version",
        "summary",
        "url",
        "calibration",
    }
)
FIELDS = DATA_FIELDS | {"id", "type", "data"}
_PLACE = re.compile(r"(?<!\{)\{([A-Za-z_][\w.]*)\}(?!\})")  # doubled braces are others' templates: left as they are
_ABSENT: Any = object()


def fields_of(notice: Notice) -> dict[str, Any]:
    """What templates may name: the keys of the notice's data, its id as targets know it, its type, and all of the data."""
    data = msgspec.json.decode(notice.data)
    return {**data, "id": run_id(notice), "type": notice.type, "data": data}


def render(template: Any, said: Mapping[str, Any]) -> Any:
    """Fill in a template: a mapping, a list, a text or a scalar.

    A text that is one place alone becomes the value itself, a number a number. What the notice does not say is left
    out of its mapping or list, and is nothing inside a text.
    """
    filled = _filled(template, said)
    return None if filled is _ABSENT else filled


def texts(template: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, str]:
    """The same where a target takes texts alone: what is no text is written as JSON.

    >>> texts({"rows": "{window.rows}", "on": True}, {"window": {"rows": 5}})
    {'rows': '5', 'on': 'true'}
    """
    return {name: _as_text(value) for name, value in render(template, said).items()}


def _filled(template: Any, said: Mapping[str, Any]) -> Any:
    match template:
        case str():
            whole = _PLACE.fullmatch(template)
            return _value(whole[1], said) if whole else _PLACE.sub(lambda place: _text(place[1], said), template)
        case Mapping():
            pairs = ((name, _filled(value, said)) for name, value in template.items())
            return {name: value for name, value in pairs if value is not _ABSENT}
        case list():
            return [value for value in (_filled(each, said) for each in template) if value is not _ABSENT]
        case _:
            return template


def _value(path: str, said: Mapping[str, Any]) -> Any:
    found: Any = said
    for name in path.split("."):
        if not isinstance(found, Mapping) or found.get(name) is None:  # null stands for a number that is not finite
            return _ABSENT
        found = found[name]
    return found


def _text(path: str, said: Mapping[str, Any]) -> str:
    value = _value(path, said)
    return "" if value is _ABSENT else _as_text(value)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


# --- settings ---------------------------------------------------------------------------------------------------------


def _places(template: Any) -> Iterator[str]:
    match template:
        case str():
            yield from _PLACE.findall(template)
        case Mapping():
            for value in template.values():
                yield from _places(value)
        case list():
            for value in template:
                yield from _places(value)


def known(template: Any) -> Any:
    """The same template, which names only fields that there are. Raises ValueError."""
    for path in _places(template):
        if path not in FIELDS:
            raise ValueError(f"{{{path}}} is no field of a notice; there is {', '.join(sorted(FIELDS))}")
    return template


Template = Annotated[dict[str, Any], AfterValidator(known)]
TextTemplate = Annotated[str, AfterValidator(known)]

"""Messages of logs of predictions through their formats, and what real libraries wrote."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monitor.sources.base import TopicRecords
from monitor.sources.formats.fields import FieldMap, TopicFields
from monitor.sources.formats.json.documents import DocumentRows
from monitor.sources.formats.logged import LogDecoder
from monitor.sources.formats.registry import decoder_of, options_of, recognised

RECORDED = Path(__file__).parent / "parts" / "formats"
FORMATS = ("azureml-mdc", "bentoml", "databricks-inference", "feast", "mlflow", "sagemaker-capture", "vertex-logging")


def log_decoder(form: str, options: Mapping[str, Any] | None = None, fields: FieldMap | None = None) -> LogDecoder:
    """The decoder of a topic in a format, with options as they are configured."""
    section = options_of(form)
    assert section is not None
    made = decoder_of(form, TopicFields([], fields or FieldMap(), options=section.model_validate(options or {})))
    assert isinstance(made, LogDecoder)
    return made


def written(messages: Sequence[Any]) -> list[bytes | None]:
    """Messages as bytes; what are bytes already stay."""
    return [each if isinstance(each, bytes | None) else json.dumps(each).encode() for each in messages]


def decoded(form: str, *messages: Any, fields: FieldMap | None = None, **options: Any) -> DocumentRows:
    """Messages through a decoder of their format."""
    return log_decoder(form, options, fields).decode(written(messages))


def documents(form: str, *messages: Any, **options: Any) -> list[dict[str, Any]]:
    """The canonical rows of messages, none of which may be rejected."""
    rows = decoded(form, *messages, **options)
    assert rows.rejected == {}
    return list(rows.documents)


def reasons(form: str, *messages: Any, **options: Any) -> dict[str, int]:
    """Why messages are rejected; none may give a row."""
    rows = decoded(form, *messages, **options)
    assert len(rows) == 0
    return dict(rows.rejected)


def looks_like(*messages: Any) -> list[str]:
    """The formats that messages look like."""
    return recognised(TopicRecords("t", [0] * len(messages), written(messages)))


def recorded(name: str) -> dict[str, Any]:
    """What the maker of a library wrote."""
    held: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    return held

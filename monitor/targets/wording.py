"""Templates of titles and texts: `{names}` of a fixed list, and nothing else; no expressions, no formats."""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Annotated

from pydantic import AfterValidator

from monitor.sections import Section

FIELDS = (
    "approve",
    "event_time",
    "features",
    "incident",
    "instance",
    "kind",
    "model",
    "name",
    "new",
    "reason",
    "reject",
    "request",
    "rows",
    "rule",
    "severity",
    "since",
    "state",
    "summary",
    "url",
    "version",
    "window_end",
    "window_start",
)
LONGEST = 4000  # characters of a template


@dataclass(frozen=True, slots=True)
class Template:
    """A text with places for fields. A line that holds nothing but fields which are empty is left out."""

    text: str

    def fill(self, fields: Mapping[str, str]) -> str:
        """The text with its fields; what a field holds is never looked at for further ones."""
        lines = []
        for line in self.text.split("\n"):
            pieces = list(Formatter().parse(line))
            named = [name for _, name, _, _ in pieces if name is not None]
            if named and not any(fields.get(name) for name in named):
                continue
            lines.append("".join(before + (fields.get(name, "") if name else "") for before, name, _, _ in pieces))
        return "\n".join(lines).strip()


def template(text: str) -> str:
    """A text that can be filled. Raises ValueError, which names what is valid."""
    if not text.strip():
        raise ValueError("must not be empty")
    if len(text) > LONGEST:
        raise ValueError(f"is {len(text)} characters long; at most {LONGEST} are taken")
    try:
        pieces = [piece for line in text.split("\n") for piece in Formatter().parse(line)]
    except ValueError as error:
        raise ValueError(f"{error}; a brace that is meant is written twice, {{{{ or }}}}") from None
    for _, name, form, conversion in pieces:
        if name is not None and name not in FIELDS:
            raise ValueError(f"{{{name}}} is no field; there is {', '.join(FIELDS)}")
        if form or conversion:
            raise ValueError(f"{{{name}}} takes no format and no conversion")
    return text


TemplateText = Annotated[str, AfterValidator(template)]


class TemplateSettings(Section):
    """How a target words what it says; absent, as its type does."""

    title: TemplateText | None = None
    text: TemplateText | None = None

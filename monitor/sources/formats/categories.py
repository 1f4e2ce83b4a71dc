"""Category values to codes, as messages have them: those of a column, and whether a value says that a request failed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from detectors import canonical
from detectors.reference.service import NO_FAILURES
from detectors.spellings import coded
from monitor.sources.formats.values import category

FINE, FAILED = 0, 1  # codes of errors


class BeyondError(ValueError):
    """A number is beyond all floats: it is no category."""


class CategoryTable(dict[Any, int]):
    """Category text to code. What is not in it is worked out and not kept: events must not grow memory.

    `spelled`: other spellings of a category's value have its code.
    """

    def __init__(self, categories: Sequence[str], *, spelled: bool = True) -> None:
        super().__init__(coded(categories) if spelled else {text: code for code, text in enumerate(categories)})
        self.categories = list(categories)
        self.unseen = len(categories)
        self.missing = self.unseen + 1
        self[None] = self.missing

    def __missing__(self, value: Any) -> int:
        if isinstance(value, str):
            return self.unseen
        text = canonical(value)
        if text is None:
            raise BeyondError
        return self.get(text, self.unseen)

    def read(self, value: Any, reasons: Counter[str]) -> int:
        """The code of a value as it came; why it is none is counted."""
        return self[category(value, reasons)]


class ErrorTable(CategoryTable):
    """Whether a value says that a request failed: codes FINE and FAILED.

    It did not where the value is absent, null, false, 0, empty, a status from 100 to 499, or one of the `fine` texts. All else says
    that it did: true, a status of 500 or more, any other number, any other text, an object or a list that is not empty.
    """

    def __init__(self, fine: Iterable[str] = ()) -> None:
        super().__init__([])
        self.update(dict.fromkeys((*NO_FAILURES, *fine), FINE))
        self.unseen, self.missing = FAILED, FAILED + 1
        self[None] = self.missing

    def read(self, value: Any, reasons: Counter[str]) -> int:
        """The same; of an object or a list by whether it holds anything. A number that nobody can write is no status."""
        if isinstance(value, Mapping | list):
            return FAILED if value else FINE
        if isinstance(value, int) and canonical(value) is None:
            return FAILED
        return super().read(value, reasons)

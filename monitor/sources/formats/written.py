"""Numbers as people write them in texts: with decimal commas, with separators between thousands."""

import re
from collections.abc import Collection

# no group of thousands begins with 0: 0,125 is an eighth
GROUPED = {
    ".": re.compile(r"[-+]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?"),
    ",": re.compile(r"[-+]?[1-9][0-9]{0,2}(?:[.  \u202f'][0-9]{3})+(?:,[0-9]+)?"),
}
DECIMAL_COMMA = re.compile(
    r"[-+]?[1-9][0-9]{0,2}(?:[. '][0-9]{3})+,[0-9]+|[-+]?0,[0-9]+|[-+]?[0-9]*,(?:[0-9]{1,2}|[0-9]{4,})"
)
PLAIN = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
COMMAS, THOUSANDS = "decimal commas", "thousands separators"
NEARLY_ALL = 0.9  # of the texts, beside words such as NA


def written_with(text: str, decimal: str = ".") -> str | None:
    """How a text is written that is a number only to people; None where it is none.

    >>> written_with("0,125"), written_with("7,125")
    ('decimal commas', 'thousands separators')
    >>> written_with("1.234,50"), written_with("1,234.50"), written_with("12.5"), written_with("a,b")
    ('decimal commas', 'thousands separators', None, None)
    """
    plain = text.strip()
    if decimal == "." and DECIMAL_COMMA.fullmatch(plain):
        return COMMAS
    return THOUSANDS if GROUPED[decimal].fullmatch(plain) else None


def people_write(texts: Collection[str]) -> tuple[str, str] | None:
    """How texts are written that are nearly all numbers, with the first such text; None where they are no such numbers."""
    how = {text: said for text in texts if (said := written_with(text)) is not None}
    numbers = sum(text in how or PLAIN.fullmatch(text.strip()) is not None for text in texts)
    if not how or numbers < NEARLY_ALL * len(texts):
        return None
    first = next((text for text, said in how.items() if said == COMMAS), next(iter(how)))
    return how[first], first

"""How others spell a category: 1 as 1.0, true as True. What is one value has one code, whoever sends it.

A category is first what it says itself. Else a whole number is the same with `.0` or as a float's exponent, a truth value
the same as `true`, `True` and `TRUE`; and where a feature holds nothing but truth, 1 is true and 0 is false as well. `01`
is a code, not 1; `1.10` is a version, not 1.1.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from detectors.features import canonical

TRUTH = {"true": "1", "True": "1", "TRUE": "1", "false": "0", "False": "0", "FALSE": "0"}
WORDS = {"1": ("true", "True", "TRUE"), "0": ("false", "False", "FALSE")}


def plain(text: str) -> str:
    """Return the text under which a category is counted: of a whole number without a point, of a truth value in small letters.

    >>> [plain(text) for text in ("1.0", "-2.0", "1e+16", "1", "01", "01.0", "1.10", "True", "NA")]
    ['1', '-2', '10000000000000000', '1', '01', '01.0', '1.10', 'true', 'NA']
    """
    if text in TRUTH:
        return text.lower()
    if not text.endswith(".0") and "e+" not in text:
        return text
    try:
        number = float(text)
    except ValueError:
        return text
    return canonical(number) or text if repr(number) == text and number.is_integer() else text


def is_flag(texts: Iterable[str]) -> bool:
    """Whether categories are nothing but truth, however it is spelled."""
    return all(TRUTH.get(text, plain(text)) in WORDS for text in texts)


def folded(texts: Collection[str]) -> Mapping[str, str]:
    """Return the one text of each that is counted under another one.

    >>> folded(["1", "1.0", "2"]), folded(["1", "True"]), folded(["1", "2", "true"])
    ({'1.0': '1'}, {'True': 'true', '1': 'true'}, {})
    """
    one = {text: said for text in texts if (said := plain(text)) != text}
    if is_flag(texts) and any(text in TRUTH for text in texts):
        one |= {text: WORDS[number][0] for text in texts if (number := plain(text)) in WORDS}
    return one


def coded(categories: Sequence[str]) -> dict[str, int]:
    """Return the code of each category under its own text, and under those that are the same value.

    >>> coded(("1", "2")), coded(("1.10",))
    ({'1': 0, '2': 1, '1.0': 0, '2.0': 1}, {'1.10': 0})
    >>> sorted(coded(("0",)))
    ['0', '0.0', 'FALSE', 'False', 'false']
    """
    codes = {text: code for code, text in enumerate(categories)}
    flag = is_flag(categories)
    for spell in (_as_number, _as_truth, *([_as_other] if flag else [])):
        for code, text in enumerate(categories):
            for other in spell(text):
                codes.setdefault(other, code)
    return codes


def _as_number(text: str) -> Iterator[str]:
    """The same whole number, with a point and without."""
    number = plain(text)
    if number.removeprefix("-").isdecimal() and (number == "0" or number.lstrip("-")[0] != "0"):
        yield number
        if len(number) < len("-1") + 308 and canonical(float(number)) == number:
            yield repr(float(number))


def _as_truth(text: str) -> Iterator[str]:
    """The same truth value in other letters."""
    yield from WORDS[TRUTH[text]] if text in TRUTH else ()


def _as_other(text: str) -> Iterator[str]:
    """A truth value as a number, and a number as truth."""
    number = TRUTH.get(text, plain(text))
    yield from (*WORDS[number], number, f"{number}.0")


class CategoryCodes(dict[str, int]):
    """Category texts to codes, with other spellings of the same values; then come one code for any other, one for missing."""

    def __init__(self, categories: Sequence[str]) -> None:
        super().__init__(coded(categories))
        self.unseen = len(categories)
        self.missing = self.unseen + 1

"""A contract as the YAML text that people read and edit, with remarks."""

import re
from collections.abc import Iterator, Mapping

from detectors.contract.contract import ColumnRules
from detectors.contract.document import FAMILY, VERSION
from detectors.contract.infer import InferredContract
from detectors.figures import exact, printable

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
READ_AS_OTHERS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})  # by some reader of YAML
MOST_IN_A_LINE = 100  # characters of values; more stand a line each
ORDER = ("type", "required", "max_missing", "min", "max", "values", "matches", "unique", "monotone", "unit")


def written(inferred: InferredContract, source: str) -> str:
    """The text of an inferred contract; `source` names what it was inferred from."""
    return "\n".join(_lines(inferred, source)) + "\n"


def _lines(inferred: InferredContract, source: str) -> Iterator[str]:
    contract = inferred.contract
    yield f"# A data contract, written by `driftd contract infer` from {printable(source)}, {inferred.rows:,} rows. It is yours: edit it."
    yield "# Beside the rules below, columns can have `matches`, `unique` and `monotone`: docs/contract.md."
    yield f"format: {FAMILY}{VERSION}"
    yield f"version: {scalar(contract.version)}  # yours: raise it when you change a rule"
    yield f"reference: {scalar(contract.reference)}"
    yield f"new_columns: {'refused' if contract.new_columns_refused else 'allowed'}  # or refused: any that is not named below"
    yield "columns:"
    for name, rules in contract.columns.items():
        yield from _column(name, rules, inferred.remarks.get(name, {}))
    yield "comparisons: []  # of columns named above, such as [end >= start]"


def _column(name: str, rules: ColumnRules, remarks: Mapping[str, str]) -> Iterator[str]:
    lines = [line for rule in ORDER for line in _rule(rule, getattr(rules, rule), remarks.get(rule, ""))]
    whole = any(not line.lstrip().startswith("#") for line in lines)
    yield f"  {scalar(name)}:{'' if whole else ' {}'}{_remark(remarks.get('', ''))}"
    yield from lines


def _rule(rule: str, said: object, remark: str) -> Iterator[str]:
    if said is None or said is False:
        if remark:
            yield f"    # {rule}: {printable(remark)}"
    elif isinstance(said, tuple):
        texts = [scalar(text) for text in said]
        line = f"[{', '.join(texts)}]"
        if len(line) <= MOST_IN_A_LINE:
            yield f"    {rule}: {line}{_remark(remark)}"
        else:
            yield f"    {rule}:{_remark(remark)}"
            yield from (f"      - {text}" for text in texts)
    elif said is True:
        yield f"    {rule}: true{_remark(remark)}"
    else:
        yield f"    {rule}: {exact(said) if isinstance(said, float) else scalar(str(said))}{_remark(remark)}"


def scalar(text: str) -> str:
    """A text as YAML has it, in quotes where it could be read as anything else.

    >>> [scalar(text) for text in ("free", "no", "1", "a b")]
    ['free', '"no"', '"1"', '"a b"']
    """
    if PLAIN.fullmatch(text) and text.lower() not in READ_AS_OTHERS:
        return text
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    if letter.isprintable():
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"  # noqa: PLR2004 - as YAML has them


def _remark(text: str) -> str:
    return f"  # {printable(text)}" if text else ""

"""Values of the command line. One syntax for lists: the option again, a comma or a space each bring one more value."""

import argparse
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from monitor.commands.exits import Exit

Commands: TypeAlias = "argparse._SubParsersAction[Any]"  # noqa: SLF001 - that to which commands are added has no other name

MOST_THREADS = 256
MOST_RECORDS = 10_000


class Several(argparse.Action):
    """Adds to what the option brought before; its type makes a list of each word."""

    def __call__(self, _: argparse.ArgumentParser, options: argparse.Namespace, words: Any, *__: object) -> None:
        """Take the words after the option."""
        setattr(options, self.dest, [*(getattr(options, self.dest) or ()), *chain.from_iterable(words)])


def add_list(
    parser: argparse.ArgumentParser, option: str, values: Callable[[str], list[Any]], **settings: Any
) -> argparse.Action:
    """Add an option that takes several values; `values` splits a word into them."""
    return parser.add_argument(option, action=Several, nargs="+", type=values, **settings)


def add_dialect(parser: argparse.ArgumentParser) -> None:
    """How the CSVs that a command reads are written."""
    parser.add_argument("--delimiter", default=",", metavar="C", help="between the fields of a CSV (,)")
    parser.add_argument("--decimal", choices=[".", ","], default=".", help="before the decimals of a CSV's numbers (.)")


def add_threads(parser: argparse.ArgumentParser, what: str) -> None:
    """How many threads a command works with; what it finds is the same with any number. Absent: None, `usable_cores` are meant."""
    parser.add_argument("--threads", type=threads, metavar="N", help=f"that {what} (one a core that may be used)")


def usable_cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def add_command(
    commands: Commands, name: str, what: str, command: Callable[[argparse.Namespace], Exit]
) -> argparse.ArgumentParser:
    """Add a command, or an action of one, and who answers it."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=what, description=what)
    parser.set_defaults(command=command)
    return parser


def add_config(parser: argparse.ArgumentParser) -> None:
    """Which configuration."""
    parser.add_argument(
        "--config", type=Path, metavar="driftd.yaml", help="the configuration (DRIFTD_CONFIG, else ./driftd.yaml)"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Said to people or to programs."""
    parser.add_argument("--json", action="store_true", help="say it as JSON, for programs")


def actions_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every option and argument of a parser and of the commands below it."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to look at a parser
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - same
            for command in action.choices.values():
                yield from actions_of(command)
        yield action


# --- lists --------------------------------------------------------------------------------------------------------------


def files(text: str) -> list[Path]:
    """Paths between commas. A name that holds a comma stays whole where there is such a file."""
    pieces = text.split(",")
    paths = []
    while pieces:
        joined = (n for n in range(len(pieces), 1, -1) if os.path.exists(",".join(pieces[:n])))  # noqa: PTH110 - Path's raises on a long name
        length = next(joined, 1)
        paths.append(",".join(pieces[:length]))
        del pieces[:length]
    return [Path(path) for path in some(paths, "file")]


def names(text: str) -> list[str]:
    """Names between commas."""
    return some((name.strip() for name in text.split(",")), "column")


def spans(text: str) -> list[str]:
    """Spans of time between commas."""
    return some((span.strip() for span in text.split(",")), "span")


def kinds(text: str) -> list[str]:
    """`COLUMN=KIND` between commas. A comma before the equals sign belongs to the column's name."""
    return some(separated(text, r"=[^=,]*$"), "column")


def changes(text: str) -> list[str]:
    """`FEATURE:CHANGE@TIME` between commas. A comma before the time belongs to the feature or category."""
    return some(separated(text, r"@\d[^@,]*$"), "change")


def budgets(text: str) -> list[float]:
    """Numbers above zero between commas."""
    try:
        numbers = [float(number) for number in text.split(",") if number.strip()]
    except ValueError:
        numbers = []
    if not numbers or not all(0 < number < math.inf for number in numbers):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers above zero such as 0.3,1,3")
    return numbers


def separated(text: str, whole: str) -> list[str]:
    """Cut a text at the commas before which a value is whole; what is left comes last, nothing where all are.

    >>> separated("a,b=numeric,c=categorical", r"=[^=,]*$")
    ['a,b=numeric', 'c=categorical', '']
    """
    values, value = [], ""
    for piece in text.split(","):
        value = f"{value},{piece}" if value else piece
        if re.search(whole, value):
            values.append(value)
            value = ""
    return [*values, value]


def some(values: Iterable[str], what: str) -> list[str]:
    """Return the values that are not empty; none at all is a mistake."""
    kept = [value for value in values if value]
    if not kept:
        raise argparse.ArgumentTypeError(f"names no {what}")
    return kept


# --- numbers ------------------------------------------------------------------------------------------------------------


def seconds(text: str) -> int:
    """How long the demo lasts."""
    if not (text.isascii() and text.isdigit()) or not 30 <= int(text) <= 600:  # noqa: PLR2004 - said in the message
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 30 to 600")
    return int(text)


def threads(text: str) -> int:
    """How many threads."""
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= MOST_THREADS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST_THREADS}")
    return int(text)


def count(text: str) -> int:
    """How many of something."""
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= MOST_RECORDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST_RECORDS}")
    return int(text)


def port(text: str) -> int:
    """A TCP port; 0 is any that is free."""
    if not (text.isascii() and text.isdigit()) or int(text) > 65_535:  # noqa: PLR2004 - the highest port
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)

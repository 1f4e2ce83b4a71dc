"""How many threads read in a test: in this process and in daemons that it starts."""

import os

VARIABLE = "TESTED_THREADS"


def wanted(otherwise: int) -> int:
    """As many as the test asks for."""
    return int(os.environ.get(VARIABLE, otherwise))


def option() -> list[str]:
    """The option of `driftd run`; none where the test does not ask."""
    return ["--threads", os.environ[VARIABLE]] if VARIABLE in os.environ else []

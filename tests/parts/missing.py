"""A real part that is not on this machine, and what installs it."""


class MissingPart(Exception):  # noqa: N818  a test that meets it is skipped: no error
    """Raised where a part is asked for; tests/conftest.py makes a skip of it, or a failure where parts are required."""

    def __init__(self, what: str, install: str) -> None:
        super().__init__(f"{what} ({install})")
        self.what = what
        self.install = install

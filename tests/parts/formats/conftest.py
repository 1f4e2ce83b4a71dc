"""The makers run in environments of their own: nobody imports them to look for tests."""

from tests.parts.formats import PACKAGES

collect_ignore = [f"{name}.py" for name in PACKAGES]

"""What `make fuzz` does for minutes, in a second a target and without its library: the inputs that are kept, and changes of them."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import webhook
from tests.fuzz.corpus import TARGETS, kept, shared_memory, target_of

EXAMPLES = {"state": 25, "configuration": 25, "reference": 40}  # those that take milliseconds
Edit = tuple[int, int, bytes]

edits = st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 8), st.binary(max_size=8)), max_size=4)


@cache
def inputs(name: str) -> list[bytes]:
    return [*target_of(name).seeds(), *kept(name)]


def changed(data: bytes, some: list[Edit]) -> bytes:
    """At each place so many bytes are taken away, and others put there."""
    for place, gone, put in some:
        at = place % (len(data) + 1)
        data = data[:at] + put + data[at + gone :]
    return data


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> Iterator[tuple[str, Callable[[bytes], None]]]:
    with TemporaryDirectory(prefix="driftd-fuzz-", dir=shared_memory()) as home:
        yield request.param, target_of(request.param).prepared(Path(home))


def test_what_is_kept_and_changes_of_it_are_taken_or_refused(target: tuple[str, Callable[[bytes], None]]) -> None:
    name, check = target
    found = inputs(name)

    @settings(max_examples=EXAMPLES.get(name, 100), suppress_health_check=list(HealthCheck), database=None)
    @given(st.sampled_from(found), edits)
    def taken(data: bytes, some: list[Edit]) -> None:
        check(changed(data, some))

    for data in found[:: max(1, len(found) // EXAMPLES.get(name, 100))]:
        check(data)
    taken()


def test_a_success_with_one_thing_left_out_or_of_another_kind_ends_the_attempt(tmp_path: Path) -> None:
    """Of a proxy, or another version of the server."""
    check = webhook.prepared(tmp_path)

    for data in webhook.odd_answers():
        check(data)

"""A line of `driftd version list`."""

import pytest

from monitor.commands.answers import VersionItem
from monitor.commands.versions import version_line


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        ("learnt", "judged by what it has learnt of 1000 rows"),
        ("retired", "no longer followed"),
    ],
)
def test_how_many_rows_a_version_has_learnt_from_is_said_while_it_is_judged_by_these(standing: str, words: str) -> None:
    told = VersionItem(
        model="churn",
        version="5",
        source="events",
        judged=standing,
        seen_at="2026-11-27T18:50:15Z",
        reference=None,
        learnt_rows=1000,
        why=None,
    )

    assert version_line(told) == f"churn/5  2026-11-27T18:50:15Z  by events: {words}"

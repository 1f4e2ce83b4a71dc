"""Windows of too few rows are said once, beforehand where the reference knows, and so is their end."""

from dataclasses import replace

from detectors import Reference
from monitor.facts import Fact, FewRows, WindowClosed
from monitor.runtime.rows import FEWEST, USUAL, RowsWatch
from monitor.series.series import SeriesSpec
from tests.build import KEY, MINUTE, OTHER_KEY, REFERENCE, at, make_spec, of


def windows(*rows: int) -> list[Fact]:
    return [WindowClosed(KEY, at(number), at(number + 1), count, ()) for number, count in enumerate(rows)]


def said(facts: list[Fact]) -> list[tuple[float, bool]]:
    return [(fact.rows, fact.few) for fact in of(facts, FewRows)]


def spec(reference: Reference = REFERENCE) -> SeriesSpec:
    return make_spec(reference=reference, min_rows=50)


def test_a_few_windows_are_no_custom_and_then_both_numbers_are_said_once() -> None:
    watch = RowsWatch([spec()])

    assert watch.see(windows(*[20] * (FEWEST - 1))) == []
    assert watch.see(windows(20, 20, 20)) == [FewRows(KEY, 20.0, MINUTE, 50, few=True)]
    assert said(watch.see(windows(*[80] * USUAL))) == [(60.0, False)]


def test_a_reference_that_knows_its_arrivals_says_it_beforehand() -> None:
    knows = replace(REFERENCE, rows_per_second=1 / 3)  # 20 a minute
    watch = RowsWatch([spec(knows)])

    ((rows, few),) = said(watch.begin([]))
    assert (round(rows), few) == (20, True)
    assert watch.see(windows(*[20] * USUAL)) == []
    assert RowsWatch([spec()]).begin([]) == []


def test_what_windows_have_shown_before_a_restart_is_known_after_it() -> None:
    knows = replace(REFERENCE, rows_per_second=1 / 3)

    assert said(RowsWatch([spec()]).begin(windows(*[20] * FEWEST))) == [(20.0, True)]
    assert RowsWatch([spec(knows)]).begin(windows(*[80] * FEWEST)) == []


def test_other_series_beside_it_change_nothing_of_what_was_said_of_one() -> None:
    watch = RowsWatch([spec()])
    assert len(watch.see(windows(*[20] * FEWEST))) == 1
    watch.renew([spec(), make_spec(key=OTHER_KEY, min_rows=50)])

    assert watch.begin([]) == []
    assert watch.see(windows(20, 20)) == []
    assert [few for _, few in said(watch.see(windows(*[80] * USUAL)))] == [False]
    others = [replace(each, key=OTHER_KEY) for each in windows(*[20] * FEWEST)]
    assert [fact.key for fact in of(watch.see(others), FewRows)] == [OTHER_KEY]

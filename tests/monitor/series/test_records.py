"""What rows are called in the store. An empty segment, and the view of features, leave every name as it was."""

from dataclasses import replace

import msgspec
import pytest

from monitor.alerting.alerts import AlertState
from monitor.alerting.rules import Severity
from monitor.facts import AlertChanged, WindowClosed, WindowSpan
from monitor.series.records import Entry, Owner, Record, owned
from monitor.stream.events import SeriesKey
from monitor.targets.payloads import identity

WHOLE, GERMANY = SeriesKey("churn", "3"), SeriesKey("churn", "3", "de")
PLACES = [
    (Owner(WHOLE), Entry("series", b"x"), Record("series", '["churn","3"]', b"x")),
    (Owner(WHOLE), Entry("pane", None, 17), Record("pane", '["churn","3",17]', None)),
    (Owner(GERMANY), Entry("pane", b"x", 17), Record("pane", '["churn","3","de",17]', b"x")),
    (Owner(WHOLE, "labels"), Entry("pane", b"x", 0), Record("labels/pane", '["churn","3",0]', b"x")),
    (Owner(SeriesKey('a"/\n', "*")), Entry("series", b""), Record("series", '["a\\"/\\n","*"]', b"")),
]


@pytest.mark.parametrize(("owner", "entry", "record"), PLACES)
def test_a_row_says_whose_it_is(owner: Owner, entry: Entry, record: Record) -> None:
    assert owner.record(entry) == record
    assert owned(record) == (owner, entry)


def test_an_empty_segment_is_not_written() -> None:
    assert (str(WHOLE), str(GERMANY)) == ("churn/3", "churn/3/de")
    assert msgspec.json.encode(WindowClosed(WHOLE, 0, 1, 2, ())) == (
        b'{"key":{"model":"churn","version":"3"},"start":0,"end":1,"rows":2,"quality":[],"ids":null,"group_rows":null,'
        b'"requests":null,"violations":[],"excluded":0,"unlogged":0}'
    )


def test_a_segment_has_alerts_of_its_own() -> None:
    span = WindowSpan(0, 1, 2)
    alert = AlertChanged(
        WHOLE, "drift", Severity.CRITICAL, AlertState.INACTIVE, AlertState.FIRING, 1, 1, span, (), "hash"
    )

    assert identity(alert, "model.alert.firing") == "63a878371855612a506bf8c85c599521"
    assert identity(replace(alert, key=GERMANY), "model.alert.firing") != identity(alert, "model.alert.firing")

"""What a new version is judged by: a whole daemon that follows it, from the announcement to its own reference."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from monitor.alerting.versions import OfferedReference
from monitor.runtime.references import Outdoors, ReferenceReader
from tests.renewing import ROWS, events, fitted, renewing, with_prediction_of

LEARN = {"reference": "learn", "rows": 500}
FILE = {"reference": "file", "file": "refs/{model}-{version}.json", "wait": "1h", "rows": 500}


def test_its_predictions_are_learnt_from_its_first_rows_and_its_inputs_are_held_to_what_they_were(
    tmp_path: Path,
) -> None:
    with capture_logs() as logs, renewing(tmp_path, LEARN) as scene:
        scene.feed(events("3", 0, 20, seed=2))
        assert scene.announce("4")[0] == 201
        scene.eventually(lambda: scene.series("4") is not None)
        assert scene.judged("4") == "learning"

        scene.feed(events("4", 200, 30, seed=3, score=0.7))  # another model says something else
        scene.eventually(lambda: scene.judged("4") == "learnt")
        scene.feed(events("4", 500, 20, seed=4, score=0.7))
        assert scene.alerts("4") == set()
        scene.feed(events("4", 700, 20, seed=5, score=0.78))
        assert ("drift", "prediction", "__prediction__") in scene.alerts("4")
        (known,) = scene.ask("GET", "/api/v1/versions")[1]
        assert known["learnt_rows"] >= 500
        assert scene.alerts("3") == set()
    kept = [line for line in logs if line["event"] == "version.charts_kept"]
    assert [(each["before"], each["features"]) for each in kept] == [("churn/3", ["age"]), ("churn/4", ["age"])]


def test_a_file_is_taken_when_it_is_there_and_until_then_it_is_said_why_not(tmp_path: Path) -> None:
    with capture_logs() as logs, renewing(tmp_path, FILE) as scene:
        scene.feed(events("3", 0, 20, seed=2))
        scene.announce("4")
        path = tmp_path / "refs" / "churn-4.json"
        scene.eventually(lambda: scene.ask("GET", "/api/v1/versions")[1][0]["why"] == f"{path} does not exist")
        assert scene.judged("4") == "waiting"
        scene.feed(events("4", 200, 20, seed=3, score=0.7))
        assert scene.alerts("4") == set()

        path.parent.mkdir()
        path.write_text("{")
        scene.eventually(lambda: "this is no JSON" in str(scene.ask("GET", "/api/v1/versions")[1][0]["why"]))
        own = with_prediction_of(fitted(1), 0.7, seed=9)
        own.save(path)
        scene.eventually(lambda: scene.judged("4") == "given")
        assert scene.ask("GET", "/api/v1/versions")[1][0]["reference"] == own.hash
        scene.feed(events("4", 400, 20, seed=4, score=0.7))
        assert scene.alerts("4") == set()
        scene.feed(events("4", 600, 20, seed=5, score=0.5))
        assert ("drift", "prediction", "__prediction__") in scene.alerts("4")
        metrics = scene.daemon.surface.answer("/metrics", "")[2].decode()
        assert 'driftd_version_judged{model="churn",version="4",judged="given"} 1' in metrics
        assert 'driftd_version_reference_failures_total{model="churn"}' in metrics
        assert f'driftd_reference_info{{model="churn",version="4",reference="{own.hash}",rows="4000"}} 1' in metrics
    assert [line["features"] for line in logs if line["event"] == "version.charts_kept"][-1] == ["age"]
    assert [line["event"] for line in logs if line["event"] == "version.given"]


def test_what_was_drifting_when_a_version_came_is_its_level_from_then_on(tmp_path: Path) -> None:
    """The new version was trained on it: else the same drift would ask for the next retraining."""
    with capture_logs(), renewing(tmp_path, LEARN) as scene:
        scene.feed(events("3", 0, 20, seed=2))
        scene.feed(events("3", 200, 20, seed=3, shift=1.0))
        assert ("drift", "drift", "age") in scene.alerts("3")
        scene.announce("4")
        scene.eventually(lambda: scene.series("4") is not None)
        scene.feed(events("4", 400, 30, seed=4, shift=1.0))
        assert scene.alerts("4") == set()
        scene.feed(events("4", 700, 20, seed=5, shift=2.5))
        assert ("drift", "drift", "age") in scene.alerts("4")


def test_what_began_to_drift_while_a_version_learnt_is_still_told_when_it_has_learnt(tmp_path: Path) -> None:
    """It is no news that its training could have seen: the version is the same."""
    with capture_logs(), renewing(tmp_path, LEARN | {"rows": 1500}) as scene:
        scene.feed(events("3", 0, 20, seed=2))
        scene.announce("4")
        scene.eventually(lambda: scene.series("4") is not None)
        scene.feed(events("4", 200, 10, seed=3))
        scene.feed(events("4", 300, 13, seed=4, shift=2.5))
        assert ("drift", "drift", "age") in scene.alerts("4")
        assert scene.judged("4") == "learning"

        scene.feed(events("4", 430, 20, seed=5, shift=2.5))
        scene.eventually(lambda: scene.judged("4") == "learnt")
        scene.feed(events("4", 630, 20, seed=6, shift=2.5))
        assert ("drift", "drift", "age") in scene.alerts("4")
        scene.feed(events("4", 830, 60, seed=7))
        scene.eventually(lambda: scene.alerts("4") == set())


def test_a_version_of_events_is_followed_though_nothing_takes_it(tmp_path: Path) -> None:
    with capture_logs(), renewing(tmp_path, LEARN) as scene:
        scene.feed(events("3", 0, 5, seed=2))
        scene.feed(events("4", 50, 10, seed=3))
        scene.eventually(lambda: scene.judged("4") is not None)
        (known,) = scene.ask("GET", "/api/v1/versions")[1]
        assert known["source"] == "events"
        scene.feed(events("4", 150, 5, seed=4))
        series = scene.series("4")
        assert series is not None
        assert series["window"]["rows"] == ROWS


def test_the_reference_and_all_else_is_there_after_a_restart(tmp_path: Path) -> None:
    with capture_logs() as logs, renewing(tmp_path, FILE) as scene:
        scene.feed(events("3", 0, 20, seed=2))
        scene.announce("4")
        scene.stop()
        scene.start()
        assert scene.judged("4") == "waiting"
        own = with_prediction_of(fitted(1), 0.7, seed=9)
        (tmp_path / "refs").mkdir()
        own.save(tmp_path / "refs" / "churn-4.json")
        scene.eventually(lambda: scene.judged("4") == "given")
        scene.feed(events("4", 200, 10, seed=3, score=0.7))
        (tmp_path / "refs" / "churn-4.json").unlink()
        scene.stop()
        logs.clear()
        scene.start()
        assert scene.judged("4") == "given"
        series = scene.series("4")
        assert series is not None
        assert series["window"]["rows"] == ROWS
        scene.feed(events("4", 300, 10, seed=4, score=0.7))
        assert scene.alerts("4") == set()
    assert not [line for line in logs if line["event"] == "state.reset"]


def test_what_is_not_there_in_time_is_learnt_and_a_late_one_is_still_taken(tmp_path: Path) -> None:
    with capture_logs() as logs, renewing(tmp_path, {**FILE, "rows": 100_000}) as scene:
        scene.feed(events("3", 0, 5, seed=2))
        scene.announce("4")
        scene.eventually(lambda: scene.judged("4") == "waiting")
        scene.clock.advance(3600)
        scene.eventually(lambda: scene.judged("4") == "learning")
        (tmp_path / "refs").mkdir()
        with_prediction_of(fitted(1), 0.7, seed=9).save(tmp_path / "refs" / "churn-4.json")
        scene.eventually(lambda: scene.judged("4") == "given")
    (line,) = [line for line in logs if line["event"] == "version.learning"]
    assert line["why"].endswith("churn-4.json does not exist")


@pytest.mark.parametrize("place", ["../secret.json", "/etc/hostname"])
def test_no_reference_is_read_elsewhere(tmp_path: Path, place: str) -> None:
    (tmp_path / "home").mkdir()
    with capture_logs(), renewing(tmp_path / "home", LEARN) as scene:
        scene.feed(events("3", 0, 5, seed=2))
        scene.announce("4", reference=place)
        scene.eventually(lambda: "lies outside" in str(scene.ask("GET", "/api/v1/versions")[1][0]["why"]))
        assert scene.judged("4") == "waiting"


def test_only_so_many_are_followed_and_the_oldest_goes(tmp_path: Path) -> None:
    with capture_logs(), renewing(tmp_path, {**LEARN, "keep": 2}) as scene:
        scene.feed(events("3", 0, 5, seed=2))
        for number in range(4, 7):
            scene.announce(str(number))
            scene.eventually(lambda number=number: scene.series(str(number)) is not None)
        scene.eventually(lambda: scene.series("4") is None)
        assert [scene.judged(str(number)) for number in range(4, 7)] == ["retired", "learning", "learning"]
        scene.stop()
        scene.start()
        assert [scene.judged(str(number)) for number in range(4, 7)] == ["retired", "learning", "learning"]
        assert scene.series("4") is None
        assert scene.series("6") is not None


@pytest.mark.parametrize("version", ["\ud800", "4\x00", "4\n", "\u202e4", ""])
def test_a_version_of_events_that_is_no_text_is_none_and_harms_nobody(tmp_path: Path, version: str) -> None:
    """Whoever writes events must not end the daemon, nor write into its pages: half a character can be saved nowhere."""
    with capture_logs(), renewing(tmp_path, LEARN) as scene:
        scene.feed(events("3", 0, 5, seed=2))
        scene.feed(events(version, 50, 5, seed=3))
        scene.feed(events("3", 100, 5, seed=4))
        assert scene.ask("GET", "/api/v1/versions")[1] == []
        scene.stop()
        scene.start()
        assert len(scene.ask("GET", "/api/v1/models")[1]) == 1


def test_a_thread_that_has_ended_is_said() -> None:
    reader = ReferenceReader(lambda known: OfferedReference(known.model, known.version, ""), lambda: 0.0)
    outside = Outdoors(reader)
    assert outside.ended is None  # not begun yet
    outside.start()
    assert outside.ended is None
    reader.stop()
    reader.join(60)
    assert outside.ended == "references"

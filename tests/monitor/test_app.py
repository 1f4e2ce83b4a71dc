"""The composition root: settings become objects that agree with them; a daemon starts, stops and fails whole."""

import json
import socket
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from threading import Thread, active_count
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import yaml

from detectors import Reference
from detectors.charts import BudgetSpec
from monitor.alerting.rules import Severity
from monitor.app import Daemon, build_source, explain_client
from monitor.clock import SystemClock
from monitor.commands.run import warm_up, with_absolute_state
from monitor.configuration import Configuration, load, refuse_longer, refuse_other_hours
from monitor.series.records import Record
from monitor.settings import ConfigError, load_settings
from monitor.settings.schema import ModelSettings
from monitor.sources.base import SourceError
from monitor.store.sqlite import StateError, StateStore
from monitor.stream.events import SECOND, Partition, SeriesKey
from tests.charted import DAY, seeded
from tests.charted import reference as calibrated_reference
from tests.fakes import NOON, ListSource, ManualClock

P0 = Partition("predictions", 0)
RULE = {"name": "psi-high", "detector": "psi", "fire_above": 0.25}
MODEL = {"name": "churn", "version": "3", "reference": "r.json", "window": "1m", "lateness": "0s", "min_rows": 1}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    Reference.fit({"age": [float(n) for n in range(100)], "plan": ["pro", "free"] * 50}).save(tmp_path / "r.json")
    return tmp_path


def configuration(home: Path, environment: dict[str, str] | None = None, **changes: Any) -> Configuration:
    settings = {
        "topics": [{"name": "predictions"}],
        "models": [MODEL],
        "state": str(home / "state"),
        "http": {"port": 0},
        "checkpoint_interval": "10ms",
    }
    (home / "driftd.yaml").write_text(yaml.safe_dump({**settings, **changes}))
    return load(load_settings(home / "driftd.yaml"), home, environment or {})


def refusal(home: Path, **changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        configuration(home, **changes)
    return str(refused.value).replace(str(home), "HOME").splitlines()


def test_models_that_name_one_file_share_one_reference(home: Path) -> None:
    first, second = configuration(home, models=[MODEL, {**MODEL, "version": "4"}]).specs

    assert first.reference is second.reference


def test_another_version_leaves_adwin_as_it_is(home: Path) -> None:
    """They share the budget; were it ADWIN's too, each deployment would make it begin anew."""
    (alone,) = configuration(home).specs
    first, second = configuration(home, models=[MODEL, {**MODEL, "version": "4"}]).specs

    assert first.judging.adwin_delta == second.judging.adwin_delta == alone.judging.adwin_delta
    assert first.judging.plan is not None
    assert alone.judging.plan is not None
    assert first.judging.plan.per_month == alone.judging.plan.per_month / 2


def model(**changes: Any) -> list[dict[str, Any]]:
    return [{**MODEL, **changes}]


# --- what the settings point at ---------------------------------------------------------------------------------------


def test_a_series_is_what_its_model_says(home: Path) -> None:
    features = {"age": {"detectors": ["ks", "psi"], "thresholds": {"psi": 0.5}}, "plan": {"ignore": True}}
    rules = [{**RULE, "severity": "critical", "for": 2}, {**RULE, "name": "other", "models": ["pricing"]}]
    (spec,) = configuration(home, models=model(features=features), alerting={"rules": rules}).specs

    (rule,) = spec.judging.rules
    assert spec.key == SeriesKey("churn", "3")
    assert spec.reference.names == ("age",)
    assert (rule.hold, rule.severity, rule.clear_below) == (2, Severity.CRITICAL, 0.25)
    assert spec.judging.rules_for(rule)["age"].fire_above == 0.5
    assert spec.judging.wants("age", "ks")
    assert not spec.judging.wants("age", "adwin")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"models": model(reference="no.json")},
            "models[0].reference: HOME/no.json does not exist; make it with `driftd reference fit`",
        ),
        ({"models": model(reference=".")}, "models[0].reference: HOME cannot be read: Is a directory"),
        ({"models": model(reference="driftd.yaml")}, "models[0].reference: HOME/driftd.yaml: this is no JSON: "),
        (
            {"models": model(holidays="days.txt")},
            "models.churn.holidays: HOME/days.txt cannot be read: No such file or directory",
        ),
        (
            {"models": model(features={"agee": {}})},
            "models.churn.features.agee: the reference has no such feature; it has age, plan",
        ),
        (
            {"models": model(features={"age": {"detectors": ["kss"]}})},
            "models.churn.features.age: 'kss' is no detector; there is adwin, chi2, ks, missing, psi, unseen, volume",
        ),
        (
            {"models": model(features={"age": {"ignore": True}, "plan": {"ignore": True}})},
            "models.churn.features: every feature is ignored",
        ),
        (
            {"alerting": {"rules": [{**RULE, "detector": "pis"}]}},
            "alerting.rules.psi-high: 'pis' is no detector; there is adwin, chi2, ks, missing, psi, unseen, volume",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_key(home: Path, changes: dict[str, Any], said: str) -> None:
    (line,) = refusal(home, **changes)

    assert line.startswith(said)


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (None, "HOME/secret cannot be read: No such file or directory"),
        (b"\xff", "HOME/secret is no text"),
        (b"hunter2", "the secret in HOME/secret must begin with whsec_, as Standard Webhooks has it"),
        (b"whsec_hunter2", "the secret in HOME/secret "),
    ],
)
def test_a_secret_that_cannot_be_used_is_said_without_it(home: Path, secret: bytes | None, said: str) -> None:
    if secret is not None:
        (home / "secret").write_bytes(secret)
    (line,) = refusal(home, webhooks=[{"name": "trainer", "url": "https://trainer.invalid", "secret_file": "secret"}])

    assert line.startswith(f"webhooks.trainer.secret_file: {said}")
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (None, "HOME/token cannot be read: No such file or directory"),
        (b"\xff", "HOME/token is no text"),
        (b"hunter2\n", "the token in HOME/token must be 16 or more letters, digits and signs without a space"),
        (b"hunter2 hunter2 hunter2", "the token in HOME/token must be 16 or more letters, digits and signs without a"),
        ("hunter2-hunter2-hünter2".encode(), "the token in HOME/token must be 16 or more letters, digits and signs"),
    ],
)
def test_a_token_that_cannot_be_used_is_said_without_it(home: Path, token: bytes | None, said: str) -> None:
    if token is not None:
        (home / "token").write_bytes(token)
    (line,) = refusal(home, http={"token_file": "token"})

    assert line.startswith(f"http.token_file: {said}")
    assert "hunter2" not in line


def test_a_token_is_read_from_a_file_or_a_variable(home: Path) -> None:
    (home / "token").write_text("  hunter2-hunter2-hunter2\n")

    for http in ({"token_file": "token"}, {"token_env": "DRIFTD_HTTP_TOKEN"}):
        found = configuration(home, {"DRIFTD_HTTP_TOKEN": "hunter2-hunter2-hunter2"}, http=http)
        assert found.token == b"hunter2-hunter2-hunter2"
        assert "hunter2" not in repr(found)
    assert configuration(home).token is None
    assert refusal(home, http={"token_env": "T"}) == ["http.token_env: T is not set"]


def test_the_configs_hash_knows_settings_but_no_secret(home: Path) -> None:
    plain = configuration(home).config_hash
    webhook = {"name": "trainer", "url": "https://trainer.invalid", "secret_env": "S"}
    one, other = (
        configuration(home, {"S": "whsec_" + letter * 32}, webhooks=[webhook]).config_hash for letter in ("A", "B")
    )

    assert configuration(home).config_hash == plain
    assert configuration(home, idle_after="31s").config_hash != plain
    assert one == other != plain


@pytest.mark.parametrize("state", ["state", "./state", "../state", "/var/lib/driftd"])
def test_the_configs_hash_is_one_whichever_command_computes_it(home: Path, state: str) -> None:
    """The daemon makes the state's path absolute, a backtest leaves it as it is."""
    found = configuration(home, state=state)
    daemon = load(with_absolute_state(found.settings, home), home, {})

    assert daemon.config_hash == found.config_hash


def test_the_configs_hash_is_that_of_the_builds_before(home: Path) -> None:
    """It stands in every notice: one that changes says that somebody changed the configuration."""
    webhook = {"name": "trainer", "url": "https://trainer.invalid/?token=1", "secret_env": "S", "timeout": "3s"}
    found = configuration(home, {"S": "whsec_" + "A" * 32}, webhooks=[webhook], state="/var/lib/driftd")

    assert found.config_hash == "bef6ce82af0d"  # of duplicates too there is a default floor since 2026-11-28


def test_the_clients_complaints_name_the_property_without_its_value(home: Path) -> None:
    settings = configuration(home, kafka={"properties": {"security.protocol": "hunter2"}}).settings
    with pytest.raises(ConfigError) as refused:
        build_source(settings, SystemClock())

    assert "security.protocol" in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert explain_client(ValueError('key = hunter2, value "hunter2"')) == "key"


# --- a daemon ---------------------------------------------------------------------------------------------------------


def events(count: int) -> list[bytes]:
    """One event a second."""
    return [
        json.dumps(
            {
                "ts": NOON // 1_000_000 + second * 1000,
                "model": "churn",
                "version": 3,
                "features": {"age": second % 100, "plan": "pro"},
            }
        ).encode()
        for second in range(count)
    ]


def answer(daemon: Daemon, path: str) -> tuple[int, str]:
    try:
        with urlopen(daemon.server.url + path, timeout=5) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def eventually(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Running:
    """A daemon over a list of events, run until all are saved."""

    def __init__(self, found: Configuration, count: int) -> None:
        self.clock = ManualClock(NOON + 3600 * SECOND)
        self.source = ListSource({P0: events(count)})
        self.daemon = Daemon.start(found, clock=self.clock, source=self.source)
        self.thread = Thread(target=self.daemon.run)

    def __enter__(self) -> Daemon:
        self.thread.start()
        eventually(lambda: self.source.polls > 0)
        return self.daemon

    def __exit__(self, *_: object) -> None:
        self.daemon.stopping.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


def test_a_daemon_reads_judges_serves_and_saves(home: Path) -> None:
    with Running(configuration(home), 300) as daemon:
        eventually(lambda: json.loads(answer(daemon, "/api/v1/windows")[1]) != [])
        assert answer(daemon, "/readyz") == (200, "ready\n")
        assert answer(daemon, "/healthz") == (200, "ok\n")

    with sqlite3.connect(home / "state" / "driftd.sqlite3") as state:
        assert state.execute("SELECT topic, partition, next_offset FROM position").fetchall() == [
            ("predictions", 0, 300)
        ]
    state.close()


def test_a_daemon_whose_state_is_taken_away_ends_and_is_not_ready(home: Path) -> None:
    """It would save into a file without a name, and a second daemon could begin beside it."""
    running, ended = Running(configuration(home), 300), list[str]()

    def run() -> None:
        try:
            running.daemon.run()
        except StateError as error:
            ended.append(f"{error}; {running.daemon.ready()}")

    running.thread = Thread(target=run)
    with running as daemon:
        eventually(lambda: daemon.ready() is None)
        (home / "state" / "driftd.sqlite3").unlink()
        running.clock.advance(1)
        eventually(lambda: bool(ended))

    why = f"state: {home}/state/driftd.sqlite3 was deleted or replaced while driftd ran"
    assert ended == [f"{why}; {why}"]


def test_a_first_judging_is_made_while_the_broker_answers(home: Path) -> None:
    """In a thread, which ends by itself; were it to raise, pytest would say so."""
    thread = warm_up(configuration(home))
    thread.join(30)

    assert not thread.is_alive()


def test_a_daemon_goes_on_where_it_stopped(home: Path) -> None:
    with Running(configuration(home), 300) as daemon:
        eventually(lambda: len(json.loads(answer(daemon, "/api/v1/windows")[1])) >= 3)
    again = Running(configuration(home), 300)
    with again as daemon:
        windows = json.loads(answer(daemon, "/api/v1/windows")[1])
        metrics = answer(daemon, "/metrics")[1]

    assert [window["rows"] for window in windows] == [60] * len(windows)
    assert len(windows) >= 3
    assert 'driftd_drift_score{model="churn",version="3",feature="age",detector="psi"}' in metrics
    assert again.source.positions() == {P0: 300}


def test_a_daemon_is_not_ready_before_it_has_opened_its_source(home: Path) -> None:
    daemon = Daemon.start(configuration(home), source=ListSource({}))

    assert daemon.ready() == "starting: positions are being looked up"
    daemon.server.close()
    daemon.store.close()


def test_a_loop_that_stands_still_is_not_ready(home: Path) -> None:
    running = Running(configuration(home), 1)
    with running as daemon:
        assert daemon.ready() is None
        daemon.stopping.set()
        running.thread.join(10)
        running.clock.advance(31)

        assert daemon.ready() == "the loop has not turned for 30 s"


def test_a_source_that_cannot_go_on_ends_the_daemon_and_lets_go_of_everything(home: Path) -> None:
    source = ListSource({P0: []})
    source.failure = SourceError("kafka: gone")
    daemon = Daemon.start(configuration(home), source=source)
    with pytest.raises(SourceError):
        daemon.run()

    assert source.closed
    with pytest.raises(OSError, match="refused"):
        urlopen(daemon.server.url, timeout=1)


@pytest.mark.serial
def test_making_a_daemon_takes_nothing_and_starting_it_takes_source_state_and_port(home: Path) -> None:
    """The constructor is given what was taken; no file, socket or thread is made by it."""
    of_home, clock = configuration(home), ManualClock(NOON)
    threads = active_count()
    with Running(of_home, 1) as running:
        again = Daemon(of_home, clock, ListSource({}), running.store, running.server)
        assert again.ready() == "starting: positions are being looked up"
        assert again.surface.answer("/healthz", "")[0] == HTTPStatus.OK
    assert active_count() == threads


def test_a_port_that_is_taken_leaves_the_state_free_and_the_source_closed(home: Path) -> None:
    source = ListSource({})
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(OSError, match="in use"):
            Daemon.start(configuration(home, http={"port": listener.getsockname()[1]}), source=source)
    assert source.closed
    with Running(configuration(home), 1) as daemon:
        assert daemon.ready() is None


def test_a_state_in_use_is_refused_and_the_source_closed(home: Path) -> None:
    source = ListSource({})
    with Running(configuration(home), 1), pytest.raises(StateError, match="is in use by another driftd"):
        Daemon.start(configuration(home), source=source)

    assert source.closed


@pytest.mark.parametrize(("kind", "row"), [("lateness", b"no zlib"), ("rules", b"[]"), ("watermark", b"\xff")])
def test_a_row_that_no_driftd_wrote_is_refused_in_a_line(home: Path, kind: str, row: bytes) -> None:
    """Its checksum is right: it is no damage that a backup would mend."""
    store = StateStore(home / "state")
    store.save([Record(kind, '["churn","3"]', row)], {}, [], NOON)
    store.close()

    with pytest.raises(StateError, match=r"driftd\.sqlite3 cannot be read: .*; move it away to begin anew") as refused:
        Daemon.start(configuration(home), source=ListSource({})).run()

    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("ours", [False, True])
def test_a_state_that_cannot_be_read_is_a_line_and_a_mistake_of_ours_is_not_called_so(
    home: Path, *, ours: bool
) -> None:
    source = ListSource({})
    daemon = Daemon.start(configuration(home), source=source)
    daemon.stopping.set()  # where nothing goes wrong it ends
    if ours:
        daemon.store._db.execute("ALTER TABLE audit RENAME COLUMN entry TO other")
    else:
        daemon.store._db.set_authorizer(
            lambda _, table, *__: sqlite3.SQLITE_DENY if table == "audit" else sqlite3.SQLITE_OK
        )

    with pytest.raises(
        sqlite3.OperationalError if ours else StateError,
        match="no such column" if ours else r"driftd\.sqlite3 cannot be read: ",
    ):
        daemon.run()
    assert source.closed


def test_properties_that_the_client_refuses_leave_no_state_behind(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"^kafka\.properties: "):
        Daemon.start(configuration(home, kafka={"properties": {"ssl.cavern": "x"}}))

    assert not (home / "state").exists()


def test_what_was_taken_is_let_go_of_where_the_daemon_cannot_be_made(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    source = ListSource({})
    monkeypatch.setitem(Daemon.__init__.__globals__, "build_board", broken)
    with pytest.raises(RuntimeError):
        Daemon.start(configuration(home), source=source)
    monkeypatch.undo()

    assert source.closed
    with Running(configuration(home), 1) as daemon:
        assert daemon.ready() is None


def test_a_stop_before_anything_was_read_ends_at_once(home: Path) -> None:
    source = ListSource({})
    daemon = Daemon.start(configuration(home), source=source)
    source.open = lambda *_begun: daemon.stop()  # type: ignore[method-assign]  # a signal in the middle of opening
    with pytest.raises(SystemExit) as left:
        daemon.run()

    assert left.value.code == 0
    assert source.closed
    daemon.stop()  # a second signal changes nothing


def test_a_models_calendar_reaches_its_charts(home: Path) -> None:
    (home / "days.txt").write_text("2026-12-25 Christmas\n")
    christmas = (20_812,)

    def plan(**changes: Any) -> BudgetSpec:
        found = configuration(home, models=model(**changes)).specs[0].judging.plan
        assert found is not None
        return found

    assert plan(holidays="days.txt", timezone="Europe/Berlin").holidays == christmas
    assert plan(holidays="days.txt", timezone="Europe/Berlin").calendar(None).timezone == "Europe/Berlin"
    assert plan(holidays=["2026-12-25"]).holidays == christmas
    assert plan().holidays is None
    assert plan(holidays=[]).holidays == ()
    assert (
        "models[0].timezone: timezone 'Berlin' is not in this system's"
        in refusal(home, models=model(timezone="Berlin"))[0]
    )


def test_what_features_are_compared_with_reaches_their_charts(home: Path) -> None:
    plan = configuration(home, models=model(baseline="trailing 14d")).specs[0].judging.plan
    assert plan is not None
    assert str(plan.baseline) == "trailing 14d"
    assert "valid are auto, reference" in refusal(home, models=model(baseline="trails"))[0]


def test_the_hours_that_a_reference_has_learnt_rule() -> None:
    learnt = calibrated_reference(seeded())
    assert learnt.calibration is not None
    local = replace(learnt, calibration=replace(learnt.calibration, timezone="Europe/Berlin"))

    def settings(zone: str | None) -> ModelSettings:
        return ModelSettings(name="churn", reference=Path("r.json"), timezone=zone)

    refuse_other_hours(settings(None), local)
    refuse_other_hours(settings("Europe/Berlin"), local)
    refuse_other_hours(settings("UTC"), learnt)
    for reference, zone, known in ((local, "UTC", "Europe/Berlin"), (learnt, "Europe/Berlin", "UTC")):
        with pytest.raises(
            ConfigError, match=rf"^models\.churn\.timezone: {zone}, but the hours .* those of {known}: .*$"
        ):
            refuse_other_hours(settings(zone), reference)


def test_windows_longer_than_the_reference_are_refused_in_one_line() -> None:
    calibration = calibrated_reference(seeded()).calibration  # a day of five minutes
    assert calibration is not None
    refuse_longer("models.churn", calibration, BudgetSpec(pane_ns=DAY))

    with pytest.raises(ConfigError, match=r"^models\.churn: windows of 7d are longer than the reference, .* days$"):
        refuse_longer("models.churn", calibration, BudgetSpec(pane_ns=7 * DAY))

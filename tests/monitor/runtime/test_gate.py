"""Who is let in: a right password costs a scrape nothing, a wrong one little, and files that change are read again."""

import base64
import ssl
from pathlib import Path
from threading import Barrier, Thread
from types import MappingProxyType
from typing import Any

import bcrypt
import pytest

from monitor.facts import Fact, WebAccessChanged
from monitor.runtime import gate as gates
from monitor.runtime.gate import MOST_WRONG, OPEN, Gate, credentials
from monitor.runtime.writing import NotGrantedError
from monitor.settings.web import WebAccess
from tests.fakes import ManualClock

PASSWORD = b"open sesame"
USERS = MappingProxyType({"alice": bcrypt.hashpw(PASSWORD, bcrypt.gensalt(4))})
HERE = "127.0.0.1"


def basic(name: str, password: bytes) -> str:
    return "Basic " + base64.b64encode(name.encode() + b":" + password).decode()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    found = ManualClock()
    monkeypatch.setattr(gates, "CLOCK", found)
    return found


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The passwords that bcrypt has compared."""
    found: list[bytes] = []
    compare = bcrypt.checkpw

    def count(password: bytes, hashed: bytes) -> bool:
        found.append(password)
        return compare(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", count)
    return found


ACCESS = WebAccess(users=USERS)


def made(access: WebAccess = ACCESS, token: bytes | None = None) -> Gate:
    return Gate(access, lambda: access, lambda fact: None, token)


def _asking(clients: ssl.VerifyMode) -> ssl.SSLContext:
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.verify_mode = clients
    return found


def status(gate: Gate, authorization: str, address: str = HERE) -> int:
    try:
        gate.admit(authorization, address)
    except NotGrantedError as refused:
        return int(refused.status)
    return 200


@pytest.mark.parametrize(
    ("authorization", "answered"),
    [
        (basic("alice", PASSWORD), 200),
        (basic("alice", PASSWORD).replace("Basic", "bAsIc"), 200),
        (basic("alice", b"open sesam"), 401),
        (basic("alice", PASSWORD + b"x" * 100), 401),
        (basic("alice", PASSWORD + b"\0"), 401),
        (basic("bob", PASSWORD), 401),
        pytest.param(basic("alice", USERS["alice"]), 401, id="a hash is no password"),  # CVE-2022-46146
        (basic("", b""), 401),
        ("Basic ?", 401),
        ("Basic " + base64.b64encode(b"\xff\xfe:x").decode(), 401),
        ("Bearer open sesame", 401),
        ("Bearer t0ken-t0ken-t0ken", 200),
        ("Basic \u20ac", 401),
        ("", 401),
    ],
)
def test_who_says_what_is_let_in_or_not(authorization: str, answered: int) -> None:
    gate = made(token=b"t0ken-t0ken-t0ken")

    assert [status(gate, authorization), status(gate, authorization)] == [answered, answered]
    assert status(OPEN, authorization) == 200


def test_a_right_password_is_compared_once(compared: list[bytes]) -> None:
    gate = made()

    assert [status(gate, basic("alice", PASSWORD)) for _ in range(5)] == [200] * 5
    assert compared == [PASSWORD]


@pytest.mark.parametrize("name", ["cheap", "middle", "dear", "nobody"])
def test_a_refusal_takes_as_long_whoever_was_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """In rounds of bcrypt: those of the costliest hash."""
    rounds, compare = [], bcrypt.checkpw

    def count(password: bytes, hashed: bytes) -> bool:
        rounds.append(2 ** gates.cost_of(hashed))
        return compare(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", count)
    costs = {"cheap": 4, "dear": 7, "middle": 5}
    gate = made(WebAccess(users={user: bcrypt.hashpw(PASSWORD, bcrypt.gensalt(cost)) for user, cost in costs.items()}))

    assert status(gate, basic(name, b"wrong")) == 401
    assert sum(rounds) == 2**7


def test_who_was_wrong_often_waits_and_others_and_scrapes_do_not(clock: ManualClock, compared: list[bytes]) -> None:
    gate = made()
    assert status(gate, basic("alice", PASSWORD)) == 200
    wrong = [status(gate, basic("alice", b"%d" % number)) for number in range(2 * MOST_WRONG)]

    assert wrong == [401] * MOST_WRONG + [429] * MOST_WRONG
    assert len(compared) == 1 + MOST_WRONG
    assert status(gate, basic("alice", PASSWORD)) == 200  # it was right before
    assert status(gate, basic("alice", b"x"), "127.0.0.2") == 401
    clock.advance(gates.FORGIVEN_AFTER)
    assert status(gate, basic("alice", b"y")) == 401


def test_a_wrong_scraper_that_asks_again_and_again_shuts_out_nobody_at_its_address(
    clock: ManualClock, compared: list[bytes]
) -> None:
    gate = made()
    wrong = [basic("alice", b"of last year"), basic("nobody", b"x")]
    for _ in range(3 * MOST_WRONG):
        assert [status(gate, each) for each in wrong] == [401, 401]
    assert status(gate, basic("alice", PASSWORD)) == 200  # it was never right before
    assert len(compared) == len(wrong) + 1
    clock.advance(gates.FORGIVEN_AFTER)
    assert status(gate, wrong[0]) == 401
    assert len(compared) == len(wrong) + 2


def test_of_many_addresses_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch, clock: ManualClock) -> None:
    monkeypatch.setattr(gates, "MOST_ADDRESSES", 3)
    gate = made()
    for number in range(9):
        status(gate, basic("alice", b"x"), f"10.0.0.{number}")

    assert len(gate._passwords._wrong) == 3


def test_one_password_is_compared_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "LONGEST_WAIT", 0.05)
    begun, done = Barrier(2), Barrier(2)

    def compare(_password: bytes, _hashed: bytes) -> bool:
        begun.wait(10)
        done.wait(10)
        return True

    monkeypatch.setattr(bcrypt, "checkpw", compare)
    gate = made()
    first = Thread(target=status, args=(gate, basic("alice", b"a")))
    first.start()
    begun.wait(10)
    assert status(gate, basic("alice", b"b")) == 503
    done.wait(10)
    first.join(10)
    assert status(gate, basic("alice", b"a")) == 200


def test_a_password_that_was_changed_is_forgotten(tmp_path: Path, clock: ManualClock) -> None:
    file = tmp_path / "web.yml"
    file.write_text("1")
    access = [WebAccess(users=USERS, files=(file,))]
    told: list[Fact] = []
    gate = Gate(access[0], lambda: access[0], told.append)
    assert status(gate, basic("alice", PASSWORD)) == 200
    access[0] = WebAccess(users={"alice": bcrypt.hashpw(b"other", bcrypt.gensalt(4))}, files=(file,))
    file.write_text("12")

    gate.look()
    assert told == []  # not yet
    clock.advance(gates.LOOK_EVERY)
    gate.look()
    assert told == [WebAccessChanged(None)]
    assert [status(gate, basic("alice", said)) for said in (PASSWORD, b"other")] == [401, 200]


@pytest.mark.parametrize("cause", ["unreadable", "without TLS"])
def test_a_file_that_cannot_be_used_changes_nothing_and_is_told_once(
    tmp_path: Path, clock: ManualClock, cause: str
) -> None:
    file = tmp_path / "web.yml"
    file.write_text("1")
    secured = WebAccess(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), users=USERS, files=(file,))

    def read() -> WebAccess:
        if cause == "unreadable":
            raise ValueError("web.yml: is no YAML\nat all")
        return WebAccess(users=USERS, files=(file,))

    told: list[Any] = []
    gate = Gate(secured, read, told.append)
    file.write_text("12")
    for _ in range(3):
        clock.advance(gates.LOOK_EVERY)
        gate.look()

    assert gate.context is secured.context
    said = {"unreadable": "web.yml: is no YAML at all", "without TLS": "tls_server_config cannot come or go"}
    assert len(told) == 1
    assert said[cause] in told[0].error


def test_what_was_missing_is_taken_when_it_comes(tmp_path: Path, clock: ManualClock) -> None:
    """The files that are watched are those of the configuration in force: one that a new one names is not among them."""
    file, missing = tmp_path / "web.yml", tmp_path / "new.pem"
    file.write_text("1")
    access = WebAccess(users=USERS, files=(file,))

    def read() -> WebAccess:
        missing.read_text()
        return WebAccess(users=USERS, files=(file, missing))

    told: list[Any] = []
    gate = Gate(access, read, told.append)
    file.write_text("12")
    for _ in range(2):
        clock.advance(gates.LOOK_EVERY)
        gate.look()
    missing.write_text("")
    for _ in range(2):
        clock.advance(gates.LOOK_EVERY)
        gate.look()

    assert [each.error is None for each in told] == [False, True]


def test_what_is_written_while_it_is_read_is_read_again(tmp_path: Path, clock: ManualClock) -> None:
    file = tmp_path / "web.yml"
    file.write_text("1")

    def read() -> WebAccess:
        said = file.read_text()
        file.write_text("123")
        return WebAccess(headers=(("X-Frame-Options", said),), users=USERS, files=(file,))

    gate = Gate(WebAccess(users=USERS, files=(file,)), read, lambda fact: None)
    file.write_text("12")
    for _ in range(2):
        clock.advance(gates.LOOK_EVERY)
        gate.look()

    assert gate.headers == (("X-Frame-Options", "123"),)


CUT: dict[str, tuple[WebAccess, str]] = {
    "users": (WebAccess(_asking(ssl.CERT_REQUIRED), frozenset({"a"})), "basic_auth_users cannot all go"),
    "clients": (WebAccess(_asking(ssl.CERT_OPTIONAL), frozenset({"a"}), users=USERS), "cannot ask for less"),
    "names": (WebAccess(_asking(ssl.CERT_REQUIRED), users=USERS), "client_allowed_sans cannot go"),
}


@pytest.mark.parametrize("cut", CUT)
def test_a_file_that_is_cut_while_it_is_written_opens_no_door(tmp_path: Path, clock: ManualClock, cut: str) -> None:
    file = tmp_path / "web.yml"
    file.write_text("1")
    whole = WebAccess(_asking(ssl.CERT_REQUIRED), frozenset({"a"}), users=USERS, files=(file,))
    told: list[Any] = []
    gate = Gate(whole, lambda: CUT[cut][0], told.append)
    file.write_text("")
    clock.advance(gates.LOOK_EVERY)
    gate.look()

    assert CUT[cut][1] in told[0].error
    assert status(gate, "") == 401
    assert gate.context is whole.context
    assert not gate.knows(None)


def test_a_certificate_is_known_by_one_of_its_names() -> None:
    certificate = {"subjectAltName": (("DNS", "prometheus.internal"), ("IP Address", "0:0:0:0:0:0:0:1"))}
    for sans, known in ({"prometheus.internal"}, True), ({"::1"}, True), ({"internal"}, False), (None, True):
        gate = made(WebAccess(sans=None if sans is None else frozenset(sans)))
        assert gate.knows(certificate) is known
        assert gate.knows(None) is (sans is None)


def test_credentials_may_hold_colons_and_any_text() -> None:
    assert credentials(basic("älice", b"a:b:\xff")) == ("älice", b"a:b:\xff")

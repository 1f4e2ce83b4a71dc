"""The client of Schema Registry against a real server: what it asks for, what it keeps, and what it does when nobody answers."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from ssl import CERT_REQUIRED
from uuid import UUID

import pytest
from pydantic import ValidationError

from monitor.sources.base import NotNow
from monitor.sources.formats.schema_registry import RegisteredSchema, RegistrySettings, SchemaRegistry, framed
from monitor.sources.formats.schema_registry.client import UNKNOWN_FOR
from monitor.sources.formats.schema_registry.section import SchemaRegistryError
from monitor.sources.formats.values import Rejected
from tests.parts.certificates import valid
from tests.parts.registry import Registry

TEXT = '{"type": "record", "name": "P", "fields": []}'
GUID = UUID("0198d9c6-0000-7000-8000-00000000002a")


class Seconds:
    """A monotonic clock that moves when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as registry:
        registry.add(7, TEXT, guid=GUID)
        yield registry


def client(registry: Registry, clock: Seconds | None = None, kind: str = "AVRO", **told: object) -> SchemaRegistry:
    settings = RegistrySettings.model_validate({"url": registry.url, **told})
    return SchemaRegistry(settings, kind, now=clock or Seconds())


def test_a_schema_is_asked_for_once_by_its_number_and_by_its_guid(registry: Registry) -> None:
    asking = client(registry)

    found = [asking.schema(key) for key in (7, GUID, 7, GUID, 7)]

    assert {each.text for each in found} == {TEXT}
    assert registry.asked == ["/schemas/ids/7", f"/schemas/guids/{GUID}"]


def test_what_a_schema_refers_to_comes_in_the_order_in_which_it_is_needed(registry: Registry) -> None:
    def refer(name: str, subject: str) -> tuple[dict[str, object], ...]:
        return ({"name": name, "subject": subject, "version": 1},)

    registry.add(1, '"base"', subject="base")
    registry.add(2, '"middle"', subject="middle", references=refer("a.Base", "base"))
    registry.add(3, TEXT, references=refer("a.Middle", "middle"))

    assert list(client(registry).schema(3).references.items()) == [("a.Base", '"base"'), ("a.Middle", '"middle"')]


def test_schemas_that_refer_to_each_other_end(registry: Registry) -> None:
    registry.add(1, TEXT, subject="one", references=({"name": "two", "subject": "two", "version": 1},))
    registry.add(2, TEXT, subject="two", references=({"name": "one", "subject": "one", "version": 1},))

    assert set(client(registry).schema(1).references) == {"one", "two"}


def test_a_number_that_the_registry_does_not_know_is_a_reason_and_not_asked_for_again_at_once(
    registry: Registry,
) -> None:
    clock = Seconds()
    asking = client(registry, clock)
    for _ in range(3):
        with pytest.raises(Rejected, match="unknown_schema"):
            asking.schema(8)
    assert registry.asked == ["/schemas/ids/8"]

    registry.add(8, TEXT)
    clock.now += UNKNOWN_FOR + 1

    assert asking.schema(8).text == TEXT


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"status": 500}, "it answers with status 500"),
        ({"status": 401}, "it lets us not in: status 401"),
        ({"status": 429}, "it answers with status 429"),
        ({"body": b"<html>login</html>"}, "its answer is no JSON"),
        ({"body": b'{"schema": 7}'}, "its answer is no schema"),
        ({"body": b"[]"}, "its answer is no schema"),
        ({"status": 404, "body": b"no such page"}, "it answers with status 404"),
        ({"status": 404, "body": b'{"error_code": [40403]}'}, "it answers with status 404"),
        ({"delay": 0.6}, "it gave no answer in time"),
    ],
)
def test_what_is_no_answer_is_not_now_and_is_asked_again_after_a_pause(
    registry: Registry, wrong: dict[str, object], words: str
) -> None:
    clock = Seconds()
    asking = client(registry, clock, timeout="300ms" if "delay" in wrong else "20s")
    before = {name: getattr(registry, name) for name in wrong}
    for name, value in wrong.items():
        setattr(registry, name, value)
    for _ in range(3):  # of which one asks
        with pytest.raises(NotNow, match=words):
            asking.schema(7)
    assert len(registry.asked) == 1

    for name, value in before.items():
        setattr(registry, name, value)
    clock.now += 2.0

    assert asking.schema(7).text == TEXT


def test_another_client_of_the_same_registry_knows_what_the_first_has_learnt(registry: Registry) -> None:
    """As after a new version of a model: nothing is asked for again, not even while the registry is down."""
    clock = Seconds()
    first, second, other = client(registry, clock), client(registry, clock), client(registry, clock, kind="JSON")
    first.schemas([7, 8])
    registry.status = 500
    asked = len(registry.asked)

    second.keep(first)
    other.keep(first)

    assert second.schemas([7, 8]) == {7: RegisteredSchema("AVRO", TEXT), 8: "unknown_schema"}
    assert len(registry.asked) == asked
    with pytest.raises(NotNow):
        other.schema(7)


def test_pauses_grow_while_nobody_answers(registry: Registry) -> None:
    registry.status, clock = 503, Seconds()
    asking = client(registry, clock)
    for _ in range(400):
        with pytest.raises(NotNow):
            asking.schema(7)
        clock.now += 0.5

    assert 8 <= len(registry.asked) <= 12  # 1, 2, 4, 8, 16, then 30 seconds apart: 200 seconds


def test_a_registry_that_is_down_is_named_and_what_is_known_stays_known(registry: Registry) -> None:
    asking = client(registry)
    asking.schema(7)
    registry.__exit__()

    assert asking.schema(7).text == TEXT
    with pytest.raises(NotNow, match=rf"schema registry {registry.url}: it cannot be reached"):
        asking.schema(9)


def test_another_kind_of_schema_is_a_reason(registry: Registry) -> None:
    registry.add(9, '{"type": "object"}', kind="JSON")
    with pytest.raises(Rejected, match="other_schema_type"):
        client(registry).schema(9)
    assert client(registry, kind="JSON").schema(9).kind == "JSON"


def test_a_schema_of_another_subject_is_a_reason_where_one_is_asked_for(registry: Registry) -> None:
    registry.add(9, TEXT, subject="payments-value")
    asking = client(registry, subject="predictions-value")

    assert [asking.schema(key).subjects for key in (7, GUID)] == [{"predictions-value"}] * 2
    with pytest.raises(Rejected, match="other_subject"):
        asking.schema(9)


@pytest.mark.parametrize(
    ("told", "header"),
    [
        ({"token_file": "secret"}, "Bearer s3cr3t"),
        ({"username": "me", "password_file": "secret"}, "Basic bWU6czNjcjN0"),
    ],
)
def test_secrets_let_in_and_are_told_nobody(
    registry: Registry, tmp_path: Path, told: dict[str, str], header: str
) -> None:
    (tmp_path / "secret").write_text("s3cr3t\n")
    told = {name: str(tmp_path / value) if name.endswith("_file") else value for name, value in told.items()}
    registry.wanted = header
    asking = client(registry, **told)

    assert asking.schema(7).text == TEXT
    registry.wanted = "another"
    with pytest.raises(NotNow) as caught:
        asking.schema(8)
    settings = RegistrySettings.model_validate({"url": registry.url, **told})
    assert not any("s3cr3t" in text for text in (repr(asking), str(caught.value), repr(settings)))


def test_a_secret_that_is_not_there_is_said_by_its_key(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(SchemaRegistryError, match=r"registry\.token_file: .*absent cannot be read"):
        client(registry, token_file=str(tmp_path / "absent"))
    with pytest.raises(SchemaRegistryError, match=r"registry\.token_env: NOT_SET_AT_ALL is not set"):
        client(registry, token_env="NOT_SET_AT_ALL")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"url": "registry:8081"}, "must be an address"),
        ({"url": "http://me:pw@registry"}, "must hold no password"),
        ({"url": "http://registry", "username": "me"}, "username needs password_file"),
        ({"url": "https://registry", "key_file": "a"}, "key_file needs cert_file"),
        ({"url": "http://registry", "cert_file": "a"}, "cert_file needs an address of https"),
        (
            {"url": "http://registry", "token_file": "a", "token_env": "B"},
            "token_file and token_env name two: give one",
        ),
        ({"url": "http://registry", "timeout": "1h"}, "must be 20s at most"),
    ],
)
def test_wrong_settings_are_one_line(told: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        RegistrySettings.model_validate(told)


def test_many_unknown_numbers_wait_rather_than_stop_the_turn(registry: Registry) -> None:
    clock = Seconds()
    asking = client(registry, clock)

    def slow() -> float:
        clock.now += 1.0
        return clock.now

    asking._now = slow
    with pytest.raises(NotNow, match="many schemas are asked for"):
        asking.schemas(range(100, 200))
    assert 1 < len(registry.asked) < 20


def test_more_unknown_numbers_than_a_minute_has_room_for_come_to_an_end(registry: Registry) -> None:
    """Bytes that only look like numbers of schemas stop their partition for a while, and not for ever."""
    clock = Seconds()
    asking = client(registry, clock)
    asking._now = lambda: clock.now + 2 * len(registry.asked)  # seconds an answer
    keys = range(100, 140)
    turns = 0
    while True:
        turns += 1
        assert turns < 40
        try:
            found = asking.schemas(keys)
            break
        except NotNow:
            clock.now += 30.0
    assert set(found.values()) == {"unknown_schema"}
    assert len(registry.asked) == len(keys)


def test_what_a_turn_was_told_holds_until_its_messages_are_read(registry: Registry) -> None:
    """Who fetched schemas and reads messages a moment later must not find that nobody can say."""
    clock = Seconds()
    asking = client(registry, clock)
    told = asking.schemas([7, 8])
    clock.now += UNKNOWN_FOR
    registry.status = 503

    assert asking.schemas([7, 8]) == told
    with pytest.raises(NotNow):
        asking.schemas([9])


def test_a_schema_that_comes_to_the_subject_later_is_found(registry: Registry) -> None:
    registry.add(8, TEXT, subject="payments-value")
    clock = Seconds()
    asking = client(registry, clock, subject="predictions-value")
    with pytest.raises(Rejected, match="other_subject"):
        asking.schema(8)
    registry.add(8, TEXT, subject="predictions-value")
    with pytest.raises(Rejected, match="other_subject"):
        asking.schema(8)

    clock.now += UNKNOWN_FOR

    assert asking.schema(8).text == TEXT


def test_a_schema_that_refers_to_too_many_others_stops_nobody_else(registry: Registry) -> None:
    for number in range(100, 170):
        registry.add(number, TEXT, subject=f"s{number}")
    refers = tuple({"name": f"n{number}", "subject": f"s{number}", "version": 1} for number in range(100, 170))
    registry.add(8, TEXT, references=refers)
    asking = client(registry)

    found = asking.schemas([8, 7])

    assert found[8] == "invalid_schema"
    assert isinstance(found[7], RegisteredSchema)


def test_a_header_that_never_ends_takes_no_longer_than_any_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            line, _ = server.accept()
            with line, suppress(OSError):
                line.recv(1 << 16)
                line.sendall(b"HTTP/1.1 200 OK\r\nx: ")
                for _ in range(400):
                    line.sendall(b"a")
                    time.sleep(0.05)

        dripping = threading.Thread(target=drip)
        dripping.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        settings = RegistrySettings.model_validate({"url": address, "timeout": "300ms"})
        try:
            with pytest.raises(NotNow, match="it gave no answer in time"):
                SchemaRegistry(settings, "AVRO").schema(7)
            assert dripping.is_alive()
        finally:
            dripping.join(30)


# --- framing ----------------------------------------------------------------------------------------------------------

HEADER = "__value_schema_id"
OTHER = UUID("0198d9c6-0000-7000-8000-00000000002b")


def test_a_prefix_names_a_number() -> None:
    assert framed(b"\x00\x00\x00\x01\x02payload") == (258, b"payload", None)


def test_a_header_goes_first_and_of_two_the_last_whatever_the_length_of_the_value() -> None:
    headers = [(HEADER, b"\x01" + OTHER.bytes), ("other", None), (HEADER, b"\x01" + GUID.bytes + b"\x02\x02")]

    assert framed(b"", headers) == (GUID, b"", b"\x02\x02")
    assert framed(b"\x00\x00\x00\x00\x07abc", headers) == (GUID, b"\x00\x00\x00\x00\x07abc", b"\x02\x02")


@pytest.mark.parametrize("header", [b"", b"\x01short", b"\x02" + GUID.bytes, None])
def test_a_header_that_is_no_guid_is_none(header: bytes | None) -> None:
    assert framed(b"\x00\x00\x00\x00\x07abc", [(HEADER, header)]).key == 7


@pytest.mark.parametrize("raw", [b"", b"\x00\x00\x00\x00", b"{}  plain JSON", b"\x01\x00\x00\x00\x07"])
def test_what_has_neither_has_no_schema(raw: bytes) -> None:
    with pytest.raises(Rejected, match="no_schema_id"):
        framed(raw)


def test_the_framing_is_that_of_confluent_s_serializer() -> None:
    serde = pytest.importorskip("confluent_kafka.schema_registry.common.serde")

    assert framed(serde.SchemaId("AVRO", 258).id_to_bytes() + b"x").key == 258
    header = serde.SchemaId("PROTOBUF", None, str(GUID), [1]).guid_to_bytes()
    assert framed(b"x", [(HEADER, header)]) == (GUID, b"x", b"\x02\x02")


def test_a_certificate_is_trusted_by_the_authority_that_is_named_and_by_no_other(tmp_path: Path) -> None:
    """A refusal says so, and of which schema; the clocks of both are not asked for more."""
    (tmp_path / "other").mkdir()
    (context, ca_file), (_, other) = valid(tmp_path), valid(tmp_path / "other")
    with Registry(tls=context) as registry:
        registry.add(7, TEXT)
        assert client(registry, ca_file=ca_file).schema(7).text == TEXT
        for named in ({"ca_file": other}, {}):
            with pytest.raises(
                NotNow, match=r"^schema registry https://\S+: its certificate is not trusted: [ -~]+ \(schema 7\)$"
            ):
                client(registry, **named).schema(7)


def test_a_certificate_of_ours_is_shown_where_the_registry_asks_for_one(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (context, ca_file), (_, ours) = valid(tmp_path), valid(tmp_path / "ours")
    context.load_verify_locations(ours)
    context.verify_mode = CERT_REQUIRED
    key = tmp_path / "ours" / "key.pem"
    both = tmp_path / "both.pem"
    both.write_bytes(ours.read_bytes() + key.read_bytes())
    with Registry(tls=context) as registry:
        registry.add(7, TEXT)
        for ways in ({"cert_file": ours, "key_file": key}, {"cert_file": both}):
            assert client(registry, ca_file=ca_file, **ways).schema(7).text == TEXT
        with pytest.raises(NotNow):
            client(registry, ca_file=ca_file).schema(7)
        assert registry.asked == ["/schemas/ids/7"] * 2


def test_a_certificate_that_cannot_be_shown_is_said_at_start(tmp_path: Path) -> None:
    _, other = valid(tmp_path)
    for named in ({"cert_file": other}, {"cert_file": other, "key_file": other}, {"cert_file": tmp_path / "absent"}):
        settings = RegistrySettings.model_validate({"url": "https://127.0.0.1", **named})
        with pytest.raises(SchemaRegistryError, match=r"^registry\.cert_file: \S+\.?\S* (with .*)?cannot be used: "):
            SchemaRegistry(settings, "AVRO")


def test_answers_are_bounded(registry: Registry) -> None:
    registry.body = json.dumps({"schema": "x" * (5 << 20)}).encode()
    began = time.monotonic()
    with pytest.raises(NotNow, match="its answer is longer than 4 MiB"):
        client(registry).schema(7)
    assert time.monotonic() - began < 60

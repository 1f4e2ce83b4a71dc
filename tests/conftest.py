"""Real parts as fixtures; a part that is missing skips its tests and says what installs it. Which tests run one by one."""

import gc
import os
import re
import secrets
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from tests.parts import threads
from tests.parts.missing import MissingPart

if TYPE_CHECKING:  # loaded by the fixtures: collecting other tests needs no client
    from tests.parts.chromium import Chromium
    from tests.parts.kafka import ApacheKafka
    from tests.parts.mock import MockBroker
    from tests.parts.prometheus import Alertmanager, Prometheus

hypothesis.settings.register_profile(  # machines are shared: a slow example proves nothing
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")

PARTS_REQUIRED = os.environ.get("REQUIRE_PARTS") == "1"
MARKERS = {"apache_kafka": "kafka", "prometheus": "prometheus", "alertmanager": "prometheus", "chromium": "chromium"}
PARTS = set(MARKERS.values())
BROKERS = {"broker", "mock_broker"}
SERIAL_FOLDER = Path(__file__).parent / "integration"
CONTRACTS = Path(__file__).parent / "contracts"
NODE = pytest.StashKey["ApacheKafka"]()


@pytest.fixture(autouse=True)
def collector_as_before() -> Iterator[None]:
    """A daemon run in this process lets the cycle collector look rarely: classes that tests make would pile up from then on."""
    before = gc.get_threshold()
    yield
    if gc.get_threshold() != before:
        gc.set_threshold(*before)
        gc.collect()


@pytest.fixture(scope="session")
def apache_kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[ApacheKafka]":
    """One real node for the whole run: name topics by the `topic` fixture. It is whole again before each test."""
    from tests.parts.kafka import ApacheKafka

    node = ApacheKafka(tmp_path_factory.mktemp("kafka"))
    request.config.stash[NODE] = node
    yield node
    del request.config.stash[NODE]
    node.close()


@pytest.fixture(scope="session")
def compiled_parts() -> None:
    """The compiled parts are there and in use."""
    if os.environ.get("DRIFTD_PURE") == "1":
        pytest.skip("DRIFTD_PURE=1 asks for the pure-Python path")
    from detectors.charts import step
    from detectors.sketches import blocks, counting, sums
    from monitor.sources import lines
    from monitor.sources.formats.arrow import scanning as arrow
    from monitor.sources.formats.avro import scanning as avro
    from monitor.sources.formats.json import scanning
    from monitor.sources.formats.protobuf import reading
    from monitor.sources.formats.schema_registry import frames
    from monitor.sources.formats.tensors import compacting
    from monitor.sources.formats.tensors import scanning as tensors
    from monitor.sources.kafka import native

    parts = {
        "counting": counting.COMPILED,
        "adding up": sums.USED,
        "charts": step.USED,
        "digesting": blocks.USED,
        "splitting": lines.USED,
        "decoding": scanning.COMPILED,
        "compacting": compacting.COMPILED,
        "scanning tensors": tensors.COMPILED,
        "Protobuf": reading.COMPILED,
        "frames": frames.COMPILED,
        "decoding Arrow": arrow.COMPILED,
        "decoding Avro": avro.COMPILED,
        "reading": native.THERE,
    }
    for name, part in parts.items():
        if not part:
            raise MissingPart(
                f"the compiled part for {name} is not built", "apt-get install g++ python3-dev; make setup"
            )


@pytest.fixture
def mock_broker() -> "Iterator[MockBroker]":
    """A mock cluster of one broker, new for each test."""
    from tests.parts.mock import MockBroker

    broker = MockBroker()
    yield broker
    broker.stop()


@pytest.fixture(params=["mock", pytest.param("apache", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> "MockBroker | ApacheKafka":
    """The same test on the mock cluster and on the real node."""
    return request.getfixturevalue({"mock": "mock_broker", "apache": "apache_kafka"}[request.param])


@pytest.fixture(params=["native", "ahead", "python"])
def reader_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same test with the native reader, with that and threads that read ahead, and with the Python client and one such thread,
    in this process and in those it starts; but for what `said_already` leaves out."""
    monkeypatch.setenv(threads.VARIABLE, {"native": "1", "ahead": "3", "python": "2"}[request.param])
    if request.param != "python":
        request.getfixturevalue("compiled_parts")
    else:
        monkeypatch.setattr("monitor.sources.kafka.native.THERE", False)
        monkeypatch.setenv("DRIFTD_PURE", "1")
    return str(request.param)


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A topic name that no other test has; nothing is created."""
    return f"{re.sub(r'[^a-zA-Z0-9]+', '-', request.node.name)[:80]}-{secrets.token_hex(4)}"


@pytest.fixture
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Callable[..., Prometheus]]":
    """prometheus("127.0.0.1:9464", rule_files=[…]) starts a server that ends with the test."""
    from tests.parts.prometheus import Prometheus

    with ExitStack() as servers:

        def start(target: str, **settings: Any) -> Prometheus:
            server = Prometheus(tmp_path_factory.mktemp("prometheus"), target, **settings)
            servers.callback(server.stop)
            return server

        yield start


@pytest.fixture
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Callable[[Path], Alertmanager]]":
    """alertmanager(config_path) starts a server that ends with the test."""
    from tests.parts.prometheus import Alertmanager

    with ExitStack() as servers:

        def start(config: Path) -> Alertmanager:
            server = Alertmanager(tmp_path_factory.mktemp("alertmanager"), config)
            servers.callback(server.stop)
            return server

        yield start


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Chromium]":
    """One browser for the whole run: each test opens pages of its own."""
    from tests.parts.chromium import Chromium

    browser = Chromium(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.stop()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None]:
    """Thousands of items are made and kept: nobody looks for cycles among them, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before -m deselects, and after others have put items in an order
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    items[:] = [item for item in items if not said_already(item)]
    for item in items:
        for fixture in MARKERS.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(MARKERS[fixture])
        if needs_servers(item) and not item.get_closest_marker("serial"):
            item.add_marker("servers")
    yield
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)  # what takes long begins first, so that no worker waits for it


def said_already(item: pytest.Item) -> bool:
    """One more round with a server that tells nothing new: of the native reader by itself, which the one with threads holds; and of the Python
    client on the real node, where the contracts hold it."""
    chosen = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    kind, real, contract = (
        chosen.get("reader_kind"),
        chosen.get("broker") == "apache",
        item.path.is_relative_to(CONTRACTS),
    )
    return (kind == "native" and (real or not contract)) or (kind == "python" and real and not contract)


def needs_servers(item: pytest.Item) -> bool:
    """A daemon, a broker or another real part is in it: it waits more than it works, and few may run beside it."""
    return (
        item.path.is_relative_to(SERIAL_FOLDER)
        or any(mark.name in PARTS for mark in item.iter_markers())
        or not BROKERS.isdisjoint(getattr(item, "fixturenames", ()))
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    if item.get_closest_marker("kafka") and (node := item.config.stash.get(NODE, None)):
        node.heal()
    try:
        return (yield)
    except MissingPart as missing:
        raise _outcome(missing, item) from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    try:
        return (yield)
    except MissingPart as missing:
        raise _outcome(missing, item) from None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once, at the end, what would have been tested with everything installed."""
    skipped = [dict(report.user_properties) for report in terminalreporter.getreports("skipped")]
    missing = Counter(properties["missing"] for properties in skipped if "missing" in properties)
    if missing:
        terminalreporter.section("skipped because a part is missing")
        for part, count in missing.items():
            terminalreporter.line(f"{count} skipped: {part}")
        terminalreporter.line("on Debian `make parts` installs them all")


def _outcome(missing: MissingPart, item: pytest.Item) -> BaseException:
    if PARTS_REQUIRED:
        return pytest.fail.Exception(f"REQUIRE_PARTS=1: {missing}", pytrace=False)
    item.user_properties.append(
        ("missing", f"{missing.what}; install: {missing.install}")
    )  # a report may cross processes
    return pytest.skip.Exception(str(missing))

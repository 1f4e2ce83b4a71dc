"""A format from outside the tree: one module, one line of registration, and everything above it works."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from detectors import Reference
from monitor.app import build_decoders
from monitor.cli import main
from monitor.configuration import load
from monitor.facts import EventsCounted, EventsRejected, FieldsRejected
from monitor.settings import ConfigError, load_settings
from monitor.sources.base import NotNow, TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.registry import formats, gives_halves, options_of
from monitor.stream.events import OffsetRange, Partition, SeriesKey
from tests.fakes import NOON

TS = NOON // 1_000_000
KEY = SeriesKey("churn", "3")
OFFSETS = (OffsetRange(Partition("p", 0), 7, 9),)

DOCUMENT = (Path(__file__).parents[4] / "docs" / "configuration.md").read_text(encoding="utf-8")
(MODULE,) = re.findall(
    r"^```python\n(.*?)^```$", DOCUMENT, flags=re.DOTALL | re.MULTILINE
)  # what people are told to write


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration that reads topic p in a format which an installed package brings."""
    site = tmp_path / "site"
    (site / "toy-1.0.dist-info").mkdir(parents=True)
    (site / "toy_format.py").write_text(MODULE)
    (site / "toy-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (site / "toy-1.0.dist-info" / "entry_points.txt").write_text("[driftd.formats]\ntoy = toy_format:Cells\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "toy_format", raising=False)
    Reference.fit({"age": [1.0, 99.0], "plan": ["pro", "free"]}).save(tmp_path / "r.json")
    return configured(tmp_path, "toy")


def configured(home: Path, form: str) -> Path:
    settings = {
        "topics": [{"name": "p", "format": form, "fields": {"features": ""}}],
        "models": [{"name": "churn", "version": "3", "reference": "r.json"}],
    }
    (home / "driftd.yaml").write_text(yaml.safe_dump(settings))
    return home / "driftd.yaml"


def decoder_of(config: Path) -> TopicDecoder:
    return build_decoders(load(load_settings(config), config.parent, needs_secrets=False))["p"]


def line(at: int = 0, model: str = "churn", age: str = "41.5", plan: str = "pro") -> str:
    return f"{TS + at},{model},3,{age},{plan},1"


def test_its_rows_are_mapped_routed_and_timed_as_any_others(config: Path) -> None:
    messages = [
        f"{line(0)};{line(5, age='')};{line(3, plan='gold')}".encode(),
        f"{line(9, model='other')};{line(1)}".encode(),
        b"1,2,3",
        f"{line(2, model='other')};1,churn,3,5,pro,1;{line(4)}".encode(),
    ]

    decoded = decoder_of(config).decode(TopicRecords("p", [0, 1, 0, 2], messages, OFFSETS), NOON)

    (batch,) = decoded.batches
    assert batch.key == KEY
    assert ((batch.event_times - NOON) // 1_000_000).tolist() == [0, 5, 3, 1, 4]
    np.testing.assert_array_equal(batch.numeric[:, 0], [41.5, np.nan, 41.5, 41.5, 41.5])
    assert batch.codes[:, 0].tolist() == [1, 1, 2, 1, 1]
    assert [(new.column, new.text, new.event_time) for new in batch.unseen_categories] == [
        (0, "gold", NOON + 3_000_000)
    ]
    assert batch.offsets == OFFSETS
    assert {at.index: (time - NOON) // 1_000_000 for at, time in decoded.seen.items()} == {0: 5, 1: 9, 2: 4}
    assert set(decoded.facts) == {
        EventsRejected("p", "wrong_cells", 1),
        EventsRejected("p", "timestamp_before_2000", 1),
        EventsCounted("p", "rejected", 2),
        EventsCounted("p", "unmonitored", 2),
        FieldsRejected("p", "missing", 1),
    }


def test_a_message_that_holds_several_rows_is_explained_row_by_row(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = config.with_name("events")
    events.write_text(f"{line()}\n{line(plan='gold', age='')};{line(model='other')}\nnope\n")

    main(["explain", "--config", str(config), str(events)])

    assert capsys.readouterr().out.splitlines() == [
        "1: ok: churn version 3, event time 2026-11-23T12:00:00Z",
        "1:    age = 41.5",
        "1:    plan = 'pro'",
        "2.1: ok: churn version 3, event time 2026-11-23T12:00:00Z",
        "2.1:    age: missing",
        "2.1:    plan = 'gold' (unseen in the reference)",
        "2.2: unmonitored: other version 3; there is churn version 3 (event time 2026-11-23T12:00:00Z)",
        "3: rejected: wrong_cells",
        "4 rows: 2 ok (churn version 3 2), 1 rejected (wrong_cells 1), 1 unmonitored (other version 3 1); without a value: age 1",
    ]


def test_a_format_that_is_not_there_is_refused_with_those_that_are(config: Path) -> None:
    assert {"json", "toy"} < set(formats())
    said = re.escape(f"topics[0].format: must be one of {', '.join(formats())} (is 'morse')")
    with pytest.raises(ConfigError, match=said):
        load_settings(configured(config.parent, "morse"))


@pytest.mark.parametrize("name", ["base", "values", "registry", "logged", "tabular"])
def test_what_formats_share_is_no_format(config: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"must be one of .*\(is '{name}'\)"):
        load_settings(configured(config.parent, name))


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("import nothing_of_that_name", "cannot be loaded: ModuleNotFoundError: No module"),
        ("def (", "cannot be loaded: SyntaxError: "),
        ("raise RuntimeError('a\\nb')", "cannot be loaded: RuntimeError: a"),
        ("Cells = 5", "makes no decoder: int cannot be called"),
    ],
)
def test_a_package_that_is_broken_is_said_in_one_line(config: Path, module: str, why: str) -> None:
    (config.parent / "site" / "toy_format.py").write_text(module)

    with pytest.raises(ConfigError, match=rf"format: the package toy_format:Cells {why}") as refused:
        load_settings(config)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("def Cells(topic): raise RuntimeError('a\\nb')", "RuntimeError: a"),
        ("def Cells(topic): return None", "NoneType has no decode and inspect"),
    ],
)
def test_what_makes_no_decoder_is_said_before_anything_runs(
    config: Path, module: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (config.parent / "site" / "toy_format.py").write_text(module)

    assert main(["check", "--offline", "--config", str(config)]) == 2
    assert capsys.readouterr().err == f"driftd: topics.p.format: toy makes no decoder: {why}\n"


def test_json_is_as_it_was(config: Path) -> None:
    decoder = decoder_of(configured(config.parent, "json"))
    event = {"ts": TS, "model": "churn", "version": 3, "age": 5, "plan": "free"}

    (batch,) = decoder.decode(TopicRecords("p", [0], [json.dumps(event).encode()], OFFSETS), NOON).batches

    assert (batch.numeric.tolist(), batch.codes.tolist(), batch.offsets) == ([[5.0]], [[0]], OFFSETS)


def test_a_message_that_a_decoder_fails_on_is_rejected_and_no_other(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same message would end the next daemon too."""
    guarded = MODULE.replace(
        "    def decode(self, values):", "    def decode(self, values):\n        assert b'boom' not in values"
    )
    guarded = guarded.replace(
        "    def inspect(self, raw):", "    def inspect(self, raw):\n        assert raw != b'boom'"
    )
    assert guarded.count("boom") == 2
    (config.parent / "site" / "toy_format.py").write_text(guarded)
    messages = [line(0).encode(), b"boom", f"{line(1)};{line(2)}".encode(), b"boom", b"1,2,3"]

    decoded = decoder_of(config).decode(TopicRecords("p", [0, 1, 0, 2, 1], messages, ()), NOON)

    (batch,) = decoded.batches
    assert ((batch.event_times - NOON) // 1_000_000).tolist() == [0, 1, 2]
    assert {at.index: (time - NOON) // 1_000_000 for at, time in decoded.seen.items()} == {0: 2}
    assert set(decoded.facts) == {
        EventsRejected("p", "decoder_failed", 2),
        EventsRejected("p", "wrong_cells", 1),
        EventsCounted("p", "rejected", 3),
    }
    events = config.with_name("events")
    events.write_text(f"{line()}\nboom\n")
    assert main(["explain", "--config", str(config), str(events)]) == 0
    assert capsys.readouterr().out.splitlines()[-2] == "2: rejected: decoder_failed"


WAITS = """
    def fetch(self, records):
        from pathlib import Path
        from monitor.sources.base import NotNow
        if not Path(HERE).exists():
            raise NotNow("the dictionary of cells is away")
        raise RuntimeError("which decoding would show")
"""


def test_what_it_needs_from_outside_is_waited_for_and_nothing_is_counted(config: Path) -> None:
    there = config.with_name("dictionary")
    (config.parent / "site" / "toy_format.py").write_text(MODULE + WAITS.replace("HERE", repr(str(there))))
    decoder, records = decoder_of(config), TopicRecords("p", [0, 1], [line(0).encode(), b"x"], ())

    with pytest.raises(NotNow, match="the dictionary of cells is away"):
        decoder.decode(records, NOON)
    there.touch()
    decoded = decoder.decode(records, NOON)

    assert len(decoded.batches[0]) == 1
    assert EventsRejected("p", "wrong_cells", 1) in decoded.facts


def test_a_decoder_that_always_fails_rejects_everything(config: Path) -> None:
    (config.parent / "site" / "toy_format.py").write_text(
        MODULE.replace("    def decode(self, values):", "    def decode(self, values):\n        return None")
    )

    decoded = decoder_of(config).decode(TopicRecords("p", [0, 1], [line(0).encode(), b"x"], ()), NOON)

    assert not decoded.batches
    assert EventsRejected("p", "decoder_failed", 2) in decoded.facts


@pytest.mark.parametrize(
    ("name", "options", "halves"),
    [
        ("json", None, False),
        ("databricks-inference", {}, False),
        ("kserve", {}, True),
        ("seldon", {}, True),
        ("mlserver", {}, True),
        ("azureml-mdc", {}, True),
        ("azureml-mdc", {"outputs": None}, False),
        ("mlflow", {}, False),
        ("mlflow", {"halves": True}, True),
        ("cloudevents", {}, False),
        ("cloudevents", {"of": "mlserver"}, True),
        ("cloudevents", {"of": "mlflow", "options": {"halves": True}}, True),
    ],
)
def test_a_format_says_whether_its_messages_are_half_a_prediction(
    name: str, options: dict[str, object] | None, halves: bool
) -> None:
    section = options_of(name)

    assert gives_halves(name, None if section is None else section.model_validate(options)) is halves

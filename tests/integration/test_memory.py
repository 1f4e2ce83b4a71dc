"""What the smallest daemon takes when it has nothing to do."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from detectors import Reference
from tests.integration.daemon import Driftd

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker

pytestmark = pytest.mark.serial

FEATURES = [f"x{at}" for at in range(20)]
EVENTS = 1_000
BEGIN_MS = 1_763_870_700_000
MIB = 1024  # kB
# Measured with CPython 3.11, NumPy 2.4, SciPy 1.17, pydantic 2.14 and glibc 2.36: 90 and 56 MiB. Other versions of these
# take a few MiB more or less, and so do modules that are compiled at the start because no bytecode of them is kept.
MOST_RESIDENT = 104 * MIB
MOST_OF_ITS_OWN = 68 * MIB


def kilobytes(pid: int, what: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    [found] = [int(line.split()[1]) for line in lines if line.startswith(f"{what}:")]
    return found


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for resident memory")
@pytest.mark.usefixtures("compiled_parts")
def test_one_model_of_twenty_features_stays_small(mock_broker: "MockBroker", topic: str, tmp_path: Path) -> None:
    """Resident memory, and what of it no file backs, once what the start needed was given back."""
    from tests.parts.reader import produce

    rng = np.random.default_rng(1)
    Reference.fit({name: rng.normal(size=5_000) for name in FEATURES}).save(tmp_path / "m.json")
    rows = [dict(zip(FEATURES, row, strict=True)) for row in rng.normal(size=(EVENTS, len(FEATURES))).tolist()]
    shared = {"model": "m", "version": "1"}
    events = [json.dumps({**shared, "ts": BEGIN_MS + at, "features": row}) for at, row in enumerate(rows)]
    mock_broker.create_topic(topic, 1)
    produce(mock_broker, topic, [event.encode() for event in events])
    daemon = Driftd(
        tmp_path,
        {
            "kafka": {"bootstrap_servers": mock_broker.bootstrap, "start_from": "earliest"},
            "topics": [{"name": topic}],
            "models": [{"name": "m", "version": "1", "reference": "m.json", "window": "1m"}],
        },
    )
    daemon.start()
    daemon.wait_for(lambda: daemon.metric("driftd_events_total", outcome="ok") == EVENTS)

    daemon.wait_for(lambda: kilobytes(daemon.pid, "VmRSS") < MOST_RESIDENT, seconds=40)
    daemon.wait_for(lambda: kilobytes(daemon.pid, "RssAnon") < MOST_OF_ITS_OWN, seconds=40)
    print(f"{kilobytes(daemon.pid, 'VmRSS') / MIB:.0f} MiB, {kilobytes(daemon.pid, 'RssAnon') / MIB:.0f} of its own")
    assert daemon.stop() == 0

"""Killed without warning, again and again: a verifier that is another process finds nothing lost, nothing twice, nothing unsaid.

`make kills-verified KILLS=500` kills as often as it is told to; what the verifier says is in `build/kills-verified.json`.
"""

import json
import os
import random
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pytest

from tests.integration.proven import PARTITIONS, TOPIC, Load, proven_run, verdict

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker

KILLS = int(os.environ.get("KILLS", "20"))
LONG = KILLS > 20
REPORT = os.environ.get("KILLS_REPORT")
LATEST = 5.0 if LONG else 1.0  # seconds, after its start or after it is ready, at which a daemon is killed
SECONDS = (
    KILLS * 3 // 120 + 2
) * 120  # of event time, whole periods: a second of it takes a good second each long kill


@pytest.mark.slow
@pytest.mark.timeout(300 + 8 * KILLS)
@pytest.mark.usefixtures("reader_kind")
def test_kills_under_load_break_no_invariant(mock_broker: "MockBroker", tmp_path: Path) -> None:
    seed = int(os.environ.get("KILLS_SEED", random.getrandbits(32)))
    print(f"KILLS_SEED={seed}")
    chance = random.Random(seed)
    mock_broker.create_topic(TOPIC, PARTITIONS)
    load = Load(mock_broker.bootstrap, seed, SECONDS, pause=LATEST / 2 * KILLS / SECONDS)
    readings: list[float] = []
    with proven_run(tmp_path / "run", mock_broker.bootstrap, seed) as run:
        load.start()
        for _ in range(KILLS):
            began = time.monotonic()
            run.daemon.start(ready=chance.random() < 0.7)  # some die while they start
            if run.daemon.status("/readyz") == 200:
                readings.append(time.monotonic() - began)
            time.sleep(chance.uniform(0.05, LATEST))
            assert run.daemon.running, run.daemon.log.read_text(encoding="utf-8")[-2000:]
            run.daemon.kill()
            run.keep()
        load.pace.set()
        run.daemon.start()
        load.rest.set()
        load.join(120)
        run.finish(load)
        found = verdict([run.home], tmp_path / "verdict.json")

    figures = {"kills": KILLS, "starts_that_read": len(readings), "median_seconds_to_ready": median(readings or [0])}
    found["figures"] |= figures
    if REPORT is not None:
        Path(REPORT).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    assert found["violations"] == []
    assert len(readings) >= KILLS // 4  # on a busy machine many die before their first turn
    assert found["figures"]["states"] > 1
    assert found["figures"]["transitions"] >= 2
    assert found["figures"]["rejected_in_the_last_run"] > 0
    assert found["figures"]["kept"] > 0
    assert found["figures"]["kept_again"] == 0

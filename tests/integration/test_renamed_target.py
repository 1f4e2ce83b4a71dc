"""A webhook that owes something is renamed: what waits is said, shown, given to the new name, and delivered once under its ids."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from detectors import Reference
from monitor.cli import main
from tests.fakes import Receiver
from tests.integration.daemon import Driftd
from tests.integration.test_bad_targets import SECRET, TOKEN, TOPIC, config, produce

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker


def started(home: Path, bootstrap: str, webhook: dict[str, Any]) -> Driftd:
    settings = {**config(bootstrap, []), "webhooks": [webhook], "instance": "eu"}
    daemon = Driftd(home, settings)
    daemon.start()
    return daemon


@pytest.mark.slow
def test_what_a_renamed_webhook_owes_is_delivered_once_under_its_ids(
    mock_broker: "MockBroker", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Reference.fit({"x": np.random.default_rng(1).normal(size=20_000)}).save(tmp_path / "m.json")
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    monkeypatch.setenv("WEBHOOK", SECRET)
    mock_broker.create_topic(TOPIC)
    with ExitStack() as ending:
        receiver = Receiver()
        ending.callback(receiver.close)
        hook = {"url": receiver.url, "secret_env": "WEBHOOK", "types": ["*"]}
        daemon = started(tmp_path, mock_broker.bootstrap, {**hook, "name": "old", "url": "http://127.0.0.1:1/hook"})
        produce(mock_broker.bootstrap, 0, 8)
        daemon.wait_for(lambda: daemon.metric("driftd_outbox_pending", webhook="old") == 2)
        daemon.wait_for(lambda: len(daemon.get("/api/v1/outbox")) == 2)
        owed = [each["notice"] for each in daemon.get("/api/v1/outbox")]
        daemon.kill()

        daemon = started(tmp_path, mock_broker.bootstrap, {**hook, "name": "new"})
        (said,) = daemon.logged("outbox.unclaimed")
        assert (said["target"], said["count"], said["ids"]) == ("old", 2, owed)
        assert daemon.metric("driftd_outbox_pending", webhook="old") == 2
        assert daemon.metric("driftd_outbox_pending", webhook="new") == 0
        troubles = [each["what"] for each in daemon.get("/api/v1/status")["troubles"]]
        assert [each for each in troubles if "2 notices wait for old, which is no longer a target" in each]
        assert [each["configured"] for each in daemon.get("/api/v1/outbox")] == [False, False]

        there = ["--config", str(daemon.config)]
        assert main(["outbox", "retry", "--target", "old", "--to", "new", "--by", "ana", *there]) == 0
        assert capsys.readouterr().out.count("goes to new") == 2
        daemon.wait_for(lambda: daemon.metric("driftd_outbox_pending") == 0)
        assert [each.headers["webhook-id"] for each in receiver.requests] == owed
        assert {each.headers["ce-source"] for each in receiver.requests} == {"/driftd/eu/churn/3/psi-high"}
        assert {json.loads(each.body)["data"]["instance"] for each in receiver.requests} == {"eu"}
        daemon.kill()
        daemon.start()  # nothing is owed any more, and nothing is said twice
        daemon.wait_told()
        assert len(daemon.logged("outbox.unclaimed")) == 1
        assert len(receiver.requests) == 2
        daemon.kill()

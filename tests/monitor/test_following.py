"""A model's new versions as further entries: what of the configured entry is theirs too, and which of them there is no room for."""

from pathlib import Path
from typing import Any

import yaml

from monitor.alerting.versions import KnownVersion, VersionSource, VersionState
from monitor.configuration import Configuration, load
from monitor.following import following
from monitor.settings import load_settings
from monitor.versions import Follow
from tests.fakes import NOON
from tests.renewing import MODEL, fitted

BUDGET = 0.0001  # false alarms a month, which two versions of a model can share and no three
NEW = {"reference": "learn", "rows": 500, "keep": 5}


def configured(home: Path, budget: float, **model: Any) -> Configuration:
    fitted(1).save(home / "churn-3.json")
    fitted(1).save(home / "fraud-3.json")
    other = {**MODEL, "name": "fraud", "reference": "fraud-3.json", "new_versions": NEW}
    settings = {
        "topics": [{"name": "predictions"}],
        "models": [{**MODEL, "new_versions": NEW, **model}, other],
        "alerting": {"false_alarms_per_month": budget},
    }
    (home / "driftd.yaml").write_text(yaml.safe_dump(settings))
    return load(load_settings(home / "driftd.yaml"), home, {})


def learning(number: int, model: str = "churn") -> Follow:
    standing = VersionState.LEARNING
    return Follow(KnownVersion(model, str(number), VersionSource.REQUEST, NOON, NOON, standing, number))


def series(configuration: Configuration) -> list[str]:
    return [f"{spec.key}" for spec in configuration.specs]


def test_where_there_is_no_room_for_all_the_newest_are_followed(tmp_path: Path) -> None:
    configuration = configured(tmp_path, BUDGET)
    follows = [learning(4), learning(4, "fraud"), learning(5), learning(6)]
    found = following(configuration, follows)
    assert series(found.configuration) == ["churn/3", "fraud/3", "fraud/4", "churn/6"]
    assert list(found.refused) == [("churn", "4"), ("churn", "5")]
    assert all("cannot be held" in why for why in found.refused.values())


def test_the_champion_is_no_new_version(tmp_path: Path) -> None:
    found = following(configured(tmp_path, 1.0, champion=True), [learning(4)])
    champions = [each.series_version for each in found.configuration.settings.models if each.champion]
    assert champions == ["3"]

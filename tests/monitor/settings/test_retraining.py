"""The section `retraining`, of all models and of one, and what stands in its way."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from detectors import Reference
from monitor.alerting.retraining import RetrainCosts, RetrainPolicy
from monitor.alerting.schedule import Schedule
from monitor.commands.cautions import warnings
from monitor.configuration import Configuration
from monitor.configuration import load as load_configuration
from monitor.settings import ConfigError, load_settings
from tests.build import DAY, HOUR

HTTP = {"token_env": "TOKEN"}


def load(home: Path, *, models: list[dict[str, Any]] | None = None, **more: Any) -> Configuration:
    Reference.fit({"age": [float(n) for n in range(100)]}).save(home / "r.json")
    each = [{"name": "churn", "reference": "r.json"} | model for model in models or [{}]]
    (home / "driftd.yaml").write_text(yaml.safe_dump({"topics": [{"name": "predictions"}], "models": each, **more}))
    return load_configuration(load_settings(home / "driftd.yaml"), home, {}, needs_secrets=False)


def policy(home: Path, **more: Any) -> RetrainPolicy:
    return load(home, **more).specs[0].retraining


def test_where_nothing_is_said_nothing_new_is_asked_for(tmp_path: Path) -> None:
    found = policy(tmp_path)

    assert found == RetrainPolicy(DAY, 3)
    assert (found.every, found.in_flight_timeout, found.approval_within, found.dry_run) == (None, None, None, False)


def test_a_model_changes_single_keys_of_what_holds_for_all(tmp_path: Path) -> None:
    own = {"on": "performance", "every": "0 3 * * 1", "unless_trained_within": "14d", "approval": "required"}
    models = [{"timezone": "Europe/Berlin", "retraining": own}, {"name": "other"}]
    found = load(tmp_path, models=models, retraining={"cooldown": "3d", "costs": {"retraining": 5, "takes": "6h"}})
    churn, other = (spec.retraining for spec in found.specs)

    assert churn.cooldown == other.cooldown == 3 * DAY
    assert churn.costs == other.costs == RetrainCosts(5.0, 0.0, 6 * HOUR)
    assert (churn.on, churn.every) == (frozenset({"performance"}), Schedule("0 3 * * 1", "Europe/Berlin"))
    assert (churn.unless_trained_within, churn.approval_within) == (14 * DAY, 7 * DAY)
    assert (other.on, other.every, other.approval_within) == (frozenset({"drift", "performance"}), None, None)


def test_the_hash_of_a_configuration_that_says_nothing_of_it_is_as_it_was(tmp_path: Path) -> None:
    plain = load(tmp_path).config_hash

    assert load(tmp_path, retraining={"veto": ["data_quality", "no_data", "calibration"]}).config_hash == plain
    assert load(tmp_path, retraining={"veto": []}).config_hash != plain
    assert load(tmp_path, models=[{"retraining": {"on": []}}]).config_hash != plain


@pytest.mark.parametrize(
    ("retraining", "said"),
    [
        ({"every": "every monday"}, "every: 'every monday' has 2 fields, not 5: minute hour day month weekday"),
        ({"every": "0 25 * * *"}, "every: '0 25 * * *' is no cron expression: bad hour"),
        ({"every": "* * * * *"}, "every: '* * * * *' is due more often than hourly"),
        ({"unless_trained_within": "7d"}, "unless_trained_within is of a schedule: give every too"),
        ({"on": ["drfit"]}, "must be 'drift' or 'performance' (is 'drfit')"),
        ({"veto": "lag"}, "must be 'data_quality', 'no_data' or 'calibration' (is 'lag')"),
        ({"approval": True}, "approval: must be 'none' or 'required'"),
        ({"in_flight_timeout": "0s"}, "in_flight_timeout: must be longer than zero"),
        ({"features": []}, "features: "),
        ({"costs": {"retraining": -1}}, "costs.retraining: must be greater than or equal to 0"),
        ({"every_day": 1}, "every_day is no key"),
    ],
)
@pytest.mark.parametrize("of_a_model", [False, True])
def test_what_cannot_be_is_refused_in_a_line(
    tmp_path: Path, retraining: dict[str, Any], said: str, of_a_model: bool
) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, **({"models": [{"retraining": retraining}]} if of_a_model else {"retraining": retraining}))

    assert said in str(refused.value)
    assert "retraining" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_labelled_rows_need_labels(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"models.churn.retraining.min_labelled_rows: 5 needs a section labels"):
        load(tmp_path, retraining={"min_labelled_rows": 5})


def test_the_versions_of_a_model_share_a_policy(tmp_path: Path) -> None:
    models = [{"version": "1", "retraining": {"on": []}}, {"version": "2"}]
    with pytest.raises(ConfigError, match="churn: retraining must be the same for every version of a model"):
        load(tmp_path, models=models)


def test_an_approval_that_nobody_can_give_is_warned_of(tmp_path: Path) -> None:
    required = {"approval": "required"}
    said = [each for each in warnings(load(tmp_path, retraining=required)) if "approve" in each]

    assert said == [
        "retraining.approval is required, but neither http.token_file nor http.token_env names a token: nobody can approve"
    ]
    assert not [each for each in warnings(load(tmp_path, retraining=required, http=HTTP)) if "approve" in each]


@pytest.mark.parametrize(
    ("retraining", "kind"),
    [({"every": "0 3 * * 1"}, "model.retrain.requested"), ({"approval": "required"}, "model.retrain.pending")],
)
def test_what_nobody_would_be_told_of_is_warned_of(tmp_path: Path, retraining: dict[str, Any], kind: str) -> None:
    (tmp_path / "secret").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    def said(*types: str) -> list[str]:
        hook = {"name": "trainer", "url": "https://t.internal", "secret_file": "secret", "types": list(types)}
        found = load(tmp_path, retraining=retraining, http=HTTP, webhooks=[hook])
        return [each for each in warnings(found) if f"no webhook and no target takes {kind}" in each]

    assert len(said("model.alert.firing")) == 1
    assert said(kind) == said("*") == []

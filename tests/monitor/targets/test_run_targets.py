"""What each server means by its answers, where a good guess is wrong: as the real ones answered when they were tried."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest

from monitor.alerting.runs import RunState
from monitor.clock import SystemClock
from monitor.store.outbox import AddressedNotice
from monitor.store.sqlite import StateStore
from monitor.stream.events import SECOND
from monitor.targets.base import Access, AlreadyThere, Delivered, Fault, Refused, Subscriber, TryLater, can_follow
from monitor.targets.identity import run_id
from monitor.targets.notifier import Notifier
from monitor.targets.registry import read_target
from monitor.targets.secrets import Secrets
from tests.apis.airflow import TAKEN, Airflow
from tests.apis.argo import Argo
from tests.apis.dagster import Dagster, data
from tests.apis.github import Github
from tests.apis.kubeflow import Kubeflow
from tests.apis.mlflow import API, Mlflow
from tests.apis.prefect import DEPLOYMENT, SIBLING, Prefect
from tests.apis.service import CANARY, RUN_ID, SAID, Reply, Service, built, decision, deliver, way_out
from tests.fakes import NOON, ManualClock

Kind = TypeVar("Kind", bound=Service)


@pytest.fixture
def start() -> Iterator[Callable[[type[Kind]], Kind]]:
    with ExitStack() as stack:

        def started(kind: type[Kind]) -> Kind:
            service = kind()
            stack.callback(service.close)
            return service

        yield started


def check(told: Any) -> Access:
    found: Access = told.check(way_out(), SystemClock())
    return found


# --- ids --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["8d5c0a1b2c3d4e5f", "", "Ä/../x", "X" * 500, "8D5C0A1B2C3D4E5F"])
def test_an_id_is_never_empty_and_taken_everywhere(name: str) -> None:
    """An empty one would turn Airflow's de-duplication off, a capital letter is refused by Vertex AI."""
    found = run_id(decision(name))

    assert found.startswith("d-")
    assert set(found[2:]) <= set("0123456789abcdef")
    assert 10 <= len(found) <= 64
    assert found == run_id(decision(name))


# --- Airflow ----------------------------------------------------------------------------------------------------------


def test_airflow_says_409_where_another_run_has_the_date(start: Callable[..., Any]) -> None:
    """With the same body as for our own id: so our id is asked for, and the notice is not lost."""
    airflow = start(Airflow)
    airflow.date_is_taken = True

    assert deliver(built(airflow.entry())) == TryLater(
        409, f"answered 409, and has no run {RUN_ID}: another is in its way"
    )


def test_airflow_2_is_asked_in_its_own_way(start: Callable[..., Any]) -> None:
    airflow = start(Airflow)
    told = built(airflow.entry(version="2"))

    ends = [deliver(told), deliver(told)]

    assert [type(end) for end in ends] == [Delivered, AlreadyThere]
    assert {call.path for call in airflow.calls} == {
        "/api/v1/dags/train/dagRuns",
        f"/api/v1/dags/train/dagRuns/{RUN_ID}",
    }
    assert all(call.headers["authorization"].startswith("Basic ") for call in airflow.calls)
    assert "logical_date" not in airflow.posts()[0].json


def test_airflow_gets_all_of_the_decision_and_no_date(start: Callable[..., Any]) -> None:
    airflow = start(Airflow)
    deliver(built(airflow.entry()))

    assert airflow.posts("dagRuns")[0].json == {"dag_run_id": RUN_ID, "logical_date": None, "conf": {"driftd": SAID}}


def test_airflow_refuses_what_does_not_fit_its_params(start: Callable[..., Any]) -> None:
    airflow = start(Airflow)

    end = deliver(built(airflow.entry(conf={"rows": "many"})))

    assert end == Refused(400, "answered 400: Invalid input for param rows: 'many' is not of type 'integer'")


def test_airflow_says_what_keeps_its_dag_from_running(start: Callable[..., Any]) -> None:
    airflow = start(Airflow)
    airflow.dag |= {"is_paused": True, "has_import_errors": True}

    warned = ("DAG train is paused: a run waits until it is not", "DAG train has import errors")
    assert check(built(airflow.entry())) == Access("DAG train is there", warnings=warned)
    assert check(built(airflow.entry(dag="nope"))).problems == (
        "DAG nope: answered 404: The Dag with ID: `nope` was not found",
    )
    assert check(built(airflow.entry(username="other"))).problems == ("/auth/token answered 401: Invalid credentials",)


def test_a_409_of_airflow_is_believed_only_of_the_run_itself(start: Callable[..., Any]) -> None:
    """A repeat whose run cannot be read now is asked again later."""
    airflow = start(Airflow)
    airflow.instead = [Reply(201, {"access_token": "jwt"}), Reply(409, TAKEN), Reply(503)]

    end = deliver(built(airflow.entry()))

    assert isinstance(end, TryLater)
    assert end.status == 503


# --- Prefect ----------------------------------------------------------------------------------------------------------


def test_prefect_says_409_of_parameters(start: Callable[..., Any]) -> None:
    prefect = start(Prefect)

    end = deliver(built(prefect.entry(parameters={"since": 5})))

    assert end == Refused(409, "answered 409: Error creating flow run: 5 is not of type 'string'")


def test_two_deployments_of_a_flow_get_a_run_each(start: Callable[..., Any]) -> None:
    """Keys are kept a flow: with the decision alone the second would get the first one's run, which is not its own."""
    prefect = start(Prefect)

    ends = [deliver(built(prefect.entry(deployment=each))) for each in (DEPLOYMENT, SIBLING)]

    assert [type(end) for end in ends] == [Delivered, Delivered]
    assert {run["deployment_id"] for run in prefect.keys.values()} == {DEPLOYMENT, SIBLING}


def test_a_200_of_prefect_with_another_run_is_no_delivery(start: Callable[..., Any]) -> None:
    prefect = start(Prefect)
    deliver(built(prefect.entry()))
    (key,) = prefect.keys
    prefect.keys[key]["deployment_id"] = SIBLING

    end = deliver(built(prefect.entry()))

    assert end == Refused(200, "answered 200 with a run that is not ours: it starts nothing")


def test_a_deployment_of_prefect_may_be_named(start: Callable[..., Any]) -> None:
    prefect = start(Prefect)
    told = built(prefect.entry(deployment="train/nightly"))

    assert isinstance(deliver(told), Delivered)
    assert prefect.posts()[0].path == f"/api/deployments/{DEPLOYMENT}/create_flow_run"
    assert check(told).warnings == ("deployment train/nightly is paused: a run waits until it is not",)


def test_check_knows_the_parameters_of_a_flow(start: Callable[..., Any]) -> None:
    """The server takes one too many: the flow then fails on it."""
    prefect = start(Prefect)

    assert check(built(prefect.entry(parameters={"rows": 1, "x": 2}))).problems == (
        "parameters: x is none of the flow's; there is rows, since",
        "parameters: since is missing",
    )


# --- Dagster ----------------------------------------------------------------------------------------------------------


def dagster_says(start: Callable[..., Any], reply: Reply) -> Any:
    dagster = start(Dagster)
    dagster.launches = [reply]
    return deliver(built(dagster.entry()))


def test_dagster_refuses_with_200(start: Callable[..., Any]) -> None:
    dagster = start(Dagster)

    assert deliver(built(dagster.entry(run_config={}))) == Refused(
        200, "answered RunConfigValidationInvalid: Missing required config entry"
    )


def test_a_job_that_dagster_does_not_know_may_be_loading(start: Callable[..., Any]) -> None:
    end = deliver(built(start(Dagster).entry(job="nope")))

    assert end == TryLater(200, "answered PipelineNotFoundError: Could not find Pipeline nope")


def test_a_500_of_dagster_is_final_of_a_variable_and_passes_of_an_error_of_its_own(start: Callable[..., Any]) -> None:
    final = dagster_says(start, Reply(500, {"data": None, "errors": [{"message": "got invalid value"}]}))
    passing = dagster_says(start, data("launchRun", {"__typename": "PythonError", "message": "boom"}, 500))

    assert final == Refused(500, 'answered 500: [{"message":"got invalid value"}]')
    assert passing == TryLater(500, "answered PythonError: boom")


def test_a_run_of_dagster_bears_our_id_as_a_tag(start: Callable[..., Any]) -> None:
    dagster = start(Dagster)
    deliver(built(dagster.entry()))

    (run,) = dagster.launched
    assert run["tags"] == [
        {"key": "driftd/decision", "value": RUN_ID},
        {"key": "driftd/model", "value": "churn"},
        {"key": "driftd/model_version", "value": "3"},
        {"key": "driftd/reason", "value": "drift"},
    ]
    assert run["config"] == {"rows": 10000}


def test_a_token_of_dagster_has_its_own_header(start: Callable[..., Any]) -> None:
    dagster = start(Dagster)
    deliver(built(dagster.entry(token_env="TOKEN")))

    assert dagster.calls[0].headers["dagster-cloud-api-token"] == CANARY
    assert "authorization" not in dagster.calls[0].headers


# --- MLflow -----------------------------------------------------------------------------------------------------------


def test_numbers_that_are_not_finite_never_reach_mlflow(start: Callable[..., Any]) -> None:
    """It stores a bare NaN as 0 with 200; a p-value that is not known and a score that is none are left out."""
    mlflow = start(Mlflow)
    deliver(built(mlflow.entry()))

    assert {name: value for (name, *_), value in mlflow.metrics.items()} == {
        "drift/age/score": 1.41,
        "drift/age/threshold": 1.0,
        "drift/age/effect": 0.8,
        "drift/net income_ _/threshold": 1.0,
        "drift/net income_ _/pvalue": 1e-9,
    }
    assert {(time, step) for _, time, step in mlflow.metrics} == {(NOON // 1_000_000, 0)}


@pytest.mark.parametrize("number", range(1, 14))
def test_whichever_answer_of_mlflow_is_lost_each_thing_is_written_once(start: Callable[..., Any], number: int) -> None:
    """Its webhooks are told of each writing, of an equal value too: one tag, one event."""
    mlflow, seen = start(Mlflow), [0]

    def nth(call: Any) -> bool:
        seen[0] += call.method == "POST"
        return call.method == "POST" and seen[0] == number

    mlflow.changing, mlflow.lose = nth, 1
    told = built(mlflow.entry())
    ends = [deliver(told) for _ in range(5)]

    assert ends.count(None) <= 1
    assert isinstance(ends[-1], AlreadyThere)
    assert sorted(mlflow.fired) == sorted({*mlflow.fired})
    assert mlflow.tags["driftd.decision"] == RUN_ID
    assert mlflow.aliases == {"needs-retraining"}
    assert [run["status"] for run in mlflow.started.values()] == ["FINISHED"]


def test_a_version_without_a_number_is_refused_before_anything_is_asked(start: Callable[..., Any]) -> None:
    mlflow = start(Mlflow)

    end = deliver(built(mlflow.entry()), decision(model_version="2026-11"))

    assert end == Refused(None, "version: '2026-11' is no number of a version of churn at MLflow")
    assert mlflow.calls == []


def test_without_an_experiment_mlflow_gets_tags_alone(start: Callable[..., Any]) -> None:
    mlflow = start(Mlflow)

    deliver(built({"type": "mlflow", "url": mlflow.url}))

    assert {call.path.removeprefix(API) for call in mlflow.posts()} == {"/model-versions/set-tag"}
    assert mlflow.fired[-1] == "tag driftd.decision"
    assert mlflow.tags["driftd.data_from"] == "2026-11-23T03:55:00Z"


def test_check_looks_for_the_model_and_the_experiment(start: Callable[..., Any]) -> None:
    mlflow = start(Mlflow)

    assert check(built(mlflow.entry(model="nope", experiment="none"))).problems == (
        "model nope: answered 404: Registered Model not found",
        "experiment none: answered 404: Could not find experiment",
    )


# --- Kubeflow ---------------------------------------------------------------------------------------------------------


def test_kubeflow_gets_numbers_as_they_are_and_no_null(start: Callable[..., Any]) -> None:
    """Its numbers are doubles: a whole number that none holds goes as a text."""
    kubeflow = start(Kubeflow)
    parameters = {"since": "{url}", "rows": "{window.rows}"}

    deliver(built(kubeflow.entry(parameters=parameters)), decision(window={"rows": 2**53 + 1}))

    assert kubeflow.started[0]["runtime_config"]["parameters"] == {"rows": "9007199254740993"}


def test_kubeflow_refuses_other_parameters(start: Callable[..., Any]) -> None:
    end = deliver(built(start(Kubeflow).entry(parameters={"x": 1})))

    assert end == Refused(400, "answered 400: parameters are not those of the pipeline")


# --- GitHub -----------------------------------------------------------------------------------------------------------


def test_github_says_when_its_limit_ends(start: Callable[..., Any]) -> None:
    github = start(Github)
    limit = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOON // SECOND + 90)}
    github.instead = [Reply(403, {"message": "API rate limit exceeded"}, limit)]

    end = deliver(built(github.entry()), clock=ManualClock())

    assert end == TryLater(403, "answered 403: API rate limit exceeded", 90.0, Fault.RECEIVER)


def test_github_gets_few_keys_and_short_payloads(start: Callable[..., Any]) -> None:
    github = start(Github)

    end = deliver(built(github.entry(payload={"x": "{summary}"})), decision(summary="x" * 65_530))

    assert end == Refused(None, "payload: longer than the 65535 characters that GitHub takes")
    assert github.calls == []
    deliver(built(github.entry()))
    assert github.posts()[0].json == {"event_type": "driftd-retrain", "client_payload": {"id": RUN_ID, "driftd": SAID}}


def test_without_named_runs_github_is_told_each_time(start: Callable[..., Any]) -> None:
    """It knows no key: the workflow's `concurrency` is what is left."""
    github = start(Github)
    told = built(github.entry(runs_named_by_id=False))

    assert [deliver(told), deliver(told)] == [Delivered(204), Delivered(204)]
    assert told.status(decision(), None, None).state is RunState.UNKNOWN
    assert not can_follow(told)


@pytest.mark.parametrize(
    ("repository", "said"),
    [
        ({"archived": True}, "the repository is archived: it runs no workflow"),
        ({"permissions": {"push": False}}, "the token may not write to the repository (contents: write)"),
    ],
)
def test_check_knows_whether_a_token_of_github_may_write(
    start: Callable[..., Any], repository: dict[str, Any], said: str
) -> None:
    github = start(Github)
    github.repository |= repository

    assert check(built(github.entry())).problems == (said,)


# --- Argo -------------------------------------------------------------------------------------------------------------


def test_argo_gets_a_name_that_is_given_once(start: Callable[..., Any]) -> None:
    argo = start(Argo)
    deliver(built(argo.entry()))

    assert argo.posts()[0].json == {
        "namespace": "ml",
        "resourceKind": "WorkflowTemplate",
        "resourceName": "train",
        "submitOptions": {
            "name": RUN_ID,
            "labels": f"driftd.decision={RUN_ID}",
            "parameters": ["since=2026-11-23T03:55:00Z", "rows=10000"],
        },
    }
    assert argo.calls[0].headers["authorization"] == f"Bearer {CANARY}"


class EventSource(Service):
    """A webhook event source: it takes all that comes, and says `success`."""

    def answer(self, call: object) -> Reply:
        del call
        return Reply(200, b"success", {"content-type": "text/plain"})


def test_a_login_page_is_no_event_source(start: Callable[..., Any]) -> None:
    source = start(EventSource)
    source.instead = [Reply(200, b"<html>Sign in</html>", {"content-type": "text/html"})]

    assert isinstance(deliver(built({"type": "argo_events", "url": source.url})), TryLater)


def test_argo_events_gets_a_cloud_event_under_the_same_id_each_time(start: Callable[..., Any]) -> None:
    source = start(EventSource)
    told = built({"type": "argo_events", "url": f"{source.url}/driftd", "token_env": "TOKEN", "types": ["*"]})

    assert [deliver(told), deliver(told)] == [Delivered(200), Delivered(200)]

    first, second = source.calls
    assert first.path == "/driftd"
    assert (first.headers["ce-id"], first.body) == (second.headers["ce-id"], second.body)
    assert {
        "ce-specversion": "1.0",
        "ce-id": RUN_ID,
        "ce-type": "model.retrain.requested",
    }.items() <= first.headers.items()
    assert first.json == {"id": RUN_ID, "driftd": SAID}
    assert "canary" not in repr(told)


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"type": "airflow", "url": "http://x", "dag": "d"}, "needs username with password_file or password_env"),
        (
            {"type": "airflow", "url": "http://x", "dag": "d", "username": "u"},
            "username needs password_file or password_env",
        ),
        (
            {"type": "airflow", "url": "http://x", "dag": "d", "token_env": "T", "token_file": "t"},
            "token_file and token_env name two",
        ),
        ({"type": "airflow", "url": "ftp://x", "dag": "d", "token_env": "T"}, "must be an http:// or https:// address"),
        (
            {"type": "airflow", "url": "http://u:p@x", "dag": "d", "token_env": "T"},
            "must hold no user name or password",
        ),
        ({"type": "airflow", "url": "http://x/?a=b", "dag": "d", "token_env": "T"}, "no \\? and no #"),
        (
            {"type": "airflow", "url": "http://x", "dag": "d", "token_env": "T", "conf": {"a": {"b": ["{modell}"]}}},
            r"\{modell\} is no field of a notice; there is alert\.episode, ",
        ),
        ({"type": "prefect", "url": "http://x", "deployment": "nightly"}, "the id of a deployment, or FLOW/DEPLOYMENT"),
        ({"type": "mlflow", "url": "http://x", "alias": "Latest"}, "neither `latest` nor v with a number"),
        ({"type": "mlflow", "url": "http://x", "alias": "v7"}, "neither `latest` nor v with a number"),
        (
            {"type": "vertex", "project": "p", "location": "l", "bucket": "gs://b"},
            "exactly one of template_uri and pipeline_file",
        ),
        ({"type": "github", "repository": "models"}, "repository"),
        (
            {"type": "github", "repository": "a/b", "payload": {str(n): n for n in range(11)}},
            "at most 10 items",
        ),
    ],
)
def test_what_cannot_be_is_said_by_its_key(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_target({"name": "trainer", **entry})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "token_file: the token in token.txt must be letters, digits and signs without a space"),
        ("two words", "token_file: the token in token.txt must be letters, digits and signs without a space"),
    ],
)
def test_a_token_that_cannot_be_is_said_without_it(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "token.txt").write_text(text)
    settings = read_target({"name": "t", "type": "github", "repository": "a/b", "token_file": "token.txt"})

    with pytest.raises(ValueError, match="token_file") as refused:
        settings.build(Secrets(tmp_path, {}))

    assert str(refused.value).replace(f"{tmp_path}/", "") == said


def test_a_notice_says_every_field_that_templates_know() -> None:
    """The names are those of a decision to retrain as it is made."""
    from dataclasses import replace

    from monitor.alerting.retraining import RetrainOutcome
    from monitor.facts import RetrainDecided
    from monitor.targets.payloads import RETRAIN, Sender, notice
    from monitor.targets.templates import DATA_FIELDS
    from tests.monitor.targets.test_payloads import CHANGED

    alert = replace(CHANGED, calibration="week", instance="eu")
    fact = RetrainDecided(alert, RetrainOutcome.REQUESTED, NOON, NOON)
    said = json.loads(notice(fact, RETRAIN, Sender("hash", "1", "http://x")).data)
    nested = {"alert", "window", "data_range", "reference"}
    paths = {f"{name}.{inner}" for name in nested for inner in said[name]} | (said.keys() - nested)

    assert paths == DATA_FIELDS - {"evidence_omitted"}


def test_the_notifier_starts_it_once_though_it_dies_before_it_knows(start: Callable[..., Any], tmp_path: Path) -> None:
    """The answer is lost, the daemon starts anew on the same state, and the same outbox row is tried again."""
    airflow, clock, facts = start(Airflow), ManualClock(), []
    subscriber = Subscriber(built(airflow.entry()), "airflow", frozenset({"*"}))
    airflow.lose = 1
    for again in range(2):
        store = StateStore(tmp_path)
        if not again:
            store.save([], {}, [AddressedNotice(decision(), ("trainer",))], NOON)
        notifier = Notifier(subscriber, store, clock, facts.append)
        assert notifier.turn(way_out())
        clock.advance(3)
        backlog = store.backlog()
        store.close()

    assert [(fact.outcome, fact.status) for fact in facts] == [("retried", None), ("present", 409)]
    assert (list(airflow.runs), backlog) == ([RUN_ID], {})

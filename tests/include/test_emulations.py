"""A DAG of one's own gets the group, with what it says, as often as it likes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Param
from airflow.sdk.definitions.taskgroup import MappedTaskGroup
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from requests_mock.mocker import Mocker

from include import emulations
from include.emulations import domains_of_run, emulation_group, form_params, sum_up
from include.exceptions import AirflowUnavailableError, DataEmulatorConfigError
from include.operators.start_emulator import StartEmulatorOperator
from include.operators.status_emulation import StatusEmulationOperator

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_dag_has_several_of_them() -> None:
    with DAG("d", start_date=START) as dag:
        emulation_group("a") >> emulation_group("b", ["transaction"])
    assert dag.get_task("b.get_domains").upstream_task_ids == {"a.end"}
    assert dag.get_task("b.emulate.wait").upstream_task_ids == {"b.emulate.start", "b.get_domains"}
    assert dag.get_task("b.end").upstream_task_ids == {"b.emulate.wait", "b.get_domains", "b.check_pool"}
    groups = dag.task_group.get_task_group_dict()
    assert isinstance(groups["a.emulate"], MappedTaskGroup)
    assert isinstance(groups["b.emulate"], MappedTaskGroup)
    check: Any = dag.get_task("b.check_pool")
    assert (check.start_task_id, check.wait_task_id) == ("b.emulate.start", "b.emulate.wait")


def test_connection_pool_and_defaults_are_its_own() -> None:
    with DAG("d", start_date=START, default_args={"owner": "them", "retries": 9}) as dag:
        emulation_group(
            "a",
            data_emulator_conn_id="c",
            pool="p",
            abandon_after=60,
            default_args={"retries": 4, "retry_delay": timedelta(seconds=1)},
        )
        emulation_group("b", pool="default_pool")
    start: Any = dag.get_task("a.emulate.start")
    wait: Any = dag.get_task("a.emulate.wait")
    assert (start.pool, start.data_emulator_conn_id, start.abandon_after, start.retries) == ("p", "c", 60, 4)
    assert (wait.pool, wait.data_emulator_conn_id, wait.retries, wait.owner) == ("p", "c", 4, "them")
    assert dag.get_task("b.emulate.start").retries == 9
    assert not dag.has_task("b.check_pool"), "every Airflow has the default pool"


@pytest.mark.parametrize("share", [0, -0.1, 1.1, 2])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with (
        DAG("d", start_date=START),
        pytest.raises(ValueError, match="min_completed is a share of the domains and must be above 0 and at most 1"),
    ):
        emulation_group("a", min_completed=share)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The context of the running task."""
    context: dict[str, Any] = {"params": {name: param.resolve() for name, param in form_params().items()}}
    monkeypatch.setattr(emulations, "get_current_context", lambda: context)
    return context


@pytest.fixture
def variable(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Airflow's Variables; an exception there is raised."""
    variables: dict[str, Any] = {}

    def read(name: str) -> Any:
        value = variables.get(name)
        if isinstance(value, Exception):
            raise value
        return value

    monkeypatch.setattr("include.variables.read_variable", read)
    return variables


@pytest.mark.usefixtures("run")
class TestDomainsOfRun:
    def labels(self, domains: Any = "emulation_domains", *, with_form: bool = True) -> list[str]:
        return [entry["emulation_label"] for entry in domains_of_run(domains, with_form=with_form)]

    @pytest.mark.usefixtures("variable")
    def test_an_unset_variable_is_the_articles_list(self) -> None:
        assert self.labels() == ["user-profile", "device-log", "transaction"]

    def test_a_variable_that_cannot_be_read_is_not_taken_for_unset(self, variable: dict[str, Any]) -> None:
        variable["emulation_domains"] = AirflowUnavailableError("not now")
        with pytest.raises(AirflowUnavailableError) as caught:
            self.labels()
        assert not isinstance(caught.value, AirflowFailException), "get_domains would not be tried again"

    def test_a_mistake_fails_for_good_and_names_the_variable(self, variable: dict[str, Any]) -> None:
        variable["mine"] = "[5]"
        with pytest.raises(AirflowFailException, match="The Airflow Variable 'mine' cannot be used:\n- entry 0: must"):
            self.labels("mine")

    def test_a_list_of_ones_own(self) -> None:
        assert self.labels(["transaction", {"emulation_domain": "orders", "label": "x"}]) == ["transaction", "x"]
        with pytest.raises(AirflowFailException, match="it is empty"):
            self.labels([])

    def test_a_list_longer_than_airflow_maps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "2")
        with pytest.raises(AirflowFailException, match="it has 3 entries; it must have 1 to 2 "):
            self.labels(["transaction"] * 3)

    def test_the_form_counts_if_the_dag_has_it(self, run: dict[str, Any]) -> None:
        run["params"] |= {"rate": 5, "only": ["b"]}
        entries = ["a", "b"]
        assert [(each["emulation_label"], each["rate"]) for each in domains_of_run(entries, with_form=True)] == [
            ("b", 5)
        ]
        assert self.labels(entries, with_form=False) == ["a", "b"]
        run["params"]["only"] = ["c"]
        with pytest.raises(AirflowFailException, match="only names 'c', but no entry has that label"):
            self.labels(entries)

    def test_a_run_without_an_interval_fails_before_anything_starts(self, run: dict[str, Any]) -> None:
        times = dict.fromkeys(("data_interval_start", "data_interval_end", "logical_date"))
        run |= {"dag": DAG("d"), "dag_run": SimpleNamespace(**times, run_after=START, run_type="asset_triggered")}
        assert self.labels(["a"]) == ["a"]
        with pytest.raises(DataEmulatorConfigError, match="has no data interval"):
            self.labels(["a", {"emulation_domain": "b", "window": "data_interval"}])


@pytest.mark.usefixtures("run")
def test_an_entry_is_started_and_waited_for_at_the_service_that_it_names(
    make_context: Any, requests_mock: Mocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_B", '{"conn_type": "data_emulator", "host": "b", "schema": "http"}')
    requests_mock.post("http://b/emulator/", status_code=201, json={"id": "e1"})
    (entry,) = domains_of_run([{"emulation_domain": "transaction", "data_emulator_conn_id": "b"}], with_form=False)
    start = StartEmulatorOperator(task_id="start", arguments=entry)
    wait = StatusEmulationOperator(task_id="wait", arguments=entry, emulation_id="e1", deferrable=True)
    assert start.execute(make_context()) == "e1"
    with pytest.raises(TaskDeferred) as deferred:
        wait.execute(make_context())
    _, arguments = deferred.value.trigger.serialize()
    assert arguments["data_emulator_conn_id"] == "b"


def test_what_happened_is_summed_up_by_the_groups_own_tasks(run: dict[str, Any]) -> None:
    asked: list[Any] = []

    def xcom_pull(*, task_ids: list[str], key: str) -> list[Any]:
        asked.append((task_ids, key))
        return [{"label": "b", "reason": "why"}] if key == "failure" else [{"label": "a", **receipt}]

    receipt = {"records": 7, "bytes": 70, "place": "s3://a/"}
    states = {"g.emulate.wait_0": "success", "g.emulate.wait_1": "failed"}
    run["ti"] = SimpleNamespace(
        task_id="g.end", dag_id="d", run_id="r", xcom_pull=xcom_pull, get_task_states=lambda **_: {"r": states}
    )
    domains = [{"emulation_label": "a", "emulator_sync": "minio"}, {"emulation_label": "b", "emulator_sync": "kafka"}]
    assert sum_up(domains, 0.5) == {"domains": 2, "completed": 1, "records": 7, "bytes": 70}
    with pytest.raises(AirflowFailException, match=r"1 of 2 domains completed, 2 are needed\..*did not complete: why"):
        sum_up(domains, 1.0)
    assert asked[:2] == [(["g.emulate.wait"], "receipt"), (["g.emulate.start", "g.emulate.wait"], "failure")]


def test_without_a_list_the_end_says_where_to_look(run: dict[str, Any]) -> None:
    with pytest.raises(AirflowFailException, match="see the log of get_domains"):
        sum_up(None, 1.0)


def test_every_dag_has_params_of_its_own() -> None:
    first, second = form_params(), form_params()
    assert all(isinstance(each, Param) for each in first.values())
    assert not set(map(id, first.values())) & set(map(id, second.values()))

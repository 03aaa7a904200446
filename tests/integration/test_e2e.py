"""The whole path: a real Airflow runs the DAG, and the data is counted in the store and the broker.

One stack serves all tests. Each sets the Variable, triggers a run, and looks at that run only.
"""

import json
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from data_emulator.demo.demo import DAG_ID
from data_emulator.stack.addresses import Addresses
from data_emulator.stack.airflow_api import AirflowApi, TaskInstance
from data_emulator.stack.airflow_setup import DOMAINS_VARIABLE as VARIABLE
from data_emulator.verify.compare import Receipt, write_receipt

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

START, WAIT = "emulate.start", "emulate.wait"
RUN_TIMEOUT_S = 900
POOL = "data_emulator"

PROFILES = {"emulation_domain": "user-profile", "emulator_sync": "minio", "timeout": 5, "rate": 500}
LOGS = {"emulation_domain": "device-log", "emulator_sync": "kafka", "timeout": 5, "rate": 500}
TRANSACTIONS = {"emulation_domain": "transaction", "emulator_sync": "kafka", "timeout": 5, "rate": 500}


@pytest.fixture(scope="module")
def airflow(stack: Addresses) -> Iterator[AirflowApi]:
    assert stack.airflow_url is not None
    with AirflowApi(stack.airflow_url) as api:
        wait_until(lambda: api.has_dag(DAG_ID) or bool(api.import_errors()))
        assert api.import_errors() == []
        yield api


def wait_until(condition: Callable[[], bool], timeout_s: float = RUN_TIMEOUT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def trigger(airflow: AirflowApi, variable: object) -> str:
    airflow.set_variable(VARIABLE, variable if isinstance(variable, str) else json.dumps(variable))
    return airflow.trigger(DAG_ID)


def outcome(airflow: AirflowApi, run_id: str) -> str:
    """Wait for the end of a run, and return its state."""
    wait_until(lambda: airflow.run_state(DAG_ID, run_id) in ("success", "failed"))
    return airflow.run_state(DAG_ID, run_id)


def tasks(airflow: AirflowApi, run_id: str) -> dict[tuple[str, int], TaskInstance]:
    return {(task.task_id, task.map_index): task for task in airflow.task_instances(DAG_ID, run_id)}


def states(airflow: AirflowApi, run_id: str, task_id: str) -> dict[str | None, str | None]:
    """Return the states of a mapped task by label, which is the domain."""
    return {task.label: task.state for task in tasks(airflow, run_id).values() if task.task_id == task_id}


def receipt(airflow: AirflowApi, stack: Addresses, run_id: str, map_index: int) -> Receipt:
    """Count the data of the emulation that a mapped pair of tasks names by what both returned."""
    emulation_id = airflow.return_value(DAG_ID, run_id, START, map_index)
    assert airflow.return_value(DAG_ID, run_id, WAIT, map_index) == emulation_id
    return write_receipt(emulation_id, service_url=stack.service_url, settings=stack.settings())


def test_a_run_emulates_every_domain_and_a_domain_added_to_the_variable_runs_next(
    airflow: AirflowApi, stack: Addresses
) -> None:
    first = trigger(airflow, [PROFILES, LOGS])
    assert outcome(airflow, first) == "success"
    assert states(airflow, first, WAIT) == {"user-profile": "success", "device-log": "success"}

    second = trigger(airflow, [PROFILES, LOGS, TRANSACTIONS])
    assert outcome(airflow, second) == "success"
    assert states(airflow, second, WAIT) == dict.fromkeys(("user-profile", "device-log", "transaction"), "success")

    receipts = [receipt(airflow, stack, first, index) for index in range(2)]
    receipts += [receipt(airflow, stack, second, index) for index in range(3)]
    assert [(found.manifest.bucket or found.manifest.topic) for found in receipts] == [
        "user-profiles",
        "device-logs",
        "user-profiles",
        "device-logs",
        "transactions",
    ]
    for found in receipts:
        assert found.problems == ()
        assert found.counted.records > 0
    assert len({found.manifest.id for found in receipts}) == 5


@pytest.fixture
def one_slot(airflow: AirflowApi) -> Iterator[None]:
    """The pool of emulations with a single slot."""
    found = airflow.request("GET", f"/pools/{POOL}")
    pool = {"pool": POOL, "slots": found["slots"], "include_deferred": found["include_deferred"]}
    airflow.request("PATCH", f"/pools/{POOL}", {**pool, "slots": 1})
    yield
    airflow.request("PATCH", f"/pools/{POOL}", pool)


@pytest.mark.usefixtures("one_slot")
def test_no_more_emulations_run_at_a_time_than_the_pool_allows(airflow: AirflowApi, stack: Addresses) -> None:
    entries = [{**PROFILES, "timeout": 3, "rate": 5, "label": f"profiles {number}"} for number in range(3)]
    at_a_time = []
    with httpx.Client(base_url=stack.service_url, timeout=30, trust_env=False) as service:

        def processing() -> set[str]:
            answer = service.get("/emulator/", params={"status": "processing", "limit": 1000}).raise_for_status()
            return {each["id"] for each in answer.json()["emulations"]}

        others = processing()  # what another test has left in the service that they share
        run_id = trigger(airflow, entries)
        while airflow.run_state(DAG_ID, run_id) not in ("success", "failed"):
            for _ in range(5):
                at_a_time.append(len(processing() - others))
                time.sleep(0.2)
    assert states(airflow, run_id, WAIT) == {str(entry["label"]): "success" for entry in entries}
    # A start that is done leaves its slot to its own wait, unless the start of the next domain is quicker.
    assert max(at_a_time) in (1, 2)


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("[{", "Variable 'emulation_domains' cannot be used"),
        (json.dumps([PROFILES, {**LOGS, "emulator_sync": "s3"}]), "entry 1 ('device-log'): emulator_sync is \"s3\""),
    ],
    ids=["not JSON", "a wrong entry"],
)
def test_a_malformed_variable_fails_get_domains_and_says_what_is_wrong(
    airflow: AirflowApi, variable: str, message: str
) -> None:
    run_id = trigger(airflow, variable)
    assert outcome(airflow, run_id) == "failed"
    found = tasks(airflow, run_id)
    failed = found["get_domains", -1]
    assert failed.state == "failed"
    assert message in "\n".join(airflow.task_log(DAG_ID, run_id, failed))
    assert not any(task_id == START and task.state == "success" for (task_id, _), task in found.items())


def test_failing_and_then_clearing_one_domain_leaves_the_others_alone(airflow: AirflowApi, stack: Addresses) -> None:
    run_id = trigger(airflow, [{**PROFILES, "timeout": 600}, LOGS])
    wait_until(lambda: tasks(airflow, run_id).get((WAIT, 0), None) is not None)
    wait_until(lambda: tasks(airflow, run_id)[WAIT, 0].state == "deferred")
    path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances"

    airflow.request("PATCH", f"{path}/{WAIT}/0", {"new_state": "failed"})

    assert outcome(airflow, run_id) == "failed"
    assert states(airflow, run_id, WAIT) == {"user-profile": "failed", "device-log": "success"}
    other = receipt(airflow, stack, run_id, 1)
    assert other.problems == ()
    failed_id = airflow.return_value(DAG_ID, run_id, START, 0)
    before = tasks(airflow, run_id)

    # The list was mapped when the run began: the same entry again would run for ten minutes, so end it once it waits.
    body = {
        "dry_run": False,
        "dag_run_id": run_id,
        "task_ids": [[START, 0], [WAIT, 0], "end"],
        "only_failed": False,
        "reset_dag_runs": True,
    }
    airflow.request("POST", f"/dags/{DAG_ID}/clearTaskInstances", body)
    wait_until(lambda: tasks(airflow, run_id)[WAIT, 0].state == "deferred")
    new_id = airflow.return_value(DAG_ID, run_id, START, 0)
    airflow.request("PATCH", f"{path}/{WAIT}/0", {"new_state": "success"})

    assert outcome(airflow, run_id) == "success"
    assert new_id != failed_id
    after = tasks(airflow, run_id)
    assert after[START, 1] == before[START, 1]
    assert after[WAIT, 1] == before[WAIT, 1]
    assert receipt(airflow, stack, run_id, 1).manifest == other.manifest

"""The demo: the article's DAG, run for real on a stack of its own, and the receipt for what it wrote."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from data_emulator.stack import bronze
from data_emulator.stack.airflow_api import AirflowApi, TaskInstance
from data_emulator.stack.bronze import BronzeRun, wait_for_bronze
from data_emulator.stack.console import console
from data_emulator.stack.interrupts import Interrupted, interrupts_raise
from data_emulator.stack.processes import StackError
from data_emulator.stack.progress import Display, DomainProgress, update
from data_emulator.stack.receipt import print_receipts, write_receipt
from data_emulator.stack.stack import Addresses, Stack, lab_dir

DAG_ID = "all_emulations_dag"
VARIABLE = "emulation_domains"
# The article's three domains and sinks, which it lets run for 30 and 60 s.
DOMAINS: tuple[dict[str, object], ...] = (
    {"emulation_domain": "user-profile", "emulator_sync": "minio", "timeout": 15},
    {"emulation_domain": "device-log", "emulator_sync": "kafka", "timeout": 20},
    {"emulation_domain": "transaction", "emulator_sync": "kafka", "timeout": 20},
)
_DAG_PARSED_TIMEOUT_S = 120
_RUN_TIMEOUT_S = 600
_BRONZE_TIMEOUT_S = 180
_POLL_INTERVAL_S = 1.0
_LOG_LINES_SHOWN = 15


def run() -> int:
    """Run the demo and return its exit status: 0 if every domain completed and was counted right.

    Nothing is left running, however it ends; its folder with the servers' logs is kept only when something went wrong.
    Must be called in the main thread, for it handles ctrl-C.
    """
    lab_dir().mkdir(parents=True, exist_ok=True)
    run_dir = Path(tempfile.mkdtemp(prefix="demo-", dir=lab_dir()))
    # Without schedules: an active DAG that is due would otherwise start a run of its own beside the demo's.
    stack = Stack(run_dir, with_airflow=True, guarded=True, scheduled=False)
    with interrupts_raise():
        try:
            try:
                succeeded = _run(stack)
            except StackError as error:
                console.print(f"error: {error}", style="red", markup=False)
                succeeded = False
            finally:
                stack.stop()
        except Interrupted as interruption:  # Raised once only: what follows is not disturbed.
            stack.stop()
            shutil.rmtree(run_dir)
            console.print("Interrupted; nothing is left running.")
            return interruption.exit_status
    if succeeded:
        shutil.rmtree(run_dir)
        console.print(
            "Every domain completed, was counted right and is in bronze. All servers are stopped.", style="green"
        )
        return 0
    console.print(f"The demo failed. What the servers logged is in {run_dir / 'logs'}.", style="red", soft_wrap=True)
    return 1


def _run(stack: Stack) -> bool:
    """Run the DAG on the stack and return whether all of it is right. Raises StackError."""
    started_at = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[{time.monotonic() - started_at:5.1f} s] {text}", markup=False, soft_wrap=True)

    say("starting S3, Kafka, the service and Airflow")
    addresses = stack.start(say)
    progress = [DomainProgress(str(entry["emulation_domain"])) for entry in DOMAINS]
    with (
        AirflowApi(str(addresses.airflow_url)) as airflow,
        httpx.Client(base_url=addresses.service_url, trust_env=False, timeout=30) as service,
    ):
        _wait_until_parsed(airflow)
        airflow.set_variable(VARIABLE, json.dumps(DOMAINS))
        run_id = airflow.trigger(DAG_ID)
        say(f"{DAG_ID} triggered: {addresses.airflow_url}/dags/{DAG_ID}")
        state = _watch(progress, airflow, service, run_id, say)
        say(f"the run of {DAG_ID} ended: {state}")
        if state != "success":
            _explain(progress, airflow, run_id)
        ids = [domain.emulation_id for domain in progress if domain.emulation_id and domain.emulation == "completed"]
        runs = wait_for_bronze(airflow, ids, timeout_s=_BRONZE_TIMEOUT_S, say=say)
        _explain_bronze(runs, airflow)
    say("counting what lies in the store and the broker")
    counted_right = _count(progress, addresses, runs)
    return state == "success" and counted_right


def _wait_until_parsed(airflow: AirflowApi) -> None:
    """Return when Airflow has read both DAGs. Raises StackError, with the traceback, when it cannot."""
    deadline = time.monotonic() + _DAG_PARSED_TIMEOUT_S
    while not (airflow.has_dag(DAG_ID) and airflow.has_dag(bronze.DAG_ID)):
        errors = airflow.import_errors()
        if errors:
            raise StackError(f"Airflow cannot read a DAG file:\n{errors[0]}")
        if time.monotonic() >= deadline:
            raise StackError(f"Airflow has not found {DAG_ID} and {bronze.DAG_ID} within {_DAG_PARSED_TIMEOUT_S} s")
        time.sleep(_POLL_INTERVAL_S)


def _watch(
    progress: Sequence[DomainProgress],
    airflow: AirflowApi,
    service: httpx.Client,
    run_id: str,
    say: Callable[[str], None],
) -> str:
    """Show the progress until the run ends, and return its state. Raises StackError when that takes too long."""
    deadline = time.monotonic() + _RUN_TIMEOUT_S
    with Display(say) as display:
        while True:
            state = airflow.run_state(DAG_ID, run_id)
            update(progress, airflow, service, DAG_ID, run_id)
            display.show(progress)
            if state in ("success", "failed"):
                return state
            if time.monotonic() >= deadline:
                raise StackError(f"the run {run_id} of {DAG_ID} is still {state} after {_RUN_TIMEOUT_S} s")
            time.sleep(_POLL_INTERVAL_S)


def _explain(progress: Sequence[DomainProgress], airflow: AirflowApi, run_id: str) -> None:
    """Print what the service and the failed tasks say of the failure."""
    for domain in progress:
        if domain.error:
            console.print(f"{domain.domain}: {domain.error}", style="red", markup=False)
    for task in airflow.task_instances(DAG_ID, run_id):
        if task.state == "failed":
            _print_log(airflow, DAG_ID, run_id, task)


def _explain_bronze(runs: Sequence[BronzeRun], airflow: AirflowApi) -> None:
    """Print what the failed tasks of the bronze runs say."""
    for run in runs:
        for task in airflow.task_instances(bronze.DAG_ID, run.run_id) if run.state == "failed" else ():
            if task.state == "failed":
                _print_log(airflow, bronze.DAG_ID, run.run_id, task)


def _print_log(airflow: AirflowApi, dag_id: str, run_id: str, task: TaskInstance) -> None:
    console.print(f"The end of the log of task {task.task_id} {task.label or ''}:", style="red", markup=False)
    for line in airflow.task_log(dag_id, run_id, task)[-_LOG_LINES_SHOWN:]:
        console.print(f"  {line}", markup=False)


def _count(progress: Sequence[DomainProgress], addresses: Addresses, runs: Sequence[BronzeRun]) -> bool:
    """Print the receipt, and return whether every domain has data, all of it was counted right, and is in bronze."""
    ids = [domain.emulation_id for domain in progress if domain.emulation_id is not None]
    settings = addresses.settings()
    receipts = [write_receipt(each, service_url=addresses.service_url, settings=settings) for each in ids]
    rows = {each: [run.rows.get(each) for run in runs if each in run.emulation_ids] for each in ids}
    right = print_receipts(receipts, rows)
    return right and len(ids) == len(progress) and all(receipt.counted.records > 0 for receipt in receipts)

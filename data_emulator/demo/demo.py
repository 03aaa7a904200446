"""The demo: the article's DAG, run for real on a stack of its own; what it wrote is counted and shown."""

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from data_emulator.console import Clock, console
from data_emulator.demo import bronze
from data_emulator.demo.bronze import wait_for_bronze
from data_emulator.demo.explanation import explain, explain_differences
from data_emulator.demo.progress import Display, DomainProgress, update
from data_emulator.demo.showcase import show_next_steps, show_records
from data_emulator.stack.airflow_api import AirflowApi
from data_emulator.stack.airflow_setup import DOMAINS_VARIABLE
from data_emulator.stack.disk import full_disk
from data_emulator.stack.folders import lab_dir
from data_emulator.stack.interrupts import Interrupted, interrupts_raise
from data_emulator.stack.processes import StackError
from data_emulator.stack.stack import Stack
from data_emulator.verify.compare import write_receipt
from data_emulator.verify.readback import ReadBackError
from data_emulator.verify.receipt import print_receipts

DAG_ID = "all_emulations_dag"
# The article's three domains and sinks, which it lets run for 30 and 60 s.
DOMAINS: tuple[dict[str, object], ...] = (
    {"emulation_domain": "user-profile", "emulator_sync": "minio", "timeout": 15},
    {"emulation_domain": "device-log", "emulator_sync": "kafka", "timeout": 20},
    {"emulation_domain": "transaction", "emulator_sync": "kafka", "timeout": 20},
)
# More than five times what a busy machine with two cores takes.
_DAG_PARSED_TIMEOUT_S = 300
_RUN_TIMEOUT_S = 1200
_BRONZE_TIMEOUT_S = 600
_POLL_INTERVAL_S = 1.0


class DemoFailedError(StackError):
    """What the demo is there to show did not come about; the message says why."""


def run() -> int:
    """Run the demo and return its exit status: 0 if every domain completed and was counted right.

    Nothing is left running, however it ends; its folder with the servers' logs is kept only when something went wrong.
    Must be called in the main thread, for it handles ctrl-C.
    """
    lab_dir().mkdir(parents=True, exist_ok=True)
    run_dir = Path(tempfile.mkdtemp(prefix="demo-", dir=lab_dir()))
    # Without schedules: an active DAG that is due would otherwise start a run of its own beside the demo's.
    stack = Stack(run_dir, with_airflow=True, scheduled=False)
    failure: StackError | ReadBackError | None = None
    with interrupts_raise():
        try:
            try:
                _run(stack)
            except (StackError, ReadBackError) as error:
                full = full_disk(run_dir)  # which may show as any error
                failure = DemoFailedError(full) if full else error
            finally:
                stack.stop()
        except Interrupted as interruption:  # Raised once only: what follows is not disturbed.
            stack.stop()
            shutil.rmtree(run_dir)
            console.print("Interrupted; nothing is left running.")
            return interruption.exit_status
    if failure is not None:
        console.print(f"The demo failed: {failure}", style="red", markup=False)
        if (run_dir / "logs").exists():
            console.print(f"Everything is stopped. The servers' logs are in {run_dir / 'logs'}", soft_wrap=True)
        else:
            shutil.rmtree(run_dir)
        return 1
    shutil.rmtree(run_dir)
    console.print(
        "\nEvery domain completed, and all of its data was found. Everything the demo started is stopped again.",
        style="green",
    )
    show_next_steps()
    return 0


def _run(stack: Stack) -> None:
    """Run the DAG on the stack, and show what it wrote.

    Raises StackError when not all of it is right, ReadBackError when it cannot be read.
    """
    clock = Clock()
    clock.say("Starting an S3 store, a Kafka broker, the Data Emulator Service and Airflow")
    # Of a server that dies, without the end of its log: where all logs are is said if the demo fails.
    addresses = stack.start(lambda text: clock.say(text.partition(". The end of its log")[0]))
    with AirflowApi(str(addresses.airflow_url)) as airflow:
        _wait_until_parsed(airflow, stack)
        airflow.set_variable(DOMAINS_VARIABLE, json.dumps(DOMAINS))
        run_id = airflow.trigger(DAG_ID)
        clock.say(f"Started {DAG_ID}, which has the service generate data\n{addresses.airflow_url}/dags/{DAG_ID}")
        progress = [DomainProgress(str(entry["emulation_domain"])) for entry in DOMAINS]
        if _watch(progress, airflow, run_id, stack, clock) != "success":
            raise DemoFailedError("\n".join(explain(airflow, DAG_ID, run_id)))
        clock.say(f"{DAG_ID} succeeded; {bronze.DAG_ID} now checks the data and copies it to tables, the bronze layer")
        ids = [str(domain.emulation_id) for domain in progress]
        runs = wait_for_bronze(airflow, ids, timeout_s=_BRONZE_TIMEOUT_S, say=clock.say, check=lambda: _check(stack))
        failed = [run for run in runs if run.state == "failed"]
        reasons = [text for run in failed for text in explain(airflow, bronze.DAG_ID, run.run_id, domain=run.domain)]
    clock.say("Counting what is actually in S3 and Kafka")
    settings = addresses.settings()
    receipts = [write_receipt(each, service_url=addresses.service_url, settings=settings) for each in ids]
    rows = {each: [run.rows.get(each) for run in runs if each in run.emulation_ids] for each in ids}
    right = print_receipts(receipts, rows)
    # What is wrong with the data is why bronze refuses it, too.
    if reasons := list(explain_differences(receipts)) or reasons:
        raise DemoFailedError("\n".join(reasons))
    if not right:
        raise DemoFailedError(f"{bronze.DAG_ID} has not copied every domain once within {_BRONZE_TIMEOUT_S} s")
    show_records([receipt.manifest for receipt in receipts], settings)


def _check(stack: Stack) -> None:
    """Raise StackError when the stack cannot go on: then nothing is worth waiting for."""
    stack.check()
    if full := full_disk(stack.run_dir):
        raise DemoFailedError(full)


def _wait_until_parsed(airflow: AirflowApi, stack: Stack) -> None:
    """Return when Airflow has read both DAGs. Raises StackError, with the traceback, when it cannot."""
    deadline = time.monotonic() + _DAG_PARSED_TIMEOUT_S
    while not (airflow.has_dag(DAG_ID) and airflow.has_dag(bronze.DAG_ID)):
        _check(stack)
        errors = airflow.import_errors()
        if errors:
            raise StackError(f"Airflow cannot read a DAG file:\n{errors[0]}")
        if time.monotonic() >= deadline:
            raise StackError(f"Airflow has not found {DAG_ID} and {bronze.DAG_ID} within {_DAG_PARSED_TIMEOUT_S} s")
        time.sleep(_POLL_INTERVAL_S)


def _watch(progress: Sequence[DomainProgress], airflow: AirflowApi, run_id: str, stack: Stack, clock: Clock) -> str:
    """Show the progress until the run ends, and return its state. Raises StackError when that takes too long."""
    deadline = time.monotonic() + _RUN_TIMEOUT_S
    with (
        httpx.Client(base_url=stack.addresses.service_url, trust_env=False, timeout=30) as service,
        Display(clock) as display,
    ):
        while True:
            _check(stack)
            state = airflow.run_state(DAG_ID, run_id)
            update(progress, airflow, service, DAG_ID, run_id)
            display.show(progress)
            if state in ("success", "failed"):
                return state
            if time.monotonic() >= deadline:
                raise StackError(f"{DAG_ID} has not ended after {_RUN_TIMEOUT_S} s")
            time.sleep(_POLL_INTERVAL_S)

"""Why a run in Airflow has failed, or its data is wrong, in sentences for those who do not read task logs."""

from collections.abc import Iterable, Iterator

from data_emulator.stack.airflow_api import AirflowApi, TaskInstance
from data_emulator.verify.compare import Receipt

# The task that sums up what the others said already.
_SUMMARY_TASK = "end"
# As include/operators/emulation.py stores it: label and reason.
_FAILURE_KEY = "failure"
_DOUBLED = "When a server dies, records can be in Kafka twice: the demo's broker lacks the transactions that prevent it"


def explain(airflow: AirflowApi, dag_id: str, run_id: str, *, domain: str | None = None) -> list[str]:
    """Return a sentence for each reason for which tasks of a run have failed, with the domains that it is true of.

    `domain` is the one of a run that is for one only; else a task's label is its domain. Raises the errors of
    AirflowApi.
    """
    failed = [task for task in airflow.task_instances(dag_id, run_id) if task.state == "failed"]
    causes = [task for task in failed if task.task_id != _SUMMARY_TASK] or failed
    labels: dict[str, list[str]] = {}
    for task in causes:
        reason = _reason(airflow, dag_id, run_id, task)
        label = domain or task.label
        labels.setdefault(reason, []).extend([label] if label else [])
    return [f"{', '.join(domains)}: {reason}" if domains else reason for reason, domains in labels.items()]


def _reason(airflow: AirflowApi, dag_id: str, run_id: str, task: TaskInstance) -> str:
    """Return what the task says of its failure: in an XCom, if it is one of ours, else by its error."""
    failure = airflow.xcom(dag_id, run_id, task.task_id, task.map_index, _FAILURE_KEY)
    if isinstance(failure, dict) and failure.get("reason"):
        return str(failure["reason"])
    return airflow.task_error(dag_id, run_id, task) or f"task {task.task_id} failed without saying why"


def explain_differences(receipts: Iterable[Receipt]) -> Iterator[str]:
    """Yield a sentence for each emulation whose data is not what the service says, or of which there is none."""
    for receipt in receipts:
        counted, totals = receipt.counted, receipt.manifest.totals
        if receipt.problems:
            text = f"{receipt.manifest.emulation_domain}: {receipt.problems[0]}"
            if receipt.manifest.sink == "kafka" and counted.records > totals.records:
                text += f". {_DOUBLED}"
            yield text
        elif not counted.records:
            yield f"{receipt.manifest.emulation_domain}: no records were generated"

"""Why a run in Airflow has failed, in sentences for those who do not read task logs."""

from data_emulator.stack.airflow_api import AirflowApi, TaskInstance

# The task that sums up what the others said already.
_SUMMARY_TASK = "end"
# As include/operators/emulation.py stores it: label and reason.
_FAILURE_KEY = "failure"


def explain(airflow: AirflowApi, dag_id: str, run_id: str) -> list[str]:
    """Return a sentence for each reason for which tasks of a run have failed, with the domains that it is true of.

    Raises the errors of AirflowApi.
    """
    failed = [task for task in airflow.task_instances(dag_id, run_id) if task.state == "failed"]
    causes = [task for task in failed if task.task_id != _SUMMARY_TASK] or failed
    labels: dict[str, list[str]] = {}
    for task in causes:
        reason = _reason(airflow, dag_id, run_id, task)
        labels.setdefault(reason, []).extend([task.label] if task.label else [])
    return [f"{', '.join(domains)}: {reason}" if domains else reason for reason, domains in labels.items()]


def _reason(airflow: AirflowApi, dag_id: str, run_id: str, task: TaskInstance) -> str:
    """Return what the task says of its failure: in an XCom, if it is one of ours, else by its error."""
    failure = airflow.xcom(dag_id, run_id, task.task_id, task.map_index, _FAILURE_KEY)
    if isinstance(failure, dict) and failure.get("reason"):
        return str(failure["reason"])
    return airflow.task_error(dag_id, run_id, task) or f"task {task.task_id} failed without saying why"

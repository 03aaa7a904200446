"""A thin client of Airflow's REST API (v2), as far as the stack and the demo need it."""

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from data_emulator.stack.processes import StackError

_TIMEOUT_S = 30.0
# Longer than a busy machine takes to start the API server again.
_RESENT_FOR_S = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 4.0
_IDEMPOTENT = ("GET", "PATCH")


class AirflowApiError(StackError):
    """Airflow answered a request with an error; `status` is the HTTP status."""

    def __init__(self, method: str, path: str, response: httpx.Response) -> None:
        self.status = response.status_code
        super().__init__(f"Airflow answered {method} {path} with {response.status_code}: {response.text[:500]}")


class AirflowUnreachableError(StackError):
    """Airflow gave no answer to a request."""


@dataclass(frozen=True)
class TaskInstance:
    """One task of a run; `map_index` is -1 for a task that is not mapped, `state` None before it is scheduled."""

    task_id: str
    map_index: int
    label: str | None
    state: str | None
    try_number: int


class AirflowApi:
    """Requests to the Airflow at `url`, which asks for no login.

    Every method raises AirflowApiError for an error status and AirflowUnreachableError when there is no answer.
    """

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False)
        self._token: str | None = None

    def request(self, method: str, path: str, body: object = None, **params: str | int) -> Any:
        """Send a request to `/api/v2` and return the parsed JSON of the answer, or None when it has no body.

        A server error, or no answer, has a GET or PATCH sent again for a minute; and any request when Airflow says that
        the database was locked, since it has stored nothing then.
        """
        return self._request(method, path, body, params, resent=method in _IDEMPOTENT)

    def _create(self, path: str, body: Mapping[str, object]) -> bool:
        """Create what `body` names, and return False when there is one already.

        It is sent again like a GET, so what there is may be what an earlier attempt has created.
        """
        try:
            self._request("POST", path, body, {}, resent=True)
        except AirflowApiError as error:
            if error.status != httpx.codes.CONFLICT:
                raise
            return False
        return True

    def _request(self, method: str, path: str, body: object, params: Mapping[str, str | int], *, resent: bool) -> Any:
        if self._token is None:
            self._token = self._send("GET", "/auth/token", resent=True).json()["access_token"]
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        response = self._send(method, f"/api/v2{path}", resent=resent, json=body, params=params, headers=headers)
        return response.json() if response.content else None

    def _send(self, method: str, path: str, *, resent: bool, **arguments: Any) -> httpx.Response:
        deadline, pause_s = time.monotonic() + _RESENT_FOR_S, _FIRST_PAUSE_S
        while True:
            try:
                response = self._client.request(method, path, **arguments)
            except httpx.TransportError as error:
                if not resent or time.monotonic() >= deadline:
                    raise AirflowUnreachableError(f"Airflow gave no answer to {method} {path}: {error!r}") from error
            else:
                if not response.is_error:
                    return response
                again = _was_locked(response) or (resent and response.is_server_error)
                if not again or time.monotonic() >= deadline:
                    raise AirflowApiError(method, path, response)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def set_variable(self, key: str, value: str) -> None:
        """Create variable `key`, or give it another value."""
        body = {"key": key, "value": value}
        try:
            self.request("PATCH", f"/variables/{key}", body)
        except AirflowApiError as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise
            self._create("/variables", body)

    def create_variable(self, key: str, value: str, *, description: str) -> None:
        """Create variable `key`, unless there is one."""
        self._create("/variables", {"key": key, "value": value, "description": description})

    def connection(self, connection_id: str) -> dict[str, Any] | None:
        """Return connection `connection_id` without its secrets, or None when there is none."""
        try:
            found: dict[str, Any] = self.request("GET", f"/connections/{connection_id}")
        except AirflowApiError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return None
            raise
        return found

    def create_connection(self, body: Mapping[str, object]) -> None:
        """Create the connection that `body` describes by the API's names, unless there is one of its id."""
        self._create("/connections", body)

    def set_connection_port(self, connection_id: str, port: int) -> None:
        """Point connection `connection_id` to another port, leaving the rest of it as it is."""
        connection = self.request("GET", f"/connections/{connection_id}")
        body = {key: connection[key] for key in ("connection_id", "conn_type")} | {"port": port}
        self.request("PATCH", f"/connections/{connection_id}", body, update_mask="port")

    def set_connection_extra(self, connection_id: str, extra: Mapping[str, object]) -> None:
        """Give connection `connection_id` another extra, leaving the rest of it as it is."""
        connection = self.request("GET", f"/connections/{connection_id}")
        body = {key: connection[key] for key in ("connection_id", "conn_type")} | {"extra": json.dumps(dict(extra))}
        self.request("PATCH", f"/connections/{connection_id}", body, update_mask="extra")

    def ensure_pool(self, name: str, *, slots: int, description: str) -> None:
        """Create pool `name`, or leave its slots as they are; deferred tasks count in it from now on."""
        pool = {"slots": slots, "description": description, "include_deferred": True}
        if not self._create("/pools", {"name": name, **pool}):
            self.request("PATCH", f"/pools/{name}", {"pool": name, **pool}, update_mask="include_deferred")

    def has_dag(self, dag_id: str) -> bool:
        """Tell whether the DAG `dag_id` has been read."""
        try:
            self.request("GET", f"/dags/{dag_id}")
        except AirflowApiError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return False
            raise
        return True

    def import_errors(self) -> list[str]:
        """Return the traceback of each DAG file that could not be read."""
        return [str(error["stack_trace"]) for error in self.request("GET", "/importErrors")["import_errors"]]

    def trigger(self, dag_id: str) -> str:
        """Start one run of the DAG, however often that has to be asked for, and return its run id."""
        run_id = f"manual__{uuid.uuid4()}"
        self._create(f"/dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": None})
        return run_id

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run: queued, running, success or failed."""
        return str(self.request("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the newest 100 runs of the DAG as the API describes them, the oldest first."""
        found = self.request("GET", f"/dags/{dag_id}/dagRuns", order_by="-id", limit=100)["dag_runs"]
        return list(reversed(found))

    def run_events(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the extra of each asset event that started a run."""
        found = self.request("GET", f"/dags/{dag_id}/dagRuns/{run_id}/upstreamAssetEvents")["asset_events"]
        return [dict(event["extra"] or {}) for event in found]

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """Return the tasks of a run, each mapped one as often as it has been mapped."""
        found = self.request("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=1000)
        return [
            TaskInstance(
                entry["task_id"], entry["map_index"], entry["rendered_map_index"], entry["state"], entry["try_number"]
            )
            for entry in found["task_instances"]
        ]

    def return_value(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> Any:
        """Return what a task returned, or None when it has returned nothing yet."""
        return self.xcom(dag_id, run_id, task_id, map_index, "return_value")

    def xcom(self, dag_id: str, run_id: str, task_id: str, map_index: int, key: str) -> Any:
        """Return what a task has stored as XCom `key`, or None when it has not."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        try:
            return self.request("GET", path, map_index=map_index)["value"]
        except AirflowApiError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def task_log(self, dag_id: str, run_id: str, task: TaskInstance) -> list[str]:
        """Return the lines that the last try of a task logged, its error and traceback among them."""
        return [line for entry in self._log_entries(dag_id, run_id, task) for line in _log_lines(entry)]

    def task_error(self, dag_id: str, run_id: str, task: TaskInstance) -> str | None:
        """Return the message of the error that the last try of a task ended with, or None when its log has none."""
        errors = [entry for entry in self._log_entries(dag_id, run_id, task) if not isinstance(entry, str)]
        for entry in reversed(errors):
            if entry.get("error_detail"):
                return str(entry["error_detail"][0]["exc_value"] or entry["error_detail"][0]["exc_type"])
        return next((str(entry["event"]) for entry in reversed(errors) if entry.get("level") == "error"), None)

    def _log_entries(self, dag_id: str, run_id: str, task: TaskInstance) -> list[str | dict[str, Any]]:
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task.task_id}/logs/{task.try_number}"
        return list(self.request("GET", path, map_index=task.map_index, full_content="true")["content"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()


def _was_locked(response: httpx.Response) -> bool:
    """Tell whether Airflow has waited for SQLite's lock in vain; it has stored nothing then."""
    return response.status_code == httpx.codes.INTERNAL_SERVER_ERROR and "Database error" in response.text


def _log_lines(entry: str | Mapping[str, Any]) -> list[str]:
    """Return a structured log entry as lines: the event, then each error's type and value."""
    if isinstance(entry, str):
        return [entry]
    errors = [f"{error['exc_type']}: {error['exc_value']}" for error in entry.get("error_detail") or []]
    return [str(entry.get("event", "")), *errors]

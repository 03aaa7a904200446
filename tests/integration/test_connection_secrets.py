"""No secret of a malformed connection is in anything that Airflow writes or answers: a canary in every field.

On a real Airflow: *Test* in the API server, a task that starts, and a wait in the triggerer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from data_emulator.stack.airflow_api import AirflowApi, AirflowApiError
from data_emulator.stack.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CANARY = "canary7f3a"
#: Each has the canary where people have put a token by mistake, or where it belongs, in a form that cannot be used.
MALFORMED: dict[str, dict[str, Any]] = {
    "a line end in the token": {"password": f"{CANARY}\n"},
    "a header in the token": {"password": f"x\r\nX-Evil: {CANARY}"},
    "a blank in the token": {"password": f"{CANARY} x"},
    "another alphabet": {"password": f"{CANARY}é"},
    "a colon in the login": {"login": "a:b", "password": CANARY},
    "in the host": {"host": f"http://me:{CANARY}@127.0.0.1"},
    "in the host's query": {"host": f"127.0.0.1?token={CANARY}"},
    # What Airflow makes of the URI data_emulator://:TOKEN@127.0.0.1:8000.
    "a uri with an underscore": {"host": "", "schema": f"ata_emulator//:{CANARY}@127.0.0.1:8000", "port": None},
    "a header's value": {"extra": {"X-Api-Key": f"{CANARY}\n"}},
    "an object as a header": {"extra": {"X-Api-Key": {"key": CANARY}}},
    "two ways to log in": {"password": CANARY, "extra": {"Authorization": f"Bearer {CANARY}"}},
    "a proxy": {"extra": {"proxies": f"socks5://me:{CANARY}@127.0.0.1:9"}},
    "a proxy that is not there": {"extra": {"proxies": f"http://me:{CANARY}@127.0.0.1:9", "retry_attempts": 1}},
    "an extra that is a list": {"extra": [CANARY]},
    "a certificate": {"password": CANARY, "host": "https://127.0.0.1", "extra": {"cert": ["/no/such.pem", "/k.pem"]}},
}


GOOD_ONE = "canary_good"


@pytest.fixture(scope="module")
def airflow(whole_stack: Stack) -> Iterator[AirflowApi]:
    assert whole_stack.addresses.airflow_url is not None
    with AirflowApi(whole_stack.addresses.airflow_url) as api:
        until(lambda: api.has_dag("canary"))
        yield api


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.3)


def connection(conn_id: str, port: int, fields: dict[str, Any]) -> dict[str, Any]:
    good = {"conn_type": "data_emulator", "host": "127.0.0.1", "schema": "http", "port": port, "extra": {}}
    body = {"connection_id": conn_id, **good, **fields}
    return {**body, "extra": json.dumps(body["extra"])}


def written(whole_stack: Stack) -> str:
    """All that the stack's programs, and Airflow's tasks and triggers, have written into logs."""
    assert whole_stack.airflow is not None
    files = [path for path in whole_stack.run_dir.rglob("*") if path.is_file() and "log" in path.suffix]
    assert any("triggerer" in path.name for path in files)
    return "\n".join(path.read_text(errors="replace") for path in files)


def test_no_malformed_connection_gives_its_secret_away(whole_stack: Stack, airflow: AirflowApi) -> None:
    assert whole_stack.airflow is not None
    port = whole_stack.service.port
    answers: dict[str, str] = {}
    stored: dict[str, str] = {}
    for number, (name, fields) in enumerate(MALFORMED.items()):
        body = connection(f"canary_{number}", port, fields)
        try:
            answers[name] = airflow.request("POST", "/connections/test", body)["message"]
            airflow.create_connection(body)
        except AirflowApiError:  # Airflow itself refuses an extra that is not an object, and shows it to who sent it
            continue
        stored[f"canary_{number}"] = name
    airflow.create_connection(connection(GOOD_ONE, port, {}))
    assert [name for name, answer in answers.items() if CANARY in answer] == []

    conf = {"connections": [*stored, GOOD_ONE]}
    run = airflow.request("POST", "/dags/canary/dagRuns", {"logical_date": None, "conf": conf})["dag_run_id"]

    def states() -> list[str | None]:
        return [task.state for task in airflow.task_instances("canary", run) if task.task_id == "run"]

    # Each of them fails its task, and the good one is waited for.
    until(lambda: sorted(map(str, states())) == ["deferred", *["failed"] * len(stored)])
    # A triggerer that starts finds that it was changed to one that cannot be used.
    body = connection(GOOD_ONE, port, MALFORMED["a line end in the token"])
    airflow.request("PATCH", f"/connections/{GOOD_ONE}", body, update_mask="password")
    triggerer = whole_stack.airflow.components["triggerer"]
    triggerer.stop()
    triggerer.start()
    until(lambda: set(states()) == {"failed"})

    logs = {
        task.map_index: "\n".join(airflow.task_log("canary", run, task))
        for task in airflow.task_instances("canary", run)
    }
    assert "Token must consist of visible ASCII characters" in logs[len(stored)]
    assert [number for number, log in logs.items() if CANARY in log] == []
    assert CANARY not in written(whole_stack)
    for conn_id in conf["connections"]:
        airflow.request("DELETE", f"/connections/{conn_id}")

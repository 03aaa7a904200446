"""The demo's progress: what is asked of Airflow and the service, and what is shown where no terminal is."""

import httpx
import pytest

from data_emulator.stack.airflow_api import AirflowApi
from data_emulator.stack.progress import Display, DomainProgress, update


def answers(request: httpx.Request) -> httpx.Response:
    """Answer as Airflow and the service do in the middle of a run."""
    path = request.url.path
    if path == "/auth/token":
        return httpx.Response(200, json={"access_token": "t"})
    if path.endswith("/taskInstances"):
        mapped = [
            ("get_domains", -1, "success"),
            ("emulate.start", 0, "success"),
            ("emulate.wait", 0, "deferred"),
            ("emulate.start", 1, "running"),
            ("emulate.wait", 1, None),
        ]
        entries = [
            {"task_id": task, "map_index": index, "rendered_map_index": "d", "state": state, "try_number": 1}
            for task, index, state in mapped
        ]
        return httpx.Response(200, json={"task_instances": entries})
    if path.endswith("/emulate.start/xcomEntries/return_value"):
        assert request.url.params["map_index"] == "0"
        return httpx.Response(200, json={"value": "e-0"})
    if path == "/emulator/e-0/status":
        progress = {"records": 1234, "bytes": 1, "elapsed_s": 1.0, "records_per_s": 1.0, "percent": 50.0}
        status = {"global_status": "processing", "threads": {}}
        lies = {"place": "kafka://as", "manifest": "/emulator/e-0/manifest"}
        asked = {"emulation_domain": "a", "emulator_sync": "kafka"}
        body = {"id": "e-0", "status": status, **asked, **lies, "progress": progress}
        return httpx.Response(200, json=body)
    return httpx.Response(404)


def test_update_asks_airflow_for_the_tasks_and_the_service_for_the_emulations(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = httpx.MockTransport(answers)
    service = httpx.Client(transport=transport, base_url="http://service")
    airflow = AirflowApi("http://airflow")
    monkeypatch.setattr(airflow, "_client", httpx.Client(transport=transport, base_url="http://airflow"))
    progress = [DomainProgress("a"), DomainProgress("b")]

    update(progress, airflow, service, "dag", "run")

    assert progress == [
        DomainProgress("a", "wait deferred", "e-0", "processing", 1234, 50.0),
        DomainProgress("b", "start running"),
    ]


def test_update_outlives_a_service_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    airflow = AirflowApi("http://airflow")
    client = httpx.Client(transport=httpx.MockTransport(answers), base_url="http://airflow")
    monkeypatch.setattr(airflow, "_client", client)
    progress = [DomainProgress("a"), DomainProgress("b")]
    update(progress, airflow, httpx.Client(transport=httpx.MockTransport(refuse), base_url="http://s"), "dag", "run")
    assert "refused" in (progress[0].error or "")


def test_without_a_terminal_lines_come_when_a_state_changes() -> None:
    said: list[str] = []
    domain = DomainProgress("transaction")
    with Display(said.append) as display:
        display.show([domain])
        display.show([domain])
        domain.task = "wait deferred"
        domain.emulation = "processing"
        domain.records = 1500
        display.show([domain])
        domain.records = 1600
        display.show([domain])
        domain.emulation = "completed"
        display.show([domain])
    assert said == [
        "transaction: task not yet mapped",
        "transaction: task wait deferred, emulation processing, 1,500 records",
        "transaction: task wait deferred, emulation completed, 1,600 records",
    ]

"""The demo's progress: what is asked of Airflow and the service, and what is shown where no terminal is."""

import io
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from rich.console import Console

from data_emulator.console import Clock
from data_emulator.demo.progress import Display, DomainProgress, table, update
from data_emulator.model import State
from data_emulator.stack.airflow_api import AirflowApi
from data_emulator.wire import Waiting


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
        DomainProgress("a", "success", "deferred", "e-0", State.PROCESSING, 1234, 50.0),
        DomainProgress("b", "running"),
    ]
    assert [domain.stage for domain in progress] == ["generating", "starting"]


@pytest.mark.parametrize(
    ("start", "wait", "emulation", "stage"),
    [
        (None, None, None, "not started"),
        ("scheduled", None, None, "not started"),
        ("queued", None, None, "not started"),
        ("running", None, None, "starting"),
        ("success", None, None, "starting"),
        ("success", "queued", State.QUEUED, "queued"),
        ("success", "deferred", State.PROCESSING, "generating"),
        ("success", "running", State.COMPLETED, "completed"),
        ("success", "running", State.CANCELLED, "cancelled"),
        ("up_for_retry", None, None, "trying again"),
        ("failed", "upstream_failed", None, "failed"),
        ("success", "failed", State.PROCESSING, "failed"),
        ("upstream_failed", "upstream_failed", None, "failed"),
    ],
)
def test_a_stage_is_told_in_words_of_no_scheduler(
    start: str | None, wait: str | None, emulation: State | None, stage: str
) -> None:
    assert DomainProgress("a", start, wait, "e", emulation).stage == stage


def test_update_outlives_a_service_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    airflow = AirflowApi("http://airflow")
    client = httpx.Client(transport=httpx.MockTransport(answers), base_url="http://airflow")
    monkeypatch.setattr(airflow, "_client", client)
    progress = [DomainProgress("a"), DomainProgress("b")]
    update(progress, airflow, httpx.Client(transport=httpx.MockTransport(refuse), base_url="http://s"), "dag", "run")
    assert progress[0].error == "the service does not answer"


def test_without_a_terminal_lines_come_when_a_state_changes(capsys: pytest.CaptureFixture[str]) -> None:
    domain = DomainProgress("transaction")
    with Display(Clock()) as display:
        display.show([domain])
        display.show([domain])
        domain.start, domain.wait = "success", "deferred"
        domain.emulation = State.PROCESSING
        domain.records = 1500
        display.show([domain])
        domain.records = 1600
        display.show([domain])
        domain.error = "Kafka is away"
        display.show([domain])
        domain.emulation, domain.error = State.COMPLETED, None
        display.show([domain])
    lines = capsys.readouterr().out.splitlines()
    assert all(re.match(r"\[ +0\.\d s\] transaction: ", line) for line in lines)
    assert [line.partition("transaction: ")[2] for line in lines] == [
        "not started",
        "generating, 1,500 records",
        "generating, 1,600 records: Kafka is away",
        "completed, 1,600 records",
    ]


def test_on_a_terminal_the_table_fits_into_60_columns_and_what_is_wrong_is_below_it() -> None:
    console = Console(width=60, record=True, file=io.StringIO())
    domain = DomainProgress("user-profile", "success", "deferred", "e", State.PROCESSING, 123_456_789, 100.0)
    away = DomainProgress("transaction", "up_for_retry", error="Kafka at 127.0.0.1:9092 is away, for a long time now")
    console.print(table([domain, away], "[ 12.3 s]"))
    printed = console.export_text()
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= 60
    assert printed.startswith("[ 12.3 s]")
    for text in ("user-profile", "generating", "123,456,789", "100%", "trying again", "transaction: Kafka at"):
        assert text in printed


def test_an_outage_is_told_with_its_times(capsys: pytest.CaptureFixture[str]) -> None:
    since = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
    outage = Waiting.model_validate(
        {"for": "S3 at s3.test: refused", "since": since, "until": since + timedelta(minutes=5)}
    )
    domain = DomainProgress("transaction", "success", "deferred", "e", State.PROCESSING, 1500, outage=outage)
    with Display(Clock()) as display:
        display.show([domain])
        display.show([domain])
        domain.outage = None
        display.show([domain])
    times = [f"{at.astimezone():%H:%M:%S}" for at in (outage.since, outage.until)]
    assert [line.partition("transaction: ")[2] for line in capsys.readouterr().out.splitlines()] == [
        f"waiting, 1,500 records: S3 at s3.test: refused (since {times[0]}, given up at {times[1]})",
        "generating, 1,500 records",
    ]

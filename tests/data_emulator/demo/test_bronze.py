"""What the demo and the stack ask of Airflow about bronze: its connections, and its runs."""

import json
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from data_emulator.demo.bronze import BronzeRun, bronze_runs, wait_for_bronze
from data_emulator.stack.airflow_api import AirflowApi
from data_emulator.stack.airflow_setup import S3_CONNECTION_ID, connect_broker, connect_store
from data_emulator.verify.compare import Receipt
from data_emulator.verify.readback import Counted
from data_emulator.verify.receipt import print_receipts
from data_emulator.wire import Manifest

STORE: Any = SimpleNamespace(
    endpoint="http://127.0.0.1:8333", region="us-east-1", access_key_id="key", secret_access_key="secret"
)
BROKER: Any = SimpleNamespace(bootstrap_servers="127.0.0.1:9092")


class FakeAirflow:
    """Connections as Airflow's API keeps them, and runs as a test states them."""

    def __init__(self) -> None:
        self.connections: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.writes: list[tuple[str, str]] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v2")
        if path == "/auth/token":
            return httpx.Response(200, json={"access_token": "t"})
        if request.method != "GET":
            self.writes.append((request.method, path))
            body = json.loads(request.content)
            self.connections.setdefault(body["connection_id"], {}).update(body)
            return httpx.Response(200, json={})
        if path.startswith("/connections/"):
            found = self.connections.get(path.rpartition("/")[2])
            return httpx.Response(200, json=found) if found else httpx.Response(404)
        return self._run(path)

    def _run(self, path: str) -> httpx.Response:
        if path == "/dags/bronze_ingest_dag/dagRuns":
            entries = [
                {"dag_run_id": run_id, "partition_key": run["key"], "state": run["state"]}
                for run_id, run in self.runs.items()
            ]
            return httpx.Response(200, json={"dag_runs": entries[::-1]})
        run = self.runs[path.split("/")[4]]
        if path.endswith("/upstreamAssetEvents"):
            if run["state"] == "queued":
                return httpx.Response(500)  # as Airflow 3.3.2 does
            return httpx.Response(200, json={"asset_events": [{"extra": {"id": each}} for each in run["ids"]]})
        if path.endswith("/taskInstances"):
            entries = [
                {"task_id": "ingest", "map_index": at, "rendered_map_index": each, "state": state, "try_number": 1}
                for at, (each, state) in enumerate(run["ingest"].items())
            ]
            return httpx.Response(200, json={"task_instances": entries})
        return httpx.Response(200, json={"value": {"emulation_id": run["ids"][0], "rows": 7}})


@pytest.fixture
def fake() -> FakeAirflow:
    return FakeAirflow()


@pytest.fixture
def airflow(fake: FakeAirflow) -> AirflowApi:
    api = AirflowApi("http://airflow")
    api._client = httpx.Client(base_url="http://airflow", transport=httpx.MockTransport(fake.answer))
    return api


def test_connections_are_created_once(fake: FakeAirflow, airflow: AirflowApi) -> None:
    for _ in range(2):
        connect_store(airflow, STORE)
        connect_broker(airflow, BROKER)
    store, broker = fake.connections["data_emulator_s3"], fake.connections["data_emulator_kafka"]
    assert (store["conn_type"], store["login"], store["password"]) == ("aws", "key", "secret")
    assert json.loads(store["extra"]) == {"endpoint_url": "http://127.0.0.1:8333", "region_name": "us-east-1"}
    assert json.loads(broker["extra"]) == {"bootstrap.servers": "127.0.0.1:9092"}
    assert fake.writes == [("POST", "/connections")] * 2


def test_connections_follow_the_stack_to_other_ports_and_keep_what_was_added(
    fake: FakeAirflow, airflow: AirflowApi
) -> None:
    connect_broker(airflow, BROKER)
    extra = {"bootstrap.servers": "127.0.0.1:1", "fetch.min.bytes": 9}
    fake.connections["data_emulator_kafka"]["extra"] = json.dumps(extra)
    connect_broker(airflow, BROKER)
    kept = json.loads(fake.connections["data_emulator_kafka"]["extra"])
    assert kept == {"bootstrap.servers": "127.0.0.1:9092", "fetch.min.bytes": 9}


def test_connections_that_their_user_has_pointed_elsewhere_stay(fake: FakeAirflow, airflow: AirflowApi) -> None:
    connect_store(airflow, STORE)
    fake.connections["data_emulator_s3"]["extra"] = '{"endpoint_url": "https://elsewhere"}'
    connect_store(airflow, STORE)
    assert fake.connections["data_emulator_s3"]["extra"] == '{"endpoint_url": "https://elsewhere"}'
    assert S3_CONNECTION_ID in fake.connections


def test_the_runs_that_emulations_started(fake: FakeAirflow, airflow: AirflowApi) -> None:
    fake.runs = {
        "other": {"key": "a", "state": "success", "ids": ["x"], "ingest": {}},
        "done": {"key": "a", "state": "success", "ids": ["e1"], "ingest": {"e1": "success"}},
        "wrong": {"key": "b", "state": "failed", "ids": ["e2"], "ingest": {"e2": "failed"}},
        "going": {"key": "c", "state": "running", "ids": ["e3"], "ingest": {"e3": "running"}},
        "waiting": {"key": "d", "state": "queued", "ids": ["e4"], "ingest": {}},
    }
    said: list[str] = []
    runs = wait_for_bronze(airflow, ["e1", "e2", "e3"], timeout_s=0, say=said.append)
    assert runs == [
        BronzeRun("done", "a", "success", ("e1",), {"e1": 7}),
        BronzeRun("wrong", "b", "failed", ("e2",), {}),
        BronzeRun("going", "c", "running", ("e3",), {}),
    ]
    assert said == ["a: 7 rows in bronze", "b: bronze_ingest_dag failed"]
    assert bronze_runs(airflow, ["unknown"]) == []


def receipt() -> Receipt:
    manifest = Manifest.model_validate(
        {
            "id": "e1",
            "emulation_domain": "a",
            "emulator_sync": "kafka",
            "format_type": "json",
            "state": "completed",
            "sink": "kafka",
            "bucket": None,
            "topic": "t",
            "objects": [],
            "partitions": [],
            "totals": {"records": 7, "bytes": 70, "objects": 0, "partitions": 1},
        }
    )
    return Receipt(manifest, Counted(1, 7, 70), ())


@pytest.mark.parametrize(
    ("rows", "right"),
    [(None, True), ([7], True), ([6], False), ([], False), ([7, 7], False), ([None], False)],
    ids=["not asked for", "equal", "short", "no run", "two runs", "a failed run"],
)
def test_the_receipt_wants_one_run_with_all_rows(
    rows: list[int | None] | None, right: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert print_receipts([receipt()], None if rows is None else {"e1": rows}) is right
    assert ("in bronze" in capsys.readouterr().out) is (rows is not None)

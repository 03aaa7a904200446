"""Why a run failed is said once, in the words of the task that failed first, and without its log's marks."""

from typing import Any

import httpx
import pytest

from data_emulator.demo.explanation import explain, explain_differences
from data_emulator.stack.airflow_api import AirflowApi
from data_emulator.verify.compare import Receipt, compare
from data_emulator.verify.readback import Counted
from tests.support.receipts import manifest

Task = tuple[str, int, str | None, str]


class FakeAirflow:
    """The tasks of one run, the XComs `failure`, and the errors in their logs, as a test states them."""

    def __init__(self, tasks: list[Task]) -> None:
        self.tasks = tasks
        self.failures: dict[str, str] = {}
        self.errors: dict[str, str] = {}

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/auth/token":
            return httpx.Response(200, json={"access_token": "t"})
        if path.endswith("/taskInstances"):
            names = ("task_id", "map_index", "rendered_map_index", "state")
            entries: list[dict[str, Any]] = [dict(zip(names, task, strict=True)) for task in self.tasks]
            return httpx.Response(200, json={"task_instances": [{**entry, "try_number": 1} for entry in entries]})
        task = f"{path.split('/')[8]} {request.url.params['map_index']}"
        if path.endswith("/xcomEntries/failure"):
            reason = self.failures.get(task)
            return httpx.Response(200, json={"value": {"reason": reason}}) if reason else httpx.Response(404)
        error = {"event": "Task failed", "level": "error", "timestamp": "2026-11-28T03:00:00Z"}
        if task in self.errors:
            error["error_detail"] = [{"exc_type": "X", "exc_value": self.errors[task], "frames": [{}]}]  # type: ignore[assignment]
            return httpx.Response(200, json={"content": [error, {"event": "over", "level": "info"}]})
        return httpx.Response(200, json={"content": []})

    def explain(self, domain: str | None = None) -> list[str]:
        api = AirflowApi("http://airflow")
        api._client = httpx.Client(base_url="http://airflow", transport=httpx.MockTransport(self.answer))
        return explain(api, "dag", "run", domain=domain)


@pytest.fixture
def fake() -> FakeAirflow:
    return FakeAirflow(
        [
            ("get_domains", -1, None, "success"),
            ("emulate.start", 0, "user-profile", "failed"),
            ("emulate.wait", 0, "user-profile", "upstream_failed"),
            ("emulate.start", 1, "device-log", "success"),
            ("emulate.wait", 1, "device-log", "success"),
            ("end", -1, None, "failed"),
        ]
    )


def test_the_reason_of_a_domain_is_told_and_not_its_summary(fake: FakeAirflow) -> None:
    fake.failures["emulate.start 0"] = "there is no domain 'user-profil'"
    fake.errors["end -1"] = "1 of 2 domains completed, 2 are needed. Not completed: user-profile ..."
    assert fake.explain() == ["user-profile: there is no domain 'user-profil'"]


def test_a_reason_that_several_domains_share_is_told_once(fake: FakeAirflow) -> None:
    fake.tasks[4] = ("emulate.wait", 1, "device-log", "failed")
    fake.failures = dict.fromkeys(("emulate.start 0", "emulate.wait 1"), "the service does not answer")
    assert fake.explain() == ["user-profile, device-log: the service does not answer"]


def test_an_error_of_another_task_is_its_message_alone(fake: FakeAirflow) -> None:
    fake.tasks = [("get_domains", -1, None, "failed"), ("end", -1, None, "failed")]
    fake.errors = {"get_domains -1": "Variable 'emulation_domains' cannot be used", "end -1": "There is no list"}
    assert fake.explain() == ["Variable 'emulation_domains' cannot be used"]


def test_a_summary_that_fails_alone_is_told(fake: FakeAirflow) -> None:
    fake.tasks = [("end", -1, None, "failed")]
    fake.errors = {"end -1": "the list is empty"}
    assert fake.explain() == ["the list is empty"]


def test_a_task_that_leaves_nothing_is_named(fake: FakeAirflow) -> None:
    assert fake.explain() == ["user-profile: task emulate.start failed without saying why"]


def test_a_run_for_one_domain_is_told_by_it(fake: FakeAirflow) -> None:
    fake.tasks = [("ingest", 0, "an-emulation-id", "failed")]
    fake.errors = {"ingest 0": "s3://b/k: the object is not there"}
    assert fake.explain(domain="user-profile") == ["user-profile: s3://b/k: the object is not there"]


def receipt(stated: int, counted: int) -> Receipt:
    part = {"partition": 0, "first_offset": 0, "next_offset": stated, "records": stated, "bytes": stated}
    found = manifest("e", topic="transactions", partitions=[part] if stated else [])
    of = Counted(int(counted > 0), counted, counted)
    return Receipt(found, of, tuple(compare(found, of)))


def test_data_that_differs_is_explained_once() -> None:
    assert list(explain_differences([receipt(7, 7)])) == []
    assert list(explain_differences([receipt(7, 6)])) == ["transaction: 6 records found, the service says 7"]
    (doubled,) = explain_differences([receipt(7, 9)])
    assert doubled.startswith("transaction: 9 records found, the service says 7. When a server dies, ")
    assert list(explain_differences([receipt(0, 0)])) == ["transaction: no records were generated"]

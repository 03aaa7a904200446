from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.comms import ErrorResponse

from include.assets import EMULATIONS_BY_DOMAIN
from include.bronze import run as run_module
from include.bronze.run import DEFAULT_BUCKET, bronze_bucket, receipts_of_run
from include.exceptions import DataEmulatorConfigError, DataEmulatorError
from include.receipt import Receipt


def receipt(emulation_id: str, domain: str = "transaction") -> dict[str, Any]:
    return Receipt(emulation_id, domain, "kafka", "kafka://transactions", manifest="m").as_dict()


def event(emulation_id: str, domain: str = "transaction", *, started: str | None = None, **more: Any) -> Any:
    runs = [SimpleNamespace(dag_id=started)] if started else []
    fields = {"extra": receipt(emulation_id, domain), "partition_key": domain, "created_dagruns": runs}
    return SimpleNamespace(**{**fields, **more})


class History(list[Any]):
    """The asset's events as a task gets at them."""

    def ascending(self, ascending: bool) -> History:
        assert ascending is False
        return self

    def limit(self, limit: int) -> History:
        return History(self[:limit])


def context(started_by: list[Any], history: list[Any], key: str | None = "transaction") -> Any:
    return {
        "triggering_asset_events": {EMULATIONS_BY_DOMAIN: started_by} if started_by else {},
        "inlet_events": {EMULATIONS_BY_DOMAIN: History(history)},
        "dag_run": SimpleNamespace(partition_key=key),
        "ti": SimpleNamespace(dag_id="bronze_ingest_dag"),
    }


@pytest.fixture
def in_bronze(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The emulations that bronze has."""
    found: set[str] = set()
    is_ingested: Callable[[Receipt, str], bool] = lambda each, bucket: each.id in found  # noqa: E731
    monkeypatch.setattr(run_module, "is_ingested", is_ingested)
    return found


def test_a_run_ingests_all_emulations_whose_events_started_it() -> None:
    assert receipts_of_run(context([event("a"), event("b")], []), "bronze") == [receipt("a"), receipt("b")]


def test_an_emulation_with_two_events_is_ingested_once() -> None:
    assert receipts_of_run(context([event("a"), event("b"), event("a")], []), "bronze") == [receipt("a"), receipt("b")]


def test_what_is_no_receipt_stays_so_that_the_others_are_ingested_and_it_fails_for_itself() -> None:
    assert receipts_of_run(context([event("a", extra=None), event("b")], []), "bronze") == [{}, receipt("b")]


def test_a_run_by_hand_ingests_what_no_run_was_started_for(in_bronze: set[str]) -> None:
    in_bronze.add("c")
    history = [
        event("a"),
        event("b", started="bronze_ingest_dag"),
        event("c"),
        event("d", started="another_dag"),
        event("e", partition_key=None),
        event("f", extra={"id": "f"}),
        event("g", "device-log"),
        event("a"),
    ]
    assert receipts_of_run(context([], history), "bronze") == [receipt("a"), receipt("d")]
    everything = receipts_of_run(context([], history, key=None), "bronze")
    assert everything == [receipt("a"), receipt("d"), receipt("g", "device-log")]


def test_events_that_airflow_does_not_list_are_asked_for_again_later() -> None:
    class Failing(History):
        def limit(self, limit: int) -> History:
            raise AirflowRuntimeError(ErrorResponse(detail={"status_code": 500}))

    unlisted = {**context([], []), "inlet_events": {EMULATIONS_BY_DOMAIN: Failing()}}
    with pytest.raises(DataEmulatorError, match="while a run that one of them started is queued"):
        receipts_of_run(unlisted, "bronze")


def test_an_empty_bucket_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BRONZE_BUCKET", " ")
    with pytest.raises(DataEmulatorConfigError, match="Variable 'bronze_bucket' is empty"):
        bronze_bucket()


@pytest.mark.parametrize(("value", "bucket"), [(None, DEFAULT_BUCKET), ("raw", "raw"), (" raw\n", "raw")])
def test_the_bucket(value: str | None, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_VAR_BRONZE_BUCKET", raising=False)
    if value is not None:
        monkeypatch.setenv("AIRFLOW_VAR_BRONZE_BUCKET", value)
    assert bronze_bucket() == bucket

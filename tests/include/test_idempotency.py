from __future__ import annotations

from typing import Any

import pytest

from include.idempotency import TaskMemory
from tests.include.running_task import FakeStore, running_task


def key(store: FakeStore | None = None, **fields: Any) -> str:
    return TaskMemory(running_task(store, **fields)).idempotency_key()  # type: ignore[arg-type]


def test_a_retry_has_the_key_of_the_try_before_it() -> None:
    store = FakeStore()
    assert key(store, try_number=1) == key(store, try_number=2)


@pytest.mark.parametrize(
    "other", [{"dag_id": "x"}, {"run_id": "x"}, {"task_id": "x"}, {"map_index": 3}, {"max_tries": 2}]
)
def test_everything_else_has_a_key_of_its_own(other: dict[str, Any]) -> None:
    store = FakeStore()
    assert key(store, **other) != key(store)


def test_the_same_run_of_another_airflow_or_made_again_has_a_key_of_its_own() -> None:
    assert key(FakeStore()) != key(FakeStore())


def test_a_first_try_has_nothing_to_look_up() -> None:
    store = FakeStore()
    key(store, try_number=1)
    assert store.looked_up == []
    TaskMemory(running_task(store, try_number=2))  # type: ignore[arg-type]
    assert store.looked_up == ["emulation"]


@pytest.mark.parametrize("run_id", ["manuell für alle", "line\nbreak", "x" * 250])
def test_a_key_always_fits_into_a_header(run_id: str) -> None:
    long = key(run_id=run_id)
    assert long.isascii()
    assert long.isalnum()
    assert len(long) == 64
    assert long != key(run_id=run_id + "x")

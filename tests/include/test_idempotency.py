from __future__ import annotations

from typing import Any

import pytest

from include.idempotency import RUN_AGAIN, TaskMemory, remember_end
from tests.support.running_task import FakeStore, TaskLife, running_task

REQUEST = {"emulation_domain": "transaction"}


def memory(context: dict[str, Any], request: dict[str, Any] = REQUEST) -> TaskMemory:
    return TaskMemory(context, request)  # type: ignore[arg-type]


def key(store: FakeStore | None = None, **fields: Any) -> str:
    return memory(running_task(store, **fields)).idempotency_key()


def test_a_retry_has_the_key_of_the_try_before_it() -> None:
    store = FakeStore()
    assert key(store, try_number=1) == key(store, try_number=2)


@pytest.mark.parametrize("other", [{"dag_id": "x"}, {"run_id": "x"}, {"task_id": "x"}, {"map_index": 3}])
def test_every_task_instance_has_a_key_of_its_own(other: dict[str, Any]) -> None:
    assert key(**other) != key()


def test_the_same_run_of_another_airflow_or_made_again_has_a_key_of_its_own() -> None:
    assert key(FakeStore()) != key(FakeStore())


def test_a_first_try_takes_no_notice_of_what_a_deleted_run_of_its_name_has_left() -> None:
    store = FakeStore()
    old = key(store, try_number=2)
    assert key(store, try_number=1) != old
    assert store.looked_up == ["emulation"], "a first try asks for nothing"


def test_the_nonce_is_kept_before_it_is_used() -> None:
    store = FakeStore()
    used = key(store)
    assert used.endswith(store["emulation"]["nonce"])


def test_another_request_is_another_emulation() -> None:
    life = TaskLife()
    first = memory(life.context())
    used = first.idempotency_key()
    first.remember("e1", done=False)
    life.retry()
    changed = memory(life.context(), {**REQUEST, "seed": 7})
    assert changed.idempotency_key() != used
    assert changed.previous_id == "e1"


def test_what_was_replaced_is_known_until_it_is_dealt_with() -> None:
    life = TaskLife()
    first = memory(life.context())
    first.idempotency_key()
    first.remember("e1", done=True)
    life.clear()
    memory(life.context()).idempotency_key()  # and then the worker dies
    life.retry()
    again = memory(life.context())
    assert again.previous_id == "e1"
    again.remember("e2", done=True)
    life.retry()
    assert memory(life.context()).previous_id is None


def test_the_end_of_a_task_without_a_store_is_nothing_to_keep() -> None:
    remember_end(running_task(), RUN_AGAIN, log=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("run_id", ["manuell für alle", "line\nbreak", "x" * 250])
def test_a_key_always_fits_into_a_header(run_id: str) -> None:
    long = key(run_id=run_id)
    assert long.isascii()
    assert long.isalnum()
    assert len(long) == 64
    assert long != key(run_id=run_id + "x")

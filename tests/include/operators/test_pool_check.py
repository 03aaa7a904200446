from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk.exceptions import TaskDeferred

from include.exceptions import DataEmulatorConfigError
from include.operators.pool_check import PoolCheckOperator

OPERATOR = PoolCheckOperator(
    task_id="check_pool", watched_pool="p", start_task_id="emulate.start", wait_task_id="emulate.wait"
)


def context(*states: str | None, active: int = 0) -> Any:
    """A run whose starts have these states, beside so many active tasks of all runs."""
    by_index = {f"emulate.start_{index}": state for index, state in enumerate(states)}
    return {
        "ti": SimpleNamespace(
            dag_id="d",
            run_id="r",
            get_task_states=lambda **asked: {"r": by_index} if asked["task_ids"] == ["emulate.start"] else {},
            get_ti_count=lambda **asked: active,
        )
    }


@pytest.mark.parametrize("state", ["queued", "running", "success", "failed", "up_for_retry", "deferred"])
def test_a_start_that_has_got_a_slot_is_enough(state: str) -> None:
    OPERATOR.execute(context("scheduled", state, None))


def test_a_group_without_starts_has_nothing_to_wait_for() -> None:
    OPERATOR.execute(context())


def test_a_pool_that_other_runs_have_filled_is_there() -> None:
    OPERATOR.execute(context("scheduled", None, active=3))


def test_it_looks_again_deferred_and_then_names_the_pool() -> None:
    waiting = context("scheduled", None)
    looks: list[Callable[[], None]] = [lambda: OPERATOR.execute(waiting)]
    for number in range(9):
        with pytest.raises(TaskDeferred) as deferred:
            looks[number]()
        assert isinstance(deferred.value.trigger, DateTimeTrigger)
        resume = partial(getattr(OPERATOR, deferred.value.method_name), waiting, event=None, **deferred.value.kwargs)
        looks.append(resume)
    with pytest.raises(DataEmulatorConfigError) as caught:
        looks[9]()
    assert str(caught.value).startswith(
        "No task has got a slot in pool 'p' for 5 minutes. If the pool does not exist, "
    )
    assert "airflow pools set --include-deferred p 16" in str(caught.value)


def test_it_ends_as_soon_as_a_start_has_got_a_slot() -> None:
    with pytest.raises(TaskDeferred) as deferred:
        OPERATOR.execute(context("scheduled"))
    OPERATOR.execute_complete(context("queued"), event=None, **deferred.value.kwargs)

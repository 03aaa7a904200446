"""Detect a missing pool."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from ..exceptions import DataEmulatorConfigError

if TYPE_CHECKING:
    from airflow.sdk import Context

_LOOK_EVERY_S = 30
_GIVE_UP_AFTER_LOOKS = 10
_ACTIVE = ["queued", "running", "deferred"]
_NOT_SCHEDULED_YET = (None, "none", "scheduled")


class PoolCheckOperator(BaseOperator):
    """Fail if no task that needs a pool gets a slot in it for five minutes.

    A task whose pool does not exist is never scheduled, and Airflow says so only in the scheduler's log. A task cannot
    read pools, but it can see whether its neighbours have been scheduled. It checks that repeatedly, and is deferred in
    between.

    :param watched_pool: the pool; this task must not be in it
    :param start_task_id: a mapped task that is due as soon as this one is
    :param wait_task_id: another one in the pool, after it
    :raises DataEmulatorConfigError: naming the pool and the command that creates it
    """

    def __init__(self, *, watched_pool: str, start_task_id: str, wait_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.watched_pool = watched_pool
        self.start_task_id = start_task_id
        self.wait_task_id = wait_task_id

    def execute(self, context: Context) -> None:
        """Check for the first time."""
        self._look(context, looks=1)

    def execute_complete(self, context: Context, event: object, looks: int) -> None:
        """Check again."""
        self._look(context, looks + 1)

    def _look(self, context: Context, looks: int) -> None:
        ti: Any = context["ti"]
        found = ti.get_task_states(dag_id=ti.dag_id, task_ids=[self.start_task_id], run_ids=[ti.run_id])
        states: Mapping[str, Any] = found.get(ti.run_id, {})
        if not states or any(state not in _NOT_SCHEDULED_YET for state in states.values()):
            return
        if ti.get_ti_count(dag_id=ti.dag_id, task_ids=[self.start_task_id, self.wait_task_id], states=_ACTIVE):
            self.log.info("All slots of pool %r are taken by other tasks", self.watched_pool)
            return
        if looks >= _GIVE_UP_AFTER_LOOKS:
            raise DataEmulatorConfigError(
                f"No task has got a slot in pool {self.watched_pool!r} for {looks * _LOOK_EVERY_S // 60} minutes. If "
                "the pool does not exist, Airflow never schedules the tasks that need it. Create it, and the run goes "
                f"on: `airflow pools set --include-deferred {self.watched_pool} 16 'Emulations at once'`. If it does "
                "exist, other DAGs are using all its slots"
            )
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        self.log.info("No task has got a slot in pool %r yet; checking again in %d s", self.watched_pool, _LOOK_EVERY_S)
        self.defer(
            trigger=TimeDeltaTrigger(timedelta(seconds=_LOOK_EVERY_S)),
            method_name="execute_complete",
            kwargs={"looks": looks},
        )

"""Decide which tries of a task share an emulation, and give them the same idempotency key.

A retry goes on with the emulation of the try before; a clear, or a retry after an emulation that failed, starts
another. Airflow does not say which of them a try is, so a task keeps a record in Airflow's task state store: a random
part of the key (the nonce), written before it is used, and later the emulation's id and how it ended. ADR 11 has the
table of all sequences.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowRuntimeError

#: How the emulation of a record ended: the task has done with it what it is for; or another try would only see the same
#: bad end, and is to start another. While neither is known, a record says nothing.
DONE, RUN_AGAIN = "done", "run again"

_STORED = "emulation"
_MAX_KEY_CHARS = 200


class TaskMemory:
    """What a task instance remembers of its emulation; read when a try is about to start one.

    :param context: of the running task. Without a task state store the key is built from the context alone
    :param request: the body that the try will send; another request means another emulation
    :param fixed_key: the key, if it follows from the request: then every sender of it means the same emulation, even
        after a clear, unless that failed or was cancelled
    """

    def __init__(self, context: Context, request: Mapping[str, Any], *, fixed_key: str | None = None) -> None:
        self._ti = context["ti"]
        self._fixed_key = fixed_key
        self._store: Any = context.get("task_state_store")
        self._clear_number = getattr(context.get("dag_run"), "clear_number", None)
        self._request = _digest(json.dumps(request, sort_keys=True, default=str))[:12]
        self._restarts = 0
        # In a first try a stored record is left over from a deleted run of the same name.
        found: Any = None if self._store is None or self._ti.try_number == 1 else self._store.get(_STORED)
        self._record: dict[str, Any] = dict(found or {})
        self._begun_in_this_try = False
        if not self._record or self._means_another():
            self._begin(previous_id=self._record.get("id") or self._record.get("previous_id"))

    @property
    def previous_id(self) -> str | None:
        """The emulation that the task started before this one and that nobody waits for any more."""
        return self._record.get("previous_id")

    @property
    def is_certainly_a_retry(self) -> bool:
        """Whether an emulation already started under the key is certainly the one that this try means."""
        if self._store is None or self._fixed_key:
            return bool(self._fixed_key or self._ti.try_number > 1)
        return self._begun_in_this_try or self._was_not_cleared()

    def idempotency_key(self) -> str:
        """Return the key: the same for all tries that mean one emulation, and unique to it.

        :return: readable if it fits into an HTTP header, otherwise its SHA-256
        """
        if self._begun_in_this_try:
            self._save()
        ti, restarts = self._ti, [self._restarts] * bool(self._restarts)
        task = [ti.dag_id, ti.run_id, ti.task_id, ti.map_index]
        if self._fixed_key:
            parts = [self._fixed_key, *restarts]
        elif self._store is None:
            parts = [*task, ti.max_tries, *restarts]
        else:
            parts = [*task, self._record["nonce"]]
        key = "/".join(map(str, parts))
        if key.isascii() and key.isprintable() and len(key) <= _MAX_KEY_CHARS:
            return key
        return _digest(key)

    def turn_to_another(self) -> None:
        """Switch to another key, because this key's emulation has ended and is not the one meant."""
        self._restarts += 1
        self._begin(self.previous_id)

    def remember(self, emulation_id: str, *, done: bool) -> None:
        """Store the id of the started emulation, and forget the previous one.

        :param done: whether the task is finished with that
        """
        self._record.pop("previous_id", None)
        self._record.update({"id": emulation_id} | ({"end": DONE} if done else {}))
        self._save()

    def _begin(self, previous_id: str | None) -> None:
        self._begun_in_this_try = True
        self._record = {
            "nonce": uuid.uuid4().hex[:12],
            "request": self._request,
            "max_tries": self._ti.max_tries,
            "clear_number": self._clear_number,
        }
        if previous_id:
            self._record["previous_id"] = previous_id

    def _means_another(self) -> bool:
        """Return whether this try should start another emulation than the recorded one."""
        end = self._record.get("end")
        if end == RUN_AGAIN or self._record.get("request") != self._request:
            return True
        if self._was_not_cleared():
            return False
        # Some task of the run was cleared. If this one had finished, it runs again only because it was cleared itself.
        # If not, max_tries mostly tells: a clear sets it to the number of tries so far plus `retries`.
        return end == DONE or self._record.get("max_tries") != self._ti.max_tries

    def _was_not_cleared(self) -> bool:
        """Return whether the task was certainly not cleared since; Airflow counts a run's clears, of any task."""
        return self._clear_number is not None and self._record.get("clear_number") == self._clear_number

    def _save(self) -> None:
        if self._store is not None:
            self._store.set(_STORED, dict(self._record))


def remember_end(context: Context, end: str, log: Any) -> None:
    """Store how a task's emulation ended, for the next try.

    :param context: of the task, which may have resumed after a deferral
    :param end: DONE or RUN_AGAIN
    :param log: the task's logger, for when Airflow cannot store it; the next try then looks at the emulation itself
    """
    store: Any = context.get("task_state_store")
    if store is None:
        return
    try:
        store.set(_STORED, {**(store.get(_STORED) or {}), "end": end})
    except AirflowRuntimeError as error:
        log.warning("Airflow could not store how the emulation ended: %s", error)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

"""Which tries of a task mean the same emulation."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from airflow.sdk import Context

_MAX_KEY_CHARS = 200
_STORED = "emulation"
_NONCE, _EMULATION_ID = "nonce", "id"


class TaskMemory:
    """What Airflow keeps about a task instance over its retries and its clears, in its task state store.

    Outside of Airflow, where there is no such store, nothing is kept.

    :param context: of the running task
    """

    def __init__(self, context: Context) -> None:
        self._ti = context["ti"]
        self._store: Any = context.get("task_state_store")
        # Airflow counts tries on over retries and clears: in the first one there is nothing yet to ask for.
        kept: Any = None if self._store is None or self._ti.try_number == 1 else self._store.get(_STORED)
        self._kept: dict[str, str] = dict(kept or {})

    @property
    def emulation_id(self) -> str | None:
        """The emulation that the task instance has started last."""
        return self._kept.get(_EMULATION_ID)

    def remember(self, emulation_id: str) -> None:
        """Keep the emulation that was started."""
        self._keep(_EMULATION_ID, emulation_id)

    def idempotency_key(self) -> str:
        """The key that is the same for all tries that mean one emulation, and another for every other emulation.

        ``max_tries`` stays the same over retries and is raised when a user clears the task: so a retry attaches to the
        emulation of the try before, and a clear starts afresh. A random part, which is kept before it is used, tells it
        from the same run of another Airflow at the same service, and from a run that was deleted and made again.

        :return: readable if it fits into an HTTP header as it is, else its SHA-256
        """
        if self._store is not None and _NONCE not in self._kept:
            self._keep(_NONCE, uuid.uuid4().hex[:12])
        ti, nonce = self._ti, self._kept.get(_NONCE, "")
        key = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}/{ti.max_tries}/{nonce}"
        if key.isascii() and key.isprintable() and len(key) <= _MAX_KEY_CHARS:
            return key
        return hashlib.sha256(key.encode()).hexdigest()

    def _keep(self, name: str, value: str) -> None:
        self._kept[name] = value
        if self._store is not None:
            self._store.set(_STORED, dict(self._kept))

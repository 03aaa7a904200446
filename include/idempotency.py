"""Which tries of a task mean the same emulation."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from airflow.sdk import Context

_MAX_KEY_CHARS = 200
_STORED = "emulation_nonce"


def idempotency_key(context: Context) -> str:
    """The key that is the same for all tries that mean one emulation, and another for every other emulation.

    ``max_tries`` stays the same over retries and is raised when a user clears the task: so a retry attaches to the
    emulation of the try before, and a clear starts afresh. A random part, which Airflow stores with the task instance
    before it is used, tells it from the same run of another Airflow at the same service, and from a run that was
    deleted and made again.

    :return: readable if it fits into an HTTP header as it is, else its SHA-256
    """
    ti = context["ti"]
    store: Any = context.get("task_state_store")
    nonce = ""
    if store is not None:  # there is none where a task runs outside of Airflow
        nonce = store.get(_STORED)
        if nonce is None:
            nonce = uuid.uuid4().hex[:12]
            store.set(_STORED, nonce)
    key = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}/{ti.max_tries}/{nonce}"
    if key.isascii() and key.isprintable() and len(key) <= _MAX_KEY_CHARS:
        return key
    return hashlib.sha256(key.encode()).hexdigest()

"""An emulation as the store gets it: new, and queued."""

from __future__ import annotations

import time
import uuid
from typing import Any

from data_emulator.model import State
from data_emulator.service.store.emulation import AcceptedRequest, Emulation


def emulation(**changes: Any) -> Emulation:
    """Return one of transactions to S3, with the largest seeds there are, and `changes` to its fields."""
    request = AcceptedRequest(
        emulator_sync="minio",
        emulation_domain=changes.pop("domain", "transaction"),
        format_type="json",
        sync_type="grouped",
        max_chunk_size=1024,
        timeout=60,
        rate=12.5,
        seed=-(2**63),
    )
    fields: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "body_digest": "digest",
        "request": request,
        "world_seed": -(2**63),
        "world_users": 100,
        "fraud_share": 0.005,
        "seed": 2**63 - 1,
        "state": State.QUEUED,
        "error": None,
        "created_at": time.time(),
        "started_at": None,
        "ended_at": None,
        "elapsed_s": 0.0,
        "cancel_requested": False,
        "records": 0,
        "bytes": 0,
    }
    return Emulation(**{**fields, **changes})

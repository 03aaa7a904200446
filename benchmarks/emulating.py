"""Running one emulation on a real service, as a benchmark's own side."""

from __future__ import annotations

from typing import Any

import httpx

_GRANTED_WAIT_S = 30


def request_body(sink: str, *, timeout: int, rate: float | None, **more: Any) -> dict[str, Any]:
    """Return the body of a request for transactions as JSON in one object, or what `more` says instead."""
    return {
        "emulator_sync": sink,
        "emulation_domain": "transaction",
        "format_type": "json",
        "sync_type": "grouped",
        "max_chunk_size": 1024,
        "timeout": timeout,
        "rate": rate,
        **more,
    }


def emulate(client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    """Start an emulation, wait until it has ended, and return its last status.

    Raises RuntimeError when it did not end as completed.
    """
    emulation_id = client.post("/emulator/", json=body).raise_for_status().json()["id"]
    while True:
        answer = client.get(f"/emulator/{emulation_id}/status", headers={"Prefer": f"wait={_GRANTED_WAIT_S}"})
        status: dict[str, Any] = answer.raise_for_status().json()
        state = status["status"]["global_status"]
        if state == "completed":
            return status
        if state not in ("queued", "processing"):
            raise RuntimeError(f"emulation {emulation_id} is {state}: {status['error']}")


def service_client(url: str) -> httpx.Client:
    """Return a client that waits longer than a long poll takes."""
    return httpx.Client(base_url=url, timeout=2 * _GRANTED_WAIT_S, trust_env=False)

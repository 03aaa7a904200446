"""What is asked of a Data Emulator Service: one function a request, each telling all that sending it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from include.wire.request import EmulationRequest

_EMULATIONS_PATH = "/emulator/"  # with the slash: without it the original answers with a redirect


@dataclass(frozen=True)
class Call:
    """An HTTP request, the same whether requests or aiohttp sends it.

    :param method: the HTTP method
    :param path: the path at the service
    :param repeatable: whether it does no harm to send it again when nobody knows if it arrived
    :param headers: beside those that every request has
    :param json: the body
    :param held_s: how long the service was asked to hold the answer, in seconds; comes on top of the read timeout
    """

    method: str
    path: str
    repeatable: bool
    headers: Mapping[str, str] = field(default_factory=dict)
    json: dict[str, Any] | None = None
    held_s: int = 0


def start_call(request: EmulationRequest, idempotency_key: str | None) -> Call:
    """Start an emulation; repeatable only under an idempotency key."""
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    return Call("POST", _EMULATIONS_PATH, idempotency_key is not None, headers, request.body())


def status_call(emulation_id: str, wait_s: int | None = None) -> Call:
    """Look at an emulation, by a long poll of ``wait_s`` seconds (RFC 7240) unless that is None or 0."""
    headers = {"Prefer": f"wait={wait_s}"} if wait_s else {}
    return Call("GET", f"{_emulation_path(emulation_id)}/status", True, headers, held_s=wait_s or 0)


def statuses_call(emulation_ids: Sequence[str], wait_s: int, *, minimal: bool) -> Call:
    """Look at many emulations, by a long poll that is answered as soon as one of them is over.

    :param wait_s: seconds that the service may hold the answer; 0 for none
    :param minimal: let it tell only of those that are over, or that it does not know
    """
    preferences = [f"wait={wait_s}"] * bool(wait_s) + ["return=minimal"] * minimal
    headers = {"Prefer": ", ".join(preferences)} if preferences else {}
    return Call("POST", f"{_EMULATIONS_PATH}status", True, headers, {"ids": list(emulation_ids)}, held_s=wait_s)


def cancel_call(emulation_id: str) -> Call:
    """Cancel an emulation."""
    return Call("DELETE", _emulation_path(emulation_id), True)


def manifest_call(emulation_id: str) -> Call:
    """Ask where a completed emulation's data lies."""
    return Call("GET", f"{_emulation_path(emulation_id)}/manifest", True)


def readiness_call() -> Call:
    """Ask whether the service and its sinks are ready; not of the original service, which answers 404."""
    return Call("GET", "/readyz", True)


def _emulation_path(emulation_id: str) -> str:
    return _EMULATIONS_PATH + quote(emulation_id, safe="")

"""The requests to a Data Emulator Service, one function per request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from .request import EmulationRequest

_EMULATIONS_PATH = "/emulator/"  # with the slash: without it the original answers with a redirect

#: The longest answer that is read. A status is a few hundred bytes, and at most a thousand come in one answer.
MAX_ANSWER_BYTES = 16 * 2**20
#: A manifest has about 200 bytes for each object, and an emulation can write an object a record.
MAX_MANIFEST_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Call:
    """An HTTP request, for requests and aiohttp alike.

    :param method: the HTTP method
    :param path: the path at the service
    :param repeatable: whether it is safe to send it again if it may already have arrived
    :param headers: beside those that every request has
    :param json: the body
    :param held_s: length of the long poll in seconds; added to the read timeout
    :param emulation_id: the emulation that it is about, which the service names when it does not know it
    :param optional: whether a service may lack this route
    :param max_bytes: the longest answer to read
    """

    method: str
    path: str
    repeatable: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    json: dict[str, Any] | None = None
    held_s: int = 0
    emulation_id: str | None = None
    optional: bool = False
    max_bytes: int = MAX_ANSWER_BYTES


def start_call(request: EmulationRequest, idempotency_key: str | None) -> Call:
    """Start an emulation; repeatable only under an idempotency key."""
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    return Call("POST", _EMULATIONS_PATH, idempotency_key is not None, headers, request.body())


def status_call(emulation_id: str, wait_s: int | None = None) -> Call:
    """Request a status, by a long poll of ``wait_s`` seconds (RFC 7240) unless that is None or 0."""
    headers = {"Prefer": f"wait={wait_s}"} if wait_s else {}
    path = f"{_emulation_path(emulation_id)}/status"
    return Call("GET", path, headers=headers, held_s=wait_s or 0, emulation_id=emulation_id)


def statuses_call(emulation_ids: Sequence[str], wait_s: int, *, minimal: bool) -> Call:
    """Request the status of many emulations, by a long poll that is answered as soon as one of them has ended.

    :param wait_s: seconds that the service may hold the answer; 0 for none
    :param minimal: return only emulations that have ended or are unknown
    """
    preferences = [f"wait={wait_s}"] * bool(wait_s) + ["return=minimal"] * minimal
    headers = {"Prefer": ", ".join(preferences)} if preferences else {}
    body = {"ids": list(emulation_ids)}
    return Call("POST", f"{_EMULATIONS_PATH}status", headers=headers, json=body, held_s=wait_s, optional=True)


def cancel_call(emulation_id: str) -> Call:
    """Cancel an emulation."""
    return Call("DELETE", _emulation_path(emulation_id), emulation_id=emulation_id, optional=True)


def manifest_call(emulation_id: str) -> Call:
    """Request the manifest of a completed emulation."""
    path = f"{_emulation_path(emulation_id)}/manifest"
    return Call("GET", path, emulation_id=emulation_id, optional=True, max_bytes=MAX_MANIFEST_BYTES)


def readiness_call() -> Call:
    """Ask whether the service and its sinks are ready; the original service answers 404."""
    return Call("GET", "/readyz", optional=True)


def _emulation_path(emulation_id: str) -> str:
    return _EMULATIONS_PATH + quote(emulation_id, safe="")

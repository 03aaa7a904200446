"""The routes under ``/emulator``: the original's two, and what the service adds."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse

from data_emulator.api import bodies
from data_emulator.api.preferences import prefers_minimal, wait_preference
from data_emulator.api.problems import MEDIA_TYPE
from data_emulator.errors import EmulationNotFound
from data_emulator.model import State
from data_emulator.service.emulations import Emulations
from data_emulator.wire import (
    EmulationCreated,
    EmulationPage,
    EmulationRequest,
    EmulationStatus,
    Manifest,
    Problem,
    Statuses,
    StatusesRequest,
)

router = APIRouter(prefix="/emulator", tags=["emulations"])


async def _emulations(request: Request) -> Emulations:  # not async, each request would wait for a thread for it
    service: Emulations = request.app.state.emulations
    return service


Service = Annotated[Emulations, Depends(_emulations)]
PreferHeader = Annotated[
    str | None, Header(alias="Prefer", description="`wait=N`: answer when it has ended, at the latest after N seconds.")
]


_MAX_KEY_LENGTH: Final = 255
_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": _MAX_KEY_LENGTH},
    "description": "The same key and body give the same emulation.",
}


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= _MAX_KEY_LENGTH:
        location, message = ("header", "idempotency-key"), f"must have 1 to {_MAX_KEY_LENGTH} characters"
        raise RequestValidationError([{"type": "string_length", "loc": location, "msg": message, "input": key}])
    return key


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    schema = {"schema": Problem.model_json_schema()}
    return {status: {"description": "refused", "content": {MEDIA_TYPE: schema}} for status in statuses}


@router.post(
    "/",
    status_code=201,
    response_model=EmulationCreated,
    responses=_problems(400, 401, 413, 422, 429),
    openapi_extra={"parameters": [_IDEMPOTENCY_KEY]},
)
async def start_emulation(body: EmulationRequest, request: Request) -> Response:
    """Start an emulation."""
    # Without a dependency or a header that FastAPI looks for, and with the answer encoded here: a thousand tasks may
    # start theirs at the same moment, and the last of them waits for all of this a thousand times.
    service: Emulations = request.app.state.emulations
    emulation, replayed = await service.start(body, _idempotency_key(request))
    headers = {"Content-Location": f"/emulator/{emulation.id}/status"}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(bodies.created(emulation).model_dump_json(), 201, headers, media_type="application/json")


@router.get("/", responses=_problems(401, 422))
def list_emulations(
    service: Service,
    status: Annotated[State | None, Query(description="Only those in this state.")] = None,
    domain: Annotated[str | None, Query(description="Only those of this domain.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> EmulationPage:
    """List emulations, the newest first."""
    emulations, total = service.store.page(status, domain, limit, offset)
    return EmulationPage(
        emulations=[bodies.status(each, service.settings, service.outage_of(each.id)) for each in emulations],
        total=total,
        limit=limit,
        offset=offset,
    )


@router.post("/status", responses=_problems(401, 422))
async def status_of_many(
    body: StatusesRequest, service: Service, request: Request, response: Response, prefer: PreferHeader = None
) -> Statuses:
    """Return the status of several emulations, as soon as any of them has ended.

    With `Prefer: return=minimal` only those are told of that have ended, or do not exist.
    """
    wait_s = _granted_wait_s(request, response, prefer)
    if prefers_minimal(prefer):
        applied = response.headers.get("Preference-Applied")
        response.headers["Preference-Applied"] = f"{applied}, return=minimal" if applied else "return=minimal"
        emulations, existing = await service.wait_for_ended(body.ids, wait_s)
    else:
        emulations = await service.wait_for_any(body.ids, wait_s)
        existing = set(emulations)
    return Statuses(
        emulations=[
            bodies.status(emulations[each], service.settings, service.outage_of(each))
            for each in body.ids
            if each in emulations
        ],
        not_found=[each for each in body.ids if each not in existing],
    )


@router.get("/{emulation_id}/status", responses=_problems(401, 404))
async def get_status(
    emulation_id: str, service: Service, request: Request, response: Response, prefer: PreferHeader = None
) -> EmulationStatus:
    """Return the status of an emulation."""
    emulations = await service.wait_for_any([emulation_id], _granted_wait_s(request, response, prefer))
    if emulation_id not in emulations:
        raise EmulationNotFound(emulation_id)
    return bodies.status(emulations[emulation_id], service.settings, service.outage_of(emulation_id))


def _granted_wait_s(request: Request, response: Response, prefer: str | None) -> float:
    """Return the granted length of a long poll, and set it in the response."""
    wait_s = wait_preference(prefer, request.app.state.settings.max_wait_s)
    if wait_s is not None:
        response.headers["Preference-Applied"] = f"wait={wait_s}"
    return wait_s or 0


@router.get("/{emulation_id}/manifest", response_model=Manifest, responses=_problems(400, 401, 404))
def get_manifest(emulation_id: str, service: Service) -> StreamingResponse:
    """Return the manifest: exactly where an emulation's data is. However long it is, it is sent piece by piece."""
    emulation, partitions = service.manifest_head(emulation_id)
    stream = bodies.manifest_stream(emulation, service.object_pages(emulation_id), partitions, service.settings)
    return StreamingResponse(stream, media_type="application/json")


@router.delete("/{emulation_id}", status_code=202, responses=_problems(401, 404, 409))
def cancel_emulation(emulation_id: str, service: Service) -> EmulationStatus:
    """Cancel an emulation. What it has written stays, and is in its manifest."""
    return bodies.status(service.cancel(emulation_id), service.settings, service.outage_of(emulation_id))

"""Operational routes: liveness, readiness and metrics; and the list of domains."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from data_emulator.domains import all_domains
from data_emulator.errors import SinkUnavailable
from data_emulator.formats.catalog import FORMATS
from data_emulator.formats.schema import record_schema
from data_emulator.model import State
from data_emulator.service.emulations import Emulations
from data_emulator.wire import DomainDescription

router = APIRouter(tags=["operations"])


class Welcome(BaseModel):
    """The original's greeting."""

    message: str = "Welcome to the Emulator Service REST API!"


class Health(BaseModel):
    """The process answers."""

    status: str = "ok"


class Readiness(BaseModel):
    """The state of each dependency: ``ok``, ``not configured``, or what is wrong with it.

    `missing` has the environment variables to set for each sink that is not configured.
    """

    ready: bool
    checks: dict[str, str]
    missing: dict[str, list[str]]


@router.get("/")
def root() -> Welcome:
    """Greet."""
    return Welcome()


@router.get("/healthz")
async def healthz() -> Health:
    """Return that the process is alive."""
    return Health()


@router.get("/readyz", responses={503: {"model": Readiness}})
def readyz(request: Request, response: Response) -> Readiness:
    """Tell whether the store and the configured sinks can be reached; without any sink the service is not ready."""
    service: Emulations = request.app.state.emulations
    checks = {"store": "ok"} | dict.fromkeys(service.sinks, "not configured")
    try:
        service.store.check()
    except SQLAlchemyError as error:
        checks["store"] = type(error).__name__
    for name, target in service.targets.items():
        try:
            target.check()
            checks[name] = "ok"
        except SinkUnavailable as error:
            checks[name] = str(error)
    ready = bool(service.targets) and all(check in ("ok", "not configured") for check in checks.values())
    response.status_code = 200 if ready else 503
    missing = {name: list(sink.missing) for name, sink in service.sinks.items() if not sink.is_configured}
    return Readiness(ready=ready, checks=checks, missing=missing)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(request: Request) -> Response:
    """Return metrics in Prometheus's text format."""
    service: Emulations = request.app.state.emulations
    registry = CollectorRegistry()
    labels = ["state"]
    emulations = Gauge("data_emulator_emulations", "Emulations by state", labels, registry=registry)
    records = Gauge("data_emulator_records", "Records written by emulations in a state", labels, registry=registry)
    sizes = Gauge("data_emulator_bytes", "Bytes written by emulations in a state", labels, registry=registry)
    counts = service.store.counts()
    for state in State:
        for gauge, value in zip((emulations, records, sizes), counts.get(state, (0, 0, 0)), strict=True):
            gauge.labels(state).set(value)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/domains")
def list_domains() -> list[DomainDescription]:
    """List what can be emulated, with the JSON Schema of the records and the formats that objects can have."""
    return [
        DomainDescription(
            name=domain.name,
            destination=domain.destination,
            description=domain.description,
            record=record_schema(domain.name, domain.schema),
            formats={each.name: list(each.compressions) for each in FORMATS.values()},
        )
        for domain in all_domains().values()
    ]

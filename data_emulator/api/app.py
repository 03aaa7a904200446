"""The ASGI application: routes, guards and error handling around one `Emulations`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool

from data_emulator.api import docs, emulator, operations, problems
from data_emulator.api.guards import LimitBody, RequireToken
from data_emulator.service.emulations import Emulations
from data_emulator.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """Return the service as an ASGI application. Its workers start and stop with its lifespan.

    :raises ConfigurationError: when the settings of the database or of a sink cannot be used.
    """
    emulations = Emulations(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(emulations.open)
        yield
        await run_in_threadpool(emulations.close)

    secured: list[Any] = []
    if settings.token:
        # Only for the OpenAPI document: the guard below checks the token, before anything is parsed.
        secured = [Depends(HTTPBearer(auto_error=False, description="The service's token."))]
    app = FastAPI(
        title="Data Emulator Service",
        summary="Realistic synthetic data per domain, to S3 buckets and Kafka topics, with proof of what was written.",
        version=version("lakehouse-data-emulator"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.emulations = emulations
    app.state.settings = settings
    app.include_router(emulator.router, dependencies=secured)
    app.include_router(operations.router)
    docs.install(app)
    problems.install(app)
    app.add_middleware(LimitBody, max_bytes=settings.max_body_bytes)
    if settings.token:
        app.add_middleware(RequireToken, token=settings.token)
    return app

"""Errors as problem documents (RFC 9457), with `detail` where clients of the original look for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from data_emulator.errors import RequestRefused
from data_emulator.suggestion import did_you_mean
from data_emulator.wire import EmulationRequest, Problem, StatusesRequest

MEDIA_TYPE = "application/problem+json"


def problem(
    status: int, title: str, detail: str | list[dict[str, Any]], headers: dict[str, str] | None = None
) -> JSONResponse:
    """Return the answer for an error."""
    body = Problem(title=title, status=status, detail=detail).model_dump()
    return JSONResponse(jsonable_encoder(body), status, headers, media_type=MEDIA_TYPE)


def refusal(error: RequestRefused) -> JSONResponse:
    """Return the answer for an error of ours."""
    return problem(error.status, error.title, str(error), error.headers)


def install(app: FastAPI) -> None:
    """Make every error of the app a problem document."""

    @app.exception_handler(RequestRefused)
    async def refused(_: Request, error: RequestRefused) -> JSONResponse:
        return refusal(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # The input is shown as it came, but for what JSON cannot hold: an exception in pydantic's `ctx`, NaN, Infinity.
        encoders: dict[Any, Callable[[Any], Any]] = {
            Exception: str,
            float: lambda number: number if math.isfinite(number) else str(number),
        }
        wrong = [_with_suggestion(each, request.url.path) for each in error.errors()]
        return problem(422, "Invalid request", jsonable_encoder(wrong, custom_encoder=encoders))

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        return problem(error.status_code, HTTPStatus(error.status_code).phrase, str(error.detail), headers)

    @app.exception_handler(Exception)
    async def defect(_: Request, error: Exception) -> JSONResponse:
        # The traceback goes to the log; what it holds is not for the client.
        return problem(500, "Internal Server Error", f"internal error: {type(error).__name__}")


def _with_suggestion(wrong: dict[str, Any], path: str) -> dict[str, Any]:
    """Return what is wrong with a field; if it is unknown, with the name that was probably meant."""
    if wrong["type"] != "extra_forbidden":
        return wrong
    model = StatusesRequest if path.endswith("/status") else EmulationRequest
    meant = did_you_mean(str(wrong["loc"][-1]), model.model_fields)
    return {**wrong, "msg": f"unknown field; did you mean {meant!r}?"} if meant else {**wrong, "msg": "unknown field"}

"""From an HTTP answer to a JSON object, or to the typed error that says why not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from include.exceptions import (
    DataEmulatorAnswerError,
    DataEmulatorRequestError,
    DataEmulatorUnavailableError,
    EmulationNotFoundError,
)
from include.retry import PASSING_STATUS_CODES

_MAX_DETAIL_CHARS = 1000

_HINTS = {
    401: "set the Token of the Airflow connection",
    403: "the connection's Token is not allowed to do this",
}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, the same whether requests or aiohttp received it.

    :param asked: what was asked, for messages: ``GET http://host/emulator/ID/status``
    :param status_code: the HTTP status code
    :param headers: looked up without regard to case, as both libraries give them
    :param text: the decoded body
    :param passing: the status codes that say "not now" rather than "no", by the connection's retry policy
    """

    asked: str
    status_code: int
    headers: Mapping[str, str]
    text: str
    passing: frozenset[int] = PASSING_STATUS_CODES

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object.

        :raises DataEmulatorAnswerError: when the body is not a JSON object
        :raises DataEmulatorError: as :meth:`raise_for_status` does
        """
        self.raise_for_status()
        try:
            body = json.loads(self.text)
        except ValueError as error:
            raise DataEmulatorAnswerError(
                f"{self.asked} answered {self.status_code}, but its body is not JSON ({error}): {_shorten(self.text)!r}"
            ) from error
        if not isinstance(body, dict):
            raise DataEmulatorAnswerError(f"{self.asked} answered with JSON that is no object: {_shorten(self.text)!r}")
        return body

    def raise_for_status(self) -> None:
        """Raise the typed error if the answer is not 2xx.

        :raises DataEmulatorUnavailableError: for a status code that is passing
        :raises DataEmulatorRequestError: for any other (``EmulationNotFoundError`` for 404)
        """
        if 200 <= self.status_code < 300:
            return
        if self.status_code in self.passing:
            raise DataEmulatorUnavailableError(
                f"{self.asked} answered {self.status_code}: {self.detail()}",
                retry_after_s=retry_after_s(self.headers.get("Retry-After")),
            )
        raise request_error(self.asked, self.status_code, self.detail())

    def detail(self) -> str:
        """The service's reason: ``detail`` of its JSON body, a string or FastAPI's list, else the body's start."""
        if 300 <= self.status_code < 400:
            location = self.headers.get("Location", "an unnamed place")
            return f"redirected to {location}; correct the connection's schema, host and port"
        try:
            detail = json.loads(self.text)["detail"]
        except (ValueError, KeyError, TypeError):
            detail = self.text
        if isinstance(detail, list):
            detail = "; ".join(_problem(item) for item in detail)
        return _shorten(str(detail)) or "no reason given"


def request_error(asked: str, status_code: int, detail: str) -> DataEmulatorRequestError:
    """The error for a refused request; also rebuilds one that a trigger's event carried.

    :param asked: what was asked, for the message
    :param status_code: one that is not passing
    :param detail: the service's reason
    """
    kind = EmulationNotFoundError if status_code == 404 else DataEmulatorRequestError
    hint = f" ({_HINTS[status_code]})" if status_code in _HINTS else ""
    return kind(f"{asked} answered {status_code}: {detail}{hint}", http_status=status_code, detail=detail)


def retry_after_s(value: str | None) -> float | None:
    """Seconds to wait by a ``Retry-After`` header, a number or an HTTP date (RFC 9110); None if absent or malformed."""
    if value is None:
        return None
    try:
        return max(0.0, float(int(value)))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def _problem(item: Any) -> str:
    """One entry of FastAPI's list of validation errors as ``body.timeout: Field required``."""
    if not isinstance(item, dict) or "msg" not in item:
        return str(item)
    location = ".".join(str(part) for part in item.get("loc", ()))
    return f"{location}: {item['msg']}" if location else str(item["msg"])


def _shorten(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _MAX_DETAIL_CHARS else text[:_MAX_DETAIL_CHARS] + "..."

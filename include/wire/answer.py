"""Turn an HTTP answer into a JSON object or a typed error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ..exceptions import (
    DataEmulatorAnswerError,
    DataEmulatorRequestError,
    DataEmulatorUnavailableError,
    EmulationNotFoundError,
)
from ..retry import TRANSIENT_STATUS_CODES
from .call import Call
from .other_server import other_server

_MAX_DETAIL_CHARS = 1000
_NO_SUCH_ROUTE = (404, 405, 501)

_HINTS = {
    401: "; set the Token of the Airflow connection",
    403: "; the connection's Token is not allowed to do this",
}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, from requests or aiohttp alike.

    :param call: what was asked
    :param url: of whom
    :param status_code: the HTTP status code
    :param headers: looked up without regard to case, as both libraries give them
    :param text: the decoded body
    :param transient: the status codes that say "not now" rather than "no", by the connection's retry policy
    :param secrets: what no message may contain, should the answer echo it
    """

    call: Call
    url: str
    status_code: int
    headers: Mapping[str, str]
    text: str
    transient: frozenset[int] = TRANSIENT_STATUS_CODES
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def asked(self) -> str:
        """The request, for the end of a message: ``GET http://host/emulator/ID/status``."""
        return f"{self.call.method} {self.url}"

    def json_object(self) -> dict[str, Any]:
        """Return the body as a JSON object.

        :raises DataEmulatorAnswerError: when the body is not a JSON object
        :raises DataEmulatorError: as :meth:`raise_for_status` does
        """
        self.raise_for_status()
        try:
            body = json.loads(self.text)
        except (ValueError, RecursionError) as error:
            raise self.not_understood(f"its body is not JSON ({error}): {self._shown(self.text)!r}") from None
        if not isinstance(body, dict):
            raise self.not_understood(f"its JSON is not an object: {self._shown(self.text)!r}")
        return body

    def raise_for_status(self) -> None:
        """Raise the typed error if the answer is not 2xx.

        A refusal counts only if it is the service's own: its body has a ``detail``, and a 404 names the unknown
        emulation. Anything else comes from something in between, such as a proxy or a login page, and is temporary.

        :raises DataEmulatorUnavailableError: for a status code that is transient
        :raises DataEmulatorAnswerError: for an answer that is not the service's
        :raises EmulationNotFoundError: when the service does not know the emulation
        :raises DataEmulatorRequestError: when the service refuses
        """
        status = self.status_code
        if 200 <= status < 300:
            return
        if self.other_server:
            raise self.not_understood(f"status {status}")
        detail = self.detail()
        if status in self.transient:
            raise DataEmulatorUnavailableError(
                f"{detail} ({status}, {self.asked})", retry_after_s=retry_after_s(self.headers.get("Retry-After"))
            )
        if status == 404 and self._has_detail and self.call.emulation_id and self.call.emulation_id in detail:
            raise request_error(self.asked, status, detail)
        if status >= 500 or (self._has_detail and (status not in _NO_SUCH_ROUTE or self.call.optional)):
            raise DataEmulatorRequestError(_refusal(self.asked, status, detail), http_status=status, detail=detail)
        raise self.not_understood(f"{detail!r} with status {status}")

    def not_understood(self, what: str) -> DataEmulatorAnswerError:
        """Return the error for an answer that is not from a Data Emulator Service."""
        if self.other_server:
            return DataEmulatorAnswerError(
                f"This is {self.other_server}, not a Data Emulator Service: set Host and Port of the connection to the "
                f"service's ({self.status_code}, {self.asked})"
            )
        return DataEmulatorAnswerError(f"This is not an answer from a Data Emulator Service: {what} ({self.asked})")

    @property
    def other_server(self) -> str | None:
        """What kind of server answers instead of a Data Emulator Service; None when that cannot be told."""
        return None if self._has_detail else other_server(self.headers, self.text)

    def detail(self) -> str:
        """Return the service's reason: the body's ``detail``, a string or FastAPI's list, or the start of the body."""
        if 300 <= self.status_code < 400:
            to = _without_secrets(self.headers.get("Location", "")) or "an unnamed location"
            return f"a redirect to {to}; set Schema, Host and Port to the service itself"
        detail = self._body().get("detail", self.text)
        if isinstance(detail, list):
            detail = "; ".join(_problem(item) for item in detail)
        return self._shown(str(detail)) or "no reason given"

    @property
    def _has_detail(self) -> bool:
        return "detail" in self._body()

    def _body(self) -> dict[str, Any]:
        """Return the body if it is a JSON object, whatever the status; otherwise an empty one."""
        try:
            body = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        return body if isinstance(body, dict) else {}

    def _shown(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        text = text.strip()
        return text if len(text) <= _MAX_DETAIL_CHARS else text[:_MAX_DETAIL_CHARS] + "..."


def request_error(asked: str, status_code: int, detail: str) -> DataEmulatorRequestError:
    """Return the error for a refused request; also used to rebuild one from a trigger's event.

    :param asked: what was asked, for the message
    :param status_code: of the refusal
    :param detail: the service's reason
    """
    kind = EmulationNotFoundError if status_code == 404 else DataEmulatorRequestError
    return kind(_refusal(asked, status_code, detail), http_status=status_code, detail=detail)


def retry_after_s(value: str | None) -> float | None:
    """Parse ``Retry-After``, a number or an HTTP date (RFC 9110), to seconds; None if absent or malformed."""
    if value is None:
        return None
    try:
        return max(0.0, float(int(value)))
    except (ValueError, OverflowError):
        pass
    try:
        at = parsedate_to_datetime(value)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0.0, (at - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None


def _refusal(asked: str, status_code: int, detail: str) -> str:
    return f"{detail}{_HINTS.get(status_code, '')} ({status_code}, {asked})"


def _problem(item: Any) -> str:
    """Format one of FastAPI's validation errors as ``body.timeout: Field required``."""
    if not isinstance(item, dict) or "msg" not in item:
        return str(item)
    location = item.get("loc", ())
    where = ".".join(str(part) for part in location) if isinstance(location, list | tuple) else str(location)
    return f"{where}: {item['msg']}" if where else str(item["msg"])


def _without_secrets(url: str) -> str:
    """Return a URL without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

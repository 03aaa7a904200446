"""The service's errors.

::

    EmulatorError
    ├── ConfigurationError      the service's settings contradict each other or lack something
    ├── RequestRefused          answered over HTTP, with a status and a problem document (RFC 9457)
    │   ├── InvalidRequest          400: a sink, format, compression or domain that there is not, or not together
    │   ├── SinkUnavailable         400: the store or broker cannot be reached or refuses us
    │   ├── Unauthorized            401
    │   ├── EmulationNotFound       404
    │   ├── EmulationEnded          409: it cannot be cancelled any more
    │   ├── BodyTooLarge            413
    │   ├── IdempotencyKeyReused    422: the same key with another body
    │   ├── ObjectTooLarge          422: more than the store can keep in one object
    │   └── TooManyEmulations       429, with Retry-After
    └── SinkError               a write that the store or broker did not acknowledge
"""

from __future__ import annotations

from typing import ClassVar


class EmulatorError(Exception):
    """Base class of the service's errors."""


class ConfigurationError(EmulatorError):
    """The settings cannot be used; the message names the setting and what it should be."""


class SinkError(EmulatorError):
    """A store or broker rejected a write; the message names it and the reason.

    :param permanent: trying again cannot help: the store refuses the request, the credentials or the bucket, or a
        message is larger than the producer sends.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class RequestRefused(EmulatorError):
    """A request that is answered with an error status. The message is the problem's detail."""

    status: ClassVar[int]
    title: ClassVar[str]
    headers: ClassVar[dict[str, str]] = {}


class InvalidRequest(RequestRefused):
    """A value that names no sink, format, compression or domain, or that does not go with another."""

    status = 400
    title = "Unsupported value"


class SinkUnavailable(RequestRefused):
    """The store or broker that the emulation would write to cannot be reached, or refuses the service."""

    status = 400
    title = "Sink unavailable"


class Unauthorized(RequestRefused):
    """The bearer token is missing or wrong."""

    status = 401
    title = "Unauthorized"
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}


class EmulationNotFound(RequestRefused):
    """There is no emulation with this id."""

    status = 404
    title = "Emulation not found"

    def __init__(self, emulation_id: str) -> None:
        super().__init__(f"Emulation ID {emulation_id} not found.")


class EmulationEnded(RequestRefused):
    """The emulation has already ended, so that it cannot be cancelled."""

    status = 409
    title = "Emulation has ended"


class BodyTooLarge(RequestRefused):
    """The request's body exceeds the configured size."""

    status = 413
    title = "Body too large"


class IdempotencyKeyReused(RequestRefused):
    """The idempotency key has been used with another body."""

    status = 422
    title = "Idempotency key reused"


class ObjectTooLarge(RequestRefused):
    """The one object of a `grouped` emulation may become larger than the store can keep."""

    status = 422
    title = "Object too large"


class TooManyEmulations(RequestRefused):
    """The limits of running and queued emulations are reached."""

    status = 429
    title = "Too many emulations"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "5"}

"""The retry policy of the hook, its async twin and the shared wait."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tenacity import RetryCallState, retry_if_exception_type, stop_after_attempt

from .exceptions import DataEmulatorConnectionError, DataEmulatorUnavailableError

#: Status codes that say "not now" rather than "no", unless the connection names others.
TRANSIENT_STATUS_CODES = frozenset({429, 500, 502, 503, 504})

_MAX_DOUBLINGS = 30  # beyond every cap; an outage of any length must not overflow a float


@dataclass(frozen=True)
class RetryPolicy:
    """How often to retry a failed request, and how long to wait in between.

    Only a transient failure is retried, which is every ``DataEmulatorUnavailableError``: no answer, an answer that is
    not the service's, or one whose status code is among ``status_codes``.

    The wait before attempt n+1 is drawn evenly from the upper half of ``backoff_base_s * 2**(n-1)`` seconds, at most
    ``backoff_cap_s``: exponential back-off with equal jitter, so that clients which failed together do not come back
    together. A longer ``Retry-After`` counts instead, up to the cap. The defaults wait for two to four minutes in all,
    which outlasts an ordinary redeployment of the service.
    """

    attempts: int = 13
    backoff_base_s: float = 1.0
    backoff_cap_s: float = 30.0
    status_codes: frozenset[int] = TRANSIENT_STATUS_CODES

    def wait_s(self, failed_attempts: int, error: BaseException | None) -> float:
        """Return the seconds to wait after a number of failed attempts, the last of which raised ``error``."""
        doublings = min(failed_attempts - 1, _MAX_DOUBLINGS)
        backoff_s = min(self.backoff_base_s * 2.0**doublings, self.backoff_cap_s)
        asked_s = error.retry_after_s if isinstance(error, DataEmulatorUnavailableError) else None
        return min(max(random.uniform(backoff_s / 2, backoff_s), asked_s or 0.0), self.backoff_cap_s)

    def tenacity_arguments(self, warn: Callable[..., Any], *, attempts: int | None = None) -> dict[str, Any]:
        """Return the arguments for ``tenacity.Retrying`` and ``AsyncRetrying``.

        :param warn: logs a format and its arguments; called for each failed attempt that is followed by another
        :param attempts: instead of the policy's own number; 1 for a request that must not be sent twice
        """
        limit = self.attempts if attempts is None else attempts

        def log_failure(state: RetryCallState) -> None:
            wait_s = state.next_action.sleep if state.next_action else 0.0
            error = _error(state)
            # What to do about it is told once, by the error that the last attempt ends with.
            what = error.short if isinstance(error, DataEmulatorConnectionError) else error
            warn("Attempt %d of %d failed, retrying in %.1f s: %s", state.attempt_number, limit, wait_s, what)

        return {
            "retry": retry_if_exception_type(DataEmulatorUnavailableError),
            "stop": stop_after_attempt(limit),
            "wait": lambda state: self.wait_s(state.attempt_number, _error(state)),
            "before_sleep": log_failure,
            "reraise": True,
        }


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None

"""The one retry policy, which the hook, its async twin and the trigger follow alike."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tenacity import RetryCallState, retry_if_exception_type, stop_after_attempt

from include.exceptions import DataEmulatorUnavailableError

#: Status codes that say "not now" rather than "no", unless the connection names others.
PASSING_STATUS_CODES = frozenset({429, 500, 502, 503, 504})

_MAX_DOUBLINGS = 30  # beyond every cap; an outage of any length must not overflow a float


@dataclass(frozen=True)
class RetryPolicy:
    """How often a request that failed in passing is sent again, and how long to wait in between.

    Passing is every ``DataEmulatorUnavailableError``: no answer, an answer that cannot be understood, or an answer with
    one of ``status_codes``. Every other answer that is not 2xx is permanent.

    The wait before attempt n+1 is drawn evenly from 0 to ``backoff_base_s * 2**(n-1)`` seconds (exponential back-off
    with full jitter, so that clients which failed together do not come back together), or what ``Retry-After`` asks for
    if that is more; neither is ever more than ``backoff_cap_s``.
    """

    attempts: int
    backoff_base_s: float
    backoff_cap_s: float
    status_codes: frozenset[int] = PASSING_STATUS_CODES

    def wait_s(self, failed_attempts: int, error: BaseException | None) -> float:
        """Seconds to wait after a number of failed attempts, the last of which ended with ``error``."""
        doublings = min(failed_attempts - 1, _MAX_DOUBLINGS)
        jittered_s = random.uniform(0.0, min(self.backoff_base_s * 2.0**doublings, self.backoff_cap_s))
        asked_s = error.retry_after_s if isinstance(error, DataEmulatorUnavailableError) else None
        return min(max(jittered_s, asked_s or 0.0), self.backoff_cap_s)

    def tenacity_arguments(self, warn: Callable[..., Any], *, attempts: int | None = None) -> dict[str, Any]:
        """Arguments for ``tenacity.Retrying`` and ``AsyncRetrying`` alike.

        :param warn: logs a format and its arguments; called for each failed attempt that is followed by another
        :param attempts: instead of the policy's own number; 1 for a request that must not be sent twice
        """
        limit = self.attempts if attempts is None else attempts

        def log_failure(state: RetryCallState) -> None:
            wait_s = state.next_action.sleep if state.next_action else 0.0
            warn("%s; attempt %d of %d, next in %.1f s", _error(state), state.attempt_number, limit, wait_s)

        return {
            "retry": retry_if_exception_type(DataEmulatorUnavailableError),
            "stop": stop_after_attempt(limit),
            "wait": lambda state: self.wait_s(state.attempt_number, _error(state)),
            "before_sleep": log_failure,
            "reraise": True,
        }


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None

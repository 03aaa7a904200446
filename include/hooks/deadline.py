"""A time limit for calls that have none of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")


def call_within(timeout_s: float, function: Callable[[], T]) -> T:
    """Call a function in a thread, and stop waiting for it after a timeout.

    A thread cannot be stopped: one that is too slow keeps running until its process ends. Needed for ``requests``,
    whose timeouts restart with every byte and do not cover name resolution.

    :param timeout_s: seconds to wait
    :raises TimeoutError: when the function has not returned in time
    """
    outcome: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            outcome.put((function(), None))
        except BaseException as error:
            outcome.put((None, error))

    threading.Thread(target=run, name=f"within {timeout_s:g} s", daemon=True).start()
    try:
        result, error = outcome.get(timeout=timeout_s)
    except Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]

"""A bound in time for calls that have none of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")


def call_within(timeout_s: float, function: Callable[[], T]) -> T:
    """Call a function in a thread, and stop waiting for it after a time.

    A thread cannot be ended: one that is not done in time goes on, and is dropped with its process. That is for
    requests, whose own time-outs count from byte to byte, and not at all while a name is looked up.

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

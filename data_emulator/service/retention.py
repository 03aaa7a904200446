"""Forget emulations that have ended long ago: their status, manifest and idempotency key. Their data stays."""

from __future__ import annotations

import threading
import time
from typing import Final

import structlog

from data_emulator.service.store.store import Store

_EVERY_S: Final = 3600.0
_EMULATIONS: Final = 500
_ROWS: Final = 5000
_BREATH_S: Final = 0.05
"""Between two transactions: others write meanwhile."""
_DAY_S: Final = 86_400.0
_JOIN_S: Final = 2.0

log = structlog.get_logger(__name__)


class Retention:
    """A thread that forgets, once an hour, what ended longer ago than is to be kept.

    :param days: how long ended emulations are kept; 0: for good.
    """

    def __init__(self, store: Store, days: float) -> None:
        self._store = store
        self._days = days
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="retention", daemon=True)

    def open(self) -> None:
        """Start forgetting."""
        if self._days:
            self._thread.start()

    def close(self) -> None:
        """Stop after the transaction that is under way."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                if forgotten := prune(self._store, time.time() - self._days * _DAY_S, self._closing):
                    log.info("ended emulations forgotten", emulations=forgotten, kept_days=self._days)
            except Exception:  # the database may be away
                log.exception("cannot forget ended emulations")
            self._closing.wait(_EVERY_S)


def prune(store: Store, ended_before: float, closing: threading.Event | None = None) -> int:
    """Forget the emulations that ended before this time, in Unix seconds; return how many.

    It goes on in small transactions, so that nobody waits for it. An emulation is gone as a whole, at once: nobody sees
    a part of its manifest. What is interrupted is completed by the next call.

    :param closing: ends it early, once it is set.
    """
    closing = closing or threading.Event()
    forgotten = 0
    while not closing.wait(_BREATH_S):
        hidden = store.hide_ended(ended_before, _EMULATIONS)
        forgotten += hidden
        while store.delete_hidden(_ROWS):
            if closing.wait(_BREATH_S):
                return forgotten
        if not hidden:
            break
    return forgotten

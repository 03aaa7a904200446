"""Detect abandoned emulations: those whose status nobody has requested for `abandon_after` seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from data_emulator.service.store.emulation import Emulation

_SWEEP_S: Final = 1.0
"""How often it is looked who has been abandoned: all of them in one go, in memory."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Watch:
    """An emulation that is abandoned when nobody has asked for it since `asked_at` for that long."""

    abandon_after_s: int
    asked_at: float
    held: int = 0
    """How many are asking right now: a long poll asks for as long as it is held."""


class Attention:
    """The last status request for each emulation with `abandon_after`. Thread-safe.

    It is kept in memory only: after a restart, the time of each starts anew.

    :param on_abandoned: called with what the error of each abandoned emulation is to say, by id, from a thread of its
        own. If it raises, it is called with them again.
    :param clock: seconds, from anywhere on.
    """

    def __init__(
        self, on_abandoned: Callable[[Mapping[str, str]], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_abandoned = on_abandoned
        self._clock = clock
        self._lock = threading.Lock()
        self._watches: dict[str, _Watch] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="attention", daemon=True)

    def open(self) -> None:
        """Start looking for abandoned emulations."""
        self._thread.start()

    def close(self) -> None:
        """Stop looking for abandoned emulations."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def expect(self, emulations: Iterable[Emulation]) -> None:
        """Start the clock of emulations with `abandon_after`. Call it before any client can know of them."""
        now = self._clock()
        limits = ((each.id, each.request.abandon_after) for each in emulations)
        watches = {emulation_id: _Watch(limit, now) for emulation_id, limit in limits if limit is not None}
        if watches:
            with self._lock:
                self._watches |= watches

    def forget(self, emulation_ids: Iterable[str]) -> None:
        """Stop watching these emulations, which have ended."""
        with self._lock:
            for each in emulation_ids:
                self._watches.pop(each, None)

    @contextmanager
    def held(self, emulation_ids: Iterable[str]) -> Iterator[None]:
        """Record a request for these emulations, which lasts until the context is left."""
        asked: list[_Watch] = []
        if self._watches:  # mostly there are none, and whoever asks for thousands does not pay for it
            with self._lock:
                asked = [watch for each in emulation_ids if (watch := self._watches.get(each))]
                for watch in asked:
                    watch.held += 1
        try:
            yield
        finally:
            if asked:
                now = self._clock()
                with self._lock:
                    for watch in asked:
                        watch.held -= 1
                        watch.asked_at = now

    def _serve(self) -> None:
        while not self._closing.wait(_SWEEP_S):
            try:
                self._sweep()
            except Exception:  # the database may be away: they are still abandoned in a second
                log.exception("cannot cancel what is abandoned")

    def _sweep(self) -> None:
        now = self._clock()
        with self._lock:
            limits_s = {
                emulation_id: watch.abandon_after_s
                for emulation_id, watch in self._watches.items()
                if not watch.held and now - watch.asked_at >= watch.abandon_after_s
            }
        if limits_s:
            log.info("emulations abandoned", emulation_ids=list(limits_s))
            self._on_abandoned({key: _error(limit_s) for key, limit_s in limits_s.items()})
            self.forget(limits_s)


def _error(abandon_after_s: int) -> str:
    return f"nobody has asked for its status for {abandon_after_s} s (abandon_after)"

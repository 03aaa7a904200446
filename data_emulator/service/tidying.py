"""Delete what ended emulations have left in a store and no manifest lists: objects behind the last, unfinished uploads.

A worker does so at the end of each emulation, if the store lets it in time. Where it did not, or has died, or requests
that were given up may still be on their way, the end is stored with a note, and the deletion is made up for here, again
and again until it is done, also by the next process.
"""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta
from typing import Final

import structlog
from obstore.exceptions import BaseError

from data_emulator.domains import all_domains
from data_emulator.errors import ConfigurationError
from data_emulator.service.store.store import Store, Untidy
from data_emulator.settings import Settings
from data_emulator.sinks.bucket import Bucket
from data_emulator.sinks.catalog import SINKS

_PAUSE_S: Final = 1.0
_RETRY_S: Final = 10.0
_SECOND_LOOK_S: Final = 30.0
"""A request that was given up, or whose sender has died, may reach the store a little later."""
_JOIN_S: Final = 2.0
_BATCH: Final = 100
_BREATH_S: Final = 0.05
"""Between two emulations: thousands of them must not keep the service from answering requests."""

_Place = tuple[str, str]
"""A sink, and the domain whose bucket or folder is meant."""

log = structlog.get_logger(__name__)


class Tidier:
    """A thread that deletes what ended emulations have left behind. What a manifest lists stays."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="tidier", daemon=True)
        self._buckets: dict[_Place, Bucket] = {}
        self._away: dict[_Place, str] = {}
        """Why something could not be deleted last."""

    def open(self) -> None:
        """Start deleting."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the emulation whose turn it is, or while its store hangs; the next process goes on."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    def tidy_up(self, within_s: float) -> None:
        """Delete in this time what can be deleted, not by the thread, which must not run."""
        deadline = time.monotonic() + within_s
        for each in self._store.untidy(time.time(), _BATCH):
            if time.monotonic() < deadline:
                self._tidy(each)

    def _serve(self) -> None:
        while not self._closing.wait(_PAUSE_S):
            try:
                self._tidy_all()
            except Exception:  # the database may be away
                log.exception("cannot tidy up")
                self._closing.wait(_RETRY_S)

    def _tidy_all(self) -> None:
        away: set[_Place] = set()
        for each in self._store.untidy(time.time(), _BATCH):
            place = each.sink, each.domain
            if self._closing.wait(_BREATH_S):
                return
            # One that is away is asked once, not for each emulation.
            if place not in away and not self._tidy(each):
                away.add(place)

    def _tidy(self, of: Untidy) -> bool:
        """Delete what one emulation has left, and note when to look again; tell whether its store let it."""
        kind, domain, place = SINKS.get(of.sink), all_domains().get(of.domain), (of.sink, of.domain)
        open_bucket = kind.bucket if kind else None
        if open_bucket is None or domain is None:
            self._store.set_tidy(of.emulation_id)
            return True
        try:
            if place not in self._buckets:
                timeout = timedelta(seconds=self._settings.sink_timeout_s)
                self._buckets[place] = open_bucket(self._settings, domain.destination, timeout)
            asyncio.run(_delete(self._buckets[place], of))
        except FileNotFoundError:
            self._store.set_tidy(of.emulation_id)  # the folder is gone, and all that was in it
        except ConfigurationError as error:
            return self._put_off(of, str(error))
        except (BaseError, OSError) as error:
            reason = self._buckets[place].reason(error)
            if not self._buckets[place].is_permanent(error):
                return self._put_off(of, reason)
            log.error("left-over objects cannot be deleted", emulation_id=of.emulation_id, reason=reason)
            self._store.set_tidy(of.emulation_id)
        else:
            self._away.pop(place, None)
            if of.looks:
                self._store.set_tidy(of.emulation_id)
            else:
                self._store.set_untidy(of.emulation_id, time.time() + _SECOND_LOOK_S, looks=1)
        return True

    def _put_off(self, of: Untidy, reason: str) -> bool:
        if self._away.get((of.sink, of.domain)) != reason:
            self._away[of.sink, of.domain] = reason
            log.warning("left-over objects not deleted yet", emulation_id=of.emulation_id, reason=reason)
        self._store.set_untidy(of.emulation_id, time.time() + _RETRY_S, of.looks)
        return False


async def _delete(bucket: Bucket, of: Untidy) -> None:
    prefix = f"{of.emulation_id}/"
    await bucket.delete_behind(prefix, of.last_key or prefix)
    if of.may_have_uploads or bucket.is_local:
        await bucket.abort_uploads(prefix)

"""What became of the last commits of workers that have died."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable
from typing import Final

import structlog

from data_emulator.engine.outage import Outage, one_line
from data_emulator.errors import SinkError
from data_emulator.service.outages import Outages
from data_emulator.service.store.store import Store, Writer
from data_emulator.settings import Settings
from data_emulator.sinks.catalog import SINKS

_PAUSE_S: Final = 1.0
_TIMEOUT_S: Final = 10.0

log = structlog.get_logger(__name__)


class Settlement:
    """Asks sinks what was committed, and stores it. May be used from any thread.

    :param outages: where it is noted that emulations wait for an answer.
    :param closing: set when the service ends: then nothing is waited for.
    """

    def __init__(self, settings: Settings, store: Store, outages: Outages, closing: threading.Event) -> None:
        self._settings = settings
        self._store = store
        self._outages = outages
        self._closing = closing

    def settle(self, writer: Writer, gives_up_at: float) -> bool:
        """Find out whether a dead worker's last commit was made, waiting for the sink if necessary.

        :param gives_up_at: until when, in Unix seconds.
        :return: whether it could be found out in time.
        """
        settle = SINKS[writer.sink].settle
        token = writer.commit.token if writer.commit else None
        while not self._closing.is_set():
            try:
                committed = settle is not None and settle(self._settings, writer.id, token, _TIMEOUT_S)
            except SinkError as error:
                log.warning("commit not settled yet", sink=writer.sink, error=str(error))
                self._note_outage(writer.emulation_ids, error, gives_up_at)
                if time.time() > gives_up_at:
                    return False
                self._closing.wait(_PAUSE_S)
            else:
                self._store.settle(writer.id, writer.commit if committed else None)
                for each in writer.emulation_ids:
                    self._outages.note(each, None)
                return True
        return False

    def _note_outage(self, emulation_ids: Iterable[str], error: SinkError, gives_up_at: float) -> None:
        """Note that emulations wait to be told what was committed of them, since when their worker noticed it."""
        if gives_up_at == math.inf:
            return  # they have failed
        for each in emulation_ids:
            known = self._outages.of(each)
            since = known.since if known else gives_up_at - self._settings.sink_outage_s
            self._outages.note(each, Outage(one_line(str(error)), since, gives_up_at))

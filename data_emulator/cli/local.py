"""One emulation by an engine of its own: the service's, in this process and without HTTP; its state is not kept."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Final

from data_emulator.api import bodies
from data_emulator.service.emulations import Emulations
from data_emulator.service.store.emulation import Emulation
from data_emulator.settings import Settings
from data_emulator.wire import EmulationRequest, Manifest

_POLL_INTERVAL_S: Final = 0.1
_TIDY_S: Final = 5.0


class LocalEmulation:
    """An emulation that was started, and runs in a worker process."""

    def __init__(self, service: Emulations, emulation_id: str) -> None:
        self.id = emulation_id
        self._service = service

    def look(self) -> Emulation:
        """Return where it is."""
        return self._service.get(self.id)

    def waits_for(self) -> str | None:
        """Return what it waits for while its sink is away, or `None`."""
        outage = self._service.outage_of(self.id)
        return None if outage is None else outage.reason

    def looks(self) -> Iterator[Emulation]:
        """Yield where it is, ten times a second, until it has ended; the last is its end."""
        while not (found := self.look()).state.is_terminal:
            yield found
            time.sleep(_POLL_INTERVAL_S)
        yield found

    def cancel(self) -> Emulation:
        """End it, if it has not ended; what it has written stays. Return its end."""
        if not self.look().state.is_terminal:
            self._service.cancel(self.id)
        *_, end = self.looks()
        return end

    def manifest(self) -> Manifest:
        """Return where its data is."""
        return bodies.manifest(*self._service.manifest(self.id), self._service.settings)


@contextmanager
def emulating(request: EmulationRequest, settings: Settings) -> Iterator[LocalEmulation]:
    """Start an emulation. When the block is left its engine is stopped, whatever has been written by then.

    :param settings: of the sinks; those of the database and the workers do not count.
    :raises ConfigurationError: when the settings of a sink cannot be used.
    :raises RequestRefused: when the request cannot be carried out, or its sink cannot be written to.
    """
    with TemporaryDirectory(prefix="data-emulator-") as folder:
        own = {"database_url": f"sqlite:///{folder}/state.db", "workers": 1}
        service = Emulations(settings.model_copy(update=own))
        try:
            # The terminal's ctrl-C reaches the worker too, which inherits this: it is told by us when to end.
            handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                service.open()
            finally:
                signal.signal(signal.SIGINT, handler)
            emulation, _ = asyncio.run(service.start(request, None))
            yield LocalEmulation(service, emulation.id)
        finally:
            service.close(tidy_s=_TIDY_S)

"""A worker process that is killed by the records of one emulation, or hangs in them, as by a defect in a library."""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection
from typing import Any

from data_emulator.engine import worker
from data_emulator.engine.source import RecordSource
from data_emulator.model import Records
from data_emulator.settings import Settings

DEADLY_SEED = 666
ENDLESS_SEED = 667


def main(pipe: Connection, settings: Settings, writer_id: str, at_work: Any) -> None:
    """Do what a worker does, until a record of that emulation is to be made."""
    original = RecordSource.take

    def take(self: RecordSource, at_most: int) -> Records:
        if self._plan.seed == DEADLY_SEED:
            os.kill(os.getpid(), signal.SIGKILL)
        while self._plan.seed == ENDLESS_SEED:
            pass
        return original(self, at_most)

    RecordSource.take = take  # type: ignore[method-assign]
    worker.main(pipe, settings, writer_id, at_work)

"""A worker process that dies once at a given moment of its commit, and lives normally from then on."""

from __future__ import annotations

import asyncio
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from data_emulator.engine import worker
from data_emulator.settings import Settings
from data_emulator.sinks.kafka.writer import KafkaWriter

MOMENT = "TEST_WORKER_DIES"
"""The environment variable with the moment: `before`, `during` or `after` the commit of what is stored as prepared;
`before, alone`: only the broker dies then."""
DIED = "TEST_WORKER_DIED"
"""The variable with the path of a file that is there once one has died: the next ones do not."""
BROKER = "TEST_WORKER_TAKES_WITH_IT"
"""The variable with the pid of a broker that is killed with it; empty: none."""


def main(pipe: Connection, settings: Settings, writer_id: str, at_work: Any) -> None:
    """Do what a worker does, up to that moment."""
    commits = 0
    marker = Path(os.environ[DIED])
    dies = not marker.exists()
    original = KafkaWriter._call

    async def call(self: KafkaWriter, name: str) -> None:
        nonlocal commits, dies
        commits += name == "commit_transaction"
        if not dies or commits < 2:  # one has passed: where all is slow, there may not be many more
            await original(self, name)
            return
        match os.environ[MOMENT]:
            case "after":
                await original(self, name)
                # See `until_marked`, which cannot be called from here.
                await asyncio.sleep(1 if os.environ.get(BROKER) else 0)
            case "during":
                asyncio.get_running_loop().call_later(0.002, die)
                await original(self, name)
                await asyncio.Event().wait()
        if os.environ[MOMENT] == "before, alone":
            dies = False
            end_broker()
            await original(self, name)
            return
        die()

    def end_broker() -> None:
        if broker := os.environ.get(BROKER):
            os.kill(int(broker), signal.SIGKILL)
        marker.touch()

    def die() -> None:
        end_broker()
        os.kill(os.getpid(), signal.SIGKILL)

    KafkaWriter._call = call  # type: ignore[method-assign]
    worker.main(pipe, settings, writer_id, at_work)

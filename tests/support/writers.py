"""A writer to Kafka that serves while a test uses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from data_emulator.model import Commit
from data_emulator.settings import Settings
from data_emulator.sinks.kafka.writer import KafkaWriter, Prepare


async def _nothing(_: Commit) -> None:
    """Take in what is about to be committed, and let it be."""


@asynccontextmanager
async def serving_writer(
    settings: Settings, transactional_id: str | None = None, prepare: Prepare = _nothing
) -> AsyncIterator[KafkaWriter]:
    """Give a writer; without a transactional id it writes without transactions."""
    writer = KafkaWriter(settings, transactional_id, prepare, lambda: None)
    serving = asyncio.create_task(writer.serve())
    try:
        yield writer
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving  # a defect of the writer is raised here

"""What a worker's emulations share on their way to buckets or folders: the clients of these."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from data_emulator.formats.objects import Layout
from data_emulator.model import Checkpoint
from data_emulator.settings import Settings
from data_emulator.sinks.base import Channel
from data_emulator.sinks.bucket import Bucket
from data_emulator.sinks.objects import ObjectSink
from data_emulator.sinks.parts import PART_BYTES

OpenBucket = Callable[[Settings, str, timedelta], Bucket]
"""Opens a bucket by its name; a request may take so long, its retries included."""
_LEAST_BYTES_PER_S: Final = 4 * 2**20
"""A request for a part that is larger than usual gets a second more for each of these, beside the usual time."""


class ObjectChannel(Channel):
    """The buckets that emulations write to, each opened once: to open one takes milliseconds."""

    def __init__(self, settings: Settings, open_bucket: OpenBucket) -> None:
        self._settings = settings
        self._open_bucket = open_bucket
        self._buckets: dict[tuple[str, float], Bucket] = {}

    def open(
        self,
        destination: str,
        emulation_id: str,
        checkpoint: Checkpoint,
        layout: Callable[[], Layout],
        part_bytes: int,
    ) -> ObjectSink:
        """Return a sink that writes objects, whose keys begin with the emulation's id."""
        return ObjectSink(
            self._bucket(destination, part_bytes),
            prefix=emulation_id,
            layout=layout(),
            checkpoint=checkpoint,
            part_bytes=part_bytes,
        )

    def _bucket(self, name: str, part_bytes: int) -> Bucket:
        timeout_s = self._settings.sink_timeout_s + (part_bytes - PART_BYTES) / _LEAST_BYTES_PER_S
        of = name, timeout_s
        if of not in self._buckets:
            self._buckets[of] = self._open_bucket(self._settings, name, timedelta(seconds=timeout_s))
        return self._buckets[of]

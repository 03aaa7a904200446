"""Records in the objects of a bucket or the files of a folder: one, several or one for each record."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, Final

import numpy as np
import obstore
from obstore.exceptions import BaseError

from data_emulator.errors import SinkError
from data_emulator.formats.columns import bounds
from data_emulator.formats.objects import Layout, ObjectEncoder
from data_emulator.model import Checkpoint, ObjectWritten, Records, Written
from data_emulator.sinks.base import Sink
from data_emulator.sinks.bucket import Bucket
from data_emulator.sinks.parts import CONCURRENT_PARTS, PART_BYTES, held_bytes

_CONCURRENT_PUTS: Final = 16
_MAX_PENDING_PUTS: Final = 64


class _Upload:
    """One object on its way: held in memory while it is small, sent in parts once it is not."""

    def __init__(self, bucket: Bucket, part: int, key: str, encoder: ObjectEncoder, part_bytes: int) -> None:
        self.part = part
        self.key = key
        self.encoder = encoder
        self.records = 0
        self.bytes = 0
        self._part_bytes = part_bytes
        self._bucket = bucket
        self._digest = hashlib.sha256()
        self._held: list[bytes] = []
        self._writer: Any = None

    def _add(self, content: bytes) -> None:
        self._digest.update(content)
        self.bytes += len(content)
        self._held.append(content)

    async def write(self, records: Records) -> None:
        self._add(self.encoder.add(records))
        self.records += len(records)
        if self._writer is None and self.bytes >= PART_BYTES:
            self._writer = obstore.open_writer_async(
                self._bucket.store, self.key, buffer_size=self._part_bytes, max_concurrency=CONCURRENT_PARTS
            )
        if self._writer is not None:
            await self._writer.write(self._taken())

    @property
    def is_in_parts(self) -> bool:
        """Whether the store knows of it before it is complete."""
        return self._writer is not None

    @property
    def held_bytes(self) -> int:
        """How much memory it may take until it has arrived."""
        return min(self.bytes, held_bytes(self._part_bytes))

    @property
    def acknowledged_bytes(self) -> int:
        """How much of it the store has taken at least: what is neither collected for a part nor on its way in one."""
        return 0 if self._writer is None else max(0, self.bytes - held_bytes(self._part_bytes) - self._part_bytes)

    def end(self) -> None:
        """Take no more records."""
        self._add(self.encoder.close())

    def _taken(self) -> bytes:
        held, self._held = b"".join(self._held), []
        return held

    async def close(self) -> ObjectWritten:
        if self._writer is not None:
            await self._writer.write(self._taken())
            await self._writer.close()
        else:
            await obstore.put_async(self._bucket.store, self.key, self._taken(), use_multipart=False)
        await self._bucket.make_durable(self.key)
        return ObjectWritten(self.key, self.records, self.bytes, "sha256:" + self._digest.hexdigest())


class ObjectSink(Sink):
    """Writes the objects ``<prefix>/part-000000000.<extension>`` and on.

    Where an object ends depends on its records alone, never on time: so a part that is written again, after a failure
    or by another worker, has the same name and the same content.

    :param layout: the objects' format, and when one is full.
    :param checkpoint: what is written already.
    :param part_bytes: the size of the parts in which an object goes up that is larger than `PART_BYTES`.
    """

    def __init__(
        self, bucket: Bucket, *, prefix: str, layout: Layout, checkpoint: Checkpoint, part_bytes: int = PART_BYTES
    ) -> None:
        self._part_bytes = part_bytes
        self._most_pending_bytes = held_bytes(part_bytes)
        """Of finished objects on their way. The first that exceeds this is the last until there is room again."""
        self._bucket = bucket
        self._prefix = prefix
        self._layout = layout
        self._open: _Upload | None = None
        self._puts: dict[asyncio.Task[None], int] = {}
        """What is on its way, and the memory that each may take."""
        self._slots = asyncio.Semaphore(_CONCURRENT_PUTS)
        self._error: SinkError | None = None
        # Puts overtake each other: what has arrived is told of once all parts before it have.
        self._arrived: dict[int, ObjectWritten] = {}
        self._written = Written()
        self._next_written = self._next_part = checkpoint.objects
        self._written_records = self.accepted_records = checkpoint.records
        self._written_bytes = self.accepted_bytes = checkpoint.bytes
        self.may_have_strays = checkpoint.is_resumed
        self._uses_parts = False
        is_small = layout.max_records == 1 or (layout.max_bytes is not None and layout.max_bytes < PART_BYTES)
        self._may_have_uploads = checkpoint.is_resumed and not is_small
        """Whether uploads in parts were begun and given up, by this sink or the one before it."""

    @property
    def acknowledged_bytes(self) -> int:
        """Bytes of whole objects and of parts that the store has acknowledged."""
        arrived = sum(each.bytes for each in self._arrived.values())
        return self._written_bytes + arrived + (self._open.acknowledged_bytes if self._open else 0)

    async def write(self, records: Records) -> None:
        """Accept records, in the order in which they will stand in the objects."""
        while len(records):
            self._raise_if_failed()
            upload = self._open or await self._new_upload()
            fitting = self._fitting(records, upload)
            if fitting:
                before = upload.bytes
                try:
                    await upload.write(records.slice(0, fitting))
                except (BaseError, OSError) as error:
                    raise self._failed(upload, error) from None
                finally:
                    self._uses_parts = self._uses_parts or upload.is_in_parts
                self.accepted_records += fitting
                self.accepted_bytes += upload.bytes - before
            if fitting < len(records) or upload.records == self._layout.max_records:
                await self._close(upload)
            records = records.slice(fitting, len(records) - fitting)

    def _fitting(self, records: Records, upload: _Upload) -> int:
        """Return how many of the records still fit into the open object."""
        count = len(records)
        if self._layout.max_bytes is not None:
            ends = bounds(records.values)
            # In Python's integers: the sum of a position and a size may exceed the 32 bits that positions have.
            full_at = int(ends[0]) + self._layout.max_bytes - upload.encoder.size
            count = int(np.searchsorted(ends, min(full_at, int(ends[-1])), side="right")) - 1
        if self._layout.max_records is not None:
            count = min(count, self._layout.max_records - upload.records)
        return max(count, 0 if upload.records else 1)

    async def _new_upload(self) -> _Upload:
        if self._may_have_uploads:  # now that the store is back, and none of this sink's own is under way
            await self._abort_uploads()
        key = self._key(self._next_part)
        self._open = _Upload(self._bucket, self._next_part, key, self._layout.format.encoder(key), self._part_bytes)
        self._next_part += 1
        return self._open

    def _key(self, part: int) -> str:
        return f"{self._prefix}/part-{part:09d}.{self._layout.format.extension}"

    async def _close(self, upload: _Upload) -> None:
        """Send the object off; wait only while too many are on their way."""
        self._open = None
        before = upload.bytes
        upload.end()
        self.accepted_bytes += upload.bytes - before
        task = asyncio.create_task(self._put(upload))
        self._puts[task] = upload.held_bytes
        task.add_done_callback(self._puts.pop)
        while len(self._puts) >= _MAX_PENDING_PUTS or sum(self._puts.values()) > self._most_pending_bytes:
            await asyncio.wait(self._puts, return_when=asyncio.FIRST_COMPLETED)

    async def _put(self, upload: _Upload) -> None:
        try:
            async with self._slots:
                written = await upload.close()
        except (BaseError, OSError) as error:
            self._error = self._error or self._failed(upload, error)
            return
        self._arrived[upload.part] = written
        while self._next_written in self._arrived:
            written = self._arrived.pop(self._next_written)
            self._written.objects.append(written)
            self._written_records += written.records
            self._written_bytes += written.bytes
            self._next_written += 1

    def _raise_if_failed(self) -> None:
        if self._error:
            raise self._error

    async def finish(self) -> None:
        """Close the open object and wait for all that are on their way."""
        if self._open:
            await self._close(self._open)
        while self._puts:
            await asyncio.wait(self._puts)
        self._raise_if_failed()
        if self.may_have_strays or self._bucket.is_local:
            await self._delete_strays()

    async def suspend(self) -> None:
        """Wait for objects that are on their way, and give up the open one: where it ends is not for time to say."""
        while self._puts:
            await asyncio.wait(self._puts)
        self._raise_if_failed()
        await self.roll_back()

    async def roll_back(self) -> int:
        """Give up the open object and what is still on its way; go on with the first part that has not arrived."""
        self._may_have_uploads = self._may_have_uploads or self._uses_parts
        self._open = None
        for task in self._puts:
            task.cancel()
        while self._puts:
            await asyncio.wait(self._puts)
        self._error = None
        self._arrived.clear()
        self._next_part = self._next_written
        self.accepted_records = self._written_records
        self.accepted_bytes = self._written_bytes
        self.may_have_strays = True
        return self._written_records

    async def _delete_strays(self) -> None:
        """Delete the parts behind the last: made by a run that got further than was told of, and then was cut off."""
        last = self._key(self._next_written - 1) if self._next_written else f"{self._prefix}/"
        try:
            await self._bucket.delete_behind(f"{self._prefix}/", last)
        except (BaseError, OSError) as error:
            raise self._not_tidied(error) from None
        if self._may_have_uploads or self._bucket.is_local:
            await self._abort_uploads()

    async def _abort_uploads(self) -> None:
        try:
            await self._bucket.abort_uploads(f"{self._prefix}/")
        except (BaseError, OSError) as error:
            raise self._not_tidied(error) from None
        self._may_have_uploads = self._uses_parts = False

    def _not_tidied(self, error: Exception) -> SinkError:
        reason = self._bucket.reason(error)
        return SinkError(f"{self._bucket.title}, deleting left-over objects under {self._prefix}/: {reason}")

    def take_written(self) -> Written:
        """Return the objects acknowledged since the last call."""
        written, self._written = self._written, Written()
        return written

    def _failed(self, upload: _Upload, error: Exception) -> SinkError:
        self.may_have_strays = True
        message = f"{self._bucket.named(upload.key)}: {self._bucket.reason(error)}"
        return SinkError(message, permanent=self._bucket.is_permanent(error))

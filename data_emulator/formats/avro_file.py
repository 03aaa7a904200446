"""Avro object container files (specification 1.11): the schema, then blocks of a fixed number of records."""

from __future__ import annotations

import hashlib
import zlib
from typing import Final

from data_emulator.formats.avro import long
from data_emulator.formats.columns import joined_values
from data_emulator.formats.objects import ObjectEncoder, ObjectFormat
from data_emulator.model import Records

BLOCK_RECORDS: Final = 4096
_MAGIC: Final = b"Obj\x01"
_SYNC_BYTES: Final = 16
_DEFLATE_LEVEL: Final = 6
_RAW_WINDOW_BITS: Final = -15
"""The largest window, without zlib's header and checksum: Avro wants the bare data (RFC 1951)."""


class AvroObjects(ObjectFormat):
    """Avro files.

    :param schema: of the records, as JSON.
    :param compression: ``null`` or ``deflate``.
    """

    def __init__(self, extension: str, compression: str, schema: str) -> None:
        self.extension = extension
        self._compression = compression
        self._schema = schema

    def encoder(self, key: str) -> ObjectEncoder:
        """Return an encoder. The marker between blocks, which others draw at random, is a digest of the key."""
        sync = hashlib.sha256(key.encode()).digest()[:_SYNC_BYTES]
        return _AvroEncoder(self._schema, self._compression, sync)


class _AvroEncoder(ObjectEncoder):
    """Writes a block as soon as all of its records are there."""

    def __init__(self, schema: str, compression: str, sync: bytes) -> None:
        self.size = 0
        self._deflated = compression == "deflate"
        self._sync = sync
        self._held: list[bytes] = []
        self._held_records = 0
        metadata = {"avro.schema": schema, "avro.codec": compression}
        entries = b"".join(_bytes(name.encode()) + _bytes(value.encode()) for name, value in metadata.items())
        self._ready = [_MAGIC, long(len(metadata)), entries, long(0), sync]

    def add(self, records: Records) -> bytes:
        start = 0
        while start < len(records):
            taken = records.values.slice(start, BLOCK_RECORDS - self._held_records)
            self._held.append(joined_values(taken))
            self.size += len(self._held[-1])
            self._held_records += len(taken)
            start += len(taken)
            if self._held_records == BLOCK_RECORDS:
                self._end_block()
        return self._drained()

    def close(self) -> bytes:
        if self._held_records:
            self._end_block()
        return self._drained()

    def _end_block(self) -> None:
        content = b"".join(self._held)
        if self._deflated:
            deflate = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, _RAW_WINDOW_BITS)
            content = deflate.compress(content) + deflate.flush()
        self._ready += [long(self._held_records), long(len(content)), content, self._sync]
        self._held, self._held_records = [], 0

    def _drained(self) -> bytes:
        ready, self._ready = self._ready, []
        return b"".join(ready)


def _bytes(content: bytes) -> bytes:
    return long(len(content)) + content

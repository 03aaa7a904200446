"""Reading an emulation's objects back from the store or the folder, and counting them."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import BaseError

from data_emulator.errors import ConfigurationError
from data_emulator.formats.catalog import FORMATS
from data_emulator.settings import Settings
from data_emulator.sinks.bucket import Bucket
from data_emulator.sinks.catalog import BY_MANIFEST_NAME
from data_emulator.verify.decoding import DamagedError, object_ids
from data_emulator.verify.readback import Counted, ReadBackError
from data_emulator.wire import Manifest, ManifestObject

_REQUEST_TIMEOUT = timedelta(seconds=60)
_CHUNK_BYTES = 1 << 20


def count_objects(manifest: Manifest, settings: Settings) -> Counted:
    """Read every object under the emulation's prefix, in any format and compression that there is.

    Objects stream through in chunks of 1 MiB; what is held of each is told in `decoding.object_ids`.

    :raises ReadBackError: when the store cannot be read, or the format is none of those in `formats.catalog`. What is
        wrong with the objects is in `Counted.problems`.
    """
    if manifest.format_type not in FORMATS:
        raise ReadBackError(f"emulation {manifest.id}: objects in format {manifest.format_type} cannot be read")
    bucket = opened(manifest, settings)
    stated = {entry.key: entry for entry in manifest.objects}
    counted = Counted()
    with reading(bucket):
        for page in obstore.list(bucket.store, prefix=f"{manifest.id}/"):
            for meta in page:
                key = meta["path"]
                _count_object(_ObjectStream(bucket, key), key, stated.pop(key, None), manifest, counted)
    counted.problems += [f"object {key} of the manifest is not in the bucket" for key in stated]
    return counted


def opened(manifest: Manifest, settings: Settings) -> Bucket:
    """Return the bucket, or folder, of an emulation's manifest. A folder is found by the manifest if not by settings.

    :raises ReadBackError: when the settings do not lead to the store.
    """
    open_bucket = BY_MANIFEST_NAME[manifest.sink].bucket
    if open_bucket is None or manifest.bucket is None:
        raise ReadBackError(f"emulation {manifest.id} has no objects, but is in {manifest.sink}")
    place = urlsplit(manifest.place or "")
    if settings.file_root is None and place.scheme == "file":
        root = Path(url2pathname(place.path)).parents[1]
        settings = settings.model_copy(update={"file_root": root})
    try:
        return open_bucket(settings, manifest.bucket, _REQUEST_TIMEOUT)
    except ConfigurationError as error:
        raise ReadBackError(str(error)) from None


@contextmanager
def reading(bucket: Bucket) -> Iterator[None]:
    """Raise what the store's client raises as ReadBackError."""
    try:
        yield
    except (BaseError, OSError) as error:
        raise ReadBackError(f"{bucket} cannot be read: {bucket.reason(error)}") from error


def _count_object(
    content: "_ObjectStream", key: str, stated: ManifestObject | None, manifest: Manifest, counted: Counted
) -> None:
    records = strangers = 0
    compression = compression_of(key, manifest.format_type)
    if compression is None:
        counted.problems.append(f"object {key} does not end in the name of a compression of {manifest.format_type}")
    else:
        try:
            for emulation_id in object_ids(io.BufferedReader(content, _CHUNK_BYTES), manifest.format_type, compression):
                records += 1
                strangers += emulation_id != manifest.id
        except DamagedError as error:
            counted.problems.append(
                f"object {key} cannot be read as {manifest.format_type} beyond {records:,} records: {error}"
            )
    content.drain()
    counted.places += 1
    counted.records += records
    counted.bytes += content.bytes
    if strangers:
        counted.problems.append(f"object {key}: {strangers:,} are not {manifest.format_type} records of this emulation")
    if stated is None:
        counted.problems.append(f"object {key} is in the bucket and not in the manifest")
    elif (records, content.bytes, content.checksum) != (stated.records, stated.bytes, stated.checksum):
        counted.problems.append(
            f"object {key} has {records:,} records, {content.bytes:,} bytes, {content.checksum}; the manifest says "
            f"{stated.records:,} records, {stated.bytes:,} bytes, {stated.checksum}"
        )


def compression_of(key: str, format_type: str) -> str | None:
    """Return how an object is compressed, which its name tells; `None` if the format has no such names."""
    for compression, extension in FORMATS[format_type].extensions.items():
        if key.endswith(f".{extension}"):
            return compression
    return None


class _ObjectStream(io.RawIOBase):
    """An object as it comes, read once; its `bytes` are counted and its checksum computed on the way.

    Whatever reads it, however far: after `drain`, both are of all of its bytes. Reading raises ReadBackError, which
    no decoder takes for something about the content.
    """

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket = bucket
        with reading(bucket):
            self._chunks = iter(obstore.get(bucket.store, key).stream(min_chunk_size=_CHUNK_BYTES))
        self._digest = hashlib.sha256()
        self._held = b""
        self._read = 0
        self.bytes = 0

    @property
    def checksum(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._read == len(self._held):
            self._held, self._read = self._next_chunk(), 0
        part = self._held[self._read : self._read + len(buffer)]
        buffer[: len(part)] = part
        self._read += len(part)
        return len(part)

    def drain(self) -> None:
        """Read what nobody has read."""
        while self._next_chunk():
            pass

    def _next_chunk(self) -> bytes:
        """Return a chunk; nothing at the end, and only there."""
        with reading(self._bucket):
            chunk = bytes(next(self._chunks, b""))
        self._digest.update(chunk)
        self.bytes += len(chunk)
        return chunk

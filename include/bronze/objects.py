"""Read the objects in a manifest as streams, checking them on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import obstore
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from obstore.store import S3Store

from ..exceptions import EmulationDataError
from ..wire.manifest import Manifest, ManifestObject
from .lines import csv_rows, decompressed, lines
from .rows import EMULATION_ID, Row, csv_fields, json_emulation_id
from .s3_connection import S3Connection
from .store import STORE_ERRORS, is_missing, open_bucket, store_error

_CHUNK_BYTES = 1 << 20
_BATCH_ROWS = 16_384


class ObjectReader:
    """Reads exactly the objects of a manifest.

    Every method raises EmulationDataError, which names the object, for one that is missing, whose size, SHA-256 or
    number of records is not the manifest's, or that holds anything but records of this emulation;
    StorageUnavailableError when the store cannot be read just now; and DataEmulatorConfigError when it refuses.
    """

    def __init__(self, connection: S3Connection, manifest: Manifest) -> None:
        self._connection = connection
        self._manifest = manifest
        self._store = open_bucket(connection, manifest.bucket or "")

    def rows(self) -> Iterator[Row]:
        """Yield the records of JSON and CSV objects, in the manifest's order."""
        for stated in self._manifest.objects:
            yield from self._rows(stated)

    def batches(self, folder: Path) -> Iterator[tuple[str, int, pa.RecordBatch]]:
        """Yield the records of Parquet objects in batches: object, position of the first record, columns.

        :param folder: for a copy of one object at a time, as Parquet is read from its end
        """
        for stated in self._manifest.objects:
            yield from self._batches(stated, folder / "object.parquet")

    def _rows(self, stated: ManifestObject) -> Iterator[Row]:
        source = self._source(stated)
        content = _Content(self._connection, self._store, stated, source)
        is_csv = self._manifest.format_type == "csv"
        header: str | None = None
        names: list[str] = []
        count = 0
        try:
            text = lines(decompressed(stated.key, content.chunks()))
            for record in csv_rows(text) if is_csv else text:
                if is_csv and header is None:
                    header, names = record, csv_fields(record)
                    continue
                if self._emulation_id(record, names) != self._manifest.emulation_id:
                    content.finish()  # A wrong checksum explains more.
                    raise EmulationDataError(
                        f"{source}: record {count} is not a {self._manifest.format_type} record of emulation "
                        f"{self._manifest.emulation_id}"
                    )
                yield Row(source, count, header, record)
                count += 1
        except (OSError, EOFError, UnicodeDecodeError) as error:
            content.finish()
            raise EmulationDataError(
                f"{source}: it cannot be decompressed and decoded: {type(error).__name__}"
            ) from error
        content.finish()
        _check(source, "records", count, stated.records)

    def _emulation_id(self, record: str, names: list[str]) -> str | None:
        if self._manifest.format_type != "csv":
            return json_emulation_id(record)
        fields = csv_fields(record)
        return dict(zip(names, fields, strict=True)).get(EMULATION_ID) if len(fields) == len(names) else None

    def _batches(self, stated: ManifestObject, path: Path) -> Iterator[tuple[str, int, pa.RecordBatch]]:
        source = self._source(stated)
        content = _Content(self._connection, self._store, stated, source)
        with path.open("wb") as file:
            for chunk in content.chunks():
                file.write(chunk)
        content.finish()
        count = 0
        try:
            with pq.ParquetFile(path) as parquet:
                for batch in parquet.iter_batches(_BATCH_ROWS):
                    ids: Any = batch.column(EMULATION_ID)
                    if not pc.all(pc.equal(ids, self._manifest.emulation_id)).as_py() or ids.null_count:
                        raise EmulationDataError(
                            f"{source}: among records {count} to {count + len(batch) - 1} is one that is not of "
                            f"emulation {self._manifest.emulation_id}"
                        )
                    yield source, count, batch
                    count += len(batch)
        except (pa.ArrowException, OSError, KeyError) as error:
            raise EmulationDataError(f"{source}: it cannot be read as Parquet: {error}") from error
        _check(source, "records", count, stated.records)

    def _source(self, stated: ManifestObject) -> str:
        return f"s3://{self._manifest.bucket}/{stated.key}"


class _Content:
    """The content of one object, counted and hashed as it is read."""

    def __init__(self, connection: S3Connection, store: S3Store, stated: ManifestObject, source: str) -> None:
        self._connection = connection
        self._store = store
        self._stated = stated
        self._source = source
        self._digest = hashlib.sha256()
        self._bytes = 0
        self._unread: Iterator[Any] = iter(())

    def chunks(self) -> Iterator[bytes]:
        """Yield the object from its start."""
        try:
            found = obstore.get(self._store, self._stated.key)
            size = found.meta["size"]
        except STORE_ERRORS as error:
            raise self._error(error) from None
        _check(self._source, "bytes", size, self._stated.bytes)
        self._unread = iter(found.stream(min_chunk_size=_CHUNK_BYTES))
        while (chunk := self._next()) is not None:
            yield chunk

    def finish(self) -> None:
        """Read the rest, and check size and checksum."""
        while self._next() is not None:
            pass
        _check(self._source, "bytes", self._bytes, self._stated.bytes)
        _check(self._source, "checksum", f"sha256:{self._digest.hexdigest()}", self._stated.checksum)

    def _next(self) -> bytes | None:
        try:
            chunk = next(self._unread, None)
        except STORE_ERRORS as error:
            raise self._error(error) from None
        if chunk is None:
            return None
        content = bytes(chunk)
        self._digest.update(content)
        self._bytes += len(content)
        return content

    def _error(self, error: Exception) -> Exception:
        if is_missing(error):
            return EmulationDataError(
                f"{self._source}: the object does not exist; the manifest says {self._stated.records:,} records, "
                f"{self._stated.bytes:,} bytes"
            )
        return store_error(self._connection, f"reading {self._source}", error)


def _check(source: str, what: str, found: Any, stated: Any) -> None:
    if found != stated:
        shown = [f"{value:,}" if isinstance(value, int) else value for value in (found, stated)]
        raise EmulationDataError(f"{source}: {what} {shown[0]}, the manifest says {shown[1]}")

"""Parquet: nested and typed, in row groups of a fixed number of records."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_emulator.formats.columns import conformed
from data_emulator.formats.drain import Drain
from data_emulator.formats.objects import ObjectEncoder, ObjectFormat
from data_emulator.model import Records

ROW_GROUP_RECORDS: Final = 65_536
"""Several megabytes of compressed data, so that readers can skip and share work, and 20 or so in memory until they are
complete: an emulation that goes on for days has no more than that in here."""
SAMPLE_RECORDS: Final = 1000
_MAX_DISTINCT_SHARE: Final = 0.8
"""A column is dictionary-encoded when no more of its values in the sample than this share are distinct. For one that
hardly repeats itself, as ids do, building the dictionary would cost more than all the rest."""
_COMPACTED_BATCHES: Final = 256
_GZIP_LEVEL: Final = 6


class ParquetObjects(ObjectFormat):
    """Parquet files.

    :param schema: the columns in their envelope, as the domain declares them.
    :param compression: ``snappy``, ``none``, ``gzip`` or ``zstd``.
    :param sample: the first records of the emulation, or some like them, in their envelope: files are laid out for
        them.
    """

    def __init__(self, extension: str, compression: str, schema: pa.Schema, sample: pa.RecordBatch) -> None:
        self.extension = extension
        self._schema = schema = pa.schema([_writable(field) for field in schema])
        self._options: dict[str, Any] = {
            "compression": compression,
            "compression_level": _GZIP_LEVEL if compression == "gzip" else None,
            "use_dictionary": _repetitive(_conformed(sample, schema)),
            # Arrow's own schema would make Arrow's readers, and only them, see what others do not.
            "store_schema": False,
        }
        self._sample = sample

    def encoder(self, key: str) -> ObjectEncoder:
        """Return an encoder; the key plays no part."""
        return _ParquetEncoder(self._schema, self._options)

    def record_bytes(self) -> float:
        """Return the mean size of a record of the sample in a file of its own, all the file's bytes counted."""
        encoder = _ParquetEncoder(self._schema, self._options)
        content = encoder.add(Records(self._sample, None, self._sample.column(0))) + encoder.close()
        return len(content) / len(self._sample)


class _ParquetEncoder(ObjectEncoder):
    """Writes a row group as soon as all of its records are there."""

    size = 0

    def __init__(self, schema: pa.Schema, options: dict[str, Any]) -> None:
        self._schema = schema
        self._drain = Drain()
        self._writer = pq.ParquetWriter(self._drain, schema, **options)
        self._held: list[pa.RecordBatch] = []
        self._compact = 0
        self._held_records = 0

    def add(self, records: Records) -> bytes:
        batch = _conformed(records.batch, self._schema)
        while len(batch):
            taken = batch.slice(0, ROW_GROUP_RECORDS - self._held_records)
            self._hold(taken)
            batch = batch.slice(len(taken))
            if self._held_records == ROW_GROUP_RECORDS:
                self._write_row_group()
        return self._drain.drained()

    def close(self) -> bytes:
        if self._held:
            self._write_row_group()
        self._writer.close()
        return self._drain.drained()

    def _hold(self, batch: pa.RecordBatch) -> None:
        """Keep records for the next row group; many small batches, as a slow emulation makes them, become one."""
        self._held.append(batch)
        self._held_records += len(batch)
        if len(self._held) - self._compact > _COMPACTED_BATCHES:
            self._held[self._compact :] = [pa.concat_batches(self._held[self._compact :])]
            self._compact += 1

    def _write_row_group(self) -> None:
        # In one piece, since where a column's pieces meet shows in the pages that are written.
        self._writer.write_batch(pa.concat_batches(self._held), row_group_size=ROW_GROUP_RECORDS)
        self._held, self._held_records, self._compact = [], 0, 0


def _conformed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [conformed(column, field) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _writable(field: pa.Field, below_nullable: bool = False) -> pa.Field:
    """Return a field as it can be written: below a nested one that may be null, Arrow wants all to be nullable."""
    kind, nullable = field.type, field.nullable or below_nullable
    if pa.types.is_struct(kind):
        kind = pa.struct([_writable(nested, nullable) for nested in kind])
    return pa.field(field.name, kind, nullable)


def _repetitive(sample: pa.RecordBatch) -> list[str]:
    """Return the paths of the columns whose values repeat themselves."""
    table = pa.Table.from_batches([sample])
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()  # names the nested ones as Parquet does: data.location.city
    return [
        field.name
        for field, column in zip(table.schema, table.columns, strict=True)
        if not pa.types.is_boolean(field.type)
        and pc.count_distinct(column).as_py() <= _MAX_DISTINCT_SHARE * len(sample)
    ]

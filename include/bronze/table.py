"""Write the bronze table of one emulation: a Parquet file, one row group at a time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from ..exceptions import EmulationDataError
from .rows import EMULATION_ID, Row

_ROW_GROUP_ROWS: Final = 65_536
_ROW_GROUP_BYTES: Final = 16 * 2**20
"""Of text. A task holds a row group in memory, several times over, until it is written."""

_PROVENANCE: Final = [
    pa.field(EMULATION_ID, pa.string(), nullable=False),
    pa.field("source", pa.string(), nullable=False),
    pa.field("position", pa.int64(), nullable=False),
    pa.field("ingested_at", pa.timestamp("us", "UTC"), nullable=False),
]
_TEXT: Final = pa.schema(
    [*_PROVENANCE, pa.field("header", pa.string()), pa.field("record", pa.string(), nullable=False)]
)
_REPETITIVE: Final = [EMULATION_ID, "source", "ingested_at", "header"]


class TableWriter:
    """Writes the rows of one emulation to a Parquet file, which is complete once it is closed.

    :param path: of the new file
    :param ingested_at: the same for all rows
    """

    def __init__(self, path: Path, emulation_id: str, ingested_at: datetime) -> None:
        self.count = 0
        self._path = path
        self._emulation_id = emulation_id
        self._ingested_at = ingested_at
        self._writer: Any = None
        self._schema: Any = None

    def write_rows(self, rows: Iterable[Row]) -> None:
        """Write text records (JSON and CSV)."""
        held: list[Row] = []
        size = 0
        for row in rows:
            held.append(row)
            size += len(row.record)
            if len(held) == _ROW_GROUP_ROWS or size >= _ROW_GROUP_BYTES:
                self._write_text(held)
                held, size = [], 0
        if held or self._writer is None:
            self._write_text(held)

    def write_batch(self, source: str, first_position: int, batch: pa.RecordBatch) -> None:
        """Write typed records: their own columns, after the columns for their origin."""
        columns = [name for name in batch.schema.names if name != EMULATION_ID]
        schema = pa.schema([*_PROVENANCE, *(batch.schema.field(name) for name in columns)])
        positions = pa.array(range(first_position, first_position + len(batch)), pa.int64())
        self._write(
            pa.RecordBatch.from_arrays(
                [*self._provenance([source] * len(batch), positions), *(batch.column(name) for name in columns)],
                schema=schema,
            )
        )

    def close(self) -> None:
        """Complete the file; without rows it has the columns for text."""
        if self._writer is None:
            self._write_text([])
        self._writer.close()

    def _write_text(self, rows: list[Row]) -> None:
        columns = [
            *self._provenance([row.source for row in rows], pa.array([row.position for row in rows], pa.int64())),
            pa.array([row.header for row in rows], pa.string()),
            pa.array([row.record for row in rows], pa.string()),
        ]
        self._write(pa.RecordBatch.from_arrays(columns, schema=_TEXT))

    def _provenance(self, sources: list[str], positions: Any) -> list[Any]:
        count = len(sources)
        return [
            pa.repeat(pa.scalar(self._emulation_id, pa.string()), count),
            pa.array(sources, pa.string()),
            positions,
            pa.repeat(pa.scalar(self._ingested_at, pa.timestamp("us", "UTC")), count),
        ]

    def _write(self, batch: pa.RecordBatch) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._path,
                batch.schema,
                compression="zstd",
                use_dictionary=[name for name in _REPETITIVE if name in batch.schema.names],
                store_schema=False,
            )
            self._schema = batch.schema
        elif batch.schema != self._schema:
            raise EmulationDataError(
                f"{batch.column('source')[0]}: its columns differ from those of the objects before it"
            )
        self.count += len(batch)
        if len(batch):
            self._writer.write_batch(batch, row_group_size=_ROW_GROUP_ROWS)

"""The envelope around each record: which emulation made it, when, and the data."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from data_emulator.domains.randomness import Index

EMULATION_ID: Final = "emulation_id"
TIMESTAMP: Final = "timestamp"
DATA: Final = "data"


def enveloped(emulation_id: str, time_us: Index, data: pa.RecordBatch) -> pa.RecordBatch:
    """Return the records in their envelope: columns emulation_id, timestamp (Unix seconds) and data (a struct)."""
    ids = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(time_us), np.int32)), pa.array([emulation_id]))
    columns: list[Any] = [ids, pa.array(time_us / 1e6), data.to_struct_array()]
    return pa.RecordBatch.from_arrays(columns, names=[EMULATION_ID, TIMESTAMP, DATA])


def envelope_schema(data: pa.Schema) -> pa.Schema:
    """Return the schema of records in their envelope, with a domain's columns, as it declares them, in `data`."""
    return pa.schema(
        [
            pa.field(EMULATION_ID, pa.string(), nullable=False),
            pa.field(TIMESTAMP, pa.float64(), nullable=False),
            pa.field(DATA, pa.struct(list(data)), nullable=False),
        ]
    )

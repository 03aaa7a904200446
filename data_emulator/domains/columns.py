"""Arrow columns from numpy arrays, without a Python object for each value."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_emulator.domains.randomness import Index, Stream

_HEX_PAIRS: Final = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), dtype="<u2")
_DASHED_UUID_LENGTH: Final = 36


def uuids(high: Stream, low: Stream, index: Index) -> Any:
    """Return a string column of version 4 UUIDs (RFC 9562), each a function of its index. Shape: (len(index),)."""
    raw = np.empty((len(index), 2), dtype=">u8")
    raw[:, 0] = high.bits(index)
    raw[:, 1] = low.bits(index)
    octets = raw.view(np.uint8).reshape(-1, 16)
    octets[:, 6] = (octets[:, 6] & 0x0F) | 0x40
    octets[:, 8] = (octets[:, 8] & 0x3F) | 0x80
    digits = _HEX_PAIRS[octets].view(np.uint8).reshape(-1, 32)
    text = np.full((len(index), _DASHED_UUID_LENGTH), ord("-"), dtype=np.uint8)
    position = 0
    for start, stop in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)):
        text[:, position : position + stop - start] = digits[:, start:stop]
        position += stop - start + 1
    return _fixed_width_strings(text)


def _fixed_width_strings(text: NDArray[np.uint8]) -> Any:
    """Return a string column of the rows of `text`, shape (rows, width), ASCII."""
    rows, width = text.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * width
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(text))


def picks(values: list[str], chosen: Index) -> Any:
    """Return a dictionary-encoded string column: ``values[chosen[i]]`` for each row."""
    return pa.DictionaryArray.from_arrays(pa.array(chosen.astype(np.int32)), pa.array(values, pa.string()))


def iso_timestamps(microseconds: Index, missing: NDArray[np.bool_] | None = None) -> Any:
    """Return a string column of UTC times such as ``2026-11-22T09:30:00.125Z``, to the millisecond.

    :param microseconds: since the Unix epoch.
    :param missing: rows that are null.
    """
    times = pa.array(microseconds // 1000, mask=missing).cast(pa.timestamp("ms"))
    dated = pc.binary_replace_slice(times.cast(pa.string()), 10, 11, "T")
    return pc.binary_join_element_wise(dated, "Z", "")


def dates(days: Index) -> Any:
    """Return a string column of dates such as ``1984-02-29``; `days` counts from the Unix epoch."""
    return pa.array(days.astype(np.int32)).cast(pa.date32()).cast(pa.string())


def text(*parts: Any) -> Any:
    """Return a string column that joins columns and constants, row by row."""
    plain = [part.cast(pa.string()) if isinstance(part, pa.Array) else part for part in parts]
    return pc.binary_join_element_wise(*plain, "")

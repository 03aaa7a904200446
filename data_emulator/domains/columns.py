"""Arrow columns from numpy arrays, without a Python object for each value."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_emulator.domains.randomness import Index, Stream

_UUID_WIDTH: Final = 36
_VERSION_4: Final = np.uint64(0x4000)
_VERSION_MASK: Final = np.uint64(0xFFFFFFFFFFFF0FFF)
_VARIANT: Final = np.uint64(0x8 << 60)
_VARIANT_MASK: Final = np.uint64(0x3FFFFFFFFFFFFFFF)
_MS_A_DAY: Final = 86_400_000
_MS_A_MINUTE: Final = 60_000


def _digits(texts: list[str]) -> NDArray[np.bytes_]:
    return np.array(texts, dtype=bytes)


_HEX_4: Final = _digits([f"{number:04x}" for number in range(1 << 16)])
_UUID: Final = np.dtype(
    {
        "names": [str(group) for group in range(8)],
        "formats": ["S4"] * 8,
        "offsets": [0, 4, 9, 14, 19, 24, 28, 32],
        "itemsize": _UUID_WIDTH,
    }
)
"""A UUID as text is eight groups of four digits, with dashes between some of them."""
_TIME: Final = np.dtype({"names": ["day", "minute", "rest"], "formats": ["S11", "S6", "S7"], "itemsize": 24})
_MINUTES: Final = _digits([f"{minute // 60:02}:{minute % 60:02}:" for minute in range(24 * 60)])
_RESTS: Final = _digits([f"{ms // 1000:02}.{ms % 1000:03}Z" for ms in range(_MS_A_MINUTE)])


def uuid_text(high: Stream, low: Stream, index: Index) -> NDArray[np.uint8]:
    """Return version 4 UUIDs (RFC 9562) as ASCII text, each a function of its index. Shape: (len(index), 36)."""
    first = high.bits(index) & _VERSION_MASK | _VERSION_4
    second = low.bits(index) & _VARIANT_MASK | _VARIANT
    text = np.full((len(index), _UUID_WIDTH), ord("-"), dtype=np.uint8)
    groups = text.view(_UUID)[:, 0]
    for start, bits in ((0, first), (4, second)):
        lowest_first = bits.astype("<u8", copy=False).view("<u2").reshape(-1, 4)
        for position in range(4):
            groups[str(start + position)] = _HEX_4.take(lowest_first[:, 3 - position])
    return text


def uuids(high: Stream, low: Stream, index: Index) -> Any:
    """Return a string column of version 4 UUIDs (RFC 9562), each a function of its index. Shape: (len(index),)."""
    return fixed_width_strings(uuid_text(high, low, index))


def fixed_width_strings(text: NDArray[np.uint8]) -> Any:
    """Return a string column of the rows of `text`, shape (rows, width), ASCII, without a copy."""
    rows, width = text.shape
    return pa.StringArray.from_buffers(rows, _offsets(rows, width), pa.py_buffer(text))


@lru_cache(maxsize=64)
def _offsets(rows: int, width: int) -> Any:
    return pa.py_buffer(np.arange(rows + 1, dtype=np.int32) * np.int32(width))


def picks(values: Any, chosen: NDArray[Any], missing: NDArray[np.bool_] | None = None) -> Any:
    """Return a dictionary-encoded column: ``values[chosen[i]]`` for each row.

    :param values: an Arrow array, made once: what is encoded of it is kept from batch to batch.
    :param missing: rows that are null.
    """
    return pa.DictionaryArray.from_arrays(pa.array(chosen.astype(np.int32, copy=False), mask=missing), values)


def iso_timestamps(microseconds: Index, missing: NDArray[np.bool_] | None = None) -> Any:
    """Return a string column of UTC times such as ``2026-11-22T09:30:00.125Z``, to the millisecond.

    :param microseconds: since the Unix epoch.
    :param missing: rows that are null.
    """
    ms = microseconds // 1000
    day = ms // _MS_A_DAY
    ms -= day * _MS_A_DAY
    minute = ms // _MS_A_MINUTE
    ms -= minute * _MS_A_MINUTE
    text = np.empty((len(ms), _TIME.itemsize), dtype=np.uint8)
    parts = text.view(_TIME)[:, 0]
    parts["day"] = _day_texts(day)
    parts["minute"] = _MINUTES.take(minute)
    parts["rest"] = _RESTS.take(ms)
    column = fixed_width_strings(text)
    return column if missing is None else pc.if_else(pa.array(missing), None, column)


def _day_texts(day: Index) -> NDArray[np.bytes_]:
    """Return each day, counted from the Unix epoch, as ``2026-11-22T``. Each is written once, if they lie together."""
    if not len(day):
        return np.empty(0, dtype="S11")
    first, last = int(day.min()), int(day.max())
    if last - first >= len(day):
        return _written_days(day)
    return _written_range(first, last).take(day - first)


@lru_cache(maxsize=16)
def _written_range(first: int, last: int) -> NDArray[np.bytes_]:
    return _written_days(np.arange(first, last + 1))


def _written_days(day: Index) -> NDArray[np.bytes_]:
    return np.char.add(np.datetime_as_string(day.astype("datetime64[D]")).astype("S10"), b"T")


def dates(days: Index) -> Any:
    """Return a string column of dates such as ``1984-02-29``; `days` counts from the Unix epoch."""
    return pa.array(days.astype(np.int32)).cast(pa.date32()).cast(pa.string())


def text(*parts: Any) -> Any:
    """Return a string column that joins columns and constants, row by row."""
    plain = [part.cast(pa.string()) if isinstance(part, pa.Array) else part for part in parts]
    return pc.binary_join_element_wise(*plain, "")

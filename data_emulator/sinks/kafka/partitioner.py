"""Which partition a key belongs to, for a column of keys at a time."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_SEED: Final = np.uint32(0x9747B28C)
_M: Final = np.uint32(0x5BD1E995)
_R: Final = np.uint32(24)


def partitions_of(keys: Any, partitions: int) -> NDArray[np.int64]:
    """Return each key's partition: what Java's default partitioner and librdkafka's ``murmur2`` choose.

    So a key lies where any other Kafka client would have put it, and topics can be joined by it.

    :param keys: a string column.
    """
    _, offsets, data = keys.buffers()
    bounds = np.frombuffer(offsets, np.int32)[keys.offset : keys.offset + len(keys) + 1].astype(np.int64)
    octets = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    lengths = np.diff(bounds)
    chosen = np.zeros(len(keys), np.int64)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        text = octets[bounds[rows][:, None] + np.arange(length)]
        chosen[rows] = (_murmur2(text) & np.uint32(0x7FFFFFFF)).astype(np.int64) % partitions
    return chosen


def _murmur2(text: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the 32-bit MurmurHash2 (Appleby, 2008) of each row, with Kafka's seed. Shape of `text`: (rows, length)."""
    rows, length = text.shape
    whole = length // 4
    words = np.ascontiguousarray(text[:, : 4 * whole]).view("<u4").astype(np.uint32).reshape(rows, whole)
    h = np.full(rows, _SEED ^ np.uint32(length), np.uint32)
    for position in range(whole):
        k = words[:, position] * _M
        k ^= k >> _R
        h = h * _M ^ k * _M
    rest = length - 4 * whole
    for position in reversed(range(rest)):
        h ^= text[:, 4 * whole + position].astype(np.uint32) << np.uint32(8 * position)
    if rest:
        h = h * _M
    h ^= h >> np.uint32(13)
    h = h * _M
    return h ^ h >> np.uint32(15)

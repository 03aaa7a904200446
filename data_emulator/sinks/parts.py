"""How large the parts are in which an object goes up, and how large an object can be."""

from __future__ import annotations

from typing import Final

PART_BYTES: Final = 8 * 2**20
"""An object smaller than this is put whole; a larger one goes up in parts of at least this size."""
CONCURRENT_PARTS: Final = 2
"""Parts of one object on their way at once: with the one being filled, an object never takes more memory than three."""
MAX_PARTS: Final = 10_000
"""S3's limit for one upload."""
MAX_OBJECT_BYTES: Final = 5 * 2**40
"""S3's limit for one object."""
_MIB: Final = 2**20


def part_bytes_for(object_bytes: int) -> int:
    """Return the smallest size of parts, in whole MiB, of which so many bytes take no more than `MAX_PARTS`."""
    return max(PART_BYTES, -(-object_bytes // (MAX_PARTS * _MIB)) * _MIB)


def held_bytes(part_bytes: int) -> int:
    """Return the memory that one object may take on its way: the part being filled, and those being sent."""
    return (1 + CONCURRENT_PARTS) * part_bytes


def may_have_parts(sync_type: str, max_chunk_size: int) -> bool:
    """Tell whether an emulation's objects may be large enough to go up in parts.

    Parquet's chunks are only about as large as asked for.
    """
    return sync_type == "grouped" or (sync_type == "chunked" and max_chunk_size >= PART_BYTES // 2)

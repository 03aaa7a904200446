"""The wire format of Confluent's schema registry: before each value, which schema it was written with."""

from __future__ import annotations

import struct
from typing import Final

_PREFIX: Final = struct.Struct(">bI")
_MAGIC: Final = 0


def confluent_prefix(schema_id: int) -> bytes:
    """Return the five bytes before a value: a zero, and the schema's id in four, the highest first."""
    return _PREFIX.pack(_MAGIC, schema_id)


def split_prefix(value: bytes) -> tuple[int, bytes]:
    """Return the schema's id, and what is behind the prefix.

    :raises ValueError: when the value does not begin with such a prefix.
    """
    if len(value) < _PREFIX.size or value[0] != _MAGIC:
        raise ValueError("it does not begin with a zero and the id of a schema")
    _, schema_id = _PREFIX.unpack_from(value)
    return schema_id, value[_PREFIX.size :]

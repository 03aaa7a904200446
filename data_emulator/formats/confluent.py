"""The wire format of Confluent's schema registry: before each value, which schema it was written with."""

from __future__ import annotations

import struct


def confluent_prefix(schema_id: int) -> bytes:
    """Return the five bytes before a value: a zero, and the schema's id in four, the highest first."""
    return struct.pack(">bI", 0, schema_id)

"""JSON, one record a line (RFC 8259 objects, in UTF-8), built column by column.

Every column becomes a column of JSON fragments, and one join puts the fragments and the constant text between them
together. A dictionary-encoded column is escaped once for each value it can have.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_MUST_BE_ESCAPED: Final = np.zeros(256, dtype=bool)
_MUST_BE_ESCAPED[:0x20] = True
_MUST_BE_ESCAPED[[ord('"'), ord("\\")]] = True

Parts = list[Any]
"""Columns of fragments, and constant text between them."""


def encode(batch: pa.RecordBatch, terminator: str) -> Any:
    """Return one JSON object a record, as a binary column.

    :param terminator: put after each record: ``"\\n"`` in objects, nothing in Kafka values.
    :raises TypeError: for a column of a type that has no JSON form here; it names the column.
    """
    parts = _object([(name, batch.column(name)) for name in batch.schema.names])
    return pc.binary_join_element_wise(*_merged([*parts, terminator]), "").cast(pa.binary())


def _object(fields: list[tuple[str, Any]]) -> Parts:
    parts: Parts = ["{"]
    for position, (name, column) in enumerate(fields):
        parts += [("," if position else "") + json.dumps(name) + ":", *_value(name, column)]
    return [*parts, "}"]


def _value(name: str, column: Any) -> Parts:
    """Return the parts that make up one value a row."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        values = column.dictionary
        whole = pc.binary_join_element_wise(*_merged(_value(name, values)), "", "")
        return [_or_null(whole.take(column.indices))]
    if pa.types.is_struct(kind):
        if column.null_count:
            raise TypeError(f"column {name!r}: a nested object must not be null")
        return _object([(field.name, column.field(position)) for position, field in enumerate(kind)])
    if pa.types.is_string(kind):
        return _string(column)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return [_or_null(column.cast(pa.string()))]
    raise TypeError(f"column {name!r}: type {kind} has no JSON form")


def _string(column: Any) -> Parts:
    if _needs_escape(column):
        return [pa.array([json.dumps(text, ensure_ascii=False) for text in column.to_pylist()], pa.string())]
    if column.null_count:
        return [_or_null(pc.binary_join_element_wise('"', column, '"', ""))]
    return ['"', column, '"']


def _needs_escape(column: Any) -> bool:
    """Tell whether any value holds a quote, a backslash or a control character (RFC 8259, section 7)."""
    _, offsets, data = column.buffers()
    if data is None or not len(column):
        return False
    bounds = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return bool(_MUST_BE_ESCAPED[np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]]].any())


def _or_null(column: Any) -> Any:
    return pc.fill_null(column, "null") if column.null_count else column


def _merged(parts: Parts) -> Parts:
    """Return the parts with neighbouring constants made one, so that the join has fewer to go through."""
    merged: Parts = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        else:
            merged.append(part)
    return merged

"""JSON, one record a line (RFC 8259 objects, in UTF-8), built column by column.

Every column becomes a column of JSON fragments, and one join puts the fragments and the constant text between them
together. What takes time is the number of columns joined and the numbers written, so:

- A dictionary-encoded column is written once for each value it can have, neighbours of that kind as one column of
  their combinations, the constant text around them included. That is kept from batch to batch (`formats.fragments`).
- Numbers of the two kinds that are frequent, amounts and Unix times, are looked up or put together from digits.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_emulator.formats.decimals import numbers_as_text
from data_emulator.formats.fragments import Choice, Part, Texts, joined, texts_of

_BOOLEANS: Final = Texts(pa.array(["false", "true", "null"]), "booleans")
_SPACE: Final = 0x20


def encode(batch: pa.RecordBatch, terminator: str) -> Any:
    """Return one JSON object a record, as a binary column.

    :param terminator: put after each record: ``"\\n"`` in objects, nothing in Kafka values.
    :raises TypeError: for a column of a type that has no JSON form here; it names the column.
    """
    parts = _object([(name, batch.column(name)) for name in batch.schema.names])
    return joined([*parts, terminator], batch.num_rows).cast(pa.binary())


def _object(fields: list[tuple[str, Any]]) -> list[Part]:
    parts: list[Part] = ["{"]
    for position, (name, column) in enumerate(fields):
        parts.append(_label(name, first=not position))
        parts += _value(name, column)
    return [*parts, "}"]


@lru_cache(maxsize=1024)
def _label(name: str, first: bool) -> str:
    return ("" if first else ",") + json.dumps(name) + ":"


def _value(name: str, column: Any) -> list[Part]:
    """Return the parts that make up one value a row."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        if len(column.dictionary) == 1 and not column.indices.null_count:
            return [joined(_value(name, column.dictionary), 1)[0].as_py()]
        texts = texts_of(column.dictionary, lambda values: joined(_value(name, values), len(values)))
        return [Choice.of(column.indices, texts)]
    if pa.types.is_boolean(kind):
        return [Choice.of(column.cast(pa.int8()), _BOOLEANS)]
    if pa.types.is_struct(kind):
        if column.null_count:
            raise TypeError(f"column {name!r}: a nested object must not be null")
        return _object([(field.name, column.field(position)) for position, field in enumerate(kind)])
    if pa.types.is_string(kind):
        return _string(column)
    if pa.types.is_floating(kind):
        return [_or_null(numbers_as_text(column))]
    if pa.types.is_integer(kind):
        return [_or_null(column.cast(pa.string()))]
    raise TypeError(f"column {name!r}: type {kind} has no JSON form")


def _string(column: Any) -> list[Part]:
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
    octets = np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]]
    if not len(octets):
        return False
    return bool(octets.min() < _SPACE or (octets == ord('"')).any() or (octets == ord("\\")).any())


def _or_null(column: Any) -> Any:
    return pc.fill_null(column, "null") if column.null_count else column

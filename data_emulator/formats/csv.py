"""CSV (RFC 4180), flat: the envelope's fields and those of the data side by side, nested ones as ``location_city``.

A field of the data that has the name of one of the envelope gets ``data_`` before it, so that no two columns have one
name. Text is always quoted, a null is an empty field without quotes, numbers are written as in JSON, lines end in a
line feed.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_emulator.formats.decimals import numbers_as_text
from data_emulator.formats.envelope import DATA


def header(batch: pa.RecordBatch) -> str:
    """Return the line of column names, with its line end."""
    return ",".join(name for name, _ in _flat(batch)) + "\n"


def encode(batch: pa.RecordBatch, terminator: str) -> Any:
    """Return one row a record, as a binary column.

    :param terminator: put after each record: ``"\\n"`` in objects, nothing in Kafka values.
    """
    parts: list[Any] = []
    for _, column in _flat(batch):
        parts += [",", _field(column)]
    return pc.binary_join_element_wise(*parts[1:], terminator, "").cast(pa.binary())


def _flat(batch: pa.RecordBatch) -> list[tuple[str, Any]]:
    of_envelope = batch.schema.names
    columns: list[tuple[str, Any]] = []
    for name in of_envelope:
        if name != DATA:
            columns += _flattened(name, batch.column(name))
            continue
        for field, column in _flattened("", batch.column(name)):
            columns.append((f"{DATA}_{field}" if field in of_envelope else field, column))
    return columns


def _flattened(name: str, column: Any) -> list[tuple[str, Any]]:
    """Return the columns that a column is made of: itself, or those of its fields with their names after its own."""
    kind = column.type
    nested = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not pa.types.is_struct(nested):
        return [(name, column)]
    columns: list[tuple[str, Any]] = []
    for position, field in enumerate(nested):
        if pa.types.is_dictionary(kind):
            child = pa.DictionaryArray.from_arrays(column.indices, column.dictionary.field(position))
        else:
            child = column.field(position)
        columns += _flattened(f"{name}_{field.name}" if name else field.name, child)
    return columns


def _field(column: Any) -> Any:
    if pa.types.is_dictionary(column.type):
        return pc.fill_null(_field(column.dictionary).take(column.indices), "")
    if pa.types.is_string(column.type):
        doubled = pc.replace_substring(column, '"', '""')
        return pc.fill_null(pc.binary_join_element_wise('"', doubled, '"', ""), "")
    if pa.types.is_floating(column.type):
        return pc.fill_null(numbers_as_text(column), "")
    return pc.fill_null(column.cast(pa.string()), "")

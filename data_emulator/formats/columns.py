"""Arrow columns, as the formats need them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def bounds(values: Any) -> NDArray[np.int32]:
    """Return where each row of a string or binary column starts in its data, and where the last one ends."""
    _, offsets, _ = values.buffers()
    if not len(values):
        return np.zeros(1, np.int32)
    return np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]


def joined_values(values: Any) -> bytes:
    """Return the rows of a binary column behind each other."""
    start, stop = (int(bound) for bound in bounds(values)[[0, -1]])
    _, _, data = values.buffers()
    return data.slice(start, stop - start).to_pybytes() if stop > start else b""


def conformed(column: Any, field: pa.Field) -> Any:
    """Return a column as a field declares it: dictionary-encoded ones decoded, nested fields as nullable as declared.

    :raises TypeError: when the column is of another type; it names the field.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return conformed(column.dictionary, field).take(column.indices)
    if pa.types.is_struct(kind) and pa.types.is_struct(field.type):
        children = [
            conformed(child, nested) for child, nested in zip(_children(column, field), field.type, strict=True)
        ]
        mask = column.is_null() if column.null_count else None
        return pa.StructArray.from_arrays(children, fields=list(field.type), mask=mask)
    if kind != field.type:
        raise TypeError(f"column {field.name!r} is {kind}, and declared as {field.type}")
    return column


def _children(column: Any, field: pa.Field) -> list[Any]:
    if [child.name for child in column.type] != [child.name for child in field.type]:
        raise TypeError(f"column {field.name!r} is {column.type}, and declared as {field.type}")
    return [column.field(position) for position in range(column.type.num_fields)]

"""Avro (specification 1.11): the schema of records, and their binary encoding, built column by column.

Every column becomes a column of encoded values, and one join puts them together: there is nothing between them.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_emulator.formats.columns import bounds

NAMESPACE: Final = "data_emulator"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NULL: Final = b"\x00"
_NOT_NULL: Final = b"\x02"
"""Which of the union's types follows: the first or the second, as zig-zag numbers."""

Parts = list[Any]
"""Columns of encoded values, and constant bytes between them."""


class NoAvroForm(TypeError):
    """A schema has a field that Avro cannot have; the message names it."""


def avro_schema(name: str, schema: pa.Schema) -> str:
    """Return the Avro schema, as JSON, of records with these fields.

    :param name: what they are, such as ``device-log``, which makes the record ``data_emulator.DeviceLog``.
    :raises NoAvroForm: when a field has a name or a type that Avro does not have.
    """
    title = "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name))
    if not _NAME.fullmatch(title):
        raise NoAvroForm(f"{name!r} makes no name of a record in Avro: it must begin with a letter")
    record = {"type": "record", "namespace": NAMESPACE, **_record(title, list(schema), "")}
    return json.dumps(record, separators=(",", ":"))


def _record(title: str, fields: list[pa.Field], path: str) -> dict[str, Any]:
    return {"type": "record", "name": title, "fields": [_field(title, field, path) for field in fields]}


def _field(title: str, field: pa.Field, path: str) -> dict[str, Any]:
    path += field.name
    if not _NAME.fullmatch(field.name):
        raise NoAvroForm(f"field {path!r}: in Avro a name is made of letters, digits and _")
    kind: Any
    if pa.types.is_struct(field.type):
        kind = _record(title + field.name[0].upper() + field.name[1:], list(field.type), f"{path}.")
    else:
        kind = _primitive(path, field.type)
    if field.nullable:
        return {"name": field.name, "type": ["null", kind], "default": None}
    return {"name": field.name, "type": kind}


def _primitive(path: str, kind: Any) -> str:
    if pa.types.is_string(kind):
        return "string"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return "long"
    if pa.types.is_float64(kind):
        return "double"
    raise NoAvroForm(f"field {path!r}: type {kind} has no Avro form")


def encode(batch: pa.RecordBatch, schema: pa.Schema, prefix: bytes = b"") -> Any:
    """Return the binary encoding of each record, as a binary column.

    :param schema: the fields as they are declared: which may be null, and so are unions, the columns do not tell.
    :param prefix: put before each record.
    :raises NoAvroForm: for a column of a type that has no Avro form, or a null in a field that must have none.
    """
    parts: Parts = [prefix]
    for column, field in zip(batch.columns, schema, strict=True):
        parts += _value(column, field)
    return _joined(parts, len(batch))


def _value(column: Any, field: pa.Field) -> Parts:
    if pa.types.is_dictionary(column.type) and column.dictionary.null_count:
        column = column.dictionary.take(column.indices)  # so that its nulls are counted with the others
    if not field.nullable:
        if column.null_count:
            raise NoAvroForm(f"column {field.name!r}: there is a null where none may be")
        return _present(column, field)
    if not column.null_count:
        return [_NOT_NULL, *_present(column, field)]
    valid = column.is_valid()
    there = _joined([_NOT_NULL, *_present(column.drop_null(), field)], len(column) - column.null_count)
    position = pa.array(np.cumsum(valid.to_numpy(zero_copy_only=False)) - 1, mask=~valid.to_numpy(zero_copy_only=False))
    return [pc.fill_null(there.take(position), _NULL)]


def _present(column: Any, field: pa.Field) -> Parts:
    """Return the parts that make up one value a row, of a column without nulls."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        values = column.dictionary
        return [_joined(_present(values, field), len(values)).take(column.indices)]
    if pa.types.is_struct(kind) and pa.types.is_struct(field.type):
        parts: Parts = []
        for position, nested in enumerate(field.type):
            parts += _value(column.field(position), nested)
        return parts
    if kind != field.type:
        raise NoAvroForm(f"column {field.name!r} is {kind}, and declared as {field.type}")
    if pa.types.is_string(kind):
        return [_longs(np.diff(bounds(column)).astype(np.int64)), column.cast(pa.binary())]
    if pa.types.is_boolean(kind):
        return [_fixed_width(column.cast(pa.uint8()).to_numpy().reshape(-1, 1))]
    if pa.types.is_integer(kind):
        return [_longs(column.to_numpy().astype(np.int64))]
    if pa.types.is_float64(kind):
        return [_fixed_width(column.to_numpy().astype("<f8", copy=False).view(np.uint8).reshape(-1, 8))]
    raise NoAvroForm(f"column {field.name!r}: type {kind} has no Avro form")


def _longs(numbers: NDArray[np.int64]) -> Any:
    """Return numbers as zig-zag variable-length integers: a constant if they are all the same, else a binary column."""
    if not len(numbers):
        return b""
    if (numbers == numbers[0]).all():
        return long(int(numbers[0]))
    zigzag = ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)
    lengths = np.ones(len(numbers), np.int32)
    longest = 1
    while longest < 10 and (more := zigzag >= np.uint64(1) << np.uint64(7 * longest)).any():
        lengths += more
        longest += 1
    shifted = zigzag[:, None] >> (np.arange(longest, dtype=np.uint64) * np.uint64(7))
    octets = (shifted & np.uint64(0x7F)).astype(np.uint8)
    place = np.arange(longest, dtype=np.int32)
    octets[place < lengths[:, None] - 1] |= 0x80
    return _variable_width(octets[place < lengths[:, None]], lengths)


def long(number: int) -> bytes:
    """Return a number as Avro writes it: zig-zag, seven bits a byte, the lowest first."""
    zigzag = (number << 1) ^ (number >> 63)
    octets = bytearray()
    while zigzag > 0x7F:
        octets.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    octets.append(zigzag)
    return bytes(octets)


def _variable_width(octets: NDArray[np.uint8], lengths: NDArray[np.int32]) -> Any:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.BinaryArray.from_buffers(
        pa.binary(), len(lengths), [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(octets))]
    )


def _fixed_width(octets: NDArray[np.uint8]) -> Any:
    """Return a binary column of the rows of `octets`, shape (rows, width)."""
    rows, width = octets.shape
    return _variable_width(octets, np.full(rows, width, np.int32))


def _joined(parts: Parts, rows: int) -> Any:
    merged: Parts = []
    for part in parts:
        if isinstance(part, bytes) and merged and isinstance(merged[-1], bytes):
            merged[-1] += part
        else:
            merged.append(part)
    if all(isinstance(part, bytes) for part in merged):
        return pa.array([b"".join(merged)] * rows, pa.binary())
    return pc.binary_join_element_wise(*(_scalar(part) for part in merged), pa.scalar(b"", pa.binary()))


def _scalar(part: Any) -> Any:
    return pa.scalar(part, pa.binary()) if isinstance(part, bytes) else part

"""The JSON Schema (2020-12) of records, from their Arrow schema."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from data_emulator.formats.envelope import DATA, EMULATION_ID, TIMESTAMP


def record_schema(title: str, data: pa.Schema) -> dict[str, Any]:
    """Return the schema of a record: the envelope, with the domain's columns in `data`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "required": [EMULATION_ID, TIMESTAMP, DATA],
        "properties": {
            EMULATION_ID: {"type": "string", "format": "uuid"},
            TIMESTAMP: {"type": "number", "description": "Unix seconds"},
            DATA: _object(list(data)),
        },
    }


def _object(fields: list[Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [field.name for field in fields],
        "properties": {field.name: _field(field) for field in fields},
    }


def _field(field: Any) -> dict[str, Any]:
    kind = field.type
    if pa.types.is_struct(kind):
        return _object(list(kind))
    if pa.types.is_boolean(kind):
        name = "boolean"
    elif pa.types.is_integer(kind):
        name = "integer"
    elif pa.types.is_floating(kind):
        name = "number"
    else:
        name = "string"
    return {"type": [name, "null"] if field.nullable else name}

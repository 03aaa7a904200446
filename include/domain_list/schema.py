"""Generate the JSON Schema of the list from the table of fields, for editors and form builders."""

from __future__ import annotations

from typing import Any

from .fields import DOMAIN, FIELDS

_DOMAIN_REF = {"$ref": "#/$defs/domain"}


def json_schema() -> dict[str, Any]:
    """Return the schema of the list (draft 2020-12)."""
    properties = {name: _DOMAIN_REF if field is DOMAIN else dict(field.schema) for name, field in FIELDS.items()}
    entry = {
        "title": "Emulation",
        "type": "object",
        "required": ["emulation_domain"],
        "additionalProperties": False,
        "properties": properties,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The Airflow Variable emulation_domains",
        "description": "What all_emulations_dag emulates: one entry for each emulation. Beyond what can be said here, "
        "no two entries may have the same label, no field may be there twice, a day must be in the calendar, and a "
        "backfill must have start and end, in this order, and a known number of records.",
        "type": "array",
        "minItems": 1,
        "items": {"anyOf": [_DOMAIN_REF, {"$ref": "#/$defs/entry"}]},
        "examples": [
            ["user-profile", {"emulation_domain": "transaction", "timeout": 300, "rate": 5000, "label": "payments"}],
            [{"emulation_domain": "transaction", "window": "data_interval", "max_records": 50000}],
        ],
        "$defs": {"domain": dict(DOMAIN.schema), "entry": entry},
    }

"""The fields of an entry: allowed values as JSON Schema and in words, and the check against them.

This table is the single source: the parser uses it, and ``docs/emulation_domains.schema.json`` is generated from it
(:mod:`include.domain_list.schema`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

#: The value of ``window`` for a backfill over the run's own data interval.
DATA_INTERVAL = "data_interval"

MAX_RATE = 1_000_000_000
#: Whole numbers up to here survive every JSON reader, the browser's among them.
MAX_SAFE_INTEGER = 2**53 - 1

_MAX_WAIT_S = 366 * 24 * 3600
_MAX_POLL_INTERVAL_S = 24 * 3600

# "(?![\s\S])" is the very end in Python and in ECMAScript alike; "$" would let Python pass over a line end.
_END = r"(?![\s\S])"
_NAME = rf"^[A-Za-z0-9][A-Za-z0-9._-]{{0,99}}{_END}"
_CONN_ID = rf"^[A-Za-z0-9_][A-Za-z0-9_.:/#!()-]{{0,199}}{_END}"
# Neither control characters and line ends nor halves of surrogate pairs, which no database stores.
_NOT_IN_A_LABEL = r"\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff"
_LABEL = rf"^[^ {_NOT_IN_A_LABEL}](?:[^{_NOT_IN_A_LABEL}]{{0,98}}[^ {_NOT_IN_A_LABEL}])?{_END}"
_TIME = (
    r"^(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]"
    rf"(?::[0-5][0-9](?:\.[0-9]{{1,6}})?)?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9]){_END}"
)


@dataclass(frozen=True)
class Field:
    """The allowed values of a field.

    :param allowed: in words, for errors
    :param schema: as JSON Schema, of the keywords that :func:`matches` knows, with description, default and examples
    """

    allowed: str
    schema: Mapping[str, Any]

    def allows(self, value: Any) -> bool:
        """Return whether the field may have this value."""
        return matches(self.schema, value)


def matches(schema: Mapping[str, Any], value: Any) -> bool:
    """Check a value against a JSON Schema that uses only the keywords in this module.

    Done without a library, so that a list can be checked where nothing is installed.
    """
    types = schema.get("type", [])
    if types and not any(_TYPES[name](value) for name in ([types] if isinstance(types, str) else types)):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "anyOf" in schema and not any(matches(each, value) for each in schema["anyOf"]):
        return False
    if isinstance(value, str):
        return "pattern" not in schema or re.search(schema["pattern"], value) is not None
    if _is_number(value):
        # Written so that NaN, which JSON does not have but Python reads, is within no bounds.
        return (
            ("minimum" not in schema or value >= schema["minimum"])
            and ("maximum" not in schema or value <= schema["maximum"])
            and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
        )
    return True


def plain(value: Any) -> Any:
    """Return a whole number as an integer, however it is written: JSON has only one number type."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
}


def _one_of(*values: str, **more: Any) -> Field:
    return Field(" or ".join(f'"{value}"' for value in values), {"enum": [*values], **more})


def _from_1(*, or_null: bool = False, **more: Any) -> Field:
    allowed = f"an integer of at least 1{', or null' if or_null else ''}"
    return Field(allowed, {"type": ["integer", "null"] if or_null else "integer", "minimum": 1, **more})


def _seconds(most: int, **more: Any) -> Field:
    schema = {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": most, **more}
    return Field(f"a number of seconds above 0 and at most {most}, or null", schema)


def _time(**more: Any) -> Field:
    allowed = 'a time with a time zone, like "2026-01-31T00:00:00+00:00", or null'
    return Field(allowed, {"type": ["string", "null"], "pattern": _TIME, **more})


DOMAIN = Field(
    "a name of letters, digits, '.', '_' and '-'",
    {
        "title": "Domain",
        "description": "The domain's name; case does not matter.",
        "type": "string",
        "pattern": _NAME,
        "examples": ["user-profile", "device-log", "transaction"],
    },
)

FIELDS: dict[str, Field] = {
    "emulation_domain": DOMAIN,
    "emulator_sync": _one_of(
        "minio",
        "kafka",
        "file",
        description="The sink: minio (any S3 store), kafka, or file (a folder of the service). Default: kafka "
        "for device-log and transaction, minio for all others.",
    ),
    "format_type": _one_of(
        "json", "csv", "parquet", "avro", description="Format of objects or messages.", default="json"
    ),
    "sync_type": _one_of(
        "grouped",
        "chunked",
        "single",
        description="In S3: one object, objects of about max_chunk_size bytes, or one object per record.",
        default="grouped",
    ),
    "max_chunk_size": _from_1(description="Size of an object in bytes, for chunked.", default=1024),
    "timeout": _from_1(description="How long to emulate, in seconds. Default: 30 for user-profile, 60 for all others."),
    "rate": Field(
        f'a number above 0 and at most {MAX_RATE}, "unlimited" or null',
        {
            "description": 'Records per second; null or "unlimited" is as fast as possible. Default: the service '
            "decides.",
            "anyOf": [
                {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": MAX_RATE},
                {"enum": ["unlimited"]},
            ],
        },
    ),
    "max_records": _from_1(or_null=True, description="End after this many records, if the duration suffices."),
    "seed": Field(
        "an integer from -2^63 to 2^63 - 1, or null",
        {
            "description": "The same seed gives the same data, with its own users. With window, seed and interval "
            "together determine the data.",
            "type": ["integer", "null"],
            "minimum": -(2**63),
            "maximum": 2**63 - 1,
        },
    ),
    "compression": Field(
        'a name, like "gzip", or null',
        {
            "description": "Compression of S3 objects. Default: the format's usual one.",
            "type": ["string", "null"],
            "pattern": _NAME,
            "examples": ["gzip", "zstd", "none"],
        },
    ),
    "window": Field(
        f'"{DATA_INTERVAL}" or null',
        {
            "description": "data_interval: backfill the run's own data interval, with the same data whenever it is run "
            "again. Requires max_records, or rate and timeout; excludes start_time and end_time.",
            "enum": [DATA_INTERVAL, None],
        },
    ),
    "start_time": _time(description="With end_time: start of a backfill.", examples=["2026-01-01T00:00:00Z"]),
    "end_time": _time(
        description="With start_time: end of a backfill, later than its start.", examples=["2026-02-01T00:00:00Z"]
    ),
    "data_emulator_conn_id": Field(
        "the id of an Airflow connection, or null",
        {
            "description": "The Airflow connection of this entry's service. Default: the DAG's.",
            "type": ["string", "null"],
            "pattern": _CONN_ID,
            "examples": ["data_emulator_default"],
        },
    ),
    "label": Field(
        "one line of 1 to 100 characters, without spaces at its ends, or null",
        {
            "description": "The emulation's name in the grid and the log. Default: the domain, with #2, #3 and so on "
            "if it is repeated.",
            "type": ["string", "null"],
            "pattern": _LABEL,
        },
    ),
    "wait_timeout": _seconds(
        _MAX_WAIT_S, description="Seconds to wait in total. Default: ten minutes longer than timeout."
    ),
    "poll_interval": _seconds(
        _MAX_POLL_INTERVAL_S,
        description="Seconds between two status requests to a service without long polls.",
        default=10,
    ),
}

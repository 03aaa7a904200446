"""A JSON or CSV record from S3 or Kafka, and the emulation that it names."""

from __future__ import annotations

import csv
import json
from typing import NamedTuple

EMULATION_ID = "emulation_id"


class Row(NamedTuple):
    """One record.

    :param source: the object (``s3://bucket/key``) or partition (``kafka://topic/0``) it was read from
    :param position: the record's number in the object, counted from 0, or its offset
    :param header: the object's header line, for CSV in S3, else None
    :param record: its text, without the line's end
    """

    source: str
    position: int
    header: str | None
    record: str


def json_emulation_id(text: str) -> str | None:
    """Return the emulation that a JSON record names; None if it is not such a record."""
    try:
        record = json.loads(text)
    except ValueError:
        return None
    found = record.get(EMULATION_ID) if isinstance(record, dict) else None
    return found if isinstance(found, str) else None


def csv_fields(text: str) -> list[str]:
    """Return the fields of a CSV row, which may contain quoted line ends; none if it is not a row."""
    try:
        rows = list(csv.reader([text]))
    except csv.Error:
        return []
    return rows[0] if len(rows) == 1 else []

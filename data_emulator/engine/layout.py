"""How an emulation's records are laid out in objects: in which format, and how many go into one."""

from __future__ import annotations

from data_emulator.engine.plan import Plan
from data_emulator.engine.source import RecordSource
from data_emulator.formats import csv
from data_emulator.formats.avro import avro_schema
from data_emulator.formats.avro_file import AvroObjects
from data_emulator.formats.catalog import FORMATS
from data_emulator.formats.lines import LineObjects
from data_emulator.formats.objects import Layout, ObjectFormat
from data_emulator.formats.parquet import SAMPLE_RECORDS, ParquetObjects


def layout(plan: Plan, source: RecordSource) -> Layout:
    """Return the layout of an emulation's objects. It depends on what was asked for, and on domain and seed, alone."""
    extension = FORMATS[plan.format].extensions[plan.compression]
    if plan.format == "parquet":
        return _parquet_layout(
            plan, ParquetObjects(extension, plan.compression, source.schema, source.sample(SAMPLE_RECORDS))
        )
    if plan.format == "avro":
        objects: ObjectFormat = AvroObjects(extension, plan.compression, avro_schema(plan.domain, source.schema))
    else:
        header = csv.header(source.sample(0)).encode() if plan.format == "csv" else b""
        objects = LineObjects(extension, plan.compression, header)
    match plan.sync_type:
        case "grouped":
            return Layout(objects)
        case "chunked":
            return Layout(objects, max_bytes=plan.max_chunk_size)
        case _:
            return Layout(objects, max_records=1)


def _parquet_layout(plan: Plan, objects: ParquetObjects) -> Layout:
    """Return a layout whose chunks are counted in records: how large one is shows only once a row group is complete."""
    match plan.sync_type:
        case "grouped":
            return Layout(objects)
        case "chunked":
            return Layout(objects, max_records=max(1, int(plan.max_chunk_size / objects.record_bytes())))
        case _:
            return Layout(objects, max_records=1)

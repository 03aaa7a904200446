"""Spark's own readers of JSON, CSV and Parquet find every record, value by value, in the folder of an emulation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from data_emulator.engine.source import RecordSource
from data_emulator.formats.catalog import FORMATS
from tests.support.making import DOMAINS, content, expected, flat, plan

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

RECORDS = 3000


def folder(tmp_path: Path, domain: str, name: str, compression: str) -> tuple[str, list[dict[str, Any]]]:
    """Return a folder with an object in this format, and the records in it."""
    the_plan = plan(domain=domain, format=name, compression=compression)
    path = tmp_path / f"part-000000000.{FORMATS[name].extensions[compression]}"
    path.write_bytes(content(the_plan, RECORDS))
    return str(tmp_path), expected(the_plan, RECORDS)


def rows(frame: DataFrame) -> list[dict[str, Any]]:
    return [row.asDict(recursive=True) for row in frame.collect()]


def ddl(kind: Any) -> str:
    if pa.types.is_struct(kind):
        return "STRUCT<" + ", ".join(f"{field.name}: {ddl(field.type)}" for field in kind) + ">"
    return {"string": "STRING", "double": "DOUBLE", "int64": "BIGINT", "bool": "BOOLEAN"}[str(kind)]


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("compression", FORMATS["json"].compressions)
def test_json(spark: SparkSession, tmp_path: Path, domain: str, compression: str) -> None:
    path, records = folder(tmp_path, domain, "json", compression)
    inferred = spark.read.json(path)
    assert rows(inferred) == records
    assert "_corrupt_record" not in inferred.columns


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("compression", FORMATS["csv"].compressions)
def test_csv(spark: SparkSession, tmp_path: Path, domain: str, compression: str) -> None:
    path, records = folder(tmp_path, domain, "csv", compression)
    wanted = [flat(record) for record in records]
    names = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE"}
    schema = ", ".join(f"{name} {names.get(type(value), 'STRING')}" for name, value in wanted[0].items())
    # Quotes in text are doubled, as in RFC 4180; Spark expects a backslash unless told so.
    frame = spark.read.csv(path, header=True, escape='"', schema=schema, mode="FAILFAST", enforceSchema=False)
    assert rows(frame) == wanted
    assert spark.read.csv(path, header=True, escape='"').columns == [*wanted[0]]


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("compression", FORMATS["parquet"].compressions)
def test_parquet(spark: SparkSession, tmp_path: Path, domain: str, compression: str) -> None:
    path, records = folder(tmp_path, domain, "parquet", compression)
    frame = spark.read.parquet(path)
    assert rows(frame) == records
    schema = RecordSource(plan(domain=domain)).schema
    assert (
        frame.schema.simpleString().lower()
        == ddl(pa.struct(list(schema))).replace(": ", ":").replace(", ", ",").lower()
    )
